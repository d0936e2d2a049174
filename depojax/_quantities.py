"""Quantities in words, "60 mA/cm2": what a unit is in SI, and numbers written back.

    unit    =  factor { ("*" | "/" | " ") factor }
    factor  =  name [["^"] whole number]

Names are those of `depojax.units`, and what else people write for times; "µm" is "um",
"cm²" is "cm2", "Ω" is "ohm". A slash divides by the next factor alone: "C / m^2 s" is
C m⁻² s.
"""

import re
from typing import Any

import numpy as np

from depojax import units
from depojax._checks import nearest

Dimension = tuple[int, int, int, int, int, int]

# Exponents of (m, s, kg, A, mol, K).
_DIMENSIONS: dict[str, Dimension] = {
    **dict.fromkeys(("m", "cm", "mm", "um", "nm"), (1, 0, 0, 0, 0, 0)),
    **dict.fromkeys(("s", "ms", "minute", "hour"), (0, 1, 0, 0, 0, 0)),
    **dict.fromkeys(("kg", "g", "mg"), (0, 0, 1, 0, 0, 0)),
    **dict.fromkeys(("A", "mA", "uA"), (0, 0, 0, 1, 0, 0)),
    **dict.fromkeys(("C", "Ah", "mAh"), (0, 1, 0, 1, 0, 0)),
    **dict.fromkeys(("V", "mV"), (2, -3, 1, -1, 0, 0)),
    "ohm": (2, -3, 1, -2, 0, 0),
    **dict.fromkeys(("S", "mS"), (-2, 3, -1, 2, 0, 0)),
    **dict.fromkeys(("F", "uF"), (-2, 4, -1, 2, 0, 0)),
    "mol": (0, 0, 0, 0, 1, 0),
    **dict.fromkeys(("M", "mM"), (-3, 0, 0, 0, 1, 0)),
    **dict.fromkeys(("J", "kJ", "eV"), (2, -2, 1, 0, 0, 0)),
    "K": (0, 0, 0, 0, 0, 1),
    "degree": (0, 0, 0, 0, 0, 0),
}
_NONE: Dimension = (0, 0, 0, 0, 0, 0)
_OTHER_NAMES = {
    **dict.fromkeys(("sec", "second", "seconds"), "s"),
    **dict.fromkeys(("millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("min", "mins", "minutes"), "minute"),
    **dict.fromkeys(("h", "hr", "hrs", "hours"), "hour"),
}

_FACTOR = re.compile(
    r"\s*(?P<operator>[*/·]?)\s*(?P<name>[A-Za-z]+|1)(\s*(\^|\*\*)\s*(?P<power>-?\d+))?"
)
_PLAIN = str.maketrans(
    {
        "µ": "u",
        "μ": "u",
        "Ω": "ohm",
        "\u2126": "ohm",
        "²": "^2",
        "³": "^3",
        "⁻": "-",
        "¹": "1",
        "−": "-",
    }
)


def parse_unit(text: str) -> tuple[float, Dimension]:
    """A unit such as "mA/cm^2" as its factor to SI and its dimension.

    Raises `ValueError` for what is no unit.
    """
    factor, dimension, position = 1.0, _NONE, 0
    text = text.translate(_PLAIN).strip()
    # "m^-2" written with superscripts comes out as "m-^2".
    text = re.sub(r"-\^(\d)", r"^-\1", text)
    text = re.sub(r"([A-Za-z])(-?\d)", r"\1^\2", text)
    while position < len(text):
        match = _FACTOR.match(text, position)
        if match is None:
            raise ValueError(f'"{text[position:]}" is no unit.')
        value, own = _unit(match["name"])
        power = int(match["power"] or 1)
        power = -power if match["operator"] == "/" else power
        factor *= value**power
        dimension = tuple(a + power * b for a, b in zip(dimension, own, strict=True))
        position = match.end()
    return factor, dimension  # pyright: ignore[reportReturnType]


def write_quantity(value: Any, *choices: str, patience: int = 0) -> str:
    """`value`, in SI, in the first of the units unless another is shorter to write.

    Shorter by more than `patience` characters. No digit is lost: reading the words
    gives the same floating-point number back. Not every number can be written so in
    every unit; one of them must be SI, where it can.
    """
    number = np.asarray(value)
    written = [(_digits(number, unit), unit) for unit in choices]
    costs = [len(text) + (patience if i else 0) for i, (text, _) in enumerate(written)]
    text, unit = written[costs.index(min(costs))]
    return f"{text} {unit}".rstrip()


def _digits(number: np.ndarray, unit: str) -> str:
    """The shortest decimal that is read as `number`; very long if there is none."""
    factor = parse_unit(unit)[0]
    for digits in range(1, 18):
        decimal = float(f"{float(number) / factor:.{digits}g}")
        if np.asarray(decimal * factor, number.dtype) == number:
            return repr(decimal).removesuffix(".0")
    return "?" * 99


def _unit(name: str) -> tuple[float, Dimension]:
    if name == "1":
        return 1.0, _NONE
    name = _OTHER_NAMES.get(name, name)
    if name not in _DIMENSIONS:
        raise ValueError(f'"{name}" is no known unit. {nearest(name, _DIMENSIONS)}')
    value = float(getattr(units, name))
    return value, _DIMENSIONS[name]
