"""What all figures share: colours, words, marks, and how they are written."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax.io import whole_file
from depojax.problems.cell import Cell
from depojax.problems.plating_solution import Plating
from depojax.problems.sand import SandSolution
from depojax.problems.simulate import Simulation
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.units import cm, mA, mAh, mV, nm, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "viridis"
SOLID = (0.78, 0.78, 0.78)
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"
CONCENTRATION = r"salt concentration (mol L$^{-1}$)"
POTENTIAL = "electrolyte potential (mV)"
WIDTH = 7.0  # of a figure [inch]


def save_figure(figure: "Figure", path: str | Path, *, dpi: int = 200) -> None:
    """Write a figure to a file, whole or not at all; the suffix decides the format."""
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=dpi)


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure [inch], bound to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_kind(value: Any, *kinds: type) -> None:
    """Refuse to draw what is none of these kinds."""
    if not isinstance(value, kinds):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise refuse("plot", f"a {names}", type(value).__name__)


def mark(axes: "Axes", spot: list[float]) -> None:
    """A circle that is seen on every colour, whole even at the side."""
    for colour, width in (("black", 3.4), ("white", 1.6)):
        axes.plot(
            *spot, "o", ms=9, mfc="none", mec=colour, mew=width, clip_on=False, zorder=9
        )


def length_unit(length: float) -> tuple[float, str]:
    """A unit that makes the numbers of a length [m] short, and its name."""
    return (nm, "nm") if length < 2 * um else (um, "µm")


def layers(cell: Cell, unit: float = um) -> list[float]:
    """Heights of the tops of scaffold and separator, in µm or another unit."""
    z = np.asarray(cell.grid.nodes[2]) / unit
    ends = [cell.scaffold.shape[2], cell.grid.shape[2] - cell.bath_cells]
    return sorted({float(z[k]) for k in ends})


def shown_layers(
    solution: SandSolution | Simulation | SpaceCharge | Plating,
) -> int:
    """How many layers of cells to show: of a bath only what has changed."""
    cell = solution.cell
    inside = cell.grid.shape[2] - cell.bath_cells
    c0 = float(cell.electrolyte.concentration)
    if isinstance(solution, SpaceCharge):
        c = np.asarray(solution.ion_concentration[cell.ions.plated_index])
    else:
        c = np.asarray(solution.concentration)
    change = np.abs(c / c0 - 1) * (c > 0)
    changed = np.nonzero(change.max((0, 1)) > 0.02)[0]
    last = int(changed[-1]) + 1 if changed.size else 0
    return min(max(inside, last, 1), cell.grid.shape[2])


def layer_mean(field: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean over each layer, NaN where nothing weighs."""
    total = weight.sum((0, 1))
    mean = (field * weight).sum((0, 1)) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan)


def quantile(values: np.ndarray, weight: np.ndarray, share: float) -> float:
    """The value that a share of the weight stays below, inf where nothing weighs."""
    if weight.sum() <= 0:
        return np.inf
    order = np.argsort(values, axis=None)
    below = np.cumsum(weight.ravel()[order]) / weight.sum()
    at = min(np.searchsorted(below, share), order.size - 1)
    return float(values.ravel()[order[at]])


def in_time_unit(t: np.ndarray) -> tuple[np.ndarray, str]:
    """Times [s] in a unit that makes their numbers short, and its name."""
    end = float(t[-1])
    for factor, unit in ((3600.0, "h"), (60.0, "min")):
        if end > 3 * factor:
            return t / factor, unit
    return (t, "s") if end > 0.5 else (t / 1e-3, "ms")


def headline(solution: SandSolution | Simulation | SpaceCharge | Plating) -> str:
    """What came out, for the top of a figure."""
    if isinstance(solution, Plating):
        foil = float(solution.deposited_thickness) / um
        ended = solution.ended_by[-1].replace("_", " ") if solution.ended_by else ""
        words = f"ended by {ended}" if ended else "under way"
        return f"{foil:.3g} µm of metal per footprint, {words}"
    if isinstance(solution, SpaceCharge):
        end = float(solution.end_time)
        when = "Steady state" if np.isinf(end) else f"After {end:.4g} s"
        J, V = float(solution.current_density), float(solution.voltage)
        words = rf"{when}: {V:.4g} V at {J / (mA / cm**2):.4g} mA cm$^{{-2}}$"
        thickness = float(solution.layer_thickness)
        unit, name = length_unit(thickness)
        if not solution.electroneutral:
            words += f", space charge {thickness / unit:.3g} {name}"
        return words.replace(": -", ": −")
    if isinstance(solution, Simulation):
        J, V = float(solution.current_density[-1]), float(solution.final_voltage)
        # What a solve left at rest is no current and no voltage.
        J, V = (J if abs(J) > 1e-6 else 0.0), (V if abs(V) > 1e-9 else 0.0)
        return (
            f"After {float(solution.end_time):.4g} s and "
            rf"{float(solution.charge) / (mAh / cm**2):.4g} mAh cm$^{{-2}}$: "
            rf"{V / mV:.4g} mV at {J / (mA / cm**2):.4g} mA cm$^{{-2}}$"
        ).replace(": -", ": −")
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
