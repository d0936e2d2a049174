"""What a plating run books: metal against what has passed, and its nuclei."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from depojax._types import Scalar
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto
from depojax.problems.growth import AbstractGrowth, volume_of_charge
from depojax.problems.plating_window import MeanNuclei


def metal_mismatches(
    cell: Cell,
    growth: AbstractGrowth,
    metal: PyTree,
    *,
    booked: Scalar,
    film: Scalar,
    turned: Scalar,
) -> dict[str, Array]:
    """What metal misses, over all that was `turned` over, whatever its sign.

    `booked` is the charge that went into metal and `film` that which films took of it,
    all of them of the whole footprint [C]. The volume of metal is held against
    Faraday's law, its charge against what passed.
    """
    gained = _inventory(cell, growth, metal) - _inventory(
        cell, growth, growth.begin(cell)
    )
    volume = volume_of_charge(cell, booked)
    return {
        "faraday_mismatch": _relative(
            growth.volume(cell, metal) - volume, volume_of_charge(cell, turned)
        ),
        "inventory_mismatch": _relative(gained + film - booked, turned),
    }


def cover(cell: Cell, nuclei: MeanNuclei | None) -> dict[str, Array]:
    """Coverage, density and radius of nuclei; the collector's where no host is."""
    names = {
        "coverage": "coverage",
        "nuclei_density": "density",
        "nuclei_radius": "mean_radius",
    }
    area = onto(cell.grid, cell.scaffold.surface_area)
    floor = collector_area(cell)
    at_floor = (area[..., 0] == 0) & (floor > 0)
    found = {}
    for field, name in names.items():
        if nuclei is None:
            whole = 1.0 if name == "coverage" else 0.0
            host, below = jnp.where(area > 0, whole, 0.0), whole + 0 * floor
        else:
            host = jnp.where(area > 0, getattr(nuclei.host, name), 0.0)
            below = getattr(nuclei.floor, name)
        lowest = jnp.where(at_floor, below, host[..., 0])
        found[field] = host.at[..., 0].set(lowest)
    return found


def _inventory(cell: Cell, growth: AbstractGrowth, metal: PyTree) -> Scalar:
    """Charge of metal, live and dead [C]."""
    host, floor = growth.left(cell, metal)
    dead = growth.dead(cell, metal)
    return jnp.sum(host) + jnp.sum(floor) + jnp.sum(dead)


def _relative(missing: Any, whole: Scalar) -> Scalar:
    """|missing| of a whole; as it is where that is nothing."""
    return jnp.abs(missing) / jnp.where(whole > 0, whole, 1.0)
