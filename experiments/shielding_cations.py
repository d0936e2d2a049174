"""A shield of caesium before a tip on a foil: what it does, and what it does not.

Ding et al. (J. Am. Chem. Soc. 135 (2013) 4450, doi:10.1021/ja312241y) plate lithium
from 1 M Li⁺ without dendrites once 0.05 M Cs⁺ is there: its Nernst potential, −3.103 V,
lies 63 mV below that of lithium, so that it is drawn to a tip and not reduced. Here a
tip 8 µm high on a foil, a ridge (2D) or a bump (3D), is plated at 5 mA cm⁻² from a
bath 14 µm above it, with 0, 0.05 and 0.5 M of CsPF₆ beside 1 M LiPF₆; neutral, with
Butler–Volmer kinetics. And a ridge of 12 nm in a hundredth of these amounts, with its
double layers resolved, a Stern layer and Frumkin's correction, at −50 mV.

What one sees (ridge):

- At once, before any salt has moved, the tip takes 0.58 % more than the foil, with
  0.05 M of Cs⁺ 0.54 % and with 0.5 M 0.32 %: as one over the conductivity.
- Within a second this is over. When the cell is steady the tip takes 2.2 % more, with
  0.5 M of Cs⁺ 2.3 %: an ion that does not pass carries nothing, Li⁺ moves by the slope
  of its own potential alone, and there is a little less of it at the metal.
- A bump (3D) does the same: 0.58, 0.54 and 0.34 % more at once; 2.1, 2.2 and 2.3 % more
  when it is steady.
- Cs⁺ gathers at the metal, by 2 to 3 % in the neutral solution and threefold in the
  double layers of the small ridge, after Boltzmann's law. In a solution of points it
  gathers by the potential alone, not by the shape: it does not single out the tip.
- It is a matter of its window: 63 mV for 0.05 per Li⁺, 4 mV for 0.5. The small ridge at
  −50 mV leaves 13 mV of the first; of the second it plates caesium, 26 times as much as
  lithium.

So a mean field of ideal ions holds a part of the electrostatic shield, the even early
current, and not the rest: what Ding et al. saw at steady plating needs more than this.

What it is worth. Diffusivities are recalled (2, 4 and 4e-10 m² s⁻¹ for Li⁺, Cs⁺, PF₆⁻
in carbonates, ± 50 %), solutions ideal, potentials E° those that Ding et al. give. What
Cs⁺ does by adsorption, or to the SEI, is not in these equations.

    python experiments/shielding_cations.py    tables, figures in run/shield
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import depojax as dj
from depojax.plot.parts import new_figure, save_figure
from depojax.units import M, cm, mA, mM, nm, uF, um

NAME = "shielding_cations"
SHARES = (0.0, 0.05, 0.5)  # of Cs⁺ per Li⁺
CURRENT = 5 * mA / cm**2
VOLTAGE = -0.05  # of the small tip [V]
EARLY, LATE = 2e-3, 20.0  # before and after the salt has moved [s]
CELLS = (16, 24)  # over half a period, and in height
STANDARD = {"Li+": -3.04, "Cs+": -3.026}  # E° [V]

Row = dict[str, float]


def main(
    dimensions: tuple[int, ...] = (2, 3),
    shares: tuple[float, ...] = SHARES,
    resolved: bool = True,
    out: str | Path = "run/shield",
) -> list[Row]:
    """Solve, draw and write the table; returns its rows.

    Args:
        dimensions: 2 for a ridge, 3 for a bump.
        shares: of Cs⁺ per Li⁺.
        resolved: whether the small tip with its double layers is solved too.
        out: folder for the table and the figures.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for dimension in dimensions:
        for share in shares:
            rows += neutral_rows(dimension, share)
    small = [small_state(share) for share in shares] if resolved else []
    rows += [
        row(state, share, 2, 0.0) for state, share in zip(small, shares, strict=False)
    ]
    with (out / f"{NAME}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    save_figure(draw(rows), out / f"{NAME}.png")
    if small:
        save_figure(draw_shield(small[1], shares[1]), out / "shield.png")
    return rows


def tip(dimension: int, size: float) -> dj.Scaffold:
    """Half a period of a foil with a tip at x = 0 (and y = 0), in cells of `size`."""
    across, high = CELLS
    height, width, foil = 8 * size, 3 * size, 2.3 * size
    shape = (across, 1 if dimension == 2 else across, high)

    def level(x, y, z):
        square = (x**2 if dimension == 2 else x**2 + y**2) + 0 * y
        shape = jnp.exp(-square / width**2)
        steep = 2 * height * jnp.sqrt(square) / width**2 * shape
        return (z - foil - height * shape) / jnp.sqrt(1 + steep**2)

    return dj.Scaffold.from_function(level, shape, size)


def salt(share: float, lithium: float, **options: Any) -> dj.MultiIonElectrolyte:
    """LiPF₆ and `share` as much CsPF₆."""
    ions = [
        dj.Ion("Li+", 1, 2e-10, standard_potential=STANDARD["Li+"]),
        dj.Ion("Cs+", 1, 4e-10, standard_potential=STANDARD["Cs+"]),
        dj.Ion("PF6-", -1, 4e-10),
    ]
    amounts = [lithium, share * lithium, (1 + share) * lithium]
    return dj.MultiIonElectrolyte(ions, amounts, **options)


def neutral_rows(dimension: int, share: float) -> list[Row]:
    """The large tip, at once and when it is steady."""
    cell = dj.Cell(
        tip(dimension, 1 * um),
        salt(share, 1 * M, relative_permittivity=65),
        counter_electrode="reservoir",
        kinetics=dj.ButlerVolmer(50.0),
    )
    rows, state = [], None
    for time in (EARLY, LATE):
        state = dj.space_charge(
            cell,
            current_density=CURRENT,
            electroneutral=True,
            duration=time,
            start=state,
        )
        rows.append(row(state, share, dimension, time))
    return rows


def small_state(share: float) -> dj.SpaceCharge:
    """The small ridge with its double layers (λ_D = 3 nm), in cells of half that."""
    cell = dj.Cell(
        tip(2, 1.5 * nm),
        salt(share, 10 * mM),
        counter_electrode="reservoir",
        kinetics=dj.ButlerVolmer(500.0),
    )
    return dj.space_charge(cell, voltage=VOLTAGE, stern_capacitance=50 * uF / cm**2)


def row(state: dj.SpaceCharge, share: float, dimension: int, time: float) -> Row:
    """One row of the table, in SI; `time` 0 is the small tip."""
    caesium = state.ion_concentration[1]
    bulk = float(state.cell.ions.concentrations[1])
    tip_current, flat_current = at_ends(state, state.local_current_density)
    drawn, away = at_ends(state, caesium)
    return {
        "dimension": dimension,
        "share": share,
        "time": time,
        "current_density": float(state.current_density),
        "voltage": float(state.voltage),
        "tip_over_flat": tip_current / flat_current,
        "caesium_at_tip": drawn / bulk if bulk else np.nan,
        "caesium_at_flat": away / bulk if bulk else np.nan,
        "margin": float(state.reduction_margin[1]) if bulk else np.nan,
        "caesium_current": float(state.ion_current_density[1]),
        "conductivity": float(state.cell.ions.conductivity),
    }


def at_ends(state: dj.SpaceCharge, field: Any) -> tuple[float, float]:
    """A field on the metal, mean over the column of the tip and over the farthest."""
    area = np.asarray(state.cell.scaffold.surface_area)
    values = np.asarray(field)
    tip, flat = (
        float((area[i] * values[i][: area.shape[2]]).sum() / area[i].sum())
        for i in ((0, 0), (-1, -1))
    )
    return tip, flat


def draw(rows: list[Row]) -> Any:
    """How uneven the current is, by the amount of caesium."""
    figure = new_figure(3.2)
    panels = figure.subplots(1, 2)
    styles = {(2, EARLY): "o-", (2, LATE): "o--", (3, EARLY): "s-", (3, LATE): "s--"}
    for (dimension, time), style in styles.items():
        kept = [r for r in rows if (r["dimension"], r["time"]) == (dimension, time)]
        if not kept:
            continue
        when = "at once" if time == EARLY else "steady"
        panels[0].plot(
            [r["share"] for r in kept],
            [100 * (r["tip_over_flat"] - 1) for r in kept],
            style, color="#0072b2" if dimension == 2 else "#d55e00", ms=4, lw=1.5,
            label=f"{'ridge' if dimension == 2 else 'bump'}, {when}",
        )  # fmt: skip
    small = [r for r in rows if r["time"] == 0]
    if small:
        panels[1].plot(
            [r["share"] for r in small], [r["tip_over_flat"] for r in small],
            "o-", color="#009e73", ms=4, lw=1.5, label="ridge of 12 nm",
        )  # fmt: skip
        panels[1].legend(frameon=False, fontsize=7)
    panels[0].legend(frameon=False, fontsize=7)
    panels[0].set_ylabel("more current at the tip (%)", fontsize=9)
    panels[1].set_ylabel("current of tip per flat", fontsize=9)
    for axes in panels:
        axes.set_xlabel(r"Cs$^+$ per Li$^+$", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_shield(state: dj.SpaceCharge, share: float) -> Any:
    """Caesium around the small ridge, per that of the bath."""
    grid = state.cell.grid
    x, z = (np.asarray(grid.nodes[a]) / nm for a in (0, 2))
    bulk = float(state.cell.ions.concentrations[1])
    field = np.asarray(state.ion_concentration[1])[:, 0] / bulk
    eps = np.asarray(state.cell.domain().pore_fraction)[:, 0]
    figure = new_figure(4.2, width=4.2)
    axes = figure.subplots()
    shown = np.where(eps > 0, field, np.nan)
    mesh = axes.pcolormesh(x, z, shown.T, cmap="viridis", shading="flat")
    # A cut cell is grey by its share of solid.
    grey = np.full(eps.T.shape, 0.45)
    axes.pcolormesh(x, z, grey, cmap="gray", vmin=0, vmax=1, alpha=(1 - eps).T)
    figure.colorbar(mesh, label=r"Cs$^+$ per bath")
    axes.set_aspect("equal")
    axes.set_xlabel("x (nm)")
    axes.set_ylabel("z (nm)")
    axes.set_title(f"{share:g} Cs$^+$ per Li$^+$, {VOLTAGE:g} V", fontsize=9)
    return figure


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 3])
    chosen = parser.parse_args()
    for each in main(tuple(chosen.dimensions)):
        print("  ".join(f"{name} {value:.5g}" for name, value in each.items()))
