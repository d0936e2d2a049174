"""Refusals at the door: argument, what was expected, what came, and the cure.

Every check passes traced values through: inside a transformation a number is not
there to look at, and the result of a solve says so if it was no number.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from depojax._types import concrete


def refuse(argument: str, expected: str, got: Any, cure: str = "") -> ValueError:
    """The error for a bad `argument`, to be raised by the caller."""
    sentence = f"{argument}: expected {expected}, got {got}."
    return ValueError(f"{sentence} {cure}".rstrip())


def check_finite(argument: str, value: Any) -> None:
    """Refuse NaN, infinity and what is no number at all."""
    try:
        array = concrete(value)
        if array is None:
            return
        array = np.asarray(array, dtype=float)
    except (TypeError, ValueError) as error:
        raise refuse(
            argument, "a number or an array of numbers", repr(value)
        ) from error
    if not np.all(np.isfinite(array)):
        count = int(np.sum(~np.isfinite(array)))
        raise refuse(
            argument,
            "finite numbers",
            f"{count} of {array.size} that are NaN or infinite",
            "Mask or fill them before.",
        )


def check_range(
    argument: str,
    value: Any,
    low: float,
    high: float,
    unit: str = "",
    cure: str = "",
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> None:
    """Refuse values outside of [low, high] (or the open ends asked for)."""
    check_finite(argument, value)
    array = concrete(value)
    if array is None or array.size == 0:
        return
    smallest, largest = float(array.min()), float(array.max())
    too_low = smallest < low or (open_low and smallest == low)
    too_high = largest > high or (open_high and largest == high)
    if too_low or too_high:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        got = smallest if too_low else largest
        unit = f" {unit}" if unit else ""
        raise refuse(
            argument,
            f"within {left}{low:g}, {high:g}{right}{unit}",
            f"{got:g}{unit}",
            cure,
        )


def check_plausible(
    argument: str, value: Any, low: float, high: float, unit: str, example: str
) -> None:
    """Refuse a positive quantity three decades beyond anything that users meet."""
    check_finite(argument, value)
    array = concrete(value)
    if array is None:
        return
    if array.size == 0 or float(array.min()) <= 0:
        got = "nothing" if array.size == 0 else f"{float(array.min()):g} {unit}"
        raise refuse(argument, f"a positive number in {unit}", got)
    check_range(
        argument,
        value,
        low,
        high,
        unit,
        f"depojax is SI inside: write it with its unit, as {example}.",
    )


def check_fraction(argument: str, value: Any, *, closed: bool = False) -> None:
    """Refuse what is no fraction; open interval (0, 1) unless `closed`."""
    check_range(
        argument,
        value,
        0.0,
        1.0,
        cure="Give a fraction, not percent (0.92, not 92).",
        open_low=not closed,
        open_high=not closed,
    )


def check_double(argument: str, dtype: Any, reason: str) -> None:
    """Refuse single precision where it cannot hold, for a reason."""
    if np.dtype(dtype) != np.float64:
        raise refuse(
            argument,
            f"float64{reason}",
            str(np.dtype(dtype)),
            'Begin with jax.config.update("jax_enable_x64", True).',
        )


def check_integer(argument: str, value: Any, low: int) -> int:
    """`value` as an int of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise refuse(argument, "a whole number", repr(value))
    if value < low:
        raise refuse(argument, f"at least {low}", value)
    return int(value)


def check_shape(argument: str, shape: Any) -> tuple[int, int, int]:
    """`shape` as three numbers of cells (x, y, z), each at least 1."""
    try:
        triple = tuple(shape)
    except TypeError as error:
        raise refuse(
            argument, "three numbers of cells (x, y, z)", repr(shape)
        ) from error
    if len(triple) != 3:
        raise refuse(argument, "three numbers of cells (x, y, z)", triple)
    x, y, z = (
        check_integer(f"{argument}[{axis}]", n, 1) for axis, n in enumerate(triple)
    )
    return x, y, z


def check_array_shape(argument: str, value: Any, shape: Sequence[int]) -> None:
    """Refuse an array of another shape."""
    if tuple(np.shape(value)) != tuple(shape):
        raise refuse(
            argument, f"an array of shape {tuple(shape)}", tuple(np.shape(value))
        )


def check_together(**fields: Any) -> None:
    """Refuse numbers and arrays that do not broadcast; each is named by its keyword."""
    shape: tuple[int, ...] = ()
    for argument, value in fields.items():
        try:
            shape = np.broadcast_shapes(shape, np.shape(value))
        except ValueError as error:
            raise refuse(
                argument,
                f"one number or a shape that goes with {shape}",
                np.shape(value),
            ) from error


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the known words and the one nearest to `word`."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."


def check_choice(argument: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a word that is not among the known ones, and name the nearest."""
    known = list(known)
    if value not in known:
        raise refuse(argument, "a known word", repr(value), nearest(str(value), known))
