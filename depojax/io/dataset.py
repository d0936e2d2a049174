"""Solutions and scaffolds as an `xarray.Dataset` for people and other programs.

Dimensions x, y, z [m] at the cell centres (`x_bounds` … hold the cells' sides) and time
[s]; every variable has `units` and `long_name`. No field is shifted or scaled.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from depojax._checks import refuse
from depojax._types import is_traced
from depojax.design.optimise import Optimisation
from depojax.design.sensitivities import Sensitivities, Uncertainty
from depojax.fv.grid import AXES, Grid
from depojax.io.curves import of_impedance, of_polarisation, of_profile
from depojax.io.design import of_optimisation, of_sensitivities, of_uncertainty
from depojax.io.nucleation import (
    of_nucleation_transient,
    of_nuclei,
    of_transient,
    of_transient_fit,
)
from depojax.io.parts import described, with_axes
from depojax.io.plating import of_plating
from depojax.io.provenance import provenance
from depojax.io.space_charge import of_space_charge, of_space_charge_curve
from depojax.physics.nuclei import Nuclei
from depojax.physics.scharifker_hills import Transient
from depojax.problems.distribution import DepthProfile
from depojax.problems.fitting_transients import TransientFit
from depojax.problems.impedance import Impedance
from depojax.problems.nucleation_transient import NucleationTransient
from depojax.problems.plating_solution import Plating
from depojax.problems.polarisation import PolarisationCurve
from depojax.problems.sand import SandSolution
from depojax.problems.simulate import Simulation
from depojax.problems.space_charge import SpaceCharge
from depojax.problems.space_charge_curve import SpaceChargeCurve
from depojax.problems.tortuosity import Tortuosity
from depojax.problems.tortuosity_map import TortuosityMap
from depojax.scaffold.scaffold import Scaffold


def to_xarray(
    solution: SandSolution
    | Simulation
    | Plating
    | Scaffold
    | Tortuosity
    | TortuosityMap
    | PolarisationCurve
    | Impedance
    | DepthProfile
    | SpaceCharge
    | SpaceChargeCurve
    | Transient
    | TransientFit
    | NucleationTransient
    | Nuclei
    | Optimisation
    | Sensitivities
    | Uncertainty,
    *,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A solution, a curve or a scaffold as a dataset with units on every variable.

    `attributes` are added to those of the dataset, such as the `seed` of the scaffold.

    Raises `ValueError` for anything else, for a batch of solutions, and while traced.
    """
    if isinstance(solution, SandSolution):
        _check_single(solution, solution.time)
        dataset = _of_solution(solution)
    elif isinstance(solution, Simulation):
        _check_single(solution, solution.end_time)
        dataset = _of_simulation(solution)
    elif isinstance(solution, Plating):
        _check_single(solution, solution.end_time)
        dataset = of_plating(solution)
    elif isinstance(solution, Tortuosity):
        _check_single(solution, solution.porosity)
        dataset = _of_tortuosity(solution)
    elif isinstance(solution, PolarisationCurve):
        _check_single(solution, solution.time)
        dataset = of_polarisation(solution)
    elif isinstance(solution, Impedance):
        _check_single(solution, jnp.sum(solution.real, -1))
        dataset = of_impedance(solution)
    elif isinstance(solution, DepthProfile):
        _check_single(solution, jnp.sum(solution.current, -1))
        dataset = of_profile(solution)
    elif isinstance(solution, SpaceCharge):
        _check_single(solution, solution.end_time)
        dataset = of_space_charge(solution)
    elif isinstance(solution, SpaceChargeCurve):
        _check_single(solution, jnp.sum(solution.voltage, -1))
        dataset = of_space_charge_curve(solution)
    elif isinstance(solution, Transient):
        _check_single(solution, solution.peak_time)
        dataset = of_transient(solution)
    elif isinstance(solution, TransientFit):
        dataset = of_transient_fit(solution)
    elif isinstance(solution, NucleationTransient):
        _check_single(solution, solution.current_density)
        dataset = of_nucleation_transient(solution)
    elif isinstance(solution, Nuclei):
        dataset = of_nuclei(solution)
    elif isinstance(solution, TortuosityMap):
        dataset = _of_map(solution)
    elif isinstance(solution, Optimisation):
        _check_single(solution, solution.loss)
        dataset = of_optimisation(solution)
    elif isinstance(solution, Sensitivities):
        _check_single(solution, jnp.sum(solution.results, -1))
        dataset = of_sensitivities(solution)
    elif isinstance(solution, Uncertainty):
        _check_single(solution, jnp.sum(solution.results, -1))
        dataset = of_uncertainty(solution)
    elif isinstance(solution, Scaffold):
        _check_single(solution, solution.closed_pore_fraction)
        fields = {"pore_fraction": solution.pore_fraction}
        fields |= {"surface_area": solution.surface_area}
        fields |= {"wall_distance": solution.wall_distance}
        dataset = _on_grid(solution.grid, fields)
        dataset.attrs["input"] = described(solution.grid)
    else:
        raise refuse(
            "solution",
            "a SandSolution, Simulation, Plating, Scaffold, Tortuosity, TortuosityMap, "
            "PolarisationCurve, Impedance, DepthProfile, SpaceCharge, "
            "SpaceChargeCurve, Transient, TransientFit, NucleationTransient, Nuclei, "
            "Optimisation, Sensitivities or Uncertainty",
            type(solution).__name__,
        )
    dataset.attrs |= {"Conventions": "CF-1.11", **provenance(), **(attributes or {})}
    return dataset


# name: (unit, what it is)
_MEANING = {
    "concentration": ("mol m-3", "salt concentration at the end of the run"),
    "wall_concentration": ("mol m-3", "salt concentration at the plated surface"),
    "depletion_time": (
        "s",
        "time of depletion of the plated surface, inf if later",
    ),
    "pore_fraction": ("1", "electrolyte volume per cell volume"),
    "surface_area": ("m2", "plated area in the cell"),
    "wall_distance": ("m", "signed distance from cell centre to wall"),
    "field": ("1", "potential: 1 at the low end, 0 at the high end"),
    "tortuosity_factor": ("1", "volume fraction / (D_eff/D), inf if nothing passes"),
    "effective_diffusivity": ("1", "D_eff/D"),
    "flux_in": ("1", "mean flux at the low end per D and mean gradient"),
    "flux_out": ("1", "mean flux at the high end per D and mean gradient"),
    "flux_mismatch": ("1", "difference of the fluxes at the two ends / their mean"),
    "residual": ("1", "of the linear solve, relative"),
    "percolates": ("1", "whether a path leads from end to end"),
    "current_density": ("A m-2", "plating current per footprint"),
    "voltage": ("V", "collector against counter electrode, negative while plating"),
    "mean_current_density": ("A m-2", "mean local current over the true surface"),
    "highest_current_density": ("A m-2", "highest local current on the true surface"),
    "charge_imbalance": ("1", "between the currents of all electrodes, relative"),
    "step": ("1", "of the protocol, from 0"),
    "liquid_potential": ("V", "electrolyte, against an electrode of the metal"),
    "solid_potential": ("V", "host, or collector where there is none"),
    "local_current_density": ("A m-2", "plating current per true area of the host"),
    "plated_charge": ("C m-2", "plated per true area of the host"),
    "charge": ("C m-2", "passed per footprint, plating positive"),
    "newton_steps": ("1", "of all stages"),
    "time_steps": ("1", "accepted time steps"),
    "step_time": ("s", "length of each step of the protocol"),
    "step_charge": ("C m-2", "passed per footprint in each step, plating positive"),
    "step_voltage_part": ("V", "parts of the voltage at the end of each step"),
    "voltage_part": ("V", "parts of the voltage at the end"),
    "lowest_wall_concentration": (
        "mol m-3",
        "lowest salt concentration at the wall",
    ),
    "mean_wall_concentration": ("mol m-3", "mean salt concentration at the wall"),
    "sand_time": ("s", "Sand's time: first depletion, inf if never"),
    "capacity": ("C m-2", "charge passed per footprint until first depletion"),
    "nearly_depleted": ("1", "share of the metal below a tenth of the concentration"),
    "depleted_share": ("1", "share of the metal whose depletion ends the run"),
    "limiting_current": ("A m-2", "current per footprint below which nothing depletes"),
    "end_time": ("s", "end of the run, inf for the steady state"),
    "salt_balance_error": ("1", "salt found against salt booked, per salt plated"),
    "steps": ("1", "accepted time steps"),
    "attempts": ("1", "attempted time steps"),
    "linear_iterations": ("1", "iterations of all linear solves"),
    "depleted": ("1", "whether anything was depleted"),
    "porosity": ("1", "electrolyte volume of the scaffold per its total volume"),
    "specific_area": ("m-1", "interface area of the scaffold per its total volume"),
    "closed_pore_fraction": ("1", "volume of closed pores removed, per total volume"),
}


def _of_solution(solution: SandSolution) -> xr.Dataset:
    cell = solution.cell
    domain = cell.domain()
    wall = domain.wall_area > 0
    fields: dict[str, Any] = {
        "concentration": solution.concentration,
        "wall_concentration": jnp.where(wall, solution.wall_concentration, jnp.nan),
        "pore_fraction": domain.pore_fraction,
        "surface_area": domain.wall_area,
    }
    if solution.depletion_time is not None:
        fields["depletion_time"] = jnp.where(wall, solution.depletion_time, jnp.nan)
    dataset = _on_grid(cell.grid, fields)
    scalars = {
        "sand_time": solution.time,
        "capacity": solution.capacity,
        "nearly_depleted": solution.nearly_depleted,
        "depleted_share": solution.depleted_share,
        "limiting_current": solution.limiting_current,
        "end_time": solution.end_time,
        "salt_balance_error": solution.salt_balance_error,
        "steps": solution.steps,
        "attempts": solution.attempts,
        "linear_iterations": solution.linear_iterations,
        "depleted": jnp.asarray(solution.depleted, jnp.int32),
        "porosity": cell.scaffold.porosity,
        "specific_area": cell.scaffold.specific_area,
        "closed_pore_fraction": cell.scaffold.closed_pore_fraction,
    }
    for name, value in scalars.items():
        if value is not None:
            dataset[name] = _variable(name, (), value)
    where = {"units": "m", "long_name": "place whose wall concentration decides"}
    dataset["location"] = xr.Variable(("axis",), np.asarray(solution.location), where)
    dataset.coords["axis"] = xr.Variable(("axis",), list(AXES), {"long_name": "axis"})
    kept = ~np.isnan(np.asarray(solution.history.time))
    for name, value in solution.history.values.items():
        dataset[name] = _variable(name, ("time",), np.asarray(value)[kept])
    dataset.coords["time"] = xr.Variable(
        ("time",),
        np.asarray(solution.history.time)[kept],
        {
            "units": "s",
            "long_name": "time since plating began",
            "standard_name": "time",
        },
    )
    dataset.attrs |= {
        "title": "Ion depletion in a metal-anode scaffold",
        "message": solution.message,
        "input": described((cell, solution.current)),
        "precision": str(solution.concentration.dtype),
    }
    return dataset


def _of_simulation(solution: Simulation) -> xr.Dataset:
    cell = solution.cell
    domain = cell.domain()
    host = _over_all(cell.scaffold.surface_area, cell.grid) > 0
    wet = domain.pore_fraction > 0
    fields = {
        "concentration": solution.concentration,
        "liquid_potential": jnp.where(wet, solution.liquid_potential, jnp.nan),
        "solid_potential": solution.solid_potential,
        "local_current_density": _where(host, solution.local_current_density),
        "plated_charge": _where(host, solution.plated_charge),
        "pore_fraction": domain.pore_fraction,
        "surface_area": _over_all(cell.scaffold.surface_area, cell.grid),
    }
    dataset = _on_grid(cell.grid, fields)
    for name in ("charge", "end_time", "newton_steps", "linear_iterations"):
        dataset[name] = _variable(name, (), getattr(solution, name))
    dataset["time_steps"] = _variable("time_steps", (), solution.time_steps)
    for name in (
        "voltage",
        "current_density",
        "lowest_wall_concentration",
        "mean_current_density",
        "highest_current_density",
        "charge_imbalance",
        "step",
    ):
        dataset[name] = _variable(name, ("time",), getattr(solution, name))
    about = {"units": "s", "long_name": "time since the run began"}
    about["standard_name"] = "time"
    dataset.coords["time"] = xr.Variable(("time",), np.asarray(solution.time), about)
    parts = [float(part) for part in solution.voltage_parts.values()]
    dataset["voltage_part"] = _variable("voltage_part", ("part",), parts)
    names = list(solution.voltage_parts)
    dataset.coords["part"] = xr.Variable(("part",), names, {"long_name": "cause"})
    by_step = ("protocol_step",)
    table = [np.asarray(part) for part in solution.step_voltage_parts.values()]
    dataset["step_time"] = _variable("step_time", by_step, solution.step_times)
    dataset["step_charge"] = _variable("step_charge", by_step, solution.step_charges)
    dataset["step_voltage_part"] = _variable(
        "step_voltage_part", ("part", *by_step), np.stack(table)
    )
    dataset.attrs |= {
        "title": "A metal-anode cell run through a protocol",
        "protocol": str(solution.protocol),
        "ended_by": ", ".join(solution.ended_by),
        "input": described((cell, solution.protocol)),
        "precision": str(solution.concentration.dtype),
    }
    return dataset


def _over_all(field: jax.Array, grid: Grid) -> jax.Array:
    """A field over the host as one over the whole cell."""
    return jnp.pad(field, [(0, 0), (0, 0), (0, grid.shape[2] - field.shape[2])])


def _where(there: jax.Array, field: jax.Array) -> jax.Array:
    return jnp.where(there, field, jnp.nan)


def _of_tortuosity(found: Tortuosity) -> xr.Dataset:
    dataset = _on_grid(found.grid, {"field": found.field})
    for name in (
        "tortuosity_factor",
        "effective_diffusivity",
        "porosity",
        "flux_in",
        "flux_out",
        "flux_mismatch",
        "residual",
    ):
        dataset[name] = _variable(name, (), getattr(found, name))
    dataset["percolates"] = _variable(
        "percolates", (), jnp.asarray(found.percolates, jnp.int32)
    )
    dataset.attrs |= {
        "title": "Steady diffusion through a scaffold",
        "message": found.message,
        "axis": found.axis,
        "phase": found.phase,
    }
    return dataset


def _of_map(found: TortuosityMap) -> xr.Dataset:
    fields = {"porosity": found.porosity, "specific_area": found.specific_area}
    dataset = _on_grid(found.grid, fields)
    per_axis = {
        "tortuosity_factor": found.tortuosity_factor,
        "percolates": jnp.asarray(found.percolates, jnp.int32),
    }
    for name, value in per_axis.items():
        dataset[name] = _variable(name, (*AXES, "axis"), value)
    dataset["effective_diffusivity"] = _variable(
        "effective_diffusivity", (*AXES, "axis", "axis_2"), found.effective_diffusivity
    )
    for name in ("axis", "axis_2"):
        dataset.coords[name] = xr.Variable((name,), list(AXES), {"long_name": "axis"})
    dataset.attrs |= {
        "title": "Local effective tensors of a scaffold",
        "window": list(found.window),
    }
    return dataset


def _on_grid(grid: Grid, fields: Mapping[str, Any]) -> xr.Dataset:
    dataset = xr.Dataset({n: _variable(n, AXES, value) for n, value in fields.items()})
    return with_axes(dataset, grid)


def _variable(name: str, dims: tuple[str, ...], value: Any) -> xr.Variable:
    unit, words = _MEANING[name]
    return xr.Variable(dims, np.asarray(value), {"units": unit, "long_name": words})


def _check_single(solution: Any, scalar: jax.Array) -> None:
    if is_traced(scalar):
        raise refuse(
            "solution", "a finished one", "a traced one", "Leave jit and grad."
        )
    if scalar.ndim:
        raise refuse(
            "solution",
            "one solution",
            f"a batch of {scalar.shape}",
            "Pick one: jax.tree.map(lambda leaf: leaf[i], solution).",
        )
