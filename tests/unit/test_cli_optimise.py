"""`depojax optimise`: a design file, its run folder, going on, refusals."""

import json
import tomllib

import numpy as np
import pytest

import depojax as dj
from depojax.cli import main
from depojax.cli.new import EXAMPLES
from depojax.cli.toml_text import as_toml

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

[design.scaffold.porosity]
low = 0.7
high = 0.97
n = 4
keep_mean = true

[design."electrolyte.concentration"]
low = "0.5 M"
high = "1.5 M"

[objective.limiting_current]
per = 1000

[objective.host_mass]
density = 8960
per = 1.0

[constraints.salt]
of = "specific_area"
at_most = 1e6

[optimise]
optimizer = "adam"
learning_rate = 0.1
steps = 2
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two steps, and one that goes on from it for one more."""
    folder = tmp_path_factory.mktemp("optimise")
    path = folder / "design.toml"
    path.write_text(FILE)
    words = ["optimise", str(path), "--quiet", "--out", str(folder / "run")]
    assert main(words) == 0
    first = dj.load(folder / "run" / "solution.nc")
    # `resume` asks `optimise` the same question again: both go on, and for longer.
    (folder / "run" / "input.toml").write_text(FILE.replace("steps = 2", "steps = 3"))
    assert main(["resume", str(folder / "run"), "--quiet"]) == 0
    return folder, first


def test_the_folder_holds_history_best_design_and_figures(run):
    folder = run[0] / "run"
    summary = json.loads((folder / "summary.json").read_text())
    found = dj.load(folder / "solution.nc")
    told = summary["objectives"]
    assert told["limiting current"]["after"] > told["limiting current"]["before"]
    assert summary["loss"] == float(found.loss) < summary["loss_before"]
    assert len(summary["design"]["scaffold.porosity"]) == 4
    assert set(summary["multipliers"]) == {"salt"}
    for name in ("convergence", "design"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 1000
    best = tomllib.loads((folder / "best.toml").read_text())
    assert best["scaffold"]["porosity"] == summary["design"]["scaffold.porosity"]
    assert 500 < best["electrolyte"]["concentration"] < 1500
    # the mean over the layers stays, not only that of the numbers
    assert summary["host"]["porosity"] == pytest.approx(0.9, rel=1e-12)
    assert not {"design", "objective", "constraints", "optimise"} & set(best)


def test_it_goes_on_where_it_was_ended(run):
    folder, first = run
    whole = dj.load(folder / "run" / "solution.nc")
    assert (first.steps, whole.steps) == (2, 3)
    np.testing.assert_array_equal(whole.history["loss"][:3], first.history["loss"])
    # another question begins anew
    assert whole.evaluations == first.evaluations + 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("low = 0.7\n", "lowest = 0.7\n", "Did you mean 'low'"),
        ("[design.scaffold.porosity]", "[design.scaffold.porsity]", "expected a start"),
        ("low = 0.7\n", "low = 0.92\n", "strictly between"),
        ('low = "0.5 M"', 'low = "0.5 um"', "expected a number in mol/m^3"),
        ("limiting_current]", "limited_current]", "Did you mean 'limiting_current'"),
        ("density = 8960", "densities = 8960", "Did you mean 'density'"),
        ("density = 8960\n", "", "host_mass needs density"),
        ('of = "specific_area"', 'of = "specific_aera"', "'specific_area'"),
        ("at_most = 1e6", "", "one of equal=, at_most= and at_least="),
        ('"adam"', '"adams"', "Did you mean 'adam'"),
        ("steps = 2", "steps = 2.5", "expected a whole number"),
        ("steps = 2", "step = 2", "Did you mean 'steps'"),
        ("[optimise]", "[optimize]", "Did you mean 'optimise'"),
    ],
)
def test_refusals(tmp_path, capsys, old, new, words):
    path = tmp_path / "design.toml"
    path.write_text(FILE.replace(old, new))
    code = main(["optimise", str(path), "--quiet", "--out", str(tmp_path / "run")])
    assert code == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_examples_are_what_the_readers_of_files_understand(tmp_path):
    from depojax.cli.cell_file import read_cell_file
    from depojax.cli.design_file import free_parts, objective_of
    from depojax.cli.sweep import asked

    for question in ("optimise", "sweep"):
        path = tmp_path / f"{question}.toml"
        assert main(["new", str(path), "--for", question]) == 0
        assert path.read_text() == EXAMPLES[question]
    design = read_cell_file(tmp_path / "optimise.toml", "optimise")
    assert list(free_parts(design)) == ["scaffold.porosity"]
    assert objective_of(design).sense == "minimise"
    assert asked(read_cell_file(tmp_path / "sweep.toml", "sweep"))[0] == "sand"


def test_counts_of_objectives_stay_whole_numbers(tmp_path):
    from depojax.cli.cell_file import read_cell_file
    from depojax.cli.design_file import objective_of

    path = tmp_path / "design.toml"
    main(["new", str(path), "--for", "optimise"])
    own = '\n[objective.feature_size]\nsmallest = "20 um"\nwindow = 3\n'
    path.write_text(path.read_text() + own)
    terms = objective_of(read_cell_file(path, "optimise")).terms
    assert [part.window for part, _ in terms if part.name == "feature size"] == [3]


def test_tables_are_written_as_they_were_read():
    tables = {
        "a": {"x": 1, "y": 0.1, "z": [1.0, 2e-9], "w": 'say "no"', "t": True},
        "b": {"c": {"d-e": "µm"}, "f.g": {"h": []}},
    }
    assert tomllib.loads(as_toml(tables)) == tables
