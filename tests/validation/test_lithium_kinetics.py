"""The experiment on lithium's kinetics runs without its data, and reads them."""

import csv
import importlib.util
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

NAME = "lithium_kinetics"
DATA = os.environ.get("DEPOJAX_DATA")


@cache
def experiment():
    path = Path(__file__).parents[2] / "experiments" / f"{NAME}.py"
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_made_up_points(tmp_path, monkeypatch):
    monkeypatch.delenv("DEPOJAX_DATA", raising=False)
    rows = {row["law"]: row for row in experiment().main(out=tmp_path)}
    chidsey = rows["Marcus–Hush–Chidsey"]
    assert chidsey["deviation"] < 0.05
    for key, true in (
        ("exchange_current_density", 1000.0),
        ("reorganisation_energy", 0.3),
    ):
        assert abs(chidsey[key] - true) < 4 * chidsey[f"{key}_error"]
    assert rows["Butler–Volmer, α = ½"]["deviation"] > 3 * chidsey["deviation"]
    picture = imread(tmp_path / f"{NAME}.png")[..., :3]
    assert 0.01 < np.mean(picture.min(axis=-1) < 0.9) < 0.5
    with (tmp_path / f"{NAME}.csv").open() as file:
        assert [row["law"] for row in csv.DictReader(file)] == list(rows)


@pytest.mark.skipif(DATA is None, reason="DEPOJAX_DATA is not set")
def test_measured_points_are_read():
    curves = experiment().measured(None)
    assert [eta.size for eta, _ in curves.values()] == [15, 26, 12, 12]
    for eta, i in curves.values():
        assert np.all(eta * i < 0)
    assert curves["10pc tFEC"][1][0] == pytest.approx(2358.028336)
