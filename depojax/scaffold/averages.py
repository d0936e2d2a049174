"""A foam known by its averages: the cheap stand-in for a resolved one.

    τ = ε^−b,   a = 2 √(π ℓ (1 − ε)),   ℓ d² = 8.228

ℓ is the length of strut per volume of Kelvin's cells, twelve edges e for each cell of
volume 8√2 e³, which is that of the sphere of diameter d. Round struts of that length
fill 1 − ε = ℓπr² and have the area a = 2πrℓ. What they share at the nodes is left out:
the area is 16 % above that of the resolved Kelvin foam at ε = 0.93.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from depojax._checks import check_fraction, check_plausible, check_range
from depojax._types import as_float
from depojax.fv.grid import Grid
from depojax.scaffold.gradients import on_cells
from depojax.scaffold.scaffold import Scaffold

# Strut length × d² per volume: 12 e/(8√2 e³) with π d³/6 = 8√2 e³.
_STRUT_LENGTH = 12 / (8 * math.sqrt(2)) * (48 * math.sqrt(2) / math.pi) ** (2 / 3)


def averaged_foam(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    pore_diameter: Any,
    tortuosity_exponent: Any = 0.5,
    wall_distance: Any = 0.0,
) -> Scaffold:
    """A homogenised foam, its porosity and pore diameter graded as one likes.

    Args:
        shape: cells (x, y, z); (1, 1, n) for a column.
        voxel_size: edge of the cells [m], one number or one per axis.
        porosity: ε [-], a number, a profile or a function of place.
        pore_diameter: d, of the sphere with the volume of the mean cell [m]; the same.
        tortuosity_exponent: b in τ = ε^−b [-]; 0.5 is Bruggeman's, foams have less.
        wall_distance: from the pore's mean concentration to the wall [m].

    Raises `ValueError` for a porosity that is no fraction, and lengths that are none.
    Good values: as in `foam`, which resolves the pores.
    """
    grid = Grid.uniform(shape, voxel_size)
    eps, d = on_cells(porosity, grid), on_cells(pore_diameter, grid)
    check_fraction("porosity", eps)
    check_plausible("pore_diameter", d, 1e-9, 0.1, "m", "60 * um")
    check_range("tortuosity_exponent", tortuosity_exponent, 0.0, 10.0)
    area = 2 * jnp.sqrt(math.pi * _STRUT_LENGTH * (1 - eps)) / d
    tau = eps ** (-as_float(tortuosity_exponent).astype(eps.dtype))
    return Scaffold.homogenised(grid, eps, tau, area, wall_distance=wall_distance)
