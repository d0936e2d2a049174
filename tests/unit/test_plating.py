"""The verb `plate`: Faraday's volume, salt, closing pores, refusals, files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.growth import Gain, volume_of_charge
from depojax.problems.plating import go_on
from depojax.scaffold.foils import pillars
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, cm, mA, mAh, um

CELLS = 6


def host_cell(**options):
    """A homogenised host of 60 µm below a separator."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(CELLS, 10 * um)))
    given = {
        "metal": dj.metals.lithium,
        "separator": dj.Separator(20 * um, cells=2),
        "kinetics": dj.ButlerVolmer(5.0),
        "counter_kinetics": dj.ButlerVolmer(20.0),
        "plated_collector": False,
    }
    return dj.Cell(
        Scaffold.homogenised(grid, 0.8, 1.5, 2e5),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.38, conductivity=1.0),
        **(given | options),
    )


def filled_with(**options):
    protocol = dj.Galvanostatic(2 * mA / cm**2, capacity=20 * mAh / cm**2)
    return dj.plate(host_cell(), protocol, **options)


@pytest.fixture(scope="module")
def filled():
    """Plated until the first pore closes."""
    return filled_with()


@pytest.mark.parametrize("i0", [3e3, None])
def test_metal_that_dissolves_again_where_it_is_thin(i0):
    """Fast kinetics: differences in concentration take what little there is below, up
    to the last of it, and a bare host is filled to its top all the same."""
    fast = None if i0 is None else dj.ButlerVolmer(i0)
    cell = host_cell(kinetics=fast, counter_kinetics=fast, plated_collector=True)
    step = dj.Galvanostatic(0.2 * mA / cm**2, capacity=20 * mAh / cm**2)
    run = dj.plate(cell, step, windows=dj.Windows(0.1))
    assert run.ended_by == ("top_closure",)
    assert float(run.faraday_mismatch) < 1e-8
    thickness = np.asarray(run.thickness)[0, 0, :CELLS]
    assert np.all(thickness > -1e-12)
    assert thickness[-1] > 20 * thickness[1]


def test_fast_kinetics_cycle():
    cell = host_cell(kinetics=None, counter_kinetics=None)
    steps = [f"{verb} at 1 mA/cm2 for 600 s" for verb in ("Plate", "Strip")]
    run = dj.plate(cell, [steps[0], "Strip at 1 mA/cm2 for 900 s", *steps])
    assert run.ended_by == ("time", "stripped", "time", "stripped")
    np.testing.assert_allclose(run.step_times, 600.0, rtol=1e-3)


def test_metal_fills_what_faraday_says(filled):
    """MB2 of a whole filling: volume = Q V_m/(zF), to 1e-8."""
    assert float(filled.faraday_mismatch) < 1e-8
    metal = dj.metals.lithium
    time = float(filled.end_time)
    volume = 20.0 * time * 1e-10 * float(metal.molar_volume) / FARADAY
    assert float(filled.deposited_volume) == pytest.approx(volume, rel=1e-8)
    lost = np.asarray(filled.cell.scaffold.pore_fraction) - np.asarray(
        filled.pore_fraction[..., :CELLS]
    )
    assert lost.sum() * 1e-15 == pytest.approx(volume, rel=1e-8)
    on_wall = np.asarray(filled.thickness)[..., :CELLS].sum() * 2e5 * 1e-15
    assert on_wall == pytest.approx(volume, rel=1e-8)


def test_the_first_pore_that_closes_ends_it(filled):
    assert filled.ended_by == ("top_closure",)
    assert float(jnp.min(filled.pore_fraction)) == pytest.approx(0.02, rel=1e-6)
    assert float(filled.closure_place[2]) == pytest.approx(55 * um)
    assert float(filled.closure_time) == pytest.approx(float(filled.end_time))
    # Behind the top lies all of the electrolyte that is left in the host.
    left = np.asarray(filled.pore_fraction)[..., :CELLS].sum() * 1e-15
    assert float(filled.trapped_electrolyte) == pytest.approx(left, rel=1e-9)


def test_salt_stays_what_it_was(filled):
    assert float(filled.salt_mismatch) < 1e-8
    domain_pores = np.asarray(filled.pore_fraction) * np.asarray(
        filled.cell.grid.volumes
    )
    salt = (np.asarray(filled.concentration) * domain_pores).sum()
    at_first = 1000.0 * float(
        jnp.sum(filled.cell.domain().pore_fraction * filled.cell.grid.volumes)
    )
    assert salt == pytest.approx(at_first, rel=1e-8)
    assert float(jnp.max(filled.concentration)) > 1500.0  # its solvent is squeezed out


def test_histories_go_with_the_run(filled):
    time = np.asarray(filled.time)
    assert np.all(np.diff(time) > 0)
    assert time[-1] == pytest.approx(float(filled.end_time), rel=1e-12)
    assert np.all(np.diff(np.asarray(filled.window_porosity)) < 0)
    assert float(jnp.max(filled.charge_imbalance)) < 1e-8
    assert filled.window_time.shape == (int(filled.windows),)


def test_windows_are_of_second_order(filled):
    """The filling ends with the same profile; errors fall as the square of windows."""
    protocol = dj.Galvanostatic(2 * mA / cm**2, capacity=2 * mAh / cm**2)
    pores = []
    for length in (300.0, 600.0, 1200.0):
        windows = dj.Windows(fixed=length)
        run = dj.plate(
            host_cell(), protocol, windows=windows, steps=dj.Steps(tolerance=1e-6)
        )
        pores.append(np.asarray(run.pore_fraction)[0, 0, :CELLS])
    fine, coarse = (np.abs(pores[k + 1] - pores[k]).max() for k in (0, 1))
    assert 1.7 < np.log2(coarse / fine) < 2.4


def test_a_run_that_was_kept_goes_on_as_if_it_had_not_stopped(monkeypatch):
    import depojax.problems.plating_run as plating_run

    monkeypatch.setattr(plating_run, "_KEPT_EVERY", -1.0)
    kept = []
    whole = filled_with(keep=kept.append)
    half = kept[len(kept) // 2]
    assert 0 < int(half.windows) < int(whole.windows)
    monkeypatch.undo()
    rest = go_on(half)
    assert rest.ended_by == whole.ended_by
    assert float(rest.end_time) == pytest.approx(float(whole.end_time), rel=1e-9)
    np.testing.assert_allclose(rest.pore_fraction, whole.pore_fraction, rtol=1e-7)
    assert int(rest.windows) == int(whole.windows)
    assert float(rest.faraday_mismatch) < 1e-8
    n = half.time.size
    np.testing.assert_array_equal(rest.time[:n], half.time)


def test_files_keep_all_of_it(filled, tmp_path):

    path = tmp_path / "plated.nc"
    dj.save(filled, path)
    again = dj.load(path)
    for before, after in zip(*map(jax.tree.leaves, (filled, again)), strict=True):
        np.testing.assert_array_equal(before, after)
    assert jax.tree.structure(filled) == jax.tree.structure(again)
    data = filled.to_xarray()
    assert data.thickness.dims == ("x", "y", "z")
    assert data.thickness.units == "m"
    assert float(data.faraday_mismatch) == float(filled.faraday_mismatch)
    assert all("units" in data[name].attrs for name in data.data_vars)


def test_the_profile_of_every_window_is_kept(filled):
    profiles = np.asarray(filled.window_pore_fraction)
    assert profiles.shape == (int(filled.windows), CELLS)
    np.testing.assert_allclose(profiles[-1], filled.pore_fraction[0, 0, :CELLS])
    np.testing.assert_allclose(profiles.mean(1), filled.window_porosity, rtol=1e-12)
    assert np.all(np.diff(profiles, axis=0) < 0)


def test_fill_profile_shows_every_time_and_what_there_is(filled):
    end = float(filled.end_time)
    figure = dj.plot.fill_profile(filled, times=[0.0, end / 2, end])
    left, middle, right = figure.axes
    empty, half, full = (np.asarray(line.get_xdata()) for line in left.lines)
    np.testing.assert_allclose(empty, 0.0, atol=1e-12)
    pores = np.asarray(filled.pore_fraction)[0, 0, :CELLS]
    np.testing.assert_allclose(full, 100 * (1 - pores / 0.8), rtol=1e-9)
    assert np.all((half > 0.3 * full) & (half < full))
    assert np.asarray(left.lines[0].get_ydata())[-1] == pytest.approx(55.0)
    # Electrolyte up to the pores, metal up to what was open at first.
    names = [t.get_text() for t in middle.get_legend().get_texts()]
    assert names == ["electrolyte", "metal", "pores at first"]
    wet, metal = (band.get_paths()[0].vertices for band in middle.collections)
    assert wet[:, 0].max() == pytest.approx(pores.max())
    assert metal[:, 0].max() == pytest.approx(0.8)
    thickness = np.asarray(filled.thickness)[0, 0, :CELLS] / um
    np.testing.assert_allclose(right.lines[0].get_xdata(), thickness)
    assert len(dj.plot.fill_profile(filled).axes[0].lines) == 4
    for times in ([-1.0], [2 * end], []):
        with pytest.raises(ValueError, match="times: expected some within the run"):
            dj.plot.fill_profile(filled, times=times)


def wide(filled):
    """A run in a host of three columns by two, with metal that is told."""
    grid = Grid.uniform((3, 2, 4), 10 * um)
    host = Scaffold.homogenised(grid, 0.8, 1.5, 2e5)
    cell = host_cell(separator=None).with_scaffold(host)
    growth = dj.HomogenisedGrowth()
    share = np.linspace(0.1, 0.4, 24).reshape(grid.shape)
    others = (
        "coverage", "nuclei_density", "nuclei_radius", "liquid_potential",
        "local_current_density",
    )  # fmt: skip
    return dataclasses.replace(
        filled,
        cell=cell,
        growth=growth,
        metal=growth.begin(cell),
        thickness=jnp.asarray(share / 2e5),
        pore_fraction=jnp.asarray(0.8 - share),
        dead_metal=jnp.zeros(grid.shape),
        concentration=jnp.full(grid.shape, 1000.0),
        **dict.fromkeys(others, jnp.zeros(grid.shape)),
    )


@pytest.mark.parametrize("axis", ["x", "y"])
def test_thickness_map_has_the_section_and_the_footprint(filled, axis):
    run = wide(filled)
    share = 0.8 - np.asarray(run.pore_fraction)
    figure = dj.plot.thickness_map(run, axis=axis, position=11 * um)
    left, right, *_ = figure.axes
    section = share[1] if axis == "x" else share[:, 1]
    shown = np.asarray(left.collections[-1].get_array())
    np.testing.assert_allclose(shown, section.T / 2e5 / um)
    assert left.get_xlabel() == ("y (µm)" if axis == "x" else "x (µm)")
    assert left.get_title().startswith(f"{axis} = 15" if axis == "x" else "y = 15")
    above = np.asarray(right.collections[-1].get_array())
    np.testing.assert_allclose(above, share.sum(2).T * 10, rtol=1e-12)


def test_slices_of_a_homogenised_host_show_its_metal(filled):
    run = wide(filled)
    figure = dj.plot.slices(run)
    share = 0.8 - np.asarray(run.pore_fraction)
    metal = [np.asarray(axes.collections[-1].get_array()) for axes in figure.axes[3:6]]
    np.testing.assert_allclose(metal[0], share[:, 1].T, rtol=1e-12)
    np.testing.assert_allclose(metal[1], share[1].T, rtol=1e-12)
    np.testing.assert_allclose(metal[2], share[:, :, 2].T, rtol=1e-12)


def test_figures_refuse(filled):
    assert len(dj.plot.plating_history(filled).axes) == 2
    with pytest.raises(ValueError, match="more than one column"):
        dj.plot.thickness_map(filled)
    with pytest.raises(ValueError, match="position: expected within"):
        dj.plot.thickness_map(wide(filled), position=1.0)
    with pytest.raises(ValueError, match=r"axis.*'z'"):
        dj.plot.thickness_map(wide(filled), axis="z")
    for draw in (dj.plot.fill_profile, dj.plot.thickness_map, dj.plot.slices):
        with pytest.raises(ValueError, match="plot: expected a"):
            draw(filled.cell)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"growth": "level set"}, "growth.*or LevelSetGrowth, got str"),
        ({"nucleation": 0.04}, "nucleation.*a Nucleation, got float"),
        ({"double_layer_capacitance": 0.0}, "double_layer_capacitance"),
        ({"surface_loss": 100.0}, "surface_loss.*a SurfaceLoss, got float"),
    ],
)
def test_plate_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        dj.plate(host_cell(), "Plate at 1 mA/cm2 for 1 s", **options)


def test_plate_refuses_cells(filled):
    step = "Plate at 1 mA/cm2 for 1 s"
    with pytest.raises(ValueError, match="which metal it plates"):
        dj.plate(host_cell(metal=None), step)
    nucleation = dj.Nucleation(dj.metals.lithium, wetting_factor=1e-4)
    with pytest.raises(ValueError, match=r"kinetics.*no overpotential without"):
        dj.plate(host_cell(kinetics=None), step, nucleation=nucleation)
    with pytest.raises(ValueError, match=r"growth: expected a HomogenisedGrowth"):
        dj.plate(host_cell(), step, nucleation=nucleation, growth=dj.LevelSetGrowth())
    with pytest.raises(ValueError, match=r"nucleation.*a bare host"):
        dj.plate(host_cell(initial_deposit=10.0), step, nucleation=nucleation)
    side = np.full(1, 1e-5)
    other = Scaffold.homogenised(Grid((side, side, side)), 0.8, 1.5, 2e5)
    with pytest.raises(ValueError, match=r"start.*a run of a cell"):
        dj.plate(host_cell().with_scaffold(other), step, start=filled)
    with pytest.raises(ValueError, match=r"change.*\(0, 1\)"):
        dj.Windows(5.0)
    with pytest.raises(ValueError, match="a Plating, got str"):
        go_on("run/")


def test_plate_refuses_to_be_compiled():

    def volume(J):
        return dj.plate(host_cell(), dj.Galvanostatic(J, time=1.0)).deposited_volume

    with pytest.raises(ValueError, match="outside of jit and vmap"):
        jax.jit(volume)(20.0)


# 1 µm³ per µm² stands less high on the outside of a round of 4 µm [µm].
ON_PILLARS = (4**2 + 2 * 4) ** 0.5 - 4


@pytest.fixture(scope="module")
def coated(filled):
    """Pillars on the grid under 1 µm³ of metal per µm², as a run would leave them."""
    shape = (6, 5, 4)
    host = pillars(shape, 4 * um, diameter=8 * um, height=8 * um, pitch=20 * um)
    cell = host_cell(separator=None).with_scaffold(host)
    growth = dj.LevelSetGrowth()
    bare = growth.begin(cell)
    charge = host.surface_area * um / volume_of_charge(cell, jnp.asarray(1.0))
    gain = Gain(charge, jnp.zeros(shape[:2]), jnp.asarray(1.0))
    metal = growth.grown(cell, bare, gain)
    none = jnp.zeros(shape)
    others = ("coverage", "nuclei_density", "nuclei_radius", "liquid_potential")
    return dataclasses.replace(
        filled,
        cell=cell,
        growth=growth,
        metal=metal,
        thickness=growth.thickness(cell, metal),
        pore_fraction=growth.cell(cell, metal).scaffold.pore_fraction,
        dead_metal=none,
        concentration=none + 1000.0,
        local_current_density=none,
        deposited_volume=growth.volume(cell, metal),
        **dict.fromkeys(others, none),
    )


@pytest.mark.slow
def test_slices_and_maps_show_metal_on_the_grid(coated):
    bare = np.asarray(coated.cell.scaffold.pore_fraction)
    now = np.asarray(coated.pore_fraction)
    assert (bare - now).max() > 0.1
    first = dj.plot.slices(coated).axes[0]  # x and z, in the middle of y
    _, solid, shut, dead, host, *_ = (
        np.asarray(c.get_array()) for c in first.collections
    )
    np.testing.assert_allclose(solid[..., 3], 1 - now[:, 2].T)
    np.testing.assert_allclose(host[..., 3], 1 - bare[:, 2].T)
    assert dead[..., 3].max() == shut[..., 3].max() == 0.0
    assert solid[..., 0].min() > 0.8 > 0.6 > solid[..., 1].max()  # orange, not grey
    left, right, *_ = dj.plot.thickness_map(coated).axes
    shown = np.ma.asarray(left.collections[-1].get_array())
    assert float(shown.mean()) == pytest.approx(ON_PILLARS, abs=0.1)
    area = np.asarray(coated.cell.scaffold.surface_area)
    seen = 0.05 * area.max() < area[:, 2].T
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), ~seen)
    above = np.asarray(right.collections[-1].get_array()) * um
    footprint = float(coated.cell.footprint) / above.size
    volume = float(coated.deposited_volume)
    assert above.sum() * footprint == pytest.approx(volume, rel=1e-6)


@pytest.mark.slow
def test_view_3d_shows_how_thick_metal_stands(coated):
    pytest.importorskip("pyvista")
    wall = dj.plot.view_3d(coated, off_screen=True).meshes[0]
    thickness = np.asarray(wall.point_data["wall"])
    assert np.median(thickness) == pytest.approx(ON_PILLARS, abs=0.1)


@pytest.mark.slow
def test_figures_show_what_a_lid_shuts_in(coated):
    pytest.importorskip("pyvista")
    grid = coated.cell.scaffold.grid
    z, dz = grid.node_mesh()[2], float(grid.widths[2][0])
    lid_height = float(grid.lengths[2]) - 1.5 * dz
    lid = jnp.abs(z - lid_height) - 0.6 * dz
    metal = dataclasses.replace(
        coated.metal, distance=jnp.minimum(coated.metal.distance, lid)
    )
    run = dataclasses.replace(coated, metal=metal)
    pore = run.final_cell.domain().pore_fraction
    run = dataclasses.replace(run, pore_fraction=pore)
    below = np.asarray(grid.centers[2]) < lid_height - 1.5 * dz
    assert below.any()
    now = np.asarray(coated.pore_fraction)[..., : below.size]
    assert np.all(np.asarray(pore)[..., : below.size][..., below] == 0)
    first = dj.plot.slices(run).axes[0]
    shut = np.asarray(first.collections[2].get_array())[..., 3]
    np.testing.assert_allclose(shut[: below.size][below], now[:, 2].T[below])
    wall = dj.plot.view_3d(run, off_screen=True).meshes[0]
    assert wall.points[:, 2].min() < 0.6 * dz / um
