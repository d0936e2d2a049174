"""The experiment on aligned hosts runs, small, and its numbers follow from τ."""

import pytest
import tortuosity_of_hosts as experiment
from written import check_figure, check_table

NAME = "tortuosity_of_hosts"
KINDS = ("homogenised", "resolved")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Rows of the table by host, and the folder with figure and table."""
    out = tmp_path_factory.mktemp("hosts")
    rows = experiment.main(cells=20, sheets=2, reversibilities=(), out=out)
    return {row["host"]: row for row in rows}, out


@pytest.mark.slow
def test_what_follows_from_the_tortuosity(run):
    rows = run[0]
    # r21, the limit of Tafel kinetics, by a quadrature of its own.
    for host, drop, difference in (
        ("vertical, homogenised", 0.0270, 0.0419),
        ("horizontal, homogenised", 0.0946, 0.1607),
        ("horizontal, τ²", 0.3123, 0.7533),
    ):
        assert rows[host]["drop"] == pytest.approx(drop, rel=5e-3)
        assert rows[host]["difference"] == pytest.approx(difference, rel=5e-3)
    assert rows["horizontal, blocked"]["drop"] == pytest.approx(0.432, rel=1e-3)
    assert rows["horizontal, blocked"]["tortuosity_factor"] > 20


@pytest.mark.slow
def test_the_resolved_host_is_like_its_average(run):
    for host in ("vertical", "horizontal"):
        mean, resolved = (run[0][f"{host}, {kind}"] for kind in KINDS)
        assert resolved["drop"] == pytest.approx(mean["drop"], rel=0.15)
    assert run[0]["horizontal, resolved"]["tortuosity_factor"] == pytest.approx(
        4.46, rel=0.01
    )


@pytest.mark.slow
def test_figure_and_table_are_written(run):
    rows, out = run
    check_figure(out / f"{NAME}.png", least=0.05, most=0.8, size=400)
    check_table(out / f"{NAME}.csv", list(rows.values()), "host")
