"""Symmetric diffusion systems: the operator, and conjugate gradients with multigrid.

Both speak lineax, so derivatives come by the implicit function theorem (one more solve
with the same operator, never through the iterations).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array

from depojax._types import Cells, Faces, Scalar, static
from depojax.fv.flux import net_outflow
from depojax.solvers.multigrid import Cycle, Hierarchy


class DiffusionOperator(lx.AbstractLinearOperator):
    """A u = (shift · mass + loss) u + div(−g grad u) on the cells of a grid.

    Symmetric, positive semidefinite. `mass` stores (pore volume), `loss` is what the
    sides with a fixed value take, `conductance` [per face] is zero at the ends of axes
    that are not periodic. With no loss and a zero shift the constant is its null space.
    """

    mass: Cells
    loss: Cells
    conductance: Faces
    shift: Scalar
    periodic: tuple[bool, bool, bool] = static()

    def mv(self, vector: Cells) -> Cells:
        outflow = net_outflow(self.conductance, vector, self.periodic)
        return (self.shift * self.mass + self.loss) * vector + outflow

    def row_sums(self) -> Cells:
        """A applied to the constant 1."""
        return self.shift * self.mass + self.loss

    def as_matrix(self) -> Array:
        size = self.in_size()
        basis = jnp.eye(size, dtype=self.mass.dtype).reshape(size, *self.mass.shape)
        return jax.vmap(self.mv)(basis).reshape(size, size).T

    def transpose(self) -> "DiffusionOperator":
        return self

    def in_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.mass.shape, self.mass.dtype)

    def out_structure(self) -> jax.ShapeDtypeStruct:
        return self.in_structure()


def _yes(operator: DiffusionOperator) -> bool:
    return True


def _no(operator: DiffusionOperator) -> bool:
    return False


def _same(operator: DiffusionOperator) -> DiffusionOperator:
    return operator


for _query in (lx.is_symmetric, lx.is_positive_semidefinite):
    _query.register(DiffusionOperator, _yes)
for _query in (
    lx.is_diagonal,
    lx.is_tridiagonal,
    lx.is_lower_triangular,
    lx.is_upper_triangular,
    lx.is_negative_semidefinite,
    lx.has_unit_diagonal,
):
    _query.register(DiffusionOperator, _no)
for _query in (lx.linearise, lx.conj):
    _query.register(DiffusionOperator, _same)
lx.materialise.register(
    DiffusionOperator,
    lambda operator: lx.MatrixLinearOperator(
        operator.as_matrix(), lx.positive_semidefinite_tag
    ),
)
lx.diagonal.register(DiffusionOperator, lambda operator: jnp.diag(operator.as_matrix()))


class SolverState(eqx.Module):
    """What `MultigridCG` needs: operator, W-cycle, and the size of the problem."""

    operator: DiffusionOperator
    cycle: Cycle
    scale: Scalar  # ‖·‖₂ that the residual is measured against, where larger than ‖b‖₂


class MultigridCG(lx.AbstractLinearSolver[SolverState]):
    """Conjugate gradients preconditioned by one multigrid W-cycle.

    Stops at ‖b − A x‖₂ ≤ rtol · max(‖b‖₂, scale): a norm over all cells (lineax's own
    CG measures entry by entry and never ends on right-hand sides that are mostly zero).
    The cycle may be of lower precision than the system. `singular` systems (closed, no
    storage) are solved in the mean-free space.

    After the last iteration a constant is added so that the residual sums to zero: the
    balance of the whole domain then closes to round-off, whatever `rtol` is.

    Good values: rtol 1e-9 in float64, 1e-5 in float32.
    """

    rtol: float
    max_steps: int = static(default=200)
    singular: bool = static(default=False)

    def init(self, operator: DiffusionOperator, options: dict[str, Any]) -> SolverState:
        """State from `options["hierarchy"]` (and `options["scale"]`, by default 0)."""
        hierarchy: Hierarchy = options["hierarchy"]
        dtype = hierarchy.levels[0].mass.dtype
        scale = options.get("scale", jnp.zeros((), operator.mass.dtype))
        return SolverState(
            operator, hierarchy.cycle(operator.shift.astype(dtype)), scale
        )

    def compute(self, state: SolverState, vector: Cells, options: dict[str, Any]):
        operator, cycle = state.operator, state.cycle
        active = (operator.mass > 0).astype(vector.dtype)
        # Closed cells have no equation; their rows are zero.
        b = self._project(vector * active, active)
        size = jnp.maximum(_norm(b), state.scale.astype(b.dtype))
        target = self.rtol * size

        def carry_on(carry):
            _, _, _, _, residual, step = carry
            return (residual > target) & (step < self.max_steps)

        def iterate(carry):
            x, r, p, previous, _, step = carry
            z = self._project(cycle(r), active)
            gamma = jnp.vdot(r, z)
            p = z + _share(gamma, previous) * p
            q = operator.mv(p)
            alpha = _share(gamma, jnp.vdot(p, q))
            x, r = x + alpha * p, r - alpha * q
            return x, r, p, gamma, _norm(r), step + 1

        zero = jnp.zeros_like(b)
        start = (zero, b, zero, jnp.zeros((), b.dtype), _norm(b), jnp.int32(0))
        x, _, _, _, residual, steps = jax.lax.while_loop(carry_on, iterate, start)
        x = (
            x
            if self.singular
            else x + self._constant(operator, b - operator.mv(x)) * active
        )
        # Above a thousand times the target the answer is not what was asked for.
        good = residual <= 1e3 * target
        result = lx.RESULTS.where(
            good, lx.RESULTS.successful, lx.RESULTS.max_steps_reached
        )
        relative = residual / jnp.where(size > 0, size, 1)
        return x, result, {"num_steps": steps, "residual": relative}

    def _project(self, u: Cells, active: Cells) -> Cells:
        if not self.singular:
            return u
        return (u - jnp.sum(u * active) / jnp.sum(active)) * active

    @staticmethod
    def _constant(operator: DiffusionOperator, residual: Cells) -> Scalar:
        total = jnp.sum(operator.row_sums())
        return jnp.where(
            total > 0, jnp.sum(residual) / jnp.where(total > 0, total, 1), 0
        )

    def transpose(self, state: SolverState, options: dict[str, Any]):
        # Another right-hand side of other units: only its own norm measures it.
        return eqx.tree_at(
            lambda s: s.scale, state, jnp.zeros_like(state.scale)
        ), options

    def conj(self, state: SolverState, options: dict[str, Any]):
        return state, options

    def assume_full_rank(self) -> bool:
        return True


def _share(part: Scalar, whole: Scalar) -> Scalar:
    """part / whole; zero for a whole that is not positive."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def _norm(u: Array) -> Scalar:
    return jnp.sqrt(jnp.vdot(u, u))
