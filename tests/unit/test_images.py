"""Voxel images: areas against closed forms, thin features, voxel faces, refusals."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from depojax.fv.grid import Grid
from depojax.scaffold.image_files import read_image, turned
from depojax.scaffold.images import levelset_of_voxels, scaffold_from_image
from depojax.scaffold.phases import phase_of
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

N = 32


def voxel_centers(n=N):
    return np.meshgrid(*[np.arange(n) + 0.5] * 3, indexing="ij")


def ball(radius, n=N, center=(16.13, 16.31, 16.22)):
    """Pore around a solid ball."""
    squares = sum((x - c) ** 2 for x, c in zip(voxel_centers(n), center, strict=True))
    return squares > radius**2


def rod(radius, direction):
    """Pore around a solid cylinder through the middle."""
    direction = np.asarray(direction) / np.linalg.norm(direction)
    q = np.stack(voxel_centers(), -1) - np.array([16.1, 16.2, 16.4])
    return (q**2).sum(-1) - (q @ direction) ** 2 > radius**2


def phase_at_centers(values):
    for axis in range(3):
        values = (np.delete(values, 0, axis) + np.delete(values, -1, axis)) / 2
    return values > 0


def voxel_face_count(is_pore):
    return sum(int(np.sum(np.diff(is_pore.astype(int), axis=a) != 0)) for a in range(3))


@pytest.mark.parametrize(("radius", "error"), [(5, 0.025), (8, 0.015), (12, 0.015)])
def test_a_ball_has_its_area_not_that_of_its_staircase(radius, error):
    is_pore = ball(radius)
    scaffold = Scaffold.from_image(is_pore, 2 * um)
    true = 4 * np.pi * (radius * 2 * um) ** 2
    assert abs(scaffold.total_surface_area / true - 1) < error
    assert voxel_face_count(is_pore) * (2 * um) ** 2 / true > 1.45


@pytest.mark.parametrize("radius", [4, 8])
def test_a_tilted_cylinder_has_its_area_inside_the_box(radius):
    direction = np.array([0.0, 0.6, 0.8])  # leaves through the sides z = 0 and L
    is_pore = rod(radius, direction)
    scaffold = Scaffold.from_image(is_pore, 1 * um)
    # A middle slab of height h cuts the area 2πr h / cos(tilt) out of the cylinder.
    slab = np.asarray(scaffold.surface_area)[:, :, 12:20].sum() / um**2
    assert slab == pytest.approx(2 * np.pi * radius * 8 / 0.8, rel=0.02)


def test_the_wall_lies_where_the_sphere_is():
    scaffold = Scaffold.from_image(ball(8), 1 * um)
    cut = np.asarray(scaffold.surface_area) > 0.3 * um**2
    squares = sum(
        (x - c) ** 2
        for x, c in zip(voxel_centers(), (16.13, 16.31, 16.22), strict=True)
    )
    off = np.asarray(scaffold.wall_distance)[cut] / um - (np.sqrt(squares) - 8)[cut]
    assert np.sqrt(np.mean(off**2)) < 0.12


@pytest.mark.parametrize("seed", [0, 1])
def test_porosity_is_that_of_the_voxels_and_no_voxel_changes_its_phase(seed):
    rng = np.random.default_rng(seed)
    is_pore = rng.random((16, 16, 16)) < 0.85  # speckle, the hardest case
    scaffold = Scaffold.from_image(is_pore, 1 * um, trim=False)
    assert float(scaffold.porosity) == pytest.approx(is_pore.mean(), abs=1e-9)
    values = levelset_of_voxels(is_pore, scaffold.grid)
    np.testing.assert_array_equal(phase_at_centers(values), is_pore)


def thin_features():
    """Single-voxel features beside a thick ball, with the volume of each."""
    x, y, z = np.indices((N, N, N))
    steps = np.minimum(16 + np.arange(N) // 3, 24)
    return {
        "fibre": (x == 24) & (y == 24),
        "tilted fibre": (y == steps[x]) & (z == 4),
        "two-voxel fibre": (x // 2 == 10) & (y // 2 == 4),
        "sheet": y == 30,
        "speck": (x == 15) & (y == 3) & (z == 20),
    }


@pytest.mark.parametrize("name", thin_features())
def test_thin_features_keep_their_place_and_volume(name):
    features = thin_features()
    is_pore = ball(6, center=(8, 8, 8))
    for feature in features.values():
        is_pore = is_pore & ~feature
    scaffold = Scaffold.from_image(is_pore, 1 * um, trim=False)
    values = levelset_of_voxels(is_pore, scaffold.grid)
    assert not phase_at_centers(values)[features[name]].any()
    near = features[name].copy()
    for axis, step in itertools.product(range(3), (-1, 1, -2, 2)):
        near |= np.roll(features[name], step, axis)
    volume = (1 - np.asarray(scaffold.pore_fraction))[near].sum()
    assert volume == pytest.approx((~is_pore)[near].sum(), rel=0.15)


def test_a_pore_of_one_voxel_through_a_solid_stays_open():
    is_pore = np.zeros((16, 16, 16), bool)
    is_pore[5, 6, :] = True
    scaffold = Scaffold.from_image(is_pore, 1 * um)
    assert float(scaffold.porosity) == pytest.approx(1 / 256, abs=1e-9)
    assert np.all(np.asarray(scaffold.face_transmission[2])[5, 6] > 0.5)


def test_smoothing_takes_the_staircase_off():
    rough, smooth = (
        float(Scaffold.from_image(ball(8), 1 * um, smoothing=s).total_surface_area)
        for s in (0.0, 0.8)
    )
    assert rough > smooth > 0.99 * 4 * np.pi * (8 * um) ** 2


def test_a_periodic_image_has_no_special_place():
    inside = ball(5, n=16, center=(8.3, 7.8, 8.0))
    across = np.roll(inside, (7, 9), (0, 1))  # the ball now lies over two edges
    options = {"periodic": (True, True, False), "trim": False}
    first = Scaffold.from_image(inside, 1 * um, **options)
    second = Scaffold.from_image(across, 1 * um, **options)
    for name in ("pore_fraction", "surface_area"):
        moved = np.roll(np.asarray(getattr(first, name)), (7, 9), (0, 1))
        np.testing.assert_allclose(getattr(second, name), moved, rtol=1e-6, atol=1e-18)
    for axis in (0, 1):
        face = np.asarray(second.face_transmission[axis])
        ends = np.take(face, 0, axis), np.take(face, -1, axis)
        np.testing.assert_allclose(*ends, atol=1e-12)
        assert ends[0].min() < 0.5  # the ball does lie there


def test_voxels_that_are_no_cubes():
    x, y, z = voxel_centers()
    is_pore = (x - 16.1) ** 2 + (y - 16.2) ** 2 + (2 * (z - 16.3)) ** 2 > 100
    scaffold = Scaffold.from_image(is_pore, (1 * um, 1 * um, 2 * um))
    area = float(scaffold.total_surface_area) / um**2
    assert area == pytest.approx(4 * np.pi * 10**2, rel=0.02)


def test_voxel_faces_of_a_block():
    is_pore = np.ones((8, 8, 8), bool)
    is_pore[2:5, 3:5, 4:5] = False  # 3 × 2 × 1 voxels, 22 faces
    scaffold = Scaffold.from_image(is_pore, 2 * um, cut=False, trim=False)
    assert float(scaffold.porosity) == pytest.approx(1 - 6 / 512)
    assert float(scaffold.total_surface_area) / um**2 == pytest.approx(22 * 4)
    closed = sum(int(np.sum(np.asarray(f) == 0)) for f in scaffold.face_transmission)
    assert closed == 22 + (2 * 2 * 1 + 3 * 1 * 1)  # and the faces inside the block
    walls = np.asarray(scaffold.surface_area) > 0
    np.testing.assert_allclose(np.asarray(scaffold.wall_distance)[walls], 1 * um)


@pytest.mark.parametrize(("periodic", "faces"), [(False, 16), (True, 32)])
def test_a_side_is_no_wall_unless_the_image_repeats(periodic, faces):
    is_pore = np.ones((4, 4, 4), bool)
    is_pore[0] = False  # a layer on the side x = 0
    scaffold = Scaffold.from_image(
        is_pore, 1 * um, cut=False, trim=False, periodic=(periodic, False, False)
    )
    assert float(scaffold.total_surface_area) / um**2 == pytest.approx(faces)


def test_closed_pores_are_counted():
    is_pore = np.zeros((8, 8, 8), bool)
    is_pore[2, 2, :] = True
    is_pore[5, 5, 1:4] = True  # does not reach the top
    scaffold = Scaffold.from_image(is_pore, 1 * um, cut=False)
    assert float(scaffold.closed_pore_fraction) == pytest.approx(3 / 512)
    assert float(scaffold.porosity) == pytest.approx(8 / 512)
    whole = Scaffold.from_image(is_pore, 1 * um, cut=False, trim=False)
    assert float(whole.porosity) == pytest.approx(11 / 512)


@pytest.mark.parametrize("cut", [True, False])
def test_an_image_without_solid_is_an_open_box(cut):
    scaffold = Scaffold.from_image(np.ones((16, 16, 16), bool), 1 * um, cut=cut)
    assert float(scaffold.porosity) == 1.0
    assert float(scaffold.total_surface_area) == 0.0
    assert all(np.all(np.asarray(face) == 1) for face in scaffold.face_transmission)


SINGLE_PRECISION = """
import numpy as np
from depojax.scaffold.scaffold import Scaffold
x, y, z = np.indices((16, 16, 16)) - 7.6
is_pore = x**2 + y**2 + z**2 > 36
scaffold = Scaffold.from_image(is_pore, 1e-6, trim=False)
assert scaffold.pore_fraction.dtype == np.float32
assert abs(float(scaffold.porosity) - is_pore.mean()) < 1e-5
area = float(scaffold.total_surface_area)
assert abs(area / (4 * np.pi * 36e-12) - 1) < 0.02, area
"""


@pytest.mark.slow
def test_single_precision():
    # In a process of its own: float64 cannot be unset once it has been used.
    words = [sys.executable, "-c", SINGLE_PRECISION]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def grey_image():
    return np.random.default_rng(3).integers(0, 200, (5, 6, 7)).astype(np.uint8)


def test_phases_by_threshold_labels_and_booleans():
    grey = grey_image()
    dense = grey >= 90
    np.testing.assert_array_equal(phase_of(grey, threshold=90, solid="above"), ~dense)
    np.testing.assert_array_equal(phase_of(grey, threshold=90, pore="below"), ~dense)
    np.testing.assert_array_equal(phase_of(grey, threshold=90, solid="below"), dense)
    np.testing.assert_array_equal(phase_of(grey, threshold=90, pore="above"), dense)
    np.testing.assert_array_equal(phase_of(dense), dense)
    labels = grey % 3
    np.testing.assert_array_equal(phase_of(labels, pore=0), labels == 0)
    np.testing.assert_array_equal(phase_of(labels, pore=[0, 2]), labels != 1)
    np.testing.assert_array_equal(phase_of(labels, solid=1), labels != 1)
    np.testing.assert_array_equal(phase_of(labels, pore=[0, 2], solid=1), labels != 1)


@pytest.mark.parametrize("axes", ["".join(p) for p in itertools.permutations("xyz")])
def test_every_order_of_axes_is_turned(axes, tmp_path):
    image = grey_image()
    stored = image.transpose(["xyz".index(axis) for axis in axes])
    np.testing.assert_array_equal(turned(stored, axes), image)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", axes=axes), image)
    np.save(tmp_path / "a.npy", stored)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy", axes=axes), image)
    (tmp_path / "a.raw").write_bytes(stored.tobytes())
    raw = read_image(tmp_path / "a.raw", axes=axes, shape=stored.shape, dtype="uint8")
    np.testing.assert_array_equal(raw, image)


def test_defaults_of_the_axes(tmp_path):
    image = grey_image()
    tifffile.imwrite(tmp_path / "a.tiff", image.T, photometric="minisblack")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tiff"), image)
    np.save(tmp_path / "a.npy", image)
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.npy")), image)


def test_a_folder_of_slices_in_the_order_of_their_numbers(tmp_path):
    image = np.random.default_rng(4).integers(0, 255, (4, 5, 12)).astype(np.uint16)
    for k in range(12):
        tifffile.imwrite(tmp_path / f"slice_{k}.tif", image[:, :, k].T)
    np.testing.assert_array_equal(read_image(tmp_path), image)


def test_a_scaffold_straight_from_a_file(tmp_path):
    is_pore = ball(8)
    grey = np.where(is_pore, 40, 200).astype(np.uint8)
    tifffile.imwrite(tmp_path / "ball.tif", grey.T, photometric="minisblack")
    read = Scaffold.from_image(
        tmp_path / "ball.tif", 1 * um, threshold=100, solid="above"
    )
    given = scaffold_from_image(is_pore, 1 * um)
    np.testing.assert_array_equal(read.pore_fraction, given.pore_fraction)


GREY = grey_image()
BOOLEAN = GREY < 90
LABELS = (GREY % 3).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "words", "says"),
    [
        (BOOLEAN, {"threshold": 0.5, "solid": "above"}, "nothing for a boolean image"),
        (BOOLEAN, {"pore": 1}, "Give ~image where True is solid"),
        (GREY, {}, r'grey, from 0 to 19\d: give threshold=... with solid="above"'),
        (LABELS, {}, "Its labels are 0, 1, 2: say pore=0 or solid=0"),
        (
            GREY,
            {"threshold": 90},
            "on which side of the threshold the solid is, got neither",
        ),
        (GREY, {"threshold": 90, "solid": "brighter"}, "got solid='brighter'"),
        (
            GREY,
            {"threshold": 90, "solid": "above", "pore": "below"},
            "got pore='below', ",
        ),
        (GREY, {"threshold": 255, "solid": "above"}, r"within \(0, 19\d\].*got 255"),
        (GREY, {"threshold": np.nan, "solid": "above"}, "threshold: expected finite"),
        (
            GREY,
            {"solid": "above"},
            'threshold: expected a grey value to go with "above"',
        ),
        (
            LABELS,
            {"pore": 7},
            r"labels of the image \(0, 1, 2\), got 7, which does not",
        ),
        (LABELS, {"solid": [1, 255]}, "solid: expected labels .* got 255"),
        (LABELS, {"pore": 0, "solid": 1}, "exactly one of them, got labels in both or"),
        (LABELS, {"pore": [0, 1], "solid": [1, 2]}, "exactly one of them"),
        (np.where(LABELS > 0, 1.0, np.nan), {"pore": 1}, "210 that are NaN"),
        (GREY.astype(str), {"pore": "1"}, "booleans, integers or floats, got dtype <U"),
        (GREY.astype(complex), {"pore": 1}, "got dtype complex128"),
        (
            BOOLEAN[0],
            {},
            r"3D array of voxels, got shape \(6, 7\).*image\[:, :, None\]",
        ),
        (np.stack([GREY] * 3, -1), {"pore": 1}, r"got shape \(5, 6, 7, 3\).*\.\.\., 0"),
        (BOOLEAN[:0], {}, r"got shape \(0, 6, 7\)"),
        (np.zeros((4, 4, 4), bool), {}, "some pore, got solid voxels only"),
        (LABELS, {"solid": [0, 1, 2]}, "some pore, got solid voxels only"),
    ],
)
def test_phases_that_are_refused(image, words, says):
    with pytest.raises(ValueError, match=says):
        scaffold_from_image(image, 1 * um, **words)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"voxel_size": 2.0}, r"voxel_size: expected within .* m, got 2 m.*2 \* um"),
        ({"voxel_size": 2e-3}, r"got 0\.002 m.*SI inside"),
        ({"voxel_size": -1e-6}, "a positive number in m, got -1e-06"),
        ({"voxel_size": 0.0}, "a positive number in m"),
        ({"voxel_size": float("nan")}, "voxel_size: expected finite"),
        ({"voxel_size": "2 um"}, "voxel_size: expected a number"),
        ({"voxel_size": (1e-6, 1e-6)}, r"one length or three \(x, y, z\)"),
        ({"axes": "xxz"}, "axes: expected the order of the stored axes.*got 'xxz'"),
        ({"axes": "xy"}, "got 'xy'"),
        ({"axes": "XYZ"}, "got 'XYZ'"),
        ({"smoothing": -1.0}, "smoothing: expected within"),
        ({"smoothing": 10.0}, r"within \[0, 3\] voxels, got 10"),
        ({"cut": "no"}, "cut: expected True or False, got 'no'"),
        ({"trim": None}, "trim: expected True or False, got None"),
        ({"shape": (5, 6, 7)}, "shape, dtype: expected nothing"),
    ],
)
def test_options_that_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        scaffold_from_image(BOOLEAN, **{"voxel_size": 1 * um, **options})


def test_pores_that_do_not_reach_the_top_are_refused():
    is_pore = np.zeros((16, 16, 16), bool)
    is_pore[2:4, 2:4, :3] = True
    with pytest.raises(ValueError, match="flip the sample along z"):
        scaffold_from_image(is_pore, 1 * um)


def test_phases_that_alternate_voxel_by_voxel_are_refused_when_cut():
    is_pore = np.indices((16, 16, 16)).sum(0) % 2 == 0
    with pytest.raises(ValueError, match=r"alternate voxel by voxel.*numpy\.repeat"):
        scaffold_from_image(is_pore, 1 * um)
    kept = scaffold_from_image(is_pore, 1 * um, cut=False, trim=False)
    assert float(kept.porosity) == 0.5
    doubled = is_pore[:8, :8, :8].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    half = scaffold_from_image(doubled, 0.5 * um, trim=False)
    assert float(half.porosity) == pytest.approx(0.5, abs=1e-9)


TIFFS = {
    "contiguous": {"photometric": "minisblack"},
    "compressed": {"photometric": "minisblack", "compression": "zlib"},
    "plain pages": {"photometric": "minisblack", "metadata": None},
    "imagej": {"photometric": "minisblack", "imagej": True},
}


@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5, 0.9])
def test_a_tiff_cut_short_is_refused(kind, share, tmp_path, caplog):
    whole, short = tmp_path / "whole.tif", tmp_path / "short.tif"
    image = np.random.default_rng(0).integers(0, 255, (12, 10, 8)).astype(np.uint8)
    tifffile.imwrite(whole, image, **TIFFS[kind])
    assert read_image(whole).shape == (8, 10, 12)
    content = whole.read_bytes()
    short.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"a readable file short\.tif, got \d+ bytes"):
        read_image(short)
    assert not caplog.records  # said once, by the exception


def test_a_slice_cut_short_is_refused(tmp_path):
    for k in range(3):
        tifffile.imwrite(tmp_path / f"{k}.tif", GREY[k], compression="zlib")
    whole = (tmp_path / "1.tif").read_bytes()
    (tmp_path / "1.tif").write_bytes(whole[:-9])
    with pytest.raises(ValueError, match=r"readable file 1\.tif, .* need \d+ bytes"):
        read_image(tmp_path)


def test_files_that_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"got no .*foam\.tif"):
        read_image(tmp_path / "foam.tif")
    (tmp_path / "foam.jpg").write_bytes(b"1")
    with pytest.raises(
        ValueError, match=r"\.tif, \.tiff, \.npy, \.raw, got 'foam\.jpg'"
    ):
        read_image(tmp_path / "foam.jpg")
    (tmp_path / "text.tif").write_text("no image at all")
    with pytest.raises(ValueError, match=r"15 bytes \(not a TIFF file"):
        read_image(tmp_path / "text.tif")
    (tmp_path / "text.npy").write_text("no array at all")
    with pytest.raises(ValueError, match=r"readable file text\.npy, got 15 bytes"):
        read_image(tmp_path / "text.npy")
    tifffile.imwrite(tmp_path / "flat.tif", GREY[0])
    with pytest.raises(ValueError, match=r"3D array of voxels, got shape \(6, 7\)"):
        read_image(tmp_path / "flat.tif")
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((4, 5, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="Take one channel"):
        read_image(tmp_path / "colour.tif")
    with pytest.raises(ValueError, match="nothing \\(the file knows them\\)"):
        read_image(tmp_path / "flat.tif", shape=(5, 6, 7))


def test_folders_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a folder of TIFF slices, got none"):
        read_image(tmp_path)
    tifffile.imwrite(tmp_path / "1.tif", GREY[0])
    tifffile.imwrite(tmp_path / "2.tif", GREY[0, :, :-1])
    with pytest.raises(
        ValueError, match=r"\(6, 7\) as in 1\.tif, got \(6, 6\) in 2\.tif"
    ):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, r"The file has 1000 bytes\. It would fit \(10, 10, 10\) of uint8"),
        ({"shape": (10, 10, 10)}, "dtype=None"),
        (
            {"shape": (10, 10, 11), "dtype": "uint8"},
            r"1100 bytes for \(10, 10, 11\) voxels of uint8, got 1000 bytes.*"
            r"would fit \(10, 10, 10\) of uint8 or",
        ),
        ({"shape": (5, 10, 10), "dtype": "uint8"}, r"or \(5, 10, 10\) of uint16"),
        (
            {"shape": (7, 7, 7), "dtype": "uint16"},
            r"686 bytes .*\(10, 10, 10\) of uint8",
        ),
        ({"shape": (10, 10), "dtype": "uint8"}, "three numbers of cells"),
        ({"shape": (10, 10, 10), "dtype": "grey"}, "dtype: expected a numpy type"),
    ],
)
def test_raw_bytes_that_are_refused(options, says, tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(1000))
    with pytest.raises(ValueError, match=says):
        read_image(tmp_path / "a.raw", **options)


def test_a_raw_file_cut_short_is_asked_about(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(997))
    with pytest.raises(
        ValueError, match=r"got 997 bytes in a\.raw\. Is it cut short\?"
    ):
        read_image(tmp_path / "a.raw", shape=(10, 10, 10), dtype="uint8")


def test_the_level_set_is_positive_in_the_pore():
    is_pore = ball(8)
    values = levelset_of_voxels(is_pore, Grid.uniform((N, N, N), 1 * um))
    assert values.shape == (N + 1,) * 3
    assert values[0, 0, 0] > 0 > values[16, 16, 16]
