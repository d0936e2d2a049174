"""`depojax space-charge cell.toml`: what happens beyond the limiting current."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from depojax.cli.arguments import on_host
from depojax.cli.cell_file import CellFile, read_cell_file
from depojax.cli.cell_parts import cell_arguments
from depojax.cli.cell_run import Figures, add_cell_arguments, keep, open_cell, tell
from depojax.cli.questions import space_charge_arguments
from depojax.cli.session import session
from depojax.cli.words import Stages, aligned, finite_or_none, in_unit
from depojax.io import save
from depojax.problems.space_charge import space_charge
from depojax.problems.space_charge_curve import SpaceChargeCurve, space_charge_curve
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.solvers.results import RESULTS, SolveError
from depojax.units import cm, mA, nm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax space-charge`."""
    add_cell_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Solve for the ions of a cell file and fill its run folder.

    Raises `SolveError` for a solve that failed, after the folder has been filled with
    what was found.
    """
    file = read_cell_file(arguments.file, "space_charge")
    with session("float64"):
        return _run(file, arguments)


def _run(file: CellFile, arguments: argparse.Namespace) -> int:
    stages = Stages(quiet=arguments.quiet)
    # All that is quickly checked comes before the scaffold, which may take a while.
    question = space_charge_arguments(file)
    parts = cell_arguments(file, ions=True)
    cell, folder, origin = open_cell(file, arguments, parts, stages)
    with file.place("space_charge"):
        question = {key: on_host(v, cell.scaffold) for key, v in question.items()}
        solution = _solve(cell, question, arguments, stages)
    keep(solution, folder, origin, _figures, arguments, stages)
    if isinstance(solution, SpaceChargeCurve):
        save(solution.last, folder / "last.nc", attributes=origin)
    summary = summarise(solution)
    tell(summary, table, folder, arguments, stages)
    if not summary["found"]:
        raise SolveError(f"{summary['message']} What was computed is in {folder}.")
    return 0


def _solve(
    cell: Any, question: dict[str, Any], arguments: argparse.Namespace, stages: Stages
) -> SpaceCharge | SpaceChargeCurve:
    voltages = question.get("voltage")
    if isinstance(voltages, list):
        others = {key: v for key, v in question.items() if key != "voltage"}
        with stages.stage(f"curve of {len(voltages)} voltages"):
            curve = space_charge_curve(cell, voltages, throw=False, **others)
            return jax.block_until_ready(curve)
    with stages.stage("ions"):
        progress = not arguments.quiet and sys.stderr.isatty()
        solution = space_charge(cell, progress=progress, throw=False, **question)
        return jax.block_until_ready(solution)


def _figures(solution: SpaceCharge | SpaceChargeCurve) -> Figures:
    from depojax import plot

    last = _last(solution)
    figures: dict[str, Callable[..., Any]] = {}
    if isinstance(solution, SpaceChargeCurve):
        if bool(solution.found.any()):
            figures["current_voltage"] = plot.current_voltage
    elif np.isfinite(np.asarray(solution.time)).sum() > 1:
        figures["voltage"] = plot.voltage
    figures["column_profile"] = lambda _: plot.column_profile(last)
    if sum(n > 1 for n in last.cell.grid.shape) > 1:
        figures["slices"] = lambda _: plot.slices(last)
    return figures


def _last(solution: SpaceCharge | SpaceChargeCurve) -> SpaceCharge:
    return solution.last if isinstance(solution, SpaceChargeCurve) else solution


def summarise(solution: SpaceCharge | SpaceChargeCurve) -> dict[str, Any]:
    """What came out, in SI; None for what is not finite. Of a curve its last state."""
    last = _last(solution)
    cell = last.cell
    points = _points(solution)
    field = max(
        float(np.max(np.abs(f))) for f in (last.host_field, last.collector_field)
    )
    lowest = np.nanmin(np.asarray(last.lowest_concentration))
    return {
        "message": _message(solution),
        "found": all(point["found"] for point in points),
        "voltage_V": finite_or_none(last.voltage),
        "current_density_A_m2": finite_or_none(last.current_density),
        "layer_thickness_m": finite_or_none(last.layer_thickness),
        "highest_field_V_m": finite_or_none(field),
        "onset_time_s": finite_or_none(last.onset_time),
        "highest_dendrite_velocity_m_s": finite_or_none(
            np.max(np.asarray(last.dendrite_velocity))
        ),
        "limiting_current_A_m2": finite_or_none(last.limiting_current),
        "end_time_s": finite_or_none(last.end_time),
        "charge_C_m2": finite_or_none(last.charge),
        "lowest_concentration_mol_m3": finite_or_none(lowest),
        "debye_length_m": finite_or_none(last.debye_length),
        "electroneutral": last.electroneutral,
        "points": points if isinstance(solution, SpaceChargeCurve) else [],
        "ions": list(last.ions),
        "porosity": finite_or_none(cell.scaffold.porosity),
        "metal_area_factor": finite_or_none(cell.metal_area / cell.footprint),
        "cells": list(cell.grid.shape),
        "solves": int(last.solves),
        "newton_steps": sum(point["newton_steps"] for point in points),
        "linear_iterations": int(last.linear_iterations),
        "precision": str(last.ion_concentration.dtype),
        "device": jax.devices()[0].device_kind,
    }


def _points(solution: SpaceCharge | SpaceChargeCurve) -> list[dict[str, Any]]:
    if isinstance(solution, SpaceCharge):
        found = bool(solution.result == RESULTS.successful)
        return [{"found": found, "newton_steps": int(solution.newton_steps)}]
    return [
        {
            "voltage_V": finite_or_none(solution.voltage[k]),
            "current_density_A_m2": finite_or_none(solution.current_density[k]),
            "layer_thickness_m": finite_or_none(solution.layer_thickness[k]),
            "highest_field_V_m": finite_or_none(solution.highest_field[k]),
            "found": bool(solution.found[k]),
            "newton_steps": int(solution.newton_steps[k]),
        }
        for k in range(solution.voltage.size)
    ]


def _message(solution: SpaceCharge | SpaceChargeCurve) -> str:
    if isinstance(solution, SpaceChargeCurve):
        found = int(np.sum(np.asarray(solution.found)))
        asked = solution.voltage.size
        return f"Steady states at {found} of {asked} voltages."
    return solution.message


def table(summary: dict[str, Any]) -> str:
    """The summary for people: the curve, then one quantity per line."""
    blocks = [summary["message"]]
    if summary["points"]:
        heads = ("voltage", "current", "space charge", "highest field")
        lines = ["".join(f"{head:>16}" for head in heads)]
        for point in summary["points"]:
            lines.append("".join(f"{words:>16}" for words in _quantities(point)))
        blocks.append("\n".join(lines))
    V, J, thickness, field = _quantities(summary)
    cells = " × ".join(str(n) for n in summary["cells"])
    rows = [
        ("voltage", V),
        ("current density", J),
        ("space charge", "left out" if summary["electroneutral"] else thickness),
        ("highest field", field),
        ("Debye length", in_unit(summary["debye_length_m"], nm, "nm")),
        ("ions", ", ".join(summary["ions"])),
        ("cells", cells),
        (
            "Newton steps",
            f"{summary['newton_steps']} ({summary['solves']} solves at last)",
        ),
        ("wall time", f"{sum(summary['wall_time_s'].values()):.1f} s"),
        ("results in", summary["folder"]),
    ]
    return "\n\n".join([*blocks, aligned(rows)])


def _quantities(point: dict[str, Any]) -> tuple[str, str, str, str]:
    return (
        in_unit(point["voltage_V"], 1.0, "V"),
        in_unit(point["current_density_A_m2"], mA / cm**2, "mA/cm2"),
        in_unit(point["layer_thickness_m"], nm, "nm"),
        in_unit(point["highest_field_V_m"], 1e6, "MV/m"),
    )
