"""The steady state of ions in a cell, found by raising what drives it.

A steady state is what is left after ages, which are one implicit step: ions that no
electrode takes and no bath holds are as many as before. A second step forgets what the
first still knows of the start (1e-6).
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from depojax._types import Scalar
from depojax.problems.ion_model import IonCells, IonFields, IonModel, Passing
from depojax.problems.ion_reactions import faradaic, passing_of
from depojax.problems.ion_stage import IonDrive, IonStage, target
from depojax.solvers.newton import find_root, followed
from depojax.solvers.trees import chosen, plus, scaled

_AGES = 1e5  # what counts as for ever [L²/D]
_LEAP = 10.0  # first step of a voltage [RT/F]
_SHARE = 0.25  # first step of a current, of the whole
_SHORTEST = 2.0**-12  # share of the way, below which no step is tried
_MOST = 10  # Newton steps, after which a shorter step is better
_EASY = 6  # Newton steps up to which the next step may be twice as long
_KEPT = 0.1  # of a concentration, at least, in a guess
_STUBBORN = 2.0**-7  # share of the way, below which a current is not raised by itself
_DIRECT, _WALKING, _AIMING = 0, 1, 2
_DEEPEST = 1e6  # where no voltage is looked at [RT/F]
_DEEPEST_NEUTRAL = 60.0  # the same of a neutral solution: it is at its limit by then


class Place(eqx.Module):
    """Where the cell is on its way."""

    fields: IonFields
    passing: Passing


class _Walk(eqx.Module):
    """How a current is looked for."""

    mode: Int[Array, ""]  # raised itself, or by raising the voltage, or aimed at
    aim: Scalar  # how far along the last rise of the fields it lies [RT/F]
    current: Scalar  # at the place reached [A m-2]


class Steady(eqx.Module):
    """A steady state, and how it was found."""

    place: Place
    first: Place  # after the first of the two long steps
    found: Bool[Array, ""]
    steps: Int[Array, ""]  # of the way there that were taken
    newton_steps: Int[Array, ""]
    most_newton_steps: Int[Array, ""]  # of one of them
    linear_iterations: Int[Array, ""]


def steady_state(
    model: IonModel, drive: IonDrive, begin: Place, known: IonCells
) -> Steady:
    """What is left of `known` [c/c₀] after ages under a drive, found from `begin`.

    The voltage or current is raised step by step, each as long as Newton's method lets
    it be. Differentiable in model, drive and `known`.
    """
    return _steady_state(model, drive, jax.lax.stop_gradient(begin), known)


@eqx.filter_custom_jvp
def _steady_state(model, drive, begin, known):
    return _approach(*jax.lax.stop_gradient((model, drive, begin, known)))


@_steady_state.def_jvp
def _steady_state_jvp(primals, tangents):
    model, drive, begin, known = primals
    t_model, t_drive, _, t_known = tangents
    steady = _steady_state(model, drive, begin, known)
    early, late = jax.lax.stop_gradient((steady.first, steady.place))

    def again(model, drive, known):
        """Both long steps, as functions of all that they depend on."""
        first = followed(_age(model, drive, known), early.fields, early.passing)
        stage = _age(model, drive, first.c, model.electrode_charge(first))
        fields = followed(stage, late.fields, late.passing)
        return Place(fields, passing_of(model, fields, known=late.passing))

    _, t_place = eqx.filter_jvp(
        again, (model, drive, known), (t_model, t_drive, t_known)
    )
    t_steady = jax.tree.map(lambda _: None, steady)
    return steady, eqx.tree_at(
        lambda s: s.place, t_steady, t_place, is_leaf=lambda part: part is None
    )


def _age(
    model: IonModel, drive: IonDrive, c: IonCells, charge: Scalar | None = None
) -> IonStage:
    """A stage so long that what was before it is forgotten, but for what stays."""
    length = model.grid.lengths[2]
    a = jax.lax.stop_gradient(_AGES * length**2 / model.reference_diffusivity)
    charge = jnp.zeros_like(a) if charge is None else charge
    return IonStage(model, drive, model.storage * c, charge, a, jnp.asarray(False))


def _approach(
    model: IonModel, drive: IonDrive, begin: Place, known: IonCells
) -> Steady:
    """The way from `begin` to the drive, and one more step there.

    A current that can not be raised in steps is looked for by raising the voltage until
    it is passed: beyond the limiting current the voltage grows by hundreds of RT/F
    where the current hardly changes, and a small step of the current is a large one for
    all else.
    """
    now = model.per_footprint(faradaic(model, begin.fields, begin.passing))
    origin = jnp.where(drive.by_current, now, begin.fields.collector)
    way = drive.value - origin
    leap = jnp.where(drive.by_current, _SHARE, _LEAP / jnp.maximum(jnp.abs(way), _LEAP))
    deepest = _DEEPEST_NEUTRAL if model.neutral and not model.layered else _DEEPEST

    def unfinished(carry):
        path, _, _, step, walk = carry
        lost = (walk.mode == _WALKING) & (
            jnp.abs(path.place.fields.collector) > deepest
        )
        return ~path.found & (step > _SHORTEST) & ~lost

    def go_on(carry):
        path, slope, reached, step, walk = carry
        here = path.place
        there = reached >= 1
        walking, aiming = walk.mode == _WALKING, walk.mode == _AIMING
        share = jnp.minimum(reached + step, 1.0)
        share = jnp.where(aiming, 1.0, share)
        # How far along the last rise of the fields.
        far = jnp.where(walking, step, jnp.where(aiming, walk.aim, share - reached))
        guess = plus(here.fields, far, slope)
        least = _KEPT * here.fields.c
        guess = dataclasses.replace(guess, c=jnp.maximum(guess.c, least))
        before = jnp.where(there, here.fields.c, known)
        charge = jnp.where(there, model.electrode_charge(here.fields), 0.0)
        # More of a plating current takes a lower voltage.
        asked = here.fields.collector - jnp.sign(way) * step
        asked = jnp.where(walking, asked, origin + share * way)
        part = IonDrive(asked, drive.by_current & ~walking)
        stage = _age(model, part, before, charge)
        root = find_root(stage, guess, target(model), here.passing, _MOST)
        good, count = root.converged, root.newton_steps
        came = Place(root.x, root.inner)
        gone = jnp.where(there, 1.0, far)
        rise = scaled(1 / gone, plus(root.x, -1, here.fields))
        most = jnp.maximum(path.most_newton_steps, jnp.where(good, count, 0))
        carried = model.per_footprint(faradaic(model, root.x, root.inner))
        passed = good & walking & ((carried - drive.value) * jnp.sign(way) >= 0)
        # A place beyond the current tells where it lies, and is not gone to.
        moves = good & ~passed
        arrives = moves & ~walking
        path = Steady(
            place=chosen(moves, came, here),
            first=chosen(arrives & ~there, came, path.first),
            found=arrives & there,
            steps=path.steps + (moves & ~there).astype(jnp.int32),
            newton_steps=path.newton_steps + count,
            most_newton_steps=most,
            linear_iterations=path.linear_iterations + root.linear_iterations,
        )
        longer = jnp.where(count <= _EASY, 2.0, 1.0)
        next_step = jnp.where(good, jnp.where(passed, step, longer * step), step / 4)
        starts = drive.by_current & ~good & (walk.mode == _DIRECT) & ~there
        starts = starts & (next_step < _STUBBORN)
        mode = jnp.where(starts | (aiming & ~good), _WALKING, walk.mode)
        mode = jnp.where(passed, _AIMING, mode)
        mode = jnp.where(aiming & good, _DIRECT, mode)
        share_of_rise = (drive.value - walk.current) / (carried - walk.current)
        walk = _Walk(
            mode,
            jnp.where(passed, step * jnp.clip(share_of_rise, 0.0, 1.0), walk.aim),
            jnp.where(moves, carried, walk.current),
        )
        return (
            path,
            chosen(good, rise, scaled(0, slope)),
            jnp.where(arrives, share, reached),
            jnp.where(starts, _LEAP, jnp.where(aiming & good, 1.0, next_step)),
            walk,
        )

    none = jnp.int32(0)
    path = Steady(begin, begin, jnp.asarray(False), none, none, none, none)
    zero = jnp.zeros_like(leap)
    walk = _Walk(jnp.asarray(_DIRECT), zero, now)
    first = (path, scaled(0, begin.fields), zero, leap, walk)
    return jax.lax.while_loop(unfinished, go_on, first)[0]
