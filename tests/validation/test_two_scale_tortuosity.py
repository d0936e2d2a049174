"""The experiment on two scales runs, small, and its two answers agree."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

pytestmark = pytest.mark.slow

NAME = "two_scale_tortuosity"
FILE = Path(__file__).parents[2] / "experiments" / f"{NAME}.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows of the table, and the folder with figure and table."""
    spec = importlib.util.spec_from_file_location(NAME, FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = tmp_path_factory.mktemp("scales")
    rows = module.main(
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
    picture = imread(out / f"{NAME}.png")[..., :3]
    assert min(picture.shape[:2]) > 400
    assert 0.05 < np.mean(picture.min(axis=-1) < 0.9) < 0.8
    with (out / f"{NAME}.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [float(row["difference"]) for row in table] == [
        row["difference"] for row in rows
    ]
