"""Curves as an `xarray.Dataset`: voltage by current, impedance by frequency, depth."""

import numpy as np
import xarray as xr

from depojax.io.parts import labels, named
from depojax.problems.distribution import DepthProfile
from depojax.problems.impedance import Impedance
from depojax.problems.polarisation import PolarisationCurve


def of_polarisation(curve: PolarisationCurve) -> xr.Dataset:
    """Along `current_density`, with the parts of the voltage along `part`."""
    along = ("current_density",)
    dataset = xr.Dataset(
        {
            "voltage": named(
                along, curve.voltage, "V", "collector against counter electrode"
            ),
            "voltage_part": named(
                ("part", *along),
                np.stack([np.asarray(p) for p in curve.voltage_parts.values()]),
                "V",
                "parts of the voltage",
            ),
            "lowest_wall_concentration": named(
                along,
                curve.lowest_wall_concentration,
                "mol m-3",
                "lowest salt concentration at the wall",
            ),
            "carried": named(
                along,
                np.asarray(curve.carried, np.int32),
                "1",
                "whether the current was held until the end",
            ),
            "depletion_time": named(
                along, curve.depletion_time, "s", "time of depletion, inf if never"
            ),
        },
        {
            "current_density": named(
                along,
                curve.current_density,
                "A m-2",
                "plating current per footprint",
            ),
            "part": labels("part", curve.voltage_parts, "cause"),
        },
    )
    dataset.attrs |= {
        "title": "Polarisation curve of a metal-anode cell",
        "held_for": f"{float(curve.time):g} s",
        "ended_by": ", ".join(curve.ended_by),
    }
    return dataset


def of_impedance(found: Impedance) -> xr.Dataset:
    """Along `frequency`."""
    along = ("frequency",)
    dataset = xr.Dataset(
        {
            "real": named(along, found.real, "ohm m2", "Re Z per footprint"),
            "imaginary": named(along, found.imaginary, "ohm m2", "Im Z per footprint"),
            "residual": named(
                along, found.residual, "1", "of the linear solve, relative"
            ),
        },
        {
            "frequency": named(
                along, found.frequency, "Hz", "angular frequency over 2 pi"
            )
        },
    )
    dataset.attrs["title"] = "Impedance of a metal-anode cell"
    return dataset


def of_profile(profile: DepthProfile) -> xr.Dataset:
    """Along `z`, the layers of the host."""
    along = ("z",)
    nodes = np.asarray(profile.nodes)
    dataset = xr.Dataset(
        {
            "current": named(
                along, profile.current, "A m-2", "of each layer, per footprint"
            ),
            "charge": named(
                along, profile.charge, "C m-2", "plated in each layer, per footprint"
            ),
            "area": named(
                along, profile.area, "1", "true area of each layer per footprint"
            ),
            "concentration": named(
                along, profile.concentration, "mol m-3", "mean in the pore"
            ),
            "z_bounds": named(
                ("z", "side"),
                np.stack([nodes[:-1], nodes[1:]], axis=1),
                "m",
                "sides of the layers",
            ),
        },
        {"z": named(along, profile.height, "m", "height above the current collector")},
    )
    dataset["z"].attrs["bounds"] = "z_bounds"
    dataset.attrs["title"] = "Plating through the depth of a host"
    return dataset
