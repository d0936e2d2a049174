"""Damped Newton for coupled fields, with derivatives by the implicit function theorem.

    R(x, p) = 0:    J δ = −R,   x ← x + λ δ,     dx/dp = −J⁻¹ ∂R/∂p

Steps are held back where they would leave the range in which the equations mean
something (`AbstractSystem.held_back`), and halved until ‖R‖₂ falls. Where it does not,
as beside a kink (metal that is used up), a few are taken all the same: what comes next
sees the other side. Each linear solve is only as accurate as the step deserves (Dembo,
Eisenstat & Steihaug, SIAM J. Numer. Anal. 19 (1982) 400, doi:10.1137/0719025).

optimistix's Newton sets up one linear solver by itself; here the preconditioner is made
anew from every iterate, and the residual, a large program, stands in few places.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Int, PyTree

from depojax._types import Scalar
from depojax.solvers.gmres import GMRES, AbstractPreconditioner
from depojax.solvers.trees import all_finite, chosen, norm, plus, scaled

_MAX_STEPS = 40
_SHORTEST = 2.0**-6  # share of a step
_LEAPS = 5  # steps after which ‖R‖₂ may be larger
_GOOD = 100.0  # times the target: near enough where round-off keeps it from more
_FORCING = 1e-3  # of each linear solve, relative to its right-hand side
_EXACT = {"float64": 1e-10, "float32": 1e-5}  # the same for derivatives


class AbstractSystem(eqx.Module):
    """Equations R(x) = 0 for a tree of fields.

    What holds at x and follows from x by equations of its own, place by place, may be
    found apart (`inner`) and is then known to residual, Jacobian and derivatives.
    """

    def inner(self, x: PyTree, guess: PyTree) -> PyTree:
        """What the residual needs to be known at x; `guess` is that of some x nearby.

        Nothing by default.
        """
        return guess

    def inner_followed(self, x: PyTree, known: PyTree) -> PyTree:
        """The `known` value of `inner` at x, as a function of x and of the system."""
        return known

    @abc.abstractmethod
    def residual(self, x: PyTree, inner: PyTree) -> PyTree:
        """R(x), all equations in comparable units."""

    def jacobian(self, x: PyTree, inner: PyTree) -> Any:
        """The derivative of R at x, a linear map."""

        def residual(x):
            return self.residual(x, self.inner_followed(x, inner))

        return jax.linearize(residual, x)[1]

    @abc.abstractmethod
    def preconditioner(self, x: PyTree, jacobian: Any) -> AbstractPreconditioner:
        """Roughly the inverse of the Jacobian at x."""

    def held_back(self, x: PyTree, step: PyTree) -> PyTree:
        """`step` from x, shorter where the equations would lose their meaning."""
        return step

    def goal(self, target: Scalar, x: PyTree, inner: PyTree) -> Scalar:
        """‖R‖₂ to come down to at x: the target, or less where little goes on."""
        return target


class Root(eqx.Module):
    """Where Newton ended."""

    x: PyTree
    inner: PyTree
    converged: Bool[Array, ""]
    newton_steps: Int[Array, ""]
    linear_iterations: Int[Array, ""]


class _Try(eqx.Module):
    """A point, and what is left of the equations there."""

    x: PyTree
    inner: PyTree
    residual: PyTree
    size: Scalar  # ‖residual‖₂, infinite where it is no number
    goal: Scalar  # for that size


def find_root(
    system: AbstractSystem,
    guess: PyTree,
    target: Scalar,
    inner: PyTree = None,
    max_steps: int = _MAX_STEPS,
) -> Root:
    """x with ‖R(x)‖₂ ≤ target, from a guess. No derivative: see `followed`.

    `inner` is a guess of what the system finds by itself. Where the system has a `goal`
    below the target, that is what is aimed at, as far as round-off lets it be.
    """

    def unfinished(state):
        *_, steps, _, _, over = state
        return ~over & (steps <= max_steps)

    def improve(state):
        # A step is tried first and thought of last: what is large stands here once.
        here, step, steps, linear, leaps, _ = state

        def too_long(carry):
            trial, share = carry
            fell = trial.size <= (1 - 1e-4 * share) * here.size
            return ~fell & (share > _SHORTEST)

        def shorten(carry):
            trial, share = carry
            share = share / 2
            x = plus(here.x, share, step)
            inner = system.inner(x, trial.inner)
            residual = system.residual(x, inner)
            size = norm(residual)
            size = jnp.where(jnp.isfinite(size), size, jnp.inf)
            goal = system.goal(target, x, inner)
            return _Try(x, inner, residual, size, goal), share

        unknown = eqx.tree_at(lambda t: t.size, here, jnp.full_like(target, jnp.nan))
        trial, _ = jax.lax.while_loop(
            too_long, shorten, (unknown, jnp.full_like(target, 2.0))
        )
        # A guess that round-off keeps from getting better may be good enough.
        better = trial.size < here.size
        leaps_on = ~better & jnp.isfinite(trial.size) & (here.size > _GOOD * target)
        leaps_on = leaps_on & (leaps < _LEAPS)
        here = chosen(better | leaps_on, trial, here)
        over = ~(better | leaps_on) | (here.size <= here.goal)

        def think():
            jacobian = system.jacobian(here.x, here.inner)
            b = scaled(-1, here.residual)
            solved = _solve(system, here.x, jacobian, b, _FORCING, 0.3 * here.goal)
            count = jnp.asarray(solved.stats["num_steps"], jnp.int32)
            return system.held_back(here.x, solved.value), count

        step, more = jax.lax.cond(over, lambda: (step, jnp.int32(0)), think)
        leaps = leaps + leaps_on.astype(jnp.int32)
        return here, step, steps + 1, linear + more, leaps, over

    zero = scaled(0, guess)
    start = _Try(guess, inner, zero, jnp.full_like(target, jnp.inf), target)
    none = jnp.int32(0)
    state = (start, zero, none, none, none, jnp.asarray(False))
    end, _, steps, linear, *_ = jax.lax.while_loop(unfinished, improve, state)
    converged = (end.size <= _GOOD * target) & all_finite(end.x)
    return Root(end.x, end.inner, converged, steps - 1, linear)


def followed(system: AbstractSystem, root: PyTree, inner: PyTree = None) -> PyTree:
    """`root` of a system, as a function of the system's leaves."""
    x = jax.lax.stop_gradient(root)
    fixed = jax.lax.stop_gradient(system)
    # One more step, from a residual of exactly zero: it only carries the derivative.
    r = system.residual(x, system.inner_followed(x, inner))
    nothing = plus(jax.lax.stop_gradient(r), -1, r)
    jacobian = fixed.jacobian(x, jax.lax.stop_gradient(inner))
    rtol = _EXACT[str(jax.tree.leaves(x)[0].dtype)]
    return plus(x, 1, _solve(fixed, x, jacobian, nothing, rtol, 0.0).value)


def _solve(
    system: AbstractSystem, x: PyTree, jacobian, b: PyTree, rtol: float, floor: Any
) -> lx.Solution:
    """J δ = b to a residual of rtol ‖b‖, or the floor where that is larger."""
    structure = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), x)
    operator = lx.FunctionLinearOperator(jacobian, structure)
    preconditioner = system.preconditioner(x, jacobian)
    options = {"preconditioner": preconditioner, "scale": floor / rtol}
    return lx.linear_solve(operator, b, GMRES(rtol), options=options, throw=False)
