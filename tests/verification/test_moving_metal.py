"""Metal that moves while the cell is solved: r16, r29, r17, and what must be kept."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import PLATING

import depojax as dj
from depojax.fv.grid import Grid, stretched_widths
from depojax.problems.coupled import at_rest
from depojax.problems.level_set_growth import LevelSetGrowth
from depojax.problems.plating import go_on
from depojax.problems.plating_window import Windows
from depojax.problems.simulate import discrete_cell
from depojax.units import FARADAY, GAS_CONSTANT, cm, mA, um

LITHIUM = float(dj.metals.lithium.molar_volume) / FARADAY  # V_m/F [m³ C⁻¹]


def dilute(concentration=1000.0, cation=2e-10, anion=4e-10):
    law = dj.IdealDilute(cation, anion)
    return dj.ConcentratedElectrolyte(law, concentration)


def fibre_cell(radius, **options):
    """A fibre across a small box, above a plated collector."""
    grid = Grid.uniform((8, 1, 10), 2 * um)
    x, _, z = grid.node_mesh()
    values = jnp.hypot(x - 8.2 * um, z - 9.7 * um) - radius
    host = dj.Scaffold.from_levelset(jnp.broadcast_to(values, (9, 2, 11)), grid)
    given: dict[str, Any] = {"separator": dj.Separator(10 * um, cells=3)} | options
    return dj.Cell(
        host,
        dilute(),
        metal=dj.metals.lithium,
        kinetics=dj.ButlerVolmer(30.0),
        counter_kinetics=dj.ButlerVolmer(30.0),
        **given,
    )


PLATE_AND_STRIP = (
    dj.Galvanostatic(4 * mA / cm**2, time=200.0),
    dj.Galvanostatic(-4 * mA / cm**2, time=500.0),
)


@pytest.fixture(scope="module")
def cycle():
    cell = fibre_cell(3.1 * um)
    return dj.plate(cell, PLATE_AND_STRIP, growth=LevelSetGrowth())


@pytest.mark.slow
def test_metal_and_salt_are_kept(cycle):
    assert float(cycle.faraday_mismatch) < 1e-10
    assert float(cycle.salt_mismatch) < 1e-10
    assert float(jnp.max(cycle.charge_imbalance)) < 1e-8
    assert float(jnp.min(cycle.concentration[cycle.concentration > 0])) > 300
    assert float(jnp.max(cycle.concentration)) < 2000


@pytest.mark.slow
def test_stripping_gives_back_the_bare_host(cycle):
    assert cycle.ended_by == ("time", "stripped")
    assert float(cycle.coulombic_efficiency[0]) == pytest.approx(1, abs=5e-3)
    bare = cycle.cell.scaffold
    now = cycle.pore_fraction[..., :10]
    assert float(jnp.max(jnp.abs(now - bare.pore_fraction))) < 0.02
    assert float(jnp.max(cycle.thickness)) < 0.05 * um
    plated = 40.0 * 200 * LITHIUM * 16 * um * 2 * um
    fall = (cycle.window_porosity[0] - jnp.min(cycle.window_porosity)) * 640 * um**3
    first = (cycle.window_porosity[0] - bare.porosity) * 640 * um**3
    assert float(fall - first) == pytest.approx(plated, rel=0.02)


@pytest.mark.slow
def test_one_program_for_all_windows(cycle, caplog):
    # Another host of the same shape, another current: nothing large is compiled anew.
    step = dj.Galvanostatic(3 * mA / cm**2, time=600.0)
    with jax.log_compiles():
        run = dj.plate(fibre_cell(2.8 * um), step, growth=LevelSetGrowth())
    assert int(run.windows) > 2
    words = [record.getMessage() for record in caplog.records]
    large = ("run_window", "opened", "grown", "cell_model")
    assert words
    assert not [
        w for w in words if w.startswith("Compiling") and any(n in w for n in large)
    ]


@pytest.mark.slow
def test_a_run_is_saved_with_its_metal(cycle, tmp_path):
    dj.save(cycle, tmp_path / "cycle.nc")
    again: Any = dj.load(tmp_path / "cycle.nc")
    for mine, other in zip(
        jax.tree.leaves(cycle.metal), jax.tree.leaves(again.metal), strict=True
    ):
        assert np.array_equal(mine, other)
    assert np.array_equal(cycle.cell.scaffold.levelset, again.cell.scaffold.levelset)
    assert isinstance(again.growth, LevelSetGrowth)


def test_refusals():
    homogenised = dj.Scaffold.homogenised(Grid.uniform((2, 2, 2), um), 0.5, 2.0, 1e5)
    cell = fibre_cell(3.1 * um)
    step = PLATE_AND_STRIP[0]
    with pytest.raises(ValueError, match="HomogenisedGrowth for a host known by its"):
        dj.plate(cell.with_scaffold(homogenised), step, growth=LevelSetGrowth())
    image = np.ones((4, 4, 4), bool)
    image[1:3, 1:3, :2] = False
    voxels = dj.Scaffold.from_image(image, um, cut=False)
    with pytest.raises(ValueError, match="Read the image with cut=True"):
        dj.plate(cell.with_scaffold(voxels), step, growth=LevelSetGrowth())
    with pytest.raises(ValueError, match="density_factor: expected within"):
        LevelSetGrowth(density_factor=1.2)
    with pytest.raises(ValueError, match="closed: expected within"):
        LevelSetGrowth(closed=0.0)
    with pytest.raises(ValueError, match="surface_energy: expected within"):
        LevelSetGrowth(surface_energy=-1.0)
    with pytest.raises(ValueError, match="gibbs_thomson: expected True or False"):
        LevelSetGrowth(gibbs_thomson=1)  # pyright: ignore[reportArgumentType]


def test_equilibrium_potential_shifts_what_drives():
    host = dj.Scaffold.homogenised(Grid.uniform((1, 1, 3), um), 0.8, 1.2, 1e6)
    cell = dj.Cell(host, dilute(), kinetics=dj.ButlerVolmer(30.0))
    U = np.full((1, 1, 3), 0.013)
    plain, shifted = map(discrete_cell, (cell, cell.replace(equilibrium_potential=U)))
    x = at_rest(plain).fields
    f = 1 / float(plain.thermal_voltage)

    def currents(model, V):
        at = eqx.tree_at(lambda x: x.collector, x, jnp.asarray(V * f))
        host, floor, _ = model.reactions(at)
        return host, floor

    host, floor = currents(plain, -0.05)
    same, other = currents(shifted, -0.05 + 0.013)
    assert float(jnp.max(host)) > 1
    assert np.allclose(same, host, rtol=1e-9)
    assert not np.allclose(other, floor, rtol=0.1)  # the collector is bulk metal
    with pytest.raises(ValueError, match="equilibrium_potential: expected an array"):
        cell.replace(equilibrium_potential=np.zeros(4))
    with pytest.raises(ValueError, match="equilibrium_potential: expected within"):
        cell.replace(equilibrium_potential=40.0)


def foil(n, length, salt, **options):
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(n, length / n)))
    given: dict[str, Any] = {"kinetics": dj.ButlerVolmer(30.0)} | options
    return dj.Cell(
        dj.Scaffold.open(grid),
        salt,
        metal=dj.metals.lithium,
        counter_electrode="reservoir",
        **given,
    )


FRONT = (1.3007728854050358e-06, 6.172809211240332e-06, 2.562671297922882e-05)


@pytest.mark.slow
def test_planar_front_with_butler_volmer():
    # MB5: −0.12 V against a bath at 100 µm; s after 60, 300 and 1200 s.
    steps = [dj.Potentiostatic(-0.12, time=t) for t in (60.0, 240.0, 900.0)]
    errors = []
    for change in (0.05, 0.0125):  # half a cell of 5 µm, an eighth
        run = dj.plate(
            foil(20, 1e-4, dilute()),
            steps,
            growth=LevelSetGrowth(),
            windows=Windows(change),
        )
        s = np.cumsum(run.step_charges) * LITHIUM
        errors.append(np.max(np.abs(s / np.asarray(FRONT) - 1)))
        assert float(run.faraday_mismatch) < 1e-10
        thickness = float(run.thickness[0, 0, 0])
        assert thickness == pytest.approx(float(s[-1]), rel=1e-9)
        # Salt that the front has pushed last does not stand before it.
        wet = run.pore_fraction > 0
        assert np.all(np.diff(np.asarray(run.concentration)[wet]) > 0)
        kept = jnp.sum(
            run.pore_fraction * (run.concentration / 1000 - run.state.fields.c)
        )
        assert abs(float(kept)) < 1e-9
    assert errors[0] < 0.01
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.slow
def test_a_front_that_was_kept_goes_on_as_if_it_had_not_stopped(monkeypatch):
    monkeypatch.setattr("depojax.problems.plating_run._KEPT_EVERY", 0.0)
    kept: list[dj.Plating] = []
    cell, step = foil(20, 1e-4, dilute()), dj.Potentiostatic(-0.12, time=300.0)
    whole = dj.plate(cell, step, growth=LevelSetGrowth(), keep=kept.append)
    assert len(kept) > 2
    again = go_on(kept[1])
    np.testing.assert_allclose(again.window_time, whole.window_time, rtol=1e-12)
    np.testing.assert_allclose(again.charge, whole.charge, rtol=1e-12)
    np.testing.assert_allclose(again.concentration, whole.concentration, rtol=1e-11)


@pytest.mark.slow
def test_salt_spreads_from_step_to_step_of_a_protocol():
    # A potential that is held for 300 s is the same in two steps as in one.
    def held(*times):
        return dj.plate(
            foil(20, 1e-4, dilute()),
            [dj.Potentiostatic(-0.12, time=t) for t in times],
            growth=LevelSetGrowth(),
            windows=Windows(fixed=75.0),
            steps=dj.Steps(tolerance=1e-5),
        )

    whole, halves = held(300.0), held(150.0, 150.0)
    assert float(halves.charge) == pytest.approx(float(whole.charge), rel=1e-6)


D, SHARE, TAKEN = 3e-10, 0.62, 1e-2  # D [m² s⁻¹], 1 − t₊, k [m s⁻¹]


def taking_all(scaffold, supply, **options):
    """A front that takes N = k c_s, so fast that c_s is a thousandth; S = `supply`."""
    c0 = supply * SHARE / (LITHIUM * FARADAY)
    salt = dj.BinaryElectrolyte(
        c0, D, 1 - SHARE, conductivity=1e3, thermodynamic_factor=1e-9
    )
    boost = math.exp(-0.5 * FARADAY * PLATING / (GAS_CONSTANT * 298.15))
    i0 = TAKEN * FARADAY * c0 / SHARE / boost
    return dj.Cell(
        scaffold,
        salt,
        metal=dj.metals.lithium,
        kinetics=dj.Tafel(i0, exponent=1.0, reference_concentration=c0),
        counter_electrode="reservoir",
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("supply", "width"), [(0.5, 0.43275159936631), (0.02096170109943, 0.01198679573)]
)
def test_front_that_takes_all_it_meets(supply, width):
    # MB1, plane: s = 2λ√(Dt) where S = c₀/((1 − t₊)C_m); five cells over √(Dt).
    layer = 3e-5
    time = layer**2 / D
    h = layer / 5
    widths = np.concatenate([np.full(10, h), stretched_widths(h, 8 * layer, 1.15)])
    side = np.full(1, 1e-5)
    cell = taking_all(dj.Scaffold.open(Grid((side, side, widths))), supply)
    step = dj.Potentiostatic(PLATING, time=time)
    run = dj.plate(cell, step, growth=LevelSetGrowth(), windows=Windows(0.0125))
    s = float(run.charge) * LITHIUM
    assert s == pytest.approx(2 * width * layer, rel=0.01)
    assert float(run.faraday_mismatch) < 1e-10


def taken_by_a_seed(seed, first, last, width):
    """Two times, and what a seed has taken by then [m³]; it grows to `last` times."""
    cell = taking_all(seed, 0.5, plated_collector=False)
    times = [(k * first / (2 * width)) ** 2 / D for k in (last / 2, last)]
    lengths = times[0], times[1] - times[0]
    steps = [dj.Potentiostatic(PLATING, time=t) for t in lengths]
    run = dj.plate(cell, steps, growth=LevelSetGrowth(), windows=Windows(0.025))
    assert float(run.faraday_mismatch) < 1e-10
    return times, np.cumsum(run.step_charges) * LITHIUM * cell.footprint


@pytest.mark.slow
@pytest.mark.usefixtures("well_compiled")
def test_wire_that_takes_all_it_meets():
    # MB1, cylinder, S = 1/2: r² = 4λ²D t + what the start has left. A quarter of a wire
    # grows from a radius of 2.5 cells to 15; the layer before it is then ten cells.
    h, first, last, width = 2e-6, 5e-6, 6, 0.78106196415
    side = np.concatenate([np.full(19, h), stretched_widths(h, 8 * last * h, 1.2)])
    grid = Grid((side, np.full(1, h), side))
    x, y, z = grid.node_mesh()
    seed = dj.Scaffold.from_levelset(jnp.hypot(x, z) + 0 * y - first, grid)
    times, deposit = taken_by_a_seed(seed, first, last, width)
    square = first**2 + deposit / h * 4 / np.pi
    slope = (square[1] - square[0]) / (times[1] - times[0])
    assert slope == pytest.approx(4 * width**2 * D, rel=0.015)


@pytest.mark.slow
@pytest.mark.usefixtures("well_compiled")
def test_ball_that_takes_all_it_meets():
    # MB1, sphere: an eighth of a ball, from a radius of 2.5 cells to 10, when the layer
    # before it is five cells.
    h, first, last, width = 2e-6, 5e-6, 4, 1.03801692405
    side = np.concatenate([np.full(13, h), stretched_widths(h, 8 * last * h, 1.3)])
    grid = Grid((side, side, side))
    x, y, z = grid.node_mesh()
    seed = dj.Scaffold.from_levelset(jnp.sqrt(x**2 + y**2 + z**2) - first, grid)
    times, deposit = taken_by_a_seed(seed, first, last, width)
    square = (first**3 + deposit * 6 / np.pi) ** (2 / 3)
    slope = (square[1] - square[0]) / (times[1] - times[0])
    assert slope == pytest.approx(4 * width**2 * D, rel=0.03)


GROWTH_RATES = [
    (2e5, 0.0, 3.667558e-4),
    (1e6, 0.0, 3.557928e-4),
    (2e5, 5e-4, 1.316225e-4),
]  # k [m⁻¹], R_film [Ω m²], ω [s⁻¹]: LS1


def rough_foil(k, film, cells):
    """Half a wave of amplitude λ/200 on metal 100 µm below a bath."""
    half = math.pi / k
    h = half / cells
    amplitude, height = half / 100, 3.37 * h
    widths = np.concatenate(
        [np.full(7, h), stretched_widths(h, 1e-4 + height - 7 * h, 1.3)]
    )
    grid = Grid((np.full(cells, h), np.full(1, half), widths))
    x, _, z = grid.node_mesh()
    values = jnp.broadcast_to(
        z - height - amplitude * jnp.cos(k * x), [n + 1 for n in grid.shape]
    )
    cell = dj.Cell(
        dj.Scaffold.from_levelset(values, grid),
        dilute(),
        metal=dj.metals.lithium,
        kinetics=dj.ButlerVolmer(30.0),
        film_resistance=film,
        counter_electrode="reservoir",
        plated_collector=False,
    )
    return cell, amplitude


@pytest.mark.slow
@pytest.mark.parametrize(("k", "film", "rate"), GROWTH_RATES)
def test_roughness_grows_as_linear_stability_says(k, film, rate):
    # Half the limiting current, quasi-steady; ω = δv/A of the local current.
    J = 192.97066424662
    cell, amplitude = rough_foil(k, film, 12)
    growth = LevelSetGrowth(gibbs_thomson=True, surface_energy=0.5)
    metal = growth.begin(cell)
    here = growth.cell(cell, metal)
    run = dj.simulate(
        here, dj.Galvanostatic(J, time=2e4), steps=dj.Steps(tolerance=jnp.asarray(1e-3))
    )
    area = np.asarray(here.scaffold.surface_area)
    local = np.asarray(run.local_current_density)[..., : area.shape[2]]
    wave = np.cos(k * np.asarray(cell.grid.centers[0]))[:, None, None]
    found = 2 * np.sum(area * (local - J) * wave) / area.sum() * LITHIUM / amplitude
    assert found == pytest.approx(rate, rel=0.05)
    # The move carries that into the wall.
    U = np.asarray(growth.curvature_potential(cell, metal))
    kappa = -U / (0.5 * LITHIUM)
    bulge = 2 * np.sum(area * kappa * wave) / area.sum() / (amplitude * k**2)
    assert bulge == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_derivatives_of_a_run(caplog):
    # Voltage and thickness after two windows, by the current: one program forwards,
    # two backwards, whatever the first window knows less.
    cell = foil(12, 6e-5, dilute())

    def end(J):
        run = dj.plate(
            cell,
            dj.Galvanostatic(J, time=120.0),
            growth=LevelSetGrowth(),
            windows=Windows(fixed=60.0),
            steps=dj.Steps(fixed=jnp.asarray(10.0)),
        )
        return jnp.stack([run.final_voltage, run.thickness[0, 0, 0] * 1e4])

    J, step = jnp.asarray(150.0), 1e-2
    central = (end(J + step) - end(J - step)) / (2 * step)
    with jax.log_compiles():
        _, forward = jax.jvp(end, (J,), (jnp.ones_like(J),))
        _, pull = jax.vjp(end, J)
        reverse = jnp.concatenate([jnp.stack(pull(row)) for row in jnp.eye(2)])
    words = [record.getMessage() for record in caplog.records]
    assert sum(w.startswith("Compiling jit(run_window)") for w in words) == 3
    assert np.allclose(forward, central, rtol=1e-5)
    assert np.allclose(reverse, forward, rtol=1e-7)


def foam_cell():
    """A small foam below its separator."""
    host = dj.foam((12, 12, 12), 4 * um, porosity=0.7, pore_diameter=48 * um, key=3)
    return dj.Cell(
        host,
        dilute(),
        metal=dj.metals.lithium,
        kinetics=dj.ButlerVolmer(30.0),
        counter_kinetics=dj.ButlerVolmer(30.0),
        separator=dj.Separator(20 * um, cells=3),
    )


@pytest.mark.slow
def test_foam_that_fills_keeps_its_books():
    step = dj.Galvanostatic(10 * mA / cm**2, time=3600.0)
    run = dj.plate(foam_cell(), step, growth=LevelSetGrowth(closed=0.05))
    assert run.ended_by[0] in ("pore_closure", "top_closure")
    assert float(run.faraday_mismatch) < 1e-10
    assert float(run.salt_mismatch) < 1e-10
    assert 0.01 < float(run.window_porosity[-1]) < 0.2


@pytest.mark.slow
def test_electrolyte_that_a_filling_foam_displaces_takes_its_salt_along():
    """Slowly plated, what leaves is as rich as at first, and so is what stays."""
    growth = LevelSetGrowth(closed=0.05, displaced="electrolyte")
    step = dj.Galvanostatic(0.2 * mA / cm**2, time=180e3)
    run = dj.plate(foam_cell(), step, growth=growth, windows=Windows(0.1))
    assert run.ended_by[0] in ("pore_closure", "top_closure")
    assert float(run.window_porosity[-1]) < 0.2
    left = float(run.squeezed_salt) / (1000.0 * float(run.deposited_volume))
    assert left == pytest.approx(1, abs=0.01)
    held = np.asarray(run.concentration)[np.asarray(run.pore_fraction) > 0]
    assert np.all(np.abs(held - 1000) < 20)
    assert float(run.salt_mismatch) < 1e-9
