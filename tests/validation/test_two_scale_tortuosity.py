"""The experiment on two scales runs, small, and its two answers agree."""

import pytest
import two_scale_tortuosity as experiment
from written import check_figure, check_table

pytestmark = pytest.mark.slow

NAME = "two_scale_tortuosity"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows of the table, and the folder with figure and table."""
    out = tmp_path_factory.mktemp("scales")
    rows = experiment.main(
        shape=(32, 32, 48),
        porosities=(0.5, 0.75),
        correlation_length=4.0,
        windows=(16,),
        bounds=(16,),
        drawn=16,
        out=out,
    )
    return rows, out


def test_two_scales_agree_and_are_bounded(run):
    whole, mirrors, prescribed = run[0]
    assert 0.05 > mirrors["difference"] > -0.15
    assert 0.5 > prescribed["difference"] > 0.05
    assert mirrors["profile_difference"] < 0.05
    # Nothing conducts better than a host of the same porosity can.
    porosity = whole["effective_diffusivity"] * whole["tortuosity_factor"]
    for row in run[0]:
        assert row["effective_diffusivity"] < 2 * porosity / (3 - porosity)


def test_figure_and_table_are_written(run):
    rows, out = run
    check_figure(out / f"{NAME}.png", least=0.05, most=0.8, size=400)
    check_table(out / f"{NAME}.csv", rows, "difference")
