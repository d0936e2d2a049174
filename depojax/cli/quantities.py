"""Quantities in words, "60 mA/cm^2", as SI numbers, with their dimension checked.

    quantity  =  number [unit]
    unit      =  factor { ("*" | "/" | " ") factor }
    factor    =  name ["^" whole number]

Names are those of `depojax.units`; "µm" is "um". A slash divides by the next factor
alone: "C / m^2 s" is C m⁻² s.
"""

import re
from typing import Any

from depojax import units
from depojax._checks import nearest
from depojax.cli.words import InputError

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
    "mol": (0, 0, 0, 0, 1, 0),
    **dict.fromkeys(("M", "mM"), (-3, 0, 0, 0, 1, 0)),
    **dict.fromkeys(("J", "kJ", "eV"), (2, -2, 1, 0, 0, 0)),
    "K": (0, 0, 0, 0, 0, 1),
}
_NONE: Dimension = (0, 0, 0, 0, 0, 0)

# The unit in which each argument is reckoned; "" is a pure number.
ARGUMENT_UNITS = {
    **dict.fromkeys(
        (
            "amplitude", "channel_width", "correlation_length", "depth", "diameter",
            "fibre_diameter", "filament_diameter", "floor", "gap", "height", "period",
            "pitch", "pore_diameter", "radius", "sheet_thickness", "spacing",
            "thickness", "tip_radius", "tow_pitch", "tow_thickness", "tow_width",
            "voxel_size", "wall_distance", "wall_thickness", "wavelength", "width",
        ),
        "m",
    ),
    **dict.fromkeys(
        (
            "angle", "anisotropy", "depleted_share", "disorder", "half_angle",
            "linear_tolerance", "phase", "porosity", "run_on", "smoothing",
            "solid_fraction",
            "thermodynamic_factor", "threshold", "tolerance", "tortuosity_factor",
            "transference_number",
        ),
        "",
    ),
    **dict.fromkeys(
        ("diffusivity", "cation_diffusivity", "anion_diffusivity"), "m^2/s"
    ),
    **dict.fromkeys(
        ("first_step", "fixed", "max_time", "off_time", "on_time"), "s"
    ),
    "concentration": "mol/m^3",
    "conductivity": "S/m",
    "current_density": "A/m^2",
    "specific_area": "1/m",
    "temperature": "K",
}  # fmt: skip

_QUANTITY = re.compile(
    r"\s*(?P<number>[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?)\s*(?P<unit>.*?)\s*"
)
_FACTOR = re.compile(
    r"\s*(?P<operator>[*/·]?)\s*(?P<name>[A-Za-z]+|1)(\s*(\^|\*\*)\s*(?P<power>-?\d+))?"
)
_PLAIN = str.maketrans({"µ": "u", "μ": "u", "²": "^2", "³": "^3", "⁻": "-", "¹": "1"})


def parse_quantity(value: Any, argument: str) -> float:
    """`value`, a number in SI or a string with a unit, as a number in SI.

    Raises `InputError` for what is neither, for an unknown unit, and for a unit of
    another dimension than the argument's.
    """
    unit = ARGUMENT_UNITS.get(argument)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError(f"{argument}: expected {_expected(unit)}, got {value!r}.")
    if not isinstance(value, str):
        return float(value)
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise InputError(f'{argument}: expected {_expected(unit)}, got "{value}".')
    try:
        factor, dimension = parse_unit(match["unit"])
    except InputError as error:
        raise InputError(f'{argument}: in "{value}": {error}') from None
    if unit is not None and match["unit"] and dimension != parse_unit(unit)[1]:
        raise InputError(f'{argument}: expected {_expected(unit)}, got "{value}".')
    if unit and not match["unit"]:
        raise InputError(
            f'{argument}: expected a unit in the string "{value}", such as '
            f'"{value.strip()} {unit}"; a number without quotes is in SI.'
        )
    return float(match["number"]) * factor


def parse_unit(text: str) -> tuple[float, Dimension]:
    """A unit such as "mA/cm^2" as its factor to SI and its dimension."""
    factor, dimension, position = 1.0, _NONE, 0
    text = text.translate(_PLAIN).strip()
    # "m^-2" written with superscripts comes out as "m-^2".
    text = re.sub(r"-\^(\d)", r"^-\1", text)
    text = re.sub(r"([A-Za-z])(-\d)", r"\1^\2", text)
    while position < len(text):
        match = _FACTOR.match(text, position)
        if match is None:
            raise InputError(f'"{text[position:]}" is no unit.')
        value, own = _unit(match["name"])
        power = int(match["power"] or 1)
        power = -power if match["operator"] == "/" else power
        factor *= value**power
        dimension = tuple(a + power * b for a, b in zip(dimension, own, strict=True))
        position = match.end()
    return factor, dimension  # pyright: ignore[reportReturnType]


def _unit(name: str) -> tuple[float, Dimension]:
    if name == "1":
        return 1.0, _NONE
    if name not in _DIMENSIONS:
        raise InputError(f'"{name}" is no known unit. {nearest(name, _DIMENSIONS)}')
    value = float(getattr(units, name))
    return value, _DIMENSIONS[name]


def _expected(unit: str | None) -> str:
    if unit == "":
        return "a number without a unit"
    if unit is None:
        return 'a number in SI, or a string with its unit, such as "20 um"'
    return f'a number in {unit}, or a string with its unit, such as "{_example(unit)}"'


def _example(unit: str) -> str:
    examples = {
        "m": "20 um",
        "A/m^2": "20 mA/cm^2",
        "mol/m^3": "1 M",
        "m^2/s": "3e-6 cm^2/s",
        "K": "298.15 K",
    }
    return examples.get(unit, f"1 {unit}")
