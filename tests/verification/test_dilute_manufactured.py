"""The coupled cell against the Nernst–Planck equations of two dilute ions (r14, M2).

    ∂c/∂t = −∇·N± + s±,     N± = −D± (∇c ± c ∇φ F/(RT))

in a box that nothing leaves. φ is the electrostatic potential; depojax measures the
liquid against an electrode of the metal, φ_l = φ + (RT/F) ln c. The sources of both
ions make those of salt and charge:  S_c = (1 − t₊) s₊ + t₊ s₋,  S_l = F (s₊ − s₋).

In a closed box φ is known but for a constant. Here a metal at 0 V, spread thinly over
the box, is the reference: its current is i = i₀ φ_l F/(RT), and is fed back.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders
from manufactured import AbstractExact, divergence, errors_of, sourced

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

# The case has lengths of 1, concentrations of 2, D₊ = 1 and D₋ = 2.
LENGTH, UNIT, D_PLUS = 1e-4, 500.0, 1e-10  # [m], [mol m-3], [m2 s-1]
SECOND = LENGTH**2 / D_PLUS  # what 1 is in time [s]
T_PLUS = 1 / 3
AREA, I0 = 1e5, 1.0  # specific area [m-1] and exchange current density [A m-2]
T = 298.15  # [K]
THERMAL = GAS_CONSTANT * T / FARADAY  # [V]


def concentration(x, t):
    """c of the case."""
    X, Y, Z = jnp.pi * x
    return 2 + jnp.exp(-t) * jnp.cos(X) * jnp.cos(2 * Y) * jnp.cos(Z) / 2


def potential(x, t):
    """φ of the case."""
    wave = jnp.prod(jnp.cos(jnp.pi * x))
    return jnp.log(concentration(x, t)) / 3 + jnp.cos(t) * wave / 4


def ion_sources(x, t):
    """s₊ and s₋ of the case."""

    def source(z, D):
        def flux(x):
            drift = concentration(x, t) * jax.grad(potential)(x, t)
            return -D * (jax.grad(concentration)(x, t) + z * drift)

        return jax.grad(concentration, 1)(x, t) + divergence(flux, x)

    return source(1, 1.0), source(-1, 2.0)


class Ions(AbstractExact):
    """The case in SI units, and the metal."""

    voltage: jax.Array  # [V]
    salt: dj.ConcentratedElectrolyte

    def concentration(self, x, t):
        return UNIT * concentration(x / LENGTH, t / SECOND)

    def liquid(self, x, t):
        x, t = x / LENGTH, t / SECOND
        return THERMAL * (potential(x, t) + jnp.log(concentration(x, t) / 2))

    def current(self, x, t):
        return I0 * self.liquid(x, t) / THERMAL

    def sources(self, x, t):
        ions = ion_sources(x / LENGTH, t / SECOND)
        plus, minus = (UNIT / SECOND * s for s in ions)
        plus = plus + AREA * self.current(x, t) / FARADAY
        charge = FARADAY * (plus - minus)
        return (1 - T_PLUS) * plus + T_PLUS * minus, charge, jnp.zeros_like(charge)


def problem(n):
    salt = dj.ConcentratedElectrolyte(dj.IdealDilute(D_PLUS, 2 * D_PLUS), 2 * UNIT, T)
    grid = Grid.uniform((n, n, n), LENGTH / n)
    cell = dj.Cell(
        Scaffold.homogenised(grid, 1.0, 1.0, AREA),
        salt,
        kinetics=dj.LinearKinetics(I0, exponent=0.0),
        counter_kinetics=dj.LinearKinetics(0.0),  # lets nothing pass
        plated_collector=False,
    )
    return sourced(cell, Ions(jnp.zeros(()), salt))


def test_sources_are_those_of_the_case():
    places = [(0.13, 0.27, 0.61), (0.5, 0.5, 0.5), (0.91, 0.08, 0.33)]
    times = jnp.asarray([0.0, 0.3, 0.7])
    found = eqx.filter_jit(jax.vmap(ion_sources))(jnp.asarray(places), times)
    plus = [-1.6538859306624527, 0.0, -13.67407108849528]
    minus = [7.863964754569832, 0.0, 2.473740953209655]
    np.testing.assert_allclose(found, [plus, minus], rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_orders_of_two_dilute_ions():
    # Steps become shorter as cells become smaller: order in space and time together.
    errors = []
    for n in (8, 16, 32):
        errors.append(errors_of(*problem(n), n // 4, 0.2 * SECOND))
    for name in errors[0]:
        orders = observed_orders([error[name] for error in errors])
        assert orders[-1] > 1.9, f"{name}: {orders}"
