"""The keys of a table as the arguments of a function: known, complete, and turned."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import jax.numpy as jnp

from depojax._checks import nearest
from depojax._types import as_float
from depojax.cli.quantities import parse_quantity
from depojax.cli.words import InputError
from depojax.scaffold.gradients import Graded, is_profile, on_cells
from depojax.scaffold.scaffold import Scaffold

_WHOLE = (
    "cells", "fibres", "filaments", "key", "layers", "max_steps", "sheets",
    "subdivision",
)  # fmt: skip
_WORDS = ("axes", "dtype", "name", "reference")
_AS_WRITTEN = ("charge", "pore", "solid")


def arguments_of(
    make: Callable[..., Any], table: dict[str, Any], folder: Path, what: str
) -> dict[str, Any]:
    """The arguments of `make` in a table: known, complete, and turned into values.

    `folder` is where paths begin; `what` is what `make` makes, to be said of it.
    """
    parameters = parameters_of(make)
    needed = [k for k, p in parameters.items() if p.default is inspect.Parameter.empty]
    check_keys(table, parameters, needed, what)
    return {
        key: turn(key, value, folder, parameters[key].annotation)
        for key, value in table.items()
    }


def parameters_of(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function, those behind a `**law: Unpack[Law]` by name."""
    found: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(make).parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            found[name] = parameter
            continue
        (law,) = get_args(parameter.annotation)
        for key, annotation in law.__annotations__.items():
            found[key] = inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
    return found


def check_keys(
    table: dict[str, Any], known: Iterable[str], needed: Iterable[str], what: str
) -> None:
    """Refuse a key that is no argument, and the absence of one that is needed."""
    known = list(known)
    for key in table:
        if key not in known:
            raise InputError(f"{key}: no argument of {what}. {nearest(key, known)}")
    missing = [key for key in needed if key not in table]
    if missing:
        raise InputError(f"{missing[0]}: missing; {what} needs {', '.join(needed)}.")


def turn(key: str, value: Any, folder: Path, annotation: Any = None) -> Any:
    """What is written in the file as what the argument takes."""
    if key == "image":
        return str(folder / word(key, value))
    if key in _WORDS or annotation is str:
        return word(key, value)
    if key in _AS_WRITTEN:
        return tuple(value) if key == "charge" and isinstance(value, list) else value
    if key in ("shape", "periodic"):
        kind = int if key == "shape" else bool
        return tuple(_each(key, value, kind))
    if key in _WHOLE:
        return whole_number(key, value)
    if annotation is bool:
        return true_or_false(key, value)
    if key in ("voxel_size", "phase") and isinstance(value, list):
        return as_float([parse_quantity(v, key) for v in value])
    return number_or_profile(key, value)


def number_or_profile(key: str, value: Any) -> Any:
    """A number in SI, or a list of them as a profile from collector to separator.

    A profile that a design has put there stays as it is.
    """
    if is_profile(value):
        return value
    if isinstance(value, list):
        return Graded(as_float([parse_quantity(v, key) for v in value]))
    return parse_quantity(value, key)


def on_host(value: Any, scaffold: Scaffold) -> Any:
    """A profile along z as a field over the cells of the host; else `value`."""
    if not is_profile(value):
        return value
    grid = scaffold.grid
    return jnp.broadcast_to(on_cells(value, grid), grid.shape)


def word(key: str, value: Any) -> str:
    """`value`, which has to be a string."""
    if not isinstance(value, str):
        raise InputError(f"{key}: expected a word in quotes, got {value!r}.")
    return value


def known_word(key: str, value: Any, known: Iterable[str], what: str) -> str:
    """`value`, which has to be one of the known words."""
    if word(key, value) not in known:
        raise InputError(
            f"{key}: expected a known {what}, got {value!r}. {nearest(value, known)}"
        )
    return value


def true_or_false(key: str, value: Any) -> bool:
    """`value`, which has to be a bool."""
    if not isinstance(value, bool):
        raise InputError(f"{key}: expected true or false, got {value!r}.")
    return value


def whole_number(key: str, value: Any) -> int:
    """`value`, which has to be a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{key}: expected a whole number, got {value!r}.")
    return value


def _each(key: str, value: Any, kind: type) -> list[Any]:
    right = isinstance(value, list) and all(type(item) is kind for item in value)
    if not right or len(value) != 3:
        what = "whole numbers" if kind is int else "times true or false"
        raise InputError(f"{key}: expected three {what} for x, y, z, got {value!r}.")
    return value
