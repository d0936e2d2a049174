"""Parameter studies: every mode gives the same, failures are told, refusals."""

import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.cli import main
from depojax.design.sweep import local_client
from depojax.solvers.results import SolveError

GRID = {"a": [1.0, 2.0, 4.0], "b": [0.5, 3.0]}


def power(a, b):
    return {"power": a**b, "sum": a + b}


def expected():
    a, b = np.asarray(GRID["a"])[:, None], np.asarray(GRID["b"])
    return a**b, a + b


@pytest.mark.parametrize(
    "options", [{}, {"batch": 2}, {"mode": "loop"}], ids=["vmap", "batches", "loop"]
)
def test_a_grid_of_parameters(options):
    found = dj.sweep(power, GRID, units={"a": "m", "power": "m2"}, **options)
    powers, sums = expected()
    assert found["power"].dims == ("a", "b")
    np.testing.assert_allclose(found["power"], powers, rtol=1e-12)
    np.testing.assert_allclose(found["sum"], sums)
    assert float(found["power"].sel(a=4, b=0.5)) == 2.0
    assert found["a"].attrs["units"] == "m"
    assert found["power"].attrs["units"] == "m2"
    assert "failure" not in found


def test_points_that_fail_leave_the_others_alone():
    def function(a, b):
        if a == 2.0:
            raise SolveError("Two is too many.")
        return a * b

    found = dj.sweep(function, GRID, mode="loop")
    assert bool(np.all(np.isnan(found["output"].sel(a=2.0))))
    assert bool(np.all(np.isfinite(found["output"].sel(a=[1.0, 4.0]))))
    assert str(found["failure"].sel(a=2.0, b=0.5).values) == "Two is too many."
    with pytest.raises(SolveError, match="Every point failed, the first one so: Two"):
        dj.sweep(function, {"a": [2.0], "b": [1.0]}, mode="loop")


def test_words_are_parameters_too_one_after_the_other():
    found = dj.sweep(
        lambda name, n: len(name) * n, {"name": ["ab", "abc"], "n": 2}, mode="loop"
    )
    np.testing.assert_allclose(found["output"].sel(name="abc", n=2), 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({},), "parameters: expected at least one"),
        (({"a": []},), r"parameters\['a'\]: expected at least one value"),
        (({"a": ["word"]},), r"numbers with mode=\"vmap\""),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        dj.sweep(lambda a: a, *arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "dask"}, "client: expected a dask.distributed.Client"),
        ({"mode": "loop", "client": object()}, "and with no other"),
        ({"mode": "lop"}, "Did you mean 'loop'"),
        ({"batch": 0}, "batch: expected at least 1"),
    ],
)
def test_refusals_of_modes(options, words):
    with pytest.raises(ValueError, match=words):
        dj.sweep(power, GRID, **options)
    with pytest.raises(ValueError, match="expected one number"):
        dj.sweep(lambda a, b: jnp.ones(2) * a, GRID)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_gives_the_same():
    client = local_client(1)
    try:
        found = dj.sweep(power, GRID, mode="dask", client=client)
    finally:
        client.close()
    np.testing.assert_array_equal(found["power"], expected()[0])


FILE = """
[scaffold]
generator = "averaged_foam"
shape = [1, 1, 12]
voxel_size = "10 um"
porosity = 0.9
pore_diameter = "60 um"

[electrolyte]
name = "lipf6_ec_emc"
concentration = "1 M"

[cell]
separator = "20 um"

[sand]
current_density = "200 mA/cm^2"

[sweep]
question = "sand"
outputs = ["time", "porosity"]
mode = "loop"

[sweep.parameters]
scaffold.porosity = [0.8, 0.9]
sand.current_density = ["200 mA/cm^2", "300 mA/cm^2"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both modes of the command line on one file."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "sweep.toml").write_text(FILE)
    for mode in ("loop", "vmap"):
        words = ["sweep", str(folder / "sweep.toml"), "--quiet", "--mode", mode]
        assert main([*words, "--out", str(folder / mode)]) == 0
    return folder


def test_the_command_line_in_one_program_and_point_after_point(folder):
    import xarray as xr

    one, many = (xr.load_dataset(folder / m / "sweep.nc") for m in ("vmap", "loop"))
    assert one["time"].dims == ("scaffold.porosity", "sand.current_density")
    np.testing.assert_allclose(one["time"], many["time"], rtol=1e-7)
    np.testing.assert_allclose(one["porosity"][:, 0], [0.8, 0.9])
    # A smaller current lasts longer.
    assert bool(np.all(np.diff(one["time"], axis=1) < 0))
    assert one["sand.current_density"].attrs["units"] == "A/m^2"
    assert "input" in one.attrs


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"sand"\noutputs', '"sandy"\noutputs', "Did you mean 'sand'"),
        ('["time", "porosity"]', '["times"]', "Did you mean 'time'"),
        ('mode = "loop"', 'modes = "loop"', "Did you mean 'mode'"),
        ("scaffold.porosity", "scafold.porosity", "Did you mean 'scaffold'"),
        (
            "scaffold.porosity = [0.8, 0.9]",
            "scaffold.porosity = 0.8",
            "expected a list",
        ),
        (
            "scaffold.porosity = [0.8, 0.9]",
            "scaffold.porosity = { low = 1, high = 2 }",
            "count: missing",
        ),
        ('mode = "loop"', 'mode = "dask"', "--workers N, or --scheduler"),
    ],
)
def test_refusals_of_the_command_line(tmp_path, capsys, old, new, words):
    path = tmp_path / "sweep.toml"
    path.write_text(FILE.replace(old, new))
    assert main(["sweep", str(path), "--quiet", "--out", str(tmp_path / "run")]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
