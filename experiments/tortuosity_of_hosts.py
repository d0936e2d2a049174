"""Vertically and horizontally aligned hosts: what follows from their tortuosity.

A finite-element study of graphene hosts (Chen et al., Joule 2020, as a review quotes
it) has, from the face to the back of a vertically aligned host (τ = 1.25), a drop of
concentration of 2.7 % and a difference of the current density of 3.6 %; of a
horizontally aligned one (τ = 4.46) 43.2 % and 283 %. Geometry, current and kinetics of
the model are not known here. Two hosts 100 µm deep, ε = 0.9, are plated at 1.83
mA cm⁻² from 1 M LiPF₆ (D = 3e-10 m² s⁻¹, t₊ = 0.38, ideal dilute), c₀ held at the
face: as porous media, D_eff = D ε/τ, and pore by pore, as slits tilted by 26.6° and as
eight staggered sheets whose openings make τ = 4.46. Kinetics are Tafel's, i₀ ∝ √c.

What one sees (measured with `main()`; "locally": between any two places of the metal):

    host                         τ       drop     difference    locally
    vertical    published        1.25     2.7 %      3.6 %
                homogenised      1.25     2.70 %     4.2 %
                resolved         1.23     2.67 %     4.1 %       4.2 %
    horizontal  published        4.46    43.2 %      283 %
                homogenised      4.46     9.5 %     16.1 %
                resolved         4.46     9.5 %     14.1 %      16.1 %
                D_eff = D ε/τ²  (15.9)   31.3 %       75 %
                blocked          23.3    43.2 %      134 %

(a) The first pair follows from τ, at X = J L (1 − t₊)/(F D c₀ ε) = 0.0435; the drop is
    X τ/2 where the reaction is even. The second pair does not: τ = 4.46 gives 9.5 %.
(b) Nor is it hidden in the pores: resolved sheets agree with their average within
    0.02 % of c₀, and no place of them differs from another by more than 16 %. (From
    the lowest sheet to the highest the difference is 14.1 %: a sheet stands for the
    depth between its neighbours.)
(c) With τ² in place of τ, and the current (1.46 mA cm⁻²) that leaves the vertical host
    as it was, it would be 31 % and 75 %. The drop alone asks for τ = 23, five times the
    blockage (or the current, at which the vertical host would drop by 14 %).
(d) The difference is no consequence of the drop either. No anion moves in the steady
    state, so φ_l follows c and i ∝ c^(3/2) anywhere in the host, whatever its shape:
    43.2 % goes with 134 %. 283 % would need a drop of 59 % somewhere, or an exponent of
    2.4, where the first pair has 1.3. Reversible kinetics (i₀ of the order of the local
    current, grey lines) make the difference larger at any drop, but that of the
    vertical host as well: i₀ a L = 10 J gives about 290 % at τ = 4.46, with a drop of
    7 %, and 60 % at τ = 1.25. The second pair by itself is that of i₀ a L = J and
    τ = 14; the first would then be 2.7 % and 8 %.

What it is worth. The two published pairs cannot come from one current, one kinetics and
the two τ alone, in this model. A longer way around, a closed sheet, a salt further from
ideal, or electrons that have to pass the host, may be in theirs: it is not said.

    python experiments/tortuosity_of_hosts.py    figure and table in run/hosts
"""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import depojax as dj
from depojax.plot.parts import BLUE, COLOURS, ORANGE, new_figure, save_figure
from depojax.units import FARADAY, M, cm, mA, um

# Claimed: tortuosity factor, concentration drop, difference of current density.
PUBLISHED = {"vertical": (1.25, 0.027, 0.036), "horizontal": (4.46, 0.432, 2.83)}
DEPTH, POROSITY = 100 * um, 0.9
CURRENT = 1.83 * mA / cm**2
DIFFUSIVITY, SHARE = 3e-10, 0.38  # D [m² s⁻¹], t₊ of 1 M LiPF₆ in carbonates
LAW = dj.IdealDilute(DIFFUSIVITY / (2 * (1 - SHARE)), DIFFUSIVITY / (2 * SHARE))
TAFEL = 1e-4  # i₀ far below the local current: plating only [A m⁻²]
STEADY = 1e5  # a hundred diffusion times [s]
LAYERS = 64  # of a homogenised host
ANGLE = math.atan(0.5)  # 1/cos² = 1.25

Row = dict[str, Any]


def main(
    cells: int = 20,
    sheets: int = 8,
    reversibilities: Sequence[float] = (1.0, 3.0, 10.0),
    out: str | Path = "run/hosts",
) -> list[Row]:
    """Compute, print, draw and write the table; returns its rows.

    Args:
        cells: from one sheet to the next; two of them are sheet.
        sheets: in the depth of 100 µm.
        reversibilities: i₀ a L/J of Butler–Volmer kinetics to draw beside Tafel's.
        out: folder for `tortuosity_of_hosts.png` and `.csv`.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    vertical = channels(cells, sheets)
    horizontal = staggered(cells, sheets)
    resolved = {
        "vertical": (vertical, plated(vertical)),
        "horizontal": (horizontal, plated(horizontal)),
    }
    rows, profiles = [], {}
    for name, (tau, drop, difference) in PUBLISHED.items():
        rows.append(row(f"{name}, published", tau, drop, difference))
        run = plated(averaged(tau))
        profiles[name] = layer_means(run)
        rows.append(row(f"{name}, homogenised", tau, *ends(run)))
        host, run = resolved[name]
        tau = float(dj.tortuosity(host).tortuosity_factor)
        rows.append(row(f"{name}, resolved", tau, *means(run), *extremes(run)))
    # D_eff = D ε/τ², and less current, so that the vertical host drops as before.
    (low, _, _), (high, drop, _) = PUBLISHED.values()
    for name, tau in (
        ("horizontal, τ²", high**2 / low),
        ("horizontal, blocked", driving(drop) / number()),
    ):
        rows.append(row(name, tau, *ends(plated(averaged(tau)))))
    print_table(rows)
    write_table(rows, out / "tortuosity_of_hosts.csv")
    slower = {
        a: [
            ends(plated(averaged(tau), butler_volmer(a)))
            for tau in np.geomspace(1, 40, 7)
        ]
        for a in reversibilities
    }
    save_figure(draw(resolved, profiles, rows, slower), out / "tortuosity_of_hosts.png")
    return rows


def number() -> float:
    """X = J L (1 − t₊)/(F D c₀ ε): the drop is X τ/2 where the reaction is even."""
    salt = (1 - SHARE) * CURRENT / FARADAY
    return salt * DEPTH / (DIFFUSIVITY * POROSITY * 1000.0)


def driving(drop: float) -> float:
    """X τ that makes a drop, where the local current goes as c^(3/2).

    y = ∫ dc/√(4K/5 (c^(5/2) − b^(5/2))) = 1 from the back, b = 1 − drop, to the face;
    there X τ = c'(1).
    """
    b = 1 - drop
    nodes, weights = np.polynomial.legendre.leggauss(40)
    s = math.sqrt(drop) * (nodes + 1) / 2  # c = b + s²: no root left at the back
    rise = ((b + s * s) ** 2.5 - b**2.5) / s**2
    whole = math.sqrt(drop) / 2 * np.sum(weights * 2 / np.sqrt(0.8 * rise))
    return float(whole * math.sqrt(0.8 * (1 - b**2.5)))


def channels(cells: int, sheets: int) -> dj.Scaffold:
    """Slits between parallel walls, tilted from z, as wide as the sheets are apart."""
    across = round(1.2 * cells)
    voxel = DEPTH / (cells * sheets)
    pitch = across * voxel * math.cos(ANGLE)
    return dj.aligned_channels(
        (across, 1, cells * sheets),
        voxel,
        channel_width=POROSITY * pitch,
        wall_thickness=(1 - POROSITY) * pitch,
        angle=ANGLE,
        periodic=(True, False, False),
    )


def staggered(cells: int, sheets: int) -> dj.Scaffold:
    """Horizontal sheets whose slits are as wide as makes the published τ."""
    tau = PUBLISHED["horizontal"][0]
    low, high = 2.1 / 54, 0.5

    def host(opening: float) -> dj.Scaffold:
        voxel, half = DEPTH / (cells * sheets), round(1.35 * cells)
        return dj.stacked_sheets(
            (half, 1, cells * sheets),
            voxel,
            gap=2 * half * voxel * opening,
            sheet_thickness=(1 - POROSITY) / (1 - opening) * cells * voxel,
            spacing=cells * voxel,
            period=2 * half * voxel,
        )

    for _ in range(12):
        opening = (low + high) / 2
        if dj.tortuosity(host(opening)).tortuosity_factor > tau:
            low = opening
        else:
            high = opening
    return host((low + high) / 2)


def averaged(tau: Any) -> dj.Scaffold:
    """The host as a porous medium, D_eff = D ε/τ, with the area of the sheets."""
    side = np.full(1, DEPTH)
    grid = dj.Grid((side, side, np.full(LAYERS, DEPTH / LAYERS)))
    return dj.Scaffold.homogenised(grid, POROSITY, tau, 1.5e5)


def butler_volmer(reversibility: float) -> dj.ButlerVolmer:
    """i₀ a L = `reversibility` J."""
    return dj.ButlerVolmer(reversibility * CURRENT / (1.5e5 * DEPTH))


def plated(host: dj.Scaffold, kinetics: Any = None) -> dj.Simulation:
    """The steady state at the current, c₀ held at the face."""
    cell = dj.Cell(
        host,
        dj.ConcentratedElectrolyte(LAW, 1 * M),
        kinetics=dj.Tafel(TAFEL) if kinetics is None else kinetics,
        counter_electrode="reservoir",
        plated_collector=False,
    )
    return dj.simulate(cell, dj.Galvanostatic(CURRENT, time=STEADY))


def layer_means(run: dj.Simulation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height [m], c/c₀ in the pore and i over its mean, of every layer with metal."""
    host = run.cell.scaffold
    pore = np.asarray(host.pore_fraction * host.grid.volumes)
    area = np.asarray(host.surface_area)
    c = (pore * np.asarray(run.concentration)).sum((0, 1)) / pore.sum((0, 1)) / 1000
    i = (area * np.asarray(run.local_current_density)).sum((0, 1))
    covered = area.sum((0, 1))
    mean = i.sum() / covered.sum()
    with np.errstate(invalid="ignore"):
        return np.asarray(host.grid.centers[2]), c, i / covered / mean


def ends(run: dj.Simulation) -> tuple[float, float]:
    """Drop of c and gain of i from back to face of a homogenised host."""
    _, c, i = layer_means(run)
    back_c, back_i = ((9 * v[0] - v[1]) / 8 for v in (c, i))
    face = i[-1] + (i[-1] - i[-2]) / 2
    return float(1 - back_c), float(face / back_i - 1)


def means(run: dj.Simulation) -> tuple[float, float]:
    """The same of a resolved host, from the lowest layers to the highest."""
    _, c, _ = layer_means(run)
    _, i = by_sheet(run)
    return float(1 - (9 * c[0] - c[1]) / 8), float(i[-1] / i[0] - 1)


def extremes(run: dj.Simulation) -> tuple[float, float]:
    """Drop of c to the lowest anywhere, gain of i from its lowest to its highest."""
    host = run.cell.scaffold
    area = np.asarray(host.surface_area)
    i = np.asarray(run.local_current_density)[area > 0.05 * area.max()]
    pore = np.asarray(host.pore_fraction) > 0.05
    c = np.asarray(run.concentration)[pore] / 1000
    return float(1 - c.min()), float(i.max() / i.min() - 1)


def row(
    name: str,
    tau: float,
    drop: float,
    difference: float,
    local_drop: float = math.nan,
    local_difference: float = math.nan,
) -> Row:
    """One line of the table: from back to face, and between any two places."""
    return {
        "host": name,
        "tortuosity_factor": tau,
        "drop": drop,
        "difference": difference,
        "local_drop": local_drop,
        "local_difference": local_difference,
    }


def print_table(rows: list[Row]) -> None:
    """The numbers, in percent."""
    print("host                         tau     drop  difference    and locally")
    for line in rows:
        print(
            f"{line['host']:26} {line['tortuosity_factor']:6.2f} "
            f"{100 * line['drop']:6.2f} % {100 * line['difference']:8.2f} % "
            f"{100 * line['local_drop']:6.2f} % {100 * line['local_difference']:8.2f} %"
        )


def write_table(rows: list[Row], path: Path) -> None:
    """Rows as CSV."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def draw(resolved, profiles, rows: list[Row], slower):
    """Both hosts from the side, their profiles, and drop against difference."""
    figure = new_figure(3.2, width=9.4)
    panels = figure.subplots(1, 5, width_ratios=(0.62, 0.62, 0.85, 0.85, 1.3))
    lowest = min(np.min(profiles[name][1]) for name in profiles)
    for axes, name in zip(panels[:2], resolved, strict=True):
        picture = draw_host(axes, *resolved[name], lowest=math.floor(50 * lowest) / 50)
    bar = figure.colorbar(picture, ax=panels[:2].tolist(), fraction=0.05, aspect=30)
    bar.set_label("$c/c_0$", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    draw_profiles(panels[2:4], resolved, profiles)
    draw_plane(panels[4], rows, slower)
    titles = (
        "(a) vertical",
        "(b) horizontal",
        "(c) concentration",
        "(d) local current",
        "(e) what a drop entails",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=8.5, loc="left")
        axes.tick_params(labelsize=8)
    for axes in panels[2:]:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[1:4]:
        axes.tick_params(labelleft=False)
    for axes in panels[:4]:
        axes.set_ylim(0, DEPTH / um)
    panels[0].set_ylabel("z (µm)", fontsize=9)
    return figure


def draw_host(axes, host: dj.Scaffold, run: dj.Simulation, lowest: float):
    """Concentration in the pores, the section continued to 36 µm; solid dark."""
    x, z = (float(host.grid.widths[a][0]) / um for a in (0, 2))
    c = np.asarray(run.concentration)[:, 0] / 1000
    solid = 1 - np.asarray(host.pore_fraction)[:, 0]
    c, solid = (
        np.concatenate([f, f if host.grid.periodic[0] else f[::-1]] * 2)[
            : round(36 / x)
        ].T
        for f in (c, solid)
    )
    span = {"extent": (0, c.shape[1] * x, 0, c.shape[0] * z), "origin": "lower"}
    picture = axes.imshow(c, cmap=COLOURS, vmin=lowest, vmax=1, **span)
    cover = np.full((*c.shape, 4), 0.15)
    cover[..., 3] = solid
    axes.imshow(cover, **span)
    axes.set_xlabel("x (µm)", fontsize=9)
    return picture


def draw_profiles(panels, resolved, profiles) -> None:
    """c and i against height: homogenised lines, resolved points, one per sheet."""
    for name, (_, run) in resolved.items():
        colour = BLUE if name == "vertical" else ORANGE
        smooth = profiles[name]
        for axes, line, points in (
            (panels[0], smooth[1], over_sheets(*layer_means(run)[:2])),
            (panels[1], smooth[2], over_sheets(*by_sheet(run))),
        ):
            axes.plot(line, smooth[0] / um, "-", color=colour, lw=1.3)
            axes.plot(points[1], points[0] / um, "o", color=colour, ms=4.5, mfc="white")
    for axes, label in zip(panels, ("$c/c_0$", "$i$ / mean"), strict=True):
        axes.set_xlabel(label, fontsize=9)
    for kind, style in (("homogenised", "k-"), ("resolved", "ko")):
        panels[0].plot([], [], style, ms=4.5, mfc="white", lw=1.3, label=kind)
    panels[0].legend(frameon=False, fontsize=7.5, loc="upper left")
    at = {"fontsize": 8, "transform": panels[1].transAxes}
    panels[1].text(0.33, 0.12, "vertical", color=BLUE, **at)
    panels[1].text(0.62, 0.62, "horizontal", color=ORANGE, **at)


def over_sheets(z: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over as many heights as make eight points."""
    blocks = np.array_split(np.arange(z.size), min(z.size, 8))
    z, values = (np.array([v[b].mean() for b in blocks]) for v in (z, values))
    return z, values


def by_sheet(run: dj.Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Height of each sheet, and its mean i over that of all; of channels, of layers."""
    host = run.cell.scaffold
    area = np.asarray(host.surface_area)
    i = (area * np.asarray(run.local_current_density)).sum((0, 1))
    area = area.sum((0, 1))
    z = np.asarray(host.grid.centers[2])
    # Between the sheets there are layers without metal.
    starts = np.flatnonzero((area[1:] > 0) & (area[:-1] == 0)) + 1
    if not starts.size:
        return z, i / area * (area.sum() / i.sum())
    total, metal, moment = (np.add.reduceat(a, starts) for a in (i, area, area * z))
    return moment / metal, total / metal * (area.sum() / i.sum())


def draw_plane(axes, rows: list[Row], slower) -> None:
    """Difference of the current against the drop of the concentration."""
    drop = np.geomspace(5e-3, 0.75, 200)
    axes.plot(100 * drop, 100 * ((1 - drop) ** -1.5 - 1), "k-", lw=1.3)
    axes.text(19, 24, "Tafel", fontsize=8)
    for a, points in slower.items():
        at = 100 * np.array(points)
        axes.plot(*at.T, "-", color="0.6", lw=1.0)
        axes.text(
            at[0, 0] / 1.05, at[0, 1], f"{a:g}", ha="right", fontsize=7.5, color="0.45"
        )
    axes.text(
        0.04, 0.97, "grey: reversible,\n$i_0 a L/J$", va="top", fontsize=7.5,
        color="0.45", transform=axes.transAxes,
    )  # fmt: skip
    marks = {"published": "*", "homogenised": "s", "resolved": "o"}
    marks |= {"τ²": "D", "blocked": "^"}
    for line in rows:
        host, kind = line["host"].split(", ")
        colour = BLUE if host == "vertical" else ORANGE
        axes.plot(
            100 * line["drop"], 100 * line["difference"], marks[kind], zorder=5,
            color=colour, mfc=colour if kind == "published" else "white",
            ms=11 if kind == "published" else 5.5,
        )  # fmt: skip
    named = {"τ²": r"$\tau^2$", "blocked": r"$\tau=23$"}
    for kind, sign in marks.items():
        axes.plot(
            [], [], sign, color="k", mfc="k" if kind == "published" else "white",
            ms=8 if kind == "published" else 5, label=named.get(kind, kind),
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(1, 90), ylim=(1.5, 600))
    for axis, ticks in (
        (axes.xaxis, (1, 3, 10, 30)),
        (axes.yaxis, (3, 10, 30, 100, 300)),
    ):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_ticks([], minor=True)
    axes.set_xlabel("drop of concentration (%)", fontsize=9)
    axes.set_ylabel("difference of local current (%)", fontsize=9)
    axes.legend(frameon=False, fontsize=7.5, loc="lower right", handletextpad=0.3)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
