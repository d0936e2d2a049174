"""An electrolyte of ions told one by one, as a cell file names it.

[electrolyte] with temperature, plated and relative_permittivity or debye_length, and
one [[electrolyte.ions]] for each: name, charge, diffusivity, concentration, diameter,
standard_potential, and near_concentration in a bath at z = 0, where the collector was.
"""

from pathlib import Path
from typing import Any

from depojax.cli.arguments import arguments_of, check_keys, parameters_of, word
from depojax.cli.quantities import parse_quantity
from depojax.cli.words import InputError
from depojax.physics.ions import Ion, MultiIonElectrolyte

_EXAMPLE = (
    '[[electrolyte.ions]] with name = "Li+", charge = 1, '
    'diffusivity = "2e-6 cm^2/s", concentration = "10 mM"'
)
_OF_TABLES = ("ions", "concentrations")
_WORDS = ("plated", "name", "reference")
_NEAR = "near_concentration"


def near_bath(
    table: dict[str, Any], far: MultiIonElectrolyte
) -> MultiIonElectrolyte | None:
    """The bath at z = 0, if the table of `far` tells of one.

    An ion without `near_concentration` is not in it.
    """
    rows = table["ions"]
    if not any(_NEAR in row for row in rows):
        return None
    amounts = [parse_quantity(row.get(_NEAR, 0.0), _NEAR) for row in rows]
    if not any(amount > 0 for amount in amounts):
        raise InputError(f"{_NEAR}: expected some salt, got none of any ion.")
    plated = max(zip(amounts, far.names, strict=True))[1]
    return MultiIonElectrolyte(
        far.ions, amounts, plated=plated, temperature=far.temperature
    )


def ionic_electrolyte(table: dict[str, Any], folder: Path) -> MultiIonElectrolyte:
    """The electrolyte in a table that lists its ions.

    Raises `InputError` for an unknown or missing key, `ValueError` as the constructors.
    """
    others = [k for k in parameters_of(MultiIonElectrolyte) if k not in _OF_TABLES]
    known = ("ions", *others, "debye_length")
    check_keys(table, known, ("ions",), "an electrolyte of ions")
    if "debye_length" in table and "relative_permittivity" in table:
        raise InputError(
            "debye_length: it follows from relative_permittivity. Give one of the two."
        )
    rows = table["ions"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"ions: expected a table for each, such as {_EXAMPLE}.")
    ions, amounts = [], []
    needed = ("name", "charge", "diffusivity", "concentration")
    for row in rows:
        known = (*needed, "diameter", "standard_potential", _NEAR)
        check_keys(row, known, needed, "an ion")
        amounts.append(parse_quantity(row["concentration"], "concentration"))
        of_ion = {k: v for k, v in row.items() if k not in ("concentration", _NEAR)}
        ions.append(Ion(**arguments_of(Ion, of_ion, folder, "an ion")))
    given: dict[str, Any] = {
        key: (word if key in _WORDS else _number)(key, table[key])
        for key in others
        if key in table
    }
    made = MultiIonElectrolyte(ions, amounts, **given)
    if "debye_length" not in table:
        return made
    return made.with_debye_length(parse_quantity(table["debye_length"], "debye_length"))


def _number(key: str, value: Any) -> float:
    return parse_quantity(value, key)


def check_kind(electrolyte: Any, *, ions: bool) -> None:
    """Refuse one salt where ions are needed, and ions where a salt is."""
    if isinstance(electrolyte, MultiIonElectrolyte) == ions:
        return
    if ions:
        raise InputError(f"ions: missing, such as {_EXAMPLE}.")
    raise InputError(
        "ions: only `depojax space-charge` knows ions one by one. Name an electrolyte, "
        "or give its diffusivity, transference_number and charge."
    )
