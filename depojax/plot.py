"""Figures of solutions and scaffolds.

Each function returns a matplotlib `Figure` and shows nothing: a notebook displays it,
`save_figure` writes it. Lengths are in µm, concentrations in mol L⁻¹; colours are
those of viridis and of Okabe & Ito, told apart by all eyes and in grey.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax.fv.grid import AXES
from depojax.io import whole_file
from depojax.problems.cell import Cell
from depojax.problems.sand import SandSolution
from depojax.scaffold.scaffold import Scaffold
from depojax.units import M, cm, mA, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = "viridis"
_SOLID = (0.78, 0.78, 0.78)
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#999999"
_CONCENTRATION = r"salt concentration (mol L$^{-1}$)"
# (horizontal, vertical) axis of each slice, and the axis that is cut.
_PLANES = ((0, 2, 1), (1, 2, 0), (0, 1, 2))
_WIDTH = 7.0  # of a figure [inch]


def slices(solution: SandSolution) -> "Figure":
    """Concentration in three slices through the place that is depleted first.

    The solid is grey; a cut cell is grey by its share of solid. A circle marks the
    place, dashes the top of the scaffold and of the separator, a line the plated
    collector.

    Raises `ValueError` for a cell that is one cell wide along two axes.
    """
    _check(solution, SandSolution)
    cell, domain = solution.cell, solution.cell.domain()
    top = _shown(solution)
    c = np.asarray(solution.concentration)[..., :top] / M
    eps = np.asarray(domain.pore_fraction)[..., :top]
    solid = np.zeros_like(eps)
    if cell.scaffold.resolved:
        nz = cell.scaffold.shape[2]
        solid[..., :nz] = 1 - eps[..., :nz]
    c = np.ma.masked_where(eps <= 0, c)
    place = [float(x) for x in solution.location]
    nodes = [np.asarray(n) / um for n in cell.grid.nodes]
    nodes[2] = nodes[2][: top + 1]
    low, high = float(c.min()), float(c.max())
    if low < 0.5 * high or high <= low:
        low = 0.0
    figure, panels = _panels(nodes, "slices")
    mesh = None
    for axes, plane in panels:
        index = _index(cell, plane[2], place)
        mesh = _fill(axes, nodes, plane, c, index, cmap=_COLOURS, vmin=low, vmax=high)
        _cover(axes, nodes, plane, solid, index)
        _mark_layers(axes, cell, plane, nodes[2][-1])
        spot = [place[plane[0]] / um, place[plane[1]] / um]
        axes.plot(*spot, "o", ms=9, mfc="none", mec="black", mew=3.0)
        axes.plot(*spot, "o", ms=9, mfc="none", mec="white", mew=1.4)
        axes.set_title(f"{AXES[plane[2]]} = {place[plane[2]] / um:.4g} µm", fontsize=9)
    bar = figure.colorbar(mesh, ax=[axes for axes, _ in panels], shrink=0.9, pad=0.02)
    bar.set_label(_CONCENTRATION)
    figure.suptitle(_headline(solution), fontsize=10)
    return figure


def scaffold(scaffold: Scaffold) -> "Figure":
    """The solid of a scaffold in three slices through its middle.

    Raises `ValueError` for a scaffold that is one cell wide along two axes.
    """
    _check(scaffold, Scaffold)
    nodes = [np.asarray(n) / um for n in scaffold.grid.nodes]
    eps = np.asarray(scaffold.pore_fraction)
    figure, panels = _panels(nodes, "scaffold")
    mesh = None
    for axes, plane in panels:
        index = scaffold.shape[plane[2]] // 2
        mesh = _fill(axes, nodes, plane, eps, index, cmap="gray", vmin=0.0, vmax=1.0)
        middle = float(scaffold.grid.centers[plane[2]][index]) / um
        axes.set_title(f"{AXES[plane[2]]} = {middle:.4g} µm", fontsize=9)
    bar = figure.colorbar(mesh, ax=[axes for axes, _ in panels], shrink=0.9, pad=0.02)
    bar.set_label("pore fraction of the cell")
    area = float(scaffold.area_factor)
    words = f"porosity {float(scaffold.porosity):.3f}, area factor {area:.3g}"
    figure.suptitle(words, fontsize=10)
    return figure


def depth_profile(solution: SandSolution) -> "Figure":
    """Mean concentrations against the height above the collector, over the porosity.

    In the pore weighted by volume, at the wall by plated area; the band reaches down to
    the lowest wall concentration of each height.
    """
    _check(solution, SandSolution)
    cell, domain = solution.cell, solution.cell.domain()
    top = _shown(solution)
    volume = np.asarray(domain.pore_fraction * domain.grid.volumes)[..., :top]
    area = np.asarray(domain.wall_area)[..., :top]
    c = np.asarray(solution.concentration)[..., :top] / M
    wall = np.asarray(solution.wall_concentration)[..., :top] / M
    z = np.asarray(cell.grid.centers[2])[:top] / um
    figure = _new_figure(4.2)
    axes = figure.add_subplot()
    _shade_porosity(axes, cell, np.asarray(domain.pore_fraction)[..., :top])
    axes.plot(z, _mean(c, volume), color=_BLUE, lw=1.8, label="in the pore, mean")
    plated = area.sum((0, 1)) > 0
    # A single plated layer (a bare foil) makes no line.
    style = "o" if plated.sum() == 1 else "-"
    mean = _mean(wall, area)
    lowest = np.min(np.where(area > 0, wall, np.inf), axis=(0, 1))
    lowest = np.where(plated, lowest, np.nan)
    axes.plot(z, mean, style, color=_ORANGE, lw=1.8, label="at the wall, mean")
    dotted = "." if style == "o" else ":"
    axes.plot(z, lowest, dotted, color=_ORANGE, lw=1, label="at the wall, lowest")
    axes.fill_between(z, lowest, mean, color=_ORANGE, alpha=0.18, lw=0)
    for height in _layers(cell):
        if height < 0.999 * _top_node(cell, top):
            axes.axvline(height, color="black", lw=0.8, ls="--")
    axes.set_xlim(0, _top_node(cell, top))
    axes.set_ylim(bottom=min(0.0, float(np.nanmin(lowest))))
    axes.set_xlabel("height above the collector (µm)")
    axes.set_ylabel(_CONCENTRATION)
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=8, loc="best")
    axes.set_title(_headline(solution), fontsize=10)
    return figure


def depletion_map(solution: SandSolution) -> "Figure":
    """When the metal is depleted: over the footprint, and against the height.

    Left the earliest time over all heights; right, at each height, when the first and
    when half of the plated area is depleted.

    Raises `ValueError` where no such times were kept.
    """
    _check(solution, SandSolution)
    if solution.depletion_time is None:
        raise refuse(
            "solution",
            "times of depletion",
            "none: the run ended with the first depletion",
            "Compute it with sand_time(..., run_on=...).",
        )
    times = np.asarray(solution.depletion_time)
    if not np.isfinite(times).any():
        raise refuse("solution", "a cell that is depleted somewhere", "none that is")
    cell = solution.cell
    area = np.asarray(cell.domain().wall_area)
    times = np.where(area > 0, times, np.inf)
    nodes = [np.asarray(n) / um for n in cell.grid.nodes]
    figure = _new_figure(3.6)
    left, right = figure.subplots(1, 2)
    earliest = np.ma.masked_invalid(times.min(axis=2))
    mesh = left.pcolormesh(
        nodes[0], nodes[1], earliest.T, cmap=f"{_COLOURS}_r", rasterized=True
    )
    left.set_facecolor(_SOLID)
    left.set_aspect("equal")
    left.set_xlabel("x (µm)")
    left.set_ylabel("y (µm)")
    left.set_title("seen from the separator; grey: not depleted", fontsize=9)
    place = [float(x) / um for x in solution.location[:2]]
    figure.colorbar(mesh, ax=left, shrink=0.85).set_label("earliest depletion (s)")
    top = cell.scaffold.shape[2]
    z = np.asarray(cell.grid.centers[2])[:top] / um
    layers = [(times[..., k].ravel(), area[..., k].ravel()) for k in range(top)]
    first = [t.min() for t, _ in layers]
    half = [_weighted_median(t, a) for t, a in layers]
    end = float(solution.end_time)
    for values, style, label in (
        (first, "-", "first place"),
        (half, "--", "half the area"),
    ):
        shown = np.where(np.isfinite(values), values, np.nan)
        right.plot(shown, z, style, color=_BLUE, lw=1.8, label=label)
    right.axvline(end, color=_GREY, lw=1, ls=":", label="end of the run")
    left.plot(*place, "o", ms=9, mfc="none", mec=_ORANGE, mew=1.6)
    right.set_ylim(0, float(nodes[2][top]))
    right.set_xlabel("time of depletion (s)")
    right.set_ylabel("height above the collector (µm)")
    right.legend(frameon=False, fontsize=8)
    figure.suptitle(_headline(solution), fontsize=10)
    return figure


def wall_history(solution: SandSolution) -> "Figure":
    """Lowest and mean wall concentration against time, and a current that varies."""
    _check(solution, SandSolution)
    history = solution.history
    t = np.asarray(history.time)
    kept = np.isfinite(t)
    values = {name: np.asarray(value)[kept] for name, value in history.values.items()}
    t, unit = _in_time_unit(t[kept])
    figure = _new_figure(3.8)
    axes = figure.add_subplot()
    J = values["current_density"]
    if np.ptp(J) > 1e-6 * np.max(J):
        beside = axes.twinx()
        beside.step(t, J / (mA / cm**2), where="pre", color=_GREY, lw=0.9)
        beside.set_ylabel(r"current density (mA cm$^{-2}$)", color="#666666")
        beside.set_ylim(0, 3 * float(np.max(J)) / (mA / cm**2))
        axes.set_zorder(beside.get_zorder() + 1)
        axes.patch.set_visible(False)
    dots = {"marker": "o", "ms": 2.6} if t.size < 200 else {}
    mean, lowest = (
        values["mean_wall_concentration"],
        values["lowest_wall_concentration"],
    )
    axes.plot(t, mean / M, color=_BLUE, lw=1.6, label="mean", **dots)
    axes.plot(t, lowest / M, color=_ORANGE, lw=1.6, label="lowest", **dots)
    if bool(solution.depleted):
        axes.axhline(0.0, color="black", lw=0.8)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=min(0.0, float(np.min(lowest)) / M))
    axes.set_xlabel(f"time ({unit})")
    axes.set_ylabel(r"wall concentration (mol L$^{-1}$)")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(_headline(solution), fontsize=10)
    return figure


def save_figure(figure: "Figure", path: str | Path, *, dpi: int = 200) -> None:
    """Write a figure to a file, whole or not at all; the suffix decides the format."""
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=dpi)


def _new_figure(height: float, width: float = _WIDTH) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _check(value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise refuse("plot", f"a {kind.__name__}", type(value).__name__)


def _panels(nodes: list[np.ndarray], what: str):
    """A figure with one panel per plane that is wider than one cell, to one scale."""
    planes = [p for p in _PLANES if nodes[p[0]].size > 2 and nodes[p[1]].size > 2]
    if not planes:
        raise refuse(
            what, "at least two cells along two axes", "a line",
            "Draw depth_profile instead.",
        )  # fmt: skip
    widths = [float(nodes[p[0]][-1]) for p in planes]
    heights = [float(nodes[p[1]][-1]) for p in planes]
    scale = (_WIDTH - 2.4) / sum(widths)
    height = min(max(scale * max(heights), 1.4), 7.0) + 1.2
    figure = _new_figure(height)
    grid = figure.add_gridspec(1, len(planes), width_ratios=widths)
    panels = []
    for column, plane in enumerate(planes):
        axes = figure.add_subplot(grid[0, column])
        axes.set_aspect("equal", anchor="S")
        axes.set_xlabel(f"{AXES[plane[0]]} (µm)")
        axes.set_ylabel(f"{AXES[plane[1]]} (µm)")
        axes.tick_params(labelsize=8)
        panels.append((axes, plane))
    return figure, panels


def _cut(field: np.ndarray, plane: tuple[int, int, int], index: int) -> np.ndarray:
    """The values in a plane, rows along its vertical axis."""
    if isinstance(field, np.ma.MaskedArray):
        return np.ma.take(field, index, axis=plane[2]).T
    return np.take(field, index, axis=plane[2]).T


def _fill(axes: "Axes", nodes, plane, field, index: int, **style: Any):
    sides = nodes[plane[0]], nodes[plane[1]]
    return axes.pcolormesh(*sides, _cut(field, plane, index), rasterized=True, **style)


def _cover(axes: "Axes", nodes, plane, solid: np.ndarray, index: int) -> None:
    """Grey over the cells by their share of solid."""
    share = _cut(solid, plane, index)
    colour = np.empty((*share.shape, 4))
    colour[..., :3] = _SOLID
    colour[..., 3] = np.clip(share, 0, 1)
    axes.pcolormesh(nodes[plane[0]], nodes[plane[1]], colour, rasterized=True)


def _mark_layers(axes: "Axes", cell: Cell, plane, top: float) -> None:
    if plane[1] != 2:
        return
    for height in _layers(cell):
        if height < 0.999 * top:
            axes.axhline(height, color="white", lw=2.0)
            axes.axhline(height, color="black", lw=1.0, ls="--")
    if cell.plated_collector:
        axes.axhline(0.0, color="black", lw=3.0)


def _layers(cell: Cell) -> list[float]:
    """Heights of the tops of scaffold and separator [µm]."""
    z = np.asarray(cell.grid.nodes[2]) / um
    ends = [cell.scaffold.shape[2], cell.grid.shape[2] - cell.bath_cells]
    return sorted({float(z[k]) for k in ends})


def _shown(solution: SandSolution) -> int:
    """How many layers of cells to show: of a bath only what has changed."""
    cell = solution.cell
    inside = cell.grid.shape[2] - cell.bath_cells
    c0 = float(cell.electrolyte.concentration)
    open_cells = np.asarray(solution.concentration) > 0
    change = np.abs(np.asarray(solution.concentration) / c0 - 1) * open_cells
    changed = np.nonzero(change.max((0, 1)) > 0.02)[0]
    last = int(changed[-1]) + 1 if changed.size else 0
    return min(max(inside, last, 1), cell.grid.shape[2])


def _top_node(cell: Cell, top: int) -> float:
    return float(cell.grid.nodes[2][top]) / um


def _index(cell: Cell, axis: int, place: list[float]) -> int:
    centers = np.asarray(cell.grid.centers[axis])
    return int(np.argmin(np.abs(centers - place[axis])))


def _mean(field: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean over each layer, NaN where nothing weighs."""
    total = weight.sum((0, 1))
    mean = (field * weight).sum((0, 1)) / np.where(total > 0, total, 1)
    return np.where(total > 0, mean, np.nan)


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    if weight.sum() <= 0:
        return np.inf
    order = np.argsort(values)
    below = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][np.searchsorted(below, 0.5)])


def _shade_porosity(axes: "Axes", cell: Cell, eps: np.ndarray) -> None:
    top = eps.shape[2]
    z = np.asarray(cell.grid.nodes[2])[: top + 1] / um
    footprint = np.asarray(cell.grid.face_areas(2))
    mean = (eps * footprint).sum((0, 1)) / footprint.sum()
    beside = axes.twinx()
    beside.stairs(mean, z, fill=True, color="0.91", baseline=0)
    beside.set_ylim(0, 1.0)
    beside.set_ylabel("porosity (shade)", color="0.45")
    beside.tick_params(colors="0.45")
    axes.set_zorder(beside.get_zorder() + 1)
    axes.patch.set_visible(False)


def _in_time_unit(t: np.ndarray) -> tuple[np.ndarray, str]:
    end = float(t[-1])
    for factor, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if end > 2 * factor:
            return t / factor, unit
    return t / 1e-3, "ms"


def _headline(solution: SandSolution) -> str:
    J = float(solution.current.mean) / (mA / cm**2)
    driven = rf"{J:.4g} mA cm$^{{-2}}$"
    if bool(solution.depleted):
        return f"First depletion after {float(solution.time):.4g} s at {driven}"
    if bool(jnp.isinf(solution.end_time)):
        return f"Steady state at {driven}, nothing is depleted"
    return f"After {float(solution.end_time):.4g} s at {driven}, nothing is depleted"
