"""Two-point fluxes between neighbouring cells.

    F = −g (u₊ − u₋),   g = D × aperture × area / distance

written as a difference, never as diagonal minus neighbours: in float32 the small
gradient of a large concentration must not be lost to cancellation.
"""

from depojax._types import Cells, Faces
from depojax.fv.operators import face_difference


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
