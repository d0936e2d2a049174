"""How the error of D_eff falls with the number of cells: cut cells and voxels.

    python benchmarks/convergence_tortuosity.py            some minutes: compilation
    python benchmarks/convergence_tortuosity.py --quick    up to 32 cells per period

Five shapes with exact answers, from 8 to 64 cells per period:

    spheres       simple cubic, solid fraction 0.4
    crowded       spheres in fcc, 0.6: the gaps are a third of a cell wide at 8 cells
                  per period and 2.7 cells at 64
    cylinders     hexagonal, 0.5, flow across them
    tubes         round, radius 0.25, pores tilted from z by 26.6°: ε cos²θ
    slits         flat, half of the volume, tilted as these

The voxels are those whose centre lies in the pore. The same grids, the same solver; the
only difference is what the cells know of the wall. References: multipole expansions
(McPhedran & McKenzie 1978, doi:10.1098/rspa.1978.0031; McKenzie et al. 1978,
doi:10.1098/rspa.1978.0129; Perrins et al. 1979, doi:10.1098/rspa.1979.0160).
"""

import argparse
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sand_time import print_machine

import depojax as dj
from depojax.units import um

CELLS = (8, 16, 32, 64)
WAYS = ("voxels", "cut", "cut in 2³")
ROUND_OFF = 1e-10


class Case(NamedTuple):
    """A shape in units of its period, and D_eff/D of what is endless."""

    level: Callable[..., Any]  # positive in the pore
    size: tuple[float, float, float]  # of the grid [periods]; 0: one cell
    periodic: tuple[bool, bool, bool]  # mirrors where not
    known: float


def main() -> None:
    """Print the errors and the orders."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 32 cells only")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    cells = CELLS[:-1] if options.quick else CELLS
    print(
        "\nError of D_eff (%) against cells per period; order over the last two steps"
    )
    columns = " ".join(f"{n:>9d}" for n in cells)
    print(f"{'shape':10} {'walls':10} {columns} {'order':>6}")
    for name, case in cases().items():
        errors = np.array([[error(case, n, way) for n in cells] for way in WAYS])
        for way, row in zip(WAYS, errors, strict=True):
            numbers = " ".join(f"{percent(e):>9}" for e in row)
            print(f"{name:10} {way:10} {numbers} {order(row):>6}", flush=True)


def cases() -> dict[str, Case]:
    """The shapes."""
    mirrors = (False, False, False)
    octant, tilt = (0.5, 0.5, 0.5), (True, False, True)
    row = math.sqrt(3)
    tubes = math.pi * 0.25**2 * math.sqrt(5) / 2  # one per 2/√5 × 1 across it
    return {
        "spheres": Case(balls("sc", 0.4), octant, mirrors, 0.4901099145579155),
        "crowded": Case(balls("fcc", 0.6), octant, mirrors, 0.2991675658499826),
        "cylinders": Case(
            hexagons(0.5), (0.5, 0, row / 2), mirrors, 0.33280901207689995
        ),
        "tubes": Case(tubes_along(0.25), (1, 1, 2), tilt, 0.8 * tubes),
        "slits": Case(slits_along(0.5), (1, 0, 2), tilt, 0.8 * 0.5),
    }


def balls(lattice: str, fraction: float) -> Callable[..., Any]:
    """Solid spheres about the corner of the octant, and in fcc about three more."""
    places = [(0.0, 0.0, 0.0)]
    if lattice == "fcc":
        places += [(0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]
    radius = (3 * fraction / (4 * math.pi * len(places))) ** (1 / 3)

    def level(x, y, z):
        squares = [(x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in places]
        nearest = squares[0]
        for square in squares[1:]:
            nearest = jnp.minimum(nearest, square)
        return jnp.sqrt(nearest) - radius

    return level


def hexagons(fraction: float) -> Callable[..., Any]:
    """Solid cylinders along y in two opposite corners of ½ × √3/2."""
    radius = math.sqrt(fraction * math.sqrt(3) / 2 / math.pi)

    def level(x, y, z):
        first = jnp.hypot(x, z)
        second = jnp.hypot(x - 0.5, z - math.sqrt(3) / 2)
        return jnp.minimum(first, second) - radius + 0 * y

    return level


def across(x, z):
    """Distance from the nearest of planes 2/√5 apart, tilted by atan ½ from z."""
    place = x - z / 2 - 0.137
    return (place - jnp.round(place)) * 2 / math.sqrt(5)


def tubes_along(radius: float) -> Callable[..., Any]:
    """Round pores along (1, 0, 2)."""
    return lambda x, y, z: radius - jnp.hypot(across(x, z), y - 0.5)


def slits_along(width: float) -> Callable[..., Any]:
    """Flat pores along (1, 0, 2) and y."""
    half = width / math.sqrt(5)
    return lambda x, y, z: half - jnp.abs(across(x, z)) + 0 * y


def error(case: Case, cells: int, way: str) -> float:
    """Relative error of D_eff along z."""
    shape = [max(1, round(cells * size)) for size in case.size]
    period = 100 * um
    spacing = [
        period * size / n if size else period / cells
        for size, n in zip(case.size, shape, strict=True)
    ]
    grid = dj.Grid.uniform(shape, spacing, case.periodic)
    if way == "voxels":
        centers = [x / period for x in grid.center_mesh()]
        image = np.broadcast_to(np.asarray(case.level(*centers)) > 0, shape)
        host = dj.Scaffold.from_image(
            image, spacing, cut=False, trim=False, periodic=case.periodic
        )
    else:
        fine = grid.subdivided(2) if way == WAYS[2] else grid
        values = case.level(*(x / period for x in fine.node_mesh()))
        values = jnp.broadcast_to(values, [n + 1 for n in fine.shape])
        host = dj.Scaffold.from_levelset(values, grid, trim=False)
    return float(dj.tortuosity(host).effective_diffusivity) / case.known - 1


def percent(error: float) -> str:
    """Three digits; what is round-off is 0."""
    return f"{100 * error:.3g}" if abs(error) > ROUND_OFF else "0"


def order(errors: np.ndarray) -> str:
    """Of the fall over the last two halvings of the cells."""
    size = np.abs(errors)
    if size[-1] < ROUND_OFF:
        return "exact"
    return f"{math.log2(size[-3] / size[-1]) / 2:.1f}"


if __name__ == "__main__":
    main()
