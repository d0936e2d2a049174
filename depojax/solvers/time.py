"""Implicit integration in time of a balance  d m(y)/dt = F(t, y),  up to an event.

TR-BDF2 (Bank et al. 1985, doi:10.1109/T-ED.1985.22232) as the L-stable, stiffly
accurate two-stage scheme of Hosea & Shampine, Appl. Numer. Math. 20 (1996) 21,
doi:10.1016/0168-9274(95)00115-8:

    m₂ − d Δt F₂ = m₀ + d Δt F₀                 at t + γ Δt
    m₃ − d Δt F₃ = m₀ + w Δt (F₀ + F₂)          at t + Δt
    γ = 2 − √2,  d = γ/2,  w = √2/4

with their embedded third-order error estimate, damped by (m' − d Δt F')⁻¹ so that stiff
cells do not dictate the step.

Step sizes sit on a ladder, unit × 2^(k/4): a small change of a parameter leaves every
step where it was, and the run is as smooth in its parameters as the scheme itself. An
event is located by repeating the last step with shorter and shorter brackets, not by
interpolation: state and time at the event are those of a real step, and every balance
holds there.

Derivatives: the steps of the run are taken as given, and the tangent of the scheme is
propagated along them, with the event time from the implicit function theorem. The rule
is linear in the tangents, so reverse mode is its transpose. States are kept every √n
steps and those between solved for once more; known stages make the derivative of a step
one linear solve per stage. The time of a few forward runs (`benchmarks/` measures it),
O(√n) states of memory.
"""

import abc
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from depojax._checks import check_integer, check_range, refuse
from depojax._types import Scalar, as_float, quantity, static
from depojax.solvers.results import RESULTS

_GAMMA = 2 - math.sqrt(2)
_D = _GAMMA / 2
_W = math.sqrt(2) / 4
_ERROR = ((4 * _W - 1) / 3, -1 / 3, 2 * _D / 3)
_RUNGS = 4  # rungs of the step ladder per octave
_ROOT_TRIES = 60
_SKIPPED = 8  # steps that the tangent pass skips at once


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


def _as_float_if_given(value: Any) -> Scalar | None:
    return None if value is None else as_float(value)


class Steps(eqx.Module):
    """How to choose time steps: adaptively by `tolerance`, or `fixed` in seconds.

    Args:
        tolerance: largest local error per step, relative to the state's natural scale
            [-]. Good values: 1e-4 (0.1 % in Sand's time), 1e-6 for reference.
        first_step: size of the first step and of those after a switch [s].
        fixed: constant step [s] instead of the adaptive choice (order studies).
        max_steps: largest number of accepted steps.
    """

    tolerance: Scalar = quantity(default=1e-4)
    first_step: Scalar | None = eqx.field(default=None, converter=_as_float_if_given)
    fixed: Scalar | None = eqx.field(default=None, converter=_as_float_if_given)
    max_steps: int = static(default=1024)

    def __check_init__(self):
        check_range("tolerance", self.tolerance, 1e-12, 0.1, open_high=True)
        check_integer("max_steps", self.max_steps, 1)
        for name in ("first_step", "fixed"):
            value = getattr(self, name)
            if value is not None:
                check_range(name, value, 0.0, math.inf, "s", open_low=True)
        if self.fixed is not None and self.first_step is not None:
            raise refuse("first_step", "none beside fixed=", self.first_step)


class History(eqx.Module):
    """Numbers kept at the start and after every accepted step; NaN beyond the last."""

    time: Float[Array, "steps"]  # [s]
    values: dict[str, Float[Array, "steps"]]


class Run(eqx.Module):
    """A finished integration."""

    time: Scalar  # where it ended [s]
    state: Array
    event_found: Bool[Array, ""]
    steps: Int[Array, ""]
    attempts: Int[Array, ""]
    iterations: Int[Array, ""]  # of all linear solves together
    exchanged: Scalar  # ∫ exchange dt
    history: History
    memory: PyTree[Array]  # what the balance remembered
    result: RESULTS


class _Trail(eqx.Module):
    """What the tangent pass needs: the steps taken, the state before every chunk."""

    times: Float[Array, "steps"]
    sizes: Float[Array, "steps"]
    chunk_states: Array | None
    last_state: Array  # before the last step


def integrate(
    balance: AbstractBalance,
    y0: Array,
    end_time: Scalar,
    steps: Steps,
    *,
    report: Callable[..., None] | None = None,
) -> Run:
    """Integrate from t = 0 until the event or `end_time`, whichever comes first.

    `report(time, event_value)` is called on the host after every accepted step. Never
    raises: how it went is in `Run.result`. Differentiable, forward and reverse, in
    every leaf of `balance` and in `y0`.
    """
    return _integrate(balance, y0, end_time, steps, report=report)


@eqx.filter_custom_jvp
def _integrate(balance, y0, end_time, steps, *, report):
    return _march(balance, y0, end_time, steps, report, keep_states=False)[0]


@_integrate.def_jvp
def _integrate_jvp(primals, tangents, *, report):
    balance, y0, end_time, steps = primals
    t_balance, t_y0, _, _ = tangents
    run, trail = _march(balance, y0, end_time, steps, report, keep_states=True)
    t_time, t_state = _tangent(balance, y0, run, trail, t_balance, t_y0)
    t_run = jax.tree.map(lambda _: None, run)
    t_run = eqx.tree_at(
        lambda r: (r.time, r.state),
        t_run,
        (t_time, t_state),
        is_leaf=lambda x: x is None,
    )
    return run, t_run


class _Step(eqx.Module):
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


def _step(
    balance: AbstractBalance,
    t: Scalar,
    y: Array,
    dt: Scalar,
    known_stages: Array | None = None,
) -> _Step:
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
    return _Step(states, error, exchanged, jnp.all(good), jnp.sum(counts))


def _march(balance, y0, end_time, steps: Steps, report, *, keep_states: bool):
    """The adaptive run. One loop: an attempt is accepted, retried shorter, or, once the
    event lies inside, repeated with other lengths until it ends at the event."""
    dtype = y0.dtype
    end_time = jnp.asarray(end_time, dtype)
    n = steps.max_steps
    chunk = _chunk(n)
    first = steps.fixed if steps.fixed is not None else steps.first_step
    unit = jnp.asarray(1.0 if first is None else first, dtype)
    zero = jnp.zeros((), dtype)
    g0 = balance.during(zero, zero).event(zero, y0)
    event_tolerance = (1e-10 if dtype == jnp.float64 else 1e-6) * jnp.abs(g0)

    def record(history, index, t, y, held):
        values = held.observe(t, y)
        return History(
            history.time.at[index].set(t),
            {k: v.at[index].set(values[k]) for k, v in history.values.items()},
        )

    def attempt(state):
        t, y, rung = state["t"], state["y"], state["rung"]
        ladder = unit * jnp.exp2(rung.astype(dtype) / _RUNGS)
        switch = jnp.minimum(balance.next_switch(t), end_time)
        room = switch - t
        regular = jnp.minimum(ladder, room)
        # A sliver of a step left before a switch would be lost in round-off.
        regular = jnp.where(room - regular < 1e-3 * regular, room, regular)
        rooting = state["rooting"]
        dt = jnp.where(rooting, state["root_dt"], regular)
        held = balance.during(t, dt)
        step = _step(held, t, y, dt)
        new, good = step.state, step.converged
        error = held.size(held.damp(y, _D * dt, step.raw_error))
        relative = error / steps.tolerance.astype(dtype)
        finite = jnp.isfinite(relative) & jnp.all(jnp.isfinite(new))
        g_start, g = held.event(t, y), held.event(t + dt, new)
        if steps.fixed is not None:
            relative = jnp.zeros_like(relative)
        fine = finite & good & ((relative <= 1) | rooting)
        crossed = fine & (g <= 0)
        at_event = fine & (crossed | rooting) & (jnp.abs(g) <= event_tolerance)
        # Out of tries: round-off keeps the event function from coming closer.
        at_event = at_event | (fine & rooting & (state["tries"] >= _ROOT_TRIES))
        accept = fine & ~crossed & ~rooting | at_event

        bracket = _narrow(state, rooting, crossed, dt, g_start, g)
        factor = 0.9 * jnp.maximum(relative, 1e-6) ** (-1 / 3)
        change = jnp.floor(_RUNGS * jnp.log2(factor))
        change = jnp.where(finite & good, change, -2.0 * _RUNGS)
        growth = jnp.clip(change, -4 * _RUNGS, _RUNGS).astype(rung.dtype)
        shrink = jnp.minimum(growth, -1)
        grown = jnp.where(dt >= 0.99 * ladder, jnp.maximum(growth, 0), 0)
        next_rung = rung + jnp.where(
            accept, jnp.where(growth < 0, growth, grown), shrink
        )
        at_switch = accept & (dt >= room) & (t + dt < end_time)
        next_rung = jnp.where(at_switch, 0, next_rung)
        next_rung = jnp.where(rooting | crossed, rung, next_rung)
        if steps.fixed is not None:
            next_rung = rung

        count_steps = state["steps"] + accept.astype(jnp.int32)
        index = state["steps"]
        history = jax.lax.cond(
            accept,
            lambda: record(state["history"], index + 1, t + dt, new, held),
            lambda: state["history"],
        )
        if report is not None:
            jax.debug.callback(report, t + dt, g / jnp.abs(g0), accept)
        vanishing = jnp.maximum(1e-12 * unit, jnp.finfo(dtype).eps * t)
        too_small = ~accept & ~rooting & (dt <= vanishing)
        result = RESULTS.where(too_small, RESULTS.step_too_small, state["result"])
        result = RESULTS.where(too_small & ~good, RESULTS.linear_solve_failed, result)
        result = RESULTS.where(too_small & ~finite, RESULTS.nonfinite, result)
        ended = at_event | (accept & (t + dt >= end_time))
        out_of_steps = (count_steps >= n) & ~ended
        result = RESULTS.where(out_of_steps, RESULTS.max_steps_reached, result)
        trail = _keep(state["trail"], accept, index, t, y, dt, chunk)
        return {
            "t": jnp.where(accept, t + dt, t),
            "y": jnp.where(accept, new, y),
            "rung": next_rung.astype(rung.dtype),
            "steps": count_steps,
            "attempts": state["attempts"] + 1,
            "iterations": state["iterations"] + step.iterations.astype(jnp.int32),
            "exchanged": state["exchanged"] + jnp.where(accept, step.exchanged, 0),
            "event_found": at_event,
            "history": history,
            "memory": jax.lax.cond(
                accept,
                lambda: held.remember(state["memory"], t, y, dt, new),
                lambda: state["memory"],
            ),
            "trail": trail,
            "result": result,
            "done": ended | (result != RESULTS.successful),
            **bracket,
        }

    empty = jnp.full(n + 1, jnp.nan, dtype)
    held = balance.during(zero, zero)
    histories = History(empty, dict.fromkeys(held.observe(zero, y0), empty))
    start = {
        "t": zero,
        "y": y0,
        "rung": jnp.zeros((), jnp.int32),
        "steps": jnp.zeros((), jnp.int32),
        "attempts": jnp.zeros((), jnp.int32),
        "iterations": jnp.zeros((), jnp.int32),
        "exchanged": zero,
        "event_found": jnp.asarray(False),
        "history": record(histories, 0, zero, y0, held),
        "memory": balance.begin(y0),
        "trail": _Trail(
            jnp.zeros(n, dtype),
            jnp.zeros(n, dtype),
            jnp.zeros((n // chunk + 1, *y0.shape), dtype) if keep_states else None,
            y0,
        ),
        "result": RESULTS.successful,
        "done": (end_time <= 0) | (g0 <= 0),
        "rooting": jnp.asarray(False),
        "root_dt": zero,
        "tries": jnp.zeros((), jnp.int32),
        "side": jnp.zeros((), jnp.int32),
        "low": zero,
        "g_low": g0,
        "high": zero,
        "g_high": g0,
    }
    stop = jax.lax.stop_gradient
    final = jax.lax.while_loop(lambda s: ~s["done"], attempt, stop(start))
    run = Run(
        time=final["t"],
        state=final["y"],
        event_found=final["event_found"],
        steps=final["steps"],
        attempts=final["attempts"],
        iterations=final["iterations"],
        exchanged=final["exchanged"],
        history=final["history"],
        memory=final["memory"],
        result=RESULTS.where(
            (g0 <= 0) & (end_time > 0), RESULTS.event_at_start, final["result"]
        ),
    )
    return run, final["trail"]


def _narrow(state, rooting, crossed, dt, g_start, g) -> dict[str, Any]:
    """The bracket of the event after an attempt of length dt that ended with value g.

    Illinois: false position, where an end that stays twice counts half.
    """
    opened = crossed & ~rooting
    low = jnp.where(opened, 0.0, state["low"])
    g_low = jnp.where(opened, g_start, state["g_low"])
    high = jnp.where(opened, dt, state["high"])
    g_high = jnp.where(opened, g, state["g_high"])
    above = rooting & (g > 0)  # the event lies beyond this attempt
    below = rooting & ~(g > 0)
    side = jnp.where(opened, 0, jnp.where(above, 1, jnp.where(below, -1, 0)))
    again = (side != 0) & (side == state["side"])
    kept_high = jnp.where(again, g_high / 2, g_high)
    kept_low = jnp.where(again, g_low / 2, g_low)
    low, g_low, g_high = (
        jnp.where(above, dt, low),
        jnp.where(above, g, jnp.where(below, kept_low, g_low)),
        jnp.where(below, g, jnp.where(above, kept_high, g_high)),
    )
    high = jnp.where(below, dt, high)
    spread = g_low - g_high
    share = jnp.clip(g_low / jnp.where(spread > 0, spread, 1), 1e-3, 1 - 1e-3)
    return {
        "rooting": rooting | crossed,
        "root_dt": low + share * (high - low),
        "tries": state["tries"] + rooting.astype(jnp.int32),
        "side": side.astype(jnp.int32),
        "low": low,
        "g_low": g_low,
        "high": high,
        "g_high": g_high,
    }


def _keep(trail: _Trail, accept, index, t, y, dt, chunk: int) -> _Trail:
    """Note an accepted step, and its starting state where a chunk of steps begins."""
    index = jnp.where(accept, index, trail.times.shape[0])  # out of range: dropped
    chunk_states = trail.chunk_states
    if chunk_states is not None:
        begins = accept & (index % chunk == 0)
        slot = jnp.where(begins, index // chunk, chunk_states.shape[0])
        chunk_states = chunk_states.at[slot].set(y, mode="drop")
    return _Trail(
        trail.times.at[index].set(t, mode="drop"),
        trail.sizes.at[index].set(dt, mode="drop"),
        chunk_states,
        jnp.where(accept, y, trail.last_state),
    )


def _chunk(max_steps: int) -> int:
    return max(1, math.isqrt(max_steps))


def _tangent(balance, y0, run: Run, trail: _Trail, t_balance, t_y0):
    """Tangents of (time, state) along the steps of a finished run."""
    n = trail.sizes.shape[0]
    chunk = _chunk(n)
    pieces = n // chunk + 1

    def in_chunks(values):
        return jnp.pad(values, (0, pieces * chunk - n)).reshape(pieces, chunk)

    index = jnp.arange(n, dtype=run.steps.dtype)
    regular = index < run.steps - 1  # the last one comes apart
    sizes = in_chunks(jnp.where(regular, trail.sizes, 0.0))
    times = in_chunks(trail.times)

    def solved(y, piece):
        """The states at the start and in the stages of every step of a chunk."""

        def one(y, step):
            t, dt = step

            def stages():
                return _step(balance.during(t, dt), t, y, dt).stages

            taken = jax.lax.cond(dt > 0, stages, lambda: jnp.stack([y, y]))
            return taken[1], (y, taken)

        return jax.lax.scan(one, y, piece)[1]

    def through_step(t_y, known):
        t, dt, y, stages = known

        def advance(balance, y):
            return _step(balance.during(t, dt), t, y, dt, stages).state

        return eqx.filter_jvp(advance, (balance, y), (t_balance, t_y))[1]

    def through_chunk(t_y, piece):
        y, times, sizes = piece
        starts, stages = jax.lax.stop_gradient(solved(y, (times, sizes)))
        known = (times, sizes, starts, stages)
        return _scan_taken(through_step, t_y, known, sizes > 0)

    t_y0 = jnp.zeros_like(y0) if t_y0 is None else t_y0
    chunks = (trail.chunk_states, times, sizes)
    t_y = _scan_taken(through_chunk, t_y0, chunks, sizes[:, 0] > 0)

    # The last step, whose length the event decides:  g(t + dt, y(dt)) = 0.
    last = jnp.maximum(run.steps - 1, 0)
    took = run.steps > 0
    # A run of no steps has no last one: any length keeps its unused solves sane.
    t, dt = trail.times[last], jnp.where(took, trail.sizes[last], 1.0)

    stages = jax.lax.stop_gradient(
        _step(balance.during(t, dt), t, trail.last_state, dt).stages
    )

    def last_step(balance, y, dt):
        held = balance.during(t, dt)
        state = _step(held, t, y, dt, stages).state
        return state, held.event(t + dt, state)

    (_, _), (moved, g_moved) = eqx.filter_jvp(
        lambda b, y: last_step(b, y, dt), (balance, trail.last_state), (t_balance, t_y)
    )
    (_, _), (velocity, g_rate) = jax.jvp(
        lambda dt: last_step(balance, trail.last_state, dt), (dt,), (jnp.ones_like(dt),)
    )
    found = run.event_found & (g_rate != 0)
    t_time = jnp.where(found, -g_moved / jnp.where(found, g_rate, 1), 0)
    t_state = jnp.where(took, moved + velocity * t_time, t_y)
    return t_time, t_state


def _scan_taken(function, carry, xs, taken: Bool[Array, "n"]):
    """`carry` after `function` for those of `xs` that are `taken`, a leading part.

    In reverse mode a step that is not taken still adds zeros to every cotangent. So
    steps are skipped by eights first, then one by one.
    """
    n = taken.shape[0]
    padding = -n % _SKIPPED

    def by_eights(x):
        x = jnp.pad(x, [(0, padding), *[(0, 0)] * (x.ndim - 1)])
        return x.reshape(-1, _SKIPPED, *x.shape[1:])

    # Checkpoints around the choices: what a choice keeps for reverse mode it copies,
    # the arrays of the balance included.
    @jax.checkpoint
    def one(carry, now):
        x, here = now
        return jax.lax.cond(here, lambda: function(carry, x), lambda: carry), None

    @jax.checkpoint
    def eight(carry, now):
        _, here = now

        def each():
            return jax.lax.scan(one, carry, now)[0]

        return jax.lax.cond(here[0], each, lambda: carry), None

    return jax.lax.scan(eight, carry, jax.tree.map(by_eights, (xs, taken)))[0]
