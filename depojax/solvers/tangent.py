"""Derivatives of a finished run: the tangent of TR-BDF2 along the steps it took.

The steps of the run are taken as given, and the tangent of the scheme is propagated
along them, with the event time from the implicit function theorem. The rule is linear
in the tangents, so reverse mode is its transpose. States are kept every √n steps, and
both stages of the last √n; what lies between is solved for once more. Known stages make
the derivative of a step one linear solve per stage. The time of two to three forward
runs (`benchmarks/gradient_cost.py`), O(√n) states of memory.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from depojax._types import Scalar
from depojax.solvers.tr_bdf2 import AbstractBalance, State, take_step
from depojax.solvers.trees import chosen, plus

_SKIPPED = 8  # steps that the tangent pass skips at once


class Trail(eqx.Module):
    """What the tangent pass needs of a run of n steps at most, in chunks of √n."""

    times: Float[Array, "steps"]
    sizes: Float[Array, "steps"]
    damped: Bool[Array, "steps"]
    chunk_states: State | None  # before every chunk
    stages: State | None  # of the steps last taken, by their place in a chunk
    last_state: State  # before the last step


def begin_trail(y0: State, max_steps: int, *, keep_states: bool) -> Trail:
    """The trail before the first step; without states it serves no derivative."""
    empty = jnp.zeros(max_steps, jax.tree.leaves(y0)[0].dtype)
    chunk = _chunk(max_steps)

    def room(*sizes: int) -> State | None:
        # Filled with y0: what no step has written is a state too, whatever reads it.
        if not keep_states:
            return None
        return jax.tree.map(lambda y: jnp.broadcast_to(y, (*sizes, *y.shape)), y0)

    never = jnp.zeros(max_steps, bool)
    states, stages = room(max_steps // chunk + 1), room(chunk, 2)
    return Trail(empty, empty, never, states, stages, y0)


def keep_step(
    trail: Trail,
    accept: Bool[Array, ""],
    index: Int[Array, ""],
    t: Scalar,
    y: State,
    dt: Scalar,
    damped: Bool[Array, ""],
    stages: State,
) -> Trail:
    """Note an accepted step from `y`: its stages, and `y` where a chunk begins."""
    max_steps = trail.times.shape[0]
    chunk = _chunk(max_steps)
    nowhere = max_steps + 1  # beyond the end of every array: dropped

    def put(kept, slot, value):
        return jax.tree.map(lambda k, v: k.at[slot].set(v, mode="drop"), kept, value)

    chunk_states, last_stages = trail.chunk_states, trail.stages
    if chunk_states is not None:
        begins = accept & (index % chunk == 0)
        slot = jnp.where(begins, index // chunk, nowhere)
        chunk_states = put(chunk_states, slot, y)
        slot = jnp.where(accept, index % chunk, nowhere)
        last_stages = put(last_stages, slot, stages)
    index = jnp.where(accept, index, nowhere)
    return Trail(
        put(trail.times, index, t),
        put(trail.sizes, index, dt),
        put(trail.damped, index, damped),
        chunk_states,
        last_stages,
        chosen(accept, y, trail.last_state),
    )


def _chunk(max_steps: int) -> int:
    return max(1, math.isqrt(max_steps))


def tangent(
    balance: AbstractBalance,
    y0: State,
    trail: Trail,
    steps: Int[Array, ""],
    event_found: Bool[Array, ""],
    t_balance: AbstractBalance,
    t_y0: State | None,
) -> tuple[Scalar, State]:
    """Tangents of (time, state) where a run of so many `steps` ended.

    `t_balance` and `t_y0` are the tangents of `balance` and `y0`, None for zero.
    """
    n = trail.sizes.shape[0]
    chunk = _chunk(n)
    pieces = n // chunk + 1

    def in_chunks(values):
        return jnp.pad(values, (0, pieces * chunk - n)).reshape(pieces, chunk)

    index = jnp.arange(n, dtype=steps.dtype)
    regular = index < steps - 1  # the last one comes apart
    sizes = in_chunks(jnp.where(regular, trail.sizes, 0.0))
    times, damped = in_chunks(trail.times), in_chunks(trail.damped)

    def solved(y, piece):
        """The states at the start and in the stages of every step of a chunk."""

        def one(y, step):
            t, dt, damped = step

            def stages():
                held = balance.during(t, dt)
                return take_step(held, t, y, dt, damped=damped).stages

            taken = jax.lax.cond(dt > 0, stages, lambda: jax.tree.map(_twice, y))
            return jax.tree.map(_second, taken), (y, taken)

        return jax.lax.scan(one, y, piece)[1]

    def through_step(t_y, known):
        t, dt, damped, y, stages = known

        def advance(balance, y):
            held = balance.during(t, dt)
            return take_step(held, t, y, dt, stages, damped=damped).state

        return _dense(*eqx.filter_jvp(advance, (balance, y), (t_balance, t_y)))

    def kept(y):
        """The same for the chunk in which the run ended."""
        ends = jax.tree.map(lambda both: both[:-1, 1], trail.stages)
        starts = jax.tree.map(lambda y, e: jnp.concatenate([y[None], e]), y, ends)
        return starts, trail.stages

    def through_chunk(t_y, piece):
        y, *steps, ends = piece
        found = jax.lax.cond(ends, lambda: kept(y), lambda: solved(y, tuple(steps)))
        starts, stages = jax.lax.stop_gradient(found)
        known = (*steps, starts, stages)
        sizes = steps[1]
        return _scan_taken(through_step, t_y, known, sizes > 0)

    t_y0 = _dense(y0, t_y0)
    last = jnp.maximum(steps - 1, 0)
    ends = jnp.arange(pieces, dtype=last.dtype) == last // chunk
    chunks = (trail.chunk_states, times, sizes, damped, ends)
    t_y = _scan_taken(through_chunk, t_y0, chunks, sizes[:, 0] > 0)

    # The last step, whose length the event decides:  g(t + dt, y(dt)) = 0.
    took = steps > 0
    # A run of no steps has no last one: any length keeps its unused solves sane.
    t, dt = trail.times[last], jnp.where(took, trail.sizes[last], 1.0)

    stages = jax.tree.map(lambda both: both[last % chunk], trail.stages)
    damps = trail.damped[last]

    def last_step(balance, y, dt):
        held = balance.during(t, dt)
        state = take_step(held, t, y, dt, stages, damped=damps).state
        return state, held.event(t + dt, state)

    moved, g_moved = _dense(
        *eqx.filter_jvp(
            lambda b, y: last_step(b, y, dt),
            (balance, trail.last_state),
            (t_balance, t_y),
        )
    )
    (_, _), (velocity, g_rate) = jax.jvp(
        lambda dt: last_step(balance, trail.last_state, dt), (dt,), (jnp.ones_like(dt),)
    )
    found = event_found & (g_rate != 0)
    t_time = jnp.where(found, -g_moved / jnp.where(found, g_rate, 1), 0)
    t_state = chosen(took, plus(moved, t_time, velocity), t_y)
    return t_time, t_state


def _twice(y: Array) -> Array:
    return jnp.stack([y, y])


def _second(both: Array) -> Array:
    return both[1]


def _dense(y: State, t_y: State | None) -> State:
    """The tangent t_y of y with zeros where it is None, at a leaf or as a whole."""
    leaves, structure = jax.tree.flatten(y)
    if t_y is None:
        return jax.tree.map(jnp.zeros_like, y)
    tangents = structure.flatten_up_to(t_y)
    pairs = zip(leaves, tangents, strict=True)
    dense = [jnp.zeros_like(y) if t is None else t for y, t in pairs]
    return jax.tree.unflatten(structure, dense)


def _scan_taken(function, carry, xs, taken: Bool[Array, "n"]):
    """`carry` after `function` for those of `xs` that are `taken`, a leading part.

    In reverse mode a step that is not taken still adds zeros to every cotangent. So
    steps are skipped by eights first, then one by one.
    """
    n = taken.shape[0]
    padding = -n % _SKIPPED

    def by_eights(x):
        x = jnp.pad(x, [(0, padding), *[(0, 0)] * (x.ndim - 1)])
        return x.reshape(-1, _SKIPPED, *x.shape[1:])

    # Checkpoints around the choices: what a choice keeps for reverse mode it copies,
    # the arrays of the balance included.
    @jax.checkpoint
    def one(carry, now):
        x, here = now
        return jax.lax.cond(here, lambda: function(carry, x), lambda: carry), None

    @jax.checkpoint
    def eight(carry, now):
        _, here = now

        def each():
            return jax.lax.scan(one, carry, now)[0]

        return jax.lax.cond(here[0], each, lambda: carry), None

    return jax.lax.scan(eight, carry, jax.tree.map(by_eights, (xs, taken)))[0]
