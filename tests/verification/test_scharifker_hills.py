"""Scharifker–Hills transients, growth of single nuclei (cases N3, N4), and fits."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import depojax as dj
from depojax.physics.scharifker_hills import hemisphere_current
from depojax.units import FARADAY

COPPER = {"concentration": 50.0, "diffusivity": 6e-10}
TIMES = np.array([0.05, 0.2, 1.0, 5.0])
SHAPES = {  # (i/i_m)² at t/t_m
    "site_density": [0.27243783629599, 0.56800850844443, 0.85042903159727, 1.0,
                     0.93714210739731, 0.82518611116399, 0.62171588285666,
                     0.38939433155951],
    "nucleation_rate": [0.0065365931992972, 0.09049956350018, 0.47973902998082, 1.0,
                        0.80846372878445, 0.61260671005869, 0.40847575445917,
                        0.2450854530362],
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "known", "peak"),
    [
        (
            {"site_density": 1e11},
            [351.37367773977, 289.6704731175, 133.3404685406, 59.631671476598],
            (0.070606154043703, 358.96183550451, 0.16287906504362),
        ),
        (
            {"nucleation_rate": 1e11},
            [17.425996029783, 112.65120932101, 133.33953173533, 59.631671476598],
            (0.44380847267902, 180.80915684523, 0.25975420592325),
        ),
        (
            {"site_density": 1e11, "nucleation_rate": 2e11},
            [25.121415618188, 138.67257542516, 133.33500224015, 59.631671476598],
            None,
        ),
    ],
)
def test_current_of_copper(options, known, peak):
    found = dj.scharifker_hills(TIMES, dj.metals.copper, **COPPER, **options)
    np.testing.assert_allclose(found.current_density, known, rtol=1e-10)
    if peak is not None:
        t, i, product = peak
        np.testing.assert_allclose(found.peak_time, t, rtol=1e-9)
        np.testing.assert_allclose(found.peak_current_density, i, rtol=1e-9)
        np.testing.assert_allclose(found.product, product, rtol=1e-9)


@pytest.mark.parametrize("name", SHAPES)
def test_shape_does_not_depend_on_the_numbers(name):
    s = np.array([0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
    options = {name: 3.7e12, "concentration": 7.0, "diffusivity": 1.3e-9}
    first = dj.scharifker_hills(s, dj.metals.zinc, **options)
    found = dj.scharifker_hills(s * first.peak_time, dj.metals.zinc, **options)
    shape = found.current_density / found.peak_current_density
    np.testing.assert_allclose(shape**2, SHAPES[name], rtol=1e-9)


@pytest.mark.parametrize("rate", [1e9, 1e12, 1e15, 1e20])
def test_peak_between_the_limits(rate):
    options = COPPER | {"site_density": 1e11, "nucleation_rate": rate}

    def current(log_t):
        t = np.exp([log_t])
        found = dj.scharifker_hills(t, dj.metals.copper, **options)
        return -float(found.current_density[0])

    found = dj.scharifker_hills(TIMES, dj.metals.copper, **options)
    best = minimize_scalar(current, bracket=(-3.0, 0.0), tol=1e-9)
    np.testing.assert_allclose(found.peak_time, np.exp(best.x), rtol=1e-6)
    np.testing.assert_allclose(found.peak_current_density, -best.fun, rtol=1e-10)
    assert 0.1628 < float(found.product) < 0.2598


def test_limits_of_the_law_between():
    at_once = dj.scharifker_hills(TIMES, dj.metals.copper, **COPPER, site_density=1e11)
    fast = dj.scharifker_hills(
        TIMES, dj.metals.copper, **COPPER, site_density=1e11, nucleation_rate=1e25
    )
    np.testing.assert_allclose(fast.current_density, at_once.current_density, rtol=1e-9)
    np.testing.assert_allclose(fast.nuclei_density, at_once.nuclei_density)
    slow = dj.scharifker_hills(
        TIMES, dj.metals.copper, **COPPER, site_density=1e19, nucleation_rate=4e11 / 3
    )
    steady = dj.scharifker_hills(
        TIMES, dj.metals.copper, **COPPER, nucleation_rate=1e11
    )
    np.testing.assert_allclose(slow.current_density, steady.current_density, rtol=1e-7)
    np.testing.assert_allclose(slow.nuclei_density, 4e11 / 3 * TIMES, rtol=1e-7)


def test_nothing_flows_at_first_and_slopes_are_finite():
    def current(D):
        return dj.scharifker_hills(
            jnp.zeros(1), dj.metals.copper, concentration=50.0, diffusivity=D,
            site_density=1e11,
        ).current_density[0]  # fmt: skip

    value, slope = jax.value_and_grad(current)(6e-10)
    assert value == 0
    assert slope == 0


def test_slopes():
    scale = jnp.asarray([6e-10, 1e11, 2e11])

    def answers(x):
        D, sites, rate = x * scale
        found = dj.scharifker_hills(
            TIMES[:2], dj.metals.copper, concentration=50.0, diffusivity=D,
            site_density=sites, nucleation_rate=rate,
        )  # fmt: skip
        peak = jnp.stack([100 * found.peak_time, found.peak_current_density])
        return jnp.concatenate([found.current_density, peak])

    x = jnp.ones(3)
    forward = jax.jacfwd(answers)(x)
    np.testing.assert_allclose(forward, jax.jacrev(answers)(x), rtol=1e-10)
    h = 1e-5
    central = [(answers(x + h * e) - answers(x - h * e)) / (2 * h) for e in jnp.eye(3)]
    np.testing.assert_allclose(forward, np.stack(central, 1), rtol=1e-7)


def test_hemisphere_of_lithium():
    """Case N4."""
    options = {"concentration": 1000.0, "diffusivity": 3e-10}
    t = jnp.asarray([0.01, 0.1, 1.0])
    r = dj.hemisphere_radius(t, dj.metals.lithium, **options)
    np.testing.assert_allclose(
        r, [2.792445668046e-07, 8.8304885532958e-07, 2.792445668046e-06], rtol=1e-11
    )
    growth = jax.vmap(
        jax.grad(lambda t: dj.hemisphere_radius(t, dj.metals.lithium, **options))
    )(t)
    np.testing.assert_allclose(
        hemisphere_current(r, growth, dj.metals.lithium),
        [5.0786367513979e-08, 1.6060059543056e-07, 5.0786367513979e-07],
        rtol=1e-9,
    )
    assert dj.hemisphere_radius(0.0, dj.metals.lithium, **options) == 0


def test_hemisphere_between_kinetics_and_diffusion():
    metal, i, options = (
        dj.metals.zinc, 300.0, {"concentration": 100.0, "diffusivity": 7e-10},
    )  # fmt: skip
    t = jnp.logspace(-3, 9, 7)
    kinetic = dj.hemisphere_radius(t, metal, current_density=i)
    np.testing.assert_allclose(
        kinetic, metal.molar_volume * i * t / (2 * FARADAY), rtol=1e-14
    )
    diffusive = dj.hemisphere_radius(t, metal, **options)
    both = dj.hemisphere_radius(t, metal, current_density=i, **options)
    assert np.all(both < np.minimum(kinetic, diffusive))
    np.testing.assert_allclose(both[0], kinetic[0], rtol=1e-4)
    np.testing.assert_allclose(both[-1], diffusive[-1], rtol=0.01)
    # 1/i = 1/i_k + r/(zFDc): the current of the rate of growth, by differences.
    growth = jax.vmap(
        jax.grad(lambda t: dj.hemisphere_radius(t, metal, current_density=i, **options))
    )(t)
    local = growth * 2 * FARADAY / metal.molar_volume
    limit = 2 * FARADAY * options["diffusivity"] * options["concentration"] / both
    np.testing.assert_allclose(1 / local, 1 / i + 1 / limit, rtol=1e-9)


def measured(noise, seed=1, **numbers):
    """Currents of copper with normal errors, a share of the highest."""
    first = dj.scharifker_hills(TIMES, dj.metals.copper, **COPPER, **numbers)
    t = np.linspace(0.05, 4.0, 80) * float(first.peak_time)
    found = dj.scharifker_hills(t, dj.metals.copper, **COPPER, **numbers)
    error = np.random.default_rng(seed).normal(0, noise, t.size)
    return t, np.asarray(found.current_density) + error * float(
        found.peak_current_density
    )


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ({"site_density": 3e12}, "instantaneous"),
        ({"nucleation_rate": 5e13}, "progressive"),
        ({"site_density": 2e11, "nucleation_rate": 6e11}, "mixed"),
    ],
)
def test_fit_finds_numbers_and_kind(numbers, verdict):
    t, i = measured(0.005, **numbers)
    fit = dj.fit_scharifker_hills(t, i, dj.metals.copper, concentration=50.0)
    assert fit.verdict == verdict
    known = dict(numbers) | {"diffusivity": 6e-10}
    assert set(fit.free) == set(known)
    for name, value, error in zip(
        fit.free, fit.values, fit.standard_errors, strict=True
    ):
        assert abs(value - known[name]) < 4 * error
        assert 0 < error < 0.2 * known[name]
    np.testing.assert_allclose(fit.deviation, 0.005, rtol=0.3)
    assert min(fit.criteria, key=lambda pair: pair[1])[0] == verdict
    assert fit.to_xarray().attrs["verdict"] == verdict


def test_fit_without_noise_and_with_a_known_diffusivity():
    t, i = measured(0.0, site_density=3e12)
    fit = dj.fit_scharifker_hills(
        t, i, dj.metals.copper, concentration=50.0, diffusivity=6e-10
    )
    assert fit.free == ("site_density",)
    np.testing.assert_allclose(fit.values, [3e12], rtol=1e-6)


@pytest.mark.slow
def test_standard_errors_are_those_of_repeated_measurements():
    found, errors = [], []
    for seed in range(8):
        t, i = measured(0.01, seed, nucleation_rate=5e13)
        fit = dj.fit_scharifker_hills(
            t, i, dj.metals.copper, concentration=50.0, diffusivity=6e-10
        )
        if fit.verdict == "progressive":
            found.append(float(fit.values[0]))
            errors.append(float(fit.standard_errors[0]))
    assert len(found) > 4
    ratio = np.std(found, ddof=1) / np.mean(errors)
    assert 0.3 < ratio < 2.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": [0.0] * 8}, "time: expected within"),
        ({"time": [1.0, 2.0], "current_density": [1.0, 2.0]}, "one row of at least 6"),
        ({"current_density": [-1.0] * 8}, "current_density: expected a positive peak"),
        ({"current_density": [np.nan] * 8}, "current_density: expected finite numbers"),
        ({"metal": "copper"}, "metal: expected a Metal"),
    ],
)
def test_fit_refuses(change, words):
    options = {
        "time": np.linspace(1, 8, 8),
        "current_density": np.linspace(1, 8, 8),
        "metal": dj.metals.copper,
        "concentration": 50.0,
    }
    with pytest.raises(ValueError, match=words):
        dj.fit_scharifker_hills(**(options | change))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "site_density: expected it, nucleation_rate, or both, got none"),
        ({"site_density": -1.0}, "site_density: expected a positive number"),
        ({"site_density": 1e11, "concentration": 0.0}, "concentration: expected"),
        ({"site_density": 1e11, "diffusivity": 3.0}, "diffusivity: .*3e-10"),
    ],
)
def test_transient_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        dj.scharifker_hills(TIMES, dj.metals.copper, **(COPPER | options))
    with pytest.raises(ValueError, match="both it and concentration, or neither"):
        dj.hemisphere_radius(1.0, dj.metals.copper, concentration=1.0)
    with pytest.raises(ValueError, match="current_density: expected it, or"):
        dj.hemisphere_radius(1.0, dj.metals.copper)


def test_transients_are_saved_whole(tmp_path):
    found = dj.scharifker_hills(TIMES, dj.metals.copper, **COPPER, site_density=1e11)
    dj.save(found, tmp_path / "transient.nc")
    assert eqx.tree_equal(dj.load(tmp_path / "transient.nc"), found)
