"""`depojax simulate cell.toml`: where current goes in a cell, and at what voltage."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from depojax.cli.cell_file import CellFile, read_cell_file
from depojax.cli.cell_parts import cell_arguments
from depojax.cli.cell_run import (
    Figures,
    add_cell_arguments,
    keep,
    open_cell,
    stopped,
    tell,
)
from depojax.cli.questions import simulate_arguments
from depojax.cli.session import session
from depojax.cli.words import Stages, aligned, finite_or_none, in_unit
from depojax.problems.simulate import Simulation, simulate
from depojax.solvers.results import SolveError
from depojax.units import cm, mA, mAh, mV

_SHOWN_STEPS = 12  # of the table for people; the summary has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax simulate`."""
    add_cell_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the cell of a file through its protocol and fill its run folder.

    Raises `SolveError` for a solve that failed, after the folder has been filled with
    what was computed until then.
    """
    file = read_cell_file(arguments.file, "simulate")
    with session("float64"):
        return _run(file, arguments)


def _run(file: CellFile, arguments: argparse.Namespace) -> int:
    stages = Stages(quiet=arguments.quiet)
    # All that is quickly checked comes before the scaffold, which may take a while.
    question = simulate_arguments(file)
    parts = cell_arguments(file)
    with file.place("electrolyte"):
        electrolyte = parts["electrolyte"]
        electrolyte.properties(electrolyte.concentration)
    cell, folder, origin = open_cell(file, arguments, parts, stages)
    failure: SolveError | None = None
    solution: Any = None
    with stages.stage(f"protocol of {len(question['protocol'])} steps"):
        progress = not arguments.quiet and sys.stderr.isatty()
        with file.place("simulate"):
            try:
                solution = simulate(cell, progress=progress, **question)
            except SolveError as error:
                failure, solution = error, error.solution
    if failure is not None and (solution is None or not solution.time.size):
        raise failure
    keep(solution, folder, origin, _figures, arguments, stages)
    summary = summarise(solution, failure)
    tell(summary, table, folder, arguments, stages)
    if failure is not None:
        raise stopped(failure, summary, folder)
    return 0


def _figures(solution: Simulation) -> Figures:
    from depojax import plot

    figures: dict[str, Callable[..., Any]] = {"voltage": plot.voltage}
    if bool(np.any(np.asarray(solution.cell.scaffold.surface_area) > 0)):
        figures["current_distribution"] = plot.current_distribution
    if sum(n > 1 for n in solution.cell.grid.shape) > 1:
        figures["slices"] = plot.slices
    return figures


def summarise(solution: Simulation, failure: SolveError | None) -> dict[str, Any]:
    """What came out, in SI; None for what is not finite."""
    cell = solution.cell
    return {
        "message": _message(solution) if failure is None else str(failure),
        "ended_by": list(solution.ended_by),
        "time_s": finite_or_none(solution.end_time),
        "voltage_V": finite_or_none(solution.final_voltage),
        "capacity_C_m2": finite_or_none(solution.charge),
        "lowest_wall_concentration_mol_m3": finite_or_none(
            np.min(solution.lowest_wall_concentration)
        ),
        "highest_local_current_density_A_m2": finite_or_none(
            np.max(solution.highest_current_density)
        ),
        "charge_imbalance": finite_or_none(np.max(solution.charge_imbalance)),
        "steps": [_of_step(solution, index) for index in range(len(solution.ended_by))],
        "porosity": finite_or_none(cell.scaffold.porosity),
        "area_factor": finite_or_none(cell.scaffold.area_factor),
        "metal_area_factor": finite_or_none(cell.metal_area / cell.footprint),
        "cells": list(cell.grid.shape),
        "time_steps": int(solution.time_steps),
        "newton_steps": int(solution.newton_steps),
        "linear_iterations": int(solution.linear_iterations),
        "precision": str(solution.concentration.dtype),
        "device": jax.devices()[0].device_kind,
    }


def _message(solution: Simulation) -> str:
    done, asked = len(solution.ended_by), len(solution.protocol)
    time = f"{float(solution.end_time):.5g} s"
    if done < asked or solution.ended_by[-1] == "depletion":
        why = solution.ended_by[-1].replace("_", " ")
        return f"Ended by {why} in step {done} of {asked}, after {time}."
    return f"All {asked} steps are done, after {time}."


def _of_step(solution: Simulation, index: int) -> dict[str, Any]:
    """A step of the protocol, and where the cell was at its end."""
    ends = np.flatnonzero(np.asarray(solution.step) == index)

    def at_end(history: Any) -> float | None:
        return finite_or_none(np.asarray(history)[ends[-1]]) if ends.size else None

    return {
        "step": str(solution.protocol[index]),
        "ended_by": solution.ended_by[index],
        "time_s": finite_or_none(solution.step_times[index]),
        "charge_C_m2": finite_or_none(solution.step_charges[index]),
        "voltage_V": at_end(solution.voltage),
        "voltage_parts_V": {
            name: finite_or_none(values[index])
            for name, values in solution.step_voltage_parts.items()
        },
        "current_density_A_m2": at_end(solution.current_density),
        "mean_local_current_density_A_m2": at_end(solution.mean_current_density),
        "highest_local_current_density_A_m2": at_end(solution.highest_current_density),
        "lowest_wall_concentration_mol_m3": at_end(solution.lowest_wall_concentration),
    }


def table(summary: dict[str, Any]) -> str:
    """The summary for people: the steps, then one quantity per line."""
    steps = summary["steps"]
    blocks = [_step_words(number, step) for number, step in enumerate(steps, start=1)]
    if len(blocks) > _SHOWN_STEPS:
        left = len(blocks) - _SHOWN_STEPS
        words = f"… {left} steps, in summary.json …"
        blocks = [*blocks[: _SHOWN_STEPS // 2], words, *blocks[-_SHOWN_STEPS // 2 :]]
    cells = " × ".join(str(n) for n in summary["cells"])
    iterations = (
        f"{summary['newton_steps']} Newton steps, "
        f"{summary['linear_iterations']} iterations"
    )
    lowest = summary["lowest_wall_concentration_mol_m3"]
    imbalance = summary["charge_imbalance"]
    rows = [
        ("end voltage", in_unit(summary["voltage_V"], mV, "mV")),
        ("charge", in_unit(summary["capacity_C_m2"], mAh / cm**2, "mAh/cm2")),
        ("lowest wall conc.", in_unit(lowest, 1.0, "mol/m3")),
        (
            "highest local current",
            in_unit(
                summary["highest_local_current_density_A_m2"], mA / cm**2, "mA/cm2"
            ),
        ),
        ("charge imbalance", "none" if imbalance is None else f"{imbalance:.1e}"),
        ("cells", cells),
        ("area factor", f"{summary['metal_area_factor']:.4g}, collector included"),
        ("time steps", f"{summary['time_steps']} ({iterations})"),
        ("wall time", f"{sum(summary['wall_time_s'].values()):.1f} s"),
        ("results in", summary["folder"]),
    ]
    return "\n\n".join([summary["message"], *blocks, aligned(rows)])


def _step_words(number: int, step: dict[str, Any]) -> str:
    per_area = mA / cm**2
    charge = in_unit(step["charge_C_m2"], mAh / cm**2, "mAh/cm2")
    mean = in_unit(step["mean_local_current_density_A_m2"], per_area, "mA/cm2")
    highest = in_unit(step["highest_local_current_density_A_m2"], per_area, "mA/cm2")
    rows = [
        ("ended by", f"{step['ended_by'].replace('_', ' ')}"),
        ("after", f"{step['time_s']:.5g} s, {charge}"),
        ("voltage", in_unit(step["voltage_V"], mV, "mV")),
    ]
    # Without a current there are no losses.
    if any(step["voltage_parts_V"].values()):
        parts = ", ".join(
            f"{name.replace('_', ' ')} {value / mV:.3g}"
            for name, value in step["voltage_parts_V"].items()
            if value
        )
        rows += [("of which", parts), ("local current", f"{mean}, at most {highest}")]
    lines = [f"  {line}" for line in aligned(rows).splitlines()]
    return "\n".join([f"{number}. {step['step']}", *lines])
