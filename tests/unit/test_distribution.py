"""How evenly a run plates: sums, moments of a known field, shares and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.problems.distribution import distribution
from depojax.units import um


@pytest.fixture(scope="module")
def run():
    """A resolved host with an open collector below it, plated unevenly."""
    middle, radius = 18 * um, 10 * um
    host = dj.Scaffold.from_function(
        lambda x, y, z: jnp.hypot(x - middle, y - middle) - radius, (6, 6, 6), 6 * um
    )
    cell = dj.Cell(
        host,
        dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1000.0),
        separator=12 * um,
        kinetics=dj.ButlerVolmer(300.0),
        counter_kinetics=dj.ButlerVolmer(20.0),
    )
    return dj.simulate(cell, [dj.Galvanostatic(500.0, time=4.0)])


def test_current_and_charge_are_all_there(run):
    footprint = float(run.cell.footprint)
    for of, expected in (("current", 500.0), ("charge", 2000.0)):
        found = dj.current_distribution(run, of=of)
        assert float(found.total) == pytest.approx(expected * footprint, rel=1e-8)
        assert float(jnp.sum(found.shares)) == pytest.approx(1.0, rel=1e-12)
        assert float(found.area) == pytest.approx(float(run.cell.metal_area), rel=1e-12)
        assert float(found.lowest) == pytest.approx(float(found.edges[0]))
        assert float(found.highest) == pytest.approx(float(found.edges[-1]))
        assert np.all(np.diff(found.quantiles) >= 0)
        # Means of the histogram are those of the field, to the width of a bin.
        middle = (found.edges[1:] + found.edges[:-1]) / 2
        width = float(found.edges[1] - found.edges[0])
        mean = float(jnp.sum(middle * found.shares))
        assert mean == pytest.approx(float(found.mean), abs=width / 2)
    profile = dj.depth_profile(run)
    assert float(jnp.sum(profile.current)) == pytest.approx(500.0, rel=1e-8)
    assert float(jnp.sum(profile.charge)) == pytest.approx(2000.0, rel=1e-8)
    volume = jnp.sum(profile.current_per_volume * profile.thickness)
    assert float(volume) == pytest.approx(500.0, rel=1e-8)
    area = float(jnp.sum(profile.area)) * footprint
    assert area == pytest.approx(float(run.cell.metal_area), rel=1e-12)


def test_shares_of_the_top_are_sums_of_layers(run):
    charge = np.asarray(dj.depth_profile(run).charge)
    for layers in (1, 2, 4):
        share = float(dj.top_share(run, layers * 6 * um))
        assert share == pytest.approx(charge[-layers:].sum() / charge.sum(), rel=1e-12)
    half = float(dj.top_share(run, 3 * um))
    assert half == pytest.approx(charge[-1] / charge.sum() / 2, rel=1e-12)
    assert float(dj.top_share(run, 0.0)) == 0.0
    assert float(dj.top_share(run, 36 * um)) == pytest.approx(1.0, rel=1e-12)
    current = np.asarray(dj.depth_profile(run).current)
    share = float(dj.top_share(run, 6 * um, of="current"))
    assert share == pytest.approx(current[-1] / current.sum(), rel=1e-12)
    # The open collector is not within the last layer but at its very bottom.
    scaffold = run.cell.scaffold
    floor = run.collector_plated_charge * scaffold.face_transmission[2][..., 0]
    floor = float(jnp.sum(floor)) / 36
    almost = float(dj.top_share(run, (36 - 1e-9) * um))
    assert 1 - almost == pytest.approx(floor / charge.sum(), rel=1e-6)


def test_concentration_drop(run):
    drop = dj.concentration_drop(run)
    c = np.asarray(run.concentration)
    wet = c[c > 0]
    assert float(drop.cell) == pytest.approx(np.ptp(wet) / 1000.0, rel=1e-12)
    host = c[..., :6]
    assert float(drop.host) == pytest.approx(np.ptp(host[host > 0]) / 1000.0, rel=1e-12)
    assert 0 < float(drop.host) < float(drop.cell)
    lowest = float(run.lowest_wall_concentration[-1])
    assert float(drop.depletion) == pytest.approx(1 - lowest / 1000.0, rel=1e-9)
    assert float(drop.wall) > 0


def parabola(n=20000):
    """i = x² on 0 < x < 1, in places of uneven area, and one without any."""
    nodes = np.linspace(0, 1, n + 1) ** 1.3
    areas = np.append(np.diff(nodes), 0.0)
    values = np.append(((nodes[1:] + nodes[:-1]) / 2) ** 2, 50.0)
    return jnp.asarray(values), jnp.asarray(areas)


def test_moments_of_a_known_field():
    levels = jnp.asarray([0.1, 0.5, 0.9])
    found = distribution(*parabola(), bins=np.array([0.0, 0.25, 1.0]), levels=levels)
    assert float(found.mean) == pytest.approx(1 / 3, rel=1e-6)
    assert float(found.standard_deviation) == pytest.approx(np.sqrt(4 / 45), rel=1e-6)
    assert float(found.relative_deviation) == pytest.approx(np.sqrt(4 / 5), rel=1e-6)
    assert float(found.max_over_mean) == pytest.approx(3.0, rel=1e-3)
    assert float(found.min_over_mean) == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(found.quantiles, levels**2, rtol=1e-3)
    np.testing.assert_allclose(found.shares, [0.5, 0.5], rtol=1e-3)
    for p in (2.0, 16.0, 400.0):
        expected = 3 * (2 * p + 1) ** (-1 / p)
        assert float(found.smooth_max_over_mean(p)) == pytest.approx(expected, rel=1e-3)
    # Stripping: as even, and its largest is the most negative.
    values, areas = parabola()
    other = distribution(-values, areas, bins=10, levels=levels)
    assert float(other.max_over_mean) == pytest.approx(float(found.max_over_mean))
    assert float(other.relative_deviation) == pytest.approx(
        float(found.relative_deviation)
    )


def test_an_even_field_has_a_slope():
    areas = jnp.asarray([1.0, 2.0, 3.0])

    def deviation(values):
        found = distribution(values, areas, bins=5, levels=0.5)
        return found.relative_deviation + found.smooth_max_over_mean()

    even = jnp.full(3, 7.0)
    assert float(deviation(even)) == pytest.approx(1.0)
    assert np.all(np.isfinite(jax.grad(deviation)(even)))
    found = distribution(even, areas, bins=5, levels=0.5)
    assert float(jnp.sum(found.shares)) == pytest.approx(1.0)


def test_smooth_measures_have_the_slopes_of_differences():
    values, areas = parabola(12)

    def measure(values):
        found = distribution(values, areas, bins=5, levels=0.5)
        return found.relative_deviation + found.smooth_max_over_mean(8.0)

    slope = jax.grad(measure)(values)
    direction = jnp.sin(jnp.arange(values.size, dtype=float))
    h = 1e-6
    change = (measure(values + h * direction) - measure(values - h * direction)) / 2 / h
    assert float(slope @ direction) == pytest.approx(float(change), rel=1e-7)
    assert float(slope[-1]) == 0.0


def test_refusals(run):
    for verb in (dj.current_distribution, dj.depth_profile, dj.concentration_drop):
        with pytest.raises(ValueError, match="run: expected a Simulation, got str"):
            verb("run")
    with pytest.raises(ValueError, match="of: expected a known word"):
        dj.current_distribution(run, of="metal")
    with pytest.raises(ValueError, match="bins: expected a number, or two and more"):
        dj.current_distribution(run, bins=[3.0, 2.0])
    with pytest.raises(ValueError, match=r"levels: expected within \[0, 1\]"):
        dj.current_distribution(run, levels=(5, 95))
    with pytest.raises(ValueError, match="depth: expected within"):
        dj.top_share(run, 30)


def test_profile_as_a_dataset(run):
    data = dj.depth_profile(run).to_xarray()
    assert data.sizes["z"] == 6
    assert float(data["current"].sum()) == pytest.approx(500.0, rel=1e-8)
    assert data["charge"].attrs["units"] == "C m-2"
