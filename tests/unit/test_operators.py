"""Fluxes, boundaries and the one divergence: conservation, exactness, order."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import diffusion_system, graded_widths, observed_orders, solve

from depojax.fv.boundary import FixedFlux, FixedValue, NoFlux, boundary_terms
from depojax.fv.grid import Grid
from depojax.fv.operators import (
    conductances,
    divergence,
    faces_between,
    harmonic_to_faces,
    without_ends,
)
from depojax.solvers.stencil import (
    FaceStencil,
    VoxelStencil,
    net_outflow,
    padded,
    unfolded,
)

RNG = np.random.default_rng(0)
WALLS, AROUND = (False, False, False), (True, True, True)


def random_grid(periodic=WALLS):
    return Grid([RNG.uniform(0.5, 2, n) * 1e-6 for n in (4, 5, 6)], periodic)


def open_faces(grid, value=1.0):
    return tuple(
        jnp.full([n + (a == axis) for a, n in enumerate(grid.shape)], value)
        for axis in range(3)
    )


def random_faces(grid):
    faces = []
    for axis in range(3):
        shape = [n + (a == axis) for a, n in enumerate(grid.shape)]
        face = jnp.asarray(RNG.uniform(0, 1, shape))
        if grid.periodic[axis]:  # both ends are the same face
            last = (slice(None),) * axis + (-1,)
            first = (slice(None),) * axis + (0,)
            face = face.at[last].set(face[first])
        faces.append(face)
    return tuple(faces)


def differences(g, u, periodic):
    """Two-point fluxes −g Δu, face by face in numpy."""
    fluxes = []
    for axis, face in enumerate(g):
        width = [(1, 1) if a == axis else (0, 0) for a in range(3)]
        around = np.pad(np.asarray(u), width, mode="wrap" if periodic[axis] else "edge")
        fluxes.append(jnp.asarray(-np.asarray(face) * np.diff(around, axis=axis)))
    return tuple(fluxes)


PERIODIC = [WALLS, AROUND, (True, False, True), (False, True, False)]


@pytest.mark.parametrize("periodic", PERIODIC)
def test_one_divergence(periodic):
    """The stencil is the divergence of the fluxes; nothing is lost on the way."""
    grid = random_grid(periodic)
    g = without_ends(conductances(grid, random_faces(grid)), periodic)
    stencil = FaceStencil.of_conductance(g, periodic)
    u = jnp.asarray(RNG.normal(size=grid.shape))
    outflow = divergence(differences(g, u, periodic))
    scale = jnp.max(jnp.abs(outflow))
    np.testing.assert_allclose(net_outflow(stencil, u), outflow, atol=1e-14 * scale)
    np.testing.assert_allclose(jnp.sum(outflow) / scale, 0.0, atol=1e-13)
    assert jnp.all(net_outflow(stencil, jnp.ones(grid.shape)) == 0)


@pytest.mark.parametrize("periodic", PERIODIC)
def test_voxels_are_as_their_faces(periodic):
    """One number per voxel says the same as three conductances."""
    grid = Grid.uniform((4, 5, 6), [1e-6, 2e-6, 3e-6], periodic)
    phase = jnp.asarray(RNG.random(grid.shape) < 0.7)
    faces = faces_between(phase, periodic, grid.dtype)
    g = without_ends(conductances(grid, faces), periodic)
    general = FaceStencil.of_conductance(g, periodic)
    x, y, z = (6e-18 / h**2 * jnp.ones(()) for h in (1e-6, 2e-6, 3e-6))
    voxels = VoxelStencil(
        padded(phase.astype(grid.dtype)), (x, y, z), grid.shape, periodic
    )
    u = jnp.where(phase, jnp.asarray(RNG.normal(size=grid.shape)), 0.0)

    def cells(rows):
        return np.asarray(unfolded(rows, grid.shape)[:, 1:-1, 1:-1])

    np.testing.assert_allclose(
        net_outflow(voxels, u), net_outflow(general, u), atol=1e-20
    )
    np.testing.assert_allclose(
        cells(voxels.total()), cells(general.total()), atol=1e-20
    )
    known = cells(general.neighbour_sum(padded(u)))
    found = np.where(phase, cells(voxels.neighbour_sum(padded(u))), 0)
    np.testing.assert_allclose(found, known, atol=1e-20)
    for axis in range(3):
        for side in (-1, 1):
            np.testing.assert_allclose(
                cells(voxels.beside(axis, side)),
                cells(general.beside(axis, side)),
                atol=1e-20,
            )


def test_single_precision_does_not_cancel():
    """A gradient of 1e-4 on a value of 1: differences keep five digits."""
    grid = Grid.uniform((1, 1, 8), 1e-6)
    g = without_ends(conductances(grid, open_faces(grid)), WALLS)
    stencil = FaceStencil.of_conductance(g, WALLS)
    u = 1 + 1e-4 * jnp.asarray(RNG.normal(size=grid.shape))
    exact = net_outflow(stencil, u.astype(jnp.float32).astype(jnp.float64))
    found = net_outflow(stencil.astype(jnp.float32), u.astype(jnp.float32))
    scale = float(jnp.max(jnp.abs(exact)))
    np.testing.assert_allclose(found, exact, atol=1e-6 * scale)


def test_linear_profile_is_exact_on_any_widths():
    grid = random_grid()
    u = jnp.broadcast_to(3.0 * grid.center_mesh()[2] + 1.0, grid.shape)
    g = without_ends(conductances(grid, open_faces(grid)), WALLS)
    stencil = FaceStencil.of_conductance(g, WALLS)
    outflow = net_outflow(stencil, u)
    expected = jnp.broadcast_to(3.0 * grid.face_areas(2), grid.shape)
    np.testing.assert_allclose(outflow[..., 1:-1] / expected[..., 1:-1], 0, atol=1e-9)
    np.testing.assert_allclose(outflow[..., 0], -expected[..., 0], rtol=1e-10)


def test_sides_between_two_values():
    grid = random_grid()
    ends = {"x-": FixedValue(2.0), "x+": FixedValue(5.0)}
    mass = jnp.ones(grid.shape)
    operator, hierarchy, source = diffusion_system(
        grid, open_faces(grid), mass, conditions=ends
    )
    u, _, _ = solve(operator, hierarchy, source)
    expected = 2 + 3 * grid.center_mesh()[0] / grid.lengths[0]
    np.testing.assert_allclose(u, jnp.broadcast_to(expected, grid.shape), rtol=1e-8)


def test_influx_counts_open_area():
    grid = random_grid()
    faces = list(open_faces(grid))
    aperture = jnp.asarray(RNG.uniform(0, 1, faces[1][:, 0].shape))
    faces[1] = faces[1].at[:, 0].set(aperture)
    terms = boundary_terms(grid, tuple(faces), {"y-": FixedFlux(7.0), "z+": NoFlux()})
    area = jnp.broadcast_to(grid.face_areas(1), faces[1].shape)[:, 0]
    np.testing.assert_allclose(jnp.sum(terms.source), 7 * jnp.sum(area * aperture))
    assert jnp.all(terms.loss == 0)
    assert jnp.all(terms.source[:, 1:] == 0)


def test_values_over_a_side():
    grid = random_grid()
    values = jnp.asarray(RNG.normal(size=(4, 5)))
    terms = boundary_terms(grid, open_faces(grid), {"z+": FixedValue(values)})
    np.testing.assert_allclose(terms.source[..., -1] / terms.loss[..., -1], values)


def test_harmonic_mean_of_layers():
    grid = Grid((np.full(1, 1e-6), np.full(1, 1e-6), np.array([1e-6, 3e-6])))
    k = jnp.asarray([2.0, 5.0]).reshape(1, 1, 2)
    face = harmonic_to_faces(grid, k, 2)[0, 0]
    np.testing.assert_allclose(face, [2.0, 2 / (0.5 / 2 + 1.5 / 5), 5.0])
    shut = harmonic_to_faces(grid, k.at[0, 0, 0].set(0.0), 2)[0, 0]
    np.testing.assert_allclose(shut, [0.0, 0.0, 5.0])


def test_harmonic_mean_around_the_corner():
    grid = Grid.uniform((1, 1, 3), 1e-6, (False, False, True))
    k = jnp.asarray([1.0, 2.0, 3.0]).reshape(1, 1, 3)
    face = harmonic_to_faces(grid, k, 2)[0, 0]
    np.testing.assert_allclose(face, [1.5, 4 / 3, 12 / 5, 1.5])


def manufactured(n, neumann):
    """−∇·(K ∇u) = s on (0, 1)³ with u = e^z sin πx cos πy and a diagonal K."""
    pi = np.pi
    grid = Grid([graded_widths(n, 1.0, 2.0)] * 3)
    cos, sin, exp = jnp.cos, jnp.sin, jnp.exp

    def u(x, y, z):
        return exp(z) * sin(pi * x) * cos(pi * y)

    def k(axis, x, y, z):
        return (2 + sin(pi * y) + 0 * x, 1 + x**2 + 0 * y, 1 + exp(-z))[axis]

    def source(x, y, z):
        second = pi**2 * u(x, y, z) * (k(0, x, y, z) + k(1, x, y, z))
        return second - u(x, y, z) * (k(2, x, y, z) - exp(-z))

    faces = []
    for axis in range(3):
        mesh = list(grid.center_mesh())
        mesh[axis] = grid.node_mesh()[axis]
        shape = [m + (a == axis) for a, m in enumerate(grid.shape)]
        faces.append(jnp.broadcast_to(k(axis, *mesh), shape))
    x, y, z = (c.reshape(-1) for c in grid.center_mesh())
    conditions = {}
    for axis, name in enumerate("xyz"):
        for end, side in ((0.0, "-"), (1.0, "+")):
            mesh = [x[:, None, None], y[:, None], z]
            mesh[axis] = jnp.full((1, 1, 1), end)
            shape = [m for a, m in enumerate(grid.shape) if a != axis]
            value = jnp.broadcast_to(
                u(*mesh), [1 if a == axis else n for a in range(3)]
            ).reshape(shape)
            conditions[name + side] = FixedValue(value)
    if neumann:  # the flux into the cube through z = 1: K ∂u/∂z = K u, per aperture K
        top = u(x[:, None], y[None, :], 1.0)
        conditions["z+"] = FixedFlux(top)
    operator, hierarchy, boundary = diffusion_system(
        grid, tuple(faces), jnp.ones(grid.shape), conditions=conditions
    )
    b = source(*grid.center_mesh()) * grid.volumes + boundary
    found, _, _ = solve(operator, hierarchy, b)
    error = found - u(*grid.center_mesh())
    return float(jnp.sqrt(jnp.sum(error**2 * grid.volumes))), float(jnp.max(abs(error)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "neumann",
    [pytest.param(False, marks=pytest.mark.slow), True],
    ids=["values", "flux"],
)
def test_manufactured_solution(neumann):
    """Second order on smoothly stretched cells, in the mean and at the worst place."""
    mean, worst = zip(*(manufactured(n, neumann) for n in (8, 16, 32)), strict=True)
    assert observed_orders(mean)[-1] > 1.9
    assert observed_orders(worst)[-1] > 1.75


@pytest.mark.slow
def test_manufactured_solution_on_fine_grids():
    mean, worst = zip(*(manufactured(n, False) for n in (64, 96)), strict=True)
    assert observed_orders(mean, 1.5)[-1] > 1.95
    assert observed_orders(worst, 1.5)[-1] > 1.9


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"w+": NoFlux()}, "sides among x-, x.*got 'w.'"),
        ({"x+": FixedValue(1.0)}, "no condition on a periodic axis, got FixedValue"),
    ],
)
def test_refusals(conditions, words):
    grid = random_grid((True, False, False))
    with pytest.raises(ValueError, match=words):
        boundary_terms(grid, open_faces(grid), conditions)
