"""The experiment on space charge in a nano-structured host, small."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

pytestmark = pytest.mark.slow

NAME = "space_charge_in_a_nanohost"
VOLTAGES = (-0.02, -0.2, -0.6)


@pytest.fixture(scope="module")
def experiment():
    path = Path(__file__).parents[2] / "experiments" / f"{NAME}.py"
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run(experiment, tmp_path_factory):
    """Rows, and the folder with figures and table."""
    out = tmp_path_factory.mktemp("nanohost")
    return experiment.main(resolution=12, voltages=VOLTAGES, out=out), out


def column(run, name):
    return np.asarray([row[name] for row in run[0]])


def test_the_neutral_limit_lies_between_two_planes(experiment, run):
    """More metal, more current: collector alone < pillars < a lid on their tops."""
    limit = run[0][0]["current_density"] / run[0][0]["per_limit"]
    above, whole = experiment.ABOVE, experiment.ABOVE + experiment.HEIGHT
    assert experiment.planar_limit(whole) < limit < experiment.planar_limit(above)


def test_the_current_passes_the_limit_and_grows(run):
    share = column(run, "per_limit")
    assert share[0] < 0.5 < 1.0 < share[1] < share[2]
    assert np.all(np.diff(column(run, "layer_thickness")) > 0)
    assert np.all(np.diff(column(run, "highest_field")) > 0)
    assert np.all(np.diff(column(run, "front_velocity")) > 0)


def test_the_front_is_that_of_ohms_law_in_the_bath(experiment, run):
    """At the bath the solution is neutral: E is ohmic and that of the anion at rest.

    Without a flux of anions c' = cφ' F/RT, and J = 2 F D₊ c': μ E = D₋ J/(2 F D₊ c).
    """
    J, c = column(run, "current_density")[0], experiment.BULK
    ahead = experiment.NITRATE * J / (2 * 96485.33 * experiment.SILVER * c)
    assert run[0][0]["front_velocity"] == pytest.approx(ahead, rel=0.03)


def test_figures_and_table_are_written(run):
    rows, out = run
    for name in (NAME, "slices", "column"):
        picture = imread(out / f"{name}.png")[..., :3]
        ink = np.mean(picture.min(axis=-1) < 0.9)
        assert 0.01 < ink < 0.9
    with (out / f"{NAME}.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["current_density"]) for row in table] == [
        row["current_density"] for row in rows
    ]
