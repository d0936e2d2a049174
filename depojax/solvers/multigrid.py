"""Geometric multigrid for diffusion on cut, masked and stretched grids.

    A u = (shift · mass + loss) u − ∇·(g ∇u)      (see `DiffusionOperator`)

One W-cycle approximates A⁻¹. Coarse cells are pairs of neighbours along each axis,
joined until all are about equally large (`Grid.pairing`), so stretched grids turn
isotropic. Transfer is piecewise constant (aggregation). A coarse face sums its fine
faces, scaled by the ratio of fine to coarse centre distance: half the sum on a uniform
grid. This is the coarse grid's own two-point discretisation, and just the
over-correction that plain aggregation lacks. Closed cells have no face and drop out by
themselves.

Coarse grids are visited twice (W): pores that lie apart on the fine grid share coarse
cells, and the second visit mends much of what that spoils, for a third more work.
Smoother: two Jacobi sweeps with Chebyshev weights before and after. The coarsest grid
is inverted directly (a pseudo-inverse, since a closed domain is singular); a column of
cells is inverted at once by a tridiagonal solve.

Trottenberg, Oosterlee & Schüller, Multigrid (2001), ch. 2, 5 and A.9; Braess, Computing
55 (1995) 379, doi:10.1007/BF02238488, for over-correction.
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._sums import matmul
from depojax._types import Cells, Scalar, static
from depojax.fv.grid import Grid, along
from depojax.solvers.stencil import (
    FaceStencil,
    Padded,
    Rows,
    Shape,
    Stencil,
    interior,
    padded,
    rows,
    stored,
    tied,
    unfolded,
    where_open,
)

# Chebyshev weights of two sweeps on [0.35, 1.95] of the spectrum of D⁻¹A, which
# Gershgorin bounds by 2.
_LOW, _HIGH = 0.35, 1.95
_WEIGHTS = tuple(
    2 / (_HIGH + _LOW + (_HIGH - _LOW) * math.cos(math.pi * (2 * k - 1) / 4))
    for k in (2, 1)
)

Starts = tuple[tuple[int, ...], ...]  # per axis: first fine cell of each coarse cell


class Level(eqx.Module):
    """One grid of the hierarchy."""

    mass: Padded | None  # None: nothing is stored
    loss: Padded
    stencil: Stencil
    starts: Starts | None = static()  # of the next coarser cells

    @property
    def shape(self) -> Shape:
        return self.stencil.shape

    def diagonal(self, shift: Scalar) -> Rows:
        """shift · mass + loss + Σ g."""
        total = rows(self.loss) + self.stencil.total()
        return total if self.mass is None else total + shift * rows(self.mass)


class Hierarchy(eqx.Module):
    """The coefficients on all grids, for any `shift`. Build once per geometry."""

    levels: list[Level]

    @property
    def dtype(self):
        """Precision of the cycle."""
        return self.levels[0].loss.dtype

    def with_loss(self, extra: Cells) -> "Hierarchy":
        """The hierarchy of A + diag(extra)."""
        extra = jax.lax.stop_gradient(extra).astype(self.dtype)
        levels = []
        for level in self.levels:
            more = level.loss + padded(extra)
            levels.append(eqx.tree_at(lambda x: x.loss, level, more))
            if level.starts is not None:
                extra = restrict(extra, level.starts)
        return Hierarchy(levels)

    def cycle(self, shift: Scalar) -> "Cycle":
        """The W-cycle of A = shift · mass + …"""
        shift = jax.lax.stop_gradient(shift).astype(self.dtype)
        last = self.levels[-1]
        inverse = []
        for level in self.levels[:-1]:
            inverse.append(stored(_reciprocal(level.diagonal(shift))))
        invert = (
            _Line.of(last, shift) if _is_line(last.shape) else _Dense.of(last, shift)
        )
        return Cycle(self.levels, inverse, invert)


class Cycle(eqx.Module):
    """One symmetric W-cycle: an approximate inverse for a Krylov method."""

    levels: list[Level]
    inverse: list[Array]  # padded, of the diagonal; zero where there is no equation
    coarsest: "_Dense | _Line"

    def __call__(self, residual: Cells) -> Cells:
        """Approximately A⁻¹ residual, in the precision of the hierarchy."""
        return interior(self.on_padded(padded(residual)), self.levels[0].shape)

    def on_padded(self, residual: Padded) -> Padded:
        """The same for a padded residual."""
        dtype = self.levels[0].loss.dtype
        return self._visit(0, residual.astype(dtype)).astype(residual.dtype)

    def _visit(self, index: int, b: Padded) -> Padded:
        level = self.levels[index]
        if level.starts is None:
            return self.coarsest(b)
        first, second = _WEIGHTS
        u = stored(first * rows(self.inverse[index]) * rows(b))
        u = self._sweep(index, u, b, second)
        coarse = self._restricted_residual(index, level.starts, u, b)
        coarse = self._correct(index + 1, coarse)
        u = self._corrected(index, level.starts, u, coarse)
        for weight in (second, first):
            u = self._sweep(index, u, b, weight)
        return u

    def _correct(self, index: int, b: Padded) -> Padded:
        """Two visits to a coarse grid (one to the coarsest, which is exact)."""
        level = self.levels[index]
        if level.starts is None:
            return self._visit(index, b)

        def again(_, u):
            cycle, u = tied(self, u)
            return u + cycle._visit(index, stored(cycle._residual(index, u, b)))

        return jax.lax.fori_loop(0, 2, again, jnp.zeros_like(b))

    def _sweep(self, index: int, u: Padded, b: Padded, weight: float) -> Padded:
        """u + weight D⁻¹ (b − A u)."""
        known = self.levels[index].stencil.neighbour_sum(u)
        aim = rows(self.inverse[index]) * (rows(b) + known)
        return stored(rows(u) + weight * (aim - rows(u)))

    def _residual(self, index: int, u: Padded, b: Padded) -> Rows:
        """b − A u."""
        known = self.levels[index].stencil.neighbour_sum(u)
        inverse = rows(self.inverse[index])
        own = rows(u) * _reciprocal(inverse)
        return where_open(inverse > 0, rows(b) + known - own)

    def _restricted_residual(
        self, index: int, starts: Starts, u: Padded, b: Padded
    ) -> Array:
        level = self.levels[index]
        residual = interior(stored(self._residual(index, u, b)), level.shape)
        # Along x and y first, with whole runs of z: that loop runs as vectors.
        for axis in (0, 1):
            residual = restrict_axis(residual, starts[axis], axis)
        residual = stored(residual)[1:-1]
        return padded(restrict_axis(residual, starts[2], 2))

    def _corrected(
        self, index: int, starts: Starts, u: Padded, coarse: Array
    ) -> Padded:
        level = self.levels[index]
        known = unfolded(coarse, self.levels[index + 1].shape)
        for axis in (2, 1, 0):
            known = prolong_padded(known, starts[axis], level.shape[axis], axis)
            if axis == 2:
                known = stored(known[1:-1])
        is_open = unfolded(self.inverse[index], level.shape)[1:-1] > 0
        own = unfolded(u, level.shape)[1:-1]
        total = stored(own + where_open(is_open, known[1:-1]))
        return total.reshape(u.shape)


def _reciprocal(u: Rows) -> Rows:
    """1/u, or 0 where that is not positive."""
    is_open = u > 0
    return where_open(is_open, 1 / jax.lax.select(is_open, u, jnp.ones_like(u)))


def build_hierarchy(
    grid: Grid,
    mass: Cells | None,
    loss: Cells,
    stencil: Stencil,
    dtype: Any = None,
) -> Hierarchy:
    """Coarsen the coefficients of a diffusion operator down to a few cells.

    Args:
        mass, loss: diagonal coefficients of the cells; zero in closed cells. Without
            `mass` nothing is stored.
        stencil: the conductances between the cells.
        dtype: precision of the cycle, by default that of the coefficients. A column of
            cells keeps theirs: on it the cycle is the exact inverse.

    It only preconditions: no derivative goes through it.
    """
    if dtype is None or _is_line(grid.shape):
        dtype = loss.dtype
    mass, loss, stencil = jax.lax.stop_gradient((mass, loss, stencil))
    mass = None if mass is None else mass.astype(dtype)
    loss, stencil = loss.astype(dtype), stencil.astype(dtype)
    pairing = () if _is_line(grid.shape) else grid.pairing
    ratios = _distance_ratios(grid, pairing, dtype)
    levels = []
    for starts, ratio in zip(pairing, ratios, strict=True):
        levels.append(_level(mass, loss, stencil, starts))
        stencil = _coarse_stencil(stencil, starts, ratio)
        mass = None if mass is None else restrict(mass, starts)
        loss = restrict(loss, starts)
    levels.append(_level(mass, loss, stencil, None))
    return Hierarchy(levels)


def restrict(values: Cells, starts: Starts) -> Array:
    """Sum the cells of each coarse cell."""
    for axis, start in enumerate(starts):
        values = restrict_axis(values, start, axis)
    return values


def restrict_axis(values: Array, starts: tuple[int, ...], axis: int) -> Array:
    """Sum along one axis the runs of one or two cells that begin at `starts`."""
    n = values.shape[axis]
    if len(starts) == n:
        return values
    if starts == tuple(range(0, n, 2)):
        if n % 2:
            edge = [(0, int(a == axis)) for a in range(values.ndim)]
            values = jnp.pad(values, edge)
        # Two strided slices: a reshape-and-reduce is ten times slower on CPU, where it
        # keeps what it is fused with from running as vectors.
        first = jax.lax.slice_in_dim(values, 0, None, 2, axis)
        return first + jax.lax.slice_in_dim(values, 1, None, 2, axis)
    lengths = np.diff((*starts, n))
    first = np.asarray(starts)
    second = np.where(lengths == 2, first + 1, 0)
    both = jnp.asarray(lengths == 2, values.dtype)
    return jnp.take(values, first, axis=axis) + jnp.take(
        values, second, axis=axis
    ) * along(both, axis)


def prolong_padded(coarse: Array, starts: tuple[int, ...], n: int, axis: int) -> Array:
    """Give every fine cell along one axis the value of its coarse cell, ghosts too."""
    if len(starts) == n:
        return coarse
    if starts == tuple(range(0, n, 2)):
        coarse = jnp.repeat(coarse, 2, axis=axis)
        return jax.lax.slice_in_dim(coarse, 1, n + 3, axis=axis)
    parent = np.repeat(np.arange(len(starts)), np.diff((*starts, n)))
    parent = np.concatenate([[0], parent + 1, [len(starts) + 1]])
    return jnp.take(coarse, parent, axis=axis)


def _level(mass, loss, stencil, starts) -> Level:
    mass = None if mass is None else padded(mass)
    return Level(mass, padded(loss), stencil, starts)


def _coarse_stencil(stencil: Stencil, starts: Starts, ratio) -> FaceStencil:
    """Sums of the faces between coarse cells, for the longer way between them."""
    coarse = []
    for axis in range(3):
        g = unfolded(stencil.beside(axis, 1), stencil.shape)[:, 1:-1, 1:-1]
        g = _kept(g, starts[axis], axis)
        if ratio[axis] is not None:
            g = g * along(ratio[axis], axis)
        # As for the residual: along z last.
        for other in range(3):
            if other != axis:
                g = restrict_axis(g, starts[other], other)
        coarse.append(g)
    return FaceStencil.of_faces(coarse, stencil.periodic)


def _kept(above: Cells, starts: tuple[int, ...], axis: int) -> Array:
    """The fine faces above the coarse cells."""
    n = above.shape[axis]
    if len(starts) == n:
        return above
    if starts == tuple(range(0, n, 2)) and n % 2 == 0:
        return jax.lax.slice_in_dim(above, 1, None, 2, axis)
    return jnp.take(above, np.asarray((*starts[1:], n)) - 1, axis=axis)


def _distance_ratios(grid: Grid, pairing: Sequence[Starts], dtype: Any):
    """Fine over coarse distance between the centres on both sides of coarse faces.

    Per level and axis for the face above each coarse cell; None where nothing joins.
    Coarse nodes are nodes of the grid: one look-up there serves all levels and axes.
    """
    most = max(grid.shape)
    nodes = [np.arange(n + 1) + axis * (most + 1) for axis, n in enumerate(grid.shape)]
    lookups, sizes = [np.zeros((2, 4, 0), int)], []
    for starts in pairing:
        for axis, start in enumerate(starts):
            fine = nodes[axis]
            n = fine.size - 1
            if len(start) == n:
                sizes.append(0)
                continue
            ends = np.asarray((*start[1:], n))
            coarse = fine[np.asarray((*start, n))]
            below, above = ends - 1, ends % n  # at the end: around the corner
            up = (np.arange(len(start)) + 1) % len(start)
            low = [fine[below], fine[above], coarse[:-1], coarse[up]]
            high = [fine[ends], fine[above + 1], coarse[1:], coarse[up + 1]]
            lookups.append(np.stack([low, high]))
            sizes.append(len(start))
            nodes[axis] = coarse
    low, high = np.concatenate(lookups, axis=-1)
    widths = jax.lax.stop_gradient(grid.widths)
    # All axes in one sum: XLA makes three loops of each.
    rows_of_widths = [jnp.pad(w, (1, most - w.size)) for w in widths]
    x = jnp.cumsum(jnp.stack(rows_of_widths), axis=1).ravel()
    width = x[high] - x[low]
    ratio = ((width[0] + width[1]) / (width[2] + width[3])).astype(dtype)
    ends = np.cumsum(sizes)
    each = [ratio[e - n : e] if n else None for e, n in zip(ends, sizes, strict=True)]
    return [each[i : i + 3] for i in range(0, len(each), 3)]


def _is_line(shape: tuple[int, ...]) -> bool:
    return sum(n > 1 for n in shape) <= 1


class _Dense(eqx.Module):
    """The inverse of a few cells as a matrix."""

    matrix: Float[Array, "n n"]
    shape: Shape = static()

    @classmethod
    def of(cls, level: Level, shift: Scalar) -> "_Dense":
        diagonal = level.diagonal(shift)

        def apply(u):
            u = padded(u.reshape(level.shape))
            out = diagonal * rows(u) - level.stencil.neighbour_sum(u)
            return unfolded(out, level.shape)[:, 1:-1, 1:-1].ravel()

        n = math.prod(level.shape)
        matrix = jax.vmap(apply)(jnp.eye(n, dtype=diagonal.dtype))
        return cls(pseudo_inverse((matrix + matrix.T) / 2), level.shape)

    def __call__(self, b: Padded) -> Padded:
        u = matmul(self.matrix, interior(b, self.shape).ravel())
        return padded(u.reshape(self.shape))


class _Line(eqx.Module):
    """The exact inverse on a single column of cells (not periodic) by elimination."""

    lower: Float[Array, "n"]
    diagonal: Float[Array, "n"]
    upper: Float[Array, "n"]
    shape: Shape = static()

    @classmethod
    def of(cls, level: Level, shift: Scalar) -> "_Line":
        shape = level.shape
        g = level.stencil.beside(int(np.argmax(shape)), 1)
        g = unfolded(g, shape)[:, 1:-1, 1:-1].ravel()
        diagonal = unfolded(level.diagonal(shift), shape)[:, 1:-1, 1:-1].ravel()
        # A closed column is singular by its constant: lift the pivot by round-off.
        diagonal = diagonal * (1 + 8 * jnp.finfo(diagonal.dtype).eps)
        diagonal = jnp.where(diagonal > 0, diagonal, 1.0)
        upper = (-g).at[-1].set(0.0)
        return cls(jnp.roll(upper, 1), diagonal, upper, shape)

    def __call__(self, b: Padded) -> Padded:
        known = interior(b, self.shape).reshape(-1, 1)
        u = jax.lax.linalg.tridiagonal_solve(
            self.lower, self.diagonal, self.upper, known
        )
        return padded(u.reshape(self.shape))


def pseudo_inverse(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """G with A G A = A for a symmetric positive semidefinite A, by sweeping its pivots.

    A pivot that is lost to round-off belongs to the null space and is left out. No
    LAPACK: its batched calls wait for each other for ever where XLA runs several of
    them on few threads (jaxlib 0.10).
    """
    n = matrix.shape[0]
    lost = n * jnp.finfo(matrix.dtype).eps * jnp.diagonal(matrix)

    def sweep(k, a):
        pivot, column = a[k, k], a[:, k]
        kept = pivot > lost[k]
        share = jnp.where(kept, column / jnp.where(kept, pivot, 1.0), 0.0)
        a = a - jnp.outer(share, jnp.where(kept, column, 0.0))
        a = a.at[:, k].set(share).at[k, :].set(share)
        return a.at[k, k].set(jnp.where(kept, -1 / jnp.where(kept, pivot, 1.0), 0.0))

    return -jax.lax.fori_loop(0, n, sweep, matrix)
