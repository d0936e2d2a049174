"""Steady diffusion through cut cells against exact effective diffusivities.

Simple-cubic arrays of insulating spheres (case H1, multipole expansion to 12 digits),
struts (F1), laminates and oblique channels (H3, H4): D_eff/D between two fixed values.
What test_tortuosity_cases and test_tortuosity ask of the public verbs is slow here.
"""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    diffusion_system,
    effective_diffusivity,
    observed_orders,
    solve,
    voxelised,
)

from depojax.fv.grid import Grid
from depojax.fv.operators import divergence
from depojax.scaffold.scaffold import Scaffold

# solid fraction: D_eff/D
SIMPLE_CUBIC = {
    0.05: 0.9268276584109842,
    0.10: 0.8571118999879619,
    0.20: 0.7267030397969463,
    0.30: 0.6056612464979045,
    0.40: 0.4901099145579155,
    0.45: 0.4327175724508188,
    0.50: 0.3737348098560468,
    0.52: 0.3485982615556111,
}


def octant_of_array(fraction, cells, subdivision=1):
    """An eighth of the period: a sphere in its corner; `cells` across half a period."""
    radius = 1e-4 * np.cbrt(3 * fraction / (4 * np.pi))

    def distance(x, y, z):
        return jnp.sqrt(x * x + y * y + z * z) - radius

    shape, voxel = (cells,) * 3, 0.5e-4 / cells
    return Scaffold.from_function(distance, shape, voxel, subdivision=subdivision)


def test_spheres_sixteen_cells_across_the_period():
    """Within 0.5 % up to where they all but touch; voxels are thrice worse."""
    cut, voxels = [], []
    for fraction, known in SIMPLE_CUBIC.items():
        scaffold = octant_of_array(fraction, 8, subdivision=2)
        cut.append(float(effective_diffusivity(scaffold)) / known - 1)
        voxels.append(float(effective_diffusivity(voxelised(scaffold))) / known - 1)
    assert np.max(np.abs(cut)) < 0.5e-2
    assert np.mean(np.abs(voxels)) > 3 * np.mean(np.abs(cut))


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.2, 0.4])
def test_spheres_order(fraction):
    known = SIMPLE_CUBIC[fraction]
    errors = [
        float(effective_diffusivity(octant_of_array(fraction, n))) - known
        for n in (8, 16, 32)
    ]
    assert np.mean(observed_orders(errors)) > 1.7
    assert abs(errors[-1]) < 1e-3 * known


@pytest.mark.slow
@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_spheres_beat_voxels(fraction):
    """64 cells across: below a thousandth, where voxels are a percent off."""
    known = SIMPLE_CUBIC[fraction]
    scaffold = octant_of_array(fraction, 32)
    assert abs(float(effective_diffusivity(scaffold)) / known - 1) < 1e-3
    assert abs(float(effective_diffusivity(voxelised(scaffold))) / known - 1) > 5e-3


def test_three_axes_agree():
    scaffold = octant_of_array(0.4, 8)
    along = [float(effective_diffusivity(scaffold, axis)) for axis in range(3)]
    np.testing.assert_allclose(along, along[0], rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(("radius", "known"), [(0.15, 0.7225), (0.25, 0.4175)])
def test_struts_along_the_cell_edges(radius, known):
    """F1: three cylinders through the corners, their fraction in closed form."""
    grid = Grid.uniform((16, 16, 16), 0.5e-4 / 16)
    x, y, z = (a / 1e-4 for a in grid.node_mesh())
    axes = jnp.minimum(jnp.minimum(jnp.hypot(x, y), jnp.hypot(y, z)), jnp.hypot(x, z))
    scaffold = Scaffold.from_levelset(axes - radius, grid)
    solid = 3 * np.pi * radius**2 - 8 * np.sqrt(2) * radius**3
    np.testing.assert_allclose(1 - scaffold.porosity, solid, rtol=1e-2)
    np.testing.assert_allclose(effective_diffusivity(scaffold), known, rtol=1e-2)


@pytest.mark.slow
def test_schwarz_p():
    """F2: the surface cos + cos + cos = 0, D_eff/D = 0.32947."""
    grid = Grid.uniform((16, 16, 16), 0.5e-4 / 16)
    surface = sum(jnp.cos(2 * jnp.pi * a / 1e-4) for a in grid.node_mesh())
    scaffold = Scaffold.from_levelset(-surface, grid)
    np.testing.assert_allclose(scaffold.porosity, 0.5, rtol=1e-6)
    np.testing.assert_allclose(effective_diffusivity(scaffold), 0.32947, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_laminates_are_exact(axis):
    """Layers of unequal thickness: harmonic mean across, arithmetic mean along."""
    rng = np.random.default_rng(3)
    widths = [np.full(3, 1e-6)] * 3
    widths[axis] = rng.uniform(0.5, 2.0, 7) * 1e-6
    share = widths[axis] / widths[axis].sum()
    eps, tau = rng.uniform(0.2, 0.9, 7), rng.uniform(1.0, 9.0, 7)
    shape = [7 if a == axis else 1 for a in range(3)]
    scaffold = Scaffold.homogenised(
        Grid(widths), eps.reshape(shape), tau.reshape(shape), 1e5
    )
    k = eps / tau
    across = effective_diffusivity(scaffold, axis)
    np.testing.assert_allclose(across, 1 / np.sum(share / k), rtol=1e-9)
    along = effective_diffusivity(scaffold, (axis + 1) % 3)
    np.testing.assert_allclose(along, np.sum(share * k), rtol=1e-9)


def oblique(cells, tangent, width=0.5, shift=0.3):
    """Slits tilted by atan(tangent) from z, periodic along x and z."""
    h = 1e-6
    nx, nz = cells, round(cells / tangent)
    grid = Grid.uniform((nx, 1, nz), h, (True, False, False))
    x, _, z = grid.node_mesh()
    s = jnp.mod(x - tangent * z - shift * h, nx * h) - nx * h / 2
    values = width * nx * h / 2 - jnp.abs(s)
    return Scaffold.from_levelset(
        jnp.broadcast_to(values, [n + 1 for n in grid.shape]), grid
    )


@pytest.mark.slow
@pytest.mark.parametrize(("tangent", "cosine2"), [(0.5, 0.8), (1.0, 0.5)])
def test_oblique_channels(tangent, cosine2):
    """H3: ε cos²θ. The flow follows the channel; flux between ends that are fixed
    values crosses them obliquely, so the long-channel slope is read from inside."""
    scaffold = oblique(16, tangent)
    k = inner_diffusivity(scaffold, tangent)
    np.testing.assert_allclose(k, float(scaffold.porosity) * cosine2, rtol=1e-2)


def inner_diffusivity(scaffold, tangent):
    """D_eff/D of the infinite, tilted slits, from a channel repeated along z.

    Periodic in x and z with a unit mean gradient along z: the correction w solves
    ∇·(T ∇w) = −∇·(T e_z), a singular system.
    """
    grid = Grid(scaffold.grid.widths, (True, False, True))
    faces = scaffold.face_transmission
    mass = scaffold.pore_fraction * grid.volumes
    operator, hierarchy, _ = diffusion_system(grid, faces, mass)
    drive = [jnp.zeros_like(f) for f in faces]
    drive[2] = faces[2] * grid.face_areas(2)
    w, _, _ = solve(operator, hierarchy, divergence(tuple(drive)), singular=True)
    h = grid.widths[2][0]
    slope = 1 + (jnp.roll(w, -1, 2) - w) / h
    return float(jnp.mean(faces[2][..., 1:] * slope))
