"""Figures of space charge: profiles through a column, histories, current by voltage."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from depojax._checks import refuse
from depojax.plot.parts import (
    BLUE,
    GREY,
    ORANGE,
    SOLID,
    check_kind,
    headline,
    in_time_unit,
    layers,
    length_unit,
    new_figure,
    shown_layers,
)
from depojax.problems.cell import Cell
from depojax.problems.polarisation import PolarisationCurve
from depojax.problems.space_charge_curve import SpaceChargeCurve
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.units import M, cm, mA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe & Ito, in the order of the ions.
_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LEAST = 1e-4  # of the bulk, below which concentrations are not shown
_DECADES = 1e-5  # of the highest charge density, below which it is not shown


def column_profile(
    solution: SpaceCharge, place: Sequence[float] | None = None
) -> "Figure":
    """Concentrations, potential and charge density along z through one column of cells.

    `place` is x and y of the column [m]; by default the most open one, of these the one
    nearest to the middle. Concentrations and charge are drawn over decades: a space
    charge lies far below the bulk. Charge is a full line where it is positive, dashed
    where it is negative. Solid is grey, dashes mark the tops of scaffold and separator.

    Raises `ValueError` for what is no `SpaceCharge`, and for a place outside.
    """
    check_kind(solution, SpaceCharge)
    cell = solution.cell
    top = shown_layers(solution)
    i, j = _column(cell, place)
    unit, name = length_unit(float(cell.grid.nodes[2][top]))
    z = np.asarray(cell.grid.centers[2])[:top] / unit
    open_cells = np.asarray(cell.domain().pore_fraction)[i, j, :top] > 0

    def along(field: Any) -> np.ndarray:
        return np.where(open_cells, np.asarray(field)[i, j, :top], np.nan)

    figure = new_figure(6.4)
    panels = figure.subplots(3, 1, sharex=True)
    bulk = float(np.max(np.asarray(cell.ions.concentrations))) / M
    for k, ion in enumerate(solution.ions):
        c = along(solution.ion_concentration[k]) / M
        shown = np.where(c >= _LEAST * bulk, c, np.nan)
        panels[0].plot(z, shown, color=_COLOURS[k % 6], lw=1.8, label=ion)
    panels[0].set_yscale("log")
    panels[0].set_ylim(bottom=_LEAST * bulk)
    panels[0].legend(frameon=False, fontsize=8, ncols=2)
    panels[0].set_ylabel(r"concentration (mol L$^{-1}$)")
    panels[1].plot(z, along(solution.potential), color=BLUE, lw=1.8)
    if cell.plated_collector and open_cells[0]:
        panels[1].plot(
            0, float(solution.voltage), "D", color=ORANGE, label="collector",
            clip_on=False, ls="none", zorder=5,
        )  # fmt: skip
        panels[1].legend(frameon=False, fontsize=8)
    panels[1].set_ylabel("potential (V)")
    _draw_charge(panels[2], z, along(solution.charge_density) * cm**3)
    panels[2].set_xlabel(f"height above the collector ({name})")
    nodes = np.asarray(cell.grid.nodes[2])[: top + 1] / unit
    for axes in panels:
        _shade_solid(axes, nodes, open_cells)
        for height in layers(cell, unit):
            if height < 0.999 * nodes[-1]:
                axes.axvline(height, color="black", lw=0.8, ls="--")
        axes.set_xlim(0, nodes[-1])
        axes.tick_params(labelsize=8)
    figure.align_ylabels(panels)
    if cell.grid.shape[0] * cell.grid.shape[1] > 1:
        where = [float(cell.grid.centers[a][n]) / unit for a, n in ((0, i), (1, j))]
        words = f"x, y = {where[0]:.4g}, {where[1]:.4g} {name}"
        panels[0].set_title(words, fontsize=9)
    figure.suptitle(headline(solution), fontsize=10)
    return figure


def _draw_charge(axes: "Axes", z: np.ndarray, rho: np.ndarray) -> None:
    """|ρ| over decades, full where positive and dashed where negative."""
    most = np.nanmax(np.abs(rho), initial=0.0)
    axes.set_ylabel("charge density\n" + r"(C cm$^{-3}$)")
    if not most > 0:
        axes.plot(z, rho, color=BLUE, lw=1.8)
        return
    for sign, style in ((1, "-"), (-1, "--")):
        size = sign * rho
        shown = np.where(size > _DECADES * most, size, np.nan)
        if np.isfinite(shown).any():
            label = "positive" if sign > 0 else "negative"
            axes.plot(z, shown, style, color=BLUE, lw=1.8, label=label)
    axes.set_yscale("log")
    seen = np.abs(rho[np.abs(rho) > _DECADES * most])
    axes.set_ylim(
        *(10.0 ** f(np.log10(v)) for f, v in ((np.floor, seen.min()), (np.ceil, most)))
    )
    axes.legend(frameon=False, fontsize=8)


def history_of_ions(run: SpaceCharge) -> "Figure":
    """Voltage, current density and thickness of the space charge against time.

    Raises `ValueError` for a steady state.
    """
    t = np.asarray(run.time)
    kept = np.isfinite(t)
    if kept.sum() < 2:
        raise refuse(
            "run", "a run of some duration", "a steady state",
            "Draw its column_profile or slices instead.",
        )  # fmt: skip
    t, name = in_time_unit(t[kept])
    thickness = np.asarray(run.layer_thickness_history)[kept]
    unit, length = length_unit(float(np.max(thickness)))
    rows = [
        (run.voltage_history, 1.0, BLUE, "voltage (V)"),
        (
            run.current_density_history,
            mA / cm**2,
            ORANGE,
            "current density\n" + r"(mA cm$^{-2}$)",
        ),
    ]
    if not run.electroneutral:
        words = f"space charge ({length})"
        rows.append((run.layer_thickness_history, unit, "#009e73", words))
    figure = new_figure(1.9 * len(rows) + 0.4)
    panels = figure.subplots(len(rows), 1, sharex=True)
    for axes, (values, scale, colour, label) in zip(panels, rows, strict=True):
        values = np.asarray(values)[kept] / scale
        # What charges the double layer in the first instant is beyond all else.
        axes.plot(t, values, color=colour, lw=1.8)
        later = values[t > 0.02 * t[-1]]
        low, high = min(0.0, later.min()), max(0.0, later.max())
        room = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - room * (low < 0), high + room * (high > 0))
        axes.axhline(0.0, color=GREY, lw=0.8, zorder=0)
        axes.set_ylabel(label)
        axes.tick_params(labelsize=8)
    onset = float(run.onset_time)
    if np.isfinite(onset) and not run.electroneutral:
        factor = t[-1] / float(run.time[-1]) if np.isfinite(run.time[-1]) else 0.0
        for axes in panels:
            axes.axvline(onset * factor, color=GREY, lw=0.8, ls="--", zorder=0)
    panels[-1].set_xlim(0, t[-1])
    panels[-1].set_xlabel(f"time ({name})")
    figure.align_ylabels(panels)
    figure.suptitle(headline(run), fontsize=10)
    return figure


def current_voltage(curve: SpaceChargeCurve | PolarisationCurve) -> "Figure":
    """Current density against voltage, and below it the space charge and its field.

    Of a `PolarisationCurve` the currents that were carried.

    Raises `ValueError` for what is no curve, and for one without a single point.
    """
    check_kind(curve, SpaceChargeCurve, PolarisationCurve)
    V, J = np.asarray(curve.voltage), np.asarray(curve.current_density)
    kept = np.isfinite(V) & np.isfinite(J)
    if not kept.any():
        raise refuse("curve", "at least one voltage with a current", "none")
    whole = isinstance(curve, SpaceChargeCurve) and not curve.last.electroneutral
    figure = new_figure(5.8 if whole else 3.6, width=5.5)
    rows = 2 if whole else 1
    panels = np.atleast_1d(figure.subplots(rows, 1, sharex=True))
    panels[0].plot(V[kept], J[kept] / (mA / cm**2), "o-", color=BLUE, ms=4, lw=1.6)
    panels[0].set_ylabel(r"current density (mA cm$^{-2}$)")
    if isinstance(curve, SpaceChargeCurve) and whole:
        _draw_layer(panels[1], curve, V, kept)
    for axes in panels:
        axes.axhline(0.0, color=GREY, lw=0.8, zorder=0)
        axes.tick_params(labelsize=8)
    # Plating, the usual case, is read from left to right.
    if np.median(V[kept]) < 0:
        panels[0].invert_xaxis()
    if J[kept].min() >= 0:
        panels[0].set_ylim(bottom=0)
    panels[-1].set_xlabel("voltage of the collector (V)")
    return figure


def _draw_layer(axes: "Axes", curve: SpaceChargeCurve, V, kept) -> None:
    thickness = np.asarray(curve.layer_thickness)[kept]
    unit, name = length_unit(float(thickness.max()))
    axes.plot(V[kept], thickness / unit, "o-", color=BLUE, ms=4, lw=1.6)
    axes.set_ylabel(f"space charge ({name})", color=BLUE)
    axes.set_ylim(bottom=0)
    beside = axes.twinx()
    field = np.asarray(curve.highest_field)[kept] / 1e6
    beside.plot(V[kept], field, "s--", color=ORANGE, ms=4, lw=1.4)
    beside.set_ylabel(r"highest field (MV m$^{-1}$)", color=ORANGE)
    beside.set_ylim(bottom=0)
    beside.tick_params(labelsize=8)


def _column(cell: Cell, place: Sequence[float] | None) -> tuple[int, int]:
    """Indices of a column along z."""
    x, y = (np.asarray(cell.grid.centers[axis]) for axis in (0, 1))
    if place is None:
        volume = np.asarray(cell.domain().pore_fraction) * np.asarray(cell.grid.volumes)
        height = volume.sum(2) / volume.sum(2).max()
        middle = [float(length) / 2 for length in cell.grid.lengths[:2]]
        away = np.hypot(x[:, None] - middle[0], y[None, :] - middle[1])
        away = away / max(float(away.max()), 1e-30)
        i, j = np.unravel_index(np.argmax(height - 1e-3 * away), height.shape)
        return int(i), int(j)
    if np.shape(place) != (2,):
        raise refuse("place", "x and y of a column [m]", f"shape {np.shape(place)}")
    for axis, value in enumerate(place):
        length = float(cell.grid.lengths[axis])
        if not 0 <= value <= length:
            raise refuse(
                "place", f"{'xy'[axis]} from 0 to {length:.4g} m", f"{value:.4g} m"
            )
    return int(np.argmin(np.abs(x - place[0]))), int(np.argmin(np.abs(y - place[1])))


def _shade_solid(axes: "Axes", nodes: np.ndarray, open_cells: np.ndarray) -> None:
    for low, high, is_open in zip(nodes[:-1], nodes[1:], open_cells, strict=True):
        if not is_open:
            axes.axvspan(low, high, color=SOLID, lw=0)
