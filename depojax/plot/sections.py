"""Slices through scaffolds and solutions."""

from typing import TYPE_CHECKING, Any

import numpy as np

from depojax._checks import refuse
from depojax.fv.grid import AXES
from depojax.plot.parts import (
    COLOURS,
    CONCENTRATION,
    SOLID,
    WIDTH,
    check_kind,
    headline,
    layers,
    mark,
    new_figure,
    shown_layers,
)
from depojax.problems.cell import Cell
from depojax.problems.sand import SandSolution
from depojax.scaffold.scaffold import Scaffold
from depojax.units import M, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# (horizontal, vertical) axis of each slice, and the axis that is cut.
_PLANES = ((0, 2, 1), (1, 2, 0), (0, 1, 2))


def slices(solution: SandSolution) -> "Figure":
    """Concentration in three slices through the place that is depleted first.

    The solid is grey; a cut cell is grey by its share of solid. A circle marks the
    place, dashes the top of the scaffold and of the separator, a line the plated
    collector.

    Raises `ValueError` for a cell that is one cell wide along two axes.
    """
    check_kind(solution, SandSolution)
    cell, domain = solution.cell, solution.cell.domain()
    top = shown_layers(solution)
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
    for axes, plane in panels:
        index = _index(cell, plane[2], place)
        _fill(axes, nodes, plane, c, index, cmap=COLOURS, vmin=low, vmax=high)
        _cover(axes, nodes, plane, solid, index)
        _mark_layers(axes, cell, plane, nodes[2][-1])
        spot = [place[plane[0]] / um, place[plane[1]] / um]
        mark(axes, spot)
        axes.set_title(f"{AXES[plane[2]]} = {place[plane[2]] / um:.4g} µm", fontsize=9)
    _colour_bar(figure, panels, CONCENTRATION)
    figure.suptitle(headline(solution), fontsize=10)
    return figure


def scaffold(scaffold: Scaffold) -> "Figure":
    """The solid of a scaffold in three slices through its middle.

    Raises `ValueError` for a scaffold that is one cell wide along two axes.
    """
    check_kind(scaffold, Scaffold)
    nodes = [np.asarray(n) / um for n in scaffold.grid.nodes]
    eps = np.asarray(scaffold.pore_fraction)
    figure, panels = _panels(nodes, "scaffold")
    for axes, plane in panels:
        index = scaffold.shape[plane[2]] // 2
        _fill(axes, nodes, plane, eps, index, cmap="gray", vmin=0.0, vmax=1.0)
        middle = float(scaffold.grid.centers[plane[2]][index]) / um
        axes.set_title(f"{AXES[plane[2]]} = {middle:.4g} µm", fontsize=9)
    _colour_bar(figure, panels, "pore fraction of the cell")
    area = float(scaffold.area_factor)
    words = f"porosity {float(scaffold.porosity):.3f}, area factor {area:.3g}"
    figure.suptitle(words, fontsize=10)
    return figure


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
    # Inches: 0.65 for labels beside each panel, 0.85 for the colour bar, 1.25 for
    # headings and axes.
    scale = (WIDTH - 0.85 - 0.65 * len(planes)) / sum(widths)
    height = min(max(scale * max(heights), 1.2), 7.0) + 1.25
    figure = new_figure(height)
    grid = figure.add_gridspec(1, len(planes), width_ratios=widths)
    panels = []
    for column, plane in enumerate(planes):
        axes = figure.add_subplot(grid[0, column])
        axes.set_aspect("equal", anchor="S")
        axes.locator_params(nbins=5)
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
    colour[..., :3] = SOLID
    colour[..., 3] = np.clip(share, 0, 1)
    axes.pcolormesh(nodes[plane[0]], nodes[plane[1]], colour, rasterized=True)


def _colour_bar(figure: "Figure", panels, label: str) -> None:
    """One colour bar for all panels: they share their colours."""
    every = [axes for axes, _ in panels]
    bar = figure.colorbar(every[0].collections[0], ax=every, pad=0.015, aspect=25)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _mark_layers(axes: "Axes", cell: Cell, plane, top: float) -> None:
    if plane[1] != 2:
        return
    for height in layers(cell):
        if height < 0.999 * top:
            axes.axhline(height, color="white", lw=2.0)
            axes.axhline(height, color="black", lw=1.0, ls="--")
    if cell.plated_collector:
        axes.axhline(0.0, color="black", lw=3.0)
    if cell.separator is not None:
        bottom, roof = (
            float(cell.grid.nodes[2][cell.scaffold.shape[2]]) / um,
            layers(cell)[-1],
        )
        axes.text(
            0.03,
            (bottom + roof) / 2,
            "separator",
            color="black",
            fontsize=7,
            transform=axes.get_yaxis_transform(),
            va="center",
        )


def _index(cell: Cell, axis: int, place: list[float]) -> int:
    centers = np.asarray(cell.grid.centers[axis])
    return int(np.argmin(np.abs(centers - place[axis])))
