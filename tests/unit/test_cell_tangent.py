"""The written-down Jacobian of the coupled cell against automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.problems.cell_assembly import cell_model
from depojax.problems.coupled import CoupledBalance, at_rest
from depojax.problems.waveforms import Constant
from depojax.units import um

LAW = dj.ConcentratedElectrolyte(dj.electrolytes.lipf6_ec_emc, 1000.0)
PLAIN = dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=1.0)


def stage_of(electrolyte, *, periodic, by_current, **options):
    host = dj.Scaffold.from_function(
        lambda x, y, z: z + 0.5e-6 * jnp.cos(x * 6e5) - 6.3e-6,
        (5, 4, 6),
        2 * um,
        periodic=(periodic, periodic, False),
    )
    cell = dj.Cell(
        host, electrolyte, separator=6 * um, kinetics=dj.ButlerVolmer(10.0), **options
    )
    model = cell_model(cell)
    y = at_rest(model)
    drive = Constant(jnp.asarray(50.0 if by_current else -0.1))
    none = jnp.zeros(())
    balance = CoupledBalance(model, drive, jnp.asarray(by_current), (), none)
    stage = balance.stage(none, balance.storage(y), jnp.asarray(0.7))
    return stage, y.fields, y.reactions


@pytest.mark.parametrize(
    ("electrolyte", "periodic", "counter", "sigma", "by_current"),
    [
        pytest.param(LAW, True, "metal", None, True, marks=pytest.mark.slow),
        pytest.param(LAW, True, "metal", 20.0, False, marks=pytest.mark.slow),
        (PLAIN, False, "reservoir", 20.0, True),
        pytest.param(LAW, False, "blocked", None, False, marks=pytest.mark.slow),
    ],
)
def test_jacobian(electrolyte, periodic, counter, sigma, by_current):
    options = {"counter_electrode": counter, "solid_conductivity": sigma}
    stage, x, guess = stage_of(
        electrolyte, periodic=periodic, by_current=by_current, **options
    )
    rng = np.random.default_rng(0)

    def shaken(size):
        return jax.tree.map(lambda v: size * jnp.asarray(rng.normal(size=v.shape)), x)

    at = jax.tree.map(jnp.add, x, shaken(0.05))
    direction = shaken(1.0)

    @jax.jit
    def both(at, direction):
        found = stage.inner(at, guess)
        written = stage.jacobian(at, found)(direction)

        def residual(x):
            return stage.residual(x, stage.inner(x, guess))

        return written, jax.jvp(residual, (at,), (direction,))[1]

    for found, expected in zip(*map(jax.tree.leaves, both(at, direction)), strict=True):
        scale = float(jnp.max(jnp.abs(expected)))
        np.testing.assert_allclose(found, expected, atol=1e-12 * scale)
