"""Fluxes of charged particles between two cells in a field.

    N h/D = c_P B(w) − c_N B(−w),    w = z (φ_N − φ_P) F/(RT)
    B(x) = x/(eˣ − 1),    B(−x) = B(x) + x

exact for a constant field: no flux where c follows Boltzmann's law, upwind where the
field is strong, and never a negative concentration for want of a finer grid.

Scharfetter & Gummel, IEEE Trans. Electron Devices 16 (1969) 64,
doi:10.1109/T-ED.1969.16766.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

# B(x) = Σ b_n xⁿ/n! with the Bernoulli numbers: to round-off below _SERIES.
_NUMBERS = (
    *(1.0, -1 / 2, 1 / 6, 0.0, -1 / 30, 0.0, 1 / 42, 0.0, -1 / 30, 0.0, 5 / 66),
    *(0.0, -691 / 2730, 0.0, 7 / 6),
)
_SERIES = 0.3
_LARGEST = 700.0  # eˣ of which is still a number in float64


@jax.custom_jvp
def bernoulli(x: Array) -> Array:
    """B(x) [-], to round-off for every x."""
    near, far, small = _apart(x)
    return jnp.where(small, _series(near, 0), far / _expm1(far))


@bernoulli.defjvp
def _bernoulli_jvp(primals, tangents):
    (x,), (t,) = primals, tangents
    return bernoulli(x), bernoulli_slope(x) * t


def bernoulli_slope(x: Array) -> Array:
    """B'(x) [-], to round-off for every x: −½ at 0, −1 to the left, 0 to the right."""
    near, far, small = _apart(x)
    # B' = B (1/x − 1/(1 − e⁻ˣ)): nothing overflows on either side.
    value = far / _expm1(far)
    slope = value * (1 / far + 1 / _expm1(-far))
    return jnp.where(small, _series(near, 1), slope)


def _apart(x: Array) -> tuple[Array, Array, Array]:
    small = jnp.abs(x) < _SERIES
    return jnp.where(small, x, 0.0), jnp.where(small, 1.0, x), small


def _series(x: Array, derivatives: int) -> Array:
    total = jnp.zeros_like(x)
    for order in reversed(range(derivatives, len(_NUMBERS))):
        total = total * x + _NUMBERS[order] / math.factorial(order - derivatives)
    return total


def _expm1(x: Array) -> Array:
    most = _LARGEST if x.dtype == jnp.float64 else 80.0
    return jnp.expm1(jnp.clip(x, -most, most))
