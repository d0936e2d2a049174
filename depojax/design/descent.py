"""The steps of an optimisation: loss, gradient and optimiser, around a plain state.

    u ← u + s · update(∇M(u)),   s = 1, ½, ¼ …  until M and ∇M are finite

in the free numbers u of a design; the merit M is the loss and what its constraints add.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from depojax._checks import refuse
from depojax.design.constraints import AugmentedLagrangian, reported
from depojax.design.names import named_leaves
from depojax.design.optimisation import Optimisation
from depojax.design.variables import split
from depojax.solvers.results import SolveError

FAILURES = (SolveError, FloatingPointError, eqx.EquinoxRuntimeError)

# What is found at a point: the part of the state that every evaluation makes anew.
_FOUND = ("merit", "value", "aux", "residuals", "violation", "gradient", "norm")


class Descent:
    """The functions of one optimisation, compiled once, and its state as a dict.

    The state holds arrays alone, so that a file can hold all of it: `part`, the free
    numbers; what is found there (merit, value, gradient, …); the `memory` of the
    optimiser; multipliers and penalties of the constraints; the best so far; counters.
    """

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
        except FAILURES as error:
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

    # The state between steps.

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


def _beside(mask: Any, leaf: Array) -> Array:
    """A number per member with the axes of a leaf behind it."""
    mask = jnp.asarray(mask)
    return mask.reshape(mask.shape + (1,) * (leaf.ndim - mask.ndim))


def _where(mask: Any, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(_beside(mask, a), a, b), new, old)
