"""Walls that move at one speed: closed forms of what fills, closes, and falls off.

MB3 of the cases: the wall is that of a `LevelSetGrowth`, the charge what a uniform
current would plate or strip. Lengths in µm, half of each shape beside its mirror.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.physics.nuclei import draw_nuclei
from depojax.problems.cell_assembly import collector_area
from depojax.problems.growth import Gain, volume_of_charge
from depojax.problems.level_set_growth import LevelSetGrowth
from depojax.units import um

CHARGE = 1 / float(
    volume_of_charge(
        dj.Cell(
            dj.Scaffold.open(Grid.uniform((1, 1, 1), um)),
            dj.BinaryElectrolyte(1000.0, 3e-10, 0.38),
            metal=dj.metals.lithium,
        ),
        jnp.asarray(1.0),
    )
)  # per volume of metal [C m-3]


def host(levelset, size, cells, **options):
    """A cell around `levelset(x, z)` [µm], one cell thick, of `cells` per µm."""
    nx, nz = (round(length * cells) for length in size)
    grid = Grid.uniform((nx, 1, nz), um / cells)
    x, _, z = (axis / um for axis in grid.node_mesh())
    values = jnp.broadcast_to(levelset(x, z), (nx + 1, 2, nz + 1)) * um
    return around(dj.Scaffold.from_levelset(values, grid), **options)


def around(scaffold, **options):
    salt = dj.BinaryElectrolyte(1000.0, 3e-10, 0.38, conductivity=1.0)
    options = {"separator": 5 * um, "metal": dj.metals.lithium} | options
    return dj.Cell(scaffold, salt, **options)


def moved_by(cell, growth, metal, way):
    """The metal after the wall has gained `way` [m] wherever it is live and wet."""
    here = growth.cell(cell, metal)
    above = cell.grid.shape[2] - cell.scaffold.shape[2]
    area = jnp.pad(here.scaffold.surface_area, [(0, 0), (0, 0), (0, above)])
    charge = CHARGE * way
    gain = Gain(area * charge, collector_area(here) * charge, jnp.asarray(1.0))
    total = float(jnp.sum(gain.host)) + float(jnp.sum(gain.floor))
    return growth.grown(cell, metal, gain), total


@pytest.mark.slow
def test_trench_fills_and_closes_on_time():
    # Half-width 5, depth 16: the walls meet at 5, the floor has risen as much.
    cells = 3
    cell = host(lambda x, z: 5 - x, (6, 16), cells)
    growth = LevelSetGrowth()
    metal = growth.begin(cell)
    step, count, charge = 1 / (2 * cells), 0, 0.0
    while float(jnp.max(growth.cell(cell, metal).scaffold.pore_fraction)) > 0:
        if count == 15:  # half of the way
            left = growth.cell(cell, metal).scaffold.porosity * 6 * 16
            assert float(left) == pytest.approx(2.5 * 13.5, rel=0.01)
            thickness = growth.thickness(cell, metal)[0, 0, 0]
            assert float(thickness) == pytest.approx(2.5 * um, rel=0.02)
        volume = float(growth.volume(cell, metal))
        assert volume == pytest.approx(charge / CHARGE, rel=1e-10)
        metal, gained = moved_by(cell, growth, metal, step * um)
        charge += gained
        count += 1
        assert count < 40
    assert count * step == pytest.approx(5, abs=2.1 * step)
    # The last move was to take more than there was left.
    volume, most = float(growth.volume(cell, metal)), charge / CHARGE
    assert most - gained / CHARGE < volume <= most * (1 + 1e-10)
    pore = float(jnp.sum(cell.scaffold.pore_fraction * cell.scaffold.grid.volumes))
    assert volume == pytest.approx(pore, rel=1e-8)  # slivers aside
    assert growth.stops(cell, metal)[0].name == "top_closure"


BOTTLE = 49.716814692820414  # µm², MB3_bottle


@pytest.mark.slow
@pytest.mark.parametrize("cells", [2, 4])
def test_bottle_closes_at_its_neck_and_traps_what_it_holds(cells):
    # Mouth 2 wide and 4 deep over 6 by 10, halves: closes at 2.
    def bottle(x, z):
        inner = jnp.where(6 - x < 10 - z, 6 - x, 10 - z)
        return jnp.where(inner > 2 - x, inner, 2 - x)

    cell = host(bottle, (7, 14), cells)
    growth = LevelSetGrowth()
    metal = growth.begin(cell)
    step, count = 1 / (20 * cells), 0
    while not growth.stops(cell, metal):
        metal, _ = moved_by(cell, growth, metal, step * um)
        count += 1
        assert count < 3 * 20 * cells
    assert count * step == pytest.approx(2, abs=0.25 / cells)
    trapped = float(jnp.sum(growth.trapped(cell, metal))) / (um**3 / cells) * 2
    assert trapped == pytest.approx(BOTTLE, rel=0.08 / cells)
    names = [stop.name for stop in growth.stops(cell, metal)]
    assert "pore_closure" in names
    # What is trapped is not plated: it stays as it is.
    later, _ = moved_by(cell, growth, metal, step * um)
    after = float(jnp.sum(growth.trapped(cell, later))) / (um**3 / cells) * 2
    assert after == pytest.approx(trapped, rel=1e-3)


NECK, ROUND = 1.5, 5.0
DEAD_AREA, DEAD_VOLUME = 39.05783574166, 180.01524083029  # MB3_dumbbell2d, 3d


def dumbbell(r, z):
    """A ball on a neck that stands on the collector."""
    centre = 3 + (ROUND**2 - NECK**2) ** 0.5
    inside = ROUND - jnp.hypot(r, z - centre)
    neck = jnp.where(NECK - r < centre - z, NECK - r, centre - z)
    return -jnp.where(inside > neck, inside, neck)


def dissolved(cell, cells, parts=20):
    """The metal when something has fallen off, and after how long a way [µm].

    `parts` moves take the wall through a cell.
    """
    growth = LevelSetGrowth()
    metal = growth.begin(cell)
    assert float(jnp.sum(growth.dead(cell, metal))) == 0
    step, count = 1 / (parts * cells), 0
    while float(jnp.max(metal.dead)) == 0:
        metal, _ = moved_by(cell, growth, metal, -step * um)
        count += 1
        assert count < 2 * parts * cells
    return growth, metal, count * step


@pytest.mark.parametrize("cells", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_neck_that_dissolves_cuts_off_exactly_what_stands_on_it(cells):
    deposit = 20 * um * CHARGE  # as thick as that: nothing is core
    options = {"initial_deposit": deposit, "plated_collector": False}
    cell = host(dumbbell, (6, 14), cells, **options)
    growth, metal, way = dissolved(cell, cells)
    assert way == pytest.approx(NECK, abs=0.5 / cells)
    dead = float(jnp.sum(growth.dead(cell, metal))) / CHARGE
    assert dead / (um**3 / cells) * 2 == pytest.approx(DEAD_AREA, rel=0.08 / cells)
    # It does not react and is no metal that could be stripped.
    here = growth.cell(cell, metal)
    assert float(jnp.sum(here.scaffold.surface_area * metal.dead)) == 0
    left, _ = growth.left(cell, metal)
    live = float(jnp.sum(left)) / CHARGE
    now, _ = moved_by(cell, growth, metal, -0.2 * um / cells)
    still = float(jnp.sum(growth.dead(cell, now))) / CHARGE
    assert still == pytest.approx(dead, rel=1e-3)
    total = 6 * 14 * um**2 * um / cells
    solid = total * (1 - float(growth.cell(cell, metal).scaffold.porosity))
    assert live + dead == pytest.approx(solid, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "parts", "early", "off"),
    [(2, 20, 0.05, 0.02), (4, 20, 0.02, 0.01), (2, 80, 0.17, 0.15)],
)
def test_ball_that_loses_its_neck_is_dead(cells, parts, early, off):
    # The same in three dimensions, of which a quarter is seen.
    nx, nz = 6 * cells, 14 * cells
    grid = Grid.uniform((nx, nx, nz), um / cells)
    x, y, z = (axis / um for axis in grid.node_mesh())
    ball = dj.Scaffold.from_levelset(dumbbell(jnp.hypot(x, y), z) * um, grid)
    cell = around(ball, initial_deposit=20 * um * CHARGE, plated_collector=False)
    growth, metal, way = dissolved(cell, cells, parts)
    assert way == pytest.approx(NECK, abs=early)
    dead = float(jnp.sum(growth.dead(cell, metal))) / CHARGE * 4 / um**3
    assert dead == pytest.approx(DEAD_VOLUME, rel=off)


@pytest.mark.slow
def test_nuclei_that_grow_cover_as_kjma_says():
    # Instantaneous nucleation on a foil: coverage = 1 − exp(−πNr²).
    density, edge, first, last = 1.2e10, 24 * um, 2.2, 5.0
    grid = Grid.uniform((24, 24, 10), um, periodic=(True, True, False))
    cell = around(dj.Scaffold.open(grid))
    flat = dj.Scaffold.from_levelset(
        jnp.broadcast_to(grid.node_mesh()[2] - 1e-4 * um, (25, 25, 11)), grid
    )
    nuclei = draw_nuclei(
        flat, [density], [0.0], key=5, birth_radius=first * um, collector=False
    )
    growth = LevelSetGrowth(nuclei=nuclei)
    metal = growth.begin(cell)
    assert float(growth.volume(cell, metal)) == 0
    steps = 24  # V = A h of each is of first order
    charge = 0.0
    for _ in range(steps):
        metal, gained = moved_by(cell, growth, metal, (last - first) / steps * um)
        charge += gained
    assert float(growth.volume(cell, metal)) * CHARGE == pytest.approx(charge, rel=1e-9)
    now = np.asarray(metal.distance)[:-1, :-1, 0] < 0
    points = np.stack(np.meshgrid(np.arange(24), np.arange(24), [0.0]), -1) * um
    grown = eqx.tree_at(lambda n: n.radii, nuclei, nuclei.radii + (last - first) * um)
    exact = np.asarray(grown.covers(points.reshape(-1, 3))).reshape(24, 24).T
    assert now.mean() == pytest.approx(exact.mean(), abs=0.05)
    expected = 1 - np.exp(-np.pi * density * (last * um) ** 2)
    spread = (expected * (1 - expected) * np.pi * (last * um) ** 2) ** 0.5 / edge * 2
    assert now.mean() == pytest.approx(expected, abs=3 * spread)
