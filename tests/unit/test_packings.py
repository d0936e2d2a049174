"""Spheres against closed forms, packings against what they promise, and refusals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import KDTree

from depojax.scaffold.gradients import Graded
from depojax.scaffold.packings import (
    LATTICES,
    sphere_array,
    sphere_centers,
    sphere_pack,
)
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

SHAPE = (20, 20, 20)  # one for all, so that one compilation serves
VOLUME = (20 * um) ** 3
ARRAY = {"period": 20 * um}
PACK = {"porosity": 0.5, "diameter": 8 * um, "key": 1}


def array(**changes):
    return sphere_array(SHAPE, 1 * um, **(ARRAY | changes))


def pack(**changes):
    return sphere_pack(SHAPE, 1 * um, **(PACK | changes))


@pytest.mark.parametrize(("lattice", "count"), [("sc", 1), ("bcc", 2), ("fcc", 4)])
def test_spheres_apart(lattice, count):
    radius = {"sc": 8, "bcc": 8, "fcc": 6}[lattice] * um
    host = array(lattice=lattice, radius=radius)
    volume, area = count * 4 / 3 * math.pi * radius**3, count * 4 * math.pi * radius**2
    np.testing.assert_allclose((1 - host.porosity) * VOLUME, volume, rtol=2e-2)
    np.testing.assert_allclose(host.total_surface_area, area, rtol=2e-2)


def test_sphere_volume_and_area_converge():
    errors = []
    for refine in (1, 2):
        shape = tuple(refine * n for n in SHAPE)
        host = sphere_array(shape, um / refine, **ARRAY, radius=8 * um)
        area = float(host.total_surface_area) / (4 * math.pi * (8 * um) ** 2)
        volume = float(1 - host.porosity) * VOLUME / (4 / 3 * math.pi * (8 * um) ** 3)
        errors.append((abs(area - 1), abs(volume - 1)))
    assert max(errors[0]) < 1.5e-2
    assert max(errors[1]) < 4e-3
    assert np.all(np.asarray(errors[0]) > 3 * np.asarray(errors[1]))


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("share", [0.3, 0.8, 0.97])
def test_solid_fraction_of_overlapping_spheres(name, share):
    lattice = LATTICES[name]
    radius = share * lattice.largest
    # by counting points of a fine lattice
    points = (np.arange(100) + 0.5) / 100
    inside = np.zeros((100,) * 3, bool)
    for place in lattice.places:
        x, y, z = ((points - p + 0.5) % 1 - 0.5 for p in place)
        square = (x**2)[:, None, None] + (y**2)[:, None] + z**2
        inside |= square < radius**2
    exact = lattice.solid_fraction(jnp.asarray(radius))
    np.testing.assert_allclose(exact, inside.mean(), rtol=5e-3, atol=2e-4)
    np.testing.assert_allclose(lattice.radius(exact), radius, rtol=1e-10)
    slope = jax.grad(lattice.radius)(exact)
    rise = jax.grad(lattice.solid_fraction)(jnp.asarray(radius))
    np.testing.assert_allclose(slope, 1 / rise, rtol=1e-10)


def test_three_spheres_meet_at_the_largest_radius():
    # the point nearest to three neighbours: in the triangle that they make
    triangles = {
        "sc": [(0.5, 0.5, 0.5), (1.5, 0.5, 0.5), (0.5, 1.5, 0.5)],
        "bcc": [(0, 0, 0), (1, 0, 0), (0.5, 0.5, 0.5)],
        "fcc": [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5)],
    }
    for name, corners in triangles.items():
        a, b, c = (np.asarray(p, float) for p in corners)
        sides = [np.linalg.norm(p - q) for p, q in ((a, b), (b, c), (c, a))]
        area = np.linalg.norm(np.cross(b - a, c - a)) / 2
        np.testing.assert_allclose(LATTICES[name].largest, np.prod(sides) / 4 / area)


def test_inverse_opal_is_the_complement():
    solid = array(lattice="fcc", solid_fraction=0.85, invert=False)
    inverse = array(lattice="fcc", solid_fraction=0.15, invert=True)
    np.testing.assert_allclose(solid.porosity, 0.15, rtol=5e-2)
    np.testing.assert_allclose(inverse.porosity, 0.85, rtol=2e-2)
    assert float(inverse.closed_pore_fraction) == 0.0


def test_graded_array_is_denser_where_asked():
    host = array(radius=Graded([9 * um, 6 * um]))
    lower, upper = (
        host.pore_fraction[..., :10].mean(),
        host.pore_fraction[..., 10:].mean(),
    )
    assert float(lower) < float(upper)


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"solid_fraction": 0.4},
        *(
            pytest.param(arguments, marks=pytest.mark.slow)
            for arguments in ({"radius": 8.05 * um}, {"period": 20.3 * um})
        ),
    ],
)
def test_array_derivatives(monkeypatch, lattice, arguments):
    monkeypatch.setattr(Scaffold, "from_levelset", lambda values, grid: values)
    weights = np.random.default_rng(0).random([2 * n + 1 for n in SHAPE])
    ((name, value),) = arguments.items()
    others = {"radius": 7 * um} if name == "period" else {}

    def measure(x):
        values = array(lattice=lattice, **others, **{name: x * value})
        return jnp.sum(values * weights) / um

    check_gradient(measure, 1.0, step=1e-7)


@pytest.mark.parametrize("solid_fraction", [0.3, 0.5, 0.58])
def test_centers_keep_their_distance(solid_fraction):
    box, diameter = 60.0, 10 * um
    centers = sphere_centers(
        (60, 60, 60), 1 * um, diameter=diameter, porosity=1 - solid_fraction, key=3
    )
    count = solid_fraction * box**3 / (math.pi / 6 * 10**3)
    assert centers.shape == (round(count), 3)
    pairs = KDTree(np.asarray(centers) / um % box, boxsize=box).query(centers / um, k=2)
    # jammed ones may press into each other by 1 % of the diameter
    assert pairs[0][:, 1].min() > 9.9
    assert float(centers.min()) >= 0
    assert float(centers.max()) <= 60 * um


def test_overlapping_centers_reach_the_porosity_at_the_diameter():
    centers = sphere_centers(
        (60, 60, 60), 1 * um, diameter=12 * um, porosity=0.8, key=3, invert=True
    )
    points = np.random.default_rng(0).random((100_000, 3)) * 60
    away = KDTree(np.asarray(centers) / um % 60, boxsize=60.0).query(points)[0]
    np.testing.assert_allclose(np.mean(away < 6), 0.8, atol=0.01)


def test_centers_obey_their_key():
    def centers(key):
        return sphere_centers(SHAPE, um, diameter=8 * um, porosity=0.6, key=key)

    np.testing.assert_array_equal(centers(4), centers(jax.random.key(4)))
    assert float(jnp.abs(centers(4) - centers(5)).max()) > 2 * um


@pytest.mark.parametrize("invert", [False, True])
def test_pack_has_the_porosity(invert):
    porosity = 0.8 if invert else 0.5
    host = pack(porosity=porosity, invert=invert)
    open_and_closed = host.porosity + host.closed_pore_fraction
    np.testing.assert_allclose(open_and_closed, porosity, rtol=1e-8)
    assert float(host.closed_pore_fraction) < 1e-4


def test_pack_of_given_centers():
    centers = jnp.asarray([[5.0, 5, 5], [15, 15, 15]]) * um
    host = sphere_pack(SHAPE, um, centers=centers, diameter=10 * um)
    volume, area = 2 * math.pi / 6 * 10**3, 2 * math.pi * 10**2
    np.testing.assert_allclose((1 - host.porosity) * 20**3, volume, rtol=3e-2)
    np.testing.assert_allclose(host.total_surface_area, area * um**2, rtol=2e-2)
    # a sphere across the sides comes in again
    moved = sphere_pack(SHAPE, um, centers=centers + 15 * um, diameter=10 * um)
    np.testing.assert_allclose(moved.porosity, host.porosity, rtol=1e-2)


def test_pack_derivatives():
    centers = sphere_centers(SHAPE, um, diameter=8 * um, porosity=0.6, key=2)

    @jax.jit
    def measure(x):
        moved = centers.at[0].add(x * um)
        return sphere_pack(SHAPE, um, centers=moved, diameter=(7.9 + x) * um).porosity

    check_gradient(measure, 0.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "radius, solid_fraction: expected one of the two, got none"),
        ({"radius": 8 * um, "solid_fraction": 0.3}, "one of the two, got both"),
        ({"radius": 15 * um}, "three spheres of the sc lattice meet"),
        ({"radius": 0.9 * um}, "sphere diameter: expected at least 2 voxels"),
        ({"radius": -8 * um}, "radius: expected within"),
        ({"solid_fraction": 40}, "not percent"),
        ({"solid_fraction": 0.99}, "Three spheres would meet"),
        ({"radius": 8 * um, "lattice": "hcp"}, "Known: bcc, fcc, sc"),
    ],
)
def test_arrays_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        array(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": None}, "key, centers: expected one of the two, got none"),
        (
            {"centers": np.zeros((1, 3))},
            "key, centers: expected one of the two, got both",
        ),
        ({"porosity": None}, "diameter, porosity: expected both"),
        ({"porosity": 50}, "not percent"),
        ({"diameter": 1 * um}, "diameter: expected at least 2 voxels"),
        ({"diameter": 11 * um}, "at most half of the shortest side"),
        ({"key": None, "centers": np.zeros((1, 3))}, "one of the two, with centers"),
        (
            {"key": None, "diameter": None, "centers": np.zeros(3)},
            r"centers: expected rows of x, y, z \[m\], got shape \(3,\)",
        ),
    ],
)
def test_packs_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        pack(**changes)


def test_traced_porosity_needs_centers():
    with pytest.raises(ValueError, match="hand them on as centers="):
        jax.grad(lambda eps: pack(porosity=eps).area_factor)(0.5)


def check_gradient(function, x, step=1e-5, tolerance=1e-5):
    """Reverse = forward = central difference."""
    reverse, forward = jax.grad(function)(x), jax.jacfwd(function)(x)
    central = (function(x + step) - function(x - step)) / (2 * step)
    np.testing.assert_allclose(reverse, forward, rtol=1e-8)
    np.testing.assert_allclose(reverse, central, rtol=tolerance)
