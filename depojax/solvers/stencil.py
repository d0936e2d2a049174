"""Seven-point sums on padded cells: the loops in which the solvers spend their time.

A padded array has one ghost cell on every side, which holds zero, and y and z in one
axis. In memory the neighbours of all cells then lie at fixed distances, so a whole
sweep is one loop over flat slices of the same arrays: no copies at the sides, no
branches in the inner loop, no index arithmetic. Where an axis is periodic the ghosts
are filled (`wrapped`) before a sum.

What a sum reads seven times has to lie in memory. The compiler would rather compute it
again in each of its readers, and in their readers again. Padding along x ends such a
chain (XLA 0.10 does not fuse a pad into its readers) and costs nothing; the barrier in
`stored` keeps the pad from being simplified away.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._sums import added, dot_general, matmul
from depojax._types import Cells, Faces, Scalar, static

Padded = Float[Array, "xp plane"]  # xp = x + 2, plane = (y + 2)(z + 2)
Rows = Float[Array, "x plane"]  # a padded array without its first and last x
Periodic = tuple[bool, bool, bool]
Shape = tuple[int, int, int]


def padded(u: Array) -> Array:
    """Cells with a ghost of zero on every side, y and z in one axis."""
    # Along x by itself: a pad of all axes XLA would compute once for each shape.
    sides = jax.lax.pad(u, u.dtype.type(0), [(0, 0, 0), (1, 1, 0), (1, 1, 0)])
    return stored(sides.reshape(u.shape[0], -1))


def laid_out(u: Array, periodic: Periodic) -> Padded:
    """Cells in memory with their ghosts: zero, or from around the corner."""
    x, y, z = u.shape
    return wrapped(jax.lax.optimization_barrier(padded(u)), periodic, (x, y, z))


def tied(tree: Any, value: Array) -> tuple[Any, Array]:
    """Both as they are; but what is computed of `tree` has to wait for `value`.

    Within a loop: or the compiler would compute before it, and keep, whatever does not
    change in it, such as six copies of the conductances.
    """
    arrays, rest = eqx.partition(tree, eqx.is_array)
    arrays, value = jax.lax.optimization_barrier((arrays, value))
    return eqx.combine(arrays, rest), value


def unfolded(u: Array, shape: Shape) -> Array:
    """A padded array or its rows with y and z as axes of their own."""
    return u.reshape(u.shape[0], shape[1] + 2, shape[2] + 2)


def interior(u: Array, shape: Shape) -> Array:
    """The cells of a padded array, without its ghosts."""
    return unfolded(u, shape)[1:-1, 1:-1, 1:-1]


def stored(rows: Array) -> Array:
    """Rows with a ghost of zero before and after them, in memory."""
    # (jnp.pad is a program of its own; there are a hundred of these in a solve.)
    ends = [(1, 1, 0)] + [(0, 0, 0)] * (rows.ndim - 1)
    return jax.lax.optimization_barrier(jax.lax.pad(rows, rows.dtype.type(0), ends))


def neighbour(u: Array, axis: int, side: int, shape: Shape) -> Array:
    """For each row cell the value one further along an axis (side +1 or −1)."""
    return _run(u, side * (u.shape[1], shape[2] + 2, 1)[axis])


def dot(u: Padded, v: Padded) -> Scalar:
    """Σ u v over all cells, summed in stages: single precision keeps its digits."""
    rows = 256 if u.size % 256 == 0 else u.shape[0]
    u, v = u.reshape(rows, -1), v.reshape(rows, -1)
    parts = dot_general(u, v, (((1,), (1,)), ((0,), (0,))))
    return jnp.sum(parts)


def total(u: Array) -> Scalar:
    """Σ u of all cells, in stages."""
    # A product with ones is as fast as memory; a sum the compiler would fuse with what
    # `u` is made of, and then compute that slowly.
    length = u.shape[-1] if u.ndim > 2 else math.gcd(u.shape[-1], 512)
    ones = jnp.ones(length, u.dtype)
    return jnp.sum(matmul(u.reshape(-1, length), ones))


def where_open(is_open: Array, u: Array) -> Array:
    """`u` where there is an equation, 0 elsewhere."""
    return jax.lax.select(is_open, u, jnp.zeros_like(u))


def rows(u: Array) -> Array:
    """The cells' own values, as `neighbour` gives those around them."""
    return _run(u, 0)


def _run(u: Array, shift: int) -> Array:
    # One way to read for all: of a slice in rows beside it the compiler makes a second
    # copy of what `u` was computed from.
    n, plane = u.shape
    first = plane + shift
    flat = jax.lax.slice(u.reshape(-1), (first,), (first + (n - 2) * plane,))
    return flat.reshape(n - 2, plane)


def wrapped(u: Array, periodic: Periodic, shape: Shape) -> Array:
    """`u` with the ghosts of periodic axes filled from around the corner."""
    if not any(periodic):
        return u
    u = unfolded(u, shape)
    for axis, wraps in enumerate(periodic):
        if wraps:
            n = u.shape[axis]
            first = jax.lax.slice_in_dim(u, 1, 2, axis=axis)
            last = jax.lax.slice_in_dim(u, n - 2, n - 1, axis=axis)
            u = jax.lax.dynamic_update_slice_in_dim(u, last, 0, axis)
            u = jax.lax.dynamic_update_slice_in_dim(u, first, n - 1, axis)
    return jax.lax.optimization_barrier(u.reshape(shape[0] + 2, -1))


def _emptied(u: Rows, periodic: Periodic, shape: Shape) -> Rows:
    """Rows with zero in the ghosts of periodic axes."""
    u = unfolded(u, shape)
    for axis in (1, 2):
        if periodic[axis]:
            n = u.shape[axis]
            none = jnp.zeros_like(jax.lax.slice_in_dim(u, 0, 1, axis=axis))
            u = jax.lax.dynamic_update_slice_in_dim(u, none, 0, axis)
            u = jax.lax.dynamic_update_slice_in_dim(u, none, n - 1, axis)
    return u.reshape(shape[0], -1)


class FaceStencil(eqx.Module):
    """Σ g (u − u_neighbour) with a conductance for every face."""

    faces: tuple[Padded, Padded, Padded]  # of the face above each cell, per axis
    shape: Shape = static()
    periodic: Periodic = static()

    @classmethod
    def of_faces(cls, above: Sequence[Cells], periodic: Periodic) -> "FaceStencil":
        """From the conductance of the face above each cell, one array per axis.

        At the end of an axis: of the face to the first cell where it is periodic, or
        zero.
        """
        nx, ny, nz = above[0].shape
        shape = nx, ny, nz
        x, y, z = (
            wrapped(padded(g), _only(axis, periodic), shape)
            for axis, g in enumerate(above)
        )
        return cls((x, y, z), shape, periodic)

    @classmethod
    def of_conductance(cls, conductance: Faces, periodic: Periodic) -> "FaceStencil":
        """From face arrays that vanish at the ends of axes that are not periodic."""
        above = [
            jax.lax.slice_in_dim(g, 1, None, axis=axis)
            for axis, g in enumerate(conductance)
        ]
        return cls.of_faces(above, periodic)

    def neighbour_sum(self, u: Padded) -> Rows:
        """Σ g u_neighbour."""
        around = _pairs(wrapped(u, self.periodic, self.shape), self.shape)
        pairs = zip(self._sides(), around, strict=True)
        return self._within(
            g_below * below + g_above * above
            for (g_below, g_above), (below, above) in pairs
        )

    def outflow(self, u: Padded) -> Rows:
        """Σ g (u − u_neighbour)."""
        center, u = rows(u), wrapped(u, self.periodic, self.shape)
        pairs = zip(self._sides(), _pairs(u, self.shape), strict=True)
        return self._within(
            g_below * (center - below) + g_above * (center - above)
            for (g_below, g_above), (below, above) in pairs
        )

    def total(self) -> Rows:
        """Σ g of the faces of each cell."""
        return self._within(below + above for below, above in self._sides())

    def beside(self, axis: int, side: int) -> Rows:
        """Conductance of the face above each cell (side 1), or below it (−1)."""
        g = self.faces[axis]
        return rows(g) if side > 0 else neighbour(g, axis, -1, self.shape)

    def astype(self, dtype: Any) -> "FaceStencil":
        return jax.tree.map(lambda g: g.astype(dtype), self)

    def _within(self, parts: Iterable[Array]) -> Rows:
        return _emptied(added(parts), self.periodic, self.shape)

    def _sides(self):
        """Conductances below and above, for each axis."""
        return ((self.beside(a, -1), self.beside(a, 1)) for a in range(3))


class VoxelStencil(eqx.Module):
    """The same where every face between two voxels of a phase conducts alike.

    One number per voxel, 1 or 0, takes the place of three conductances.
    """

    phase: Padded
    weights: tuple[Scalar, Scalar, Scalar]  # conductance of an open face, per axis
    shape: Shape = static()
    periodic: Periodic = static()

    def neighbour_sum(self, u: Padded) -> Rows:
        """Σ g u_neighbour, for `u` that vanishes off the phase; meaningless there."""
        around = _pairs(wrapped(u, self.periodic, self.shape), self.shape)
        pairs = zip(self.weights, around, strict=True)
        return added(w * (below + above) for w, (below, above) in pairs)

    def outflow(self, u: Padded) -> Rows:
        """Σ g (u − u_neighbour)."""
        center, u = rows(u), wrapped(u, self.periodic, self.shape)
        around = zip(self._around(), _pairs(u, self.shape), strict=True)
        pairs = zip(self.weights, around, strict=True)
        return rows(self.phase) * added(
            w * (below * (center - u_below) + above * (center - u_above))
            for w, ((below, above), (u_below, u_above)) in pairs
        )

    def total(self) -> Rows:
        """Σ g of the faces of each cell."""
        pairs = zip(self.weights, self._around(), strict=True)
        return rows(self.phase) * added(
            w * (below + above) for w, (below, above) in pairs
        )

    def beside(self, axis: int, side: int) -> Rows:
        """Conductance of the face above each cell (side 1), or below it (−1)."""
        phase = wrapped(self.phase, self.periodic, self.shape)
        there = neighbour(phase, axis, side, self.shape)
        return self.weights[axis] * (rows(self.phase) * there)

    def astype(self, dtype: Any) -> "VoxelStencil":
        return jax.tree.map(lambda x: x.astype(dtype), self)

    def _around(self):
        phase = wrapped(self.phase, self.periodic, self.shape)
        return _pairs(phase, self.shape)


Stencil = FaceStencil | VoxelStencil


def net_outflow(stencil: Stencil, u: Cells) -> Cells:
    """Σ g (u − u_neighbour) of every cell."""
    out = stencil.outflow(padded(u))
    return unfolded(out, stencil.shape)[:, 1:-1, 1:-1]


def dissipation(
    stencil: Stencil,
    first: tuple[Cells, Sequence[Array]],
    second: tuple[Cells, Sequence[Array]],
) -> Scalar:
    """Σ g (Δu + ρ)(Δv + σ) over the faces between cells, for (u, ρ) and (v, σ).

    Per axis, ρ and σ [m] hold what a mean gradient adds across the face above a cell.
    """
    shape, periodic = stencil.shape, stencil.periodic

    def slopes(u, rise):
        own = padded(u)
        u = wrapped(own, periodic, shape)
        for axis in range(3):
            more = _laid_along(rise[axis], axis, shape)
            yield neighbour(u, axis, 1, shape) - rows(own) + more

    parts = zip(slopes(*first), slopes(*second), strict=True)
    each = added(stencil.beside(axis, 1) * a * b for axis, (a, b) in enumerate(parts))
    if any(periodic):
        each = _emptied(each, (False, True, True), shape)
    return total(unfolded(stored(each), shape))


def uplift(stencil: Stencil, axis: int, rise: Array) -> Cells:
    """What a rise across the faces along an axis drives into the cells: −div(g ρ)."""
    shape = stencil.shape
    above = stencil.beside(axis, 1) * _laid_along(rise, axis, shape)
    below = stencil.beside(axis, -1) * _laid_along(jnp.roll(rise, 1), axis, shape)
    return unfolded(above - below, shape)[:, 1:-1, 1:-1]


def _laid_along(values: Array, axis: int, shape: Shape) -> Array:
    """A 1D array laid along an axis, to broadcast against rows."""
    if axis == 0:
        return values[:, None]
    plane = jnp.pad(values, 1)
    plane = plane[:, None] if axis == 1 else plane[None, :]
    return jnp.broadcast_to(plane, (shape[1] + 2, shape[2] + 2)).reshape(1, -1)


def _pairs(u: Array, shape: Shape):
    """Values in the cells below and above, for each axis."""
    return ((neighbour(u, a, -1, shape), neighbour(u, a, 1, shape)) for a in range(3))


def _only(axis: int, periodic: Periodic) -> Periodic:
    x, y, z = (wraps and a == axis for a, wraps in enumerate(periodic))
    return x, y, z
