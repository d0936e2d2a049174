"""Sand's time of cells whose current goes where kinetics and potentials send it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY

D, SHARE, C0, LENGTH = 3e-10, 0.38, 1000.0, 1e-3
LIMIT = 2 * FARADAY * D * C0 / ((1 - SHARE) * LENGTH)


def gap(n=64, **options):
    """Two foils, with kinetics; the salt has constant properties."""
    side = np.full(1, 1e-5)
    widths = np.concatenate([LENGTH / n * np.ones(n)])
    salt = dj.BinaryElectrolyte(C0, D, SHARE, conductivity=1.0)
    kinetics = dj.ButlerVolmer(30.0)
    given = {"kinetics": kinetics, "counter_kinetics": kinetics} | options
    return dj.Cell(Scaffold.open(Grid((side, side, widths))), salt, **given)


@pytest.fixture(scope="module")
def depleted():
    return dj.sand_time(gap(), 1.5 * LIMIT)


def test_a_flat_wall_knows_no_other_place(depleted):
    # All current goes through one place: kinetics change nothing (r01, S2_gap_1.50).
    assert bool(depleted.depleted)
    assert float(depleted.time) == pytest.approx(300.14200902, rel=1e-3)
    assert float(depleted.capacity) == pytest.approx(
        1.5 * LIMIT * float(depleted.time), rel=1e-12
    )
    assert float(depleted.salt_balance_error) < 1e-12
    assert float(depleted.location[2]) < LENGTH / 64
    assert "Ions run out after 299.9 s" in depleted.message


def test_what_it_took_is_recorded(depleted):
    newton, stages = int(depleted.newton_steps), 2 * int(depleted.attempts)
    assert stages <= newton <= 10 * stages
    assert newton <= int(depleted.linear_iterations) <= 20 * newton


def test_history_tells_the_voltage(depleted):
    history = depleted.history
    kept = np.isfinite(np.asarray(history.time))
    voltage = np.asarray(history.values["voltage"])[kept]
    assert np.all(np.diff(voltage) < 0)
    assert voltage[-1] < -0.3
    lowest = np.asarray(history.values["lowest_wall_concentration"])[kept]
    assert lowest[-1] == pytest.approx(1e-4 * C0, rel=1e-3)


def test_below_the_limit_it_becomes_steady():
    solution = dj.sand_time(gap(), 0.8 * LIMIT)
    assert not bool(solution.depleted)
    assert float(solution.time) == np.inf
    assert float(solution.end_time) == np.inf
    # c₀ (1 − J/J*) at the plated side.
    lowest = float(jnp.min(solution.wall_concentration[0, 0]))
    assert lowest == pytest.approx(0.2 * C0, rel=2e-3)
    assert "becomes steady" in solution.message


def test_refusals():
    with pytest.raises(ValueError, match=r"run_on: expected .* spread evenly"):
        dj.sand_time(gap(), 2 * LIMIT, run_on=2.0)
    unknown = dj.BinaryElectrolyte(C0, D, SHARE)
    with pytest.raises(ValueError, match="known conductivity"):
        dj.sand_time(gap().replace(electrolyte=unknown), 2 * LIMIT)


@pytest.mark.slow
def test_gradient():
    # dlnτ/dlnJ of the gap at 1.5 J* by central differences of the closed-form series
    # is that of the even current: r01 has 1.2488829 for dlnτ/dlnD, and
    # dlnτ/dlnD = −1 − dlnτ/dlnJ.
    def log_time(log_J):
        return jnp.log(dj.sand_time(gap(32), jnp.exp(log_J)).time)

    at = jnp.log(1.5 * LIMIT)
    slope = jax.grad(log_time)(at)
    assert float(slope) == pytest.approx(-2.2488829, rel=2e-3)
    h = 1e-4
    difference = (log_time(at + h) - log_time(at - h)) / (2 * h)
    assert float(slope) == pytest.approx(float(difference), rel=1e-5)


@pytest.mark.slow
def test_slow_kinetics_spread_the_current_evenly():
    # A Wagner number far above one, and no diffusion potential that would keep current
    # from where salt is scarce: the coupled answer is that of the even current.
    host = dj.gyroid((12, 12, 12), 6e-6, porosity=0.8, period=72e-6)
    salt = dj.BinaryElectrolyte(
        C0, D, SHARE, conductivity=10.0, thermodynamic_factor=1e-9
    )
    options = {"separator": 18e-6, "counter_electrode": "blocked"}
    even = dj.sand_time(dj.Cell(host, salt, **options), 300.0)
    slow = dj.Tafel(1e-6, exponent=0.0)
    coupled = dj.sand_time(dj.Cell(host, salt, kinetics=slow, **options), 300.0)
    assert float(coupled.time) == pytest.approx(float(even.time), rel=0.02)
