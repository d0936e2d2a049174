"""A progress bar for runs that live inside of a compiled loop.

The compiled program must always call the same host function, or every bar would mean
another compilation; so the function looks up the bar that is open now.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm

_open_bars: list[tqdm] = []


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[None]:
    """Show progress on stderr while open; silent where stderr is no terminal."""
    bar = tqdm(
        total=100.0,
        desc=label,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
        leave=False,
    )
    _open_bars.append(bar)
    try:
        yield
    finally:
        _open_bars.remove(bar)
        bar.close()


def report_progress(time: Any, remaining: Any, accepted: Any) -> None:
    """After a step: the simulated `time` [s] and the share of the event function left.

    Wall concentrations fall about as √t, so the share of the time that has passed is
    the square of the share that they have fallen by.
    """
    if _open_bars and bool(accepted):
        fallen = min(max(1.0 - float(remaining), 0.0), 1.0)
        bar = _open_bars[-1]
        bar.n = 100.0 * fallen**2
        bar.set_postfix_str(f"t = {float(time):.3g} s", refresh=True)
