"""What the command line says, and the one kind of error that is the user's own.

Results go to stdout; how things go, and what was wrong, to stderr.
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any


class InputError(ValueError):
    """Something in a command or a file that its writer can put right.

    `lines` are printed below the error as they stand: a quotation with a mark in it.
    """

    def __init__(self, words: str, lines: str = ""):
        super().__init__(words)
        self.lines = lines


def say(text: str) -> None:
    """A line on stdout: a result."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """A line on stderr: how things go."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def finite_or_none(value: Any) -> float | None:
    """`value` as a number, None where it is none or not finite: JSON has no word."""
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """A line for each (label, value), with the values one below the other."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def in_unit(value: float | None, unit: float, name: str) -> str:
    """`value`, in SI, in another unit with its name; "none" where there is none.

    What is below 1e-7 of the unit is what a solve left, and said to be 0.
    """
    if value is None:
        return "none"
    number = value / unit
    return f"{number if abs(number) > 1e-7 else 0:.5g} {name}"


class Stages:
    """What is being done on stderr, and how long it took (`times` [s], by first word).

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool):
        self.quiet = quiet
        self.times: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside, and say so once it is done."""
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.times[name.split()[0].lower().removesuffix("'s")] = spent
        if not self.quiet:
            tell(f"{name} … {spent:.1f} s")

    def wall_times(self) -> dict[str, float]:
        """`times` to a millisecond, to be written down."""
        return {name: round(spent, 3) for name, spent in self.times.items()}
