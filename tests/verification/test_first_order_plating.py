"""First-order plating in pores, grooves and between sheets, in the steady state.

    ∇²c = 0 in the pore,    D ∂c/∂n = k c on the metal,    c = c₀ at the mouth

Cases TP1 (r11), TP2 (r11) and HGA, VGA (r23), run as what they are in a cell: a held
potential. `helpers.first_order_cell` says how the potential is kept out of it.
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

pytestmark = pytest.mark.slow  # every program of these takes its time to compile

UNIT = 10 * um  # the length that the cases are written in
SCALE = D * UNIT  # of a flux through UNIT² at c₀ = 1 mol m⁻³ and c₀/UNIT [mol s⁻¹]


def named(case):
    """A case by its rate constant."""
    return f"k{case[0]:g}"


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


def extrapolated(values, *orders):
    """Values of grids twice as fine each, without the errors of some known orders."""
    for order in orders:
        values = values[1:] + (values[1:] - values[:-1]) / (2**order - 1)
    return values[-1]


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


def errors_in_pore(case):
    """Relative, for 4, 8 and 16 cells per radius, of uptake and wall concentration."""
    *question, uptake, wall = case
    found = [pore(n, *question) for n in (4, 8, 16)]
    return np.array(found) / (uptake, wall) - 1


@pytest.mark.parametrize("case", PORES, ids=named)
def test_pore(case):
    errors = np.abs(errors_in_pore(case))
    assert np.all(errors[-1] < 1e-2)
    assert np.all(np.diff(errors[:, 0]) < 0)


@pytest.mark.parametrize("case", PORES, ids=named)
def test_order_in_a_pore(case):
    assert np.mean(observed_orders(errors_in_pore(case)[:, 0])) > 1.5


# TP2: k W/D, depth and layer above in W (the half-pitch); a trench of half-width W/2.
# Per length and D c₀: all, bottom, walls, land. Share of the groove, bottom and walls.
GROOVES = [
    (0.1, 2, 2, 0.15533149348, 0.02031358371, 0.09954712465, 0.03547078512, 0.7716446),
    (1.0, 2, 2, 0.34928413008, 0.01219522021, 0.18307602092, 0.15401288894, 0.5590613),
    (10.0, 1, 1, 0.83936881934, 0.0314075196, 0.28824558504, 0.51971571475, 0.3808256),
]


def groove(cells, rate, depth, above):
    """Uptake/(D c₀) per length along a groove: total, bottom, walls, land; a share."""
    h = UNIT / cells
    foil = dj.grooves(
        (cells, 1, (depth + above) * cells),
        h,
        width=UNIT,
        depth=depth * UNIT,
        pitch=2 * UNIT,
    )
    cell = first_order_cell(foil, rate * D / UNIT, plated_collector=True)
    run = steady(cell, 100 * (depth + above) ** 2)
    host = np.asarray(run.local_current_density * foil.surface_area)
    floor = np.asarray(run.collector_current_density)
    floor = floor * np.asarray(foil.face_transmission[2][..., 0]) * h * h
    top = depth * cells
    parts = [floor.sum(), host[..., :top].sum(), host[..., top:].sum()]
    uptake = salt_flux(np.array([sum(parts), *parts])) / h / D
    through = salt_flux(run.current_density[-1]) * UNIT / D
    assert uptake[0] == pytest.approx(float(through), rel=1e-6)
    return np.array([*uptake, sum(uptake[1:3]) / uptake[0]])


@pytest.mark.parametrize("case", GROOVES, ids=named)
def test_groove(case):
    # c ~ r^(2/3) at the edges of the trench: what is plated beside them has an error of
    # h^(4/3), the rest of h². The sum is good enough as it is, its parts without those.
    rate, depth, above, *known = case
    values = np.array([groove(n, rate, depth, above) for n in (8, 16, 32)])
    errors = values / known - 1
    assert abs(errors[-1, 0]) < 1e-3
    assert observed_orders(errors[:, 2]) == pytest.approx([4 / 3, 4 / 3], abs=0.1)
    assert np.all(np.abs(extrapolated(errors, 4 / 3, 2)) < 1e-3)


def plates(grid, across_x, across_z):
    """Thin metal on faces of an open grid; masks over the faces normal to x and z.

    Both sides of a face react, or the one that is in the box.
    """
    nx, ny, nz = grid.shape
    open_x, open_z = 1.0 - across_x[:, None, :], 1.0 - across_z[:, None, :]
    area_x, area_z = (np.asarray(grid.face_areas(axis)) for axis in (0, 2))
    area_x, area_z = area_x * (1 - open_x), area_z * (1 - open_z)
    area = area_x[:-1] + area_x[1:] + area_z[..., :-1] + area_z[..., 1:]
    normal = 0 if across_x.any() else 2
    distance = np.asarray(grid.widths[normal])[0] / 2
    return Scaffold(
        grid=grid,
        pore_fraction=jnp.ones(grid.shape),
        face_transmission=(
            jnp.asarray(open_x),
            jnp.ones((nx, ny + 1, nz)),
            jnp.asarray(open_z),
        ),
        surface_area=jnp.asarray(area),
        wall_distance=jnp.full(grid.shape, distance),
        closed_pore_fraction=jnp.zeros(()),
    )


# r23: sheets at a distance of SPACING, of which τ = 4.46 (r13 H5), slits of GAP left
# and right in turn; the mouth a distance above the first, and, as r23's note on its
# bottom says, the insulated collector half a distance below the last.
SPACING, SHEETS, GAP, TAU = 0.3763884315429721, 8, 0.1, 4.46  # of the period
DEPTH = (SHEETS + 0.5) * SPACING


def sheet_host(cells):
    """Half a period of the sheets, `cells` layers of cells from one to the next."""
    nx, layers = 5 * cells // 4, (2 * SHEETS + 1) * cells // 2
    side = np.full(nx, UNIT / 2 / nx)
    grid = Grid((side, np.full(1, UNIT), np.full(layers, SPACING * UNIT / cells)))
    x = (np.arange(nx) + 0.5) / nx / 2
    across = np.zeros((nx, layers + 1))
    for number in range(1, SHEETS + 1):
        place = x if number % 2 else 0.5 - x
        across[:, layers - number * cells] = place > GAP / 2
    return plates(grid, np.zeros((nx + 1, layers)), across)


def between_sheets(cells, rate):
    """Uptake/(D c₀) per length, rates of top and bottom sheet, c/c₀ at the bottom."""
    host = sheet_host(cells)
    run = steady(first_order_cell(host, rate * D / UNIT), 2000.0)
    flux = salt_flux(run.local_current_density * host.surface_area).sum((0, 1))
    layers = flux.size
    sheets = [
        flux[layers - number * cells - 1 : layers - number * cells + 1].sum()
        for number in range(1, SHEETS + 1)
    ]
    assert sum(sheets) == pytest.approx(flux.sum(), rel=1e-12)
    c = np.asarray(run.concentration).mean((0, 1))
    bottom = (9 * c[0] - c[1]) / 8  # no flux through the bottom
    return np.array([flux.sum() / UNIT / D, sheets[0] / sheets[-1], bottom])


# HGA: k P/D; total, top/bottom sheet, c at the bottom; the last and the total if only
# the averages of the host are known.
HORIZONTAL = [
    (0.002, 0.012753416187, 1.17291698954, 0.83083336710, 0.8154119636, 0.0134037113),
    (0.005, 0.027448377737, 1.45008331836, 0.65181425575, 0.6260667405, 0.0285477528),
    (0.020, 0.069381983045, 3.19005862364, 0.27029208610, 0.2437498179, 0.0710125247),
]


@pytest.mark.parametrize("case", HORIZONTAL, ids=named)
def test_horizontal_sheets(case):
    # c ~ √r at the edges of the sheets: an error of h, which is taken away from what
    # two grids say, as it is in the numbers of the case (known to 3e-4).
    rate, known = case[0], case[1:4]
    values = np.array([between_sheets(n, rate) for n in (8, 16, 32)])
    errors = values / known - 1
    assert observed_orders(errors.T[0]) == pytest.approx([1, 1], abs=0.2)
    assert np.all(np.abs(errors[-1]) < np.abs(errors[-2]) / 1.9)
    assert np.all(np.abs(extrapolated(errors, 1)) < 5e-3)


@pytest.mark.parametrize("case", HORIZONTAL, ids=named)
def test_averaged_sheets(case):
    # c = cosh(z √(a k τ/D))/cosh(…): close to the host itself where k is small.
    rate, *_, bottom, total = case
    high = np.full(64, DEPTH * UNIT / 64)
    grid = Grid((np.full(1, UNIT / 2), np.full(1, UNIT), high))
    area = 2 * (1 - GAP) / (SPACING * UNIT)
    host = Scaffold.homogenised(grid, 1.0, TAU, area)
    run = steady(first_order_cell(host, rate * D / UNIT), 2000.0)
    flux = salt_flux(run.local_current_density * host.surface_area).sum()
    found = [at_bottom(np.asarray(run.concentration)[0, 0], high), flux / UNIT / D]
    assert found == pytest.approx([bottom, total], rel=1e-3)


# VGA: the same, of a straight channel with the area of those sheets: total per channel,
# rate at the mouth over that at the base, mean c at the base.
WIDTH = 0.41820936838108
VERTICAL = [
    (0.002, 0.012393680297069979, 1.0494893152700067, 0.95297721706842),
    (0.005, 0.02960605336513617, 1.1252372857434756, 0.8890111843667874),
    (0.02, 0.09782128779536756, 1.5320889538097044, 0.6536137585325607),
]


@pytest.mark.parametrize("case", VERTICAL, ids=named)
def test_vertical_channels(case):
    rate, *known = case
    nx, layers = 8, 96
    side = np.full(nx, WIDTH / 2 * UNIT / nx)
    grid = Grid((side, np.full(1, UNIT), np.full(layers, DEPTH * UNIT / layers)))
    across = np.zeros((nx + 1, layers))
    across[-1] = 1
    host = plates(grid, across, np.zeros((nx, layers + 1)))
    run = steady(first_order_cell(host, rate * D / UNIT), 500.0)
    flux = salt_flux(run.local_current_density * host.surface_area)
    c = np.asarray(run.concentration).mean((0, 1))
    high = grid.widths[2]
    base = at_bottom(wall_share(run, rate)[-1, 0], high)
    found = [2 * flux.sum() / UNIT / D, 1 / base, at_bottom(c, high)]
    assert found == pytest.approx(known, rel=1e-4)
