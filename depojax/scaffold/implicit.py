"""Implicit shapes: a function on the grid nodes whose sign tells pore from solid.

Throughout, a level set is positive in the pore and negative in the solid. Two solids
join by the smaller of their level sets, two pores by the larger. A generator makes a
*shape field*, larger farther into the pore (a distance to the solid's skeleton, say);
`at_porosity` then finds the level at which it has the porosity that was asked for.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from depojax._checks import check_fraction, check_plausible, check_range, refuse
from depojax._types import Nodes, Scalar
from depojax.fv.cut_cells import volume_fractions
from depojax.fv.grid import Grid, along
from depojax.scaffold.gradients import on_nodes
from depojax.scaffold.scaffold import Scaffold


def as_key(key: Any) -> Array:
    """A JAX random key from a key, or from a whole number (the seed).

    Raises `ValueError` for anything else.
    """
    if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
        return jax.random.key(int(key))
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    raise refuse("key", "a whole number or jax.random.key(seed)", repr(key))


def porosity_on_nodes(
    porosity: Any, grid: Grid, low: float, high: float, cure: str
) -> Array:
    """The porosity asked for, on the nodes; refused outside [low, high]."""
    target = on_nodes(porosity, grid, "porosity").astype(grid.dtype)
    check_fraction("porosity", target)
    check_range("porosity", target, *_with_slack(low, high), cure=cure)
    return target


def in_voxels(
    argument: str, length: Array, grid: Grid, low: float, high: float, cure: str
) -> Array:
    """A `length` [m] in voxels of a uniform grid; refused outside [low, high]."""
    check_plausible(argument, length, 1e-9, 0.1, "m", "60 * um")
    voxels = length.astype(grid.dtype) / grid.widths[0][0]
    check_range(argument, voxels, *_with_slack(low, high), unit="voxels", cure=cure)
    return voxels


def _with_slack(low: float, high: float) -> tuple[float, float]:
    # 0.8 in float32 is more than 0.8
    return low * (1 - 3e-7), high * (1 + 3e-7)


def join_solids(*levelsets: Array) -> Array:
    """The union of solids (intersection of pores): the smallest level set."""
    joined = levelsets[0]
    for levelset in levelsets[1:]:
        # A choice, not a minimum: see the note on order in `fv.cut_cells`.
        joined = jnp.where(levelset < joined, levelset, joined)
    return joined


def join_pores(*levelsets: Array) -> Array:
    """The union of pores (intersection of solids): the largest level set."""
    return -join_solids(*(-levelset for levelset in levelsets))


def join_solids_smoothly(first: Array, second: Array, radius: Any) -> Array:
    """Union of two solids with a fillet of about `radius` [m] in the corner.

    The quadratic smooth minimum: exact where the two differ by more than `radius`.
    """
    check_range("radius", radius, 0.0, 1.0, "m", open_low=True)
    blend = jnp.maximum(radius - jnp.abs(first - second), 0.0) / radius
    return jnp.minimum(first, second) - blend * blend * radius / 4


def at_porosity(shape_field: Nodes, grid: Grid, porosity: Any) -> Scaffold:
    """The scaffold {shape_field > level} with the porosity asked for.

    One level for a number; for a graded porosity ε(z) the level follows the sample's
    own level–porosity curve at each place, and a common shift makes the mean exact.
    Differentiable in the shape field and the porosity (implicit function theorem).
    """
    return Scaffold.from_levelset(
        shape_field - level_of(shape_field, grid, porosity), grid
    )


def _cell_porosity(values: Nodes, grid: Grid) -> Scalar:
    volumes = grid.volumes
    return jnp.sum(volume_fractions(values) * volumes) / jnp.sum(volumes)


def _mean_over(grid: Grid, values: Array) -> Scalar:
    """Volume mean of node values (broadcastable), linear in between."""
    for axis, width in enumerate(grid.widths):
        n = values.shape[axis]
        if n > 1:
            below, above = _neighbours(values, axis, n)
            share = along(width / jnp.sum(width), axis).astype(values.dtype)
            values = jnp.sum((below + above) / 2 * share, axis=axis, keepdims=True)
    return jnp.reshape(values, ())


def level_of(shape_field: Nodes, grid: Grid, porosity: Any) -> Float[Array, "..."]:
    """Level, broadcastable to the nodes, at which {shape_field > level} has `porosity`.

    Raises `ValueError` when the porosity is no fraction.
    """
    target = on_nodes(porosity, grid, "porosity")
    check_fraction("porosity", target)
    return _level(shape_field, grid, target)


@jax.jit
def _level(shape_field: Nodes, grid: Grid, target: Array) -> Array:
    levels, porosities = _level_curve(shape_field)
    # porosities fall as levels rise; interp wants them rising
    level = jnp.interp(target, porosities[::-1], levels[::-1]).astype(shape_field.dtype)
    mean = _mean_over(grid, target)
    scale = jax.lax.stop_gradient(levels[-1] - levels[0])

    def excess(shift, args):
        values, level, mean = args
        return _cell_porosity(values - level - shift * scale, grid) - mean

    tolerance = 1e-10 if shape_field.dtype == jnp.float64 else 1e-6
    found = optx.root_find(
        excess,
        optx.Newton(rtol=tolerance, atol=tolerance),
        jnp.zeros((), shape_field.dtype),
        (shape_field, level, mean.astype(shape_field.dtype)),
        max_steps=20,
        throw=False,
    )
    return level + found.value * scale


def _level_curve(shape_field: Nodes, knots: int = 64) -> tuple[Array, Array]:
    """Porosity of {shape_field > level} at rising levels.

    A cell counts as open in proportion to where the level lies between its corners.
    """
    low, high = _over_corners(shape_field)
    levels = jnp.linspace(jnp.min(low), jnp.max(high), knots)
    narrowest = 1e-6 * (levels[-1] - levels[0])
    width = jnp.where(high - low > narrowest, high - low, narrowest)
    none, all_of_it = jnp.zeros((), width.dtype), jnp.ones((), width.dtype)

    @jax.checkpoint  # or the gradient holds one field per level
    def porosity(level):
        return jnp.mean(jax.lax.clamp(none, (high - level) / width, all_of_it))

    return levels, jax.lax.map(porosity, levels)


def _neighbours(values: Array, axis: int, n: int) -> tuple[Array, Array]:
    below = jax.lax.slice_in_dim(values, 0, n - 1, axis=axis)
    return below, jax.lax.slice_in_dim(values, 1, n, axis=axis)


def _over_corners(values: Nodes) -> tuple[Array, Array]:
    """Smallest and largest corner value of each cell."""
    low = high = values
    for axis, n in enumerate(values.shape):
        first, second = _neighbours(low, axis, n)
        low = jnp.where(second < first, second, first)
        first, second = _neighbours(high, axis, n)
        high = jnp.where(second > first, second, first)
    return low, high
