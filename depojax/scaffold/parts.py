"""Cells of a grid and the finer ones, equal parts of them, that hold a level set."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._types import Cells, Nodes
from depojax.fv.cut_cells import face_apertures, interface_area
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import subdivision_of


def fine_grid(grid: Grid, values: Nodes) -> Grid:
    """The grid whose nodes hold the level set."""
    parts = subdivision_of(values, grid)
    return grid if parts == 1 else grid.subdivided(parts)


def summed_over_parts(fine: Cells, grid: Grid) -> Cells:
    """Sum over the parts of each cell."""
    x, y, z = grid.shape
    a, b, c = (n // m for n, m in zip(fine.shape, grid.shape, strict=True))
    return fine.reshape(x, a, y, b, z, c).sum((1, 3, 5))


def mean_over_parts(fine: Cells, grid: Grid) -> Cells:
    """Mean over the parts of each cell."""
    return summed_over_parts(fine, grid) * (np.prod(grid.shape) / fine.size)


def on_parts(values: Cells, nodes: Nodes, grid: Grid) -> Cells:
    """The value of each cell, in all of its parts."""
    parts = subdivision_of(nodes, grid)
    for axis in range(3):
        values = jnp.repeat(values, parts, axis)
    return values


def mean_of_corners(nodes: Nodes) -> Cells:
    """Mean of the corners of each cell."""
    for axis, n in enumerate(nodes.shape):
        below = jax.lax.slice_in_dim(nodes, 0, n - 1, axis=axis)
        nodes = (below + jax.lax.slice_in_dim(nodes, 1, n, axis=axis)) / 2
    return nodes


def narrowest(grid: Grid) -> Array:
    """Width of the narrowest cells along each axis that has several [m]."""
    widths = [w for w in grid.widths if w.shape[0] > 1] or list(grid.widths)
    return jnp.stack([jnp.min(w) for w in widths])


def wall_area(fine: Grid, distance: Nodes, on_floor: bool) -> Cells:
    """Area of all walls in the parts of cells [m²]; of the open floor too, if asked."""
    apertures = face_apertures(distance)
    area = interface_area(fine, apertures)
    if not on_floor:
        return area
    floor = apertures[2][..., 0] * fine.face_areas(2)[..., 0]
    return area.at[..., 0].add(floor)
