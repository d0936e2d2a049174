"""Power series for arguments up to 1, with terms enough for round-off."""

import jax.numpy as jnp
from jaxtyping import Array

TERMS = 22  # of series whose coefficients fall like 2ⁿ/(2n + 1)!! or faster


def power_series(coefficients: tuple[float, ...], x: Array) -> Array:
    """Σ cₙ xⁿ."""
    highest_first = jnp.asarray(coefficients[::-1], x.dtype)
    return jnp.polyval(highest_first, x, unroll=1)
