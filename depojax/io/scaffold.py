"""A scaffold, its tortuosity and its map of tensors as an `xarray.Dataset`."""

import jax.numpy as jnp
import xarray as xr

from depojax.fv.grid import AXES
from depojax.io.parts import described, labels, named, on_grid
from depojax.problems.tortuosity import Tortuosity
from depojax.problems.tortuosity_map import TortuosityMap
from depojax.scaffold.scaffold import Scaffold

# name: (unit, what it is)
_OF_SCAFFOLD = {
    "pore_fraction": ("1", "electrolyte volume per cell volume"),
    "surface_area": ("m2", "plated area in the cell"),
    "wall_distance": ("m", "signed distance from cell centre to wall"),
}
_POROSITY = ("1", "electrolyte volume of the scaffold per its total volume")
_FACTOR = ("1", "volume fraction / (D_eff/D), inf if nothing passes")
_PERCOLATES = ("1", "whether a path leads from end to end")
_OF_TORTUOSITY = {
    "tortuosity_factor": _FACTOR,
    "effective_diffusivity": ("1", "D_eff/D"),
    "porosity": _POROSITY,
    "flux_in": ("1", "mean flux at the low end per D and mean gradient"),
    "flux_out": ("1", "mean flux at the high end per D and mean gradient"),
    "flux_mismatch": ("1", "difference of the fluxes at the two ends / their mean"),
    "residual": ("1", "of the linear solve, relative"),
}


def of_scaffold(scaffold: Scaffold) -> xr.Dataset:
    """Pore, area and distance to the wall of every cell."""
    fields = {name: getattr(scaffold, name) for name in _OF_SCAFFOLD}
    dataset = on_grid(scaffold.grid, fields, _OF_SCAFFOLD)
    dataset.attrs["input"] = described(scaffold.grid)
    return dataset


def of_tortuosity(found: Tortuosity) -> xr.Dataset:
    """The potential of the steady diffusion, and what follows from its flux."""
    about = {"field": ("1", "potential: 1 at the low end, 0 at the high end")}
    dataset = on_grid(found.grid, {"field": found.field}, about)
    for name, words in _OF_TORTUOSITY.items():
        dataset[name] = named((), getattr(found, name), *words)
    percolates = jnp.asarray(found.percolates, jnp.int32)
    dataset["percolates"] = named((), percolates, *_PERCOLATES)
    dataset.attrs |= {
        "title": "Steady diffusion through a scaffold",
        "message": found.message,
        "axis": found.axis,
        "phase": found.phase,
    }
    return dataset


def of_tortuosity_map(found: TortuosityMap) -> xr.Dataset:
    """Windows over x, y, z; tensors along `axis` and `axis_2`."""
    fields = {"porosity": found.porosity, "specific_area": found.specific_area}
    about = {
        "porosity": _POROSITY,
        "specific_area": ("m-1", "interface area of the scaffold per its total volume"),
    }
    dataset = on_grid(found.grid, fields, about)
    percolates = jnp.asarray(found.percolates, jnp.int32)
    by_axis = (*AXES, "axis")
    dataset["tortuosity_factor"] = named(by_axis, found.tortuosity_factor, *_FACTOR)
    dataset["percolates"] = named(by_axis, percolates, *_PERCOLATES)
    dataset["effective_diffusivity"] = named(
        (*by_axis, "axis_2"),
        found.effective_diffusivity,
        *_OF_TORTUOSITY["effective_diffusivity"],
    )
    for name in ("axis", "axis_2"):
        dataset.coords[name] = labels(name, AXES, "axis")
    dataset.attrs |= {
        "title": "Local effective tensors of a scaffold",
        "window": list(found.window),
    }
    return dataset
