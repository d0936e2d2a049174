"""Numbers that drive a cell: unit slips refused, values written as people do."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Array

from depojax._checks import check_range, refuse
from depojax._quantities import write_quantity
from depojax._types import as_float, is_traced

# Beyond any that users meet.
CURRENTS = (1e-6, 1e7)  # [A m-2]
VOLTAGE = 100.0  # [V]
TIMES = (0.0, 1e9)  # [s]


def one_number(argument: str, value: Any, unit: str) -> Array:
    """`value` as a scalar array, refused where it is a text, an array or no number."""
    if np.ndim(value) != 0 or isinstance(value, str):
        got = repr(value) if isinstance(value, str) else f"shape {np.shape(value)}"
        raise refuse(argument, f"one number{f' [{unit}]' if unit else ''}", got)
    check_range(argument, value, -np.inf, np.inf, unit)
    return as_float(value)


def a_time(argument: str, value: Any) -> Array:
    """A length of time above zero [s]."""
    value = one_number(argument, value, "s")
    check_range(argument, value, *TIMES, "s", open_low=True)
    return value


def a_current(argument: str, value: Any) -> Array:
    """A current density other than zero [A m⁻²]."""
    J = one_number(argument, value, "A m⁻²")
    if not is_traced(J) and float(J) == 0:
        raise refuse(
            argument, "a current density other than zero", "0", "Rest passes none."
        )
    check_size(argument, J, CURRENTS[1], "A m⁻²", "2 * mA / cm**2", CURRENTS[0])
    return J


def a_voltage(argument: str, value: Any, *, many: bool = False) -> Array:
    """A potential, or `many` of them in an array [V]."""
    V = as_float(value) if many else one_number(argument, value, "V")
    check_size(argument, V, VOLTAGE, "V", "-100 * mV")
    return V


def check_size(
    argument: str, value: Any, most: float, unit: str, example: str, least: float = 0.0
) -> None:
    """Refuse magnitudes far beyond anything that users meet: a unit was forgotten."""
    if not is_traced(value):
        value = np.abs(np.asarray(value, dtype=float))
    cure = f"depojax is SI inside: write it with its unit, as {example}."
    check_range(f"|{argument}|", value, least, most, unit, cure)


def words_or_repr(value: Any, words: Callable[[], str]) -> str:
    """`words()`, or the structure of what is traced or stacked and has no words."""
    try:
        return words()
    except TypeError:
        return repr(value)


def write_current(value: Any) -> str:
    """A current density [A m⁻²] as one types it: "1 mA/cm2"."""
    return write_quantity(value, "mA/cm2", "A/m2", patience=6)


def write_voltage(value: Any) -> str:
    """A potential [V] as one types it: "-0.1 V"."""
    return write_quantity(value, "V", "mV", patience=3)


def write_time(value: Any) -> str:
    """A time [s] as one types it: "2 h"."""
    return write_quantity(value, "s", "min", "h", "ms")
