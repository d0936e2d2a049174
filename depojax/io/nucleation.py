"""Nucleation as an `xarray.Dataset`: transients, their fits, nuclei one by one."""

import numpy as np
import xarray as xr

from depojax.io.parts import described, labels, named
from depojax.physics.nuclei import Nuclei
from depojax.physics.scharifker_hills import Transient
from depojax.problems.fitting_transients import TransientFit
from depojax.problems.nucleation_transient import NucleationTransient

_TIME = ("time",)
_STEP = "time since the step of current or potential"


def of_transient(found: Transient) -> xr.Dataset:
    """Along `time`."""
    dataset = xr.Dataset(
        {
            "current_density": named(
                _TIME, found.current_density, "A m-2", "plating current per area"
            ),
            "nuclei_density": named(
                _TIME, found.nuclei_density, "m-2", "nuclei born until then"
            ),
            "peak_time": named((), found.peak_time, "s", "time of the highest current"),
            "peak_current_density": named(
                (), found.peak_current_density, "A m-2", "highest current"
            ),
        },
        {"time": named(_TIME, found.time, "s", _STEP)},
    )
    dataset.attrs["title"] = f"Current transient of {found.kind} nucleation"
    dataset.attrs["input"] = described(found.law)
    return dataset


def of_transient_fit(fit: TransientFit) -> xr.Dataset:
    """The fitted transient, and the numbers that make it, along `parameter`."""
    dataset = of_transient(fit.transient)
    dataset["measured_current_density"] = named(
        _TIME, fit.measured, "A m-2", "plating current per area, as measured"
    )
    dataset["residual"] = named(
        _TIME, fit.residual, "1", "(fit - measured)/uncertainty"
    )
    dataset["value"] = named(("parameter",), fit.values, "1", "fitted, in SI units")
    dataset["standard_error"] = named(
        ("parameter",), fit.standard_errors, "1", "of the value, in SI units"
    )
    dataset.coords["parameter"] = labels("parameter", fit.free, "name")
    dataset.attrs["title"] = "Fit of a current transient of nucleation"
    dataset.attrs["verdict"] = fit.verdict
    return dataset


def of_nucleation_transient(run: NucleationTransient) -> xr.Dataset:
    """Along `time`."""
    meaning = {
        "voltage": ("V", "electrode against the plated metal"),
        "overpotential": ("V", "at the nuclei, film excluded"),
        "coverage": ("1", "share of the electrode under metal"),
        "nuclei_density": ("m-2", "nuclei per area of electrode"),
        "mean_radius": ("m", "of the nuclei"),
        "area_factor": ("1", "true area of the deposit per area of electrode"),
        "charge": ("C m-2", "of the metal per area of electrode"),
    }
    dataset = xr.Dataset(
        {
            name: named(_TIME, getattr(run, name), unit, words)
            for name, (unit, words) in meaning.items()
        },
        {"time": named(_TIME, run.time, "s", _STEP)},
    )
    dataset["nucleation_overpotential"] = named(
        (), run.nucleation_overpotential, "V", "lowest voltage less that at the end"
    )
    dataset["current_density"] = named(
        (), run.current_density, "A m-2", "plating current per area of electrode"
    )
    dataset.attrs["title"] = "Nucleation on a flat electrode at constant current"
    dataset.attrs["input"] = described((run.nucleation, run.kinetics))
    return dataset


def of_nuclei(nuclei: Nuclei) -> xr.Dataset:
    """Along `nucleus`."""
    along = ("nucleus",)
    x, y, z = np.asarray(nuclei.centers).reshape(-1, 3).T
    dataset = xr.Dataset(
        {
            "x": named(along, x, "m", "first axis of the footprint"),
            "y": named(along, y, "m", "second axis of the footprint"),
            "z": named(along, z, "m", "height above the current collector"),
            "radius": named(along, nuclei.radii, "m", "of the hemisphere"),
            "birth_time": named(along, nuclei.birth_times, "s", "when it was born"),
        }
    )
    dataset.attrs["title"] = "Nuclei on a scaffold"
    return dataset
