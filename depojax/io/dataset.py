"""Solutions and scaffolds as an `xarray.Dataset` for people and other programs.

Dimensions x, y, z [m] at the cell centres (`x_bounds` … hold the cells' sides) and time
[s]; every variable has `units` and `long_name`. No field is shifted or scaled.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import xarray as xr

from depojax._checks import refuse
from depojax._types import is_traced
from depojax.design.optimisation import Optimisation
from depojax.design.sensitivities import Sensitivities, Uncertainty
from depojax.io.curves import of_impedance, of_polarisation, of_profile
from depojax.io.design import of_optimisation, of_sensitivities, of_uncertainty
from depojax.io.nucleation import (
    of_nucleation_transient,
    of_nuclei,
    of_transient,
    of_transient_fit,
)
from depojax.io.plating import of_plating
from depojax.io.provenance import provenance
from depojax.io.sand import of_sand
from depojax.io.scaffold import of_scaffold, of_tortuosity, of_tortuosity_map
from depojax.io.simulation import of_simulation
from depojax.io.space_charge import of_space_charge, of_space_charge_curve
from depojax.physics.nuclei import Nuclei
from depojax.physics.scharifker_hills import Transient
from depojax.problems.distribution import DepthProfile
from depojax.problems.fitting_transients import TransientFit
from depojax.problems.impedance import Impedance
from depojax.problems.nucleation_transient import NucleationTransient
from depojax.problems.plating_solution import Plating
from depojax.problems.polarisation import PolarisationCurve
from depojax.problems.sand_solution import SandSolution
from depojax.problems.simulate import Simulation
from depojax.problems.space_charge_curve import SpaceChargeCurve
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.problems.tortuosity import Tortuosity
from depojax.problems.tortuosity_map import TortuosityMap
from depojax.scaffold.scaffold import Scaffold

# class: (its dataset, a field of it, the axes of that field in a single solution)
_WRITERS: dict[type, tuple[Callable[[Any], xr.Dataset], str, int]] = {
    SandSolution: (of_sand, "time", 0),
    Simulation: (of_simulation, "end_time", 0),
    Plating: (of_plating, "end_time", 0),
    Scaffold: (of_scaffold, "closed_pore_fraction", 0),
    Tortuosity: (of_tortuosity, "porosity", 0),
    TortuosityMap: (of_tortuosity_map, "porosity", 3),
    PolarisationCurve: (of_polarisation, "time", 0),
    Impedance: (of_impedance, "real", 1),
    DepthProfile: (of_profile, "current", 1),
    SpaceCharge: (of_space_charge, "end_time", 0),
    SpaceChargeCurve: (of_space_charge_curve, "voltage", 1),
    Transient: (of_transient, "peak_time", 0),
    TransientFit: (of_transient_fit, "residual", 1),
    NucleationTransient: (of_nucleation_transient, "current_density", 0),
    Nuclei: (of_nuclei, "radii", 1),
    Optimisation: (of_optimisation, "loss", 0),
    Sensitivities: (of_sensitivities, "results", 1),
    Uncertainty: (of_uncertainty, "results", 1),
}


def to_xarray(
    solution: Any, *, attributes: Mapping[str, Any] | None = None
) -> xr.Dataset:
    """A solution, a curve or a scaffold as a dataset with units on every variable.

    `attributes` are added to those of the dataset, such as the `seed` of the scaffold.

    Raises `ValueError` for anything else, for a batch of solutions, and while traced.
    """
    if type(solution) not in _WRITERS:
        *names, last = (kind.__name__ for kind in _WRITERS)
        known = f"a {', '.join(names)} or {last}"
        raise refuse("solution", known, type(solution).__name__)
    write, field, axes = _WRITERS[type(solution)]
    _check_single(getattr(solution, field), axes)
    dataset = write(solution)
    dataset.attrs |= {"Conventions": "CF-1.11", **provenance(), **(attributes or {})}
    return dataset


def _check_single(values: jax.Array, axes: int) -> None:
    if is_traced(values):
        raise refuse(
            "solution", "a finished one", "a traced one", "Leave jit and grad."
        )
    if values.ndim > axes:
        raise refuse(
            "solution",
            "one solution",
            f"a batch of {values.shape[: values.ndim - axes]}",
            "Pick one: jax.tree.map(lambda leaf: leaf[i], solution).",
        )
