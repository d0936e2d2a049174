"""Fields of a design: shape parameters that vary with height, or from place to place.

    v(s) = Σ_k B_k(s) v_k,   s = z/L
    v(x, y, z) = Σ B_i(x/L_x) B_j(y/L_y) B_k(z/L_z) v_ijk

with clamped uniform B-splines of degree 0 ("cells"), 1 ("linear") or 3 ("spline").
These are positive and add up to one: a field stays within the bounds of its numbers.

de Boor, A Practical Guide to Splines (1978), ch. IX.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_choice, refuse
from depojax._sums import einsum, matmul
from depojax._types import as_float, static
from depojax.design.variables import AbstractVariable
from depojax.fv.grid import Grid

_DEGREES = {"cells": 0, "linear": 1, "spline": 3}


class AbstractField(eqx.Module):
    """A parameter that varies over a box."""

    @abc.abstractmethod
    def at(self, x: Array, y: Array, z: Array) -> Array:
        """Values at relative coordinates in [0, 1], laid along x, y and z as a mesh."""

    def over(self, lengths: Any) -> Callable[[Array, Array, Array], Array]:
        """The field as a function of coordinates [m] in a box of these side lengths.

        This is what generators take for a graded argument.
        """
        lx, ly, lz = lengths
        return lambda x, y, z: self.at(x / lx, y / ly, z / lz)

    def on_cells(self, grid: Grid) -> Array:
        """Values at the cell centres, broadcast to (x, y, z)."""
        return jnp.broadcast_to(
            self.over(grid.lengths)(*grid.center_mesh()), grid.shape
        )


class Profile(AbstractField):
    """A parameter along z, from the collector (first value) to the separator (last).

    Args:
        values: a variable of n numbers, or n numbers that stay as they are.
        interpolation: "linear" between equally spaced heights, "spline" (cubic, its
            control points; n at least 4) or "cells" (n layers of one value each).
    """

    values: AbstractVariable | Float[Array, "n"]
    interpolation: str = static()

    def __init__(self, values: Any, interpolation: str = "linear"):
        self.values = _numbers(values)
        check_choice("interpolation", interpolation, _DEGREES)
        _check_count("values", self.values.shape, 1, interpolation)
        self.interpolation = interpolation

    def on_heights(self, relative_height: Array) -> Array:
        """The profile at heights z/L in [0, 1]."""
        values = _known(self.values)
        return matmul(self.basis(relative_height).astype(values.dtype), values)

    def basis(self, relative_height: Array) -> Array:
        """What each value counts at these heights: shape (*heights, n), sums of 1."""
        n = self.values.shape[0]
        return _basis(relative_height, n, _DEGREES[self.interpolation])

    def at(self, x, y, z):
        return self.on_heights(z)


class VolumeField(AbstractField):
    """A parameter that varies in all three directions.

    Args:
        values: a variable of (i, j, k) numbers, or such an array.
        interpolation: as in `Profile`, the same along each axis.

    Good values: a number for every one or two pores.
    """

    values: AbstractVariable | Float[Array, "i j k"]
    interpolation: str = static()

    def __init__(self, values: Any, interpolation: str = "spline"):
        self.values = _numbers(values)
        check_choice("interpolation", interpolation, _DEGREES)
        _check_count("values", self.values.shape, 3, interpolation)
        self.interpolation = interpolation

    def at(self, x, y, z):
        values = _known(self.values)
        degree = _DEGREES[self.interpolation]
        along = [
            _basis(jnp.ravel(s), n, degree).astype(values.dtype)
            for s, n in zip((x, y, z), values.shape, strict=True)
        ]
        return einsum("xi,yj,zk,ijk->xyz", *along, values, optimize=True)


def _numbers(values: Any) -> AbstractVariable | Array:
    return values if isinstance(values, AbstractVariable) else as_float(values)


def _known(values: AbstractVariable | Array) -> Array:
    return values.value if isinstance(values, AbstractVariable) else values


def _check_count(argument: str, shape: Any, axes: int, interpolation: str) -> None:
    least = _DEGREES[interpolation] + 1
    if len(shape) != axes or min(shape) < least:
        along = "along z" if axes == 1 else "along each of x, y, z"
        raise refuse(
            argument,
            f"at least {least} numbers {along} for {interpolation!r}",
            f"shape {tuple(shape)}",
        )


def _basis(s: Array, n: int, degree: int) -> Array:
    """B_k(s), k = 0 … n − 1, of a clamped uniform B-spline: shape (*s, n).

    Cox and de Boor's recursion; an interval of no length counts nothing.
    """
    inner = np.linspace(0.0, 1.0, n - degree + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    s = s[..., None]
    # The last point belongs to the last interval, and round-off beyond the ends too.
    s = jnp.clip(s, 0.0, 1.0)
    span = jnp.searchsorted(jnp.asarray(inner[1:-1], s.dtype), s, side="right") + degree
    pieces = jnp.arange(knots.size - 1, dtype=span.dtype)
    basis = (span == pieces).astype(s.dtype)
    for p in range(1, degree + 1):
        left, right = knots[: -p - 1], knots[p + 1 :]
        up = jnp.asarray(_reciprocal(knots[p:-1] - left), s.dtype)
        down = jnp.asarray(_reciprocal(right - knots[1:-p]), s.dtype)
        rising = (s - jnp.asarray(left, s.dtype)) * up
        falling = (jnp.asarray(right, s.dtype) - s) * down
        basis = rising * basis[..., :-1] + falling * basis[..., 1:]
    return basis


def _reciprocal(length: np.ndarray) -> np.ndarray:
    return np.where(length > 0, 1 / np.where(length > 0, length, 1), 0)
