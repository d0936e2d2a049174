"""The logarithmic mean of two concentrations, and fluxes made of it.

    N h/D = c_P − c_N − c̄ w,    c̄ = (c_N − c_P)/ln(c_N/c_P),    w = Φ_N − Φ_P

is −c̄ Δ(ln c + Φ): nothing flows at equilibrium, and in a neutral salt, where Φ follows
ln c, the flux of salt is exactly that of diffusion, however much c changes from one
cell to the next.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

# Below which a concentration counts as that much: of ions that are not there the mean
# would follow round-off, with any slope.
_LEAST = 1e-15
_SERIES = 1e-2
# tanh(x)/x in x², to round-off for x up to a fifth.
_NEAR = 0.4
_TANH = (
    *(1.0, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925),
    *(21844 / 6081075, -929569 / 638512875, 6404582 / 10854718875),
)


def logarithmic_mean(a: Array, b: Array) -> Array:
    """(b − a)/ln(b/a), a where both are the same; for numbers of order one."""
    return mean_of_rise(a, b, _rise(a, b))


@jax.custom_jvp
def mean_of_rise(a: Array, b: Array, rise: Array) -> Array:
    """The logarithmic mean where ln(b/a) is known: without a logarithm.

    As half the sum times tanh(rise/2)/(rise/2) where both are nearly the same.
    """
    a, b = jnp.maximum(a, _LEAST), jnp.maximum(b, _LEAST)
    small = jnp.abs(rise) < _NEAR
    near, far = jnp.where(small, rise / 2, 0.0) ** 2, jnp.where(small, 1.0, rise)
    series = jnp.zeros_like(near)
    for term in reversed(_TANH):
        series = series * near + term
    return jnp.where(small, (a + b) / 2 * series, (b - a) / far)


@mean_of_rise.defjvp
def _mean_of_rise_jvp(primals, tangents):
    (a, b, rise), (ta, tb, _) = primals, tangents
    from_a, from_b = slopes_of_mean(a, b, rise)
    return mean_of_rise(a, b, rise), from_a * ta + from_b * tb


def slopes_of_mean(a: Array, b: Array, rise: Array) -> tuple[Array, Array]:
    """∂/∂a and ∂/∂b of the logarithmic mean [-], ln(b/a) being known."""
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
