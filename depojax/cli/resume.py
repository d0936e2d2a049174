"""`depojax resume run/`: go on with a plating run or an optimisation."""

import argparse
from pathlib import Path
from typing import Any

from depojax.cli import optimise
from depojax.cli.cell_file import read_cell_file
from depojax.cli.cell_growth import go_on_arguments
from depojax.cli.cell_run import add_output_arguments
from depojax.cli.plate import RESTART, finished, told
from depojax.cli.session import session
from depojax.cli.words import InputError, Stages
from depojax.design.restart import FILE_NAME as STEPS
from depojax.io import load
from depojax.problems.plating import go_on
from depojax.problems.plating_solution import Plating


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax resume`."""
    parser.add_argument("folder", help="the run folder of `plate`, or of `optimise`")
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Finish the run of a folder from its restart point.

    Raises `InputError` for a folder without one.
    """
    folder = Path(arguments.folder)
    if (folder / STEPS).is_file():
        # The driver finds its own way on: it is the question that has to be the same.
        of_folder = {"file": folder / "input.toml", "out": folder, "anew": False}
        return optimise.run(argparse.Namespace(**vars(arguments) | of_folder))
    if not (folder / RESTART).is_file():
        done = (folder / "solution.nc").is_file()
        why = (
            "its run came to an end"
            if done
            else "neither `plate` nor `optimise` was here"
        )
        raise InputError(f"{folder}: no {RESTART} to go on from: {why}.")
    with session("float64"):
        return _run(folder, arguments)


def _run(folder: Path, arguments: argparse.Namespace) -> int:
    stages = Stages(quiet=arguments.quiet)
    file = read_cell_file(folder / "input.toml", "plate")
    options = go_on_arguments(file)
    try:
        partial = load(folder / RESTART)
    except ValueError as error:
        raise InputError(str(error)) from error
    if not isinstance(partial, Plating):
        kind = type(partial).__name__
        raise InputError(f"{folder / RESTART}: expected a plating run, got a {kind}.")

    def solve(**more: Any) -> Plating:
        return go_on(partial, **options, **more)

    with stages.stage("protocol from a restart point"):
        solution, failure = finished(solve, folder, arguments)
    return told(solution, failure, folder, {"input": file.text}, arguments, stages)
