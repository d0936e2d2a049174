"""The integrator on scalar and small balances with closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders
from jaxtyping import Array

from depojax._types import Scalar, quantity
from depojax.solvers.results import RESULTS
from depojax.solvers.time import Steps, integrate
from depojax.solvers.tr_bdf2 import AbstractBalance


class Decay(AbstractBalance):
    """y' = −rate (y − target): y = target + (y₀ − target) e^(−rate t)."""

    speed: Scalar = quantity()
    target: Scalar = quantity(default=0.0)
    level: Scalar = quantity(default=-1.0)  # the event: y falls to it
    switch: Scalar = quantity(default=jnp.inf)  # the decay pauses after it
    broken: bool = eqx.field(static=True, default=False)

    def storage(self, y):
        return y

    def rate(self, t, y):
        return -self.speed * (y - self.target)

    def exchange(self, t, y, rate):
        return jnp.sum(rate)

    def solve_stage(self, t, known, a, guess):
        y = (known + a * self.speed * self.target) / (1 + a * self.speed)
        return y, jnp.asarray(not self.broken), jnp.int32(1)

    def damp(self, y, a, error):
        return error / (1 + a * self.speed)

    def event(self, t, y):
        return jnp.min(y) - self.level

    def observe(self, t, y):
        return {"mean": jnp.mean(y)}

    def during(self, t, dt):
        on = (t + dt / 2) < self.switch
        return eqx.tree_at(lambda b: b.speed, self, jnp.where(on, self.speed, 0.0))

    def next_switch(self, t):
        return jnp.where(t < self.switch, self.switch, jnp.inf)

    def begin(self, y0):
        return y0

    def remember(self, memory, t, y, dt, new):
        return jnp.maximum(memory, new)


class Logistic(Decay):
    """y' = y (1 − y), nonlinear: y = 1/(1 + (1/y₀ − 1) e^(−t))."""

    def rate(self, t, y):
        return y * (1 - y)

    def solve_stage(self, t, known, a, guess):
        # a y² + (1 − a) y = known
        b = 1 - a
        y = (-b + jnp.sqrt(b * b + 4 * a * known)) / (2 * a)
        return y, jnp.asarray(True), jnp.int32(1)

    def damp(self, y, a, error):
        return error


@eqx.filter_jit
def run(balance, y0, end, steps):
    return integrate(balance, jnp.reshape(y0, (1,)), end, steps)


ONE = jnp.asarray(1.0)


@pytest.mark.parametrize(
    ("balance", "y0", "exact"),
    [
        (Decay(1.0), 1.0, np.exp(-2)),
        (Logistic(1.0), 0.1, 1 / (1 + 9 * np.exp(-2))),
    ],
    ids=["linear", "nonlinear"],
)
def test_second_order(balance, y0, exact):
    errors = []
    for dt in (0.1, 0.05, 0.025):
        found = run(balance, jnp.asarray(y0), jnp.asarray(2.0), Steps(fixed=dt))
        np.testing.assert_allclose(found.time, 2.0, rtol=1e-12)
        errors.append(float(found.state[0]) - exact)
    assert np.all(observed_orders(errors) > 1.9)


def test_tolerance_is_kept():
    for tolerance in (1e-4, 1e-5, 1e-6):
        found = run(Decay(1.0), ONE, jnp.asarray(3.0), Steps(tolerance=tolerance))
        assert found.result == RESULTS.successful
        error = abs(float(found.state[0]) - np.exp(-3))
        assert error < 20 * tolerance


def test_amount_is_booked():
    """What came in through the boundary is what is there."""
    found = run(Logistic(1.0), jnp.asarray(0.1), jnp.asarray(4.0), Steps())
    np.testing.assert_allclose(found.state[0] - 0.1, found.exchanged, rtol=1e-12)


def test_huge_step_on_a_stiff_decay():
    """L-stable: one step of a million time constants damps, and does not ring."""
    found = run(Decay(1e6), ONE, ONE, Steps(fixed=1.0))
    assert found.steps == 1
    assert abs(float(found.state[0])) < 1e-5


class Unsolvable(Decay):
    """A decay whose stages have no solution a little below the event."""

    def solve_stage(self, t, known, a, guess):
        y, _, count = super().solve_stage(t, known, a, guess)
        return y, jnp.min(y) > self.level - 1e-3, count


def test_fixed_steps_get_shorter_where_there_is_no_solution():
    """An event just before that is found."""
    found = run(Unsolvable(1.0, level=0.5), ONE, jnp.asarray(9.0), Steps(fixed=0.1))
    assert found.event_found
    np.testing.assert_allclose(found.time, np.log(2), rtol=1e-3)


def test_stiff_relaxation_is_not_followed_for_ever():
    found = run(Decay(1e6, target=0.3), ONE, jnp.asarray(1e3), Steps(first_step=1e-8))
    np.testing.assert_allclose(found.state[0], 0.3, rtol=1e-6)
    assert found.steps < 150


class OutOfBalance(Decay):
    """Two decays; what begins out of balance shall be damped in the first step."""

    damping: Scalar | None = quantity(default=None)
    shortest: Scalar = quantity(default=1.0)  # a first stage that has a solution

    def solve_stage(self, t, known, a, guess):
        y, _, count = super().solve_stage(t, known, a, guess)
        return y, (t - a > 1e-12) | (a <= self.shortest), count

    @property
    def damping_time(self):
        return self.damping

    @property
    def settling_time(self):
        return jnp.asarray(1e-9)


FAST_AND_SLOW = jnp.asarray([1e5, 1.0])


def both_decay(damping, shortest=1.0, end=1.0, speeds=FAST_AND_SLOW):
    balance = OutOfBalance(speeds, damping=jnp.asarray(damping), shortest=shortest)
    begun = jnp.asarray([1.0, 1.0])
    run = eqx.filter_jit(integrate)(balance, begun, jnp.asarray(end), Steps(1e-5))
    assert run.result == RESULTS.successful
    return run


def test_first_step_damps_what_is_out_of_balance():
    seen, damped = both_decay(0.0), both_decay(1e-3)
    # Two steps of backward Euler: of the fast decay almost nothing is left.
    first = damped.history
    assert float(first.time[1]) == 1e-3
    assert int(damped.steps) < 0.6 * int(seen.steps)
    for run in (seen, damped):
        np.testing.assert_allclose(run.state, [0, np.exp(-1)], atol=2e-4)
        np.testing.assert_allclose(
            jnp.sum(run.state) - 2.0, run.exchanged, rtol=1e-12, atol=1e-12
        )


def test_first_step_is_two_of_backward_euler():
    run = both_decay(0.3, end=0.3)
    g = 2 - np.sqrt(2)
    steps = 0.3 * np.asarray([g, 1 - g])
    exact = [np.prod(1 / (1 + steps * speed)) for speed in FAST_AND_SLOW]
    np.testing.assert_allclose(run.state, exact, rtol=1e-10)


def test_first_step_is_instant_where_it_has_no_solution():
    run = both_decay(1e-3, shortest=1e-5)
    assert float(run.history.time[1]) == 1e-9


def test_event_within_the_first_step_is_found():
    balance = OutOfBalance(jnp.asarray([30.0, 1.0]), level=0.5, damping=ONE)
    steps = Steps(1e-6, first_step=1e-3)
    found = eqx.filter_jit(integrate)(balance, jnp.ones(2), ONE, steps)
    assert found.event_found
    np.testing.assert_allclose(found.time, np.log(2) / 30, rtol=1e-4)


def test_derivative_through_a_damped_step():
    def ends(logs):
        return both_decay(1e-2, speeds=jnp.exp(logs)).state

    logs = jnp.log(jnp.asarray([30.0, 1.0]))
    reverse, forward = jax.jacrev(ends)(logs), jax.jacfwd(ends)(logs)
    np.testing.assert_allclose(reverse, forward, rtol=1e-12)
    h = 1e-5
    across = [(ends(logs + h * e) - ends(logs - h * e)) / (2 * h) for e in np.eye(2)]
    np.testing.assert_allclose(forward, np.transpose(across), rtol=1e-6, atol=1e-12)


def event_time(logs):
    balance = Decay(jnp.exp(logs[0]), target=0.0, level=jnp.exp(logs[1]))
    return run(balance, jnp.exp(logs[2]), jnp.asarray(jnp.inf), Steps(1e-7)).time


LOGS = jnp.log(jnp.asarray([0.7, 0.2, 1.5]))


def test_event_and_its_derivatives():
    """t = ln(y₀/level)/rate, reverse = forward = closed form."""
    exact = np.log(1.5 / 0.2) / 0.7
    np.testing.assert_allclose(event_time(LOGS), exact, rtol=1e-5)
    reverse = jax.grad(event_time)(LOGS)
    np.testing.assert_allclose(reverse, [-exact, -1 / 0.7, 1 / 0.7], rtol=1e-4)
    forward = jax.jvp(event_time, (LOGS,), (jnp.ones(3),))[1]
    np.testing.assert_allclose(forward, jnp.sum(reverse), rtol=1e-8)


def test_event_lies_on_its_level():
    balance = Decay(0.7, level=0.2)
    found = run(balance, jnp.asarray(1.5), jnp.asarray(jnp.inf), Steps())
    assert found.event_found
    np.testing.assert_allclose(found.state[0], 0.2, rtol=1e-9)
    np.testing.assert_allclose(found.exchanged, 0.2 - 1.5, rtol=1e-9)


def test_event_before_the_first_step_is_said():
    found = run(Decay(1.0, level=2.0), ONE, ONE, Steps())
    assert found.result == RESULTS.event_at_start
    assert found.steps == 0


def test_end_before_the_event():
    found = run(Decay(1.0, level=0.2), ONE, jnp.asarray(0.5), Steps())
    assert not found.event_found
    np.testing.assert_allclose(found.time, 0.5)
    np.testing.assert_allclose(found.state[0], np.exp(-0.5), rtol=1e-3)


def test_steps_end_at_switches():
    """It decays until the switch and stays: exact only if no step straddles it."""
    balance = Decay(1.0, switch=0.35)
    found = run(balance, ONE, ONE, Steps(tolerance=1e-8))
    np.testing.assert_allclose(found.state[0], np.exp(-0.35), rtol=1e-6)
    assert np.any(np.isclose(found.history.time, 0.35, rtol=1e-12))


def test_history_and_memory():
    found = run(Logistic(1.0), jnp.asarray(0.1), ONE, Steps())
    n = int(found.steps)
    times = np.asarray(found.history.time)
    assert np.all(np.diff(times[: n + 1]) > 0)
    assert np.all(np.isnan(times[n + 1 :]))
    means = np.asarray(found.history.values["mean"])
    exact = 1 / (1 + 9 * np.exp(-times[: n + 1]))
    np.testing.assert_allclose(means[: n + 1], exact, rtol=1e-3)
    np.testing.assert_allclose(found.memory, found.state)  # the largest is the last


def test_out_of_steps_is_said():
    found = run(Decay(1.0), ONE, jnp.asarray(5.0), Steps(fixed=0.1, max_steps=4))
    assert found.result == RESULTS.max_steps_reached
    assert found.steps == 4


def test_failing_solve_is_said():
    found = run(Decay(1.0, broken=True), ONE, ONE, Steps())
    assert found.result == RESULTS.linear_solve_failed


def test_no_number_is_said():
    found = run(Decay(jnp.nan), ONE, ONE, Steps())
    assert found.result == RESULTS.nonfinite


def test_report_is_called_for_every_attempt():
    seen = []

    def report(time, remaining, accepted):
        seen.append((float(time), bool(accepted)))

    balance: Array | Decay = Decay(0.7, level=0.2)
    found = integrate(balance, jnp.ones(1), jnp.asarray(1.0), Steps(), report=report)
    jax.effects_barrier()
    assert len(seen) == int(found.attempts)
    assert sum(accepted for _, accepted in seen) == int(found.steps)


def test_state_gradient_with_respect_to_its_start():
    def final(y0):
        return run(Logistic(1.0), y0, jnp.asarray(2.0), Steps(1e-7)).state[0]

    y0 = jnp.asarray(0.1)
    exact = np.exp(-2) / (0.1 + 0.9 * np.exp(-2)) ** 2
    np.testing.assert_allclose(jax.grad(final)(y0), exact, rtol=2e-4)


@pytest.mark.parametrize("most", [20, pytest.param(1024, marks=pytest.mark.slow)])
def test_gradient_does_not_depend_on_what_is_kept(most):
    """20 steps in chunks of 4 or 32: the last ones are kept, others solved again."""
    steps = Steps(fixed=0.1, max_steps=most)

    def end(y0):
        found = integrate(Logistic(1.0), y0[None], jnp.asarray(2.0), steps)
        return found.state[0]

    y0, h = jnp.asarray(0.1), 1e-5
    _, forward = jax.jvp(end, (y0,), (ONE,))
    np.testing.assert_allclose(forward, jax.grad(end)(y0), rtol=1e-12)
    np.testing.assert_allclose(forward, (end(y0 + h) - end(y0 - h)) / (2 * h), 1e-8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"tolerance": 0.0}, "tolerance: expected within"),
        ({"tolerance": 1.0}, "tolerance: expected within"),
        ({"tolerance": jnp.nan}, "tolerance: expected finite numbers"),
        ({"max_steps": 0}, "max_steps: expected at least 1"),
        ({"max_steps": 2.5}, "max_steps: expected a whole number"),
        ({"fixed": -1.0}, r"fixed: expected within \(0, inf\] s"),
        ({"first_step": 0.0}, r"first_step: expected within"),
        ({"fixed": 1.0, "first_step": 1.0}, "first_step: expected none beside fixed="),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        Steps(**arguments)
