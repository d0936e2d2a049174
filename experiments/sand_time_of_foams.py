"""Sand's time of open-cell foams: against current, porosity and pore size.

A foam 120 µm deep stands on a plated collector, in 0.1 M LiPF₆ in EC:EMC; 25 µm of free
electrolyte above it, then lithium metal. The current is spread evenly over the true
surface, so every height of the foam plates its share. Beside it, in closed form:

    foil at the collector   planar gap of foam depth H + separator L
    foil at the separator   planar gap L alone: J* = 2 z₊ν₊F D c₀ / ((1 − t₊) L)
    surface alone           half-infinite Sand's time at the local current density,
                            τ ∝ (A_true/A_footprint)²
    salt alone              all salt of pores and separator / what plating takes up
    homogeneous foam        even sink over H, D_eff = D 2ε/(3 − ε) (the upper bound of
                            Hashin & Shtrikman, which thin struts come close to):
        J_lim = z₊ν₊F c₀ (εH + L)/(1 − t₊) / (εH²/6D_eff + LH/2D_eff + L²/2D)

The foams are Kelvin's, one cube wide: their sides are mirror planes, so the small
sample stands for an endless foam.

What one sees (measured with `main()` in float64):

(a) Against the current. The foam is depleted at 17 mA/cm² and more, 1.6 times the limit
    of a foil at the collector; at twice that it lasts four times as long as the foil.
    But a foil at the separator is not depleted below 62 mA/cm². A scaffold cannot
    postpone Sand's time across a thin separator: it moves depletion into its own depth.
    The line "surface alone" lies ten times higher at twice the limit. Salt has to come
    down, depletion starts at the collector, and most of the surface gains nothing.
(b) Against porosity. It helps: dln τ/dε ≈ 0.9 at 0.88, by reverse mode and by the
    difference of two runs alike. Pores of 39 µm for 59 µm: a sixth more time.
(c) The limiting current, 15–20 mA/cm², lies about a fifth below that of the homogeneous
    foam: its diffusivity is an upper bound, and corners fall below the mean.

What it is worth. The current is spread evenly by assumption; kinetics would move it
towards the separator. In 1 M all this happens at currents some five times higher:
ordinary ones deplete no such foam. "Salt alone" is no limit near the limiting current,
where the counter electrode brings new salt in time. At `resolution=20` the times are
still 2 % (33 mA/cm²) to 7 % (100 mA/cm²) above those at 28, because the angle between
strut and collector decides.

    python experiments/sand_time_of_foams.py          figure and table in run/foams
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import depojax as dj
from depojax.plot.parts import new_figure, save_figure
from depojax.units import M, cm, mA, um

DEPTH, SEPARATOR = 120 * um, 25 * um
CONCENTRATION = 0.1 * M
CURRENT = 33 * mA / cm**2  # about twice the limit of these foams
HIGHEST = 100 * mA / cm**2
FOAM, FOIL, OTHER_FOIL = "#0072b2", "#d55e00", "#009e73"
PORES = ("#56b4e9", "#0072b2", "#1b2f6b", "#000000")

Row = dict[str, Any]


def main(
    resolution: int = 20,
    porosities: Sequence[float] = (0.80, 0.84, 0.88, 0.92),
    layers: Sequence[int] = (2, 3),
    currents: int = 7,
    gradient: bool = True,
    out: str | Path = "run/foams",
) -> list[Row]:
    """Compute, draw and write the table; returns its rows.

    Args:
        resolution: cells of the grid along an edge of Kelvin's cube.
        porosities: of the foams [-].
        layers: cubes that make up the depth: 2 are pores of 59 µm, 3 of 39 µm.
        currents: number of currents for one of the foams.
        gradient: the slope of ln τ against porosity as well.
        out: folder for `sand_time_of_foams.png` and `.csv`.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        measure(foam_cell(resolution, porosity, n), CURRENT, porosity, n)
        for n in layers
        for porosity in porosities
    ]
    middle = rows[len(porosities) // 2]
    cell = foam_cell(resolution, middle["porosity"], layers[0])
    sweep = [
        measure(cell, float(J), middle["porosity"], layers[0], panel="current")
        for J in np.geomspace(1.1 * middle["limiting_current"], HIGHEST, currents)
    ]
    slope = None
    if gradient:
        slope = porosity_slope(resolution, middle["porosity"], layers[0])
    write_table(rows + sweep, out / "sand_time_of_foams.csv")
    save_figure(draw(rows, sweep, slope), out / "sand_time_of_foams.png")
    return rows + sweep


def electrolyte() -> dj.BinaryElectrolyte:
    """What fills the pores and the separator."""
    return dj.electrolytes.lipf6_ec_emc(CONCENTRATION)


def pore_diameter(layers: int) -> float:
    """Diameter [m] of the sphere with the volume of a cell: half of a cube."""
    return DEPTH / layers * (3 / math.pi) ** (1 / 3)


def foam_cell(resolution: int, porosity: Any, layers: int) -> dj.Cell:
    """One cube wide, `layers` cubes deep: all sides are mirror planes of the foam."""
    foam = dj.foam(
        (resolution, resolution, layers * resolution),
        DEPTH / (layers * resolution),
        porosity=porosity,
        pore_diameter=pore_diameter(layers),
        skeleton="kelvin",
    )
    return dj.Cell(foam, electrolyte(), metal=dj.metals.lithium, separator=SEPARATOR)


def measure(
    cell: dj.Cell, J: float, porosity: float, layers: int, panel: str = "porosity"
) -> Row:
    """One row of the table, SI units."""
    solution = dj.sand_time(cell, J)
    return {
        "panel": panel,
        "porosity": porosity,
        "pore_diameter": pore_diameter(layers),
        "current_density": J,
        "sand_time": float(solution.time),
        "depleted_height": float(solution.location[2]),
        "limiting_current": float(solution.limiting_current),
        "area_factor": float(cell.metal_area / cell.footprint),
        "salt_balance_error": float(solution.salt_balance_error),
    }


def porosity_slope(
    resolution: int, porosity: float, layers: int, step: float = 2e-3
) -> Row:
    """dln τ/dε at `CURRENT`: by reverse mode, and by a central difference [-]."""

    def log_time(eps):
        return jnp.log(dj.sand_time(foam_cell(resolution, eps, layers), CURRENT).time)

    at = jnp.asarray(porosity)
    value, slope = jax.value_and_grad(log_time)(at)
    rise = float(log_time(at + step)) - float(log_time(at - step))
    return {
        "porosity": porosity,
        "sand_time": float(jnp.exp(value)),
        "reverse_mode": float(slope),
        "difference": rise / (2 * step),
    }


def surface_alone(J: Any, area_factor: float) -> np.ndarray:
    """Half-infinite Sand's time at the current density of the true surface [s]."""
    return planar(np.asarray(J) / area_factor, None)


def salt_alone(J: Any, porosity: float) -> np.ndarray:
    """Time in which plating takes up all salt of foam and separator [s]."""
    depth = porosity * DEPTH + SEPARATOR
    solution = electrolyte()
    uptake = float(solution.salt_flux_per_current) * np.asarray(J)
    return CONCENTRATION * depth / uptake


def homogeneous_limit(porosity: Any) -> np.ndarray:
    """Limiting current of a foam of Hashin–Shtrikman diffusivity [A m⁻²]."""
    eps, solution = np.asarray(porosity), electrolyte()
    D = float(solution.diffusivity)
    inside = D * 2 * eps / (3 - eps)
    salt = CONCENTRATION * (eps * DEPTH + SEPARATOR)
    fall = (
        eps * DEPTH**2 / (6 * inside)
        + SEPARATOR * DEPTH / (2 * inside)
        + SEPARATOR**2 / (2 * D)
    )
    return salt / fall / float(solution.salt_flux_per_current)


def foil(J: Any, gap: float) -> np.ndarray:
    """Sand's time of a flat electrode at the end of a gap [s]."""
    return planar(J, gap)


def planar(J: Any, gap: float | None) -> np.ndarray:
    """The closed form for many currents, compiled once for all of them."""
    solution = electrolyte()

    def one(j):
        return dj.planar_sand_time(solution, j, gap=gap)

    return np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(J)))


def write_table(rows: list[Row], path: Path) -> None:
    """Rows as CSV, SI units."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def draw(rows: list[Row], sweep: list[Row], slope: Row | None):
    """Three panels: against the current, and against porosity at two currents."""
    figure = new_figure(3.4, width=10.0)
    first, second, third = figure.subplots(1, 3, width_ratios=(1.25, 1, 1))
    draw_currents(first, sweep)
    draw_porosities(second, rows, "sand_time", 1.0)
    if slope is not None:
        draw_tangent(second, slope)
    second.set_ylabel("Sand's time (s)", fontsize=9)
    draw_porosities(third, rows, "limiting_current", mA / cm**2)
    draw_limits(third)
    titles = (
        f"(a) porosity {sweep[0]['porosity']:.2f}, "
        f"pores of {sweep[0]['pore_diameter'] / um:.0f} µm",
        rf"(b) at {CURRENT / (mA / cm**2):.0f} mA cm$^{{-2}}$",
        "(c) limiting current",
    )
    for axes, title in zip((first, second, third), titles, strict=True):
        axes.set_title(title, fontsize=9, loc="left")
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_currents(axes, sweep: list[Row]) -> None:
    """Sand's time of one foam against current, with its guides."""
    J = np.asarray([row["current_density"] for row in sweep])
    tau = np.asarray([row["sand_time"] for row in sweep])
    area, eps = sweep[0]["area_factor"], sweep[0]["porosity"]
    fine = np.geomspace(J[0] / 2, J[-1] * 1.3, 200)
    unit = mA / cm**2
    lines = (
        (surface_alone(fine, area), ":", "0.45", "surface alone"),
        (salt_alone(fine, eps), "--", "0.45", "salt alone"),
        (foil(fine, DEPTH + SEPARATOR), "-", FOIL, "foil at the collector"),
        (foil(fine, SEPARATOR), "-", OTHER_FOIL, "foil at the separator"),
    )
    for times, style, colour, label in lines:
        axes.plot(fine / unit, times, style, color=colour, lw=1.3, label=label)
    axes.plot(J / unit, tau, "o-", color=FOAM, ms=4, lw=1.3, label="foam")
    limit = sweep[0]["limiting_current"] / unit
    axes.axvline(limit, ymin=0.42, color=FOAM, lw=0.8, ls="--")
    axes.text(
        1.03 * limit, 23 * tau.max(), "limit of the foam", fontsize=7.5, color=FOAM,
        va="top",
    )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    axes.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_ylim(tau.min() / 120, 25 * tau.max())
    axes.set_xlabel(r"current density (mA cm$^{-2}$ of footprint)", fontsize=9)
    axes.set_ylabel("Sand's time (s)", fontsize=9)
    axes.legend(frameon=False, fontsize=7.5, loc="lower left")


def draw_porosities(axes, rows: list[Row], name: str, unit: float) -> None:
    """A measure against porosity for every pore size."""
    for n, diameter in enumerate(sorted({row["pore_diameter"] for row in rows})):
        of_size = [row for row in rows if row["pore_diameter"] == diameter]
        axes.plot(
            [row["porosity"] for row in of_size],
            [row[name] / unit for row in of_size],
            "os^D"[n % 4] + "-",
            ms=5, lw=1.3, color=PORES[n % len(PORES)],
            label=f"pores of {diameter / um:.0f} µm",
        )  # fmt: skip
    axes.set_xlabel("porosity", fontsize=9)
    axes.legend(frameon=False, fontsize=7.5)


def draw_limits(axes) -> None:
    """The limiting currents in closed form."""
    unit = mA / cm**2
    first, last = axes.get_xlim()
    eps = np.linspace(first, last, 30)
    axes.plot(
        eps, homogeneous_limit(eps) / unit, "k--", lw=1.2, label="homogeneous foam"
    )
    foil_limit = float(dj.planar_limiting_current(electrolyte(), DEPTH + SEPARATOR))
    axes.axhline(foil_limit / unit, color=FOIL, lw=1.3, label="foil at the collector")
    axes.set_ylim(0.0, None)
    axes.set_ylabel(r"limiting current (mA cm$^{-2}$)", fontsize=9)
    axes.legend(frameon=False, fontsize=7.5, loc="lower right")


def draw_tangent(axes, slope: Row) -> None:
    """The slope that reverse mode gives at one foam."""
    eps = slope["porosity"] + np.asarray([-0.03, 0.03])
    times = slope["sand_time"] * np.exp(slope["reverse_mode"] * (eps - eps.mean()))
    label = (
        rf"d ln $\tau$/d$\varepsilon$ = {slope['reverse_mode']:.2f}"
        f"\n(difference: {slope['difference']:.2f})"
    )
    axes.plot(eps, times, color="black", lw=1.6, label=label, zorder=5)
    axes.legend(frameon=False, fontsize=7.5)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
