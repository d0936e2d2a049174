"""What the generators of discrete features (fibres, spheres, channels, foils) share.

Coordinates, distances that keep their derivative, the nearest of many objects, sizes
that the grid can hold, and random draws.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import check_plausible, refuse
from depojax._types import Nodes, concrete, is_traced
from depojax.fv.grid import Grid
from depojax.scaffold.gradients import extremes
from depojax.scaffold.implicit import as_key

SMALLEST = 2.0  # voxels across the thinnest feature that a grid can hold


def uniform_grid(
    shape: Sequence[int],
    voxel_size: Any,
    periodic: Sequence[bool] = (False, False, False),
) -> Grid:
    """Cubic voxels of one size [m]."""
    if np.ndim(voxel_size) != 0:
        raise refuse("voxel_size", "one number [m]", f"shape {np.shape(voxel_size)}")
    check_plausible("voxel_size", voxel_size, 1e-12, 1e-2, "m", "2 * um")
    return Grid.uniform(shape, voxel_size, periodic)


def check_resolved(argument: str, length: Any, grid: Grid) -> None:
    """Refuse a `length` [m, number or field] that is thinner than two voxels."""
    sizes, voxel = extremes(length, grid), concrete(grid.widths[0])
    if sizes is None:
        return
    check_plausible(argument, np.asarray(sizes), 1e-12, 1.0, "m", "10 * um")
    if voxel is None:
        return
    across = sizes[0] / float(voxel[0])
    if across < SMALLEST * (1 - 1e-5):
        raise refuse(
            argument,
            f"at least {SMALLEST:g} voxels across",
            f"{across:.3g} ({sizes[0]:.4g} m)",
            "Take a smaller voxel_size or a larger feature.",
        )


def norm(*components: Array) -> Array:
    """√(Σ xᵢ²), with derivative zero instead of NaN at the origin."""
    square = sum((x * x for x in components[1:]), components[0] * components[0])
    away = square > 0
    return jnp.where(away, jnp.sqrt(jnp.where(away, square, 1.0)), 0.0)


def from_nearest_multiple(x: Array, period: Any) -> Array:
    """x minus the multiple of `period` nearest to it, within ± period/2."""
    return x - period * jnp.round(x / period)


def off_nodes(levelset: Array, grid: Grid) -> Nodes:
    """`levelset` [m] on all nodes, its walls moved into the pore by round-off.

    A wall that lies exactly on a plane of nodes belongs to the cells on both sides of
    it, and the measures have no derivative there. Lengths that are whole numbers of
    voxels are what people type, so the wall is put just inside the pore's cells, where
    the derivative is the true one.
    """
    longest = jax.lax.stop_gradient(jnp.max(jnp.stack(grid.lengths)))
    shift = 4 * jnp.finfo(grid.dtype).eps * longest
    return jnp.broadcast_to(levelset - shift, [n + 1 for n in grid.shape])


def nearest(
    distance: Callable[[Array, Any], Array], count: int, parameters: Any
) -> Array:
    """Index of the object whose `distance(index, parameters)` is least, per node.

    One object after the other, without derivative: the caller takes the distance to
    the nearest again, so that a gradient stores one field rather than `count`.
    """
    parameters = jax.tree.map(jax.lax.stop_gradient, parameters)

    def closer(best, index):
        least, which = best
        here = distance(index, parameters)
        return (jnp.minimum(here, least), jnp.where(here < least, index, which)), None

    first = distance(jnp.zeros((), int), parameters)
    start = (first, jnp.zeros(first.shape, int))
    (_, which), _ = jax.lax.scan(closer, start, jnp.arange(1, count))
    return which


def generator_of(key: Any) -> np.random.Generator:
    """Numpy's generator seeded by a JAX `key` or a whole number.

    Positions are drawn when the scaffold is built, the same in float32 and float64.

    Raises `ValueError` for a traced key.
    """
    if is_traced(key):
        raise refuse(
            "key", "a known key", "a traced one", "Close over the key instead."
        )
    with jax.ensure_compile_time_eval():
        words = np.asarray(jax.random.key_data(as_key(key)))
    return np.random.default_rng(words.ravel())
