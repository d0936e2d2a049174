"""Measures of scaffolds whose paths, clusters and sizes are known by construction."""

import jax.numpy as jnp
import numpy as np
import pytest

from depojax._optional import require
from depojax.fv.grid import Grid
from depojax.scaffold.measures import (
    clusters,
    connected_fraction,
    percolates,
    pore_size_distribution,
    report,
    smallest_feature,
)
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

SHAPE = (12, 12, 12)


def voxels(solid, *, cut=False, **options):
    return Scaffold.from_image(~solid, 1 * um, cut=cut, trim=False, **options)


def pillars():
    """Two pillars along z, one that hangs from the top, one speck."""
    solid = np.zeros(SHAPE, bool)
    solid[2:5, 2:5, :] = True  # 108 voxels
    solid[7:9, 7:9, :] = True  # 48
    solid[2:4, 8:10, 6:] = True  # 24
    solid[10, 2, 5] = True  # 1
    return solid


@pytest.mark.parametrize("cut", [False, True])
def test_clusters_of_the_solid_by_volume(cut):
    parts = clusters(voxels(pillars(), cut=cut), "solid")
    assert parts.number == 4
    assert parts.volumes[-1] / um**3 == pytest.approx(1, rel=0.2)  # the speck survives
    shares = np.array([108, 48, 24, 1]) / 181
    np.testing.assert_allclose(parts.volumes / parts.volumes.sum(), shares, atol=0.02)
    labels = [parts.labels[at] for at in ((3, 3, 0), (7, 7, 3), (2, 8, 9), (10, 2, 5))]
    assert labels == [1, 2, 3, 4]
    assert parts.labels[0, 0, 0] == 0
    assert parts.touching("z", 0) == {1, 2}
    assert parts.touching("z", -1) == {1, 2, 3}


def test_connected_fractions():
    scaffold = voxels(pillars())
    assert connected_fraction(scaffold) == pytest.approx(156 / 181)
    assert connected_fraction(scaffold, to="top") == pytest.approx(180 / 181)
    assert connected_fraction(scaffold, to="largest") == pytest.approx(108 / 181)
    assert connected_fraction(scaffold, "pore") == pytest.approx(1.0)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_a_beam_percolates_along_its_own_axis_alone(axis, cut):
    solid = np.zeros(SHAPE, bool)
    beam = [slice(4, 7)] * 3
    beam["xyz".index(axis)] = slice(None)
    solid[tuple(beam)] = True
    scaffold = voxels(solid, cut=cut)
    assert [percolates(scaffold, "solid", a) for a in "xyz"] == [
        a == axis for a in "xyz"
    ]
    assert all(percolates(scaffold, "pore", a) for a in "xyz")


def test_a_wall_stops_the_pore_but_edges_connect_nothing():
    solid = np.zeros(SHAPE, bool)
    solid[:, :, 6] = True
    assert [percolates(voxels(solid), "pore", a) for a in "xyz"] == [True, True, False]
    steps = np.zeros(SHAPE, bool)
    steps[np.arange(12), 5, np.arange(12)] = True  # a stair of voxels that share edges
    assert clusters(voxels(steps)).number == 12
    assert not percolates(voxels(steps), "solid", "z")


def test_a_periodic_axis_joins_its_ends():
    solid = np.zeros(SHAPE, bool)
    solid[:3, 5, 5] = solid[9:, 5, 5] = True
    assert clusters(voxels(solid)).number == 2
    assert clusters(voxels(solid, periodic=(True, False, False))).number == 1


def test_closed_pores_are_no_solid():
    """Two blocks with a closed pore in between stay two when it is shut."""
    solid = np.zeros(SHAPE, bool)
    solid[4:8, 4:8, 3:] = True
    solid[4:8, 4:8, :2] = True
    solid[3:9, 3:9, 2] = True
    solid[4:8, 4:8, 2] = False  # a slit all across, walled in by a ring
    scaffold = Scaffold.from_image(~solid, 1 * um, cut=False)
    assert float(scaffold.closed_pore_fraction) == pytest.approx(16 / 12**3)
    assert clusters(scaffold).volumes.sum() / um**3 == pytest.approx(solid.sum())


def test_a_report_says_what_a_user_must_know():
    measured = report(voxels(pillars()))
    assert measured.porosity == pytest.approx(1 - 181 / 12**3)
    faces = 12 * 12 + 8 * 12 + (8 * 6 + 4) + 6
    assert measured.surface_area / um**2 == pytest.approx(faces)
    assert measured.specific_area == pytest.approx(faces / 12**3 / um)
    assert measured.area_factor == pytest.approx(faces / 144)
    assert measured.solid_percolates == (False, False, True)
    assert measured.pore_percolates == (True, True, True)
    assert measured.solid_clusters == 4
    assert measured.largest_cluster == pytest.approx(108 / 181)
    assert measured.solid_at_collector == pytest.approx(156 / 181)
    said = str(measured)
    assert "solid percolates   along z; not along x, y" in said
    assert "13.8% of the solid is not connected to the collector (z = 0)" in said
    assert "cells wide: finer cells would change" in said
    assert "does not percolate along z" not in said


def test_a_report_on_a_scaffold_that_nothing_crosses():
    solid = np.zeros(SHAPE, bool)
    solid[:, :, 6:10] = True
    said = report(voxels(solid)).sentences()
    assert "The pore does not percolate along z: ions cannot cross it." in said
    assert "The solid does not percolate along z: electrons cannot cross it." in said
    closed = report(Scaffold.from_image(~solid, 1 * um, cut=False))
    assert closed.closed_pore_fraction == pytest.approx(0.5)
    assert any(
        "do not reach the top were closed (5.00e-01" in s for s in closed.sentences()
    )


def test_a_report_on_an_open_box():
    measured = report(voxels(np.zeros(SHAPE, bool)))
    assert measured.sentences() == ["There is no solid: the scaffold is an open box."]
    assert measured.smallest_feature == 0.0
    assert measured.solid_at_collector == measured.largest_cluster == 0.0


def test_homogenised_scaffolds_are_one_piece():
    grid = Grid.uniform(SHAPE, 1 * um)
    measured = report(Scaffold.homogenised(grid, 0.8, 1.3, 1e5))
    assert measured.solid_clusters == 1
    assert measured.solid_percolates == measured.pore_percolates == (True, True, True)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6])
def test_the_smallest_feature_of_a_plate_is_its_thickness(width):
    solid = np.zeros(SHAPE, bool)
    solid[3 : 3 + width] = True
    assert smallest_feature(voxels(solid)) / um == pytest.approx(width, abs=0.51)


def test_cut_cells_of_a_plane_wall_are_one_cluster_each():
    grid = Grid.uniform((8, 8, 16), 1 * um)
    x, y, z = grid.node_mesh()
    gap = 4.3 * um  # between two tilted walls
    height = z - 0.3 * x - 0.1 * y - 6.1 * um
    scaffold = Scaffold.from_levelset(gap / 2 - jnp.abs(height), grid, trim=False)
    parts = clusters(scaffold, "solid")
    assert parts.number == 2
    assert not percolates(scaffold, "solid", "z")
    assert percolates(scaffold, "pore", "x")


@pytest.mark.slow
def test_pore_sizes_of_straight_channels():
    pytest.importorskip("porespy")
    x, y = np.indices((24, 24))
    wide = (x - 9) ** 2 + (y - 9) ** 2 < 6.2**2
    narrow = (x - 19) ** 2 + (y - 19) ** 2 < 2.2**2
    solid = ~np.repeat((wide | narrow)[:, :, None], 24, axis=2)
    diameter, share = pore_size_distribution(voxels(solid), bins=8)
    assert share.sum() == pytest.approx(1.0)
    assert diameter[-1] / um == pytest.approx(12, abs=1)
    assert diameter[0] < 5 * um
    # the wide channel but for its corners, which only smaller spheres reach
    assert share[-1] == pytest.approx(wide.sum() / (~solid[:, :, 0]).sum(), abs=0.1)


def test_measures_refuse():
    scaffold = voxels(pillars())
    with pytest.raises(ValueError, match="phase: expected a known word, got 'void'"):
        clusters(scaffold, "void")
    with pytest.raises(ValueError, match="Did you mean 'pore'"):
        percolates(scaffold, "pores")
    with pytest.raises(ValueError, match='axis: expected one of "x", "y", "z"'):
        percolates(scaffold, "pore", "w")
    with pytest.raises(ValueError, match="Known: collector, largest, top"):
        connected_fraction(scaffold, to="bottom")


def test_pore_sizes_refuse():
    pytest.importorskip("porespy")
    with pytest.raises(ValueError, match="cells at least half open, got none"):
        pore_size_distribution(
            Scaffold.homogenised(Grid.uniform(SHAPE, um), 0.4, 2, 1e5)
        )
    uneven = Scaffold.from_image(~pillars(), (1 * um, 1 * um, 2 * um), cut=False)
    with pytest.raises(
        ValueError, match="equal cubic cells, got cells of 1e-06 to 2e-06 m"
    ):
        pore_size_distribution(uneven)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    with pytest.raises(ImportError, match=r'pip install "depojax\[images\]"'):
        require("no_such_package", "images")

    def without(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(ImportError, match=r"porespy: .*depojax\[images\]"):
        pore_size_distribution(voxels(pillars()))
