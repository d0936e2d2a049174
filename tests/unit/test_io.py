"""Writing and reading: nothing is lost, nothing half written, nothing misread."""

import dataclasses
import json
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import netCDF4
import numpy as np
import pytest
import xarray as xr

import depojax as dj
from depojax import io
from depojax.io.state import CLASSES, decode, encode
from depojax.scaffold.tpms import gyroid
from depojax.solvers.time import History
from depojax.units import M, cm, mA, um


def make_cell(separator=8 * um, **options):
    scaffold = gyroid((6, 5, 8), 4 * um, porosity=0.8, period=32 * um)
    electrolyte = dj.electrolytes.lipf6_ec_emc(1.0 * M)
    return dj.Cell(
        scaffold, electrolyte, metal=dj.metals.lithium, separator=separator, **options
    )


def on_device(outcome):
    """An outcome as a compiled program returns it."""
    return dj.RESULTS.where(jnp.asarray(True), outcome, dj.RESULTS.nonfinite)


def make_solution(**changes):
    """A solution of made-up numbers, with an infinity and the NaN tail of a history."""
    cell = make_cell()
    shape = cell.grid.shape
    ramp = jnp.linspace(0.0, 2000.0, int(np.prod(shape))).reshape(shape)
    tail = jnp.asarray([0.0, 0.5, 1.25, jnp.nan, jnp.nan])
    values = {
        "time": jnp.asarray(1.25),
        "capacity": jnp.asarray(250.0),
        "location": jnp.asarray([2e-6, 6e-6, 10e-6]),
        "concentration": ramp,
        "wall_concentration": ramp / 3,
        "depletion_time": jnp.where(ramp < 50, 1.25, jnp.inf),
        "limiting_current": jnp.asarray(80.0),
        "end_time": jnp.asarray(1.25),
        "history": History(
            tail,
            {
                "current_density": tail * 0 + 200.0,
                "lowest_wall_concentration": 1000 - 800 * tail,
                "mean_wall_concentration": 1000 - 100 * tail,
            },
        ),
        "salt_balance_error": jnp.asarray(1e-16),
        "steps": jnp.asarray(2, jnp.int32),
        "attempts": jnp.asarray(3, jnp.int32),
        "linear_iterations": jnp.asarray(40, jnp.int32),
        "depleted": jnp.asarray(True),
        "nearly_depleted": jnp.asarray(0.2),
        "result": dj.RESULTS.where(
            jnp.asarray(True), dj.RESULTS.successful, dj.RESULTS.nonfinite
        ),
        "cell": cell,
        "current": dj.ConstantCurrent(20 * mA / cm**2),
    }
    return dj.SandSolution(**(values | changes))


def check_same(a, b):
    """Same structure, statics included, and every leaf the same bit by bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    leaves = jax.tree_util.tree_leaves_with_path(a)
    for (path, x), y in zip(leaves, jax.tree.leaves(b), strict=True):
        assert type(x) is type(y), path
        assert x.dtype == y.dtype, path
        assert x.shape == y.shape, path
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes(), path


@pytest.fixture(scope="module")
def solution():
    return make_solution()


@pytest.fixture
def path(tmp_path, solution):
    io.save(solution, tmp_path / "solution.nc")
    return tmp_path / "solution.nc"


def test_round_trip_loses_nothing(solution, path):
    back = io.load(path)
    check_same(solution, back)
    assert back.cell.grid.pairing == solution.cell.grid.pairing
    assert back.message == solution.message
    assert bool(eqx.tree_equal(back.cell, solution.cell))


def test_round_trip_of_awkward_solutions(tmp_path):
    pulses = dj.PulsedCurrent(100.0, 0.01, 0.02)
    bath = make_cell(separator=None, counter_electrode="half_infinite")
    parts = [
        make_solution(depletion_time=None, result=dj.RESULTS.nonfinite, current=pulses),
        make_solution(
            time=jnp.asarray(jnp.inf),
            concentration=make_solution().concentration.at[0, 0, 0].set(jnp.nan),
            wall_concentration=make_solution().concentration.at[0, 0, 1].set(-jnp.inf),
        ),
        make_solution(
            cell=bath,
            concentration=jnp.ones(bath.grid.shape),
            wall_concentration=jnp.ones(bath.grid.shape),
            depletion_time=None,
        ),
    ]
    for part in parts:
        io.save(part, tmp_path / "part.nc")
        check_same(part, io.load(tmp_path / "part.nc"))


@pytest.mark.slow
def test_round_trip_in_float32(tmp_path, solution):
    def low(leaf):
        return leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf

    single = jax.tree.map(low, solution)
    io.save(single, tmp_path / "single.nc")
    check_same(single, io.load(tmp_path / "single.nc"))


def test_round_trip_of_scaffolds(tmp_path):
    scaffold = make_cell().scaffold
    io.save(scaffold, tmp_path / "scaffold.nc")
    check_same(scaffold, io.load(tmp_path / "scaffold.nc"))
    grid = scaffold.grid
    even = dj.Scaffold.homogenised(grid, 0.7, (1.5, 2.0, 3.0), 1e5)
    io.save(even, tmp_path / "even.nc")
    back = io.load(tmp_path / "even.nc")
    check_same(even, back)
    assert not back.resolved


def test_a_loaded_solution_goes_on_living(path, solution):
    back = io.load(path)
    again = dj.limiting_current(back.cell)
    assert float(again) == float(dj.limiting_current(solution.cell))


def test_structure_of_plain_values():
    values = {
        "floats": [1.0, float("inf"), -0.1, 5e-324],
        "others": (True, None, 3, "µ", (), []),
        "arrays": [np.arange(3), jnp.zeros((2, 0)), jnp.asarray(True)],
    }
    structure, arrays = encode(values)
    back = decode(
        json.loads(json.dumps(structure, allow_nan=False)), arrays.__getitem__
    )
    assert back["floats"] == values["floats"]
    assert back["others"] == values["others"]
    assert [type(x) for x in back["others"]] == [type(x) for x in values["others"]]
    check_same(back["arrays"], values["arrays"])
    assert np.isnan(decode(encode(float("nan"))[0], {}.__getitem__))


def test_outcomes_are_kept_by_their_names():
    """Another version may number them otherwise."""
    structure, arrays = encode(dj.RESULTS.nonfinite, "result")
    structure["names"] = structure["names"][::-1]
    flipped = {"result": np.asarray(0, np.int32)}
    back = decode(structure, flipped.__getitem__)
    assert bool(back == dj.RESULTS.nonfinite)
    assert arrays["result"] == len(structure["names"]) - 1


def test_every_part_of_a_solution_is_known():
    def parts(value):
        if dataclasses.is_dataclass(value):
            yield type(value)
            for field in dataclasses.fields(value):
                yield from parts(getattr(value, field.name))

    found = set(parts(make_solution())) - {type(dj.RESULTS.successful)}
    assert found <= set(CLASSES.values())


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (lambda: 0, "depojax's own classes, arrays and words, got a function"),
        ({"key": jax.random.key(0)}, "key: expected an array of numbers, got a random"),
        ([np.array(["a"])], "numbers of 32 or 64 bits"),
        (jnp.zeros(2, jnp.float16), "numbers of 32 or 64 bits"),
    ],
)
def test_what_no_file_can_hold_is_refused(value, sentence):
    with pytest.raises(ValueError, match=sentence):
        encode(value)


def test_dataset_has_units_words_and_places(solution):
    dataset = solution.to_xarray()
    for name, variable in dataset.variables.items():
        assert "long_name" in variable.attrs, name
        assert "units" in variable.attrs or name == "axis", name
    assert dataset.concentration.dims == ("x", "y", "z")
    assert dataset.time.values.tolist() == [0.0, 0.5, 1.25]
    assert dataset.lowest_wall_concentration.values.tolist() == [1000.0, 600.0, 0.0]
    assert np.allclose(dataset.x, (np.arange(6) + 0.5) * 4e-6, rtol=1e-14)
    widths = dataset.z_bounds[:, 1] - dataset.z_bounds[:, 0]
    assert np.allclose(widths, solution.cell.grid.widths[2], rtol=1e-9)
    assert dataset.time.attrs["standard_name"] == "time"
    wall = np.asarray(solution.cell.domain().wall_area) > 0
    assert np.array_equal(np.isnan(dataset.wall_concentration), ~wall)
    assert np.array_equal(dataset.concentration, solution.concentration)
    assert float(dataset.sand_time) == 1.25
    assert float(dataset.depletion_time.min()) == 1.25
    for name in ("depojax", "jax", "device", "created", "precision", "message"):
        assert dataset.attrs[name]
    given = json.loads(dataset.attrs["input"])
    assert given[0]["electrolyte"]["concentration"] == 1000.0
    assert given[1] == {"class": "ConstantCurrent", "current_density": 200.0}


def test_the_file_is_read_by_xarray_as_it_was_meant(path, solution):
    meant = io.to_xarray(solution)
    with xr.open_dataset(path) as found:
        for name in meant.variables:
            assert found[name].dims == meant[name].dims
            assert np.array_equal(
                found[name].values, meant[name].values,
                equal_nan=meant[name].dtype.kind == "f",
            ), name  # fmt: skip
        assert found.attrs["message"] == solution.message
        assert np.isinf(found.depletion_time).any()


def test_attributes_are_added(tmp_path, solution):
    io.save(solution, tmp_path / "a.nc", attributes={"input": "[sand]", "seed": 7})
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert file.input == "[sand]"
        assert file.seed == 7


def test_revision_is_that_of_the_checkout():
    revision = io.git_revision()
    assert revision == "" or len(revision.rstrip("+")) == 40
    assert io.provenance()["depojax"] == dj.__version__


def test_what_is_no_single_solution_is_refused(solution, tmp_path):
    with pytest.raises(ValueError, match="or Uncertainty, got int"):
        io.to_xarray(3)  # pyright: ignore[reportArgumentType]
    batch = eqx.tree_at(lambda s: s.time, solution, jnp.ones(2))
    with pytest.raises(ValueError, match=r"one solution, got a batch of \(2,\)"):
        io.save(batch, tmp_path / "batch.nc")
    assert not list(tmp_path.iterdir())

    def inside(time):
        traced = eqx.tree_at(lambda s: s.time, solution, time)
        io.to_xarray(traced)
        return time

    with pytest.raises(ValueError, match="a finished one, got a traced one"):
        jax.grad(inside)(1.0)


def test_what_is_no_file_of_ours_is_refused(tmp_path, path):
    with pytest.raises(FileNotFoundError, match=r"none\.nc: no such file"):
        io.load(tmp_path / "none.nc")
    with pytest.raises(ValueError, match="expected a file, got a folder"):
        io.load(tmp_path)
    (tmp_path / "words.nc").write_text("a solution")
    with pytest.raises(ValueError, match="not a netCDF file, or one that is cut off"):
        io.load(tmp_path / "words.nc")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc")
    with pytest.raises(ValueError, match=r"not one that depojax\.io\.save wrote"):
        io.load(tmp_path / "other.nc")
    with netCDF4.Dataset(path, "a") as file:
        file.depojax_format = 99
    with pytest.raises(ValueError, match=r"written in format 99 .* Update depojax"):
        io.load(path)


def test_files_that_are_cut_off_or_damaged_are_refused(tmp_path, path):
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9):
        cut = tmp_path / "cut.nc"
        cut.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(
            ValueError, match=r"cut\.nc: (not a netCDF|the file is bro)"
        ):
            io.load(cut)
    with netCDF4.Dataset(path) as file:
        bits = file["state/cell.scaffold.wall_distance"]
        assert bits.filters()["fletcher32"]


def edit_state(path, change):
    with netCDF4.Dataset(path, "a") as file:
        state = json.loads(file["state"].structure)
        change(state)
        file["state"].structure = json.dumps(state)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s["tree"].update({"class": "Popen"}), "a Popen, which this version"),
        (
            lambda s: s["tree"]["fields"].pop("time"),
            r"other fields in this.*\['time'\]",
        ),
        (lambda s: s["at"].pop("time"), "broken: .*time.* is missing"),
        (lambda s: s["at"].update(time="/nothing"), "broken: time cannot be read"),
    ],
)
def test_files_that_lie_are_refused(path, change, sentence):
    edit_state(path, change)
    with pytest.raises(ValueError, match=sentence):
        io.load(path)


def test_float64_is_not_cut_down_in_silence(path):
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match="hold float64, as the file does, got float32"),
    ):
        io.load(path)


def test_a_crash_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "deep" / "note.txt"
    with io.whole_file(target) as partial:
        partial.write_text("old")

    def crash():
        with io.whole_file(target) as partial:
            partial.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == ["note.txt"]
    with (
        pytest.raises(IsADirectoryError, match="deep is a folder"),
        io.whole_file(target.parent),
    ):
        pass


def test_folders_that_cannot_be_written_are_said(tmp_path, solution):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        io.save(solution, tmp_path / "file" / "solution.nc")


@pytest.mark.parametrize("suffix", ["vti", "vtr"])
def test_vtk_files_are_read_by_vtk(tmp_path, solution, suffix):
    pyvista = pytest.importorskip("pyvista")
    path = tmp_path / f"fields.{suffix}"
    io.to_vtk(solution, path)
    mesh = pyvista.read(path)
    shape = solution.cell.grid.shape
    assert tuple(n - 1 for n in mesh.dimensions) == shape
    assert np.allclose(mesh.bounds[1::2], solution.cell.grid.lengths, rtol=1e-12)
    for name in ("concentration", "pore_fraction", "depletion_time"):
        values = mesh.cell_data[name].reshape(shape, order="F")
        meant = io.to_xarray(solution)[name].values
        assert np.array_equal(values, meant, equal_nan=True)


def test_vtk_layout_without_vtk(tmp_path):
    """x runs fastest, each array after its length in bytes."""
    scaffold = make_cell().scaffold
    io.to_vtk(scaffold, tmp_path / "a.vti")
    head, _, data = (tmp_path / "a.vti").read_bytes().partition(b'encoding="raw">\n_')
    assert b'WholeExtent="0 6 0 5 0 8"' in head
    assert b'Name="pore_fraction" format="appended" offset="0"' in head
    assert int.from_bytes(data[:8], "little") == 6 * 5 * 8 * 8
    found = np.frombuffer(data[8 : 8 + 6 * 5 * 8 * 8], "<f8").reshape(8, 5, 6)
    assert np.array_equal(found.T, scaffold.pore_fraction)


def test_vtk_refusals(tmp_path, solution):
    with pytest.raises(ValueError, match=r"ends in \.vti or \.vtr, got a\.vtk"):
        io.to_vtk(solution, tmp_path / "a.vtk")
    with pytest.raises(ValueError, match="fields over x, y, z, got none"):
        io.to_vtk(xr.Dataset(), tmp_path / "a.vti")
    widths = [np.full(2, um), np.full(2, um), np.array([1.0, 1.1]) * um]
    stretched = dj.Scaffold.open(dj.Grid(widths))
    with pytest.raises(ValueError, match=r"widths along z .* Write a \.vtr file"):
        io.to_vtk(stretched, tmp_path / "a.vti")
    io.to_vtk(stretched, tmp_path / "a.vtr")
    assert (tmp_path / "a.vtr").exists()
