"""The parts of a cell as a file names them: scaffold, electrolyte, metal, films."""

import inspect
from typing import Any

from depojax._checks import nearest
from depojax.cli.arguments import (
    arguments_of,
    check_keys,
    known_word,
    number_or_profile,
    on_host,
    parameters_of,
    true_or_false,
    word,
)
from depojax.cli.cell_file import CellFile
from depojax.cli.cell_ions import check_kind, ionic_electrolyte
from depojax.cli.cell_kinetics import build_kinetics
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
from depojax.physics.film import Film
from depojax.physics.ions import MultiIonElectrolyte
from depojax.problems.cell import Cell, Separator
from depojax.scaffold.scaffold import Scaffold

_PROFILES = (
    "film_resistance", "initial_deposit", "solid_conductivity", "equilibrium_potential",
)  # fmt: skip
_KINETICS = ("kinetics", "counter_kinetics")
_OF_OTHER_TABLES = ("scaffold", "electrolyte", *_KINETICS)
_CELL = [k for k in inspect.signature(Cell).parameters if k not in _OF_OTHER_TABLES]


def build_electrolyte(file: CellFile) -> AbstractElectrolyte | MultiIonElectrolyte:
    """The electrolyte of a cell file: a known one, from its ions, or by properties."""
    table = dict(file.tables["electrolyte"])
    with file.place("electrolyte"):
        if "ions" in table:
            return ionic_electrolyte(table, file.path.parent)
        concentrated = true_or_false("concentrated", table.pop("concentrated", False))
        name = word("name", table.get("name", ""))
        if name in electrolytes.KNOWN:
            return _known_electrolyte(name, table, concentrated)
        from_ions = any("ion_diffusivity" in key for key in table)
        if not from_ions and "diffusivity" not in table:
            _refuse_electrolyte(name)
        make = BinaryElectrolyte.from_ions if from_ions else BinaryElectrolyte
        arguments = arguments_of(make, table, file.path.parent, "an electrolyte")
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


def _known_electrolyte(
    name: str, table: dict[str, Any], concentrated: bool
) -> AbstractElectrolyte:
    given = {key: value for key, value in table.items() if key != "name"}
    known = ("concentration", "temperature", "concentrated")
    check_keys(given, known, ("concentration",), f"the electrolyte {name}")
    numbers: dict[str, Any] = {k: parse_quantity(v, k) for k, v in given.items()}
    if concentrated:
        return ConcentratedElectrolyte(electrolytes.KNOWN[name], **numbers)
    return electrolytes.KNOWN[name](**numbers)


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
        known_word("generator", name, GENERATORS, "scaffold")
        return name, arguments_of(GENERATORS[name], table, file.path.parent, name)


def cell_arguments(file: CellFile, *, ions: bool = False) -> dict[str, Any]:
    """The arguments of `Cell` that can be known and checked before its scaffold.

    `ions` says whether the question needs an electrolyte of ions or one of a salt.
    Profiles along z are still `Graded`, and kinetics have only been checked.
    """
    table = file.tables["cell"]
    with file.place("cell"):
        for key in _KINETICS:
            if key in table:
                raise InputError(f"{key}: write it as a table of its own, [{key}].")
        check_keys(table, _CELL, (), "[cell]")
        arguments = {key: _part(key, value, file) for key, value in table.items()}
    for name in _KINETICS:
        build_kinetics(file, name)
    electrolyte = build_electrolyte(file)
    with file.place("electrolyte"):
        check_kind(electrolyte, ions=ions)
    return {"electrolyte": electrolyte, **arguments}


def _part(key: str, value: Any, file: CellFile) -> Any:
    if key == "metal":
        return metals.KNOWN[known_word(key, value, metals.KNOWN, "metal")]()
    if key == "separator":
        if not isinstance(value, dict):
            return Separator(parse_quantity(value, "thickness"))
        folder = file.path.parent
        return Separator(**arguments_of(Separator, value, folder, "a separator"))
    if key.endswith("film_resistance") and isinstance(value, dict):
        return _film(value)
    if key in _PROFILES:
        return number_or_profile(key, value)
    if key.endswith("film_resistance"):
        return parse_quantity(value, key)
    return value


def _film(table: dict[str, Any]) -> Film:
    needed = ("thickness", "ionic_conductivity")
    check_keys(table, parameters_of(Film), needed, "a film")
    return Film(**{key: parse_quantity(value, key) for key, value in table.items()})


def build_cell(file: CellFile, scaffold: Scaffold, arguments: dict[str, Any]) -> Cell:
    """The cell of a file around its scaffold; `arguments` are `cell_arguments`."""
    kinetics: dict[str, Any] = {
        name: build_kinetics(file, name, scaffold) for name in _KINETICS
    }
    with file.place("cell"):
        parts = {key: on_host(value, scaffold) for key, value in arguments.items()}
        return Cell(scaffold, **parts, **kinetics)
