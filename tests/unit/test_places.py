"""The deciding place against a sort, and Sand's time of a share of the metal."""

from functools import cache

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.problems.places import deciding_place, share_below
from depojax.units import M, cm, mA, um


def by_sorting(values, area, share):
    """Value at which the area, laid out from the lowest value, reaches the share."""
    order = np.argsort(values, axis=None)
    order = order[area.ravel()[order] > 0]
    covered = np.cumsum(area.ravel()[order])
    return values.ravel()[order[np.searchsorted(covered, share * covered[-1])]]


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.01, 0.3, 0.99])
@pytest.mark.parametrize("seed", [0, 1])
def test_as_a_sort_says(share, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(7, 5, 6)) - 3
    area = rng.random((7, 5, 6)) * (rng.random((7, 5, 6)) < 0.6)
    place = deciding_place(jnp.asarray(values), jnp.asarray(area), share)
    assert area.ravel()[place] > 0
    assert values.ravel()[place] == by_sorting(values, area, share)


def test_equal_values_and_values_off_the_metal():
    values = jnp.zeros((2, 2, 2)).at[0, 0, 0].set(-1.0)
    area = jnp.ones((2, 2, 2)).at[0, 0, 0].set(0.0)
    for share in (0.0, 0.5):
        assert values.ravel()[deciding_place(values, area, share)] == 0
    assert share_below(values, area, -0.5) == 0
    assert share_below(values - 1, area, -0.5) == 1


@cache
def gyroid_cell():
    host = dj.gyroid((16, 16, 16), 2 * um, porosity=0.7, period=32 * um)
    solution = dj.electrolytes.lipf6_ec_emc(1 * M)
    return dj.Cell(host, solution, separator=8 * um)


@cache
def current():
    return 3 * dj.limiting_current(gyroid_cell())


@cache
def first():
    return dj.sand_time(gyroid_cell(), current())


@pytest.mark.slow
def test_the_share_asked_for_is_depleted():
    cell, share = gyroid_cell(), 0.2
    area = np.asarray(cell.domain().wall_area)
    later = dj.sand_time(cell, current(), depleted_share=share)
    assert later.time > first().time
    assert later.limiting_current > first().limiting_current
    np.testing.assert_allclose(
        later.limiting_current, dj.limiting_current(cell, depleted_share=share)
    )
    empty = area[np.asarray(later.wall_concentration) <= 1e-6].sum() / area.sum()
    # one cell's wall more or less
    assert abs(empty - share) <= area.max() / area.sum()
    assert "on 20 % of the metal" in later.message


@pytest.mark.slow
def test_the_limiting_current_of_a_share_depletes_that_share():
    """The even steady state at that current is below zero on the share, not beyond."""
    cell = gyroid_cell()
    limit = dj.limiting_current(cell, depleted_share=0.1)
    above = dj.sand_time(cell, 1.01 * limit, depleted_share=0.1)
    below = dj.sand_time(cell, 0.99 * limit, depleted_share=0.1)
    assert bool(above.depleted)
    assert not bool(below.depleted)


def test_a_flat_electrode_knows_no_share():
    grid = dj.Grid.uniform((1, 1, 60), 2 * um)
    cell = dj.Cell(dj.Scaffold.open(grid), dj.electrolytes.lipf6_ec_emc(1 * M))
    J = 60 * mA / cm**2
    times = [dj.sand_time(cell, J, depleted_share=s).time for s in (0.0, 0.5)]
    np.testing.assert_allclose(times, times[0])


@pytest.mark.slow
def test_a_map_that_is_run_on_begins_at_the_first_place():
    cell = gyroid_cell()
    one = dj.sand_time(cell, current(), run_on=1.2)
    later = dj.sand_time(cell, current(), depleted_share=0.05, run_on=1.2)
    assert one.depletion_time is not None
    assert later.depletion_time is not None
    both = np.isfinite(np.asarray(one.depletion_time))
    np.testing.assert_allclose(
        np.asarray(later.depletion_time)[both],
        np.asarray(one.depletion_time)[both],
        rtol=2e-3,
    )
    # Depleted places keep their current in the one and hand it on in the other, which
    # spares the places beside them.
    area = np.asarray(cell.domain().wall_area)
    reached = np.asarray(later.depletion_time) <= float(later.time)
    assert 0.02 < area[reached].sum() / area.sum() < 0.05


@pytest.mark.slow
def test_a_spot_that_decided_is_said():
    lonely = eqx.tree_at(lambda s: s.nearly_depleted, first(), jnp.asarray(2e-4))
    assert lonely.message.endswith(
        "But 99.98 % of the metal is far from depletion then: a small spot decided. "
        "depleted_share=0.05 looks past it."
    )
    common = eqx.tree_at(lambda s: s.nearly_depleted, first(), jnp.asarray(0.02))
    assert "spot" not in common.message


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_refusals(share):
    with pytest.raises(ValueError, match="depleted_share"):
        dj.sand_time(gyroid_cell(), 1e3, depleted_share=share)
    with pytest.raises(ValueError, match="depleted_share"):
        dj.limiting_current(gyroid_cell(), depleted_share=share)
