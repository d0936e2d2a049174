"""A graded host at two scales: windows of voxels, then averages, against all at once.

A sponge (a cut Gaussian random field) 96 × 96 × 192 µm, its porosity rising from the
collector to the separator; salt diffuses through it along z.

    all at once    ∇·(D ∇c) = 0 in the pores of all 1.8 million cells
    two scales     D_eff of every window as if it were a sample of its own, then
                   ∇·(D_eff ∇c) = 0 on one cell per window

What one sees (measured with `main()` in float64; the porosity is 0.40 at the collector
and 0.75 at the separator, a pore is 11 µm across at ½):

    window    sides of the windows    D_eff/D    τ       D_eff off    profile off
    –         (all at once)           0.3324     1.730
    16 µm     mirrors                 0.3087     1.861   −7.1 %       1.4 %
    24 µm     mirrors                 0.3166     1.815   −4.8 %       0.9 %
    32 µm     mirrors                 0.3283     1.751   −1.2 %       1.4 %
    48 µm     mirrors                 0.3350     1.716   +0.8 %       1.5 %
    24 µm     c prescribed            0.4195     1.370   +26 %        3.9 %
    48 µm     c prescribed            0.3964     1.450   +19 %        3.0 %

(a) Windows with mirrors come out low: a path that leads around through the neighbour is
    closed. With three pores and more per window D_eff is right within 2 %; with two,
    5 % too low. Two other keys: −5.6 and −4.4 % at 24 µm, −1.9 and −1.3 % at 48 µm.
(b) Windows with c prescribed on all sides come out high, by twenty percent still with
    four pores per window: salt enters every dead end at the sides. They bound D_eff
    from above, and give the parts of the tensor off the diagonal; for τ take mirrors.
(c) The profile is bent by the porosity, up to 15 % of the whole drop away from the line
    of a uniform host, and the two scales follow it within 1.5 %.
(d) In the map τ lies between 1.1 and 4.2 from window to window, where the mean over the
    sample says 1.7.

What it is worth. For one number two scales save nothing: here the windows take as long
as all at once. They are for what comes after: steps in time on a hundred cells instead
of two million, and for seeing where a host is narrow.

    python experiments/two_scale_tortuosity.py    figure and table in run/two_scales
"""

import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import depojax as dj
from depojax.plot.parts import COLOURS, SOLID, new_figure, save_figure
from depojax.units import um

VOXEL = 1 * um
TOLERANCE = 1e-3  # of the windows' solves: five digits of D_eff
LINES = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")

Row = dict[str, Any]


def main(
    shape: Sequence[int] = (96, 96, 192),
    porosities: Sequence[float] = (0.4, 0.75),
    correlation_length: float = 5.0,
    windows: Sequence[int] = (16, 24, 32, 48),
    bounds: Sequence[int] = (24, 48),
    drawn: int = 24,
    key: int = 1,
    out: str | Path = "run/two_scales",
) -> list[Row]:
    """Compute, print, draw and write the table; returns its rows.

    Args:
        shape: voxels of 1 µm.
        porosities: at the collector and at the separator [-].
        correlation_length: of the field [voxels]; at porosity ½ the mean chord of a
            pore is 2.2 times as long.
        windows: sides of the windows [voxels], mirrors at their ends.
        bounds: windows that are solved with c prescribed on all of their sides, too.
        drawn: window whose map is drawn.
        key: of the random field.
        out: folder for `two_scale_tortuosity.png` and `.csv`.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    host = dj.gaussian_random_field(
        shape,
        VOXEL,
        porosity=dj.Graded(porosities),
        correlation_length=correlation_length * VOXEL,
        key=key,
    )
    resolved, seconds = timed(lambda: dj.tortuosity(host))
    fine = profile(host, resolved)
    rows = [row_of("all at once", "", resolved, resolved, 0.0, seconds)]
    maps, curves = {}, {}
    for sides, sizes in (("insulated", windows), ("linear", bounds)):
        for window in sizes:
            found, seconds = timed(lambda w=window, s=sides: local_map(host, w, s))
            averages = found.homogenised()
            solved = dj.tortuosity(averages)
            coarse = profile(averages, solved)
            off = np.abs(coarse - over_layers(fine, host, averages)).max()
            rows.append(row_of(window, sides, solved, resolved, off, seconds))
            if sides == "insulated":
                maps[window], curves[window] = found, (averages, coarse)
    print_table(rows)
    write_table(rows, out / "two_scale_tortuosity.csv")
    figure = draw(host, resolved, maps[drawn], curves)
    save_figure(figure, out / "two_scale_tortuosity.png")
    return rows


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and its seconds, with compilation."""
    start = time.perf_counter()
    result = jax.block_until_ready(function())
    return result, time.perf_counter() - start


def local_map(host: dj.Scaffold, window: int, sides: Any) -> dj.TortuosityMap:
    """Averages over windows that stand side by side."""
    return dj.tortuosity_map(host, window, sides=sides, linear_tolerance=TOLERANCE)


def profile(host: dj.Scaffold, solved: dj.Tortuosity) -> np.ndarray:
    """Mean concentration in the pores of each layer: 1 at z = 0, 0 at the top."""
    pore = np.asarray(host.pore_fraction * host.grid.volumes)
    return (pore * np.asarray(solved.field)).sum((0, 1)) / pore.sum((0, 1))


def over_layers(
    fine: np.ndarray, host: dj.Scaffold, averages: dj.Scaffold
) -> np.ndarray:
    """The resolved profile, averaged over each layer of windows."""
    pore = np.asarray(host.pore_fraction).sum((0, 1))
    ends = np.round(np.asarray(averages.grid.nodes[2]) / VOXEL).astype(int)[:-1]
    return np.add.reduceat(pore * fine, ends) / np.add.reduceat(pore, ends)


def row_of(
    window: Any,
    sides: str,
    solved: dj.Tortuosity,
    resolved: dj.Tortuosity,
    off: float,
    seconds: float,
) -> Row:
    """One line of the table."""
    D, known = (
        float(solved.effective_diffusivity),
        float(resolved.effective_diffusivity),
    )
    return {
        "window": window,
        "sides": sides,
        "effective_diffusivity": D,
        "tortuosity_factor": float(solved.tortuosity_factor),
        "difference": D / known - 1,
        "profile_difference": float(off),
        "seconds": seconds,
    }


def print_table(rows: list[Row]) -> None:
    """The numbers, differences in percent."""
    print("window       sides      D_eff/D     tau  D_eff off  profile off  seconds")
    for row in rows:
        print(
            f"{row['window']!s:12} {row['sides']:10} "
            f"{row['effective_diffusivity']:7.4f} {row['tortuosity_factor']:7.3f} "
            f"{100 * row['difference']:8.1f} % {100 * row['profile_difference']:9.1f} %"
            f" {row['seconds']:8.1f}"
        )


def write_table(rows: list[Row], path: Path) -> None:
    """Rows as CSV."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def draw(
    host: dj.Scaffold,
    resolved: dj.Tortuosity,
    local: dj.TortuosityMap,
    curves: dict[int, tuple[dj.Scaffold, np.ndarray]],
):
    """The sample, its local tortuosity factor, and the profiles, all over z."""
    figure = new_figure(4.6, width=9.0)
    panels = figure.subplots(1, 4, sharey=True, width_ratios=(0.72, 0.72, 1, 1))
    draw_slice(figure, panels[0], host, resolved)
    draw_map(figure, panels[1], local)
    draw_profiles(panels[2], host, resolved, curves)
    draw_differences(panels[3], host, resolved, curves)
    panels[0].set_ylabel("z (µm)", fontsize=9)
    titles = (
        "(a) a slice, solid grey",
        f"(b) windows of {local.window[2]} µm",
        "(c) mean concentration",
        "(d) two scales minus all at once",
    )
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=8.5, loc="left")
        axes.tick_params(labelsize=8)
    for axes in panels[2:]:
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_slice(figure, axes, host: dj.Scaffold, resolved: dj.Tortuosity) -> None:
    """A slice through the middle; the solid is grey."""
    middle = host.shape[1] // 2
    x, _, z = (np.asarray(nodes) / um for nodes in host.grid.nodes)
    pore = np.asarray(host.pore_fraction)[:, middle].T
    c = np.ma.masked_where(pore < 0.5, np.asarray(resolved.field)[:, middle].T)
    axes.set_facecolor(SOLID)
    picture = axes.pcolormesh(x, z, c, cmap=COLOURS, vmin=0, vmax=1, rasterized=True)
    axes.set_aspect("equal")
    axes.set_xlabel("x (µm)", fontsize=9)
    bar = figure.colorbar(picture, ax=axes, location="bottom")
    bar.set_label("concentration", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)


def draw_map(figure, axes, local: dj.TortuosityMap) -> None:
    """τ along z in the windows that the slice goes through."""
    middle = local.grid.shape[1] // 2
    x, _, z = (np.asarray(nodes) / um for nodes in local.grid.nodes)
    tau = np.asarray(local.tortuosity_factor)[:, middle, :, 2].T
    picture = axes.pcolormesh(x, z, tau, cmap="magma_r", edgecolors="white", lw=0.5)
    axes.set_aspect("equal")
    axes.set_xlabel("x (µm)", fontsize=9)
    bar = figure.colorbar(picture, ax=axes, location="bottom")
    bar.set_label(r"$\tau = \varepsilon D/D_\mathrm{eff}$ along z", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)


def draw_profiles(axes, host: dj.Scaffold, resolved: dj.Tortuosity, curves) -> None:
    """Mean concentration against height."""
    z = np.asarray(host.grid.centers[2]) / um
    length = float(host.grid.lengths[2]) / um
    axes.plot([1, 0], [0, length], ":", color="0.5", lw=1.2, label="uniform host")
    axes.plot(profile(host, resolved), z, "k-", lw=1.6, label="all at once")
    for number, (window, (averages, coarse)) in enumerate(curves.items()):
        heights = np.asarray(averages.grid.centers[2]) / um
        axes.plot(
            coarse, heights, "os^D"[number % 4], ms=4.5, mew=1.0, mfc="none",
            color=LINES[number % 4], label=f"windows of {window} µm",
        )  # fmt: skip
    axes.set_xlabel("concentration", fontsize=9)
    axes.legend(frameon=False, fontsize=7.5)


def draw_differences(axes, host: dj.Scaffold, resolved: dj.Tortuosity, curves) -> None:
    """What averaging changes in the profile."""
    fine = profile(host, resolved)
    axes.axvline(0, color="0.5", lw=0.8)
    for number, (window, (averages, coarse)) in enumerate(curves.items()):
        heights = np.asarray(averages.grid.centers[2]) / um
        off = 100 * (coarse - over_layers(fine, host, averages))
        axes.plot(
            off, heights, "os^D"[number % 4] + "-", ms=4.5, mfc="none", lw=1.0,
            color=LINES[number % 4], label=f"{window} µm",
        )  # fmt: skip
    axes.set_xlabel("difference (% of the whole drop)", fontsize=9)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
