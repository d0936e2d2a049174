"""Derivatives of Sand's time: closed forms, identities, and through a scaffold's shape.

With one length L and constant properties, dimensions alone demand

    dlnτ/dlnc₀ = −dlnτ/dlnJ,   dlnτ/dlnD = −1 − dlnτ/dlnJ,   dlnτ/dlnL = 2 + dlnτ/dlnJ
    dlnτ/dlnt₊ = −t₊/(1 − t₊) dlnτ/dlnJ
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import WIDTH, central_slopes, graded_widths

from depojax.fv.grid import Grid
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.problems.cell import Cell, Separator
from depojax.problems.sand import limiting_current, sand_time
from depojax.scaffold.foams import foam
from depojax.scaffold.scaffold import Scaffold
from depojax.scaffold.tpms import gyroid
from depojax.solvers.time import Steps

T_PLUS = 0.38
STEPS = Steps(tolerance=1e-6)


def identities(slopes, in_time=1e-3):
    """Exact for what scales the concentration. A length or D scales time as well, and
    the steps of a run are held: there to the error of the steps."""
    D, c0, J, L, t_plus = np.asarray(slopes)[:5]
    np.testing.assert_allclose(c0, -J, rtol=1e-6)
    np.testing.assert_allclose(t_plus, -T_PLUS / (1 - T_PLUS) * J, rtol=1e-6)
    np.testing.assert_allclose(D, -1 - J, atol=in_time * abs(J))
    np.testing.assert_allclose(L, 2 + J, atol=in_time * abs(J))


def planar(far_side):
    """ln τ of the logarithms of (D, c₀, J, L, t₊), on a column of 100 cells."""

    @jax.jit
    def log_time(logs):
        D, c0, J, L, t_plus = jnp.exp(logs)
        side = jnp.full(1, WIDTH)
        grid = Grid((side, side, graded_widths(100, 1.0, 30.0) * L))
        salt = BinaryElectrolyte(c0, D, t_plus)
        cell = Cell(Scaffold.open(grid), salt, counter_electrode=far_side)
        return jnp.log(sand_time(cell, J, steps=STEPS).time)

    return log_time


@pytest.mark.parametrize(
    ("far_side", "J", "L", "known"),
    [
        pytest.param(
            "metal",
            112.04748,
            1e-3,
            (2.16106, 3.16106, -3.16106, -1.16106, 1.93743),
            marks=pytest.mark.slow,
        ),
        ("reservoir", 303.46193, 2e-4, (1.6531, 2.6531, -2.6531, -0.65314, 1.6261)),
        pytest.param(
            "blocked",
            300.0,
            1e-4,
            (0.27256, 1.27256, -1.27256, 0.72744, 0.77996),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["metal", "reservoir", "blocked"],
)  # fmt: skip
def test_planar(far_side, J, L, known):
    log_time = planar(far_side)
    logs = jnp.log(jnp.asarray([3e-10, 1000.0, J, L, T_PLUS]))
    reverse = jax.jit(jax.grad(log_time))(logs)
    np.testing.assert_allclose(reverse, known, rtol=2e-3)
    identities(reverse)
    if far_side == "metal":
        direction = jnp.asarray([1.0, -2.0, 0.5, 3.0, 1.5])
        forward = jax.jit(lambda x, v: jax.jvp(log_time, (x,), (v,))[1])
        np.testing.assert_allclose(
            forward(logs, direction), jnp.vdot(reverse, direction), rtol=1e-8
        )
        central = central_slopes(log_time, logs, 2e-4)
        np.testing.assert_allclose(central, reverse, rtol=1e-5)


@pytest.mark.slow
def test_planar_below_the_limit_has_no_slope():
    def time(J):
        side = jnp.full(1, WIDTH)
        grid = Grid((side, side, graded_widths(100, 1.0, 30.0) * jnp.asarray(1e-3)))
        salt = BinaryElectrolyte(1000.0, 3e-10, T_PLUS)
        return sand_time(Cell(Scaffold.open(grid), salt), J, steps=STEPS).time

    assert jnp.isinf(time(jnp.asarray(50.0)))
    assert jax.grad(time)(jnp.asarray(50.0)) == 0


def build(logs, shape=(12, 12, 12)):
    """A cell of one period of a gyroid below a gap of a quarter of it."""
    D, c0, _, L, t_plus, porosity, period = jnp.exp(logs)
    host = gyroid(shape, L / 12, porosity=porosity, period=period * L)
    gap = Separator(L / 4, cells=3)
    return Cell(host, BinaryElectrolyte(c0, D, t_plus), separator=gap)


@jax.jit
def gyroid_time(logs):
    cell = build(logs)
    return jnp.log(sand_time(cell, jnp.exp(logs[2]), steps=STEPS).time)


# D, c₀, J, L, t₊, porosity, period/L
GYROID = jnp.log(jnp.asarray([3e-10, 1000.0, 2.5e4, 24e-6, T_PLUS, 0.7, 1.0]))


def along(function, direction, h=1e-4):
    """Central difference at the gyroid."""
    there, back = GYROID + h * direction, GYROID - h * direction
    return (function(there) - function(back)) / (2 * h)


@pytest.mark.slow
def test_through_a_gyroid():
    """Reverse, forward and central differences for material and shape alike."""
    value, reverse = jax.jit(jax.value_and_grad(gyroid_time))(GYROID)
    assert jnp.isfinite(value)
    identities(reverse)
    direction = jnp.asarray([0.3, -1.0, 0.5, 0.7, 0.2, 1.0, -0.4])
    forward = jax.jit(lambda x, v: jax.jvp(gyroid_time, (x,), (v,))[1])
    np.testing.assert_allclose(
        forward(GYROID, direction), jnp.vdot(reverse, direction), rtol=1e-6
    )
    h = 2e-5
    there, back = (
        gyroid_time(GYROID + h * direction),
        gyroid_time(GYROID - h * direction),
    )
    central = (there - back) / (2 * h)
    np.testing.assert_allclose(central, jnp.vdot(reverse, direction), rtol=1e-4)
    # the shape alone
    shape = jnp.zeros(7).at[5].set(1.0)
    central = (gyroid_time(GYROID + h * shape) - gyroid_time(GYROID - h * shape)) / (
        2 * h
    )
    np.testing.assert_allclose(central, reverse[5], rtol=1e-3)


@pytest.mark.slow
def test_limiting_current_through_a_gyroid():
    """∝ D c₀/(L (1 − t₊)), and the slopes of shape as central differences say."""

    @jax.jit
    def log_limit(logs):
        return jnp.log(limiting_current(build(logs), linear_tolerance=1e-12))

    slopes = jax.jit(jax.grad(log_limit))(GYROID)
    np.testing.assert_allclose(
        slopes[:5], [1, 1, 0, -1, T_PLUS / (1 - T_PLUS)], atol=1e-6
    )
    central = central_slopes(log_limit, GYROID, 1e-5)
    np.testing.assert_allclose(slopes[5:], central[5:], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.05])
def test_through_a_foam(share):
    """Porosity, pore diameter, D, c₀ and J through a random foam of struts."""

    @jax.jit
    def log_time(logs):
        porosity, diameter, D, c0, J = jnp.exp(logs)
        host = foam(
            (20, 20, 24), 2e-6, porosity=porosity, pore_diameter=diameter, key=3
        )
        salt = BinaryElectrolyte(c0, D, T_PLUS)
        cell = Cell(host, salt, separator=Separator(10e-6, cells=5))
        return jnp.log(sand_time(cell, J, steps=STEPS, depleted_share=share).time)

    logs = jnp.log(jnp.asarray([0.85, 36e-6, 3e-10, 1000.0, 6e3]))
    reverse = jax.jit(jax.grad(log_time))(logs)
    forward = jax.jit(lambda x, v: jax.jvp(log_time, (x,), (v,))[1])
    along = jnp.eye(5)
    np.testing.assert_allclose([forward(logs, v) for v in along], reverse, rtol=1e-6)
    # Short steps: over longer ones windows of the foam open and places take turns.
    central = central_slopes(log_time, logs, 1e-6)
    np.testing.assert_allclose(central, reverse, rtol=1e-4)
