"""Electrolyte that growing metal displaces: it leaves the pores, and takes its salt.

    Σ q = V − V'                              of each cell, outwards
    q = g (p − p_beside),     p = 0           at the far side
    V' c + Σ q⁺ c − Σ q⁻ c_beside = n         of each cell

q are the volumes that pass the faces while the pores go from V to V'; they take the way
that a current would (a potential flow), with the mean of old and new faces. Upwind and
implicit: c lies between what was there and what came in, uniform salt stays uniform,
and the sum is kept but for what passes the far side.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool

from depojax._types import Cells, Faces, Scalar, as_float
from depojax.fv.grid import Grid
from depojax.fv.operators import conductances, without_ends
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import build_hierarchy
from depojax.solvers.stencil import FaceStencil
from depojax.solvers.trees import norm

_RTOL = {"float64": 1e-11, "float32": 1e-5}
_LEAST = 1e-3  # of the electrolyte, that is worth as many digits
_MOST_ROUNDS = 1000
_GOOD = 1e3  # times what is aimed at: near enough


class _Flow(NamedTuple):
    """Volumes [m³] along +axis through the face above each cell, and both ways of it.

    The face above the last cell of an axis is that to the first one, if anything.
    """

    up: tuple[Cells, Cells, Cells]  # out of the cell
    down: tuple[Cells, Cells, Cells]  # into it
    out: Array  # through the far side [m³]
    back: Array  # from there [m³]
    found: Bool[Array, ""]  # whether that is how it flows


def flowed(
    grid: Grid, transmission: Faces, before: Cells, after: Cells, salt: Cells
) -> Cells:
    """Salt of the cells [m³ of c₀] once their electrolyte has gone its way.

    What comes in through the far side has the concentration at first. NaN where a solve
    failed: what goes on from there says so.

    Args:
        grid: of the whole cell.
        transmission: of the faces, on the way [-].
        before, after: electrolyte in the cells [m³].
        salt: in the electrolyte before [m³ of c₀].
    """
    flow = _flow(grid, transmission, before - after, norm(before))
    losses = [u + _from_below(d, axis) for axis, (u, d) in enumerate(_both(flow))]
    leaves = sum(losses, after).at[..., -1].add(flow.out)
    flows = leaves > 0
    given = jnp.where(flows, salt.at[..., -1].add(flow.back), 0.0)
    diagonal = jnp.where(flows, leaves, 1.0)
    system = _Upwind(diagonal, flow)
    c = jax.lax.custom_linear_solve(
        system.apply,
        given,
        solve=lambda _, b: system.solve(b),
        transpose_solve=lambda _, b: system.transposed.solve(b),
    )
    aim = _RTOL[str(salt.dtype)] * norm(given)
    good = flow.found & (norm(given - system.apply(c)) <= _GOOD * aim)
    return jnp.where(flows, after * jnp.where(good, c, jnp.nan), salt)


def _flow(grid: Grid, transmission: Faces, leaving: Cells, unit: Scalar) -> _Flow:
    """How what leaves the cells gets to the far side; `unit` [m³] measures it."""
    periodic = grid.periodic
    g = conductances(grid, transmission)
    inner = without_ends(g, periodic)
    loss = jnp.zeros_like(leaving).at[..., -1].set(g[2][..., -1])
    stencil = FaceStencil.of_conductance(inner, periodic)
    operator = DiffusionOperator(None, loss, stencil, as_float(0.0))
    hierarchy = build_hierarchy(grid, None, loss, stencil, jnp.float32)
    solver = MultigridCG(_RTOL[str(leaving.dtype)])
    unit = jax.lax.stop_gradient(jnp.where(unit > 0, unit, 1.0))
    state = solver.init(operator, {"hierarchy": hierarchy, "scale": as_float(_LEAST)})
    solved = lx.linear_solve(operator, leaving / unit, solver, state=state, throw=False)
    p, found = unit * solved.value, solved.result == lx.RESULTS.successful
    q = [
        jax.lax.slice_in_dim(face, 1, None, axis=axis) * (p - jnp.roll(p, -1, axis))
        for axis, face in enumerate(inner)
    ]
    out = g[2][..., -1] * p[..., -1]
    x, y, z = ((_positive(each), _positive(-each)) for each in q)
    up, down = (x[0], y[0], z[0]), (x[1], y[1], z[1])
    return _Flow(up, down, _positive(out), _positive(-out), found)


def _positive(q: Array) -> Array:
    return jnp.where(q > 0, q, 0.0)


def _both(flow: _Flow):
    return zip(flow.up, flow.down, strict=True)


def _from_below(values: Array, axis: int) -> Array:
    """What the cell below says of the face between."""
    return jnp.roll(values, 1, axis)


class _Upwind:
    """diagonal · c − Σ (what comes in through a face) · c_beside."""

    def __init__(self, diagonal: Cells, flow: _Flow):
        self.diagonal, self.flow = diagonal, flow

    @property
    def transposed(self) -> "_Upwind":
        """The other way round through every face."""
        flow = self.flow._replace(up=self.flow.down, down=self.flow.up)
        return _Upwind(self.diagonal, flow)

    def apply(self, c: Cells) -> Cells:
        """The left-hand side."""
        total = self.diagonal * c
        for axis, (up, down) in enumerate(_both(self.flow)):
            total = total - down * jnp.roll(c, -1, axis)
            total = total - _from_below(up * c, axis)
        return total

    def solve(self, b: Cells) -> Cells:
        """Line by line along each axis in turn: the matrix is one of M-type."""
        size = norm(b)
        goal = 0.1 * _RTOL[str(b.dtype)] * size

        def round_(state):
            c, r, _, count = state
            for axis in range(3):
                c = c + self._along(axis, r)
                r = b - self.apply(c)
            return c, r, norm(r), count + 1

        def unfinished(state):
            *_, left, count = state
            return (left > goal) & (count < _MOST_ROUNDS)

        start = (jnp.zeros_like(b), b, size, jnp.int32(0))
        return jax.lax.while_loop(unfinished, round_, start)[0]

    def _along(self, axis: int, b: Cells) -> Cells:
        """The answer if only the faces along an axis let anything in."""
        up, down = self.flow.up[axis], self.flow.down[axis]
        n = b.shape[axis]
        if n == 1:
            return b / self.diagonal
        place = jnp.arange(n)
        lower = -jnp.moveaxis(_from_below(up, axis), axis, -1)
        upper = -jnp.moveaxis(down, axis, -1)
        found = jax.lax.linalg.tridiagonal_solve(
            jnp.where(place > 0, lower, 0.0),
            jnp.moveaxis(self.diagonal, axis, -1),
            jnp.where(place < n - 1, upper, 0.0),
            jnp.moveaxis(b, axis, -1)[..., None],
        )
        return jnp.moveaxis(found[..., 0], -1, axis)
