"""Poisson–Nernst–Planck with sources, which make chosen fields its solution (r14, M3).

    c₊ = 2 + e^{−t} cos πx cos πy / 2,   c₋ = 2 + e^{−2t} cos 2πx cos πz / 3
    φ = (1 + t) cos πx cos πy cos πz,    D₊ = 1, D₋ = 2, 2ε² = 1/50

in the unit cube, no flux at its sides. Numbers are in L, c₀, RT/F and L²/D₊.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.problems.ion_assembly import ion_model
from depojax.problems.ion_balance import IonBalance, IonState, begin
from depojax.problems.ion_maps import nearest_metal
from depojax.problems.ion_model import IonFields
from depojax.problems.ion_reactions import passing_of
from depojax.problems.ion_stage import IonDrive, IonStage, target
from depojax.problems.waveforms import Constant
from depojax.solvers.newton import find_root
from depojax.solvers.results import RESULTS
from depojax.solvers.time import Steps, integrate
from tests.helpers import observed_orders
from tests.ion_columns import C0, D, L

DOUBLE_SQUARE = 1 / 50  # 2ε²
TIME = L**2 / D


class Chosen(NamedTuple):
    """c₊, c₋ and φ as functions of x, y, z and t."""

    plus: Callable
    minus: Callable
    potential: Callable

    def outflow(self, k):
        """∇·N of an ion, by automatic differentiation."""
        c, z, d = ((self.plus, 1, 1), (self.minus, -1, 2))[k]

        def flux(place, t):
            def slope(f):
                return jax.grad(lambda p: f(*p, t))(place)

            return -d * (slope(c) + z * c(*place, t) * slope(self.potential))

        def total(x, y, w, t):
            return jnp.trace(jax.jacfwd(flux)(jnp.stack([x, y, w]), t))

        return total

    def charge(self, x, y, z, t):
        """s_φ = −2ε² ∇²φ − c₊ + c₋."""
        place = jnp.stack([x, y, z])
        bent = jnp.trace(jax.hessian(lambda p: self.potential(*p, t))(place))
        return self.minus(x, y, z, t) - self.plus(x, y, z, t) - DOUBLE_SQUARE * bent


cos, exp, pi = jnp.cos, jnp.exp, jnp.pi
M3 = Chosen(
    lambda x, y, z, t: 2 + exp(-t) * cos(pi * x) * cos(pi * y) / 2,
    lambda x, y, z, t: 2 + exp(-2 * t) * cos(2 * pi * x) * cos(pi * z) / 3,
    lambda x, y, z, t: (1 + t) * cos(pi * x) * cos(pi * y) * cos(pi * z),
)
ALONG_Z = Chosen(
    lambda x, y, z, t: 2 + exp(-t) * cos(pi * z) / 2,
    lambda x, y, z, t: 2 + exp(-2 * t) * cos(2 * pi * z) / 3,
    lambda x, y, z, t: (1 + t) * cos(pi * z),
)


def made_up_model(shape):
    """The cube; a blocking collector fixes the constant in φ, see `sources`."""
    widths = tuple(np.full(n, L / n) for n in shape)
    ions = dj.Ion("M+", 1, D), dj.Ion("X-", -1, 2 * D)
    salt = dj.MultiIonElectrolyte(ions, [C0, C0])
    salt = salt.with_debye_length(np.sqrt(DOUBLE_SQUARE / 2) * L)
    scaffold = dj.Scaffold.open(dj.Grid(widths))
    cell = dj.Cell(scaffold, salt, counter_electrode="blocked", kinetics=dj.Blocking())
    return ion_model(cell, neutral=False, inert=True)


def over(model, function, t):
    """A function in all cells."""
    places = jnp.meshgrid(*(x / L for x in model.grid.centers), indexing="ij")
    for _ in range(3):
        function = jax.vmap(function, (0, 0, 0, None))
    return function(*places, t)


def exact(model, chosen, t):
    c = jnp.stack([over(model, chosen.plus, t), over(model, chosen.minus, t)])
    return IonFields(c, over(model, chosen.potential, t), jnp.zeros(()))


def outflows(model, chosen, t):
    """∇·N in every cell, as `balances` counts it [m]."""
    each = jnp.stack([over(model, chosen.outflow(k), t) for k in range(2)])
    return model.pore_volume / L**2 * each


def with_charge(model, chosen, t):
    """The model with s_φ, and with what holds φ to the collector at 0."""
    held = model.floor.into_cells(model.charge_of(model.floor), model.grid.shape)
    held = held * over(model, chosen.potential, t) / model.pore_volume
    charge = over(model, chosen.charge, t) + held
    return dataclasses.replace(model, fixed_charge=charge)


@eqx.filter_jit
def stage_errors(model):
    """Root mean squares and maxima of the three errors after one implicit stage."""
    t = jnp.asarray(0.3)
    known = exact(model, M3, t)
    a = jnp.asarray(TIME)
    stored = model.storage * known.c + a * outflows(model, M3, t)
    model = with_charge(model, M3, t)
    drive = IonDrive(jnp.zeros(()), jnp.asarray(False))
    still = jnp.asarray(False)
    stage = IonStage(model, drive, stored, jnp.zeros(()), a, still)
    root = find_root(stage, known, target(model), passing_of(model, known))
    of_potential = (root.x.potential - known.potential)[None]
    wrong = jnp.concatenate([root.x.c - known.c, of_potential])
    square = jnp.sqrt(jnp.mean(wrong**2, (1, 2, 3)))
    counts = root.newton_steps, root.linear_iterations
    return root.converged, square, jnp.max(jnp.abs(wrong), (1, 2, 3)), counts


@pytest.mark.slow
def test_second_order_in_three_dimensions():
    squares, most = [], []
    for n in (8, 16, 32):
        found, square, largest, (newton, krylov) = stage_errors(made_up_model((n,) * 3))
        assert found
        assert krylov <= 6 * newton
        squares.append(square)
        most.append(largest)
    for field in np.stack(squares).T:
        orders = observed_orders(field)
        assert orders[-1] > 1.9
        assert orders[0] > 1.75  # eight cells see little of cos 2πx
    # The largest errors, in corners of the metal, come to it from below: 1.3, 1.6, …
    for field in np.stack(most).T:
        orders = observed_orders(field)
        assert orders[-1] > max(orders[0], 1.5)


class MadeUp(IonBalance):
    """The cell with the sources in time."""

    def at(self, t):
        model = with_charge(self.model, ALONG_Z, t / TIME)
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(IonBalance)}
        return IonBalance(**(fields | {"model": model}))

    def source(self, t):
        """s [m]: what is added to what every cell gains."""

        def stored(t):
            return self.model.storage * exact(self.model, ALONG_Z, t / TIME).c

        rise = jax.jvp(stored, (t,), (jnp.ones_like(t),))[1]
        return rise + outflows(self.model, ALONG_Z, t / TIME)

    def rate(self, t, y):
        rate = self.at(t).rate(t, y)
        return eqx.tree_at(lambda r: r.fields.c, rate, rate.fields.c + self.source(t))

    def solve_stage(self, t, known, a, guess):
        more = known.fields.c + a * self.source(t)
        known = eqx.tree_at(lambda k: k.fields.c, known, more)
        return self.at(t).solve_stage(t, known, a, guess)


@eqx.filter_jit
def run_of(model, step, until):
    off = jnp.asarray(False)
    weight = jnp.zeros_like(model.pore_volume)
    balance = MadeUp(
        model=model,
        drive=Constant(jnp.zeros(())),
        by_current=off,
        weight=weight,
        instant=jnp.asarray(1e-9 * TIME),
        nearest=nearest_metal(model),
        level=jnp.asarray(L),
    )
    fields = exact(model, ALONG_Z, jnp.zeros(()))
    y = eqx.tree_at(lambda s: s.fields, begin(model), fields)
    return integrate(balance, y, until, Steps(fixed=step, max_steps=64))


@pytest.mark.slow
def test_second_order_in_time_and_space_together():
    until, errors = 0.2 * TIME, []
    for n in (25, 50, 100):
        model = made_up_model((1, 1, n))
        steps = n // 25 * 4
        run = run_of(model, jnp.asarray(until / steps), jnp.asarray(until))
        assert run.result == RESULTS.successful
        assert isinstance(run.state, IonState)
        known = exact(model, ALONG_Z, jnp.asarray(until / TIME))
        wrong = [*(run.state.fields.c - known.c)]
        wrong.append(run.state.fields.potential - known.potential)
        errors.append([float(jnp.max(jnp.abs(e))) for e in wrong])
    for field in np.asarray(errors).T:
        assert np.all(observed_orders(field) > 1.9)
