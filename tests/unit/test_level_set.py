"""Level sets that move: distance, curvature, extension, volume to the last digit."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders

from depojax.fv.cut_cells import cut_cells
from depojax.fv.grid import Grid, stretched_widths
from depojax.fv.level_set import (
    extended,
    moved,
    pore_volume,
    signed_distance,
    wall_curvature,
    with_volume,
)

EDGE = 1e-3  # of the box [m]


def flat_box(n, **options):
    """A box of one cell along y: shapes in the plane."""
    return Grid.uniform((n, 1, n), EDGE / n, **options)


def radius(grid, x0=0.5, z0=0.48):
    x, _, z = grid.node_mesh()
    r = jnp.hypot(x - x0 * EDGE, z - z0 * EDGE)
    return jnp.broadcast_to(r, [n + 1 for n in grid.shape])


def ball(grid, centre=(0.5, 0.51, 0.49)):
    """Distance from a point."""
    away = (x - c * EDGE for x, c in zip(grid.node_mesh(), centre, strict=True))
    return jnp.sqrt(sum(a * a for a in away))


def area_mean(grid, distance, values):
    area = cut_cells(grid, distance).interface_area
    return float(jnp.sum(area * values) / jnp.sum(area))


def test_distance_of_a_cylinder_is_of_second_order():
    errors, moves = [], []
    for n in (16, 32, 64):
        grid = flat_box(n)
        exact = radius(grid) - 0.3 * EDGE
        # Any slope, and one that changes along the wall.
        x = grid.node_mesh()[0]
        warped = 7e3 * exact * (1 + 0.5 * jnp.sin(5 * x / EDGE))
        found = signed_distance(grid, warped)
        near = np.abs(exact) < 2 * EDGE / n
        errors.append(float(np.max(np.abs(found - exact)[near])))
        again = found
        for _ in range(10):
            again = signed_distance(grid, again, sweeps=20)
        moves.append(float(np.max(np.abs(again - found)[near])))
    assert errors[-1] < 0.01 * EDGE / 64
    assert np.all(observed_orders(errors) > 1.8)
    assert moves[-1] < 0.01 * EDGE / 64  # ten times over, it stays


@pytest.mark.parametrize("periodic", [False, True])
def test_distance_of_flat_walls_is_exact(periodic):
    # Walls across the ends, on a stretched grid, at an angle that the grid has not.
    widths = stretched_widths(2e-5, EDGE, 1.08)
    grid = Grid((widths, np.full(1, 1e-4), widths[::-1]), (periodic, True, False))
    _, _, z = grid.node_mesh()
    exact = jnp.broadcast_to(z - 0.37 * EDGE, [n + 1 for n in grid.shape])
    found = signed_distance(grid, 3e4 * exact)
    assert np.max(np.abs(found - exact)) < 1e-3 * EDGE
    near = np.abs(exact) < 8e-5
    assert np.max(np.abs(found - exact)[near]) < 1e-9 * EDGE


@pytest.mark.parametrize("thick", [0.6, 1.4, 2.3])
@pytest.mark.parametrize("sign", [1, -1])
def test_middle_of_a_neck_stays_where_it_is(thick, sign):
    # A round neck, or pore, on a row of nodes: as deep as it is thick, time and again.
    n, h = 12, EDGE / 12
    grid = Grid.uniform((n, n, 4), h)
    x, y, z = grid.node_mesh()
    exact = sign * (jnp.hypot(x - EDGE / 2, y - EDGE / 2) + 0 * z - thick * h)
    found = exact
    for _ in range(5):
        found = signed_distance(grid, found, slope=1.0, sweeps=20)
    middle = found[n // 2, n // 2]
    assert np.allclose(middle, -sign * thick * h, atol=0.02 * h)


def test_curvature_of_ball_and_fibre():
    for n, most in ((16, 0.02), (32, 0.01)):
        grid = Grid.uniform((n, n, n), EDGE / n)
        solid = signed_distance(grid, ball(grid) - 0.3 * EDGE)
        k = wall_curvature(grid, solid) * 0.3 * EDGE
        assert area_mean(grid, solid, k) == pytest.approx(2, rel=most)
        assert area_mean(grid, solid, (k - 2) ** 2) ** 0.5 < 2 * most
        hollow = wall_curvature(grid, -solid) * 0.3 * EDGE
        assert area_mean(grid, solid, hollow) == pytest.approx(-2, rel=most)
    grid = flat_box(32)
    fibre = signed_distance(grid, radius(grid) - 0.2 * EDGE)
    k = wall_curvature(grid, fibre) * 0.2 * EDGE
    assert area_mean(grid, fibre, k) == pytest.approx(1, rel=0.01)


def test_extension_is_constant_along_normals():
    errors = []
    for n in (16, 32, 64):
        grid = flat_box(n)
        distance = radius(grid) - 0.3 * EDGE
        area = cut_cells(grid, distance).interface_area
        x, _, z = grid.center_mesh()
        angle = jnp.arctan2(z - 0.48 * EDGE, x - 0.5 * EDGE)
        speed = jnp.broadcast_to(1 + 0.5 * jnp.sin(3 * angle), grid.shape)
        found = extended(grid, distance, speed * area, area)
        x, _, z = grid.node_mesh()
        angle = jnp.arctan2(z - 0.48 * EDGE, x - 0.5 * EDGE)
        exact = jnp.broadcast_to(1 + 0.5 * jnp.sin(3 * angle), distance.shape)
        near = np.abs(distance) < 2 * EDGE / n
        errors.append(float(np.max(np.abs(found - exact)[near])))
    assert errors[-1] < 0.01
    assert np.all(observed_orders(errors) > 1.3)
    same = extended(grid, distance, 3.0 * area, area)
    assert np.max(np.abs(same[near] - 3.0)) < 1e-12


@pytest.mark.parametrize("to", [0.37, 0.11])
def test_cylinder_grows_and_dissolves_like_its_closed_form(to):
    # R from 0.23 in steps of at most half a cell; gained = ΔA of the closed form.
    errors = []
    for n in (16, 32, 64):
        grid = flat_box(n)
        count = round(abs(to - 0.23) * 2 * n)
        radii = np.linspace(0.23, to, count + 1) * EDGE
        distance = radius(grid) - radii[0]
        start = pore_volume(grid, distance)
        total = 0.0
        for before, after in itertools.pairwise(radii):
            area = cut_cells(grid, distance).interface_area
            ring = np.pi * (after**2 - before**2) * EDGE / n
            distance = moved(grid, distance, area * (ring / jnp.sum(area)), area)
            total += ring
        lost = float(start - pore_volume(grid, distance))
        assert lost == pytest.approx(total, rel=1e-12)
        exact = radius(grid) - to * EDGE
        near = np.abs(exact) < EDGE / n
        errors.append(float(np.max(np.abs(distance - exact)[near])) / EDGE)
    assert errors[-1] < 0.05 / 64
    assert np.all(observed_orders(errors) > 1)


def test_sphere_grows_by_the_volume_it_gains():
    n = 16
    grid = Grid.uniform((n, n, n), EDGE / n)
    radii = np.linspace(0.2, 0.4, 8) * EDGE
    distance = ball(grid) - radii[0]
    for before, after in itertools.pairwise(radii):
        area = cut_cells(grid, distance).interface_area
        shell = 4 / 3 * np.pi * (after**3 - before**3)
        distance = moved(grid, distance, area * (shell / jnp.sum(area)), area)
    exact = ball(grid) - 0.4 * EDGE
    near = np.abs(exact) < EDGE / n
    assert np.max(np.abs(distance - exact)[near]) < 0.05 * EDGE / n


def test_uneven_growth_fills_each_place_by_its_own():
    # A flat wall whose speed varies: the height gained is the local charge.
    grid = flat_box(32, periodic=(True, True, False))
    x, _, z = grid.node_mesh()
    distance = jnp.broadcast_to(z - 0.31 * EDGE, [n + 1 for n in grid.shape])
    x = grid.center_mesh()[0]
    h = (1 + 0.5 * jnp.cos(2 * np.pi * x / EDGE)) * 0.3 * EDGE / 32
    area = cut_cells(grid, distance).interface_area
    now = moved(grid, distance, area * h, area)
    x = grid.node_mesh()[0]
    exact = (1 + 0.5 * jnp.cos(2 * np.pi * x / EDGE)) * 0.3 * EDGE / 32
    near = np.abs(distance) < EDGE / 32
    gained = jnp.where(near, distance - now, exact)
    assert np.max(np.abs(gained - exact)) < 0.01 * 0.3 * EDGE / 32


def test_core_does_not_dissolve():
    grid = flat_box(24)
    distance = radius(grid) - 0.3 * EDGE
    core = jnp.broadcast_to(grid.node_mesh()[0] - 0.5 * EDGE, distance.shape)
    start = jnp.where(distance < core, distance, core)  # half plane and half disc
    area = cut_cells(grid, start).interface_area
    x = grid.center_mesh()[0]
    on_disc = jnp.broadcast_to(x > 0.53 * EDGE, grid.shape)
    gained = jnp.where(on_disc, -0.4 * EDGE / 24 * area, 0.0)
    now = moved(grid, start, gained, area, core=core)
    assert np.all(now <= core)
    lost = pore_volume(grid, start) - pore_volume(grid, now)
    assert float(lost) == pytest.approx(float(jnp.sum(gained)), rel=1e-10)


def test_what_the_bare_core_does_not_give_comes_off_the_rest():
    grid = flat_box(24)
    distance = radius(grid) - 0.3 * EDGE
    core = jnp.broadcast_to(grid.node_mesh()[0] - 0.5 * EDGE, distance.shape)
    start = jnp.where(distance < core, distance, core)  # half plane and half disc
    area = cut_cells(grid, start).interface_area
    x = grid.center_mesh()[0]
    on_core = jnp.broadcast_to(x < 0.53 * EDGE, grid.shape)  # bare, but for its ends
    gained = jnp.where(on_core, -0.3 * EDGE / 24 * area, 0.0)
    now = moved(grid, start, gained, area, core=core)
    assert np.all(now <= core)
    lost = pore_volume(grid, start) - pore_volume(grid, now)
    assert float(lost) == pytest.approx(float(jnp.sum(gained)), rel=1e-10)


def test_with_volume_finds_the_volume_and_says_nothing_moves_beyond_a_cell():
    grid = flat_box(16)
    distance = radius(grid) - 0.3 * EDGE
    wanted = 0.98 * pore_volume(grid, distance)
    found = with_volume(grid, distance, wanted, 1.0)
    assert float(pore_volume(grid, found)) == pytest.approx(float(wanted), rel=1e-13)
    far = with_volume(grid, distance, 0 * wanted, 1.0)
    assert np.max(np.abs(far - distance)) <= EDGE / 16 * (1 + 1e-12)


@pytest.mark.slow
def test_gradients_of_a_move():
    grid = flat_box(16)
    distance = radius(grid) - 0.3 * EDGE
    area = cut_cells(grid, distance).interface_area
    x, _, z = grid.center_mesh()
    weights = jnp.broadcast_to(jnp.sin(2e3 * x) * jnp.cos(3e3 * z), grid.shape)

    @jax.jit
    def measure(h):
        # A moment of the wall's area after two moves, for two strengths of growth.
        local = (h[0] + h[1] * weights) * EDGE / 16
        now = moved(grid, distance, local * area, area)
        area2 = cut_cells(grid, now).interface_area
        now = moved(grid, now, local * area2, area2)
        cut = cut_cells(grid, now)
        return (
            jnp.sum(weights * cut.volume_fraction)
            + jnp.sum(weights * cut.interface_area) / (EDGE / 16) ** 2
        )

    h = jnp.asarray([0.23, 0.11])
    reverse = jax.jit(jax.grad(measure))(h)
    forward = jax.jit(jax.jacfwd(measure))(h)
    step = 1e-6
    central = [
        (measure(h + step * e) - measure(h - step * e)) / (2 * step) for e in np.eye(2)
    ]
    assert np.allclose(reverse, forward, rtol=1e-9)
    assert np.allclose(reverse, np.asarray(central), rtol=1e-5)
