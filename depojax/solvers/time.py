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
    """The run, and the trail that it leaves for derivatives."""
    march = _March(balance, y0, end_time, steps, report)
    start = jax.lax.stop_gradient(march.start(y0, keep_states))
    final = jax.lax.while_loop(lambda state: ~state["done"], march.attempt, start)
    over_at_start = march.over_at_start & (march.end_time > 0)
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
        result=RESULTS.where(over_at_start, RESULTS.event_at_start, final["result"]),
    )
    return run, final["trail"]


class _Plan(NamedTuple):
    """How long the next attempt is, and why."""

    dt: Scalar
    ladder: Scalar  # the step of the rung it is on
    room: Scalar  # up to the next switch
    regular: Scalar  # the step that would be taken if there were no event
    damped: Bool[Array, ""]  # the first step after a jump
    rooting: Bool[Array, ""]  # it looks for the event
    open_ended: Bool[Array, ""]  # which no attempt has passed yet
    aims: Bool[Array, ""]  # it begins to look for it


class _Verdict(NamedTuple):
    """What an attempt was worth."""

    relative: Scalar  # local error in units of the tolerance
    good: Bool[Array, ""]  # its stages were solved
    finite: Bool[Array, ""]
    fine: Bool[Array, ""]  # all that, and accurate
    g_start: Scalar
    g: Scalar  # the event function at its end
    crossed: Bool[Array, ""]  # the event lies within
    at_event: Bool[Array, ""]  # it ends there
    accept: Bool[Array, ""]


class _March:
    """The loop of an adaptive run.

    An attempt is accepted, retried shorter, or, once the event lies inside, repeated
    with other lengths until it ends at the event.
    """

    def __init__(self, balance: AbstractBalance, y0, end_time, steps: Steps, report):
        dtype = jax.tree.leaves(y0)[0].dtype
        self.balance, self.steps, self.report = balance, steps, report
        self.end_time = jnp.asarray(end_time, dtype)
        first = steps.fixed if steps.fixed is not None else steps.first_step
        self.unit = jnp.asarray(1.0 if first is None else first, dtype)
        self.settling = balance.settling_time
        self.zero = jnp.zeros((), dtype)
        self.g0 = balance.during(self.zero, self.zero).event(self.zero, y0)
        # Before what is algebraic has settled, the event function says nothing yet.
        settles = self.settling is not None
        self.size = jnp.ones_like(self.g0) if settles else jnp.abs(self.g0)
        self.event_tolerance = (1e-10 if dtype == jnp.float64 else 1e-6) * self.size
        self.over_at_start = jnp.asarray(False) if settles else self.g0 <= 0

    def start(self, y0: State, keep_states: bool) -> dict[str, Any]:
        """What the loop carries, before the first attempt."""
        zero, n, no = self.zero, self.steps.max_steps, jnp.asarray(False)
        count = jnp.zeros((), jnp.int32)
        empty = jnp.full(n + 1, jnp.nan, zero.dtype)
        held = self.balance.during(zero, zero)
        history = History(empty, dict.fromkeys(held.observe(zero, y0), empty))
        return {
            "t": zero,
            "y": y0,
            "rung": count,
            "pace": Pace.unknown(y0),
            "steps": count,
            "jumped": jnp.asarray(True),
            "attempts": count,
            "iterations": self.balance.uncounted(),
            "exchanged": zero,
            "event_found": no,
            "history": _noted(history, 0, zero, y0, held),
            "memory": self.balance.begin(y0),
            "trail": begin_trail(y0, n, keep_states=keep_states),
            "result": RESULTS.successful,
            "done": (self.end_time <= 0) | self.over_at_start,
            "g": self.g0,
            "fall": zero,
            "aimed": no,
            "rooting": no,
            "open_ended": no,
            "root_dt": zero,
            "tries": count,
            "side": count,
            "low": zero,
            "g_low": self.g0,
            "high": zero,
            "g_high": self.g0,
        }

    def attempt(self, state: dict[str, Any]) -> dict[str, Any]:
        """What the loop carries after one more attempt."""
        t, y, index = state["t"], state["y"], state["steps"]
        plan = self._plan(state)
        dt = plan.dt
        held = self.balance.during(t, dt)
        step = take_step(held, t, y, dt, pace=state["pace"], damped=plan.damped)
        new = step.state
        verdict = self._judged(state, plan, held, step)
        accept, fine = verdict.accept, verdict.fine
        bracket = self._bracket(state, plan, verdict)
        if self.report is not None:
            jax.debug.callback(self.report, t + dt, verdict.g / self.size, accept)
        history, memory = jax.lax.cond(
            accept,
            lambda: (
                _noted(state["history"], index + 1, t + dt, new, held),
                held.remember(state["memory"], t, y, dt, new),
            ),
            lambda: (state["history"], state["memory"]),
        )
        at_switch = accept & (dt >= plan.room) & (t + dt < self.end_time)
        smooth = ~(state["jumped"] | at_switch)
        told = state["pace"].after(y, dt, step, accept, fine & (smooth | ~accept))
        says = accept | plan.rooting | verdict.crossed
        fall = jnp.where(smooth, (verdict.g_start - verdict.g) / dt, 0)
        steps = index + accept.astype(jnp.int32)
        ended = verdict.at_event | (accept & (t + dt >= self.end_time))
        result = self._result(state, plan, verdict, steps, ended)
        looked = state["aimed"] | (plan.open_ended & ~bracket["rooting"])
        return {
            "t": jnp.where(accept, t + dt, t),
            "y": chosen(accept, new, y),
            "rung": self._next_rung(state, plan, verdict, at_switch),
            "pace": chosen(says, told, state["pace"]),
            "steps": steps,
            "jumped": jnp.where(accept, at_switch, state["jumped"]),
            "attempts": state["attempts"] + 1,
            "iterations": state["iterations"] + step.iterations.astype(jnp.int32),
            "exchanged": state["exchanged"] + jnp.where(accept, step.exchanged, 0),
            "event_found": verdict.at_event,
            "history": history,
            "memory": memory,
            "trail": keep_step(
                state["trail"], accept, index, t, y, dt, plan.damped, step.stages
            ),
            "result": result,
            "done": ended | (result != RESULTS.successful),
            "g": jnp.where(accept, verdict.g, state["g"]),
            "fall": jnp.where(accept, fall, state["fall"]),
            "aimed": ~accept & looked,
            **bracket,
        }

    def _plan(self, state) -> _Plan:
        t, jumped = state["t"], state["jumped"]
        ladder = ladder_step(self.unit, state["rung"])
        switch = jnp.minimum(self.balance.next_switch(t), self.end_time)
        room = switch - t
        regular = jnp.minimum(ladder, room)
        # A sliver of a step left before a switch would be lost in round-off.
        regular = jnp.where(room - regular < 1e-3 * regular, room, regular)
        damped = jnp.asarray(False)
        if self.settling is not None:
            damped = jumped
            first = self._settles_in(self.settling, state["attempts"])
            regular = jnp.where(jumped, jnp.minimum(first, room), regular)
        # Beyond an event a step may have no solution: one in sight is walked up to.
        falls = state["fall"] > 0
        seen = state["g"] / jnp.where(falls, state["fall"], 1.0)
        aims = falls & (seen < _IN_SIGHT * regular)
        aims = aims & ~(state["rooting"] | state["aimed"] | jumped)
        dt = jnp.where(state["rooting"], state["root_dt"], regular)
        return _Plan(
            dt=jnp.where(aims, jnp.maximum(seen, 1e-3 * regular), dt),
            ladder=ladder,
            room=room,
            regular=regular,
            damped=damped,
            rooting=state["rooting"] | aims,
            open_ended=state["open_ended"] | aims,
            aims=aims,
        )

    def _settles_in(self, settling: Scalar, attempts: Int[Array, ""]) -> Scalar:
        """How long a step after a jump is: longer in the first try of a run."""
        longest = self.balance.damping_time
        if longest is None:
            return settling
        return jnp.where(attempts == 0, jnp.maximum(longest, settling), settling)

    def _is_instant(self, dt: Scalar) -> Bool[Array, ""]:
        """Whether a step after a jump is as short as it can be."""
        return dt <= (0.0 if self.settling is None else self.settling)

    def _judged(self, state, plan: _Plan, held: AbstractBalance, step) -> _Verdict:
        t, y, dt, rooting = state["t"], state["y"], plan.dt, plan.rooting
        new, good = step.state, step.converged
        relative = local_error(held, y, dt, step) / self.steps.tolerance.astype(
            dt.dtype
        )
        finite = jnp.isfinite(relative) & all_finite(new)
        g_start, g = held.event(t, y), held.event(t + dt, new)
        if self.steps.fixed is not None:
            relative = jnp.zeros_like(relative)
        within = relative <= 1
        jumped = state["jumped"] & (self.settling is not None)
        # What is stored waits for what follows a jump, however fast it will move.
        within = within | jumped
        # An event is not looked for in a step that damps: it is tried again, shorter.
        hidden = jumped & (g <= 0) & ~self._is_instant(dt)
        fine = finite & good & (within | rooting) & ~hidden
        crossed = fine & (g <= 0) & ~jumped
        near = jnp.abs(g) <= self.event_tolerance
        # Out of tries: round-off keeps the event function from coming closer.
        worn_out = rooting & (state["tries"] >= _ROOT_TRIES)
        at_event = fine & (((crossed | rooting) & near) | worn_out | jumped & (g <= 0))
        accept = fine & ~crossed & ~rooting | at_event
        return _Verdict(
            relative, good, finite, fine, g_start, g, crossed, at_event, accept
        )

    def _bracket(self, state, plan: _Plan, verdict: _Verdict) -> dict[str, Any]:
        """Where to look for the event from now on."""
        fine, crossed, g_start = verdict.fine, verdict.crossed, verdict.g_start
        sight = {"low": 0.0, "g_low": g_start, "high": plan.regular}
        sight = {n: jnp.where(plan.aims, v, state[n]) for n, v in sight.items()}
        tried = _Attempt(
            dt=plan.dt,
            g_start=g_start,
            g=verdict.g,
            rooting=plan.rooting,
            open_ended=plan.open_ended,
            passed=crossed & (plan.open_ended | ~plan.rooting),
            short=plan.open_ended & fine & ~crossed,
        )
        return _narrow(state | sight, tried)

    def _next_rung(self, state, plan: _Plan, verdict: _Verdict, at_switch):
        rung, accept = state["rung"], verdict.accept
        growth = rungs_to_climb(verdict.relative, verdict.finite & verdict.good)
        grown = jnp.where(plan.dt >= 0.99 * plan.ladder, jnp.maximum(growth, 0), 0)
        change = jnp.where(growth < 0, growth, grown)
        following = rung + jnp.where(accept, change, jnp.minimum(growth, -1))
        following = jnp.where(at_switch, 0, following)
        lost = plan.open_ended & ~verdict.fine
        stays = (plan.rooting & ~lost) | verdict.crossed
        if self.settling is not None:
            stays = stays | (state["jumped"] & accept)
        following = jnp.where(stays, rung, following)
        if self.steps.fixed is not None:
            # Shorter only where a stage has no solution, as beyond depletion.
            following = jnp.minimum(following, 0)
        return following.astype(rung.dtype)

    def _result(self, state, plan: _Plan, verdict: _Verdict, steps, ended) -> RESULTS:
        eps = jnp.finfo(plan.dt.dtype).eps
        vanishing = jnp.maximum(1e-12 * self.unit, eps * state["t"])
        too_small = ~verdict.accept & ~plan.rooting & (plan.dt <= vanishing)
        if self.settling is not None:
            instant = self._is_instant(plan.dt)
            too_small = too_small | (~verdict.fine & state["jumped"] & instant)
        unsolved, lost = too_small & ~verdict.good, too_small & ~verdict.finite
        result = RESULTS.where(too_small, RESULTS.step_too_small, state["result"])
        result = RESULTS.where(unsolved, self.balance.failure, result)
        result = RESULTS.where(lost, RESULTS.nonfinite, result)
        out_of_steps = (steps >= self.steps.max_steps) & ~ended
        return RESULTS.where(out_of_steps, RESULTS.max_steps_reached, result)


def _noted(history: History, index, t, y: State, held: AbstractBalance) -> History:
    """The history with what there is to be seen at a time."""
    values = held.observe(t, y)
    return History(
        history.time.at[index].set(t),
        {k: v.at[index].set(values[k]) for k, v in history.values.items()},
    )


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
