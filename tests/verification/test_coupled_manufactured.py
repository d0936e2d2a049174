"""Orders of accuracy of the coupled cell, in space and time, by manufactured solutions.

Everything varies smoothly in all directions and everything matters: the properties of
the salt follow c, the host's porosity, anisotropic tortuosity and conductivity follow
place, Butler–Volmer works behind a film and a layer of electrolyte. The sources come
from the continuous equations by automatic differentiation, see `manufactured`:

    i_l = −κ_eff ∇φ_l + κ_eff (νRT/z₊ν₊F)(1 − t₊)χ ∇ln c,     i_s = −σ ∇φ_s
    i = i₀ (c_s/c₀)^α_a [exp(−α_c Fη/RT) − exp(α_a Fη/RT)]
    c_s = c − (1 − t₊) δ i/(z₊ν₊FD)
    η = φ_s − φ_l + i (R_film + δ/κ) − (νRT/z₊ν₊F)(1 − t₊)χ ln(c_s/c)
"""

import dataclasses
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders
from manufactured import (
    AbstractExact,
    by_name,
    divergence,
    end_of,
    errors_of,
    sourced,
    stretched_grid,
)

import depojax as dj
from depojax.physics.electrolyte import Properties
from depojax.problems.cell_surfaces import Use
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

LENGTHS = np.array([8e-5, 1e-4, 1.2e-4])  # of the box [m]
T = 310.0  # [K]
THERMAL = GAS_CONSTANT * T / FARADAY  # [V]
C0 = 1000.0  # [mol m-3]
END = 20.0  # of a run [s]
AREA, REACH = 2e5, 1.5e-5  # specific area [m-1] and wall distance δ [m]
I0, ALPHA = 10.0, (0.4, 0.6)  # [A m-2], (α_c, α_a)
FILM = {"thickness": 2e-8, "ionic_conductivity": 1e-4, "parabolic_rate": 4e-17}


def law(c, T):
    """Everything follows c, and strongly."""
    s = c / C0
    return Properties.like(
        c,
        diffusivity=4e-10 * jnp.exp(-0.5 * s),
        conductivity=1.5 * s * jnp.exp(-0.4 * s),
        transference_number=0.5 - 0.2 * s**2,
        thermodynamic_factor=0.8 + 0.5 * s,
    )


class Waves(AbstractExact):
    """Fields, and the host.

    At the sides no field has a normal gradient; at the top c = c₀ and φ_l = 0, at the
    bottom φ_s = V. All may be shifted along y where the box is periodic.

    c is a quadratic in time, which TR-BDF2 follows without an error of its own, unless
    there is a `ripple` on it.
    """

    shift: jax.Array  # of a period along y
    ripple: jax.Array  # [-]
    voltage: jax.Array  # [V]
    salt: dj.ConcentratedElectrolyte

    def waves(self, x):
        X, Y, Z = x / LENGTHS
        angle = 2 * jnp.pi * (Y + self.shift)
        return X, jnp.cos(angle), jnp.sin(angle), Z

    def concentration(self, x, t):
        X, wave, _, Z = self.waves(x)
        s = t / END
        size = 0.2 + s - 0.4 * s**2 + self.ripple * jnp.sin(5 * s)
        shape = jnp.cos(jnp.pi * Z / 2) * (1 + 0.5 * jnp.cos(jnp.pi * X) * wave)
        return C0 * (1 - 0.5 * size * shape)

    def liquid(self, x, t):
        X, wave, _, Z = self.waves(x)
        shape = (1 - Z**2) * (1 + 0.6 * jnp.cos(jnp.pi * X) + 0.3 * wave)
        return 1.5 * THERMAL * jnp.cos(t / END) * shape

    def solid(self, x, t):
        X, wave, _, Z = self.waves(x)
        shape = Z * (2 - Z) * (-1 + 0.6 * jnp.cos(2 * jnp.pi * X) * wave)
        return THERMAL * (1 + 0.5 * jnp.sin(t / END)) * shape

    def porosity(self, x):
        X, wave, other, Z = self.waves(x)
        return 0.55 + 0.1 * X * wave + 0.15 * Z + 0.05 * other

    def tortuosity(self, x):
        X, wave, other, Z = self.waves(x)
        along_z = 1.3 + 0.2 * X + 0.3 * Z
        return jnp.stack([1.5 + Z**2 + 0.2 * wave, 2 + X + 0.3 * other, along_z])

    def conductivity(self, x):
        X, wave, _, Z = self.waves(x)
        return 2.0 + X + 0.5 * wave - Z**2

    @property
    def charges(self):
        """z₊ν₊."""
        return math.lcm(self.salt.charge[0], -self.salt.charge[1])

    def drift(self, p):
        """What stands before ∇ln c [V]."""
        z_plus, z_minus = self.salt.charge
        ions = self.charges / z_plus - self.charges / z_minus
        heat = ions / self.charges * THERMAL
        return heat * (1 - p.transference_number) * p.thermodynamic_factor

    def film(self, t):
        squared = FILM["thickness"] ** 2 + FILM["parabolic_rate"] * t
        return jnp.sqrt(squared) / FILM["ionic_conductivity"]

    def current(self, x, t):
        """By Newton."""
        c = self.concentration(x, t)
        p = law(c, T)
        driving = self.voltage + self.solid(x, t) - self.liquid(x, t)
        lack = (1 - p.transference_number) * REACH / (self.charges * FARADAY)

        def missing(i):
            wall = c - lack / p.diffusivity * i
            fall = jnp.log(wall / c)
            # κ of the layer: the logarithmic mean of those at its two ends.
            y = (1 - 0.4 * c / C0) * fall
            tiny = jnp.abs(y) < 1e-9
            more = jnp.where(tiny, 1.0, y / jnp.expm1(jnp.where(tiny, 1.0, y)))
            ohmic = i * (self.film(t) + REACH / p.conductivity * more)
            eta = driving + ohmic - self.drift(p) * fall
            i0 = I0 * (wall / C0) ** ALPHA[1]
            plates = jnp.exp(-ALPHA[0] * eta / THERMAL)
            return i0 * (plates - jnp.exp(ALPHA[1] * eta / THERMAL)) - i

        def newton(_, i):
            left, slope = jax.jvp(missing, (i,), (jnp.ones_like(i),))
            return i - left / slope

        return jax.lax.fori_loop(0, 12, newton, jnp.zeros_like(c))

    def sources(self, x, t):
        grad_c = jax.grad(self.concentration)

        def effective(x):
            return self.porosity(x) / self.tortuosity(x)

        def salt_flux(x):
            p = law(self.concentration(x, t), T)
            return -effective(x) * p.diffusivity * grad_c(x, t)

        def ionic(x):
            c = self.concentration(x, t)
            p = law(c, T)
            diffusive = self.drift(p) * grad_c(x, t) / c
            drive = diffusive - jax.grad(self.liquid)(x, t)
            return effective(x) * p.conductivity * drive

        def electronic(x):
            return -self.conductivity(x) * jax.grad(self.solid)(x, t)

        def share(x):
            return law(self.concentration(x, t), T).transference_number

        taken = AREA * self.current(x, t)
        gathered = self.porosity(x) * jax.grad(self.concentration, 1)(x, t)
        by_current = (1 - share(x)) * taken + jnp.dot(ionic(x), jax.grad(share)(x))
        salt = gathered + divergence(salt_flux, x) + by_current / self.charges / FARADAY
        return salt, divergence(ionic, x) + taken, divergence(electronic, x) - taken


def problem(shape, *, ripple=0.0, growth=0.0, stretched=False):
    """A box with natural sides and a 1:1 salt; or stretched, periodic, and 2:1."""
    salt = dj.ConcentratedElectrolyte(law, C0, T, (2, -1) if stretched else 1)
    numbers = map(jnp.asarray, (0.1 if stretched else 0.0, ripple, -3 * THERMAL))
    exact = Waves(*numbers, salt)
    ratios = (2.0, 1.0, 0.5) if stretched else (1.0, 1.0, 1.0)
    grid = stretched_grid(shape, LENGTHS, ratios, (False, stretched, False))
    porosity, tau, sigma = _host(exact, grid)
    cell = dj.Cell(
        Scaffold.homogenised(grid, porosity, tuple(tau), AREA, wall_distance=REACH),
        salt,
        kinetics=dj.ButlerVolmer(I0, *ALPHA),
        film_resistance=dj.Film(**FILM, volume_per_charge=growth),
        counter_electrode="reservoir",
        plated_collector=False,
        solid_conductivity=sigma,
    )
    return sourced(cell, exact)


@eqx.filter_jit
def _host(exact, grid):
    tau = jnp.moveaxis(exact.over(grid, exact.tortuosity), -1, 0)
    return exact.over(grid, exact.porosity), tau, exact.over(grid, exact.conductivity)


@eqx.filter_jit
def left_over(balance, y, t):
    """What the exact fields leave of the equations, per volume."""
    x, i = balance.at(t)
    exact, model = balance.exact, balance.model
    a = jnp.asarray(1.0)
    gained = exact.over(model.grid, jax.grad(exact.concentration, 1), t) / C0
    before = eqx.tree_at(lambda f: f.c, x, model.storage * (x.c - a * gained))
    known = dataclasses.replace(y, fields=before, use=Use(t - a, y.use.crossed))
    stage = balance.stage(t, known, a)
    inner = stage.inner(x, y.reactions)
    r = by_name(stage.residual(x, inner), (inner.host.current - i) * model.grid.volumes)
    return {name: each / model.grid.volumes for name, each in r.items()}


@pytest.mark.slow
def test_exact_fields_solve_the_equations_to_second_order():
    # Beside the sides that are natural or held, a cell loses one order, and no more.
    means, time = [], jnp.asarray(0.35 * END)
    for n in (16, 32):
        left = left_over(*problem((n, n, n), stretched=True), time)
        inner = {name: np.asarray(r)[1:-1, :, 1:-1] for name, r in left.items()}
        means.append({name: np.sqrt(np.mean(r**2)) for name, r in inner.items()})
    for name in ("c", "liquid", "solid"):
        order = observed_orders([mean[name] for mean in means])[0]
        assert order > 1.9, f"{name}: {order}"
    # Of place alone: at the same fields the current is the same.
    assert max(mean["current"] for mean in means) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("stretched", [False, True])
def test_order_in_space(stretched):
    errors = []
    for n in (8, 16, 32):
        balance, y = problem((n, n, n), stretched=stretched)
        errors.append(errors_of(balance, y, 2, END))
    for name in errors[0]:
        orders = observed_orders([error[name] for error in errors])
        assert orders[-1] > 1.9, f"{name}: {orders}"


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 1, 4), (8, 8, 8)])
def test_order_in_time(shape):
    # Here charge makes the film grow too: its resistance doubles.
    balance, y = problem(shape, ripple=0.1, growth=1e-10)
    ends = []
    for count in (8, 16, 32, 64):
        end = end_of(balance, y, count, END)
        passed = {"charge": end.charge, "crossed": end.use.crossed[0]}
        ends.append(by_name(end.fields, end.reactions.host.current) | passed)
    for name in ends[0]:
        values = [np.asarray(end[name]) for end in ends]
        off = [np.max(np.abs(b - a)) for a, b in itertools.pairwise(values)]
        orders = observed_orders(off)
        assert orders[-1] > 1.9, f"{name}: {orders}"
