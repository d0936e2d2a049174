"""Nuclei one by one: where they lie, how many, and what they cover."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.units import um

SIDE = 80 * um
FLAT = Grid.uniform((8, 8, 2), 10 * um, periodic=(True, True, False))
RADIUS = 5 * um


@pytest.fixture(scope="module")
def ball():
    def outside(x, y, z):
        middle = 8 * um
        squares = (x - middle) ** 2 + (y - middle) ** 2 + (z - middle) ** 2
        return jnp.sqrt(squares) - RADIUS

    return dj.Scaffold.from_function(outside, (16, 16, 16), 1 * um)


def coverages(births, growth, seeds=12, points=3000):
    """Mean over draws of what is covered, its standard error, and nuclei per draw."""
    host = dj.Scaffold.open(FLAT)
    rng = np.random.default_rng(5)
    found, counts = [], []
    for seed in range(seeds):
        nuclei = dj.draw_nuclei(host, births, growth, key=seed, collector=True)
        spots = rng.random((points, 3)) * SIDE
        spots[:, 2] = 0
        found.append(float(np.mean(np.asarray(nuclei.covers(spots)))))
        counts.append(nuclei.count)
    return np.mean(found), np.std(found, ddof=1) / seeds**0.5, np.mean(counts)


@pytest.mark.slow
def test_instantaneous_coverage():
    """4800 nuclei within 3σ of 1 − exp(−X), at X = 0.8."""
    N, X = 400 / SIDE**2, 0.8
    mean, error, count = coverages([N, 0.0], [0.0, np.sqrt(X / np.pi / N)])
    assert abs(mean - (1 - np.exp(-X))) < 3 * error
    assert error < 0.01
    assert abs(count - 400) < 3 * np.sqrt(400 / 12)


@pytest.mark.slow
def test_progressive_coverage_and_density_are_those_of_the_mean_field():
    """The same law for both: births, thinned by what is covered, and coverage."""
    law = dj.Nucleation(
        dj.metals.lithium, wetting_factor=0.0, prefactor=2e10, site_density=1e20
    )
    steps, dt, v = 10, 1.0, 0.2 * um
    grow = eqx.filter_jit(law.grow)
    state = dj.NucleiState.bare()
    for _ in range(steps):
        state = grow(state, -0.1, v * dt, dt)
    births = float(law.rate(-0.1)) * dt
    mean, error, count = coverages([births] * steps, [v * dt] * steps, seeds=8)
    assert count * 8 > 2000
    assert abs(mean - float(state.coverage)) < 3 * error
    expected = float(state.density) * SIDE**2
    assert abs(count - expected) < 3 * np.sqrt(expected / 8)


def test_nuclei_lie_on_the_ball(ball):
    N = 3000 / (4 * np.pi * RADIUS**2)
    nuclei = dj.draw_nuclei(ball, [N], [0.0], key=3)
    area = float(ball.total_surface_area)
    assert abs(nuclei.count - N * area) < 4 * np.sqrt(N * area)
    offset = np.asarray(nuclei.centers) - 8 * um
    distance = np.linalg.norm(offset, axis=1)
    np.testing.assert_allclose(distance, RADIUS, atol=0.12 * um * 2)
    np.testing.assert_allclose(distance.mean(), RADIUS, rtol=0.01)
    direction = offset / distance[:, None]
    spread = 4 / np.sqrt(3 * nuclei.count)
    np.testing.assert_allclose(direction.mean(0), 0, atol=spread)
    np.testing.assert_allclose((direction**2).mean(0), 1 / 3, atol=0.03)


def test_rate_may_vary_over_the_host(ball):
    half = np.zeros((1, *ball.shape))
    half[..., 8:] = 1000 / (4 * np.pi * RADIUS**2)
    nuclei = dj.draw_nuclei(ball, half, [0.1 * um], time_step=2.0, key=1)
    assert np.all(np.asarray(nuclei.centers)[:, 2] >= 8 * um)
    assert 300 < nuclei.count < 600
    assert np.all(nuclei.birth_times <= 2.0)
    # Born evenly over the step: the older the larger.
    np.testing.assert_allclose(
        nuclei.radii, 0.1 * um * (1 - nuclei.birth_times / 2), rtol=1e-9, atol=1e-15
    )


def test_same_key_same_nuclei(ball):
    first, again, other = (
        dj.draw_nuclei(ball, [1e12], [0.1 * um], key=key) for key in (1, 1, 2)
    )
    assert eqx.tree_equal(first, again)
    assert not np.array_equal(first.centers[0], other.centers[0])


def test_none_is_born_under_another():
    host = dj.Scaffold.open(FLAT)
    nuclei = dj.draw_nuclei(
        host, [2e11] * 4, [1 * um] * 4, key=9, collector=True, birth_radius=0.1 * um
    )
    centers = np.asarray(nuclei.centers)
    born, radii = np.asarray(nuclei.birth_times), np.asarray(nuclei.radii)
    assert np.all(np.diff(born) >= 0)
    for k in range(1, nuclei.count):
        apart = centers[:k] - centers[k]
        apart -= np.asarray([SIDE, SIDE, 0]) * np.round(apart / SIDE)
        then = radii[:k] - (4 - born[k]) * um
        assert np.all(np.linalg.norm(apart, axis=1) >= then)


def test_levelset_is_the_union_of_spheres(ball):
    nuclei = dj.draw_nuclei(ball, [2e11], [0.8 * um], key=4)
    values = nuclei.levelset(ball.grid)
    mesh = np.stack(np.meshgrid(*ball.grid.nodes, indexing="ij"), -1)
    apart = np.linalg.norm(
        mesh[..., None, :] - np.asarray(nuclei.centers), axis=-1
    ) - np.asarray(nuclei.radii)
    np.testing.assert_allclose(values, apart.min(-1), rtol=1e-9, atol=1e-16)
    inside = nuclei.covers(mesh.reshape(-1, 3))
    np.testing.assert_array_equal(inside, np.asarray(values).ravel() < 0)
    host = jnp.full(values.shape, 1e-7)
    np.testing.assert_allclose(
        nuclei.levelset(ball.grid, host), np.minimum(values, 1e-7), rtol=1e-9
    )

    def volume(scale):
        larger = eqx.tree_at(lambda n: n.radii, nuclei, nuclei.radii * scale)
        levels = larger.levelset(ball.grid)
        return jnp.sum(dj.Scaffold.from_levelset(levels, ball.grid).pore_fraction)

    slope, h = jax.grad(volume)(1.0), 1e-4
    assert slope < 0
    np.testing.assert_allclose(
        slope, (volume(1 + h) - volume(1 - h)) / (2 * h), rtol=2e-3
    )


def test_levelset_goes_through_periodic_sides():
    box = (4e-6, 4e-6, 4e-6)
    nuclei = dj.Nuclei(
        jnp.asarray([[0.2e-6, 2e-6, 2e-6]]), jnp.asarray([1e-6]), jnp.zeros(1),
        box, (True, False, False),
    )  # fmt: skip
    grid = Grid.uniform((4, 4, 4), 1e-6, periodic=(True, False, False))
    values = nuclei.levelset(grid)
    np.testing.assert_allclose(values[0], values[-1], atol=1e-18)
    np.testing.assert_allclose(values[4, 2, 2], -0.8e-6, rtol=1e-6)
    spots = np.asarray([[3.5e-6, 2e-6, 2e-6], [3.0e-6, 2e-6, 2e-6]])
    np.testing.assert_array_equal(nuclei.covers(spots), [True, False])


def test_saved_whole(ball, tmp_path):
    nuclei = dj.draw_nuclei(ball, [1e11], [0.1 * um], key=1)
    dj.save(nuclei, tmp_path / "nuclei.nc")
    assert eqx.tree_equal(dj.load(tmp_path / "nuclei.nc"), nuclei)
    assert nuclei.to_xarray()["radius"].attrs["units"] == "m"


def test_none(ball):
    nuclei = dj.draw_nuclei(ball, [0.0], [1e-6], key=1)
    assert nuclei.count == 0
    assert not np.any(nuclei.covers(np.zeros((3, 3))))


def test_refusals(ball):
    with pytest.raises(ValueError, match="births: expected within"):
        dj.draw_nuclei(ball, [-1.0], [0.0], key=1)
    with pytest.raises(ValueError, match="Nuclei that shrink are not drawn"):
        dj.draw_nuclei(ball, [1.0], [-1e-9], key=1)
    with pytest.raises(ValueError, match="as many steps as births, 1, got 2"):
        dj.draw_nuclei(ball, [1.0], [0.0, 0.0], key=1)
    with pytest.raises(ValueError, match="births: expected one number per step"):
        dj.draw_nuclei(ball, np.zeros((2, 2)), [0.0, 0.0], key=1)
    homogenised = dj.Scaffold.homogenised(FLAT, 0.9, 1.2, 1e5)
    with pytest.raises(ValueError, match="Its nuclei are known in the mean"):
        dj.draw_nuclei(homogenised, [1.0], [0.0], key=1)
    nuclei = dj.draw_nuclei(ball, [1e11], [0.1 * um], key=1)
    with pytest.raises(ValueError, match="points: expected rows of x, y, z"):
        nuclei.covers(np.zeros(3))
