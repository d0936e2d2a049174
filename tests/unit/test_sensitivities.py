"""Sensitivities and uncertainty against closed forms."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj


def electrolyte():
    return dj.electrolytes.lipf6_ec_emc(1000.0)


def outputs(arguments):
    salt, J = arguments
    time = dj.planar_sand_time(salt, J)
    return {"time": time, "capacity": J * time}


def test_sand_s_equation_in_logarithms():
    """τ = πD (zFc₀/(2J(1−t₊)))²: exponents 1, 2, −2, and 2t₊/(1−t₊) of t₊."""
    salt = electrolyte()
    told = dj.sensitivities(outputs, (salt, jnp.asarray(100.0)))
    t = float(salt.transference_number)
    expected = {
        "0.diffusivity": 1.0,
        "0.concentration": 2.0,
        "0.transference_number": 2 * t / (1 - t),
        "1": -2.0,
    }
    for name, value in expected.items():
        assert float(told.of("time", name)) == pytest.approx(value, rel=1e-12), name
    assert float(told.of("capacity", "1")) == pytest.approx(-1.0, rel=1e-12)
    shown = str(told)
    assert "0.concentration" in shown
    assert shown.index("time =") < shown.index("capacity =")
    assert float(told.results[0]) == float(dj.planar_sand_time(salt, 100.0))


def test_a_field_counts_as_a_whole():
    tree = {"a": jnp.asarray([1.0, 3.0]), "b": jnp.asarray(2.0)}

    def function(tree):
        return jnp.sum(tree["a"] ** 2) * tree["b"]

    assert dj.sensitivities(function, tree).inputs == ("b",)
    told = dj.sensitivities(function, tree, fields=True)
    assert float(told.of("output", "a")) == pytest.approx(2.0)
    np.testing.assert_allclose(told.gradient[0], [2 * (1 + 3) * 2, 10.0])
    np.testing.assert_allclose(told.values, [2.0, 2.0])


def test_uncertainty_of_products_and_sums():
    """Relative variances of a product of powers add up; correlation joins them."""
    tree = {"x": jnp.asarray(3.0), "y": jnp.asarray(5.0)}
    sigma = {"x": 0.03, "y": 0.1}

    def function(tree):
        return {"f": tree["x"] ** 2 / tree["y"], "sum": tree["x"] + tree["y"]}

    told = dj.propagate_uncertainty(function, tree, sigma)
    relative = np.hypot(2 * 0.01, 0.02)
    np.testing.assert_allclose(told.standard_deviations[0], 1.8 * relative, rtol=1e-12)
    np.testing.assert_allclose(
        told.standard_deviations[1], np.hypot(0.03, 0.1), rtol=1e-12
    )
    np.testing.assert_allclose(told.contributions[0], [1.8 * 0.02] * 2, rtol=1e-12)
    one = dj.propagate_uncertainty(
        function, tree, sigma, correlation=[[1.0, 1.0], [1.0, 1.0]]
    )
    np.testing.assert_allclose(one.standard_deviations[0], 0.0, atol=1e-9)
    np.testing.assert_allclose(one.standard_deviations[1], 0.13, rtol=1e-12)
    assert "± 0.051" in str(told)


def test_uncertainty_is_that_of_many_draws():
    salt = electrolyte()
    names = {"0.diffusivity": 0.02, "0.concentration": 0.01, "1": 0.015}
    values = {"0.diffusivity": float(salt.diffusivity), "0.concentration": 1000.0}
    values["1"] = 100.0
    told = dj.propagate_uncertainty(
        outputs,
        (salt, jnp.asarray(100.0)),
        {name: share * values[name] for name, share in names.items()},
    )
    expected = np.sqrt(0.02**2 + (2 * 0.01) ** 2 + (2 * 0.015) ** 2)
    share = float(told.standard_deviations[0] / told.results[0])
    assert share == pytest.approx(expected, rel=1e-10)
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(3, 20000)) * np.asarray([[0.02], [0.01], [0.015]])
    times = (1 + draws[0]) * (1 + draws[1]) ** 2 / (1 + draws[2]) ** 2
    assert share == pytest.approx(times.std(), rel=0.03)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda t: dj.sensitivities(outputs, t, names=["0.difusivity"]),
            "Did you mean '0.diffusivity'",
        ),
        (
            lambda t: dj.sensitivities(lambda a: jnp.ones(2), t),
            "expected one number",
        ),
        (
            lambda t: dj.propagate_uncertainty(outputs, t, {"1": -1.0}),
            "standard_deviations",
        ),
        (
            lambda t: dj.propagate_uncertainty(
                outputs, t, {"1": 1.0, "0.diffusivity": 1e-12},
                correlation=[[1.0, 2.0], [2.0, 1.0]],
            ),
            "correlation: expected a symmetric positive matrix",
        ),
    ],
)  # fmt: skip
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call((electrolyte(), jnp.asarray(100.0)))


def test_tables_are_saved_and_loaded(tmp_path):
    arguments = (electrolyte(), jnp.asarray(100.0))
    told = dj.sensitivities(outputs, arguments)
    unsure = dj.propagate_uncertainty(outputs, arguments, {"1": 2.0})
    for index, table in enumerate((told, unsure)):
        path = tmp_path / f"{index}.nc"
        dj.save(table, path)
        assert eqx.tree_equal(dj.load(path), table)
    dataset = told.to_xarray()
    power = float(dataset["logarithmic"].sel(output="time", number="1"))
    assert power == pytest.approx(-2.0)
    assert list(unsure.to_xarray()["result"]["output"].values) == ["time", "capacity"]
