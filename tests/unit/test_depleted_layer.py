"""The closed form of the depleted layer against the equation that it tabulates.

Reference voltages of the whole problem: r04b (steady profiles at given currents, by
collocation).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_bvp

from depojax.fv.logarithmic_mean import drift_flux, logarithmic_mean
from depojax.physics.depleted_layer import (
    drop_before_metal,
    field_at_metal,
    potential_across,
)

# ε, j, V of the Rubinstein–Shtilman problem with c₊ = 1 at the wall.
STEADY = [
    (1e-2, 1.0, 1.3701011249),
    (1e-2, 2.0, 5.7551425627),
    (1e-2, 2.2, 8.6750982652),
    (1e-3, 1.0, 1.3846413670),
    (1e-3, 2.0, 8.5940000233),
    (1e-3, 2.2, 35.3499919006),
    (1e-4, 1.0, 1.3861287144),
    (1e-4, 2.0, 11.5591426045),
    (1e-4, 2.2, 281.5840800068),
]


def solved(X, P):
    """G and E at the metal from Painlevé's equation itself."""
    end = max(30.0, X + 30.0)
    thin = 2 / np.sqrt(P + 2 * max(-X, 0))

    def slopes(x, y):
        return np.array([y[1], x * y[0] + y[0] ** 3 / 2 - 1, y[0]])

    def ends(a, b):
        far = 1 / end + 1.5 / end**4
        return np.array([X + a[0] ** 2 / 2 - a[1] - P, b[0] - far, a[2]])

    near = X + 1e-2 * thin * np.expm1(
        np.linspace(0, np.log1p((end - X) / (1e-2 * thin)), 400)
    )
    x = np.unique(np.append(np.clip(near, X, end), np.linspace(X, end, 400)))
    x = x[np.append(True, np.diff(x) > 1e-7)]
    plain = np.sqrt(np.maximum(-2 * x, 0)) * (x < -1)
    plain = plain + np.where(x > 1, 1 / np.maximum(x, 1), np.where(x < -1, 0.0, 1.0))
    decay = 0.5 / max(plain[0], 1.0)
    E = plain + 2 / (x - X + thin) * np.exp(-(x - X) / decay)
    grown = np.append(0.0, np.cumsum(np.diff(x) * (E[1:] + E[:-1]) / 2))
    found = solve_bvp(
        slopes, ends, x, [E, np.gradient(E, x), grown], tol=1e-8, max_nodes=200_000
    )
    assert found.success
    return found.y[2, -1] - np.log(end) + 0.5 / end**3, found.y[0, 0]


@pytest.mark.parametrize("X", [-15.0, -4.0, -1.0, 0.0, 1.5, 6.0])
def test_it_is_the_solution_of_the_equation(X):
    G, E = solved(X, 1e4)
    at = jnp.asarray(X), jnp.asarray(1e4)
    assert float(potential_across(*at)) == pytest.approx(G, abs=0.01)
    assert float(field_at_metal(*at)) == pytest.approx(E, rel=0.02)


@pytest.mark.parametrize(("X", "P"), [(4.0, 20.0), (8.0, 50.0), (15.0, 200.0)])
def test_a_double_layer_that_is_not_steep(X, P):
    G, E = solved(X, P)
    at = jnp.asarray(X), jnp.asarray(P)
    assert float(potential_across(*at)) == pytest.approx(G, abs=3e-3)
    assert float(field_at_metal(*at)) == pytest.approx(E, rel=0.01)


@pytest.mark.parametrize("c", [0.1, 2.0])
def test_the_drop_is_smooth_where_salt_stops_to_fall(c):
    """A fall d over 25 to the metal, λ = 1: from rising salt to a depleted layer."""

    def drop(d):
        return drop_before_metal(
            jnp.asarray(c), c - d, jnp.asarray(1.0), d / 25, jnp.asarray(1.0)
        )

    d = c * jnp.asarray([-0.5, -1e-3, -1e-9, 0.0, 1e-9, 1e-3, 0.5, 1.0, 1.5])
    slope = jax.vmap(jax.grad(drop))(d)
    assert np.all(np.isfinite(slope))
    assert np.all(slope > 0)
    np.testing.assert_allclose(slope[2:5], slope[3], rtol=1e-7)
    h = 1e-4 * c
    np.testing.assert_allclose(slope[3], (drop(h) - drop(-h)) / (2 * h), rtol=1e-6)
    assert float(drop(0.0)) == pytest.approx(-np.log(c), abs=1e-12)


@pytest.mark.parametrize(("eps", "j", "V"), STEADY)
def test_voltage_below_at_and_beyond_the_limiting_current(eps, j, V):
    length = (2 * eps**2 / j) ** (1 / 3)
    G = potential_across(
        jnp.asarray((2 - j) / j / length), jnp.asarray(2 / (j * length))
    )
    assert np.log(2 / (j * length)) + float(G) == pytest.approx(V, abs=3 * eps**0.75)


def test_a_neutral_solution_follows_boltzmann():
    """And the pieces of the table meet."""
    X = jnp.asarray([200.0, 1e4, 1e8])
    G = potential_across(X, jnp.full_like(X, 1e9))
    np.testing.assert_allclose(G, np.log(1e9) - 2 * np.log(X), atol=2e-3)
    for edge in (-20.0, 20.0):
        beside = jnp.asarray([edge - 1e-9, edge + 1e-9])
        below, above = potential_across(beside, jnp.full_like(beside, 100.0))
        assert float(above - below) == pytest.approx(0, abs=1e-3)


def test_it_falls_steadily_and_has_finite_slopes():
    X = jnp.sinh(jnp.linspace(-6.0, 18.0, 400))
    P = jnp.full_like(X, 50.0)
    slope = jax.vmap(jax.grad(potential_across))(X, P)
    assert np.all(np.isfinite(slope))
    assert np.all(slope < 0)


def test_logarithmic_mean():
    a = jnp.asarray([1.0, 1.0, 2.0, 1e-8, 3.0, 1.0])
    b = jnp.asarray([1.0, 1.0 + 1e-7, 5.0, 1.0, 1e-10, 40.0])
    exact = [
        x if abs(y / x - 1) < 1e-5 else (y - x) / np.log(y / x)
        for x, y in np.stack([a, b], 1)
    ]
    np.testing.assert_allclose(logarithmic_mean(a, b), exact, rtol=1e-7)
    h = 1e-6
    for k in (0, 1):
        way = [jnp.zeros_like(a), jnp.zeros_like(b)]
        way[k] = (a, b)[k]
        slope = jax.jvp(logarithmic_mean, (a, b), tuple(way))[1]
        up = logarithmic_mean(a + h * way[0], b + h * way[1])
        low = logarithmic_mean(a - h * way[0], b - h * way[1])
        np.testing.assert_allclose(slope, (up - low) / (2 * h), rtol=1e-6)


def test_salt_of_a_neutral_solution_diffuses_exactly():
    """Anions at rest: Φ is ln c, and twice the difference passes of the cations."""
    here, there = jnp.asarray([1.0, 1e-6, 3.0]), jnp.asarray([0.2, 1.0, 3.0])
    rise = jnp.log(there / here)
    np.testing.assert_allclose(drift_flux(here, there, -rise), 0.0, atol=1e-15)
    np.testing.assert_allclose(drift_flux(here, there, rise), 2 * (here - there))
