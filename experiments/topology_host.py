"""A host between collector and separator from nothing: free density in every cell.

A box of 48 × 48 × 48 cells (110 592 free numbers) lies between a collector and a
separator. Each cell may be all but empty or a dense medium of struts; the mean density
is given. Ions come from the separator, electrons from the collector, so what is asked
for is both at once:

    loss = −ln J_lim/J₀ − w ln σ_eff/σ₀,

J_lim the largest current that never depletes more than 5 % of the metal (even plating)
and σ_eff the host's conductivity for electrons along z. A Helmholtz filter of 2 cells
gives the density a length, a projection that is sharpened in steps (β = 1, 2, 4, 8)
makes it 0 or 1, and RAMP takes from grey cells what they would give too much.

What it stands for: two linear problems beside each other, not the plating itself, whose
current would follow both potentials (`VoltageLoss` does that, at many times the cost).

Seen at its default size (5 minutes of one core): from uniform grey, 111 mA cm⁻² and
97 S m⁻¹, 44 evaluations lead to 202 mA cm⁻² and 88 S m⁻¹, loss −0.541, with a greyness
of 0.29 (0.91 before). Straight channels of the same mean density, told by hand: −0.326.
A random search with as many runs gets −0.011, a greedy one −0.0004. Eroded and dilated
(projected 0.1 above and below) the design keeps −0.385 and −0.574. Each
sharpening costs at first what the design had gained from being grey.

    python experiments/topology_host.py [--resolution 48]     run/topology_host
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from common import COST, Row, from_the_shell, write_table

import depojax as dj
from depojax import objectives
from depojax.design.search import search
from depojax.plot.parts import new_figure, save_figure
from depojax.units import M, um

NAME = "topology_host"
EDGE = 96 * um  # of the box
DENSITY = 0.35  # mean
WEIGHT = 0.5  # of the electrons
SHARPNESS = (1.0, 2.0, 4.0, 8.0)
FILTER = 2.0  # cells
SEED = 11


def main(
    resolution: int = 48,
    steps: int = 10,
    sharpness: tuple[float, ...] = SHARPNESS,
    searched: int | None = None,
    out: str | Path = "run/topology_host",
) -> list[Row]:
    """Optimise, draw and write the table; returns its rows.

    Args:
        resolution: cells along each edge.
        steps: of the optimiser for each sharpness.
        sharpness: β of the projection, one after the other.
        searched: runs of the random and greedy searches; by default as many as the
            gradient took (a loss with its gradient counts as four).
        out: folder for figure and table.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    grey = begin(resolution)
    start, sizes = with_ripple(grey), measured(grey)[:2]

    def loss(design):
        J, sigma = numbers(design)
        return -jnp.log(J / sizes[0]) - WEIGHT * jnp.log(sigma / sizes[1])

    design, histories, evaluations = start, [], 0
    for beta in sharpness:
        found = dj.optimise(
            loss, design.sharper(beta), optimizer=optax.adam(0.3), steps=steps,
            keep_designs=False,
        )  # fmt: skip
        design = found.design
        evaluations += found.evaluations
        histories.append(np.asarray(found.history["loss"]))
    runs = COST * evaluations if searched is None else searched
    sharp = start.sharper(sharpness[-1])
    others = {
        kind: search(loss, sharp, runs=runs, kind=kind, key=SEED)
        for kind in ("greedy", "random")
    }
    rows = [row("uniform grey", grey, sizes), row("gradient", design, sizes)]
    rows += [row(kind, each.design, sizes) for kind, each in others.items()]
    # What the eroded and the dilated version of the same design are worth.
    rows += [
        row(name, design.eroded(offset), sizes)
        for name, offset in (("eroded", 0.1), ("dilated", -0.1))
    ]
    rows += [row("channels", channels(design), sizes)]
    write_table(rows, out / f"{NAME}.csv")
    np.save(out / "density.npy", np.asarray(design.density))
    save_figure(draw(design, np.concatenate(histories)), out / f"{NAME}.png")
    return rows


def begin(resolution: int) -> dj.FilteredDensity:
    """The same density everywhere."""
    size = EDGE / resolution
    medium = dj.PorousMedium(
        strut_diameter=5 * um, dense_porosity=0.6, conductivity=1e3, trace=1e-4
    )
    free = dj.FreeDensity.uniform(DENSITY, (resolution,) * 3, size, keep_mean=True)
    return dj.FilteredDensity(free, medium, radius=FILTER * size)


def with_ripple(design: Any) -> Any:
    """With a random ripple, without which nothing tells one column from another."""
    values = design.free.values
    chance = np.random.default_rng(SEED)
    ripple = 0.1 * jnp.asarray(chance.normal(size=values.shape), values.free.dtype)
    return replaced(design, values.with_value(jax.nn.sigmoid(values.free + ripple)))


def replaced(design: Any, values: Any) -> Any:
    """The same with other values of the free density."""
    free = dj.FreeDensity(values, design.free.voxel_size)
    return dj.FilteredDensity(
        free, design.medium, radius=design.radius, sharpness=design.sharpness
    )


def channels(design: Any) -> Any:
    """Straight columns at the same mean, what one would think of first."""
    n = design.grid.shape[0]
    x = np.arange(n) % (n // 4) < round(DENSITY**0.5 * (n // 4))
    rho = np.clip(np.broadcast_to((x[:, None] & x)[..., None], (n, n, n)), 0.02, 0.98)
    values = dj.Balanced(rho, 0.0, 1.0, mean=DENSITY)
    return replaced(design, values)


def cell(design: Any, rho: Any) -> dj.Cell:
    """The host of a density in its cell."""
    salt = dj.electrolytes.lipf6_ec_emc(1 * M)
    return dj.Cell(
        design.medium.scaffold(rho, design.grid),
        salt,
        separator=dj.Separator(25 * um, cells=4),
        plated_collector=False,
        solid_conductivity=design.medium.solid_conductivity(rho),
    )


def numbers(design: Any) -> tuple[Any, Any]:
    """Limiting current [A m⁻²] and conductivity [S m⁻¹]."""
    whole = cell(design, design.density)
    current = objectives.LimitingCurrent(0.05)(whole)
    return current, objectives.EffectiveConductivity("solid")(whole)


@eqx.filter_jit
def measured(design: Any) -> tuple[Any, ...]:
    """Limiting current, conductivity, mean density and greyness."""
    rho = design.density
    return *numbers(design), jnp.mean(rho), 4 * jnp.mean(rho * (1 - rho))


def row(name: str, design: Any, sizes: Any) -> Row:
    """One row of the table, in SI."""
    J, sigma, density, grey = (float(x) for x in measured(design))
    return {
        "name": name,
        "loss": float(-np.log(J / sizes[0]) - WEIGHT * np.log(sigma / sizes[1])),
        "limiting_current": J,
        "conductivity": sigma,
        "density": density,
        "greyness": grey,
        "free_numbers": int(design.free.values.free.size),
    }


def draw(design: Any, losses: Any) -> Any:
    """Sections of the density along and across, and the way there."""
    rho = np.asarray(design.density)
    n, edge = rho.shape[0], EDGE / um
    figure = new_figure(3.0, width=9.5)
    along, across, way = figure.subplots(1, 3)
    for axes, section, title in (
        (along, rho[:, n // 2].T, "along z"),
        (across, rho[:, :, n // 2].T, "across, at half height"),
    ):
        axes.imshow(
            section, origin="lower", extent=(0, edge, 0, edge), cmap="gray_r",
            vmin=0, vmax=1,
        )  # fmt: skip
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel("x (µm)", fontsize=9)
    along.set_ylabel("z (µm), collector below", fontsize=9)
    across.set_ylabel("y (µm)", fontsize=9)
    way.plot(losses, color="#d55e00", lw=1.4)
    way.set_xlabel("step (sharper on the way)", fontsize=9)
    way.set_ylabel("loss", fontsize=9)
    way.spines[["top", "right"]].set_visible(False)
    for axes in (along, across, way):
        axes.tick_params(labelsize=8)
    return figure


if __name__ == "__main__":
    from_the_shell(main, __doc__, 48)
