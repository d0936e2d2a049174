"""What a design file asks for: what is free, what is better, what has to be kept.

[design.scaffold.porosity]   low = 0.7, high = 0.97: a number within bounds
n = 8                        a profile of 8 values, from collector to separator
interpolation = "spline"     or linear, cells
keep_mean = true             … whose mean stays what it is
monotone = "rising"          … or falling
scale = "log"                bounds decades apart
start = 0.9                  by default what stands in the other table

[objective.sand_time]        current_density = "20 mA/cm^2", weight = 1, per = 100
[constraints.mass]           of = "host_mass", density = 8960, at_most = 0.2
[optimise]                   optimizer = "adam", learning_rate = 0.05, steps = 50
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from depojax._types import as_float
from depojax.cli.arguments import (
    arguments_of,
    check_keys,
    known_word,
    whole_number,
    word,
)
from depojax.cli.cell_file import CellFile
from depojax.cli.cell_parts import build_cell, build_scaffold, cell_arguments
from depojax.cli.quantities import parse_quantity
from depojax.cli.words import InputError
from depojax.design import objectives
from depojax.design.constraints import AugmentedLagrangian, Constraint
from depojax.design.fields import Profile
from depojax.design.objective import AbstractObjective, WeightedSum
from depojax.design.parameters import profile_weights
from depojax.design.stack import Stack
from depojax.design.variables import Balanced, Bounded, Monotone, is_variable
from depojax.problems.cell import Cell
from depojax.scaffold.scaffold import Scaffold

_FREE = (
    "low", "high", "n", "start", "interpolation", "keep_mean", "monotone", "scale",
)  # fmt: skip
_WORDS = ("of", "part", "axis", "towards", "name")
_COUNTS = ("window",)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


# The last two see numbers while they run: optimisations of files are compiled.
_NOT_NAMED = (
    "AbstractObjective", "WeightedSum", "Own", "FillAtClosure", "LowerMetalShare",
)  # fmt: skip
OBJECTIVES: Mapping[str, type[AbstractObjective]] = {
    _snake(name): getattr(objectives, name)
    for name in objectives.__all__
    if name not in _NOT_NAMED
}
# What a constraint may be on beside them: properties of the scaffold.
_MEASURES = ("porosity", "specific_area", "area_factor")


def free_parts(file: CellFile) -> dict[str, Any]:
    """The variables and profiles of [design], by "table.key".

    Raises `InputError` for an empty table, unknown keys, and numbers that make none.
    """
    found = _flat(file.tables["design"])
    with file.place("design"):
        if not found:
            raise InputError(
                "expected what is free, such as [design.scaffold.porosity] with "
                "low = 0.7 and high = 0.97."
            )
        return {name: _free(file, name, table) for name, table in found.items()}


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, dict[str, Any]]:
    """Tables of numbers by their dotted names; quoted and nested ones are the same."""
    found: dict[str, dict[str, Any]] = {}
    for name, inner in table.items():
        whole = f"{above}.{name}" if above else name
        if (
            isinstance(inner, dict)
            and inner
            and all(isinstance(value, dict) for value in inner.values())
        ):
            found |= _flat(inner, whole)
        elif isinstance(inner, dict):
            found[whole] = inner
        else:
            raise InputError(f"[design] {whole}: expected a table, got {inner!r}.")
    return found


def _free(file: CellFile, name: str, table: dict[str, Any]) -> Any:
    check_keys(table, _FREE, ("low", "high"), f"design.{name}")
    key = name.split(".")[-1]
    low, high = (parse_quantity(table[side], key) for side in ("low", "high"))
    n = table.get("n")
    start = table.get("start", _standing(file, name))
    if start is None:
        raise InputError(f"{name}: expected a start, for none stands in the file.")
    values = _start(start, key, n)
    weights = _layer_weights(file, name, values, table)
    try:
        variable = _variable(values, low, high, table, weights)
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    if n is None and values.ndim == 0:
        return variable
    return Profile(variable, table.get("interpolation", "linear"))


def _start(start: Any, key: str, n: Any) -> np.ndarray:
    """Where the values begin: n of them where n is given."""
    if isinstance(start, list):
        known = np.asarray([parse_quantity(value, key) for value in start])
        if n is None or n == known.size:
            return known
        places = np.linspace(0, 1, known.size)
        return np.interp(np.linspace(0, 1, n), places, known)
    number = np.asarray(parse_quantity(start, key))
    if n is None:
        return number
    return np.full(max(whole_number("n", n), 1), number)


def _layer_weights(file: CellFile, name: str, values: np.ndarray, table: dict) -> Any:
    """What each value counts in the mean over the layers of the host; None if alike."""
    scaffold = file.tables["scaffold"]
    shape = scaffold.get("shape")
    if values.ndim != 1 or not isinstance(shape, list) or len(shape) != 3:
        return None
    on_nodes = name.startswith("scaffold.") and scaffold.get("generator") not in (
        "averaged_foam",
        "homogenised",
    )
    interpolation = table.get("interpolation", "linear")
    n, layers = values.size, whole_number("shape", shape[2])
    return profile_weights(n, interpolation, layers, averaged=not on_nodes)


def _variable(values, low: float, high: float, table: dict[str, Any], weights: Any):
    monotone = table.get("monotone")
    keep = table.get("keep_mean", False)
    if monotone is not None:
        way = known_word("monotone", monotone, ("rising", "falling"), "way")
        falling = way == "falling"
        if values.ndim != 1:
            raise InputError(
                "monotone: expected a profile, got one number. Give n = 4 or so."
            )
        if np.ptp(values) == 0:
            return Monotone.ramp(low, high, values.size, falling=falling)
        return Monotone(values, low, high, falling=falling)
    if keep is True:
        return Balanced(values, low, high, weights=weights)
    scale = word("scale", table.get("scale", "linear"))
    return Bounded(as_float(values), low, high, scale=scale)


def _standing(file: CellFile, name: str) -> Any:
    """What stands at "table.key" in the file, None where nothing does."""
    inside: Any = file.tables
    for key in name.split("."):
        inside = inside.get(key) if isinstance(inside, dict) else None
    return inside


def design_of_file(file: CellFile) -> Callable[[Any], Cell]:
    """What makes a cell of free parts: the file, read with them in their places.

    A question of the file may be free too: what builds it reads the same places.
    """

    def build(parts: Mapping[str, Any]) -> Cell:
        return cell_of(with_parts(file, parts))

    return build


def with_parts(file: CellFile, parts: Mapping[str, Any]) -> CellFile:
    """The file with variables and profiles in the places that they are for."""
    return file.with_values(
        {name: v.value if is_variable(v) else v for name, v in parts.items()}
    )


def cell_of(file: CellFile) -> Cell:
    """The cell of a file."""
    return build_cell(file, build_scaffold(file), cell_arguments(file))


def objective_of(file: CellFile) -> AbstractObjective:
    """The sum of the objectives of a file, to be minimised."""
    table = file.tables["objective"]
    with file.place("objective"):
        if not table:
            raise InputError(
                "expected at least one, such as [objective.sand_time] with a "
                f"current_density. Known: {', '.join(sorted(OBJECTIVES))}."
            )
        terms = []
        for name, given in table.items():
            if not isinstance(given, dict):
                raise InputError(f"{name}: expected a table, got {given!r}.")
            own = dict(given)
            kind = own.pop("of_kind", name)
            weight = parse_quantity(own.pop("weight", 1.0), "weight")
            per = parse_quantity(own.pop("per", 1.0), "per")
            made = _objective(file, kind, own)
            terms.append(made * (weight / per))
        return sum(terms[1:], start=terms[0])


def _objective(file: CellFile, kind: str, table: dict[str, Any]) -> AbstractObjective:
    make = OBJECTIVES[known_word("objective", kind, OBJECTIVES, "objective")]
    parameters = _parameters(make)
    check_keys(table, [*parameters, "weight", "per"], (), kind)
    try:
        return make(**{k: _argument(file, k, v) for k, v in table.items()})
    except TypeError as error:
        needed = [k for k, p in parameters.items() if p.default is p.empty]
        raise InputError(f"{kind} needs {', '.join(needed)}.") from error


def _parameters(make: type) -> dict[str, inspect.Parameter]:
    """Of a class and of those that it hands the rest of its arguments to."""
    found: dict[str, inspect.Parameter] = {}
    for kind in make.__mro__:
        if "__init__" not in vars(kind) or kind is object:
            continue
        parameters = inspect.signature(kind).parameters
        for name, parameter in parameters.items():
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                found.setdefault(name, parameter)
        if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
            break
    return {k: p for k, p in found.items() if k not in ("self", "steps")}


def _argument(file: CellFile, key: str, value: Any) -> Any:
    if key == "stack":
        if not isinstance(value, dict):
            raise InputError(f"stack: expected a table, got {value!r}.")
        return Stack(**arguments_of(Stack, value, file.path.parent, "a stack"))
    if key in _WORDS:
        return word(key, value)
    if key in _COUNTS:
        return value  # a whole number stays one
    if key == "drive":
        try:
            return jnp.asarray(parse_quantity(value, "current_density"))
        except InputError:
            return value  # a sentence, or several
    return parse_quantity(value, key)


def constraints_of(
    file: CellFile, build: Callable[[Any], Cell], numbers: dict[str, Any]
) -> AugmentedLagrangian | None:
    """The constraints of a file, None where it has none."""
    table = file.tables["constraints"]
    made = []
    with file.place("constraints"):
        for name, given in table.items():
            if not isinstance(given, dict):
                raise InputError(f"{name}: expected a table, got {given!r}.")
            own = dict(given)
            kind = word("of", own.pop("of", name))
            bounds = {
                side: parse_quantity(own.pop(side), kind)
                for side in ("equal", "at_most", "at_least")
                if side in own
            }
            measure = _measure(file, kind, own)
            made.append(Constraint(name, lambda d, m=measure: m(build(d)), **bounds))
        return AugmentedLagrangian(made, **numbers) if made else None


def _measure(file: CellFile, kind: str, own: dict[str, Any]) -> Callable[[Cell], Any]:
    if kind in _MEASURES:
        check_keys(own, (), (), kind)
        return lambda cell: getattr(cell.scaffold, kind)
    known_word("of", kind, [*_MEASURES, *OBJECTIVES], "measure")
    return _objective(file, kind, own)


def parts_told(objective: AbstractObjective, cell: Cell) -> dict[str, float]:
    """The objectives of a sum by their names, each in its unit."""
    if isinstance(objective, WeightedSum):
        return {name: float(value) for name, value in objective.parts(cell).items()}
    return {objective.name: float(objective(cell))}


def written(value: Any) -> Any:
    """A free part as it is written in a cell file: a number, or a list along z.

    A profile that is not linear is sampled at many heights.
    """
    if is_variable(value):
        return float(value.value)
    n = value.values.shape[0]
    count = n if value.interpolation == "linear" else max(33, 4 * n + 1)
    return [float(x) for x in value.on_heights(jnp.linspace(0.0, 1.0, count))]


def measures(scaffold: Scaffold) -> dict[str, float]:
    """What a host is like, in numbers."""
    return {name: float(getattr(scaffold, name)) for name in _MEASURES}
