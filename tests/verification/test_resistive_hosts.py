"""Hosts that conduct electrons badly, and a wall that is metal in part: case r09.

PE4  porous electrode: resistance of host, electrolyte and salt all matter
PE5  fibre, held at one end:     λ² η'' = η,            λ² = σ r R_ct/2
PE6  sheet, fed along its edge:  λ² η'' = η,            λ² = R_ct/R_s
     disc, fed at its rim:       λ² (r η')'/r = η
PE7  primary resistance of a wall that is covered in part, by elliptic integrals

R_ct = RT/(F i₀). The numbers, and those of the closed forms beside them, are r09's.
"""

import numpy as np
import pytest
from helpers import observed_orders
from scipy.interpolate import CubicSpline

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.simulate import simulate
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

pytestmark = pytest.mark.slow  # every program of these takes its time to compile

THERMAL = GAS_CONSTANT * 298.15 / FARADAY
SIDE = np.full(1, 1e-5)


def at_heights(values, heights):
    """A profile over equal cells of 0 … 1, at some heights."""
    n = len(values)
    return CubicSpline((np.arange(n) + 0.5) / n, values)(heights)


def refined(question, grids):
    """What a question says on the finest of some grids, and the errors on all."""
    errors = np.array([question(n) for n in grids])
    return np.abs(errors[-1]), observed_orders(np.max(np.abs(errors), axis=1))


def test_tertiary_distribution_with_electrons_in_series():
    # PE4 with σ = 1 S m⁻¹; ideal dilute, so D and t₊ give κ.
    D, share, length, J = 3e-10, 0.38, 2e-4, 60.0
    law = dj.IdealDilute(D / (2 * (1 - share)), D / (2 * share))
    rates = [0.935704498782775, 0.5580769455961163, 0.6336099173640255]
    rates += [1.208649450101982, 2.7711982767587195]

    def errors(n):
        grid = Grid((SIDE, SIDE, np.full(n, length / n)))
        cell = dj.Cell(
            Scaffold.homogenised(grid, 0.8, 2.0, 2e5),
            dj.ConcentratedElectrolyte(law, 1000.0),
            kinetics=dj.ButlerVolmer(10.0),
            counter_electrode="reservoir",
            plated_collector=False,
            solid_conductivity=1.0,
        )
        run = simulate(cell, dj.Galvanostatic(J, time=1e5))
        assert float(run.charge_imbalance[-1]) < 1e-8
        c = at_heights(np.asarray(run.concentration[0, 0]), 0.0)
        local = np.asarray(run.local_current_density[0, 0]) / (J / (2e5 * length))
        found = at_heights(local, np.linspace(0, 1, 5))
        return [(1 - c / 1000) / 0.2387468697352636 - 1, *(found / rates - 1)]

    last, orders = refined(errors, (16, 32, 64))
    assert np.all(last < 5e-4)
    assert np.all(orders > 1.9)


SMALL = 1e-6  # by which linear fins are scaled to lie in a perfect electrolyte
HELD = 0.005  # potential of their ends [V]
THIN = 1e-3  # thickness that a sheet is given [m]


def fin(n, length, conductivity, area_per_volume, transfer_resistance, width=None):
    """Current per footprint [A m⁻²], rates at the cells over that at the end, areas.

    Resistances are raised together until that of the electrolyte, 1e3 S m⁻¹, is less
    than 1e-6 of them. Kinetics do not look at the salt, whose diffusion potential is
    taken away. `width` of each cell, in that of the end.
    """
    width = np.ones(n) if width is None else width
    grid = Grid((SIDE, SIDE, np.full(n, length / n)))
    i0 = SMALL * THERMAL / transfer_resistance
    cell = dj.Cell(
        Scaffold.homogenised(grid, 0.5, 1.0, (width * area_per_volume)[None, None]),
        dj.BinaryElectrolyte(
            3e4, 1e-14, 0.5, conductivity=1e3, thermodynamic_factor=1e-9
        ),
        kinetics=dj.LinearKinetics(i0, exponent=0.0),
        counter_electrode="reservoir",
        plated_collector=False,
        solid_conductivity=(SMALL * width * conductivity)[None, None],
    )
    run = simulate(cell, dj.Potentiostatic(-HELD, time=1e-6))
    assert float(run.charge_imbalance[-1]) < 1e-6
    local = np.asarray(run.local_current_density[0, 0]) * transfer_resistance / HELD
    area = np.asarray(cell.scaffold.surface_area[0, 0])
    return float(run.current_density[-1]) / SMALL, local / SMALL, area


def test_fibre():
    # PE5; half of the volume are such fibres.
    r, length, share = 5e-6, 5e-4, 0.5
    rates = [1.0, 0.7467498981216968, 0.5852516802602172, 0.4956623363375936]
    rates += [0.466974176746626]

    def errors(n):
        J, local, _ = fin(n, length, share * 100.0, share * 2 / r, THERMAL / 50.0)
        total = J * np.pi * r**2 / share
        found = at_heights(local, np.linspace(0, 1, 5))
        return [total / 9.688496607278462e-08 - 1, *(found / rates - 1)]

    last, orders = refined(errors, (32, 64, 128))
    assert np.all(last < 1e-4), last
    assert np.all(orders > 1.8), orders


def test_strip():
    # PE6: 40 mm of 10 Ω, 5 mΩ m².
    length, sheet, transfer = 0.04, 10.0, 0.005

    def errors(n):
        J, local, _ = fin(n, length, 1 / (sheet * THIN), 1 / THIN, transfer)
        found = at_heights(local / local.mean(), np.array([0, 0.5, 1]))
        rates = [1.8916873990979224, 0.878140919427507, 0.6152082703490435]
        resistance = HELD / (J * THIN)  # of the whole, for a width of 1 m [Ω m]
        return [resistance / 0.23646092488724024 - 1, *(found / rates - 1)]

    last, orders = refined(errors, (32, 64, 128))
    assert np.all(last < 1e-4), last
    assert np.all(orders > 1.8), orders


def test_disc():
    # PE6: 8 mm of 100 Ω, 5 mΩ m². A wedge of it is a column whose width is r: both its
    # conductivity and its area go as r, the rim is at z = 0.
    radius, sheet, transfer = 0.008, 100.0, 0.005

    def errors(n):
        r = 1 - (np.arange(n) + 0.5) / n
        J, local, area = fin(n, radius, 1 / (sheet * THIN), 1 / THIN, transfer, r)
        found = at_heights(local / (area @ local / area.sum()), np.array([0, 1]))
        rates = [1.1520957236258844, 0.8556043078301981]
        resistance = HELD / (2 * np.pi * radius * J * THIN)
        return [resistance / 28.65027020782713 - 1, *(found / rates - 1)]

    last, orders = refined(errors, (32, 64, 128))
    assert np.all(last < 1e-4), last
    assert np.all(orders > 1.7), orders


def covered(n, width, height, metal):
    """Conductance over κ per length of a wall of which `metal` plates; foil on top."""
    unit = 1e-4
    across, high = np.full(n, width * unit / n), np.full(n, height * unit / n)
    grid = Grid((across, np.full(1, unit), high))
    host = Scaffold.open(grid)
    x = (np.arange(n) + 0.5) / n * width
    bottom = host.face_transmission[2].at[..., 0].set((x < metal)[:, None] * 1.0)
    host = Scaffold(
        grid,
        host.pore_fraction,
        (*host.face_transmission[:2], bottom),
        host.surface_area,
        host.wall_distance,
        host.closed_pore_fraction,
    )
    salt = dj.BinaryElectrolyte(3e4, 1e-7, 0.99, conductivity=0.5)
    run = simulate(dj.Cell(host, salt), dj.Potentiostatic(-1e-3, time=1e-9))
    return float(run.current_density[-1]) * width * unit / (1e-3 * 0.5)


@pytest.mark.parametrize(
    ("width", "height", "metal", "known"),
    [(1.0, 1.0, 0.5, 0.819644188480507), (1.0, 0.4, 0.25, 1.0629497101117305)],
)
def test_partly_covered_wall(width, height, metal, known):
    # PE7; i ~ 1/√distance at the edge of the metal, so the error goes as h.
    values = np.array([covered(n, width, height, metal) for n in (8, 16, 32)])
    errors = values / known - 1
    assert observed_orders(errors) == pytest.approx([1, 1], abs=0.1)
    assert 2 * values[-1] - values[-2] == pytest.approx(known, rel=1e-3)
