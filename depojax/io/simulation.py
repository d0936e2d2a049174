"""A simulation as an `xarray.Dataset`: fields at its end, histories, steps."""

import jax.numpy as jnp
import numpy as np
import xarray as xr

from depojax.io.parts import (
    add_named,
    add_voltage_parts,
    described,
    named,
    on_grid,
    times,
)
from depojax.problems.cell_assembly import onto
from depojax.problems.simulate import Simulation

# name: (unit, what it is)
_FIELDS = {
    "concentration": ("mol m-3", "salt concentration at the end of the run"),
    "liquid_potential": ("V", "electrolyte, against an electrode of the metal"),
    "solid_potential": ("V", "host, or collector where there is none"),
    "local_current_density": ("A m-2", "plating current per true area of the host"),
    "plated_charge": ("C m-2", "plated per true area of the host"),
    "pore_fraction": ("1", "electrolyte volume per cell volume"),
    "surface_area": ("m2", "plated area in the cell"),
}
_NUMBERS = {
    "charge": ("C m-2", "passed per footprint, plating positive"),
    "end_time": ("s", "end of the run, inf for the steady state"),
    "newton_steps": ("1", "of all stages"),
    "linear_iterations": ("1", "iterations of all linear solves"),
    "time_steps": ("1", "accepted time steps"),
}
_HISTORIES = {
    "voltage": ("V", "collector against counter electrode, negative while plating"),
    "current_density": ("A m-2", "plating current per footprint"),
    "lowest_wall_concentration": ("mol m-3", "lowest salt concentration at the wall"),
    "mean_current_density": ("A m-2", "mean local current over the true surface"),
    "highest_current_density": ("A m-2", "highest local current on the true surface"),
    "charge_imbalance": ("1", "between the currents of all electrodes, relative"),
    "step": ("1", "of the protocol, from 0"),
}


def of_simulation(solution: Simulation) -> xr.Dataset:
    """Histories along `time`, steps along `protocol_step`, voltages along `part`."""
    cell = solution.cell
    domain = cell.domain()
    area = onto(cell.grid, cell.scaffold.surface_area)
    host, wet = area > 0, domain.pore_fraction > 0
    fields = {
        "concentration": solution.concentration,
        "liquid_potential": jnp.where(wet, solution.liquid_potential, jnp.nan),
        "solid_potential": solution.solid_potential,
        "local_current_density": jnp.where(
            host, solution.local_current_density, jnp.nan
        ),
        "plated_charge": jnp.where(host, solution.plated_charge, jnp.nan),
        "pore_fraction": domain.pore_fraction,
        "surface_area": area,
    }
    dataset = on_grid(cell.grid, fields, _FIELDS)
    add_named(dataset, (), solution, _NUMBERS)
    add_named(dataset, ("time",), solution, _HISTORIES)
    dataset.coords["time"] = times(solution.time, "time since the run began")
    add_voltage_parts(dataset, solution.voltage_parts)
    by_step = ("protocol_step",)
    dataset["step_time"] = named(
        by_step, solution.step_times, "s", "length of each step of the protocol"
    )
    dataset["step_charge"] = named(
        by_step,
        solution.step_charges,
        "C m-2",
        "passed per footprint in each step, plating positive",
    )
    table = [np.asarray(part) for part in solution.step_voltage_parts.values()]
    dataset["step_voltage_part"] = named(
        ("part", *by_step),
        np.stack(table),
        "V",
        "parts of the voltage at the end of each step",
    )
    dataset.attrs |= {
        "title": "A metal-anode cell run through a protocol",
        "protocol": str(solution.protocol),
        "ended_by": ", ".join(solution.ended_by),
        "input": described((cell, solution.protocol)),
        "precision": str(solution.concentration.dtype),
    }
    return dataset
