"""Design variables and fields: bounds, round trips, derivatives, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import BSpline

import depojax as dj
from depojax.design.variables import free_leaves, split, values_of

VARIABLES = {
    "unbounded": dj.Unbounded(jnp.asarray([-2.0, 3.0])),
    "positive": dj.Positive(jnp.asarray([1e-9, 2.0, 1e6])),
    "bounded": dj.Bounded(jnp.asarray([0.01, 0.5, 0.99]), 0.0, 1.0),
    "bounded by one for each": dj.Bounded(
        jnp.asarray([1.0, 20.0]), jnp.asarray([0.0, 10.0]), jnp.asarray([2.0, 30.0])
    ),
    "over decades": dj.Bounded(jnp.asarray([1e-3, 10.0]), 1e-6, 1e3, scale="log"),
    "rising": dj.Monotone(jnp.asarray([0.1, 0.2, 0.7]), 0.0, 1.0),
    "falling": dj.Monotone(jnp.asarray([4.0, 3.0, 1.0]), 0.0, 5.0, falling=True),
    "balanced": dj.Balanced(jnp.asarray([0.2, 0.9, 0.4]), 0.1, 0.95),
}


@pytest.mark.parametrize("name", VARIABLES)
def test_a_value_comes_back(name):
    variable = VARIABLES[name]
    again = variable.with_value(variable.value)
    np.testing.assert_allclose(again.value, variable.value, rtol=1e-12)
    np.testing.assert_allclose(again.free, variable.free, rtol=1e-10, atol=1e-12)
    assert variable.shape == variable.value.shape


@pytest.mark.parametrize("name", VARIABLES)
def test_values_stay_within_their_bounds_wherever_the_free_numbers_go(name):
    variable = VARIABLES[name]
    for seed, size in ((0, 1.0), (1, 10.0), (2, 30.0)):
        noise = size * jax.random.normal(jax.random.key(seed), variable.shape)
        moved = eqx.tree_at(lambda v: v.free, variable, noise).value
        assert bool(jnp.all(jnp.isfinite(moved)))
        if hasattr(variable, "low"):
            assert bool(jnp.all((moved >= variable.low) & (moved <= variable.high)))
        if name == "positive":
            assert bool(jnp.all(moved > 0))
        if name in ("rising", "falling"):
            rise = jnp.diff(moved) if name == "rising" else -jnp.diff(moved)
            assert bool(jnp.all(rise >= 0))
        if name == "balanced":
            np.testing.assert_allclose(jnp.mean(moved), variable.mean, rtol=1e-13)


@pytest.mark.parametrize("name", VARIABLES)
def test_derivatives_of_values(name):
    variable = VARIABLES[name]

    def value(free):
        return eqx.tree_at(lambda v: v.free, variable, free).value

    forward = jax.jacfwd(value)(variable.free)
    np.testing.assert_allclose(jax.jacrev(value)(variable.free), forward, rtol=1e-10)
    for k in range(variable.free.size):
        step = jnp.zeros_like(variable.free).at[k].set(1e-5)
        central = (value(variable.free + step) - value(variable.free - step)) / 2e-5
        np.testing.assert_allclose(forward[:, k], central, rtol=1e-6, atol=1e-12)


def test_a_mean_is_held_with_weights_and_in_units_of_its_own():
    weights = jnp.asarray([0.5, 1.0, 1.0, 0.5])
    variable = dj.Balanced(jnp.full(4, 0.5), 0.1, 0.95, mean=0.8, weights=weights)
    moved = eqx.tree_at(lambda v: v.free, variable, jnp.asarray([3.0, -9.0, 0.0, 1.0]))
    mean = jnp.sum(weights * moved.value) / jnp.sum(weights)
    np.testing.assert_allclose(mean, 0.8, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dj.Bounded(1.0, 0.0, 1.0), "value: expected strictly between"),
        (lambda: dj.Bounded(0.5, 1.0, 0.0), "high: expected more than low"),
        (lambda: dj.Bounded(0.5, 0.0, 1.0, scale="log"), "low: expected within"),
        (lambda: dj.Bounded(0.5, 0.0, 1.0, scale="logarithm"), "Did you mean 'log'"),
        (lambda: dj.Positive(0.0), "value: expected within"),
        (lambda: dj.Unbounded(jnp.nan), "value: expected finite"),
        (lambda: dj.Monotone(jnp.full(3, 0.5), 0.0, 1.0), "Monotone.ramp"),
        (lambda: dj.Balanced(jnp.full(3, 0.5), 0.0, 1.0, mean=1.5), "mean: expected"),
        (lambda: dj.Profile(jnp.ones(3), "spline"), "at least 4 numbers along z"),
        (lambda: dj.Profile(jnp.ones(3), "splines"), "Did you mean 'spline'"),
        (lambda: dj.VolumeField(jnp.ones((4, 4))), "along each of x, y, z"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_start_that_is_not_monotone_is_refused():
    with pytest.raises(ValueError, match="rises from each value to the next"):
        dj.Monotone(jnp.asarray([0.5, 0.4]), 0.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "degree"), [("cells", 0), ("linear", 1), ("spline", 3)]
)
def test_profiles_are_the_b_splines_of_scipy(kind, degree):
    values = np.asarray([0.2, 0.9, 0.4, 0.7, 0.1, 0.3])
    inner = np.linspace(0, 1, values.size - degree + 1)
    knots = np.concatenate([np.zeros(degree), inner, np.ones(degree)])
    at = np.linspace(0, 1, 41)[:-1] + 1e-9
    expected = BSpline(knots, values, degree)(at)
    profile = dj.Profile(values, kind)
    np.testing.assert_allclose(
        profile.on_heights(jnp.asarray(at)), expected, atol=1e-12
    )
    last = float(profile.on_heights(jnp.asarray([1.0]))[0])
    assert last == pytest.approx(values[-1])
    total = profile.basis(jnp.linspace(0, 1, 33)).sum(-1)
    np.testing.assert_allclose(total, 1.0, rtol=1e-14)


def test_a_field_in_space_is_the_product_of_its_axes():
    x, y, z = (np.linspace(0, 1, n) for n in (4, 5, 6))
    values = x[:, None, None] + 10 * y[:, None] * z
    field = dj.VolumeField(dj.Unbounded(values), "linear")
    at = [jnp.linspace(0, 1, n) for n in (3, 7, 5)]
    mesh = at[0][:, None, None], at[1][None, :, None], at[2][None, None, :]
    expected = mesh[0] + 10 * mesh[1] * mesh[2]  # multilinear: met exactly
    np.testing.assert_allclose(field.at(*mesh), expected, atol=1e-12)


def test_free_are_the_variables_or_else_all_floats():
    tree = {"a": dj.Bounded(0.5, 0.0, 1.0), "b": jnp.ones(3), "c": 7, "d": "word"}
    free = free_leaves(tree)
    assert free["a"].free
    assert [free["a"].low, free["b"], free["c"]] == [False] * 3
    assert free_leaves({"b": jnp.ones(3), "c": 7}) == {"b": True, "c": False}
    assert float(values_of(tree)["a"]) == 0.5
    part, whole = split(tree)
    assert len(jax.tree.leaves(part)) == 1
    assert whole(part)["c"] == 7
    with pytest.raises(ValueError, match="nothing that is free"):
        split({"c": 7})
