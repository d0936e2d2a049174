"""Damped Newton for coupled fields, with derivatives by the implicit function theorem.

    R(x, p) = 0:    J δ = −R,   x ← x + λ δ,     dx/dp = −J⁻¹ ∂R/∂p

Steps are held back where they would leave the range in which the equations mean
something (`AbstractSystem.held_back`), and halved until ‖R‖₂ falls. Each linear solve
is only as accurate as the step deserves (Dembo, Eisenstat & Steihaug, SIAM J. Numer.
Anal. 19 (1982) 400, doi:10.1137/0719025).

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
_FORCING = 1e-3  # of each linear solve, relative to its right-hand side
_EXACT = {"float64": 1e-10, "float32": 1e-5}  # the same for derivatives


class AbstractSystem(eqx.Module):
    """Equations R(x) = 0 for a tree of fields."""

    @abc.abstractmethod
    def residual(self, x: PyTree) -> PyTree:
        """R(x), all equations in comparable units."""

    def linearise(self, x: PyTree) -> tuple[PyTree, Any]:
        """R(x), and the Jacobian there, a linear map."""
        return jax.linearize(self.residual, x)

    @abc.abstractmethod
    def preconditioner(self, x: PyTree, jacobian: Any) -> AbstractPreconditioner:
        """Roughly the inverse of the Jacobian at x, which `linearise` gave."""

    def held_back(self, x: PyTree, step: PyTree) -> PyTree:
        """`step` from x, shorter where the equations would lose their meaning."""
        return step


class Root(eqx.Module):
    """Where Newton ended."""

    x: PyTree
    converged: Bool[Array, ""]
    newton_steps: Int[Array, ""]
    linear_iterations: Int[Array, ""]


def find_root(system: AbstractSystem, guess: PyTree, target: Scalar) -> Root:
    """x with ‖R(x)‖₂ ≤ target, from a guess. No derivative: see `followed`."""

    def unfinished(state):
        _, size, steps, _, stuck = state
        return (size > target) & (steps < _MAX_STEPS) & ~stuck

    def improve(state):
        x, _, steps, linear, _ = state
        r, jacobian = system.linearise(x)
        size = norm(r)
        solved = _solve(system, x, jacobian, scaled(-1, r), _FORCING, 0.3 * target)

        step = system.held_back(x, solved.value)

        def too_long(trial):
            _, new_size, share = trial
            fell = new_size <= (1 - 1e-4 * share) * size
            return ~fell & (share > _SHORTEST)

        def shorten(trial):
            _, _, share = trial
            share = share / 2
            new = plus(x, share, step)
            new_size = norm(system.residual(new))
            new_size = jnp.where(jnp.isfinite(new_size), new_size, jnp.inf)
            return new, new_size, share

        never = (x, jnp.full_like(size, jnp.inf), jnp.full_like(size, 2.0))
        new, new_size, _ = jax.lax.while_loop(too_long, shorten, never)
        # A guess that round-off keeps from getting better may be good enough.
        better = new_size < size
        size = jnp.where(better, new_size, size)
        counts = steps + 1, linear + solved.stats["num_steps"]
        return chosen(better, new, x), size, *counts, ~better

    unknown = jnp.full_like(target, jnp.inf)
    start = (guess, unknown, jnp.int32(0), jnp.int32(0), jnp.asarray(False))
    x, size, steps, linear, _ = jax.lax.while_loop(unfinished, improve, start)
    return Root(x, (size <= 100 * target) & all_finite(x), steps, linear)


def followed(system: AbstractSystem, root: PyTree) -> PyTree:
    """`root` of a system, as a function of the system's leaves."""
    x = jax.lax.stop_gradient(root)
    fixed = jax.lax.stop_gradient(system)
    # One more step, from a residual of exactly zero: it only carries the derivative.
    r = system.residual(x)
    nothing = plus(jax.lax.stop_gradient(r), -1, r)
    jacobian = fixed.linearise(x)[1]
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
