"""The experiments run, small, and what they draw agrees with what is known."""

import csv
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import depojax as dj

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
NAME = "sand_time_of_foams"


@cache
def experiment():
    spec = importlib.util.spec_from_file_location(NAME, EXPERIMENTS / f"{NAME}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows of the two panels, and the folder with figure and table."""
    out = tmp_path_factory.mktemp("foams")
    rows = experiment().main(
        resolution=12,
        porosities=(0.75, 0.80, 0.85),
        layers=(2,),
        currents=3,
        gradient=False,
        out=out,
    )
    panels = {
        name: [row for row in rows if row["panel"] == name]
        for name in ("porosity", "current")
    }
    return panels, out


def column(rows, name):
    return np.asarray([row[name] for row in rows])


def test_more_porosity_lets_more_salt_down(run):
    rows = run[0]["porosity"]
    assert np.all(np.diff(column(rows, "porosity")) > 0)
    assert np.all(np.diff(column(rows, "sand_time")) > 0)
    assert np.all(np.diff(column(rows, "limiting_current")) > 0)
    assert np.all(np.diff(column(rows, "area_factor")) < 0)


def test_limiting_current_is_near_that_of_the_homogeneous_foam(run):
    rows = run[0]["porosity"]
    homogeneous = experiment().homogeneous_limit(column(rows, "porosity"))
    # Struts at the collector shade it: below the homogeneous foam, not far below.
    share = column(rows, "limiting_current") / homogeneous
    assert np.all((share > 0.6) & (share < 1.0))


def test_time_falls_with_the_current_between_its_guides(run):
    rows = run[0]["current"]
    module = experiment()
    J, tau = column(rows, "current_density"), column(rows, "sand_time")
    # At every current the charge until depletion falls as well.
    assert np.all(np.diff(np.log(tau)) / np.diff(np.log(J)) < -1)
    # Near its limit the counter electrode feeds the foam in time, and beyond it not.
    fast = 1.5 * rows[0]["limiting_current"] < J
    inventory = module.salt_alone(J, rows[0]["porosity"])
    assert fast.sum() == 2
    assert np.all(tau[fast] < inventory[fast])
    assert np.all(tau < module.surface_alone(J, rows[0]["area_factor"]))
    assert np.all(tau > module.foil(J, module.DEPTH + module.SEPARATOR))


def test_a_foil_at_the_separator_outlives_the_foam(run):
    rows = run[0]["porosity"]
    module = experiment()
    limit = dj.planar_limiting_current(module.electrolyte(), module.SEPARATOR)
    assert limit > 2 * column(rows, "limiting_current").max()
    assert np.isinf(module.foil([module.CURRENT], module.SEPARATOR)).all()


def test_homogeneous_limit_without_foam_is_that_of_the_gap():
    module = experiment()
    gap = module.DEPTH + module.SEPARATOR
    # A sink spread over an empty foam: farther reach, so more than from the collector.
    planar = float(dj.planar_limiting_current(module.electrolyte(), gap))
    H, L = module.DEPTH, module.SEPARATOR
    expected = planar * gap**2 / (H**2 / 3 + L * H + L**2)
    assert module.homogeneous_limit(1.0) == pytest.approx(expected, rel=1e-12)


def test_figure_and_table_are_written(run):
    panels, out = run
    picture = imread(out / f"{NAME}.png")[..., :3]
    ink = np.mean(picture.min(axis=-1) < 0.9)
    assert min(picture.shape[:2]) > 400
    assert 0.01 < ink < 0.5
    with (out / f"{NAME}.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["sand_time"]) for row in table] == [
        row["sand_time"] for rows in panels.values() for row in rows
    ]
    assert all(abs(float(row["salt_balance_error"])) < 1e-12 for row in table)
