"""The last half cell of a neutral solution with a space charge at the metal.

Between a cell with c in its middle and the metal, a way δ, the salt falls by d to
c_s = c − d, at a slope c' = d/δ that belongs to a current; the potential falls by what
`depojax.physics.depleted_layer` says. Given the potential, d is asked for.

Numbers are those of `ion_model`: c over c₀, potentials over RT/(zF).
"""

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array

from depojax.physics.depleted_layer import drop_before_metal, field_at_metal

_TRIES = 60
_STILL = 1e-12  # of c, the least fall: a slope is divided by


def fall_before_metal(
    drop: Array, c: Array, held: Array, reach: Array, square: Array, known: Array | None
) -> Array:
    """d [-], for the potential `drop` [-] from the cell to the metal.

    `held` are the cations at the metal p [-], `square` is λ² = ε₀ε_r RT/(z²F²c₀) [m²].
    `known` is d, where it was found before: it only gets its derivatives.
    """

    def residual(d, drop, c, held, square):
        return _drop_of(d, c, held, reach, square) - drop

    numbers = (drop, c, held, square)
    d = _found(residual, stop_gradient(numbers), reach) if known is None else known
    d = stop_gradient(d)
    # One more Newton step from a residual of zero: it carries the derivatives.
    _, slope = jax.jvp(
        lambda d: residual(d, *stop_gradient(numbers)), (d,), (jnp.ones_like(d),)
    )
    left = residual(d, *numbers)
    return d - (left - stop_gradient(left)) / slope


def _drop_of(d: Array, c: Array, held: Array, reach: Array, square: Array) -> Array:
    """The potential from the cell to the metal at a fall d [-]."""
    return drop_before_metal(c, c - d, held, d / reach, square)


def _scaled(d: Array, c: Array, held: Array, reach: Array, square: Array):
    """X, P and c'ℓ of `depleted_layer`, and c' [m⁻¹]."""
    slope = jnp.sqrt(d * d + (_STILL * c) ** 2) / reach
    unit = jnp.cbrt(slope * slope * square / 2)
    return (c - d) / unit, held / unit, unit, slope


def layer_before_metal(d: Array, c: Array, held: Array, reach: Array, square: Array):
    """Thickness of the layer without anions [m], and the field at the metal [m⁻¹]."""
    X, P, unit, slope = _scaled(d, c, held, reach, square)
    return jnp.maximum(d - c, 0) / slope, field_at_metal(X, P) * slope / unit


def _found(residual, numbers, reach: Array) -> Array:
    """d by Newton's method within a bracket."""
    drop, c, held, square = numbers
    # A neutral solution has c_s = √(c p) exp(−drop/2); a layer takes more of the drop.
    neutral = c - jnp.sqrt(c * held) * jnp.exp(-drop / 2)
    beyond = 5 * square * (drop / reach) ** 2
    low = neutral - 0.5 * jnp.abs(neutral) - 0.1 * c
    high = jnp.maximum(2 * c, beyond) + jnp.abs(neutral)

    def improve(_, state):
        d, low, high = state
        value, slope = jax.jvp(
            lambda d: residual(d, *numbers), (d,), (jnp.ones_like(d),)
        )
        low, high = jnp.where(value < 0, d, low), jnp.where(value > 0, d, high)
        newton = d - value / slope
        inside = (newton > low) & (newton < high)
        return jnp.where(inside, newton, (low + high) / 2), low, high

    start = jnp.clip(neutral, low, high)
    return jax.lax.fori_loop(0, _TRIES, improve, (start, low, high))[0]
