"""Figures of a run through a protocol: its voltage, and where its current went."""

from typing import TYPE_CHECKING

import numpy as np

from depojax._checks import refuse
from depojax.plot.ions import history_of_ions
from depojax.plot.metal import OnMetal, on_metal
from depojax.plot.parts import (
    BLUE,
    GREY,
    ORANGE,
    check_kind,
    headline,
    in_time_unit,
    layer_mean,
    new_figure,
    quantile,
)
from depojax.problems.simulate import Simulation
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.units import cm, mA, mV, um

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# In the order in which a charge meets them, from the collector on.
_PARTS = {
    "solid": "host",
    "kinetics": "kinetics",
    "film": "film",
    "liquid": "electrolyte",
    "concentration": "concentration",
    "counter_film": "counter film",
    "counter_kinetics": "counter kinetics",
}
_NUMBERED_STEPS = 12  # more would not be read


def voltage(run: Simulation | SpaceCharge) -> "Figure":
    """Voltage and current density against time, and the parts of the voltage.

    Lines mark the ends of the steps of the protocol. The bars are the parts at the end
    of the last step that ended with a current. Of a `SpaceCharge` the thickness of the
    space charge instead of all that.

    Raises `ValueError` for what is no run, for one without a time step, and for a
    steady state.
    """
    check_kind(run, Simulation, SpaceCharge)
    if isinstance(run, SpaceCharge):
        return history_of_ions(run)
    kept = np.isfinite(np.asarray(run.time))
    if not kept.any():
        raise refuse("run", "at least one time step", "none")
    t, unit = in_time_unit(np.asarray(run.time)[kept])
    V = np.asarray(run.voltage)[kept]
    J = np.asarray(run.current_density)[kept] / (mA / cm**2)
    loaded = _last_loaded_step(run)
    figure = new_figure(4.2)
    grid = figure.add_gridspec(
        2,
        1 if loaded is None else 2,
        height_ratios=(2, 1),
        width_ratios=None if loaded is None else (1.9, 1),
    )
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    scale, name = (mV, "mV") if np.abs(V).max() < 1 else (1.0, "V")
    upper.plot(t, V / scale, color=BLUE, lw=1.8)
    upper.set_ylabel(f"voltage ({name})")
    upper.tick_params(labelbottom=False)
    lower.plot(t, J, color=ORANGE, lw=1.8)
    lower.set_ylabel("current density\n" + r"(mA cm$^{-2}$)")
    lower.set_xlabel(f"time ({unit})")
    for axes in (upper, lower):
        axes.axhline(0.0, color=GREY, lw=0.8, zorder=0)
        axes.set_xlim(0 if t[0] < 0.1 * t[-1] else t[0], t[-1])
        axes.margins(y=0.12)
        axes.tick_params(labelsize=8)
    figure.align_ylabels([upper, lower])
    _mark_steps([upper, lower], np.asarray(run.step)[kept], t)
    if loaded is not None:
        _draw_parts(figure.add_subplot(grid[:, 1]), run, loaded)
    figure.suptitle(headline(run), fontsize=10)
    return figure


def _last_loaded_step(run: Simulation) -> int | None:
    """The last step of the protocol that ended with a current."""
    table = np.stack([np.asarray(part) for part in run.step_voltage_parts.values()])
    loaded = np.flatnonzero(np.abs(table).max(axis=0) > 0)
    return int(loaded[-1]) if loaded.size else None


def _mark_steps(panels: list["Axes"], step: np.ndarray, t: np.ndarray) -> None:
    """A line at the end of every step but the last; its number where there is room."""
    ends = [t[step == number][-1] for number in np.unique(step)]
    begins = [panels[0].get_xlim()[0], *ends[:-1]]
    for axes in panels:
        for end in ends[:-1]:
            axes.axvline(end, color=GREY, lw=0.8, ls="--", zorder=0)
    if not 1 < len(ends) <= _NUMBERED_STEPS:
        return
    for number, begin, end in zip(np.unique(step), begins, ends, strict=True):
        if end - begin > 0.06 * t[-1]:
            panels[0].text(
                (begin + end) / 2,
                1.02,
                f"step {number + 1}" if end - begin > 0.15 * t[-1] else f"{number + 1}",
                transform=panels[0].get_xaxis_transform(),
                ha="center",
                va="bottom",
                fontsize=8,
                color="0.35",
            )


def _draw_parts(axes: "Axes", run: Simulation, step: int) -> None:
    """The parts of the voltage at the end of a step [mV], as bars with numbers."""
    found = {k: float(v[step]) / mV for k, v in run.step_voltage_parts.items()}
    largest = max(abs(value) for value in found.values())
    shown = {k: v for k, v in found.items() if abs(v) > 1e-4 * largest}
    names = [name for name in _PARTS if name in shown]
    values = [shown[name] for name in names]
    rows = np.arange(len(names))
    axes.barh(rows, values, height=0.6, color=BLUE)
    for row, value in zip(rows, values, strict=True):
        axes.annotate(
            f"{value:.3g}".replace("-", "−"),
            (value, row),
            xytext=(3 if value > 0 else -3, 0),
            textcoords="offset points",
            ha="left" if value > 0 else "right",
            va="center",
            fontsize=8,
        )
    axes.axvline(0.0, color="black", lw=0.8)
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.3 * (high - low)
    axes.set_xlim(low - room * (low < 0), high + room * (high > 0))
    axes.set_yticks(rows, [_PARTS[name] for name in names], fontsize=8)
    axes.yaxis.tick_right()
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("part of the voltage (mV)")
    total = sum(found.values())
    words = f"{total:.4g} mV".replace("-", "−")
    axes.set_title(f"end of step {step + 1}: {words}", fontsize=9)


def current_distribution(run: Simulation) -> "Figure":
    """How the current at the end is spread over the true surface of the host.

    Left the share of the area that carries each local current density; right its mean
    at each height, with a band that 90 % of the area there lies in, and the collector.
    Where no current flows at the end it is the plated charge that is shown.

    Raises `ValueError` for what is no `Simulation`, and for a host without surface.
    """
    check_kind(run, Simulation)
    metal = on_metal(run)
    if not metal.area.any():
        raise refuse("run", "a host with a surface", "one without", "Draw voltage.")
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2)
    _draw_histogram(left, metal)
    _draw_depth_profile(right, run, metal)
    figure.suptitle(headline(run), fontsize=10)
    return figure


def _draw_histogram(axes: "Axes", metal: OnMetal) -> None:
    low, high = (quantile(metal.values, metal.area, q) for q in (0.001, 0.999))
    if high - low < 1e-3 * abs(metal.mean):
        low, high = metal.mean - 0.5 * abs(metal.mean), 1.5 * abs(metal.mean)
    # What lies beyond counts in the outer bars.
    values = np.clip(metal.values, low, high)
    share = 100 * metal.area / metal.area.sum()
    axes.hist(
        values.ravel(),
        bins=30,
        range=(low, high),
        weights=share.ravel(),
        color=BLUE,
    )
    axes.axvline(metal.mean, color="black", lw=1, ls="--", label="mean")
    axes.set_xlabel(metal.label)
    axes.set_ylabel("share of the host's surface (%)")
    axes.legend(frameon=False, fontsize=8)


def _draw_depth_profile(axes: "Axes", run: Simulation, metal: OnMetal) -> None:
    grid = run.cell.scaffold.grid
    z = np.asarray(grid.centers[2]) / um
    mean = layer_mean(metal.values, metal.area)
    sides = [
        np.asarray(
            [
                quantile(metal.values[..., k], metal.area[..., k], share)
                for k in range(z.size)
            ]
        )
        for share in (0.05, 0.95)
    ]
    low, high = (np.where(np.isfinite(side), side, np.nan) for side in sides)
    axes.fill_betweenx(z, low, high, color=BLUE, alpha=0.2, lw=0, label="90 % of area")
    axes.plot(mean, z, color=BLUE, lw=1.8, label="host, mean")
    axes.axvline(metal.mean, color="black", lw=1, ls="--")
    if metal.collector_area.any():
        floor = np.average(metal.collector, weights=metal.collector_area)
        axes.plot(
            floor, 0, "D", color=ORANGE, ms=6, label="collector, mean",
            clip_on=False, ls="none", zorder=5,
        )  # fmt: skip
    axes.set_ylim(0, float(grid.lengths[2]) / um)
    axes.set_xlabel(metal.label)
    axes.set_ylabel("height above the collector (µm)")
    axes.legend(frameon=False, fontsize=8, loc="best")
