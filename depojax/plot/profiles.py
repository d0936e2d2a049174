"""Curves against height and time, and the map of depletion."""

from typing import TYPE_CHECKING

import numpy as np

from depojax._checks import refuse
from depojax.plot.parts import (
    BLUE,
    COLOURS,
    CONCENTRATION,
    GREY,
    ORANGE,
    SOLID,
    check_kind,
    headline,
    in_time_unit,
    layer_mean,
    layers,
    mark,
    new_figure,
    quantile,
    shown_layers,
)
from depojax.problems.cell import Cell
from depojax.problems.sand import SandSolution
from depojax.units import M, cm, mA, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def depth_profile(solution: SandSolution) -> "Figure":
    """Mean concentrations against the height above the collector, over the porosity.

    In the pore weighted by volume, at the wall by plated area; the band reaches down to
    the lowest wall concentration of each height.
    """
    check_kind(solution, SandSolution)
    cell, domain = solution.cell, solution.cell.domain()
    top = shown_layers(solution)
    volume = np.asarray(domain.pore_fraction * domain.grid.volumes)[..., :top]
    area = np.asarray(domain.wall_area)[..., :top]
    c = np.asarray(solution.concentration)[..., :top] / M
    wall = np.asarray(solution.wall_concentration)[..., :top] / M
    z = np.asarray(cell.grid.centers[2])[:top] / um
    figure = new_figure(4.2)
    axes = figure.add_subplot()
    _shade_porosity(axes, cell, np.asarray(domain.pore_fraction)[..., :top])
    axes.plot(z, layer_mean(c, volume), color=BLUE, lw=1.8, label="in the pore, mean")
    plated = area.sum((0, 1)) > 0
    # A single plated layer (a bare foil) makes no line.
    style = "o" if plated.sum() == 1 else "-"
    mean = layer_mean(wall, area)
    lowest = np.min(np.where(area > 0, wall, np.inf), axis=(0, 1))
    lowest = np.where(plated, lowest, np.nan)
    axes.plot(z, mean, style, color=ORANGE, lw=1.8, label="at the wall, mean")
    dotted = "." if style == "o" else ":"
    axes.plot(z, lowest, dotted, color=ORANGE, lw=1, label="at the wall, lowest")
    axes.fill_between(z, lowest, mean, color=ORANGE, alpha=0.18, lw=0)
    for height in layers(cell):
        if height < 0.999 * _top_node(cell, top):
            axes.axvline(height, color="black", lw=0.8, ls="--")
    axes.set_xlim(0, _top_node(cell, top))
    axes.set_ylim(bottom=min(0.0, float(np.nanmin(lowest))))
    axes.set_xlabel("height above the collector (µm)")
    axes.set_ylabel(CONCENTRATION)
    axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=8, loc="best")
    axes.set_title(headline(solution), fontsize=10)
    return figure


def depletion_map(solution: SandSolution) -> "Figure":
    """When the metal is depleted: over the footprint, and against the height.

    Left the earliest time over all heights; right, at each height, when the first and
    when half of the plated area is depleted.

    Raises `ValueError` where no such times were kept.
    """
    check_kind(solution, SandSolution)
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
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2)
    earliest = np.ma.masked_invalid(times.min(axis=2))
    mesh = left.pcolormesh(
        nodes[0], nodes[1], earliest.T, cmap=f"{COLOURS}_r", rasterized=True
    )
    left.set_facecolor(SOLID)
    left.set_aspect("equal")
    left.set_xlabel("x (µm)")
    left.set_ylabel("y (µm)")
    left.set_title("seen from the separator; grey: not depleted", fontsize=9)
    place = [float(x) / um for x in solution.location[:2]]
    figure.colorbar(mesh, ax=left, shrink=0.85).set_label("earliest depletion (s)")
    top = cell.scaffold.shape[2]
    z = np.asarray(cell.grid.centers[2])[:top] / um
    by_height = [(times[..., k].ravel(), area[..., k].ravel()) for k in range(top)]
    first = [t.min() for t, _ in by_height]
    half = [quantile(t, a, 0.5) for t, a in by_height]
    for values, style, label in (
        (first, "-", "first place"),
        (half, "--", "half the area"),
    ):
        shown = np.where(np.isfinite(values), values, np.nan)
        right.plot(shown, z, style, color=BLUE, lw=1.8, label=label)
    mark(left, place)
    right.set_ylim(0, float(nodes[2][top]))
    right.set_xlabel("time of depletion (s)")
    right.set_ylabel("height above the collector (µm)")
    right.legend(frameon=False, fontsize=8)
    figure.suptitle(headline(solution), fontsize=10)
    return figure


def wall_history(solution: SandSolution) -> "Figure":
    """Lowest and mean wall concentration against time, and a current that varies."""
    check_kind(solution, SandSolution)
    history = solution.history
    t = np.asarray(history.time)
    kept = np.isfinite(t)
    values = {name: np.asarray(value)[kept] for name, value in history.values.items()}
    t, unit = in_time_unit(t[kept])
    figure = new_figure(3.8)
    axes = figure.add_subplot()
    J = values["current_density"]
    if np.ptp(J) > 1e-6 * np.max(J):
        beside = axes.twinx()
        beside.step(t, J / (mA / cm**2), where="pre", color=GREY, lw=0.9)
        beside.set_ylabel(r"current density (mA cm$^{-2}$)", color="#666666")
        beside.set_ylim(0, 3 * float(np.max(J)) / (mA / cm**2))
        axes.set_zorder(beside.get_zorder() + 1)
        axes.patch.set_visible(False)
    dots = {"marker": "o", "ms": 2.6} if t.size < 200 else {}
    mean, lowest = (
        values["mean_wall_concentration"],
        values["lowest_wall_concentration"],
    )
    axes.plot(t, mean / M, color=BLUE, lw=1.6, label="mean", **dots)
    axes.plot(t, lowest / M, color=ORANGE, lw=1.6, label="lowest", **dots)
    if bool(solution.depleted):
        axes.axhline(0.0, color="black", lw=0.8)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=min(0.0, float(np.min(lowest)) / M))
    axes.set_xlabel(f"time ({unit})")
    axes.set_ylabel(r"wall concentration (mol L$^{-1}$)")
    axes.legend(frameon=False, fontsize=8)
    axes.set_title(headline(solution), fontsize=10)
    return figure


def _shade_porosity(axes: "Axes", cell: Cell, eps: np.ndarray) -> None:
    top = eps.shape[2]
    z = np.asarray(cell.grid.nodes[2])[: top + 1] / um
    footprint = np.asarray(cell.grid.face_areas(2))
    mean = (eps * footprint).sum((0, 1)) / footprint.sum()
    beside = axes.twinx()
    beside.stairs(mean, z, fill=True, color="0.93", baseline=0)
    beside.set_ylim(0, 1.0)
    beside.set_ylabel("porosity (shade)", color="0.45")
    beside.tick_params(colors="0.45")
    axes.set_zorder(beside.get_zorder() + 1)
    axes.patch.set_visible(False)


def _top_node(cell: Cell, top: int) -> float:
    return float(cell.grid.nodes[2][top]) / um
