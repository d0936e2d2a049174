"""`depojax plate cell.toml`: how metal fills a host, is stripped, and what is lost."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from depojax.cli.cell_file import CellFile, read_cell_file
from depojax.cli.cell_growth import plate_arguments, with_nucleation
from depojax.cli.cell_parts import cell_arguments
from depojax.cli.cell_run import (
    Figures,
    add_cell_arguments,
    keep,
    open_cell,
    stopped,
    tell,
)
from depojax.cli.session import session
from depojax.cli.words import Stages, aligned, finite_or_none, in_unit
from depojax.io import save
from depojax.problems.plating import plate
from depojax.problems.plating_solution import Plating
from depojax.solvers.results import SolveError
from depojax.units import cm, mAh, mV, um

RESTART = "restart.nc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax plate`."""
    add_cell_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Plate the cell of a file along its protocol and fill its run folder.

    Restart points go to the folder on the way. Raises `SolveError` for a solve that
    failed, after the folder has been filled with what was computed until then.
    """
    file = read_cell_file(arguments.file, "plate")
    with session("float64"):
        return _run(file, arguments)


def _run(file: CellFile, arguments: argparse.Namespace) -> int:
    stages = Stages(quiet=arguments.quiet)
    question = plate_arguments(file)
    parts = cell_arguments(file)
    cell, folder, origin = open_cell(file, arguments, parts, stages)
    question |= with_nucleation(file, cell)

    def solve(**options: Any) -> Plating:
        with file.place("plate"):
            return plate(cell, **question, **options)

    steps = len(question["protocol"])
    with stages.stage(f"protocol of {steps} steps"):
        solution, failure = finished(solve, folder, arguments)
    return told(solution, failure, folder, origin, arguments, stages)


def finished(
    solve: Callable[..., Plating], folder: Path, arguments: argparse.Namespace
) -> tuple[Plating, SolveError | None]:
    """A run with restart points in its folder; what failed, with what was computed."""
    progress = not arguments.quiet and sys.stderr.isatty()

    def kept(partial: Plating) -> None:
        save(partial, folder / RESTART)

    try:
        return solve(progress=progress, keep=kept), None
    except SolveError as error:
        solution: Any = error.solution
        if solution is None or not solution.time.size:
            raise
        return solution, error


def told(
    solution: Plating,
    failure: SolveError | None,
    folder: Path,
    origin: dict[str, Any],
    arguments: argparse.Namespace,
    stages: Stages,
) -> int:
    """Files, figures and the summary of a run."""
    keep(solution, folder, origin, _figures, arguments, stages)
    (folder / RESTART).unlink(missing_ok=True)
    summary = summarise(solution, failure)
    tell(summary, table, folder, arguments, stages)
    if failure is not None:
        raise stopped(failure, summary, folder)
    return 0


def _figures(solution: Plating) -> Figures:
    from depojax import plot

    figures: dict[str, Callable[..., Any]] = {
        "fill_profile": plot.fill_profile,
        "plating_history": plot.plating_history,
    }
    nx, ny, nz = solution.cell.scaffold.shape
    if nx * ny > 1:
        figures["thickness_map"] = plot.thickness_map
    if sum(n > 1 for n in (nx, ny, nz)) > 1:
        figures["slices"] = plot.slices
    return figures


def summarise(solution: Plating, failure: SolveError | None) -> dict[str, Any]:
    """What came out, in SI; None for what is not finite."""
    numbers = {
        "time_s": solution.end_time,
        "voltage_V": solution.final_voltage,
        "nucleation_overpotential_V": solution.nucleation_overpotential,
        "capacity_C_m2": solution.charge,
        "thickness_per_footprint_m": solution.deposited_thickness,
        "greatest_thickness_m": np.max(solution.thickness),
        "porosity_at_first": solution.cell.scaffold.porosity,
        "porosity": solution.final_cell.scaffold.porosity,
        "closure_time_s": solution.closure_time,
        "trapped_electrolyte_m3": solution.trapped_electrolyte,
        "dead_charge_C_m2": solution.dead_charge,
        "new_surface_per_footprint": solution.new_surface,
        "film_charge_C_m2": solution.film_charge,
        "nuclei_density_m2": np.max(solution.nuclei_density),
        "coverage": np.max(solution.coverage),
        "inventory_mismatch": solution.inventory_mismatch,
        "faraday_mismatch": solution.faraday_mismatch,
        "salt_mismatch": solution.salt_mismatch,
    }
    steps = [
        {
            "step": str(solution.protocol[index]),
            "ended_by": solution.ended_by[index],
            "time_s": finite_or_none(solution.step_times[index]),
            "charge_C_m2": finite_or_none(solution.step_charges[index]),
            "lost_charge_C_m2": finite_or_none(solution.step_lost_charges[index]),
            "film_charge_C_m2": finite_or_none(solution.step_film_charges[index]),
        }
        for index in range(len(solution.ended_by))
    ]
    efficiency = np.asarray(solution.coulombic_efficiency)
    return {
        "message": _message(solution) if failure is None else str(failure),
        "ended_by": list(solution.ended_by),
        **{name: finite_or_none(value) for name, value in numbers.items()},
        "coulombic_efficiency": [finite_or_none(each) for each in efficiency],
        "closure_place_m": [finite_or_none(each) for each in solution.closure_place],
        "steps": steps,
        "cells": list(solution.cell.grid.shape),
        "windows": int(solution.windows),
        "time_steps": int(solution.time_steps),
        "device": jax.devices()[0].device_kind,
    }


def _message(solution: Plating) -> str:
    done, asked = len(solution.ended_by), len(solution.protocol)
    time = f"{float(solution.end_time):.5g} s"
    why = solution.ended_by[-1].replace("_", " ")
    if done < asked or why in ("depletion", "pore closure", "top closure"):
        return f"Ended by {why} in step {done} of {asked}, after {time}."
    return f"All {asked} steps are done, after {time}."


def table(summary: dict[str, Any]) -> str:
    """The summary for people: the steps, then one quantity per line."""
    per_area = mAh / cm**2
    steps = [
        f"{number}. {step['step']}\n     ended by {step['ended_by'].replace('_', ' ')} "
        f"after {step['time_s']:.5g} s, {in_unit(step['charge_C_m2'], per_area, '')}"
        "mAh/cm2"
        for number, step in enumerate(summary["steps"], start=1)
    ]
    efficiency = summary["coulombic_efficiency"]
    shown = ", ".join(f"{each:.5g}" for each in efficiency[-4:] if each is not None)
    rows = [
        ("end voltage", in_unit(summary["voltage_V"], mV, "mV")),
        (
            "metal per footprint",
            in_unit(summary["thickness_per_footprint_m"], um, "µm"),
        ),
        ("thickest on the wall", in_unit(summary["greatest_thickness_m"], um, "µm")),
        (
            "porosity",
            f"{summary['porosity_at_first']:.4g} to {summary['porosity']:.4g}",
        ),
        ("dead metal", in_unit(summary["dead_charge_C_m2"], per_area, "mAh/cm2")),
        ("Coulombic efficiency", shown or "none"),
        ("Faraday mismatch", f"{summary['faraday_mismatch']:.1e}"),
        ("windows", f"{summary['windows']} ({summary['time_steps']} time steps)"),
        ("wall time", f"{sum(summary['wall_time_s'].values()):.1f} s"),
        ("results in", summary["folder"]),
    ]
    spike = summary["nucleation_overpotential_V"]
    if summary["film_charge_C_m2"]:
        film = in_unit(summary["film_charge_C_m2"], per_area, "mAh/cm2")
        rows.insert(5, ("films on new metal", film))
    if spike is not None:
        rows.insert(1, ("nucleation", in_unit(spike, mV, "mV")))
    return "\n\n".join([summary["message"], "\n".join(steps), aligned(rows)])
