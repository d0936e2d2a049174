"""Foils and what stands on them against closed forms, and what they refuse."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.scaffold.foils import foil, grooves, needles, pillars, rough_foil
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

SHAPE = (32, 32, 24)  # one for all, so that one compilation serves
FOOTPRINT = 32 * 32 * um**2
BOX = FOOTPRINT * 24 * um
PILLARS = {"diameter": 16 * um, "height": 15 * um, "pitch": 32 * um}
NEEDLES = {"height": 18 * um, "tip_radius": 4 * um, "pitch": 32 * um}
GROOVES = {"width": 8 * um, "depth": 12 * um, "pitch": 16 * um}
WAVES = {"height": 8 * um, "amplitude": 2 * um, "wavelength": 16 * um}


def build(generator, arguments, **changes):
    return generator(SHAPE, 1 * um, **(arguments | changes))


def solid_volume(host):
    return float((1 - host.porosity) * BOX)


def test_a_foil_at_zero_is_an_open_box():
    host = foil(SHAPE, 1 * um)
    assert float(host.porosity) == 1.0
    assert float(host.total_surface_area) == 0.0
    assert float(host.face_transmission[2][..., 0].min()) == 1.0


@pytest.mark.parametrize("height", [7.0, 7.3])
def test_foil(height):
    host = foil(SHAPE, 1 * um, height=height * um)
    np.testing.assert_allclose(host.porosity, 1 - height / 24, rtol=1e-9)
    np.testing.assert_allclose(host.total_surface_area, FOOTPRINT, rtol=1e-9)
    assert float(host.face_transmission[2][..., :7].max()) == 0.0


def test_foil_of_any_relief():
    host = foil(SHAPE, 1 * um, height=lambda x, y, z: 4 * um + 0.25 * x)
    np.testing.assert_allclose(host.porosity, 1 - 8 / 24, rtol=1e-9)
    slanted = FOOTPRINT * math.hypot(1, 0.25)
    np.testing.assert_allclose(host.total_surface_area, slanted, rtol=1e-6)


def test_pillars():
    host = build(pillars, PILLARS)
    d, h = 16 * um, 15 * um
    volume, area = math.pi / 4 * d**2 * h, math.pi * d * h + math.pi / 4 * d**2
    np.testing.assert_allclose(solid_volume(host), volume, rtol=1e-2)
    # the rim's corner is cut within one cell: about 0.6 voxel of the rim's length
    np.testing.assert_allclose(host.total_surface_area, area, rtol=3e-2)
    solid = 1 - np.asarray(host.pore_fraction)
    np.testing.assert_allclose(solid, solid[::-1, ::-1], atol=1e-9)
    assert float(host.face_transmission[2][16, 16, 0]) == 0.0
    assert float(host.face_transmission[2][0, 0, 0]) == 1.0


def test_hexagonal_pillars_stand_nearer():
    # pitch 18.475 µm: √3 pitch is the box's side in y, and 32/18.475 of one in x
    pitch = 32 / math.sqrt(3.0) * um
    host = build(
        pillars, PILLARS, diameter=8 * um, pitch=pitch, arrangement="hexagonal"
    )
    layer = 1 - np.asarray(host.pore_fraction[:, :, 3])
    x, y = np.meshgrid(*(np.arange(32) + 0.5,) * 2, indexing="ij")
    p = pitch / um
    middles = [(p / 2, 0), (3 * p / 2, 0), (p / 2, 32), (3 * p / 2, 32)]
    middles += [(0, 16), (p, 16), (2 * p, 16)]
    away = np.min([np.hypot(x - a, y - b) for a, b in middles], axis=0)
    assert np.all(layer[away < 3.2] > 0.99)
    assert np.all(layer[away > 4.8] < 0.01)


def test_tapered_pillars():
    # from 20 to 8 µm over the box, cut at 12 µm where 14 is left: a frustum
    host = build(pillars, PILLARS, diameter=Graded([20 * um, 8 * um]), height=12 * um)
    a, b = 10 * um, 7 * um
    volume = math.pi / 3 * 12 * um * (a * a + a * b + b * b)
    np.testing.assert_allclose(solid_volume(host), volume, rtol=1e-2)


def test_paraboloid():
    host = build(needles, NEEDLES)
    h, tip = 18 * um, 4 * um
    np.testing.assert_allclose(solid_volume(host), math.pi * tip * h**2, rtol=1e-2)
    wall = (tip**2 + 2 * tip * h) ** 1.5 - tip**3
    area = 2 * math.pi / (3 * tip) * wall
    np.testing.assert_allclose(host.total_surface_area, area, rtol=1e-2)


def test_cone_with_a_round_tip():
    slope, h, tip = 0.4, 18 * um, 4 * um
    host = build(needles, NEEDLES, half_angle=slope)
    # the side touches the sphere at (tip cos, center + tip sin); above is a cap
    touch = tip * math.cos(slope)
    rise = h - tip + tip * math.sin(slope)
    foot = touch + rise * math.tan(slope)
    cap = tip - tip * math.sin(slope)
    volume = math.pi / 3 * rise * (foot**2 + foot * touch + touch**2)
    volume += math.pi / 3 * cap**2 * (3 * tip - cap)
    area = math.pi * (foot + touch) * rise / math.cos(slope) + 2 * math.pi * tip * cap
    np.testing.assert_allclose(solid_volume(host), volume, rtol=1e-2)
    np.testing.assert_allclose(host.total_surface_area, area, rtol=1e-2)


def test_grooves():
    host = build(grooves, GROOVES)
    np.testing.assert_allclose(
        solid_volume(host), 4 * 8 * 12 / (24 * 64) * BOX, rtol=1e-9
    )
    # walls on nodes: the box holds 2 ridges and 4 sides
    area = (2 * 8 + 4 * 12) * 32 * um**2
    np.testing.assert_allclose(host.total_surface_area, area, rtol=1e-9)
    assert float(host.face_transmission[2][8, :, 0].min()) == 1.0


def test_grooves_with_a_floor():
    host = build(grooves, GROOVES, floor=4 * um)
    np.testing.assert_allclose(host.porosity, 1 - (8 / 16 * 12 + 4) / 24, rtol=1e-9)
    assert float(host.face_transmission[2][..., :4].max()) == 0.0
    # inner corners are cut within one cell
    area = FOOTPRINT * (1 + 2 * 12 / 16)
    np.testing.assert_allclose(host.total_surface_area, area, rtol=5e-2)


@pytest.mark.parametrize(
    ("pattern", "key"), [("ridges", None), ("bumps", None), ("random", 5)]
)
def test_rough_foils_share_height_and_roughness(pattern, key):
    host = build(rough_foil, WAVES, pattern=pattern, key=key)
    np.testing.assert_allclose(host.porosity, 1 - 8 / 24, rtol=1e-6)
    heights = np.asarray((1 - host.pore_fraction).sum(2))
    np.testing.assert_allclose(heights.std(), 2 / math.sqrt(2), rtol=5e-2)


def test_area_of_ridges():
    # arc length of z = a cos kx over its period, by quadrature
    x = (np.arange(10_000) + 0.5) / 10_000
    k = 2 * np.pi / 16
    factor = np.mean(np.sqrt(1 + (2 * k * np.sin(2 * np.pi * x)) ** 2))
    np.testing.assert_allclose(build(rough_foil, WAVES).area_factor, factor, rtol=1e-2)


def test_random_foil_repeats_and_obeys_its_key():
    one = build(rough_foil, WAVES, pattern="random", key=1)
    again = build(rough_foil, WAVES, pattern="random", key=jax.random.key(1))
    other = build(rough_foil, WAVES, pattern="random", key=2)
    np.testing.assert_array_equal(one.pore_fraction, again.pore_fraction)
    assert float(jnp.abs(one.pore_fraction - other.pore_fraction).max()) > 0.5
    # the dominating wave has the wavelength asked for
    heights = np.asarray((1 - one.pore_fraction).sum(2))
    spectrum = np.abs(np.fft.fft2(heights - heights.mean())) ** 2
    waves = np.hypot(*np.meshgrid(*(np.fft.fftfreq(32),) * 2))
    mean_wave = np.sum(waves * spectrum) / np.sum(spectrum)
    np.testing.assert_allclose(mean_wave, 1 / 16, rtol=0.3)


@pytest.mark.parametrize(
    ("generator", "arguments", "name", "value"),
    [
        (foil, {}, "height", 7.0),
        (pillars, PILLARS, "diameter", 15.3),
        (needles, NEEDLES, "tip_radius", 4.1),
        (needles, NEEDLES | {"half_angle": 0.3}, "height", 17.2),
        (grooves, GROOVES, "width", 8.3),
        (rough_foil, WAVES, "amplitude", 2.1),
        (rough_foil, WAVES | {"pattern": "random", "key": 1}, "wavelength", 15.0),
    ],
)
def test_levelset_derivatives(monkeypatch, generator, arguments, name, value):
    levelset_only(monkeypatch)
    weights = np.random.default_rng(0).random([n + 1 for n in SHAPE])

    def measure(length):
        values = build(generator, arguments, **{name: length * um})
        return jnp.sum(values * weights) / um

    check_gradient(measure, value)


@pytest.mark.slow
def test_derivative_of_the_whole():
    check_gradient(lambda h: foil(SHAPE, um, height=h * um).porosity, 7.0)


def test_walls_on_nodes_have_a_derivative():
    # dε/dw = depth/(pitch × height of the box); the ridge's rim lacks a part of a cell
    slope = jax.grad(lambda w: build(grooves, GROOVES, width=w).porosity)(8 * um)
    np.testing.assert_allclose(slope, 12 / (16 * 24) / um, rtol=3e-2)


@pytest.mark.parametrize(
    ("generator", "arguments", "changes", "message"),
    [
        (foil, {}, {"height": -1 * um}, r"height: expected within \[0"),
        (foil, {}, {"height": 23 * um}, "two voxels below the top"),
        (pillars, PILLARS, {"diameter": 33 * um}, "diameter: expected below the pitch"),
        (
            pillars,
            PILLARS,
            {"diameter": 1 * um},
            "diameter: expected at least 2 voxels",
        ),
        (pillars, PILLARS, {"height": 24 * um}, "height: expected within"),
        (pillars, PILLARS, {"arrangement": "hex"}, "Did you mean 'hexagonal'"),
        (needles, NEEDLES, {"tip_radius": 0.5 * um}, "tip_radius .* at least 2 voxels"),
        (needles, NEEDLES, {"tip_radius": 9 * um}, "foot, .* below the pitch"),
        (needles, NEEDLES, {"half_angle": 1.2}, "foot: expected below the pitch"),
        (needles, NEEDLES, {"half_angle": 15.0}, "Give radians"),
        (grooves, GROOVES, {"width": 15 * um}, "ridge .* at least 2 voxels"),
        (grooves, GROOVES, {"width": 20 * um}, "ridge .* a positive number"),
        (grooves, GROOVES, {"floor": 11 * um}, "depth .and floor.: expected within"),
        (rough_foil, WAVES, {"amplitude": 9 * um}, "stay above the collector"),
        (
            rough_foil,
            WAVES,
            {"wavelength": 7 * um},
            "wavelength / 4: expected at least",
        ),
        (rough_foil, WAVES, {"pattern": "random"}, "Give key=0"),
        (rough_foil, WAVES, {"key": 0}, "none otherwise"),
        (rough_foil, WAVES, {"pattern": "random", "key": 0.5}, "key: expected a whole"),
    ],
)
def test_refusals(generator, arguments, changes, message):
    with pytest.raises(ValueError, match=message):
        build(generator, arguments, **changes)


def levelset_only(monkeypatch):
    """Generators return their level set: cut cells have their own derivative tests."""
    monkeypatch.setattr(Scaffold, "from_levelset", lambda values, grid: values)


def check_gradient(function, x, step=1e-5, tolerance=1e-5):
    """Reverse = forward = central difference."""
    reverse, forward = jax.grad(function)(x), jax.jacfwd(function)(x)
    central = (function(x + step) - function(x - step)) / (2 * step)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    np.testing.assert_allclose(reverse, central, rtol=tolerance)
