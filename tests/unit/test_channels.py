"""Channels and sheets against their closed forms, and what they refuse."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.scaffold.channels import SECTIONS, aligned_channels, stacked_sheets
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

SHAPE = (32, 16, 24)  # one for all, so that one compilation serves
UPRIGHT = {"channel_width": 12 * um, "wall_thickness": 4 * um}
SHEETS = {
    "gap": 8 * um,
    "sheet_thickness": 2 * um,
    "spacing": 8 * um,
    "period": 32 * um,
}


def upright(**changes):
    return aligned_channels(SHAPE, 1 * um, **(UPRIGHT | changes))


def sheets(**changes):
    return stacked_sheets(SHAPE, 1 * um, **(SHEETS | changes))


@pytest.mark.parametrize(
    ("section", "porosity", "perimeter", "tolerance"),
    [
        ("slit", 3 / 4, 2 * 16, 1e-9),
        ("square", 9 / 16, 4 * 12, 1e-9),
        ("round", math.pi / 4 * 9 / 16, math.pi * 12, 6e-3),
    ],
)
def test_upright_channels(section, porosity, perimeter, tolerance):
    host = upright(section=section)
    np.testing.assert_allclose(host.porosity, porosity, rtol=tolerance)
    area = 2 * perimeter * um * 24 * um
    # closure cuts the corners of square channels within one cell each
    np.testing.assert_allclose(host.total_surface_area, area, rtol=6e-2)
    if section != "square":
        np.testing.assert_allclose(host.total_surface_area, area, rtol=6e-3)


def test_honeycomb():
    # √3 × 32 µm is 55.43 voxels: the side cuts 0.43 of a voxel off the repeat
    host = aligned_channels((32, 111, 2), 0.5 * um, **UPRIGHT, section="hexagonal")
    np.testing.assert_allclose(host.porosity, 9 / 16, rtol=2e-3)
    np.testing.assert_allclose(host.specific_area, 4 * 12 / 16**2 / um, rtol=1e-2)


@pytest.mark.parametrize("degrees", [0.0, 30.0, -60.0])
def test_tilt_keeps_porosity_and_area(degrees):
    # At 60° the pattern repeats after 2 × 8 voxels
    tilted = aligned_channels(
        SHAPE,
        1 * um,
        channel_width=5 * um,
        wall_thickness=3 * um,
        angle=math.radians(degrees),
        periodic=(True, False, False),
    )
    exact = 1e-9 if degrees in (0.0, -60.0) else 5e-2
    np.testing.assert_allclose(tilted.porosity, 5 / 8, rtol=exact)
    np.testing.assert_allclose(tilted.specific_area, 2 / 8 / um, rtol=exact)


def test_tilt_leans_towards_x():
    host = aligned_channels(
        SHAPE,
        1 * um,
        channel_width=8 * um,
        wall_thickness=4 * um,
        angle=math.atan(7 / 12),
    )
    pore = np.asarray(host.pore_fraction[:, 0, :])
    np.testing.assert_allclose(pore[:-7, 0], pore[7:, 12], atol=1e-9)


def test_tapered_channels_keep_their_pitch():
    host = upright(channel_width=Graded([12 * um, 8 * um]), section="slit")
    np.testing.assert_allclose(host.porosity, 10 / 16, rtol=1e-3)
    profile = host.pore_fraction.mean((0, 1))
    assert np.all(np.diff(profile) < 0)


def test_sheets():
    host = sheets()
    np.testing.assert_allclose(host.porosity, 1 - 3 * 2 * 0.75 / 24, rtol=1e-9)
    # two faces and, at each slit, two rims of the sheet's thickness
    faces, rims = 3 * 2 * 24, 3 * 2 * 2
    area = (faces + rims) * um * 16 * um
    np.testing.assert_allclose(host.total_surface_area, area, rtol=1e-9)


def test_sheets_lie_where_they_should():
    solid = 1 - np.asarray(sheets().pore_fraction[:, 0, :])
    heights = np.flatnonzero(solid.mean(0) > 0.1)
    middles = 8 * np.arange(3) + 4
    np.testing.assert_array_equal(heights, np.sort([*(middles - 1), *middles]))
    even, odd = solid[:, 4] < 0.5, solid[:, 12] < 0.5
    np.testing.assert_array_equal(np.flatnonzero(even), [0, 1, 2, 3, 28, 29, 30, 31])
    np.testing.assert_array_equal(np.flatnonzero(odd), np.arange(12, 20))
    aligned = 1 - np.asarray(sheets(stagger=False).pore_fraction[:, 0, :])
    np.testing.assert_allclose(aligned[:, 4], aligned[:, 12], atol=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_sheets_leave_the_top_open(count):
    host = sheets(sheets=count)
    np.testing.assert_allclose(host.porosity, 1 - count * 2 * 0.75 / 24, rtol=1e-9)
    assert float(host.pore_fraction[..., 8 * count :].min()) == 1.0


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("channel_width", 11.3 * um), ("wall_thickness", 3.7 * um), ("angle", 0.1)],
)
def test_channel_derivatives(monkeypatch, section, name, value):
    levelset_only(monkeypatch)
    check_levelset(lambda x: upright(**{name: x * value}, section=section))


@pytest.mark.parametrize("name", list(SHEETS))
def test_sheet_derivatives(monkeypatch, name):
    levelset_only(monkeypatch)
    check_levelset(lambda x: sheets(**{name: 1.01 * x * SHEETS[name]}, sheets=2))


def test_derivative_of_the_whole():
    check_gradient(lambda w: upright(channel_width=w * um).porosity, 11.3)


def test_a_wall_on_nodes_still_has_a_derivative():
    # 12 of 16 voxels: every wall lies on nodes; dε/dw = 1/pitch at constant pitch
    def porosity(width):
        return upright(channel_width=width, wall_thickness=16 * um - width).porosity

    np.testing.assert_allclose(jax.grad(porosity)(12 * um), 1 / (16 * um), rtol=1e-6)


def test_jit():
    compiled = jax.jit(lambda w: upright(channel_width=w).porosity)
    np.testing.assert_allclose(
        compiled(11 * um), upright(channel_width=11 * um).porosity
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wall_thickness": 1.9 * um}, "wall_thickness: expected at least 2 voxels"),
        ({"channel_width": 1 * um}, "channel_width: expected at least 2 voxels"),
        ({"channel_width": -1 * um}, "channel_width: expected a positive number in m"),
        ({"channel_width": 12.0}, "depojax is SI inside"),
        ({"channel_width": Graded([12 * um, 15 * um])}, "pitch − channel_width"),
        ({"angle": 30.0}, "Give radians"),
        ({"section": "slits"}, "Did you mean 'slit'"),
    ],
)
def test_channels_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        upright(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gap": 41 * um}, "gap: expected at most"),
        ({"gap": 0.5 * um}, "gap: expected at least 2 voxels"),
        ({"sheet_thickness": 1 * um}, "sheet_thickness: expected at least 2 voxels"),
        ({"sheet_thickness": 7 * um}, "sheet_thickness: expected at most"),
        ({"sheets": 4}, "sheets: expected 1 to 3"),
        ({"sheets": 2.0}, "sheets: expected a whole number"),
        ({"spacing": 100 * um}, "sheets: expected 1 to 0"),
        ({"period": -40 * um}, "period: expected a positive number"),
    ],
)
def test_sheets_refuse(changes, message):
    with pytest.raises(ValueError, match=message):
        sheets(**changes)


def test_traced_spacing_needs_a_count():
    with pytest.raises(ValueError, match="Give sheets="):
        jax.grad(lambda h: sheets(spacing=h).porosity)(8 * um)


def test_one_voxel_size():
    with pytest.raises(ValueError, match="voxel_size: expected one number"):
        aligned_channels(SHAPE, (um, um, um), **UPRIGHT)


def levelset_only(monkeypatch):
    """Generators return their level set: cut cells have their own derivative tests."""
    monkeypatch.setattr(Scaffold, "from_levelset", lambda values, grid: values)


def check_levelset(build):
    weights = np.random.default_rng(0).random([n + 1 for n in SHAPE])
    check_gradient(lambda x: jnp.sum(build(x) * weights) / um, 1.0, step=1e-7)


def check_gradient(function, x, step=1e-5, tolerance=1e-5):
    """Reverse = forward = central difference."""
    reverse, forward = jax.grad(function)(x), jax.jacfwd(function)(x)
    central = (function(x + step) - function(x - step)) / (2 * step)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    np.testing.assert_allclose(reverse, central, rtol=tolerance)
