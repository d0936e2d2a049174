"""Array annotations and the two kinds of field that depojax's values are made of.

A *quantity* is a leaf: a number that a gradient may want, stored as an array, so that
another number neither recompiles nor loses its derivative. A *static* field changes
the program (shapes, axes, names).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

Scalar = Float[Array, ""]
Cells = Float[Array, "x y z"]
Labels = Int[Array, "x y z"]
# xn = x + 1 and so on; not written as sums, which are only checked where x is known.
Nodes = Float[Array, "xn yn zn"]
Faces = tuple[Float[Array, "xn y z"], Float[Array, "x yn z"], Float[Array, "x y zn"]]
Triple = tuple[float, float, float]


def as_float(value: Any) -> Array:
    """`value` as a floating-point array; a floating jax array keeps its precision.

    No type is weak: 1.0 and jnp.asarray(1.0) are not to be two programs. A number that
    is known stays known inside of jit: checks look at it, and sizes of arrays (cells of
    a separator, pairs of a multigrid) follow from it.
    """
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating):
        return value.astype(value.dtype) if value.weak_type else value
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)):
        with jax.ensure_compile_time_eval():
            return jnp.asarray(value, dtype=jnp.result_type(float))
    return jnp.asarray(value, dtype=jnp.result_type(float))


def quantity(**kwargs: Any) -> Any:
    """A field that holds a physical number or array as a differentiable leaf."""
    return eqx.field(converter=as_float, **kwargs)


def static(**kwargs: Any) -> Any:
    """A field that changes the program: shapes, axes, names."""
    return eqx.field(static=True, **kwargs)


def is_traced(value: Any) -> bool:
    """Whether `value` is known only inside a transformation (jit, grad, vmap)."""
    return isinstance(value, Tracer)


def without_derivatives(tree: Any) -> Any:
    """The same numbers, which no derivative goes through."""
    numbers, rest = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.lax.stop_gradient(numbers), rest)


def concrete(value: Any) -> np.ndarray | None:
    """`value` as a numpy array, or None while it is traced."""
    return None if is_traced(value) else np.asarray(value)
