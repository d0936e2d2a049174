"""Design variables: numbers that an optimiser may choose without ever leaving bounds.

A variable holds numbers u without bounds and maps them smoothly to physical values:

    Unbounded  v = u
    Positive   v = e^u
    Bounded    v = low + (high − low) σ(u),    or low (high/low)^σ(u) over decades
    Monotone   v_k = low + (high − low) Σ_{j ≤ k} softmax(u, 0)_j
    Balanced   as Bounded of u + λ, with λ such that the weighted mean of v is given

No value is ever clipped, so no gradient is ever lost. What is free in a design are the
`free` numbers of its variables; a tree without any variable is free as it stands.
"""

import abc
from collections.abc import Callable
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

from depojax._checks import check_choice, check_finite, check_range, refuse
from depojax._types import as_float, concrete, static


class AbstractVariable(eqx.Module):
    """Numbers of a design: `free` is what an optimiser changes, `value` what it means.

    `Kind(value, …)` begins at a value; `with_value` makes the same kind at another one.
    """

    free: eqx.AbstractVar[Float[Array, "..."]]

    @property
    @abc.abstractmethod
    def value(self) -> Array:
        """The physical values."""

    @abc.abstractmethod
    def with_value(self, value: Any) -> Self:
        """The same variable at another value, which has to lie within its bounds."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the values."""
        return self.free.shape


class Unbounded(AbstractVariable):
    """Any number: v = u."""

    free: Float[Array, "..."]

    def __init__(self, value: Any):
        check_finite("value", value)
        self.free = as_float(value)

    @property
    def value(self):
        return self.free

    def with_value(self, value):
        return Unbounded(value)


class Positive(AbstractVariable):
    """A positive number, v = e^u: a step of the optimiser is a share of the value."""

    free: Float[Array, "..."]

    def __init__(self, value: Any):
        check_range("value", value, 0.0, float("inf"), open_low=True)
        self.free = jnp.log(as_float(value))

    @property
    def value(self):
        return jnp.exp(self.free)

    def with_value(self, value):
        return Positive(value)


class Bounded(AbstractVariable):
    """Numbers between two bounds, v = low + (high − low) σ(u).

    Args:
        value: where it begins, strictly inside.
        low, high: bounds, one number or one for each value.
        scale: "linear", or "log" for bounds that lie decades apart.

    Raises `ValueError` for values on or beyond a bound.
    """

    free: Float[Array, "..."]
    low: Float[Array, "..."]
    high: Float[Array, "..."]
    scale: str = static()

    def __init__(self, value: Any, low: Any, high: Any, *, scale: str = "linear"):
        self.low, self.high, self.scale = _bounds(low, high, scale)
        self.free = _logit(_share(value, self.low, self.high, scale))

    @property
    def value(self):
        return _between(jax.nn.sigmoid(self.free), self.low, self.high, self.scale)

    def with_value(self, value):
        return Bounded(value, self.low, self.high, scale=self.scale)


class Monotone(AbstractVariable):
    """A profile that rises all the way, or falls, between two bounds.

        v_k = low + (high − low) Σ_{j ≤ k} s_j,   s = softmax(u, 0),   k = 0 … n − 1

    Args:
        value: where it begins: strictly monotone and strictly between the bounds.
            `Monotone.ramp` makes one with equal steps.
        low, high: bounds.
        falling: from `high` towards `low` instead.
    """

    free: Float[Array, "n"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    falling: bool = static()

    def __init__(self, value: Any, low: Any, high: Any, *, falling: bool = False):
        self.low, self.high, _ = _bounds(low, high, "linear")
        share = _share(value, self.low, self.high, "linear")
        if share.ndim != 1:
            raise refuse(
                "value", "a profile, one number after another", f"shape {share.shape}"
            )
        steps = jnp.diff(1 - share if falling else share, prepend=0, append=1)
        known = concrete(steps)
        if known is not None and known.min() <= 0:
            way = "falls" if falling else "rises"
            raise refuse(
                "value",
                f"a profile that {way} from each value to the next",
                concrete(as_float(value)),
                "Monotone.ramp(low, high, n) makes one to begin with.",
            )
        self.free = jnp.log(steps[:-1] / steps[-1])
        self.falling = falling

    @classmethod
    def ramp(cls, low: Any, high: Any, n: int, *, falling: bool = False) -> "Monotone":
        """n values at equal steps, none of them on a bound."""
        low, high, _ = _bounds(low, high, "linear")
        share = jnp.arange(1, n + 1, dtype=low.dtype) / (n + 1)
        share = share[::-1] if falling else share
        return cls(low + (high - low) * share, low, high, falling=falling)

    @property
    def value(self):
        shares = jax.nn.softmax(jnp.append(self.free, jnp.zeros_like(self.free[:1])))
        share = jnp.cumsum(shares[:-1])
        share = 1 - share if self.falling else share
        return self.low + (self.high - self.low) * share

    def with_value(self, value):
        return Monotone(value, self.low, self.high, falling=self.falling)


class Balanced(AbstractVariable):
    """Numbers between two bounds whose weighted mean stays what it is (equal mass).

        v = low + (high − low) σ(u + λ),   λ(u):  Σ w v/Σ w = mean

    Args:
        value: where it begins, strictly inside the bounds.
        low, high: bounds.
        mean: of the values, kept to round-off; by default that of `value`.
        weights: of the mean, as many as values; equal ones by default.

    Raises `ValueError` for a mean that is not between the bounds.
    """

    free: Float[Array, "..."]
    low: Float[Array, ""]
    high: Float[Array, ""]
    mean: Float[Array, ""]
    weights: Float[Array, "..."]

    def __init__(
        self, value: Any, low: Any, high: Any, *, mean: Any = None, weights: Any = None
    ):
        self.low, self.high, _ = _bounds(low, high, "linear")
        share = _share(value, self.low, self.high, "linear")
        weights = jnp.ones_like(share) if weights is None else as_float(weights)
        check_range("weights", weights, 0.0, float("inf"))
        if weights.shape != share.shape:
            raise refuse(
                "weights",
                f"one for each value, shape {share.shape}",
                f"shape {weights.shape}",
            )
        self.weights = weights / jnp.sum(weights)
        self.free = _logit(share)
        if mean is None:
            mean = jnp.sum(self.weights * as_float(value))
        low_, high_ = concrete(self.low), concrete(self.high)
        if low_ is not None and high_ is not None:
            check_range(
                "mean", mean, float(low_), float(high_), open_low=True, open_high=True
            )
        self.mean = as_float(mean)

    @property
    def value(self):
        target = (self.mean - self.low) / (self.high - self.low)
        share = jax.nn.sigmoid(self.free + _shift(self.free, self.weights, target))
        return self.low + (self.high - self.low) * share

    def with_value(self, value):
        return Balanced(
            value, self.low, self.high, mean=self.mean, weights=self.weights
        )


def _shift(free: Array, weights: Array, target: Array) -> Array:
    """λ at which the weighted mean of σ(u + λ) is `target`."""
    level = _logit(target)

    def excess(shift, arguments):
        free, target = arguments
        return jnp.sum(weights * jax.nn.sigmoid(free + shift)) - target

    # σ is monotone: the mean of all lies between what the extremes alone would need.
    fixed = jax.lax.stop_gradient((free, level))
    tolerance = 4 * float(jnp.finfo(free.dtype).eps)
    found = optx.root_find(
        excess,
        optx.Bisection(rtol=tolerance, atol=tolerance),
        fixed[1] - jnp.mean(fixed[0]),
        (free, target),
        options={
            "lower": fixed[1] - jnp.max(fixed[0]) - 1,
            "upper": fixed[1] - jnp.min(fixed[0]) + 1,
        },
        max_steps=200,
        throw=False,
    )
    return found.value


def _logit(share: Array) -> Array:
    return jnp.log(share) - jnp.log1p(-share)


def _bounds(low: Any, high: Any, scale: str) -> tuple[Array, Array, str]:
    check_choice("scale", scale, ("linear", "log"))
    check_finite("low", low)
    check_finite("high", high)
    low, high = as_float(low), as_float(high)
    least, most = concrete(low), concrete(high)
    if least is not None and most is not None and not np.all(least < most):
        raise refuse("high", f"more than low = {low}", high)
    if scale == "log":
        cure = 'Take scale="linear".'
        check_range("low", low, 0.0, float("inf"), cure=cure, open_low=True)
    return low, high, scale


def _share(value: Any, low: Array, high: Array, scale: str) -> Array:
    """How far a value lies from `low` to `high`, refused unless strictly between."""
    check_finite("value", value)
    value = as_float(value)
    if scale == "log":
        share = jnp.log(value / low) / jnp.log(high / low)
    else:
        share = (value - low) / (high - low)
    known = concrete(share)
    if known is not None and (known.min() <= 0 or known.max() >= 1):
        # NaN of a negative value on a logarithmic scale has been refused by `low`.
        raise refuse(
            "value",
            f"strictly between {low} and {high}",
            concrete(value),
            "Begin inside: on a bound the variable could not move.",
        )
    return share


def _between(share: Array, low: Array, high: Array, scale: str) -> Array:
    if scale == "log":
        return low * (high / low) ** share
    return low + (high - low) * share


def is_variable(value: Any) -> bool:
    """Whether `value` is a design variable."""
    return isinstance(value, AbstractVariable)


def free_leaves(design: Any) -> Any:
    """A tree of the shape of `design` that is true where a number may be changed.

    These are the `free` numbers of all variables in it; where there is no variable, all
    of its floating-point arrays.
    """
    if not any(map(is_variable, jax.tree.leaves(design, is_leaf=is_variable))):
        return jax.tree.map(eqx.is_inexact_array, design)

    def of(leaf):
        nothing = jax.tree.map(lambda _: False, leaf)
        if is_variable(leaf):
            return eqx.tree_at(lambda v: v.free, nothing, True)
        return nothing

    return jax.tree.map(of, design, is_leaf=is_variable)


def split(design: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The free part of a design, and what makes a whole design of such a part.

    Raises `ValueError` for a design in which nothing is free.
    """
    free, fixed = eqx.partition(design, free_leaves(design))
    if not jax.tree.leaves(free):
        raise refuse(
            "design", "a design variable, or an array of floats", "nothing that is free"
        )
    return free, lambda part: eqx.combine(part, fixed)


def values_of(design: Any) -> Any:
    """The design with every variable replaced by its value."""
    return jax.tree.map(
        lambda leaf: leaf.value if is_variable(leaf) else leaf,
        design,
        is_leaf=is_variable,
    )
