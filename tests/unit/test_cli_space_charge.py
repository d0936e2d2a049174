"""`depojax space-charge`: what it reads, what it refuses, and what it leaves."""

import json
import re
from inspect import signature
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from shell import ran_in

import depojax as dj
from depojax.cli import main
from depojax.cli import space_charge as command
from depojax.cli.arguments import parameters_of
from depojax.cli.cell_file import read_cell_file
from depojax.cli.cell_kinetics import OF_IONS
from depojax.cli.cell_parts import build_cell, build_scaffold, cell_arguments
from depojax.cli.new import EXAMPLES
from depojax.cli.quantities import ARGUMENT_UNITS
from depojax.cli.questions import space_charge_arguments
from depojax.units import FARADAY, GAS_CONSTANT

pytestmark = pytest.mark.usefixtures("own_folders")

CELL = """
[scaffold]
generator = "foil"
shape = [1, 1, 40]
voxel_size = "2.5 nm"

[electrolyte]
debye_length = "5 nm"

[[electrolyte.ions]]
name = "Li+"
charge = 1
diffusivity = "1e-5 cm^2/s"
concentration = "1 mM"

[[electrolyte.ions]]
name = "X-"
charge = -1
diffusivity = "1e-5 cm^2/s"
concentration = "1 mM"

[cell]
counter_electrode = "reservoir"

[space_charge]
voltage = ["-25 mV", "-1 V"]
"""
KEYS = {
    "message", "found", "voltage_V", "current_density_A_m2", "layer_thickness_m",
    "highest_field_V_m", "onset_time_s", "end_time_s", "charge_C_m2",
    "highest_dendrite_velocity_m_s", "limiting_current_A_m2",
    "lowest_concentration_mol_m3", "debye_length_m", "electroneutral", "points", "ions",
    "porosity", "metal_area_factor", "cells", "solves", "newton_steps",
    "linear_iterations", "precision", "device", "wall_time_s", "folder",
}  # fmt: skip


def write(old="", new="", text=CELL):
    assert old in text
    Path("cell.toml").write_text(text.replace(old, new))
    return read_cell_file("cell.toml")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The cell above from the command line: run folder, summary, stderr."""
    return ran_in(tmp_path_factory.mktemp("run"), "space-charge", CELL)


def test_the_run_folder_is_filled(ran):
    folder, summary, said = ran
    assert set(summary) == KEYS
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures", "input.toml", "last.nc", "solution.nc", "summary.json",
        "versions.json",
    ]  # fmt: skip
    assert (folder / "input.toml").read_text() == CELL
    assert json.loads((folder / "summary.json").read_text()) == summary
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert figures == {"current_voltage", "column_profile"}
    assert "curve of 2 voltages … " in said


def test_the_summary_says_what_happened(ran):
    """Below the limit the current of a neutral gap; beyond it more than its limit."""
    summary = ran[1]
    low, high = summary["points"]
    L, D, c0 = 100e-9, 1e-9, 1.0
    unit = FARADAY * D * c0 / L
    fall = np.exp(-0.025 * FARADAY / (GAS_CONSTANT * 298.15) / 2)
    assert low["current_density_A_m2"] == pytest.approx(2 * unit * (1 - fall), rel=0.03)
    assert high["current_density_A_m2"] > 2.2 * unit
    assert summary["current_density_A_m2"] == high["current_density_A_m2"]
    assert low["layer_thickness_m"] < 5e-9 < high["layer_thickness_m"] < L
    assert high["highest_field_V_m"] > 1.0 / L
    assert summary["message"] == "Steady states at 2 of 2 voltages."
    assert summary["end_time_s"] is None
    assert summary["debye_length_m"] == pytest.approx(5e-9)
    assert summary["found"]


def test_the_files_hold_the_curve_and_its_end(ran):
    folder, summary, _ = ran
    curve, last = dj.load(folder / "solution.nc"), dj.load(folder / "last.nc")
    assert isinstance(curve, dj.SpaceChargeCurve)
    assert isinstance(last, dj.SpaceCharge)
    assert curve.voltage.tolist() == [-0.025, -1.0]
    assert float(last.current_density) == summary["current_density_A_m2"]


def test_the_table_is_for_people(ran):
    said = command.table(ran[1])
    assert said.startswith("Steady states at 2 of 2 voltages.")
    assert re.search(r"-0\.025 V +\S+ mA/cm2 +\S+ nm +\S+ MV/m", said)
    assert re.search(r"Debye length +5 nm", said)


def test_a_run_is_told_by_its_end(ran):
    last = dj.load(ran[0] / "last.nc")
    assert command.summarise(last)["message"] == "A steady state."
    assert command.summarise(last)["points"] == []


def test_a_failed_solve_keeps_what_was_found(ran, monkeypatch, capsys):
    curve = dj.load(ran[0] / "solution.nc")

    def fails(cell, voltages, **question):
        assert question.pop("throw") is False
        return dj.SpaceChargeCurve(
            voltage=curve.voltage,
            current_density=curve.current_density.at[1].set(jnp.nan),
            layer_thickness=curve.layer_thickness,
            highest_field=curve.highest_field,
            newton_steps=curve.newton_steps,
            found=jnp.asarray([True, False]),
            last=curve.last,
        )

    monkeypatch.setattr(command, "space_charge_curve", fails)
    write()
    assert main(["space-charge", "cell.toml", "--json", "--no-figures"]) == 1
    said = capsys.readouterr()
    assert "1 of 2 voltages. What was computed is in run/cell" in said.err
    assert json.loads(said.out)["points"][1]["current_density_A_m2"] is None
    assert Path("run/cell/solution.nc").exists()


# What is wrong: what is replaced, by what, and what is said of it.
REFUSALS = {
    "key": (
        "voltage =",
        "voltag =",
        r"\[space_charge\] voltag: no argument .* Did you mean 'voltage'",
    ),
    "start": ("voltage =", "start =", r"start: no argument of \[space_charge\]"),
    "both": (
        "[space_charge]",
        "[space_charge]\ncurrent_density = 1.0",
        "voltage: expected a voltage or a current_density, got both",
    ),
    "curve in time": (
        "[space_charge]",
        '[space_charge]\nduration = "1 ms"',
        "duration: a list of voltages is a curve of steady states",
    ),
    "empty": ('["-25 mV", "-1 V"]', "[]", "expected at least one voltage"),
    "dimension": ('"-25 mV"', '"-25 mA"', 'voltage: expected a number in V.*"-25 mA"'),
    "bool": (
        "[space_charge]",
        "[space_charge]\nelectroneutral = 1",
        "electroneutral: expected true or false, got 1",
    ),
    "capacitance": (
        "[space_charge]",
        '[space_charge]\nstern_capacitance = "20 uF"',
        r"stern_capacitance: expected a number in F/m\^2",
    ),
    "steps": (
        "[space_charge]",
        "[numerics]\ntolerance = 1e-3\n[space_charge]",
        r"\[numerics\] tolerance: a steady state takes no time steps",
    ),
    "precision": (
        "[space_charge]",
        '[numerics]\nprecision = "float32"\n[space_charge]',
        "`space-charge` needs float64",
    ),
    "ion key": (
        'diffusivity = "1e-5 cm^2/s"',
        'difusivity = "1e-5 cm^2/s"',
        r"\[electrolyte\] difusivity: no argument of an ion. .*'diffusivity'",
    ),
    "ion without": ("charge = -1\n", "", "charge: missing; an ion needs name, charge"),
    "electrolyte key": (
        "debye_length",
        "debye_lenght",
        "debye_lenght: no argument of an electrolyte of ions. .*'debye_length'",
    ),
    "twice": (
        "[electrolyte]",
        "[electrolyte]\nrelative_permittivity = 30",
        "debye_length: it follows from relative_permittivity",
    ),
    "plated": ("[electrolyte]", '[electrolyte]\nplated = "Li"', "plated: .*'Li'.*Li+"),
    "neutral": ("charge = -1", "charge = -2", "charges that add up to zero"),
    "salt": (
        CELL[CELL.index("[electrolyte]") : CELL.index("[cell]")],
        '[electrolyte]\nname = "lipf6_ec_emc"\nconcentration = "1 M"\n',
        r"\[electrolyte\] ions: missing, such as \[\[electrolyte.ions\]\]",
    ),
    "kinetics": (
        "[space_charge]",
        '[kinetics]\nkind = "reversibel"\n[space_charge]',
        r"\[kinetics\] kind: .*'reversibel'. Did you mean 'reversible'",
    ),
    "question": (
        "[space_charge]\nvoltage",
        "[simulate]\nvoltage",
        r"\[simulate\], is for `depojax simulate`",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_bad_files_are_refused_in_one_line(case, capsys):
    old, new, sentence = REFUSALS[case]
    write(old, new)
    assert main(["space-charge", "cell.toml", "--out", "out"]) == 2
    said = capsys.readouterr()
    assert re.search(sentence, said.err), said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["sand", "simulate"])
def test_other_commands_want_a_salt(name, capsys):
    asked = {
        "sand": "[sand]\ncurrent_density = 1.0",
        "simulate": '[simulate]\nprotocol = "Rest for 1 s"',
    }
    write('[space_charge]\nvoltage = ["-25 mV", "-1 V"]', asked[name])
    assert main([name, "cell.toml"]) == 2
    assert "only `depojax space-charge` knows ions" in capsys.readouterr().err
    write('[space_charge]\nvoltage = ["-25 mV", "-1 V"]', "")
    assert main([name, "cell.toml"]) == 2
    assert f"[{name}] is missing" in capsys.readouterr().err


def test_every_argument_has_a_unit_or_is_a_switch():
    for name, parameter in parameters_of(dj.space_charge).items():
        if name in ("cell", "start", "steps", "progress", "throw"):
            continue
        assert name in ARGUMENT_UNITS or parameter.annotation is bool, name
    for name in signature(dj.MultiIonElectrolyte.__init__).parameters:
        words = ("self", "ions", "concentrations", "plated", "name", "reference")
        assert name in ARGUMENT_UNITS or name in words, name


def test_numbers_are_those_of_the_constructors():
    text = CELL.replace("charge = 1\n", 'charge = 1\ndiameter = "0.5 nm"\n')
    text = text.replace('debye_length = "5 nm"', 'temperature = 310\nplated = "Li+"')
    text = text.replace(
        'voltage = ["-25 mV", "-1 V"]',
        'current_density = "2 mA/cm^2"\nduration = "3 ms"\nfrumkin = false\n'
        'stern_capacitance = "20 uF/cm^2"\nfixed_charge = ["1 C/m^3", 3.0]\n'
        "[numerics]\ntolerance = 1e-3\n[kinetics]\n"
        'kind = "reversible"\nconcentration = "2 mM"',
    )
    file = write(text=text)
    parts = cell_arguments(file, ions=True)
    ions = parts["electrolyte"].ions
    assert float(ions[0].diameter) == 5e-10
    assert float(ions[1].diffusivity) == pytest.approx(1e-9)
    assert parts["electrolyte"].charges == (1, -1)
    assert float(parts["electrolyte"].temperature) == 310
    assert float(parts["electrolyte"].relative_permittivity) == pytest.approx(78.4)
    asked = space_charge_arguments(file)
    assert asked["current_density"] == pytest.approx(20.0)
    assert asked["duration"] == 3e-3
    assert asked["frumkin"] is False
    assert asked["stern_capacitance"] == pytest.approx(0.2)
    assert asked["steps"].tolerance == 1e-3
    assert asked["fixed_charge"].values.tolist() == [1.0, 3.0]
    cell = build_cell(file, build_scaffold(file), parts)
    assert isinstance(cell.kinetics, dj.Reversible)
    assert float(cell.kinetics.concentration) == 2.0


def test_kinetics_of_ions_are_for_ions(capsys):
    assert set(OF_IONS) == {"blocking", "reversible"}
    text = CELL.replace(
        "[space_charge]", '[kinetics]\nkind = "blocking"\n[space_charge]'
    )
    file = write(text=text)
    cell = build_cell(file, build_scaffold(file), cell_arguments(file, ions=True))
    assert isinstance(cell.kinetics, dj.Blocking)


def test_the_example_is_understood(capsys):
    assert main(["new", "--for", "space-charge"]) == 0
    assert "depojax space-charge cell.toml" in capsys.readouterr().out
    assert Path("cell.toml").read_text() == EXAMPLES["space-charge"]
    file = read_cell_file("cell.toml", "space_charge")
    assert len(space_charge_arguments(file)["voltage"]) == 4
    cell = build_cell(file, build_scaffold(file), cell_arguments(file, ions=True))
    # Where there is metal the cells resolve the double layer.
    assert float(cell.grid.widths[0][0]) < 2 * float(cell.ions.debye_length)


def test_a_second_bath_and_standard_potentials():
    row = 'concentration = "1 mM"\n'
    near = 'near_concentration = "5 mM"\n'
    text = CELL.replace(row, row + near)
    text = text.replace("charge = 1\n", 'charge = 1\nstandard_potential = "-3.04 V"\n')
    file = write(text=text)
    parts = cell_arguments(file, ions=True)
    assert np.asarray(parts["near_bath"].concentrations).tolist() == [5.0, 5.0]
    assert parts["near_bath"].names == ("Li+", "X-")
    assert float(parts["electrolyte"].ions[0].standard_potential) == -3.04
    cell = build_cell(file, build_scaffold(file), parts)
    assert cell.near_bath is not None
    assert not cell.plated_collector
    # An ion that is not named there is not in it: refused, for it leaves a charge.
    file = write(text=CELL.replace(row, row + near, 1))
    with pytest.raises(ValueError, match=r"electrolyte.*charges that add up to zero"):
        cell_arguments(file, ions=True)
    file = write(text=CELL.replace(row, row + 'near_concentration = "0 mM"\n'))
    with pytest.raises(ValueError, match="near_concentration: expected some salt"):
        cell_arguments(file, ions=True)


def test_a_neutral_current_beyond_the_limit_is_answered(capsys):
    asked = 'current_density = "1 A/cm^2"\nelectroneutral = true'
    write('voltage = ["-25 mV", "-1 V"]', asked)
    assert main(["space-charge", "cell.toml", "--json", "--no-figures"]) == 1
    said = capsys.readouterr()
    assert re.search(r"beyond the limiting current.*The limit is", said.err)
    summary = json.loads(said.out)
    known = 2 * FARADAY * 1e-9 / 100e-9
    assert summary["limiting_current_A_m2"] == pytest.approx(known, rel=1e-4)
