"""What a cell file asks: what `sand_time` and `simulate` take beside the cell."""

import inspect
from typing import Any

from depojax.cli.arguments import arguments_of, check_keys, turn
from depojax.cli.cell_file import CellFile
from depojax.cli.quantities import parse_quantity
from depojax.cli.words import InputError
from depojax.problems.currents import AbstractCurrent, PulsedCurrent, as_current
from depojax.problems.protocols import Protocol, protocol_from
from depojax.problems.sand import sand_time
from depojax.solvers.time import Steps

_STEPS = tuple(inspect.signature(Steps).parameters)
# Arguments of `sand_time` that other tables or the command itself decide.
_NOT_ASKED = ("cell", "steps", "linear_tolerance", "progress", "throw")
_EXAMPLE = 'protocol = ["Plate at 1 mA/cm2 until 4 mAh/cm2", "Rest for 10 minutes"]'


def build_current(file: CellFile) -> AbstractCurrent:
    """The current of a cell file: a number, or a table for pulses."""
    with file.place("sand"):
        value = file.tables["sand"].get("current_density")
        if value is None:
            raise InputError('current_density: missing, such as "20 mA/cm^2".')
        if not isinstance(value, dict):
            return as_current(parse_quantity(value, "current_density"))
        folder = file.path.parent
        return PulsedCurrent(
            **arguments_of(PulsedCurrent, value, folder, "a pulsed current")
        )


def sand_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `sand_time` beside the cell."""
    current = build_current(file)
    known = [k for k in inspect.signature(sand_time).parameters if k not in _NOT_ASKED]
    with file.place("sand"):
        check_keys(file.tables["sand"], known, (), "[sand]")
        others = {
            key: value if isinstance(value, bool) else parse_quantity(value, key)
            for key, value in file.tables["sand"].items()
            if key != "current_density"
        }
    numerics = _numerics(file, "linear_tolerance")
    tolerance = numerics.pop("linear_tolerance", None)
    return {
        "current_density": current,
        "steps": _steps(file, numerics),
        "linear_tolerance": tolerance,
        **others,
    }


def simulate_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `simulate` beside the cell.

    Raises `InputError` for float32, and for a sentence that is no step, which is quoted
    with a mark under the place.
    """
    table = file.tables["simulate"]
    precision = file.precision
    with file.place("numerics"):
        if precision != "float64":
            raise InputError(
                f"precision: `simulate` needs float64, got {precision!r}: the currents "
                "of a cell close to ten digits. Leave it out."
            )
    with file.place("simulate"):
        check_keys(table, ("protocol",), (), "[simulate]")
        if "protocol" not in table:
            raise InputError(f"protocol: missing, such as {_EXAMPLE}.")
        protocol = _protocol(table["protocol"])
    # A file for both commands may hold what only the other one takes.
    others = ("linear_tolerance",) if "sand" in file.given else ()
    numerics = _numerics(file, *others)
    numerics.pop("linear_tolerance", None)
    return {"protocol": protocol, "steps": _steps(file, numerics)}


def _protocol(sentences: Any) -> Protocol:
    listed = [sentences] if isinstance(sentences, str) else sentences
    if not isinstance(listed, list) or not all(isinstance(s, str) for s in listed):
        raise InputError(
            f"protocol: expected a sentence or a list of them, got {sentences!r}. "
            f"Write {_EXAMPLE}."
        )
    try:
        return protocol_from(listed)
    except ValueError as error:
        if "\n" not in str(error):
            raise
        raise InputError("this is no step:", lines=str(error)) from error


def _numerics(file: CellFile, *others: str) -> dict[str, Any]:
    """[numerics] but for the precision, its numbers turned."""
    table = file.tables["numerics"]
    with file.place("numerics"):
        check_keys(table, ("precision", *others, *_STEPS), (), "[numerics]")
        return {
            key: turn(key, value, file.path.parent)
            for key, value in table.items()
            if key != "precision"
        }


def _steps(file: CellFile, numerics: dict[str, Any]) -> Steps:
    with file.place("numerics"):
        return Steps(**numerics)
