"""Sand's time of flat electrodes: a column of cells against the closed forms.

Cases S1 to S4 and S7: a binary salt with D = 3e-10 m² s⁻¹, t₊ = 0.38, c₀ = 1 M, between
two metals, before a reservoir, a blocked wall, or a half-infinite electrolyte. The
reference numbers come from the series evaluated to 15 digits.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import C0, D, column, lithium_salt, observed_orders

from depojax.fv.grid import Grid, stretched_widths
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.problems.cell import Cell
from depojax.problems.currents import PulsedCurrent
from depojax.problems.sand import limiting_current, sand_time
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.time import Steps

SAND = 570.62441458805  # at 100 A m⁻², half-infinite [s]
LIMIT = 93.37290205481615  # of a gap of 1 mm [A m⁻²]
FINE = Steps(tolerance=1e-6)


def far_away(tau, diffusivity=D):
    """A length that a diffusion layer does not cross in `tau`."""
    return 6 * np.sqrt(diffusivity * tau)


@pytest.fixture(scope="module")
def half_infinite():
    return column(far_away(SAND), counter_electrode="reservoir")


def test_half_infinite_lithium_salt(half_infinite):
    solution = sand_time(half_infinite, 100.0)
    np.testing.assert_allclose(solution.time, SAND, rtol=1e-3)
    np.testing.assert_allclose(solution.capacity, 100 * SAND, rtol=1e-3)
    assert solution.location[2] == half_infinite.grid.centers[2][0]
    assert solution.salt_balance_error < 1e-10
    tight = sand_time(half_infinite, 100.0, steps=FINE)
    np.testing.assert_allclose(tight.time, SAND, rtol=1e-4)


def test_half_infinite_zinc_sulphate():
    salt = BinaryElectrolyte(C0, 7e-10, 0.4, charge=2)
    cell = column(
        far_away(227.472, 7e-10), electrolyte=salt, counter_electrode="reservoir"
    )
    solution = sand_time(cell, 500.0)
    np.testing.assert_allclose(solution.time, 227.47202589237, rtol=1e-3)


def test_bath_is_half_infinite():
    side = np.full(1, 1e-5)
    grid = Grid((side, side, stretched_widths(2e-6, 1e-4)))
    cell = Cell(Scaffold.open(grid), lithium_salt(), counter_electrode="half_infinite")
    assert limiting_current(cell) == 0
    # the bath's cells are a tenth of their distance from the wall
    np.testing.assert_allclose(sand_time(cell, 100.0).time, SAND, rtol=2e-3)


def test_profile_at_half_of_sands_time(half_infinite):
    solution = sand_time(half_infinite, 100.0, steps=FINE, max_time=SAND / 2)
    assert not solution.depleted
    np.testing.assert_allclose(solution.end_time, SAND / 2)
    np.testing.assert_allclose(
        solution.wall_concentration[0, 0, 0] / C0, 0.29289321881345, rtol=2e-4
    )
    x = np.sqrt(D * SAND) * np.array([0.25, 0.5, 1.0, 2.0])
    known = [0.49246723694724, 0.6494147301382, 0.85232717331685, 0.98495062144991]
    z = np.asarray(half_infinite.grid.centers[2])
    c = np.asarray(solution.concentration[0, 0]) / C0
    # a parabola through three cells: second order would be the error of the reading
    found = [
        np.polyval(np.polyfit(z[i - 1 : i + 2] - at, c[i - 1 : i + 2], 2), 0.0)
        for at in x
        for i in [int(np.argmin(abs(z - at)))]
    ]
    np.testing.assert_allclose(found, known, atol=1e-4)


def test_order_in_space():
    steps = Steps(tolerance=1e-8)
    errors = []
    for n in (50, 100, 200):
        cell = column(far_away(SAND), n, counter_electrode="reservoir")
        errors.append(float(sand_time(cell, 100.0, steps=steps).time) / SAND - 1)
    assert np.all(observed_orders(errors) > 1.9)


def test_order_in_time(half_infinite):
    reference = sand_time(half_infinite, 100.0, steps=Steps(tolerance=1e-8)).time
    times, walls = [], []
    for dt in (20.0, 10.0, 5.0):
        solution = sand_time(half_infinite, 100.0, steps=Steps(fixed=dt))
        times.append(float(solution.time / reference - 1))
        solution = sand_time(
            half_infinite, 100.0, steps=Steps(fixed=dt), max_time=SAND / 2
        )
        walls.append(float(solution.wall_concentration[0, 0, 0]))
    assert np.all(observed_orders(times) > 1.9)
    # without a reference: the order from three runs
    first, second = np.diff(walls)
    assert np.log2(first / second) > 1.9


@pytest.mark.parametrize(
    ("ratio", "tau", "tolerance"),
    [
        (1.05, 957.31773788467, 1e-2),  # ill-conditioned: dlnτ/dlnJ = −7
        (1.20, 534.21310180414, 1e-3),
        (1.50, 300.14200902399, 1e-3),
        (2.00, 163.94228293642, 1e-3),
        (5.00, 26.179938779915, 1e-3),
    ],
)
def test_gap_between_metals(ratio, tau, tolerance):
    solution = sand_time(column(1e-3), ratio * LIMIT)
    np.testing.assert_allclose(solution.time, tau, rtol=tolerance)
    np.testing.assert_allclose(solution.limiting_current, LIMIT, rtol=1e-10)
    assert solution.depleted
    assert solution.salt_balance_error < 1e-10


def test_gap_below_the_limit():
    cell, J = column(1e-3), 0.8 * LIMIT
    solution = sand_time(cell, J)
    assert not solution.depleted
    assert jnp.isinf(solution.time)
    assert jnp.isinf(solution.capacity)
    np.testing.assert_allclose(solution.wall_concentration[0, 0, 0], 200.0, rtol=1e-9)
    z, c = np.asarray(cell.grid.centers[2]), np.asarray(solution.concentration[0, 0])
    np.testing.assert_allclose(np.interp(5e-4, z, c), C0, rtol=1e-9)
    # straight from one metal to the other
    np.testing.assert_allclose(c, 200 + 1600 * z / 1e-3, rtol=1e-9)


@pytest.mark.parametrize(
    ("scaled_time", "wall"),
    [
        (0.01, 0.81945933326481),
        (0.05, 0.59672974383796),
        (0.10, 0.44169447501862),
        (0.25, 0.25499225722933),
        (0.50, 0.20466361685907),
    ],
)
def test_gap_on_its_way_to_the_steady_state(scaled_time, wall):
    """A constant current below the limit goes to its steady state at once; the first
    pulse of a train is followed in time."""
    cell = column(1e-3)
    J, end = 0.8 * LIMIT, scaled_time * 1e-6 / D
    pulse = PulsedCurrent(J, on_time=2e5, off_time=1.0)
    solution = sand_time(cell, pulse, steps=FINE, max_time=end)
    np.testing.assert_allclose(solution.end_time, end)
    np.testing.assert_allclose(
        solution.wall_concentration[0, 0, 0] / C0, wall, atol=1e-4
    )
    middle = np.interp(
        5e-4, np.asarray(cell.grid.centers[2]), np.asarray(solution.concentration[0, 0])
    )
    np.testing.assert_allclose(middle, C0, rtol=1e-4)


def test_coin_cell_is_far_from_depletion():
    """25 µm at 2 mA cm⁻²: half a percent is missing at the metal, nothing runs out."""
    solution = sand_time(column(25e-6), 20.0)
    assert not solution.depleted
    np.testing.assert_allclose(solution.limiting_current, 3734.9160821926457, rtol=1e-9)
    np.testing.assert_allclose(
        solution.wall_concentration[0, 0, 0] / C0, 0.9946451273442646, atol=1e-6
    )


def test_gap_before_a_reservoir():
    cell = column(2e-4, counter_electrode="reservoir")
    solution = sand_time(cell, 303.46193167815244)
    np.testing.assert_allclose(solution.time, 67.889172090967, rtol=1e-3)
    np.testing.assert_allclose(solution.limiting_current, 233.43225513704036, rtol=1e-9)
    assert solution.salt_balance_error < 1e-10


def test_gap_before_a_blocked_wall():
    cell = column(1e-4, counter_electrode="blocked")
    solution = sand_time(cell, 300.0)
    np.testing.assert_allclose(solution.time, 40.76276208493, rtol=1e-3)
    assert solution.limiting_current == 0
    # what is gone has been plated: c₀ L − J τ (1 − t₊)/F
    left = C0 * 1e-4 - 300 * 40.76276208493 * 0.62 / 96485.33212
    widths = cell.grid.widths[2]
    np.testing.assert_allclose(
        jnp.sum(solution.concentration[0, 0] * widths), left, rtol=2e-4
    )


@pytest.mark.parametrize(
    ("J", "off_time", "tau", "pulse"),
    [
        pytest.param(200.0, 1.0, 534.97884722946, 267, marks=pytest.mark.slow),
        pytest.param(300.0, 3.0, 868.97709695366, 217, marks=pytest.mark.slow),
    ],
)
def test_pulses(J, off_time, tau, pulse):
    """Ions run out within a pulse; the mean current decides which one."""
    cell = column(far_away(tau), counter_electrode="reservoir")
    current = PulsedCurrent(J, on_time=1.0, off_time=off_time)
    steps = Steps(tolerance=1e-4, max_steps=20_000)
    solution = sand_time(cell, current, steps=steps, max_time=2000.0)
    np.testing.assert_allclose(solution.time, tau, rtol=1e-3)
    period = 1.0 + off_time
    assert int(solution.time / period) == pulse
    on_time = pulse + float(solution.time) - pulse * period
    np.testing.assert_allclose(solution.capacity, J * on_time, rtol=1e-9)
    assert solution.salt_balance_error < 1e-10
