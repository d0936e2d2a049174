"""Nuclei in the mean over a place: how many, how large, what they cover.

    coverage = 1 − exp(−X),    X = π Σ r²,    over all sites, as if nuclei did not meet
    area of deposit per area of substrate = 2 √X D(√X)          D of Dawson

Kolmogorov 1937, Johnson & Mehl 1939, Avrami 1939, doi:10.1063/1.1750380. The area of
the deposit is that of hemispheres of one size that grow into each other: 2X at first,
at most 1.29, 1 in the end; for progressive nucleation it is right within 6 %.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_range
from depojax._types import as_float
from depojax.physics.metals import Metal
from depojax.physics.power_series import TERMS, power_series
from depojax.units import FARADAY

# A number, or one for each place on the substrate.
Places = Float[Array, "..."]

# (−2)ⁿ/(2n + 1)!!
_DAWSON = tuple(
    float(np.prod([-2 / (2 * k + 3) for k in range(n)])) for n in range(TERMS)
)


class NucleiState(eqx.Module):
    """What has nucleated at a place, in the mean: moments of the radii, and charge.

    The sums count the nuclei of all sites, those that others have run over as well:
    that makes them simple. `density` and `mean_radius` count what was truly born.
    """

    sites_used: Places  # Σ 1 [m-2]
    radius_sum: Places  # Σ r [m-1]
    square_sum: Places  # Σ r² [-]
    density: Places  # of nuclei born on bare substrate [m-2]
    born_radius_sum: Places  # Σ r of those [m-1]
    charge: Places  # of the metal, per substrate area [C m-2]

    @classmethod
    def bare(cls, shape: tuple[int, ...] = ()) -> "NucleiState":
        """A substrate without metal, at as many places as `shape` says."""
        nothing = jnp.zeros(shape, jnp.result_type(float))
        return cls(*(nothing,) * 6)

    @classmethod
    def of_nuclei(cls, metal: Metal, density: Any, radius: Any) -> "NucleiState":
        """Hemispheres of one size: so many per area [m⁻²], of one radius [m]."""
        check_range("density", density, 0.0, 1e25, "m⁻²")
        check_range("radius", radius, 0.0, 1e-3, "m", "Write it with its unit: 50 * nm")
        n, r = jnp.broadcast_arrays(as_float(density), as_float(radius))
        X = math.pi * n * r * r
        # ∫ area dr of one size: r (1 − D(√X)/√X)
        volume = r * (1 - _dawson_ratio(X))
        charge = volume * (metal.charge * FARADAY / metal.molar_volume)
        return cls(n, n * r, n * r * r, n, n * r, charge)

    @property
    def extended_coverage(self) -> Places:
        """X = π Σ r² [-], as if nuclei did not meet."""
        return math.pi * self.square_sum

    @property
    def coverage(self) -> Places:
        """Share of the substrate under metal [-]."""
        return -jnp.expm1(-self.extended_coverage)

    @property
    def free_share(self) -> Places:
        """Share of the substrate that is bare [-]."""
        return jnp.exp(-self.extended_coverage)

    @property
    def area_factor(self) -> Places:
        """True area of the deposit per area of substrate [-]: what current crosses."""
        return deposit_area(self.extended_coverage)

    @property
    def mean_radius(self) -> Places:
        """Of the nuclei that were born [m]; 0 where there is none."""
        some = self.density > 0
        count = jnp.where(some, self.density, jnp.ones_like(self.density))
        return jnp.where(some, self.born_radius_sum / count, 0 * count)

    def shrunk(self, charge: Any) -> "NucleiState":
        """The state once some charge is stripped from it [C m⁻²], positive.

        All radii by the same factor, the cube root of what is left. Where nothing is
        left the sites are free again.
        """
        some = (self.charge > 0) & (self.charge > charge)
        whole = jnp.where(some, self.charge, jnp.ones_like(self.charge))
        left = jnp.where(some, 1 - charge / whole, jnp.ones_like(whole))
        factor = jnp.cbrt(left)

        def kept(value, power):
            return jnp.where(some, value * factor**power, 0 * value)

        return NucleiState(
            sites_used=kept(self.sites_used, 0),
            radius_sum=kept(self.radius_sum, 1),
            square_sum=kept(self.square_sum, 2),
            density=kept(self.density, 0),
            born_radius_sum=kept(self.born_radius_sum, 1),
            charge=kept(self.charge, 3),
        )


@jax.custom_jvp
def deposit_area(extended_coverage: Any) -> Array:
    """2 √X D(√X) [-]: area of hemispheres that grow into each other, per substrate."""
    X = as_float(extended_coverage)
    return 2 * X * _dawson_ratio(X)


@deposit_area.defjvp
def _deposit_area_jvp(primals, tangents):
    (X,), (dX,) = primals, tangents
    ratio = _dawson_ratio(X)
    area = 2 * X * ratio
    return area, (1 + ratio - area) * dX


def _dawson_ratio(X: Array) -> Array:
    """D(√X)/√X [-], 1 at 0."""
    small = X < 1
    series = power_series(_DAWSON, jnp.where(small, X, jnp.zeros_like(X)))
    root = jnp.sqrt(jnp.where(small, jnp.ones_like(X), X))
    return jnp.where(small, series, jax.scipy.special.dawsn(root) / root)
