"""`depojax sand cell.toml`: when and where the ions of a cell run out."""

import argparse
import sys
from typing import Any

import jax
import jax.numpy as jnp

from depojax.cli.cell_file import CellFile, check_precision, read_cell_file
from depojax.cli.cell_parts import cell_arguments
from depojax.cli.cell_run import Figures, add_cell_arguments, keep, open_cell, tell
from depojax.cli.questions import sand_arguments
from depojax.cli.session import session
from depojax.cli.words import Stages, aligned, finite_or_none, in_unit
from depojax.problems.cell import Cell
from depojax.problems.sand import SandSolution, sand_time
from depojax.units import cm, mA, mAh


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax sand`."""
    add_cell_arguments(parser)
    parser.add_argument("--precision", help="float64 or float32, over that of the file")


def run(arguments: argparse.Namespace) -> int:
    """Compute Sand's time of a cell file and fill its run folder."""
    file = read_cell_file(arguments.file, "sand")
    precision = arguments.precision or file.precision
    check_precision(precision)
    with session(precision):
        return _run(file, arguments, precision)


def _run(file: CellFile, arguments: argparse.Namespace, precision: str) -> int:
    stages = Stages(quiet=arguments.quiet)
    # All that is quickly checked comes before the scaffold, which may take a while.
    question = sand_arguments(file)
    parts = cell_arguments(file)
    cell, folder, origin = open_cell(file, arguments, parts, stages)
    with stages.stage("Sand's time"), file.place("sand"):
        progress = not arguments.quiet and sys.stderr.isatty()
        solution = jax.block_until_ready(sand_time(cell, progress=progress, **question))
    keep(solution, folder, origin, _figures, arguments, stages)
    tell(summarise(solution, precision), table, folder, arguments, stages)
    return 0


def _figures(solution: SandSolution) -> Figures:
    from depojax import plot

    figures = {
        "depth_profile": plot.depth_profile,
        "wall_history": plot.wall_history,
    }
    if sum(n > 1 for n in solution.cell.grid.shape) > 1:
        figures["slices"] = plot.slices
    if solution.depletion_time is not None and bool(solution.depleted):
        figures["depletion_map"] = plot.depletion_map
    return figures


def summarise(solution: SandSolution, precision: str) -> dict[str, Any]:
    """What came out, in SI; None for what is infinite."""
    cell: Cell = solution.cell
    scaffold = cell.scaffold
    wall = cell.domain().wall_area > 0
    lowest = jnp.min(jnp.where(wall, solution.wall_concentration, jnp.inf))
    return {
        "message": solution.message,
        "depleted": bool(solution.depleted),
        "time_s": finite_or_none(solution.time),
        "capacity_C_m2": finite_or_none(solution.capacity),
        "location_m": [float(x) for x in solution.location],
        "current_density_A_m2": finite_or_none(solution.current.mean),
        "depleted_share": solution.depleted_share,
        "nearly_depleted": finite_or_none(solution.nearly_depleted),
        "limiting_current_A_m2": finite_or_none(solution.limiting_current),
        "lowest_wall_concentration_mol_m3": finite_or_none(lowest),
        "porosity": finite_or_none(scaffold.porosity),
        "closed_pore_fraction": finite_or_none(scaffold.closed_pore_fraction),
        "specific_area_1_m": finite_or_none(scaffold.specific_area),
        "area_factor": finite_or_none(scaffold.area_factor),
        "metal_area_factor": finite_or_none(cell.metal_area / cell.footprint),
        "cells": list(cell.grid.shape),
        "salt_balance_error": finite_or_none(solution.salt_balance_error),
        "steps": int(solution.steps),
        "attempts": int(solution.attempts),
        "linear_iterations": int(solution.linear_iterations),
        "precision": precision,
        "device": jax.devices()[0].device_kind,
    }


def table(summary: dict[str, Any]) -> str:
    """The summary for people: one quantity per line, in the units of the field."""
    x, y, z = (f"{1e6 * value:.4g}" for value in summary["location_m"])
    limit = summary["limiting_current_A_m2"]
    if summary["depleted"]:
        first = [
            ("Sand's time", f"{summary['time_s']:.5g} s"),
            (
                "Sand's capacity",
                in_unit(summary["capacity_C_m2"], mAh / cm**2, "mAh/cm2"),
            ),
            (_where_label(summary["depleted_share"]), f"x, y, z = {x}, {y}, {z} um"),
            ("nearly depleted", f"{100 * summary['nearly_depleted']:.3g} % of metal"),
        ]
    else:
        c = summary["lowest_wall_concentration_mol_m3"]
        first = [
            ("Sand's time", "never, or later"),
            ("lowest wall conc.", f"{c:.5g} mol/m3 at x, y, z = {x}, {y}, {z} um"),
        ]
    rows = [
        *first,
        (
            "mean current",
            in_unit(summary["current_density_A_m2"], mA / cm**2, "mA/cm2"),
        ),
        ("limiting current", in_unit(limit, mA / cm**2, "mA/cm2") if limit else "none"),
        ("porosity", f"{summary['porosity']:.4f}"),
        ("closed pores", f"{100 * summary['closed_pore_fraction']:.3g} %"),
        ("specific area", f"{summary['specific_area_1_m'] / 100:.4g} cm-1"),
        ("area factor", f"{summary['area_factor']:.4g}"),
        ("salt balance error", f"{summary['salt_balance_error']:.1e}"),
        ("steps", f"{summary['steps']} ({summary['linear_iterations']} iterations)"),
        ("wall time", f"{sum(summary['wall_time_s'].values()):.1f} s"),
        ("results in", summary["folder"]),
    ]
    return f"{summary['message']}\n\n{aligned(rows)}"


def _where_label(share: float) -> str:
    return f"{100 * share:.3g} % depleted at" if share else "depleted first at"
