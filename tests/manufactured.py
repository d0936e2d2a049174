"""The coupled cell with sources, which make fields of one's choice its solution.

    S_c = ε ∂c/∂t − ∇·(D_eff ∇c) + [(1 − t₊) a i + i_l·∇t₊]/(z₊ν₊F)   [mol m⁻³ s⁻¹]
    S_l = ∇·i_l + a i,    S_s = ∇·i_s − a i                             [A m⁻³]

are added to the package's equations at the cell centres; the chosen fields must then
come back but for O(h²) and O(Δt²).
"""

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.cell_model import Fields
from depojax.problems.coupled import CoupledBalance, Stage, at_rest
from depojax.problems.simulate import discrete_cell
from depojax.problems.waveforms import Constant
from depojax.solvers.results import RESULTS
from depojax.solvers.time import integrate
from depojax.units import FARADAY


class AbstractExact(eqx.Module):
    """Fields that were chosen, at one place x [m] and time t [s]."""

    voltage: eqx.AbstractVar[jax.Array]  # of the collector [V]
    salt: eqx.AbstractVar[dj.ConcentratedElectrolyte]

    @abc.abstractmethod
    def concentration(self, x, t):
        """c [mol m⁻³]."""

    @abc.abstractmethod
    def liquid(self, x, t):
        """φ_l [V]."""

    def solid(self, x, t):
        """φ_s − V [V]."""
        return jnp.zeros(())

    @abc.abstractmethod
    def current(self, x, t):
        """i [A m⁻²]."""

    @abc.abstractmethod
    def sources(self, x, t):
        """S_c, S_l and S_s."""

    def over(self, grid, function, *time):
        """A function of place in all cells."""
        x = jnp.stack(jnp.meshgrid(*grid.centers, indexing="ij"), -1)
        for _ in range(3):
            function = jax.vmap(function, (0, *(None for _ in time)))
        return function(x, *time)


def divergence(flux, x):
    """∇· of a vector that is a function of place."""
    return jnp.trace(jax.jacfwd(flux)(x))


class SourcedStage(Stage):
    """A stage with sources of charge [m]."""

    liquid: jax.Array | None = None
    solid: jax.Array | None = None

    def residual(self, x, inner):
        r = super().residual(x, inner)
        solid = None if r.solid is None else r.solid - self.solid
        return Fields(r.c, r.liquid - self.liquid, solid, r.collector)


class Sourced(CoupledBalance):
    """The coupled cell with the sources of an exact solution."""

    exact: AbstractExact | None = None

    def sources(self, t):
        """As the package counts: currents over z₊ν₊F c₀D₀ [m]."""
        salt = self.exact.salt
        c0, charge = salt.concentration, salt.charge_per_salt * FARADAY
        V = self.model.grid.volumes / (charge * c0 * salt.properties(c0).diffusivity)
        found = self.exact.over(self.model.grid, self.exact.sources, t)
        return charge * found[0] * V, found[1] * V, found[2] * V

    def stage(self, t, known, a):
        plain = super().stage(t, known, a)
        salt, liquid, solid = self.sources(t)
        parts = {f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)}
        parts["known"] = plain.known + a * salt
        return SourcedStage(**parts, liquid=liquid, solid=solid)

    def rate(self, t, y):
        gained = super().rate(t, y)
        more = gained.fields.c + self.sources(t)[0]
        return eqx.tree_at(lambda s: s.fields.c, gained, more)

    def at(self, t):
        """The exact fields in the package's numbers, and the local current [A m⁻²]."""
        exact, grid = self.exact, self.model.grid
        scale, t = self.model.thermal_voltage, jnp.asarray(t)
        functions = (exact.concentration, exact.liquid, exact.solid, exact.current)
        c, liquid, solid, i = (exact.over(grid, f, t) for f in functions)
        solid = None if self.model.solid is None else solid / scale
        c0 = exact.salt.concentration
        return Fields(c / c0, liquid / scale, solid, exact.voltage / scale), i


def stretched_grid(shape, lengths, ratios, periodic=(False, False, False)):
    """Faces of a grid twice as fine lie on those of the coarse one."""

    def widths(n, length, ratio):
        s = np.linspace(0, 1, n + 1)
        faces = s if ratio == 1 else (ratio**s - 1) / (ratio - 1)
        return length * np.diff(faces)

    return Grid(list(map(widths, shape, lengths, ratios)), periodic)


def sourced(cell, exact):
    """The discrete cell with its sources, and the exact state at first."""
    drive, none = Constant(exact.voltage), jnp.zeros(())
    model = discrete_cell(cell)
    balance = Sourced(model, drive, jnp.asarray(False), (), none, exact=exact)
    return balance, _start(balance)


@eqx.filter_jit
def _start(balance):
    return eqx.tree_at(lambda y: y.fields, at_rest(balance.model), balance.at(0.0)[0])


@eqx.filter_jit
def _march(balance, y, steps, end_time):
    return integrate(balance, y, end_time, steps)


@eqx.filter_jit
def _exactly(balance, t):
    return balance.at(t)


def by_name(x, current):
    """Fields and current as one dictionary."""
    named = {"c": x.c, "liquid": x.liquid, "solid": x.solid, "current": current}
    return {name: f for name, f in named.items() if f is not None}


def end_of(balance, y, count, end_time):
    """The state after so many equal steps."""
    steps = dj.Steps(fixed=end_time / count, max_steps=128)
    run = _march(balance, y, steps, jnp.asarray(end_time))
    assert bool(run.result == RESULTS.successful)
    assert int(run.steps) == count + 1  # the first follows the jump of the voltage
    return run.state


def errors_of(balance, y, count, end_time):
    """Root mean square over the volume, and largest, of each field at the end."""
    end = end_of(balance, y, count, end_time)
    found = by_name(end.fields, end.reactions.host.current)
    wanted = by_name(*_exactly(balance, end_time))
    weights = balance.model.grid.volumes / balance.model.grid.volume
    errors = {}
    for name, field in found.items():
        off = field - wanted[name]
        errors[f"{name}, mean"] = float(np.sqrt(np.sum(weights * off**2)))
        errors[f"{name}, largest"] = float(np.max(np.abs(off)))
    return errors
