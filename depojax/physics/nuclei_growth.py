"""Births and growth of nuclei within a step of time, and how far a charge grows them.

With the rate A of each site and the growth of all radii constant in the step, the sums
Σ 1, Σ r, Σ r² over all sites are taken along without error; how many are truly born, on
substrate that is still bare, follows by Gauss' rule.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array

from depojax.physics.nuclei_state import NucleiState, deposit_area
from depojax.physics.power_series import TERMS, power_series

_FEWEST = 1e-9  # nuclei per area below which there are none [m-2]
# Gauss' rule on (0, 1), over what happens within one step.
_KNOTS, _WEIGHTS = (np.polynomial.legendre.leggauss(6)[k] for k in (0, 1))
_KNOTS, _WEIGHTS = (_KNOTS + 1) / 2, _WEIGHTS / 2
_MAX_STEPS = 60
# (−1)ⁿ k!/(n + 1 + k)! for k = 1, 2
_BIRTHS = tuple(
    tuple((-1) ** n * k / math.factorial(n + 1 + k) for n in range(TERMS))
    for k in (1, 2)
)


class Step(eqx.Module):
    """Births with a constant chance, and even growth, in a step from σ = 0 to 1."""

    state: NucleiState
    free: Array  # sites without nucleus at first [m-2]
    chance: Array  # a = A Δt of each [-]
    born: Array  # radius at birth [m]
    growth: Array  # h of every radius in the whole step [m]

    def moments(self, sigma: Any = 1.0) -> tuple[Array, Array, Array]:
        """Σ 1, Σ r, Σ r² at σ."""
        old, h, r = self.state, self.growth * sigma, self.born
        none, one, two = _birth_integrals(self.chance * sigma)
        new, grown, squared = (self.free * share for share in (none, one, two))
        return (
            old.sites_used + new,
            old.radius_sum + h * (old.sites_used + grown) + r * new,
            old.square_sum
            + h * (2 * old.radius_sum + h * (old.sites_used + squared))
            + r * (2 * h * grown + r * new),
        )

    def film(self) -> Array:
        """∫ area of the deposit dh [m], per area of substrate."""
        within = _at_knots(self)
        squares = within.moments(jnp.asarray(_KNOTS, within.growth.dtype))[2]
        return self.growth * _by_rule(deposit_area(math.pi * squares))

    def grown_by_end(self) -> tuple[Array, ...]:
        """The state's fields but for the charge."""
        within = _at_knots(self)
        knots = jnp.asarray(_KNOTS, within.growth.dtype)
        all_born = -jnp.expm1(-within.chance)
        few = within.chance < 1e-6
        a = jnp.where(few, jnp.ones_like(within.chance), within.chance)
        # When the knot's share of all births has been born.
        sigma = jnp.where(few, knots, -jnp.log1p(-all_born * knots) / a)
        new = within.free * all_born * jnp.exp(-math.pi * within.moments(sigma)[2])
        size = within.born + within.growth * (1 - sigma)
        old = self.state
        count = old.density + _by_rule(new)
        radii = old.born_radius_sum + self.growth * old.density + _by_rule(new * size)
        return *self.moments(), count, radii


def _at_knots(step: Step) -> Step:
    """The step with one more axis, over the knots of the rule."""
    return jax.tree.map(lambda a: a[..., None], step)


def _by_rule(values: Array) -> Array:
    return jnp.sum(values * jnp.asarray(_WEIGHTS, values.dtype), axis=-1)


def _birth_integrals(a: Array) -> tuple[Array, Array, Array]:
    """(1 − e^(−a)) and ∫ a e^(−a s) (1 − s)^k ds over (0, 1) for k = 1, 2."""
    none = -jnp.expm1(-a)
    small = a < 1
    x = jnp.where(small, a, jnp.zeros_like(a))
    y = jnp.where(small, jnp.ones_like(a), a)
    one = 1 + jnp.expm1(-y) / y
    two = 1 - 2 * one / y
    return (
        none,
        jnp.where(small, x * power_series(_BIRTHS[0], x), one),
        jnp.where(small, x * power_series(_BIRTHS[1], x), two),
    )


def growth_of(step, volume: Array) -> Array:
    """h [m] for which `film` is a volume per area [m]; 0 without metal or volume.

    Newton's method for ln h: the slope of ln film lies between about 1 and 3. What the
    last step gives carries the derivatives.
    """
    frozen, target = stop_gradient((step(jnp.zeros_like(volume)), volume))
    count, _, squares = frozen.moments()
    some = (target > 0) & (count > _FEWEST)
    one = jnp.ones_like(count * target)
    count, target = jnp.where(some, count, one), jnp.where(some, target, one)
    existing = target / jnp.maximum(2 * math.pi * squares, jnp.finfo(one.dtype).tiny)
    start = jnp.minimum(existing, jnp.cbrt(3 * target / (2 * math.pi * count)))
    start = jnp.log(jnp.maximum(start, target / 1.3))

    def excess(log_h, state):
        film = eqx.tree_at(lambda s: s.growth, state, jnp.exp(log_h)).film()
        return jnp.log(jnp.where(some, film, one)) - jnp.log(target)

    def newton(log_h):
        value, slope = jax.jvp(lambda x: excess(x, frozen), (log_h,), (one,))
        return jnp.where(some, value / jnp.where(some, slope, one), 0 * one)

    def body(carry):
        n, log_h, _ = carry
        change = newton(log_h)
        return n + 1, log_h - change, jnp.max(jnp.abs(change))

    tolerance = 4 * jnp.finfo(one.dtype).eps ** 0.5
    log_h = jax.lax.while_loop(
        lambda c: (c[0] < _MAX_STEPS) & (c[2] > tolerance),
        body,
        (jnp.asarray(0), start * one, jnp.asarray(jnp.inf, one.dtype)),
    )[1]
    log_h = stop_gradient(log_h)
    _, slope = jax.jvp(lambda x: excess(x, frozen), (log_h,), (one,))
    slope = stop_gradient(jnp.where(some, slope, one))
    found = excess(log_h, step(jnp.zeros_like(one)))
    goal = jnp.log(jnp.where(some, volume, one)) - jnp.log(target)
    h = jnp.exp(log_h - (found - goal) / slope)
    return jnp.where(some, h, jnp.zeros_like(h))
