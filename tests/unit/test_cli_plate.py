"""`depojax plate` and `resume`: what they read, refuse and leave."""

import json
import re

import numpy as np
import pytest
from shell import said

import depojax as dj
from depojax.cli import plate as command
from depojax.cli.cell_file import read_cell_file
from depojax.cli.cell_growth import plate_arguments, with_nucleation
from depojax.cli.cell_parts import build_cell, build_scaffold, cell_arguments
from depojax.cli.new import EXAMPLES

CELL = """
[scaffold]
generator = "homogenised"
shape = [1, 1, 4]
voxel_size = "15 um"
porosity = 0.8
tortuosity_factor = 1.5
specific_area = "0.2 1/um"

[electrolyte]
name = "lipf6_ec_emc"
concentration = "1 M"

[cell]
metal = "lithium"
separator = { thickness = "10 um", cells = 2 }

[kinetics]
kind = "butler_volmer"
exchange_current_density = "1 mA/cm^2"

[growth]
area_law = "fibres"
closed = 0.05
[growth.loss]
rate = "1e-6 1/s"
share = 0.01

[nucleation]
nucleation_overpotential = ["-20 mV", "-200 mV"]
site_density = "1e9 1/cm^2"

[plate]
protocol = "Plate at 2 mA/cm2 until 1 mAh/cm2"
change = 0.1
double_layer_capacitance = "20 uF/cm^2"
stop_on_closure = false
"""


@pytest.fixture
def write(tmp_path):
    def written(text, name="cell.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def test_a_file_says_how_metal_grows(write):
    file = read_cell_file(write(CELL), "plate")
    asked = plate_arguments(file)
    growth = asked["growth"]
    assert growth.area_law == "fibres"
    assert float(growth.closed) == 0.05
    assert float(growth.loss.rate) == pytest.approx(1e-6)
    assert float(asked["windows"].change) == 0.1
    assert asked["double_layer_capacitance"] == pytest.approx(0.2)
    assert asked["stop_on_closure"] is False
    cell = build_cell(file, build_scaffold(file), cell_arguments(file))
    nucleation = with_nucleation(file, cell)["nucleation"]
    factors = np.asarray(nucleation.wetting_factor)
    assert factors.shape == (1, 1, 4)
    assert np.all(np.diff(factors[0, 0]) > 0)
    assert float(nucleation.site_density) == pytest.approx(1e13)


def test_the_example_is_a_cell():
    assert "[plate]" in EXAMPLES["plate"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('area_law = "fibres"', 'area_law = "fibre"', r"\[growth\] area_law.*'fibres'"),
        ("closed = 0.05", 'closed = "5 um"', r"\[growth\] closed"),
        ("rate =", "rates =", r"rates: no argument of \[growth.loss\]"),
        ("change = 0.1", "change = 4", r"\[plate\] change"),
        ("stop_on_closure = false", "stop_on_closure = 1", "true or false"),
        ("protocol =", "protocols =", r"protocols.*protocol"),
        ('site_density = "1e9 1/cm^2"', "rate = 1.0", r"\[nucleation\]"),
        ('metal = "lithium"\n', "", "metal: missing"),
        ("[plate]", "[plates]", r"\[plates\] is no known table"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(write, old, new, words):
    assert old in CELL
    code, _, err = said("plate", write(CELL.replace(old, new)), "--quiet")
    assert code == 2
    assert re.search(words, err), err


def test_a_folder_without_a_restart_point_is_refused(tmp_path):
    code, _, err = said("resume", tmp_path)
    assert code == 2
    assert "restart.nc to go on from" in err


@pytest.mark.slow
def test_a_run_leaves_its_folder_and_can_be_taken_up(tmp_path, write, monkeypatch):
    import depojax.problems.plating_run as plating_run

    path, folder = tmp_path / "cell.toml", tmp_path / "run"
    assert said("new", path, "--for", "plate")[0] == 0
    code, out, err = said("plate", path, "--out", folder, "--json", "--quiet")
    assert code == 0, err
    summary = json.loads(out)
    assert summary["ended_by"] == ["charge", "time", "stripped"]
    assert summary["faraday_mismatch"] < 1e-8
    assert summary["coulombic_efficiency"][0] == pytest.approx(1.0, abs=2e-3)
    assert (folder / "figures" / "fill_profile.png").is_file()
    assert not (folder / "restart.nc").exists()
    whole = dj.load(folder / "solution.nc")

    # The machine goes down once all is computed and nothing is written.
    def lost(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(plating_run, "_KEPT_EVERY", -1.0)
    monkeypatch.setattr(command, "told", lost)
    assert said("plate", path, "--out", folder, "--quiet")[0] == 130
    assert (folder / "restart.nc").is_file()
    assert not (folder / "solution.nc").exists()
    monkeypatch.undo()
    code, out, err = said("resume", folder, "--quiet")
    assert code == 0, err
    assert "All 3 steps are done" in out
    again = dj.load(folder / "solution.nc")
    assert again.ended_by == whole.ended_by
    np.testing.assert_allclose(again.step_charges, whole.step_charges, rtol=1e-3)


def asked_of(write, old, new):
    """The question and the nucleation of a file in which something was changed."""
    assert old in CELL
    file = read_cell_file(write(CELL.replace(old, new)), "plate")
    cell = build_cell(file, build_scaffold(file), cell_arguments(file))
    return plate_arguments(file), with_nucleation(file, cell)["nucleation"], cell


MEASURED = 'nucleation_overpotential = ["-20 mV", "-200 mV"]'


def test_a_file_names_its_substrate(write):
    _, found, cell = asked_of(write, MEASURED, 'substrate = "copper"')
    there = dj.substrates.copper.nucleation(cell.metal, site_density=1e13)
    assert float(found.wetting_factor) == float(there.wetting_factor)
    assert float(found.site_density) == pytest.approx(1e13)
    two = 'substrate = ["gold", "alumina"]\nshare = [0.0, 0.5]'
    _, graded, cell = asked_of(write, MEASURED, two)
    sites = np.asarray(graded.site_density)[0, 0]
    # Of cells' centres, 1/8 to 7/8 of the way, half of it alumina at the top.
    np.testing.assert_allclose(sites / 1e13, 1 - np.linspace(1, 7, 4) / 16, rtol=1e-6)


def test_a_file_says_what_films_take(write):
    more = '[plate.surface_loss]\ncharge = "100 C/m^2"\nrenewed = true\n'
    last = "stop_on_closure = false\n"
    asked, _, _ = asked_of(write, last, last + more)
    assert float(asked["surface_loss"].charge) == pytest.approx(100.0)
    assert asked["surface_loss"].renewed is True


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (MEASURED, 'substrate = "cooper"', r"\[nucleation\] substrate.*'copper'"),
        (MEASURED, 'substrate = "alumina"', "conducts electrons"),
        (MEASURED, 'substrate = ["gold"]\nshare = 0.5', "expected one, or two"),
        (MEASURED, MEASURED + "\nshare = 0.5", "share: of what"),
        (MEASURED, MEASURED + '\nsubstrate = "gold"', "not beside substrate"),
        ("change = 0.1", "surface_loss = 100.0", "table of its own"),
        ("change = 0.1", "surface_loss = { renewed = true }", "charge: missing"),
    ],
)
def test_what_is_wrong_with_substrate_and_films_is_said(write, old, new, words):
    code, _, err = said("plate", write(CELL.replace(old, new)), "--quiet")
    assert code == 2
    assert re.search(words, err), err
