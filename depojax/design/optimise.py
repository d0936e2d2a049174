"""Going down a loss along its exact gradient: any optax optimiser, kept safe.

Around the optimiser (`descent`): constraints (augmented Lagrangian, projection), the
best design so far, a step that fails is shortened, an end where nothing improves,
several starts at once, and a file from which a run that was killed goes on bit for bit.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from depojax._checks import check_integer, check_range
from depojax._progress import step_bar
from depojax.design.constraints import as_lagrangian
from depojax.design.descent import FAILURES, Descent
from depojax.design.optimisation import Ended, Optimisation
from depojax.design.restart import Restart
from depojax.solvers.results import SolveError

_KEPT_NUMBERS = 10_000_000  # designs of a history together, unless asked for


def optimise(
    loss: Callable[[Any], Any],
    design: Any,
    *,
    optimizer: Any = None,
    steps: int = 100,
    constraints: Any = (),
    project: Callable[[Any], Any] | None = None,
    has_aux: bool = False,
    ensemble: bool = False,
    gradient_tolerance: float = 0.0,
    stall_steps: int | None = None,
    stall_tolerance: float = 1e-6,
    max_halvings: int = 8,
    keep_designs: bool | None = None,
    folder: str | Path | None = None,
    resume: bool = True,
    save_every: int = 1,
    jit: bool = True,
    confirm: bool = True,
    progress: bool = False,
    throw: bool = True,
) -> Optimisation:
    """Change a design along the gradient of a loss, downwards.

        def loss(design):
            return -dj.sand_time(cell.with_scaffold(design.build()), J).time

        best = dj.optimise(loss, dj.GradedPorosity.uniform(0.9, n=16),
                           optimizer=optax.adam(0.05), steps=100)

    Args:
        loss: of a design, one number; with `has_aux` also a dict of numbers that are
            kept in the history.
        design: any tree. Free are the numbers of its design variables; where it has
            none, all of its floating-point arrays.
        optimizer: of optax, schedules and line searches included; `optax.adam(0.05)` by
            default. In variables with bounds a step of 0.05 is about 1 % of the range.
        steps: at most, those of a resumed run included.
        constraints: `Constraint`s, or an `AugmentedLagrangian` of them.
        project: maps a design to the nearest allowed one, after every step.
        ensemble: the free numbers have one axis more, in front, for several starts
            (see `scattered_starts`), which are taken at once.
        gradient_tolerance: norm of the gradient at which a feasible design is done.
        stall_steps: stop where the best loss has not improved for so many steps.
        stall_tolerance: by how much it has to improve, relative to its size.
        max_halvings: of a step whose loss or gradient is not finite, or fails.
        keep_designs: the free numbers of every step; by default where they are few.
        folder: keep a restart file there, and go on from it if there is one.
        resume: False begins anew whatever is in the folder.
        save_every: steps from one restart file to the next.
        jit: compile loss and gradient as one program. False for a loss that has to see
            numbers (it is then only differentiated).
        confirm: compute the best design once more outside of all transformations,
            where every refusal and every failed solve is told.
        progress: show a progress bar on stderr.
        throw: raise `SolveError` when the start or the best design cannot be computed.

    The loss is not part of the restart file; the design it began with is, and must be
    the same. A loss that has `result` of its solves had better be infinite where one
    failed: inside of a gradient nothing is raised.

    Raises `ValueError` for arguments that make no sense and for a restart file of
    another descent.
    """
    descent = Descent(
        loss,
        design,
        optax.adam(0.05) if optimizer is None else optimizer,
        as_lagrangian(constraints),
        project,
        has_aux=has_aux,
        ensemble=ensemble,
        jit=jit,
    )
    check_integer("steps", steps, 0)
    check_integer("max_halvings", max_halvings, 0)
    check_integer("save_every", save_every, 1)
    check_range("gradient_tolerance", gradient_tolerance, 0.0, np.inf)
    check_range("stall_tolerance", stall_tolerance, 0.0, 1.0)
    if stall_steps is not None:
        check_integer("stall_steps", stall_steps, 1)
    if keep_designs is None:
        size = sum(leaf.size for leaf in jax.tree.leaves(descent.start))
        keep_designs = size * (steps + 1) <= _KEPT_NUMBERS
    restart = None if folder is None else Restart(folder, descent.start, design)
    earlier = restart.read(descent.outline) if restart is not None and resume else None
    if earlier is None:
        state = descent.begin()
        if not np.any(descent.finite(state)):
            _refuse_start(loss, descent, throw)
        log = descent.noted(state, {}, keep_designs)
    else:
        state, log = earlier

    def reason_to_end() -> Ended | None:
        if int(state["step"]) >= steps:
            return "steps"
        if descent.is_done(state, gradient_tolerance):
            return "converged"
        idle = int(state["idle"])
        return "stalled" if stall_steps is not None and idle >= stall_steps else None

    ended = reason_to_end() if np.any(descent.finite(state)) else "failed"
    with step_bar("Optimising", steps, int(state["step"]), show=progress) as told:
        while ended is None:
            state, moved = descent.advanced(state, max_halvings, stall_tolerance)
            if not moved:
                ended = "failed"
                break
            log = descent.noted(state, log, keep_designs)
            step = int(state["step"])
            if restart is not None and (step % save_every == 0 or step == steps):
                restart.write(state, log)
            told(float(np.min(state["best_value"])))
            ended = reason_to_end()
    found = descent.result(state, log, ended)
    if confirm and ended != "failed":
        _confirm(loss, found, has_aux, throw)
    return found


def _refuse_start(loss, descent: Descent, throw: bool) -> None:
    """Say why the start has no finite loss and gradient."""
    if descent.members is None:
        loss(descent.design)  # refuses, or raises SolveError, with its own words
    if throw:
        raise SolveError(
            "The loss or its gradient is not finite for the design to begin with. "
            "Begin elsewhere, or look at loss(design) and jax.grad(loss)(design)."
        ) from descent.failure


def _confirm(loss, found: Optimisation, has_aux: bool, throw: bool) -> None:
    """Compute the best design where failures are told."""
    try:
        value = loss(found.design)
        value = float(value[0] if has_aux else value)
    except (*FAILURES, ValueError) as error:
        if throw:
            raise SolveError(
                f"The best design that was found cannot be computed: {error}", found
            ) from error
        return
    known = float(found.loss)
    if throw and not np.isclose(value, known, rtol=1e-3, atol=1e-12):
        raise SolveError(
            f"The best design has the loss {value:.6g} when it is computed once more, "
            f"and had {known:.6g} while it was found: a solve has failed silently.",
            found,
        )
