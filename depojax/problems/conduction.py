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
        self, axis: int, rtol: Scalar, cycle_dtype: Any = None
    ) -> Fluctuation:
        """w for a mean gradient along `axis`, to a relative residual `rtol`.

        The multigrid cycle runs in `cycle_dtype`, by default in the grid's precision.
        """
        grid, stencil = self.grid, self._stencil()
        loss = jnp.zeros(grid.shape, grid.dtype)
        for side in range(3):
            if self._is_fixed(side, axis):
                loss = loss + self._at_ends(side, *self._end_conductances(side))
        b = uplift(stencil, axis, self._rises(axis)[axis])
        entering = self._end_areas(axis)
        if not grid.periodic[axis]:
            low, high = entering
            b = b + self._at_ends(axis, -low, high)
        operator = DiffusionOperator(None, loss, stencil, jnp.zeros((), grid.dtype))
        # An open box has nothing to solve: its residual is measured by the flux.
        scale = jax.lax.stop_gradient(jnp.sqrt(jnp.sum(entering[0] ** 2)))
        hierarchy = build_hierarchy(grid, None, loss, stencil, cycle_dtype)
        options = {"hierarchy": hierarchy, "scale": scale}
        solver = MultigridCG(rtol=rtol)
        solution = lx.linear_solve(
            operator, b, solver, state=solver.init(operator, options), throw=False
        )
        is_open = rows(padded(loss)) + stencil.total() > 0
        return Fluctuation(
            potential=solution.value,
            active=unfolded(is_open, grid.shape)[:, 1:-1, 1:-1],
            iterations=solution.stats["num_steps"],
            residual=solution.stats["residual"],
            converged=solution.result == lx.RESULTS.successful,
        )

    def energy(self, i: int, w_i: Cells, j: int, w_j: Cells) -> Scalar:
        """E_ij of the fluctuations for gradients along i and j [m³]."""
        # At the minimum the derivatives of the fluctuations themselves cancel.
        w_i, w_j = jax.lax.stop_gradient((w_i, w_j))
        total = dissipation(
            self._stencil(), (w_i, self._rises(i)), (w_j, self._rises(j))
        )
        for axis in range(3):
            for g, first, second in zip(
                self._end_conductances(axis),
                self._end_slopes(axis, i, w_i),
                self._end_slopes(axis, j, w_j),
                strict=True,
            ):
                total = total + jnp.sum(g * first * second)
        return total

    def end_fluxes(self, axis: int, w: Cells) -> tuple[Scalar, Scalar]:
        """Mean flux per area through the two ends of `axis` [per unit gradient]."""
        area = self.grid.volume / self.grid.lengths[axis]
        if self.grid.periodic[axis]:  # both ends are one face
            slope = (_end(w, axis, 0) - _end(w, axis, -1)) / self._end_distances(axis)[
                0
            ]
            flux = jnp.sum(self._end_areas(axis)[0] * (1 + slope)) / area
            return flux, flux
        g, slopes = self._end_conductances(axis), self._end_slopes(axis, axis, w)
        low, high = (jnp.sum(a * b) / area for a, b in zip(g, slopes, strict=True))
        return low, high

    def _rises(self, axis: int) -> list[Array]:
        """What a gradient along `axis` adds across the face above each cell [m]."""
        rises = []
        for normal in range(3):
            distance = self.grid.center_distances(normal)[1:]
            rises.append(distance if normal == axis else jnp.zeros_like(distance))
        return rises

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

    def _end_slopes(self, normal: int, axis: int, w: Cells) -> list[Array]:
        """Δx + Δw between the sides and the cells at them, for a gradient along `axis`.

        Zero where nothing passes the sides, or where they are no sides.
        """
        low, high = _end(w, normal, 0), -_end(w, normal, -1)
        if not self._is_fixed(normal, axis):
            return [jnp.zeros_like(low), jnp.zeros_like(high)]
        if normal != axis:
            return [low, high]
        first, last = self._end_distances(axis)
        return [low + first, high + last]

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

    def _is_fixed(self, side: int, axis: int) -> bool:
        """Whether the sides of one axis hold x_i for a gradient along another."""
        if self.grid.periodic[side]:
            return False
        return self.sides == "linear" or side == axis


def after(problem: Conduction, done: Array) -> Conduction:
    """The same problem, for a compiler that must finish `done` first."""
    faces, _ = jax.lax.optimization_barrier((problem.open_faces, done))
    return eqx.tree_at(lambda p: p.open_faces, problem, faces)


def _end(values: Array, axis: int, index: int) -> Array:
    return jax.lax.index_in_dim(values, index, axis)
