"""Running a cell through a protocol: where current goes, and what potential it takes.

Salt, ionic and electronic current and the kinetics of all surfaces are solved together
(`cell_model` has the equations), step after step of the protocol, each until the first
of its conditions.
"""

import contextlib
import dataclasses
import textwrap
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from depojax._checks import check_double, refuse
from depojax._compile import compiled_quickly
from depojax._progress import progress_bar, report_progress
from depojax._types import Cells, Scalar, as_float, is_traced
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import cell_model, reacting_places
from depojax.problems.cell_model import CellModel
from depojax.problems.coupled import DEPLETED, CellState, CoupledBalance, at_rest
from depojax.problems.protocols import Protocol, protocol_from
from depojax.problems.steps import Step
from depojax.problems.until import Until
from depojax.problems.voltage import voltage_parts
from depojax.problems.waveforms import AbstractWaveform
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Run, Steps, integrate

_SURFACES = ("host", "collector", "counter")
BARE = 1e-3  # charge of a deposit that is none [C m-2]
REST = 1e-3  # of a deposit, that is left where stripping an imposed current ends


class Simulation(eqx.Module):
    """A cell's run through a protocol.

    Histories are kept at the start and after every time step, NaN beyond the last
    inside of a transformation; no derivative goes through them. Fields are those at the
    end; derivatives go through these, through `end_time`, `final_voltage`, `charge` and
    all that there is one of for each step.
    """

    time: Float[Array, " n"]  # [s]
    step: Int[Array, " n"]  # of the protocol
    voltage: Float[Array, " n"]  # collector against counter electrode [V]
    current_density: Float[Array, " n"]  # per footprint [A m-2]
    lowest_wall_concentration: Float[Array, " n"]  # [mol m-3]
    mean_current_density: Float[Array, " n"]  # over the true surface [A m-2]
    highest_current_density: Float[Array, " n"]  # local [A m-2]
    charge_imbalance: Float[Array, " n"]  # between all electrodes, relative [-]
    concentration: Cells  # [mol m-3]
    liquid_potential: Cells  # against an electrode of the metal [V]
    solid_potential: Cells  # of the host; that of the collector elsewhere [V]
    local_current_density: Cells  # of the host's true surface [A m-2]
    collector_current_density: Array  # of the open collector [A m-2]
    plated_charge: Cells  # per true area of the host [C m-2]
    final_voltage: Scalar  # [V]
    voltage_parts: dict[str, Scalar]  # that add up to it [V]
    film_resistance: dict[str, Array]  # of host, collector, counter electrode [Ω m²]
    charge: Scalar  # passed per footprint, plating positive [C m-2]
    end_time: Scalar  # [s]
    step_times: Float[Array, " steps"]  # length of every step of the protocol [s]
    step_charges: Float[Array, " steps"]  # that passed in each, as `charge` [C m-2]
    step_voltage_parts: dict[str, Float[Array, " steps"]]  # at the end of each [V]
    ended_by: tuple[str, ...]  # what ended every step; empty inside of jit and grad
    newton_steps: Int[Array, ""]
    linear_iterations: Int[Array, ""]
    time_steps: Int[Array, ""]
    result: RESULTS
    cell: Cell
    protocol: Protocol
    state: CellState  # to go on from

    @property
    def collector_plated_charge(self) -> Array:
        """Plated per true area of the open collector [C m⁻²]."""
        return self.state.plated[1]

    def to_xarray(self):
        """The run as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


def simulate(
    cell: Cell,
    protocol: Any,
    *,
    steps: Steps | None = None,
    start: "Simulation | None" = None,
    progress: bool = False,
    throw: bool = True,
) -> Simulation:
    """Run a cell through a protocol.

    Args:
        cell: with an electrolyte whose conductivity is known. Where it has no
            `kinetics` its metals need no overpotential.
        protocol: a step such as `Galvanostatic`, a sentence such as "Plate at 1 mA/cm2
            until 4 mAh/cm2", or a sequence of them.
        steps: choice of time steps; `Steps(tolerance=1e-4)` by default.
        start: a run of the same cell to go on from; by default uniform salt.
        progress: show a progress bar on stderr.
        throw: raise `SolveError` when a solve fails, instead of saying so in `result`.

    Depletion is met at c_s = c₀/10 000, or above where `Until.depletion` says so: with
    kinetics the wall never gets to zero. Where a current is imposed it ends the run,
    asked for or not, because these equations have no solution beyond.

    Differentiable, forward and reverse, with respect to every number in the cell and
    the protocol (not the times at which waveforms switch).

    Raises `ValueError` for what is no cell or protocol, and for a cell in float32;
    `SolveError` for a solve that failed.
    """
    check_cell(cell)
    protocol = protocol_from(protocol)
    model = discrete_cell(cell)
    chosen_steps = with_first_step(Steps() if steps is None else steps, model)
    state = at_rest(model)
    if start is not None:
        _check_start(start, cell, state)
        state = start.state
    runs: list[Run] = []
    balances: list[CoupledBalance] = []
    ended: list[str] = []
    over = jnp.asarray(False)
    report = report_progress if progress else None
    for index, step in enumerate(protocol):
        with step_bar(index, protocol) if progress else contextlib.nullcontext():
            balance, run, margins, bare = _run_step(
                model, plain_step(step), state, over, chosen_steps, report
            )
            if progress:
                jax.effects_barrier()
        state = run.state
        runs.append(run)
        balances.append(balance)
        over = over | _ends_protocol(balance, run, margins)
        if is_traced(run.time):
            continue
        ended.append("stripped" if bool(bare) else _ended_by(balance, run, margins))
        if bool(over) or bool(run.result != RESULTS.successful):
            break
    solution = _solution(cell, protocol, model, balances[-1], runs, tuple(ended), start)
    if throw and not is_traced(solution.end_time):
        failed = [run.result for run in runs if bool(run.result != RESULTS.successful)]
        if failed:
            raise SolveError(str(RESULTS[failed[0]]), solution)
    return solution


def check_precision(cell: Cell) -> None:
    """Refuse a cell in float32."""
    reason = ", for currents that close to ten digits"
    check_double("cell", cell.scaffold.pore_fraction.dtype, reason)


def _check_start(start: Simulation, cell: Cell, rest: CellState) -> None:
    """Refuse to go on from a cell whose state is made of other things."""
    if start.cell.grid.shape != cell.grid.shape:
        raise refuse(
            "start",
            f"a run of a cell of {cell.grid.shape} cells",
            f"one of {start.cell.grid.shape}",
        )
    before = start.state
    parts = {
        "films that grow": (rest.use, before.use),
        "a solid_conductivity": (rest.fields.solid, before.fields.solid),
    }
    for name, (now, then) in parts.items():
        if (now is None) != (then is None):
            has = ["without", "with"]
            raise refuse(
                "start",
                f"a run of a cell {has[now is not None]} {name}, as this one",
                f"one {has[then is not None]}",
                "Give both cells the same, if need be with a rate of zero or 1e7 S/m.",
            )


def step_bar(index: int, protocol: Protocol) -> contextlib.AbstractContextManager[None]:
    """A progress bar with the step in hand; by time, or by what else may end it."""
    step = protocol[index]
    words = textwrap.shorten(str(step), 48, placeholder=" …")
    end = float("inf") if is_traced(step.end_time) else float(step.end_time)
    return progress_bar(
        f"Step {index + 1} of {len(protocol)}: {words}",
        lambda time, fallen: max(fallen, time / end),
    )


class PlainStep(eqx.Module):
    """A step without its name, so that steps alike share one program."""

    drive: AbstractWaveform
    by_current: Bool[Array, ""]
    stops: tuple[Until, ...]
    end_time: Scalar


# Conditions that every step has, at levels that are never met unless it asks for them:
# one program serves all of a protocol.
_NEVER = {
    "charge": 1e30,
    "voltage_below": -1e9,
    "voltage_above": 1e9,
    "current_below": 0.0,
    "depletion": -1.0,
}


def plain_step(step: Step) -> PlainStep:
    """A step as it is solved: with depletion among its conditions where need be."""
    asked = [_met(stop) for stop in step.stops if stop.kind != "time"]
    # Beyond depletion an imposed current has no solution.
    if step.mode == "current" and all(stop.kind != "depletion" for stop in asked):
        asked.append(_met(Until.depletion()))
    usual = {
        kind: Until(
            kind, as_float(level), "protocol" if kind == "depletion" else "step"
        )
        for kind, level in _NEVER.items()
    }
    free, others = set(_NEVER), []
    for stop in asked:
        if stop.kind in free and stop.share == 0:
            usual[stop.kind] = stop
            free.remove(stop.kind)
        else:
            others.append(stop)
    stops = (*usual.values(), *others)
    return PlainStep(
        step.drive, jnp.asarray(step.mode == "current"), stops, step.end_time
    )


def _met(stop: Until) -> Until:
    """The condition; depletion at a level that a wall can reach."""
    if stop.kind != "depletion":
        return stop
    return eqx.tree_at(lambda s: s.level, stop, jnp.maximum(stop.level, DEPLETED))


def check_cell(cell: Any) -> None:
    """Refuse what is no cell, and one in float32."""
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    _ = cell.salt
    check_precision(cell)


def discrete_cell(cell: Cell) -> CellModel:
    """The cell as it is computed with; one program for all of a structure."""
    return _discrete_cell(cell, reacting_places(cell))


@eqx.filter_jit
def _discrete_cell(cell: Cell, places: int | None) -> CellModel:
    return cell_model(cell, places)


@compiled_quickly
def parts_of_voltage(model: CellModel, state: CellState) -> dict[str, Scalar]:
    """Parts of the collector's potential [V], compiled."""
    return voltage_parts(model, state)


@compiled_quickly
def _run_step(model, step: PlainStep, state: CellState, over, steps, report):
    balance = CoupledBalance(
        model, step.drive, step.by_current, step.stops, state.charge
    )
    # A current cannot be stripped from nothing.
    left = jax.lax.stop_gradient(balance.deposit_left(state))
    first = step.drive.value(jnp.zeros_like(left))
    bare = step.by_current & (first < 0) & (left <= BARE)
    if model.host.deposit is not None:
        stop = Until.stripped(jnp.maximum(REST * left, BARE))
        balance = dataclasses.replace(balance, stops=(*balance.stops, stop))
    end_time = jnp.where(over | bare, 0.0, step.end_time)
    run = integrate(balance, state, end_time, steps, report=report)
    return balance, run, balance.margins(run.time, run.state), bare


def with_first_step(steps: Steps, model: CellModel) -> Steps:
    """A first step well before salt crosses a cell; a power of two in seconds."""
    if steps.fixed is not None or steps.first_step is not None:
        return steps
    smallest = jnp.min(jnp.stack([jnp.min(width) for width in model.grid.widths]))
    guess = jax.lax.stop_gradient(smallest**2 / model.reference_diffusivity) / 16
    guess = jnp.exp2(jnp.floor(jnp.log2(guess)))
    return eqx.tree_at(
        lambda s: s.first_step, steps, guess, is_leaf=lambda x: x is None
    )


def _ends_protocol(balance: CoupledBalance, run: Run, margins) -> Bool[Array, ""]:
    """Whether the condition that ended the step ends everything."""
    if not margins:
        return jnp.asarray(False)
    last = jnp.asarray([stop.ends == "protocol" for stop in balance.stops])
    return run.event_found & last[jnp.argmin(jnp.stack(margins))]


def _ended_by(balance: CoupledBalance, run: Run, margins) -> str:
    if bool(run.result != RESULTS.successful):
        return "failure"
    if not bool(run.event_found):
        return "time"
    return balance.stops[int(np.argmin(margins))].name


def _solution(
    cell: Cell,
    protocol: Protocol,
    model: CellModel,
    balance: CoupledBalance,
    runs: list[Run],
    ended: tuple[str, ...],
    start: Simulation | None,
) -> Simulation:
    state = runs[-1].state
    x, scale = state.fields, model.thermal_voltage
    c0 = cell.electrolyte.concentration
    time, index, values = _histories(runs)
    solid = jnp.broadcast_to(x.collector, x.c.shape)
    if model.solid is not None:
        solid = solid + jnp.where(model.solid.reached, jnp.asarray(x.solid), 0.0)
    begun = jnp.zeros((), time.dtype) if start is None else start.end_time
    lengths = jnp.stack([run.time for run in runs])
    results = runs[-1].result
    for run in reversed(runs):
        results = RESULTS.where(run.result == RESULTS.successful, results, run.result)
    begun_charge = jnp.zeros_like(state.charge) if start is None else start.charge
    charges = jnp.stack([begun_charge, *(run.state.charge for run in runs)])
    parts = [parts_of_voltage(model, run.state) for run in runs]
    counts = jnp.sum(jnp.stack([run.iterations for run in runs]), 0)
    return Simulation(
        time=begun + time,
        step=index,
        voltage=values["voltage"],
        current_density=values["current_density"],
        lowest_wall_concentration=c0 * values["lowest_wall_concentration"],
        mean_current_density=values["mean_local_current_density"],
        highest_current_density=values["highest_local_current_density"],
        charge_imbalance=values["charge_imbalance"],
        concentration=jnp.where(model.in_pore, c0 * x.c, 0.0),
        liquid_potential=scale * x.liquid,
        solid_potential=scale * solid,
        local_current_density=state.reactions.host.current,
        collector_current_density=state.reactions.floor.current,
        plated_charge=state.plated[0],
        final_voltage=scale * x.collector,
        voltage_parts=parts[-1],
        film_resistance=dict(zip(_SURFACES, model.films_after(state.use), strict=True)),
        charge=state.charge,
        end_time=begun + jnp.sum(lengths),
        step_times=lengths,
        step_charges=jnp.diff(charges),
        step_voltage_parts={k: jnp.stack([p[k] for p in parts]) for k in parts[-1]},
        ended_by=ended,
        newton_steps=counts[0],
        linear_iterations=counts[1],
        time_steps=jnp.sum(jnp.stack([run.steps for run in runs])),
        result=results,
        cell=cell,
        protocol=protocol,
        state=state,
    )


def _histories(runs: list[Run]):
    """Time, number of the step, and what was observed, over all steps."""
    begun, times, indices, values = jnp.zeros(()), [], [], []
    for index, run in enumerate(runs):
        known = jax.lax.stop_gradient(run.history)
        # What stood at the start was not settled yet: the record begins after.
        count = None if is_traced(run.steps) else int(run.steps) + 1
        part = slice(1, count)
        times.append(begun + known.time[part])
        indices.append(jnp.full(times[-1].shape, index))
        values.append({name: v[part] for name, v in known.values.items()})
        begun = begun + jax.lax.stop_gradient(run.time)
    joined = {name: jnp.concatenate([v[name] for v in values]) for name in values[0]}
    return jnp.concatenate(times), jnp.concatenate(indices), joined
