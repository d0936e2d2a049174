"""First-order plating in a pore, in the steady state.

    ∇²c = 0 in the pore,    D ∂c/∂n = k c on the metal,    c = c₀ at the mouth

Case TP1 (r11), run as what it is in a cell: a held potential.
`helpers.first_order_cell` says how the potential is kept out of it.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PLATING, D, first_order_cell, observed_orders, salt_flux
from scipy.interpolate import CubicSpline

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.simulate import simulate
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

UNIT = 10 * um  # the length that the cases are written in
SCALE = D * UNIT  # of a flux through UNIT² at c₀ = 1 mol m⁻³ and c₀/UNIT [mol s⁻¹]


def steady(cell, time):
    """The cell after a long time [UNIT²/D] at the potential of the kinetics."""
    run = simulate(cell, dj.Potentiostatic(PLATING, time=time * UNIT**2 / D))
    history = np.asarray(run.current_density)
    assert abs(history[-1] / history[-2] - 1) < 1e-6
    assert run.charge_imbalance[-1] < 1e-8
    return run


def wall_share(run, rate):
    """c_s/c₀ of the host's metal in every cell; `rate` is k UNIT/D."""
    k = rate * D / UNIT
    layers = run.cell.scaffold.shape[2]
    return salt_flux(run.local_current_density)[..., :layers] / k


def at_bottom(values, widths):
    """A profile over cells, from the bottom, continued to z = 0."""
    z = np.cumsum(widths) - np.asarray(widths) / 2
    return float(CubicSpline(z, values)(0.0))


# TP1: k R/D, L/R, whether the base reacts too; uptake/(D c₀ R), c_s/c₀ at the base.
PORES = [
    (0.05, 10.0, False, 0.9842672087005151, 0.0851061259567822),
    (1.0, 4.0, False, 4.116548085059009, 0.01021901451180643),
    (0.2, 5.0, True, 1.943656903430386, 0.06561643700866074),
]


@functools.cache
def pore(cells, rate, length, base):
    """Uptake and wall concentration at the base; a quarter of the pore is computed."""
    wide = np.full(cells + 1, UNIT / cells)
    layers = 3 * cells
    high = np.full(layers, length * UNIT / layers)
    grid = Grid((wide, wide, high))
    x, y, _ = grid.node_mesh()
    levelset = jnp.broadcast_to(UNIT - jnp.hypot(x, y), [n + 1 for n in grid.shape])
    scaffold = Scaffold.from_levelset(levelset, grid)
    cell = first_order_cell(scaffold, rate * D / UNIT, plated_collector=base)
    run = steady(cell, 30 * length / rate)
    uptake = 4 * salt_flux(run.current_density[-1]) * float(cell.footprint) / SCALE
    area = np.asarray(scaffold.surface_area)
    walls = (area * wall_share(run, rate)).sum((0, 1)) / area.sum((0, 1))
    return float(uptake), at_bottom(walls, high)


@pytest.mark.parametrize(("rate", "length", "base", "uptake", "wall"), PORES[1:2])
def test_pore_on_a_coarse_grid(rate, length, base, uptake, wall):
    found = pore(8, rate, length, base)
    assert found[0] == pytest.approx(uptake, rel=2e-2)
    assert found[1] == pytest.approx(wall, rel=6e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "length", "base", "uptake", "wall"), PORES)
def test_pore(rate, length, base, uptake, wall):
    errors = np.array(
        [np.array(pore(n, rate, length, base)) / (uptake, wall) - 1 for n in (4, 8, 16)]
    )
    assert np.all(np.abs(errors[-1]) < 1e-2)
    assert np.mean(observed_orders(errors[:, 0])) > 1.5
