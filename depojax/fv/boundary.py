"""Boundary conditions on the six sides of a grid.

    no flux       n·flux = 0          (a mirror, an insulated wall)
    fixed value   u = value           (a reservoir; two-point flux over half a cell)
    fixed flux    −n·flux = influx    (amount into the domain per open area and time)
    periodic      the two ends of an axis are one (declared on the `Grid`)

Each condition says what it adds to the discrete balance of its end cells:

    inflow = open area × influx + conductance × (value − u_cell)
"""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._checks import refuse
from depojax._types import Cells, Faces, quantity
from depojax.fv.grid import AXES, Grid
from depojax.fv.operators import conductances

Side = Literal["x-", "x+", "y-", "y+", "z-", "z+"]
SIDES: tuple[Side, ...] = ("x-", "x+", "y-", "y+", "z-", "z+")


class NoFlux(eqx.Module):
    """Nothing passes: a mirror plane or an insulated wall."""


class FixedValue(eqx.Module):
    """u = value on the side (a number, or an array over the side's faces)."""

    value: Float[Array, "..."] = quantity()


class FixedFlux(eqx.Module):
    """`influx` enters per open area of the side (one number, or one per face)."""

    influx: Float[Array, "..."] = quantity()


Condition = NoFlux | FixedValue | FixedFlux


class BoundaryTerms(eqx.Module):
    """What the sides add to the balance of the cells: inflow = source − loss · u."""

    loss: Cells
    source: Cells


def boundary_terms(
    grid: Grid, transmission: Faces, conditions: dict[Side, Condition]
) -> BoundaryTerms:
    """Collect the conditions of all sides; a side that is not named has no flux.

    Raises `ValueError` for an unknown side and for a condition on a periodic axis.
    """
    for side in conditions:
        if side not in SIDES:
            raise refuse("conditions", f"sides among {', '.join(SIDES)}", repr(side))
        if grid.periodic[AXES.index(side[0])]:
            raise refuse(
                f"conditions[{side!r}]",
                "no condition on a periodic axis",
                type(conditions[side]).__name__,
                "Make the grid not periodic there, or leave the condition out.",
            )
    loss = jnp.zeros(grid.shape, grid.dtype)
    source = jnp.zeros(grid.shape, grid.dtype)
    g = conductances(grid, transmission)
    for side, condition in conditions.items():
        axis, end = AXES.index(side[0]), 0 if side[1] == "-" else -1
        cells = (slice(None),) * axis + (end,)
        if isinstance(condition, FixedValue):
            face = g[axis][cells]
            loss = loss.at[cells].add(face)
            source = source.at[cells].add(face * condition.value)
        elif isinstance(condition, FixedFlux):
            area = jnp.broadcast_to(grid.face_areas(axis), transmission[axis].shape)
            source = source.at[cells].add(
                transmission[axis][cells] * area[cells] * condition.influx
            )
    return BoundaryTerms(loss, source)
