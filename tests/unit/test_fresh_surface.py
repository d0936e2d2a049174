"""Films on new metal surface: against areas by hand, through growth and stripping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.cell_assembly import collector_area
from depojax.problems.fresh_surface import first_surface, surface_after
from depojax.problems.growth import Gain, volume_of_charge
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

Q = 100.0  # C m⁻²
SALT = dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=0.6)
EPS0, AREA0 = 0.95, 1e5  # of the homogenised host [-], [m⁻¹]
VOLUME = (25 * um) ** 3


class Deposit:
    """Metal that grows by what it is told, and its films."""

    def __init__(self, cell, growth, loss):
        self.cell, self.growth, self.loss = cell, growth, loss
        self.metal = growth.begin(cell)
        self.surface = first_surface(growth, cell, self.metal, None)

    def gain(self, host):
        """Plate or strip a charge in every cell of the whole grid [C]."""
        floor = jnp.zeros(self.cell.grid.shape[:2])
        gain = Gain(host, floor, jnp.asarray(1.0))
        metal = self.growth.grown(self.cell, self.metal, gain)
        self.metal, self.surface = surface_after(
            self.loss, self.growth, self.cell, metal, None, gain, self.surface
        )
        return self

    def to(self, porosity, windows=20):
        """Fill or empty a column evenly."""
        layers = self.cell.scaffold.shape[2]
        eps = float(self.growth.pore_fraction(self.cell, self.metal)[0, 0, 0])
        per_volume = float(volume_of_charge(self.cell, jnp.asarray(1.0)))
        charge = (eps - porosity) * VOLUME / per_volume / windows
        host = jnp.zeros(self.cell.grid.shape).at[..., :layers].set(charge)
        for _ in range(windows):
            self.gain(host)
        return self

    @property
    def made(self):
        return float(self.surface.made)

    @property
    def live(self):
        return sum(float(jnp.sum(p)) for p in self.growth.left(self.cell, self.metal))


def column(renewed=False, charge=Q, **options):
    grid = Grid.uniform((1, 1, 2), 25 * um)
    host = Scaffold.homogenised(grid, EPS0, 1.5, AREA0)
    given = {"metal": dj.metals.lithium, "separator": dj.Separator(20 * um, cells=2)}
    cell = dj.Cell(host, SALT, plated_collector=False, **given, **options)
    growth = dj.HomogenisedGrowth(area_law="fibres")
    return Deposit(cell, growth, dj.SurfaceLoss(charge, renewed=renewed))


def area(porosity):
    """Of fibres that overlap at random [m²], in both cells."""
    law = porosity / EPS0 * np.sqrt(np.log(porosity) / np.log(EPS0))
    return 2 * VOLUME * AREA0 * law


def test_what_grows_pays_for_its_surface():
    """Fibres get thicker: the film is that of the area which they have in the end."""
    grown = column().to(0.7)
    assert area(0.7) > 1.9 * area(EPS0)
    assert grown.made == pytest.approx(area(0.7), rel=1e-12)
    assert float(grown.surface.charge) == pytest.approx(Q * area(0.7), rel=1e-12)
    volume = 2 * (EPS0 - 0.7) * VOLUME
    plated = volume / float(volume_of_charge(grown.cell, jnp.asarray(1.0)))
    assert grown.live == pytest.approx(plated - Q * area(0.7), rel=1e-10)
    # What the film took is still in the pores.
    assert float(grown.growth.volume(grown.cell, grown.metal)) == pytest.approx(volume)


def test_surface_that_shrinks_costs_nothing():
    """From 1/√e on fibres grow into each other."""
    top = np.exp(-0.5)
    grown = column().to(top).to(0.2)
    assert grown.made == pytest.approx(area(top), rel=1e-12)


@pytest.mark.parametrize("renewed", [False, True])
def test_surface_that_comes_back(renewed):
    there_and_back = column(renewed).to(0.7).to(0.85).to(0.7)
    again = area(0.7) - area(0.85) if renewed else 0.0
    assert there_and_back.made == pytest.approx(area(0.7) + again, rel=1e-12)


@pytest.mark.parametrize("renewed", [False, True])
def test_metal_that_was_gone(renewed):
    """Stripped but for a film, and a little that no current takes."""
    plated = column(renewed).to(0.8)
    host = jnp.zeros(plated.cell.grid.shape).at[..., :2].set(-0.999 * plated.live / 2)
    gone = plated.gain(host)
    assert 0 < gone.live < 0.1 * Q * area(0.8)
    assert gone.made == pytest.approx(area(0.8), rel=1e-12)
    back = gone.to(0.75)
    expected = area(0.75) + (area(0.8) if renewed else 0.0)
    assert back.made == pytest.approx(expected, rel=1e-12)


def test_a_first_deposit_has_its_film():
    cell = column(initial_deposit=1000.0).to(0.85)
    assert cell.made == pytest.approx(area(0.85) - area(EPS0), rel=1e-12)


def test_metal_that_is_too_little_is_all_taken():
    some = column()
    charge = Q * area(EPS0) / 5
    host = jnp.zeros(some.cell.grid.shape).at[..., :2].set(charge / 2)
    for count in (1, 2, 3):
        some.gain(host)
        assert some.live == pytest.approx(0.0, abs=1e-12 * charge)
        assert some.made == pytest.approx(count * charge / Q, rel=1e-12)
    for _ in range(7):
        some.gain(host)
    now = float(some.growth.pore_fraction(some.cell, some.metal)[0, 0, 0])
    assert some.made == pytest.approx(area(now), rel=1e-12)
    assert some.live == pytest.approx(10 * charge - Q * some.made, rel=1e-9)


def test_no_film_costs_nothing():
    grown = column(charge=0.0).to(0.7)
    assert float(grown.surface.charge) == 0.0
    assert grown.live > 0


def test_slope_of_what_is_left():
    """Of the live metal: −dA/dq is the area, and a slope to the host's area."""

    def live(numbers):
        q, a = numbers
        grid = Grid.uniform((1, 1, 2), 25 * um)
        cell = dj.Cell(
            Scaffold.homogenised(grid, EPS0, 1.5, a),
            SALT,
            metal=dj.metals.lithium,
            plated_collector=False,
        )
        growth = dj.HomogenisedGrowth(area_law="fibres")
        deposit = Deposit(cell, growth, dj.SurfaceLoss(q))
        host = jnp.full(cell.grid.shape, 2e-5)
        for _ in range(3):
            deposit.gain(host)
        return jnp.sum(growth.left(cell, deposit.metal)[0])

    numbers = (jnp.asarray(Q), jnp.asarray(AREA0))
    slopes = jax.grad(live)(numbers)
    for k, step in ((0, 1.0), (1, 100.0)):
        high, low = (
            live(tuple(x + s * step * (j == k) for j, x in enumerate(numbers)))
            for s in (1, -1)
        )
        central = (float(high) - float(low)) / (2 * step)
        assert float(slopes[k]) == pytest.approx(central, rel=1e-6)
        assert central < 0


def rod(cells, windows=24):
    """A rod of 2 µm along y grows to 5 µm on a level set of `cells` per µm."""
    n = 6 * cells
    grid = Grid.uniform((n, 1, n), um / cells)
    x, _, z = (axis / um for axis in grid.node_mesh())
    values = jnp.broadcast_to(jnp.hypot(x, z - 6) - 2, (n + 1, 2, n + 1)) * um
    host = Scaffold.from_levelset(values, grid)
    cell = dj.Cell(
        host, SALT, metal=dj.metals.lithium, separator=5 * um, plated_collector=False
    )
    deposit = Deposit(cell, dj.LevelSetGrowth(), dj.SurfaceLoss(Q))
    per_volume = float(volume_of_charge(cell, jnp.asarray(1.0)))
    for _ in range(windows):
        here = deposit.growth.cell(cell, deposit.metal)
        above = cell.grid.shape[2] - cell.scaffold.shape[2]
        wall = jnp.pad(here.scaffold.surface_area, [(0, 0), (0, 0), (0, above)])
        assert float(jnp.sum(collector_area(here))) == 0.0
        deposit.gain(wall * (3 * um / windows) / per_volume)
    return deposit, um / cells, per_volume


@pytest.mark.slow
@pytest.mark.parametrize("cells", [2, 4])
def test_a_growing_rod_pays_for_its_round(cells):
    """It moves from cell to cell, and pays for 2πR in the end, not for every cell."""
    deposit, length, per_volume = rod(cells)
    volume = float(deposit.growth.volume(deposit.cell, deposit.metal))
    # A quarter of the round, one cell wide; R from the volume.
    radius = np.sqrt((2 * um) ** 2 + volume / (np.pi / 4 * length))
    assert 4.9 * um < radius < 5.1 * um
    assert deposit.made == pytest.approx(np.pi / 2 * radius * length, rel=0.002 / cells)
    charge = float(deposit.surface.charge)
    assert charge == pytest.approx(Q * deposit.made, rel=1e-12)
    assert deposit.live == pytest.approx(volume / per_volume - charge, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"charge": -1.0}, "charge: expected within"),
        ({"charge": "100 C"}, "charge"),
        ({"charge": Q, "renewed": 1}, "renewed: expected True or False"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        dj.SurfaceLoss(**arguments)
