"""The Bernoulli function against forty digits of mpmath's kind: its own identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.fv.scharfetter_gummel import bernoulli, bernoulli_slope

X = np.concatenate([-np.logspace(-9, 3, 80), [0.0], np.logspace(-9, 3, 80)])


def exact(x):
    """B and B' in extended precision, from series or exponentials, whichever holds."""
    x = np.longdouble(x)
    if abs(x) < 1e-3:
        return 1 - x / 2 + x**2 / 12 - x**4 / 720, -0.5 + x / 6 - x**3 / 180
    growth = np.expm1(x) if x < 11000 else np.inf
    value = x / growth
    return value, value * (1 / x + 1 / np.expm1(-x))


def test_value_and_slope_are_exact_everywhere():
    known = np.array([exact(x) for x in X])
    x = jnp.asarray(X)
    np.testing.assert_allclose(
        bernoulli(x), known[:, 0].astype(float), rtol=5e-15, atol=1e-300
    )
    np.testing.assert_allclose(
        bernoulli_slope(x), known[:, 1].astype(float), rtol=5e-13, atol=1e-300
    )


def test_derivatives_are_those_of_the_slope():
    x = jnp.asarray(X)
    value, slope = jax.jvp(bernoulli, (x,), (jnp.ones_like(x),))
    np.testing.assert_array_equal(slope, bernoulli_slope(x))
    np.testing.assert_array_equal(value, bernoulli(x))
    back = jax.vjp(bernoulli, x)[1](jnp.ones_like(x))[0]
    np.testing.assert_array_equal(back, slope)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_nothing_overflows_and_precision_is_kept(dtype):
    x = jnp.asarray([-1e4, -100.0, -1e-6, 0.0, 1e-6, 100.0, 1e4], dtype)
    for function in (bernoulli, bernoulli_slope):
        values = function(x)
        assert values.dtype == dtype
        assert np.all(np.isfinite(values))
    np.testing.assert_allclose(bernoulli(-x) - bernoulli(x), x, rtol=1e-6, atol=1e-6)
