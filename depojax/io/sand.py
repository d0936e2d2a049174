"""Sand's time as an `xarray.Dataset`: fields over the cell, history along `time`."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from depojax.fv.grid import AXES
from depojax.io.parts import described, labels, named, on_grid, times
from depojax.problems.sand_solution import SandSolution

# name: (unit, what it is)
_FIELDS = {
    "concentration": ("mol m-3", "salt concentration at the end of the run"),
    "wall_concentration": ("mol m-3", "salt concentration at the plated surface"),
    "pore_fraction": ("1", "electrolyte volume per cell volume"),
    "surface_area": ("m2", "plated area in the cell"),
    "depletion_time": ("s", "time of depletion of the plated surface, inf if later"),
}
_NUMBERS = {
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
    "newton_steps": ("1", "of all stages, in a cell with kinetics"),
    "depleted": ("1", "whether anything was depleted"),
    "porosity": ("1", "electrolyte volume of the scaffold per its total volume"),
    "specific_area": ("m-1", "interface area of the scaffold per its total volume"),
    "closed_pore_fraction": ("1", "volume of closed pores removed, per total volume"),
}
_HISTORIES = {
    "lowest_wall_concentration": ("mol m-3", "lowest salt concentration at the wall"),
    "mean_wall_concentration": ("mol m-3", "mean salt concentration at the wall"),
    "current_density": ("A m-2", "plating current per footprint"),
    "voltage": ("V", "collector against counter electrode, negative while plating"),
}


def of_sand(solution: SandSolution) -> xr.Dataset:
    """The fields when the run ended, its numbers, the history of the wall."""
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
    dataset = on_grid(cell.grid, fields, _FIELDS)
    elsewhere = {
        "sand_time": solution.time,
        "depleted": jnp.asarray(solution.depleted, jnp.int32),
        "porosity": cell.scaffold.porosity,
        "specific_area": cell.scaffold.specific_area,
        "closed_pore_fraction": cell.scaffold.closed_pore_fraction,
    }
    for name, about in _NUMBERS.items():
        value = elsewhere[name] if name in elsewhere else getattr(solution, name)
        if value is not None:
            dataset[name] = named((), value, *about)
    dataset["location"] = named(
        ("axis",), solution.location, "m", "place whose wall concentration decides"
    )
    dataset.coords["axis"] = labels("axis", AXES, "axis")
    history = solution.history
    kept = ~np.isnan(np.asarray(history.time))
    for name, value in history.values.items():
        dataset[name] = named(("time",), np.asarray(value)[kept], *_HISTORIES[name])
    dataset.coords["time"] = times(
        np.asarray(history.time)[kept], "time since plating began"
    )
    dataset.attrs |= {
        "title": "Ion depletion in a metal-anode scaffold",
        "message": solution.message,
        "input": described((cell, solution.current)),
        "precision": str(solution.concentration.dtype),
    }
    return dataset
