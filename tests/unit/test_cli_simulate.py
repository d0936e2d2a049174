"""`depojax simulate`: what it reads, what it refuses, and what it leaves."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from shell import ran_in

import depojax as dj
from depojax.cli import main
from depojax.cli import simulate as command
from depojax.cli.arguments import parameters_of
from depojax.cli.cell_file import read_cell_file
from depojax.cli.cell_kinetics import KINETICS, build_kinetics
from depojax.cli.cell_parts import build_cell, build_scaffold, cell_arguments
from depojax.cli.new import EXAMPLES
from depojax.cli.quantities import ARGUMENT_UNITS
from depojax.cli.questions import simulate_arguments

pytestmark = pytest.mark.usefixtures("own_folders")

CELL = """
[scaffold]
generator = "homogenised"
shape = [1, 1, 8]
voxel_size = "5 um"
porosity = 0.8
tortuosity_factor = 1.5
specific_area = "0.2 1/um"
wall_distance = "1 um"

[electrolyte]
name = "lipf6_ec_emc"
concentration = "1 M"

[cell]
separator = "10 um"
film_resistance = "10 ohm*cm^2"

[kinetics]
kind = "butler_volmer"
exchange_current_density = "1 mA/cm^2"

[simulate]
protocol = ["Plate at 2 mA/cm2 for 90 s", "Rest for 60 s"]
"""
KEYS = {
    "message", "ended_by", "time_s", "voltage_V", "capacity_C_m2",
    "lowest_wall_concentration_mol_m3", "highest_local_current_density_A_m2",
    "charge_imbalance", "steps", "porosity", "area_factor", "metal_area_factor",
    "cells", "time_steps", "newton_steps", "linear_iterations", "precision", "device",
    "wall_time_s", "folder",
}  # fmt: skip
STEP_KEYS = {
    "step", "ended_by", "time_s", "charge_C_m2", "voltage_V", "voltage_parts_V",
    "current_density_A_m2", "mean_local_current_density_A_m2",
    "highest_local_current_density_A_m2", "lowest_wall_concentration_mol_m3",
}  # fmt: skip


def write(old="", new="", text=CELL):
    assert old in text
    Path("cell.toml").write_text(text.replace(old, new))
    return read_cell_file("cell.toml")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The cell above from the command line: run folder, summary, stderr."""
    return ran_in(tmp_path_factory.mktemp("run"), "simulate", CELL)


def test_the_run_folder_is_filled(ran):
    folder, summary, said = ran
    assert set(summary) == KEYS
    assert {frozenset(step) for step in summary["steps"]} == {frozenset(STEP_KEYS)}
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures", "input.toml", "solution.nc", "summary.json", "versions.json",
    ]  # fmt: skip
    assert (folder / "input.toml").read_text() == CELL
    assert json.loads((folder / "summary.json").read_text()) == summary
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert figures == {"voltage", "current_distribution"}
    assert "protocol of 2 steps … " in said


def test_the_summary_says_what_happened(ran):
    summary = ran[1]
    plate, rest = summary["steps"]
    assert summary["ended_by"] == ["time", "time"]
    assert plate["step"] == "Plate at 2 mA/cm2 for 90 s"
    # 20 A m⁻² for 90 s.
    assert plate["charge_C_m2"] == pytest.approx(1800.0, rel=1e-9)
    assert summary["capacity_C_m2"] == pytest.approx(1800.0, rel=1e-6)
    assert summary["time_s"] == pytest.approx(150.0, rel=1e-12)
    parts = plate["voltage_parts_V"]
    assert sum(parts.values()) == pytest.approx(plate["voltage_V"], rel=1e-6)
    # Nearly even on 8 m² of host and 0.8 of collector per m² of footprint.
    even = 20.0 / summary["metal_area_factor"]
    assert summary["metal_area_factor"] == pytest.approx(8.8, rel=1e-6)
    mean = plate["mean_local_current_density_A_m2"]
    assert mean == pytest.approx(even, rel=1e-6)
    assert mean < plate["highest_local_current_density_A_m2"] < 2 * mean
    # The film takes at least what an even current would.
    assert -1.5 * 1e-3 * even < parts["film"] < -1e-3 * even
    assert rest["current_density_A_m2"] == pytest.approx(0.0, abs=1e-6)
    assert set(rest["voltage_parts_V"].values()) == {0.0}
    lowest = summary["lowest_wall_concentration_mol_m3"]
    assert lowest <= plate["lowest_wall_concentration_mol_m3"] < 1000
    assert summary["charge_imbalance"] < 1e-6


def test_the_file_holds_the_run(ran):
    folder, summary, _ = ran
    run = dj.load(folder / "solution.nc")
    assert isinstance(run, dj.Simulation)
    assert float(run.end_time) == summary["time_s"]
    assert float(run.final_voltage) == summary["voltage_V"]
    assert list(run.ended_by) == summary["ended_by"]
    assert [str(step) for step in run.protocol] == [
        "Plate at 2 mA/cm2 for 90 s",
        "Rest for 1 min",
    ]
    data = dj.io.to_xarray(run)
    step = data["step_voltage_part"].sel(part="film").values
    assert step[0] == summary["steps"][0]["voltage_parts_V"]["film"]
    assert data["step_charge"].values[0] == summary["steps"][0]["charge_C_m2"]


def test_the_table_is_for_people(ran):
    said = command.table(ran[1])
    assert said.startswith("All 2 steps are done, after 150 s.")
    assert "1. Plate at 2 mA/cm2 for 90 s\n  ended by" in said
    assert re.search(r"after +90 s, 0\.05 mAh/cm2", said)
    assert re.search(r"of which +.*film -\d", said)
    assert said.count("of which") == 1
    many = ran[1] | {"steps": ran[1]["steps"] * 10}
    assert "… 8 steps, in summary.json …" in command.table(many)


def test_a_failed_solve_keeps_what_was_computed(ran, monkeypatch, capsys):
    partial = dj.load(ran[0] / "solution.nc")

    def fails(cell, **question):
        raise dj.SolveError("Newton's method did not converge.", partial)

    monkeypatch.setattr(command, "simulate", fails)
    write()
    assert main(["simulate", "cell.toml", "--json", "--no-figures"]) == 1
    said = capsys.readouterr()
    assert "did not converge. What was computed until 150 s is in run/cell" in said.err
    summary = json.loads(said.out)
    assert summary["message"].startswith("Newton's method did not converge")
    assert json.loads(Path("run/cell/summary.json").read_text()) == summary
    kept = dj.load("run/cell/solution.nc")
    assert np.array_equal(kept.voltage, partial.voltage)


# What is wrong: what is replaced, by what, and what is said of it.
REFUSALS = {
    "kind": (
        "butler_volmer",
        "butler_volmr",
        r"\[kinetics\] kind: .*'butler_volmr'. Did you mean 'butler_volmer'",
    ),
    "no kind": (
        'kind = "butler_volmer"\n',
        "",
        r"\[kinetics\] kind: missing. Known: butler_volmer, linear, marcus",
    ),
    "argument": (
        "exchange_current_density",
        "exchange_current",
        "exchange_current: no argument of butler_volmer. Did you mean",
    ),
    "i0": (
        'exchange_current_density = "1 mA/cm^2"',
        "",
        "exchange_current_density: missing; butler_volmer needs",
    ),
    "dimension": ('"1 mA/cm^2"', '"1 mA"', r"in A/m\^2, .* got \"1 mA\""),
    "law": (
        '"butler_volmer"',
        '"marcus"\nexponnt = 1',
        r"exponnt: no argument of marcus\. Did you mean 'exponent'",
    ),
    "sub-table": (
        'film_resistance = "10 ohm*cm^2"',
        'kinetics = "tafel"',
        r"\[cell\] kinetics: write it as a table of its own, \[kinetics\]",
    ),
    "film": ("10 ohm*cm^2", "10 ohm", r"\[cell\] film_resistance: .*ohm\*m\^2"),
    "film part": (
        '"10 ohm*cm^2"',
        '{ thickness = "20 nm", conductivity = 1 }',
        "conductivity: no argument of a film. Did you mean 'ionic_conductivity'",
    ),
    "cell": ("film_resis", "film_rezis", r"\[cell\] film_rezistance: .*Did you mean"),
    "counter": (
        "[simulate]",
        '[counter_kinetics]\nkind = "tafel"\n'
        "exchange_current_density = [1.0, 2.0]\n[simulate]",
        r"\[counter_kinetics\] exchange_current_density: expected one number",
    ),
    "precision": (
        "[simulate]",
        '[numerics]\nprecision = "float32"\n[simulate]',
        r"\[numerics\] precision: `simulate` needs float64, got 'float32'",
    ),
    "tolerance": (
        "[simulate]",
        "[numerics]\nlinear_tolerance = 1e-6\n[simulate]",
        r"linear_tolerance: no argument of \[numerics\]. Did you mean 'tolerance'",
    ),
    "question": (
        "[simulate]",
        "[sand]",
        r"\[simulate\] is missing. What it has, \[sand\], is for `depojax sand`",
    ),
    "protocol": ("protocol", "protokoll", "protokoll: no argument .*mean 'protocol'"),
    "no protocol": (
        'protocol = ["Plate at 2 mA/cm2 for 90 s", "Rest for 60 s"]',
        "",
        r'\[simulate\] protocol: missing, such as protocol = \["Plate at',
    ),
    "numbers": (
        '["Plate at 2 mA/cm2 for 90 s", "Rest for 60 s"]',
        "[1, 2]",
        r"protocol: expected a sentence or a list of them, got \[1, 2\]",
    ),
    "conductivity": (
        'name = "lipf6_ec_emc"',
        "diffusivity = 3e-10\ntransference_number = 0.4",
        r"\[electrolyte\] electrolyte: expected a known conductivity",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_files_are_refused_in_one_line(case, capsys):
    old, new, sentence = REFUSALS[case]
    Path("cell.toml").write_text(CELL.replace(old, new))
    assert old in CELL
    assert main(["simulate", "cell.toml", "--out", "out"]) == 2
    said = capsys.readouterr()
    assert re.search(sentence, said.err), said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert not Path("out").exists()


def test_a_sentence_that_is_no_step_is_shown_with_its_place(capsys):
    write("Plate at 2 mA/cm2", "Plate at 2 mA")
    assert main(["simulate", "cell.toml"]) == 2
    first, sentence, mark, why = capsys.readouterr().err.splitlines()
    assert first == "depojax: error: cell.toml: [simulate] this is no step:"
    place = slice(sentence.index("2 mA"), sentence.index("2 mA") + 4)
    assert mark == " " * place.start + "^^^^"
    assert why.startswith('expected a current density such as "1 mA/cm2", got "2 mA"')


def test_a_file_for_both_commands(capsys):
    both = "[sand]\ncurrent_density = 1.0\n[numerics]\nlinear_tolerance = 1e-6\n"
    file = write("[simulate]", both + "max_steps = 7\n[simulate]")
    assert simulate_arguments(file)["steps"].max_steps == 7
    assert main(["sand", "none.toml"]) == 2
    write("[simulate]", "[sand]")
    assert main(["sand", "cell.toml"]) == 2
    assert "[sand] current_density: missing" in capsys.readouterr().err


def test_every_argument_of_kinetics_has_a_unit():
    for kind, make in KINETICS.items():
        for argument in parameters_of(make):
            assert argument in ARGUMENT_UNITS, f"{kind}: {argument}"


ARGUMENTS = {
    "butler_volmer": ("cathodic_transfer = 0.4", {"cathodic_transfer": 0.4}),
    "linear": ('activation_energy = "50 kJ/mol"', {"activation_energy": 5e4}),
    "marcus": (
        'reorganisation_energy = "0.3 eV"',
        {"reorganisation_energy": 0.3 * dj.units.eV},
    ),
    "marcus_hush_chidsey": (
        'reorganisation_energy = "0.3 eV"\nexponent = 1',
        {"reorganisation_energy": 0.3 * dj.units.eV, "exponent": 1.0},
    ),
    "tafel": (
        'reference_concentration = "0.5 M"',
        {"reference_concentration": 500.0},
    ),
}


@pytest.mark.parametrize("kind", KINETICS)
def test_kinetics_are_those_of_their_constructor(kind):
    line, arguments = ARGUMENTS[kind]
    file = write('"butler_volmer"', f'"{kind}"\n{line}')
    assert build_kinetics(file, "counter_kinetics") is None
    made = build_kinetics(file, "kinetics")
    expected = KINETICS[kind](10.0, **arguments)
    assert type(made) is type(expected)
    pairs = zip(jax.tree.leaves(made), jax.tree.leaves(expected), strict=True)
    assert all(float(a) == pytest.approx(float(b), rel=1e-14) for a, b in pairs)


def test_lists_are_profiles_and_films_may_be_tables():
    text = CELL.replace('"1 mA/cm^2"', '["1 mA/cm^2", 50.0]')
    text = text.replace(
        '"10 ohm*cm^2"',
        '{ thickness = "20 nm", ionic_conductivity = "1e-8 S/cm" }\n'
        'counter_film_resistance = "5 ohm*cm^2"\n'
        'initial_deposit = "1 mAh/cm^2"\n'
        'solid_conductivity = ["1 S/cm", "3 S/cm"]',
    )
    file = write(text=text)
    cell = build_cell(file, build_scaffold(file), cell_arguments(file))
    heights = (np.arange(8) + 0.5) / 8
    assert cell.kinetics is not None
    i0 = cell.kinetics.exchange_current_density.value
    assert i0.shape == (1, 1, 8)
    assert np.allclose(i0[0, 0], 10 + 40 * heights, rtol=1e-12)
    assert np.allclose(cell.solid_conductivity[0, 0], 100 + 200 * heights, rtol=1e-12)
    assert float(cell.film_resistance) == pytest.approx(0.02)
    assert float(cell.collector_film_resistance) == pytest.approx(0.02)
    assert float(cell.initial_deposit) == pytest.approx(36e3)
    assert float(cell.counter_film_resistance) == pytest.approx(5e-4)


def test_films_may_grow():
    table = (
        '{ thickness = "20 nm", ionic_conductivity = 1e-6, volume_per_charge = 1e-12 }'
    )
    file = write('"10 ohm*cm^2"', table)
    cell = build_cell(file, build_scaffold(file), cell_arguments(file))
    assert isinstance(cell.film_resistance, dj.Film)
    assert float(cell.film_resistance.volume_per_charge) == 1e-12


def test_the_example_is_understood(capsys):
    assert main(["new", "--for", "simulate"]) == 0
    assert "depojax simulate cell.toml" in capsys.readouterr().out
    assert Path("cell.toml").read_text() == EXAMPLES["simulate"]
    file = read_cell_file("cell.toml", "simulate")
    assert len(simulate_arguments(file)["protocol"]) == 2
    cell = build_cell(file, build_scaffold(file), cell_arguments(file))
    assert isinstance(cell.kinetics, dj.ButlerVolmer)


def test_a_protocol_in_lines():
    lines = '"""\nPlate at 2 mA/cm2 for 90 s\nrepeat 3 times: Rest for 60 s\n"""'
    file = write('["Plate at 2 mA/cm2 for 90 s", "Rest for 60 s"]', lines)
    assert len(simulate_arguments(file)["protocol"]) == 4
