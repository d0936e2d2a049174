"""What commands on a cell file share: their options, the cell, the run folder."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from depojax.cli.cell_file import CellFile
from depojax.cli.cell_parts import build_cell, build_scaffold, scaffold_arguments
from depojax.cli.run_folder import as_json, open_run_folder, write_text
from depojax.cli.words import Stages, say
from depojax.io import save
from depojax.problems.cell import Cell
from depojax.solvers.results import SolveError

Figures = Mapping[str, Callable[..., Any]]  # by the names of their files


def add_cell_arguments(parser: argparse.ArgumentParser) -> None:
    """The cell file, its run folder, what is said and drawn."""
    parser.add_argument("file", help="the cell, a TOML file (see `depojax new`)")
    parser.add_argument("--out", metavar="FOLDER", help="run folder [run/<file>]")
    add_output_arguments(parser)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """What is said and drawn."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    parser.add_argument("--quiet", action="store_true", help="nothing on stderr")


def open_cell(
    file: CellFile,
    arguments: argparse.Namespace,
    parts: dict[str, Any],
    stages: Stages,
) -> tuple[Cell, Path, dict[str, Any]]:
    """The cell, its run folder, and what its results say of where they come from."""
    kind, shape = scaffold_arguments(file)
    folder = open_run_folder(
        arguments.out or Path("run") / Path(arguments.file).stem, file.text
    )
    with stages.stage(f"scaffold {kind}"):
        scaffold = jax.block_until_ready(build_scaffold(file))
        cell = build_cell(file, scaffold, parts)
    origin = {"input": file.text}
    return cell, folder, origin | ({"seed": shape["key"]} if "key" in shape else {})


def keep(
    solution: Any,
    folder: Path,
    origin: dict[str, Any],
    figures: Callable[[Any], Figures],
    arguments: argparse.Namespace,
    stages: Stages,
) -> None:
    """Save a solution, and draw it unless nothing is to be drawn."""
    with stages.stage("files"):
        save(solution, folder / "solution.nc", attributes=origin)
    if arguments.no_figures:
        return
    from depojax import plot

    with stages.stage("figures"):
        for name, draw in figures(solution).items():
            plot.save_figure(draw(solution), folder / "figures" / f"{name}.png")


def tell(
    summary: dict[str, Any],
    table: Callable[[dict[str, Any]], str],
    folder: Path,
    arguments: argparse.Namespace,
    stages: Stages,
) -> None:
    """Write the summary into the folder, and say it."""
    summary = summary | {"wall_time_s": stages.wall_times(), "folder": str(folder)}
    write_text(folder / "summary.json", as_json(summary))
    say(as_json(summary).rstrip() if arguments.json else table(summary))


def stopped(failure: SolveError, summary: dict[str, Any], folder: Path) -> SolveError:
    """The failure of a run in time, with where to find what came before it."""
    end = f"{summary['time_s']:.5g} s"
    return SolveError(f"{failure} What was computed until {end} is in {folder}.")
