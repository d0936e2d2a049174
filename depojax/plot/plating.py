"""Figures of metal in a host: how full it is, how thick the metal, and the voltage."""

from typing import TYPE_CHECKING, Any

import numpy as np

from depojax._checks import check_choice, check_range, refuse
from depojax.fv.grid import AXES
from depojax.plot.parts import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    check_kind,
    headline,
    in_time_unit,
    layer_mean,
    new_figure,
)
from depojax.problems.cell_assembly import collector_area, onto
from depojax.problems.plating_record import layer_means
from depojax.problems.plating_solution import Plating
from depojax.units import cm, mA, mV, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SLIVER = 0.05  # of the largest area in a cell, below which it is not shown


def fill_profile(run: Plating, *, times: Any = None) -> "Figure":
    """How full the pores are through the depth, at several times; metal at the end.

    Means over every layer of cells, from the collector to the separator. A pore that
    nothing connects to the separator any more counts as filled on the left, and is
    shown by itself in the middle.

    Args:
        run: what `plate` returns.
        times: of the curves [s], those of `run.time`; by default the ends of four
            equal parts of the run.

    Raises `ValueError` for what is no `Plating`, for one without a window, and for
    times outside of the run.
    """
    check_kind(run, Plating)
    moments, filled = _filled(run, times)
    scaffold, layers = run.cell.scaffold, run.cell.scaffold.shape[2]
    z = np.asarray(scaffold.grid.centers[2]) / um
    from matplotlib import colormaps

    figure = new_figure(4.0, 9.0)
    left, middle, right = figure.subplots(1, 3, sharey=True)
    scaled, unit = in_time_unit(moments)
    for number, (time, share) in enumerate(zip(scaled, filled, strict=True)):
        # The darkest comes last; the brightest would not be read on white.
        colour = colormaps[COLOURS](0.85 * (1 - number / max(len(filled) - 1, 1)))
        left.plot(100 * share, z, color=colour, lw=1.8, label=f"{time:.3g} {unit}")
    left.set_xlabel("pores filled (%)")
    left.set_ylabel("height above the collector (µm)")
    left.set_xlim(min(0.0, 100 * float(filled.min())), 100)
    left.set_ylim(0, float(scaffold.grid.lengths[2]) / um)
    left.legend(frameon=False, fontsize="small")
    _draw_shares(middle, run, z)
    _, _, on_wall, _, area = _on_surface(run)
    thickness = layer_mean(on_wall[..., :layers], area[..., :layers])
    right.plot(thickness, z, color=ORANGE, lw=1.8, marker="o", ms=3)
    right.set_xlabel("deposit (µm on the true area)")
    right.set_xlim(left=min(0.0, float(np.nanmin(thickness))))
    figure.suptitle(headline(run), fontsize="medium")
    return figure


def _filled(run: Plating, times: Any) -> tuple[np.ndarray, np.ndarray]:
    """Times [s], and the share of the pores of every layer that is filled then."""
    ends = np.asarray(run.window_time)
    pores = np.asarray(run.window_pore_fraction)
    if ends.size == 0:
        raise refuse("run", "at least one window", "none")
    bare = np.asarray(layer_means(run.cell.scaffold))
    begun = float(run.end_time) - float(np.sum(np.asarray(run.step_times)))
    if begun <= 1e-9 * float(run.end_time):
        ends, pores = np.append(0.0, ends), np.vstack([bare, pores])
    else:  # it goes on from another run, whose profile is not kept
        begun = float(ends[0])
    span = ends[-1] - begun
    if times is None:
        times = begun + span * np.linspace(0.25, 1.0, 4)
    moments = np.atleast_1d(np.asarray(times, float))
    slack = 1e-9 * ends[-1]
    if moments.size == 0 or not np.all(
        (moments >= begun - slack) & (moments <= ends[-1] + slack)
    ):
        raise refuse(
            "times", f"some within the run, {begun:g} to {ends[-1]:g} s", repr(times)
        )
    then = np.stack([np.interp(moments, ends, layer) for layer in pores.T], axis=1)
    open_at_first = np.where(bare > 0, bare, 1.0)
    return moments, np.where(bare > 0, 1 - then / open_at_first, 0.0)


def shut_in(run: Plating) -> np.ndarray:
    """Electrolyte behind closed pores at the end, share of each cell [-].

    Beside `pore_fraction`: a homogenised host has it there, a level set has not.
    """
    shut = np.asarray(run.growth.trapped(run.cell, run.metal) / run.cell.grid.volumes)
    return np.where(np.asarray(run.pore_fraction) > 0, 0.0, shut)


def _draw_shares(axes: "Axes", run: Plating, z: np.ndarray) -> None:
    """Electrolyte, metal, what is dead and what is shut in, at the end."""
    shut, wet = shut_in(run), np.asarray(run.pore_fraction)
    first = np.asarray(onto(run.cell.grid, run.cell.scaffold.pore_fraction))
    pore, pocket, dead, at_first = (
        field[..., : z.size].mean((0, 1))
        for field in (wet, shut, np.asarray(run.dead_metal), first)
    )
    bands = [
        ("electrolyte", pore, {"color": BLUE, "alpha": 0.25}),
        ("shut in", pocket, {"color": BLUE, "alpha": 0.6}),
        ("dead metal", dead, {"color": "black", "alpha": 0.7}),
        ("metal", at_first - pore - pocket - dead, {"color": ORANGE, "alpha": 0.6}),
    ]
    low = np.zeros_like(z)
    for name, share, style in bands:
        if name in ("electrolyte", "metal") or share.max() > 0:
            axes.fill_betweenx(z, low, low + share, lw=0, label=name, **style)
        low = low + share
    axes.plot(at_first, z, color=GREY, lw=1.2, ls="--", label="pores at first")
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the volume at the end")
    axes.legend(frameon=False, fontsize="small")


def thickness_map(run: Plating, *, axis: str = "y", position: Any = None) -> "Figure":
    """Thickness of the deposit in a section, and metal per footprint from above.

    Left the deposit on the true area of the host, in the cells that hold surface; what
    else is solid is grey: the bare host darker than metal. Right the volume of metal in
    each column of cells over its footprint.

    Args:
        run: what `plate` returns.
        axis: "x" or "y", along which the section cuts.
        position: where, along it [m]; by default in the middle.

    Raises `ValueError` for what is no `Plating`, for a single column of cells, and for
    a section that is none.
    """
    check_kind(run, Plating)
    scaffold = run.cell.scaffold
    nx, ny, layers = scaffold.shape
    if nx * ny == 1:
        raise refuse("run", "more than one column of cells", "one: see fill_profile")
    check_choice("axis", axis, ("x", "y"))
    if (nx, ny)[axis == "x"] == 1:  # only one section is wider than a cell
        axis = "y" if axis == "x" else "x"
    cut = AXES.index(axis)
    side = 1 - cut
    index = _section(run, cut, position)
    nodes = [np.asarray(n) / um for n in scaffold.grid.nodes]
    figure = new_figure(4.2, 8.0)
    left, right = figure.subplots(1, 2)
    bare, now, thickness, seen, _ = (
        np.take(field[..., :layers], index, axis=cut).T for field in _on_surface(run)
    )
    sides = nodes[side], nodes[2]
    for share, shade in ((1 - now, 0.85), (1 - bare, 0.55)):
        colour = np.full((*share.shape, 4), shade)
        colour[..., 3] = np.clip(share, 0, 1) if scaffold.resolved else 0.0
        left.pcolormesh(*sides, colour, rasterized=True)
    shown = left.pcolormesh(
        *sides, np.ma.masked_where(~seen, thickness), cmap=COLOURS, rasterized=True
    )
    left.set_xlabel(f"{AXES[side]} (µm)")
    left.set_ylabel("z (µm)")
    where = float(scaffold.grid.centers[cut][index]) / um
    left.set_title(f"{axis} = {where:.4g} µm", fontsize=9)
    figure.colorbar(shown, ax=left, label="deposit (µm on the true area)")
    metal = _metal_volume(run).sum(2) / np.asarray(scaffold.grid.face_areas(2))[..., 0]
    above = right.pcolormesh(
        nodes[0], nodes[1], metal.T / um, cmap="cividis", rasterized=True
    )
    right.set_xlabel("x (µm)")
    right.set_ylabel("y (µm)")
    right.set_title("seen from the separator", fontsize=9)
    figure.colorbar(above, ax=right, label="metal (µm per footprint)")
    for axes in (left, right):
        axes.set_aspect("equal")
    figure.suptitle(headline(run), fontsize="medium")
    return figure


def _section(run: Plating, cut: int, position: Any) -> int:
    grid = run.cell.scaffold.grid
    if position is None:
        return grid.shape[cut] // 2
    ends = float(grid.nodes[cut][0]), float(grid.nodes[cut][-1])
    check_range("position", position, *ends, "m", "It is a place in the host.")
    return int(np.argmin(np.abs(np.asarray(grid.centers[cut]) - float(position))))


def _on_surface(run: Plating) -> tuple[np.ndarray, ...]:
    """Open share at first and now, thickness [µm], where surface is, and its area."""
    cell = run.cell
    bare, now = (
        np.asarray(field)
        for field in (onto(cell.grid, cell.scaffold.pore_fraction), run.pore_fraction)
    )
    area = np.asarray(onto(cell.grid, cell.scaffold.surface_area)).copy()
    area[..., 0] += np.asarray(collector_area(cell))
    seen = area > _SLIVER * area.max()
    return bare, now, np.asarray(run.thickness) / um, seen, area


def _metal_volume(run: Plating) -> np.ndarray:
    """What the pores have lost to metal in each cell of the host [m³]."""
    cell, top = run.cell, run.cell.scaffold.shape[2]
    now = np.asarray(run.pore_fraction)[..., :top]
    volumes = np.asarray(cell.scaffold.grid.volumes)
    shut = np.asarray(run.growth.trapped(cell, run.metal))[..., :top]
    shut = np.where(now > 0, 0.0, shut)
    return (np.asarray(cell.scaffold.pore_fraction) - now) * volumes - shut


def plating_history(run: Plating) -> "Figure":
    """Voltage, current and porosity against time; nucleation in a panel of its own.

    Raises `ValueError` for what is no `Plating`, and for one without a time step.
    """
    check_kind(run, Plating)
    t, V = np.asarray(run.time), np.asarray(run.voltage) / mV
    if t.size == 0:
        raise refuse("run", "at least one time step", "none")
    spike = float(run.nucleation_overpotential)
    dips = np.isfinite(spike) and spike < 0
    figure = new_figure(4.6)
    grid = figure.add_gridspec(2, 2 if dips else 1, height_ratios=(2, 1))
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    scaled, unit = in_time_unit(t)
    upper.plot(scaled, V, color=BLUE, lw=1.6)
    upper.set_ylabel("voltage (mV)")
    upper.axhline(0.0, color=GREY, lw=0.8, zorder=0)
    upper.tick_params(labelbottom=False)
    J = np.asarray(run.current_density) / (mA / cm**2)
    lower.plot(scaled, J, color=ORANGE, lw=1.6)
    lower.set_ylabel("current density\n" + r"(mA cm$^{-2}$)")
    lower.set_xlabel(f"time ({unit})")
    if dips:
        first = np.asarray(run.step) == int(np.asarray(run.step)[0])
        inset = figure.add_subplot(grid[:, 1])
        inset.semilogx(t[first], V[first], color=BLUE, lw=1.6)
        inset.set_xlabel("time (s)")
        inset.set_ylabel("voltage (mV)")
        inset.set_title(f"nucleation: {spike / mV:.0f} mV", fontsize="medium")
    figure.suptitle(headline(run), fontsize="medium")
    return figure
