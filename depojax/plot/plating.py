"""Figures of metal in a host: how full it is, how thick the metal, and the voltage."""

from typing import TYPE_CHECKING

import numpy as np

from depojax._checks import refuse
from depojax.plot.parts import (
    BLUE,
    COLOURS,
    GREY,
    ORANGE,
    check_kind,
    in_time_unit,
    new_figure,
)
from depojax.problems.cell_assembly import onto
from depojax.problems.plating_solution import Plating
from depojax.units import cm, mA, mV, um

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def fill_profile(run: Plating) -> "Figure":
    """Pore, live and dead metal through the depth, and the thickness of the deposit.

    Means over every layer of cells, from the collector to the separator.

    Raises `ValueError` for what is no `Plating`.
    """
    check_kind(run, Plating)
    layers = run.cell.scaffold.shape[2]
    z = np.asarray(run.cell.grid.centers[2])[:layers] / um
    pore, pore_at_first, dead = (
        np.asarray(field)[..., :layers].mean((0, 1))
        for field in (
            run.pore_fraction,
            onto(run.cell.grid, run.cell.scaffold.pore_fraction),
            run.dead_metal,
        )
    )
    filled = pore_at_first - pore
    figure = new_figure(4.0)
    left, right = figure.subplots(1, 2, sharey=True)
    left.fill_betweenx(z, 0, pore, color=BLUE, alpha=0.25, lw=0, label="electrolyte")
    left.fill_betweenx(
        z, pore, pore + filled, color=ORANGE, alpha=0.6, lw=0, label="metal"
    )
    if dead.max() > 0:
        left.fill_betweenx(
            z, pore, pore + dead, color="black", alpha=0.7, lw=0, label="dead metal"
        )
    left.plot(pore_at_first, z, color=GREY, lw=1.2, ls="--", label="pores at first")
    left.set_xlim(0, 1)
    left.set_xlabel("share of the volume")
    left.set_ylabel("height above the collector (µm)")
    left.legend(frameon=False, fontsize="small")
    area = np.asarray(onto(run.cell.grid, run.cell.scaffold.surface_area))
    area = area[..., :layers].sum((0, 1))
    thickness = np.asarray(run.thickness)[..., :layers].mean((0, 1)) / um
    right.plot(thickness, z, color=ORANGE, lw=1.8, marker="o", ms=3)
    right.set_xlabel("deposit (µm on the true area)")
    right.set_xlim(left=min(0.0, float(thickness.min())))
    figure.suptitle(_headline(run), fontsize="medium")
    return figure


def thickness_map(run: Plating) -> "Figure":
    """Thickness of the deposit in a section along x and z, in the middle of y.

    Raises `ValueError` for what is no `Plating`, and for a single column of cells.
    """
    check_kind(run, Plating)
    nx, ny, layers = run.cell.scaffold.shape
    if nx * ny == 1:
        raise refuse("run", "more than one column of cells", "one: see fill_profile")
    field = np.asarray(run.thickness)[..., :layers] / um
    x, y = (np.asarray(run.cell.grid.nodes[axis]) / um for axis in (0, 1))
    z = np.asarray(run.cell.grid.nodes[2])[: layers + 1] / um
    if nx > 1:
        section, side, name = field[:, ny // 2], x, "x"
    else:
        section, side, name = field[0], y, "y"
    figure = new_figure(4.2)
    axes = figure.add_subplot()
    shown = axes.pcolormesh(side, z, section.T, cmap=COLOURS)
    axes.set_aspect("equal")
    axes.set_xlabel(f"{name} (µm)")
    axes.set_ylabel("z (µm)")
    figure.colorbar(shown, label="deposit (µm on the true area)")
    figure.suptitle(_headline(run), fontsize="medium")
    return figure


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
    figure.suptitle(_headline(run), fontsize="medium")
    return figure


def _headline(run: Plating) -> str:
    ended = run.ended_by[-1].replace("_", " ") if run.ended_by else "not ended"
    foil = float(run.deposited_thickness) / um
    return f"{foil:.3g} µm of metal per footprint, ended by {ended}"
