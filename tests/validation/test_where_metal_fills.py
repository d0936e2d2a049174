"""The experiment on where metal fills a host, small."""

import csv

import pytest
import where_metal_fills as experiment
from matplotlib.image import imread

pytestmark = pytest.mark.slow

NAME = "where_metal_fills"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows by host, and the folder with figure and table."""
    out = tmp_path_factory.mktemp(NAME)
    rows = experiment.main(resolution=6, out=out)
    return {row["host"]: row for row in rows}, out


def test_a_graded_host_fills_from_below_and_a_uniform_one_on_top(run):
    uniform, graded = run[0]["uniform"], run[0]["graded"]
    assert graded["in_lower_half"] > 0.9
    assert uniform["in_lower_half"] < 0.5
    assert uniform["top_over_bottom"] > 1.0


def test_local_currents_are_those_of_the_struts(run):
    """L3: 0.158 and 0.0231 mA cm⁻² per mA cm⁻² of footprint."""
    large, small = run[0]["foam 250 um"], run[0]["foam 1 um"]
    assert large["mean_local_mA_cm2"] == pytest.approx(0.15835, rel=1e-3)
    assert small["mean_local_mA_cm2"] == pytest.approx(0.023088, rel=1e-3)


def test_table_and_figure_are_written(run):
    with (run[1] / "hosts.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 4
    assert imread(run[1] / "profiles.png").std() > 0.02
