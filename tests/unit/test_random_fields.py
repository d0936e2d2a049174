"""Gaussian random fields: correlation, Rice's area, keys, percolation, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import label
from scipy.stats import norm

from depojax.scaffold.gradients import Graded
from depojax.scaffold.random_fields import _field, gaussian_random_field
from depojax.units import um

CUBE = (40, 40, 40)
BOX = {"shape": CUBE, "voxel_size": 0.5 * um, "correlation_length": 2.5 * um, "key": 5}


def samples(lengths, shape, count):
    keys = jax.random.split(jax.random.key(0), count)
    fields = jax.vmap(lambda key: _field(jnp.asarray(lengths), key, shape))(keys)
    return np.asarray(fields)[:, :-1, :-1, :-1]


def test_variance_and_correlation_are_the_closed_form():
    lengths = (3.0, 4.0, 6.0)
    fields = samples(lengths, (36, 36, 48), 40)
    assert np.mean(fields) == pytest.approx(0, abs=0.03)
    assert np.mean(fields**2) == pytest.approx(1, abs=0.03)
    for axis, length in enumerate(lengths):
        for lag in (1, 3, 6, 12):
            product = np.mean(fields * np.roll(fields, lag, axis=axis + 1))
            assert product == pytest.approx(np.exp(-((lag / length) ** 2)), abs=0.04)


def test_ends_of_the_sample_are_one():
    field = _field(jnp.full(3, 4.0), jax.random.key(1), (12, 16, 20))
    for axis in range(3):
        np.testing.assert_array_equal(
            jnp.take(field, 0, axis), jnp.take(field, -1, axis)
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    "porosity",
    [
        pytest.param(0.3, marks=pytest.mark.slow),
        0.5,
        pytest.param(0.7, marks=pytest.mark.slow),
    ],
)
def test_area_is_that_of_rice(porosity):
    keys, areas = range(6), []
    for key in keys:
        arguments = {**BOX, "key": key, "porosity": porosity, "periodic": (True,) * 3}
        areas.append(float(gaussian_random_field(**arguments).specific_area))
    level = norm.ppf(1 - porosity)
    expected = 2 / np.pi * 2**0.5 / BOX["correlation_length"] * np.exp(-(level**2) / 2)
    assert np.mean(areas) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("porosity", [0.5, 0.7])
def test_porosity_is_exact_and_both_phases_percolate(porosity):
    scaffold = gaussian_random_field(**BOX, porosity=porosity)
    total = float(scaffold.porosity + scaffold.closed_pore_fraction)
    assert total == pytest.approx(porosity, abs=1e-8)
    assert float(scaffold.closed_pore_fraction) < 0.01
    for phase in (scaffold.pore_fraction > 0.5, scaffold.pore_fraction < 0.5):
        patches, _ = label(np.asarray(phase))
        through = set(np.unique(patches[..., 0])) & set(np.unique(patches[..., -1]))
        assert through - {0}


def test_graded_porosity():
    scaffold = gaussian_random_field(**BOX, porosity=Graded([0.4, 0.8]))
    total = float(scaffold.porosity + scaffold.closed_pore_fraction)
    assert total == pytest.approx(0.6, abs=1e-8)
    profile = scaffold.pore_fraction.mean((0, 1))
    assert float(profile[:20].mean()) == pytest.approx(0.5, abs=0.08)
    assert float(profile[20:].mean()) == pytest.approx(0.7, abs=0.08)


def test_same_sample_at_another_resolution():
    key = jax.random.key(3)
    coarse = _field(jnp.full(3, 5.0), key, (20, 20, 24))
    fine = _field(jnp.full(3, 10.0), key, (40, 40, 48))
    np.testing.assert_allclose(fine[::2, ::2, ::2], coarse, atol=1e-4)


def test_key_decides_the_sample():
    first = gaussian_random_field(**BOX, porosity=0.6).pore_fraction
    again = gaussian_random_field(**{**BOX, "key": jax.random.key(5)}, porosity=0.6)
    other = gaussian_random_field(**{**BOX, "key": 6}, porosity=0.6)
    np.testing.assert_array_equal(first, again.pore_fraction)
    assert jnp.max(jnp.abs(first - other.pore_fraction)) > 0.5


@pytest.mark.slow
def test_gradients():
    def area(parameters):
        lower, upper, length = parameters
        porosity = Graded(jnp.stack([lower, upper]))
        scaffold = gaussian_random_field(
            (16, 16, 20), 1 * um, porosity=porosity, correlation_length=length, key=2
        )
        return scaffold.specific_area * 1e-6

    at = jnp.asarray([0.52, 0.68, 4.3 * um])
    reverse = jax.jit(jax.grad(area))(at)
    forward = jax.jit(lambda v: jax.jvp(area, (at,), (v,))[1])
    value = jax.jit(area)
    for n, step in enumerate((1e-6, 1e-6, 1e-12)):
        direction = jnp.zeros(3).at[n].set(1.0)
        central = (value(at + step * direction) - value(at - step * direction)) / (
            2 * step
        )
        assert float(forward(direction)) == pytest.approx(float(reverse[n]), rel=1e-8)
        assert float(central) == pytest.approx(float(reverse[n]), rel=1e-4)
    assert reverse[2] < 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"porosity": 60}, "Give a fraction, not percent"),
        ({"porosity": 0.1}, r"porosity: expected within \[0.2, 0.8\].*islands"),
        ({"correlation_length": 2}, "correlation_length: .* write it with its unit"),
        ({"correlation_length": 0.2 * um}, r"got 0.4 voxels.*smaller voxel_size"),
        ({"correlation_length": 15 * um}, "a larger sample"),
        ({"correlation_length": (2 * um, 3 * um)}, "one number or one per axis"),
        ({"key": "five"}, "key: expected a whole number"),
        ({"voxel_size": 2}, "write it with its unit, as 2"),
    ],
)  # fmt: skip
def test_refusals(change, message):
    arguments = {**BOX, "porosity": 0.6, **change}
    with pytest.raises(ValueError, match=message):
        gaussian_random_field(**arguments)
