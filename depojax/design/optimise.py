"""Going down a loss along its exact gradient: any optax optimiser, kept safe.

    u ← u + s · update(∇L(u)),   s = 1, ½, ¼ …  until L and ∇L are finite

in the free numbers u of a design. Around the optimiser: constraints (augmented
Lagrangian, projection), the best design so far, a step that fails is shortened, an end
where nothing improves, several starts at once, and a file from which a run that was
killed goes on bit for bit.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PyTree

from depojax._checks import check_choice, check_integer, check_range, refuse
from depojax._extremes import largest_of
from depojax._progress import step_bar
from depojax._types import Scalar, static
from depojax.design.constraints import AugmentedLagrangian, as_lagrangian, reported
from depojax.design.names import named_leaves
from depojax.design.restart import Restart
from depojax.design.variables import split
from depojax.solvers.results import SolveError

Ended = Literal["steps", "converged", "stalled", "failed"]
_FAILURES = (SolveError, FloatingPointError, eqx.EquinoxRuntimeError)
_KEPT_NUMBERS = 10_000_000  # designs of a history together, unless asked for

_SENTENCES = {
    "steps": "All {steps} steps are done.",
    "converged": "The gradient has vanished after {steps} steps.",
    "stalled": "Nothing has improved for a while: stopped after {steps} steps.",
    "failed": (
        "No step from here has a finite loss and gradient, however short: stopped "
        "after {steps} steps. The design may lie at the edge of what can be solved."
    ),
}


class Optimisation(eqx.Module):
    """What an optimisation found, and how it went.

    Histories hold the start and the state after every step; with an ensemble they have
    its members as their last axis.
    """

    design: Any  # the best: feasible, with the lowest loss
    loss: Scalar  # of the best
    violation: Scalar  # of its constraints, in units of their scales
    multipliers: dict[str, Array]  # of the constraints, at the end [loss / their unit]
    history: dict[str, Float[Array, "steps *members"]]
    designs: dict[str, Float[Array, "steps ..."]]  # free numbers, if they were kept
    last: Any  # the design at the end, all members of an ensemble
    best_step: int = static()  # at which the best was found
    best_member: int = static()  # of an ensemble, else 0
    steps: int = static()
    evaluations: int = static()  # of loss and gradient together
    ended_by: Ended = static()

    @property
    def message(self) -> str:
        """How it went, in a sentence or two."""
        words = _SENTENCES[self.ended_by].format(steps=self.steps)
        loss, first = float(self.loss), np.ravel(self.history["loss"][0])[0]
        words += f" Loss {first:.6g} → {loss:.6g}, found at step {self.best_step}."
        if self.multipliers:
            words += f" Largest violation {float(self.violation):.1e}."
        return words

    def to_xarray(self):
        """The history as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


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
    another problem.
    """
    problem = _Problem(
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
        size = sum(leaf.size for leaf in jax.tree.leaves(problem.start))
        keep_designs = size * (steps + 1) <= _KEPT_NUMBERS
    restart = None if folder is None else Restart(folder, problem.start, design)
    state = None
    if restart is not None and resume:
        state = restart.read(problem.outline)
    if state is None:
        state = problem.begin()
        if not bool(np.any(problem.finite(state))):
            _refuse_start(loss, problem, throw)
    log = restart.log if restart is not None else {}
    log = log if int(state["step"]) else {}
    if not log:
        log = problem.noted(state, {}, keep_designs)
    ended: Ended = "steps" if bool(np.any(problem.finite(state))) else "failed"
    with step_bar("Optimising", steps, int(state["step"]), show=progress) as told:
        while int(state["step"]) < steps and ended != "failed":
            if problem.is_done(state, gradient_tolerance):
                ended = "converged"
                break
            if stall_steps is not None and int(state["idle"]) >= stall_steps:
                ended = "stalled"
                break
            state, moved = problem.advanced(state, max_halvings, stall_tolerance)
            if not moved:
                ended = "failed"
                break
            log = problem.noted(state, log, keep_designs)
            step = int(state["step"])
            if restart is not None and (step % save_every == 0 or step == steps):
                restart.write(state, log)
            told(float(np.min(state["best_value"])))
    found = problem.result(state, log, ended)
    if confirm and ended != "failed":
        _confirm(loss, found, has_aux, throw)
    return found


def scattered_starts(design: Any, n: int, *, key: Any, spread: float = 1.0) -> Any:
    """n designs at once, for `ensemble=True`: the design itself, and n − 1 beside it.

    The free numbers of the others are moved at random by a normal deviation `spread`;
    in a bounded variable 1 covers the middle half of the range.
    """
    from depojax.scaffold.implicit import as_key

    check_integer("n", n, 1)
    check_range("spread", spread, 0.0, 100.0)
    free, whole = split(design)
    leaves, structure = jax.tree.flatten(free)
    keys = jax.random.split(as_key(key), len(leaves))
    moved = []
    for leaf, own in zip(leaves, keys, strict=True):
        noise = spread * jax.random.normal(own, (n, *leaf.shape), leaf.dtype)
        moved.append(leaf + noise.at[0].set(0))
    return whole(jax.tree.unflatten(structure, moved))


def robust(
    loss: Callable[[Any, Any], Any],
    scenarios: Any,
    *,
    measure: str = "mean",
    sharpness: float | None = None,
) -> Callable[[Any], Scalar]:
    """One loss out of that of several scenarios: currents, seeds, temperatures.

        mean   Σ L_k/n,    worst   max L_k,    soft_worst   ln(Σ e^{p L_k}/n)/p

    Args:
        loss: of a design and a scenario.
        scenarios: an array (its first axis is mapped over by `vmap`), or a list of
            whatever `loss` takes, one after the other.
        measure: "mean", "worst", whose gradient jumps from one scenario to the next,
            or "soft_worst", which does not.
        sharpness: p of "soft_worst" [1/loss]; some ten divided by the spread of the
            losses.

    Raises `ValueError` for an unknown measure, no scenario, and a missing sharpness.
    """
    check_choice("measure", measure, ("mean", "worst", "soft_worst"))
    if measure == "soft_worst":
        if sharpness is None:
            raise refuse("sharpness", "a number [1/loss]", None, "Try 10/spread.")
        check_range("sharpness", sharpness, 0.0, np.inf, open_low=True)
    if len(scenarios) == 0:
        raise refuse("scenarios", "at least one", "none")

    def of_all(design):
        if isinstance(scenarios, (list, tuple)):
            losses = jnp.stack([loss(design, scenario) for scenario in scenarios])
        else:
            losses = jax.vmap(lambda scenario: loss(design, scenario))(scenarios)
        if measure == "mean":
            return jnp.mean(losses)
        if measure == "worst":
            return largest_of(losses)
        p = jnp.asarray(sharpness, losses.dtype)
        return jax.nn.logsumexp(p * losses - jnp.log(float(losses.size))) / p

    return of_all


class _Problem:
    """The functions of one optimisation, compiled once, and its state as a dict."""

    def __init__(
        self, loss, design, optimizer, holding, project, *, has_aux, ensemble, jit
    ):
        if not callable(loss):
            raise refuse("loss", "a function of the design", repr(loss))
        if not hasattr(optimizer, "update"):
            raise refuse(
                "optimizer", "one of optax, such as optax.adam(0.05)", repr(optimizer)
            )
        self.loss, self.design, self.has_aux = loss, design, has_aux
        self.start, self.whole = split(design)
        self.holding: AugmentedLagrangian | None = holding
        self.optimizer = optax.with_extra_args_support(optimizer)
        self.failure: Exception | None = None  # of the last evaluation that raised
        self.shapes: Any = None  # of what an evaluation gives
        self.jit = jit
        self.members = self._members() if ensemble else None
        compiled = eqx.filter_jit if jit else lambda function: function
        each = jax.vmap if ensemble else lambda function: function
        self._evaluate = compiled(each(self._value_and_gradient))
        self._update = eqx.filter_jit(each(self._updates))
        self._begin_memory = each(self.optimizer.init)

        def move(part, updates, share):
            part = jax.tree.map(lambda u, d: u + share * d, part, updates)
            if project is None:
                return part
            return split(project(self.whole(part)))[0]

        # A projection may want to see numbers.
        self._move = each(move)
        if project is None:
            self._move = eqx.filter_jit(self._move)

    def _members(self) -> int:
        sizes = {leaf.shape[:1] for leaf in jax.tree.leaves(self.start)}
        if len(sizes) != 1 or () in sizes:
            raise refuse(
                "design",
                "one axis for the starts in front of all free numbers",
                f"first axes {sorted(sizes)}",
                "scattered_starts(design, n, key=0) makes such a design.",
            )
        return sizes.pop()[0]

    # What is computed. All of it is pure, and mapped over the members of an ensemble.

    def _merit(self, part, multipliers, penalties):
        design = self.whole(part)
        found: Any = self.loss(design)
        value, aux = found if self.has_aux else (found, {})
        value = jnp.asarray(value)
        if value.shape != ():
            raise refuse("loss", "one number", f"shape {value.shape}")
        if self.holding is None:
            return value, (value, aux, ())
        residuals = self.holding.residuals(design)
        added = self.holding.added(residuals, multipliers, penalties)
        return value + added.astype(value.dtype), (value, aux, residuals)

    def _value_and_gradient(self, part, multipliers, penalties):
        (merit, (value, aux, residuals)), gradient = jax.value_and_grad(
            self._merit, has_aux=True
        )(part, multipliers, penalties)
        violation = jnp.zeros_like(value)
        if self.holding is not None:
            worst = self.holding.violations(residuals)
            violation = jnp.max(jnp.stack(worst)).astype(value.dtype)
        return {
            "merit": merit,
            "value": value,
            "aux": {name: jnp.asarray(number) for name, number in aux.items()},
            "residuals": residuals,
            "violation": violation,
            "gradient": gradient,
            "norm": optax.tree.norm(gradient),
        }

    def _updates(self, found, memory, part, multipliers, penalties):
        def value_fn(part):
            return self._merit(part, multipliers, penalties)[0]

        # optax mixes Python numbers and dtypes in its own arithmetic.
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = self.optimizer.update(
                found["gradient"],
                memory,
                part,
                value=found["merit"],
                grad=found["gradient"],
                value_fn=value_fn,
            )
        return jax.tree.map(lambda d, u: d.astype(u.dtype), updates, part), memory

    def _evaluated(self, part, multipliers, penalties):
        """As `_value_and_gradient`, NaN where it raises; `failure` keeps why."""
        try:
            found = self._evaluate(part, multipliers, penalties)
        except _FAILURES as error:
            self.failure = error
            if self.shapes is None:
                self.shapes = jax.eval_shape(
                    self._evaluate, part, multipliers, penalties
                )
            return jax.tree.map(
                lambda s: jnp.full(s.shape, jnp.nan, s.dtype), self.shapes
            )
        # A loss that has to see numbers cannot be asked for shapes alone.
        self.shapes = jax.eval_shape(lambda: found)
        return found

    def finite(self, found) -> np.ndarray:
        """Whether loss and gradient are finite, for each member."""
        return np.isfinite(found["merit"]) & np.isfinite(found["norm"])

    # The state between steps: arrays alone, so that a file can hold all of it.

    def _at_start(self):
        lead = () if self.members is None else (self.members,)
        holding = self.holding
        if holding is None:
            return (), ()
        shapes = jax.eval_shape(
            lambda part: holding.residuals(self.whole(part)),
            jax.tree.map(lambda u: u[0], self.start) if lead else self.start,
        )
        zeros = tuple(jnp.zeros(lead + s.shape, s.dtype) for s in shapes)
        ones = tuple(jnp.ones(lead, s.dtype) for s in shapes)
        return zeros, ones

    def begin(self) -> dict[str, Any]:
        """The state before the first step."""
        multipliers, penalties = self._at_start()
        found = self._evaluated(self.start, multipliers, penalties)
        if self.holding is not None:
            # The penalty is told in units of the loss.
            size = jnp.abs(found["value"])
            size = jnp.where(size > 0, size, 1)
            mu = self.holding.penalty
            penalties = tuple((mu * size * p).astype(p.dtype) for p in penalties)
            found = self._evaluated(self.start, multipliers, penalties)
        return self._state(found, multipliers, penalties)

    def outline(self) -> dict[str, Any]:
        """The structure of a state; computed only where the loss has to see numbers."""
        if not self.jit:
            begun = self.begin()
            return jax.eval_shape(lambda: begun)
        multipliers, penalties = self._at_start()
        found = jax.eval_shape(
            self._value_and_gradient
            if self.members is None
            else jax.vmap(self._value_and_gradient),
            self.start,
            multipliers,
            penalties,
        )
        return jax.eval_shape(self._state, found, multipliers, penalties)

    def _state(self, found, multipliers, penalties):
        value = found["value"]
        with jax.numpy_dtype_promotion("standard"):
            memory = self._begin_memory(self.start)
        return {
            **found,
            "part": self.start,
            "memory": memory,
            "multipliers": multipliers,
            "penalties": penalties,
            "worst_before": tuple(
                jnp.full(p.shape, jnp.inf, p.dtype) for p in penalties
            ),
            "share": jnp.ones_like(value),
            "best_part": self.start,
            "best_value": value,
            "best_violation": found["violation"],
            "best_step": jnp.zeros(value.shape, int),
            "step": jnp.zeros((), int),
            "idle": jnp.zeros((), int),
            # The penalty of constraints is set by the first of two.
            "evaluations": jnp.asarray(1 if self.holding is None else 2),
        }

    def advanced(self, state, max_halvings, stall_tolerance):
        """The state after one step, and whether any member could take it."""
        multipliers, penalties = state["multipliers"], state["penalties"]
        known = {k: state[k] for k in _FOUND}
        updates, memory = self._update(
            known, state["memory"], state["part"], multipliers, penalties
        )
        if not all(bool(jnp.all(jnp.isfinite(d))) for d in jax.tree.leaves(updates)):
            # Its memory is spoilt, by a line search that met NaN, say.
            with jax.numpy_dtype_promotion("standard"):
                memory = self._begin_memory(state["part"])
            norm = jnp.maximum(state["norm"], 1e-300)
            updates = jax.tree.map(
                lambda g: jnp.nan_to_num(-g / _beside(norm, g)), state["gradient"]
            )
        share = jnp.ones_like(state["merit"])
        part = self._move(state["part"], updates, share)
        found = self._evaluated(part, multipliers, penalties)
        good, tries = self.finite(found), 1
        while not good.all() and tries <= max_halvings:
            share, tries = jnp.where(good, share, share / 2), tries + 1
            part = self._move(state["part"], updates, share)
            found = self._evaluated(part, multipliers, penalties)
            good = self.finite(found)
        state = dict(state, evaluations=state["evaluations"] + tries)
        if not good.any():
            return state, False
        if not good.all():
            # A member that is stuck stays where it is.
            part = _where(good, part, state["part"])
            found = _where(good, found, known)
            share = jnp.where(good, share, 0)
        state |= {**found, "part": part, "memory": memory, "share": share}
        state["step"] = state["step"] + 1
        state = self._with_best(state, stall_tolerance)
        if self.holding is not None and int(state["step"]) % self.holding.every == 0:
            state = self._with_multipliers(state)
        return state, True

    def _with_best(self, state, stall_tolerance):
        value, violation = state["value"], state["violation"]
        best, worst = state["best_value"], state["best_violation"]
        allowed = 0.0 if self.holding is None else self.holding.tolerance
        excess = np.maximum(violation - allowed, 0)
        excess_best = np.maximum(worst - allowed, 0)
        finite = self.finite(state)
        better = finite & (
            ~np.isfinite(best)
            | (excess < excess_best)
            | ((excess == excess_best) & (value < best))
        )
        enough = np.abs(best) * stall_tolerance
        gained = better & (
            ~np.isfinite(best) | (excess < excess_best) | (best - value > enough)
        )
        return state | {
            "best_part": _where(better, state["part"], state["best_part"]),
            "best_value": jnp.where(better, value, best),
            "best_violation": jnp.where(better, violation, worst),
            "best_step": jnp.where(better, state["step"], state["best_step"]),
            "idle": jnp.where(np.any(gained), 0, state["idle"] + 1),
        }

    def _with_multipliers(self, state):
        holding: Any = self.holding
        update = holding.updated if self.members is None else jax.vmap(holding.updated)
        raised, stiffer, worst = update(
            state["residuals"],
            state["multipliers"],
            state["penalties"],
            state["worst_before"],
        )
        found = self._evaluated(state["part"], raised, stiffer)
        state = state | {
            **found,
            "multipliers": raised,
            "penalties": stiffer,
            "worst_before": worst,
            "evaluations": state["evaluations"] + 1,
        }
        # A line search remembers values of the loss, which is another one from here.
        if optax.tree.get(state["memory"], "value") is not None:
            with jax.numpy_dtype_promotion("standard"):
                state["memory"] = self._begin_memory(state["part"])
        return state

    def is_done(self, state, gradient_tolerance) -> bool:
        """Whether the gradient of every member has vanished, and all is feasible."""
        if gradient_tolerance <= 0:
            return False
        allowed = 0.0 if self.holding is None else float(self.holding.tolerance)
        feasible = np.asarray(state["violation"]) <= allowed
        return bool(
            np.all(feasible & (np.asarray(state["norm"]) <= gradient_tolerance))
        )

    def noted(self, state, log, keep_designs) -> dict[str, np.ndarray]:
        """The log with this state behind the others."""
        row = {
            "loss": state["value"],
            "merit": state["merit"],
            "gradient_norm": state["norm"],
            "violation": state["violation"],
            "step_share": state["share"],
            **{f"aux.{name}": value for name, value in state["aux"].items()},
        }
        if keep_designs:
            names = named_leaves(state["part"])
            row |= {f"design.{name}": leaf for name, leaf in names.items()}
        rows = {name: np.asarray(value)[None] for name, value in row.items()}
        if not log:
            return rows
        return {name: np.concatenate([log[name], rows[name]]) for name in rows}

    def result(self, state, log, ended) -> Optimisation:
        """What is handed back."""
        member = 0
        part, multipliers = state["best_part"], state["multipliers"]
        value, violation = state["best_value"], state["best_violation"]
        best_step = state["best_step"]
        if self.members is not None:
            allowed = 0.0 if self.holding is None else float(self.holding.tolerance)
            excess = np.maximum(np.asarray(violation) - allowed, 0)
            order = np.lexsort((np.nan_to_num(np.asarray(value), nan=np.inf), excess))
            member = int(order[0])
            part, multipliers, value, violation, best_step = jax.tree.map(
                lambda x: x[member], (part, multipliers, value, violation, best_step)
            )
        history = {
            name.removeprefix("aux."): jnp.asarray(values)
            for name, values in log.items()
            if not name.startswith("design.")
        }
        designs = {
            name.removeprefix("design."): jnp.asarray(values)
            for name, values in log.items()
            if name.startswith("design.")
        }
        return Optimisation(
            design=self.whole(part),
            loss=value,
            violation=violation,
            best_step=int(best_step),
            best_member=member,
            multipliers=reported(self.holding, multipliers),
            history=history,
            designs=designs,
            last=self.whole(state["part"]),
            steps=int(state["step"]),
            evaluations=int(state["evaluations"]),
            ended_by=ended,
        )


_FOUND = ("merit", "value", "aux", "residuals", "violation", "gradient", "norm")


def _beside(mask: Any, leaf: Array) -> Array:
    """A number per member with the axes of a leaf behind it."""
    mask = jnp.asarray(mask)
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))


def _where(mask: Any, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(_beside(mask, a), a, b), new, old)


def _refuse_start(loss, problem: _Problem, throw: bool) -> None:
    """Say why the start has no finite loss and gradient."""
    if problem.members is None:
        loss(problem.design)  # refuses, or raises SolveError, with its own words
    if throw:
        raise SolveError(
            "The loss or its gradient is not finite for the design to begin with. "
            "Begin elsewhere, or look at loss(design) and jax.grad(loss)(design)."
        ) from problem.failure


def _confirm(loss, found: Optimisation, has_aux: bool, throw: bool) -> None:
    """Compute the best design where failures are told."""
    try:
        value = loss(found.design)
        value = float(value[0] if has_aux else value)
    except (*_FAILURES, ValueError) as error:
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
