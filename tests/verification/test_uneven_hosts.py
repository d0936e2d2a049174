"""Surfaces and solids that are not the same everywhere, on one host.

Films     patches of SEI: the better conductor plates first; thicker where more passed
Solid     a conductivity that changes 1e7 times from place to place
"""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

THERMAL = GAS_CONSTANT * 298.15 / FARADAY
I0, J = 20.0, 20.0
# 30 % of the metal lie below one film, the rest below another.
SHARES = np.array([0.3, 0.7])


def patched(conductivities, growth):
    """Two patches side by side under an electrolyte that takes no potential."""
    length, n = 1e-5, 2
    grid = Grid((1e-5 * SHARES, np.full(1, 1e-5), np.full(n, length / n)))
    film = dj.Film(
        2e-8,
        jnp.broadcast_to(jnp.asarray(conductivities)[:, None, None], grid.shape),
        volume_per_charge=growth,
    )
    return dj.Cell(
        Scaffold.homogenised(grid, 0.5, 1.0, 1 / length),
        dj.BinaryElectrolyte(
            3e4, 1e-7, 0.99, conductivity=1e3, thermodynamic_factor=1e-9
        ),
        kinetics=dj.ButlerVolmer(I0, exponent=0.0),
        counter_electrode="reservoir",
        plated_collector=False,
        film_resistance=film,
    )


def shared_out(resistances):
    """The currents of the two patches [A m⁻²], from one equation for the voltage."""

    def current(V, R):
        def residual(i):
            eta = (V + i * R) / THERMAL
            return i - I0 * (np.exp(-eta / 2) - np.exp(eta / 2))

        return brentq(residual, 0.0, -V / R, xtol=1e-13, rtol=1e-14)

    def both(V):
        return np.array([current(V, R) for R in resistances])

    return both(brentq(lambda V: SHARES @ both(V) - J, -6.0, -1e-6, xtol=1e-14))


@pytest.mark.slow
def test_the_better_conducting_patch_plates_first():
    # r08, K3: Li₂S and, beside it, a conductor a thousand times worse.
    run = dj.simulate(patched([1e-3, 1e-6], 0.0), dj.Galvanostatic(J, time=5.0))
    local = np.asarray(run.local_current_density)[:, 0]
    np.testing.assert_allclose(local[0], 59.819057448597, rtol=1e-4)
    np.testing.assert_allclose(local[1], 2.934689664887, rtol=1e-4)
    assert float(run.final_voltage) == pytest.approx(-0.062460406633289, rel=1e-4)


@pytest.mark.slow
def test_a_film_that_grows_evens_the_patches_out():
    kappa, growth, time = np.array([1e-5, 1e-6]), 5e-12, 2000.0

    def rate(_, charge):
        return shared_out((2e-8 + growth * charge) / kappa)

    known = solve_ivp(rate, (0, time), [0.0, 0.0], rtol=1e-8, atol=1e-6)
    cell = patched(kappa, growth)
    run = dj.simulate(cell, dj.Galvanostatic(J, time=time))
    plated = np.asarray(run.plated_charge)[:, 0]
    np.testing.assert_allclose(plated, known.y[:, -1:] + 0 * plated, rtol=1e-3)
    now, first = rate(0, known.y[:, -1]), rate(0, np.zeros(2))
    local = np.asarray(run.local_current_density)[:, 0]
    np.testing.assert_allclose(local, now[:, None] + 0 * local, rtol=1e-3)
    assert now[0] / now[1] < 0.9 * first[0] / first[1]


def conducting(sigma, spacing):
    """The matrix of −∇·σ∇ between cells, and conductances to the collector [S]."""
    n = sigma.shape
    number = np.arange(sigma.size).reshape(n)
    rows, columns, values = [], [], []
    for axis in range(3):
        low = np.take(number, range(n[axis] - 1), axis).ravel()
        high = np.take(number, range(1, n[axis]), axis).ravel()
        here, there = sigma.ravel()[low], sigma.ravel()[high]
        g = spacing * 2 * here * there / (here + there)
        rows += [low, high]
        columns += [high, low]
        values += [-g, -g]
    between = coo_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(sigma.size, sigma.size),
    ).tocsr()
    contact = np.zeros(n)
    contact[..., 0] = 2 * spacing * sigma[..., 0]
    return diags_array(contact.ravel() - between.sum(axis=1)) + between


@pytest.mark.slow
def test_a_conductivity_that_changes_ten_million_times():
    n, spacing = 6, 2e-6
    rng = np.random.default_rng(5)
    sigma = 10 ** rng.uniform(-4.0, 3.0, (n, n, n))
    sigma[2, 3, 1], sigma[4, 1, 3] = 1e-4, 1e3
    width = np.full(n, spacing)
    cell = dj.Cell(
        Scaffold.homogenised(Grid((width,) * 3), 0.5, 1.0, 1e5),
        dj.BinaryElectrolyte(1000.0, 1e-9, 0.4, conductivity=1.0),
        kinetics=dj.ButlerVolmer(300.0),
        counter_kinetics=dj.ButlerVolmer(300.0),
        separator=1e-5,
        plated_collector=False,
        solid_conductivity=sigma,
    )
    run = dj.simulate(cell, dj.Galvanostatic(200.0, time=1.0))
    assert float(jnp.max(run.charge_imbalance)) < 1e-8
    taken = run.local_current_density * cell.domain().wall_area
    taken = np.asarray(taken)[..., :n]
    # ∇·σ∇φ + a i = 0 with φ = V at the collector, solved directly.
    fall = spsolve(conducting(sigma, spacing).tocsc(), taken.ravel()).reshape(
        taken.shape
    )
    solid = np.asarray(run.solid_potential)[..., :n] - float(run.final_voltage)
    np.testing.assert_allclose(solid, fall, rtol=1e-6, atol=1e-12)
    assert fall.max() > 0.05 * THERMAL
    total = np.sum(taken * fall) / (200.0 * (n * spacing) ** 2)
    assert float(run.voltage_parts["solid"]) == pytest.approx(-total, rel=1e-6)
