"""Space charge in time: the cases r06, and what conservation asks of every run.

Lengths in L, times in L²/D, potentials in RT/F, currents in F D c₀/L. The numbers are
those of finite volumes under Radau's method, extrapolated in the mesh. Bazant, Thornton
& Ajdari, Phys. Rev. E 70 (2004) 021506, doi:10.1103/PhysRevE.70.021506.
"""

import numpy as np
import pytest
from scipy.optimize import brentq

import depojax as dj
from depojax.units import FARADAY
from tests.ion_columns import (
    C0,
    UNIT,
    VT,
    D,
    L,
    growing_widths,
    ion_column,
    line,
    salt,
    widths_to_both_ends,
)

pytestmark = pytest.mark.slow

TIME = L**2 / D
# Current after a step of the voltage, V = 10, ε = 0.02
STEP = {
    1e-4: 19.87710307071011,
    1e-3: 19.452432347022558,
    0.01: 16.04728195841745,
    0.05: 7.327765286356561,
    0.1: 4.611065809443452,
    0.2: 3.0920383928880244,
    0.5: 2.5266310417853206,
    1.0: 2.5130285167708273,
    2.0: 2.5130024468827594,
}
# When V crosses 3, 5, 10 and 20 at j = 3, ε = 0.01
CROSSINGS = {
    3.0: 0.15188827990433135,
    5.0: 0.30313302954665444,
    10.0: 0.4734238358391286,
    20.0: 0.7117677883837735,
}
SAND = 0.3601704108287926  # of the neutral solution at j = 3
# Charge of half the gap between blocking plates at V = 4, ε = 0.05
CHARGING = {
    0.01: 0.06829022501856612,
    0.05: 0.17911732444268438,
    0.2: 0.22153908646528697,
    2.0: 0.2225950521064635,
}


def steps(tolerance):
    return dj.Steps(tolerance=tolerance, first_step=1e-6 * TIME, max_steps=2048)


@pytest.fixture(scope="module")
def step():
    cell = ion_column(L * growing_widths(2e-3), salt(0.02))
    return dj.space_charge(cell, voltage=-10 * VT, duration=2 * TIME, steps=steps(1e-6))


@pytest.fixture(scope="module")
def held():
    cell = ion_column(L * growing_widths(1e-3), salt(0.01))
    return dj.space_charge(
        cell, current_density=3 * UNIT, duration=0.75 * TIME, steps=steps(1e-6)
    )


def test_current_after_a_step_of_the_voltage(step):
    t, j = np.asarray(step.time) / TIME, np.asarray(step.current_density_history) / UNIT
    inside = t > 0
    own = np.exp(np.interp(np.log(list(STEP)), np.log(t[inside]), np.log(j[inside])))
    np.testing.assert_allclose(own, list(STEP.values()), rtol=1e-3)
    assert float(step.current_density) == pytest.approx(STEP[2.0] * UNIT, rel=5e-4)


def test_voltage_at_a_current(held):
    t, V = np.asarray(held.time) / TIME, -np.asarray(held.voltage_history) / VT
    for level, known in CROSSINGS.items():
        i = int(np.argmax(level <= V))
        own = np.interp(level, V[i - 1 : i + 1], t[i - 1 : i + 1])
        assert own == pytest.approx(known, rel=3e-3 if level > 10 else 1e-3)
    np.testing.assert_allclose(held.current_density_history, 3 * UNIT, rtol=1e-9)


def test_space_charge_sets_in_after_sands_time(held):
    onset = float(held.onset_time) / TIME
    assert SAND < onset < 1.5 * SAND
    assert float(held.layer_thickness) > 5 * float(held.debye_length)
    # The one place that there is knows the same.
    here = float(held.local_onset_time[0, 0, 0])
    assert here == pytest.approx(float(held.onset_time), rel=1e-12)
    assert np.all(np.isinf(held.local_onset_time[..., 1:]))
    thick = float(held.local_layer_thickness[0, 0, 0])
    assert thick == pytest.approx(float(held.layer_thickness), rel=1e-12)


@pytest.mark.parametrize("J", [3.0, 4.5])
def test_onset_is_sands_time_where_the_debye_length_is_short(J):
    # λ_D = 1e-4 L, the layer in closed form in the half cell at the metal.
    cell = ion_column(np.full(60, L / 60), salt(1e-4))
    options = {"current_density": J * UNIT, "steps": dj.Steps(tolerance=1e-6)}
    sand = reservoir_sand_time(J)
    # Soon after it the layer outgrows the half cell, in which it is told.
    run = dj.space_charge(cell, asymptotic=True, duration=1.02 * sand * TIME, **options)
    if J == 3.0:
        assert sand == pytest.approx(SAND, rel=1e-8)
    assert float(run.local_onset_time[0, 0, 0]) / TIME == pytest.approx(sand, rel=2e-2)
    # A neutral solution ends there, and says so.
    until = dj.space_charge(
        cell, electroneutral=True, duration=0.6 * TIME, throw=False, **options
    )
    assert until.result == dj.RESULTS.ran_out
    assert float(until.end_time) / TIME == pytest.approx(sand, rel=5e-3)
    assert "Sand's time" in until.message


def reservoir_sand_time(J):
    """When c = 0 at the metal of a gap whose other end holds 1: c' = J/2, D = 1."""
    n = np.arange(200) + 0.5

    def wall(t):
        decay = np.exp(-((n * np.pi) ** 2) * t)
        return 1 - J / 2 * (1 - 2 * np.sum(decay / (n * np.pi) ** 2))

    return brentq(wall, 1e-3, 5.0, xtol=1e-14)


@pytest.mark.parametrize("name", ["step", "held"])
def test_no_concentration_is_negative(name, request):
    run = request.getfixturevalue(name)
    assert np.min(run.lowest_concentration) >= 0
    assert np.min(run.ion_concentration) >= 0


def test_charge_passed(step, held):
    assert float(held.charge) == pytest.approx(2.25 * UNIT * TIME, rel=1e-9)
    t, J = np.asarray(step.time), np.asarray(step.current_density_history)
    passed = np.sum(np.diff(t) * (J[1:] + J[:-1]) / 2)
    # And what the empty gap took at once, 10 RT/F over its capacity.
    passed += float(step.cell.ions.permittivity) / L * 10 * VT
    assert float(step.charge) == pytest.approx(passed, rel=1e-3)


def test_gauss_law_at_the_end(step):
    # All charge of the gap is that on the electrode and the field into the bath.
    widths = np.asarray(step.cell.grid.widths[2])
    eps = float(step.cell.ions.permittivity)
    inside = np.sum(line(step.charge_density) * widths)
    on_metal = eps * float(step.collector_field[0, 0])
    top = 2 * float(line(step.potential)[-1]) / widths[-1]
    assert on_metal + inside == pytest.approx(eps * top, abs=1e-9 * abs(inside))


def test_charging_between_blocking_plates():
    plates = {"kinetics": dj.Blocking(), "counter_kinetics": dj.Blocking()}
    widths = widths_to_both_ends(0.05 / 40)
    cell = ion_column(L * widths, salt(0.05), "metal", **plates)
    run, before, total = None, 0.0, 0.0
    for until, known in CHARGING.items():
        run = dj.space_charge(
            cell,
            voltage=4 * VT,
            duration=(until - before) * TIME,
            steps=steps(1e-6),
            start=run,
        )
        before = until
        charge = line(run.charge_density) / (FARADAY * C0)
        half = abs(np.sum((charge * widths)[:100]))
        assert half == pytest.approx(known, rel=1e-3)
        means = line(run.ion_concentration) @ widths
        np.testing.assert_allclose(means, C0, rtol=1e-11)
        # No reaction: the plates hold all that passed.
        total += float(run.charge)
        held = float(cell.ions.permittivity) * float(run.collector_field[0, 0])
        assert total == pytest.approx(-held, rel=1e-7)
