"""Optima that are known (case r25), reached by their gradients from a flat start.

OPT1  most charge in a fixed time with c_s ≥ 0, half-infinite plane: Cottrell's current,
      Q/Q_constant = 4/π; N equal segments: the numbers of the case
OPT2  even plating in a linear host, σ → ∞:  a i₀f = (J/L)/(|η₀| + J z²/(2Lκ))
OPT3  two patches of film in parallel: currents are equal where the films are
OPT4  dG/dk_e = |∇φ|² V_e/Δφ²
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import D, graded_widths, lithium_salt
from optima import descend, descend_under

import depojax as dj
from depojax import objectives
from depojax.design.constraints import AugmentedLagrangian, Constraint
from depojax.design.optimise import optimise
from depojax.fv.grid import Grid
from depojax.fv.operators import conductances, without_ends
from depojax.problems.currents import AbstractCurrent
from depojax.problems.salt_balance import solve_diffusion
from depojax.problems.waveforms import PulseTrain
from depojax.solvers.linear import DiffusionOperator
from depojax.solvers.multigrid import build_hierarchy
from depojax.solvers.stencil import FaceStencil
from depojax.units import FARADAY, GAS_CONSTANT

GAIN = {
    1: 1.0,
    2: 1.1213203435596426,
    4: 1.194559281937482,
    8: 1.2335538610896453,
    16: 1.2533572742348384,
    32: 1.2632938213836569,
    64: 1.2682661321008721,
}
FIRST = {2: 1.414213562373095, 4: 2.0, 8: 2.82842712474619, 64: 8.0}
FINE = 64
TIME = 500.0  # [s]


@pytest.fixture(scope="module")
def waveform():
    """Best currents of N ≤ 64 segments, over that of Sand: one program for all N.

    Sand's closed form and superposition: c_s/c₀ = 1 − Σ ΔJ_j √((t − t_j)/τ₁) with
    τ₁ = τ(1 A m⁻²).
    """
    unit = float(dj.planar_sand_time(lithium_salt(), 1.0))
    sand = np.sqrt(unit / TIME)
    times = jnp.linspace(TIME / FINE, TIME, FINE)
    since = jnp.clip(times[:, None] - times[None, :] + TIME / FINE, 0.0)
    begun = jnp.sqrt(since / unit) * sand
    response = begun - jnp.pad(begun, ((0, 0), (0, 1)))[:, 1:]

    def best(n):
        segment = jnp.arange(FINE) * n // FINE
        # Within a segment the wall is poorest at its end.
        is_end = jnp.diff(segment, append=n) > 0

        def currents(x):
            return x[segment]

        x, multipliers = descend_under(
            lambda x: -jnp.mean(currents(x)),
            lambda x: jnp.where(is_end, 1 - response @ currents(x), 1.0),
            jnp.ones(FINE),
            weight=3.0,
            rounds=40,
            steps=60,
        )
        return np.asarray(currents(x)), np.asarray(multipliers), np.asarray(response)

    return best


@pytest.mark.parametrize(
    "n", [2, 64, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4, 8, 16, 32))]
)
def test_most_charge_before_depletion(waveform, n):
    J, multipliers, response = waveform(n)
    assert float(np.mean(J)) == pytest.approx(GAIN[n], rel=1e-3)
    assert float(np.max(response @ J)) < 1 + 2e-4
    if n in FIRST:
        assert J[0] == pytest.approx(FIRST[n], rel=1e-2)
    # Strong duality of a linear program: the multipliers are worth the charge.
    assert float(np.sum(multipliers)) == pytest.approx(float(np.mean(J)), rel=2e-3)


@pytest.mark.slow
def test_many_segments_tend_to_four_over_pi(waveform):
    gains = [np.mean(waveform(n)[0]) for n in (32, 64)]
    # the gap halves with the segments
    assert 2 * gains[1] - gains[0] == pytest.approx(4 / np.pi, rel=1e-3)


class Segments(AbstractCurrent):
    """Currents that follow each other, each for the same time."""

    train: PulseTrain

    def value(self, time):
        return self.train.value(time)

    def integral(self, time):
        return self.train.integral(time)

    def next_switch(self, time):
        return self.train.next_switch(time)

    @property
    def mean(self):
        return jnp.mean(self.train.levels)

    @property
    def highest(self):
        return jnp.max(self.train.levels)


@pytest.mark.slow
def test_most_charge_out_of_a_cell():
    """OPT1 through the transport itself: four segments over a half-infinite cell.

    The wall's concentration at the end of each segment is that of a run at a fifth of
    the current, so that none ends at depletion (they are linear).
    """
    n, part = 4, 0.2
    widths = graded_widths(60, 6 * np.sqrt(D * TIME), 30.0)
    host = dj.Scaffold.open(Grid((np.full(1, 1e-5), np.full(1, 1e-5), widths)))
    cell = dj.Cell(host, lithium_salt(), counter_electrode="half_infinite")
    sand = np.sqrt(float(dj.planar_sand_time(lithium_salt(), 1.0)) / TIME)
    ends = jnp.arange(1.0, n + 1.0) * (TIME / n)

    def left(x):
        current = Segments(PulseTrain(part * sand * x, jnp.full(n, TIME / n)))

        def at(end):
            run = dj.sand_time(cell, current, max_time=end)
            return run.wall_concentration[0, 0, 0] / 1000.0

        return 1 - (1 - jax.lax.map(at, ends)) / part

    found = optimise(
        lambda x: -jnp.mean(x),
        jnp.ones(n),
        optimizer=optax.lbfgs(),
        steps=150,
        constraints=AugmentedLagrangian(
            Constraint("salt left", left, at_least=0.0), penalty=3.0, every=10
        ),
        confirm=False,
    )
    J = found.design
    # What a little more salt at each end would be worth: all of the charge.
    worth = float(jnp.sum(jnp.abs(found.multipliers["salt left"])))
    assert worth == pytest.approx(GAIN[n], rel=5e-3)
    assert float(jnp.mean(J)) == pytest.approx(GAIN[n], rel=1e-3)
    known = [2.0, 1.1715728752538097, 0.8790441353698656, 0.7276201171262526]
    np.testing.assert_allclose(J, known, rtol=1e-2)
    # And at full current that waveform just lasts.
    spent = Segments(PulseTrain(sand * 0.998 * J, jnp.full(n, TIME / n)))
    assert not bool(dj.sand_time(cell, spent, max_time=TIME * 0.9999).depleted)


LENGTH, KAPPA, CURRENT, ETA = 1e-4, 0.5, 100.0, 0.02


def even_host(z, eta=ETA):
    """The area profile a i₀f of OPT2 [S m⁻³]."""
    return CURRENT / LENGTH / (eta + CURRENT * z**2 / (2 * LENGTH * KAPPA))


@pytest.mark.slow
def test_even_plating_in_a_linear_host():
    """OPT2 by our own solver: κφ'' = a i₀f φ, the current enters at the top.

    With the mean of a held at that of the known profile.
    """
    n = 32
    h = LENGTH / n
    grid = Grid.uniform((1, 1, n), h)
    open_faces = jnp.ones((2, 1, n)), jnp.ones((1, 2, n)), jnp.ones((1, 1, n + 1))
    inside = without_ends(conductances(grid, open_faces), grid.periodic)
    x, y, z = (KAPPA * face for face in inside)
    stencil = FaceStencil.of_conductance((x, y, z), grid.periodic)
    inflow = jnp.zeros((1, 1, n)).at[..., -1].set(CURRENT * h * h)
    heights = (np.arange(n) + 0.5) * h
    target = even_host(heights)

    def profile(x):
        a = jnp.exp(x - jnp.max(x))
        return a / jnp.mean(a) * target.mean()

    def rates(x):
        loss = (profile(x) * h**3)[None, None]
        none = jnp.zeros_like(loss)
        hierarchy = build_hierarchy(grid, none, loss, stencil, jnp.float64)
        operator = DiffusionOperator(none, loss, stencil, jnp.zeros(()))
        phi, _, _ = solve_diffusion(operator, hierarchy, inflow, none, 1e-13)
        return (loss * phi / (CURRENT * h**3 / LENGTH)).ravel()

    def loss(x):
        return jnp.log(jnp.mean((rates(x) - 1) ** 2) + 1e-12)

    start = jnp.zeros(n)
    assert float(jnp.ptp(rates(start))) > 0.3
    x, _ = descend(loss, start, 150)
    np.testing.assert_allclose(rates(x), 1.0, atol=1e-3)
    np.testing.assert_allclose(profile(x), target, rtol=1e-3)


@pytest.mark.slow
def test_even_plating_by_area_and_by_film():
    """OPT2 and OPT3 through `simulate`: areas of layers, and films of two patches.

    Two columns with films of their own stand side by side; layers share their area.
    The rate per volume is even where the area follows the formula, and the columns
    plate alike where their films are alike.
    """
    n = 10
    thermal = GAS_CONSTANT * 298.15 / FARADAY
    exchange, film = 20.0, 2e-4
    side = np.full(2, 1e-5)
    grid = Grid((side, side[:1], np.full(n, LENGTH / n)))
    salt = dj.BinaryElectrolyte(
        3e4, 1e-7, 0.99, conductivity=KAPPA, thermodynamic_factor=1e-9
    )
    heights = (np.arange(n) + 0.5) * LENGTH / n
    resistance = thermal / exchange + film  # [Ω m²]
    target = even_host(heights) * resistance  # a [m⁻¹]

    def cell(x):
        a = jnp.exp(x[:n])
        a = a / jnp.mean(a) * target.mean()
        films = jnp.stack([jnp.asarray(film), film * jnp.exp(x[n])])
        return dj.Cell(
            dj.Scaffold.homogenised(grid, 1.0, 1.0, a[None, None, :]),
            salt,
            kinetics=dj.LinearKinetics(exchange, exponent=0.0),
            film_resistance=jnp.broadcast_to(films[:, None, None], grid.shape),
            counter_electrode="reservoir",
            plated_collector=False,
        )

    drive = dj.Galvanostatic(CURRENT, time=1e-3)
    fill = objectives.FillBeforeClosure(drive, power=2.0)

    def loss(x):
        run = dj.simulate(cell(x), drive)
        columns = jnp.sum(run.local_current_density * run.cell.scaffold.surface_area, 2)
        apart = (columns[0, 0] - columns[1, 0]) / jnp.sum(columns)
        return jnp.log(1 - fill(run) + apart**2 + 1e-10)

    start = jnp.zeros(n + 1).at[n].set(0.7)
    x, _ = descend(loss, start, 60)
    found = jnp.exp(x[:n])
    found = found / jnp.mean(found) * target.mean()
    np.testing.assert_allclose(found, target, rtol=1e-3)
    assert abs(float(x[n])) < 1e-3


def test_adjoint_identity_of_conduction():
    """OPT4, half voxel by half voxel: dG/dk_e = Σ (q/(k_e A))² V_e/2 / Δφ², exactly.

    Written without the solver's operators, from the potential alone.
    """
    k = np.random.default_rng(1).uniform(0.2, 3.0, (5, 4, 6))

    def conductance(k):
        return dj.tortuosity(k, "z", linear_tolerance=1e-12).effective_diffusivity

    slopes = np.asarray(jax.grad(conductance)(jnp.asarray(k)))
    phi = np.asarray(dj.tortuosity(k, "z", linear_tolerance=1e-12).field)
    squares = np.zeros_like(k)
    for axis in range(3):
        u, c = np.moveaxis(phi, axis, 0), np.moveaxis(k, axis, 0)
        flux = (u[1:] - u[:-1]) / (0.5 / c[1:] + 0.5 / c[:-1])
        ends = np.zeros_like(u[:1]), np.zeros_like(u[:1])
        if axis == 2:  # held at 1 and 0, half a voxel away
            ends = 2 * c[:1] * (u[:1] - 1), 2 * c[-1:] * (0 - u[-1:])
        flux = np.concatenate([ends[0], flux, ends[1]])
        square = (flux[1:] ** 2 + flux[:-1] ** 2) / 2 / c**2
        squares += np.moveaxis(square, 0, axis)
    # D_eff = G L/A in voxels
    expected = squares * 6**2 / k.size
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)
    assert float(conductance(jnp.asarray(k))) == pytest.approx(
        np.sum(k * expected), rel=1e-9
    )


@pytest.mark.slow
def test_scaling_of_objectives_in_three_dimensions():
    """C10: with one length (the voxel size) dimensions alone give the slopes.

    dlnτ/dlnc₀ = −dlnτ/dlnJ, dlnτ/dlnD = −1 − dlnτ/dlnJ, dlnτ/dlnL = 2 + dlnτ/dlnJ.
    """
    eps = jnp.asarray(np.random.default_rng(2).uniform(0.6, 0.95, (3, 3, 6)))

    @jax.jit
    def log_time(logs):
        diffusivity, c0, J, voxel = jnp.exp(logs)
        grid = Grid([jnp.full(n, 1.0) * voxel for n in eps.shape])
        area = 4 * (1 - eps) / voxel
        host = dj.Scaffold.homogenised(
            grid, eps, eps**-0.5, area, wall_distance=0.3 * voxel
        )
        salt = dj.BinaryElectrolyte(c0, diffusivity, 0.38)
        gap = dj.Separator(2 * voxel, cells=2)
        cell = dj.Cell(host, salt, separator=gap)
        steps = dj.Steps(tolerance=1e-6)
        time = objectives.SandTime(J, depleted_share=0.2, steps=steps)(cell)
        return jnp.log(time)

    logs = jnp.log(jnp.asarray([D, 1000.0, 2e3, 10e-6]))
    slope_D, slope_c, slope_J, slope_L = jax.grad(log_time)(logs)
    assert float(slope_J) < -1.2
    assert float(slope_c) == pytest.approx(-float(slope_J), rel=1e-6)
    # A length and D scale time as well, and the steps of a run are held.
    assert float(slope_D) == pytest.approx(-1 - float(slope_J), abs=2e-3)
    assert float(slope_L) == pytest.approx(2 + float(slope_J), abs=2e-3)
