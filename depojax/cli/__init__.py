"""The command line: `depojax sand`, `simulate`, `plate`, and others.

Results go to stdout, all else to stderr. A command ends with 0, with 1 when a solve
failed, and with 2 for something in the input that its writer can put right.
"""

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

import jax

from depojax.cli import (
    info,
    new,
    optimise,
    plate,
    resume,
    sand,
    simulate,
    space_charge,
    sweep,
    tortuosity,
)
from depojax.cli.words import InputError, say, tell
from depojax.solvers.results import SolveError

# Each command is a module with `add_arguments(parser)` and `run(arguments)`.
COMMANDS: dict[str, tuple[ModuleType, str]] = {
    "sand": (sand, "when and where the ions of a cell run out"),
    "simulate": (simulate, "where the current of a cell goes, and at what voltage"),
    "plate": (plate, "how metal fills a host, is stripped, and what is lost"),
    "resume": (resume, "go on with a plating run or an optimisation that was stopped"),
    "space-charge": (space_charge, "what happens beyond the limiting current"),
    "tortuosity": (tortuosity, "how a scanned host conducts along an axis"),
    "optimise": (optimise, "a better design, along the exact gradient"),
    "sweep": (sweep, "a parameter study, on one device or a cluster"),
    "new": (new, "write an example of a cell file"),
    "info": (info, "versions, devices, folders, and what a cell file can name"),
}


class _Parser(argparse.ArgumentParser):
    """argparse, with its errors as ours."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See `{self.prog} --help`.")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = argparse.Namespace()
    try:
        arguments = _parser().parse_args(words)
        if arguments.version:
            return _version()
        if arguments.command is None:
            raise InputError("a command is missing. See `depojax --help`.")
        return COMMANDS[arguments.command][0].run(arguments)
    except InputError as error:
        return _fail(str(error), 2, error.lines)
    except SolveError as error:
        return _fail(str(error), 1)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not _is_short_of_memory(error):
            raise
        words = "out of memory: take fewer cells (shape)"
        other = ", or --precision float32" if "precision" in vars(arguments) else ""
        return _fail(f"{words}{other}.", 1)
    except KeyboardInterrupt:
        return _fail("interrupted.", 130)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="depojax", description="Ions in metal-anode scaffolds.")
    parser.add_argument("--version", action="store_true", help="say the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, words) in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=words, description=words))
    return parser


def _version() -> int:
    from depojax import __version__

    say(f"depojax {__version__}")
    return 0


def _is_short_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _fail(words: str, code: int, lines: str = "") -> int:
    tell("\n".join(["depojax: error: " + " ".join(words.split()), *lines.splitlines()]))
    return code
