"""The cell file: a cell and what is asked of it in TOML, keys named like arguments.

    [scaffold]          generator = "foam", and the arguments of that generator
    [electrolyte]       name = "lipf6_ec_emc" and its concentration, or the properties;
                        concentrated = true where they follow the local concentration;
                        or [[electrolyte.ions]], each with its charge, for space_charge
    [cell]              metal, separator, counter_electrode, plated_collector, films,
                        solid_conductivity
    [kinetics]          kind = "butler_volmer", and the arguments of those kinetics
    [counter_kinetics]  the same of the counter electrode
    [sand]              current_density, and the other arguments of `sand_time`
    [simulate]          protocol, a sentence or a list of them
    [plate]             protocol, and the other arguments of `plate`; surface_loss is a
                        table of its own
    [growth]            the arguments of HomogenisedGrowth; loss is a table of its own;
                        with kind = "level_set" the arguments of LevelSetGrowth
    [nucleation]        substrate, one or two from the collector up (then share), or
                        nucleation_overpotential, wetting_factor or contact_angle
    [space_charge]      voltage, or a list of them; what else `space_charge` takes
    [numerics]          tolerance, max_steps, precision, …
    [design.TABLE.KEY]  a number of another table that `optimise` may choose: low, high,
                        n for a profile of so many, … (see `cli.design_file`)
    [objective.NAME]    what is to become better, with the arguments of that objective
    [constraints.NAME]  what has to be kept
    [optimise]          optimizer, steps, …
    [sweep]             parameters and outputs of `depojax sweep`

A number is in SI; a string carries its unit; a list is a profile from the collector to
the separator. What is not known is refused, with the nearest known word. A file may
ask for several; a command reads the table of its own name.
"""

import contextlib
import copy
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from depojax._checks import nearest
from depojax.cli.words import InputError

PRECISIONS = ("float64", "float32")
Question = Literal["sand", "simulate", "plate", "space_charge", "optimise", "sweep"]
_QUESTIONS: tuple[Question, ...] = (
    "sand", "simulate", "plate", "space_charge", "optimise", "sweep",
)  # fmt: skip
_NEEDED = ("scaffold", "electrolyte")
_OF_METAL = ("growth", "nucleation")
_OF_DESIGNS = ("design", "objective", "constraints")
_KINETICS = ("kinetics", "counter_kinetics")
_TABLES = (
    *_NEEDED, "cell", *_KINETICS, *_OF_METAL, *_QUESTIONS, "numerics", *_OF_DESIGNS,
)  # fmt: skip


class CellFile(NamedTuple):
    """A cell file that was read; its tables are known ones."""

    path: Path
    text: str
    tables: dict[str, dict[str, Any]]
    given: frozenset[str]  # tables that stand in the file

    @property
    def precision(self) -> str:
        """The precision asked for, float64 where none is."""
        precision = self.tables["numerics"].get("precision", PRECISIONS[0])
        with self.place("numerics"):
            check_precision(precision)
        return precision

    def with_values(self, values: Mapping[str, Any]) -> "CellFile":
        """The file as if other values stood there, by "table.key" (or deeper).

        Raises `InputError` for a table that a cell is not made of.
        """
        tables = copy.deepcopy(self.tables)
        given = set(self.given)
        for name, value in values.items():
            table, *keys = name.split(".")
            if table not in _TABLES or table in _OF_DESIGNS or not keys:
                raise InputError(
                    f"{name}: expected a table and a key of it, such as "
                    f"scaffold.porosity. {nearest(table, _TABLES)}"
                )
            inside: Any = tables[table]
            for key in keys[:-1]:
                inside = inside.setdefault(key, {})
                if not isinstance(inside, dict):
                    raise InputError(
                        f"{name}: {key} is written as {inside!r}, no table."
                    )
            inside[keys[-1]] = value
            given.add(table)
        return self._replace(tables=tables, given=frozenset(given))

    @contextlib.contextmanager
    def place(self, table: str) -> Iterator[None]:
        """What is refused inside is said to be in this file and table."""
        try:
            yield
        except (ValueError, OSError, ImportError) as error:
            raise InputError(
                f"{self.path.name}: [{table}] {error}",
                lines=getattr(error, "lines", ""),
            ) from error


def read_cell_file(path: str | Path, question: Question | None = None) -> CellFile:
    """The cell file at `path`, its tables known and those it needs there.

    `question` names the table that the command needs. No key or number is looked at.

    Raises `InputError` for a file that is missing, no TOML, or holds an unknown table.
    """
    path = Path(path)
    return cell_file_of(path, _text_of(path), question)


def cell_file_of(path: Path, text: str, question: Question | None = None) -> CellFile:
    """The cell file of a text, as if it stood at `path`.

    Raises `InputError` as `read_cell_file`.
    """
    tables = _tables_of(path, text)
    for name in _NEEDED if question is None else (*_NEEDED, question):
        if name not in tables:
            others = [other for other in _QUESTIONS if other in tables]
            hint = ""
            if name == question and others:
                command = others[0].replace("_", "-")
                hint = f" What it has, [{others[0]}], is for `depojax {command}`."
            raise InputError(f"{path.name}: the table [{name}] is missing.{hint}")
    empty = {name: {} for name in _TABLES}
    return CellFile(path, text, empty | tables, frozenset(tables))


def check_precision(precision: Any) -> None:
    """Refuse a word that is no precision."""
    if precision not in PRECISIONS:
        raise InputError(
            f"precision: expected {' or '.join(PRECISIONS)}, got {precision!r}."
        )


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file. `depojax new {path}` writes an example."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}.") from None


def _tables_of(path: Path, text: str) -> dict[str, dict[str, Any]]:
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
    return tables
