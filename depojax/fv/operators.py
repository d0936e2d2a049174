"""Finite-volume operators: values in cells, fluxes on faces, one divergence.

Face arrays along an axis of n cells have n + 1 entries; the first and the last are the
two ends of the grid. On a periodic axis both ends are the same face and hold the same
value.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depojax._types import Cells, Faces
from depojax.fv.grid import Grid, along


def divergence(fluxes: Faces) -> Cells:
    """Net outflow of each cell: Σ (flux out − flux in), fluxes counted along +axis."""
    x, y, z = (jnp.diff(flux, axis=axis) for axis, flux in enumerate(fluxes))
    return x + y + z


def harmonic_to_faces(grid: Grid, k: Cells, axis: int) -> Float[Array, "..."]:
    """Series mean of a cell coefficient on the faces along `axis`.

        k_face = d / (d₋/k₋ + d₊/k₊),   d± half widths on both sides

    which keeps the flux through a layered medium exact. At an end: the cell's own k.
    """
    half = grid.widths[axis] / 2
    safe = k > 0
    resistance = along(half, axis) / jnp.where(safe, k, 1.0)
    closed = jnp.where(safe, 0.0, 1.0)
    below, above = _both_sides(resistance, axis, grid.periodic[axis])
    shut_below, shut_above = _both_sides(closed, axis, grid.periodic[axis])
    total = below + above
    distance = along(grid.center_distances(axis), axis)
    is_open = (shut_below + shut_above) == 0
    return jnp.where(is_open, distance / jnp.where(is_open, total, 1.0), 0.0)


def faces_between(
    phase: Bool[Array, "x y z"], periodic: tuple[bool, bool, bool], dtype: Any
) -> Faces:
    """Transmission of the faces of whole voxels: 1 between two of the phase, else 0.

    At an end as the voxel there, unless the axis is periodic: then as between the last
    voxel and the first.
    """
    is_open = phase.astype(dtype)
    faces = []
    for axis, wraps in enumerate(periodic):
        ends = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        padded = jnp.pad(is_open, ends, mode="wrap" if wraps else "edge")
        n = is_open.shape[axis]
        below = jax.lax.slice_in_dim(padded, 0, n + 1, axis=axis)
        faces.append(below * jax.lax.slice_in_dim(padded, 1, n + 2, axis=axis))
    x, y, z = faces
    return x, y, z


def conductances(grid: Grid, transmission: Faces) -> Faces:
    """Two-point conductance of every face [m]: transmission × area / distance.

    The ends take the distance from the cell centre to the boundary.
    """
    x, y, z = (
        t * grid.face_areas(axis) / along(grid.center_distances(axis), axis)
        for axis, t in enumerate(transmission)
    )
    return x, y, z


def without_ends(faces: Faces, periodic: tuple[bool, bool, bool]) -> Faces:
    """Face coefficients with the ends of the axes that are not periodic set to zero."""
    kept = []
    for axis, (face, wraps) in enumerate(zip(faces, periodic, strict=True)):
        if not wraps:
            n = face.shape[axis]
            inside = (jnp.arange(n) > 0) & (jnp.arange(n) < n - 1)
            face = face * along(inside.astype(face.dtype), axis)
        kept.append(face)
    x, y, z = kept
    return x, y, z


def _end(u: Array, axis: int, index: int) -> Array:
    return jnp.take(u, jnp.asarray([index]), axis=axis)


def _both_sides(u: Cells, axis: int, periodic: bool) -> tuple[Array, Array]:
    """The cell value below and above every face; zero for what lies outside."""
    outside = [_end(u, axis, -1), _end(u, axis, 0)]
    if not periodic:
        outside = [jnp.zeros_like(edge) for edge in outside]
    below = jnp.concatenate([outside[0], u], axis=axis)
    above = jnp.concatenate([u, outside[1]], axis=axis)
    return below, above
