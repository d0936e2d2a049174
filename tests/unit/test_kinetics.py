"""Kinetics: limits, slopes, detailed balance, and the current through an interface."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.optimize import brentq

import depojax as dj
from depojax.physics.interface import at_wall, interface_current
from depojax.physics.kinetics import AbstractKinetics, ExchangeCurrentDensity
from depojax.problems.fitting import KineticsFit
from depojax.units import BOLTZMANN, FARADAY, GAS_CONSTANT, cm, eV, kJ, mA

T = 298.15
VOLT = FARADAY / (GAS_CONSTANT * T)  # h per volt
C = 1000.0

LAWS = {
    "linear": dj.LinearKinetics(20.0),
    "tafel": dj.Tafel(0.5),
    "symmetric": dj.ButlerVolmer(20.0),
    "asymmetric": dj.ButlerVolmer(500.0, 0.3, 0.7),
    "two electrons": dj.ButlerVolmer(30.0, 1.5, 0.5),
    "zeroth order": dj.ButlerVolmer(5.0, exponent=0.0),
    "marcus": dj.Marcus(100.0, 0.3 * eV),
    "chidsey": dj.MarcusHushChidsey(100.0, 0.3 * eV),
}
# h ↦ n in plain numpy, to compare with
PLAIN = {
    "linear": lambda h: -h,
    "tafel": lambda h: np.exp(-0.5 * h),
    "symmetric": lambda h: -2 * np.sinh(h / 2),
    "asymmetric": lambda h: np.expm1(-0.3 * h) - np.expm1(0.7 * h),
    "two electrons": lambda h: np.expm1(-1.5 * h) - np.expm1(0.5 * h),
    "zeroth order": lambda h: -2 * np.sinh(h / 2),
}
COSTLY_IN_FLOAT32 = {"asymmetric", "chidsey"}  # to compile
each_law = pytest.mark.parametrize("name", sorted(LAWS))


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_currents_are_those_of_the_formula(name):
    eta = np.linspace(-0.5, 0.5, 41)
    found = LAWS[name].normalised_current(jnp.asarray(eta), T)
    np.testing.assert_allclose(found, PLAIN[name](VOLT * eta), rtol=1e-12, atol=1e-15)


@each_law
def test_sign_and_slope(name):
    law = LAWS[name]
    eta = jnp.linspace(-2.0, 2.0, 401)
    i = law.current_density(eta, C, T)
    assert np.all(np.isfinite(i))
    assert np.all(np.diff(i) <= 1e-11 * np.max(np.abs(i)))
    assert np.all(i[eta < 0] > 0)
    slopes = law.conductance(eta, C, T)
    assert np.all(np.isfinite(slopes))
    step = 1e-6
    rise = law.current_density(eta - step, C, T) - law.current_density(eta + step, C, T)
    round_off = 1e-8 * jnp.abs(i) + 1e-7
    assert np.all(jnp.abs(slopes - rise / (2 * step)) <= 1e-6 * slopes + round_off)


@pytest.mark.parametrize("name", sorted(set(LAWS) - {"tafel"}))
def test_near_equilibrium_all_are_linear(name):
    law = LAWS[name]
    i0 = law.exchange_current_density(C, T)
    transfer = 2.0 if name == "two electrons" else 1.0
    np.testing.assert_allclose(
        law.conductance(0.0, C, T), i0 * transfer * VOLT, rtol=1e-11
    )
    assert law.current_density(0.0, C, T) == 0
    tiny = law.current_density(jnp.asarray(-1e-9), C, T)
    np.testing.assert_allclose(tiny, 1e-9 * i0 * transfer * VOLT, rtol=1e-6)


def test_tafel_is_the_cathodic_part():
    eta = jnp.asarray([-0.4, -0.6])
    tafel = dj.Tafel(20.0, 0.4).current_density(eta, C, T)
    full = dj.ButlerVolmer(20.0, 0.4, 0.6).current_density(eta, C, T)
    np.testing.assert_allclose(tafel, full, rtol=1e-6)


def test_reorganisation_without_end_is_butler_volmer():
    eta = jnp.linspace(-0.1, 0.1, 11)
    plain = dj.ButlerVolmer(1.0).current_density(eta, C, T)
    away = jnp.abs(eta) > 1e-9
    for law in (dj.Marcus, dj.MarcusHushChidsey):
        stiff = law(1.0, 2.4 * eV).current_density(eta, C, T)
        np.testing.assert_allclose(stiff, plain, rtol=0.1, atol=1e-12)
        soft = law(1.0, 0.2 * eV).current_density(eta, C, T)
        assert np.all(np.abs(soft)[away] < np.abs(plain)[away])


def test_marcus_keeps_its_largest_current():
    law = dj.Marcus(1.0, 10 * BOLTZMANN * T)
    h = np.linspace(0, 20, 200001)
    plain = 2 * np.sinh(h / 2) * np.exp(-(h**2) / 40)
    top = plain.argmax()
    found = law.current_density(jnp.asarray(-h / VOLT), C, T)
    np.testing.assert_allclose(found[:top], plain[:top], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found[top:], plain.max(), rtol=1e-9)


def test_exchange_current_follows_concentration_and_temperature():
    law = ExchangeCurrentDensity(
        20.0, 0.7, reference_concentration=500.0, activation_energy=50 * kJ
    )
    np.testing.assert_allclose(law(250.0, T), 20 * 0.5**0.7, rtol=1e-12)
    warm = np.exp(-50e3 / GAS_CONSTANT * (1 / 320 - 1 / T))
    np.testing.assert_allclose(law(500.0, 320.0), 20 * warm, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_without_ions_nothing_happens(exponent):
    law = dj.ButlerVolmer(20.0, exponent=exponent)

    def current(c):
        return law.current_density(-0.1, c, T)

    for c in (-1.0, 0.0):
        assert current(c) == 0
        assert jax.grad(current)(jnp.asarray(c)) == 0
    few = jnp.asarray([1e-30, 1e-12, 1e-6, 1e-3])
    assert np.all(np.diff(jax.vmap(current)(few)) > 0)
    assert np.all(np.isfinite(jax.vmap(jax.grad(current))(few)))


def test_exponent_is_the_anodic_coefficient_unless_told():
    assert dj.ButlerVolmer(1.0, 0.3, 0.7).exchange_current_density.exponent == 0.7
    told = dj.ButlerVolmer(1.0, 0.3, 0.7, exponent=0.2)
    assert told.exchange_current_density.exponent == 0.2


def test_kinetics_over_places():
    i0 = jnp.asarray([1.0, 10.0, 0.0])
    law = dj.ButlerVolmer(i0)
    single = dj.ButlerVolmer(1.0).current_density(-0.05, C, T)
    np.testing.assert_allclose(law.current_density(-0.05, C, T), i0 * single)
    solved = interface_current(law, -0.05, C, T, resistance=0.0, depletion=0.0)
    np.testing.assert_allclose(solved, i0 * single, rtol=1e-12)

    def total(law, c):
        return solve(law, -0.05, c, 1e-3, 1.0, 0.02).sum()

    slopes = jax.grad(total, (0, 1))(law, jnp.asarray([C, 10.0, 500.0]))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))
    assert slopes[1][2] == 0


class Square(AbstractKinetics):
    """One's own law: i = −i₀ h|h|."""

    exchange_current_density: ExchangeCurrentDensity

    def normalised_current(self, overpotential, temperature):
        h = overpotential * (FARADAY / (GAS_CONSTANT * temperature))
        return -h * jnp.abs(h)


def test_own_kinetics():
    law = Square(ExchangeCurrentDensity(2.0, 0.0))
    i = interface_current(law, -0.1, C, T, resistance=0.01, depletion=0.0)
    np.testing.assert_allclose(i, 2 * ((0.1 - 0.01 * i) * VOLT) ** 2, rtol=1e-11)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dj.ButlerVolmer(-1.0), "exchange_current_density: expected within"),
        (lambda: dj.ButlerVolmer(1.0, 0.0), r"cathodic_transfer: .*0\.5 for Li"),
        (lambda: dj.ButlerVolmer(1.0, exponent=3.0), "exponent: expected within"),
        (lambda: dj.ButlerVolmer("one"), "exchange_current_density: expected a number"),
        (lambda: dj.Marcus(1.0, 0.3), r"reorganisation_energy: .*0\.3 \* eV"),
        (lambda: dj.MarcusHushChidsey(1.0, [4e-20, 5e-20]), "expected one number"),
        (lambda: dj.Tafel(1.0, reference_temperature=25.0), r"celsius\(25\)"),
        (lambda: dj.LinearKinetics(1.0, transfer_sum=0.0), "transfer_sum"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# The interface


def sample(n, seed=0):
    """Drives, concentrations, films, layers and diffusion potentials of all sizes."""
    rng = np.random.default_rng(seed)
    drive = rng.uniform(-1, 1, n) * 10 ** rng.uniform(-4, 0.47, n)
    c = 10 ** rng.uniform(-4, 3.5, n)
    R = np.where(rng.random(n) < 0.3, 0.0, 10 ** rng.uniform(-7, 2, n))
    limit = 10 ** rng.uniform(-3, 5, n)
    G = np.where(rng.random(n) < 0.3, 0.0, c / limit)
    psi = np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0.0, 0.1, n))
    return drive, c, R, G, psi


def solve(law, drive, c, R, G, psi, **options):
    return interface_current(
        law, drive, c, T, resistance=R, depletion=G, diffusion_potential=psi, **options
    )


def by_brentq(name, drive, c, R, G, psi):
    """The current by bisection of its logarithm, in plain numpy."""
    i0 = LAWS[name].exchange_current_density
    value, exponent = float(i0.value), float(i0.exponent)
    plates = PLAIN[name](VOLT * drive) > 0

    def state(z):
        w = np.exp(z) * G / c
        if plates:
            return np.exp(z) / (1 + w), -np.log1p(w)
        return -np.exp(z), np.log1p(w)

    def excess(z):
        i, log_share = state(z)
        share = c / 1000.0 * np.exp(log_share)
        h = VOLT * (drive + i * R - psi * log_share)
        n = PLAIN[name](np.clip(h, -1e3, 1e3))
        f = value * share**exponent * -np.expm1(-share / 1e-6) * n
        return 1.0 if i * f <= 0 else np.tanh(np.log(i / f))

    return state(brentq(excess, -150, 150, xtol=1e-14, rtol=1e-15))[0]


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_interface_current_is_that_of_bisection(name):
    cases = sample(800)
    if name == "two electrons":  # plain numpy goes on where the guard sets in
        cases = (np.clip(cases[0], -1.0, 2.0), *cases[1:])
    with np.errstate(all="ignore"):
        expected = np.array(
            [by_brentq(name, *case) for case in zip(*cases, strict=True)]
        )
    found = np.asarray(solve(LAWS[name], *map(jnp.asarray, cases)))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    np.testing.assert_allclose(np.median(np.abs(found / expected - 1)), 0, atol=1e-13)


@each_law
def test_solution_satisfies_its_equation(name):
    drive, c, R, G, psi = map(jnp.asarray, sample(500, seed=3))
    i = solve(LAWS[name], drive, c, R, G, psi)
    assert np.all(np.isfinite(i))
    c_s = c - i * G
    assert np.all(c_s >= -1e-12 * c)
    # where no cancellation spoils what the residual tells
    calm = (c_s > 1e-2 * c) & (jnp.abs(i) * R < 0.5 * jnp.abs(drive))
    calm = calm & (jnp.abs(drive) > 1e-2) & (drive < (5.0 if name != "tafel" else 0.0))
    f = LAWS[name].current_density(drive + i * R - psi * jnp.log(c_s / c), c_s, T)
    assert calm.sum() > 50
    np.testing.assert_allclose(i[calm], f[calm], rtol=1e-8)


def shares_inside(i, G, c):
    """c_s/c of a wall that the cell's centre lies behind, in plain numpy."""
    y = -i * G / c
    return np.where(y > 0, 1 + y / (1 + np.abs(y)), 1 / (1 + np.abs(y)))


@pytest.mark.parametrize("name", ["symmetric", "asymmetric", "marcus"])
def test_a_centre_inside_the_metal_has_less_than_the_wall(name):
    rng = np.random.default_rng(11)
    drive, c, R, G, psi = sample(400, seed=4)
    drive = rng.uniform(-0.4, 0.2, drive.size)
    G = -np.abs(c) * 10 ** rng.uniform(-5, 1, G.size)
    cases = tuple(map(jnp.asarray, (drive, c, R, G, psi)))
    i = np.asarray(solve(LAWS[name], *cases))
    share = shares_inside(i, G, c)
    # What those ions drive in turn is held to half of what would need no other cause.
    gain = np.asarray(LAWS[name].conductance(0 * c, c, T)) * psi * -G / c
    drift = psi * np.where(gain > 0.5, 0.5 / np.maximum(gain, 0.5), 1)
    assert np.any(drift < psi)
    assert np.any(drift == psi)
    eta = drive + i * R - drift * np.log(share)
    f = LAWS[name].current_density(jnp.asarray(eta), jnp.asarray(c * share), T)
    calm = np.abs(i) * R < 0.5 * np.abs(drive)
    assert calm.sum() > 50
    np.testing.assert_allclose(i[calm], f[calm], rtol=1e-8)
    # Plating raises it above the centre, at most to twice as much; thin layers are
    # as they are on the other side.
    assert np.all((share > 0) & (share < 2) & ((share > 1) == (i > 0)))
    thin = np.abs(i * G / c) < 1e-3
    assert thin.sum() > 20
    np.testing.assert_allclose(share[thin], (1 - i * G / c)[thin], rtol=1e-6)


@pytest.mark.parametrize("i0", [10.0, 1e4, 1e8])
def test_no_current_without_a_cause_behind_the_wall(i0):
    """However fast the kinetics: small drives, small currents, of one slope."""
    V = jnp.asarray([-1e-7, -1e-9, 0.0, 1e-9, 1e-7])
    i = solve(dj.LinearKinetics(i0), V, C, 0.0, -0.04, 0.087)
    slope = -i0 * FARADAY / (GAS_CONSTANT * T)
    assert np.all(np.abs(i) <= 2.001 * np.abs(slope * V))
    assert float(i[0] / i[1]) == pytest.approx(100, rel=0.1)
    # Slow kinetics feel all of the drift, 0.087 V.
    gain = abs(slope) * 0.087 * 0.04 / C
    expected = slope / (1 - min(gain, 0.5))
    assert float(i[3] / 1e-9) == pytest.approx(expected, rel=1e-3)


def test_no_more_is_stripped_than_there_is_and_none_where_too_much_was():
    """`least`, whatever its sign, and its slopes: none in the drive."""
    least = jnp.asarray([-3.0, 0.0, 2.0])
    wall = {"resistance": 0.0, "depletion": 1.0, "least": least}
    for drive in (0.2, -1e-6):

        def current(V, known=None, wall=wall):
            return at_wall(dj.ButlerVolmer(20.0), V, C, T, **wall, known=known)

        V = jnp.full(3, drive)
        found = current(V)
        free = float(dj.ButlerVolmer(20.0).current_density(drive, C, T))
        expected = least if drive > 0 else [free, free, 2.0]
        np.testing.assert_allclose(found.current, expected, rtol=1e-3)
        _, slope = jax.jvp(lambda V, f=found: current(V, f).current, (V,), (0 * V + 1,))
        h = 1e-9
        central = (current(V + h).current - current(V - h).current) / (2 * h)
        np.testing.assert_allclose(slope, central, rtol=1e-4, atol=1e-9)
        assert float(slope[2]) == 0.0


@each_law
def test_newton_takes_few_steps(name, monkeypatch):
    rng = np.random.default_rng(5)
    n = 400
    drive, c = rng.uniform(-0.3, 0.1, n), rng.uniform(20, 1000, n)
    R, G = 10 ** rng.uniform(-4, -2, n), rng.uniform(0, 0.1, n)
    cases = [jnp.asarray(a) for a in (drive, c, R, G)]
    if name == "tafel":
        cases[0] = -jnp.abs(cases[0]) - 0.01
    converged = solve(LAWS[name], *cases, 0.03)
    monkeypatch.setattr("depojax.physics.interface._MAX_STEPS", 8)
    np.testing.assert_allclose(solve(LAWS[name], *cases, 0.03), converged, rtol=1e-11)
    monkeypatch.setattr("depojax.physics.interface._MAX_STEPS", 3)
    near = solve(LAWS[name], cases[0] + 1e-3, *cases[1:], 0.03, guess=converged)
    monkeypatch.undo()
    cold = solve(LAWS[name], cases[0] + 1e-3, *cases[1:], 0.03)
    np.testing.assert_allclose(near, cold, rtol=1e-9)


@each_law
def test_any_guess_leads_to_the_same_current(name):
    cases = [jnp.asarray(a) for a in sample(300, seed=9)]
    cold = solve(LAWS[name], *cases)
    for guess in (0.0, 1e-6, -1e6, 1e6):
        warm = solve(LAWS[name], *cases, guess=jnp.full_like(cold, guess))
        np.testing.assert_allclose(warm, cold, rtol=1e-10)


def test_without_anything_before_it_the_interface_is_its_kinetics():
    eta = jnp.linspace(-1.0, 1.0, 21)
    for law in LAWS.values():
        found = solve(law, eta, 400.0, 0.0, 0.0, 0.0)
        np.testing.assert_allclose(
            found, law.current_density(eta, 400.0, T), rtol=1e-11
        )


def test_limits_of_layer_and_film():
    # Far below equilibrium all that arrives is plated; 2 mA cm⁻² here.
    limited = solve(LAWS["symmetric"], -5.0, C, 0.0, C / 20.0, 0.025)
    np.testing.assert_allclose(limited, 20.0, rtol=1e-10)
    film = solve(dj.ButlerVolmer(1e5), jnp.asarray([-0.1, 0.1]), C, 1.0, 0.0, 0.0)
    np.testing.assert_allclose(film, [0.1, -0.1], rtol=1e-6)
    parts = interface_current(
        LAWS["symmetric"], -0.1, C, T, resistance=2e-3, depletion=0.0, liquid=3e-3
    )
    np.testing.assert_allclose(
        parts, solve(LAWS["symmetric"], -0.1, C, 5e-3, 0.0, 0.0), rtol=1e-14
    )


def test_fast_kinetics_leave_the_concentration_potential():
    # i₀ → ∞: V = ψ ln(c_s/c), the wall in equilibrium with the metal.
    i = solve(dj.ButlerVolmer(1e8, exponent=0.5), -0.02, C, 0.0, 10.0, 0.03)
    np.testing.assert_allclose(i, 100 * -np.expm1(-0.02 / 0.03), rtol=1e-5)


@pytest.mark.parametrize("drive", [-0.3, -0.05, 0.1])
def test_layer_whose_conductivity_follows_its_salt(drive):
    # κ ∝ c: with c linear in the layer its drop is i R c/(c − c_s) ln(c/c_s).
    law, R, G, psi = LAWS["symmetric"], 4e-3, 10.0, 0.025

    def solved(p):
        return at_wall(
            law, drive, C, T, resistance=0.0, depletion=G, liquid=R, exponent=p,
            diffusion_potential=psi,
        )  # fmt: skip

    found = solved(1.0)
    i, c_s = float(found.current), float(found.concentration)
    x = np.linspace(0, 1, 2001)
    layer = R * simpson(C / (C + (c_s - C) * x), x=x)
    eta = drive + i * layer - psi * np.log(c_s / C)
    assert abs(c_s / C - 1) > 0.03
    assert float(law.current_density(eta, c_s, T)) == pytest.approx(i, rel=1e-9)
    h = 1e-5
    slope = float(solved(1 + h).current - solved(1 - h).current) / (2 * h)
    by_rule = jax.grad(lambda p: jnp.sum(solved(p).current))(1.0)
    assert float(by_rule) == pytest.approx(slope, rel=1e-6)


def test_depleted_places_have_no_current_and_no_slope():
    law = LAWS["symmetric"]
    c = jnp.asarray([0.0, -5.0, 1e-300])
    for drive in (-0.1, 0.1, 5.0):

        def total(drive, c, law):
            return solve(law, drive, c, 1e-3, 1.0, 0.02).sum()

        assert np.all(solve(law, drive, c, 1e-3, 1.0, 0.02) == 0)
        slopes = jax.grad(total, (0, 1, 2))(jnp.asarray(drive), c, law)
        assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    ("name", "layer"), [*((name, 3.0) for name in LAWS), ("asymmetric", -3.0)]
)
def test_slopes_in_all_numbers(name, layer):
    law = LAWS[name]
    at = (jnp.asarray(-0.08), jnp.asarray(700.0), jnp.asarray(2e-3), jnp.asarray(layer))
    numbers = (*at, jnp.asarray(0.03), jnp.asarray(305.0), law)

    def current(drive, c, R, G, psi, T, law):
        return interface_current(
            law, drive, c, T, resistance=R, depletion=G, diffusion_potential=psi
        )

    flat, tree = jax.tree.flatten(numbers)

    @jax.jit
    def of(*flat):
        return current(*jax.tree.unflatten(tree, flat))

    every = tuple(range(len(flat)))
    reverse = jax.grad(of, every)(*flat)
    forward = jax.jacfwd(of, every)(*flat)
    for k, value in enumerate(flat):
        step = 3e-5 * (float(value) or 1.0)
        up, down = (
            of(*[v + sign * step if j == k else v for j, v in enumerate(flat)])
            for sign in (1, -1)
        )
        up2, down2 = (
            of(*[v + 2 * sign * step if j == k else v for j, v in enumerate(flat)])
            for sign in (1, -1)
        )
        difference = (8 * (up - down) - (up2 - down2)) / (12 * step)
        np.testing.assert_allclose(reverse[k], forward[k], rtol=1e-12)
        np.testing.assert_allclose(reverse[k], difference, rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_second_derivative():
    def current(drive):
        return solve(LAWS["asymmetric"], drive, 600.0, 1e-3, 0.5, 0.02)

    at, step = jnp.asarray(-0.06), 1e-5
    slope = jax.grad(current)
    difference = (slope(at + step) - slope(at - step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(slope)(at), difference, rtol=1e-6)
    np.testing.assert_allclose(jax.hessian(current)(at), difference, rtol=1e-6)


def test_vmap_jit_and_shapes():
    drive = jnp.linspace(-0.2, 0.1, 24).reshape(2, 3, 4)
    c, G = jnp.asarray([500.0, 800.0, 900.0, 50.0]), jnp.asarray([[1.0], [2.0], [0.5]])
    whole = solve(LAWS["marcus"], drive, c, 1e-3, G, 0.02)
    assert whole.shape == (2, 3, 4)

    @jax.jit
    def one(drive, c, G):
        return solve(LAWS["marcus"], drive, c, 1e-3, G, 0.02)

    inner = jax.vmap(jax.vmap(one, (0, 0, None)), (0, None, 0))
    np.testing.assert_allclose(
        jax.vmap(inner, (0, None, None))(drive, c, G[:, 0]), whole
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in COSTLY_IN_FLOAT32))
        for name in sorted(LAWS)
    ],
)
def test_float32(name):
    cases = [jnp.asarray(a) for a in sample(400, seed=2)]
    if name == "tafel":
        cases[0] = -jnp.abs(cases[0])
    exact = solve(LAWS[name], *cases)
    single = [a.astype(jnp.float32) for a in cases]
    found = solve(LAWS[name], *single)
    assert found.dtype == jnp.float32
    assert np.all(np.isfinite(found))
    calm = (jnp.abs(cases[0]) < 2.0) & (jnp.abs(exact) > 1e-6) & (jnp.abs(exact) < 1e20)
    np.testing.assert_allclose(found[calm], exact[calm], rtol=1e-4)
    slopes = jax.grad(lambda *a: jnp.sum(solve(LAWS[name], *a)))(*single)
    assert np.all(np.isfinite(slopes[calm]))


# Fits


@pytest.mark.parametrize(
    ("truth", "start"),
    [
        (dj.LinearKinetics(30.0), dj.LinearKinetics(3.0)),
        (dj.Tafel(3.0, 0.4), dj.Tafel(10.0)),
        (dj.ButlerVolmer(25.0, 0.35, 0.6), dj.ButlerVolmer(100.0)),
        (dj.Marcus(150.0, 0.3 * eV), dj.Marcus(50.0, 0.5 * eV)),
        pytest.param(
            dj.MarcusHushChidsey(150.0, 0.3 * eV),
            dj.MarcusHushChidsey(90.0, 0.2 * eV),
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda law: type(law).__name__,
)
def test_fit_finds_what_made_the_data(truth, start):
    eta = jnp.delete(jnp.linspace(-0.25, 0.2, 19), 10)
    i = truth.current_density(eta, C, T)
    fit = dj.fit_kinetics(start, eta, i)
    assert isinstance(fit, KineticsFit)
    assert fit.deviation < 1e-7
    again = fit.kinetics.current_density(eta, C, T)
    np.testing.assert_allclose(again, i, rtol=1e-6)
    i0 = truth.exchange_current_density.value
    np.testing.assert_allclose(fit.values[0], i0, rtol=1e-6)


def test_fit_of_film_and_its_errors():
    truth = dj.ButlerVolmer(25.0)
    eta = jnp.delete(jnp.linspace(-0.2, 0.2, 41), 20)
    exact = solve(truth, eta, C, 2e-3, 0.0, 0.0)
    scatter = np.random.default_rng(1).normal(0.0, 0.02, eta.size)
    fit = dj.fit_kinetics(
        dj.ButlerVolmer(10.0),
        eta,
        exact * (1 + scatter),
        resistance=1e-3,
        free=("exchange_current_density", "resistance"),
    )
    true = np.array([25.0, 2e-3])
    assert np.all(np.abs(fit.values - true) < 3 * fit.standard_errors)
    assert np.all(fit.standard_errors < 0.1 * true)
    assert fit.resistance == fit.values[1]
    assert fit.kinetics.cathodic_transfer == 0.5
    np.testing.assert_allclose(fit.deviation, 0.02, rtol=0.3)
    np.testing.assert_allclose(
        fit.standard_errors, fit.values * np.sqrt(np.diag(fit.covariance)), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"free": ("alpha",)}, r"free: .*Known: anodic_transfer"),
        ({"free": ()}, "at least one name"),
        ({"overpotential": [-0.1, -0.2]}, "as many points"),
        ({"resistance": 0.0, "free": ("resistance",)}, "free: .*positive"),
        ({"current_density": [1.0, np.nan, 2.0, 3.0]}, "current_density: .*finite"),
        ({"current_density": [1.0, 0.0, 2.0, 3.0]}, "uncertainty"),
        ({"temperature": 25.0}, r"celsius\(25\)"),
    ],
)
def test_refused_fits(changes, words):
    arguments = {
        "overpotential": [-0.1, -0.05, 0.05, 0.1],
        "current_density": [2.0, 1.0, -1.0, -2.0],
    } | changes
    with pytest.raises(ValueError, match=words):
        dj.fit_kinetics(dj.ButlerVolmer(2 * mA / cm**2), **arguments)


def test_a_fit_that_does_not_end_says_so():
    eta = jnp.asarray([-0.1, -0.05, 0.05, 0.1])
    i = LAWS["symmetric"].current_density(eta, C, T)
    with pytest.raises(dj.SolveError, match="Start closer"):
        dj.fit_kinetics(dj.ButlerVolmer(2.0), eta, i, max_steps=2)
