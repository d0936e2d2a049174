"""Searches by chance: what they keep, and that they find what is easy to find."""

import jax.numpy as jnp
import numpy as np
import pytest

from depojax.design.search import search
from depojax.design.variables import Bounded

START = {"x": Bounded(jnp.asarray([0.3, 0.6]), 0.0, 1.0), "y": jnp.asarray(2.0)}


def loss(design):
    """Least at x = (0.5, 0.5); y is no variable, so it stays."""
    return jnp.sum((design["x"].value - 0.5) ** 2) + design["y"]


@pytest.mark.parametrize("kind", ["random", "greedy"])
def test_the_best_is_kept(kind):
    found = search(loss, START, runs=60, kind=kind, key=1)
    history = np.asarray(found.history)
    assert history[0] == pytest.approx(2 + 0.04 + 0.01, rel=1e-12)
    assert np.all(np.diff(history) <= 0)
    assert float(found.loss) == history[-1] == float(loss(found.design))
    assert history[-1] < 2 + 0.01
    assert float(found.design["y"]) == 2.0
    again = search(loss, START, runs=60, kind=kind, key=1)
    np.testing.assert_array_equal(history, again.history)


def test_greedy_changes_one_number_at_a_time():
    found = search(loss, START, runs=2, kind="greedy", key=3, spread=0.1)
    moved = np.asarray(found.design["x"].free - START["x"].free)
    assert np.sum(moved != 0) <= 1


def test_losses_that_are_no_number_do_not_win():
    found = search(lambda d: jnp.log(0.2 - d["x"].value[0]), START, runs=20, key=2)
    assert np.isfinite(float(found.loss))
    assert float(found.design["x"].value[0]) < 0.2
    assert np.isinf(found.history[0])


def test_refusals():
    with pytest.raises(ValueError, match=r"kind: expected a known word.*greedy"):
        search(loss, START, runs=3, kind="greed", key=1)
    with pytest.raises(ValueError, match=r"runs: expected at least 1"):
        search(loss, START, runs=0, key=1)
