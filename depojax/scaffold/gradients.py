"""Shape parameters that vary with place: numbers, profiles along z, or functions.

Every generator takes such a *field* where a shape parameter may be graded: a number, a
`Graded` profile from the collector to the separator, or any function f(x, y, z) of the
coordinates [m] that returns an array which broadcasts over them.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_finite, refuse
from depojax._types import as_float, is_traced, quantity
from depojax.fv.grid import Grid

Field = float | Array | Callable[[Array, Array, Array], Array]


class Graded(eqx.Module):
    """A profile along z: values at equally spaced heights, linear in between.

    The first value holds at the collector (z = 0), the last at the separator (z = L).
    Two values make a linear gradient.
    """

    values: Float[Array, "heights"] = quantity()

    def __check_init__(self):
        if self.values.ndim != 1 or self.values.shape[0] < 2:
            raise refuse(
                "values",
                "at least two values from collector to separator",
                f"shape {self.values.shape}",
            )
        check_finite("values", self.values)

    def on_heights(self, relative_height: Array) -> Array:
        """The profile at heights z/L in [0, 1]."""
        knots = jnp.linspace(0.0, 1.0, self.values.shape[0], dtype=self.values.dtype)
        return jnp.interp(relative_height, knots, self.values)


def on_nodes(field: Any, grid: Grid, argument: str = "field") -> Array:
    """`field` on the nodes of `grid`, as an array that broadcasts to (x+1, y+1, z+1).

    Raises `ValueError` for an array of a shape that does not broadcast, or NaN.
    """
    if is_profile(field):
        z = grid.nodes[2]
        return field.on_heights(z / z[-1])[None, None, :]
    values = field(*grid.node_mesh()) if callable(field) else field
    check_finite(argument, values)
    values = as_float(values)
    nodes = tuple(n + 1 for n in grid.shape)
    try:
        np.broadcast_shapes(values.shape, nodes)
    except ValueError as error:
        raise refuse(
            argument,
            f"a number, or an array that broadcasts to {nodes} nodes",
            values.shape,
        ) from error
    return (
        values
        if values.ndim == 3
        else jnp.reshape(values, (1,) * (3 - values.ndim) + values.shape)
    )


def on_cells(field: Any, grid: Grid) -> Array:
    """`field` at the centres of the cells, as an array that broadcasts to (x, y, z)."""
    if is_profile(field):
        z = grid.centers[2] / grid.lengths[2]
        return field.on_heights(z)[None, None, :]
    return as_float(field(*grid.center_mesh()) if callable(field) else field)


def is_profile(field: Any) -> bool:
    """Whether `field` is given along z, as `Graded` is and profiles of a design are."""
    return callable(getattr(field, "on_heights", None))


def extremes(field: Any, grid: Grid) -> tuple[float, float] | None:
    """Smallest and largest value of `field` over `grid`, or None while it is traced."""
    values = on_nodes(field, grid)
    if is_traced(values):
        return None
    return float(values.min()), float(values.max())
