"""The house keeps its own rules: floors, public names, optional parts, words, tests."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import depojax

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "depojax"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Imports point down. Physics and solvers stand side by side and do not see each other;
# the ground is units.py and whatever has a leading underscore.
GROUND, ROOF = 0, 6
FLOORS = {
    "fv": 1,
    "scaffold": 2,
    "physics": 3,
    "solvers": 3,
    "problems": 4,
    "design": 5,
    "io": ROOF,
    "plot": ROOF,
    "cli": ROOF,
    "__init__": ROOF,
}

# What `import depojax` promises to its users: a change here is a change for them.
PUBLIC = [
    "DeadMetal",
    "SurfaceLoss",
    "HomogenisedGrowth",
    "Plating",
    "Windows",
    "plate",
    "AugmentedLagrangian",
    "Constraint",
    "Profile",
    "VolumeField",
    "Optimisation",
    "optimise",
    "robust",
    "scattered_starts",
    "CurrentSegments",
    "DesignedCell",
    "DesignedNucleation",
    "DesignedScaffold",
    "FreeDensity",
    "FreeLevelSet",
    "GradedPorosity",
    "Sensitivities",
    "Uncertainty",
    "propagate_uncertainty",
    "sensitivities",
    "sweep",
    "Balanced",
    "Bounded",
    "Monotone",
    "Positive",
    "Unbounded",
    "averaged_foam",
    "ConcentrationDrop",
    "DepthProfile",
    "Distribution",
    "PolarisationCurve",
    "concentration_drop",
    "current_distribution",
    "damkohler_number",
    "depth_profile",
    "polarisation_curve",
    "top_share",
    "wagner_number",
    "RESULTS",
    "BinaryElectrolyte",
    "Blocking",
    "Ion",
    "MultiIonElectrolyte",
    "Reversible",
    "SpaceCharge",
    "SpaceChargeCurve",
    "space_charge",
    "space_charge_curve",
    "ButlerVolmer",
    "Cell",
    "ConcentratedElectrolyte",
    "ConstantCurrent",
    "CurrentProfile",
    "CyclicVoltammetry",
    "Galvanostatic",
    "FilteredDensity",
    "FittedLaw",
    "Graded",
    "Grid",
    "IdealDilute",
    "Impedance",
    "Film",
    "LevelSetGrowth",
    "LinearKinetics",
    "Marcus",
    "MarcusHushChidsey",
    "Metal",
    "Nucleation",
    "TransientFit",
    "fit_scharifker_hills",
    "NucleationTransient",
    "nucleation_transient",
    "cycle_life",
    "efficiency_for",
    "retention_after",
    "Transient",
    "hemisphere_radius",
    "scharifker_hills",
    "curvature_stress",
    "NucleiState",
    "Nuclei",
    "draw_nuclei",
    "Potentiostatic",
    "Protocol",
    "Pulse",
    "PorousMedium",
    "Properties",
    "PulsedCurrent",
    "Rest",
    "ReversePulse",
    "SandSolution",
    "Scaffold",
    "Separator",
    "Simulation",
    "SolveError",
    "Steps",
    "Tafel",
    "Tortuosity",
    "TortuosityMap",
    "Until",
    "VoltageProfile",
    "aligned_channels",
    "carbon_cloth",
    "connected_fraction",
    "effective_diffusivity",
    "electrolytes",
    "fibre_mat",
    "fit_kinetics",
    "foam",
    "foil",
    "gaussian_random_field",
    "grooves",
    "helmholtz_filter",
    "gyroid",
    "impedance",
    "io",
    "limiting_current",
    "load",
    "metals",
    "needles",
    "objectives",
    "percolates",
    "pillars",
    "planar_limiting_current",
    "planar_sand_time",
    "plot",
    "pore_size_distribution",
    "report",
    "rough_foil",
    "sand_time",
    "keep_programs",
    "save",
    "simulate",
    "schwarz_d",
    "schwarz_p",
    "sphere_array",
    "sphere_pack",
    "stacked_sheets",
    "stretched_widths",
    "substrates",
    "tortuosity",
    "tortuosity_map",
    "units",
]


def name_of(path):
    return str(path.relative_to(ROOT))


def room(path):
    """The part of the house a file belongs to: its folder, or itself at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def floor(name):
    on_ground = name == "units" or (name.startswith("_") and name != "__init__")
    return GROUND if on_ground else FLOORS[name]


def imported(tree):
    """(name, whether on import) of all that a module imports, dotted.

    A relative import starts with a dot.
    """
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inner
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                yield f"{base}.{alias.name}", id(node) not in inner


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    own = room(path)
    for name, on_import in imported(ast.parse(path.read_text())):
        assert not name.startswith("."), f"relative import of {name}"
        if name.startswith("depojax."):
            other = name.split(".")[1]
            beside = other == own or floor(other) == floor(own) in (GROUND, ROOF)
            # A method may hand its work to the roof: `solution.to_xarray()`.
            handed = floor(other) == ROOF and not on_import
            below = floor(other) < floor(own)
            assert beside or handed or below, f"{own} imports {name}"
        if name.split(".")[0] == "optax":
            assert own == "design", f"optax lives in design/, not in {own}"


def test_public_names_are_frozen():
    assert sorted(depojax.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert hasattr(depojax, name)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names_are_documented(name):
    thing = getattr(depojax, name)
    words = inspect.getdoc(thing) or ""
    made_by_dataclass = words.startswith(f"{name}(")
    assert words, f"{name} has no docstring"
    assert not made_by_dataclass, f"{name} has no docstring of its own"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_what_they_offer_are_documented(path):
    tree = ast.parse(path.read_text())
    offered = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    ]
    if tree.body:
        assert ast.get_docstring(tree), f"{path.name} does not say what it is"
    for node in offered:
        assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


PRODUCTS = {"dot", "vdot", "matmul", "inner", "tensordot", "einsum", "dot_general"}


def multiplies(node):
    """Whether this is a matrix product that is left to the device's own precision."""
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return isinstance(node.op, ast.MatMult)
    if isinstance(node, ast.Attribute):
        own = ast.unparse(node.value) in ("jnp", "jax.lax")
        return own and node.attr in PRODUCTS
    return False


def speaks_out_of_turn(node, path):
    """What is wrong with a piece of the package, or None."""
    if isinstance(node, ast.Assert):
        return "assert: raise an error with words instead"
    if isinstance(node, ast.ExceptHandler) and node.type is None:
        return "bare except"
    if multiplies(node) and path.name != "_sums.py":
        return "a product that a GPU would round to 11 bits: take it from _sums"
    if isinstance(node, ast.Name) and node.id == "NotImplementedError":
        return "a stub"
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called == "print" and room(path) != "cli":
            return "print: return it, or let the command line say it"
        if called in ("warnings.warn", "logging.warning", "logging.info"):
            return "a warning: refuse, or go on in silence"
    return None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_package_has_no_stub_print_or_assert(path):
    text = path.read_text()
    for node in ast.walk(ast.parse(text)):
        complaint = speaks_out_of_turn(node, path)
        assert complaint is None, f"line {getattr(node, 'lineno', '?')}: {complaint}"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def distribution(requirement):
    return re.split(r"[\s\[<>=!~;]", requirement)[0].lower()


def optional_modules():
    """Import names of what only the extras bring."""
    needed = {distribution(r) for r in PROJECT["project"]["dependencies"]}
    extras = PROJECT["project"]["optional-dependencies"].values()
    return sorted({distribution(r) for extra in extras for r in extra} - needed)


IMPORT_ALL = """
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Absent())
import jax
before = dict(jax.config.values)
import depojax
for module in pkgutil.walk_packages(depojax.__path__, "depojax."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
changed = [key for key in before if jax.config.values[key] != before[key]]
if changed:
    sys.exit(f"import changes jax's configuration: {changed}")
if jax.live_arrays():
    sys.exit("import makes arrays, in float32 whatever the user asks for later")
"""


def test_imports_without_extras_and_changes_nothing():
    env = {key: value for key, value in os.environ.items() if key != "JAX_ENABLE_X64"}
    blocked = optional_modules()
    assert "porespy" in blocked
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *blocked],
        capture_output=True,
        text=True,
        env=env,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr


def test_readme_runs(tmp_path):
    """Blocks marked ```python run as they stand, one after the other, as a user's."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks, "README.md shows no python"
    script = tmp_path / "readme.py"
    script.write_text("\n".join(blocks))
    ran = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ
        | {"MPLBACKEND": "Agg", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"},
    )
    assert ran.returncode == 0, ran.stderr


def test_notebooks_are_stripped():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs"), f"{path.name} has outputs: nbstripout"
            assert cell.get("execution_count") is None, path.name


def test_version_is_the_same_wherever_it_is_told():
    version = PROJECT["project"]["version"]
    assert depojax.__version__ == version
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(rf"^version: \"?{re.escape(version)}\"?$", citation, re.M)
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_test_folder_has_tests():
    folders = [path for path in (ROOT / "tests").iterdir() if path.is_dir()]
    for folder in folders:
        if not folder.name.startswith((".", "__")):
            assert list(folder.rglob("test_*.py")), f"{folder.name} is empty"


def checks(function, checking):
    """Whether a function asserts, expects an error, or calls one that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")[-1]
            if called in checking or called.startswith(("assert", "check", "raises")):
                return True
            if any(keyword.arg == "check" for keyword in node.keywords):
                return True  # subprocess.run(..., check=True)
    return False


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_checks_something(path):
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    checking = set()
    while more := {f.name for f in functions if checks(f, checking)} - checking:
        checking |= more
    tests = {f.name for f in functions if f.name.startswith("test")}
    assert tests, f"{path.name} holds no test"
    assert tests <= checking, f"{path.name}: {tests - checking} check nothing"
