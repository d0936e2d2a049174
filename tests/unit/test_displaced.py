"""Electrolyte that metal displaces: where it flows, and the salt that goes with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import central_slopes

import depojax as dj
from depojax.fv.grid import Grid
from depojax.fv.operators import conductances, without_ends
from depojax.problems.displaced import flowed
from depojax.problems.growth import HomogenisedGrowth
from depojax.problems.level_set_growth import LevelSetGrowth

SHAPE = (3, 4, 5)


def pores(seed, periodic=(False, False, False)):
    """A grid, how open its faces are, volumes before and after, and salt."""
    random = np.random.default_rng(seed)
    grid = Grid.uniform(SHAPE, 0.2, periodic)
    faces = []
    for axis in range(3):
        face = random.uniform(0, 1, [n + (a == axis) for a, n in enumerate(SHAPE)])
        if periodic[axis]:
            np.moveaxis(face, axis, 0)[-1] = np.moveaxis(face, axis, 0)[0]
        faces.append(jnp.asarray(face))
    before, after = random.uniform(0.2, 1, (2, *SHAPE)) * 8e-3
    before[0, 0, :2] = 0.0  # opens
    after[1, 1, 1:3] = 0.0  # closes
    after[2, 2, 0] = 1e-12
    salt = before * random.uniform(0.5, 1.5, SHAPE)
    amounts = map(jnp.asarray, (before, after, salt))
    return grid, (faces[0], faces[1], faces[2]), *amounts


def by_dense_matrices(grid, faces, before, after, salt):
    """The same by numpy: potentials, then concentrations; and what passes the top."""
    shape, n = grid.shape, int(np.prod(grid.shape))
    number = np.arange(n).reshape(shape)
    g = conductances(grid, faces)
    inner = without_ends(g, grid.periodic)
    pairs = []
    for axis in range(3):
        above = np.roll(number, -1, axis)
        values = np.moveaxis(np.asarray(inner[axis]), axis, 0)[1:]
        values = np.moveaxis(values, 0, axis)
        pairs += list(zip(number.ravel(), above.ravel(), values.ravel(), strict=True))
    top = np.zeros(shape)
    top[..., -1] = np.asarray(g[2])[..., -1]
    laplace = np.diag(top.ravel())
    for a, b, value in pairs:
        laplace[a, a] += value
        laplace[b, b] += value
        laplace[a, b] -= value
        laplace[b, a] -= value
    p = np.linalg.solve(laplace, np.asarray(before - after).ravel())
    out = top.ravel() * p
    matrix = np.diag(np.asarray(after).ravel() + np.maximum(out, 0))
    for a, b, value in pairs:
        q = value * (p[a] - p[b])
        source, target = (a, b) if q > 0 else (b, a)
        matrix[source, source] += abs(q)
        matrix[target, source] -= abs(q)
    given = np.asarray(salt).ravel() + np.maximum(-out, 0)
    c = np.linalg.solve(matrix, given)
    left = np.sum(np.maximum(out, 0) * c - np.maximum(-out, 0))
    return np.asarray(after) * c.reshape(shape), left


@pytest.mark.parametrize("periodic", [(False, False, False), (True, True, False)])
def test_salt_flows_as_dense_matrices_say(periodic):
    for seed in range(3):
        grid, faces, before, after, salt = pores(seed, periodic)
        now = np.asarray(flowed(grid, faces, before, after, salt))
        expected, left = by_dense_matrices(grid, faces, before, after, salt)
        np.testing.assert_allclose(now, expected, rtol=1e-8, atol=1e-18)
        assert now.sum() + left == pytest.approx(float(jnp.sum(salt)), rel=1e-9)


def test_uniform_salt_stays_uniform_and_other_salt_between_its_extremes():
    grid, faces, before, after, salt = pores(5)
    even = np.asarray(flowed(grid, faces, before, after, before))
    np.testing.assert_allclose(even, after, rtol=1e-7, atol=1e-18)
    shrunk = before * 0.6
    c = flowed(grid, faces, before, shrunk, salt)[before > 0] / shrunk[before > 0]
    held = salt[before > 0] / before[before > 0]
    assert float(jnp.min(held)) < float(jnp.min(c))
    assert float(jnp.max(c)) < float(jnp.max(held))


def test_a_column_flows_as_averages_do():
    """Along one line there is one way: that of `HomogenisedGrowth`, found otherwise."""
    grid = Grid.uniform((1, 1, 6), 5e-6)

    def of(porosity):
        host = dj.Scaffold.homogenised(grid, porosity, 1.5, 1e5)
        return dj.Cell(host, dj.electrolytes.lipf6_ec_emc(1000.0))

    cell, full = of(jnp.full((1, 1, 6), 0.7)), of(jnp.linspace(0.6, 0.3, 6)[None, None])
    old, new = cell.domain(), full.domain()
    wet, left = (each.pore_fraction * each.grid.volumes for each in (old, new))
    salt = wet * jnp.linspace(0.5, 1.5, 6)
    expected = HomogenisedGrowth(displaced="electrolyte").carried(cell, full, salt)
    now = flowed(old.grid, new.face_transmission, wet, left, salt)
    np.testing.assert_allclose(now, expected, rtol=1e-10)
    back = flowed(old.grid, new.face_transmission, left, wet, left)
    np.testing.assert_allclose(back, wet, rtol=1e-10)


def test_a_pocket_keeps_its_salt_while_the_open_pore_loses_some():
    grid = Grid.uniform((8, 1, 10), 2e-6)
    x, _, z = grid.node_mesh()
    pocket = 4.2e-6 - jnp.hypot(x - 4e-6, z - 7e-6)

    neck = jnp.minimum(1.2e-6 - jnp.abs(z - 7e-6), 3e-6 - jnp.abs(x - 9e-6))

    def cell(depth, *open_parts):
        channel = jnp.minimum(x - 10.3e-6, z - depth)
        for part in (pocket, *open_parts):
            channel = jnp.maximum(channel, part)
        values = jnp.broadcast_to(channel, (9, 2, 11))
        raw = dj.Scaffold.from_levelset(values, grid, trim=False)
        made = dj.Cell(
            raw.trimmed(),
            dj.electrolytes.lipf6_ec_emc(1000.0),
            metal=dj.metals.lithium,
            separator=dj.Separator(10e-6, cells=3),
        )
        return made, raw

    (before, raw), (after, _) = cell(1.1e-6), cell(3.7e-6)
    inside = jnp.where(before.scaffold.pore_fraction > 0, 0.0, raw.pore_fraction)
    kept = jnp.pad(2.5 * inside * raw.grid.volumes, [(0, 0), (0, 0), (0, 3)])
    assert float(jnp.sum(kept)) > 5e-17
    old, new = before.domain(), after.domain()
    volumes = old.pore_fraction * old.grid.volumes
    growth = LevelSetGrowth(displaced="electrolyte")
    now = growth.carried(before, after, volumes + kept)
    np.testing.assert_allclose(
        now, new.pore_fraction * new.grid.volumes + kept, rtol=1e-8, atol=1e-24
    )
    stays = LevelSetGrowth().carried(before, after, volumes + kept)
    assert float(jnp.sum(stays)) == pytest.approx(float(jnp.sum(volumes + kept)))
    assert float(jnp.sum(now)) < 0.99 * float(jnp.sum(stays))
    # Once it opens it takes in what the way there holds, and no more: it is not empty.
    (opened, _), inside = cell(1.1e-6, neck), jnp.sum(inside * raw.grid.volumes)
    wet = opened.domain().pore_fraction * old.grid.volumes
    gained = jnp.sum(wet) - jnp.sum(volumes) - inside
    assert 0 < float(gained) < 0.2 * float(inside)
    mixed = growth.carried(before, opened, volumes + kept)
    expected = jnp.sum(volumes) + jnp.sum(kept) + gained
    assert float(jnp.sum(mixed)) == pytest.approx(float(expected), rel=1e-9)


def test_where_nothing_is_displaced_all_stays():
    """Not even round-off of the volumes is told from nothing."""
    grid, faces, before, _, salt = pores(4)
    noise = 1 + 4e-16 * np.random.default_rng(0).normal(size=SHAPE)
    np.testing.assert_allclose(
        flowed(grid, faces, before, before * noise, salt), salt, rtol=1e-12, atol=1e-20
    )
    small = flowed(grid, faces, 1e-15 * before, 1e-15 * before * noise, 1e-15 * salt)
    np.testing.assert_allclose(small, 1e-15 * salt, rtol=1e-12, atol=1e-32)


def test_derivatives_of_the_flow():
    grid, faces, before, after, salt = pores(2)
    after = jnp.where(after < 1e-9, 3e-4, after)  # a sliver's own is too steep
    weights = jnp.asarray(np.random.default_rng(1).uniform(size=SHAPE))
    ways = [jnp.asarray(np.random.default_rng(9).uniform(size=SHAPE)) for _ in "abc"]

    def total(x):
        shrunk = after * (1 + x[0] * ways[0])
        held = salt * (1 + x[1] * ways[1])
        opened = (faces[0], faces[1] * (1 + x[2]), faces[2] * (1 - x[2]))
        return jnp.sum(weights * flowed(grid, opened, before, shrunk, held))

    at = jnp.asarray([0.02, 0.03, 0.01])
    reverse = jax.grad(total)(at)
    np.testing.assert_allclose(reverse, jax.jacfwd(total)(at), rtol=1e-8)
    slopes = central_slopes(jax.jit(total), at, step=1e-5)
    np.testing.assert_allclose(reverse, slopes, rtol=1e-6, atol=1e-8)


def test_what_may_be_displaced():
    with pytest.raises(ValueError, match=r"displaced.*electrolyte"):
        LevelSetGrowth(displaced="salt")
