"""The potential across a depleted electrolyte and the space charge before a metal.

Where a 1:1 solution is depleted at a metal that takes its cations, all of the layer
between neutral solution and metal follows one equation. With c' the slope of the salt
in the neutral solution, and c_s the concentration to which it would fall in a straight
line (below zero past the limiting current),

    ℓ = (ε₀ε_r RT/(2F² c'))^{1/3},   X = c_s/(c' ℓ),   P = p/(c' ℓ)
    E'' = X E + E³/2 − 1,   E → 1/X far away,   X + E²/2 − E' = P at the metal

(Painlevé's second), p the cations at the metal. The potential that falls from a place
with c in the neutral solution to the metal is

    F Δφ/(RT) = ln(c/(c' ℓ)) + G(X, P)

G tends to ln P − 2 ln X in a solution that is neutral up to a double layer, so that
Δφ = ln(c p/c_s²), and to (2√2/3)|X|^{3/2} + … beyond the limiting current, where the
layer is without anions (Smyrl & Newman, Trans. Faraday Soc. 63 (1967) 207,
doi:10.1039/TF9676300207; Rubinstein & Shtilman, J. Chem. Soc. Faraday Trans. 2 75
(1979) 231, doi:10.1039/F29797500231). Between them it is tabulated from solutions of
the equation, P → ∞; the finite double layer is told by the field behind it. For
P > 20 within 0.02 of the equations that it stands for before depletion, 0.07 past it.

Where X is large the solution is neutral, and X^{−3/2} = c' √(ε₀ε_r RT/(4F²c_s³)) is
analytic in c'. So the same series serves for salt that rises towards the metal
(c' < 0), as where metal dissolves: nothing is depleted there.
"""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.interpolate import CubicSpline

_END = 20.0  # |X| up to which there are tables
# G − ln P − `_frame` for P → ∞, at equal distances of asinh X.
_TABLE = (
    *(-0.896091, -0.930406, -0.967081, -1.005369, -1.043849, -1.080021, -1.109677),
    *(-1.126298, -1.123211, -1.100506, -1.066987, -1.032173, -1.00037, -0.97157),
    *(-0.944172, -0.916419, -0.886657, -0.853186, -0.814123, -0.767492, -0.71161),
    *(-0.645792, -0.571127, -0.490798, -0.409507, -0.332194, -0.262752, -0.203386),
    *(-0.154655, -0.11593, -0.085924, -0.063123, -0.046054),
)
_STEEP = 2 * np.sqrt(2) / 3
_FAR_BELOW = (-0.588116, 0.29191)  # of the series in |X|^{−3/2}, X → −∞
_FAR_ABOVE = (-3.994, 8.08)  # the same for X → ∞, from the second term on
# m of `_emptied`: at X = 0, and for X > 0 (fitted for P = 1000, 5 % off at most).
_HALF = 0.45
_NEUTRAL = (3.0196, 1.2318, 0.6794)
_MOST_TURNED = -0.1  # X^{−3/2}, where metal dissolves faster than the series holds


def potential_across(depletion: Array, crowd: Array) -> Array:
    """G(X, P) [-], for X of any sign and P > 0; any shapes that go together."""
    X = depletion
    inside = jnp.clip(X, -_END, _END)
    middle = _frame(inside) + _spline(jnp.arcsinh(inside))
    below = jnp.maximum(-X, 1.0)
    a, b = _FAR_BELOW
    low = _STEEP * below**1.5 - jnp.log(below) / 2 + a + b * below**-1.5
    G = jnp.where(X < -_END, low, middle)
    G = G + 2 * jnp.arcsinh(jnp.sqrt(2 * _emptied(X) / crowd))
    above = jnp.maximum(X, _END)
    high = _beside_boltzmann(above**-1.5, 2 / (above * jnp.sqrt(crowd)))
    return jnp.log(crowd) + jnp.where(X > _END, high - 2 * jnp.log(above), G)


def drop_before_metal(
    c: Array, wall: Array, held: Array, slope: Array, square: Array
) -> Array:
    """F Δφ/(RT) from a place with `c` to the metal [-].

    Args:
        wall: c_s, to which the salt falls in a straight line; of any sign.
        held: the cations at the metal p, in the same unit as c.
        slope: c' [unit of c per m].
        square: ε₀ε_r RT/F² over the unit of c [m²].
    """
    per_slope = jnp.sqrt(square / 2)
    # Where it is neutral: no number here is singular in a slope of zero.
    some = jnp.where(wall > 0, wall, 1.0)
    turned = per_slope * slope / some**1.5  # X^{−3/2}
    neutral = (wall > 0) & (turned < _END**-1.5)
    calm = jnp.where(neutral, jnp.maximum(turned, _MOST_TURNED), 0.0)
    behind = 2 * per_slope * slope / (some * jnp.sqrt(held))
    boltzmann = jnp.log(c * held / some**2)
    far = boltzmann + _beside_boltzmann(calm, jnp.where(neutral, behind, 0.0))
    steep = jnp.where(neutral, 1.0, slope)
    unit = jnp.cbrt(steep * steep * square / 2)
    return jnp.where(
        neutral, far, jnp.log(c / unit) + potential_across(wall / unit, held / unit)
    )


def _beside_boltzmann(turned: Array, behind: Array) -> Array:
    """What is left of G − ln P + 2 ln X for X > 20, odd at first in the slope c'.

    `turned` is X^{−3/2}, `behind` 2/(X √P), both with the sign of the slope.
    """
    a, b = _FAR_ABOVE
    layer = behind * (1 + _MEETS * turned)
    return a * turned + b * turned**2 + 2 * jnp.arcsinh(layer)


def field_at_metal(depletion: Array, crowd: Array) -> Array:
    """E at the metal [-], of which F Eℓ/(RT) is made.

    √(P + 2|X|) past depletion, √P − X/√P of a double layer in a neutral solution: there
    it turns with the sign of ln(p/c_s).
    """
    m = _emptied(depletion)
    left = jnp.maximum(depletion, 0.0) + jnp.where(depletion > 0, m, m + depletion)
    return jnp.sqrt(crowd + 2 * m) - left / jnp.sqrt(crowd)


def _emptied(X: Array) -> Array:
    """m: |X| of the layer without anions, 2/X² where nothing is depleted."""
    below = jnp.minimum(X, 0.0)
    past = (jnp.sqrt(below**2 + 4 * _HALF**2) - below) / 2
    return jnp.where(X > 0, _before(jnp.maximum(X, 0.0)), past)


def _before(X: Any) -> Any:
    """m for X ≥ 0."""
    a, c, d = _NEUTRAL
    b = a + 1 / (2 * _HALF)
    return _HALF * (1 + a * X) / (1 + X * (b + X * (c + X * d)))


def _frame(X: Array) -> Array:
    """The shape of G, with the right powers and logarithms on both sides."""
    root = jnp.sqrt(X * X + 4)
    low, high = (root - X) / 2, (root + X) / 2
    return _STEEP * low**1.5 - jnp.log1p(low * low) / 4 - jnp.log1p(high * high)


@functools.cache
def _pieces() -> tuple[np.ndarray, float, float]:
    places = np.linspace(-np.arcsinh(_END), np.arcsinh(_END), len(_TABLE))
    pieces = CubicSpline(places, _TABLE).c
    return pieces[::-1], float(places[0]), float(places[1] - places[0])


def _spline(x: Array) -> Array:
    pieces, first, step = _pieces()
    count = pieces.shape[1]
    index = jnp.clip(jnp.floor((x - first) / step), 0, count - 1).astype(jnp.int32)
    along = x - (first + step * index.astype(x.dtype))
    total = jnp.zeros_like(x)
    for coefficients in pieces[::-1]:
        total = total * along + jnp.asarray(coefficients, x.dtype)[index]
    return total


# So that both sides of X = 20 meet: √(2m) is (2/X) (1 + _MEETS X^{−3/2}) beyond it.
_MEETS = float((np.sqrt(2 * _before(_END)) * _END / 2 - 1) * _END**1.5)
