"""Filter, projection and interpolation of a free density, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders

from depojax.design.parameters import FreeDensity
from depojax.design.topology import (
    FilteredDensity,
    PorousMedium,
    feature_size,
    helmholtz_filter,
    project,
    ramp,
    simp,
    threshold_offset,
)
from depojax.fv.grid import Grid

SIZE = 1e-6
GRID = Grid.uniform((8, 8, 8), SIZE)
RADIUS = 2.5e-6
MEDIUM = PorousMedium(5e-6, 0.6)


def free_density(logits):
    """A density that is free in every cell."""
    return FreeDensity(jax.nn.sigmoid(logits), SIZE)


def box(seed=0):
    """A random density on eight cells each way."""
    return jnp.asarray(np.random.default_rng(seed).uniform(0, 1, GRID.shape))


def test_a_wave_is_damped_as_its_length_says():
    """cos(kx) is an eigenfunction: what is left of it is 1/(1 + r²k²)."""

    def error(n):
        grid = Grid.uniform((n, 1, 1), 64e-6 / n)
        k = np.pi / 64e-6
        wave = jnp.cos(k * grid.centers[0])[:, None, None]
        left = helmholtz_filter(wave, grid, 10e-6, linear_tolerance=1e-13)
        expected = 1 / (1 + (k * 10e-6) ** 2)
        return float(jnp.vdot(left, wave) / jnp.vdot(wave, wave)) - expected

    assert np.all(observed_orders([error(n) for n in (8, 16, 32)]) > 1.95)


def test_the_mean_stays_and_no_value_leaves_its_range():
    widths = (np.full(8, SIZE), np.full(8, SIZE), SIZE * 1.2 ** np.arange(8))
    grid = Grid(widths)
    field = jnp.where(box() > 0.7, 1.0, 0.0)
    smooth = helmholtz_filter(field, grid, RADIUS)
    mean = jnp.sum(grid.volumes * field), jnp.sum(grid.volumes * smooth)
    np.testing.assert_allclose(*mean, rtol=1e-12)
    assert 0 <= float(smooth.min()) < float(smooth.max()) <= 1
    assert float(jnp.std(smooth)) < float(jnp.std(field)) / 3


def test_the_filter_is_its_own_adjoint():
    """Volumes weigh: ∫ u F v = ∫ v F u; reverse mode is that transpose."""
    u, v = box(1), box(2)

    def weighed(field):
        return jnp.vdot(u, helmholtz_filter(field, GRID, RADIUS))

    reverse = jax.grad(weighed)(v)
    np.testing.assert_allclose(reverse, helmholtz_filter(u, GRID, RADIUS), rtol=1e-6)


def test_projection_meets_its_ends_and_becomes_a_step():
    rho = jnp.linspace(0, 1, 11)
    for eta in (0.3, 0.5):
        for beta in (0.0, 1.0, 8.0, 64.0):
            ends = project(jnp.asarray([0.0, 1.0]), beta, eta)
            np.testing.assert_allclose(ends, [0, 1], atol=1e-12)
            assert np.all(np.diff(project(rho, beta, eta)) >= 0)
    np.testing.assert_allclose(project(rho, 0.0), rho, atol=1e-7)
    steps = project(rho, 64.0, 0.45)
    np.testing.assert_allclose(steps, rho > 0.45, atol=2e-3)


def test_grey_cells_give_less_than_their_share():
    np.testing.assert_allclose(ramp(jnp.asarray([0.0, 0.5, 1.0]), 4.0), [0, 1 / 6, 1])
    np.testing.assert_allclose(simp(jnp.asarray([0.0, 0.5, 1.0]), 3.0), [0, 1 / 8, 1])
    assert float(jax.grad(ramp)(0.0, 4.0)) == pytest.approx(1 / 5)


@pytest.mark.parametrize("offset", [0.2, 0.35])
def test_sheets_are_no_thinner_than_the_feature_size(offset):
    """The sheet of ones that the eroded projection just keeps, filtered on 4000 cells.

    (Independent of the formula: the threshold is looked for by bisection.)
    """
    n, h = 4000, 0.01
    grid = Grid.uniform((n, 1, 1), h * SIZE)
    x = np.abs(np.arange(n) - (n - 1) / 2) * h

    def filtered(half_width):
        sheet = jnp.asarray((x < half_width) * 1.0)[:, None, None]
        return np.asarray(helmholtz_filter(sheet, grid, RADIUS)).ravel()

    low, high = 0.0, 20.0
    for _ in range(12):
        middle = (low + high) / 2
        kept = filtered(middle).max() >= 0.5 + offset
        low, high = (low, middle) if kept else (middle, high)
    width = np.sum(filtered(high) > 0.5) * h * SIZE
    assert float(feature_size(RADIUS, offset)) == pytest.approx(width, rel=0.02)
    assert float(threshold_offset(RADIUS, feature_size(RADIUS, offset))) == (
        pytest.approx(offset, rel=1e-12)
    )


def test_a_medium_between_void_and_dense():
    rho = jnp.zeros(GRID.shape).at[4:].set(1.0)
    host = MEDIUM.scaffold(rho, GRID)
    np.testing.assert_allclose(host.pore_fraction[[0, 7], 0, 0], [0.999, 0.6])
    np.testing.assert_allclose(
        host.surface_area[[0, 7], 0, 0], [0, 4 * 0.399 / 5e-6 * SIZE**3]
    )
    # along y in the dense half: D_eff/D = ε^1.5
    np.testing.assert_allclose(host.face_transmission[1][7, 3, 0], 0.6**1.5)
    sigma = MEDIUM.solid_conductivity(rho)
    np.testing.assert_allclose(sigma[[0, 7], 0, 0], [1.0, 1e4])


def test_slopes_pass_filter_threshold_and_medium():
    weights, direction, h = box(5), box(6) - 0.5, 1e-5
    start = 3 * box(7) - 2

    @jax.jit
    def loss(logits):
        design = FilteredDensity(
            free_density(logits), MEDIUM, radius=RADIUS, sharpness=4.0
        )
        host, sigma = design.build(), design.solid_conductivity()
        return jnp.vdot(weights, host.surface_area / SIZE**2 + sigma / 1e4)

    slopes = jax.jit(jax.grad(loss))(start)
    central = (loss(start + h * direction) - loss(start - h * direction)) / (2 * h)
    assert float(jnp.vdot(slopes, direction)) == pytest.approx(float(central), rel=1e-6)


def test_the_threshold_keeps_the_mean():
    wave = jnp.cos(np.pi * (np.arange(8) + 0.5) / 8)[:, None, None]
    free = free_density(6 * wave - 1 + 0 * box())
    design = FilteredDensity(free, MEDIUM, radius=RADIUS)
    for beta in (0.0, 4.0, 16.0):
        built = design.sharper(beta)
        mean = float(jnp.mean(built.free.cells))
        assert float(jnp.mean(built.density)) == pytest.approx(mean, rel=1e-9)
    grey = [float(design.sharper(beta).greyness()) for beta in (1.0, 8.0, 64.0)]
    assert grey[0] > grey[1] > grey[2]
    assert grey[2] < 0.3
    means = [float(design.eroded(x).density.mean()) for x in (0.1, 0.0, -0.1)]
    assert means[0] < means[1] < means[2]


def test_uniform_designs_and_their_greyness():
    logits = jnp.full(GRID.shape, float(np.log(0.3 / 0.7)))
    design = FilteredDensity(free_density(logits), MEDIUM, radius=RADIUS, threshold=0.5)
    np.testing.assert_allclose(design.filtered, 0.3, rtol=1e-12)
    rho = float(project(0.3, 1.0))
    assert float(design.greyness()) == pytest.approx(4 * rho * (1 - rho), rel=1e-9)


def test_refusals():
    with pytest.raises(ValueError, match=r"radius: expected within .* as 5 \* um"):
        helmholtz_filter(box(), GRID, 2.0)
    with pytest.raises(ValueError, match=r"field: expected an array of shape \(8, 8"):
        helmholtz_filter(jnp.ones((2, 2, 2)), GRID, RADIUS)
    with pytest.raises(ValueError, match=r"threshold: expected within \(0, 1\)"):
        project(box(), 1.0, 1.0)
    with pytest.raises(ValueError, match=r"dense_porosity: expected below void"):
        PorousMedium(5e-6, 0.99, 0.9)
    with pytest.raises(ValueError, match=r"law: expected a known word.*ramp"):
        PorousMedium(5e-6, 0.6, law="rampp")  # pyright: ignore[reportArgumentType]
    free = free_density(jnp.zeros(GRID.shape))
    with pytest.raises(ValueError, match=r"free: expected a FreeDensity"):
        FilteredDensity(box(), MEDIUM, radius=RADIUS)  # pyright: ignore
    with pytest.raises(ValueError, match=r"offset: expected within"):
        FilteredDensity(free, MEDIUM, radius=RADIUS).eroded(0.5)
