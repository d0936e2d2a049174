"""What the experiments on designs have in common: tables, ways of searching, a door."""

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

COST = 4  # runs that a loss with its gradient counts as
COLOURS = {"gradient": "#d55e00", "greedy": "#0072b2", "random": "#999999"}

Row = dict[str, Any]


def write_table(rows: Sequence[Row], path: Path) -> None:
    """The rows as a table, one column for each key."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def losses_of(found: Any, others: dict[str, Any]) -> dict[str, np.ndarray]:
    """The losses on the way of the gradient, and of other ways of searching."""
    losses = {"gradient": np.asarray(found.history["loss"])}
    return losses | {kind: np.asarray(each.history) for kind, each in others.items()}


def draw_ways(axes: Any, histories: dict[str, np.ndarray], sign: int, label: str):
    """The best so far, times `sign`, by the number of runs it took."""
    for name, losses in histories.items():
        runs = np.arange(losses.size) * (COST if name == "gradient" else 1) + 1
        best = sign * np.minimum.accumulate(losses)
        axes.plot(runs, best, color=COLOURS[name], lw=1.4, label=name)
    axes.set_xlabel("runs", fontsize=9)
    axes.set_ylabel(label, fontsize=9)
    axes.legend(frameon=False, fontsize=8)


def from_the_shell(main: Callable[[int], list[Row]], doc: str | None, cells: int):
    """Run an experiment in float64 at the resolution asked for and print its rows."""
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--resolution", type=int, default=cells, help=f"cells of the host [{cells}]"
    )
    for each in main(parser.parse_args().resolution):
        print("  ".join(f"{key} {value}" for key, value in each.items()))
