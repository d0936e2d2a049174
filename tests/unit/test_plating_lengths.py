"""How long the windows of a plating run are."""

import jax.numpy as jnp
import pytest

import depojax as dj
from depojax.problems.plating_lengths import WindowLengths


def first():
    return 8.0


def test_the_first_one_is_cautious():
    lengths = WindowLengths(dj.Windows(0.05))
    # A quarter of the 0.05 that 1e-3 a second would take 50 s for.
    assert lengths.cautious(jnp.asarray(1e-3)) == pytest.approx(12.5)
    assert lengths.cautious(jnp.asarray(0.0)) == float("inf")
    assert lengths.choose(100.0, first) == 8.0
    assert lengths.choose(5.0, first) == 5.0
    assert lengths.choose(8.0 + 1e-6, first) == 8.0 + 1e-6  # no sliver is left


def test_the_next_one_follows_the_change():
    lengths = WindowLengths(dj.Windows(0.05))
    assert not lengths.was_too_long(8.0, 0.09)  # short of twice what is allowed
    assert lengths.choose(100.0, first) == pytest.approx(4.0)
    assert not lengths.was_too_long(4.0, 1e-9)
    assert lengths.choose(100.0, first) == pytest.approx(16.0)  # four times at most
    assert lengths.was_too_long(16.0, 0.2)
    assert lengths.choose(100.0, first) == pytest.approx(16 * 0.9 * 0.05 / 0.2)


def test_fixed_ones_stay():
    lengths = WindowLengths(dj.Windows(fixed=3.0))
    assert not lengths.was_too_long(3.0, 10.0)
    assert lengths.choose(100.0, first) == 3.0
    assert lengths.choose(2.0, first) == 2.0


def test_a_window_that_took_no_time_says_nothing():
    lengths = WindowLengths(dj.Windows(0.05))
    assert not lengths.was_too_long(0.0, 1.0)
    assert lengths.choose(100.0, first) == 8.0
