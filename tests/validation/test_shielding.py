"""The experiment on shielding cations: a ridge, with its closed forms."""

import numpy as np
import pytest
import shielding_cations as experiment
from written import check_figure, check_table, column

pytestmark = pytest.mark.slow

NAME = "shielding_cations"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The rows, and the folder with figures and table."""
    out = tmp_path_factory.mktemp("shield")
    return experiment.main(dimensions=(2,), out=out), out


def at(run, time):
    return [row for row in run[0] if row["time"] == time]


def test_at_once_the_tip_takes_less_as_the_solution_conducts_better(run):
    """Before any salt moves, how uneven the current is goes as one over κ."""
    rows = at(run, experiment.EARLY)
    uneven = column(rows, "tip_over_flat") - 1
    assert np.all(np.diff(uneven) < 0)
    by_conductivity = uneven * column(rows, "conductivity")
    np.testing.assert_allclose(by_conductivity, by_conductivity[0], rtol=0.1)


def test_when_it_is_steady_the_shield_changes_little(run):
    """It does not pass: it gathers, and Li⁺ moves by its own potential alone."""
    rows = at(run, experiment.LATE)
    ratio = column(rows, "tip_over_flat")
    assert np.ptp(ratio) < 0.02
    drawn = column(rows, "caesium_at_tip")[1:]
    assert np.all(drawn > 1)


def test_the_more_there_is_the_narrower_its_window(run):
    """Nernst: 63 mV for a twentieth of caesium, 4 mV for a half."""
    _, twentieth, half = at(run, 0.0)
    thermal = 8.314462618 * 298.15 / 96485.33212
    window = -3.04 + 3.026 - thermal * np.log([0.05, 0.5])
    known = window[0] + experiment.VOLTAGE
    assert twentieth["margin"] == pytest.approx(known, abs=1e-6)
    assert twentieth["caesium_current"] == 0
    assert window[1] + experiment.VOLTAGE < 0 < half["caesium_current"]


def test_figures_and_table_are_written(run):
    rows, out = run
    for name in (NAME, "shield"):
        check_figure(out / f"{name}.png")
    check_table(out / f"{NAME}.csv", rows, "voltage")
