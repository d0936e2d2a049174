"""Salt that growing metal has moved while a window ran, booked at the window's end.

A wall that grows pushes the salt before it all the time. Between windows all that it
pushed is booked at once, in the cells at the wall: a spike that was never there. What
is booked late has spread meanwhile, and does so here, by diffusion alone:

    c = c⁻ + δ,     (S/τ − ∇·D∇) δ = (S/τ) (n/V − c⁻)

c⁻ before, n the amounts as carried over, S the storage, τ a part of the window. The
walls take none of it, so Σ V c = Σ n. Without this every window would begin with dozens
of short steps through what the next ones do not remember.
"""

import jax.numpy as jnp
import lineax as lx

from depojax._extremes import least_of
from depojax._types import Cells, Scalar
from depojax.problems.cell_model import CellModel
from depojax.problems.coupled_inverse import at_faces
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import build_hierarchy

_RTOL = 1e-8
_LEAST = 0.5  # of the lesser of both concentrations, that is left everywhere


def spread_late(model: CellModel, before: Cells, booked: Cells, late: Scalar) -> Cells:
    """Concentrations once what is new in them has spread for `late` seconds.

    `before` and `booked`, over c₀: at the end of a window, and of amounts carried over.
    """
    wet = model.in_pore
    change = jnp.where(wet, booked - before, 0.0)
    mass = jnp.where(wet, model.storage, 0.0)
    stencil = at_faces(model, model.transport(before).diffusion)
    some = late > 0
    shift = 1 / jnp.where(some, late, 1.0)
    none = jnp.zeros_like(mass)
    operator = DiffusionOperator(mass, none, stencil, shift)
    hierarchy = build_hierarchy(model.grid, mass, none, stencil, jnp.float32)
    solver = MultigridCG(_RTOL)
    state = solver.init(operator, {"hierarchy": hierarchy})
    found = lx.linear_solve(
        operator, shift * mass * change, solver, state=state, throw=False
    )
    spread = jnp.where(wet & some, before + found.value, booked)
    # All of them as far as that leaves every place some salt: sums are kept.
    floor = _LEAST * jnp.minimum(before, booked)
    short = wet & (spread < floor)
    way = jnp.where(short, (booked - floor) / jnp.where(short, booked - spread, 1.0), 1)
    # What did not converge has not spread: that is less smooth, and no less right.
    good = found.result == lx.RESULTS.successful
    share = jnp.where(good, jnp.clip(least_of(way), 0.0, 1.0), 0.0)
    return booked + share * (spread - booked)
