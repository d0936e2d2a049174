"""Multigrid and its conjugate gradients: against direct solves, at any size."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from helpers import diffusion_system, solve

from depojax.fv.boundary import FixedValue
from depojax.fv.cut_cells import cut_cells
from depojax.fv.grid import Grid
from depojax.solvers.linear import MultigridCG
from depojax.solvers.multigrid import build_hierarchy, pseudo_inverse
from depojax.solvers.stencil import FaceStencil

TOP = {"z+": FixedValue(1.0)}
GRIDS = {
    "even": Grid.uniform((8, 8, 8), 1e-6),
    "odd": Grid.uniform((5, 7, 9), 1e-6),
    "flat": Grid.uniform((1, 13, 10), 1e-6),
    "line": Grid.uniform((1, 1, 40), 1e-6),
    "stretched": Grid(
        (np.full(6, 1e-6), np.full(5, 2e-6), np.geomspace(1, 30, 14) * 1e-6)
    ),
    "periodic": Grid.uniform((6, 8, 7), 1e-6, (True, True, False)),
}  # fmt: skip


def as_sparse(operator):
    """The matrix by columns, built from `mv` alone."""
    n = operator.mass.size
    basis = jnp.eye(n).reshape(n, *operator.mass.shape)
    columns = jax.jit(jax.vmap(operator.mv))(basis).reshape(n, n)
    return scipy.sparse.csc_matrix(np.asarray(columns).T)


def scene(grid, shift=0.0, conditions=None, seed=0, cycle_dtype=None):
    """Random cut cells: pores, walls, slivers, closed pockets."""
    rng = np.random.default_rng(seed)
    values = jnp.asarray(rng.normal(size=[n + 1 for n in grid.shape]) + 0.4)
    for axis, wraps in enumerate(grid.periodic):
        if wraps:
            last = (slice(None),) * axis + (-1,)
            values = values.at[last].set(values[(slice(None),) * axis + (0,)])
    cut = cut_cells(grid, values)
    mass = cut.volume_fraction * grid.volumes
    return diffusion_system(grid, cut.apertures, mass, shift, conditions, cycle_dtype)


@pytest.mark.parametrize("name", GRIDS)
def test_equal_to_a_direct_solve(name):
    """Cells that are shut have no equation; what stands there means nothing."""
    grid = GRIDS[name]
    operator, hierarchy, source = scene(grid, shift=1e11, conditions=TOP)
    rng = np.random.default_rng(1)
    b = jnp.where(operator.mass > 0, jnp.asarray(rng.normal(size=grid.shape)), 0.0)
    b = b * jnp.max(jnp.abs(source))
    u, _, result = solve(operator, hierarchy, b, rtol=1e-12)
    assert result == lx.RESULTS.successful
    is_open = np.asarray(operator.mass > 0).ravel()
    matrix = as_sparse(operator)[is_open][:, is_open]
    direct = scipy.sparse.linalg.spsolve(matrix, np.asarray(b).ravel()[is_open])
    found = np.asarray(u).ravel()
    np.testing.assert_allclose(found[is_open], direct, atol=1e-7 * abs(direct).max())


@pytest.mark.parametrize("name", ["even", "odd", "line", "periodic"])
def test_closed_domain_in_the_mean_free_space(name):
    """No shift and no loss: singular by a constant."""
    grid = GRIDS[name]
    faces = tuple(
        jnp.ones([n + (a == axis) for a, n in enumerate(grid.shape)])
        for axis in range(3)
    )
    operator, hierarchy, _ = diffusion_system(grid, faces, grid.volumes)
    b = np.random.default_rng(2).normal(size=grid.shape)
    b = jnp.asarray(b - b.mean())
    u, _, result = solve(operator, hierarchy, b, rtol=1e-11, singular=True)
    assert result == lx.RESULTS.successful
    np.testing.assert_allclose(operator.mv(u), b, atol=1e-8)
    np.testing.assert_allclose(jnp.mean(u) / jnp.max(u), 0.0, atol=1e-10)


@pytest.mark.parametrize(
    "name",
    [
        "odd",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("stretched", "periodic")),
    ],
)
def test_cycle_is_symmetric_and_positive(name):
    """⟨u, B v⟩ = ⟨B u, v⟩ and ⟨u, B u⟩ > 0, or conjugate gradients would break."""
    operator, hierarchy, _ = scene(GRIDS[name], shift=1e10, conditions=TOP)
    cycle = eqx.filter_jit(hierarchy.cycle(operator.shift))
    rng = np.random.default_rng(3)
    for _ in range(3):
        u, v = (
            jnp.where(
                operator.mass > 0, jnp.asarray(rng.normal(size=operator.mass.shape)), 0
            )
            for _ in range(2)
        )
        left, right = jnp.vdot(u, cycle(v)), jnp.vdot(cycle(u), v)
        scale = jnp.sqrt(jnp.vdot(u, cycle(u)) * jnp.vdot(v, cycle(v)))
        np.testing.assert_allclose(left / scale, right / scale, atol=1e-9)
        assert jnp.vdot(u, cycle(u)) > 0


def test_line_is_inverted_at_once():
    operator, hierarchy, _ = scene(GRIDS["line"], shift=1e12, conditions=TOP)
    b = jnp.where(operator.mass > 0, 1.0, 0.0)
    u, iterations, _ = solve(operator, hierarchy, b, rtol=1e-10)
    assert iterations <= 2
    np.testing.assert_allclose(operator.mv(u), b, atol=1e-9)


def test_operator_speaks_lineax():
    operator, _, _ = scene(GRIDS["odd"], shift=1e10, conditions=TOP)
    matrix = operator.as_matrix()
    np.testing.assert_allclose(matrix, as_sparse(operator).toarray())
    np.testing.assert_allclose(matrix, matrix.T)
    assert np.linalg.eigvalsh(np.asarray(matrix)).min() > -1e-12 * float(matrix.max())
    assert lx.is_symmetric(operator)
    assert lx.is_positive_semidefinite(operator)
    assert not lx.is_diagonal(operator)
    np.testing.assert_allclose(lx.diagonal(operator), np.diag(matrix))
    np.testing.assert_allclose(lx.materialise(operator).as_matrix(), matrix)
    ones = jnp.ones(operator.mass.shape)
    scale = float(matrix.max())
    np.testing.assert_allclose(
        operator.row_sums(), operator.mv(ones), atol=1e-12 * scale
    )


def test_extra_loss_on_all_levels():
    operator, hierarchy, _ = scene(GRIDS["odd"], shift=1e10, conditions=TOP)
    extra = jnp.where(operator.mass > 0, 1e-6 * jnp.arange(9.0), 0.0)
    more = eqx.tree_at(lambda o: o.loss, operator, operator.loss + extra)
    b = jnp.where(operator.mass > 0, 1.0, 0.0)
    u, _, result = solve(more, hierarchy.with_loss(extra), b, rtol=1e-12)
    assert result == lx.RESULTS.successful
    residual = jnp.linalg.norm((more.mv(u) - b).ravel()) / jnp.linalg.norm(b.ravel())
    assert residual < 1e-11


def test_jvp_vjp_vmap():
    """Implicit derivatives with respect to coefficients and right-hand side."""
    operator, hierarchy, _ = scene(GRIDS["odd"], shift=1e10, conditions=TOP)
    weights = jnp.asarray(np.random.default_rng(4).normal(size=operator.mass.shape))
    weights = jnp.where(operator.mass > 0, weights, 0.0)

    @jax.jit
    def functional(logs):
        g = tuple(face * jnp.exp(logs[0]) for face in operator.stencil.faces)
        changed = eqx.tree_at(
            lambda o: (o.stencil.faces, o.shift),
            operator,
            (g, operator.shift * jnp.exp(logs[1])),
        )
        b = jnp.where(operator.mass > 0, jnp.exp(logs[2]), 0.0)
        return jnp.vdot(weights, solve(changed, hierarchy, b, rtol=1e-13)[0])

    logs = jnp.zeros(3)
    reverse = jax.jit(jax.grad(functional))(logs)
    forward = jax.jit(jax.jacfwd(functional))(logs)
    h = 1e-4 * jnp.eye(3)
    central = [(functional(dx) - functional(-dx)) / 2e-4 for dx in h]
    np.testing.assert_allclose(forward, reverse, rtol=1e-8)
    np.testing.assert_allclose(central, reverse, rtol=1e-6)
    np.testing.assert_allclose(reverse[2], functional(logs), rtol=1e-9)
    many = jax.vmap(functional)(jnp.stack([logs, logs + 0.1]))
    np.testing.assert_allclose(
        many, [functional(logs), functional(logs + 0.1)], rtol=1e-9
    )


def test_single_precision_solves():
    operator, hierarchy, _ = scene(GRIDS["even"], shift=1e10, conditions=TOP)
    low = jax.tree.map(lambda a: a.astype(jnp.float32), (operator, hierarchy))
    b = jnp.where(operator.mass > 0, 1.0, 0.0)
    u, _, _ = solve(operator, hierarchy, b)
    found, _, result = solve(*low, b.astype(jnp.float32), rtol=1e-6)
    assert found.dtype == jnp.float32
    assert result == lx.RESULTS.successful
    scale = float(jnp.max(jnp.abs(u)))
    np.testing.assert_allclose(found, u, atol=1e-4 * scale)


def test_low_precision_cycle_inside_a_double_solve():
    operator, hierarchy, _ = scene(GRIDS["even"], shift=1e10, conditions=TOP)
    _, low, _ = scene(
        GRIDS["even"], shift=1e10, conditions=TOP, cycle_dtype=jnp.float32
    )
    b = jnp.where(operator.mass > 0, 1.0, 0.0)
    u, _, _ = solve(operator, hierarchy, b, rtol=1e-11)
    found, _, _ = solve(operator, low, b, rtol=1e-11)
    assert found.dtype == jnp.float64
    np.testing.assert_allclose(found, u, atol=1e-8 * float(jnp.max(jnp.abs(u))))


def test_zero_right_hand_side():
    operator, hierarchy, _ = scene(GRIDS["even"], shift=1e10, conditions=TOP)
    u, iterations, result = solve(operator, hierarchy, jnp.zeros(operator.mass.shape))
    assert jnp.all(u == 0)
    assert iterations == 0
    assert result == lx.RESULTS.successful


def test_out_of_iterations_is_said():
    operator, hierarchy, _ = scene(GRIDS["odd"], conditions=TOP)
    solver = MultigridCG(rtol=1e-12, max_steps=1)
    state = solver.init(operator, {"hierarchy": hierarchy})
    b = jnp.where(operator.mass > 0, 1.0, 0.0)
    solution = lx.linear_solve(operator, b, solver, state=state, throw=False)
    assert solution.result != lx.RESULTS.successful


def test_balance_closes_whatever_the_tolerance():
    """The last constant makes the residual sum to zero."""
    operator, hierarchy, _ = scene(GRIDS["odd"], shift=1e10, conditions=TOP)
    b = jnp.where(operator.mass > 0, 1.0, 0.0)
    u, _, _ = solve(operator, hierarchy, b, rtol=1e-2)
    residual = b - operator.mv(u)
    assert jnp.abs(jnp.sum(residual)) < 1e-10 * jnp.sum(jnp.abs(b))
    assert jnp.linalg.norm(residual.ravel()) > 1e-8 * jnp.linalg.norm(b.ravel())


def gyroid_iterations(n, shift):
    grid = Grid.uniform((n, n, n), 1.0 / n)
    x, y, z = (2 * jnp.pi * a for a in grid.node_mesh())
    values = jnp.sin(x) * jnp.cos(y) + jnp.sin(y) * jnp.cos(z) + jnp.sin(z) * jnp.cos(x)
    cut = cut_cells(grid, values + 0.6)
    mass = cut.volume_fraction * grid.volumes
    operator, hierarchy, source = diffusion_system(
        grid, cut.apertures, mass, shift, TOP
    )
    b = source + shift * mass
    run = eqx.filter_jit(lambda: solve(operator, hierarchy, b, rtol=1e-9)[1])
    return int(run())


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_iterations_do_not_grow(shift):
    assert gyroid_iterations(32, shift) <= 1.3 * gyroid_iterations(16, shift) + 1


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_iterations_do_not_grow_on_fine_grids(shift):
    coarse = gyroid_iterations(16, shift)
    assert max(gyroid_iterations(n, shift) for n in (64, 96)) <= 1.3 * coarse + 1


def test_levels_end_small():
    grid = GRIDS["stretched"]
    ones = jnp.ones(grid.shape)
    faces = tuple(
        jnp.ones([n + (a == axis) for a, n in enumerate(grid.shape)])
        for axis in range(3)
    )
    stencil = FaceStencil.of_conductance(faces, grid.periodic)
    hierarchy = build_hierarchy(grid, ones, 0 * ones, stencil)
    assert np.prod(hierarchy.levels[-1].shape) <= 64
    for level in hierarchy.levels:
        np.testing.assert_allclose(jnp.sum(level.mass), jnp.sum(ones))


@pytest.mark.parametrize("closed", [False, True])
def test_pseudo_inverse(closed):
    """The inverse of what has one; A G A = A for two parts that nothing joins."""
    rng = np.random.default_rng(0)
    matrix = np.zeros((12, 12))
    for part in (slice(0, 5), slice(5, 11)):
        size = part.stop - part.start
        links = -rng.random((size, size))
        links = links + links.T
        np.fill_diagonal(links, 0)
        matrix[part, part] = links + np.diag(-links.sum(1))
    if not closed:
        matrix += np.diag(rng.random(12))
    found = np.asarray(pseudo_inverse(jnp.asarray(matrix)))
    np.testing.assert_allclose(found, found.T, atol=1e-12)
    np.testing.assert_allclose(matrix @ found @ matrix, matrix, atol=1e-12)
    if not closed:
        np.testing.assert_allclose(found, np.linalg.inv(matrix), rtol=1e-10)
