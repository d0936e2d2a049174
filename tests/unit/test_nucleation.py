"""Classical nucleation, and the mean of many nuclei."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.physics.nucleation import wetting_factor_of
from depojax.physics.nuclei_state import deposit_area
from depojax.units import BOLTZMANN, FARADAY, degree

T = 298.15
LITHIUM_VOLUME = 1.2996254681648e-05


# Case N1: γ, η, θ → r*, ΔG*, ΔG*/kT, atoms.
N1 = {
    "Li on Cu": ("lithium", 0.5, -0.04, 90, 3.3674172010515e-09, 1.1874695171935e-17,
                 2884.7247029108, 3705.8008836043),
    "Li, 365 mV": ("lithium", 0.5, -0.365, 120, 3.6903202203304e-10,
                   2.4065811194764e-19, 58.463176564903, 8.23051939487),
    "Na": ("sodium", 0.25, -0.03, 60, 4.1024823625249e-09, 2.7538614664102e-18,
           668.99672669688, 1145.8834221605),
    "K": ("potassium", 0.14, -0.03, 60, 4.387590518345e-09, 1.7639604746009e-18,
          428.51966154599, 733.98502061409),
    "Zn": ("zinc", 0.8, -0.05, 90, 1.5184671151292e-09, 3.8633084379877e-18,
           938.51514709754, 482.25749346282),
    "Cu": ("copper", 1.5, -0.15, 60, 7.3505343702772e-10, 5.3044177499868e-19,
           128.86044396416, 22.071714347515),
}  # fmt: skip


@pytest.mark.parametrize("case", N1)
def test_critical_nucleus(case):
    name, gamma, eta, theta, radius, barrier, in_kT, atoms = N1[case]
    law = dj.Nucleation(
        getattr(dj.metals, name), contact_angle=theta * degree, surface_energy=gamma
    )
    np.testing.assert_allclose(law.critical_radius(eta), radius, rtol=1e-8)
    np.testing.assert_allclose(law.barrier(eta), barrier, rtol=1e-8)
    np.testing.assert_allclose(law.barrier(eta) / (BOLTZMANN * T), in_kT, rtol=1e-8)
    np.testing.assert_allclose(law.atoms(eta), atoms, rtol=1e-8)
    np.testing.assert_allclose(law.contact_angle, theta * degree, rtol=1e-12)
    np.testing.assert_allclose(
        law.rate(eta), law.prefactor * np.exp(-in_kT), rtol=1e-6, atol=1e-300
    )


def test_wetting_factor():
    angles = jnp.asarray([0.0, 30, 45, 60, 90, 120, 150, 180]) * degree
    known = [0, 0.012860710371253, 0.058058261758408, 0.15625, 0.5, 0.84375,
             0.98713928962875, 1]  # fmt: skip
    np.testing.assert_allclose(wetting_factor_of(angles), known, rtol=1e-13)
    slopes = jax.vmap(jax.grad(wetting_factor_of))(angles)
    np.testing.assert_allclose(slopes, 0.75 * np.sin(angles) ** 3, atol=1e-14)


def test_size_and_barrier_follow_their_power_laws():
    law = dj.Nucleation.from_overpotential(dj.metals.lithium, 0.1)
    eta = -jnp.logspace(-3, 0, 7)
    radius, barrier = law.critical_radius(eta), law.barrier(eta)
    np.testing.assert_allclose(np.diff(np.log(radius)) / np.diff(np.log(-eta)), -1)
    np.testing.assert_allclose(np.diff(np.log(barrier)) / np.diff(np.log(-eta)), -2)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_rate_is_finite_everywhere_with_its_slopes(dtype):
    law = jax.tree.map(
        lambda a: a.astype(dtype), dj.Nucleation.from_overpotential(dj.metals.zinc, 0.1)
    )
    eta = [-5.0, -0.1, -1e-3, -1e-9, -1e-20, 0.0, 1e-20, 1e-9, 0.1, 5.0]
    for value in jnp.asarray(eta, dtype):
        T0 = jnp.asarray(T, dtype)
        rate, slopes = jax.value_and_grad(lambda args: args[0].rate(args[1], args[2]))(
            (law, value, T0)
        )
        assert np.isfinite(rate)
        assert all(np.all(np.isfinite(a)) for a in jax.tree.leaves(slopes))
        assert rate == 0 or value < 0
    assert np.isinf(law.critical_radius(jnp.asarray(0.1, dtype)))
    assert np.isinf(law.barrier(jnp.asarray(0.0, dtype)))


def test_rate_at_the_measured_overpotential_is_the_one_asked_for():
    law = dj.Nucleation.from_overpotential(
        dj.metals.sodium, 0.04, rate=1e10, temperature=280.0
    )
    np.testing.assert_allclose(law.rate(-0.04, 280.0), 1e10, rtol=1e-10)
    law = dj.Nucleation.from_barrier(dj.metals.sodium, 50.0, overpotential=-0.04)
    np.testing.assert_allclose(law.barrier(-0.04) / (BOLTZMANN * T), 50, rtol=1e-12)


INSTANTANEOUS = ({"prefactor": 1e37, "site_density": 1e12}, [
    (10, 0.030927573695189), (30, 0.24628678804353), (50, 0.544061872234),
    (100, 0.95678608173623)])  # fmt: skip
PROGRESSIVE = ({"prefactor": 1e11, "site_density": 1e20}, [
    (10, 0.010417335273146), (20, 0.080362588074216), (30, 0.24628678804353),
    (50, 0.72990916185598)])  # fmt: skip


@pytest.mark.parametrize(("options", "known"), [INSTANTANEOUS, PROGRESSIVE])
@pytest.mark.parametrize("steps", [1, 3])
def test_coverage_at_constant_rates(options, known, steps):
    """Case N2, for any number of steps."""
    law = dj.Nucleation(dj.metals.lithium, wetting_factor=0.0, **options)
    grow = eqx.filter_jit(law.grow)
    for time, coverage in known:
        state = dj.NucleiState.bare()
        for _ in range(steps):
            state = grow(state, -0.1, 1e-8 * time / steps, time / steps)
        np.testing.assert_allclose(state.coverage, coverage, rtol=2e-8)
        np.testing.assert_allclose(state.free_share, 1 - coverage, rtol=2e-8)


def test_any_rate_of_nucleation_between_the_limits():
    """Avrami's X = π v² N₀ (t² − 2t/A + 2/A² (1 − e^(−At)))."""
    N0, A, v, t = 1e12, 0.07, 1e-8, 40.0
    law = dj.Nucleation(
        dj.metals.lithium, wetting_factor=0.0, prefactor=A * N0, site_density=N0
    )
    state = dj.NucleiState.bare()
    for dt in (5.0, 25.0, 10.0):
        state = law.grow(state, -0.1, v * dt, dt)
    X = np.pi * v**2 * N0 * (t**2 - 2 * t / A + 2 / A**2 * (1 - np.exp(-A * t)))
    np.testing.assert_allclose(state.extended_coverage, X, rtol=1e-12)
    np.testing.assert_allclose(state.sites_used, N0 * (1 - np.exp(-A * t)), rtol=1e-12)
    # What was truly born is ∫ A N₀ e^(−At) (1 − coverage) dt, in fine steps.
    s = np.linspace(0, t, 40001)
    free = np.exp(
        -np.pi * v**2 * N0 * (s**2 - 2 * s / A + 2 / A**2 * (1 - np.exp(-A * s)))
    )
    born = A * N0 * np.exp(-A * s) * free
    count = np.trapezoid(born, s)
    np.testing.assert_allclose(state.density, count, rtol=1e-5)
    radius = np.trapezoid(born * v * (t - s), s) / count
    np.testing.assert_allclose(state.mean_radius, radius, rtol=1e-5)


def changing(steps):
    """Coverage after 30 s of a rate and a growth that change, by midpoints."""
    law = dj.Nucleation.from_overpotential(dj.metals.lithium, 0.1, site_density=1e12)
    dt = 30.0 / steps
    times = dt * (jnp.arange(steps, dtype=float) + 0.5)

    def body(state, t):
        eta = -0.1 - 0.002 * jnp.sin(t / 5)
        return law.grow(state, eta, 2e-8 * dt * (1 + t / 30), dt), None

    return jax.lax.scan(body, dj.NucleiState.bare(), times)[0].coverage


def test_second_order_where_rates_change():
    exact = changing(2048)
    errors = [abs(changing(n) - exact) for n in (16, 32, 64, 128)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(orders > 1.9), orders


def test_area_of_the_deposit():
    from scipy.special import dawsn

    X = np.concatenate([[1e-300, 1e-12], np.logspace(-6, 6, 61), [0.999999, 1.0]])
    root = np.sqrt(X)
    np.testing.assert_allclose(deposit_area(X), 2 * root * dawsn(root), rtol=2e-13)
    assert deposit_area(0.0) == 0
    h = 1e-6
    for x in (0.0, 1e-3, 0.5, 2.0, 50.0):
        slope = (deposit_area(x + h) - deposit_area(max(x - h, 0))) / (h + min(h, x))
        np.testing.assert_allclose(jax.grad(deposit_area)(x), slope, rtol=2e-6)


def explicit_area(radii, heights=4000):
    """∫ dX/dr e^(−X) dz of hemispheres, by their discs at all heights."""
    z = (np.arange(heights) + 0.5) / heights * radii.max()
    above = np.maximum(radii[:, None] ** 2 - z**2, 0)
    weight = 2 * np.pi * np.sum(np.where(above > 0, radii[:, None], 0), axis=0)
    return np.sum(weight * np.exp(-np.pi * above.sum(0))) * radii.max() / heights


@pytest.mark.parametrize("X", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_area_of_the_deposit_by_discs(X):
    """Exact for one size; for radii spread evenly within 6 %."""
    one = np.full(1, np.sqrt(X / np.pi))
    np.testing.assert_allclose(deposit_area(X), explicit_area(one), rtol=2e-3)
    spread = np.arange(1, 201) / 200
    spread *= np.sqrt(X / np.pi / np.sum(spread**2))
    np.testing.assert_allclose(deposit_area(X), explicit_area(spread), rtol=0.055)


def after_two_steps(charge, eta, wetting, time):
    law = dj.Nucleation(dj.metals.lithium, wetting_factor=wetting)
    state = dj.NucleiState.bare()
    state = law.plate(state, eta, charge, time)
    state = law.plate(state, eta / 2, 3 * charge, time)
    return jnp.stack([state.coverage, 1e-12 * state.density, 1e7 * state.mean_radius])


def test_slopes():
    point = jnp.asarray([1.0, -0.1, 0.047, 1.0])

    def function(x):
        return after_two_steps(*x)

    forward = jax.jit(jax.jacfwd(function))(point)
    reverse = jax.jit(jax.jacrev(function))(point)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)
    step = 1e-6 * np.diag(np.abs(point))
    f = jax.jit(function)
    central = np.stack(
        [(f(point + d) - f(point - d)) / (2 * d.sum()) for d in step], axis=-1
    )
    np.testing.assert_allclose(forward, central, rtol=2e-6, atol=1e-9)


def test_charge_becomes_the_volume_of_hemispheres():
    N0 = 1e10
    law = dj.Nucleation(
        dj.metals.lithium, wetting_factor=0.0, prefactor=1e37, site_density=N0
    )
    state = law.plate(dj.NucleiState.bare(), -0.1, 0.2, 1.0)
    volume = 0.2 * LITHIUM_VOLUME / FARADAY
    radius = (3 * volume / (2 * np.pi * N0)) ** (1 / 3)
    np.testing.assert_allclose(state.mean_radius, radius, rtol=2e-4)
    assert state.coverage < 1e-3
    # Far beyond coalescence the film grows as a plane does.
    state = law.plate(state, -0.1, 1e6, 1.0)
    before = state.radius_sum / state.sites_used
    state = law.plate(state, -0.1, 1e4, 1.0)
    grown = state.radius_sum / state.sites_used - before
    np.testing.assert_allclose(grown, 1e4 * LITHIUM_VOLUME / FARADAY, rtol=1e-3)
    np.testing.assert_allclose(state.charge, 0.2 + 1e6 + 1e4, rtol=1e-14)


def test_stripping_takes_back_what_was_plated():
    law = dj.Nucleation.from_overpotential(dj.metals.lithium, 0.1)
    full = law.plate(dj.NucleiState.bare(), -0.11, 10.0, 1.0)
    less = law.plate(full, 0.05, -5.0, 1.0)
    np.testing.assert_allclose(less.charge, 5.0, rtol=1e-14)
    np.testing.assert_allclose(less.mean_radius / full.mean_radius, 0.5 ** (1 / 3))
    assert less.density == full.density
    none = law.plate(less, 0.05, -6.0, 1.0)
    assert all(value == 0 for value in jax.tree.leaves(none))
    slope = jax.grad(lambda q: law.plate(full, 0.05, q, 1.0).coverage)(-10.0)
    assert np.isfinite(slope)


@pytest.mark.slow
def test_places_are_independent():
    law = dj.Nucleation.from_overpotential(
        dj.metals.lithium, jnp.asarray([0.03, 0.1, 0.0])
    )
    eta, q = jnp.asarray([-0.05, -0.05, 0.1]), jnp.asarray([2.0, 0.0, 0.0])
    together = law.plate(dj.NucleiState.bare((3,)), eta, q, 1.0)
    for k in range(3):
        law_there = eqx.tree_at(lambda n: n.wetting_factor, law, law.wetting_factor[k])
        alone = law_there.plate(dj.NucleiState.bare(), eta[k], q[k], 1.0)
        for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(a, b[k], rtol=1e-12)
    assert together.density[0] > 0
    assert together.density[2] == 0
    wide = jax.tree.map(lambda a: jnp.broadcast_to(a, (3,)), law)
    mapped = jax.vmap(lambda law, state, eta, q: law.plate(state, eta, q, 1.0))
    one_by_one = mapped(wide, dj.NucleiState.bare((3,)), eta, q)
    np.testing.assert_allclose(one_by_one.density, together.density, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "contact_angle: expected either it or wetting_factor, got none"),
        ({"contact_angle": 1.0, "wetting_factor": 0.5}, "got both"),
        ({"contact_angle": 120.0}, r"within \[0, 3.14159\] rad.*120 \* degree"),
        ({"wetting_factor": 1.5}, "raise surface_energy or lower the barrier"),
        ({"wetting_factor": 0.5, "prefactor": 0.0}, "prefactor: expected a positive"),
        ({"wetting_factor": 0.5, "surface_energy": 500.0}, "surface_energy: .*J m⁻²"),
        (
            {"wetting_factor": [0.5, 0.6], "site_density": [1e12] * 3},
            r"a shape that goes with \(2,\), got \(3,\)",
        ),
    ],
)
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        dj.Nucleation(dj.metals.lithium, **options)


def test_refusals_of_constructors():
    with pytest.raises(ValueError, match="metal: expected a Metal, got 'lithium'"):
        dj.Nucleation("lithium", wetting_factor=0.5)
    with pytest.raises(ValueError, match="rate: expected at most the prefactor"):
        dj.Nucleation.from_overpotential(
            dj.metals.lithium, 0.1, rate=1e30, prefactor=1e20
        )
    with pytest.raises(ValueError, match="Plating takes a negative overpotential"):
        dj.Nucleation.from_barrier(dj.metals.lithium, 50.0, overpotential=0.1)
