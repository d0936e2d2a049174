"""Figures of space charge: what is in them, and what is refused."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from ionic import made_up_curve, made_up_solution, steady

import depojax as dj
from depojax import plot
from depojax.plot.parts import length_unit
from depojax.units import M, cm, mA, nm, um

PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def run():
    return made_up_solution()


@pytest.fixture(scope="module")
def curve(run):
    return made_up_curve(run)


def check_written(figure, path):
    plot.save_figure(figure, path, dpi=60)
    assert path.read_bytes().startswith(PNG)
    for axes in figure.axes:
        labels = [axes.get_xlabel(), axes.get_ylabel()]
        assert any(labels)
        assert all("(" in label for label in labels if label), labels


@pytest.mark.parametrize("name", ["column_profile", "slices", "voltage"])
def test_every_figure_is_written(name, run, tmp_path):
    check_written(getattr(plot, name)(run), tmp_path / "a.png")


def test_a_steady_state_has_no_history(run, tmp_path):
    still = steady(run)
    check_written(plot.column_profile(still), tmp_path / "a.png")
    assert "Steady state" in plot.slices(still).get_suptitle()
    with pytest.raises(ValueError, match="a run of some duration, got a steady state"):
        plot.voltage(still)


def test_a_column_is_that_of_its_place(run):
    figure = plot.column_profile(run, place=(22.4 * nm, 1 * nm))
    c, potential, charge = figure.axes
    z = 5 * np.arange(8) + 2.5
    for k, line in enumerate(c.lines[:3]):
        meant = np.asarray(run.ion_concentration[k, 4, 0]) / M
        shown = meant >= 1e-4 * 12 / M
        assert np.allclose(line.get_xdata(), z)
        assert np.allclose(line.get_ydata()[shown], meant[shown])
        assert np.isnan(line.get_ydata()[~shown]).all()
    names = [text.get_text() for text in c.get_legend().get_texts()]
    assert names == ["Li+", "Cs+", "PF6-"]
    assert np.allclose(potential.lines[0].get_ydata(), run.potential[4, 0])
    assert potential.lines[1].get_ydata()[0] == -0.5
    rho = np.asarray(run.charge_density[4, 0]) / 1e6
    full, dashed = charge.lines[:2]
    assert (full.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert np.allclose(full.get_ydata()[rho > 0], rho[rho > 0])
    assert np.allclose(dashed.get_ydata()[rho < 0], -rho[rho < 0])
    assert np.isnan(full.get_ydata()[rho < 0]).all()
    assert charge.get_xlabel() == "height above the collector (nm)"
    assert c.get_title() == "x, y = 22.5, 2.5 nm"


def test_without_a_place_the_column_is_open(run):
    pore = np.asarray(run.cell.domain().pore_fraction).sum(2)
    title = plot.column_profile(run).axes[0].get_title()
    x, y = (float(n) for n in title.removeprefix("x, y = ")[:-3].split(","))
    i, j = round(x / 5 - 0.5), round(y / 5 - 0.5)
    assert pore[i, j] == pytest.approx(pore.max())
    i, j = np.argwhere(np.asarray(run.cell.domain().pore_fraction)[..., 0] == 0)[0]
    inside = ((i + 0.5) * 5 * nm, (j + 0.5) * 5 * nm)
    middle = plot.column_profile(run, place=inside).axes[1]
    assert middle.patches  # solid is shaded
    assert np.isnan(middle.lines[0].get_ydata()[0])


def test_slices_are_three_fields_in_three_planes(run):
    figure = plot.slices(run)
    rows = np.reshape(figure.axes[:9], (3, 3))
    bars = [axes.get_ylabel() for axes in figure.axes[9:]]
    assert bars == [
        "Li+ (mol L$^{-1}$)",
        "charge density (C cm$^{-3}$)",
        "electric field (MV m$^{-1}$)",
    ]
    size = np.linalg.norm(np.asarray(run.electric_field), axis=0) / 1e6
    shown = np.asarray(run.ion_concentration[0]) / M, run.charge_density / 1e6, size
    for row, field in zip(rows, shown, strict=True):
        values = row[0].collections[0].get_array()
        masked = np.ma.getmaskarray(values)
        meant = np.asarray(field)[:, 2].T
        assert np.allclose(values[~masked], meant[~masked], rtol=1e-12)
    low, high = rows[1, 0].collections[0].get_clim()
    assert low == -high
    assert rows[0, 2].get_title() == "z = 17.5 nm"
    assert [axes.get_xlabel() for axes in rows[2]] == ["x (nm)", "y (nm)", "x (nm)"]


def test_histories_have_voltage_current_and_layer(run):
    V, J, layer = plot.voltage(run).axes
    t = [0.0, 1e-5, 4e-5]  # ms
    assert np.allclose(V.lines[0].get_xdata(), t)
    assert np.allclose(V.lines[0].get_ydata(), run.voltage_history)
    assert np.allclose(
        J.lines[0].get_ydata(), run.current_density_history / (mA / cm**2)
    )
    assert layer.get_ylabel() == "space charge (nm)"
    assert np.allclose(layer.lines[0].get_ydata(), [0, 0.75, 3])
    assert layer.get_xlabel() == "time (ms)"
    neutral = dataclasses.replace(run, electroneutral=True)
    assert len(plot.voltage(neutral).axes) == 2
    assert "space charge" not in plot.voltage(neutral).get_suptitle()


def test_the_onset_is_marked(run):
    """Five Debye lengths: here in the last step."""
    late = dataclasses.replace(run, debye_length=jnp.asarray(3e-9 / 5 / 2))
    onset = float(late.onset_time)
    assert 1e-8 < onset < 4e-8
    (dashed,) = [li for li in plot.voltage(late).axes[0].lines if li.get_ls() == "--"]
    assert dashed.get_xdata()[0] == pytest.approx(onset / 1e-3)


def test_current_by_voltage(curve, tmp_path):
    figure = plot.current_voltage(curve)
    check_written(figure, tmp_path / "a.png")
    upper, lower, beside = figure.axes
    assert np.allclose(upper.lines[0].get_xydata(), [[-0.1, 10], [-0.5, 30]])
    assert upper.xaxis_inverted()
    assert np.allclose(lower.lines[0].get_xydata(), [[-0.1, 0.6], [-0.5, 3]])
    assert np.allclose(beside.lines[0].get_ydata(), [10, 50])
    none = dataclasses.replace(curve, current_density=jnp.full(3, jnp.nan))
    with pytest.raises(ValueError, match="at least one voltage with a current"):
        plot.current_voltage(none)


def test_polarisation_curves_are_drawn_too(run):
    J = jnp.asarray([10.0, 20.0, 30.0])
    curve = dj.PolarisationCurve(
        current_density=J,
        voltage=jnp.asarray([-0.01, -0.02, jnp.nan]),
        voltage_parts={},
        lowest_wall_concentration=J,
        carried=J < 25,
        depletion_time=J,
        time=jnp.asarray(1.0),
        ended_by=("time", "time", "depletion"),
        last=None,  # pyright: ignore[reportArgumentType]
    )
    (axes,) = plot.current_voltage(curve).axes
    assert np.allclose(axes.lines[0].get_xydata(), [[-0.01, 1], [-0.02, 2]])


def test_headlines_and_units(run):
    words = plot.column_profile(run).get_suptitle()
    assert words.startswith("After 4e-08 s: −0.5 V at 30 mA")
    assert words.endswith("space charge 3 nm")
    assert length_unit(1.9 * um) == (nm, "nm")
    assert length_unit(2.1 * um) == (um, "µm")


def test_refusals(run):
    with pytest.raises(ValueError, match="expected a SpaceCharge, got Cell"):
        plot.column_profile(run.cell)
    with pytest.raises(ValueError, match=r"expected x and y of a column \[m\]"):
        plot.column_profile(run, place=(1e-9, 1e-9, 0.0))
    with pytest.raises(ValueError, match=r"expected x from 0 to 2\.5e-08 m, got 1 m"):
        plot.column_profile(run, place=(1.0, 0.0))
    with pytest.raises(ValueError, match="SpaceChargeCurve or PolarisationCurve"):
        plot.current_voltage(run)
