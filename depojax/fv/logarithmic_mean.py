"""The logarithmic mean of two concentrations, and fluxes made of it.

    N h/D = c_P − c_N − c̄ w,    c̄ = (c_N − c_P)/ln(c_N/c_P),    w = Φ_N − Φ_P

is −c̄ Δ(ln c + Φ): nothing flows at equilibrium, and in a neutral salt, where Φ follows
ln c, the flux of salt is exactly that of diffusion, however much c changes from one
cell to the next.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax.fv.scharfetter_gummel import bernoulli

# Below which a concentration counts as that much: of ions that are not there the mean
# would follow round-off, with any slope.
_LEAST = 1e-15
_SERIES = 1e-2


@jax.custom_jvp
def logarithmic_mean(a: Array, b: Array) -> Array:
    """(b − a)/ln(b/a), a where both are the same; for numbers of order one."""
    a, rise = jnp.maximum(a, _LEAST), _rise(a, b)
    # From the smaller one: nothing overflows.
    return jnp.where(
        rise > 0,
        a / bernoulli(jnp.maximum(rise, 0)),
        jnp.maximum(b, _LEAST) / bernoulli(jnp.maximum(-rise, 0)),
    )


@logarithmic_mean.defjvp
def _logarithmic_mean_jvp(primals, tangents):
    (a, b), (ta, tb) = primals, tangents
    from_a, from_b = slopes_of_mean(a, b)
    return logarithmic_mean(a, b), from_a * ta + from_b * tb


def slopes_of_mean(a: Array, b: Array) -> tuple[Array, Array]:
    """∂/∂a and ∂/∂b of the logarithmic mean [-]."""
    rise = _rise(a, b)
    from_a = jnp.where(a > _LEAST, _share(rise), 0.0)
    from_b = jnp.where(b > _LEAST, _share(-rise), 0.0)
    return from_a, from_b


def drift_flux(here: Array, there: Array, rise: Array) -> Array:
    """N h/D from a cell to the next, for concentrations and the rise w of Φ."""
    return here - there - logarithmic_mean(here, there) * rise


def _rise(a: Array, b: Array) -> Array:
    return jnp.log(jnp.maximum(b, _LEAST)) - jnp.log(jnp.maximum(a, _LEAST))


def _share(x: Array) -> Array:
    """(eˣ − 1 − x)/x², what the mean follows the one from which ln c rises by x."""
    small = jnp.abs(x) < _SERIES
    near, far = jnp.where(small, x, 0.0), jnp.where(small, 1.0, x)
    series = 1 / 2 + near / 6 + near**2 / 24 + near**3 / 120 + near**4 / 720
    return jnp.where(small, series, (jnp.expm1(far) - far) / far**2)
