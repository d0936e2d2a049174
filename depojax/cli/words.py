"""What the command line says, and the one kind of error that is the user's own."""

import sys


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
