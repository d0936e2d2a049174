"""Figures of a run through a protocol: what is in them, and what is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax import plot
from depojax.plot.metal import on_metal
from depojax.problems.cell_assembly import cell_model
from depojax.problems.coupled import at_rest
from depojax.scaffold.foils import pillars
from depojax.units import M, cm, mA, mAh, mV, um

PNG = b"\x89PNG\r\n"
PARTS = {"solid": 0.0, "kinetics": -0.03, "film": -0.01, "counter_kinetics": -0.02}


def make_cell(shape=(6, 5, 4), **options):
    scaffold = pillars(shape, 4 * um, diameter=8 * um, height=8 * um, pitch=20 * um)
    salt = dj.electrolytes.lipf6_ec_emc(1.0 * M)
    return dj.Cell(scaffold, salt, **({"separator": 8 * um} | options))


def make_run(cell=None, **changes):
    """10 s of plating that ends at -60 mV; the current rises with height and x."""
    cell = make_cell() if cell is None else cell
    shape = cell.grid.shape
    x, _, z = np.meshgrid(
        *(np.asarray(c) / um for c in cell.grid.centers), indexing="ij"
    )
    wet = cell.domain().pore_fraction > 0
    time = jnp.asarray([0.0, 5.0, 10.0])
    values = {
        "time": time,
        "step": jnp.asarray([0, 0, 0]),
        "voltage": jnp.asarray([-0.05, -0.055, -0.06]),
        "current_density": 0 * time + 20.0,
        "lowest_wall_concentration": 1000 - 10 * time,
        "mean_current_density": 0 * time + 10.0,
        "highest_current_density": 0 * time + 30.0,
        "charge_imbalance": 0 * time,
        "concentration": jnp.where(wet, 1000 + 10 * z, 0.0),
        "liquid_potential": jnp.asarray(-0.001 * z),
        "solid_potential": jnp.full(shape, -0.06),
        "local_current_density": jnp.asarray(10 + z + x),
        "collector_current_density": jnp.full(shape[:2], 5.0),
        "plated_charge": jnp.asarray(100 + 10 * z),
        "final_voltage": jnp.asarray(-0.06),
        "voltage_parts": {k: jnp.asarray(v) for k, v in PARTS.items()},
        "film_resistance": {"host": jnp.zeros(shape)},
        "charge": jnp.asarray(200.0),
        "end_time": jnp.asarray(10.0),
        "step_times": jnp.asarray([10.0]),
        "step_charges": jnp.asarray([200.0]),
        "step_voltage_parts": {k: jnp.asarray([v]) for k, v in PARTS.items()},
        "ended_by": ("time",),
        "newton_steps": jnp.asarray(6, jnp.int32),
        "linear_iterations": jnp.asarray(40, jnp.int32),
        "time_steps": jnp.asarray(2, jnp.int32),
        "result": dj.RESULTS.successful,
        "cell": cell,
        "protocol": dj.Protocol("Plate at 2 mA/cm2 for 10 s"),
        "state": at_rest(cell_model(cell)),
    }
    return dj.Simulation(**(values | changes))


def rested(run):
    """The same run with a rest of 20 s behind it."""
    return dataclasses.replace(
        run,
        **{
            name: jnp.concatenate([getattr(run, name), jnp.asarray([0.0, 0.0])])
            for name in (
                "lowest_wall_concentration",
                "mean_current_density",
                "highest_current_density",
                "charge_imbalance",
            )
        },
        time=jnp.asarray([0.0, 5.0, 10.0, 10.0, 30.0]),
        step=jnp.asarray([0, 0, 0, 1, 1]),
        voltage=jnp.asarray([-0.05, -0.055, -0.06, -0.01, 0.0]),
        current_density=jnp.asarray([20.0, 20.0, 20.0, 0.0, 1e-9]),
        step_times=jnp.asarray([10.0, 20.0]),
        step_charges=jnp.asarray([200.0, 0.0]),
        step_voltage_parts={k: jnp.asarray([v, 0.0]) for k, v in PARTS.items()},
        final_voltage=jnp.asarray(1e-14),
        end_time=jnp.asarray(30.0),
        protocol=dj.Protocol("Plate at 2 mA/cm2 for 10 s", "Rest for 20 s"),
        ended_by=("time", "time"),
    )


@pytest.fixture(scope="module")
def run():
    return make_run()


def panels(figure):
    return [axes for axes in figure.axes if axes.get_xlabel()]


@pytest.mark.parametrize("name", ["voltage", "current_distribution", "slices"])
@pytest.mark.parametrize("at_rest", [False, True])
def test_every_figure_is_written(name, at_rest, run, tmp_path):
    figure = getattr(plot, name)(rested(run) if at_rest else run)
    plot.save_figure(figure, tmp_path / f"{name}.png", dpi=60)
    assert (tmp_path / f"{name}.png").read_bytes().startswith(PNG)
    for axes in figure.axes:
        labels = [axes.get_xlabel(), axes.get_ylabel()]
        assert any(labels)
        assert all("(" in label for label in labels if label), labels


def test_voltage_and_current_against_time(run):
    upper, lower = plot.voltage(run).axes[:2]
    assert upper.get_ylabel() == "voltage (mV)"
    assert np.allclose(upper.lines[0].get_xydata(), [[0, -50], [5, -55], [10, -60]])
    assert lower.get_ylabel() == "current density\n(mA cm$^{-2}$)"
    assert np.allclose(lower.lines[0].get_ydata(), 2.0)
    assert lower.get_xlabel() == "time (s)"
    volts = dataclasses.replace(run, voltage=run.voltage * 100)
    assert plot.voltage(volts).axes[0].get_ylabel() == "voltage (V)"


def test_steps_are_marked(run):
    upper = plot.voltage(rested(run)).axes[0]
    assert [text.get_text() for text in upper.texts] == ["step 1", "step 2"]
    dashed = [line for line in upper.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in dashed] == [10.0]
    assert not plot.voltage(run).axes[0].texts


def test_parts_are_those_of_the_last_step_under_load(run):
    for each in (run, rested(run)):
        bars = plot.voltage(each).axes[2]
        assert bars.get_xlabel() == "part of the voltage (mV)"
        assert bars.get_title() == "end of step 1: −60 mV"
        names = [label.get_text() for label in bars.get_yticklabels()]
        assert names == ["kinetics", "film", "counter kinetics"]
        assert np.allclose(
            [patch.get_width() for patch in bars.patches], [-30, -10, -20]
        )
    none = {k: 0 * v for k, v in run.step_voltage_parts.items()}
    idle = plot.voltage(dataclasses.replace(run, step_voltage_parts=none))
    assert len(idle.axes) == 2


def test_the_histogram_is_of_area(run):
    axes = plot.current_distribution(run).axes[0]
    assert axes.get_xlabel() == r"local current density (mA cm$^{-2}$)"
    heights = np.asarray([patch.get_height() for patch in axes.patches])
    assert heights.sum() == pytest.approx(100.0)
    middles = [patch.get_x() + patch.get_width() / 2 for patch in axes.patches]
    area = np.asarray(run.cell.scaffold.surface_area)
    i = np.asarray(run.local_current_density)[..., :4] / (mA / cm**2)
    width = axes.patches[0].get_width()
    mean = (i * area).sum() / area.sum()
    assert np.average(middles, weights=heights) == pytest.approx(mean, abs=width)


def test_the_dashed_line_is_the_mean_over_host_and_collector(run):
    left, right = plot.current_distribution(run).axes
    domain = run.cell.domain()
    area = np.asarray(run.cell.scaffold.surface_area)
    floor = np.asarray(domain.wall_area)[..., 0] - area[..., 0]
    i = np.asarray(run.local_current_density)[..., :4]
    mean = ((i * area).sum() + 5 * floor.sum()) / (area.sum() + floor.sum())
    for axes in (left, right):
        (dashed,) = [line for line in axes.lines if line.get_linestyle() == "--"]
        assert dashed.get_xdata()[0] == pytest.approx(mean / (mA / cm**2), rel=1e-12)
    (diamond,) = [line for line in right.lines if line.get_marker() == "D"]
    assert np.allclose(diamond.get_xydata(), [[0.5, 0.0]])


def test_the_profile_is_weighted_by_area(run):
    right = plot.current_distribution(run).axes[1]
    area = np.asarray(run.cell.scaffold.surface_area)
    i = np.asarray(run.local_current_density)[..., :4] / (mA / cm**2)
    total = area.sum((0, 1))
    shown, z = right.lines[0].get_xydata().T
    assert np.allclose(z, [2, 6, 10, 14])
    assert np.array_equal(np.isfinite(shown), total > 0)
    some = total > 0
    assert np.allclose(shown[some], (i * area).sum((0, 1))[some] / total[some])


def test_at_rest_the_plated_charge_is_shown(run):
    axes = plot.current_distribution(rested(run)).axes[1]
    assert axes.get_xlabel() == r"plated charge (mAh cm$^{-2}$)"
    values = (100 + 10 * np.asarray(run.cell.grid.centers[2]) / um) / (mAh / cm**2)
    shown = axes.lines[0].get_xdata()
    assert np.allclose(shown[np.isfinite(shown)], values[:4][np.isfinite(shown)])
    label = plot.slices(rested(run)).axes[-1].get_ylabel()
    assert label == r"plated charge (mAh cm$^{-2}$)"


def test_slices_are_three_fields_in_three_planes(run):
    figure = plot.slices(run)
    metal = on_metal(run)
    size = metal.values * (metal.area > 0.05 * metal.area.max())
    _, iy, iz = np.unravel_index(np.argmax(size), size.shape)
    rows = np.reshape(figure.axes[:9], (3, 3))
    bars = [axes.get_ylabel() for axes in figure.axes[9:]]
    assert bars == [
        r"salt concentration (mol L$^{-1}$)",
        "electrolyte potential (mV)",
        r"local current density (mA cm$^{-2}$)",
    ]
    shown = (
        np.asarray(run.concentration) / M,
        np.asarray(run.liquid_potential) / mV,
    )
    for row, field in zip(rows[:2], shown, strict=True):
        values = row[0].collections[0].get_array()
        masked = np.ma.getmaskarray(values)
        assert np.allclose(values[~masked], field[:, iy].T[~masked], rtol=1e-12)
    values = rows[2, 0].collections[1].get_array()
    seen = ~np.ma.getmaskarray(values)
    area = np.asarray(run.cell.scaffold.surface_area)[:, iy].T
    assert np.array_equal(seen[:4], area > 0.05 * metal.area.max())
    assert not seen[4:].any()
    assert np.allclose(values[:4][seen[:4]], metal.values[:, iy].T[seen[:4]])
    assert rows[0, 2].get_title() == f"z = {4 * iz + 2:g} µm"
    assert [axes.get_xlabel() for axes in rows[2]] == ["x (µm)", "y (µm)", "x (µm)"]


def test_plating_here_and_stripping_there_has_two_colours(run):
    i = jnp.where(run.local_current_density > 22.0, 1.0, -2.0)
    figure = plot.slices(dataclasses.replace(run, local_current_density=i))
    mesh = figure.axes[6].collections[1]
    assert mesh.get_cmap().name == "PuOr"
    assert mesh.get_clim() == pytest.approx((-0.2, 0.2))


def test_headlines(run):
    words = plot.voltage(run).get_suptitle()
    assert words.startswith("After 10 s and 0.005556 mAh cm$^{-2}$: −60 mV at 2 mA")
    assert "0 mV at 0 mA" in plot.voltage(rested(run)).get_suptitle()


def test_a_foil_has_its_voltage_and_no_more():
    column = dj.Scaffold.open(dj.Grid.uniform((1, 1, 8), 4 * um))
    run = make_run(dj.Cell(column, dj.electrolytes.lipf6_ec_emc(1.0 * M)))
    assert plot.voltage(run).axes
    with pytest.raises(ValueError, match="a host with a surface, got one without"):
        plot.current_distribution(run)
    with pytest.raises(ValueError, match="at least two cells along two axes"):
        plot.slices(run)


def test_refusals(run):
    with pytest.raises(
        ValueError, match="expected a Simulation or SpaceCharge, got Cell"
    ):
        plot.voltage(run.cell)
    with pytest.raises(
        ValueError, match="expected a SandSolution or Simulation or SpaceCharge"
    ):
        plot.slices(run.cell)
    empty = dataclasses.replace(run, time=0 * run.time + jnp.nan)
    with pytest.raises(ValueError, match="at least one time step, got none"):
        plot.voltage(empty)
