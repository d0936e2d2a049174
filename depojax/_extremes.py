"""The lowest and the highest of some values, with the derivative of that one value.

`jnp.min` has a derivative that looks for its result among the values. A compiler that
computes them twice, rounded in two ways, finds it nowhere: 0/0. Here a place is chosen,
and the value there is taken. Of equal ones it is the first.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def least_of(values: Array, axis: int | None = None) -> Array:
    """The least of `values`, of all or along one axis."""
    return _at(jnp.argmin, values, axis)


def largest_of(values: Array, axis: int | None = None) -> Array:
    """The largest of `values`, of all or along one axis."""
    return _at(jnp.argmax, values, axis)


def _at(choose, values: Array, axis: int | None) -> Array:
    if axis is None:
        values, axis = values.ravel(), 0
    place = choose(jax.lax.stop_gradient(values), axis=axis, keepdims=True)
    return jnp.take_along_axis(values, place, axis).squeeze(axis)
