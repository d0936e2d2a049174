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

import functools
import math
import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._types import Cells, Faces, Scalar, static
from depojax.fv.grid import Grid, along
from depojax.fv.operators import faces_and_neighbours

# Chebyshev weights of two sweeps on [0.35, 1.95] of the spectrum of D⁻¹A, which
# Gershgorin bounds by 2.
_LOW, _HIGH = 0.35, 1.95
_WEIGHTS = tuple(
    2 / (_HIGH + _LOW + (_HIGH - _LOW) * math.cos(math.pi * (2 * k - 1) / 4))
    for k in (2, 1)
)


class Level(eqx.Module):
    """One grid of the hierarchy."""

    mass: Cells
    loss: Cells
    conductance: Faces
    coupling: Cells  # loss + Σ of the conductances of a cell's faces
    starts: tuple[tuple[int, ...], ...] | None = static()  # of the next coarser cells


class Hierarchy(eqx.Module):
    """The coefficients on all grids, for any `shift`. Build once per geometry."""

    levels: list[Level]
    periodic: tuple[bool, bool, bool] = static()

    def with_loss(self, extra: Cells) -> "Hierarchy":
        """The hierarchy of A + diag(extra)."""
        extra = jax.lax.stop_gradient(extra).astype(self.levels[0].loss.dtype)
        levels = []
        for level in self.levels:
            more = (level.loss + extra, level.coupling + extra)
            levels.append(eqx.tree_at(lambda x: (x.loss, x.coupling), level, more))
            if level.starts is not None:
                extra = restrict(extra, level.starts)
        return Hierarchy(levels, self.periodic)

    def cycle(self, shift: Scalar) -> "Cycle":
        """The W-cycle of A = shift · mass + …"""
        last = self.levels[-1]
        coarsest = (
            None
            if _is_line(last.mass.shape)
            else _pseudo_inverse(last, shift, self.periodic)
        )
        inverse = []
        for level in self.levels:
            diagonal = shift * level.mass + level.coupling
            safe = diagonal > 0
            inverse.append(jnp.where(safe, 1 / jnp.where(safe, diagonal, 1.0), 0.0))
        return Cycle(self, inverse, shift, coarsest)


class Cycle(eqx.Module):
    """One symmetric W-cycle: an approximate inverse for a Krylov method."""

    hierarchy: Hierarchy
    inverse_diagonal: list[Array]
    shift: Scalar
    coarsest: Float[Array, "n n"] | None

    def __call__(self, residual: Cells) -> Cells:
        """Approximately A⁻¹ residual, in the precision of the hierarchy."""
        dtype = self.inverse_diagonal[0].dtype
        return self._visit(0, residual.astype(dtype)).astype(residual.dtype)

    def _visit(self, index: int, b: Cells) -> Cells:
        level = self.hierarchy.levels[index]
        periodic = self.hierarchy.periodic
        inverse = self.inverse_diagonal[index]
        if level.starts is None:
            return self._invert(level, b)
        first, second = _WEIGHTS
        u = first * inverse * b
        u = u + second * (inverse * (b + _neighbours(level, u, periodic)) - u)
        residual = (
            b + _neighbours(level, u, periodic) - _diagonal(level, self.shift) * u
        )
        coarse = self._correct(index + 1, restrict(residual, level.starts))
        u = u + prolong(coarse, level.starts, b.shape)
        for weight in (second, first):
            u = u + weight * (inverse * (b + _neighbours(level, u, periodic)) - u)
        return u

    def _correct(self, index: int, b: Cells) -> Cells:
        """Two visits to a coarse grid (one to the coarsest, which is exact)."""
        level = self.hierarchy.levels[index]
        if level.starts is None:
            return self._visit(index, b)

        def visit(_, u):
            known = _neighbours(level, u, self.hierarchy.periodic)
            residual = b + known - _diagonal(level, self.shift) * u
            return u + self._visit(index, residual)

        return jax.lax.fori_loop(0, 2, visit, jnp.zeros_like(b))

    def _invert(self, level: Level, b: Cells) -> Cells:
        if self.coarsest is not None:
            return (self.coarsest @ b.ravel()).reshape(b.shape)
        return _solve_line(level, self.shift, b)


def build_hierarchy(
    grid: Grid, mass: Cells, loss: Cells, conductance: Faces, dtype: Any = None
) -> Hierarchy:
    """Coarsen the coefficients of a diffusion operator down to a few cells.

    Args:
        mass, loss: diagonal coefficients of the cells; zero in closed cells.
        conductance: of the faces; zero at the ends of axes that are not periodic.
        dtype: precision of the cycle, by default that of the coefficients. A column of
            cells keeps theirs: on it the cycle is the exact inverse.

    It only preconditions: no derivative goes through it.
    """
    if dtype is None or _is_line(grid.shape):
        dtype = mass.dtype

    def fixed(x):
        return jax.lax.stop_gradient(x).astype(dtype)

    mass, loss, widths = fixed(mass), fixed(loss), [fixed(w) for w in grid.widths]
    x, y, z = conductance
    conductance = fixed(x), fixed(y), fixed(z)
    levels = []
    pairing = () if _is_line(grid.shape) else grid.pairing
    for starts in pairing:
        levels.append(_level(mass, loss, conductance, starts))
        coarse_widths = [
            restrict_axis(w.reshape(-1, 1, 1), s, 0).reshape(-1)
            for w, s in zip(widths, starts, strict=True)
        ]
        conductance = _coarse_conductance(
            conductance, starts, widths, coarse_widths, grid.periodic
        )
        mass, loss = restrict(mass, starts), restrict(loss, starts)
        widths = coarse_widths
    levels.append(_level(mass, loss, conductance, None))
    return Hierarchy(levels, grid.periodic)


def neighbour_sum(
    conductance: Faces, u: Cells, periodic: tuple[bool, bool, bool]
) -> Cells:
    """Σ over faces of g × u of the neighbour behind it."""
    return functools.reduce(
        operator.add, (g * v for g, v in faces_and_neighbours(conductance, u, periodic))
    )


def face_sum(conductance: Faces) -> Cells:
    """Σ of the conductances of each cell's faces."""
    sides = []
    for axis, g in enumerate(conductance):
        n = g.shape[axis] - 1
        sides += [jax.lax.slice_in_dim(g, k, n + k, axis=axis) for k in (0, 1)]
    return functools.reduce(operator.add, sides)


def restrict(values: Cells, starts: tuple[tuple[int, ...], ...]) -> Array:
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


def prolong(
    coarse: Cells, starts: tuple[tuple[int, ...], ...], shape: tuple[int, ...]
) -> Array:
    """Give every fine cell the value of its coarse cell."""
    for axis, (start, n) in enumerate(zip(starts, shape, strict=True)):
        if len(start) == n:
            continue
        if start == tuple(range(0, n, 2)):
            coarse = jnp.repeat(coarse, 2, axis=axis)
            coarse = jax.lax.slice_in_dim(coarse, 0, n, axis=axis)
        else:
            parent = np.repeat(np.arange(len(start)), np.diff((*start, n)))
            coarse = jnp.take(coarse, parent, axis=axis)
    return coarse


def _level(mass, loss, conductance, starts) -> Level:
    return Level(mass, loss, conductance, loss + face_sum(conductance), starts)


def _neighbours(level: Level, u: Cells, periodic) -> Cells:
    return neighbour_sum(level.conductance, u, periodic)


def _diagonal(level: Level, shift: Scalar) -> Cells:
    return shift * level.mass + level.coupling


def _coarse_conductance(conductance, starts, widths, coarse_widths, periodic) -> Faces:
    coarse = []
    for axis, g in enumerate(conductance):
        n = g.shape[axis] - 1
        if len(starts[axis]) < n:
            kept = np.asarray((*starts[axis], n))
            fine = jnp.take(_distances(widths[axis], periodic[axis]), kept)
            ratio = fine / _distances(coarse_widths[axis], periodic[axis])
            g = jnp.take(g, kept, axis=axis) * along(ratio, axis)
        for other in range(3):
            if other != axis:
                g = restrict_axis(g, starts[other], other)
        coarse.append(g)
    x, y, z = coarse
    return x, y, z


def _distances(width: Array, wraps: bool) -> Array:
    inner = (width[1:] + width[:-1]) / 2
    ends = (width[:1] + width[-1:]) / 2 if wraps else width[:1]
    return jnp.concatenate([ends, inner, ends if wraps else width[-1:]])


def _is_line(shape: tuple[int, ...]) -> bool:
    return sum(n > 1 for n in shape) <= 1


def _pseudo_inverse(level: Level, shift: Scalar, periodic) -> Float[Array, "n n"]:
    shape = level.mass.shape
    n = int(np.prod(shape))
    diagonal = _diagonal(level, shift)

    def apply(u):
        u = u.reshape(shape)
        return (diagonal * u - _neighbours(level, u, periodic)).ravel()

    matrix = jax.vmap(apply)(jnp.eye(n, dtype=level.mass.dtype))
    return pseudo_inverse((matrix + matrix.T) / 2)


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


def _solve_line(level: Level, shift: Scalar, b: Cells) -> Cells:
    """Exact inverse on a single column of cells (not periodic) by elimination."""
    axis = int(np.argmax(b.shape))
    g = level.conductance[axis].ravel()
    diagonal = _diagonal(level, shift).ravel()
    # A closed column is singular by its constant: lift the pivot by round-off.
    diagonal = diagonal * (1 + 8 * jnp.finfo(diagonal.dtype).eps)
    diagonal = jnp.where(diagonal > 0, diagonal, 1.0)
    lower = (-g[:-1]).at[0].set(0.0)
    upper = (-g[1:]).at[-1].set(0.0)
    solution = jax.lax.linalg.tridiagonal_solve(
        lower, diagonal, upper, b.reshape(-1, 1)
    )
    return solution.reshape(b.shape)
