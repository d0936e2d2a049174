"""Salt that comes late has spread: none is lost, and it spreads as diffusion does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.problems.cell_assembly import cell_model
from depojax.problems.late_salt import spread_late
from depojax.units import um

N = 32
PLAIN = dj.BinaryElectrolyte(1000.0, 2e-10, 0.4, conductivity=1.0)


def column():
    """A pore without walls, 32 µm long, and its discrete cell."""
    empty = dj.Scaffold.from_function(lambda x, y, z: 1 + 0 * x, (1, 1, N), 1 * um)
    cell = dj.Cell(
        empty,
        PLAIN,
        metal=dj.metals.lithium,
        kinetics=dj.ButlerVolmer(10.0),
    )
    return cell_model(cell)


def test_a_wave_decays_as_by_backward_euler():
    # cos(kz) between mirrors: what the differences make of it is exact.
    model, late = column(), 0.3
    z = (np.arange(N) + 0.5) / N
    wave = np.cos(3 * np.pi * z).reshape(1, 1, N)
    before = 1 + 0.2 * z.reshape(1, 1, N)
    found = spread_late(
        model, jnp.asarray(before), jnp.asarray(before + 0.05 * wave), jnp.asarray(late)
    )
    k = 2 * np.sin(1.5 * np.pi / N) / 1e-6
    left = 1 / (1 + late * 2e-10 * k**2)
    np.testing.assert_allclose(found - before, 0.05 * left * wave, atol=1e-9)


def test_what_comes_at_once_has_not_spread():
    model = column()
    booked = jnp.linspace(1.0, 2.0, N).reshape(1, 1, N)
    found = spread_late(model, jnp.ones_like(booked), booked, jnp.zeros(()))
    np.testing.assert_array_equal(found, booked)


@pytest.mark.parametrize("late", [1e-4, 1e-2, 10.0])
def test_salt_is_kept_and_none_runs_out(late):
    # A foam whose cells gain and lose much where there was little.
    host = dj.foam((8, 8, 8), 4 * um, porosity=0.7, pore_diameter=32 * um, key=2)
    cell = dj.Cell(
        host,
        PLAIN,
        metal=dj.metals.lithium,
        kinetics=dj.ButlerVolmer(10.0),
    )
    model = cell_model(cell)
    random = np.random.default_rng(4)
    before, booked = random.uniform(0.001, 1.0, (2, *model.grid.shape))
    found = spread_late(
        model, jnp.asarray(before), jnp.asarray(booked), jnp.asarray(late)
    )
    volume = model.pore_volume
    assert float(jnp.sum(volume * found)) == pytest.approx(
        float(jnp.sum(volume * booked)), rel=1e-13
    )
    wet = volume > 0
    assert np.all(np.where(wet, found, 1.0) >= 0.499 * np.minimum(before, booked))
    assert float(jnp.max(jnp.where(wet, jnp.abs(found - booked), 0.0))) > 1e-3


def test_derivative():
    model, late = column(), jnp.asarray(0.2)
    random = np.random.default_rng(1)
    before, booked, along = (jnp.asarray(x) for x in random.uniform(1, 2, (3, 1, 1, N)))
    weights = jnp.asarray(random.normal(size=(1, 1, N)))

    def seen(h):
        found = spread_late(model, before + 0.3 * h * along, booked + h * along, late)
        return jnp.sum(weights * found)

    zero, h = jnp.zeros(()), 1e-4
    reverse, forward = jax.grad(seen)(zero), jax.jacfwd(seen)(zero)
    across = (seen(h) - seen(-h)) / (2 * h)
    assert float(reverse) == pytest.approx(float(forward), rel=1e-6)
    assert float(forward) == pytest.approx(float(across), rel=1e-6)
