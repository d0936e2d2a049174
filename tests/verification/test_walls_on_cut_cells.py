"""Flat walls anywhere on the grid, tilted walls and round electrodes, on cut cells.

A slit between two plated walls is blocked at its middle by symmetry: whatever its
direction and wherever the grid cuts it, Sand's time must be that of the flat, blocked
gap (case S4). Spheres and cylinders (S5, S6) have closed forms of their own.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import C0, D, lithium_salt, observed_orders
from scipy.special import erfcx

from depojax.fv.grid import Grid, stretched_widths
from depojax.problems.cell import Cell
from depojax.problems.currents import PulsedCurrent
from depojax.problems.sand import sand_time
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.time import Steps

TAU, J_LOCAL, L = 40.76276208493, 300.0, 1e-4  # case S4
A = 1e-5  # radius of the round electrodes [m]


def slit(cells, tangent, shift):
    """Slits of width 2 L, `cells` cells per L, tilted by atan(tangent) from z.

    Returns the grid and the distance to the wall as a function of (x, z). Shifted by
    `shift` cells. The walls repeat along x and z.
    """
    h = L / cells
    cosine = 1 / np.hypot(1, tangent)
    nx = round(2.5 * cells / cosine)
    nz = round(nx / tangent) if tangent else 4
    grid = Grid.uniform((nx, 1, nz), h, (True, False, bool(tangent)))

    def distance(x, z):
        s = np.mod(x - tangent * z - shift * h, nx * h) - nx * h / 2
        return (L / cosine - np.abs(s)) * cosine

    return grid, distance


def scaffold_of(grid, distance):
    x, _, z = (np.asarray(a) for a in grid.node_mesh())
    values = np.broadcast_to(distance(x, z), [n + 1 for n in grid.shape])
    return Scaffold.from_levelset(jnp.asarray(values), grid)


def blocked(scaffold):
    return Cell(
        scaffold, lithium_salt(), counter_electrode="blocked", plated_collector=False
    )


def time_of(scaffold):
    """Sand's time [s] at 300 A m⁻² of true area."""
    J = J_LOCAL * float(scaffold.area_factor)
    solution = sand_time(blocked(scaffold), J, steps=Steps(tolerance=1e-5))
    assert solution.salt_balance_error < 1e-10
    return float(solution.time)


def with_centroid_distance(scaffold, distance, samples=32):
    """The same scaffold, its wall distance taken from the pore's centroid instead."""
    nx, _, nz = scaffold.shape
    h = float(scaffold.grid.widths[0][0])
    inside = (np.arange(samples) + 0.5) / samples
    x = h * (np.arange(nx)[:, None] + inside).ravel()
    z = h * (np.arange(nz)[:, None] + inside).ravel()
    d = distance(x[:, None], z).reshape(nx, samples, nz, samples)
    pore = d > 0
    mean = np.sum(d * pore, (1, 3)) / np.maximum(np.sum(pore, (1, 3)), 1)
    return eqx.tree_at(lambda s: s.wall_distance, scaffold, jnp.asarray(mean[:, None]))


@pytest.mark.parametrize(
    "tangent",
    [0.0, *(pytest.param(t, marks=pytest.mark.slow) for t in (0.5, 1.0))],
    ids=["upright", "27deg", "45deg"],
)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_slit_at_any_angle_and_place(tangent, shift):
    """0.3 % with eight cells across; with the centroid's distance 4 to 7 %."""
    grid, distance = slit(8, tangent, shift)
    scaffold = scaffold_of(grid, distance)
    np.testing.assert_allclose(time_of(scaffold), TAU, rtol=3e-3)
    centroid = with_centroid_distance(scaffold, distance)
    assert abs(time_of(centroid) / TAU - 1) > 0.03


@pytest.mark.slow
@pytest.mark.parametrize("tangent", [0.0, 0.5, 1.0], ids=["upright", "27deg", "45deg"])
def test_slit_error_falls_faster_than_first_order(tangent):
    """The worst of a few places on the grid: the event is the worst wall cell's."""
    worst, worst_centroid = [], []
    for cells in (8, 16, 32):
        errors, centroids = [], []
        for shift in (0.0, 0.15, 0.3, 0.45):
            grid, distance = slit(cells, tangent, shift)
            scaffold = scaffold_of(grid, distance)
            errors.append(abs(time_of(scaffold) / TAU - 1))
            centroid = with_centroid_distance(scaffold, distance)
            centroids.append(abs(time_of(centroid) / TAU - 1))
        worst.append(max(errors))
        worst_centroid.append(max(centroids))
    assert np.mean(observed_orders(worst)) > 1.5
    assert worst[-1] < 3e-4
    # with the centroid's distance a first-order error remains
    assert np.mean(observed_orders(worst_centroid)) < 1.3


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("offset", [0.0, 0.37, 0.85])
def test_flat_wall_across_each_axis(axis, offset):
    """The same plate facing x, y and z, cut at any place within its cell."""
    n, h = 40, L / 32
    shape = [1, 1, 1]
    shape[axis] = n
    grid = Grid.uniform(shape, h)
    # the far side is the grid's end: L away from the wall, blocked
    start = (n - 32) * h
    widths = list(grid.widths)
    widths[axis] = jnp.append(widths[axis][:-1], h * (1 + offset))
    grid = Grid(widths)
    x = grid.node_mesh()[axis]
    values = jnp.broadcast_to(x - start - offset * h, [k + 1 for k in grid.shape])
    np.testing.assert_allclose(
        time_of(Scaffold.from_levelset(values, grid)), TAU, rtol=1e-3
    )


def arm(cells):
    """Cell widths from the centre to 8 radii: even to 2, then growing."""
    h, growth = A / cells, 1.12 ** (8 / cells)
    return np.concatenate(
        [np.full(2 * cells, h), stretched_widths(h * growth, 6 * A, growth)]
    )


def quarter_cylinder(cells):
    w = arm(cells)
    grid = Grid((w, np.full(1, A), w))
    x, _, z = grid.node_mesh()
    distance = jnp.hypot(x, z) - A
    return Scaffold.from_levelset(
        jnp.broadcast_to(distance, [n + 1 for n in grid.shape]), grid
    )


def octant_of_sphere(cells):
    w = arm(cells)
    grid = Grid((w, w, w))
    x, y, z = grid.node_mesh()
    return Scaffold.from_levelset(jnp.sqrt(x * x + y * y + z * z) - A, grid)


def round_time(scaffold, J_local):
    solution = sand_time(blocked(scaffold), J_local * float(scaffold.area_factor))
    assert solution.salt_balance_error < 1e-10
    return float(solution.time)


@pytest.mark.slow
def test_cylinder():
    """S6: 16 cells across, whose wall curves towards the electrolyte: 1 %."""
    found = round_time(quarter_cylinder(8), 4668.645102740807)
    np.testing.assert_allclose(found, 0.6244127188, rtol=2e-2)


@pytest.mark.slow
def test_cylinder_order():
    errors = [
        round_time(quarter_cylinder(n), 4668.645102740807) / 0.6244127188 - 1
        for n in (4, 8, 16, 32)
    ]
    assert np.mean(observed_orders(errors)) > 1.3
    assert abs(errors[-1]) < 2e-3


def sphere_wall(slope, t):
    """c_s/c₀ outside a sphere that takes G = slope c₀/a from t = 0."""
    return 1 - slope * (1 - erfcx(np.sqrt(D * t) / A))


def test_closed_form_of_the_sphere():
    np.testing.assert_allclose(sphere_wall(1.5, 0.68212689723434), 0, atol=1e-12)


@pytest.mark.slow
def test_sphere():
    """S5: 16 cells across within 2 %.

    A percent in the flux is 5 % in the time here (dlnτ/dlnJ = −5.3), and a wall value
    carried from the cell centre along a straight line alone would be 6 % off.
    """
    found = round_time(octant_of_sphere(8), 7002.96765411121)
    np.testing.assert_allclose(found, 0.68212689723434, rtol=2e-2)


@pytest.mark.slow
def test_sphere_order():
    errors = [
        round_time(octant_of_sphere(n), 7002.96765411121) / 0.68212689723434 - 1
        for n in (4, 8, 16)
    ]
    assert abs(errors[-1]) < 1e-2
    assert np.all(observed_orders(errors) > 1.0)


@pytest.mark.slow
def test_sphere_below_its_limit():
    """S5_below: c_s falls towards 0.3 c₀ and is never zero."""
    scaffold = octant_of_sphere(8)
    J = 3268.0515719185646 * float(scaffold.area_factor)
    solution = sand_time(
        blocked(scaffold), PulsedCurrent(J, on_time=1e3, off_time=1.0), max_time=2.0
    )
    assert not solution.depleted
    wall = solution.cell.domain().wall_area > 0
    area = jnp.where(wall, solution.cell.domain().wall_area, 0.0)
    mean = jnp.sum(area * solution.wall_concentration) / jnp.sum(area) / C0
    np.testing.assert_allclose(mean, sphere_wall(0.7, 2.0), rtol=2e-2)
    lowest = jnp.min(jnp.where(wall, solution.wall_concentration, jnp.inf)) / C0
    np.testing.assert_allclose(lowest, sphere_wall(0.7, 2.0), rtol=5e-2)
