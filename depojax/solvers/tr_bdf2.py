"""TR-BDF2: one implicit step in time of a balance  d m(y)/dt = F(t, y), and its error.

Bank et al. 1985, doi:10.1109/T-ED.1985.22232, as the L-stable, stiffly accurate
two-stage scheme of Hosea & Shampine, Appl. Numer. Math. 20 (1996) 21,
doi:10.1016/0168-9274(95)00115-8:

    m₂ − d Δt F₂ = m₀ + d Δt F₀                 at t + γ Δt
    m₃ − d Δt F₃ = m₀ + w Δt (F₀ + F₂)          at t + Δt
    γ = 2 − √2,  d = γ/2,  w = √2/4

with their embedded third-order error estimate, damped by (m' − d Δt F')⁻¹ so that stiff
cells do not dictate the step.

The first step after a jump is two of backward Euler, of γ Δt and (1 − γ) Δt: they damp
what the jump left out of balance, where a trapezoid would throw it to the other side
(Rannacher, Numer. Math. 43 (1984) 309, doi:10.1007/BF01390130).

Step sizes sit on a ladder, unit × 2^(k/4): a small change of a parameter leaves every
step where it was, and the run is as smooth in its parameters as the scheme itself.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from depojax._types import Scalar
from depojax.solvers.results import RESULTS
from depojax.solvers.trees import chosen, plus, scaled

_GAMMA = 2 - math.sqrt(2)
_D = _GAMMA / 2
STAGES = (_GAMMA, 1.0)  # where stages end, in steps
_W = math.sqrt(2) / 4
_ERROR = ((4 * _W - 1) / 3, -1 / 3, 2 * _D / 3)
_RUNGS = 4  # rungs of the step ladder per octave

State = PyTree[Array]


class AbstractBalance(eqx.Module):
    """What an integrator needs of a model: storage, rate, and one implicit solve.

    A state y is an array or any tree of them. What stores nothing (an unknown that an
    algebraic equation decides) has zeros in storage and rate: `solve_stage` alone knows
    its equation.
    """

    @abc.abstractmethod
    def storage(self, y: State) -> State:
        """m(y), the conserved amount in every cell."""

    @abc.abstractmethod
    def rate(self, t: Scalar, y: State) -> State:
        """F(t, y), what every cell gains per time."""

    @abc.abstractmethod
    def exchange(self, t: Scalar, y: State, rate: State) -> Scalar:
        """Amount that enters the domain per time, best reckoned at its boundaries."""

    @abc.abstractmethod
    def solve_stage(
        self, t: Scalar, known: State, a: Scalar, guess: State
    ) -> tuple[State, Bool[Array, ""], Int[Array, "..."]]:
        """y with m(y) − a F(t, y) = known; whether it converged; iterations."""

    def follow_stage(self, t: Scalar, known: State, a: Scalar, y: State) -> State:
        """y, which solves the stage, as a function of all that it depends on."""
        return self.solve_stage(t, known, a, y)[0]

    @abc.abstractmethod
    def damp(self, y: State, a: Scalar, error: State) -> State:
        """Roughly (m' − a F')⁻¹ error: the error estimate in units of y."""

    def uncounted(self) -> Int[Array, "..."]:
        """Zero iterations, in the shape in which `solve_stage` counts them."""
        return jnp.zeros((), jnp.int32)

    def size(self, error: State) -> Scalar:
        """The size of a local error that the tolerance bounds."""
        parts = [jnp.max(jnp.abs(part)) for part in jax.tree.leaves(error)]
        return jnp.max(jnp.stack(parts))

    @abc.abstractmethod
    def event(self, t: Scalar, y: State) -> Scalar:
        """Positive before the event; the run ends where it falls to zero."""

    @abc.abstractmethod
    def observe(self, t: Scalar, y: State) -> dict[str, Scalar]:
        """Small numbers to keep at every accepted step."""

    def during(self, t: Scalar, dt: Scalar) -> "AbstractBalance":
        """The balance for the step from t to t + dt (forcing averaged over it)."""
        return self

    @property
    def failure(self) -> RESULTS:
        """What it means when no step is short enough for `solve_stage`."""
        return RESULTS.linear_solve_failed

    def next_switch(self, t: Scalar) -> Scalar:
        """The next time after t at which the forcing jumps; steps end there."""
        return jnp.full_like(t, jnp.inf)

    @property
    def damping_time(self) -> Scalar | None:
        """How long a run's first step may be at most, if longer than the next [s].

        For balances that begin out of balance, with what shall be damped and not seen.
        """
        return None

    @property
    def settling_time(self) -> Scalar | None:
        """How long the first step after a jump of the forcing takes [s].

        What nothing stores follows the jump within it, and what is stored does not
        notice. None where everything is stored.
        """
        return None

    def begin(self, y0: State) -> PyTree[Array]:
        """What `remember` gathers over the run, at its start (nothing by default)."""
        return None

    def remember(
        self, memory: PyTree[Array], t: Scalar, y: State, dt: Scalar, new: State
    ) -> PyTree[Array]:
        """`memory` after the accepted step from (t, y) to (t + dt, new)."""
        return memory


class Step(eqx.Module):
    """What one TR-BDF2 step gives."""

    stages: State  # at t + γ Δt and t + Δt, along a first axis
    raw_error: State  # in units of the storage
    exchanged: Scalar
    converged: Bool[Array, ""]
    iterations: Int[Array, "..."]

    @property
    def state(self) -> State:
        """The state after the step."""
        return jax.tree.map(lambda both: both[1], self.stages)


class Pace(eqx.Module):
    """How fast the state changes, as far as steps before have told."""

    slopes: State  # up to t + γ Δt and up to t + Δt, along a first axis
    by_same_step: Bool[Array, ""]  # told by a try of this step, of another length

    @classmethod
    def unknown(cls, y: State) -> "Pace":
        """Nothing changes."""
        slopes = jax.tree.map(lambda a: jnp.zeros((2, *a.shape), a.dtype), y)
        return cls(slopes, jnp.asarray(False))

    def after(self, y: State, dt: Scalar, step: "Step", accepted, trusted) -> "Pace":
        """What a step from y, accepted or to be tried again, tells of the next.

        Nothing, unless it is `trusted`.
        """
        lengths = dt * jnp.asarray(STAGES, dt.dtype)

        def onward(a, both):
            last = (both[1] - both[0]) / (lengths[1] - lengths[0])
            along = (both - a) / lengths.reshape(2, *[1] * a.ndim)
            return jnp.where(trusted, jnp.where(accepted, last, along), 0)

        return Pace(jax.tree.map(onward, y, step.stages), trusted & ~accepted)


def take_step(
    balance: AbstractBalance,
    t: Scalar,
    y: State,
    dt: Scalar,
    known_stages: State | None = None,
    pace: "Pace | None" = None,
    damped: Bool[Array, ""] | bool = False,
) -> Step:
    """One TR-BDF2 step. Stages that are known already are followed, not solved for.

    What `pace` says of the way ahead is where the solves begin. A `damped` step is two
    of backward Euler.
    """
    m0, f0 = balance.storage(y), balance.rate(t, y)
    e0 = balance.exchange(t, y, f0)
    damped = jnp.asarray(damped)

    def of(trapezoid, euler):
        both = jnp.asarray([trapezoid, euler], dt.dtype)
        return jnp.where(damped, both[1], both[0])

    onto_first, onto_second = of(_D, 0.0), of((_W, _W), (0.0, _GAMMA))

    def stage(carry, now):
        slope, guess = carry
        c, d, known, ahead = now
        at, start = t + c * dt, plus(m0, dt, slope)
        if ahead is not None:
            trusted, slopes = ahead
            guess = chosen(trusted, plus(y, c * dt, slopes), guess)
        if known is None:
            new, good, count = balance.solve_stage(at, start, d * dt, guess)
        else:
            new = balance.follow_stage(at, start, d * dt, known)
            good, count = jnp.asarray(True), balance.uncounted()
        f = balance.rate(at, new)
        # After the first stage: both the slope and a linear guess for the second.
        u, v = onto_second
        slope = plus(scaled(u, f0), v, f)
        onward = (slope, chosen(damped, new, jax.tree.map(_extrapolated, y, new)))
        return onward, (new, f, balance.exchange(at, new, f), good, count)

    stages = jnp.asarray(STAGES, dt.dtype)
    implicit = of((_D, _D), (_GAMMA, 1 - _GAMMA))
    ahead = None
    if pace is not None:
        first = jnp.asarray(True)
        ahead = (jnp.stack([first, pace.by_same_step]), pace.slopes)
    _, (states, rates, exchanges, good, counts) = jax.lax.scan(
        stage, (scaled(onto_first, f0), y), (stages, implicit, known_stages, ahead)
    )
    a, b, c = _ERROR
    error = jax.tree.map(lambda f0, f: dt * (a * f0 + b * f[0] + c * f[1]), f0, rates)
    u, v = onto_second
    exchanged = dt * (u * e0 + v * exchanges[0] + implicit[1] * exchanges[1])
    return Step(states, error, exchanged, jnp.all(good), jnp.sum(counts, 0))


def _extrapolated(y: Array, new: Array) -> Array:
    return y + (new - y) / _GAMMA


def local_error(balance: AbstractBalance, y: State, dt: Scalar, step: Step) -> Scalar:
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
