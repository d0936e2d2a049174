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
the equation, P → ∞; the finite double layer is told by the field behind it. Within
0.05 of the equations that it stands for, as P > 20.
"""

import functools

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
_WIDTH = 0.81  # of the change from one to the other, as it acts on the double layer


def potential_across(depletion: Array, crowd: Array) -> Array:
    """G(X, P) [-], for X of any sign and P > 0; any shapes that go together."""
    X = depletion
    inside = jnp.clip(X, -_END, _END)
    middle = _frame(inside) + _spline(jnp.arcsinh(inside))
    below = jnp.maximum(-X, 1.0)
    a, b = _FAR_BELOW
    low = _STEEP * below**1.5 - jnp.log(below) / 2 + a + b * below**-1.5
    above = jnp.maximum(X, 1.0)
    a, b = _FAR_ABOVE
    high = -2 * jnp.log(above) + a * above**-1.5 + b * above**-3
    G = jnp.where(X < -_END, low, jnp.where(X > _END, high, middle))
    m = _emptied(X)
    return G + 2 * jnp.log(jnp.sqrt(crowd + 2 * m) + jnp.sqrt(2 * m))


def field_at_metal(depletion: Array, crowd: Array) -> Array:
    """E at the metal [-], of which F Eℓ/(RT) is made: √(P + 2|X|) past depletion."""
    return jnp.sqrt(crowd + 2 * _emptied(depletion))


def _emptied(X: Array) -> Array:
    """|X| of the layer without anions, none before depletion."""
    root = jnp.sqrt(X * X + _WIDTH) + jnp.abs(X)
    return jnp.where(X > 0, _WIDTH / root, root) / 2


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
