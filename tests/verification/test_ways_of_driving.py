"""Every way of driving a cell, through a cell that is a resistor:

    V = −J R,    R = 2 RT/(F i₀) + L/κ + R_film

linear kinetics, a diffusion potential of nothing; and a host that starts bare, Li‖Cu.
"""

import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

THERMAL = GAS_CONSTANT * 298.15 / FARADAY
I0, LENGTH, KAPPA, FILM = 50.0, 1e-5, 0.1, 2e-4
RESISTANCE = 2 * THERMAL / I0 + LENGTH / KAPPA + FILM


def resistor(**options):
    """Two foils close to each other."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(6, LENGTH / 6)))
    kinetics = dj.LinearKinetics(I0, exponent=0.0)
    return dj.Cell(
        Scaffold.open(grid),
        dj.BinaryElectrolyte(
            1000.0, 1e-9, 0.4, conductivity=KAPPA, thermodynamic_factor=1e-9
        ),
        kinetics=kinetics,
        counter_kinetics=kinetics,
        film_resistance=FILM,
        **options,
    )


def is_a_resistor(run):
    """Voltage and current of a whole run."""
    V, J = np.asarray(run.voltage), np.asarray(run.current_density)
    np.testing.assert_allclose(V, -RESISTANCE * J, rtol=1e-7, atol=1e-10)
    return V, J


@pytest.mark.slow
def test_cyclic_voltammetry():
    run = dj.simulate(resistor(), "Sweep from 0 V to -40 mV to 20 mV at 2 mV/s")
    V, _ = is_a_resistor(run)
    # The last vertex ends it, where no number of cycles is said.
    time = np.asarray(run.time)
    swept = np.interp(time, [0, 20, 50], [0, -0.04, 0.02])
    np.testing.assert_allclose(V, swept, atol=1e-7)
    assert float(run.end_time) == pytest.approx(50.0, rel=1e-12)
    charge = (20 * 0.04 / 2 + 20 * 0.04 / 2 - 10 * 0.02 / 2) / RESISTANCE
    assert float(run.charge) == pytest.approx(charge, rel=1e-4)


@pytest.mark.slow
def test_tables():
    times, J = [0.0, 10.0, 10.0, 30.0], [10.0, 30.0, -20.0, -20.0]
    volts = [0.0, -0.01, 0.01]
    table = dj.CurrentProfile(times, J)
    stairs = dj.VoltageProfile([0.0, 5.0, 10.0], [-0.02, 0.01], stepwise=True)
    ramp = dj.VoltageProfile([0.0, 5.0, 20.0], volts)
    run = dj.simulate(resistor(), [table, stairs, ramp])
    V, current = is_a_resistor(run)
    step, time = np.asarray(run.step), np.asarray(run.time)
    first, second, third = (step == n for n in range(3))
    before = first & (time < 10.0)
    np.testing.assert_allclose(current[before], 10 + 2 * time[before], rtol=1e-5)
    np.testing.assert_allclose(current[first & (time > 10 + 1e-6)], -20.0, rtol=1e-9)
    since = time[second] - 30.0
    np.testing.assert_allclose(V[second], np.where(since < 5 + 1e-10, -0.02, 0.01))
    since = time[third] - 40.0
    np.testing.assert_allclose(
        V[third], np.interp(since, [0.0, 5.0, 20.0], volts), atol=1e-7
    )
    charges = np.asarray(run.step_charges)
    expected = [200.0 - 400.0, 5 * 0.01 / RESISTANCE, -(-0.025 + 0.0) / RESISTANCE]
    np.testing.assert_allclose(charges, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def half_cell():
    """Li‖Cu: stripped at constant current, then at constant voltage."""
    protocol = [
        "Plate at 1 mA/cm2 until 0.01 mAh/cm2",
        "Rest for 5 s",
        "Strip at 1 mA/cm2 until 8 mV",
        "Hold at 8 mV until 0.1 mA/cm2",
    ]
    return dj.simulate(resistor(initial_deposit=0.0), protocol)


@pytest.mark.slow
def test_constant_current_constant_voltage(half_cell):
    run = half_cell
    assert run.ended_by == ("charge", "time", "voltage_above", "stripped")
    # A resistor holds its current, until the metal is gone.
    _, J = is_a_resistor(run)
    held = J[np.asarray(run.step) == 3]
    np.testing.assert_allclose(held[:-1], -0.008 / RESISTANCE, rtol=1e-6)
    assert 0 <= float(run.charge) < 2e-3 * 360.0
