"""Polarisation curves against the closed form of a dilute gap (r02, C3)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

THERMAL = GAS_CONSTANT * 298.15 / FARADAY
LIMIT = 154.376531  # 4 F D₊ c₀/L [A m⁻²]
TRACES = []


class Counted(dj.ButlerVolmer):
    """Kinetics that tell how often a program was made of them."""

    def normalised_current(self, overpotential, temperature):
        TRACES.append(1)
        return super().normalised_current(overpotential, temperature)


def gap(n=20, kinetics=Counted):
    side = np.full(1, 1e-5)
    return dj.Cell(
        Scaffold.open(Grid((side, side, np.full(n, 5e-4 / n)))),
        dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1000.0),
        kinetics=kinetics(30.0),
        counter_kinetics=kinetics(30.0),
        film_resistance=1e-4,
        counter_film_resistance=1e-4,
    )


def closed_form(J):
    """Parts of −V [V]: c_s/c₀ = 1 ∓ j, i₀ = 30 √(c_s/c₀) A m⁻², two films."""
    j = J / LIMIT
    return {
        "salt": 2 * THERMAL * np.log((1 + j) / (1 - j)),
        "kinetics": 2 * THERMAL * np.arcsinh(J / (60 * np.sqrt(1 - j))),
        "counter_kinetics": 2 * THERMAL * np.arcsinh(J / (60 * np.sqrt(1 + j))),
        "film": 1e-4 * J,
        "counter_film": 1e-4 * J,
    }


@pytest.fixture(scope="module")
def curve():
    cell = gap()
    dj.polarisation_curve(cell, 20.0)
    made = len(TRACES)
    found = dj.polarisation_curve(
        cell, [30.0, 92.62591883837761, 140.0, 160.0, 300.0, -92.62591883837761]
    )
    return found, len(TRACES) - made


def test_voltage_below_the_limit(curve):
    curve, _ = curve
    for index in (0, 1, 2, 5):
        J = float(curve.current_density[index])
        voltage = float(curve.voltage[index])
        parts = {name: -float(p[index]) for name, p in curve.voltage_parts.items()}
        assert sum(parts.values()) == pytest.approx(-voltage, abs=1e-9)
        expected = closed_form(J)
        # Second order in the cell's size; steepest next to the limit.
        loose = 5e-4 if abs(J) < 100 else 6e-3
        assert -voltage == pytest.approx(sum(expected.values()), rel=loose)
        parts["salt"] = parts.pop("liquid") + parts.pop("concentration")
        for name, value in expected.items():
            assert parts[name] == pytest.approx(value, rel=10 * loose), name
        wall = float(curve.lowest_wall_concentration[index])
        assert wall == pytest.approx(1000 * (1 - J / LIMIT), rel=1e-6)


def test_it_stops_at_the_limit_and_goes_on_with_what_is_left(curve):
    curve, _ = curve
    expected = ("time", "time", "time", "depletion", "not run", "time")
    assert curve.ended_by == expected
    assert list(np.asarray(curve.carried)) == [e == "time" for e in expected]
    assert np.all(np.isnan(curve.voltage[3:5]))
    low, high = curve.limiting_current
    assert (float(low), float(high)) == (140.0, 160.0)
    assert 0 < float(curve.depletion_time[3]) < float(curve.time)
    assert np.all(np.isinf(np.asarray(curve.depletion_time)[[0, 1, 2, 5]]))
    # The salt does not remember: stripping is the mirror of plating.
    assert float(curve.voltage[5]) == pytest.approx(-float(curve.voltage[1]), rel=1e-7)
    assert float(curve.last.current_density[-1]) == pytest.approx(-92.62591883837761)


def test_all_currents_share_one_program(curve):
    assert curve[1] == 0


def test_as_a_dataset(curve):
    data = curve[0].to_xarray()
    assert data["voltage"].dims == ("current_density",)
    parts = data["voltage_part"].sum("part", skipna=False)
    np.testing.assert_allclose(parts, data["voltage"], atol=1e-9)
    assert data.attrs["ended_by"].startswith("time, time, time, depletion, not run")


def test_refusals():
    cell = gap(4, dj.ButlerVolmer)
    with pytest.raises(ValueError, match="current_density: expected a current density"):
        dj.polarisation_curve(cell, [0.0])
    with pytest.raises(ValueError, match="current_densities: expected one current"):
        dj.polarisation_curve(cell, np.ones((2, 2)))
    with pytest.raises(ValueError, match="a blocked far side has no steady state"):
        dj.polarisation_curve(cell.replace(counter_electrode="blocked"), [1.0])


@pytest.mark.slow
def test_stripping_beyond_the_limit_fails_and_says_so():
    cell = gap(20, dj.ButlerVolmer)
    found = dj.polarisation_curve(cell, [-50.0, -200.0, 50.0], throw=False)
    assert found.ended_by == ("time", "failure", "time")
    assert list(np.isnan(np.asarray(found.voltage))) == [False, True, False]
    with pytest.raises(dj.SolveError):
        dj.polarisation_curve(cell, [-200.0])


@pytest.mark.slow
def test_slope_of_the_curve():
    # dV/dJ at 0.6 of the limit (r02), through the current before.
    cell = gap(20, dj.ButlerVolmer)

    def voltage(J):
        return dj.polarisation_curve(cell, jnp.stack([J / 2, J])).voltage[1]

    J = jnp.asarray(92.62591883837761)
    reverse = jax.grad(voltage)(J)
    _, forward = jax.jvp(voltage, (J,), (jnp.ones_like(J),))
    assert float(reverse) == pytest.approx(float(forward), rel=1e-6)
    slope = (voltage(J * 1.0001) - voltage(J * 0.9999)) / (2e-4 * J)
    assert float(reverse) == pytest.approx(float(slope), rel=1e-5)
    assert float(reverse) == pytest.approx(-0.002487189921545628, rel=2e-3)
