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

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Float, Int

from depojax._types import Cells, Faces, Scalar, static
from depojax.fv.boundary import SIDES, FixedValue, boundary_terms
from depojax.fv.grid import AXES, Grid, along
from depojax.fv.operators import conductances, face_difference, without_ends
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import build_hierarchy, face_sum

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
    transmission: Faces  # [-]
    sides: Sides = static(default="insulated")

    def fluctuation(
        self, axis: int, rtol: float, cycle_dtype=jnp.float32
    ) -> Fluctuation:
        """w for a mean gradient along `axis`, to a relative residual `rtol`."""
        grid = self.grid
        fixed = [s for s in SIDES if self._is_fixed(AXES.index(s[0]), axis)]
        none = FixedValue(jnp.zeros((), grid.dtype))
        ends = boundary_terms(grid, self.transmission, dict.fromkeys(fixed, none))
        g = conductances(grid, self.transmission)
        inner = without_ends(g, grid.periodic)
        # Nothing is stored; what has no open face has no equation.
        is_open = jax.lax.stop_gradient(ends.loss + face_sum(inner) > 0)
        mass = is_open.astype(ends.loss.dtype)
        zero = jnp.zeros((), mass.dtype)
        operator = DiffusionOperator(mass, ends.loss, inner, zero, grid.periodic)
        hierarchy = build_hierarchy(grid, mass, ends.loss, inner, cycle_dtype)
        drive = g[axis] * along(grid.center_distances(axis), axis)
        # An open box has nothing to solve: its residual is measured by the flux.
        entering = jax.lax.stop_gradient(jax.lax.index_in_dim(drive, 0, axis))
        options = {"hierarchy": hierarchy, "scale": jnp.sqrt(jnp.sum(entering**2))}
        solver = MultigridCG(rtol=rtol)
        solution = lx.linear_solve(
            operator,
            jnp.diff(drive, axis=axis),
            solver,
            state=solver.init(operator, options),
            throw=False,
        )
        return Fluctuation(
            potential=solution.value,
            active=is_open,
            iterations=solution.stats["num_steps"],
            residual=solution.stats["residual"],
            converged=solution.result == lx.RESULTS.successful,
        )

    def energy(self, i: int, w_i: Cells, j: int, w_j: Cells) -> Scalar:
        """E_ij of the fluctuations for gradients along i and j [m³]."""
        # At the minimum the derivatives of the fluctuations themselves cancel.
        w_i, w_j = jax.lax.stop_gradient((w_i, w_j))
        total = jnp.zeros((), self.grid.dtype)
        for axis, g in enumerate(conductances(self.grid, self.transmission)):
            part = g * self._slope(w_i, axis, i) * self._slope(w_j, axis, j)
            if self.grid.periodic[axis]:  # the first end is the last one
                part = jax.lax.slice_in_dim(part, 1, None, axis=axis)
            total = total + _sum(part)
        return total

    def end_fluxes(self, axis: int, w: Cells) -> tuple[Scalar, Scalar]:
        """Mean flux per area through the two ends of `axis` [per unit gradient]."""
        g = conductances(self.grid, self.transmission)[axis]
        flux = g * self._slope(w, axis, axis)
        area = jnp.sum(self.grid.volumes) / self.grid.lengths[axis]
        first = jax.lax.index_in_dim(flux, 0, axis)
        last = jax.lax.index_in_dim(flux, -1, axis)
        return _sum(first) / area, _sum(last) / area

    def _is_fixed(self, side: int, axis: int) -> bool:
        """Whether the sides of one axis hold x_i for a gradient along another."""
        if self.grid.periodic[side]:
            return False
        return self.sides == "linear" or side == axis

    def _slope(self, w: Cells, normal: int, axis: int) -> Float[Array, "..."]:
        """Δx + Δw across the faces normal to an axis, for a gradient along `axis`."""
        slope = face_difference(w, normal, self.grid.periodic[normal])
        if self._is_fixed(normal, axis):
            n = w.shape[normal]
            low = jax.lax.slice_in_dim(w, 0, 1, axis=normal)
            high = jax.lax.slice_in_dim(w, n - 1, n, axis=normal)
            inner = jax.lax.slice_in_dim(slope, 1, n, axis=normal)
            slope = jnp.concatenate([low, inner, -high], axis=normal)
        if normal == axis:
            slope = slope + along(self.grid.center_distances(axis), axis)
        return slope


def after(problem: Conduction, done: Array) -> Conduction:
    """The same problem, for a compiler that must finish `done` first."""
    transmission, _ = jax.lax.optimization_barrier((problem.transmission, done))
    return eqx.tree_at(lambda p: p.transmission, problem, transmission)


def _sum(values: Array) -> Scalar:
    """Sum in stages, so that single precision keeps its digits."""
    for _ in range(values.ndim):
        # The barrier keeps the compiler from making one long sum of them.
        values = jax.lax.optimization_barrier(jnp.sum(values, axis=-1))
    return values
