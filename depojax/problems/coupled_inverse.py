"""The preconditioner of the coupled cell: multigrid, field by field.

    salt        storage/Δt − ∇·D∇ + (1 − t₊) ∂i/∂c
    solid       −∇·σ∇ + ∂i/∂φ of the host + contact with the collector
    liquid      −∇·κ∇ + ∂i/∂φ of all surfaces

(A fourth for both potentials moving as one doubles the iterations.) One W-cycle for
each in turn, on the residual that those before have left; for the solid a few conjugate
gradients, since parts of it that hang by a thread are eigenvalues far below the others.
Before them two shapes without gradients are set right: solid and collector against the
liquid, and all potentials against the counter electrode.

The fields are gone through by a loop over stacked coefficients: the cycle is a large
program, and stands here once. What a field does to those after it is a small part of
the Jacobian.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._types import Cells, Scalar, static
from depojax.problems.cell_model import CellModel, Fields
from depojax.problems.cell_tangent import CellTangent
from depojax.solvers.gmres import AbstractPreconditioner
from depojax.solvers.multigrid import Cycle, build_hierarchy
from depojax.solvers.stencil import (
    FaceStencil,
    dot,
    interior,
    neighbour,
    padded,
    rows,
    stored,
    wrapped,
)
from depojax.solvers.trees import plus, scaled

_SHRUNK = 0.1  # share of the solid's residual that is left
_MOST = 12  # cycles for the solid


class FieldByField(AbstractPreconditioner):
    """Multigrid cycles for one field after the other."""

    jacobian: CellTangent
    like: Fields
    cycles: Cycle  # stacked
    parts: Array  # share of salt, liquid and solid in each cycle
    stiffness: tuple[Scalar, Scalar]  # of the two shapes
    idle: Fields  # inverse coefficients where there is no equation of the cell
    transposed: bool = static(default=False)

    def transpose(self) -> "FieldByField":
        return dataclasses.replace(self, transposed=not self.transposed)

    def __call__(self, residual: Fields) -> Fields:
        own = jax.tree.map(jnp.multiply, self.idle, residual)
        r = jax.tree.map(lambda k, r: jnp.where(k == 0, r, 0), self.idle, residual)
        follows = self.jacobian.of_potentials
        if self.transposed:
            leads = jax.linear_transpose(follows, self.like)
            x = self._by_field(r)
            x = plus(x, 1, self._shapes(plus(r, -1, leads(x)[0])))
        else:
            x = self._shapes(r)
            x = plus(x, 1, self._by_field(plus(r, -1, follows(x))))
        return plus(own, 1, x)

    def _by_field(self, residual: Fields) -> Fields:
        """One cycle for each field, on what those before have left."""
        follows = self.jacobian.on_potentials
        if self.transposed:
            turned = jax.linear_transpose(follows, self.like)

            def follows(x):
                return turned(x)[0]

        def improve(carry, now):
            x, r = carry
            cycle, (salt, liquid, solid) = now
            seen = salt * r.c + liquid * r.liquid
            if r.solid is not None:
                seen = seen + solid * r.solid
            found = _patiently(cycle, seen, solid > 0)
            more = None if x.solid is None else solid * found
            step = Fields(salt * found, liquid * found, more, 0 * x.collector)
            return (plus(x, 1, step), plus(r, -1, follows(step))), None

        begin = (scaled(0, residual), residual)
        stages = (self.cycles, self.parts)
        (x, _), _ = jax.lax.scan(improve, begin, stages, reverse=self.transposed)
        return x

    def _shapes(self, r: Fields) -> Fields:
        """Solid and collector as one; all potentials as one."""
        # Moving the collector moves the host along; the sum of all their balances is
        # what that sets right. Of the transposed system it is the other way round.
        host, solid = r.collector, None
        if r.solid is not None and not self.transposed:
            host = host + jnp.sum(r.solid)
        host_part = host / self.stiffness[0]
        all_part = (host + jnp.sum(r.liquid)) / self.stiffness[1]
        moved = host_part + all_part
        liquid = jnp.where(self.idle.liquid == 0, all_part, 0.0)
        if self.idle.solid is not None:
            along = moved if self.transposed else jnp.zeros_like(moved)
            solid = jnp.where(self.idle.solid == 0, along, 0.0)
        return Fields(jnp.zeros_like(r.c), liquid, solid, moved)


def _patiently(cycle: Cycle, b: Cells, patient: Bool[Array, ""]) -> Cells:
    """One cycle; where `patient`, conjugate gradients with it until b has shrunk."""
    level = cycle.levels[0]
    start = padded(b).astype(level.loss.dtype)
    goal = _SHRUNK**2 * dot(start, start)

    def unfinished(carry):
        _, r, _, _, count = carry
        more = patient & (count < _MOST) & (dot(r, r) > goal)
        return (count == 0) | more

    def improve(carry):
        x, r, p, before, count = carry
        z = cycle.on_padded(r)

        def along_it():
            gain = dot(r, z)
            way = z + _share(gain, before) * p
            through = stored(level.stencil.outflow(way) + rows(level.loss) * rows(way))
            step = _share(gain, dot(way, through))
            return x + step * way, r - step * through, way, gain

        parts = jax.lax.cond(patient, along_it, lambda: (z, r, p, before))
        return *parts, count + 1

    nothing = jnp.zeros_like(start)
    begin = (nothing, start, nothing, jnp.zeros_like(goal), jnp.int32(0))
    found = jax.lax.while_loop(unfinished, improve, begin)[0]
    return interior(found, level.shape).astype(b.dtype)


def _share(part: Scalar, whole: Scalar) -> Scalar:
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1), 0)


def inverse_of(tangent: CellTangent, x: Fields) -> FieldByField:
    """Roughly the inverse of the Jacobian of a stage at x."""
    model, dtype = tangent.model, x.c.dtype
    t = model.transport(x.c)
    none = jnp.zeros_like(x.c)
    still, by_current = tangent.still, tangent.by_current

    def upright(k: Cells) -> Cells:
        return jnp.maximum(k, 0)

    host, floor, counter = map(upright, tangent.reactions.by_liquid)
    by_salt = sum(map(upright, tangent.reactions.by_salt))
    far = none if model.far is None else none.at[..., -1].set(model.far)
    at_far = counter + far * t.conduction
    uptake = tangent.salt_share * by_salt
    if model.far_feeds:
        uptake = uptake + far * t.diffusion
    mass = jnp.where(model.in_pore, upright(tangent.storage), 0)
    mass = jnp.where(still, model.current_scale, mass)
    diffusion = at_faces(model, t.diffusion)
    uptake, diffusion = jax.tree.map(
        lambda k: jnp.where(still, 0, k), (uptake, diffusion)
    )
    ionic = at_faces(model, t.conduction)
    coefficients = [
        (mass + uptake, diffusion),
        (host + floor + at_far, ionic),
    ]
    parts = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    if model.solid is not None:
        contact = none.at[..., 0].set(model.solid.contact)
        solid = (host + contact, model.solid.faces)
        coefficients = [coefficients[0], solid, coefficients[1]]
        parts = [parts[0], (0.0, 0.0, 1.0), parts[1]]
    stacked = jax.tree.map(lambda *k: jnp.stack(k).astype(jnp.float32), *coefficients)
    cycles = jax.lax.map(lambda k: cycle_of(model, *k), stacked)
    by_host = jnp.sum(host) + jnp.sum(floor)
    by_host = jnp.where(by_current, by_host, model.current_scale)
    idle = jnp.where(model.in_pore, 0.0, 1 / model.current_scale)
    idle_solid = None
    if model.solid is not None:
        idle_solid = jnp.where(model.solid.reached, 0.0, 1 / model.current_scale)
    return FieldByField(
        jacobian=tangent,
        like=x,
        cycles=cycles,
        parts=jnp.asarray(parts, dtype),
        stiffness=(by_host, jnp.where(by_current, jnp.sum(at_far), jnp.inf)),
        idle=Fields(idle, idle, idle_solid, jnp.zeros((), dtype)),
    )


def salt_cycle(model: CellModel, x: Fields, a: Scalar) -> Cycle:
    """Roughly the inverse of  storage/a − ∇·D∇."""
    t = model.transport(x.c)
    loss = jnp.zeros_like(x.c)
    if model.far is not None and model.far_feeds:
        loss = loss.at[..., -1].add(model.far * t.diffusion[..., -1])
    return cycle_of(model, model.storage / a + loss, at_faces(model, t.diffusion))


def cycle_of(model: CellModel, loss: Cells, stencil: FaceStencil) -> Cycle:
    """The W-cycle of  loss − ∇·(stencil ∇)."""
    hierarchy = build_hierarchy(model.grid, None, loss, stencil, jnp.float32)
    return hierarchy.cycle(jnp.zeros((), jnp.float32))


def at_faces(model: CellModel, coefficient: Cells) -> FaceStencil:
    """Conductances between cells for a coefficient of the liquid."""
    faces, shape = model.faces, model.grid.shape
    k = wrapped(padded(coefficient), model.grid.periodic, shape)
    x, y, z = (
        stored(rows(g) * (rows(k) + neighbour(k, axis, 1, shape)) / 2)
        for axis, g in enumerate(faces.faces)
    )
    x = wrapped(x, (model.grid.periodic[0], False, False), shape)
    return FaceStencil((x, y, z), faces.shape, faces.periodic)
