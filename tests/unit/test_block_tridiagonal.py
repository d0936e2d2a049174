"""Block tridiagonal systems against dense matrices of numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.solvers.block_tridiagonal import BlockTridiagonal, eliminated

N, M, K = 7, 3, 2


def system(seed=0, n=N, m=M, k=K):
    """A line whose diagonal blocks outweigh the others, and right-hand sides."""
    draw = np.random.default_rng(seed)
    lower, upper = draw.normal(size=(2, n, m, m))
    diagonal = draw.normal(size=(n, m, m)) + 6 * m * np.eye(m)
    b = draw.normal(size=(n, m, k))
    return lower, diagonal, upper, b


def blocks(*parts):
    return BlockTridiagonal(*(jnp.asarray(part) for part in parts))


def dense(lower, diagonal, upper):
    n, m, _ = diagonal.shape
    whole = np.zeros((n, m, n, m))
    for i in range(n):
        whole[i, :, i] = diagonal[i]
        if i > 0:
            whole[i, :, i - 1] = lower[i]
        if i < n - 1:
            whole[i, :, i + 1] = upper[i]
    return whole.reshape(n * m, n * m)


def dense_solution(matrix, b):
    return np.linalg.solve(matrix, b.reshape(-1, b.shape[-1])).reshape(b.shape)


@pytest.mark.parametrize(("n", "m", "k"), [(7, 3, 2), (1, 4, 1), (2, 1, 3)])
def test_solution(n, m, k):
    *parts, b = system(n=n, m=m, k=k)
    x = blocks(*parts).solve(jnp.asarray(b))
    np.testing.assert_allclose(x, dense_solution(dense(*parts), b), rtol=1e-12)


def test_transpose():
    *parts, b = system(1)
    x = blocks(*parts).transpose().solve(jnp.asarray(b))
    np.testing.assert_allclose(x, dense_solution(dense(*parts).T, b), rtol=1e-12)
    back = blocks(*parts).transpose().transpose().solve(jnp.asarray(b))
    np.testing.assert_allclose(
        back, blocks(*parts).solve(jnp.asarray(b)), rtol=1e-14, atol=1e-15
    )


def test_what_is_beyond_the_line_is_not_read():
    lower, diagonal, upper, b = system(2)
    x = blocks(lower, diagonal, upper).solve(jnp.asarray(b))
    lower[0] = upper[-1] = 1e30
    same = blocks(lower, diagonal, upper).solve(jnp.asarray(b))
    np.testing.assert_array_equal(x, same)


def test_blocks_are_eliminated_with_pivoting():
    # Zeros on the diagonal, as where an ion's equation does not know the ion.
    a = np.array([[0.0, 2.0, 1.0], [1e-20, 1.0, 3.0], [4.0, 0.0, 1e-14]])
    b = np.random.default_rng(3).normal(size=(3, 2))
    x = eliminated(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-13)
    lower, diagonal, upper, b = system(4)
    diagonal[:] = 20 * np.eye(M)[[1, 2, 0]]
    x = blocks(lower, diagonal, upper).solve(jnp.asarray(b))
    known = dense_solution(dense(lower, diagonal, upper), b)
    np.testing.assert_allclose(x, known, rtol=1e-12)


def test_equations_of_many_sizes():
    # Scaled rows have the same solution, to round-off: pivots are compared by row.
    a = np.random.default_rng(5).normal(size=(4, 4))
    b = np.random.default_rng(6).normal(size=(4, 1))
    rows = np.array([1e-18, 1.0, 1e12, 1e-6])[:, None]
    x = eliminated(jnp.asarray(rows * a), jnp.asarray(rows * b))
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-11)


def test_derivatives():
    *parts, b = system(7)
    *ways, _ = system(8)

    def answer(t):
        moved = [p + t * w for p, w in zip(parts, ways, strict=True)]
        return jnp.sum(blocks(*moved).solve(jnp.asarray(b)) ** 2)

    zero = jnp.zeros(())
    forward = jax.jvp(answer, (zero,), (jnp.ones(()),))[1]
    reverse = jax.grad(answer)(zero)
    matrix, turned = dense(*parts), dense(*ways)
    x = dense_solution(matrix, b)
    slope = -dense_solution(matrix, (turned @ x.reshape(-1, K)).reshape(b.shape))
    known = 2 * np.sum(x * slope)
    assert float(forward) == pytest.approx(known, rel=1e-11)
    assert float(reverse) == pytest.approx(known, rel=1e-11)
