"""Derivatives of the space charge: reverse, forward, and central differences agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.units import FARADAY
from tests.helpers import central_slopes
from tests.ion_columns import C0, VT, D, L, column_grid, growing_widths, salt

CELLS = 48
EPS = 2e-2
WIDTHS = L * growing_widths(0.3 * EPS, CELLS)
NAMES = (
    *("voltage", "cation", "anion", "concentration", "permittivity", "fixed_charge"),
    *("porosity", "tortuosity", "length"),
)
# What each is multiplied by is e^p; fixed charge and voltage are set so at p = 0.
WEIGHTS = np.array([1.0, 0.7])


def host_cell(p, **options):
    """A homogenised host: its D, c, ε_r, fractions and size depend on p."""
    factor = dict(zip(NAMES, jnp.exp(p), strict=True))
    base = salt(EPS)
    ions = [
        dj.Ion("Li+", 1, D * factor["cation"]),
        dj.Ion("X-", -1, 2 * D * factor["anion"]),
    ]
    amounts = C0 * factor["concentration"] * jnp.ones(2)
    electrolyte = dj.MultiIonElectrolyte(
        ions,
        amounts,
        relative_permittivity=base.relative_permittivity * factor["permittivity"],
    )
    grid = column_grid(WIDTHS * factor["length"])
    host = dj.Scaffold.homogenised(
        grid, 0.8 * factor["porosity"], 1.3 * factor["tortuosity"], 0.0
    )
    cell = dj.Cell(host, electrolyte, counter_electrode="reservoir", **options)
    fixed = 0.05 * FARADAY * C0 * factor["fixed_charge"]
    return cell, -12 * VT * factor["voltage"], fixed


def answers(solution):
    """Current and thickness of the layer, as logarithms."""
    field = -solution.collector_field[0, 0] * L / VT
    return jnp.log(jnp.stack([solution.current_density, field]))


def at_equilibrium(p):
    cell, voltage, fixed = host_cell(p)
    return answers(dj.space_charge(cell, voltage=voltage, fixed_charge=fixed))


def with_kinetics(p):
    cell, voltage, fixed = host_cell(p, kinetics=dj.ButlerVolmer(30.0 * jnp.exp(p[0])))
    solution = dj.space_charge(
        cell, voltage=voltage, fixed_charge=fixed, stern_capacitance=1e-5
    )
    return answers(solution)


def in_time(p):
    cell, voltage, fixed = host_cell(p)
    steps = dj.Steps(fixed=2e-3 * L**2 / D, max_steps=8)
    run = dj.space_charge(
        cell,
        voltage=voltage,
        fixed_charge=fixed,
        duration=8e-3 * L**2 / D,
        steps=steps,
    )
    return answers(run)


def assert_central_differences_agree(function, tolerance, idle=()):
    """Reverse mode against central differences; `idle` parameters have no say."""
    reverse = gradient(function)
    central = central_slopes(
        lambda p: float(WEIGHTS @ np.asarray(function(jnp.asarray(p)))),
        np.zeros(len(NAMES)),
        step=1e-4,
    )
    scale = np.max(np.abs(reverse))
    for name, own in zip(NAMES, np.abs(reverse), strict=True):
        assert (own < 1e-9 * scale) if name in idle else (own > 1e-4 * scale), name
    np.testing.assert_allclose(reverse, central, rtol=tolerance, atol=tolerance * scale)


def gradient(function):
    at, weights = jnp.zeros(len(NAMES)), jnp.asarray(WEIGHTS)
    return np.asarray(jax.grad(lambda p: weights @ function(p))(at))


def test_steady_layer():
    # Anions do not pass: how fast they would is of no consequence.
    assert_central_differences_agree(at_equilibrium, 1e-6, idle=("anion",))


@pytest.mark.slow
@pytest.mark.parametrize("function", [at_equilibrium, in_time])
def test_forward_mode_is_reverse_mode(function):
    way = np.random.default_rng(0).normal(size=len(NAMES))
    at = jnp.zeros(len(NAMES))
    forward = jax.jvp(function, (at,), (jnp.asarray(way),))[1]
    own = WEIGHTS @ np.asarray(forward)
    assert own == pytest.approx(gradient(function) @ way, rel=1e-9)


@pytest.mark.slow
def test_with_kinetics_and_a_stern_layer():
    assert_central_differences_agree(with_kinetics, 1e-6, idle=("anion",))


@pytest.mark.slow
def test_run():
    assert_central_differences_agree(in_time, 1e-5)
