"""`sand_time` on small cells: salt kept, depletion that spreads, words, refusals."""

import subprocess
import sys

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import C0, T_PLUS, D, column, graded_widths, lithium_salt
from scipy.integrate import solve_ivp

from depojax.fv.grid import Grid
from depojax.problems.cell import Cell, Separator
from depojax.problems.currents import PulsedCurrent
from depojax.problems.sand import limiting_current, sand_time
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps
from depojax.units import FARADAY

POROUS, HEIGHT, GAP = 30, 60e-6, 20e-6
EPS, TAU_FACTOR, AREA, DELTA = 0.7, 2.0, 2e5, 1e-6


def porous_column(counter_electrode="metal"):
    """A homogenised host, 60 µm, below 20 µm of separator; plated inside only."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(POROUS, HEIGHT / POROUS)))
    host = Scaffold.homogenised(grid, EPS, TAU_FACTOR, AREA, wall_distance=DELTA)
    return Cell(
        host,
        lithium_salt(),
        separator=Separator(GAP, 0.5, 2.5, cells=10),
        counter_electrode=counter_electrode,
        plated_collector=False,
    )


@pytest.mark.parametrize(
    "counter_electrode", ["metal", "reservoir", "blocked", "half_infinite"]
)
def test_salt_is_kept(counter_electrode):
    solution = sand_time(porous_column(counter_electrode), 4000.0)
    assert solution.depleted
    assert solution.salt_balance_error < 1e-10
    domain = solution.cell.domain()
    pores = domain.pore_fraction * domain.grid.volumes
    missing = C0 * jnp.sum(pores) - jnp.sum(pores * solution.concentration)
    plated = 4000.0 * solution.time * solution.cell.footprint * (1 - T_PLUS) / FARADAY
    if counter_electrode == "metal":
        np.testing.assert_allclose(missing / plated, 0.0, atol=1e-10)
    if counter_electrode in ("blocked", "half_infinite"):
        np.testing.assert_allclose(missing, plated, rtol=1e-6)


@pytest.mark.slow
def test_single_precision_keeps_salt_and_time():
    """In a process of its own, as a user has it: no x64 anywhere."""
    code = """
import sys
sys.path.insert(0, "tests")
import jax.numpy as jnp
from helpers import column
from depojax.problems.sand import sand_time
solution = sand_time(column(1e-3), 140.05935308222422)
assert solution.time.dtype == jnp.float32
assert solution.salt_balance_error < 1e-5, solution.salt_balance_error
assert abs(float(solution.time) / 300.14200902399 - 1) < 1e-3, solution.time
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def lines(solution, last):
    """Method of lines of the porous column after Sand's time, written anew.

    Every wall cell takes min(level, c D/δ) per area; the level is found by bisection.
    """
    J = 4000.0
    h = np.r_[np.full(POROUS, HEIGHT / POROUS), np.full(10, GAP / 10)]
    eps = np.r_[np.full(POROUS, EPS), np.full(10, 0.5)]
    k = np.r_[np.full(POROUS, EPS / TAU_FACTOR), np.full(10, 0.2)] * D
    g = 1 / (h[1:] / (2 * k[1:]) + h[:-1] / (2 * k[:-1]))
    area = AREA * h[:POROUS]
    supply = J * (1 - T_PLUS) / FARADAY

    def taken(c):
        most = c[:POROUS] * D / DELTA
        low, high = 0.0, supply / area.min() * 1e3
        for _ in range(200):
            level = (low + high) / 2
            if np.sum(area * np.minimum(level, most)) < supply:
                low = level
            else:
                high = level
        return area * np.minimum(level, most), level

    def rate(_, c):
        flux = -g * np.diff(c)
        gain = np.r_[0.0, flux] - np.r_[flux, 0.0]
        gain[-1] += supply
        gain[:POROUS] -= taken(c)[0]
        return gain / (eps * h)

    start = np.asarray(solution.concentration[0, 0])
    span = (float(solution.time), last)
    run = solve_ivp(
        rate, span, start, method="LSODA", rtol=1e-7, atol=1e-4, max_step=0.01
    )
    times = np.full(POROUS, np.inf)
    for t, c in zip(run.t, run.y.T, strict=True):
        short = c[:POROUS] * D / DELTA <= taken(c)[1] * (1 + 1e-9)
        times[short & np.isinf(times)] = t
    return times


def test_depletion_spreads_as_a_method_of_lines_says():
    solution = sand_time(porous_column(), 4000.0, run_on=1.3, steps=Steps(1e-5))
    when = np.asarray(solution.depletion_time[0, 0, :POROUS])
    assert solution.result == RESULTS.successful
    assert np.nanmin(when) == float(solution.time)
    assert np.all(np.isinf(solution.depletion_time[0, 0, POROUS:]))
    # from the collector upwards
    assert when[0] == float(solution.time)
    assert np.all(np.diff(when[np.isfinite(when)]) >= 0)
    assert 3 < np.isfinite(when).sum() < POROUS
    independent = lines(solution, 1.3 * float(solution.time))
    both = np.isfinite(when) & np.isfinite(independent)
    assert both.sum() >= np.isfinite(when).sum() - 1
    np.testing.assert_allclose(when[both], independent[both], rtol=5e-3)


def test_location_and_history():
    solution = sand_time(porous_column(), 4000.0)
    z = solution.cell.grid.centers[2]
    np.testing.assert_allclose(solution.location, (5e-6, 5e-6, z[0]))
    n = int(solution.steps)
    lowest = np.asarray(solution.history.values["lowest_wall_concentration"])
    np.testing.assert_allclose(lowest[n] / C0, 0.0, atol=1e-8)
    assert np.all(np.diff(lowest[: n + 1]) < 0)
    mean = np.asarray(solution.history.values["mean_wall_concentration"])
    assert np.all(mean[: n + 1] >= lowest[: n + 1] - 1e-9)
    np.testing.assert_allclose(solution.history.time[n], solution.time)


def test_sentences():
    cell = porous_column()
    assert "Ions run out after" in sand_time(cell, 4000.0).message
    assert "mAh/cm2 have passed" in sand_time(cell, 4000.0).message
    assert "below the limiting current" in sand_time(cell, 10.0).message
    assert "Raise max_time" in sand_time(cell, 4000.0, max_time=1e-3).message


@pytest.mark.parametrize("counter_electrode", ["metal", "reservoir"])
def test_limiting_current_of_a_gap(counter_electrode):
    cell = column(1e-3, counter_electrode=counter_electrode)
    share = 2 if counter_electrode == "metal" else 1
    exact = share * FARADAY * D * C0 / ((1 - T_PLUS) * 1e-3)
    np.testing.assert_allclose(limiting_current(cell), exact, rtol=1e-8)


@pytest.mark.parametrize("counter_electrode", ["blocked", "half_infinite"])
def test_no_limiting_current_without_supply(counter_electrode):
    assert limiting_current(column(1e-3, counter_electrode=counter_electrode)) == 0


def test_limiting_current_scales():
    """∝ c₀ D; and just below it nothing is depleted, just above it is."""
    cell = porous_column()
    limit = float(limiting_current(cell))
    salt = lithium_salt(concentration=2 * C0, diffusivity=3 * D)
    np.testing.assert_allclose(
        limiting_current(cell.replace(electrolyte=salt)), 6 * limit, rtol=1e-9
    )
    assert not sand_time(cell, limit * (1 - 1e-6)).depleted
    assert sand_time(cell, limit * 1.02).depleted


def test_unresolved_layer_is_refused():
    cell = column(1e-3, n=200, ratio=1.001)
    with pytest.raises(SolveError, match="Refine the cells at the wall"):
        sand_time(cell, 1e6)


def test_failed_solves_can_be_values():
    cell, steps = porous_column(), Steps(max_steps=3)
    with pytest.raises(SolveError, match="Raise max_steps") as caught:
        sand_time(cell, 4000.0, steps=steps)
    assert caught.value.solution.steps == 3
    solution = sand_time(cell, 4000.0, steps=steps, throw=False)
    assert solution.result == RESULTS.max_steps_reached
    assert "Raise max_steps" in solution.message
    assert jnp.isinf(solution.time)


def test_vmap_over_currents():
    cell = porous_column()
    times = eqx.filter_vmap(lambda J: sand_time(cell, J).time)(
        jnp.asarray([10.0, 4000.0])
    )
    assert jnp.isinf(times[0])
    np.testing.assert_allclose(times[1], sand_time(cell, 4000.0).time, rtol=1e-3)


GAP_CELL = column(1e-3, n=8, ratio=2.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cell": "cell"}, "cell: expected a depojax.Cell, got str"),
        (
            {"current_density": 0.0},
            "current_density: expected a positive number in A",
        ),
        ({"current_density": -20.0}, "current_density: expected a positive number"),
        ({"current_density": np.nan}, "current_density: expected finite numbers"),
        ({"current_density": np.ones(2)}, r"one number .*jax.vmap"),
        ({"current_density": 2e8}, r"as 20 \* mA / cm\*\*2"),
        ({"current_density": "20 mA/cm2"}, "expected a number .* got '20 mA/cm2'"),
        ({"max_time": 0.0}, "max_time: expected within"),
        ({"steps": 1e-5}, r"steps: expected a depojax\.Steps, got 1e-05"),
        ({"run_on": 0.5}, "run_on: expected within"),
        ({"linear_tolerance": 1.0}, "linear_tolerance: expected within"),
        (
            {"current_density": PulsedCurrent(200.0, 1.0, 1.0)},
            "max_time: expected a time .* got None. A pulsed current may never",
        ),
    ],
)
def test_refusals(arguments, words):
    arguments = {"cell": GAP_CELL, "current_density": 200.0} | arguments
    with pytest.raises(ValueError, match=words):
        sand_time(**arguments)


def test_limiting_current_wants_a_cell():
    with pytest.raises(ValueError, match=r"cell: expected a depojax\.Cell"):
        limiting_current(graded_widths(3, 1.0, 2.0))
