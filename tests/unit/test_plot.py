"""Figures: what is in them, that they need no window, and what is refused."""

import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax import plot
from depojax.scaffold.foils import pillars
from depojax.solvers.time import History
from depojax.units import M, cm, mA, um

PNG = b"\x89PNG\r\n"


def make_cell(shape=(6, 5, 4), **options):
    scaffold = pillars(shape, 4 * um, diameter=8 * um, height=8 * um, pitch=20 * um)
    electrolyte = dj.electrolytes.lipf6_ec_emc(1.0 * M)
    options = {"separator": 8 * um} | options
    return dj.Cell(scaffold, electrolyte, metal=dj.metals.lithium, **options)


def make_solution(cell=None, **changes):
    """Concentration rising from 1 at the collector to 2 mol/L at the top."""
    cell = make_cell() if cell is None else cell
    shape = cell.grid.shape
    z = cell.grid.centers[2] / cell.grid.lengths[2]
    field = jnp.broadcast_to(1000 * (1 + z), shape)
    c = jnp.where(cell.domain().pore_fraction > 0, field, 0.0)
    tail = jnp.asarray([0.0, 0.5, 1.25, jnp.nan])
    history = {
        "current_density": tail * 0 + 200.0,
        "lowest_wall_concentration": 1000 - 800 * tail,
        "mean_wall_concentration": 1000 - 100 * tail,
    }
    values = {
        "time": jnp.asarray(1.25),
        "capacity": jnp.asarray(250.0),
        "location": jnp.stack([centers[0] for centers in cell.grid.centers]),
        "concentration": c,
        "wall_concentration": c - 500.0,
        "depletion_time": jnp.where(field < 1300, field / 1000, jnp.inf),
        "limiting_current": jnp.asarray(80.0),
        "end_time": jnp.asarray(1.25),
        "history": History(tail, history),
        "salt_balance_error": jnp.asarray(1e-16),
        "steps": jnp.asarray(2, jnp.int32),
        "attempts": jnp.asarray(3, jnp.int32),
        "linear_iterations": jnp.asarray(40, jnp.int32),
        "depleted": jnp.asarray(True),
        "nearly_depleted": jnp.asarray(0.2),
        "result": dj.RESULTS.successful,
        "cell": cell,
        "current": dj.ConstantCurrent(20 * mA / cm**2),
    }
    return dj.SandSolution(**(values | changes))


@pytest.fixture(scope="module")
def solution():
    return make_solution()


def panels(figure):
    return [axes for axes in figure.axes if axes.get_xlabel()]


@pytest.mark.parametrize(
    "name", ["slices", "depth_profile", "wall_history", "depletion_map"]
)
def test_every_figure_is_written(name, solution, tmp_path):
    figure = getattr(plot, name)(solution)
    plot.save_figure(figure, tmp_path / "figures" / f"{name}.png", dpi=60)
    assert (tmp_path / "figures" / f"{name}.png").read_bytes().startswith(PNG)
    for axes in panels(figure):
        assert "(" in axes.get_xlabel(), "a label without its unit"
        assert "(" in axes.get_ylabel(), "a label without its unit"


def test_slices_show_the_concentration_where_it_is(solution):
    figure = plot.slices(solution)
    xz, yz, xy = panels(figure)
    c = np.asarray(solution.concentration) / M
    for axes, shown in ((xz, c[:, 0]), (yz, c[0]), (xy, c[:, :, 0])):
        values = axes.collections[0].get_array()
        assert np.allclose(values.filled(0.0), shown.T, rtol=1e-12)
        assert axes.get_aspect() == 1.0
    solid = xz.collections[1].get_array()[..., 3]
    eps = np.asarray(solution.cell.domain().pore_fraction)
    assert np.allclose(solid, 1 - eps[:, 0].T, rtol=1e-12)
    assert [axes.get_xlabel() for axes in (xz, yz, xy)] == [
        "x (µm)",
        "y (µm)",
        "x (µm)",
    ]
    assert xz.get_title() == "y = 2 µm"
    assert np.allclose(xz.get_xlim(), (0, 24))
    assert np.allclose(xz.get_ylim(), (0, 24))
    spots = [line.get_xydata() for line in xz.lines if line.get_marker() == "o"]
    assert np.allclose(spots, 2.0)


def test_a_separator_is_not_drawn_as_solid():
    cell = make_cell(separator=dj.Separator(8 * um, porosity=0.4))
    solid = panels(plot.slices(make_solution(cell)))[0].collections[1].get_array()
    assert np.all(solid[-2:, :, 3] == 0)


def test_slices_of_a_plane_cell():
    shape = (6, 1, 4)
    figure = plot.slices(make_solution(make_cell(shape)))
    assert len(panels(figure)) == 1
    assert panels(figure)[0].get_ylabel() == "z (µm)"


def test_depth_profile_averages(solution):
    axes = plot.depth_profile(solution).axes[0]
    z, mean = axes.lines[0].get_xydata().T
    grid = solution.cell.grid
    assert np.allclose(z, np.asarray(grid.centers[2]) / um)
    assert np.allclose(mean, 1 + z / (float(grid.lengths[2]) / um))
    wall = axes.lines[1].get_ydata()
    plated = np.asarray(solution.cell.domain().wall_area).sum((0, 1)) > 0
    assert np.array_equal(np.isfinite(wall), plated)
    assert np.allclose(wall[plated], mean[plated] - 0.5)
    shade = plot.depth_profile(solution).axes[1].patches[0].get_data()
    eps = np.asarray(solution.cell.domain().pore_fraction).mean((0, 1))
    assert np.allclose(shade.values, eps)
    assert np.allclose(shade.edges[-1], 24.0)


def test_wall_history_stops_where_the_run_stopped(solution):
    axes = plot.wall_history(solution).axes[0]
    mean, lowest = axes.lines[0].get_xydata(), axes.lines[1].get_xydata()
    assert np.allclose(mean, [[0, 1], [0.5, 0.95], [1.25, 0.875]])
    assert np.allclose(lowest, [[0, 1], [0.5, 0.6], [1.25, 0.0]])
    assert axes.get_xlabel() == "time (s)"


def test_wall_history_in_its_own_unit_and_with_pulses(solution):
    values = dict(solution.history.values)
    values["current_density"] = jnp.asarray([200.0, 0.0, 200.0, jnp.nan])
    slow = History(solution.history.time * 1e4, values)
    figure = plot.wall_history(make_solution(history=slow))
    assert figure.axes[0].get_xlabel() == "time (h)"
    assert np.allclose(
        figure.axes[0].lines[0].get_xdata(), [0, 5e3 / 3600, 12.5e3 / 3600]
    )
    assert figure.axes[1].get_ylabel().startswith("current density")
    assert np.allclose(figure.axes[1].lines[0].get_ydata(), [20, 0, 20])


def test_depletion_map_is_the_earliest_over_the_height(solution):
    left, right = plot.depletion_map(solution).axes[:2]
    times = np.asarray(solution.depletion_time)
    wall = np.asarray(solution.cell.domain().wall_area) > 0
    earliest = np.where(wall, times, np.inf).min(axis=2)
    shown = left.collections[0].get_array()
    assert np.allclose(shown.filled(np.inf), earliest.T)
    first = right.lines[0].get_xdata()
    assert np.nanmin(first) == pytest.approx(earliest.min())


def test_words_follow_the_outcome(solution):
    assert "First depletion after 1.25 s" in plot.slices(solution).get_suptitle()
    steady = make_solution(depleted=jnp.asarray(False), end_time=jnp.asarray(jnp.inf))
    assert "Steady state" in plot.slices(steady).get_suptitle()
    early = make_solution(depleted=jnp.asarray(False), end_time=jnp.asarray(3.0))
    assert "After 3 s" in plot.slices(early).get_suptitle()


def test_a_bath_is_shown_as_far_as_it_changed():
    cell = make_cell(separator=None, counter_electrode="half_infinite")
    c = np.full(cell.grid.shape, 1000.0)
    c[:, :, :10] = 500.0
    full = jnp.asarray(c)
    changes = {
        "concentration": full,
        "wall_concentration": full,
        "depletion_time": None,
    }
    axes = plot.depth_profile(make_solution(cell, **changes)).axes[0]
    assert axes.get_xlim()[1] == pytest.approx(float(cell.grid.nodes[2][10]) / um)


def test_scaffold_shows_its_pores(tmp_path):
    scaffold = make_cell().scaffold
    figure = plot.scaffold(scaffold)
    shown = panels(figure)[0].collections[0].get_array()
    assert np.allclose(shown, np.asarray(scaffold.pore_fraction)[:, 2].T)
    assert f"porosity {float(scaffold.porosity):.3f}" in figure.get_suptitle()
    plot.save_figure(figure, tmp_path / "scaffold.pdf")
    assert (tmp_path / "scaffold.pdf").read_bytes().startswith(b"%PDF")


def test_a_foil_has_a_profile_but_no_slices(tmp_path):
    column = dj.Scaffold.open(dj.Grid.uniform((1, 1, 8), 4 * um))
    cell = dj.Cell(column, dj.electrolytes.lipf6_ec_emc(1.0 * M))
    solution = make_solution(cell)
    with pytest.raises(
        ValueError, match=r"two cells along two axes, got a line\. Draw"
    ):
        plot.slices(solution)
    axes = plot.depth_profile(solution).axes[0]
    assert np.isfinite(axes.lines[1].get_ydata()).sum() == 1
    assert axes.lines[1].get_marker() == "o"


def test_refusals(solution):
    with pytest.raises(ValueError, match=r"none: the run ended .* sand_time\("):
        plot.depletion_map(make_solution(depletion_time=None))
    never = jnp.full(solution.concentration.shape, jnp.inf)
    with pytest.raises(ValueError, match="a cell that is depleted somewhere, got none"):
        plot.depletion_map(make_solution(depletion_time=never))
    with pytest.raises(
        ValueError,
        match="a SandSolution or Simulation or SpaceCharge or Plating, got Scaffold",
    ):
        plot.slices(solution.cell.scaffold)
    with pytest.raises(ValueError, match="expected a Scaffold, got SandSolution"):
        plot.scaffold(solution)


def test_importing_plot_leaves_matplotlib_alone():
    code = "import depojax.plot, sys; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_view_3d():
    pyvista = pytest.importorskip("pyvista")
    host = dj.gyroid((12, 12, 12), 2 * um, porosity=0.6, period=24 * um)
    scene = plot.view_3d(host, off_screen=True)
    assert isinstance(scene, pyvista.Plotter)
    # the wall has the area of the cut cells, in µm²
    area = scene.meshes[0].area
    assert area == pytest.approx(float(host.total_surface_area) / um**2, rel=0.1)


def test_view_3d_refusals(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvista", None)
    host = dj.gyroid((8, 8, 8), 2 * um, porosity=0.6, period=16 * um)
    with pytest.raises(ImportError, match=re.escape('pip install "depojax[view]"')):
        plot.view_3d(host)


def test_view_3d_of_an_open_box():
    pytest.importorskip("pyvista")
    with pytest.raises(ValueError, match="a host with walls on the grid"):
        plot.view_3d(dj.Scaffold.open(dj.Grid.uniform((4, 4, 4), 2 * um)))
