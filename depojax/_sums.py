"""Sums over a few fields."""

import functools
import operator
from collections.abc import Iterable

import jax.numpy as jnp
from jaxtyping import Array


def sum_of_few(values: Array, axis: int = 0) -> Array:
    """Σ over a short axis, such as that of the ions, term by term.

    What `jnp.sum` gives, but as a loop over the rest that is joined to its neighbours:
    on CPU a reduction over a leading axis of four takes 25 times as long.
    """
    return added(jnp.unstack(values, axis=axis))


def added(fields: Iterable[Array]) -> Array:
    """Σ of fields."""
    return functools.reduce(operator.add, fields)
