"""Two-point fluxes between neighbouring cells.

    F = −g (u₊ − u₋),   g = D × aperture × area / distance

written as a difference, never as diagonal minus neighbours: in float32 the small
gradient of a large concentration must not be lost to cancellation.
"""

import jax.numpy as jnp

from depojax._types import Cells, Faces
from depojax.fv.operators import face_difference, faces_and_neighbours


def two_point_flux(
    conductance: Faces, u: Cells, periodic: tuple[bool, bool, bool]
) -> Faces:
    """Flux through every face along +axis [m × unit of u × unit of D].

    Zero at the ends of an axis that is not periodic: what passes there is the boundary
    condition's to say.
    """
    x, y, z = (
        -g * face_difference(u, axis, periodic[axis])
        for axis, g in enumerate(conductance)
    )
    return x, y, z


def net_outflow(
    conductance: Faces, u: Cells, periodic: tuple[bool, bool, bool]
) -> Cells:
    """Divergence of the two-point flux, Σ g (u − u_neighbour), in one pass.

    Equal to `divergence(two_point_flux(…))` for conductances that vanish at the ends of
    axes that are not periodic, and three times as fast.
    """
    total = jnp.zeros_like(u)
    for g, neighbour in faces_and_neighbours(conductance, u, periodic):
        total = total + g * (u - neighbour)
    return total
