"""The place that decides: the lowest, or the one that completes a share of the area.

A single cell of a noisy scan, in a pocket that all but closes, says little about the
host. Shares are of true plated area, so that no slice of the grid decides either.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from depojax._types import Cells


def deciding_place(values: Cells, area: Cells, share: float = 0.0) -> Int[Array, ""]:
    """Flat index of the place up to which the lowest values cover `share` of the area.

    With a share of zero it is that of the lowest value. Places without area do not
    count. The index has no derivative; the value there has.
    """
    values, area = jax.lax.stop_gradient((values, area))
    counted = area > 0
    if share == 0:
        return jnp.argmin(jnp.where(counted, values, jnp.inf))
    wanted = share * jnp.sum(area)

    def halve(_, bracket):
        low, high = bracket
        middle = low + (high - low) / 2
        enough = jnp.sum(jnp.where(values <= middle, area, 0.0)) >= wanted
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    lowest = jnp.min(jnp.where(counted, values, jnp.inf))
    highest = jnp.max(jnp.where(counted, values, -jnp.inf))
    halvings = jnp.finfo(values.dtype).nmant
    _, level = jax.lax.fori_loop(0, halvings, halve, (lowest, highest))
    below = counted & (values <= level)
    return jnp.argmax(jnp.where(below, values, -jnp.inf))


def share_below(values: Cells, area: Cells, level: float) -> Float[Array, ""]:
    """Share of the area where `values` are below `level`."""
    return jnp.sum(jnp.where(values < level, area, 0.0)) / jnp.sum(area)
