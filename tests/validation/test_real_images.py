"""Two tomograms of fibre scaffolds, against facts found with other tools.

FiberForm: X-ray micro-CT of a carbon-fibre preform (NASA PuMA). Polymer: a scanned
fibre scaffold (quanfima). Both lie beside the project, in the folder $DEPOJAX_DATA.
"""

import os
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from depojax.physics import electrolytes
from depojax.problems.cell import Cell
from depojax.problems.planar import planar_sand_time
from depojax.problems.sand import sand_time
from depojax.scaffold.image_files import read_image
from depojax.scaffold.measures import clusters, report
from depojax.scaffold.phases import phase_of
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, M, cm, mA, um

DATA = os.environ.get("DEPOJAX_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="DEPOJAX_DATA is not set")

FIBERFORM = {"threshold": 90, "solid": "above"}
POLYMER = {
    "threshold": 128,
    "solid": "above",
    "shape": (128, 128, 128),
    "dtype": "uint8",
    "axes": "zyx",
}


@cache
def fiberform(cut: bool) -> Scaffold:
    path = Path(str(DATA)) / "fiberform_100.tif"
    return Scaffold.from_image(path, 1.3 * um, cut=cut, **FIBERFORM)


@cache
def polymer(cut: bool) -> Scaffold:
    path = Path(str(DATA)) / "polymer3d_128_uint8.raw"
    return Scaffold.from_image(path, 1 * um, cut=cut, **POLYMER)


SLOW = pytest.mark.slow


def porosity_before_trimming(scaffold):
    return float(scaffold.porosity + scaffold.closed_pore_fraction)


@pytest.mark.parametrize("cut", [False, pytest.param(True, marks=SLOW)])
def test_fiberform_is_measured_as_known(cut):
    scaffold = fiberform(cut)
    assert porosity_before_trimming(scaffold) == pytest.approx(0.83286, abs=1e-8)
    measured = report(scaffold)
    assert measured.solid_clusters == 10
    assert measured.largest_cluster == pytest.approx(0.827, abs=1e-3)
    # spans the file's axes 0 and 1 (z, y) but not 2 (x)
    assert measured.solid_percolates == (False, True, True)
    assert measured.pore_percolates == (True, True, True)
    assert "along y, z; not along x" in str(measured)


def test_fiberform_laid_with_its_weak_axis_through_the_cell():
    path = Path(str(DATA)) / "fiberform_100.tif"
    scaffold = Scaffold.from_image(path, 1.3 * um, cut=False, axes="yxz", **FIBERFORM)
    said = report(scaffold).sentences()
    assert "The solid does not percolate along z: electrons cannot cross it." in said


@pytest.mark.parametrize("cut", [False, pytest.param(True, marks=SLOW)])
def test_polymer_is_measured_as_known(cut):
    scaffold = polymer(cut)
    solid = 1 - porosity_before_trimming(scaffold)
    assert solid == pytest.approx(0.14369, abs=5e-6)
    parts = clusters(scaffold, "solid")
    # cut walls of specks that touch by an edge may join: 98.5 % can only grow
    assert parts.largest_fraction == pytest.approx(0.985, abs=1e-3 if not cut else 6e-3)
    assert report(scaffold).solid_percolates == (True, True, True)


@SLOW
@pytest.mark.parametrize("image", [fiberform, polymer])
def test_the_staircase_has_about_half_as_much_area_again(image):
    ratio = float(image(True).total_surface_area / image(False).total_surface_area)
    assert 1 / 1.5 < ratio < 1 / 1.4


@pytest.mark.slow
def test_every_fibre_keeps_its_own_volume():
    """The clusters of the cut scaffold match those of the voxels, one by one."""
    is_pore = phase_of(read_image(Path(str(DATA)) / "fiberform_100.tif"), **FIBERFORM)
    labels, _ = ndimage.label(~is_pore)
    voxels = np.sort(np.bincount(labels.ravel())[1:])[::-1]
    found = clusters(fiberform(True), "solid").volumes / (1.3 * um) ** 3
    np.testing.assert_allclose(found, voxels, rtol=0.05, atol=2.0)


# Share of the metal: when it is depleted at 150 mA/cm² [s]; docs/limits.md rounds it.
DEPLETED = {0.0: 0.248, 0.02: 2.454, 0.3: 5.101}


@pytest.mark.slow
def test_sand_time_of_fiberform():
    """Pockets within the fibres are depleted ten times earlier than the host."""
    solution_in = electrolytes.lipf6_ec_emc(1 * M)
    cell = Cell(fiberform(True), solution_in, separator=25 * um)
    found = [sand_time(cell, 150 * mA / cm**2, depleted_share=s) for s in DEPLETED]
    times = [float(solution.time) for solution in found]
    np.testing.assert_allclose(times, list(DEPLETED.values()), rtol=1e-2)
    assert all(solution.salt_balance_error < 1e-10 for solution in found)
    spots = ["a small spot decided" in solution.message for solution in found]
    assert spots == [True, False, False]
    # Even plating on a host takes longer to empty it than a flat foil its surface, and
    # not longer than it takes to plate all the salt in pores and gap.
    flat = planar_sand_time(solution_in, 150 * mA / cm**2)
    salt = 1000 * float(jnp.sum(cell.domain().pore_fraction * cell.grid.volumes))
    moles = salt / float(cell.footprint) / (1 - float(solution_in.transference_number))
    assert float(flat) < times[1] < times[2] < FARADAY * moles / 1500
