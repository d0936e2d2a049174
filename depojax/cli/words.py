"""What the command line says, and the one kind of error that is the user's own."""

import math
import sys
from collections.abc import Sequence
from typing import Any


class InputError(ValueError):
    """Something in a command or a file that its writer can put right."""


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
