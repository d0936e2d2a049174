"""Symmetric diffusion systems: the operator, and conjugate gradients with multigrid.

Both speak lineax, so derivatives come by the implicit function theorem (one more solve
with the same operator, never through the iterations).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool

from depojax._compile import traced_once
from depojax._types import Cells, Scalar, static
from depojax.solvers.multigrid import Cycle, Hierarchy
from depojax.solvers.stencil import (
    Padded,
    Stencil,
    dot,
    interior,
    net_outflow,
    padded,
    rows,
    stored,
    tied,
    total,
)

_LOOSER_ADJOINT, _LOOSEST_ADJOINT = 1e3, 1e-6


class DiffusionOperator(lx.AbstractLinearOperator):
    """A u = (shift · mass + loss) u + Σ g (u − u_neighbour) on the cells of a grid.

    Symmetric, positive semidefinite. `mass` stores (pore volume), `loss` is what the
    sides with a fixed value take, the stencil holds the conductances g. With no loss
    and a zero shift the constant is its null space.
    """

    mass: Cells | None  # None: nothing is stored
    loss: Cells
    stencil: Stencil
    shift: Scalar

    def mv(self, vector: Cells) -> Cells:
        return self.row_sums() * vector + net_outflow(self.stencil, vector)

    def row_sums(self) -> Cells:
        """A applied to the constant 1."""
        return self.loss if self.mass is None else self.shift * self.mass + self.loss

    def as_matrix(self) -> Array:
        size = self.in_size()
        basis = jnp.eye(size, dtype=self.loss.dtype).reshape(size, *self.loss.shape)
        return jax.vmap(self.mv)(basis).reshape(size, size).T

    def transpose(self) -> "DiffusionOperator":
        return self

    def in_structure(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.loss.shape, self.loss.dtype)

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
    """What `MultigridCG` needs; all arrays but the operator's are padded."""

    operator: DiffusionOperator
    row_sums: Padded
    active: Bool[Array, "xp plane"]  # where there is an equation
    cycle: Cycle
    rtol: Scalar
    scale: Scalar  # ‖·‖₂ that the residual is measured against, where larger than ‖b‖₂

    def apply(self, u: Padded) -> Padded:
        """A u."""
        return stored(rows(self.row_sums) * rows(u) + self.operator.stencil.outflow(u))


class MultigridCG(lx.AbstractLinearSolver[SolverState]):
    """Conjugate gradients preconditioned by one multigrid W-cycle.

    Stops at ‖b − A x‖₂ ≤ rtol · max(‖b‖₂, scale): a norm over all cells (lineax's own
    CG measures entry by entry and never ends on right-hand sides that are mostly zero).
    The cycle may be of lower precision than the system. `singular` systems (closed, no
    storage) are solved in the mean-free space.

    After the last iteration a constant is added so that the residual sums to zero: the
    balance of the whole domain then closes to round-off, whatever `rtol` is.

    Good values: rtol 1e-9 in float64, 1e-5 in float32. The transposed solves of reverse
    mode are content with a thousand times as much, up to 1e-6: what is left there
    changes the gradient by about as much, and no balance rests upon it.
    """

    rtol: float | Scalar
    max_steps: int = static(default=200)
    singular: bool = static(default=False)

    def init(self, operator: DiffusionOperator, options: dict[str, Any]) -> SolverState:
        """State from `options["hierarchy"]` (and `options["scale"]`, by default 0)."""
        hierarchy: Hierarchy = options["hierarchy"]
        row_sums = padded(operator.row_sums())
        return SolverState(
            operator=operator,
            row_sums=row_sums,
            active=stored(rows(row_sums) + operator.stencil.total() > 0),
            cycle=hierarchy.cycle(operator.shift),
            rtol=jnp.asarray(self.rtol, row_sums.dtype),
            scale=options.get("scale", jnp.zeros((), row_sums.dtype)),
        )

    def compute(self, state: SolverState, vector: Cells, options: dict[str, Any]):
        x, good, stats = _solve(state, vector, self.max_steps, self.singular)
        result = lx.RESULTS.where(
            good, lx.RESULTS.successful, lx.RESULTS.max_steps_reached
        )
        return x, result, stats

    def transpose(self, state: SolverState, options: dict[str, Any]):
        # Another right-hand side of other units: only its own norm measures it.
        loose = jnp.minimum(_LOOSER_ADJOINT * state.rtol, _LOOSEST_ADJOINT)
        rtol = jnp.maximum(state.rtol, loose)
        return eqx.tree_at(
            lambda s: (s.rtol, s.scale), state, (rtol, jnp.zeros_like(state.scale))
        ), options

    def conj(self, state: SolverState, options: dict[str, Any]):
        return state, options

    def assume_full_rank(self) -> bool:
        return True


@traced_once
def _solve(state: SolverState, vector: Cells, max_steps: int, singular: bool):
    """x, whether it is good, and how it went."""

    # Closed cells have no equation; their rows are zero.
    b = jnp.where(state.active, padded(vector), 0)
    b = _without_mean(b, state.active) if singular else b
    size = jnp.maximum(_norm(b), state.scale.astype(b.dtype))
    target = state.rtol.astype(b.dtype) * size

    def carry_on(carry):
        _, _, _, _, residual, step = carry
        return (residual > target) & (step < max_steps)

    def iterate(carry):
        x, r, p, previous, _, step = carry
        here, r = tied(state, r)
        z = here.cycle.on_padded(r)
        z = _without_mean(z, here.active) if singular else z
        gamma = dot(r, z)
        p = stored(rows(z) + _share(gamma, previous) * rows(p))
        q = here.apply(p)
        alpha = _share(gamma, dot(p, q))
        x, r = x + alpha * p, r - alpha * q
        return x, r, p, gamma, _norm(r), step + 1

    zero = jnp.zeros_like(b)
    start = (zero, b, zero, jnp.zeros((), b.dtype), _norm(b), jnp.int32(0))
    x, _, _, _, residual, steps = jax.lax.while_loop(carry_on, iterate, start)
    if not singular:
        x = x + jnp.where(state.active, _constant(state, b, x), 0)
    # Above a thousand times the target the answer is not what was asked for.
    good = residual <= 1e3 * target
    relative = residual / jnp.where(size > 0, size, 1)
    stats = {"num_steps": steps, "residual": relative}
    return interior(x, state.operator.stencil.shape), good, stats


def _without_mean(u: Padded, active: Bool[Array, "xp plane"]) -> Padded:
    mean = total(u) / total(active.astype(u.dtype))
    return jnp.where(active, u - mean, 0)


def _constant(state: SolverState, b: Padded, x: Padded) -> Scalar:
    """What closes the balance of all cells when added to x."""
    size = total(state.row_sums)
    missing = total(stored(rows(b) - rows(state.apply(x))))
    return jnp.where(size > 0, missing / jnp.where(size > 0, size, 1), 0)


def _share(part: Scalar, whole: Scalar) -> Scalar:
    """part / whole; zero for a whole that is not positive."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def _norm(u: Padded) -> Scalar:
    return jnp.sqrt(dot(u, u))
