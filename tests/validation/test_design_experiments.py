"""The experiments on design, small: gains that are real, tables and figures."""

from importlib import import_module

import numpy as np
import pytest
from written import check_figure, check_table

pytestmark = pytest.mark.slow


def check_written(out, name, rows):
    """Figure and table are there, and say what `main` returned."""
    check_figure(out / f"{name}.png", most=0.8)
    check_table(out / f"{name}.csv", rows, "name")


def test_graded_porosity_beats_the_best_uniform_host(tmp_path):
    made = import_module("graded_porosity").main(
        resolution=12, steps=12, values=6, porosities=(0.85, 0.9), out=tmp_path
    )
    rows = {row["name"]: row for row in made}
    first = rows["best uniform"]
    assert rows["gradient"]["gain"] > 0.01
    assert rows["gradient, twice as fine"]["gain"] > 0.01
    for row in made:
        assert row["solid"] == pytest.approx(first["solid"], rel=1e-6)
        assert row["gain"] > -1e-9
    check_written(tmp_path, "graded_porosity", made)


def test_a_gyroid_of_free_thickness_lasts_longer(tmp_path):
    made = import_module("gyroid_thickness").main(
        resolution=12, steps=4, finer=False, out=tmp_path
    )
    rows = {row["name"]: row for row in made}
    assert rows["gradient"]["gain"] > 0.01
    for row in made:
        assert row["porosity"] == pytest.approx(rows["uniform"]["porosity"], rel=1e-6)
    check_written(tmp_path, "gyroid_thickness", made)


def test_topology_separates_metal_and_void(tmp_path):
    made = import_module("topology_host").main(
        resolution=12, steps=5, sharpness=(1.0, 4.0), searched=6, out=tmp_path
    )
    rows = {row["name"]: row for row in made}
    grey, best = rows["uniform grey"], rows["gradient"]
    assert best["loss"] < grey["loss"] - 0.05
    assert best["greyness"] < grey["greyness"]
    assert best["free_numbers"] == 12**3
    assert best["density"] == pytest.approx(grey["density"], rel=1e-6)
    assert rows["eroded"]["density"] < best["density"] < rows["dilated"]["density"]
    check_written(tmp_path, "topology_host", made)


def test_grading_fills_from_the_bottom(tmp_path):
    made = import_module("bottom_up_filling").main(
        resolution=6, steps=6, values=3, uniform=3, out=tmp_path
    )
    rows = {row["name"]: row for row in made}
    assert rows["gradient"]["loss"] < rows["best uniform"]["loss"] - 1e-3
    assert rows["best uniform"]["loss"] <= rows["middle of the bounds"]["loss"] + 1e-9
    assert rows["middle of the bounds"]["loss"] == pytest.approx(2.0, rel=1e-9)
    check_written(tmp_path, "bottom_up_filling", made)


def test_a_voltage_gives_its_parameters_away(tmp_path):
    module = import_module("parameters_from_voltage")
    rows = module.main(resolution=4, seeds=2, out=tmp_path)
    z = np.asarray([row["deviation"] for row in rows])
    assert np.max(np.abs(z)) < 4
    # Errors and deviations agree: not far too small, nor far too large.
    assert 0.3 < np.sqrt(np.mean(z**2)) < 2
    assert all(0.3 < row["residual"] < 1.6 for row in rows)
    check_written(tmp_path, "parameters_from_voltage", rows)
