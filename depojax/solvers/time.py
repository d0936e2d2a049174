"""Implicit integration in time of a balance  d m(y)/dt = F(t, y),  up to an event.

Steps are those of `tr_bdf2`, as long as the tolerance lets them be. An event is located
by repeating the last step with shorter and shorter brackets, not by interpolation:
state and time at the event are those of a real step, and every balance holds there.
Derivatives are those of the scheme along the steps of the run, see `tangent`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from depojax._checks import check_integer, check_range, refuse
from depojax._types import Scalar, as_float, quantity, static
from depojax.solvers.results import RESULTS
from depojax.solvers.tangent import begin_trail, keep_step, tangent
from depojax.solvers.tr_bdf2 import (
    AbstractBalance,
    Pace,
    State,
    ladder_step,
    local_error,
    rungs_to_climb,
    take_step,
)
from depojax.solvers.trees import all_finite, chosen

_ROOT_TRIES = 60
_IN_SIGHT = 0.75  # of a step: an event that seems nearer is aimed at


def _as_float_if_given(value: Any) -> Scalar | None:
    return None if value is None else as_float(value)


class Steps(eqx.Module):
    """How to choose time steps: adaptively by `tolerance`, or `fixed` in seconds.

    Args:
        tolerance: largest local error per step, relative to the state's natural scale
            [-]. Good values: 1e-4 (0.1 % in Sand's time), 1e-6 for reference.
        first_step: size of the first step and of those after a switch [s].
        fixed: constant step [s] instead of the adaptive choice (order studies); shorter
            where a step has no solution, as just before depletion.
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
    state: State
    event_found: Bool[Array, ""]
    steps: Int[Array, ""]
    attempts: Int[Array, ""]
    iterations: Int[Array, "..."]  # of all solves together
    exchanged: Scalar  # ∫ exchange dt
    history: History
    memory: PyTree[Array]  # what the balance remembered
    result: RESULTS


def integrate(
    balance: AbstractBalance,
    y0: State,
    end_time: Scalar,
    steps: Steps,
    *,
    report: Callable[..., None] | None = None,
) -> Run:
    """Integrate from t = 0 until the event or `end_time`, whichever comes first.

    `report(time, event_value, accepted)` is called on the host after every try of a
    step. Never raises: how it went is in `Run.result`. Differentiable, forward and
    reverse, in every leaf of `balance` and in `y0`.
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
    t_time, t_state = tangent(
        balance, y0, trail, run.steps, run.event_found, t_balance, t_y0
    )
    t_run = jax.tree.map(lambda _: None, run)
    t_run = eqx.tree_at(
        lambda r: (r.time, r.state),
        t_run,
        (t_time, t_state),
        is_leaf=lambda x: x is None,
    )
    return run, t_run


def _march(balance, y0, end_time, steps: Steps, report, *, keep_states: bool):
    """The adaptive run. One loop: an attempt is accepted, retried shorter, or, once the
    event lies inside, repeated with other lengths until it ends at the event."""
    dtype = jax.tree.leaves(y0)[0].dtype
    end_time = jnp.asarray(end_time, dtype)
    n = steps.max_steps
    first = steps.fixed if steps.fixed is not None else steps.first_step
    unit = jnp.asarray(1.0 if first is None else first, dtype)
    zero = jnp.zeros((), dtype)
    settling = balance.settling_time
    g0 = balance.during(zero, zero).event(zero, y0)
    # Before what is algebraic has settled, the event function says nothing yet.
    size = jnp.abs(g0) if settling is None else jnp.ones_like(g0)
    event_tolerance = (1e-10 if dtype == jnp.float64 else 1e-6) * size

    def record(history, index, t, y, held):
        values = held.observe(t, y)
        return History(
            history.time.at[index].set(t),
            {k: v.at[index].set(values[k]) for k, v in history.values.items()},
        )

    def attempt(state):
        t, y, rung = state["t"], state["y"], state["rung"]
        ladder = ladder_step(unit, rung)
        switch = jnp.minimum(balance.next_switch(t), end_time)
        room = switch - t
        regular = jnp.minimum(ladder, room)
        # A sliver of a step left before a switch would be lost in round-off.
        regular = jnp.where(room - regular < 1e-3 * regular, room, regular)
        if settling is not None:
            regular = jnp.where(state["jumped"], jnp.minimum(settling, room), regular)
        # Beyond an event a step may have no solution: one in sight is walked up to.
        seen = state["g"] / jnp.where(state["fall"] > 0, state["fall"], 1.0)
        aims = (state["fall"] > 0) & (seen < _IN_SIGHT * regular)
        aims = aims & ~(state["rooting"] | state["aimed"] | state["jumped"])
        dt = jnp.where(state["rooting"], state["root_dt"], regular)
        dt = jnp.where(aims, jnp.maximum(seen, 1e-3 * regular), dt)
        rooting, open_ended = state["rooting"] | aims, state["open_ended"] | aims
        held = balance.during(t, dt)
        step = take_step(held, t, y, dt, pace=state["pace"])
        new, good = step.state, step.converged
        relative = local_error(held, y, dt, step) / steps.tolerance.astype(dtype)
        finite = jnp.isfinite(relative) & all_finite(new)
        g_start, g = held.event(t, y), held.event(t + dt, new)
        if steps.fixed is not None:
            relative = jnp.zeros_like(relative)
        within = relative <= 1
        if settling is not None:
            # What is stored waits for what follows a jump, however fast it will move.
            within = within | state["jumped"]
        fine = finite & good & (within | rooting)
        crossed = fine & (g <= 0)
        if settling is not None:
            crossed = crossed & ~state["jumped"]
        at_event = fine & (crossed | rooting) & (jnp.abs(g) <= event_tolerance)
        # Out of tries: round-off keeps the event function from coming closer.
        at_event = at_event | (fine & rooting & (state["tries"] >= _ROOT_TRIES))
        if settling is not None:
            at_event = at_event | (fine & state["jumped"] & (g <= 0))
        accept = fine & ~crossed & ~rooting | at_event

        sight = {"low": 0.0, "g_low": g_start, "high": regular}
        sight = {name: jnp.where(aims, v, state[name]) for name, v in sight.items()}
        tried = _Attempt(
            dt=dt,
            g_start=g_start,
            g=g,
            rooting=rooting,
            open_ended=open_ended,
            passed=crossed & (open_ended | ~rooting),
            short=open_ended & fine & ~crossed,
        )
        bracket = _narrow(state | sight, tried)
        growth = rungs_to_climb(relative, finite & good)
        shrink = jnp.minimum(growth, -1)
        grown = jnp.where(dt >= 0.99 * ladder, jnp.maximum(growth, 0), 0)
        next_rung = rung + jnp.where(
            accept, jnp.where(growth < 0, growth, grown), shrink
        )
        at_switch = accept & (dt >= room) & (t + dt < end_time)
        next_rung = jnp.where(at_switch, 0, next_rung)
        lost = open_ended & ~fine
        next_rung = jnp.where((rooting & ~lost) | crossed, rung, next_rung)
        if settling is not None:
            next_rung = jnp.where(state["jumped"] & accept, rung, next_rung)
        if steps.fixed is not None:
            # Shorter only where a stage has no solution, as beyond depletion.
            next_rung = jnp.minimum(next_rung, 0)
        smooth = ~(state["jumped"] | at_switch)
        trusted = fine & (smooth | ~accept)
        told = state["pace"].after(y, dt, step, accept, trusted)
        told = chosen(accept | rooting | crossed, told, state["pace"])

        count_steps = state["steps"] + accept.astype(jnp.int32)
        index = state["steps"]
        history = jax.lax.cond(
            accept,
            lambda: record(state["history"], index + 1, t + dt, new, held),
            lambda: state["history"],
        )
        if report is not None:
            jax.debug.callback(report, t + dt, g / size, accept)
        vanishing = jnp.maximum(1e-12 * unit, jnp.finfo(dtype).eps * t)
        too_small = ~accept & ~rooting & (dt <= vanishing)
        if settling is not None:
            too_small = too_small | (~fine & state["jumped"])
        result = RESULTS.where(too_small, RESULTS.step_too_small, state["result"])
        result = RESULTS.where(too_small & ~good, balance.failure, result)
        result = RESULTS.where(too_small & ~finite, RESULTS.nonfinite, result)
        ended = at_event | (accept & (t + dt >= end_time))
        out_of_steps = (count_steps >= n) & ~ended
        result = RESULTS.where(out_of_steps, RESULTS.max_steps_reached, result)
        trail = keep_step(state["trail"], accept, index, t, y, dt, step.stages)
        return {
            "t": jnp.where(accept, t + dt, t),
            "y": chosen(accept, new, y),
            "rung": next_rung.astype(rung.dtype),
            "pace": told,
            "steps": count_steps,
            "jumped": jnp.where(accept, at_switch, state["jumped"]),
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
            "g": jnp.where(accept, g, state["g"]),
            "fall": jnp.where(
                accept, jnp.where(smooth, (g_start - g) / dt, 0), state["fall"]
            ),
            "aimed": ~accept & (state["aimed"] | (open_ended & ~bracket["rooting"])),
            **bracket,
        }

    over_at_start = (g0 <= 0) if settling is None else jnp.asarray(False)
    empty = jnp.full(n + 1, jnp.nan, dtype)
    held = balance.during(zero, zero)
    histories = History(empty, dict.fromkeys(held.observe(zero, y0), empty))
    start = {
        "t": zero,
        "y": y0,
        "rung": jnp.zeros((), jnp.int32),
        "pace": Pace.unknown(y0),
        "steps": jnp.zeros((), jnp.int32),
        "jumped": jnp.asarray(True),
        "attempts": jnp.zeros((), jnp.int32),
        "iterations": balance.uncounted(),
        "exchanged": zero,
        "event_found": jnp.asarray(False),
        "history": record(histories, 0, zero, y0, held),
        "memory": balance.begin(y0),
        "trail": begin_trail(y0, n, keep_states=keep_states),
        "result": RESULTS.successful,
        "done": (end_time <= 0) | over_at_start,
        "g": g0,
        "fall": zero,
        "aimed": jnp.asarray(False),
        "rooting": jnp.asarray(False),
        "open_ended": jnp.asarray(False),
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
            over_at_start & (end_time > 0), RESULTS.event_at_start, final["result"]
        ),
    )
    return run, final["trail"]


class _Attempt(NamedTuple):
    """What an attempt tells of the event."""

    dt: Scalar
    g_start: Scalar
    g: Scalar
    rooting: Bool[Array, ""]  # it was made to find it
    open_ended: Bool[Array, ""]  # none before had passed it
    passed: Bool[Array, ""]  # the first one to do so
    short: Bool[Array, ""]  # aimed at it and ended before


def _narrow(state, tried: _Attempt) -> dict[str, Any]:
    """Where to look for the event after an attempt.

    While none has passed it: where the secant through the last two meets zero, as long
    as that is within the step. Then Illinois: false position, where an end that stays
    twice counts half.
    """
    dt, g, passed = tried.dt, tried.g, tried.passed
    opened = passed & ~tried.rooting
    low = jnp.where(opened, 0.0, state["low"])
    g_low = jnp.where(opened, tried.g_start, state["g_low"])
    high = jnp.where(passed, dt, state["high"])
    g_high = jnp.where(passed, g, state["g_high"])
    between = tried.rooting & ~tried.open_ended
    above = between & (g > 0)  # the event lies beyond this attempt
    below = between & ~(g > 0)
    side = jnp.where(above, 1, jnp.where(below, -1, 0))
    again = (side != 0) & (side == state["side"])
    kept_high = jnp.where(again, g_high / 2, g_high)
    kept_low = jnp.where(again, g_low / 2, g_low)
    fell = g_low - g
    ahead = dt + (dt - low) * g / jnp.where(fell > 0, fell, 1.0)
    onward = tried.short & (fell > 0) & (ahead < high)
    onward = onward & (state["tries"] < _ROOT_TRIES // 2)
    low, g_low, g_high = (
        jnp.where(above | onward, dt, low),
        jnp.where(above | onward, g, jnp.where(below, kept_low, g_low)),
        jnp.where(below, g, jnp.where(above, kept_high, g_high)),
    )
    high = jnp.where(below, dt, high)
    spread = g_low - g_high
    share = jnp.clip(g_low / jnp.where(spread > 0, spread, 1), 1e-3, 1 - 1e-3)
    rooting = between | passed | onward
    count = tried.rooting.astype(jnp.int32)
    return {
        "rooting": rooting,
        "open_ended": onward,
        "root_dt": jnp.where(onward, ahead, low + share * (high - low)),
        "tries": jnp.where(rooting, state["tries"] + count, 0),
        "side": side.astype(jnp.int32),
        "low": low,
        "g_low": g_low,
        "high": high,
        "g_high": g_high,
    }
