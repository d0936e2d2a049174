"""The experiment on lithium's kinetics runs without its data, and reads them."""

import os

import lithium_kinetics as experiment
import numpy as np
import pytest
from written import check_figure, check_table

NAME = "lithium_kinetics"
DATA = os.environ.get("DEPOJAX_DATA")


@pytest.mark.slow
def test_made_up_points(tmp_path, monkeypatch):
    monkeypatch.delenv("DEPOJAX_DATA", raising=False)
    rows = {row["law"]: row for row in experiment.main(out=tmp_path)}
    chidsey = rows["Marcus–Hush–Chidsey"]
    assert chidsey["deviation"] < 0.05
    for key, true in (
        ("exchange_current_density", 1000.0),
        ("reorganisation_energy", 0.3),
    ):
        assert abs(chidsey[key] - true) < 4 * chidsey[f"{key}_error"]
    assert rows["Butler–Volmer, α = ½"]["deviation"] > 3 * chidsey["deviation"]
    check_figure(tmp_path / f"{NAME}.png", most=0.5)
    check_table(tmp_path / f"{NAME}.csv", list(rows.values()), "law")


@pytest.mark.skipif(DATA is None, reason="DEPOJAX_DATA is not set")
def test_measured_points_are_read():
    curves = experiment.measured(None)
    assert [eta.size for eta, _ in curves.values()] == [15, 26, 12, 12]
    for eta, i in curves.values():
        assert np.all(eta * i < 0)
    assert curves["10pc tFEC"][1][0] == pytest.approx(2358.028336)
