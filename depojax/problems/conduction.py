"""Steady conduction through one phase of a host: from mean gradient to tensor.

With a mean gradient of 1 along axis i the potential is u = x_i + w, and w minimises

    E_ii = Σ_faces g (Δx_i + Δw_i)²,      D_ij = E_ij / V,  E_ij = Σ g (…)_i (…)_j

over all w that vanish on the sides where the potential is prescribed. Everything
follows from two properties of that minimum: its value is an upper bound with an error
of second order in that of w, and its derivative with respect to conductances and
widths is the explicit one, at fixed w. So the effective tensor needs a field of low
accuracy, and its gradient needs no further solve.

Torquato, Random Heterogeneous Materials (2002), ch. 14, for the minimum principle.
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Int

from depojax._types import Cells, Faces, Scalar, static
from depojax.fv.grid import Grid, along
from depojax.fv.operators import conductances, without_ends
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import build_hierarchy
from depojax.solvers.stencil import (
    FaceStencil,
    Stencil,
    VoxelStencil,
    dissipation,
    padded,
    rows,
    unfolded,
    uplift,
)

Sides = Literal["insulated", "linear"]
# 1 for the axis of the mean gradient, 0 for the others: numbers, or traced, so that one
# program serves all axes.
Direction = tuple[float | Scalar, float | Scalar, float | Scalar]


class Fluctuation(eqx.Module):
    """The solution for a mean gradient of 1 along one axis."""

    potential: Cells  # w [m]
    active: Bool[Array, "x y z"]  # where there is an equation
    iterations: Int[Array, ""]
    residual: Scalar  # relative to the right-hand side, ‖·‖₂ [-]
    converged: Bool[Array, ""]


class Conduction(eqx.Module):
    """∇·(T ∇u) = 0 on a grid, T the transmission of the faces (1 for an open box).

    Axes that are periodic stay so. The sides of the others are "insulated" (mirrors,
    but for the two ends of the gradient's own axis), or all hold the "linear" x_i.
    """

    grid: Grid
    # How open the faces are [-], or which cells are of the phase: then a face between
    # two of them is open, and all cells are alike in size.
    open_faces: Faces | Bool[Array, "x y z"]
    sides: Sides = static(default="insulated")

    def fluctuation(
        self, direction: Direction, rtol: Scalar, cycle_dtype: Any = None
    ) -> Fluctuation:
        """w for a mean gradient along an axis, to a relative residual `rtol`.

        The multigrid cycle runs in `cycle_dtype`, by default in the grid's precision.
        """
        grid, stencil = self.grid, self._stencil()
        loss = jnp.zeros(grid.shape, grid.dtype)
        b = jnp.zeros(grid.shape, grid.dtype)
        entering = jnp.zeros((), grid.dtype)
        for axis, share in enumerate(direction):
            held = self._held(axis, direction)
            if _counts(held):
                loss = loss + held * self._at_ends(axis, *self._end_conductances(axis))
            if _counts(share):
                low, high = self._end_areas(axis)
                entering = entering + share * jnp.sum(low**2)
                b = b + share * uplift(stencil, axis, self._distances_above(axis))
                if not grid.periodic[axis]:
                    b = b + share * self._at_ends(axis, -low, high)
        operator = DiffusionOperator(None, loss, stencil, jnp.zeros((), grid.dtype))
        hierarchy = build_hierarchy(grid, None, loss, stencil, cycle_dtype)
        # An open box has nothing to solve: its residual is measured by the flux.
        scale = jax.lax.stop_gradient(jnp.sqrt(entering))
        solver = MultigridCG(rtol=rtol)
        state = solver.init(operator, {"hierarchy": hierarchy, "scale": scale})
        solution = lx.linear_solve(operator, b, solver, state=state, throw=False)
        is_open = rows(padded(loss)) + stencil.total() > 0
        return Fluctuation(
            potential=solution.value,
            active=unfolded(is_open, grid.shape)[:, 1:-1, 1:-1],
            iterations=solution.stats["num_steps"],
            residual=solution.stats["residual"],
            converged=solution.result == lx.RESULTS.successful,
        )

    def energy(
        self, first: tuple[Direction, Cells], second: tuple[Direction, Cells]
    ) -> Scalar:
        """E_ij of the fluctuations for gradients along two axes [m³]."""
        # At the minimum the derivatives of the fluctuations themselves cancel.
        first, second = (first[0], _fixed(first[1])), (second[0], _fixed(second[1]))
        sides = [(w, self._rises(direction)) for direction, w in (first, second)]
        energy = dissipation(self._stencil(), *sides)
        for axis in range(3):
            if not all(self._passes(axis, way) for way, _ in (first, second)):
                continue
            slopes = self._end_slopes(axis, *first), self._end_slopes(axis, *second)
            for g, a, b in zip(self._end_conductances(axis), *slopes, strict=True):
                energy = energy + jnp.sum(g * a * b)
        return energy

    def end_fluxes(self, axis: int, w: Cells) -> tuple[Scalar, Scalar]:
        """Mean flux per area through the two ends of `axis` [per unit gradient]."""
        area = self.grid.volume / self.grid.lengths[axis]
        if self.grid.periodic[axis]:  # both ends are one face
            distance, _ = self._end_distances(axis)
            slope = 1 + (_end(w, axis, 0) - _end(w, axis, -1)) / distance
            flux = jnp.sum(self._end_areas(axis)[0] * slope) / area
            return flux, flux
        g = self._end_conductances(axis)
        slopes = self._end_slopes(axis, along_axis(axis), w)
        low, high = (jnp.sum(a * b) / area for a, b in zip(g, slopes, strict=True))
        return low, high

    def _distances_above(self, axis: int) -> Array:
        return self.grid.center_distances(axis)[1:]

    def _rises(self, direction: Direction) -> list[Array]:
        """What the mean gradient adds across the face above each cell [m]."""
        return [share * self._distances_above(a) for a, share in enumerate(direction)]

    def _end_areas(self, axis: int) -> list[Array]:
        """Open area of the faces at the two ends [m²]."""
        if isinstance(self.open_faces, tuple):
            ends = [_end(self.open_faces[axis], axis, end) for end in (0, -1)]
        else:
            ends = [_end(self.open_faces, axis, end) for end in (0, -1)]
            if self.grid.periodic[axis]:
                ends = [ends[0] & ends[1]] * 2
        area = self.grid.face_areas(axis)
        return [end.astype(area.dtype) * area for end in ends]

    def _end_distances(self, axis: int) -> tuple[Scalar, Scalar]:
        distances = self.grid.center_distances(axis)
        return distances[0], distances[-1]

    def _end_conductances(self, axis: int) -> list[Array]:
        areas, distances = self._end_areas(axis), self._end_distances(axis)
        return [a / d for a, d in zip(areas, distances, strict=True)]

    def _at_ends(self, axis: int, low: Array, high: Array) -> Cells:
        """Cells that are zero but for the first and the last along an axis."""
        # Laid over all cells and cut out: unlike an update in place that fuses.
        n = self.grid.shape[axis]
        place = along(jnp.arange(n), axis)
        return jnp.where(place == 0, low, 0) + jnp.where(place == n - 1, high, 0)

    def _end_slopes(self, axis: int, direction: Direction, w: Cells) -> list[Array]:
        """Δx + Δw between the sides of an axis and the cells at them.

        Zero where nothing passes the sides, or where they are no sides.
        """
        held, share = self._held(axis, direction), direction[axis]
        first, last = self._end_distances(axis)
        if self.grid.periodic[axis]:
            share = 0.0
        low, high = _end(w, axis, 0), -_end(w, axis, -1)
        return [held * low + share * first, held * high + share * last]

    def _passes(self, axis: int, direction: Direction) -> bool:
        """Whether anything may pass the sides of an axis."""
        return _counts(self._held(axis, direction)) or _counts(direction[axis])

    def _stencil(self) -> Stencil:
        grid, faces = self.grid, self.open_faces
        if isinstance(faces, tuple):
            g = without_ends(conductances(grid, faces), grid.periodic)
            return FaceStencil.of_conductance(g, grid.periodic)
        edges = [width[0] for width in grid.widths]
        volume = edges[0] * edges[1] * edges[2]
        x, y, z = (volume / edge**2 for edge in edges)
        phase = padded(faces.astype(grid.dtype))
        return VoxelStencil(phase, (x, y, z), grid.shape, grid.periodic)

    def _held(self, axis: int, direction: Direction) -> float | Scalar:
        """1 where the sides of an axis hold x_i, 0 where they do not."""
        if self.grid.periodic[axis]:
            return 0.0
        return 1.0 if self.sides == "linear" else direction[axis]


def along_axis(axis: int) -> Direction:
    """The direction of an axis."""
    x, y, z = (float(a == axis) for a in range(3))
    return x, y, z


def _counts(share: float | Scalar) -> bool:
    """Whether a share may be other than zero."""
    return not (isinstance(share, float) and share == 0.0)


def _fixed(w: Cells) -> Cells:
    return jax.lax.stop_gradient(w)


def _end(values: Array, axis: int, index: int) -> Array:
    return jax.lax.index_in_dim(values, index, axis)
