"""GMRES with a preconditioner on the right, for systems of several coupled fields.

    A M y = b,   x = M y

M is near A⁻¹. The residual that is minimised is the true one, b − A x, and the norm is
over all unknowns together (lineax's own GMRES measures entry by entry, and never ends
on right-hand sides that are mostly zero).

Both A and M are large programs, so each stands in one place only: the vectors M v are
kept (flexible GMRES), and at a restart the residual follows from the basis.

Saad, SIAM J. Sci. Comput. 14 (1993) 461, doi:10.1137/0914028. Modified Gram–Schmidt is
backward stable here, Paige et al., SIAM J. Matrix Anal. Appl. 28 (2006) 264,
doi:10.1137/050630416.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Float, PyTree

from depojax._compile import traced_once
from depojax._sums import vdot
from depojax._types import Scalar, as_float, static
from depojax.solvers.trees import inner, norm, plus, scaled


class AbstractPreconditioner(eqx.Module):
    """A linear map near the inverse of an operator."""

    @abc.abstractmethod
    def __call__(self, residual: PyTree) -> PyTree:
        """Roughly A⁻¹ residual."""

    @abc.abstractmethod
    def transpose(self) -> "AbstractPreconditioner":
        """A map near the inverse of Aᵀ."""


class GMRESState(eqx.Module):
    """What `GMRES` needs of a system."""

    operator: lx.AbstractLinearOperator
    preconditioner: AbstractPreconditioner
    scale: Scalar


class GMRES(lx.AbstractLinearSolver[GMRESState]):
    """Restarted GMRES. Stops at ‖b − A x‖₂ ≤ rtol · max(‖b‖₂, scale).

    Options of `lineax.linear_solve`: `preconditioner`, and `scale` (0 by default).
    Twice `restart` vectors as long as all unknowns are kept.
    """

    rtol: float | Scalar
    restart: int = static(default=10)
    max_steps: int = static(default=200)

    def init(self, operator, options: dict[str, Any]) -> GMRESState:
        scale = jnp.asarray(options.get("scale", 0.0))
        return GMRESState(operator, options["preconditioner"], scale)

    def compute(self, state: GMRESState, vector: PyTree, options: dict[str, Any]):
        rtol = as_float(self.rtol)
        x, good, stats = _solve(state, vector, rtol, self.restart, self.max_steps)
        result = lx.RESULTS.where(
            good, lx.RESULTS.successful, lx.RESULTS.max_steps_reached
        )
        return x, result, stats

    def transpose(self, state: GMRESState, options: dict[str, Any]):
        # Another right-hand side of other units: only its own norm measures it.
        flipped = GMRESState(
            state.operator.transpose(),
            state.preconditioner.transpose(),
            jnp.zeros_like(state.scale),
        )
        return flipped, options

    def conj(self, state: GMRESState, options: dict[str, Any]):
        return state, options

    def assume_full_rank(self) -> bool:
        return True


@traced_once
def _solve(
    state: GMRESState, vector: PyTree, rtol: Scalar, restart: int, max_steps: int
):
    """x, whether it is good, and how it went."""
    b, m = vector, restart
    length = norm(b)
    dtype = length.dtype
    size = jnp.maximum(length, state.scale.astype(dtype))
    target = rtol.astype(dtype) * size
    places = jnp.arange(m + 1, dtype=jnp.int32)

    def begin(vectors, r, residual):
        """Basis, M basis, R, rotations, and Qᵀ of the residual."""
        basis, near = vectors
        return (
            _placed(basis, 0, _shortened(r, residual)),
            near,
            jnp.zeros((m, m), dtype),
            jnp.zeros((m, 2), dtype).at[:, 0].set(1),
            jnp.zeros(m + 1, dtype).at[0].set(residual),
        )

    def expand(carry):
        (basis, near, triangle, rotations, known), j = carry
        z = state.preconditioner(_taken(basis, j))
        near = _placed(near, j, z)
        w, column = _orthogonalised(state.operator.mv(z), basis, j, m)
        length = norm(w)
        basis = _placed(basis, j + 1, _shortened(w, length))
        column = _rotated(column, rotations)
        radius = jnp.hypot(column[j], length)
        c, s = _over(column[j], radius), _over(length, radius)
        column = jnp.where(places[:m] < j, column[:m], 0).at[j].set(radius)
        known = known.at[j + 1].set(-s * known[j]).at[j].set(c * known[j])
        triangle = triangle.at[:, j].set(column)
        rotations = rotations.at[j].set(jnp.stack([c, s]))
        return (basis, near, triangle, rotations, known), j + 1

    def short(carry):
        (*_, known), j = carry
        return (j < m) & (jnp.abs(known[j]) > target)

    def cycle(carry):
        x, r, residual, count, vectors = carry
        first = (begin(vectors, r, residual), jnp.int32(0))
        (basis, near, triangle, rotations, known), j = jax.lax.while_loop(
            short, expand, first
        )
        x = _combined(_back_substituted(triangle, known[:m], j), near, j, x)
        left = jnp.where(places == j, known, 0)
        r = _combined(_unrotated(left, rotations), basis, j + 1, scaled(0, r))
        return x, r, jnp.abs(known[j]), count + j, (basis, near)

    def unfinished(carry):
        _, _, residual, count, _ = carry
        return (residual > target) & (count < max_steps)

    # What is left there of an earlier cycle is not read.
    vectors = _room(b, m + 1), _room(b, m)
    start = (scaled(0, b), b, length, jnp.int32(0), vectors)
    x, _, residual, steps, _ = jax.lax.while_loop(unfinished, cycle, start)
    good = residual <= 1e3 * target
    stats = {"num_steps": steps, "residual": _over(residual, size)}
    return x, good, stats


# Vectors are kept field by field: joined to one, each field would be computed entry by
# entry, and copied twice.
def _room(like: PyTree, count: int) -> PyTree:
    return jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), like)


def _taken(vectors: PyTree, k: Array) -> PyTree:
    return jax.tree.map(lambda v: v[k], vectors)


def _placed(vectors: PyTree, k: Any, x: PyTree) -> PyTree:
    return jax.tree.map(lambda v, x: v.at[k].set(x), vectors, x)


def _shortened(x: PyTree, length: Scalar) -> PyTree:
    """x / length, zero where that is."""
    return scaled(_over(jnp.ones_like(length), length), x)


def _orthogonalised(w: PyTree, basis: PyTree, last: Array, most: int):
    """w without its parts along the vectors up to the last, and these parts.

    One vector after the other: the rest of the basis is not even read.
    """

    def take_out(k, carry):
        w, column = carry
        v = _taken(basis, k)
        share = inner(v, w)
        return plus(w, -share, v), column.at[k].set(share)

    none = jnp.zeros(most + 1, norm(w).dtype)
    return jax.lax.fori_loop(0, last + 1, take_out, (w, none))


def _combined(shares: Array, vectors: PyTree, count: Array, start: PyTree):
    """start + Σ shares · vectors of the first few: the rest is not even read."""

    def add(k, total):
        return plus(total, shares[k], _taken(vectors, k))

    return jax.lax.fori_loop(0, count, add, start)


def _rotated(column: Array, rotations: Float[Array, "m 2"]) -> Array:
    """Qᵀ column: the rotations of all columns before (those to come are I)."""

    def rotate(i, column):
        c, s = rotations[i]
        a, b = column[i], column[i + 1]
        return column.at[i].set(c * a + s * b).at[i + 1].set(c * b - s * a)

    return jax.lax.fori_loop(0, rotations.shape[0], rotate, column)


def _unrotated(column: Array, rotations: Float[Array, "m 2"]) -> Array:
    """Q column."""
    m = rotations.shape[0]

    def rotate(k, column):
        i = m - 1 - k
        c, s = rotations[i]
        a, b = column[i], column[i + 1]
        return column.at[i].set(c * a - s * b).at[i + 1].set(s * a + c * b)

    return jax.lax.fori_loop(0, m, rotate, column)


def _back_substituted(triangle: Float[Array, "m m"], known: Array, size: Array):
    """The first `size` unknowns of a triangular system; zero for the others."""
    m = known.size

    def solve(k, y):
        i = m - 1 - k
        value = _over(known[i] - vdot(triangle[i], y), triangle[i, i])
        return y.at[i].set(jnp.where(i < size.astype(i.dtype), value, 0))

    return jax.lax.fori_loop(0, m, solve, jnp.zeros_like(known))


def _over(part: Array, whole: Array) -> Array:
    """part / whole, zero where the whole is."""
    safe = whole != 0
    return jnp.where(safe, part / jnp.where(safe, whole, 1), 0)
