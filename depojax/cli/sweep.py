"""`depojax sweep sweep.toml`: a parameter study, on one device or on many machines.

    [sweep]
    question = "sand"                     # or simulate
    outputs = ["time", "limiting_current"]
    mode = "vmap"                         # or loop, dask

    [sweep.parameters]
    scaffold.porosity = [0.8, 0.85, 0.9]
    sand.current_density = { low = "20 mA/cm^2", high = "200 mA/cm^2", count = 5,
                             spacing = "log" }

Every point is the file with other values in their places. With "vmap" these are
numbers; the other modes read the file anew for each point, so they may be anything.
"""

import argparse
import functools
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from depojax.cli.arguments import check_keys, known_word, whole_number, word
from depojax.cli.cell_file import CellFile, cell_file_of, read_cell_file
from depojax.cli.design_file import cell_of
from depojax.cli.quantities import ARGUMENT_UNITS, parse_quantity
from depojax.cli.questions import sand_arguments, simulate_arguments
from depojax.cli.run_folder import open_run_folder
from depojax.cli.session import session
from depojax.cli.words import InputError, Stages, aligned, say
from depojax.design.sweep import MODES, cluster_client, local_client, sweep
from depojax.io import provenance, whole_file
from depojax.problems.sand import sand_time
from depojax.problems.simulate import simulate
from depojax.solvers.results import RESULTS

OUTPUTS = {
    "sand": {
        "time": "s",
        "capacity": "C m-2",
        "limiting_current": "A m-2",
        "nearly_depleted": "1",
        "end_time": "s",
    },
    "simulate": {"final_voltage": "V", "charge": "C m-2", "end_time": "s"},
}
_OF_HOST = {"porosity": "1", "specific_area": "m-1", "area_factor": "1"}
_VERBS = {
    "sand": (sand_time, sand_arguments),
    "simulate": (simulate, simulate_arguments),
}
_RANGE = ("low", "high", "count", "spacing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax sweep`."""
    parser.add_argument("file", help="a cell and what varies, a TOML file (`new`)")
    parser.add_argument("--out", metavar="FOLDER", help="run folder [run/<file>]")
    parser.add_argument("--mode", choices=MODES, help="over that of the file")
    parser.add_argument("--workers", type=int, help="a Dask cluster of so many here")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr")


def run(arguments: argparse.Namespace) -> int:
    """Compute every point of a file and write one netCDF file."""
    file = read_cell_file(arguments.file, "sweep")
    with session(file.precision):
        return _run(file, arguments)


def _run(file: CellFile, arguments: argparse.Namespace) -> int:
    stages = Stages(quiet=arguments.quiet)
    question, outputs, mode, values = asked(file)
    on_cluster = arguments.workers is not None or arguments.scheduler is not None
    mode = arguments.mode or ("dask" if on_cluster else mode)
    if mode == "dask" and not on_cluster:
        raise InputError("--mode dask: expected --workers N, or --scheduler ADDRESS.")
    if on_cluster and mode != "dask":
        raise InputError(f"--mode {mode}: a cluster is for --mode dask.")
    folder = open_run_folder(arguments.out or Path("run") / file.path.stem, file.text)
    count = int(np.prod([len(each) for each in values.values()]))
    units = OUTPUTS[question] | _OF_HOST | _units(values)
    with stages.stage(f"sweep of {count} points, {mode}"):
        if mode == "vmap":
            function = functools.partial(traced_point, file, question, outputs)
            numbers = {
                name: [parse_quantity(v, name.split(".")[-1]) for v in listed]
                for name, listed in values.items()
            }
            # Keywords cannot hold dots, dictionaries can.
            found = sweep(lambda **at: function(at), numbers, mode=mode, units=units)
        else:
            function = functools.partial(
                point_of_text, file.text, str(file.path.resolve()), question,
                tuple(outputs), file.precision,
            )  # fmt: skip
            client = _client(arguments) if mode == "dask" else None
            try:
                found = sweep(
                    function, _in_si(values), mode=mode, client=client, units=units
                )
            finally:
                if client is not None:
                    client.close()
    found.attrs |= {"Conventions": "CF-1.11", **provenance(), "input": file.text}
    with stages.stage("files"), whole_file(folder / "sweep.nc") as partial:
        found.to_netcdf(partial, engine="netcdf4")
    say(table(found, folder, stages))
    return 0


def asked(file: CellFile) -> tuple[str, list[str], str, dict[str, list[Any]]]:
    """Question, outputs, mode and values of [sweep]."""
    given = file.tables["sweep"]
    with file.place("sweep"):
        known = ("question", "outputs", "mode", "parameters")
        check_keys(given, known, ("question", "parameters"), "[sweep]")
        question = known_word("question", given["question"], OUTPUTS, "question")
        mode = known_word("mode", given.get("mode", "vmap"), MODES, "mode")
        possible = [*OUTPUTS[question], *_OF_HOST]
        outputs = given.get("outputs", [possible[0]])
        if not isinstance(outputs, list) or not outputs:
            raise InputError(f"outputs: expected a list of words, got {outputs!r}.")
        for output in outputs:
            known_word("outputs", output, possible, "output")
        if not isinstance(given["parameters"], dict) or not given["parameters"]:
            raise InputError(
                "parameters: expected a table of them, such as "
                f"scaffold.porosity = [0.8, 0.9], got {given['parameters']!r}."
            )
        listed = _flat(given["parameters"])
        values = {name: _listed(name, value) for name, value in listed.items()}
        file.with_values({name: each[0] for name, each in values.items()})
    return question, outputs, mode, values


def _flat(table: dict[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in table.items():
        whole = f"{above}.{name}" if above else name
        if isinstance(inner, dict) and not set(inner) & set(_RANGE):
            found |= _flat(inner, whole)
        else:
            found[whole] = inner
    return found


def _listed(name: str, value: Any) -> list[Any]:
    """The values of a parameter: as they are written, or from one to another."""
    if isinstance(value, list) and value:
        return value
    if not isinstance(value, dict):
        raise InputError(
            f"{name}: expected a list, or {{ low, high, count }}, got {value!r}."
        )
    check_keys(value, _RANGE, ("low", "high", "count"), name)
    key = name.split(".")[-1]
    low, high = (parse_quantity(value[side], key) for side in ("low", "high"))
    count = whole_number("count", value["count"])
    spacing = word("spacing", value.get("spacing", "linear"))
    known_word("spacing", spacing, ("linear", "log"), "spacing")
    if count < 1 or (spacing == "log" and min(low, high) <= 0):
        raise InputError(
            f"{name}: expected a count of at least 1, and bounds above 0 for log "
            f"spacing, got {count} from {low:g} to {high:g}."
        )
    space = np.geomspace if spacing == "log" else np.linspace
    return [float(x) for x in space(low, high, count)]


def _in_si(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Numbers in SI where they are some; words as they are written."""

    def turned(name, value):
        try:
            return parse_quantity(value, name.split(".")[-1])
        except InputError:
            return value

    return {
        name: [turned(name, value) for value in listed]
        for name, listed in values.items()
    }


def _units(values: dict[str, list[Any]]) -> dict[str, str]:
    found = {name: ARGUMENT_UNITS.get(name.split(".")[-1]) for name in values}
    return {name: unit or "1" for name, unit in found.items() if unit is not None}


def traced_point(
    file: CellFile, question: str, outputs: list[str], at: dict[str, Any]
) -> dict[str, Any]:
    """The outputs at a point whose numbers may be traced; NaN where a solve failed."""
    cell, solution = _solved(file.with_values(at), question, throw=False)
    good = solution.result == RESULTS.successful
    told = {name: _output(name, cell, solution) for name in outputs}
    return {name: jnp.where(good, value, jnp.nan) for name, value in told.items()}


def point_of_text(
    text: str, path: str, question: str, outputs: tuple[str, ...], precision: str,
    **at: Any,
) -> dict[str, float]:  # fmt: skip
    """The outputs at a point, from the text of a file: what a worker computes."""
    with session(precision):
        file = cell_file_of(Path(path), text).with_values(at)
        cell, solution = _solved(file, question, throw=True)
        return {name: float(_output(name, cell, solution)) for name in outputs}


def _solved(file: CellFile, question: str, *, throw: bool) -> tuple[Any, Any]:
    verb, arguments_of_verb = _VERBS[question]
    arguments = arguments_of_verb(file)
    cell = cell_of(file)
    return cell, verb(cell, throw=throw, **arguments)


def _output(name: str, cell: Any, solution: Any) -> Any:
    value = getattr(cell.scaffold if name in _OF_HOST else solution, name)
    return jnp.asarray(value)


def _client(arguments: argparse.Namespace) -> Any:
    try:
        if arguments.scheduler is not None:
            return cluster_client(arguments.scheduler)
        return local_client(arguments.workers)
    except (OSError, ImportError) as error:
        option = "--workers" if arguments.scheduler is None else "--scheduler"
        raise InputError(f"{option}: {error}") from error


def table(found: Any, folder: Path, stages: Stages) -> str:
    """The points for people: at most twenty of them, then where the rest is."""
    names = [str(name) for name in found.dims]
    outputs = [str(name) for name in found.data_vars if name != "failure"]
    rows = []
    for index in np.ndindex(*(found.sizes[name] for name in names)):
        at = dict(zip(names, index, strict=True))
        where = ", ".join(_shown(found[name].values[k]) for name, k in at.items())
        told = ", ".join(f"{float(found[name].isel(at)):.5g}" for name in outputs)
        rows.append((where, told))
    shown = rows if len(rows) <= 20 else [*rows[:10], ("…", ""), *rows[-10:]]
    head = (", ".join(names), ", ".join(outputs))
    seconds = sum(stages.wall_times().values())
    tail = [("wall time", f"{seconds:.1f} s"), ("results in", f"{folder / 'sweep.nc'}")]
    failed = int((found["failure"] != "").sum()) if "failure" in found else 0
    if failed:
        tail.insert(0, ("failed", f"{failed} of {len(rows)} points"))
    return f"{aligned([head, *shown])}\n\n{aligned(tail)}"


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{float(value):.5g}"
