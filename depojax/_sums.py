"""Sums over a few fields, and products with sums that keep their digits."""

import functools
import operator
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jaxtyping import Array

# Left to itself a GPU rounds what it multiplies in float32 to 11 bits (TensorFloat-32).
_EXACT = jax.lax.Precision.HIGHEST
vdot = functools.partial(jnp.vdot, precision=_EXACT)
matmul = functools.partial(jnp.matmul, precision=_EXACT)
einsum = functools.partial(jnp.einsum, precision=_EXACT)
dot_general = functools.partial(jax.lax.dot_general, precision=_EXACT)


def sum_of_few(values: Array, axis: int = 0) -> Array:
    """Σ over a short axis, such as that of the ions, term by term.

    What `jnp.sum` gives, but as a loop over the rest that is joined to its neighbours:
    on CPU a reduction over a leading axis of four takes 25 times as long.
    """
    return added(jnp.unstack(values, axis=axis))


def added(fields: Iterable[Array]) -> Array:
    """Σ of fields."""
    return functools.reduce(operator.add, fields)
