"""Fibre mats against the Boolean model, cloth against its weave, and refusals."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.scaffold.features import generator_of
from depojax.scaffold.fibres import carbon_cloth, fibre_mat, random_lines
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

SHAPE = (32, 32, 32)  # one for all, so that one compilation serves
MAT = {"key": 1, "fibre_diameter": 6 * um}
CLOTH = {"tow_pitch": 16 * um}


def mat(**changes):
    return fibre_mat(SHAPE, 1 * um, **(MAT | changes))


def cloth(**changes):
    return carbon_cloth(SHAPE, 1 * um, **(CLOTH | changes))


def lines(count, anisotropy=1.0, key=0, shape=SHAPE):
    drawn = random_lines(generator_of(key), shape, anisotropy)
    points, directions = zip(*itertools.islice(drawn, count), strict=True)
    return np.stack(points), np.stack(directions)


def test_one_fibre_is_a_cylinder(monkeypatch):
    # radius 8 voxels, tilted by 0.3 through the middle of the box
    tilt = 0.3
    line = (np.full(3, 16.0), np.array([math.sin(tilt), 0, math.cos(tilt)]))
    monkeypatch.setattr("depojax.scaffold.fibres.random_lines", lambda *_: iter([line]))
    host = mat(fibres=1, fibre_diameter=16 * um)
    length = 32 / math.cos(tilt)
    volume, area = math.pi * 8**2 * length, 2 * math.pi * 8 * length
    np.testing.assert_allclose((1 - host.porosity) * 32**3, volume, rtol=1e-2)
    np.testing.assert_allclose(host.total_surface_area / um**2, area, rtol=1e-2)


def test_isotropic_lines_leave_the_boolean_porosity():
    # N lines through a convex body of surface S: a ball of radius r inside is missed
    # by each with 1 − πr²/(S/4); over many keys
    count, radius, porosities = 40, 3.0, []
    points = np.random.default_rng(9).random((2000, 3)) * 32
    for key in range(60):
        feet, directions = lines(count, key=key)
        offset = points[:, None, :] - feet
        away = np.linalg.norm(np.cross(offset, directions), axis=-1)
        porosities.append(np.mean(away.min(1) > radius))
    side = 32 * 1.2
    expected = (1 - math.pi * radius**2 / (6 * side**2 / 4)) ** count
    error = np.std(porosities) / math.sqrt(60)
    assert error < 0.01
    np.testing.assert_allclose(np.mean(porosities), expected, atol=3.5 * error)


@pytest.mark.parametrize("beta", [0.3, 1.0, 8.0])
def test_directions_have_the_density_of_beta(beta):
    # in a cube each direction's share goes with its shadow; a ball would have none
    _, u = lines(20_000, beta)
    cosine = np.linspace(-1, 1, 20_001)
    density = (1 + (beta**2 - 1) * cosine**2) ** -1.5
    turn = (np.arange(90) + 0.5) / 90 * np.pi / 2
    sine = np.sqrt(1 - cosine**2)
    shadow = np.abs(cosine) + sine * np.mean(np.cos(turn) + np.sin(turn))
    expected = np.sum(density * shadow * cosine**2) / np.sum(density * shadow)
    np.testing.assert_allclose(np.mean(u[:, 2] ** 2), expected, rtol=0.03)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1.0, rtol=1e-12)


def test_porosity_is_exact_and_diameter_near():
    host = mat(porosity=0.8)
    np.testing.assert_allclose(host.porosity, 0.8, rtol=1e-9)
    # the wall of a Boolean model: a = 2 ε (−ln ε)/r, here within sampling error
    area = 2 * 0.8 * -math.log(0.8) / (3 * um)
    np.testing.assert_allclose(host.specific_area, area, rtol=0.15)


def test_two_of_three_agree():
    by_count = mat(fibres=12)
    by_porosity = mat(fibres=12, fibre_diameter=None, porosity=by_count.porosity)
    np.testing.assert_allclose(
        by_porosity.pore_fraction, by_count.pore_fraction, atol=1e-6
    )


def test_graded_mat_is_denser_below():
    host = mat(porosity=Graded([0.6, 0.95]))
    np.testing.assert_allclose(host.porosity, 0.775, rtol=1e-6)
    lower = host.pore_fraction[..., :16].mean()
    assert float(lower) < float(host.pore_fraction[..., 16:].mean())


def test_fibres_obey_their_key_and_order():
    few, many = lines(10)[0], lines(300)[0]
    np.testing.assert_array_equal(few, many[:10])
    assert np.all(few != lines(10, key=2)[0])


@pytest.mark.slow
def test_mat_derivatives():
    @jax.jit
    def area(x):
        host = mat(fibres=12, fibre_diameter=None, porosity=0.8 * x)
        return host.area_factor

    check_gradient(area, 1.0, tolerance=1e-4)


@pytest.mark.slow
def test_levelset_derivatives(monkeypatch):
    monkeypatch.setattr(Scaffold, "from_levelset", lambda values, grid: values)
    weights = np.random.default_rng(0).random([n + 1 for n in SHAPE])

    def measure(build):
        return lambda x: jnp.sum(build(x) * weights) / um

    check_gradient(measure(lambda x: mat(fibres=9, fibre_diameter=6 * x * um)), 1.0)
    bundle = {"filaments": 5, "filament_diameter": 3 * um}
    for name, value in (
        ("tow_pitch", 16.3),
        ("tow_width", 13.0),
        ("tow_thickness", 14.0),
        ("filament_diameter", 3.1),
    ):
        check_gradient(
            measure(lambda x, n=name, v=value: cloth(**(bundle | {n: x * v * um}))),
            1.0,
            step=1e-7,
        )
    check_gradient(measure(lambda x: cloth(tow_width=13 * x * um)), 1.0, step=1e-7)


def test_cloth_is_woven():
    solid = 1 - np.asarray(cloth(tow_thickness=12 * um).pore_fraction)
    # the tow along x at y = 8 passes above that along y at x = 8, below at x = 24
    height = (np.arange(32) + 0.5) @ solid[:, 8, :].T / solid[:, 8, :].sum(1)
    crossing_upper, crossing_lower = solid[8, 2, :], solid[24, 2, :]
    assert np.argmax(crossing_upper) != np.argmax(crossing_lower)
    # the weave is its own mirror image upside down, one pitch further on
    np.testing.assert_allclose(solid, np.roll(solid, 16, 0)[:, :, ::-1], atol=1e-9)
    np.testing.assert_allclose(solid, solid.transpose(1, 0, 2)[:, :, ::-1], atol=1e-9)
    assert height.shape == (32,)


def test_bundle_volume():
    # filaments of a slightly wavy tow: count × area × length, two tows each way
    shape, diameter = (64, 64, 32), 4.0
    host = carbon_cloth(
        shape,
        1 * um,
        tow_pitch=32 * um,
        filaments=7,
        filament_diameter=diameter * um,
    )
    amplitude, wave = 8.0, math.pi / 32
    x = (np.arange(1000) + 0.5) / 1000 * 64
    length = 64 * np.mean(np.sqrt(1 + (amplitude * wave * np.cos(wave * x)) ** 2))
    volume = 4 * 7 * math.pi / 4 * diameter**2 * length
    np.testing.assert_allclose((1 - host.porosity) * 64 * 64 * 32, volume, rtol=3e-2)


def test_cloth_by_porosity():
    for filaments in (None, 5):
        host = cloth(filaments=filaments, porosity=0.6)
        open_and_closed = host.porosity + host.closed_pore_fraction
        np.testing.assert_allclose(open_and_closed, 0.6, rtol=1e-8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected two of the three, got .'fibre_diameter'"),
        ({"porosity": 0.8, "fibres": 9}, "expected two of the three"),
        ({"porosity": 80}, "not percent"),
        ({"porosity": 0.8, "fibre_diameter": 1.5 * um}, "at least 2 voxels"),
        ({"porosity": 0.8, "fibre_diameter": -6 * um}, "a positive number"),
        ({"porosity": 0.99, "fibre_diameter": None, "fibres": 99}, "at least 2 voxels"),
        ({"fibres": 0}, "fibres: expected at least 1"),
        ({"fibres": 9, "anisotropy": 0.0}, "anisotropy: expected within"),
        ({"fibres": 9, "key": None}, "key: expected a whole number"),
    ],
)
def test_mats_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        mat(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tow_width": 17 * um}, "tow_width: expected at most the tow_pitch"),
        ({"tow_thickness": 17 * um}, "tow_thickness: expected at most half the height"),
        ({"tow_pitch": 1 * um}, "tow_pitch: expected at least 2 voxels"),
        ({"filaments": 5}, "expected one of the two, got none"),
        ({"filament_diameter": 3 * um}, "expected None for solid tows"),
        ({"filaments": 5, "filament_diameter": 1 * um}, "at least 2 voxels"),
        ({"filaments": 5, "filament_diameter": 20 * um}, "at most the tow_thickness"),
        ({"layers": 0}, "layers: expected at least 1"),
    ],
)
def test_cloths_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        cloth(**changes)


def test_traced_numbers_need_a_count():
    with pytest.raises(ValueError, match="Give fibres="):
        jax.grad(lambda eps: mat(porosity=eps).area_factor)(0.8)
    with pytest.raises(ValueError, match="Close over the key"):
        jax.jit(lambda key: mat(fibres=9, key=key).porosity)(jax.random.key(0))


def check_gradient(function, x, step=1e-5, tolerance=1e-5):
    """Reverse = forward = central difference."""
    reverse, forward = jax.grad(function)(x), jax.jacfwd(function)(x)
    central = (function(x + step) - function(x - step)) / (2 * step)
    np.testing.assert_allclose(reverse, forward, rtol=1e-8)
    np.testing.assert_allclose(reverse, central, rtol=tolerance)
