"""Impedance against closed forms (r26 and its like), and against runs in time."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.cell_model import Fields
from depojax.problems.coupled import Drive, Stage, at_rest
from depojax.problems.simulate import discrete_cell
from depojax.problems.small_signal import TwoByTwo, oscillating
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.gmres import AbstractPreconditioner
from depojax.units import FARADAY, GAS_CONSTANT, um

T = 298.15
THERMAL = GAS_CONSTANT * T / FARADAY
C0 = 1000.0


def column(n, length):
    side = np.full(1, 1e-5)
    return Grid((side, side, np.full(n, length / n)))


def symmetric(n, length=5e-4, ions=(2e-10, 4e-10), i0=(30.0, 30.0), film=1e-4):
    """Two foils at a distance in a dilute salt, a film on both."""
    return dj.Cell(
        Scaffold.open(column(n, length)),
        dj.ConcentratedElectrolyte(dj.IdealDilute(*ions), C0),
        kinetics=dj.ButlerVolmer(i0[0]),
        counter_kinetics=dj.ButlerVolmer(i0[1]),
        film_resistance=film,
        counter_film_resistance=film,
    )


def closed_form(
    omega, length=5e-4, ions=(2e-10, 4e-10), i0=(30.0, 30.0), film=1e-4, C=(0, 0)
):
    """Z = L/κ (1 + (t₋/t₊) tanh s/s) + Σ (R_f + R_ct/(1 + iωR_ct C)), s² = iωL²/4D."""
    cation, anion = ions
    kappa = FARADAY * C0 * (cation + anion) / THERMAL
    D = 2 * cation * anion / (cation + anion)
    s = np.sqrt(1j * omega * length**2 / (4 * D))
    Z = length / kappa * (1 + anion / cation * np.tanh(s) / s)
    for exchange, capacitance in zip(i0, C, strict=True):
        R = THERMAL / exchange
        Z = Z + film + R / (1 + 1j * omega * R * capacitance)
    return Z


def relative(found, expected):
    return np.abs(np.asarray(found) - expected) / np.abs(expected)


# r26, EIS_cell: ω [s⁻¹] and Z [Ω m²].
OMEGA = np.array([1e-5, 1e-3, 1e-2, 0.1, 10.0])
TABLE = np.array(
    [
        2.5785503284574355e-3 - 3.467e-7j,
        2.5753291318002733e-3 - 3.4367e-5j,
        2.407456752317758e-3 - 1.8459945205542383e-4j,
        2.1995219381975946e-3 - 6.463237181343169e-5j,
        2.1412248544027015e-3 - 6.482231183823962e-6j,
    ]
)


@pytest.mark.slow
def test_symmetric_cell():
    found = dj.impedance(symmetric(80), OMEGA / (2 * np.pi))
    assert np.all(relative(found.impedance, TABLE) < 1e-3)
    assert np.all(relative(found.impedance, TABLE)[:3] < 5e-5)
    assert np.all(relative(closed_form(OMEGA), TABLE) < 1e-5)
    assert int(jnp.max(found.linear_iterations)) < 25
    # Other numbers, electrodes that differ, and their double layers behind the film.
    case = {"length": 8e-5, "ions": (7e-10, 3e-10), "i0": (5.0, 80.0), "film": 3e-4}
    omega = np.geomspace(1e-3, 1e5, 9)
    found = dj.impedance(
        symmetric(80, **case),
        omega / (2 * np.pi),
        double_layer_capacitance=0.2,
        counter_double_layer_capacitance=0.05,
    )
    expected = closed_form(omega, C=(0.2, 0.05), **case)
    assert np.all(relative(found.impedance, expected) < 1e-3)
    assert np.all(relative(found.impedance.imag, expected.imag)[:6] < 1e-3)


@pytest.mark.slow
def test_order_of_the_diffusion_impedance():
    omega = np.array([3e-3, 3e-2])
    expected = closed_form(omega)
    errors = [
        relative(dj.impedance(symmetric(n), omega / (2 * np.pi)).impedance, expected)
        for n in (10, 20, 40)
    ]
    assert np.all(observed_orders(np.max(errors, axis=1)) > 1.9)


def porous(n, *, sigma=None, length=1e-4, area=1e5, R_ct=2e-3):
    """De Levie's electrode: salt that cannot change, t₊ = 1 but for 1e-6."""
    c0 = 3e4
    return dj.Cell(
        Scaffold.homogenised(column(n, length), 1.0, 1.0, area),
        dj.BinaryElectrolyte(c0, 1e-7, 1 - 1e-6, conductivity=0.3),
        kinetics=dj.ButlerVolmer(THERMAL / R_ct, reference_concentration=c0),
        counter_electrode="reservoir",
        plated_collector=False,
        solid_conductivity=sigma,
    )


def two_rails(omega, *, sigma=np.inf, length=1e-4, area=1e5, R_ct=2e-3, C=0.1):
    """Ions enter at one end, electrons at the other; rails 1/κ and 1/σ.

    cosh and sinh solution of φ_l″ = κ⁻¹ a y (φ_l − φ_s), φ_s″ = −σ⁻¹ a y (φ_l − φ_s);
    √(rz) coth(√(r/z) L) of r26 where σ is infinite.
    """
    r, s = 1 / 0.3, 1 / sigma
    z = R_ct / (1 + 1j * omega * R_ct * C) / area
    k = np.sqrt((r + s) / z)
    along = length + 2 / (k * np.sinh(k * length))
    ends = (r**2 + s**2) / np.tanh(k * length) / k
    return (r * s * along + ends) / (r + s)


PORE = np.array([1.0, 1e2, 1e3, 1e4, 3e4])


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [np.inf, 0.8])
def test_porous_electrode_is_a_transmission_line(sigma):
    expected = two_rails(PORE, sigma=sigma)
    if sigma == np.inf:
        # r26, EIS_tlm, as it is printed there.
        r, z = 1 / 0.3, 2e-3 / (1 + 1j * PORE * 2e-4) / 1e5
        levie = np.sqrt(r * z) / np.tanh(np.sqrt(r / z) * 1e-4)
        assert np.all(relative(expected, levie) < 1e-12)
    errors = []
    for n in (16, 32, 64):
        cell = porous(n, sigma=None if sigma == np.inf else sigma)
        found = dj.impedance(cell, PORE / (2 * np.pi), double_layer_capacitance=0.1)
        errors.append(np.max(relative(found.impedance, expected)))
    assert errors[-1] < 1e-3
    assert np.all(observed_orders(errors) > 1.8)


@pytest.mark.slow
def test_around_a_current_the_slow_limit_is_the_slope_of_the_voltage():
    # r02, C3 at 0.6 of the limit: dV/dJ in closed form, with a γ that matters there.
    salt = symmetric(40)
    run = dj.simulate(salt, dj.Galvanostatic(92.62591883837761, time=1e6))
    found = dj.impedance(salt, 1e-7, state=run)
    assert float(found.impedance[0].real) == pytest.approx(2.487189921e-3, rel=5e-4)
    # And it differs from that at rest.
    rest = dj.impedance(salt, 1e-7)
    assert float(rest.impedance[0].real) == pytest.approx(2.57855e-3, rel=1e-4)


@pytest.mark.slow
def test_gradient_of_the_spectrum():
    R, C, omega = THERMAL / 30.0, 20.0, 30.0  # ωRC ≈ 1/2
    base = symmetric(6)

    def part(i0, mode):
        cell = base.replace(kinetics=dj.ButlerVolmer(i0))
        found = dj.impedance(
            cell, omega / (2 * np.pi), double_layer_capacitance=C
        ).impedance[0]
        return jnp.where(mode, found.imag, found.real) / R

    i0 = jnp.asarray(30.0)
    exact = -1 / 30.0 / (1 + 1j * omega * R * C) ** 2
    for mode, expected in ((False, exact.real), (True, exact.imag)):
        mode = jnp.asarray(mode)
        reverse = jax.grad(part)(i0, mode)
        _, forward = jax.jvp(lambda i0, m=mode: part(i0, m), (i0,), (1 + 0 * i0,))
        slope = (part(i0 + 1e-3, mode) - part(i0 - 1e-3, mode)) / 2e-3
        assert float(reverse) == pytest.approx(float(forward), rel=1e-7)
        assert float(reverse) == pytest.approx(float(slope), rel=2e-6)
        assert float(reverse) == pytest.approx(expected, rel=2e-6)


@cache
def host():
    return Scaffold.from_function(
        lambda x, y, z: z + 0.5e-6 * jnp.cos(x * 6e5) - 6.3e-6, (5, 4, 6), 2 * um
    )


LAW = dj.ConcentratedElectrolyte(dj.electrolytes.lipf6_ec_emc, 1000.0)


def disturbed(sigma, omega, capacitance):
    """The linear system around a state far from rest, and something to apply it to."""
    cell = dj.Cell(
        host(),
        LAW,
        separator=6 * um,
        kinetics=dj.ButlerVolmer(10.0),
        film_resistance=1e-3,
        solid_conductivity=sigma,
    )
    model = discrete_cell(cell)
    rng = np.random.default_rng(1)

    def shaken(x, size):
        return jax.tree.map(
            lambda v: v + size * jnp.asarray(rng.normal(size=v.shape)), x
        )

    rest = at_rest(model).fields
    x = shaken(rest, 0.1)
    nothing = jax.tree.map(jnp.zeros_like, rest)
    C = (jnp.asarray(capacitance),) * 3
    system = oscillating(model, x, jnp.asarray(omega), C)
    pairs = [(shaken(nothing, 1.0), shaken(nothing, 1.0)) for _ in range(2)]
    return x, system, pairs


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [None, 20.0])
def test_without_a_double_layer_it_is_the_jacobian_of_a_run(sigma):
    x, system, ((direction, _), _) = disturbed(sigma, 0.3, 0.0)
    model = system.storing.model

    @jax.jit
    def both(x, direction):
        zero = jnp.zeros(())
        drive = Drive(zero, jnp.asarray(True))
        stage = Stage(model, drive, model.storage * x.c, 1 / jnp.asarray(0.3))

        def residual(x):
            return stage.residual(x, model.reactions(x))

        expected = jax.jvp(residual, (x,), (direction,))[1]
        steady, stored = system((direction, jax.tree.map(jnp.zeros_like, direction)))
        return jax.tree.map(jnp.add, steady, stored), expected

    for found, expected in zip(*map(jax.tree.leaves, both(x, direction)), strict=True):
        scale = float(jnp.max(jnp.abs(expected)))
        np.testing.assert_allclose(found, expected, atol=1e-11 * scale)


class Weights(AbstractPreconditioner):
    """An inverse that is its own transpose."""

    weights: Fields

    def __call__(self, residual):
        return jax.tree.map(jnp.multiply, self.weights, residual)

    def transpose(self):
        return self


@pytest.mark.slow
def test_preconditioner_transposes():
    x, system, (u, v) = disturbed(20.0, 3.0, 0.5)
    near: Any = Weights(jax.tree.map(lambda a: 1e5 * (1 + jnp.tanh(a)), u[0]))
    inverse = TwoByTwo(near, system.storing, x)

    def inner(a, b):
        leaves = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
        return float(sum(jnp.vdot(p, q) for p, q in leaves))

    back = inner(inverse.transpose()(u), v)
    assert inner(u, inverse(v)) == pytest.approx(back, rel=1e-10)


def test_refusals():
    cell = symmetric(4)
    with pytest.raises(ValueError, match="frequencies: expected within"):
        dj.impedance(cell, [0.0, 1.0])
    with pytest.raises(ValueError, match="double_layer_capacitance: expected within"):
        dj.impedance(cell, 1.0, double_layer_capacitance=-0.1)
    with pytest.raises(ValueError, match="state: expected a Simulation, got str"):
        dj.impedance(cell, 1.0, state="rest")
    with pytest.raises(ValueError, match=r"cell: expected a depojax\.Cell"):
        dj.impedance("cell", 1.0)
