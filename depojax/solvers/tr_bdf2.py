"""TR-BDF2: one implicit step in time of a balance  d m(y)/dt = F(t, y), and its error.

Bank et al. 1985, doi:10.1109/T-ED.1985.22232, as the L-stable, stiffly accurate
two-stage scheme of Hosea & Shampine, Appl. Numer. Math. 20 (1996) 21,
doi:10.1016/0168-9274(95)00115-8:

    m₂ − d Δt F₂ = m₀ + d Δt F₀                 at t + γ Δt
    m₃ − d Δt F₃ = m₀ + w Δt (F₀ + F₂)          at t + Δt
    γ = 2 − √2,  d = γ/2,  w = √2/4

with their embedded third-order error estimate, damped by (m' − d Δt F')⁻¹ so that stiff
cells do not dictate the step.

Step sizes sit on a ladder, unit × 2^(k/4): a small change of a parameter leaves every
step where it was, and the run is as smooth in its parameters as the scheme itself.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from depojax._types import Scalar

_GAMMA = 2 - math.sqrt(2)
_D = _GAMMA / 2
_W = math.sqrt(2) / 4
_ERROR = ((4 * _W - 1) / 3, -1 / 3, 2 * _D / 3)
_RUNGS = 4  # rungs of the step ladder per octave


class AbstractBalance(eqx.Module):
    """What an integrator needs of a model: storage, rate, and one implicit solve."""

    @abc.abstractmethod
    def storage(self, y: Array) -> Array:
        """m(y), the conserved amount in every cell."""

    @abc.abstractmethod
    def rate(self, t: Scalar, y: Array) -> Array:
        """F(t, y), what every cell gains per time."""

    @abc.abstractmethod
    def exchange(self, t: Scalar, y: Array) -> Scalar:
        """Amount that enters the domain per time, reckoned at its boundaries alone."""

    @abc.abstractmethod
    def solve_stage(
        self, t: Scalar, known: Array, a: Scalar, guess: Array
    ) -> tuple[Array, Bool[Array, ""], Int[Array, ""]]:
        """y with m(y) − a F(t, y) = known; whether it converged; iterations."""

    @abc.abstractmethod
    def damp(self, y: Array, a: Scalar, error: Array) -> Array:
        """Roughly (m' − a F')⁻¹ error: the error estimate in units of y."""

    def size(self, error: Array) -> Scalar:
        """The size of a local error that the tolerance bounds."""
        return jnp.max(jnp.abs(error))

    @abc.abstractmethod
    def event(self, t: Scalar, y: Array) -> Scalar:
        """Positive before the event; the run ends where it falls to zero."""

    @abc.abstractmethod
    def observe(self, t: Scalar, y: Array) -> dict[str, Scalar]:
        """Small numbers to keep at every accepted step."""

    def during(self, t: Scalar, dt: Scalar) -> "AbstractBalance":
        """The balance for the step from t to t + dt (forcing averaged over it)."""
        return self

    def next_switch(self, t: Scalar) -> Scalar:
        """The next time after t at which the forcing jumps; steps end there."""
        return jnp.full_like(t, jnp.inf)

    def begin(self, y0: Array) -> PyTree[Array]:
        """What `remember` gathers over the run, at its start (nothing by default)."""
        return None

    def remember(
        self, memory: PyTree[Array], t: Scalar, y: Array, dt: Scalar, new: Array
    ) -> PyTree[Array]:
        """`memory` after the accepted step from (t, y) to (t + dt, new)."""
        return memory


class Step(eqx.Module):
    """What one TR-BDF2 step gives."""

    stages: Float[Array, "2 ..."]  # states at t + γ Δt and t + Δt
    raw_error: Array  # in units of the storage
    exchanged: Scalar
    converged: Bool[Array, ""]
    iterations: Int[Array, ""]

    @property
    def state(self) -> Array:
        """The state after the step."""
        return self.stages[1]


def take_step(
    balance: AbstractBalance,
    t: Scalar,
    y: Array,
    dt: Scalar,
    known_stages: Array | None = None,
) -> Step:
    """One TR-BDF2 step. Stages that are known already are guesses that cost nothing."""
    m0, f0, e0 = balance.storage(y), balance.rate(t, y), balance.exchange(t, y)

    def stage(carry, now):
        slope, guess = carry
        c, known = now
        guess = guess if known is None else known
        at = t + c * dt
        new, good, count = balance.solve_stage(at, m0 + dt * slope, _D * dt, guess)
        f = balance.rate(at, new)
        # After the first stage: both the slope and a linear guess for the second.
        onward = (_W * (f0 + f), y + (new - y) / _GAMMA)
        return onward, (new, f, balance.exchange(at, new), good, count)

    stages = jnp.asarray([_GAMMA, 1.0], y.dtype)
    _, (states, rates, exchanges, good, counts) = jax.lax.scan(
        stage, (_D * f0, y), (stages, known_stages)
    )
    error = dt * (_ERROR[0] * f0 + _ERROR[1] * rates[0] + _ERROR[2] * rates[1])
    exchanged = dt * (_W * (e0 + exchanges[0]) + _D * exchanges[1])
    return Step(states, error, exchanged, jnp.all(good), jnp.sum(counts))


def local_error(balance: AbstractBalance, y: Array, dt: Scalar, step: Step) -> Scalar:
    """The size of the error that `step` from y made; what the tolerance bounds."""
    return balance.size(balance.damp(y, _D * dt, step.raw_error))


def ladder_step(unit: Scalar, rung: Int[Array, ""]) -> Scalar:
    """The step size on a rung of the ladder; rung 0 is `unit`."""
    return unit * jnp.exp2(rung.astype(unit.dtype) / _RUNGS)


def rungs_to_climb(relative_error: Scalar, usable: Bool[Array, ""]) -> Int[Array, ""]:
    """By how many rungs the next step should be longer, or (negative) shorter.

    `relative_error` is in units of the tolerance. A step that is not `usable` (unsolved
    or not finite) says nothing by its error: two octaves down.
    """
    factor = 0.9 * jnp.maximum(relative_error, 1e-6) ** (-1 / 3)
    change = jnp.floor(_RUNGS * jnp.log2(factor))
    change = jnp.where(usable, change, -2.0 * _RUNGS)
    return jnp.clip(change, -4 * _RUNGS, _RUNGS).astype(jnp.int32)
