"""What the gradient of a whole run costs beside the run, in time and in memory.

    python benchmarks/gradient_cost.py            columns, a foam, gyroids
    python benchmarks/gradient_cost.py --quick    the columns alone

Seconds are processor time, so that other work on the machine counts little. Memory is
what XLA sets aside for a program whose runs may take so many steps: of the value, and
of value and gradient. States kept every √n steps let it grow as √n.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from shared.machine import print_machine

import depojax as dj
from depojax.scaffold.averages import averaged_foam
from depojax.units import M, cm, mA, um

REPEATS, BATCH = 3, 0.5  # times, [s]


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the columns alone")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    cases = {"sand_time, column of 64": column_time, "simulate, column of 24": voltage}
    if not options.quick:
        cases |= {
            "sand_time, foam 24 × 24 × 32": foam_time,
            "sand_time, gyroid 32³": gyroid_time,
            "simulate, gyroid 12³": gyroid_voltage,
        }
    print("\nprocessor seconds, warm                value   with gradient   ratio")
    for name, make in cases.items():
        function, start = make()
        value = jax.jit(function)
        both = jax.jit(jax.value_and_grad(function))
        spent = [seconds(f, start) for f in (value, both)]
        ratio = spent[1] / spent[0]
        print(
            f"{name:36} {spent[0]:8.3f}        {spent[1]:8.3f}   {ratio:.2f}",
            flush=True,
        )
    memory(column_time, "column of 64", (64, 256, 1024, 4096))
    if not options.quick:
        memory(gyroid_time, "gyroid 32³", (64, 1024))


def memory(make, name, most) -> None:
    """Print the memory of value and gradient by the largest number of steps."""
    print(f"\nsand_time, {name}")
    print("steps at most        value [kB]   with gradient [kB]   per √n [kB]")
    for n in most:
        function, start = make(max_steps=n)
        sizes = [kilobytes(f, start) for f in (function, jax.value_and_grad(function))]
        per_root = (sizes[1] - sizes[0]) / np.sqrt(n)
        print(f"{n:13} {sizes[0]:18.0f} {sizes[1]:20.0f} {per_root:13.1f}", flush=True)


def salt(c=1 * M):
    """The electrolyte."""
    return dj.electrolytes.lipf6_ec_emc(c)


def column_time(max_steps=1024):
    """Sand's time of an averaged foam, by a porosity for each of 64 layers."""

    def loss(porosity):
        host = averaged_foam(
            (1, 1, 64), 3 * um, porosity=porosity[None, None], pore_diameter=60 * um
        )
        cell = dj.Cell(host, salt(), separator=dj.Separator(25 * um, cells=8))
        steps = dj.Steps(max_steps=max_steps)
        return dj.sand_time(cell, 200 * mA / cm**2, steps=steps).time

    return loss, jnp.full(64, 0.9)


def voltage():
    """Voltage of such a cell with kinetics after two minutes, by the same."""

    def loss(porosity):
        host = averaged_foam(
            (1, 1, 24), 8 * um, porosity=porosity[None, None], pore_diameter=60 * um
        )
        cell = dj.Cell(
            host,
            salt(),
            separator=dj.Separator(25 * um, cells=4),
            kinetics=dj.ButlerVolmer(10.0),
            counter_kinetics=dj.ButlerVolmer(10.0),
        )
        return dj.simulate(cell, dj.Galvanostatic(50.0, time=120.0)).final_voltage

    return loss, jnp.full(24, 0.9)


def foam_time():
    """Sand's time of a resolved foam, by porosity and pore diameter."""

    def loss(shape):
        host = dj.foam(
            (24, 24, 32), 4 * um, porosity=shape[0], pore_diameter=shape[1] * um, key=7
        )
        cell = dj.Cell(host, salt(), separator=dj.Separator(25 * um, cells=7))
        return dj.sand_time(cell, 150 * mA / cm**2).time

    return loss, jnp.asarray([0.85, 48.0])


def gyroid(cells, porosity):
    """One period of a gyroid whose porosity goes from the collector to the top."""
    low, high = porosity
    return dj.gyroid(
        (cells,) * 3,
        60 * um / cells,
        period=60 * um,
        porosity=lambda x, y, z: low + (high - low) * z / (60 * um),
    )


def gyroid_time(max_steps=1024):
    """Sand's time of a resolved gyroid, by its porosity at both ends."""

    def loss(porosity):
        separator = dj.Separator(25 * um, cells=8)
        cell = dj.Cell(gyroid(32, porosity), salt(), separator=separator)
        steps = dj.Steps(max_steps=max_steps)
        return dj.sand_time(cell, 150 * mA / cm**2, steps=steps).time

    return loss, jnp.asarray([0.7, 0.8])


def gyroid_voltage():
    """Voltage of a resolved gyroid with kinetics after a minute, by the same."""

    def loss(porosity):
        cell = dj.Cell(
            gyroid(12, porosity),
            salt(),
            separator=dj.Separator(25 * um, cells=4),
            kinetics=dj.ButlerVolmer(10.0),
            counter_kinetics=dj.ButlerVolmer(10.0),
        )
        return dj.simulate(cell, dj.Galvanostatic(50.0, time=60.0)).final_voltage

    return loss, jnp.asarray([0.7, 0.8])


def seconds(function, start) -> float:
    """Processor time of a warm call: the best mean of some batches of half a second."""
    jax.block_until_ready(function(start))
    spent = []
    for _ in range(REPEATS):
        begun, calls = time.process_time(), 0
        while calls == 0 or time.process_time() - begun < BATCH:
            jax.block_until_ready(function(start))
            calls += 1
        spent.append((time.process_time() - begun) / calls)
    return min(spent)


def kilobytes(function, start) -> float:
    """What the compiled program sets aside beside its arguments and results."""
    compiled = jax.jit(function).lower(start).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 1e3


if __name__ == "__main__":
    main()
