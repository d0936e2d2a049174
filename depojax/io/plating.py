"""A plating run as an `xarray.Dataset`."""

import numpy as np
import xarray as xr

from depojax.fv.grid import AXES
from depojax.io.parts import (
    add_named,
    add_voltage_parts,
    described,
    labels,
    named,
    on_grid,
    times,
)
from depojax.problems.cell_assembly import onto
from depojax.problems.plating_solution import Plating

# name: (unit, what it is)
_FIELDS = {
    "thickness": ("m", "of the deposit per true area of the bare host"),
    "coverage": ("1", "share of the host's area that is metal"),
    "nuclei_density": ("m-2", "nuclei per true area of the host"),
    "nuclei_radius": ("m", "mean radius of the nuclei"),
    "dead_metal": ("1", "volume of dead metal per cell volume"),
    "pore_fraction": ("1", "electrolyte volume per cell volume, at the end"),
    "concentration": ("mol m-3", "salt concentration at the end of the run"),
    "liquid_potential": ("V", "electrolyte, against an electrode of the metal"),
    "local_current_density": ("A m-2", "plating current per true area of the host"),
}
_HISTORIES = {
    "voltage": ("V", "collector against counter electrode, negative while plating"),
    "current_density": ("A m-2", "plating current per footprint"),
    "lowest_wall_concentration": ("mol m-3", "lowest salt concentration at the wall"),
    "charge_imbalance": ("1", "between the currents of all electrodes, relative"),
    "step": ("1", "of the protocol, from 0"),
}
_WINDOWS = {
    "window_porosity": ("1", "of the host, at the end of each window"),
    "window_voltage": ("V", "collector against counter electrode then"),
    "window_step": ("1", "of the protocol, from 0"),
}
_NUMBERS = {
    "final_voltage": ("V", "collector against counter electrode, at the end"),
    "nucleation_overpotential": ("V", "spike of the voltage beyond its plateau"),
    "charge": ("C m-2", "passed per footprint, plating positive"),
    "end_time": ("s", "end of the run"),
    "deposited_volume": ("m3", "of metal, as the geometry has it"),
    "faraday_mismatch": ("1", "of that volume against the charge, relative"),
    "inventory_mismatch": ("1", "of live, dead and film metal against the charge"),
    "new_surface": ("1", "metal surface that got a film, per footprint"),
    "film_charge": ("C m-2", "that this film took, per footprint"),
    "salt_mismatch": ("1", "salt that went amiss, over what there is"),
    "squeezed_salt": ("mol", "that left through the top with its electrolyte"),
    "trapped_electrolyte": ("m3", "behind closed pores"),
    "closure_time": ("s", "when the first pore closed, inf if none did"),
    "dead_charge": ("C m-2", "of all dead metal per footprint"),
    "windows": ("1", "times that geometry was made anew"),
    "time_steps": ("1", "accepted time steps"),
    "newton_steps": ("1", "of all stages"),
    "linear_iterations": ("1", "iterations of all linear solves"),
}
_OF_STEPS = {
    "step_time": ("step_times", "s", "length of each step of the protocol"),
    "step_charge": ("step_charges", "C m-2", "passed per footprint in each step"),
    "step_lost_charge": ("step_lost_charges", "C m-2", "metal that died in each step"),
    "step_film_charge": ("step_film_charges", "C m-2", "that films took in each step"),
}


def of_plating(solution: Plating) -> xr.Dataset:
    """Fields over x, y, z; histories over `time` and `window_time`; cycles, steps."""
    cell = solution.cell
    wet = np.asarray(solution.pore_fraction) > 0
    host = np.asarray(onto(cell.grid, cell.scaffold.surface_area)) > 0
    blank = {"liquid_potential": wet, "local_current_density": host, "coverage": host}
    fields = {}
    for name in _FIELDS:
        value = np.asarray(getattr(solution, name))
        if name in blank:
            value = np.where(blank[name], value, np.nan)
        fields[name] = value
    dataset = on_grid(cell.grid, fields, _FIELDS)
    add_named(dataset, ("time",), solution, _HISTORIES)
    dataset.coords["time"] = times(solution.time, "time since the run began")
    add_named(dataset, ("window_time",), solution, _WINDOWS)
    dataset.coords["window_time"] = times(
        solution.window_time, "ends of the windows of still geometry", "window_time"
    )
    words = "electrolyte volume over that of each layer of the host, then"
    dataset["window_pore_fraction"] = named(
        ("window_time", "layer"), solution.window_pore_fraction, "1", words
    )
    heights = np.asarray(cell.scaffold.grid.centers[2])
    about = {"units": "m", "long_name": "height of the layers above the collector"}
    dataset.coords["layer"] = xr.Variable(("layer",), heights, about)
    add_named(dataset, (), solution, _NUMBERS)
    for name, (field, *about) in _OF_STEPS.items():
        dataset[name] = named(("protocol_step",), getattr(solution, field), *about)
    about = ("1", "charge stripped over charge plated before, of each cycle")
    dataset["coulombic_efficiency"] = named(
        ("cycle",), solution.coulombic_efficiency, *about
    )
    add_voltage_parts(dataset, solution.voltage_parts)
    dataset["closure_place"] = named(
        ("axis",), solution.closure_place, "m", "where the first pore closed"
    )
    dataset.coords["axis"] = labels("axis", AXES, "axis")
    dataset.attrs |= {
        "title": "Metal plated into and stripped from a host",
        "protocol": str(solution.protocol),
        "ended_by": ", ".join(solution.ended_by),
        "input": described((cell, solution.protocol, solution.growth)),
        "precision": str(solution.concentration.dtype),
    }
    return dataset
