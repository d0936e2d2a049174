"""Bottom-up filling: lithiophilicity and conductivity graded from collector to top.

A host of carbon fibres (averaged) is plated with lithium at 5 mA cm⁻². Left alone it
fills from the top, where the ions come from. Two things may vary with height: how
readily the host takes lithium, its exchange current density i₀ (a lithiophilic coating
has more), and how well it conducts electrons, σ. The wish is a small share of the
charge in the top third, and a small voltage for it:

    loss = top share/its uniform value + voltage/its uniform value

The uniform host may choose its one i₀ and one σ within the same bounds, out of a net of
25; the graded one begins at the best. Beside the gradient's way stand a random and a
greedy search of as many runs (a loss with its gradient counts as four). Secondary and
concentration effects are those of `simulate`; nuclei are not counted one by one.

Seen at its default size, as loss; share in the top third; voltage:

    middle of the bounds       2.000    38 %    72 mV
    best uniform host          1.888    45 %    52 mV
    gradient, 26 evaluations   0.895   3.1 %    59 mV
    greedy, as many runs       0.891   2.6 %    59 mV
    random, as many runs       1.260    19 %    56 mV

With twelve numbers, most of them at their bounds in the end, a greedy search gets as
far; half of the way the gradient takes a third of its runs. What counts is i₀; the
conductivity is at its lower bound in the upper half, and all but free below.

    python experiments/bottom_up_filling.py [--resolution 16]     run/bottom_up_filling
"""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from common import COLOURS, COST, Row, draw_ways, from_the_shell, losses_of, write_table

import depojax as dj
from depojax import objectives
from depojax.design.search import search
from depojax.plot.parts import new_figure, save_figure
from depojax.units import M, cm, mA, mAh, um

NAME = "bottom_up_filling"
HEIGHT = 200 * um
POROSITY, FIBRE = 0.85, 10 * um  # diameter of the fibres
CURRENT = 5 * mA / cm**2
CAPACITY = 0.05 * mAh / cm**2
EXCHANGE = (0.03 * mA / cm**2, 3 * mA / cm**2)  # bounds of i₀
CONDUCTIVITY = (3.0, 3000.0)  # bounds of σ, effective [S m⁻¹]
SEED = 5


def main(
    resolution: int = 16,
    steps: int = 25,
    values: int = 6,
    uniform: int = 5,
    out: str | Path = "run/bottom_up_filling",
) -> list[Row]:
    """Optimise, search, draw and write the table; returns its rows.

    Args:
        resolution: cells through the host.
        steps: of the optimiser.
        values: of each profile.
        uniform: numbers of i₀, and of σ, that a uniform host may choose from.
        out: folder for figure and table.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    middle = [float(np.sqrt(low * high)) for low, high in (EXCHANGE, CONDUCTIVITY)]
    plain = design(resolution, [middle[0]] * values, [middle[1]] * values)
    first = numbers(plain)

    def loss(design):
        run = simulated(design)
        return wish(first)(run)

    net = [
        design(resolution, [exchange] * values, [sigma] * values)
        for exchange in between(EXCHANGE, uniform)
        for sigma in between(CONDUCTIVITY, uniform)
    ]
    start = min(net, key=lambda each: float(loss(each)))
    way = optax.adam(optax.cosine_decay_schedule(0.5, steps))
    found = dj.optimise(loss, start, optimizer=way, steps=steps)
    runs = COST * found.evaluations
    others = {
        kind: search(loss, start, runs=runs, kind=kind, key=SEED, jit=False)
        for kind in ("greedy", "random")
    }
    rows = [row("middle of the bounds", plain, loss)]
    rows.append(row("best uniform", start, loss))
    rows.append(row("gradient", found.design, loss))
    rows += [row(kind, each.design, loss) for kind, each in others.items()]
    write_table(rows, out / f"{NAME}.csv")
    histories = losses_of(found, others)
    save_figure(draw(start, found.design, histories), out / f"{NAME}.png")
    return rows


def between(bounds: tuple[float, float], count: int) -> Any:
    """Numbers over the decades between two bounds, all but on them."""
    return np.geomspace(1.05 * bounds[0], bounds[1] / 1.05, count)


def design(resolution: int, exchange: Any, conductivity: Any) -> dj.DesignedCell:
    """The cell with profiles of i₀ and σ, from collector to top."""
    grid = dj.Grid.uniform((1, 1, resolution), HEIGHT / resolution)
    area = 4 * (1 - POROSITY) / FIBRE
    host = dj.Scaffold.homogenised(grid, POROSITY, POROSITY**-0.5, area)
    field = jnp.ones(grid.shape)
    cell = dj.Cell(
        host,
        dj.electrolytes.lipf6_ec_emc(1 * M),
        separator=dj.Separator(25 * um, 0.45, 2.5, cells=3),
        kinetics=dj.ButlerVolmer(field),
        counter_kinetics=dj.ButlerVolmer(20 * mA / cm**2),
        solid_conductivity=field,
    )
    profiles = {
        "kinetics.exchange_current_density.value": (exchange, EXCHANGE),
        "solid_conductivity": (conductivity, CONDUCTIVITY),
    }
    return dj.DesignedCell(
        cell,
        {
            name: dj.Profile(dj.Bounded(jnp.asarray(values), *bounds, scale="log"))
            for name, (values, bounds) in profiles.items()
        },
    )


def simulated(design: Any) -> dj.Simulation:
    """The run that counts."""
    return dj.simulate(design.build(), dj.Galvanostatic(CURRENT, capacity=CAPACITY))


def parts() -> tuple[Any, Any]:
    """What is wished to be small."""
    drive = dj.Galvanostatic(CURRENT, capacity=CAPACITY)
    top = objectives.TopPlatingShare(drive, depth=HEIGHT / 3)
    return top, objectives.VoltageLoss(drive)


def wish(sizes: tuple[float, float]) -> Any:
    """Both together, each over its size."""

    def total(run):
        values = [part(run) / size for part, size in zip(parts(), sizes, strict=True)]
        return values[0] + values[1]

    return total


def numbers(design: Any) -> tuple[float, float]:
    """Top share [-] and voltage [V]."""
    run = simulated(design)
    top, voltage = (float(part(run)) for part in parts())
    return top, voltage


def row(name: str, design: Any, loss: Any) -> Row:
    """One row of the table, in SI."""
    top, voltage = numbers(design)
    exchange, sigma = (
        np.asarray(profile.values.value) for profile in design.changes.values()
    )
    return {
        "name": name,
        "loss": float(loss(design)),
        "top_share": top,
        "voltage": voltage,
        "exchange_at_collector": float(exchange[0]),
        "exchange_at_top": float(exchange[-1]),
        "conductivity_at_collector": float(sigma[0]),
        "conductivity_at_top": float(sigma[-1]),
    }


def draw(uniform: Any, best: Any, histories: dict[str, Any]) -> Any:
    """What was plated where, the profiles, and the ways there."""
    figure = new_figure(2.9, width=9.5)
    plated, profile, ways = figure.subplots(1, 3)
    for each, name, colour in (
        (uniform, "best uniform", "#999999"), (best, "graded", COLOURS["gradient"]),
    ):  # fmt: skip
        layers = dj.depth_profile(simulated(each))
        share = np.asarray(layers.charge_per_volume) / np.sum(layers.charge) * HEIGHT
        z = np.asarray(layers.height) / um
        plated.plot(share, z, color=colour, lw=1.6, label=name)
    plated.set_xlabel("plated charge / its mean", fontsize=9)
    plated.set_ylabel("height above the collector (µm)", fontsize=9)
    plated.legend(frameon=False, fontsize=8, loc="upper center")
    names = ("i₀ (A m⁻²)", "σ (S m⁻¹)")
    for name, each, style in zip(
        names, best.changes.values(), ("-", "--"), strict=True
    ):
        values = np.asarray(each.values.value)
        z = np.linspace(0, HEIGHT / um, values.size)
        profile.semilogx(values, z, style, color="#1b2f6b", lw=1.6, label=name)
    profile.set_xlabel("graded", fontsize=9)
    profile.legend(frameon=False, fontsize=8)
    draw_ways(ways, histories, 1, "loss, best so far")
    for axes in (plated, profile, ways):
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    from_the_shell(main, __doc__, 16)
