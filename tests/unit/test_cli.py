"""The command line: what it reads, what it refuses in which words, what it leaves."""

import json
import os
import re
import subprocess
import sys
import tomllib
from inspect import signature
from pathlib import Path

import jax
import netCDF4
import numpy as np
import pytest

import depojax as dj
from depojax import io
from depojax._quantities import parse_unit
from depojax.cli import main
from depojax.cli.cell_file import read_cell_file
from depojax.cli.cell_parts import (
    build_electrolyte,
    build_scaffold,
    scaffold_arguments,
)
from depojax.cli.generators import GENERATORS
from depojax.cli.new import EXAMPLES
from depojax.cli.quantities import ARGUMENT_UNITS, parse_quantity
from depojax.cli.questions import sand_arguments, simulate_arguments
from depojax.cli.session import session, settings
from depojax.cli.words import InputError

pytestmark = pytest.mark.usefixtures("own_folders")

ROOT = Path(__file__).parents[2]
CELL = """
[scaffold]
generator = "gyroid"
shape = [8, 8, 8]
voxel_size = "4 um"
porosity = 0.8
period = "32 um"

[electrolyte]
name = "lipf6_ec_emc"
concentration = "1 M"

[cell]
metal = "lithium"
separator = "8 um"

[sand]
current_density = "200 mA/cm^2"
"""
KEYS = {
    "message", "depleted", "time_s", "capacity_C_m2", "location_m",
    "current_density_A_m2", "limiting_current_A_m2", "lowest_wall_concentration_mol_m3",
    "porosity", "closed_pore_fraction", "specific_area_1_m", "area_factor",
    "metal_area_factor", "cells", "salt_balance_error", "steps", "attempts",
    "linear_iterations", "precision", "device", "wall_time_s", "folder",
    "depleted_share", "nearly_depleted",
}  # fmt: skip


def write(text=CELL, name="cell.toml", **changes):
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    Path(name).write_text(text)
    return name


def swap(old, new):
    return {"change": (old, new)}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("20 mA/cm^2", 200.0),
        ("20 mA / cm**2", 200.0),
        ("20 mA cm^-2", 200.0),
        ("20 mA·cm⁻²", 200.0),
        ("2e-1 A/m^2", 0.2),
    ],
)
def test_unit_strings_are_read(words, value):
    assert parse_quantity(words, "current_density") == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("words", "argument", "value"),
    [
        ("2 um", "voxel_size", 2e-6),
        ("2µm", "voxel_size", 2e-6),
        (2e-6, "voxel_size", 2e-6),
        ("1 M", "concentration", 1000.0),
        ("3e-6 cm^2/s", "diffusivity", 3e-10),
        ("1 hour", "max_time", 3600.0),
        ("0.92", "porosity", 0.92),
        ("1 1/um", "specific_area", 1e6),
        ("10 ohm*cm^2", "film_resistance", 1e-3),
        ("10 Ω cm²", "counter_film_resistance", 1e-3),
        ("1e2 S/cm", "solid_conductivity", 1e4),
        ("1e4 S/m", "solid_conductivity", 1e4),
        ("1 mA/cm2", "exchange_current_density", 10.0),
        ("50 kJ/mol", "activation_energy", 5e4),
        ("0.3 eV", "reorganisation_energy", 0.3 * 1.602176634e-19),
    ],
)
def test_quantities_are_in_si(words, argument, value):
    assert parse_quantity(words, argument) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("words", "argument", "sentence"),
    [
        ("20 mA", "current_density", r'number in A/m\^2, .* got "20 mA"'),
        ("20 micron", "voxel_size", '"micron" is no known unit'),
        ("20", "voxel_size", 'expected a unit in the string "20"'),
        ("much", "porosity", 'expected a number without a unit, got "much"'),
        ("92 %", "porosity", '"%" is no unit'),
        (True, "porosity", "expected a number without a unit, got True"),
        ([1], "period", r"got \[1\]"),
        ("1 m; import os", "height", '"; import os" is no unit'),
        ("10 ohm", "film_resistance", 'such as "10 ohm\\*cm\\^2", got "10 ohm"'),
    ],
)
def test_quantities_refused(words, argument, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_quantity(words, argument)


def test_every_unit_can_be_written_with_its_dimension():
    constants = {"FARADAY", "GAS_CONSTANT", "BOLTZMANN", "AVOGADRO"}
    constants |= {"VACUUM_PERMITTIVITY", "ZERO_CELSIUS", "ROOM_TEMPERATURE"}
    for name, value in vars(dj.units).items():
        if isinstance(value, float) and name not in constants:
            assert parse_unit(name)[0] == value
    # What a volt is, from three sides.
    assert parse_unit("V A s")[1] == parse_unit("J")[1]
    assert parse_unit("ohm A")[1] == parse_unit("V")[1] == parse_unit("A/S")[1]


def test_every_generator_of_the_package_can_be_named():
    made = {
        name
        for name in dj.__all__
        if callable(getattr(dj, name))
        and not isinstance(getattr(dj, name), type)
        and signature(getattr(dj, name)).return_annotation is dj.Scaffold
    }
    assert made <= set(GENERATORS)


def test_every_number_of_a_generator_has_a_unit():
    read_otherwise = {
        "axes", "centers", "cut", "dtype", "fibres", "filaments", "image", "invert",
        "key", "layers", "pore", "shape", "sheets", "solid", "stagger", "trim",
        "periodic", "subdivision",
    }  # fmt: skip
    for name, make in GENERATORS.items():
        for argument, parameter in signature(make).parameters.items():
            if argument not in read_otherwise and parameter.annotation is not str:
                assert argument in ARGUMENT_UNITS, f"{name}: {argument}"


# What is wrong: what is replaced, by what, and what is said of it.
REFUSALS = {
    "table": ("[cell]", "[cel]", r"\[cel\] is no known table. Did you mean 'cell'"),
    "toml": ("[cell]", "[cell", "not valid TOML: .*line"),
    "no table": ("[sand]\n", "", r"table \[sand\] is missing"),
    "generator": ("gyroid", "gyriod", r"\[scaffold\] generator: .* mean 'gyroid'"),
    "generators": ('"gyroid"', '["gyroid"]', "generator: expected a word"),
    "kind": ("generator", "kind", 'Write generator = "gyroid"'),
    "key": (
        "porosity",
        "porsity",
        r"porsity: no argument of gyroid. .* mean 'porosity'",
    ),
    "missing": (
        "porosity = 0.8\n",
        "",
        r"\[scaffold\] porosity: missing; gyroid needs shape, voxel_size, porosity",
    ),
    "percent": ("0.8", "80", r"\[scaffold\] porosity: expected within .*got 80"),
    "word": (
        "0.8",
        '"high"',
        'a number without a unit, got "high"',
    ),
    "shape": ("[8, 8, 8]", "[8, 8]", "shape: expected three whole numbers"),
    "floats": ("[8, 8, 8]", "[8.0, 8, 8]", "shape: expected three whole numbers"),
    "length": ('"32 um"', '"32 mA"', r"\[scaffold\] period: expected a number in m"),
    "metres": (
        '"4 um"',
        "4",
        r"\[scaffold\] \w+: expected within .* with its unit",
    ),
    "electrolyte": (
        "ec_emc",
        "ec_emcc",
        r"\[electrolyte\] name: .*'lipf6_ec_emc",
    ),
    "name": ('"lipf6_ec_emc"', "6", r"\[electrolyte\] name: expected a word"),
    "range": ("1 M", "900 M", r"\[electrolyte\] concentration of lipf6_ec_emc"),
    "property": (
        '"1 M"',
        '"1 M"\ncharge = 1',
        "charge: no argument of the elec",
    ),
    "metal": ("lithium", "litium", r"\[cell\] metal: .*Did you mean 'lithium'"),
    "zinc": ("lithium", "zinc", r"\[cell\] metal: expected a metal whose ion"),
    "counter": (
        '"8 um"',
        '"8 um"\ncounter_electrode = "mettle"',
        r"\[cell\] counter_electrode: .*Did you mean 'metal'",
    ),
    "collector": (
        '"8 um"',
        '"8 um"\nplated_collector = 1',
        r"\[cell\] plated_collector: expected a bool",
    ),
    "separator": (
        '"8 um"',
        '{ thickness = "8 um", porocity = 0.5 }',
        r"\[cell\] porocity: no argument of a separator",
    ),
    "current": (
        '"200 mA',
        '"-200 mA',
        r"\[sand\] current_density: .*positive",
    ),
    "pulses": (
        '"200 mA/cm^2"',
        '{ current_density = 1.0, on_time = "1 s" }',
        r"\[sand\] off_time: missing; a pulsed current needs",
    ),
    "numerics": (
        "[sand]",
        "[numerics]\ntolerence = 1e-4\n[sand]",
        r"\[numerics\] tolerence: .*Did you mean 'tolerance'",
    ),
    "precision": (
        "[sand]",
        '[numerics]\nprecision = "double"\n[sand]',
        "precision: expected float64 or float32, got 'double'",
    ),
    "image": (
        'generator = "gyroid"\nshape = [8, 8, 8]\n',
        'generator = "image"\nimage = "none.tif"\n#',
        r"\[scaffold\] porosity: no argument of image",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_files_are_refused_in_one_line(case, capsys):
    old, new, sentence = REFUSALS[case]
    name = write(**swap(old, new))
    assert main(["sand", name, "--out", "out"]) == 2
    said = capsys.readouterr()
    assert re.search(sentence, said.err), said.err
    assert "depojax: error: " in said.err.splitlines()[-1]
    assert len(said.err.splitlines()) == 1 + said.err.count("…")
    assert said.out == ""
    assert not Path("out/summary.json").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "a command is missing"),
        (["sands"], "invalid choice: 'sands'"),
        (["sand"], "required: file. See `depojax sand --help`"),
        (["sand", "none.toml"], "none.toml: no such file. `depojax new none.toml`"),
        (["sand", "cell.toml", "--precision", "half"], "expected float64 or float32"),
        (["sand", "cell.toml", "--out", "full"], "a new, empty or run folder"),
        (["sand", "cell.toml", "--out", "full/note"], "expected a folder, got a file"),
        (["new", "cell.toml"], "exists already. Name another one, or add --force"),
        (["sand", "."], "cannot be read"),
    ],
)
def test_bad_commands_are_refused(words, sentence, capsys):
    write()
    Path("full").mkdir()
    Path("full/note").write_text("mine")
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
    assert Path("full/note").read_text() == "mine"


def test_tables_become_what_the_functions_take():
    text = CELL.replace("0.8", "[0.8, 0.7]").replace("lipf6_ec_emc", "mine")
    text = text.replace(
        '"1 M"', '"1 M"\ndiffusivity = 3e-10\ntransference_number = 0.3'
    )
    text = text.replace(
        '"200 mA/cm^2"', '{current_density=1, on_time="1 s", off_time=2}'
    )
    file = read_cell_file(write(text))
    name, arguments = scaffold_arguments(file)
    assert name == "gyroid"
    assert np.allclose(arguments["porosity"].values, [0.8, 0.7], rtol=1e-15)
    assert arguments["shape"] == (8, 8, 8)
    electrolyte = build_electrolyte(file)
    assert electrolyte.name == "mine"
    assert float(electrolyte.diffusivity) == 3e-10
    pulses = sand_arguments(file)["current_density"]
    assert float(pulses.mean) == pytest.approx(1 / 3, rel=1e-15)


def test_electrolyte_from_its_ions():
    text = CELL.replace('name = "lipf6_ec_emc"\n', "cation_diffusivity = 1e-10\n")
    file = read_cell_file(
        write(text.replace('"1 M"', '"1 M"\nanion_diffusivity = 3e-10'))
    )
    assert float(build_electrolyte(file).diffusivity) == pytest.approx(1.5e-10)


def test_image_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    image = np.ones((4, 4, 4), bool)
    image[1:3, 1:3, :2] = False
    np.save("deep/block.npy", image)
    text = 'generator = "image"\nimage = "block.npy"\nvoxel_size = "4 um"\ncut = false'
    text = f"[scaffold]\n{text}\n[electrolyte]\n[sand]\n"
    absent = read_cell_file(write(text.replace("block", "none"), "absent.toml"))
    with pytest.raises(InputError, match=r"absent\.toml: \[scaffold\] .*none\.npy"):
        build_scaffold(absent)
    scaffold = build_scaffold(read_cell_file(write(text, "deep/cell.toml")))
    assert float(scaffold.porosity) == pytest.approx(56 / 64)


def test_homogenised_profile():
    text = CELL.replace('"gyroid"', '"homogenised"').replace("0.8", "[0.9, 0.5]")
    text = text.replace(
        'period = "32 um"', 'tortuosity_factor = 2\nspecific_area = "1 1/um"'
    )
    scaffold = build_scaffold(read_cell_file(write(text)))
    assert float(scaffold.porosity) == pytest.approx(0.7)
    assert float(scaffold.specific_area) == pytest.approx(1e6)


def test_sand_fills_a_run_folder(capsys):
    name = write(**swap("[sand]", "[sand]\nrun_on = 1.5"))
    assert main(["sand", name, "--json"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert set(summary) == KEYS
    assert summary["depleted"]
    assert 0 < summary["time_s"] < np.inf
    assert summary["porosity"] == pytest.approx(0.8, abs=1e-3)
    assert "scaffold gyroid … " in said.err
    assert sorted(p.name for p in Path("run/cell").iterdir()) == [
        "figures", "input.toml", "solution.nc", "summary.json", "versions.json",
    ]  # fmt: skip
    assert Path("run/cell/input.toml").read_text() == Path(name).read_text()
    assert json.loads(Path("run/cell/summary.json").read_text()) == summary
    assert json.loads(Path("run/cell/versions.json").read_text())["depojax"]
    figures = {path.stem for path in Path("run/cell/figures").glob("*.png")}
    assert figures == {"slices", "depth_profile", "wall_history", "depletion_map"}
    solution = io.load("run/cell/solution.nc")
    assert float(solution.time) == summary["time_s"]
    assert float(solution.capacity) == summary["capacity_C_m2"]
    with netCDF4.Dataset("run/cell/solution.nc") as file:
        assert tomllib.loads(file.input) == tomllib.loads(Path(name).read_text())

    # The same cell below its limiting current, into the same folder.
    name = write(**swap('"200 mA/cm^2"', str(0.5 * summary["limiting_current_A_m2"])))
    assert main(["sand", name, "--quiet", "--no-figures"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "No depletion, ever" in said.out
    assert "never, or later" in said.out
    left = json.loads(Path("run/cell/summary.json").read_text())
    assert left["time_s"] is None
    assert left["capacity_C_m2"] is None
    assert not left["depleted"]
    assert not Path("run/cell/figures").exists()

    # A current for which the grid is too coarse: the solve fails, in words.
    name = write(**swap('"200 mA/cm^2"', '"200 A/cm^2"'))
    assert main(["sand", name, "--quiet", "--no-figures"]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("depojax: error: The event has happened before")
    assert not Path("run/cell/solution.nc").exists()


def test_a_command_leaves_jax_as_it_was(tmp_path):
    names = ["jax_compilation_cache_dir", "jax_enable_x64"]
    before = settings(names)
    with session("float64"):
        folder = str(tmp_path / "cache" / "depojax")
        assert settings(names) == {names[0]: folder, names[1]: True}
    assert settings(names) == before


def test_new_writes_a_file_that_can_be_run(capsys):
    assert main(["new"]) == 0
    assert Path("cell.toml").read_text() == EXAMPLES["sand"]
    file = read_cell_file("cell.toml")
    assert scaffold_arguments(file)[0] == "foam"
    assert float(sand_arguments(file)["current_density"].current_density) > 0
    assert build_electrolyte(file).name.startswith("lipf6_ec_emc")
    Path("cell.toml").write_text("")
    assert main(["new", "--force"]) == 0
    assert Path("cell.toml").read_text() == EXAMPLES["sand"]


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.toml")), ids=str)
def test_experiments_are_understood(path):
    file = read_cell_file(path)
    assert scaffold_arguments(file)[0] in GENERATORS
    assert build_electrolyte(file).concentration > 0
    if "sand" in file.given:
        assert sand_arguments(file)["current_density"].mean > 0
    else:
        assert len(simulate_arguments(file)["protocol"]) > 0


def test_info_says_what_runs(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["depojax"] == dj.__version__
    assert facts["jax"] == jax.__version__
    assert facts["devices"]
    assert facts["cache"].endswith("cache/depojax")
    assert main(["info"]) == 0
    assert dj.__version__ in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"depojax {dj.__version__}\n"


def test_float32_in_a_process_of_its_own(tmp_path):
    foil = CELL.replace("gyroid", "foil").replace("[8, 8, 8]", "[1, 1, 16]")
    name = write(foil.replace('porosity = 0.8\nperiod = "32 um"\n', ""))
    words = ["sand", name, "--precision", "float32", "--json"]
    call = "import sys; from depojax.cli import main; sys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", call, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["precision"] == "float32"
    # Sand's equation with the far side too far to be felt within that time.
    file = read_cell_file(name)
    electrolyte = build_electrolyte(file)
    rate = 2000.0 * float(electrolyte.salt_flux_per_current)
    D, c0 = float(electrolyte.diffusivity), 1000.0
    assert summary["time_s"] == pytest.approx(
        np.pi * D / 4 * (c0 / rate) ** 2, rel=0.02
    )
    with netCDF4.Dataset("run/cell/solution.nc") as file:
        assert file["concentration"].dtype == np.float32
    figures = {path.stem for path in Path("run/cell/figures").glob("*.png")}
    assert figures == {"depth_profile", "wall_history"}


@pytest.fixture
def scan(tmp_path):
    """A raw file of a slab that fills half of the footprint, solid 200, pore 10."""
    grey = np.full((8, 6, 10), 10, np.uint8)
    grey[:4] = 200
    path = tmp_path / "slab.raw"
    grey.tofile(path)
    words = ["tortuosity", str(path), "--voxel-size", "2e-6", "--shape", "8,6,10"]
    return [*words, "--dtype", "uint8", "--axes", "xyz", "--voxels"]


def test_tortuosity_of_a_scan(scan, capsys, tmp_path):
    out = tmp_path / "field.nc"
    phase = ["--threshold", "90", "--solid", "above"]
    assert main([*scan, *phase, "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tortuosity_factor"] == pytest.approx(1)
    assert found["effective_diffusivity"] == pytest.approx(0.5)
    assert found["porosity"] == pytest.approx(0.5)
    assert found["percolates"] is True
    again = dj.load(out)
    assert isinstance(again, dj.Tortuosity)
    assert float(again.effective_diffusivity) == found["effective_diffusivity"]
    with netCDF4.Dataset(out) as file:
        assert file["field"].units == "1"


def test_tortuosity_across_the_slab_and_its_map(scan, capsys, tmp_path):
    labels = ["--pore", "10"]
    assert main([*scan, *labels, "--axis", "x"]) == 0
    assert "does not percolate along x" in capsys.readouterr().out
    out = tmp_path / "map.nc"
    assert main([*scan, *labels, "--map", "4", "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["windows"] == [2, 2, 3]
    assert found["blocked_windows"] == 6
    assert isinstance(dj.load(out), dj.TortuosityMap)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--solid", "1,b"], "--solid: expected whole numbers such as 0 or 0,2"),
        ([], "expected which voxels are pore, got none of them"),
        (["--pore", "10", "--phase", "void"], "--phase: expected pore or solid"),
        (["--pore", "10", "--stride", "2"], "--stride: expected together with --map"),
        (["--pore", "10", "--map", "9"], "window: expected at most"),
        (["--pore", "10", "--axis", "w"], 'axis: expected one of "x", "y", "z"'),
        (["--pore", "10", "--precision", "half"], "expected float64 or float32"),
    ],
)
def test_tortuosity_refusals(scan, capsys, words, said):
    assert main([*scan, *words]) == 2
    assert said in capsys.readouterr().err
