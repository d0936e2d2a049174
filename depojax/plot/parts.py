"""What all figures share: colours, words, marks, and how they are written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax.io import whole_file
from depojax.problems.cell import Cell
from depojax.problems.sand import SandSolution
from depojax.units import cm, mA, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "viridis"
SOLID = (0.78, 0.78, 0.78)
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"
CONCENTRATION = r"salt concentration (mol L$^{-1}$)"
WIDTH = 7.0  # of a figure [inch]


def save_figure(figure: "Figure", path: str | Path, *, dpi: int = 200) -> None:
    """Write a figure to a file, whole or not at all; the suffix decides the format."""
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=dpi)


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure [inch], bound to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_kind(value: Any, kind: type) -> None:
    """Refuse to draw what is no `kind`."""
    if not isinstance(value, kind):
        raise refuse("plot", f"a {kind.__name__}", type(value).__name__)


def mark(axes: "Axes", spot: list[float]) -> None:
    """A circle that is seen on every colour, whole even at the side."""
    for colour, width in (("black", 3.4), ("white", 1.6)):
        axes.plot(
            *spot, "o", ms=9, mfc="none", mec=colour, mew=width, clip_on=False, zorder=9
        )


def layers(cell: Cell) -> list[float]:
    """Heights of the tops of scaffold and separator [µm]."""
    z = np.asarray(cell.grid.nodes[2]) / um
    ends = [cell.scaffold.shape[2], cell.grid.shape[2] - cell.bath_cells]
    return sorted({float(z[k]) for k in ends})


def shown_layers(solution: SandSolution) -> int:
    """How many layers of cells to show: of a bath only what has changed."""
    cell = solution.cell
    inside = cell.grid.shape[2] - cell.bath_cells
    c0 = float(cell.electrolyte.concentration)
    open_cells = np.asarray(solution.concentration) > 0
    change = np.abs(np.asarray(solution.concentration) / c0 - 1) * open_cells
    changed = np.nonzero(change.max((0, 1)) > 0.02)[0]
    last = int(changed[-1]) + 1 if changed.size else 0
    return min(max(inside, last, 1), cell.grid.shape[2])


def headline(solution: SandSolution) -> str:
    """What came out, for the top of a figure."""
    J = float(solution.current.mean) / (mA / cm**2)
    driven = rf"{J:.4g} mA cm$^{{-2}}$"
    if bool(solution.depleted):
        share = solution.depleted_share
        what = (
            f"{100 * share:.3g} % of the metal depleted" if share else "First depletion"
        )
        return f"{what} after {float(solution.time):.4g} s at {driven}"
    if bool(jnp.isinf(solution.end_time)):
        return f"Steady state at {driven}, nothing is depleted"
    return f"After {float(solution.end_time):.4g} s at {driven}, nothing is depleted"
