"""The rectilinear grid: places, areas, stretching, pairing, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.fv.grid import Grid, along, axis_index, stretched_widths

X, Y, Z = np.array([1e-6, 2e-6]), np.array([3e-6]), np.array([1e-6, 1e-6, 4e-6])


def test_places_and_measures():
    grid = Grid((X, Y, Z))
    assert grid.shape == (2, 1, 3)
    np.testing.assert_allclose(grid.nodes[2], [0, 1e-6, 2e-6, 6e-6], atol=1e-20)
    np.testing.assert_allclose(grid.centers[2], [0.5e-6, 1.5e-6, 4e-6])
    np.testing.assert_allclose(grid.lengths, (3e-6, 3e-6, 6e-6))
    np.testing.assert_allclose(grid.footprint, 9e-12)
    np.testing.assert_allclose(jnp.sum(grid.volumes), 54e-18)
    np.testing.assert_allclose(grid.face_areas(0)[0, 0], 3e-6 * Z)
    np.testing.assert_allclose(grid.face_areas(1)[:, 0, 2], 4e-6 * X)
    np.testing.assert_allclose(grid.face_areas(2)[:, 0, 0], 3e-6 * X)
    assert [a.shape for a in grid.center_mesh()] == [(2, 1, 1), (1, 1, 1), (1, 1, 3)]
    assert [a.shape for a in grid.node_mesh()] == [(3, 1, 1), (1, 2, 1), (1, 1, 4)]


def test_distances_between_centres():
    grid = Grid((X, Y, Z))
    np.testing.assert_allclose(grid.center_distances(2), [0.5e-6, 1e-6, 2.5e-6, 2e-6])
    around = Grid((X, Y, Z), (False, False, True))
    np.testing.assert_allclose(
        around.center_distances(2), [2.5e-6, 1e-6, 2.5e-6, 2.5e-6]
    )


def test_uniform():
    grid = Grid.uniform((2, 3, 4), 1e-6)
    np.testing.assert_allclose(grid.lengths, (2e-6, 3e-6, 4e-6))
    oblong = Grid.uniform((2, 3, 4), (1e-6, 2e-6, 3e-6))
    np.testing.assert_allclose(oblong.lengths, (2e-6, 6e-6, 12e-6))


@pytest.mark.parametrize("length", [1e-6, 3.3e-6, 1e-3])
def test_stretched_widths_add_up(length):
    widths = stretched_widths(2e-6, length, 1.15)
    np.testing.assert_allclose(widths.sum(), length, rtol=1e-12)
    assert widths[0] <= 2e-6 * (1 + 1e-9)
    np.testing.assert_allclose(widths[1:] / widths[:-1], 1.15, rtol=1e-9)


def test_pairing_makes_stretched_grids_isotropic():
    """Thin cells join first, and each axis ends with one or two cells."""
    grid = Grid((np.full(4, 8e-6), np.full(4, 8e-6), np.full(64, 1e-6)))
    sizes = [np.asarray(w) for w in grid.widths]
    for starts in grid.pairing:
        sizes = [np.add.reduceat(w, s) for w, s in zip(sizes, starts, strict=True)]
        if sizes[2].size > 8:
            assert sizes[0].size == 4  # wide cells wait
    assert np.prod([w.size for w in sizes]) <= 64
    for size, width in zip(sizes, grid.widths, strict=True):
        np.testing.assert_allclose(size.sum(), width.sum())


def test_pairing_covers_odd_and_random_widths():
    rng = np.random.default_rng(0)
    grid = Grid([rng.uniform(0.5, 4, n) * 1e-6 for n in (7, 13, 30)])
    sizes = [w.size for w in grid.widths]
    for starts in grid.pairing:
        for start, n in zip(starts, sizes, strict=True):
            runs = np.diff((*start, n))
            assert start[0] == 0
            assert set(runs.tolist()) <= {1, 2}
        sizes = [len(start) for start in starts]


def test_traced_widths_are_paired_plainly():
    @jax.jit
    def lengths(h):
        grid = Grid.uniform((4, 4, 16), h)
        assert grid.pairing[0][2] == tuple(range(0, 16, 2))
        return grid.lengths[2]

    np.testing.assert_allclose(lengths(2e-6), 32e-6)


def test_words_for_axes():
    assert [axis_index(a) for a in ("x", "y", "z", 0, 1, 2)] == [0, 1, 2, 0, 1, 2]
    assert along(jnp.ones(3), 1).shape == (1, 3, 1)
    with pytest.raises(ValueError, match='one of "x", "y", "z", got \'w\''):
        axis_index("w")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Grid((X, Y)), "one array of cell widths per axis"),
        (lambda: Grid((X, Y, Z), (True,)), "one array of cell widths per axis"),
        (lambda: Grid((X, Y, 1e-6)), r"widths\[z\]: expected a 1D array \[m\], got 0D"),
        (lambda: Grid((X, Y, -Z)), r"widths\[z\]: expected a positive number in m"),
        (lambda: Grid((X, Y, 0 * Z)), r"widths\[z\]: expected a positive number"),
        (lambda: Grid((X, Y, np.array([]))), r"widths\[z\]: .* got nothing"),
        (lambda: Grid((X, Y, Z * np.nan)), r"widths\[z\]: expected finite numbers"),
        (lambda: Grid.uniform((2, 2, 2), 2.0), r"write it with its unit, as 2 \* um"),
        (lambda: Grid.uniform((2, 2), 1e-6), "three numbers of cells"),
        (lambda: Grid.uniform(8, 1e-6), "three numbers of cells"),
        (lambda: Grid.uniform((2, 2, 0), 1e-6), r"shape\[2\]: expected at least 1"),
        (lambda: Grid.uniform((2, 2, 2.5), 1e-6), r"shape\[2\]: expected a whole"),
        (lambda: stretched_widths(1e-6, 1e-4, 1.0), "growth: expected within"),
        (lambda: stretched_widths(0.0, 1e-4), "first: expected a positive number"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
