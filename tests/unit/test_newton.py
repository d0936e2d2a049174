"""Newton's method on small systems: roots, damping, failure, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from depojax._types import Scalar, quantity
from depojax.solvers.gmres import AbstractPreconditioner
from depojax.solvers.newton import AbstractSystem, find_root, followed

TARGET = jnp.asarray(1e-12)


class Nothing(AbstractPreconditioner):
    """The identity."""

    def __call__(self, residual):
        return residual

    def transpose(self):
        return self


class Diodes(AbstractSystem):
    """x + strength (eˣ − 1) = drive in a row of cells that are coupled to the next."""

    drive: Array
    strength: Scalar = quantity()

    def residual(self, x, inner):
        flow = self.strength * jnp.expm1(jnp.minimum(x, 200.0))
        return x + flow + 0.3 * jnp.roll(x, 1) - self.drive

    def preconditioner(self, x, jacobian):
        return Nothing()


class Rootless(Diodes):
    """x² + 1 = 0."""

    def residual(self, x, inner):
        return x**2 + 1


def test_root_from_afar():
    system = Diodes(jnp.asarray([1.0, 30.0, -4.0]), 1e-6)
    root = find_root(system, jnp.zeros(3), TARGET)
    assert bool(root.converged)
    assert float(jnp.linalg.norm(system.residual(root.x, None))) <= 1e-12 * 100
    assert 3 < int(root.newton_steps) < 30


def test_no_root_is_said():
    root = find_root(Rootless(jnp.zeros(3), 1.0), jnp.ones(3), TARGET)
    assert not bool(root.converged)


class Emptied(Diodes):
    """Cells that leak into the next ones, and much faster where they are not empty."""

    def residual(self, x, inner):
        beside = jnp.pad(x, 1)
        leak = self.strength * jnp.maximum(x, 0)
        return 2.1 * x - beside[:-2] - beside[2:] + leak - self.drive


def test_kinks_are_passed():
    """Newton's step over a kink makes ‖R‖ larger, however short it is cut."""
    rng = np.random.default_rng(0)
    solved = jax.jit(find_root)
    for _ in range(40):
        system = Emptied(jnp.asarray(rng.normal(size=6)), 1e4)
        root = solved(system, jnp.asarray(rng.normal(size=6)), TARGET)
        assert bool(root.converged)
        np.testing.assert_allclose(system.residual(root.x, None), 0, atol=1e-10)


def test_derivatives_follow_the_root():
    guess = find_root(Diodes(jnp.asarray([1.0, 3.0, -4.0]), 0.2), jnp.zeros(3), TARGET)

    def followed_sum(strength):
        system = Diodes(jnp.asarray([1.0, 3.0, -4.0]), strength)
        return jnp.sum(followed(system, guess.x) ** 2)

    def solved_sum(strength):
        system = Diodes(jnp.asarray([1.0, 3.0, -4.0]), strength)
        return jnp.sum(find_root(system, jnp.zeros(3), TARGET).x ** 2)

    at, h = jnp.asarray(0.2), 1e-5
    slope = (solved_sum(at + h) - solved_sum(at - h)) / (2 * h)
    assert float(jax.grad(followed_sum)(at)) == pytest.approx(float(slope), rel=1e-7)
    forward = jax.jvp(followed_sum, (at,), (jnp.ones(()),))[1]
    assert float(forward) == pytest.approx(float(slope), rel=1e-7)
    np.testing.assert_allclose(followed_sum(at), solved_sum(at), rtol=1e-10)
