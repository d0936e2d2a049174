"""Salt when pores change shape: none is lost, none is made, none spikes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.fv.carrying import carried_over

SHAPE = (5, 4, 6)
STRAIGHT = (False, False, False)


def faces(is_open, periodic=STRAIGHT):
    """Open faces between open cells; the ends open too, as a scaffold's may be."""
    found = []
    for axis in range(3):
        ends = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(is_open, ends, mode="wrap" if periodic[axis] else "edge")
        n = padded.shape[axis]
        low, high = (
            np.take(padded, range(start, n - 1 + start), axis) for start in (0, 1)
        )
        found.append(jnp.asarray((low & high).astype(float)))
    return found[0], found[1], found[2]


def carried(amount, before, after, ways, kept=None, periodic=STRAIGHT):
    """`carried_over` of plain arrays; no pocket keeps what it has by default."""
    kept = np.zeros(np.shape(before), bool) if kept is None else kept
    amount, before, after = map(jnp.asarray, (amount, before, after))
    whole = jnp.full_like(after, jnp.max(before))
    return carried_over(amount, before, after, whole, ways, jnp.asarray(kept), periodic)


def pores(seed):
    """Volumes before and after: cells close, open, shrink and stay."""
    random = np.random.default_rng(seed)
    before, after = random.uniform(0.2, 1, (2, *SHAPE))
    before[random.uniform(size=SHAPE) < 0.2] = 0
    after[random.uniform(size=SHAPE) < 0.3] = 0
    after[random.uniform(size=SHAPE) < 0.05] = 1e-6  # slivers
    salt = before * random.uniform(0.5, 1.5, SHAPE)
    return before, after, salt


@pytest.mark.parametrize("periodic", [STRAIGHT, (True, False, True)])
def test_salt_is_kept_and_stays_positive(periodic):
    for seed in range(3):
        before, after, salt = pores(seed)
        ways = faces(before > 0, periodic), faces(after > 0, periodic)
        now = carried(salt, before, after, ways, periodic=periodic)
        assert float(jnp.sum(now)) == pytest.approx(salt.sum(), rel=1e-14)
        assert np.all(now >= 0)
        assert np.all(now[after == 0] == 0)


def test_a_closing_chain_is_squeezed_empty():
    # A pore of cells that all but close, open at one end: what it held gets out.
    before = np.ones((1, 1, 8))
    after = np.array([1.0, 1e-6, 1e-7, 1e-6, 1e-7, 1e-6, 0.0, 0.0])[None, None]
    salt = np.array([0.9, 1.0, 1.1, 1.0, 0.9, 1.0, 1.1, 1.0])[None, None]
    ways = faces(before > 0), faces(after > 0)
    now = carried(salt, before, after, ways)
    assert float(jnp.sum(now)) == pytest.approx(salt.sum(), rel=1e-14)
    wet = after > 0
    highest = np.asarray(now)[wet] / after[wet]
    assert np.all(highest[1:] <= 1.1 * (1 + 1e-6))
    assert highest[0] > 7.9  # which is the only cell that has room


def test_what_does_not_move_keeps_its_salt():
    volume = np.ones(SHAPE)
    salt = np.random.default_rng(0).uniform(0.5, 1.5, SHAPE)
    ways = faces(volume > 0)
    now = carried(salt, volume, volume, (ways, ways))
    assert np.all(now == salt)


def test_a_cell_that_closes_hands_its_salt_to_the_next():
    before, after = np.ones((1, 1, 6)), np.ones((1, 1, 6))
    after[0, 0, 0] = 0
    ways = faces(before > 0), faces(after > 0)
    now = carried(before, before, after, ways)
    assert np.allclose(now[0, 0], [0, 2, 1, 1, 1, 1], rtol=1e-15)
    # A pocket keeps it, and two cells in a row send it past the second.
    same = carried(before, before, after, ways, after == 0)
    assert np.allclose(same[0, 0], 1, rtol=1e-15)
    after[0, 0, 1] = 0
    ways = faces(before > 0), faces(after > 0)
    two = carried(before, before, after, ways)
    assert np.allclose(two[0, 0], [0, 0, 3, 1, 1, 1], rtol=1e-5)


def test_what_opens_and_what_all_but_closes_is_like_its_neighbours():
    before, after = np.ones((1, 1, 6)), np.ones((1, 1, 6))
    before[0, 0, 5], after[0, 0, 0] = 0, 1e-5
    ways = faces(before > 0), faces(after > 0)
    now = carried(before, before, after, ways)
    c = (now / after)[0, 0]
    assert c[0] < 2.5  # it was 1e5
    assert c[5] > 0.3  # it was 0
    assert float(jnp.sum(now)) == pytest.approx(5, rel=1e-14)


def test_derivative():
    before, after, salt = pores(1)
    ways = faces(before > 0), faces(after > 0)
    weights = jnp.asarray(np.random.default_rng(3).uniform(size=SHAPE))

    def measure(s):
        more, wider = salt * (1 + 0.1 * s), after * (1 + 0.01 * s)
        now = carried(more, before, wider, ways)
        return jnp.sum(weights * now)

    step = 1e-4
    central = (measure(step) - measure(-step)) / (2 * step)
    assert float(jax.grad(measure)(0.0)) == pytest.approx(float(central), rel=1e-6)
