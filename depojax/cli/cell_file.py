"""The cell file: a cell and a question in TOML, keys named like arguments.

    [scaffold]     generator = "foam", and the arguments of that generator
    [electrolyte]  name = "lipf6_ec_emc" and its concentration, or the properties;
                   concentrated = true where they follow the local concentration
    [cell]         metal, separator, counter_electrode, plated_collector
    [sand]         current_density, and the other arguments of the question
    [numerics]     tolerance, max_steps, precision, …

A number is in SI; a string carries its unit; a list is a profile from the collector to
the separator. What is not known is refused, with the nearest known word.
"""

import contextlib
import inspect
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from depojax._checks import nearest
from depojax._types import as_float
from depojax.cli.generators import GENERATORS
from depojax.cli.quantities import parse_quantity
from depojax.cli.words import InputError
from depojax.physics import electrolytes, metals
from depojax.physics.concentrated import ConcentratedElectrolyte
from depojax.physics.electrolyte import (
    AbstractElectrolyte,
    BinaryElectrolyte,
    IdealDilute,
)
from depojax.physics.metals import Metal
from depojax.problems.cell import Cell, Separator
from depojax.problems.currents import AbstractCurrent, PulsedCurrent, as_current
from depojax.problems.sand import sand_time
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.time import Steps

PRECISIONS = ("float64", "float32")
_TABLES = ("scaffold", "electrolyte", "cell", "sand", "numerics")
_NEEDED = ("scaffold", "electrolyte", "sand")
_NUMERICS = ("precision", "linear_tolerance", *inspect.signature(Steps).parameters)
_CELL = ("metal", "separator", "counter_electrode", "plated_collector")
# Arguments of `sand_time` that other tables or the command itself decide.
_NOT_ASKED = ("cell", "steps", "linear_tolerance", "progress", "throw")

_WHOLE = (
    "cells", "fibres", "filaments", "key", "layers", "max_steps", "sheets",
    "subdivision",
)  # fmt: skip
_WORDS = ("axes", "dtype", "name", "reference")
_AS_WRITTEN = ("charge", "pore", "solid")


class CellFile(NamedTuple):
    """A cell file that was read: its tables hold known keys only."""

    path: Path
    text: str
    tables: dict[str, dict[str, Any]]

    @property
    def precision(self) -> str:
        """The precision asked for, float64 where none is."""
        precision = self.tables["numerics"].get("precision", PRECISIONS[0])
        with self.place("numerics"):
            check_precision(precision)
        return precision

    @contextlib.contextmanager
    def place(self, table: str) -> Iterator[None]:
        """What is refused inside is said to be in this file and table."""
        try:
            yield
        except (ValueError, OSError, ImportError) as error:
            raise InputError(f"{self.path.name}: [{table}] {error}") from error


def read_cell_file(path: str | Path) -> CellFile:
    """The cell file at `path`, its tables and keys checked, no number turned yet.

    Raises `InputError` for a file that is missing, no TOML, or holds an unknown table.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file. `depojax new {path}` writes an example."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}.") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path.name}: not valid TOML: {error}.") from None
    for name, table in tables.items():
        if name not in _TABLES:
            raise InputError(
                f"{path.name}: [{name}] is no known table. {nearest(name, _TABLES)}"
            )
        if not isinstance(table, dict):
            raise InputError(
                f"{path.name}: {name}: expected a table [{name}], got {table!r}."
            )
    for name in _NEEDED:
        if name not in tables:
            raise InputError(f"{path.name}: the table [{name}] is missing.")
    return CellFile(path, text, {name: {} for name in _TABLES} | tables)


def check_precision(precision: Any) -> None:
    """Refuse a word that is no precision."""
    if precision not in PRECISIONS:
        raise InputError(
            f"precision: expected {' or '.join(PRECISIONS)}, got {precision!r}."
        )


def build_electrolyte(file: CellFile) -> AbstractElectrolyte:
    """The electrolyte of a cell file: a known one, from its ions, or by properties."""
    table = dict(file.tables["electrolyte"])
    with file.place("electrolyte"):
        concentrated = _true_or_false("concentrated", table.pop("concentrated", False))
        name = _word("name", table.get("name", ""))
        if name in electrolytes.KNOWN:
            solution = electrolytes.KNOWN[name]
            given = {key: value for key, value in table.items() if key != "name"}
            known = ("concentration", "temperature", "concentrated")
            _check_keys(given, known, ("concentration",), f"the electrolyte {name}")
            numbers: dict[str, Any] = {
                k: parse_quantity(v, k) for k, v in given.items()
            }
            if concentrated:
                return ConcentratedElectrolyte(solution, **numbers)
            return solution(**numbers)
        from_ions = any("ion_diffusivity" in key for key in table)
        if not from_ions and "diffusivity" not in table:
            _refuse_electrolyte(name)
        make = BinaryElectrolyte.from_ions if from_ions else BinaryElectrolyte
        arguments = _arguments(make, table, file, "an electrolyte")
        if not concentrated:
            return make(**arguments)
        if not from_ions:
            raise InputError(
                "concentrated: these properties are numbers. Name a known electrolyte, "
                "or give the diffusivities of the ions."
            )
        ions = inspect.signature(IdealDilute).parameters
        law = IdealDilute(**{k: arguments.pop(k) for k in ions if k in arguments})
        return ConcentratedElectrolyte(law, **arguments)


def _refuse_electrolyte(name: str) -> None:
    cure = "Or give its diffusivity, transference_number and charge."
    if not name:
        known = ", ".join(sorted(electrolytes.KNOWN))
        raise InputError(f"name: missing. Known: {known}. {cure}")
    raise InputError(
        f"name: expected a known electrolyte, got {name!r}. "
        f"{nearest(name, electrolytes.KNOWN)} {cure}"
    )


def build_scaffold(file: CellFile) -> Scaffold:
    """The scaffold of a cell file; this may take a while."""
    name, arguments = scaffold_arguments(file)
    with file.place("scaffold"):
        return GENERATORS[name](**arguments)


def scaffold_arguments(file: CellFile) -> tuple[str, dict[str, Any]]:
    """The generator that a cell file names, and its arguments, checked and turned."""
    table = dict(file.tables["scaffold"])
    name = table.pop("generator", None)
    with file.place("scaffold"):
        if name is None:
            known = ", ".join(GENERATORS)
            kind = table.get("kind")
            hint = f'Write generator = "{kind}". ' if kind in GENERATORS else ""
            raise InputError(f"generator: missing. {hint}Known: {known}.")
        if _word("generator", name) not in GENERATORS:
            raise InputError(
                f"generator: expected a known scaffold, got {name!r}. "
                f"{nearest(name, GENERATORS)}"
            )
        return name, _arguments(GENERATORS[name], table, file, name)


def build_current(file: CellFile) -> AbstractCurrent:
    """The current of a cell file: a number, or a table for pulses."""
    with file.place("sand"):
        value = file.tables["sand"].get("current_density")
        if value is None:
            raise InputError('current_density: missing, such as "20 mA/cm^2".')
        if not isinstance(value, dict):
            return as_current(parse_quantity(value, "current_density"))
        return PulsedCurrent(
            **_arguments(PulsedCurrent, value, file, "a pulsed current")
        )


def sand_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `sand_time` beside the cell."""
    current = build_current(file)
    known = [k for k in inspect.signature(sand_time).parameters if k not in _NOT_ASKED]
    with file.place("sand"):
        _check_keys(file.tables["sand"], known, (), "[sand]")
        others = {
            key: value if isinstance(value, bool) else parse_quantity(value, key)
            for key, value in file.tables["sand"].items()
            if key != "current_density"
        }
    with file.place("numerics"):
        numerics = file.tables["numerics"]
        _check_keys(numerics, _NUMERICS, (), "[numerics]")
        turned = {
            key: _turn(key, value, None, file)
            for key, value in numerics.items()
            if key != "precision"
        }
        tolerance = turned.pop("linear_tolerance", None)
        steps = Steps(**turned)
    return {
        "current_density": current,
        "steps": steps,
        "linear_tolerance": tolerance,
        **others,
    }


def cell_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `Cell` beside its scaffold."""
    table = file.tables["cell"]
    with file.place("cell"):
        _check_keys(table, _CELL, (), "[cell]")
        arguments = dict(table)
        if "metal" in table:
            arguments["metal"] = _metal(table["metal"])
        if "separator" in table:
            arguments["separator"] = _separator(table["separator"], file)
    return {"electrolyte": build_electrolyte(file), **arguments}


def build_cell(file: CellFile, scaffold: Scaffold, arguments: dict[str, Any]) -> Cell:
    """The cell of a file around its scaffold."""
    with file.place("cell"):
        return Cell(scaffold, **arguments)


def _metal(name: Any) -> Metal:
    if _word("metal", name) not in metals.KNOWN:
        raise InputError(
            f"metal: expected a known metal, got {name!r}. "
            f"{nearest(str(name), metals.KNOWN)}"
        )
    return metals.KNOWN[name]()


def _separator(value: Any, file: CellFile) -> Separator:
    if isinstance(value, dict):
        return Separator(**_arguments(Separator, value, file, "a separator"))
    return Separator(parse_quantity(value, "thickness"))


def _arguments(
    make: Callable[..., Any], table: dict[str, Any], file: CellFile, what: str
) -> dict[str, Any]:
    """The arguments of `make` in a table: known, complete, and turned into values."""
    parameters = inspect.signature(make).parameters
    needed = [k for k, p in parameters.items() if p.default is inspect.Parameter.empty]
    _check_keys(table, parameters, needed, what)
    return {
        key: _turn(key, value, parameters[key], file) for key, value in table.items()
    }


def _check_keys(
    table: dict[str, Any], known: Iterable[str], needed: Iterable[str], what: str
) -> None:
    known = list(known)
    for key in table:
        if key not in known:
            raise InputError(f"{key}: no argument of {what}. {nearest(key, known)}")
    missing = [key for key in needed if key not in table]
    if missing:
        raise InputError(f"{missing[0]}: missing; {what} needs {', '.join(needed)}.")


def _turn(
    key: str, value: Any, parameter: inspect.Parameter | None, file: CellFile
) -> Any:
    """What is written in the file as what the argument takes."""
    annotation = None if parameter is None else parameter.annotation
    if key == "image":
        return str(file.path.parent / _word(key, value))
    if key in _WORDS or annotation is str:
        return _word(key, value)
    if key in _AS_WRITTEN:
        return tuple(value) if key == "charge" and isinstance(value, list) else value
    if key in ("shape", "periodic"):
        kind = int if key == "shape" else bool
        return tuple(_each(key, value, kind))
    if key in _WHOLE:
        return _whole(key, value)
    if annotation is bool:
        return _true_or_false(key, value)
    if isinstance(value, list):
        values = as_float([parse_quantity(v, key) for v in value])
        return values if key in ("voxel_size", "phase") else Graded(values)
    return parse_quantity(value, key)


def _word(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{key}: expected a word in quotes, got {value!r}.")
    return value


def _true_or_false(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InputError(f"{key}: expected true or false, got {value!r}.")
    return value


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{key}: expected a whole number, got {value!r}.")
    return value


def _each(key: str, value: Any, kind: type) -> list[Any]:
    right = isinstance(value, list) and all(type(item) is kind for item in value)
    if not right or len(value) != 3:
        what = "whole numbers" if kind is int else "times true or false"
        raise InputError(f"{key}: expected three {what} for x, y, z, got {value!r}.")
    return value
