"""The verb `simulate`: protocols, stops, refusals, and going on."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems import coupled
from depojax.problems.cell_assembly import reacting_places
from depojax.problems.simulate import discrete_cell, simulate
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.newton import find_root
from depojax.solvers.trees import norm

SALT = dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1000.0)
KINETICS = dj.ButlerVolmer(30.0)


def small_cell(n=8, length=5e-4, **options):
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(n, length / n)))
    given = {"kinetics": KINETICS, "counter_kinetics": KINETICS, **options}
    return dj.Cell(Scaffold.open(grid), SALT, **given)


@pytest.fixture(scope="module")
def cycled():
    """Plate to a cut-off, rest, strip the same charge."""
    sentences = [
        "Plate at 8 mA/cm2 for 200 s or until -0.16 V",
        "Rest for 20 s",
        "Strip at 8 mA/cm2 for 200 s or until 0.16 V",
    ]
    return simulate(small_cell(), sentences)


def test_every_step_ends_as_it_should(cycled):
    assert cycled.ended_by == ("voltage_below", "time", "voltage_above")
    first = np.asarray(cycled.step) == 0
    assert float(cycled.voltage[first][-1]) == pytest.approx(-0.16, abs=1e-8)
    assert float(cycled.step_times[1]) == pytest.approx(20.0, rel=1e-12)
    assert float(cycled.time[-1]) == pytest.approx(float(cycled.end_time), rel=1e-12)


def test_charge_is_that_of_the_current(cycled):
    plated, _, stripped = (float(t) for t in cycled.step_times)
    assert float(cycled.charge) == pytest.approx(80 * (plated - stripped), rel=1e-6)
    assert float(jnp.max(cycled.charge_imbalance)) < 1e-8


def test_rest_lowers_the_voltage_to_nothing(cycled):
    resting = np.asarray(cycled.step) == 1
    assert np.all(np.abs(np.asarray(cycled.current_density)[resting]) < 1e-7)
    voltage = np.abs(np.asarray(cycled.voltage)[resting])
    assert np.all(np.diff(voltage) <= 1e-12)


@pytest.mark.slow
def test_going_on_equals_one_run():
    cell, steps = small_cell(), dj.Steps(fixed=5.0)
    plate = dj.Galvanostatic(60.0, time=50.0)
    whole = simulate(cell, [plate, plate], steps=steps)
    half = simulate(cell, plate, steps=steps)
    rest = simulate(cell, plate, steps=steps, start=half)
    assert float(rest.final_voltage) == float(whole.final_voltage)
    assert float(rest.end_time) == float(whole.end_time)


@pytest.mark.slow
def test_holding_a_voltage_lowers_the_current():
    run = simulate(small_cell(), "Hold at -0.1 V for 100 s")
    J = np.asarray(run.current_density)
    assert np.all(np.diff(J) < 0)
    assert np.allclose(run.voltage, -0.1, atol=1e-12)
    # The charge is the integral of the current: trapezoids between the steps.
    booked = np.trapezoid(J, np.asarray(run.time))
    assert float(run.charge) == pytest.approx(booked, rel=1e-2)


@pytest.mark.slow
def test_depletion_ends_the_protocol():
    # Above the limiting current 4FDc/L of the dilute salt, 154 A m⁻².
    until = dj.Until.depletion()
    steps = [dj.Galvanostatic(300.0, time=1e4, until=until), dj.Rest(10.0)]
    run = simulate(small_cell(n=40), steps)
    assert run.ended_by == ("depletion",)
    assert float(run.lowest_wall_concentration[-1]) == pytest.approx(0.1, rel=1e-3)
    tau = np.pi * (8e-10 / 3) * (FARADAY_C0 / (2 * 300.0 * (2 / 3))) ** 2
    assert float(run.end_time) == pytest.approx(tau, rel=0.02)


FARADAY_C0 = 96485.33212 * 1000.0


def test_refusals():
    with pytest.raises(ValueError, match=r"cell: expected a depojax\.Cell"):
        simulate("cell", "Rest for 1 s")
    unknown = dj.BinaryElectrolyte(1000.0, 3e-10, 0.4)
    cell = dj.Cell(small_cell().scaffold, unknown)
    with pytest.raises(ValueError, match="conductivity"):
        simulate(cell, "Rest for 1 s")


def test_an_imposed_current_ends_with_the_ions():
    # Asked for or not: the current cannot be had once the wall is empty.
    run = simulate(small_cell(), [dj.Galvanostatic(500.0, time=1e4), dj.Rest(1.0)])
    assert run.ended_by == ("depletion",)


@pytest.mark.slow
def test_a_failed_run_says_so_and_keeps_what_it_had():
    steps = dj.Steps(fixed=1.0, max_steps=3)
    with pytest.raises(dj.SolveError, match="max_steps") as caught:
        simulate(small_cell(), dj.Galvanostatic(50.0, time=1e4), steps=steps)
    assert float(caught.value.solution.end_time) > 0
    assert caught.value.solution.ended_by == ("failure",)


@pytest.mark.slow
def test_a_jump_too_far_is_led(monkeypatch):
    # With four Newton steps at most there is no way from rest to 3 V at once.
    monkeypatch.setattr(coupled, "find_root", partial(find_root, max_steps=4))
    model = discrete_cell(small_cell())
    rest = coupled.at_rest(model)
    volts = jnp.asarray(-3.0)
    drive = coupled.Drive(volts / model.thermal_voltage, jnp.asarray(False))
    stage = coupled.Stage(
        model, drive, model.storage * rest.fields.c, jnp.asarray(1e-9)
    )

    @eqx.filter_jit
    def led(stage):
        target = 1e-10 * model.current_scale
        found = coupled._led_to(stage, rest.fields, target, rest.reactions)
        direct = coupled.find_root(stage, rest.fields, target, rest.reactions)
        return *found, direct

    root, counts, direct = led(stage)
    assert not bool(direct.converged)
    assert bool(root.converged)
    assert int(counts[0]) > 8
    assert float(root.x.collector) == pytest.approx(float(drive.value), rel=1e-9)
    left = stage.residual(root.x, stage.inner(root.x, root.inner))
    assert float(norm(left)) < 1e-8 * float(model.current_scale)


def test_places_that_react_are_known_where_area_is_differentiated():
    pillars = dj.pillars((8, 8, 16), 1e-6, pitch=8e-6, diameter=4e-6, height=4e-6)
    averages = Scaffold.homogenised(
        pillars.grid, 0.9, 1.1, jnp.where(pillars.surface_area > 0, 1e5, 0.0)
    )
    found = []

    def looked_at(x, host):
        area = x * host.surface_area
        host = eqx.tree_at(lambda h: h.surface_area, host, area)
        found.append(reacting_places(dj.Cell(host, SALT, kinetics=KINETICS)))
        return jnp.sum(area)

    for host in (pillars, averages):
        looked_at(1.0, host)
        jax.grad(looked_at)(1.0, host)
    resolved, differentiated, mean, unknown = found
    assert resolved == differentiated == mean
    assert 0 < resolved < 8 * 8 * 16 / 2
    assert unknown is None  # a place without area may be about to get some
    cell = dj.Cell(pillars, SALT, kinetics=KINETICS)
    assert reacting_places(cell, spare=0.1) >= 1.1 * np.count_nonzero(
        pillars.surface_area
    ) + np.count_nonzero(pillars.surface_area[..., 0] == 0)


def test_metal_without_overpotential_on_walls_before_their_cells_centre():
    """No kinetics, the default, on cut cells; many have their centre in the metal."""
    mat = dj.fibre_mat((12, 12, 12), 2e-6, porosity=0.8, fibre_diameter=8e-6, key=1)
    assert float(jnp.min(mat.wall_distance)) < -0.1e-6
    cell = dj.Cell(mat, dj.electrolytes.lipf6_ec_emc(1000.0), separator=25e-6)
    run = dj.simulate(cell, dj.Galvanostatic(20.0, time=50.0))
    assert run.ended_by == ("time",)
    # A few mV of concentration and resistance; their parts know the same drift.
    assert -10e-3 < float(run.final_voltage) < -0.5e-3
    total = sum(float(part) for part in run.voltage_parts.values())
    assert total == pytest.approx(float(run.final_voltage), rel=1e-6)
