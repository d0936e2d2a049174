"""Figures of nucleation: the dip of the voltage, and transients of the current."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax.physics import metals
from depojax.physics.scharifker_hills import Transient, scharifker_hills
from depojax.plot.parts import BLUE, GREY, ORANGE, check_kind, new_figure
from depojax.problems.fitting_transients import TransientFit
from depojax.problems.nucleation_transient import NucleationTransient
from depojax.units import cm, mV

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_STYLES = ("-", "--", "-.", ":")  # lines that lie on each other stay apart


def nucleation(
    runs: NucleationTransient | Mapping[str, NucleationTransient],
) -> "Figure":
    """Voltage, coverage and nuclei against time, of one run or of several by name."""
    named: dict[str, Any] = {"": runs} if not isinstance(runs, Mapping) else dict(runs)
    if not named:
        raise refuse("runs", "at least one NucleationTransient", "none")
    figure = new_figure(6.0)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(1.6, 1, 1))
    for number, (name, run) in enumerate(named.items()):
        check_kind(run, NucleationTransient)
        style = {
            "color": _COLOURS[number % len(_COLOURS)],
            "ls": _STYLES[number % len(_STYLES)],
            "lw": 1.8,
        }
        t = np.asarray(run.time)
        depth = float(run.nucleation_overpotential) / mV
        label = f"{name}: dip {depth:.0f} mV" if name else f"dip {depth:.0f} mV"
        upper.plot(t, np.asarray(run.voltage) / mV, label=label, **style)
        middle.plot(t, np.asarray(run.coverage), **style)
        count = np.asarray(run.nuclei_density) * cm**2
        lower.plot(t, np.where(count > 1e-3, count, np.nan), **style)
    upper.set_ylabel("voltage (mV)")
    upper.legend(frameon=False)
    middle.set_ylabel("coverage")
    middle.set_ylim(-0.03, 1.03)
    lower.set_ylabel("nuclei (cm$^{-2}$)")
    lower.set_yscale("log")
    lower.set_xlabel("time (s)")
    lower.set_xscale("log")
    return figure


def nucleation_transients(
    transients: Transient | TransientFit | Mapping[str, Transient | TransientFit],
) -> "Figure":
    """(i/i_m)² against t/t_m, between the two limits of Scharifker and Hills.

    Of a `TransientFit` the measured currents are dots and the fit is a line.
    """
    given: dict[str, Any] = (
        dict(transients) if isinstance(transients, Mapping) else {"": transients}
    )
    if not given:
        raise refuse("transients", "at least one Transient or TransientFit", "none")
    figure = new_figure(4.0)
    axes = figure.subplots()
    s = jnp.linspace(0.0, 5.0, 301)
    options = {"concentration": 50.0, "diffusivity": 1e-9}
    for kind, style in (("site_density", "--"), ("nucleation_rate", ":")):
        name = "instantaneous" if kind == "site_density" else "progressive"
        probe = {kind: 1e10}
        first = scharifker_hills(s, metals.copper, **probe, **options)
        shape = scharifker_hills(s * first.peak_time, metals.copper, **probe, **options)
        i = np.asarray(shape.current_density / shape.peak_current_density)
        axes.plot(s, i**2, style, color=GREY, lw=1.5, label=f"{name} limit")
    for number, (name, one) in enumerate(given.items()):
        check_kind(one, Transient, TransientFit)
        colour = _COLOURS[number % len(_COLOURS)]
        found = one.transient if isinstance(one, TransientFit) else one
        t = np.asarray(found.time / found.peak_time)
        i = np.asarray(found.current_density / found.peak_current_density)
        label = f"{name} ({found.kind})" if name else found.kind
        axes.plot(t, i**2, color=colour, lw=1.8, label=label)
        if isinstance(one, TransientFit):
            seen = np.asarray(one.measured / found.peak_current_density)
            axes.plot(t, seen**2, ".", color=colour, ms=4)
    axes.set_xlabel("$t/t_m$")
    axes.set_ylabel("$(i/i_m)^2$")
    axes.set_xlim(0, 5)
    axes.legend(frameon=False)
    return figure
