"""Salt that stays when the pores change shape: carried over, cell by cell.

    Σ n  is kept,      n' = n  where a cell stays open,      c' = n'/V'

A wall that moves pushes the salt before it and takes none (no flux in the frame of the
electrolyte at rest). Cells that close hand theirs to what stays open beside them; cells
whose volume changed by much share with their neighbours, or a sliver would hold a
spike that is there for a moment only.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._extremes import largest_of
from depojax._types import Cells, Faces
from depojax.fv.operators import without_ends

_SLIGHT = 0.5  # of its volume, that is left of a cell that all but closes
_FLAGGED = 0.1  # change of a cell's volume, of what it is then, that is mixed
_SHARE = 1 / 7  # of a difference between two cells that one pass levels
_PASSES = 24
_SLIVER = 0.05  # of a cell, that holds no more than what is usual
_TOWARDS = 0.1  # of its pull, that a cell lends to the next
_REACH = 3  # cells, that what is squeezed out of a closing pore may go


@eqx.filter_jit
def carried_over(
    amount: Cells,
    before: Cells,
    after: Cells,
    whole: Cells,
    faces: tuple[Faces, Faces],
    kept: Bool[Array, "x y z"],
    periodic: tuple[bool, bool, bool],
) -> Cells:
    """Amounts per cell after its volume went from `before` to `after` [any units].

    Args:
        amount: per cell, in the old pores.
        before, after: pore volumes [m³].
        whole: volumes of the cells [m³].
        faces: open parts of the faces, before and after.
        kept: cells that closed with all that they hold: they keep it.
        periodic: which axes have no ends.
    """
    old, new = (without_ends(each, periodic) for each in faces)
    stays = (after > 0) | kept
    # A cell that all but closes is left with what was in that part of it.
    slight = (after > 0) & (after < _SLIGHT * before)
    share = jnp.where(slight, after / jnp.where(before > 0, before, 1.0), 0.0)
    lost = jnp.where(slight, (1 - share) * amount, jnp.where(stays, 0.0, amount))
    c = jnp.where(before > 0, amount / jnp.where(before > 0, before, 1.0), 0.0)
    highest = largest_of(c)
    amount = _handed_on(amount, lost, stays, after, old)
    amount = _mixed(amount, before, after, new)
    sliver = (after < _SLIVER * whole).astype(after.dtype)
    return _below_the_highest(amount, highest, after, sliver, new)


def _handed_on(amount, lost, stays, after, faces):
    """What is `lost` to some cells, and all in those that close, in those beside."""
    weights = jnp.where(stays, after, 1e-6 * jnp.max(after))
    for _ in range(_REACH):
        amount = amount - lost + _received(lost, weights, faces)
        lost = jnp.where(stays, 0.0, amount)
    # Of what has found nothing, a pocket in between, everything open takes a share.
    share = after / jnp.where(jnp.sum(after) > 0, jnp.sum(after), 1.0)
    return amount - lost + share * jnp.sum(lost)


def _received(lost, weights, faces):
    """What each cell gets of all that is `lost` beside it; its own, if nobody takes it.

    Open neighbours take it in proportion to their weights and the faces between.
    """
    total = jnp.zeros_like(lost)
    for axis, face in enumerate(faces):
        for side in (-1, 1):
            total = total + _gate(face, axis, side) * _beside(weights, axis, side)
    nowhere = total <= 0
    portion = jnp.where(nowhere, 0.0, lost / jnp.where(nowhere, 1.0, total))
    got = jnp.where(nowhere, lost, 0.0)
    for axis, face in enumerate(faces):
        for side in (-1, 1):
            # What the neighbour on that side sends here.
            sent = _beside(portion, axis, side)
            got = got + _gate(face, axis, side) * weights * sent
    return got


def _below_the_highest(amount, highest, after, sliver, faces):
    """Slivers with no more salt per volume than there was anywhere: the rest moves on.

    Electrolyte that is squeezed out of a closing pore takes its salt along. Left among
    slivers it would have a potential of its own, which drives currents that no solve
    stands.
    """

    # Towards where there is room, also along a row of slivers.
    def drawn(pull, _):
        around = jnp.zeros_like(pull)
        for axis, face in enumerate(faces):
            for side in (-1, 1):
                beside = _beside(pull, axis, side)
                more = (_gate(face, axis, side) > 0) & (beside > around)
                around = jnp.where(more, beside, around)
        more = (after > 0) & (_TOWARDS * around > pull)
        return jnp.where(more, _TOWARDS * around, pull), None

    pull, _ = jax.lax.scan(jax.checkpoint(drawn), after, length=_PASSES)

    def ease(amount, _):
        over = amount - highest * after
        over = sliver * jnp.where(over > 0, over, 0.0)
        return amount - over + _received(over, pull, faces), None

    return jax.lax.scan(jax.checkpoint(ease), amount, length=_PASSES)[0]


def _mixed(amount, before, after, faces):
    """Level concentrations between cells that changed and those beside them."""
    wet = after > 0
    volume = jnp.where(wet, after, 1.0)
    changed = wet & (jnp.abs(after - before) > _FLAGGED * after)
    changed = jax.lax.stop_gradient(changed).astype(amount.dtype)

    def level(amount, _):
        c = jnp.where(wet, amount / volume, 0.0)
        gained = jnp.zeros_like(amount)
        for axis, face in enumerate(faces):
            for side in (-1, 1):
                other = _beside(volume, axis, side)
                both = wet & (_beside(wet.astype(c.dtype), axis, side) > 0)
                passes = both & (_gate(face, axis, side) > 0)
                flagged = jnp.maximum(changed, _beside(changed, axis, side))
                size = jnp.where(passes, flagged * volume * other / (volume + other), 0)
                gained = gained + _SHARE * size * (_beside(c, axis, side) - c)
        return amount + gained, None

    return jax.lax.scan(jax.checkpoint(level), amount, length=_PASSES)[0]


def _beside(values: Array, axis: int, side: int) -> Array:
    """The next cell's value; around at the ends, where the faces say if that counts."""
    return jnp.roll(values, -side, axis)


def _gate(face: Array, axis: int, side: int) -> Array:
    """The open part of the face on that side of each cell."""
    n = face.shape[axis] - 1
    first = 1 if side > 0 else 0
    return jax.lax.slice_in_dim(face, first, first + n, axis=axis)
