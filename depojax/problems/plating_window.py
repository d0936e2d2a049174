"""One window of a plating run: the coupled cell in a geometry that stands still.

All windows of a cell share one program: geometry, metal that is left and coverage are
numbers of it.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from depojax._checks import check_fraction, check_integer, check_range
from depojax._compile import compiled_quickly
from depojax._types import Cells, Scalar, as_float, static
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import cell_model
from depojax.problems.cell_model import CellModel, Surface
from depojax.problems.coupled import CellState, CoupledBalance, at_rest
from depojax.problems.growth import AbstractGrowth, Gain
from depojax.problems.simulate import BARE, REST, PlainStep
from depojax.problems.until import Until
from depojax.solvers.results import RESULTS
from depojax.solvers.time import Run, Steps, integrate


class Windows(eqx.Module):
    """How long geometry stands still before it is made anew.

    Args:
        change: largest relative change of geometry in a window [-]: of the pore
            fraction, of the coverage, or of what else the growth says.
        fixed: constant length [s] instead, for order studies and exact derivatives.
        max_windows: largest number of windows of a run.

    The error is of second order in the length of windows for homogenised growth, whose
    geometry is that of the middle of each window.
    Good values: change 0.02 to 0.1.
    """

    change: Scalar  # [-]
    fixed: Scalar | None  # [s]
    max_windows: int = static()

    def __init__(
        self, change: Any = 0.05, *, fixed: Any = None, max_windows: int = 10_000
    ):
        check_fraction("change", change)
        if fixed is not None:
            check_range("fixed", fixed, 0.0, 1e12, "s", open_low=True)
            fixed = as_float(fixed)
        self.change, self.fixed = as_float(change), fixed
        self.max_windows = check_integer("max_windows", max_windows, 1)


class Growing(eqx.Module):
    """What a window needs to know of growth to see its stops coming."""

    growth: AbstractGrowth
    cell: Cell  # bare
    metal: PyTree


class WindowBalance(CoupledBalance):
    """The coupled cell in a window of a step, up to a stop of the step or of growth."""

    since: Any = 0.0  # time of the step when the window begins [s]
    growing: Growing | None = None

    def imposed(self, t) -> Scalar:
        """J or V at a time of the window."""
        if self.window is not None:
            t = jnp.clip(t, *self.window)
        return self.drive.value(t + self.since)

    def next_switch(self, t):
        return self.drive.next_switch(t + self.since) - self.since

    def observe(self, t, y: CellState) -> dict[str, Scalar]:
        """As in any run; times and charges are those of the step."""
        return super().observe(t, y) | {"time": t + self.since}

    def margins(self, t, y: CellState) -> list[Scalar]:
        """Of all stops, and last that of growth where it has one."""
        margins = super().margins(t, y)
        if self.growing is None:
            return margins
        g = self.growing
        margin = g.growth.margin(g.cell, g.metal, gain_of(self.model, y, t))
        return margins if margin is None else [*margins, margin]


class Window(eqx.Module):
    """A window that has run."""

    run: Run
    gain: Gain
    salt: Cells  # [m³ of c₀]
    # Time, steps, and as 1 or 0: done well, ended by an event, began bare; then the
    # number of the stop. Floats, for they are to be known while derivatives are taken.
    facts: Array
    counts: Array  # Newton steps, iterations


@compiled_quickly
def opened(
    cell: Cell,
    places: int | None,
    left: tuple[Cells, Array],
    salt: Cells | None,
    before: CellState | None,
) -> tuple[CellModel, CellState, Cells]:
    """The discrete cell of a window, where it begins, and its salt [m³ of c₀].

    Salt is kept: c = n/V of what the pores hold now.
    """
    model = cell_model(cell, places)
    host, floor = (
        eqx.tree_at(
            lambda s: s.deposit, surface, _per_area(charge, surface.area),
            is_leaf=lambda x: x is None,
        )
        for surface, charge in zip((model.host, model.floor), left, strict=True)
    )  # fmt: skip
    model = eqx.tree_at(lambda m: (m.host, m.floor), model, (host, floor))
    state = at_rest(model)
    if salt is None or before is None:
        return model, state, model.pore_volume * state.fields.c
    volume = model.pore_volume
    c = jnp.where(volume > 0, salt / jnp.where(volume > 0, volume, 1.0), 1.0)
    fields = eqx.tree_at(lambda f: f.c, before.fields, c)
    state = eqx.tree_at(
        lambda s: (s.fields, s.reactions, s.charge, s.use),
        state,
        (fields, before.reactions, before.charge, before.use),
        is_leaf=lambda x: x is None,
    )
    return model, state, salt


def _per_area(charge: Array, area: Array) -> Array:
    some = area > 0
    return jnp.where(some, charge / jnp.where(some, area, 1.0), 0.0)


@compiled_quickly
def run_window(
    model: CellModel,
    state: CellState,
    step: PlainStep,
    began: tuple[Scalar, Scalar],
    growing: Growing | None,
    length: Scalar,
    steps: Steps,
) -> Window:
    """Run for `length` [s], or to the first stop. `began`: time and charge of the step.

    An imposed current that strips ends where no metal is left.
    """
    since, charge = began
    left: Any = model.deposit_left(state.plated)
    left = jax.lax.stop_gradient(left)
    stripped = Until.stripped(jnp.maximum(REST * left, BARE))
    balance = WindowBalance(
        model,
        step.drive,
        step.by_current,
        (*step.stops, stripped),
        charge,
        since=since,
        growing=growing,
    )
    first = step.drive.value(since)
    bare = step.by_current & (first < 0) & (left <= BARE)
    run = integrate(balance, state, jnp.where(bare, 0.0, length), steps)
    margins = balance.margins(run.time, run.state)
    fine = run.result == RESULTS.successful
    facts = [run.time, run.steps, fine, run.event_found, bare]
    facts.append(jnp.argmin(jnp.stack(margins)))
    facts = jnp.stack([jnp.asarray(fact).astype(run.time.dtype) for fact in facts])
    return Window(
        run=run,
        gain=gain_of(model, run.state, run.time),
        salt=model.pore_volume * run.state.fields.c,
        facts=jax.lax.stop_gradient(facts),
        counts=run.iterations.astype(run.time.dtype),
    )


def gain_of(model: CellModel, state: CellState, duration: Scalar) -> Gain:
    """What has been plated since the window began."""

    def on(surface: Surface, plated: Array) -> Array:
        return surface.area * plated

    host, floor = state.plated
    return Gain(on(model.host, host), on(model.floor, floor), duration)
