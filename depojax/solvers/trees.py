"""Arithmetic on states: pytrees of arrays that are added and scaled leaf by leaf."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from depojax._sums import vdot
from depojax._types import Scalar


def plus(x: PyTree, a: Any, y: PyTree) -> PyTree:
    """x + a y."""
    return jax.tree.map(lambda x, y: x + a * y, x, y)


def scaled(a: Any, x: PyTree) -> PyTree:
    """a x."""
    return jax.tree.map(lambda x: a * x, x)


def chosen(which: Bool[Array, ""], x: PyTree, y: PyTree) -> PyTree:
    """x where `which` holds, else y."""
    return jax.tree.map(lambda x, y: jnp.where(which, x, y), x, y)


def all_finite(x: PyTree) -> Bool[Array, ""]:
    """Whether every number is finite."""
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(x)]
    return jnp.all(jnp.stack(leaves))


def inner(x: PyTree, y: PyTree) -> Scalar:
    """Σ x y over all leaves."""
    leaves = zip(*map(jax.tree.leaves, (x, y)), strict=True)
    return jnp.sum(jnp.stack([vdot(a, b) for a, b in leaves]))


def norm(x: PyTree) -> Scalar:
    """‖x‖₂ over all leaves."""
    return jnp.sqrt(inner(x, x))
