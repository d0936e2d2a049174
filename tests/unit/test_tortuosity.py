"""Tortuosity factors, tensors and maps against closed forms and a direct solve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from depojax.fv.grid import Grid
from depojax.problems.tortuosity import effective_diffusivity, tortuosity
from depojax.problems.tortuosity_map import tortuosity_map
from depojax.scaffold.scaffold import Scaffold


def blobs(shape, porosity=0.6, width=1.2, seed=0):
    """A smoothed random field, cut at the porosity: True is pore."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return noise < np.quantile(noise, porosity)


def by_direct_solve(k, axis):
    """D_eff of a field of voxels (0 is closed) as sparse matrices say."""
    k = np.moveaxis(np.asarray(k, float), axis, 0)
    index = np.arange(k.size).reshape(k.shape)
    rows, columns, values = [], [], []
    for a in range(3):
        n = k.shape[a]
        low, high = np.take(k, range(n - 1), a), np.take(k, range(1, n), a)
        total = np.where(low + high > 0, low + high, 1)
        g = 2 * low * high / total
        i = np.take(index, range(n - 1), a).ravel()
        j = np.take(index, range(1, n), a).ravel()
        rows += [i, j]
        columns += [j, i]
        values += [g.ravel(), g.ravel()]
    size = k.size
    links = (np.concatenate(rows), np.concatenate(columns))
    off = sparse.csr_matrix((np.concatenate(values), links), (size, size))
    ends = np.zeros_like(k)
    ends[0] += 2 * k[0]
    ends[-1] += 2 * k[-1]
    b = np.zeros_like(k)
    b[0] = 2 * k[0]
    diagonal = np.asarray(off.sum(1)).ravel() + ends.ravel()
    loose = diagonal == 0
    A = sparse.diags(diagonal + loose + 1e-13) - off
    u = spsolve(A.tocsc(), b.ravel()).reshape(k.shape)
    return np.sum(2 * k[0] * (1 - u[0])) * k.shape[0] / (k.shape[1] * k.shape[2])


def test_an_open_box_is_exactly_one():
    for host in (
        np.ones((6, 7, 9), bool),
        Scaffold.open(Grid.uniform((6, 7, 9), 1e-6)),
        Scaffold.open(Grid.uniform((6, 7, 9), 1e-6, (True, True, True))),
        Scaffold.open(Grid([np.geomspace(1, 3, n) * 1e-6 for n in (6, 7, 9)])),
    ):
        np.testing.assert_allclose(effective_diffusivity(host), np.eye(3), atol=1e-14)
        found = tortuosity(host, "x")
        np.testing.assert_allclose(found.tortuosity_factor, 1, atol=1e-14)
        assert int(found.iterations) == 0


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_random_voxels_as_a_direct_solve_says(axis):
    image = blobs((11, 9, 14))
    known = by_direct_solve(image, "xyz".index(axis))
    found = tortuosity(image, axis)
    np.testing.assert_allclose(found.effective_diffusivity, known, rtol=1e-10)
    np.testing.assert_allclose(found.porosity, image.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.tortuosity_factor, image.mean() / known, rtol=1e-9)
    np.testing.assert_allclose(found.flux_in, known, rtol=1e-7)
    np.testing.assert_allclose(found.flux_out, known, rtol=1e-7)
    assert found.flux_mismatch < 1e-10
    assert found.residual <= 1e-8
    assert np.asarray(found.field).min() > -1e-9
    assert np.asarray(found.field).max() < 1 + 1e-9


@pytest.mark.parametrize("contrast", [1e3, 1e7])
def test_several_phases_as_a_direct_solve_says(contrast):
    k = np.where(blobs((12, 10, 11)), 1.0, 1 / contrast)
    k[blobs((12, 10, 11), 0.2, seed=4)] = 0.3
    known = by_direct_solve(k, 2)
    found = tortuosity(k, "z")
    np.testing.assert_allclose(found.effective_diffusivity, known, rtol=1e-7)


def test_the_same_image_as_scaffold_and_as_array():
    image = blobs((12, 12, 12))
    image[..., -1] = True
    scaffold = Scaffold.from_image(image, 1e-6, cut=False, trim=False)
    one, other = tortuosity(image, "y"), tortuosity(scaffold, "y")
    np.testing.assert_allclose(
        one.tortuosity_factor, other.tortuosity_factor, rtol=1e-12
    )
    solid = tortuosity(scaffold, "y", "solid")
    np.testing.assert_allclose(
        solid.effective_diffusivity, by_direct_solve(~image, 1), rtol=1e-9
    )
    np.testing.assert_allclose(solid.porosity, 1 - image.mean(), rtol=1e-12)


def test_channels_dead_ends_and_closed_pores():
    """A straight channel, a pocket at its side, a closed pore: the channel conducts."""
    image = np.zeros((8, 8, 10), bool)
    image[1:3, 1:3, :] = True
    image[3:6, 1:3, 4] = True
    image[5:7, 5:7, 7:9] = True
    found = tortuosity(image)
    np.testing.assert_allclose(found.effective_diffusivity, 4 / 64, rtol=1e-7)
    np.testing.assert_allclose(found.porosity, (40 + 6 + 8) / 640)
    np.testing.assert_allclose(found.tortuosity_factor, 1.35, rtol=1e-7)
    assert "Tortuosity factor 1.35 along z" in found.message


def test_what_does_not_percolate_is_said():
    image = np.zeros((8, 8, 10), bool)
    image[1:5, 1:5, :4] = True
    image[2:5, 1:5, 5:] = True
    found = tortuosity(image)
    assert not bool(found.percolates)
    assert float(found.effective_diffusivity) == 0
    assert np.isinf(found.tortuosity_factor)
    assert np.all(np.isfinite(found.field))
    assert found.message.startswith("The pore does not percolate along z")
    narrow = image.copy()
    narrow[3, 3, 4] = True
    assert bool(tortuosity(narrow).percolates)


def layers(axis, k):
    shape = [k.size if a == axis else 2 for a in range(3)]
    place = [-1 if a == axis else 1 for a in range(3)]
    return np.broadcast_to(k.reshape(place), shape)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_laminates_are_exact(axis):
    k = np.array([1.0, 1.0, 0.01, 0.01, 0.01])
    known = np.full(3, np.mean(k))
    known[axis] = 1 / np.mean(1 / k)
    tensor = effective_diffusivity(layers(axis, k))
    np.testing.assert_allclose(tensor, np.diag(known), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("sides", ["insulated", "linear"])
def test_oblique_channels(sides):
    """H3: ε t ⊗ t for channels along t, periodic; a window overestimates."""
    n, tangent = 16, 0.5
    wraps = sides == "insulated"
    grid = Grid.uniform((n, 1, 2 * n), 1e-6, (wraps, False, wraps))
    x, _, z = grid.node_mesh()
    s = jnp.mod(x - tangent * z - 0.3e-6, n * 1e-6) - n * 1e-6 / 2
    values = 0.25 * n * 1e-6 - jnp.abs(s)
    host = Scaffold.from_levelset(
        jnp.broadcast_to(values, [m + 1 for m in grid.shape]), grid, trim=False
    )
    tensor = np.asarray(effective_diffusivity(host, sides=sides)) / float(host.porosity)
    along = np.array([tangent, 0.0, 1.0]) / np.hypot(1, tangent)
    known = np.outer(along, along)
    np.testing.assert_allclose(tensor, tensor.T, atol=1e-12)
    if wraps:
        np.testing.assert_allclose(tensor[::2, ::2], known[::2, ::2], atol=8e-3)
    else:
        excess = np.linalg.eigvalsh(tensor[::2, ::2] - known[::2, ::2])
        assert np.all(excess > -8e-3)
        assert tensor[0, 2] > 0.02


def test_the_error_of_the_flux_is_the_square_of_the_field_s():
    image = blobs((20, 20, 20))
    exact = float(tortuosity(image, linear_tolerance=1e-13).effective_diffusivity)
    for tolerance in (1e-2, 1e-4):
        loose = tortuosity(image, linear_tolerance=tolerance)
        error = float(loose.effective_diffusivity) / exact - 1
        assert -1e-13 < error < 30 * tolerance**2
        assert loose.residual <= tolerance


def test_precisions_agree():
    image = blobs((16, 16, 16))
    known = tortuosity(image, precision="float64").effective_diffusivity
    mixed = tortuosity(image).effective_diffusivity
    single = tortuosity(image, precision="float32").effective_diffusivity
    np.testing.assert_allclose(mixed, known, rtol=1e-12)
    np.testing.assert_allclose(single, known, rtol=2e-6)
    assert single.dtype == jnp.float32


def graded_host(logs):
    grid = Grid.uniform(logs.shape, 1e-6)
    porosity = jax.nn.sigmoid(logs)
    return Scaffold.homogenised(grid, porosity, porosity**-0.5, 1e5)


@pytest.mark.slow
def test_gradients_with_respect_to_every_cell():
    """Reverse = forward = central difference along random directions."""
    rng = np.random.default_rng(1)
    logs = jnp.asarray(rng.normal(size=(6, 5, 8)))

    @jax.jit
    def value(logs):
        found = tortuosity(graded_host(logs), linear_tolerance=1e-12)
        tensor = effective_diffusivity(graded_host(logs), linear_tolerance=1e-12)
        return found.tortuosity_factor + jnp.sum(tensor * jnp.arange(9.0).reshape(3, 3))

    slopes = jax.jit(jax.grad(value))(logs)
    for seed in range(3):
        along = jnp.asarray(np.random.default_rng(seed).normal(size=logs.shape))
        _, forward = jax.jvp(value, (logs,), (along,))
        np.testing.assert_allclose(jnp.vdot(slopes, along), forward, rtol=1e-10)
        h = 1e-4
        central = (value(logs + h * along) - value(logs - h * along)) / (2 * h)
        np.testing.assert_allclose(forward, central, rtol=1e-6)


@pytest.mark.parametrize(
    "sides", [pytest.param("insulated", marks=pytest.mark.slow), "linear"]
)
def test_gradient_with_respect_to_the_widths_of_the_cells(sides):
    """On a stretched grid; a common factor on all widths changes nothing."""
    rng = np.random.default_rng(3)
    porosity = jnp.asarray(rng.uniform(0.2, 0.9, size=(5, 4, 6)))
    widths = [jnp.asarray(rng.uniform(1, 2, n) * 1e-6) for n in porosity.shape]

    @jax.jit
    def value(scales):
        grid = Grid([w * s for w, s in zip(widths, scales, strict=True)])
        host = Scaffold.homogenised(grid, porosity, porosity**-0.5, 1e5)
        tensor = effective_diffusivity(host, sides=sides, linear_tolerance=1e-12)
        return jnp.sum(tensor * jnp.arange(1.0, 10.0).reshape(3, 3))

    ones = [jnp.ones(n) for n in porosity.shape]
    slopes = jax.grad(value)(ones)
    assert abs(sum(float(jnp.sum(s)) for s in slopes)) < 1e-9
    along = [jnp.asarray(rng.normal(size=n)) for n in porosity.shape]
    _, forward = jax.jvp(value, (ones,), (along,))
    reverse = sum(float(s @ a) for s, a in zip(slopes, along, strict=True))
    np.testing.assert_allclose(reverse, forward, rtol=1e-9)
    h = 1e-4
    moved = [[o + k * h * a for o, a in zip(ones, along, strict=True)] for k in (1, -1)]
    central = (value(moved[0]) - value(moved[1])) / (2 * h)
    np.testing.assert_allclose(forward, central, rtol=1e-6)


def test_a_periodic_voxel_host_looks_around_the_corner():
    """Layers across a periodic axis, two of them meeting at its ends."""
    image = np.ones((4, 4, 8), bool)
    image[..., 7] = False
    host = Scaffold.from_image(
        image, 1e-6, cut=False, trim=False, periodic=(False, False, True)
    )
    assert float(jnp.abs(host.face_transmission[2][..., 0]).max()) == 0
    solid = effective_diffusivity(host, "solid")
    np.testing.assert_allclose(np.diag(solid), [1 / 8, 1 / 8, 0], atol=1e-12)


def test_the_gradient_costs_no_further_solve():
    """What reverse mode adds holds no iteration: no loop in the transposed program."""
    logs = jnp.zeros((6, 5, 8))

    def value(logs):
        return tortuosity(graded_host(logs)).effective_diffusivity

    _, pull = jax.vjp(value, logs)
    program = str(jax.make_jaxpr(pull)(jnp.ones(())))
    assert "while" not in program


def test_batches():
    """vmap over fields of porosity."""
    logs = jnp.asarray(np.random.default_rng(2).normal(size=(3, 6, 5, 8)))

    def value(logs):
        return tortuosity(graded_host(logs)).tortuosity_factor

    together = jax.jit(jax.vmap(value))(logs)
    np.testing.assert_allclose(together, [value(one) for one in logs], rtol=1e-9)


def test_map_of_windows():
    """Each window as a sample of its own, blocked ones marked."""
    image = blobs((16, 16, 24), 0.7)
    image[:8, :8, :8] = False
    image[2:5, 2:5, :4] = True
    scaffold = Scaffold.from_image(image, 2e-6, cut=False, trim=False)
    found = tortuosity_map(scaffold, 8)
    assert found.grid.shape == (2, 2, 3)
    assert not np.asarray(found.percolates)[0, 0, 0].any()
    assert np.all(np.isinf(np.asarray(found.tortuosity_factor)[0, 0, 0]))
    np.testing.assert_allclose(found.grid.widths[2], 16e-6)
    window = image[8:, 8:, 16:]
    np.testing.assert_allclose(found.porosity[1, 1, 2], window.mean())
    for axis in range(3):
        known = by_direct_solve(window, axis)
        conducted = found.effective_diffusivity[1, 1, 2, axis, axis]
        np.testing.assert_allclose(conducted, known, rtol=1e-8)
    area = float(jnp.sum(found.specific_area) * (16e-6) ** 3)
    np.testing.assert_allclose(area, scaffold.total_surface_area, rtol=1e-12)
    host = found.homogenised(wall_distance=1e-6)
    np.testing.assert_allclose(host.porosity, image.mean(), rtol=1e-6)


def test_map_of_layers_is_exact():
    """Layers in the windows and across them: two scales give what one gives."""
    k = np.repeat([1.0, 0.2, 0.5, 0.05], 4)
    grid = Grid.uniform((4, 4, 16), 1e-6)
    host = Scaffold.homogenised(grid, k, 1.0, 1e5)
    coarse = tortuosity_map(host, (4, 4, 8)).homogenised()
    one = effective_diffusivity(host)
    two = effective_diffusivity(coarse)
    np.testing.assert_allclose(np.diag(two), np.diag(one), rtol=1e-8)


def test_windows_that_do_not_fill_the_sample_overlap():
    host = Scaffold.open(Grid.uniform((10, 10, 10), 1e-6))
    found = tortuosity_map(host, 4, 3)
    np.testing.assert_allclose(jnp.sum(found.grid.widths[0]), 10e-6)
    assert found.grid.shape == (3, 3, 3)
    np.testing.assert_allclose(found.tortuosity_factor, 1.0, rtol=1e-12)


IMAGE = np.ones((4, 4, 4), bool)
HOST = Scaffold.open(Grid.uniform((4, 4, 4), 1e-6))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: tortuosity(IMAGE, "w"), 'axis: expected one of "x", "y", "z"'),
        (lambda: tortuosity(IMAGE, phase="por"), "Did you mean 'pore'"),
        (lambda: tortuosity(IMAGE, phase="solid"), "Give the image of the solid"),
        (lambda: tortuosity(~IMAGE), "expected some pore, got none"),
        (lambda: tortuosity(IMAGE.astype(int)), "a voxel image of booleans"),
        (lambda: tortuosity(IMAGE[0]), "three axes"),
        (lambda: tortuosity(-1.0 * IMAGE), "local diffusivity: expected within"),
        (lambda: tortuosity(np.nan * IMAGE), "local diffusivity: expected finite"),
        (lambda: tortuosity(HOST, phase="solid"), "expected some solid, got none"),
        (lambda: tortuosity(IMAGE, precision="double"), "Known: float32"),
        (lambda: tortuosity(IMAGE, linear_tolerance=1.0), "linear_tolerance"),
        (lambda: effective_diffusivity(IMAGE, sides="open"), "Known: insulated"),
        (lambda: tortuosity_map(IMAGE, 2), "expected a depojax.Scaffold"),
        (lambda: tortuosity_map(HOST, 5), "window: expected at most 4 cells along x"),
        (lambda: tortuosity_map(HOST, 2, 3), "stride: expected at most the window"),
        (lambda: tortuosity_map(HOST, (2, 2)), "window: expected a number of cells"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(ValueError, match=words):
        call()
