"""A wall that moves: level sets on the grid nodes, positive in the pore.

    wall that gains h along its normal     φ → φ − h,  |∇φ| = 1,  ∇h·∇φ = 0
    distance                               φ_τ + sgn(φ₀)(|∇φ| − 1) = 0
    curvature                              κ = ∇·(∇φ/|∇φ|), positive where metal bulges

φ − h is the exact way of a distance along its characteristics: growth rounds edges and
keeps corners, walls that meet merge, and solid that is thinned from both sides parts.
The distance is found by second-order Godunov differences that know where between the
nodes the wall is, so that it stays (Min, J. Comput. Phys. 229 (2010) 2764,
doi:10.1016/j.jcp.2009.12.032). The ends of an axis that is not periodic are mirrors.
"""

import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._types import Cells, Nodes, Scalar
from depojax.fv.cut_cells import center_derivatives, volume_fractions
from depojax.fv.grid import Grid, along

_CFL = 0.45  # of a pseudo-time step; below 1/√3
_STEEP = 0.5  # slope of a distance to both sides of a ridge, at least
_NEAR = 1e-6  # of a cell: a wall as near to a node as that stands on it
_MOST_TURNING = (
    0.499  # largest thickness over radius of curvature that is corrected for
)
_MOST_STEPS = 30  # of Newton's method for the volume
_PASSES = 4  # of spreading to nodes off the wall, one cell each


@eqx.filter_jit
def signed_distance(
    grid: Grid, values: Nodes, *, slope: Any = None, sweeps: int = 60
) -> Nodes:
    """Distance [m] to the zero set of `values`, positive where they are.

    Exact to second order within some 0.4 `sweeps` cells of the wall, beyond it of the
    right sign and no smaller than there. 60 sweeps for a level set of any slope; 20,
    and `slope` 1, for what was a distance before a small move.

    Args:
        values: at the nodes, in any unit.
        slope: |∇| of the values [unit m⁻¹]; by default its mean along the wall. It
            begins the search, and says how deep the middle of a narrow neck is.
        sweeps: of the search, each of 0.45 cells.
    """
    if slope is None:
        typical = _typical_slope(grid, values)
        slope = jnp.where(typical > 0, typical, 1.0)
    start = values / slope
    axes = [_Crossings(grid, start, axis) for axis in range(3)]
    sense = jnp.sign(start)
    steps = _CFL * _least(*(side for a in axes for side in (a.below, a.above)))
    stands = jnp.abs(start) < _NEAR * _least(*(a.narrowest for a in axes))

    @jax.checkpoint
    def sweep(phi, _):
        square = jnp.zeros_like(phi)
        for axis in axes:
            below, above = axis.slopes(phi)
            # Upwind: what comes from the side of the wall.
            below, above = sense * below, sense * above
            below = jnp.where(below > 0, below, 0.0)
            above = jnp.where(above < 0, -above, 0.0)
            steeper = jnp.where(below > above, below, above)
            square = square + steeper * steeper
        flat = square <= 0
        now = jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, square)))
        return jnp.where(stands, start, phi - steps * sense * (now - 1)), None

    found = jax.lax.scan(sweep, start, length=sweeps)[0]
    return _with_ridges(grid, start, found)


def _with_ridges(grid: Grid, start: Nodes, found: Nodes) -> Nodes:
    """`found`, as deep as `start` in the middle of necks and narrow pores.

    Differences take the walls around a node that is farther from them than all of its
    neighbours for planes, and so the node nearer than it is, by h (1 − 1/√n) at most in
    n dimensions. A neck on one row of nodes would be lost at half of its thickness.
    """
    sense, ridged, across = jnp.sign(start), jnp.zeros_like(start), 0
    depth = sense * start
    for axis, n in enumerate(grid.shape):
        below, above = (
            (depth - sense * _beside(grid, start, axis, side)) / gap
            for side, gap in zip((-1, 1), _gaps(grid, axis), strict=True)
        )
        # Steeper than along a wall that is curved within a cell.
        kinked = (below > _STEEP) & (above > _STEEP)
        ridged = ridged + kinked.astype(depth.dtype)
        across += n > 1
    most = (1 - max(across, 1) ** -0.5) * _narrowest_cell(grid)
    seen = jnp.abs(found)
    deeper = jnp.where(depth > seen, depth, seen)
    deeper = jnp.where(deeper < seen + most, deeper, seen + most)
    ridge = (ridged > 1) & (start * found > 0)
    return jnp.where(ridge, sense * deeper, found)


class _Crossings(eqx.Module):
    """One axis: how far the wall or the next node is, below and above each node."""

    grid: Grid
    axis: int
    below: Array  # to the wall or the next node [m]
    above: Array
    cut_below: Array  # whether the wall lies between
    cut_above: Array
    narrowest: Array  # of the two cells [m]

    def __init__(self, grid: Grid, start: Nodes, axis: int):
        self.grid, self.axis = grid, axis
        low, high = _gaps(grid, axis)
        bend = _bend(grid, start, axis)
        self.below, self.cut_below = self._to_wall(start, bend, low, -1)
        self.above, self.cut_above = self._to_wall(start, bend, high, 1)
        self.narrowest = jnp.where(low < high, low, high) + 0 * start

    def _to_wall(self, start, bend, gap, side):
        other = _beside(self.grid, start, self.axis, side)
        # Of the parabola through the two nodes, with the lesser of their curvatures.
        b = _minmod(bend, _beside(self.grid, bend, self.axis, side)) * gap * gap
        cut = start * other < 0
        drop = jnp.where(cut, start - other, 1.0)
        small = jnp.abs(b) < 1e-6 * jnp.abs(drop)
        b = jnp.where(cut & ~small, b, 1.0)
        inside = (b / 2 - start - other) ** 2 - 4 * start * other
        root = jnp.sqrt(jnp.where(cut & (inside > 0), inside, 1.0))
        curved = 0.5 + (drop - jnp.sign(drop) * root) / b
        share = jnp.where(small, start / drop, curved)
        share = jnp.clip(share, _NEAR, 1.0)
        return jnp.where(cut, share, 1.0) * gap, cut

    def slopes(self, phi: Nodes) -> tuple[Array, Array]:
        """One-sided derivatives below and above, as seen from this side of the wall."""
        bend = _bend(self.grid, phi, self.axis)

        def slope(side, way, cut):
            other = jnp.where(cut, 0.0, _beside(self.grid, phi, self.axis, side))
            b = _minmod(bend, _beside(self.grid, bend, self.axis, side))
            return side * (other - phi) / way - side * way / 2 * b

        below = slope(-1, self.below, self.cut_below)
        return below, slope(1, self.above, self.cut_above)


@eqx.filter_jit
def wall_curvature(grid: Grid, distance: Nodes) -> Cells:
    """κ of the wall in cut cells [m⁻¹], positive where the solid bulges.

    2/R on a ball, 1/R on a fibre. Taken at the cell's centre and carried to the wall,
    along which way κ changes by −Σk² per length. Kept below one over the cell.
    """
    value, slopes, bends = center_derivatives(grid, distance, _bend)
    square = sum(s * s for s in slopes)
    safe = jnp.where(square > 1e-12, square, 1.0)
    along_normal = _form(bends, slopes, slopes) / safe
    trace = bends[0, 0] + bends[1, 1] + bends[2, 2]
    curvature = (trace - along_normal) / jnp.sqrt(safe)
    turned = [
        sum(bends[min(a, b), max(a, b)] * slopes[b] for b in range(3)) for a in range(3)
    ]
    size = sum(bends[a, b] ** 2 * (1 if a == b else 2) for a, b in bends)
    size = size - 2 * sum(t * t for t in turned) / safe + along_normal**2
    curvature = curvature + value * size / safe
    most = 1 / _narrowest_cell(grid)
    return jnp.where(square > 1e-12, jnp.clip(curvature, -most, most), 0.0)


@eqx.filter_jit
def extended(grid: Grid, distance: Nodes, amount: Cells, area: Cells) -> Nodes:
    """`amount` per `area` of the wall, at the nodes: constant along normals.

    Nodes of cut cells take the mean of the cells around them; every node near the wall
    then takes the value at its nearest point of the wall.
    """
    total = _onto_nodes(grid, area)
    some = total > 0
    value = jnp.where(
        some, _onto_nodes(grid, amount) / jnp.where(some, total, 1.0), 0.0
    )
    weight = some.astype(value.dtype)
    for _ in range(_PASSES):
        value, weight = _spread(grid, value, weight)
    shift = [
        distance
        * (_beside(grid, distance, a, 1) - _beside(grid, distance, a, -1))
        / sum(_gaps(grid, a))
        for a in range(3)
    ]
    return _sampled(grid, value, shift)


def pore_volume(grid: Grid, values: Nodes) -> Scalar:
    """Volume of {values > 0} [m³], from the pieces that cells are cut into."""
    return jnp.sum(volume_fractions(values) * grid.volumes)


@eqx.filter_jit
def moved(
    grid: Grid,
    distance: Nodes,
    gained: Cells,
    area: Cells,
    *,
    core: Nodes | None = None,
    sweeps: int = 20,
) -> Nodes:
    """The distance after each cut cell's wall has gained a volume of solid.

        V = h A (1 + κh/2)  in each cell,      Σ V = what the pore loses, exactly

    What curvature beyond that, corners and merging walls make of the volume is put
    right by a shift in proportion to h. For moves below about a cell.

    Args:
        distance: to the wall before, see `signed_distance` [m].
        gained: volume of new solid in each cell, negative where it dissolves [m³].
        area: of the wall in each cell [m²].
        core: level set of the solid that never dissolves.
        sweeps: of `signed_distance`.
    """
    thickness = extended(grid, distance, gained, area)
    kappa = extended(grid, distance, wall_curvature(grid, distance) * area, area)
    turning = jnp.clip(kappa * thickness, -_MOST_TURNING, _MOST_TURNING)
    # The thickness h of V/A = h (1 + κh/2).
    thickness = 2 * thickness / (1 + jnp.sqrt(1 + 2 * turning))
    trial = _outside(distance - thickness, core)
    trial = signed_distance(grid, trial, slope=1.0, sweeps=sweeps)
    wanted = pore_volume(grid, distance) - jnp.sum(gained)
    return with_volume(grid, trial, wanted, thickness, core=core)


@eqx.filter_jit
def with_volume(
    grid: Grid, trial: Nodes, wanted: Any, thickness: Any, *, core: Nodes | None = None
) -> Nodes:
    """`trial` shifted in proportion to `thickness` until the pore has a volume [m³].

    By at most the narrowest cell: what lies beyond is not reached. Where that is not
    enough, for the core lies bare wherever metal should dissolve, all of it gives some.
    """
    thickness = jnp.abs(jnp.broadcast_to(thickness, trial.shape))
    most = jnp.max(jax.lax.stop_gradient(thickness))
    share = thickness / jnp.where(most > 0, most, 1.0)
    cell = _narrowest_cell(grid)

    def towards(values, in_proportion):
        room = 1 - jnp.abs(jax.lax.stop_gradient(values - trial)) / cell
        weight = jnp.where(in_proportion, share, jnp.maximum(room, 0.0))
        return _shifted(grid, values, wanted, weight, core), None

    # One program for both; the second finds nothing left to do but there.
    return jax.lax.scan(towards, trial, jnp.asarray([True, False]))[0]


def _shifted(
    grid: Grid, trial: Nodes, wanted: Any, weight: Nodes, core: Nodes | None
) -> Nodes:
    """`trial` and as much of `weight` as makes the pore that large."""
    whole = jax.lax.stop_gradient(grid.volume)
    cell = jax.lax.stop_gradient(_narrowest_cell(grid))

    def excess(shift, trial, weight, wanted):
        new = _outside(trial + shift * cell * weight, core)
        return (pore_volume(grid, new) - wanted) / whole

    known = jax.lax.stop_gradient((trial, weight, wanted))
    shift, slope = _root(lambda s: excess(s, *known), trial.dtype)
    # A step of no length, for the derivative of the root.
    left = excess(shift, trial, weight, wanted)
    shift = shift - (left - jax.lax.stop_gradient(left)) / slope
    return _outside(trial + shift * cell * weight, core)


def _root(function: Callable[[Array], Array], dtype: Any) -> tuple[Array, Array]:
    """Root of a rising function within [−1, 1], and the slope there."""
    tolerance = 8 * jnp.finfo(dtype).eps
    one = jnp.ones((), dtype)

    def body(state):
        step, x, _, _ = state
        value, slope = jax.jvp(function, (x,), (one,))
        safe = jnp.where(slope > 0, slope, jnp.inf)
        return step + 1, jnp.clip(x - value / safe, -1.0, 1.0), value, safe

    def unfinished(state):
        return (state[0] < _MOST_STEPS) & (jnp.abs(state[2]) > tolerance)

    start = (jnp.asarray(0), 0 * one, one, one)
    _, x, _, slope = jax.lax.while_loop(unfinished, body, start)
    return jax.lax.stop_gradient((x, slope))


def _outside(values: Nodes, core: Nodes | None) -> Nodes:
    """The pore outside of the core too."""
    return values if core is None else jnp.where(values < core, values, core)


def _beside(grid: Grid, values: Array, axis: int, side: int) -> Array:
    """The value at the next node along `axis`, in a mirror or around at the ends."""
    n = values.shape[axis]
    if side > 0:
        inner = jax.lax.slice_in_dim(values, 1, n, axis=axis)
        first = 1 if grid.periodic[axis] else n - 2
        end = jax.lax.slice_in_dim(values, first, first + 1, axis=axis)
        return jnp.concatenate([inner, end], axis=axis)
    inner = jax.lax.slice_in_dim(values, 0, n - 1, axis=axis)
    first = n - 2 if grid.periodic[axis] else 1
    end = jax.lax.slice_in_dim(values, first, first + 1, axis=axis)
    return jnp.concatenate([end, inner], axis=axis)


def _gaps(grid: Grid, axis: int) -> tuple[Array, Array]:
    """Distance of each node to the next below and above, along `axis` [m]."""
    width = grid.widths[axis]
    wraps = grid.periodic[axis]
    below = jnp.concatenate([width[-1:] if wraps else width[:1], width])
    above = jnp.concatenate([width, width[:1] if wraps else width[-1:]])
    return along(below, axis), along(above, axis)


def _bend(grid: Grid, values: Nodes, axis: int) -> Nodes:
    """∂²/∂x² at the nodes along `axis`."""
    low, high = _gaps(grid, axis)
    rise = (_beside(grid, values, axis, 1) - values) / high
    fall = (values - _beside(grid, values, axis, -1)) / low
    return 2 * (rise - fall) / (low + high)


def _minmod(a: Array, b: Array) -> Array:
    lesser = jnp.where(jnp.abs(a) < jnp.abs(b), a, b)
    return jnp.where(a * b > 0, lesser, 0.0)


def _least(*arrays: Array) -> Array:
    least = arrays[0]
    for array in arrays[1:]:
        least = jnp.where(array < least, array, least)
    return least


def _narrowest_cell(grid: Grid) -> Scalar:
    # An axis of a single cell is one that nothing depends on.
    widths = [w for w in grid.widths if w.shape[0] > 1] or list(grid.widths)
    return jnp.min(jnp.stack([jnp.min(w) for w in widths]))


def _typical_slope(grid: Grid, values: Nodes) -> Scalar:
    """Mean |∇φ| in the cells that the wall cuts."""
    low = high = values
    for axis, n in enumerate(values.shape):
        pairs = [
            (
                jax.lax.slice_in_dim(v, 0, n - 1, axis=axis),
                jax.lax.slice_in_dim(v, 1, n, axis=axis),
            )
            for v in (low, high)
        ]
        low, high = jnp.minimum(*pairs[0]), jnp.maximum(*pairs[1])
    cut = (low < 0) & (high > 0)
    _, slopes, _ = center_derivatives(grid, values, _bend)
    size = jnp.sqrt(sum(s * s for s in slopes))
    weight = cut.astype(values.dtype)
    return jnp.sum(weight * size) / jnp.maximum(jnp.sum(weight), 1.0)


def _form(bends, first, second) -> Array:
    """first · H · second."""
    pairs = itertools.product(range(3), repeat=2)
    terms = (bends[min(a, b), max(a, b)] * first[a] * second[b] for a, b in pairs)
    return sum(terms, jnp.zeros_like(first[0]))


def _onto_nodes(grid: Grid, values: Cells) -> Nodes:
    """Sum over the cells around each node, of those beyond the ends too."""
    for axis, wraps in enumerate(grid.periodic):
        ends = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        n = values.shape[axis] + 1
        padded = jnp.pad(values, ends, mode="wrap" if wraps else "edge")
        values = jax.lax.slice_in_dim(padded, 0, n, axis=axis)
        values = values + jax.lax.slice_in_dim(padded, 1, n + 1, axis=axis)
    return values


def _spread(grid: Grid, value: Nodes, weight: Nodes) -> tuple[Nodes, Nodes]:
    """Give the nodes without a value the mean of their neighbours that have one."""
    total, count = jnp.zeros_like(value), jnp.zeros_like(weight)
    for axis in range(3):
        for side in (-1, 1):
            w = _beside(grid, weight, axis, side)
            total = total + w * _beside(grid, value, axis, side)
            count = count + w
    new = (weight == 0) & (count > 0)
    value = jnp.where(new, total / jnp.where(count > 0, count, 1.0), value)
    return value, jnp.where(new, 1.0, weight)


def _sampled(grid: Grid, values: Nodes, shift: list[Array]) -> Nodes:
    """`values` at the nodes' places less `shift` [m], linear between the nodes."""
    low, share = [], []
    for axis, (x, periodic) in enumerate(zip(grid.nodes, grid.periodic, strict=True)):
        place = along(x, axis) - shift[axis]
        place = place % x[-1] if periodic else jnp.clip(place, 0.0, x[-1])
        cell = jnp.clip(jnp.searchsorted(x, place, side="right") - 1, 0, x.shape[0] - 2)
        low.append(cell)
        share.append((place - x[cell]) / grid.widths[axis][cell])
    total = jnp.zeros_like(values)
    for offset in itertools.product((0, 1), repeat=3):
        wx, wy, wz = (s if o else 1 - s for s, o in zip(share, offset, strict=True))
        i, j, k = (n + o for n, o in zip(low, offset, strict=True))
        total = total + wx * wy * wz * values[i, j, k]
    return total
