"""One implicit stage of the ions' equations, and the steady state."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from depojax._types import Scalar
from depojax.problems.ion_inverse import inverse_of
from depojax.problems.ion_model import IonCells, IonFields, IonModel, Passing
from depojax.problems.ion_tangent import IonTangent, ion_tangent
from depojax.solvers.newton import AbstractSystem, Root, find_root, followed
from depojax.solvers.trees import chosen, plus, scaled

_CLAMP = 20.0  # largest change of a potential per Newton step [RT/F]
_KEPT = 0.1  # of a concentration, at least, per Newton step
_TARGET = 1e-11  # ‖R‖₂ over `current_scale`, at which a stage is solved
_AGES = 1e5  # what counts as for ever [L²/D]
_LEAP = 10.0  # first step of a voltage [RT/F]
_SHARE = 0.25  # first step of a current, of the whole
_SHORTEST = 2.0**-12  # share of the way, below which no step is tried
_MOST = 10  # Newton steps, after which a shorter step is better
_EASY = 6  # Newton steps up to which the next step may be twice as long


class IonDrive(eqx.Module):
    """What is imposed at a moment: J where `by_current`, else V."""

    value: Scalar  # J [A m-2] or V F/(RT) [-]
    by_current: Bool[Array, ""]


class IonStage(AbstractSystem):
    """The equations of one implicit stage."""

    model: IonModel
    drive: IonDrive
    known: IonCells  # storage before the stage, and what was added to it
    charge: Scalar  # of the working electrode, as `known`
    a: Scalar
    still: Bool[Array, ""]  # the stage is too short for ions to move

    def inner(self, x: IonFields, guess: Passing) -> Passing:
        return self.model.passing(x, guess)

    def inner_followed(self, x: IonFields, known: Passing) -> Passing:
        return self.model.passing(x, known=known)

    def residual(self, x: IonFields, inner: Passing) -> IonFields:
        model, scale = self.model, self.model.current_scale
        lost, gauss = model.balances(x, inner)
        ions = lost + (model.storage * x.c - self.known) / self.a
        ions = model.ion_scale(self.a) * ions
        safe = jnp.where(model.pore_volume > 0, model.storage, 1.0)
        ions = jnp.where(self.still, scale * (x.c - self.known / safe), ions)
        bulk = model.bulk[:, None, None, None]
        charged = (model.electrode_charge(x) - self.charge) / self.a
        passed = model.faradaic(inner) - charged
        asked = self.drive.value / model.per_footprint(jnp.ones_like(self.a))
        return IonFields(
            jnp.where(model.in_pore, ions, scale * (x.c - bulk)),
            jnp.where(model.in_pore, model.poisson_scale * gauss, scale * x.potential),
            jnp.where(
                self.drive.by_current,
                asked - passed,
                scale * (x.collector - self.drive.value),
            ),
        )

    def jacobian(self, x: IonFields, inner: Passing) -> IonTangent:
        by_current = self.drive.by_current
        return ion_tangent(self.model, x, inner, self.a, self.still, by_current)

    def preconditioner(self, x: IonFields, jacobian: IonTangent):
        return inverse_of(jacobian, x)

    def held_back(self, x: IonFields, step: IonFields) -> IonFields:
        # The step as a whole: cut field by field it would not close the currents.
        longest = jnp.maximum(jnp.max(jnp.abs(step.potential)), jnp.abs(step.collector))
        step = scaled(_CLAMP / jnp.maximum(longest, _CLAMP), step)
        least = jnp.where(x.c > 0, (_KEPT - 1) * x.c, -jnp.inf)
        return eqx.tree_at(lambda f: f.c, step, jnp.maximum(step.c, least))


def at_rest(model: IonModel) -> tuple[IonFields, Passing]:
    """The bulk everywhere, no potentials; nothing passes."""
    none = jnp.zeros_like(model.pore_volume)
    fields = IonFields(
        model.bulk[:, None, None, None] + none, none, jnp.zeros_like(model.stern)
    )
    return fields, jax.lax.stop_gradient(model.passing(fields))


class Steady(eqx.Module):
    """A steady state, and how it was found."""

    fields: IonFields
    passing: Passing
    found: Bool[Array, ""]
    steps: Int[Array, ""]  # of the way there that were taken
    newton_steps: Int[Array, ""]
    most_newton_steps: Int[Array, ""]  # of one of them
    linear_iterations: Int[Array, ""]


def target(model: IonModel) -> Scalar:
    """‖R‖₂ at which a stage is solved [m]."""
    return _TARGET * model.current_scale


def steady_state(
    model: IonModel,
    drive: IonDrive,
    begin: tuple[IonFields, Passing],
    known: IonCells,
) -> Steady:
    """What is left of `known` [c/c₀] after ages under a drive, found from `begin`.

    The voltage or current is raised step by step, each as long as Newton's method
    lets it be. Differentiable in model, drive and `known`.
    """
    fixed, goal, start, stored = jax.lax.stop_gradient((model, drive, begin, known))
    path = _approach(fixed, goal, start, stored)
    late = _settled(fixed, goal, path)
    # Both stages again, as functions of all that they depend on.
    first = followed(_age(model, drive, known), path.fields, path.passing)
    stage = _age(model, drive, first.c, first)
    fields = followed(stage, late.x, late.inner)
    return Steady(
        fields=fields,
        passing=model.passing(fields, known=late.inner),
        found=path.found & late.converged,
        steps=path.steps,
        newton_steps=path.newton_steps + late.newton_steps,
        most_newton_steps=path.most_newton_steps,
        linear_iterations=path.linear_iterations + late.linear_iterations,
    )


def _age(
    model: IonModel, drive: IonDrive, c: IonCells, fields: IonFields | None = None
) -> IonStage:
    """A stage so long that what was before it is forgotten, but for what stays."""
    length = model.grid.lengths[2]
    a = jax.lax.stop_gradient(_AGES * length**2 / model.reference_diffusivity)
    charge = jnp.zeros_like(a) if fields is None else model.electrode_charge(fields)
    still = jnp.asarray(False)
    return IonStage(model, drive, model.storage * c, charge, a, still)


def _settled(model: IonModel, drive: IonDrive, path: Steady) -> Root:
    """As much time again: what the first left of the start is gone."""
    stage = _age(model, drive, path.fields.c, path.fields)
    return find_root(stage, path.fields, target(model), path.passing)


def _approach(
    model: IonModel, drive: IonDrive, begin: tuple[IonFields, Passing], known: IonCells
) -> Steady:
    """The state at the end of the way from `begin` to the drive."""
    fields, passing = begin
    now = model.per_footprint(model.faradaic(passing))
    origin = jnp.where(drive.by_current, now, fields.collector)
    way = drive.value - origin
    leap = jnp.where(drive.by_current, _SHARE, _LEAP / jnp.maximum(jnp.abs(way), _LEAP))

    def unfinished(carry):
        _, _, reached, step = carry
        return (reached < 1) & (step > _SHORTEST)

    def go_on(carry):
        path, slope, reached, step = carry
        share = jnp.minimum(reached + step, 1.0)
        part = IonDrive(origin + share * way, drive.by_current)
        here = (path.fields, path.passing)
        guess = plus(path.fields, share - reached, slope)
        least = _KEPT * path.fields.c
        guess = dataclasses.replace(guess, c=jnp.maximum(guess.c, least))
        stage = _age(model, part, known)
        root = find_root(stage, guess, target(model), path.passing, _MOST)
        good, count = root.converged, root.newton_steps
        rise = plus(root.x, -1, path.fields)
        slope = chosen(good, scaled(1 / (share - reached), rise), scaled(0, slope))
        fields, passing = chosen(good, (root.x, root.inner), here)
        most = jnp.maximum(path.most_newton_steps, count)
        path = Steady(
            fields=fields,
            passing=passing,
            found=good,
            steps=path.steps + good.astype(jnp.int32),
            newton_steps=path.newton_steps + count,
            most_newton_steps=jnp.where(good, most, path.most_newton_steps),
            linear_iterations=path.linear_iterations + root.linear_iterations,
        )
        longer = jnp.where(count <= _EASY, 2.0, 1.0)
        step = jnp.where(good, longer * step, step / 4)
        return path, slope, jnp.where(good, share, reached), step

    none = jnp.int32(0)
    path = Steady(fields, passing, jnp.asarray(False), none, none, none, none)
    first = (path, scaled(0, fields), jnp.zeros_like(leap), leap)
    path, _, reached, _ = jax.lax.while_loop(unfinished, go_on, first)
    return eqx.tree_at(lambda p: p.found, path, reached >= 1)
