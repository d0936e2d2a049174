"""Space charge in a nano-structured host, from below to beyond its limiting current.

Silver pillars, 36 nm across and 48 nm high, 72 nm apart, in 0.01 M AgNO₃ in water, with
a stirred bath 72 nm above their tops: all of the double layer (λ_D = 3 nm) is on the
grid. The collector is taken from −0.02 to −1 V against the bath. Diffusivities: CRC
Handbook of Chemistry and Physics, 97th ed., p. 5-75.

What one sees:

- A neutral solution would carry 3.9 A cm⁻² and no more. With its space charge the cell
  follows it to 0.66 of that at −0.05 V, passes it at −0.11 V and carries 1.3 times as
  much at −0.2 V, 4.2 times at −1 V: within 120 nm there is no plateau, for the space
  charge takes a good part of the way to the bath.
- The space charge sets in at −0.05 V and has 46 nm at −1 V, its volume per plated area:
  no anions are left between the pillars and far above them.
- The field is screened between the pillars, 5 MV m⁻¹; on their tops it is 68 MV m⁻¹.
  The tops take the current, as those of any sharp host do.
- Dendrites would follow the anions that leave at the bath, 8 to 126 mm s⁻¹ fast.
- Half as many cells along each side change the currents by 2 %, the layer by 5 % (more
  below −0.1 V), the highest field by 6 to 15 %: an edge has no highest field.

What it is worth. The metal is at equilibrium with the solution (no kinetics), ions are
points, nothing flows and nothing grows. In water hydrogen would come before −1 V.

    python experiments/space_charge_in_a_nanohost.py    tables, figures in run/nanohost
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import jax
import numpy as np

import depojax as dj
from depojax.plot.parts import new_figure, save_figure
from depojax.units import FARADAY, M, cm, mA, nm

NAME = "space_charge_in_a_nanohost"
PITCH, DIAMETER, HEIGHT = 72 * nm, 36 * nm, 48 * nm
ABOVE = 72 * nm  # from the tops to the bath
BULK = 0.01 * M
SILVER, NITRATE = 1.65e-9, 1.90e-9  # D [m² s⁻¹]
VOLTAGES = (-0.02, -0.05, -0.1, -0.15, -0.2, -0.3, -0.4, -0.6, -0.8, -1.0)  # [V]
AT_LIMIT = -0.25  # where a neutral solution has e⁻¹⁰ of its salt left at the metal [V]

Row = dict[str, float]


def main(
    resolution: int = 24,
    voltages: tuple[float, ...] = VOLTAGES,
    out: str | Path = "run/nanohost",
) -> list[Row]:
    """Solve, draw and write the table; returns its rows.

    Args:
        resolution: cells per pitch; at least 12, so that they resolve λ_D.
        voltages: of the collector against the bath [V].
        out: folder for the figures and the table.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    cell = nanohost(resolution)
    neutral = neutral_limit(cell)
    rows, last = [], None
    for V in voltages:
        last = dj.space_charge(cell, voltage=V, start=last)
        rows.append(row(last, neutral))
    with (out / f"{NAME}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    save_figure(draw(rows, neutral), out / f"{NAME}.png")
    if last is not None:
        save_figure(dj.plot.slices(last), out / "slices.png")
        save_figure(dj.plot.column_profile(last, corner(last)), out / "column.png")
    return rows


def nanohost(resolution: int) -> dj.Cell:
    """One pillar, its surroundings, and the way to the bath."""
    size = PITCH / resolution
    high = round((HEIGHT + ABOVE) / size)
    host = dj.pillars(
        (resolution, resolution, high),
        size,
        diameter=DIAMETER,
        height=HEIGHT,
        pitch=PITCH,
    )
    ions = dj.Ion("Ag+", 1, SILVER), dj.Ion("NO3-", -1, NITRATE)
    electrolyte = dj.MultiIonElectrolyte(ions, [BULK, BULK])
    return dj.Cell(host, electrolyte, counter_electrode="reservoir")


def neutral_limit(cell: dj.Cell) -> float:
    """The limiting current of the same cell without space charge [A m⁻²]."""
    state = dj.space_charge(cell, voltage=AT_LIMIT, electroneutral=True)
    return float(state.current_density)


def planar_limit(length: float) -> float:
    """2 F D c₀/L of a plane metal at a distance L from the bath [A m⁻²]."""
    return 2 * FARADAY * SILVER * BULK / length


def row(state: dj.SpaceCharge, neutral: float) -> Row:
    """One row of the table, in SI."""
    fields = (state.host_field, state.collector_field)
    # Dendrites would run at μE of the solution that is still neutral: below the bath.
    ahead = np.asarray(state.front_velocity)[..., -1]
    return {
        "voltage": float(state.voltage),
        "current_density": float(state.current_density),
        "per_limit": float(state.current_density) / neutral,
        "layer_thickness": float(state.layer_thickness),
        "highest_field": max(float(np.max(np.abs(field))) for field in fields),
        "front_velocity": float(ahead.mean()),
        "newton_steps": int(state.newton_steps),
    }


def corner(state: dj.SpaceCharge) -> tuple[float, float]:
    """Where four pillars are farthest."""
    x, y = (float(centers[0]) for centers in state.cell.grid.centers[:2])
    return x, y


def draw(rows: list[Row], neutral: float) -> Any:
    """Current, thickness, field and velocity against the voltage."""
    V = np.asarray([row["voltage"] for row in rows])
    panels = (
        ("current_density", mA / cm**2, r"current density (mA cm$^{-2}$)"),
        ("layer_thickness", nm, "space charge (nm)"),
        ("highest_field", 1e6, r"highest field (MV m$^{-1}$)"),
        ("front_velocity", 1.0, r"front velocity (m s$^{-1}$)"),
    )
    figure = new_figure(5.0)
    for axes, (name, unit, words) in zip(
        figure.subplots(2, 2, sharex=True).flat, panels, strict=True
    ):
        values = np.asarray([row[name] for row in rows]) / unit
        axes.plot(V, values, "o-", color="#0072b2", ms=4, lw=1.6)
        if name == "current_density":
            axes.axhline(neutral / unit, color="#999999", ls="--", lw=1)
            axes.annotate(
                "limit of a neutral solution", (V[-1], neutral / unit), fontsize=8,
                xytext=(-4, -11), textcoords="offset points", ha="right",
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_ylabel(words, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if name in ("highest_field", "front_velocity"):
            axes.set_xlabel("voltage of the collector (V)", fontsize=9)
    axes.invert_xaxis()
    return figure


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--resolution", type=int, default=24, help="cells per pitch")
    for each in main(parser.parse_args().resolution):
        print("  ".join(f"{name} {value:.4g}" for name, value in each.items()))
