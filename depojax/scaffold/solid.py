"""How a host conducts electrons: the complement of its pores.

    i_s = −σ ∇φ_s,   σ the conductivity of the solid [S m⁻¹]

In a resolved host the solid takes the part of every face that the pore leaves. In a
homogenised one σ is the effective conductivity, of the host as a whole.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import check_array_shape, check_plausible
from depojax._types import Cells, Faces, as_float
from depojax.fv.operators import conductances, harmonic_to_faces
from depojax.scaffold.scaffold import Scaffold


def conductivity_field(scaffold: Scaffold, conductivity: Any) -> Cells:
    """`conductivity` [S m⁻¹], one number or one per cell, as a field over the host.

    Raises `ValueError` for what is not positive, and for a wrong shape.
    """
    check_plausible(
        "solid_conductivity", conductivity, 1e-12, 1e9, "S m⁻¹", "100 * S / cm"
    )
    if np.ndim(conductivity) != 0:
        check_array_shape("solid_conductivity", conductivity, scaffold.shape)
    return jnp.broadcast_to(as_float(conductivity), scaffold.shape)


def solid_conductances(scaffold: Scaffold, conductivity: Cells) -> Faces:
    """Conductance of every face for electrons [S]; the ends reach to the boundary."""
    grid = scaffold.grid
    faces = []
    for axis, pore in enumerate(scaffold.face_transmission):
        sigma = harmonic_to_faces(grid, conductivity, axis)
        faces.append(sigma * (1 - pore) if scaffold.resolved else sigma)
    return conductances(grid, (faces[0], faces[1], faces[2]))
