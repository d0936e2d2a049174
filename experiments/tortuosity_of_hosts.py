"""Vertically and horizontally aligned hosts: what follows from their tortuosity.

WRITTEN LAST

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
from depojax.plot.parts import BLUE, COLOURS, ORANGE, SOLID, new_figure, save_figure
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
    figure = new_figure(3.9, width=9.0)
    panels = figure.subplots(1, 5, width_ratios=(0.55, 0.55, 0.8, 0.8, 1.35))
    lowest = min(np.min(profiles[name][1]) for name in profiles)
    for axes, name in zip(panels[:2], resolved, strict=True):
        picture = draw_host(axes, *resolved[name], lowest=math.floor(50 * lowest) / 50)
    bar = figure.colorbar(picture, ax=panels[:2].tolist(), location="bottom")
    bar.set_label(r"$c/c_0$", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    panels[0].set_ylabel("z (µm)", fontsize=9)
    draw_profiles(panels[2:4], resolved, profiles)
    draw_plane(panels[4], rows, slower)
    titles = (
        "(a) vertical",
        "(b) horizontal",
        "(c) concentration",
        "(d) local current",
        "(e) what a drop of concentration does",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=8.5, loc="left")
        axes.tick_params(labelsize=8)
    for axes in panels[2:]:
        axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[1:4]:
        axes.tick_params(labelleft=False)
    return figure


def draw_host(axes, host: dj.Scaffold, run: dj.Simulation, lowest: float):
    """Concentration in the pores, the section continued to 40 µm."""
    z = np.asarray(host.grid.nodes[2]) / um
    pore = np.asarray(host.pore_fraction)[:, 0]
    c = np.ma.masked_where(pore < 0.5, np.asarray(run.concentration)[:, 0] / 1000)
    mirrored = np.ma.concatenate([c, c if host.grid.periodic[0] else c[::-1]])
    voxel = float(host.grid.widths[0][0]) / um
    shown = np.ma.concatenate([mirrored, mirrored])[: round(36 / voxel)]
    x = voxel * np.arange(len(shown) + 1)
    axes.set_facecolor("0.25")
    axes.set_aspect("equal")
    axes.set_xlabel("x (µm)", fontsize=9)
    return axes.pcolormesh(
        x, z, shown.T, cmap=COLOURS, vmin=lowest, vmax=1, rasterized=True
    )


def draw_profiles(panels, resolved, profiles) -> None:
    """c and i against height, resolved and homogenised."""
    colours = {"vertical": BLUE, "horizontal": ORANGE}
    for name, (_, run) in resolved.items():
        colour = colours[name]
        height, c, _ = layer_means(run)
        height_i, i = by_sheet(run)
        smooth = profiles[name]
        for axes, at, line, points in (
            (panels[0], height, smooth[1], c),
            (panels[1], height_i, smooth[2], i),
        ):
            axes.plot(line, smooth[0] / um, "-", color=colour, lw=1.3)
            skip = max(len(points) // 20, 1)
            axes.plot(
                points[::skip], at[::skip] / um, "o", color=colour, ms=3.5, mfc="none"
            )
    for axes, label in zip(panels, (r"$c/c_0$", "i / mean"), strict=True):
        axes.set_xlabel(label, fontsize=9)


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
    axes.plot(100 * drop, 100 * ((1 - drop) ** -1.5 - 1), "k-", lw=1.3, label="Tafel")
    for number_of, (a, points) in enumerate(slower.items()):
        at = 100 * np.array(points)
        axes.plot(*at.T, "-", color=str(0.4 + 0.17 * number_of), lw=1.0,
                  label=rf"$i_0aL/J={a:g}$")  # fmt: skip
    marks = {
        "published": "*",
        "homogenised": "s",
        "resolved": "o",
        "τ²": "D",
        "blocked": "D",
    }
    for line in rows:
        kind = line["host"].split(", ")[1]
        if kind in marks:
            colour = BLUE if line["host"].startswith("vertical") else ORANGE
            axes.plot(
                100 * line["drop"], 100 * line["difference"], marks[kind],
                color=colour, mfc=colour if kind == "published" else "white",
                ms=10 if kind == "published" else 5.5,
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(0.8, 80), ylim=(1.5, 500))
    axes.set_xlabel("drop of concentration (%)", fontsize=9)
    axes.set_ylabel("difference of local current (%)", fontsize=9)
    axes.legend(frameon=False, fontsize=7.5)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
