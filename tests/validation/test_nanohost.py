"""The experiment on space charge in a nano-structured host, small."""

import numpy as np
import pytest
import space_charge_in_a_nanohost as experiment
from written import check_figure, check_table, column

pytestmark = pytest.mark.slow

NAME = "space_charge_in_a_nanohost"
VOLTAGES = (-0.02, -0.2, -0.6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows, and the folder with figures and table."""
    out = tmp_path_factory.mktemp("nanohost")
    return experiment.main(resolution=12, voltages=VOLTAGES, out=out), out


def test_the_neutral_limit_lies_between_two_planes(run):
    """More metal, more current: collector alone < pillars < a lid on their tops."""
    limit = run[0][0]["current_density"] / run[0][0]["per_limit"]
    above, whole = experiment.ABOVE, experiment.ABOVE + experiment.HEIGHT
    assert experiment.planar_limit(whole) < limit < experiment.planar_limit(above)


def test_the_current_passes_the_limit_and_grows(run):
    share = column(run[0], "per_limit")
    assert share[0] < 0.5 < 1.0 < share[1] < share[2]
    assert np.all(np.diff(column(run[0], "layer_thickness")) > 0)
    assert np.all(np.diff(column(run[0], "highest_field")) > 0)
    assert np.all(np.diff(column(run[0], "front_velocity")) > 0)


def test_the_front_is_that_of_ohms_law_in_the_bath(run):
    """At the bath the solution is neutral: E is ohmic and that of the anion at rest.

    Without a flux of anions c' = cφ' F/RT, and J = 2 F D₊ c': μ E = D₋ J/(2 F D₊ c).
    """
    J, c = column(run[0], "current_density")[0], experiment.BULK
    ahead = experiment.NITRATE * J / (2 * 96485.33 * experiment.SILVER * c)
    assert run[0][0]["front_velocity"] == pytest.approx(ahead, rel=0.03)


def test_figures_and_table_are_written(run):
    rows, out = run
    for name in (NAME, "slices", "column"):
        check_figure(out / f"{name}.png")
    check_table(out / f"{NAME}.csv", rows, "current_density")
