"""GMRES on small systems that are neither symmetric nor well scaled."""

import dataclasses

import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from jaxtyping import Array

from depojax._types import static
from depojax.solvers.gmres import GMRES, AbstractPreconditioner

N = 40


class Diagonal(AbstractPreconditioner):
    """Division by a diagonal; the same for the transpose."""

    diagonal: Array
    transposed: bool = static(default=False)

    def __call__(self, residual):
        return jax.tree.map(lambda r, d: r / d, residual, self.parts(residual))

    def parts(self, like):
        return {"a": self.diagonal[: N // 2], "b": self.diagonal[N // 2 :]}

    def transpose(self):
        return dataclasses.replace(self, transposed=not self.transposed)


def matrix(seed=0):
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-2, 2, N)
    return scales[:, None] * (np.eye(N) + 0.08 * rng.normal(size=(N, N)))


def two_fields(v):
    return {"a": v[: N // 2], "b": v[N // 2 :]}


def solve(A, b, rtol=1e-10, **options):
    def apply(x):
        return two_fields(A @ jnp.concatenate([x["a"], x["b"]]))

    structure = jax.eval_shape(lambda: two_fields(b))
    operator = lx.FunctionLinearOperator(apply, structure)
    preconditioner = Diagonal(jax.lax.stop_gradient(jnp.diag(A)))
    return lx.linear_solve(
        operator,
        two_fields(b),
        GMRES(rtol, **options),
        options={"preconditioner": preconditioner},
        throw=False,
    )


@pytest.mark.parametrize("restart", [40, 10])
def test_solution_and_count(restart):
    A, b = jnp.asarray(matrix()), jnp.asarray(np.random.default_rng(1).normal(size=N))
    solution = solve(A, b, restart=restart)
    x = jnp.concatenate([solution.value["a"], solution.value["b"]])
    assert float(jnp.linalg.norm(A @ x - b)) <= 1.01e-10 * float(jnp.linalg.norm(b))
    assert 3 < int(solution.stats["num_steps"]) <= 120
    assert solution.result == lx.RESULTS.successful


def test_residual_after_restarts_is_the_true_one():
    A, b = jnp.asarray(matrix(2)), jnp.asarray(np.random.default_rng(3).normal(size=N))
    solution = solve(A, b, rtol=1e-6, restart=10)
    x = jnp.concatenate([solution.value["a"], solution.value["b"]])
    true = float(jnp.linalg.norm(A @ x - b) / jnp.linalg.norm(b))
    assert float(solution.stats["residual"]) == pytest.approx(true, rel=1e-6)


def test_nothing_to_solve_costs_nothing():
    solution = solve(jnp.asarray(matrix()), jnp.zeros(N))
    assert int(solution.stats["num_steps"]) == 0


def test_failure_is_said():
    A, b = jnp.asarray(matrix()), jnp.ones(N)
    solution = solve(A, b, rtol=1e-14, max_steps=1, restart=1)
    assert solution.result != lx.RESULTS.successful


def test_derivatives_by_the_transposed_system():
    A, b = jnp.asarray(matrix()), jnp.asarray(np.random.default_rng(1).normal(size=N))
    weight = jnp.asarray(np.random.default_rng(4).normal(size=N))

    def value(A, b):
        x = solve(A, b).value
        return weight @ jnp.concatenate([x["a"], x["b"]])

    dA, db = jax.grad(value, (0, 1))(A, b)
    adjoint = jnp.linalg.solve(A.T, weight)
    np.testing.assert_allclose(db, adjoint, rtol=1e-6)
    np.testing.assert_allclose(
        dA, -jnp.outer(adjoint, jnp.linalg.solve(A, b)), rtol=1e-5
    )
