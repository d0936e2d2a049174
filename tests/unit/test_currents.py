"""Plating currents: values, charge, switches, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.problems.currents import ConstantCurrent, PulsedCurrent, as_current


def test_constant():
    current = ConstantCurrent(200.0)
    t = jnp.asarray(7.0)
    assert (current.value(t), current.charge(t)) == (200.0, 1400.0)
    assert current.mean == current.highest == 200.0
    assert jnp.isinf(current.next_switch(t))


@pytest.fixture
def pulses():
    return PulsedCurrent(200.0, on_time=1.0, off_time=3.0)


def test_pulses(pulses):
    t = jnp.asarray([0.0, 0.5, 1.0, 3.9, 4.0, 4.5, 9.5])
    np.testing.assert_array_equal(
        pulses.value(t), [200.0, 200.0, 0.0, 0.0, 200.0, 200.0, 0.0]
    )
    np.testing.assert_allclose(pulses.charge(t), [0, 100, 200, 200, 200, 300, 600])
    np.testing.assert_allclose(pulses.next_switch(t), [1, 1, 4, 4, 5, 5, 12])
    np.testing.assert_allclose((pulses.mean, pulses.highest), (50.0, 200.0))


def test_switches_follow_each_other(pulses):
    """Round-off never stalls a run at a switch, not after ten thousand periods."""
    odd = PulsedCurrent(1.0, on_time=0.1, off_time=0.2)
    for current in (pulses, odd):
        period = float(current.on_time + current.off_time)
        t = jnp.asarray(10_000 * period)
        for _ in range(20):
            after = current.next_switch(t)
            assert after - t > 0.3 * float(current.on_time)
            t = after


def test_charge_is_the_integral(pulses):
    t = np.linspace(0, 11, 1101)
    middle = (t[1:] + t[:-1]) / 2
    summed = np.sum(np.asarray(pulses.value(middle))) * 0.01
    np.testing.assert_allclose(pulses.charge(jnp.asarray(11.0)), summed, rtol=1e-9)


def test_charge_differentiates(pulses):
    slope = jax.grad(lambda J: PulsedCurrent(J, 1.0, 3.0).charge(jnp.asarray(9.5)))
    np.testing.assert_allclose(slope(200.0), 3.0)


def test_numbers_become_constant(pulses):
    assert isinstance(as_current(5), ConstantCurrent)
    assert isinstance(as_current(np.float64(5.0)), ConstantCurrent)
    assert as_current(pulses) is pulses


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: as_current(0.0), "current_density: expected a positive number in A m"),
        (lambda: as_current(-1.0), "current_density: expected a positive number"),
        (lambda: as_current(jnp.nan), "current_density: expected finite numbers"),
        (lambda: as_current(1e8), r"write it with its unit, as 20 \* mA / cm\*\*2"),
        (lambda: as_current(jnp.ones(3)), r"one number .* got shape \(3,\).*jax.vmap"),
        (lambda: PulsedCurrent(1.0, 0.0, 1.0), r"on_time: expected within \(0, 1e\+06"),
        (lambda: PulsedCurrent(1.0, 1.0, -1.0), "off_time: expected within"),
        (lambda: PulsedCurrent(-1.0, 1.0, 1.0), "current_density: expected a positive"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
