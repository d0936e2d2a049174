"""A curve is its single states: what carries over, what fails, what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.problems import space_charge_curve as module
from depojax.units import FARADAY, GAS_CONSTANT

L, D, C0 = 1e-5, 1e-9, 1.0
VT = GAS_CONSTANT * 298.15 / FARADAY
UNIT = FARADAY * D * C0 / L
# Currents of the plane gap between a reservoir and a metal that keeps c₊ = c₀ at
# λ_D/L = 0.01, by collocation to 1e-11 (r04 P4), in F D c₀/L.
EXACT = {1: 0.791421272434, 10: 2.268441552925, 20: 2.690882862524}


@pytest.fixture(scope="module")
def cell():
    ions = dj.Ion("Li+", 1, D), dj.Ion("X-", -1, D)
    salt = dj.MultiIonElectrolyte(ions, [C0, C0]).with_debye_length(0.01 * L)
    side = np.full(1, 1e-6)
    widths = dj.stretched_widths(0.0005 * L, L, 1.05)
    grid = dj.Grid((side, side, widths))
    return dj.Cell(dj.Scaffold.open(grid), salt, counter_electrode="reservoir")


@pytest.fixture(scope="module")
def curve(cell):
    return dj.space_charge_curve(cell, [-VT * V for V in EXACT])


def test_currents_are_those_of_the_plane_gap(curve):
    j = curve.current_density / UNIT
    assert np.allclose(j, list(EXACT.values()), rtol=3e-3)
    assert curve.found.all()
    assert np.all(np.asarray(curve.newton_steps) > 0)


def test_beyond_the_limit_the_layer_and_its_field_grow(curve):
    thickness = np.asarray(curve.layer_thickness) / L
    assert thickness[2] > 1.2 * thickness[1] > 0.1
    assert float(curve.layer_thickness[2]) == float(curve.last.layer_thickness)
    field = np.asarray(curve.highest_field)
    assert np.all(np.diff(field) > 0)
    # The fall over the layer is that of a field that starts at its highest.
    assert field[2] > 20 * VT / L
    assert field[2] == pytest.approx(abs(float(curve.last.collector_field[0, 0])))


def test_the_way_does_not_matter(cell, curve):
    alone = dj.space_charge(cell, voltage=-20 * VT)
    assert float(alone.current_density) == pytest.approx(
        float(curve.current_density[2]), rel=1e-9
    )
    again = dj.space_charge_curve(cell, -20 * VT, start=curve.last)
    assert int(again.newton_steps[0]) < int(alone.newton_steps)
    assert again.voltage.shape == (1,)


def test_a_voltage_without_a_solution_is_left_out(cell, curve, monkeypatch):
    """The next voltage goes on from the last that has one."""
    starts = []

    def solve(cell, *, voltage, start, throw, **options):
        starts.append(start)
        good = abs(float(voltage)) < 0.2
        result = dj.RESULTS.successful if good else dj.RESULTS.nonlinear_solve_failed
        if throw and not good:
            raise dj.SolveError("no", None)
        return dataclasses.replace(curve.last, result=result, voltage=voltage)

    monkeypatch.setattr(module, "space_charge", solve)
    found = dj.space_charge_curve(cell, [-0.1, -0.3, -0.15], throw=False)
    assert found.found.tolist() == [True, False, True]
    assert np.isnan(found.current_density).tolist() == [False, True, False]
    assert starts[0] is None
    assert [float(s.voltage) for s in starts[1:]] == [-0.1, -0.1]
    assert float(found.last.voltage) == -0.15
    with pytest.raises(dj.SolveError):
        dj.space_charge_curve(cell, [-0.3])


def test_refusals(cell):
    with pytest.raises(ValueError, match=r"voltages.*one voltage or a list"):
        dj.space_charge_curve(cell, [[-0.1]])
    with pytest.raises(ValueError, match="voltages"):
        dj.space_charge_curve(cell, [-0.1, np.nan])
    with pytest.raises(ValueError, match="write it with its unit"):
        dj.space_charge_curve(cell, [-500.0])
    with pytest.raises(TypeError, match="takes no duration: its states are steady"):
        dj.space_charge_curve(cell, [-0.1], duration=1.0)
    with pytest.raises(TypeError, match="voltag"):
        dj.space_charge_curve(cell, [-0.1], voltag=1.0)


@pytest.mark.slow
def test_derivatives_go_through(cell):
    """Reverse, forward, central difference: of a current at the end of a curve."""

    def current(scale):
        V = -VT * jnp.asarray([5.0, 10.0]) * scale
        return dj.space_charge_curve(cell, V).current_density[1] / UNIT

    reverse = float(jax.grad(current)(1.0))
    forward = float(jax.jvp(current, (1.0,), (1.0,))[1])
    h = 1e-4
    difference = float((current(1 + h) - current(1 - h)) / (2 * h))
    assert reverse == pytest.approx(forward, rel=1e-9)
    assert reverse == pytest.approx(difference, rel=1e-6)
