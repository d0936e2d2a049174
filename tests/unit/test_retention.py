"""Cycle life from Coulombic efficiency (case r22), and stress of curved metal."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.physics.stress import breaks_film


@pytest.mark.parametrize(
    ("retention", "cycles", "excess", "efficiency"),
    [
        (0.8, 1000, 3.0, 0.9977771045530645),
        (0.8, 1000, 1.0, 0.9997768813433539),
        (0.8, 500, 2.5, 0.9965544821844513),
    ],
)
def test_efficiency_that_a_life_needs(retention, cycles, excess, efficiency):
    found = dj.efficiency_for(cycles, retention=retention, excess=excess)
    np.testing.assert_allclose(found, efficiency, rtol=1e-11)
    life = dj.cycle_life(found, retention=retention, excess=excess)
    np.testing.assert_allclose(life, cycles, rtol=1e-10)
    left = dj.retention_after(cycles, found, excess=excess)
    np.testing.assert_allclose(left, retention, rtol=1e-9)


def march(efficiency, cycles, excess):
    """Cycle by cycle: what is cycled is the least of capacity and metal."""
    metal = excess
    for _ in range(cycles):
        metal -= (1 - efficiency) * min(1.0, metal)
    return min(1.0, metal)


@pytest.mark.parametrize("excess", [1.0, 1.7, 3.0])
def test_retention_by_cycles_one_by_one(excess):
    for cycles in (10, 150, 400):
        found = dj.retention_after(cycles, 0.99, excess=excess)
        np.testing.assert_allclose(found, march(0.99, cycles, excess), rtol=5e-3)


def test_more_metal_needs_less_efficiency():
    found = dj.efficiency_for(300, excess=jnp.asarray([1.0, 1.5, 2.0, 4.0]))
    assert np.all(np.diff(found) < 0)


def test_efficiency_far_from_one():
    """Few cycles with much metal: a third of it may be lost in each."""
    found = dj.efficiency_for(3.2, retention=0.5, excess=3.0)
    np.testing.assert_allclose(
        dj.cycle_life(found, retention=0.5, excess=3.0), 3.2, rtol=1e-9
    )
    assert found < 0.7


@pytest.mark.parametrize("which", [0, 1, 2])
def test_slopes(which):
    point = [500.0, 0.8, 2.0]

    def function(value):
        n, R, f = (value if k == which else x for k, x in enumerate(point))
        return dj.efficiency_for(n, retention=R, excess=f)

    x, h = point[which], 1e-4 * point[which]
    forward, reverse = jax.jacfwd(function)(x), jax.grad(function)(x)
    np.testing.assert_allclose(forward, reverse, rtol=1e-12)
    np.testing.assert_allclose(
        forward, (function(x + h) - function(x - h)) / (2 * h), rtol=1e-5
    )


def test_refusals_of_cycles():
    with pytest.raises(ValueError, match="not percent"):
        dj.cycle_life(0.99, retention=80)
    with pytest.raises(ValueError, match="coulombic_efficiency: expected within"):
        dj.cycle_life(99.0)
    with pytest.raises(ValueError, match="excess: expected within.*1 is metal for one"):
        dj.cycle_life(0.99, excess=0.5)
    with pytest.raises(ValueError, match="cycles: expected more than excess − 1"):
        dj.efficiency_for(2.0, excess=3.0)
    with pytest.raises(ValueError, match="retention: expected less than 1"):
        dj.efficiency_for(100.0, retention=1.0)


def test_stress_of_spheres_and_cylinders():
    R = jnp.asarray([0.1e-6, 2e-6, math.inf])
    np.testing.assert_allclose(dj.curvature_stress(0.5, R), [1e7, 5e5, 0], rtol=1e-14)
    np.testing.assert_allclose(
        dj.curvature_stress(0.5, R, math.inf), [5e6, 2.5e5, 0], rtol=1e-14
    )
    np.testing.assert_allclose(dj.curvature_stress(0.5, 1e-6, 3e-6), 2 / 3 * 1e6)
    np.testing.assert_allclose(dj.curvature_stress(0.5, curvature=-4e6), -2e6)
    stress = dj.curvature_stress(0.5, R)
    np.testing.assert_array_equal(breaks_film(stress, 1e6), [True, False, False])
    slope = jax.grad(lambda R: dj.curvature_stress(0.5, R))(1e-6)
    np.testing.assert_allclose(slope, -1e12, rtol=1e-12)
    assert jax.grad(lambda R: dj.curvature_stress(0.5, R))(math.inf) == 0


def test_refusals_of_stress():
    with pytest.raises(ValueError, match="radius: expected either it or curvature"):
        dj.curvature_stress(0.5)
    with pytest.raises(ValueError, match="radius: expected within"):
        dj.curvature_stress(0.5, 0.0)
    with pytest.raises(ValueError, match="surface_energy: .*J m⁻²"):
        dj.curvature_stress(500.0, 1e-6)
    with pytest.raises(ValueError, match="film_strength: expected within"):
        breaks_film(1.0, 0.0)
