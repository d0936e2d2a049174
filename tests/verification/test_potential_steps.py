"""Held potentials, and rest, between flat metals: case r03.

c(0, t) = 0            i = z₊ν₊F c₀ √(D/πt)/(1 − t₊)       T1, T3 (Cottrell)
D ∂c/∂x = (1 − t₊) k c  at x = 0                           T2 (Robin)
no flux                                                    T4 (relaxation)
"""

import numpy as np
import pytest
from helpers import C0, T_PLUS, THIN, D, graded_widths

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.simulate import simulate
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.time import Steps
from depojax.units import FARADAY, GAS_CONSTANT

pytestmark = pytest.mark.slow  # every program of these takes its time to compile

HELD = -0.3  # [V]
BOOST = np.exp(-0.5 * FARADAY * HELD / (GAS_CONSTANT * 298.15))
STEPS = Steps(tolerance=1e-6)
# The same spacing, scaled, for all gaps: one program.
CELLS, GROWTH = 160, 15.0


def foil(widths, kinetics=None, counter_electrode="reservoir", conductivity=1e3):
    """A gap above a flat metal. The potential in the solution is nearly the bath's.

    The salt is thin, 1 mol m⁻³, where the cases have 1 mol L⁻¹: all currents are
    thousand times smaller, and so is the ohmic drop.
    """
    side = np.full(1, 1e-5)
    salt = dj.BinaryElectrolyte(
        THIN, D, T_PLUS, conductivity=conductivity, thermodynamic_factor=1e-9
    )
    return dj.Cell(
        Scaffold.open(Grid((side, side, widths))),
        salt,
        kinetics=kinetics,
        counter_electrode=counter_electrode,
    )


def held(cell, times):
    """J [A m⁻²] at some times of a held potential, and the charge until the last."""
    pauses = np.diff([0.0, *times])
    run = simulate(
        cell, [dj.Potentiostatic(HELD, time=pause) for pause in pauses], steps=STEPS
    )
    last = [np.flatnonzero(run.step == n)[-1] for n in range(len(times))]
    np.testing.assert_allclose(np.asarray(run.time)[last], times, rtol=1e-12)
    J, charge = np.asarray(run.current_density)[last], float(run.charge)
    return J * C0 / THIN, charge * C0 / THIN, run


def limiting():
    """A reaction so fast that the wall is empty: c_s/c₀ = 4e-6 at 15 A m⁻²."""
    return dj.Tafel(1e4, exponent=1.0, reference_concentration=THIN)


def cut_short(first_cell, times):
    """How far off Cottrell's current is: 0.055 h²/(D t), h the cell at the wall."""
    return 0.07 * first_cell**2 / (D * np.asarray(times)) + 4e-4


def test_cottrell():
    # T1, in a gap that the salt does not cross.
    times = [0.01, 0.1, 1.0, 10.0]
    widths = graded_widths(CELLS, 3.6e-4, GROWTH)
    J, charge, _ = held(foil(widths, limiting(), conductivity=10.0), times)
    known = [15207.411495883, 4809.0057642418, 1520.7411495883, 480.90057642418]
    off = np.abs(J / known - 1)
    assert np.all(off < cut_short(widths[0], times))
    assert np.all(off[1:] < 1e-3)
    assert charge == pytest.approx(9618.0115284836, rel=1e-3)


def test_step_in_a_gap():
    # T3: c₀ is held 100 µm away.
    widths = graded_widths(CELLS, 1e-4, GROWTH)
    cell = foil(widths, limiting(), conductivity=10.0)
    J, _, _ = held(cell, [0.1, 1.0, 5.0, 20.0])
    known = [4809.0057642418, 1520.7411495883, 681.82714394984, 469.36734416649]
    np.testing.assert_allclose(J, known, rtol=5e-4)


def test_first_order_reaction():
    # T2: i = F k c_s.
    k = 2e-5
    kinetics = dj.Tafel(
        k * FARADAY * THIN / BOOST, exponent=1.0, reference_concentration=THIN
    )
    cell = foil(graded_widths(CELLS, 1.1e-3, GROWTH), kinetics)
    J, _, run = held(cell, [0.1, 1.0, 10.0, 100.0])
    known = [1521.0396654, 1002.9723848608, 443.56565811195, 150.6319951102]
    np.testing.assert_allclose(J, known, rtol=1e-3)
    wall = float(run.lowest_wall_concentration[-1]) / THIN
    assert wall == pytest.approx(0.078059530809141, rel=1e-3)


def test_relaxation():
    # T4: a current of 0.6 of the limit until nothing changes, then none.
    length = 5e-4
    half = graded_widths(CELLS // 2, length / 2, 4.0)
    cell = foil(np.concatenate([half, half[::-1]]), counter_electrode="metal")
    J = 0.6 * 2 * FARADAY * D * THIN / ((1 - T_PLUS) * length)
    pauses = np.diff([0.0, 1.0, 10.0, 50.0, 200.0])
    run = simulate(
        cell,
        [dj.Galvanostatic(J, time=1e4), *(dj.Rest(pause) for pause in pauses)],
        steps=STEPS,
    )
    last = [np.flatnonzero(run.step == n)[-1] for n in range(5)]
    wall = np.asarray(run.lowest_wall_concentration)[last] / THIN
    assert wall[0] == pytest.approx(0.4, rel=1e-5)
    known = [-553.09415885732, -451.67070642906, -269.26827652202, -45.522484539039]
    np.testing.assert_allclose((wall[1:] - 1) * C0, known, rtol=1e-3)
