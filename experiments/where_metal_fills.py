"""Where metal fills a host: by what its walls are, and by the size of its pores.

Homogenised hosts, 1 M LiPF₆ in EC:EMC, a lithium counter electrode behind 25 µm of
separator, i₀ = 10 A m⁻² (assumed).

(b) A host of 100 µm, pores 90 %, 0.2 m² per cm³, plated with 3.5 mAh cm⁻² at 2 mA cm⁻².
    Uniform: all of nickel-like walls that any metal covers at once. Graded: gold-like
    below (no barrier), alumina-like above (few sites, no electrons), as in Pu et al.,
    Nat. Commun. 10 (2019) 1896, doi:10.1038/s41467-019-09932-1 (recalled).
(c) Copper foams: pores of 250 µm, 1.6 mm thick, and pores of 1 µm, 20 µm thick, as in
    Yun et al. 2016 (recalled), 1 mA cm⁻²: areas of cubic struts, 3947 and 2.17e6 m⁻¹.

What one sees of (b), at 6 layers:

- Uniform: 34 % of the metal in the lower half, 2.8 times as much per wall at the top as
  at the bottom: it plates on top, where the electrolyte is.
- Graded: all of it below, nothing above: the voltage never dips to where the upper
  walls would nucleate. The claim of more than 90 % holds, as long as the barrier does.

The dip of the voltage (−0.25 and −0.27 V) is that of small nuclei which have to carry
all of the current with i₀ = 10 A m⁻², more than the barrier of the lower walls.

Of (c), at 6 layers, 1 mAh cm⁻²:

- Large pores: 0.158 mA cm⁻² on the wall, a deposit of 2.1 µm at the top and a tenth of
  that at the bottom; 17 % of the metal in the lower half. They stay open (96 %).
- Small pores: 0.0231 mA cm⁻², 0.157 µm at most, 1.8 times as much at the top; 41 % in
  the lower half. It takes 30 % of their room: 46 % of the top layer is left open.

Both are trends of a model without failure: how long a foam lasts is not in it.

    python experiments/where_metal_fills.py    tables, figures in run/where_metal_fills
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import depojax as dj
from depojax.fv.grid import Grid
from depojax.plot.parts import new_figure, save_figure
from depojax.units import M, cm, mA, mAh, mV, um

SIDE = np.full(1, 10 * um)
KINETICS = dj.ButlerVolmer
Row = dict[str, Any]


def main(resolution: int = 10, out: str | Path = "run/where_metal_fills") -> list[Row]:
    """Run all hosts, draw them and write the table; returns its rows.

    Args:
        resolution: layers of cells in each host, even.
        out: folder of table and figures.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    hosts = {
        "uniform": graded_host(resolution, graded=False),
        "graded": graded_host(resolution, graded=True),
        "foam 250 um": foam(resolution, 3946.8, 1 - 0.0302, 1.6e-3),
        "foam 1 um": foam(resolution, 2165618.0, 1 - 0.2009, 20e-6),
    }
    rows = [row_of(name, run) for name, run in hosts.items()]
    with (folder / "hosts.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    save_figure(draw(hosts), folder / "profiles.png")
    return rows


def cell_of(porosity: float, area: float, height: float, layers: int) -> dj.Cell:
    """A homogenised host; τ = ε^(−1/2) as of loose struts."""
    grid = Grid((SIDE, SIDE, np.full(layers, height / layers)))
    return dj.Cell(
        dj.Scaffold.homogenised(grid, porosity, porosity**-0.5, area),
        dj.electrolytes.lipf6_ec_emc(1 * M),
        metal=dj.metals.lithium,
        separator=dj.Separator(25 * um, 0.45, 3.0, cells=2),
        plated_collector=False,
    )


def graded_host(layers: int, *, graded: bool) -> dj.Plating:
    """(b): the same host with walls of one kind, or of two."""
    cell = cell_of(0.9, 2e5, 100 * um, layers)
    shape = cell.scaffold.shape
    top = jnp.broadcast_to(jnp.arange(layers) >= layers // 2, shape)
    # No barrier to speak of; above, if graded, that of a wall nothing wets.
    barrier = jnp.where(top & graded, 440.0, 1.0) * mV
    sites = jnp.where(top & graded, 1e8, 1e13)
    nucleation = dj.Nucleation.from_overpotential(
        cell.metal, barrier, site_density=sites
    )
    protocol = dj.Galvanostatic(2 * mA / cm**2, capacity=3.5 * mAh / cm**2)
    return dj.plate(cell, protocol, kinetics=KINETICS(10.0), nucleation=nucleation)


def foam(layers: int, area: float, porosity: float, height: float) -> dj.Plating:
    """(c): a copper foam that is metal-covered from the beginning."""
    cell = cell_of(porosity, area, height, layers)
    protocol = dj.Galvanostatic(1 * mA / cm**2, capacity=1 * mAh / cm**2)
    return dj.plate(cell, protocol, kinetics=KINETICS(10.0))


def row_of(name: str, run: dj.Plating) -> Row:
    """What came out of a host."""
    layers = run.cell.scaffold.shape[2]
    area = np.asarray(run.cell.scaffold.surface_area)[0, 0]
    thickness = np.asarray(run.thickness)[0, 0, :layers]
    plated = area * thickness
    wall = float(np.min(run.lowest_wall_concentration))
    return {
        "host": name,
        "ended_by": run.ended_by[-1],
        "in_lower_half": float(plated[: layers // 2].sum() / plated.sum()),
        "top_over_bottom": float(thickness[-1] / max(thickness[0], 1e-15)),
        "thickest_um": float(thickness.max()) / um,
        "mean_local_mA_cm2": float(run.current_density[-1])
        * float(run.cell.footprint)
        / area.sum()
        / (mA / cm**2),
        "lowest_concentration_M": wall / M,
        "end_voltage_mV": float(run.final_voltage) / mV,
        "nucleation_mV": float(run.nucleation_overpotential) / mV,
        "least_pore_fraction": float(np.min(run.pore_fraction[0, 0, :layers])),
    }


def draw(hosts: dict[str, dj.Plating]) -> Any:
    """Thickness of the deposit through the depth."""
    figure = new_figure(3.6)
    axes = figure.subplots(1, 2)
    for panel, names in zip(
        axes, (("uniform", "graded"), list(hosts)[2:]), strict=True
    ):
        for name, colour in zip(names, ("#0072b2", "#d55e00"), strict=True):
            run = hosts[name]
            layers = run.cell.scaffold.shape[2]
            z = np.asarray(run.cell.grid.centers[2])[:layers]
            thickness = np.asarray(run.thickness)[0, 0, :layers] / um
            panel.plot(
                thickness, z / float(run.cell.scaffold.grid.lengths[2]), "o-",
                color=colour, ms=4, lw=1.6, label=name,
            )  # fmt: skip
        panel.set_xlabel("deposit (µm on the true area)")
        panel.set_ylim(0, 1)
        panel.legend(frameon=False, fontsize="small")
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("height over that of the host")
    axes[1].set_xscale("log")
    return figure


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--resolution", type=int, default=10, help="layers of a host")
    for each in main(parser.parse_args().resolution):
        print(
            "  ".join(
                f"{k} {v if isinstance(v, str) else f'{v:.4g}'}"
                for k, v in each.items()
            )
        )
