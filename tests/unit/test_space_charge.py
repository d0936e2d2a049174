"""What `space_charge` refuses, goes on from, and keeps to round-off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.units import FARADAY
from tests.ion_columns import (
    C0,
    CELLS,
    UNIT,
    VT,
    D,
    L,
    growing_widths,
    ion_column,
    line,
    salt,
)

EPS = 1e-2
GAP = ion_column(L * growing_widths(0.1 * EPS), salt(EPS))
HELD = {"voltage": -0.05}


def replaced(**changes):
    return GAP.replace(**changes)


REFUSED = [
    ({}, "voltage.*either a voltage or a current_density.*neither"),
    ({**HELD, "current_density": 1.0}, "voltage.*both"),
    ({"voltage": 2000.0}, "voltage"),
    ({"voltage": [0.1, 0.2]}, "voltage"),
    ({"current_density": jnp.nan}, "current_density"),
    ({"current_density": 1e12}, r"current_density.*mA / cm\*\*2"),
    ({**HELD, "duration": -1.0}, "duration"),
    ({**HELD, "duration": [1.0, 2.0]}, "duration"),
    ({**HELD, "fixed_charge": np.ones(3)}, "fixed_charge"),
    ({**HELD, "fixed_charge": np.inf}, "fixed_charge"),
    ({**HELD, "stern_capacitance": 0.0}, r"stern_capacitance.*0\.1 F m⁻²"),
    ({**HELD, "relative_permittivity": -1.0}, "relative_permittivity"),
    ({**HELD, "relative_permittivity": np.ones((1, 1, 3))}, "relative_permittivity"),
    ({**HELD, "start": "rest"}, "start.*a SpaceCharge.*str"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        dj.space_charge(GAP, **arguments)


def test_refused_cells():
    binary = dj.BinaryElectrolyte(1000.0, 3e-10, 0.4)
    host = GAP.scaffold
    with pytest.raises(ValueError, match=r"cell.*depojax\.Cell.*Scaffold"):
        dj.space_charge(host, **HELD)
    with pytest.raises(ValueError, match=r"electrolyte.*MultiIonElectrolyte.*of_salt"):
        dj.space_charge(replaced(electrolyte=binary), **HELD)
    with pytest.raises(ValueError, match=r"initial_deposit.*Leave it out"):
        dj.space_charge(replaced(initial_deposit=1.0), **HELD)
    solid = dj.gyroid((8, 8, 8), 1e-8, porosity=0.7, period=8e-8)
    wired = dj.Cell(solid, salt(EPS), solid_conductivity=1e7)
    with pytest.raises(ValueError, match=r"solid_conductivity.*Leave it out"):
        dj.space_charge(wired, **HELD)
    thin = jax.tree.map(lambda k: k.astype(jnp.float32) if is_float(k) else k, GAP)
    with pytest.raises(ValueError, match=r"cell.*float64.*jax_enable_x64"):
        dj.space_charge(thin, **HELD)


def is_float(leaf):
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def test_refused_grids():
    words = "at most 2 Debye lengths.*z at the collector.*stretched_widths"
    coarse = ion_column(np.full(20, L / 20), salt(EPS))
    with pytest.raises(ValueError, match=words):
        dj.space_charge(coarse, **HELD)
    one_sided = ion_column(L * growing_widths(0.01 * EPS), salt(EPS), "metal")
    with pytest.raises(ValueError, match="z at the counter electrode"):
        dj.space_charge(one_sided, **HELD)
    host = dj.gyroid((8, 8, 8), 1e-6, porosity=0.7, period=8e-6)
    cell = dj.Cell(
        host, salt(EPS), counter_electrode="reservoir", plated_collector=False
    )
    with pytest.raises(ValueError, match="x at the host"):
        dj.space_charge(cell, **HELD)


def test_other_verbs_know_one_salt_only():
    for ask in (
        lambda: dj.sand_time(GAP, 1.0),
        lambda: dj.simulate(GAP, dj.Galvanostatic(1.0, time=1.0)),
    ):
        with pytest.raises(ValueError, match=r"electrolyte.*depojax\.space_charge"):
            ask()


def test_start_of_another_shape_is_refused():
    here = dj.space_charge(GAP, **HELD)
    other = ion_column(L * growing_widths(0.1 * EPS, CELLS // 2), salt(EPS))
    with pytest.raises(ValueError, match=r"start.*2 ions in"):
        dj.space_charge(other, start=here, **HELD)


def test_a_solve_that_fails_says_so():
    # More than a membrane-like gap of this voltage can be asked for by current.
    far = 1e6 * UNIT
    with pytest.raises(dj.SolveError, match="did not converge"):
        dj.space_charge(GAP, current_density=far)
    solution = dj.space_charge(GAP, current_density=far, throw=False)
    assert solution.result != dj.RESULTS.successful


def test_current_beyond_the_limit_of_a_thin_double_layer():
    # At 1.1 times the limit with λ_D/L = 1e-4 (r04b): found by raising the voltage.
    eps = 1e-4
    cell = ion_column(L * growing_widths(0.5 * eps), salt(eps))
    solution = dj.space_charge(cell, current_density=2.2 * UNIT)
    assert float(solution.current_density) == pytest.approx(2.2 * UNIT, rel=1e-9)
    assert -float(solution.voltage) / VT == pytest.approx(281.58408, rel=3e-2)
    assert int(solution.most_newton_steps) <= 10


def test_a_neutral_cell_says_what_it_carries():
    limit = 2.0  # of a salt between a bath and a metal
    asked = {"electroneutral": True, "throw": False}
    beyond = dj.space_charge(GAP, current_density=2.5 * UNIT, **asked)
    assert beyond.result == dj.RESULTS.beyond_limiting_current
    found = float(beyond.limiting_current) / UNIT
    assert found == pytest.approx(limit, rel=1e-5)
    assert f"The limit is {limit * UNIT / 10:.3g}" in beyond.message
    with pytest.raises(dj.SolveError, match=r"limiting current.*The limit is"):
        dj.space_charge(GAP, current_density=2.5 * UNIT, electroneutral=True)
    below = dj.space_charge(GAP, current_density=1.9 * UNIT, **asked)
    assert below.result == dj.RESULTS.successful
    assert np.isnan(below.limiting_current)
    assert below.message == "A steady state."
    own = float(dj.limiting_current(GAP)) / UNIT
    assert own == pytest.approx(limit, rel=1e-5)
    closed = GAP.replace(counter_electrode="blocked")
    assert float(dj.limiting_current(closed)) == 0


def test_going_on_from_a_solution():
    there = dj.space_charge(GAP, voltage=-20 * VT)
    by_steps = dj.space_charge(GAP, voltage=-10 * VT)
    by_steps = dj.space_charge(GAP, voltage=-20 * VT, start=by_steps)
    np.testing.assert_allclose(
        by_steps.ion_concentration, there.ion_concentration, rtol=1e-7, atol=1e-12
    )
    again = dj.space_charge(GAP, voltage=-20 * VT, start=there)
    assert int(again.newton_steps) <= 2
    # The current that a voltage drives has that voltage.
    back = dj.space_charge(GAP, current_density=there.current_density, start=there)
    assert float(back.voltage) == pytest.approx(-20 * VT, rel=1e-7)


def test_nothing_moves_without_a_voltage():
    # A charged scaffold and no voltage: Boltzmann's law to round-off, and no current.
    x = np.linspace(0, 1, CELLS)
    fixed = FARADAY * C0 * np.sin(9 * x)[None, None, :]
    solution = dj.space_charge(GAP, voltage=0.0, fixed_charge=fixed)
    c, phi = line(solution.ion_concentration) / C0, line(solution.potential) / VT
    assert np.ptp(phi) > 0.5
    for k, z in enumerate((1, -1)):
        np.testing.assert_allclose(c[k], np.exp(-z * phi), rtol=1e-9)
    assert abs(float(solution.current_density)) < 1e-9 * UNIT


def test_charges_and_fields_belong_together():
    solution = dj.space_charge(GAP, voltage=-30 * VT)
    charge = line(solution.charge_density)
    c = line(solution.ion_concentration)
    np.testing.assert_allclose(charge, FARADAY * (c[0] - c[1]), rtol=1e-12)
    assert np.min(solution.ion_concentration) >= 0
    assert float(solution.lowest_concentration[0]) == np.min(c)
    # Gauss: what is on the metal, in the gap, and leaves into the bath.
    widths = np.asarray(GAP.grid.widths[2])
    eps = float(GAP.ions.permittivity)
    on_metal = eps * float(solution.collector_field[0, 0])
    leaves = eps * 2 * float(line(solution.potential)[-1]) / widths[-1]
    held = np.sum(charge * widths)
    assert on_metal + held == pytest.approx(leaves, abs=1e-8 * held)
    assert float(solution.end_time) == np.inf


def test_dendrites_grow_as_anions_leave():
    # Chazalviel: |μ_a E| in the neutral solution ahead, where E carries the current.
    solution = dj.space_charge(GAP, voltage=-30 * VT)
    ahead = (0, 0, -4)
    field = abs(float(solution.electric_field[2][ahead]))
    anions = float(solution.ion_concentration[1][ahead])
    velocity = float(solution.front_velocity[ahead])
    assert velocity == pytest.approx(D / VT * field, rel=1e-12)
    carried = float(solution.current_density) / (2 * FARADAY * anions)
    assert velocity == pytest.approx(carried, rel=2e-2)


@pytest.mark.slow
def test_a_run_goes_to_the_steady_state():
    time = L**2 / D
    steady = dj.space_charge(GAP, voltage=-10 * VT)
    run = dj.space_charge(GAP, voltage=-10 * VT, duration=20 * time)
    assert float(run.current_density) == pytest.approx(
        float(steady.current_density), rel=1e-7
    )
    np.testing.assert_allclose(
        run.ion_concentration, steady.ion_concentration, rtol=1e-6, atol=1e-12
    )
    assert float(run.end_time) == pytest.approx(20 * time)
    assert run.time.shape == run.voltage_history.shape
    assert np.min(run.lowest_concentration) >= 0
    # From the steady state on nothing changes, and the charge is what passes.
    on = dj.space_charge(GAP, voltage=-10 * VT, duration=time, start=steady)
    passed = float(steady.current_density) * time
    assert float(on.charge) == pytest.approx(passed, rel=1e-6)


@pytest.mark.slow
def test_many_columns_are_one():
    # 4 × 4 columns are solved by GMRES and multigrid, one by blocks.
    widths = growing_widths(0.5 * EPS, 24)
    electrolyte = salt(EPS, (D, 2 * D))
    column = ion_column(L * widths, electrolyte)
    side = np.full(4, 2e-7)
    grid = dj.Grid((side, side, L * widths))
    block = dj.Cell(dj.Scaffold.open(grid), electrolyte, counter_electrode="reservoir")
    for drive in ({"voltage": -15 * VT}, {"current_density": 1.2 * UNIT}):
        one, many = (dj.space_charge(cell, **drive) for cell in (column, block))
        for name in ("ion_concentration", "potential"):
            known = np.asarray(getattr(one, name))
            own = np.asarray(getattr(many, name))
            scale = np.max(np.abs(known))
            np.testing.assert_allclose(
                own, np.broadcast_to(known, own.shape), atol=1e-7 * scale
            )
        for name in ("voltage", "current_density"):
            known, own = float(getattr(one, name)), float(getattr(many, name))
            assert own == pytest.approx(known, rel=1e-7)
