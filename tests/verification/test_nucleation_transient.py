"""The dip of the voltage at constant current, and what it depends on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import depojax as dj
from depojax.physics.nuclei_state import deposit_area
from depojax.units import FARADAY, celsius, cm, mA

LITHIUM = dj.metals.lithium
J = 1 * mA / cm**2
OPTIONS = {"duration": 600.0, "steps": 200}
KINETICS = dj.ButlerVolmer(3.3, activation_energy=5e4)


def law(overpotential=0.35, sites=1e14):
    return dj.Nucleation.from_overpotential(LITHIUM, overpotential, site_density=sites)


@pytest.fixture(scope="module")
def run():
    """With one compiled program for all numbers."""

    @eqx.filter_jit
    def solve(nucleation, current, temperature, film, capacitance):
        return dj.nucleation_transient(
            nucleation, KINETICS, current, temperature=temperature,
            film_resistance=film, capacitance=capacitance, **OPTIONS,
        )  # fmt: skip

    def found(nucleation, current=J, temperature=298.15, film=0.0, capacitance=0.2):
        numbers = (current, temperature, film, capacitance)
        return solve(nucleation, *map(jnp.asarray, numbers))

    return found


def independently(nucleation, C=0.2, end=600.0):
    """The same equations as an ODE, by LSODA of scipy: V at the end, dip, nuclei."""
    N0 = float(nucleation.site_density)
    per_charge = float(nucleation.molar_volume) / FARADAY
    rate = jax.jit(lambda E: nucleation.rate(E))
    size = jax.jit(lambda E: nucleation.birth_radius(E))
    area = jax.jit(lambda m2: deposit_area(jnp.pi * m2))
    current = jax.jit(lambda E: KINETICS.current_density(E, 1000.0, 298.15))

    def slope(t, y):
        E, m0, m1, m2, _ = y
        E = min(
            max(E, -1.0), 0.5
        )  # where the solver only tries, the exponential overflows
        i = float(current(E))
        born = float(rate(E)) / N0 * (1 - m0)  # of sites
        r = float(size(E)) * N0**0.5 if born > 0 else 0.0
        v = per_charge * i * N0**0.5
        return [
            (i * float(area(max(m2, 0.0))) - J) / C,
            born,
            v * m0 + r * born,
            2 * v * m1 + r * r * born,
            born * np.exp(-np.pi * m2),
        ]

    ran = solve_ivp(
        slope, (0, end), np.zeros(5), method="LSODA", rtol=1e-8,
        atol=[1e-9, 1e-14, 1e-14, 1e-14, 1e-14],
    )  # fmt: skip
    return ran.y[0, -1], ran.y[0].min(), ran.y[4, -1] * N0


@pytest.mark.slow
def test_against_an_ode_solver():
    nucleation = law(0.35, 1e13)
    V, lowest, count = independently(nucleation)
    errors = []
    for steps in (200, 400, 800):
        found = dj.nucleation_transient(
            nucleation, KINETICS, J, duration=600.0, steps=steps
        )
        there = (found.voltage[-1] / V, found.nuclei_density[-1] / count)
        np.testing.assert_allclose(there, 1.0, atol=1e-4)
        errors.append(float(1 - found.spike / lowest))
    # The bottom of the dip lies between the moments that are kept: docs/nucleation.md
    # has these numbers.
    np.testing.assert_allclose(errors, [0.076, 0.049, 0.029], atol=1e-3)


def test_dip_and_plateau(run):
    found = run(law())
    assert bool(found.converged)
    assert float(found.charge_balance_error) < 1e-12
    # At first the double layer takes all: V = −J t/C.
    early = found.time < 2e-3
    np.testing.assert_allclose(
        found.voltage[early], -J * found.time[early] / 0.2, rtol=1e-6
    )
    # In the end the whole area plates, 1.0 to 1.05 times the electrode.
    flat = -2 * 298.15 * 8.314462618 / FARADAY * np.arcsinh(J / 2 / 3.3)
    np.testing.assert_allclose(found.plateau, flat, rtol=0.03)
    np.testing.assert_allclose(found.coverage[-1], 1.0, atol=1e-6)
    dip = float(found.nucleation_overpotential)
    np.testing.assert_allclose(dip, found.spike - found.plateau)
    assert -0.45 < float(found.spike) < -0.33
    # No more nuclei after the dip.
    lowest = int(jnp.argmin(found.voltage))
    after = np.asarray(found.nuclei_density[lowest + 20 :])
    np.testing.assert_allclose(after, after[-1], rtol=1e-3)
    np.testing.assert_allclose(found.charge[-1] / (J * found.time[-1]), 1, atol=1e-4)


def test_colder_means_more_and_smaller_nuclei(run):
    """−20 to 60 °C at the same current: slower kinetics push |η| up."""
    cold, warm, hot = (run(law(), temperature=celsius(T)) for T in (-20, 20, 60))
    density = [float(r.nuclei_density[-1]) for r in (cold, warm, hot)]
    assert density[0] > 1.2 * density[1] > 1.2**2 * density[2]

    def radius(run):
        return float(jnp.interp(20.0, run.charge, run.mean_radius))

    assert radius(cold) < radius(warm) < radius(hot)
    assert cold.spike < warm.spike < hot.spike
    # The dip less the plateau goes the other way: the plateau falls still more.
    assert cold.plateau < warm.plateau < hot.plateau


def test_more_current_means_more_nuclei(run):
    few, many = run(law(), current=J), run(law(), current=10 * J)
    assert many.nuclei_density[-1] > 1.5 * few.nuclei_density[-1]
    assert many.spike < few.spike


def test_lithiophilic_means_a_shallow_dip(run):
    deep, shallow = run(law(0.35)), run(law(0.1))
    assert deep.nucleation_overpotential < shallow.nucleation_overpotential - 0.03
    np.testing.assert_allclose(deep.plateau, shallow.plateau, rtol=0.02)


@pytest.mark.slow
def test_alloy_that_plates_from_the_start():
    """Half of the area at first: the dip is that of twice the current density."""
    start = dj.NucleiState.of_nuclei(LITHIUM, 1e15, 1.45e-8)
    found = dj.nucleation_transient(
        law(0.0), KINETICS, J, start=start, capacitance=1e-3, **OPTIONS
    )
    area = float(start.area_factor)
    V = -2 * 298.15 * 8.314462618 / FARADAY * np.arcsinh(J / 2 / 3.3 / area)
    np.testing.assert_allclose(found.spike, V, rtol=0.1)
    assert found.spike > -0.15


@pytest.mark.slow
def test_resistive_coating_makes_fewer_and_larger_nuclei():
    """At one voltage and one charge: the drop in the film is lost to nucleation."""
    nucleation, voltage, charge = law(0.35, 1e14), -0.36, 5.0
    density, radius = [], []
    for film in (0.0, 2e-5, 5e-5):
        from depojax.physics.interface import interface_current

        i = interface_current(
            KINETICS, voltage, 1000.0, 298.15, resistance=film, depletion=0.0
        )
        eta = voltage + float(i) * film
        rate = float(LITHIUM.molar_volume) / FARADAY * float(i)
        state, t, dt = dj.NucleiState.bare(), 0.0, 2e-3
        grow = eqx.filter_jit(nucleation.grow)
        while float(state.charge) < charge:
            state, t = grow(state, eta, rate * dt, dt), t + dt
        density.append(float(state.density))
        radius.append(float(state.mean_radius))
    assert density[0] > 1.3 * density[1] > 1.3 * density[2]
    assert radius[0] < radius[1] < radius[2]


@pytest.mark.slow
def test_slopes():
    """Of voltage at the end and while it rises, and of the number of nuclei."""

    def answers(x):
        nucleation = dj.Nucleation.from_overpotential(
            LITHIUM, 0.35 * x[0], site_density=1e13 * x[1]
        )
        found = dj.nucleation_transient(
            nucleation, KINETICS, J * x[2], duration=600.0, steps=60
        )
        return jnp.stack(
            [found.voltage[-1], found.voltage[40], 1e-13 * found.nuclei_density[-1]]
        )

    x = jnp.ones(3)
    forward = jax.jit(jax.jacfwd(answers))(x)
    reverse = jax.jit(jax.jacrev(answers))(x)
    np.testing.assert_allclose(forward, reverse, rtol=1e-7, atol=1e-12)
    f, h = jax.jit(answers), 1e-6
    central = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in jnp.eye(3)]
    np.testing.assert_allclose(forward, np.stack(central, 1), rtol=1e-4, atol=1e-8)


def test_saved_whole_and_drawn(run, tmp_path):
    found = run(law())
    dj.save(found, tmp_path / "run.nc")
    assert eqx.tree_equal(dj.load(tmp_path / "run.nc"), found)
    figure = dj.plot.nucleation({"copper": found})
    assert len(figure.axes) == 3
    dj.plot.save_figure(figure, tmp_path / "run.png")
    t = np.linspace(0.01, 5, 50)
    transient = dj.scharifker_hills(
        t, dj.metals.copper, concentration=50.0, diffusivity=6e-10, site_density=1e11
    )
    figure = dj.plot.nucleation_transients({"copper": transient})
    assert len(figure.axes[0].lines) == 3
    with pytest.raises(ValueError, match="plot: expected a NucleationTransient"):
        dj.plot.nucleation({"x": transient})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"current_density": -10.0}, "current_density: expected a positive number"),
        ({"duration": 0.0}, "duration: expected a positive number"),
        ({"kinetics": 3.0}, "kinetics: expected a AbstractKinetics"),
        ({"steps": 2}, "steps: expected at least 8"),
        ({"film_resistance": -1.0}, "film_resistance: expected within"),
        (
            {"nucleation": dj.Nucleation(LITHIUM, wetting_factor=np.full(2, 0.5))},
            "nucleation: expected one place",
        ),
    ],
)
def test_refusals(change, words):
    options = {
        "nucleation": law(),
        "kinetics": KINETICS,
        "current_density": J,
        "duration": 600.0,
    }
    with pytest.raises(ValueError, match=words):
        dj.nucleation_transient(**(options | change))
