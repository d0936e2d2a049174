"""Foams: strut distances against explicit Voronoi diagrams, Kelvin's closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import label
from scipy.spatial import Voronoi

from depojax.fv.cut_cells import cut_cells, volume_fractions
from depojax.fv.grid import Grid
from depojax.scaffold.foams import (
    _LATTICES,
    _displacements,
    _layer_of_height,
    _seeds,
    _skeleton_distance,
    foam,
)
from depojax.scaffold.gradients import Graded
from depojax.units import um

SHAPE = (20, 20, 24)
SMALL = {"shape": SHAPE, "voxel_size": 2 * um, "key": 7}


def distance(shape, diameter, skeleton="voronoi", disorder=None, key=3):
    """Distance to the strut edges in local pore diameters; `diameter` in voxels."""
    grid = Grid.uniform(shape, 1.0 * um)
    diameter = jnp.broadcast_to(jnp.asarray(diameter), (shape[2] + 1,))
    offsets = _displacements(key, disorder, skeleton).astype(grid.dtype)
    seeds = _seeds(grid, diameter, offsets, _LATTICES[skeleton])
    return grid, diameter, seeds, _skeleton_distance(grid, diameter, offsets, skeleton)


def all_seeds(seeds):
    layers = np.arange(-4, seeds.heights.size - 4)
    across = np.arange(-8, 9)
    address = np.meshgrid(layers, across, across, indexing="ij")
    k, j, i = (jnp.asarray(a.ravel().astype(np.int32)) for a in address)
    return np.stack(seeds.positions(k, j, i), axis=-1)


def distance_to_edges(points, sites, shape):
    """By brute force from an explicit diagram."""
    diagram = Voronoi(sites)
    ends = []
    for ring in diagram.ridge_vertices:
        if -1 not in ring:
            corners = diagram.vertices[ring]
            ends.append(np.stack([corners, np.roll(corners, -1, axis=0)], axis=1))
    ends = np.concatenate(ends)
    middle = ends.mean(axis=1)
    ends = ends[np.all((middle > -10) & (middle < np.asarray(shape) + 10), axis=1)]
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    length = np.maximum(np.sum(along**2, axis=1), 1e-30)
    nearest = []
    for point in points:
        t = np.clip(np.sum((point - start) * along, axis=1) / length, 0, 1)
        gap = start + t[:, None] * along - point
        nearest.append(np.sqrt(np.min(np.sum(gap**2, axis=1))))
    return np.asarray(nearest)


@pytest.mark.parametrize(
    ("skeleton", "disorder", "diameter"),
    [
        pytest.param("kelvin", None, 12.0, marks=pytest.mark.slow),
        ("voronoi", 0.0, 12.0),
        ("voronoi", 0.3, 12.0),
        ("voronoi", 0.3, (9.0, 15.0)),
    ],
)
def test_distance_is_that_of_the_explicit_tessellation(skeleton, disorder, diameter):
    shape = (30, 28, 32)
    if isinstance(diameter, tuple):
        diameter = jnp.linspace(*diameter, shape[2] + 1)
    _, diameter, seeds, field = distance(shape, diameter, skeleton, disorder)
    nodes = np.random.default_rng(0).integers(0, np.asarray(shape) + 1, (800, 3))
    expected = distance_to_edges(nodes, all_seeds(seeds), shape)
    expected = expected / np.asarray(diameter)[nodes[:, 2]]
    got = np.asarray(field)[tuple(nodes.T)]
    # up to the radius at porosity 0.6; farther off, seeds beyond the sixth may count
    near = expected < 0.14
    assert near.sum() > 100
    np.testing.assert_allclose(got[near], expected[near], atol=1e-9)
    assert np.all(got[~near] > 0.14)


@pytest.mark.slow
def test_kelvin_struts_have_the_edge_length_of_truncated_octahedra():
    # 36 edges, each of three cells: 12 e per volume 8√2 e³, e = A/(2√2)
    cube = 64
    _, diameter, _, field = distance(
        (cube,) * 3, cube / (np.pi / 3) ** (1 / 3), "kelvin"
    )
    field = (field * diameter)[:-1, :-1, :-1]
    edge = cube / (2 * 2**0.5)
    length_per_volume = 12 * edge / (8 * 2**0.5 * edge**3)

    def ratio(radius):
        # smoothed over one voxel, which adds 1/12 to the square of a radius
        solid = jnp.mean(jnp.clip(radius - field + 0.5, 0, 1))
        return float(solid / (np.pi * (radius**2 + 1 / 12) * length_per_volume))

    thin, thick = ratio(1.5), ratio(3.0)
    assert thick < thin < 1  # struts overlap in the corners, in proportion to r
    assert 2 * thin - thick == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "skeleton", [pytest.param("kelvin", marks=pytest.mark.slow), "voronoi"]
)
def test_area_is_the_derivative_of_the_solid_volume(skeleton):
    grid, diameter, _, field = distance((40, 40, 40), 28.0, skeleton)
    radius = 2.5

    def volume(radius):
        return -jnp.sum(volume_fractions(field * diameter - radius)) * 1e-18

    area = jnp.sum(cut_cells(grid, field * diameter - radius).interface_area)
    slope = jax.grad(volume)(radius) / 1e-6
    # struts of five voxels: corners between them are rounded by the cells
    assert float(area) == pytest.approx(float(slope), rel=0.045)


@pytest.mark.slow
def test_disordered_foam_looks_the_same_along_x_y_z():
    grid, _, _, field = distance((64, 64, 64), 13.0)
    cut = cut_cells(grid, field - 0.1)
    projected = np.asarray(
        [jnp.sum(jnp.abs(jnp.diff(a, axis=n))) for n, a in enumerate(cut.apertures)]
    )
    np.testing.assert_allclose(projected / projected.mean(), 1, atol=0.04)


@pytest.mark.parametrize("skeleton", ["kelvin", "voronoi"])
def test_one_seed_per_pore_sphere(skeleton):
    diameter = 9.0
    _, _, seeds, _ = distance((16, 16, 16), diameter, skeleton, 0.0)
    address = jnp.asarray([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0, 0, 1]], jnp.int32)
    sites = np.stack(seeds.positions(*address.T), axis=-1)
    volume = abs(np.linalg.det(sites[1:] - sites[0])) / 4
    assert volume == pytest.approx(np.pi / 6 * diameter**3)


def test_layers_follow_a_graded_pore_diameter():
    z = jnp.arange(101.0)
    edge = 10 + 0.2 * z
    layer = _layer_of_height(z, edge, _LATTICES["voronoi"])
    exact = np.log1p(0.02 * z) / 0.2 * 2**0.5
    np.testing.assert_allclose(layer, exact, atol=2e-3)


@pytest.mark.parametrize("skeleton", ["voronoi", "kelvin"])
@pytest.mark.parametrize("porosity", [0.65, 0.8])
def test_porosity_is_exact_and_both_phases_percolate(skeleton, porosity):
    scaffold = foam(
        **SMALL, porosity=porosity, pore_diameter=26 * um, skeleton=skeleton
    )
    assert float(scaffold.porosity) == pytest.approx(porosity, abs=1e-8)
    for phase in (scaffold.pore_fraction > 0.5, scaffold.pore_fraction < 0.5):
        patches, _ = label(np.asarray(phase))
        sizes = np.bincount(patches.ravel())[1:]
        largest = patches == 1 + np.argmax(sizes)
        assert largest[..., 0].any()
        assert largest[..., -1].any()
        assert sizes.max() > 0.97 * sizes.sum()


@pytest.mark.slow
def test_graded_porosity_and_pore_diameter():
    shape = (32, 32, 48)
    scaffold = foam(
        shape, 2 * um, porosity=Graded([0.7, 0.9]), pore_diameter=40 * um, key=1
    )
    assert float(scaffold.porosity) == pytest.approx(0.8, abs=1e-6)
    lower, upper = jnp.split(scaffold.pore_fraction.mean((0, 1)), 2)
    assert float(lower.mean()) == pytest.approx(0.75, abs=0.05)
    assert float(upper.mean()) == pytest.approx(0.85, abs=0.05)

    finer = foam(
        shape, 2 * um, porosity=0.7, pore_diameter=Graded([18 * um, 50 * um]), key=1
    )
    assert float(finer.porosity) == pytest.approx(0.7, abs=1e-6)
    lower, upper = jnp.split(finer.surface_area.sum((0, 1)), 2)
    # area per volume goes with 1/d: means of 1/d over 26 and 42 µm
    assert 1.2 < float(lower.sum() / upper.sum()) < 2.0


def test_constant_profile_is_the_number():
    number = foam(**SMALL, porosity=0.8, pore_diameter=26 * um)
    profile = foam(**SMALL, porosity=0.8, pore_diameter=lambda x, y, z: 26 * um + 0 * z)
    np.testing.assert_allclose(profile.pore_fraction, number.pore_fraction, atol=1e-9)


def test_key_decides_the_foam():
    arguments = {
        "shape": SHAPE,
        "voxel_size": 2 * um,
        "porosity": 0.8,
        "pore_diameter": 26 * um,
    }
    first = foam(**arguments, key=7).pore_fraction
    np.testing.assert_array_equal(
        first, foam(**arguments, key=jax.random.key(7)).pore_fraction
    )
    assert jnp.max(jnp.abs(first - foam(**arguments, key=8).pore_fraction)) > 0.5


def test_same_foam_at_another_resolution():
    _, _, _, coarse = distance((12, 12, 16), 9.0)
    _, _, _, fine = distance((24, 24, 32), 18.0)
    near = np.asarray(coarse) < 0.14
    np.testing.assert_allclose(fine[::2, ::2, ::2][near], coarse[near], atol=1e-9)


@pytest.mark.slow
def test_gradients_with_respect_to_shape():
    def area(parameters):
        porosity, lower, upper = parameters
        diameter = Graded(jnp.stack([lower, upper]))
        scaffold = foam(**SMALL, porosity=porosity, pore_diameter=diameter)
        return scaffold.specific_area * 1e-6

    at = jnp.asarray([0.8, 24 * um, 28 * um])
    reverse = jax.jit(jax.grad(area))(at)
    value = jax.jit(area)
    for n, step in enumerate((1e-6, 1e-12, 1e-12)):
        direction = jnp.zeros(3).at[n].set(1.0)
        central = (value(at + step * direction) - value(at - step * direction)) / (
            2 * step
        )
        forward = jax.jit(lambda v: jax.jvp(area, (at,), (v,))[1])(direction)
        assert float(forward) == pytest.approx(float(reverse[n]), rel=1e-8)
        assert float(central) == pytest.approx(float(reverse[n]), rel=1e-4)
    assert reverse[1] < 0  # larger pores, less area


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"porosity": 92}, "Give a fraction, not percent"),
        ({"porosity": float("nan")}, "porosity: expected finite numbers"),
        ({"porosity": 0.5}, r"porosity: expected within \[0.6, 0.99\].*windows close"),
        ({"porosity": 0.97}, "struts at least 2 voxels thick"),
        ({"pore_diameter": 60}, "pore_diameter: .* with its unit"),
        ({"pore_diameter": 1 * um}, r"pore_diameter: .*\[8, 24\] voxels, got 0.5"),
        ({"pore_diameter": 60 * um}, "a sample that holds some pores"),
        ({"pore_diameter": lambda x, y, z: 20 * um + 0.1 * x}, "along z only"),
        ({"voxel_size": 2}, "write it with its unit, as 2"),
        ({"voxel_size": (2 * um, 2 * um, um)}, "voxel_size: expected one number"),
        ({"key": None}, "key: expected a whole number"),
        ({"key": 0.5}, "key: expected a whole number"),
        ({"skeleton": "kelvyn"}, "Did you mean 'kelvin'"),
        ({"skeleton": "kelvin", "disorder": 0.2}, 'Use skeleton="voronoi"'),
        ({"skeleton": "kelvin", "pore_diameter": Graded([2e-5, 3e-5])}, "Regular"),
        ({"disorder": 0.7}, r"disorder: expected within \[0, 0.5\]"),
    ],
)  # fmt: skip
def test_refusals(change, message):
    arguments = {**SMALL, "porosity": 0.8, "pore_diameter": 26 * um, **change}
    with pytest.raises(ValueError, match=message):
        foam(**arguments)
