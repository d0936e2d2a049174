"""Films on metal surface that is new: how much of it a run makes, and what that costs.

    dQ_film = q dA⁺                    A⁺: metal surface that has no film yet

What the film takes is live metal: it stays where it is, in the volume of the deposit,
and no current takes it any more. So it is missing when the metal is stripped.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._compile import compiled_quickly
from depojax._types import Scalar
from depojax.physics.deposit import SurfaceLoss
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto
from depojax.problems.growth import AbstractGrowth, Gain
from depojax.problems.plating_window import MeanNuclei

# Cells of the whole grid one after the other, then the columns of the collector.
Surfaces = Float[Array, " places"]


class FreshSurface(eqx.Module):
    """The metal surface of a run, and how much of it has its film."""

    area: Surfaces  # of metal, when the last window ended [m²]
    filmed: Surfaces  # that has a film, even if it is gone or has shrunk [m²]
    made: Scalar  # new surface since the run began [m²]
    charge: Scalar  # that its film took [C]


@compiled_quickly
def first_surface(
    growth: AbstractGrowth, cell: Cell, metal: Any, nuclei: MeanNuclei | None
) -> FreshSurface:
    """Metal that is there at first has its film."""
    area, live = _surfaces(growth, cell, metal, nuclei)
    area = jnp.where(live > 0, area, 0.0)
    none = jnp.zeros_like(jnp.sum(area))
    return FreshSurface(area, area, none, none)


@compiled_quickly
def surface_after(
    loss: SurfaceLoss,
    growth: AbstractGrowth,
    cell: Cell,
    metal: Any,
    nuclei: MeanNuclei | None,
    gain: Gain,
    before: FreshSurface,
) -> tuple[Any, FreshSurface]:
    """The metal after a window, less what the film on its new surface took."""
    whole, live = _surfaces(growth, cell, metal, nuclei)
    strips = growth.along(_flat(gain.host, gain.floor), whole) < 0
    # Where less is left than its film would take there is no metal to speak of: a
    # thousandth stays where stripping ends.
    least = jnp.where(strips, loss.charge * whole, 0.0)
    area = jnp.where(live > least, whole, 0.0)
    filmed = growth.along(before.filmed, area)
    if loss.renewed:
        fallen = jnp.maximum(growth.along(before.area, area) - area, 0.0)
        broken = jnp.where(area > 0, jnp.maximum(filmed - fallen, 0.0), 0.0)
        filmed = jnp.where(strips, broken, filmed)
    new = jnp.maximum(area - filmed, 0.0)
    # What there is no metal for stays bare, and is filmed when there is.
    share = jnp.where(live < loss.charge * new, live, loss.charge * new)
    new = share / jnp.where(loss.charge > 0, loss.charge, 1.0)
    after = FreshSurface(
        area=area,
        filmed=filmed + new,
        made=before.made + jnp.sum(new),
        charge=before.charge + jnp.sum(share),
    )
    shape = cell.grid.shape
    host, floor = jnp.split(share, [shape[0] * shape[1] * shape[2]])
    taken = (host.reshape(shape), floor.reshape(shape[:2]))
    return growth.consumed(cell, metal, *taken), after


def _flat(host: Array, floor: Array) -> Surfaces:
    return jnp.concatenate([host.ravel(), floor.ravel()])


def _surfaces(
    growth: AbstractGrowth, cell: Cell, metal: Any, nuclei: MeanNuclei | None
) -> tuple[Surfaces, Surfaces]:
    """Area that metal has, if there is some, and live metal: m² and C."""
    now = growth.cell(cell, metal)
    host = onto(cell.grid, now.scaffold.surface_area)
    floor = collector_area(now)
    if nuclei is not None:
        host = host * nuclei.host.area_factor
        floor = floor * nuclei.floor.area_factor
    return _flat(host, floor), _flat(*growth.left(cell, metal))
