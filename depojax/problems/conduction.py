"""Steady conduction through one phase of a host: from mean gradient to tensor.

With a mean gradient of 1 along axis i the potential is u = x_i + w, and w minimises

    E_ii = Σ_faces g (Δx_i + Δw_i)²,      D_ij = E_ij / V,  E_ij = Σ g (…)_i (…)_j

over all w that vanish on the sides where the potential is prescribed. Everything
follows from two properties of that minimum: its value is an upper bound with an error
of second order in that of w, and its derivative with respect to the conductances is
the explicit one alone, (Δx + Δw)². So the effective tensor needs a field of low
accuracy, and its gradient needs no further solve.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Int

from depojax._types import Cells, Faces, Scalar, static
from depojax.fv.grid import Grid, along
from depojax.fv.operators import conductances, face_difference, without_ends
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import Hierarchy, build_hierarchy, face_sum

Sides = Literal["insulated", "linear"]


class Fluctuation(eqx.Module):
    """The solution for a mean gradient of 1 along one axis."""

    potential: Cells  # w [m]
    active: Bool[Array, "x y z"]  # where there is an equation
    slopes: Faces  # Δx + Δw across every face, the ends included [m]
    iterations: Int[Array, ""]
    residual: Scalar  # relative to the right-hand side, ‖·‖₂ [-]
    converged: Bool[Array, ""]


class Conduction(eqx.Module):
    """∇·(T ∇u) = 0 on a grid, T the transmission of the faces (1 for an open box)."""

    grid: Grid
    conductance: Faces  # with those of the ends, half a cell each [m]
    ends: tuple[tuple[bool, ...], ...] = static()  # [axis][gradient's axis] prescribed

    def fluctuation(
        self, axis: int, rtol: float, cycle_dtype=jnp.float32
    ) -> Fluctuation:
        """w for a mean gradient along `axis`, to a relative residual `rtol`."""
        operator, hierarchy = self._system(axis, cycle_dtype)
        b = self._drive(axis)
        solver = MultigridCG(rtol=rtol)
        # An open box has nothing to solve: its residual is measured by the flux.
        entering = self.conductance[axis] * along(
            self.grid.center_distances(axis), axis
        )
        entering = jax.lax.index_in_dim(entering, 0, axis)
        scale = jax.lax.stop_gradient(jnp.sqrt(jnp.sum(entering**2)))
        state = solver.init(operator, {"hierarchy": hierarchy, "scale": scale})
        solution = lx.linear_solve(operator, b, solver, state=state, throw=False)
        w = solution.value
        slopes = self._slopes(w, axis)
        good = solution.result == lx.RESULTS.successful
        stats = solution.stats
        return Fluctuation(
            potential=w,
            active=operator.mass > 0,
            slopes=slopes,
            iterations=stats["num_steps"],
            residual=stats["residual"],
            converged=good,
        )

    def energy(self, first: Faces, second: Faces) -> Scalar:
        """Σ g (Δu)(Δv) over all faces [m³]; the gradient is that of g alone."""
        # At the minimum the fields' own derivatives cancel.
        first, second = jax.lax.stop_gradient((first, second))
        total = jnp.zeros((), self.conductance[0].dtype)
        for axis, (g, u, v) in enumerate(
            zip(self.conductance, first, second, strict=True)
        ):
            part = g * u * v
            if self.grid.periodic[axis]:  # the first end is the last one
                part = jax.lax.slice_in_dim(part, 1, None, axis=axis)
            total = total + _sum(part)
        return total

    def end_fluxes(self, slopes: Faces, axis: int) -> tuple[Scalar, Scalar]:
        """Mean flux per area through the two ends of `axis` [per unit gradient]."""
        flux = self.conductance[axis] * slopes[axis]
        area = self.grid.volumes.sum() / self.grid.lengths[axis]
        first = jax.lax.index_in_dim(flux, 0, axis)
        last = jax.lax.index_in_dim(flux, -1, axis)
        return _sum(first) / area, _sum(last) / area

    def _system(self, axis: int, dtype) -> tuple[DiffusionOperator, Hierarchy]:
        grid, g = self.grid, self.conductance
        loss = jnp.zeros(grid.shape, g[0].dtype)
        for a in range(3):
            if self.ends[a][axis]:
                for end in (0, -1):
                    cells = (slice(None),) * a + (end,)
                    loss = loss.at[cells].add(g[a][cells])
        inner = without_ends(g, grid.periodic)
        zero = jnp.zeros((), loss.dtype)
        # Nothing is stored; what has no open face has no equation.
        mass = jax.lax.stop_gradient(loss + face_sum(inner) > 0).astype(loss.dtype)
        operator = DiffusionOperator(mass, loss, inner, zero, grid.periodic)

        def low(x):
            return jax.lax.stop_gradient(x).astype(dtype)

        hierarchy = build_hierarchy(
            jax.tree.map(low, grid), low(mass), low(loss), jax.tree.map(low, inner)
        )
        return operator, hierarchy

    def _drive(self, axis: int) -> Cells:
        """Net outflow of each cell in the mean gradient alone."""
        distance = along(self.grid.center_distances(axis), axis)
        return jnp.diff(self.conductance[axis] * distance, axis=axis)

    def _slopes(self, w: Cells, axis: int) -> Faces:
        slopes = []
        for a in range(3):
            difference = face_difference(w, a, self.grid.periodic[a])
            if self.ends[a][axis]:
                n = w.shape[a]
                low = jax.lax.slice_in_dim(w, 0, 1, axis=a)
                high = jax.lax.slice_in_dim(w, n - 1, n, axis=a)
                inner = jax.lax.slice_in_dim(difference, 1, n, axis=a)
                difference = jnp.concatenate([low, inner, -high], axis=a)
            if a == axis:
                difference = difference + along(self.grid.center_distances(a), a)
            slopes.append(difference)
        x, y, z = slopes
        return x, y, z


def conduction(
    grid: Grid, transmission: Faces, sides: Sides = "insulated"
) -> Conduction:
    """The problem on a grid. Axes that are periodic stay so; the sides of the others

    are "insulated" (mirrors, but for the two ends of the gradient's own axis), or all
    hold the "linear" potential x_i.
    """
    ends = tuple(
        tuple(not wraps and (sides == "linear" or a == axis) for axis in range(3))
        for a, wraps in enumerate(grid.periodic)
    )
    return Conduction(grid, conductances(grid, transmission), ends)


def after(problem: Conduction, done: Array) -> Conduction:
    """The same problem, for a compiler that must finish `done` first."""
    conductance, _ = jax.lax.optimization_barrier((problem.conductance, done))
    return eqx.tree_at(lambda p: p.conductance, problem, conductance)


def _sum(values: Array) -> Scalar:
    """Sum in stages, so that single precision keeps its digits."""
    for _ in range(values.ndim):
        # The barrier keeps the compiler from making one long sum of them.
        values = jax.lax.optimization_barrier(jnp.sum(values, axis=-1))
    return values
