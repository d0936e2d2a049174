"""Pressure of a curved metal surface on the film that covers it.

    ΔP = γ (1/R₁ + 1/R₂) = γ κ

A whisker breaks through its film where ΔP exceeds what the film withstands (Yamaki et
al., J. Power Sources 74 (1998) 219, doi:10.1016/S0378-7753(98)00067-6). κ is the sum of
the principal curvatures, 2/R for a sphere and 1/R for a cylinder.
"""

import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_finite, check_plausible, check_range, refuse
from depojax._types import as_float


def curvature_stress(
    surface_energy: Any,
    radius: Any = None,
    second_radius: Any = None,
    *,
    curvature: Any = None,
) -> Array:
    """ΔP [Pa], positive where the metal bulges; numbers or fields.

    Args:
        surface_energy: γ [J m⁻²], such as `metal.surface_energy`.
        radius: R₁ of curvature [m], infinite where it is flat.
        second_radius: R₂ [m]; by default the same (a sphere). `math.inf` is a cylinder.
        curvature: κ of a surface [m⁻¹], in place of the radii.

    Good values: 0.5 MPa for a tip of lithium with R = 2 µm, 10 MPa at 0.1 µm.
    """
    check_plausible("surface_energy", surface_energy, 1e-4, 10.0, "J m⁻²", "0.5")
    if (radius is None) == (curvature is None):
        got = "none" if radius is None else "both"
        raise refuse("radius", "either it or curvature", got)
    gamma = as_float(surface_energy)
    if radius is None:
        check_finite("curvature", curvature)
        return gamma * as_float(curvature)
    first = _bend("radius", radius)
    second = first if second_radius is None else _bend("second_radius", second_radius)
    return gamma * (first + second)


def breaks_film(stress: Any, film_strength: Any) -> Array:
    """Where ΔP [Pa] exceeds what the film withstands [Pa]: whiskers come through.

    Good values of the strength: 1 to 100 MPa, an order of magnitude either way.
    """
    check_range("film_strength", film_strength, 0.0, 1e12, "Pa", open_low=True)
    return as_float(stress) > as_float(film_strength)


def _bend(argument: str, radius: Any) -> Array:
    """1/R [m⁻¹], 0 for an infinite radius."""
    R = as_float(radius)
    flat = jnp.isinf(R)
    R = jnp.where(flat, jnp.ones_like(R), R)
    check_range(argument, R, 0.0, math.inf, "m", open_low=True)
    return jnp.where(flat, jnp.zeros_like(R), 1 / R)
