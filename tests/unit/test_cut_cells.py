"""What a level set leaves open of cells and faces, against geometry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import observed_orders

from depojax.fv.cut_cells import (
    cut_cells,
    face_apertures,
    positive_in_tetrahedron,
    positive_in_triangle,
    volume_fractions,
)
from depojax.fv.grid import Grid

N = 16
NORMALS = {
    "x": (1.0, 0.0, 0.0),
    "y": (0.0, -1.0, 0.0),
    "z": (0.0, 0.0, 1.0),
    "edge": (1.0, 1.0, 0.0),
    "shallow": (1.0, 0.0, 0.5),
    "corner": (1.0, 1.0, 1.0),
    "any": (0.3, -0.8, 0.52),
}


def sampled(corners, values, count=200_000, seed=0):
    """Positive share of the linear function on a simplex, by random points."""
    rng = np.random.default_rng(seed)
    weights = rng.exponential(size=(count, len(corners)))
    weights /= weights.sum(1, keepdims=True)
    return np.mean(weights @ np.asarray(values) > 0)


@pytest.mark.parametrize("size", [3, 4])
def test_simplex_fractions(size):
    function = positive_in_triangle if size == 3 else positive_in_tetrahedron
    rng = np.random.default_rng(1)
    for values in rng.normal(size=(12, size)):
        found = function(*(jnp.asarray(v) for v in values))
        np.testing.assert_allclose(found, sampled(range(size), values), atol=4e-3)


@pytest.mark.parametrize("size", [3, 4])
def test_simplex_fractions_in_closed_form(size):
    """One positive corner: Π v/(v − v_k); and the solid is what the pore leaves."""
    function = positive_in_triangle if size == 3 else positive_in_tetrahedron
    rng = np.random.default_rng(2)
    values = np.abs(rng.normal(size=(size, 50)))
    values[1:] *= -1
    exact = np.prod(values[0] / (values[0] - values[1:]), axis=0)
    np.testing.assert_allclose(function(*values), exact, rtol=1e-12)
    np.testing.assert_allclose(function(*-values), 1 - exact, rtol=1e-12)
    mixed = rng.normal(size=(size, 50))
    total = function(*mixed) + function(*-mixed)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)
    shuffled = rng.permutation(mixed)
    np.testing.assert_allclose(function(*shuffled), function(*mixed), rtol=1e-12)


@pytest.mark.parametrize("size", [3, 4])
def test_simplex_fractions_at_degenerate_corners(size):
    function = positive_in_triangle if size == 3 else positive_in_tetrahedron
    zero = [jnp.zeros(())] * size
    assert function(*zero) == 1.0
    assert function(*[v - 1 for v in zero]) == 0.0
    for first in (-1.0, 0.0, 1.0):
        values = jnp.asarray([first, *[0.0] * (size - 2), 1.0])
        slopes = jax.grad(lambda v: function(*v))(values)
        assert jnp.all(jnp.isfinite(slopes))


def cube(n=N):
    return Grid.uniform((n, n, n), 1.0 / n)


def plane(grid, normal, offset):
    normal = np.asarray(normal) / np.linalg.norm(normal)
    mesh = grid.node_mesh()
    return sum(n * (x - 0.5) for n, x in zip(normal, mesh, strict=True)) - offset


def cut_area(normal, offset):
    """Area of a plane inside the unit cube: d(volume)/d(offset), by exact volumes."""
    # Volume below a plane in a cube: Σ ± (corner distances)₊³/(6 n₁n₂n₃); its slope
    n = np.abs(np.asarray(normal)) / np.linalg.norm(normal)
    n = n[n > 1e-12]
    corners = np.array(np.meshgrid(*[[0, 1]] * len(n))).reshape(len(n), -1)
    reach = offset + n.sum() / 2 - n @ corners
    sign = (-1.0) ** corners.sum(0)
    order = len(n) - 1
    parts = sign * np.maximum(reach, 0) ** order * (reach > 0)
    return parts.sum() / (np.prod(n) * [1, 1, 2][order])


@pytest.mark.parametrize("normal", NORMALS.values(), ids=NORMALS)
@pytest.mark.parametrize("offset", [0.013, 0.21])
def test_plane_is_exact(normal, offset):
    """Area and signed distance to round-off, whatever the direction."""
    grid = cube()
    values = jnp.broadcast_to(plane(grid, normal, offset), (N + 1,) * 3)
    cut = cut_cells(grid, values)
    np.testing.assert_allclose(
        jnp.sum(cut.interface_area), cut_area(normal, offset), rtol=1e-6
    )
    normal = np.asarray(normal) / np.linalg.norm(normal)
    centers = grid.center_mesh()
    distance = sum(n * (x - 0.5) for n, x in zip(normal, centers, strict=True)) - offset
    wall = np.asarray(cut.interface_area) > 0
    found = np.asarray(cut.wall_distance)[wall]
    np.testing.assert_allclose(
        found, np.broadcast_to(distance, wall.shape)[wall], atol=1e-12
    )


@pytest.mark.parametrize("normal", NORMALS.values(), ids=NORMALS)
def test_volume_changes_by_the_area(normal):
    """Shape derivative: moving the wall by δ opens area × δ."""
    grid = cube()
    values = jnp.broadcast_to(plane(grid, normal, 0.013), (N + 1,) * 3)

    def volume(shift):
        return jnp.sum(volume_fractions(values + shift) * grid.volumes)

    slope = jax.grad(volume)(0.0)
    np.testing.assert_allclose(slope, cut_area(normal, 0.013), rtol=1e-6)


def round_solid(n, radius, cylinder=False):
    grid = cube(n)
    x, y, z = (a - 0.5 for a in grid.node_mesh())
    if cylinder:  # along (1, 0, 1/2)
        axis = np.array([2.0, 0.0, 1.0]) / np.sqrt(5)
        along = axis[0] * x + axis[2] * z
        distance = jnp.sqrt(jnp.maximum(x * x + y * y + z * z - along**2, 0.0))
    else:
        distance = jnp.sqrt(x * x + y * y + z * z)
    return grid, cut_cells(grid, jnp.broadcast_to(distance - radius, (n + 1,) * 3))


def test_sphere_of_eight_cells_radius():
    grid, cut = round_solid(20, 0.4)
    area, volume = 4 * np.pi * 0.16, 4 / 3 * np.pi * 0.064
    np.testing.assert_allclose(jnp.sum(cut.interface_area), area, rtol=1e-2)
    solid = 1 - jnp.sum(cut.volume_fraction * grid.volumes)
    np.testing.assert_allclose(solid, volume, rtol=1e-2)


def test_sphere_orders():
    areas, volumes = [], []
    for n in (10, 20, 40):
        grid, cut = round_solid(n, 0.4)
        areas.append(float(jnp.sum(cut.interface_area)) - 4 * np.pi * 0.16)
        open_volume = float(jnp.sum(cut.volume_fraction * grid.volumes))
        volumes.append(1 - open_volume - 4 / 3 * np.pi * 0.064)
    assert np.all(observed_orders(areas) > 1.9)
    assert np.all(observed_orders(volumes) > 1.9)


def test_tilted_cylinder():
    """Through the cube from x = 0 to 1: its length there is √5/2."""
    grid, cut = round_solid(32, 0.2, cylinder=True)
    length = np.sqrt(5) / 2
    area = 2 * np.pi * 0.2 * length
    np.testing.assert_allclose(jnp.sum(cut.interface_area), area, rtol=1e-2)
    solid = 1 - jnp.sum(cut.volume_fraction * grid.volumes)
    np.testing.assert_allclose(solid, np.pi * 0.04 * length, rtol=1e-2)


def gyroid_cut(n):
    grid = cube(n)
    x, y, z = (2 * jnp.pi * a for a in grid.node_mesh())
    values = jnp.sin(x) * jnp.cos(y) + jnp.sin(y) * jnp.cos(z) + jnp.sin(z) * jnp.cos(x)
    return cut_cells(grid, values)


def test_gyroid():
    """Area of a unit cell: 3.09165, extrapolated from 48 and 96 cells across."""
    np.testing.assert_allclose(
        jnp.sum(gyroid_cut(24).interface_area), 3.09165, rtol=2e-3
    )
    np.testing.assert_allclose(jnp.mean(gyroid_cut(24).volume_fraction), 0.5, rtol=1e-6)


def test_closure_and_divergence_of_a_constant_field():
    """The wall closes every cell: Σ aperture × area × normal + interface = 0."""
    grid = Grid((np.full(5, 1e-6), np.full(4, 2e-6), np.geomspace(1e-6, 3e-6, 6)))
    rng = np.random.default_rng(5)
    values = jnp.asarray(rng.normal(size=[n + 1 for n in grid.shape]))
    cut = cut_cells(grid, values, smallest_aperture=0.0)
    vector = [
        jnp.diff(a, axis=axis) * grid.face_areas(axis)
        for axis, a in enumerate(cut.apertures)
    ]
    length = jnp.sqrt(sum(v * v for v in vector))
    np.testing.assert_allclose(cut.interface_area, length, rtol=1e-10)


def test_area_is_never_larger_than_the_cells_faces_allow():
    assert jnp.all(gyroid_cut(N).interface_area < 3.5 / N**2)


def test_scale_of_the_level_set_does_not_matter():
    grid = cube(6)
    values = jnp.asarray(np.random.default_rng(6).normal(size=(7, 7, 7)))
    for scale in (1e-9, 1e6):
        for a, b in zip(
            jax.tree.leaves(cut_cells(grid, values)),
            jax.tree.leaves(cut_cells(grid, scale * values)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-15)


def test_single_precision_keeps_lengths_in_metres():
    grid = jax.tree.map(lambda w: w.astype(jnp.float32), Grid.uniform((8, 8, 8), 1e-6))
    x, y, z = (a - 4e-6 for a in grid.node_mesh())
    cut = cut_cells(grid, jnp.sqrt(x * x + y * y + z * z) - jnp.float32(3e-6))
    area = float(jnp.sum(cut.interface_area))
    assert cut.interface_area.dtype == jnp.float32
    np.testing.assert_allclose(area, 4 * np.pi * 9e-12, rtol=5e-2)


def test_gradients_agree():
    """Reverse, forward and central differences of area, volume and distance."""
    grid = cube(4)
    base = jnp.asarray(np.random.default_rng(7).normal(size=(5, 5, 5)))
    direction = jnp.asarray(np.random.default_rng(8).normal(size=(5, 5, 5)))
    weights = jnp.asarray(np.random.default_rng(9).normal(size=(3, 4, 4, 4)))

    @jax.jit
    def measure(values):
        cut = cut_cells(grid, values)
        fields = jnp.stack(
            [cut.volume_fraction, 16 * cut.interface_area, cut.wall_distance]
        )
        return jnp.sum(fields * weights)

    reverse = jnp.vdot(jax.grad(measure)(base), direction)
    forward = jax.jvp(measure, (base,), (direction,))[1]
    h = 1e-6
    central = (measure(base + h * direction) - measure(base - h * direction)) / (2 * h)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10)
    np.testing.assert_allclose(reverse, central, rtol=1e-6)


def test_all_open_and_all_closed():
    grid = cube(3)
    pore, solid = (
        cut_cells(grid, jnp.ones((4, 4, 4))),
        cut_cells(grid, -jnp.ones((4,) * 3)),
    )
    assert jnp.all(pore.volume_fraction == 1)
    assert jnp.all(solid.volume_fraction == 0)
    assert jnp.all(pore.interface_area == 0)
    assert jnp.all(solid.interface_area == 0)


def test_tiny_apertures_are_closed():
    grid = cube(2)
    values = jnp.full((3, 3, 3), -1.0).at[1, 1, 1].set(1e-6)
    assert jnp.max(jnp.stack([jnp.max(a) for a in face_apertures(values)])) > 0
    cut = cut_cells(grid, values)
    assert jnp.all(cut.volume_fraction == 0)
