"""Space charge as an `xarray.Dataset`: fields over the cell, ions by their names.

Dimensions `ion, x, y, z`; histories along `time`, where a steady state is one entry at
infinity.
"""

from typing import Any

import numpy as np
import xarray as xr

from depojax.fv.grid import AXES
from depojax.io.parts import (
    add_named,
    described,
    labels,
    named,
    times,
    with_axes,
)
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import onto
from depojax.problems.space_charge_curve import SpaceChargeCurve
from depojax.problems.space_charge_solution import SpaceCharge

# name: (dimensions before x, y, z, unit, what it is)
_FIELDS = {
    "ion_concentration": (("ion",), "mol m-3", "concentration of each ion"),
    "potential": ((), "V", "electrostatic, 0 in bath or counter electrode"),
    "charge_density": ((), "C m-3", "of ions and fixed charge, per volume of pore"),
    "electric_field": (("axis",), "V m-1", "minus the gradient of the potential"),
    "host_field": ((), "V m-1", "at the host, along the normal out of the metal"),
    "local_current_density": ((), "A m-2", "plating current per true area of the host"),
    "local_layer_thickness": (
        (),
        "m",
        "of the space charge at each place on the metal",
    ),
    "local_onset_time": ((), "s", "of a space charge there, inf if none has set in"),
    "dendrite_velocity": ((), "m s-1", "of dendrites that start there, mu_a i / kappa"),
}
_ON_COLLECTOR = {
    "collector_field": ("V m-1", "at the open collector, upwards"),
    "collector_current_density": ("A m-2", "plating current of the open collector"),
}
_NUMBERS = {
    "voltage": ("V", "collector against bath or counter electrode"),
    "current_density": ("A m-2", "per footprint, plating positive, charging included"),
    "layer_thickness": ("m", "of the space charge, volume per plated area"),
    "charge": ("C m-2", "passed per footprint during the run"),
    "end_time": ("s", "end of the run, inf for a steady state"),
    "onset_time": ("s", "when a space charge set in, inf if never"),
    "limiting_current": ("A m-2", "of a neutral cell asked for more, else NaN"),
    "debye_length": ("m", "of the bulk"),
    "newton_steps": ("1", "of all stages"),
    "most_newton_steps": ("1", "of one step towards the steady state"),
    "linear_iterations": ("1", "of all linear solves"),
    "solves": ("1", "time steps, or steps towards the steady state"),
}
_HISTORIES = {
    "voltage_history": ("V", "collector against bath or counter electrode"),
    "current_density_history": ("A m-2", "per footprint, charging included"),
    "layer_thickness_history": ("m", "of the space charge"),
    "lowest_concentration": ("mol m-3", "lowest of any ion"),
}
_OF_HOST = ("host_field", "local_current_density")
_ON_METAL = ("local_layer_thickness", "local_onset_time", "dendrite_velocity")
_BY_ION = {
    "ion_current_density": ("A m-2", "reactions of each ion, per footprint"),
    "reduction_margin": ("V", "lowest potential of the metal above the ion's own"),
}
_IN_PORE = ("potential",)


def of_space_charge(solution: SpaceCharge) -> xr.Dataset:
    """The fields of a solution over its cell, its histories, its ions."""
    cell = solution.cell
    dataset = xr.Dataset()
    scaffold, grid = cell.scaffold, cell.grid
    pore = np.asarray(cell.domain().pore_fraction)
    area = np.asarray(onto(grid, scaffold.surface_area))
    metal = np.asarray(cell.domain().wall_area)
    for name, (dims, unit, words) in _FIELDS.items():
        values = np.asarray(getattr(solution, name))
        if name in _OF_HOST:
            values = np.where(area > 0, values, np.nan)
        if name in _ON_METAL:
            values = np.where(metal > 0, values, np.nan)
        if name in _IN_PORE:
            values = np.where(pore > 0, values, np.nan)
        dataset[name] = named((*dims, *AXES), values, unit, words)
    dataset["pore_fraction"] = named(
        AXES, pore, "1", "electrolyte volume per cell volume"
    )
    dataset["surface_area"] = named(AXES, area, "m2", "area of the host in the cell")
    add_named(dataset, ("x", "y"), solution, _ON_COLLECTOR)
    add_named(dataset, (), solution, _NUMBERS)
    add_named(dataset, ("time",), solution, _HISTORIES)
    add_named(dataset, ("ion",), solution, _BY_ION)
    _add_ions(dataset, cell)
    dataset.coords["time"] = times(
        solution.time, "time since the start, inf for a steady state"
    )
    dataset.coords["axis"] = labels("axis", AXES, "axis")
    dataset = with_axes(dataset, grid)
    dataset.attrs |= {
        "title": "Ions and space charge in a metal-anode cell",
        "plated": cell.ions.plated,
        "electroneutral": int(solution.electroneutral),
        "input": described(cell),
        "precision": str(solution.ion_concentration.dtype),
    }
    return dataset


def _add_ions(dataset: xr.Dataset, cell: Cell) -> None:
    electrolyte = cell.ions
    about: dict[str, tuple[Any, str, str]] = {
        "ion_charge": (np.asarray(electrolyte.charges), "1", "charge number"),
        "ion_diffusivity": (electrolyte.diffusivities, "m2 s-1", "diffusivity"),
        "bulk_concentration": (electrolyte.concentrations, "mol m-3", "in the bulk"),
    }
    for name, (values, unit, words) in about.items():
        dataset[name] = named(("ion",), values, unit, words)
    dataset.coords["ion"] = labels("ion", electrolyte.names, "ion")


def of_space_charge_curve(curve: SpaceChargeCurve) -> xr.Dataset:
    """Along `voltage`."""
    columns = {
        "current_density": ("A m-2", "plating current per footprint"),
        "layer_thickness": _NUMBERS["layer_thickness"],
        "highest_field": ("V m-1", "largest at the metal"),
        "newton_steps": ("1", "on the way from the voltage before"),
    }
    along = ("voltage",)
    dataset = xr.Dataset(
        {n: named(along, getattr(curve, n), *words) for n, words in columns.items()},
        {"voltage": named(along, curve.voltage, *_NUMBERS["voltage"])},
    )
    found = np.asarray(curve.found, np.int32)
    dataset["found"] = named(along, found, "1", "whether there is a solution")
    dataset.attrs |= {
        "title": "Current and space charge of a metal-anode cell by voltage",
        "input": described(curve.last.cell),
        "electroneutral": int(curve.last.electroneutral),
        "precision": str(curve.current_density.dtype),
    }
    return dataset
