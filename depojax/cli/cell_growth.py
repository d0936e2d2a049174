"""What a cell file says of metal: how it nucleates, grows and dies, and when."""

import inspect
from typing import Any

from depojax.cli.arguments import (
    check_keys,
    known_word,
    number_or_profile,
    on_host,
    parameters_of,
    true_or_false,
    word,
)
from depojax.cli.cell_file import CellFile
from depojax.cli.quantities import parse_quantity
from depojax.cli.questions import numerics_of, protocol_of, refuse_float32, steps_of
from depojax.cli.words import InputError
from depojax.physics import substrates
from depojax.physics.deposit import DeadMetal, SurfaceLoss
from depojax.physics.metals import Metal
from depojax.physics.nucleation import Nucleation
from depojax.problems.cell import Cell
from depojax.problems.growth import AbstractGrowth, HomogenisedGrowth
from depojax.problems.level_set_growth import LevelSetGrowth
from depojax.problems.plating_window import Windows

_KEYS = (
    "protocol", "stop_on_closure", "double_layer_capacitance", "change", "surface_loss",
)  # fmt: skip
_GROWTHS = {"homogenised": HomogenisedGrowth, "level_set": LevelSetGrowth}
_WORDS = ("area_law", "displaced")  # of [growth]
_NUCLEATION = (
    "substrate",
    "share",
    "nucleation_overpotential",
    *(k for k in inspect.signature(Nucleation).parameters if k != "metal"),
)
# What a substrate does not say itself.
_BESIDE_SUBSTRATES = ("share", "prefactor", "site_density", "surface_energy")


def plate_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `plate` beside the cell and its nucleation.

    Raises `InputError` for float32, and for a sentence that is no step.
    """
    refuse_float32(file, "plate", "the volume of metal closes to ten digits")
    table = file.tables["plate"]
    with file.place("plate"):
        check_keys(table, _KEYS, ("protocol",), "[plate]")
        found: dict[str, Any] = {"protocol": protocol_of(table["protocol"])}
        key = "double_layer_capacitance"
        if key in table:
            found[key] = parse_quantity(table[key], key)
        if "surface_loss" in table:
            found["surface_loss"] = _surface_loss(table["surface_loss"])
    return found | {"growth": _growth(file)} | go_on_arguments(file)


def go_on_arguments(file: CellFile) -> dict[str, Any]:
    """The arguments of `go_on` beside the run: windows, steps, and when to stop."""
    table = file.tables["plate"]
    found: dict[str, Any] = {"steps": steps_of(file, numerics_of(file))}
    with file.place("plate"):
        if "stop_on_closure" in table:
            value = table["stop_on_closure"]
            found["stop_on_closure"] = true_or_false("stop_on_closure", value)
        if "change" in table:
            found["windows"] = Windows(parse_quantity(table["change"], "change"))
    return found


def _growth(file: CellFile) -> AbstractGrowth | None:
    if "growth" not in file.given:
        return None
    table = dict(file.tables["growth"])
    with file.place("growth"):
        kind = table.pop("kind", "homogenised")
        growth = _GROWTHS[known_word("kind", kind, _GROWTHS, "growth")]
        check_keys(table, parameters_of(growth), (), "[growth]")
        loss = table.pop("loss", None)
        options = {key: _growth_value(key, value) for key, value in table.items()}
        if loss is not None:
            if not isinstance(loss, dict):
                raise InputError("loss: write it as a table of its own, [growth.loss].")
            check_keys(loss, parameters_of(DeadMetal), (), "[growth.loss]")
            numbers = {key: parse_quantity(value, key) for key, value in loss.items()}
            options["loss"] = DeadMetal(**numbers)
        return growth(**options)


def _surface_loss(table: Any) -> SurfaceLoss:
    if not isinstance(table, dict):
        raise InputError(
            "surface_loss: write it as a table of its own, [plate.surface_loss]."
        )
    check_keys(table, parameters_of(SurfaceLoss), ("charge",), "[plate.surface_loss]")
    renewed = true_or_false("renewed", table.get("renewed", False))
    return SurfaceLoss(parse_quantity(table["charge"], "charge"), renewed=renewed)


def _growth_value(key: str, value: Any) -> Any:
    if key == "gibbs_thomson":
        return true_or_false(key, value)
    return word(key, value) if key in _WORDS else parse_quantity(value, key)


def _on_substrate(
    named: Any, options: dict[str, Any], cell: Cell, metal: Metal
) -> Nucleation:
    """Nucleation on a known material, or on two, from the collector up."""
    names = named if isinstance(named, list) else [named]
    known = [
        substrates.KNOWN[known_word("substrate", name, substrates.KNOWN, "substrate")]()
        for name in names
    ]
    for key in options:
        if key not in _BESIDE_SUBSTRATES:
            raise InputError(
                f"{key}: not beside substrate, which says how metal wets it."
            )
    options = {"temperature": cell.electrolyte.temperature, **options}
    if len(known) == 1 and "share" not in options:
        return known[0].nucleation(metal, **options)
    if len(known) != 2:
        raise InputError(
            f"substrate: expected one, or two from the collector up, got {named!r}."
        )
    bottom, top = known
    return substrates.graded(cell.scaffold, bottom, top, metal, **options)


def with_nucleation(file: CellFile, cell: Cell) -> dict[str, Any]:
    """The nucleation that a file asks for, on its host; nothing if for none."""
    if "nucleation" not in file.given:
        return {}
    table = file.tables["nucleation"]
    with file.place("nucleation"):
        check_keys(table, _NUCLEATION, (), "[nucleation]")
        if cell.metal is None:
            raise InputError("metal: missing in [cell]; what nucleates is a metal.")
        named = table.get("substrate")
        options: dict[str, Any] = {
            key: on_host(number_or_profile(key, value), cell.scaffold)
            for key, value in table.items()
            if key != "substrate"
        }
        if named is not None:
            return {"nucleation": _on_substrate(named, options, cell, cell.metal)}
        if "share" in options:
            raise InputError("share: of what? Name two substrates beside it.")
        if "nucleation_overpotential" not in options:
            return {"nucleation": Nucleation(cell.metal, **options)}
        temperature = cell.electrolyte.temperature
        made = Nucleation.from_overpotential(
            cell.metal, temperature=temperature, **options
        )
        return {"nucleation": made}
