"""What a cell file asks: what the verbs that answer it take beside the cell."""

import inspect
from typing import Any

from depojax.cli.arguments import (
    arguments_of,
    check_keys,
    number_or_profile,
    parameters_of,
    true_or_false,
    turn,
)
from depojax.cli.cell_file import CellFile
from depojax.cli.quantities import parse_quantity
from depojax.cli.words import InputError
from depojax.problems.currents import AbstractCurrent, PulsedCurrent, as_current
from depojax.problems.protocols import Protocol, protocol_from
from depojax.problems.sand import sand_time
from depojax.problems.space_charge import space_charge
from depojax.solvers.time import Steps

_STEPS = tuple(inspect.signature(Steps).parameters)
# Arguments of `sand_time` that other tables or the command itself decide.
_NOT_ASKED = ("cell", "steps", "linear_tolerance", "progress", "throw")
# The same of `space_charge`.
_NOT_OF_IONS = ("cell", "start", "steps", "progress", "throw")
_PROFILES = ("fixed_charge", "relative_permittivity")
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
    numerics = numerics_of(file, "linear_tolerance")
    tolerance = numerics.pop("linear_tolerance", None)
    return {
        "current_density": current,
        "steps": steps_of(file, numerics),
        "linear_tolerance": tolerance,
        **others,
    }


def simulate_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `simulate` beside the cell.

    Raises `InputError` for float32, and for a sentence that is no step, which is quoted
    with a mark under the place.
    """
    table = file.tables["simulate"]
    refuse_float32(file, "simulate", "the currents of a cell close to ten digits")
    with file.place("simulate"):
        check_keys(table, ("protocol",), (), "[simulate]")
        if "protocol" not in table:
            raise InputError(f"protocol: missing, such as {_EXAMPLE}.")
        protocol = protocol_of(table["protocol"])
    # A file for both commands may hold what only the other one takes.
    others = ("linear_tolerance",) if "sand" in file.given else ()
    numerics = numerics_of(file, *others)
    numerics.pop("linear_tolerance", None)
    return {"protocol": protocol, "steps": steps_of(file, numerics)}


def space_charge_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `space_charge` beside the cell; a list of voltages as a list.

    Profiles along z are still `Graded`. Raises `InputError` for float32, for a voltage
    and a current at once, and for a list of voltages that are to be held for a time.
    """
    table = file.tables["space_charge"]
    why = "charge is a small difference of concentrations"
    refuse_float32(file, "space-charge", why)
    parameters = parameters_of(space_charge)
    known = [key for key in parameters if key not in _NOT_OF_IONS]
    with file.place("space_charge"):
        check_keys(table, known, (), "[space_charge]")
        driven = [key for key in ("voltage", "current_density") if key in table]
        if len(driven) != 1:
            got = "both" if driven else "neither"
            raise InputError(
                f"voltage: expected a voltage or a current_density, got {got}."
            )
        asked = {
            key: _of_ions(key, value, parameters[key].annotation)
            for key, value in table.items()
        }
        if isinstance(asked.get("voltage"), list) and "duration" in table:
            raise InputError(
                "duration: a list of voltages is a curve of steady states. Leave it "
                "out, or give one voltage."
            )
    numerics = numerics_of(file)
    if "duration" not in table and numerics:
        raise InputError(
            f"{file.path.name}: [numerics] {next(iter(numerics))}: a steady state "
            "takes no time steps. Leave it out, or give a duration in [space_charge]."
        )
    return asked | ({"steps": steps_of(file, numerics)} if "duration" in table else {})


def _of_ions(key: str, value: Any, annotation: Any) -> Any:
    if annotation is bool:
        return true_or_false(key, value)
    if key == "voltage" and isinstance(value, list):
        if not value:
            raise InputError("voltage: expected at least one voltage, got [].")
        return [parse_quantity(each, key) for each in value]
    if key in _PROFILES:
        return number_or_profile(key, value)
    return parse_quantity(value, key)


def refuse_float32(file: CellFile, command: str, why: str) -> None:
    """Refuse a file that asks for float32."""
    precision = file.precision
    with file.place("numerics"):
        if precision != "float64":
            raise InputError(
                f"precision: `{command}` needs float64, got {precision!r}: {why}. "
                "Leave it out."
            )


def protocol_of(sentences: Any) -> Protocol:
    """The protocol that sentences of a file describe."""
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


def numerics_of(file: CellFile, *others: str) -> dict[str, Any]:
    """[numerics] but for the precision, its numbers turned."""
    table = file.tables["numerics"]
    with file.place("numerics"):
        check_keys(table, ("precision", *others, *_STEPS), (), "[numerics]")
        return {
            key: turn(key, value, file.path.parent)
            for key, value in table.items()
            if key != "precision"
        }


def steps_of(file: CellFile, numerics: dict[str, Any]) -> Steps:
    """The time steps that [numerics] asks for."""
    with file.place("numerics"):
        return Steps(**numerics)
