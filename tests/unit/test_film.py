"""Films: area resistance, and how it grows."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.physics.film import SEI_CONDUCTIVITIES
from depojax.units import FARADAY, nm


def test_resistance_of_patches():
    kappa = jnp.asarray(
        [SEI_CONDUCTIVITIES[f"lithium {a}"] for a in ("sulphide", "fluoride")]
    )
    film = dj.Film(20 * nm, kappa)
    np.testing.assert_allclose(film.resistance, [2e-5, 0.2], rtol=1e-14)
    assert dj.Film(0.0, 1e-6).resistance == 0


def test_growth_with_charge_is_faradays():
    volume = 35e-6 / (2 * FARADAY)  # Li2CO3, two electrons
    film = dj.Film(10 * nm, 1e-6, volume_per_charge=volume)
    assert film.grows
    assert not dj.Film(10 * nm, 1e-6).grows
    spread = film.thickness_after(0.0, jnp.asarray([100.0, -100.0]))
    np.testing.assert_allclose(spread, 1e-8 + 100 * volume, rtol=1e-14)


def test_growth_with_time_is_parabolic():
    bare = dj.Film(0.0, 1e-6, parabolic_rate=1e-22)
    found = bare.thickness_after(jnp.asarray([1.0, 4.0]), 0.0)
    np.testing.assert_allclose(found, [1e-11, 2e-11], rtol=1e-12)
    # In two steps as in one.
    half = dj.Film(bare.thickness_after(4.0, 0.0), 1e-6, parabolic_rate=1e-22)
    once, twice = bare.thickness_after(9.0, 0.0), half.thickness_after(5.0, 0.0)
    np.testing.assert_allclose(once, twice, rtol=1e-12)


def test_slopes():
    film = dj.Film(10 * nm, 1e-6, parabolic_rate=1e-20)
    slope = jax.grad(lambda film: film.resistance_after(100.0, 0.0))(film)
    h = film.thickness_after(100.0, 0.0)
    np.testing.assert_allclose(slope.thickness, 1e-8 / h / 1e-6, rtol=1e-12)
    np.testing.assert_allclose(slope.ionic_conductivity, -h / 1e-12, rtol=1e-12)
    bare = jax.grad(lambda film: film.resistance_after(0.0, 0.0))
    no_film = dj.Film(0.0, 1e-6, parabolic_rate=1e-20)
    assert all(np.isfinite(a) for a in jax.tree.leaves(bare(no_film)))


def test_film_is_a_value():
    film = dj.Film(jnp.asarray([1e-8, 2e-8]), 1e-6)
    assert eqx.tree_equal(film, jax.tree.map(lambda a: a, film))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((20.0, 1e-6), r"thickness: .*20 \* nm"),
        ((-1e-9, 1e-6), "thickness: expected within"),
        ((1e-8, 0.0), "ionic_conductivity: expected a positive number"),
        (([1e-8, 2e-8], [1e-6] * 3), r"a shape that goes with \(2,\), got \(3,\)"),
    ],
)
def test_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        dj.Film(*arguments)
