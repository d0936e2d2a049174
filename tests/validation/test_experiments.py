"""The experiments run, small, and what they draw agrees with what is known."""

import numpy as np
import pytest
import sand_time_of_foams as experiment
from written import check_figure, check_table, column

import depojax as dj

pytestmark = pytest.mark.slow

NAME = "sand_time_of_foams"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows of the two panels, and the folder with figure and table."""
    out = tmp_path_factory.mktemp("foams")
    rows = experiment.main(
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


def test_more_porosity_lets_more_salt_down(run):
    rows = run[0]["porosity"]
    assert np.all(np.diff(column(rows, "porosity")) > 0)
    assert np.all(np.diff(column(rows, "sand_time")) > 0)
    assert np.all(np.diff(column(rows, "limiting_current")) > 0)
    assert np.all(np.diff(column(rows, "area_factor")) < 0)


def test_limiting_current_is_near_that_of_the_homogeneous_foam(run):
    rows = run[0]["porosity"]
    homogeneous = experiment.homogeneous_limit(column(rows, "porosity"))
    # Struts at the collector shade it: below the homogeneous foam, not far below.
    share = column(rows, "limiting_current") / homogeneous
    assert np.all((share > 0.6) & (share < 1.0))


def test_time_falls_with_the_current_between_its_guides(run):
    rows = run[0]["current"]
    J, tau = column(rows, "current_density"), column(rows, "sand_time")
    # At every current the charge until depletion falls as well.
    assert np.all(np.diff(np.log(tau)) / np.diff(np.log(J)) < -1)
    # Near its limit the counter electrode feeds the foam in time, and beyond it not.
    fast = 1.5 * rows[0]["limiting_current"] < J
    inventory = experiment.salt_alone(J, rows[0]["porosity"])
    assert fast.sum() == 2
    assert np.all(tau[fast] < inventory[fast])
    assert np.all(tau < experiment.surface_alone(J, rows[0]["area_factor"]))
    assert np.all(tau > experiment.foil(J, experiment.DEPTH + experiment.SEPARATOR))


def test_a_foil_at_the_separator_outlives_the_foam(run):
    rows = run[0]["porosity"]
    limit = dj.planar_limiting_current(experiment.electrolyte(), experiment.SEPARATOR)
    assert limit > 2 * column(rows, "limiting_current").max()
    assert np.isinf(experiment.foil([experiment.CURRENT], experiment.SEPARATOR)).all()


def test_homogeneous_limit_without_foam_is_that_of_the_gap():
    gap = experiment.DEPTH + experiment.SEPARATOR
    # A sink spread over an empty foam: farther reach, so more than from the collector.
    planar = float(dj.planar_limiting_current(experiment.electrolyte(), gap))
    H, L = experiment.DEPTH, experiment.SEPARATOR
    expected = planar * gap**2 / (H**2 / 3 + L * H + L**2)
    assert experiment.homogeneous_limit(1.0) == pytest.approx(expected, rel=1e-12)


def test_figure_and_table_are_written(run):
    panels, out = run
    check_figure(out / f"{NAME}.png", most=0.5, size=400)
    rows = [row for panel in panels.values() for row in panel]
    table = check_table(out / f"{NAME}.csv", rows, "sand_time")
    assert all(abs(float(row["salt_balance_error"])) < 1e-12 for row in table)
