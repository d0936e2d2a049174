"""A progress bar for runs that live inside of a compiled loop.

The compiled program must always call the same host function, or every bar would mean
another compilation; so the function looks up the bar that is open now.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tqdm import tqdm

# The share of the way behind, of the time [s] and the share that the event function
# has fallen by.
Share = Callable[[float, float], float]

_open_bars: list[tuple[tqdm, Share]] = []


def until_depletion(time: float, fallen: float) -> float:
    """Wall concentrations fall about as √t: the time goes as the square of the fall."""
    return fallen**2


@contextlib.contextmanager
def progress_bar(label: str, share: Share = until_depletion) -> Iterator[None]:
    """Show progress on stderr while open; silent where stderr is no terminal."""
    bar = tqdm(
        total=100.0,
        desc=label,
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
        leave=False,
    )
    _open_bars.append((bar, share))
    try:
        yield
    finally:
        _open_bars.remove((bar, share))
        bar.close()


def report_progress(time: Any, remaining: Any, accepted: Any) -> None:
    """After a step: the simulated `time` [s] and the share of the event function left.

    The bar never goes back.
    """
    if _open_bars and bool(accepted):
        bar, share = _open_bars[-1]
        fallen = min(max(1.0 - float(remaining), 0.0), 1.0)
        behind = min(share(float(time), fallen), 1.0)
        bar.n = max(bar.n, 100.0 * behind)
        bar.set_postfix_str(f"t = {float(time):.3g} s", refresh=True)


@contextlib.contextmanager
def step_bar(
    label: str, steps: int, done: int = 0, *, show: bool
) -> Iterator[Callable[[float], None]]:
    """A bar for steps that the host takes: the function inside tells one, and a loss.

    Silent where stderr is no terminal.
    """
    with tqdm(
        total=steps,
        initial=done,
        desc=label,
        file=sys.stderr,
        disable=not (show and sys.stderr.isatty()),
        leave=False,
    ) as bar:

        def told(loss: float) -> None:
            bar.set_postfix_str(f"best {loss:.6g}", refresh=False)
            bar.update()

        yield told
