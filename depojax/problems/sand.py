"""Sand's time: when, and where, plating empties the electrolyte at the metal.

The salt balance of the whole cell is integrated from a uniform concentration, with the
plating current spread evenly over the true surface. (In a cell with kinetics, electrons
that have to pass the host, or a concentrated electrolyte the current goes where these
send it, see `sand_coupled`.)

    ∂(ε c)/∂t = ∇·(D_eff ∇c) − N_s a,   N_s = (1 − t₊) J A_footprint / (z₊ν₊F A_true)

until the *wall* concentration c_s = c_P − N_s δ/D falls to zero somewhere, or on a
given share of the metal. That time is Sand's time, the charge J τ passed until then
Sand's capacity. Below the limiting current a steady state is reached first and nothing
is ever depleted.

Sand, Phil. Mag. 1 (1901) 45, doi:10.1080/14786440109462590; Newman & Thomas-Alyea,
Electrochemical Systems, 3rd ed., ch. 11.
"""

import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from depojax._checks import check_range, refuse
from depojax._compile import compiled_quickly
from depojax._progress import progress_bar, report_progress
from depojax._types import Cells, Scalar, as_float, is_traced
from depojax.physics.ions import MultiIonElectrolyte
from depojax.problems.cell import Cell
from depojax.problems.currents import ConstantCurrent, as_current
from depojax.problems.depletion import depletion_times
from depojax.problems.places import share_below
from depojax.problems.salt_balance import (
    SaltBalance,
    can_be_steady,
    salt_balance,
    steady_deviation,
)
from depojax.problems.sand_coupled import coupled_sand_time, goes_its_own_way
from depojax.problems.sand_solution import NEARLY, SandSolution
from depojax.problems.space_charge import limiting_current_of_ions
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import History, Steps, integrate


def sand_time(
    cell: Cell,
    current_density: Any,
    *,
    steps: Steps | None = None,
    depleted_share: float = 0.0,
    max_time: Any = None,
    run_on: float | None = None,
    linear_tolerance: float | None = None,
    progress: bool = False,
    throw: bool = True,
) -> SandSolution:
    """Sand's time of a cell: when and where plating runs out of ions.

    Args:
        cell: scaffold, electrolyte and far side. Where it has `kinetics`, a
            `solid_conductivity` or a `ConcentratedElectrolyte`, the current goes where
            these send it, as in `simulate`; else it is spread evenly.
        current_density: plating current per footprint [A m⁻²], or a current protocol
            such as `PulsedCurrent`.
        steps: choice of time steps; `Steps(tolerance=1e-4)` by default.
        depleted_share: share of the plated area [-] whose depletion is Sand's time; by
            default that of the first place. In scans and random hosts that place may be
            a pocket that all but closes and says nothing of the host: a few percent
            look past it. Places that are depleted before keep their share of the
            current until then; `run_on` maps what happens when they hand it on.
        max_time: give up waiting for depletion at this time [s].
        run_on: go on to this multiple of Sand's time and map when each place on the
            metal is depleted (`depletion_time`; see `depojax.problems.depletion`).
            A depleted place plates what diffusion brings, the rest shares the rest.
        linear_tolerance: relative residual of the linear solves; 1e-9 in float64, 1e-5
            in float32 by default.
        progress: show a progress bar on stderr.
        throw: raise `SolveError` when a solve fails, instead of saying so in `result`.

    Differentiable, forward and reverse, with respect to every number in `cell` and the
    current (not the step sizes, nor the times at which pulses switch). Where nothing is
    depleted the derivative is zero. On a grid that does not resolve the depleted layer
    the answer is refused, not guessed.

    Raises `ValueError` for a current that is not positive, `SolveError` for a failed
    solve.
    """
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    share = _share(depleted_share)
    current = as_current(current_density)
    coupled = goes_its_own_way(cell)
    if coupled and run_on is not None:
        raise refuse(
            "run_on",
            "a cell whose current is spread evenly",
            "one with kinetics, conductivity or a concentrated electrolyte",
            "Without run_on, or ask simulate: with kinetics it goes past depletion.",
        )
    if max_time is not None:
        check_range("max_time", max_time, 0.0, jnp.inf, "s", open_low=True)
    elif not isinstance(current, ConstantCurrent) and can_be_steady(cell):
        raise refuse(
            "max_time",
            "a time [s] to stop at",
            None,
            "A pulsed current may never deplete this cell.",
        )
    if run_on is not None:
        check_range("run_on", run_on, 1.0, 1e3, open_low=True)
    if steps is not None and not isinstance(steps, Steps):
        raise refuse(
            "steps", "a depojax.Steps", repr(steps), "As Steps(tolerance=1e-5)."
        )
    end = as_float(jnp.inf if max_time is None else max_time)
    tolerance = _linear_tolerance(cell, linear_tolerance)
    steps = Steps() if steps is None else steps
    report = report_progress if progress else None
    with progress_bar("Sand's time") if progress else contextlib.nullcontext():
        if coupled:
            solution = coupled_sand_time(cell, current, steps, end, share, report)
        else:
            solution = _sand_time(cell, current, steps, end, tolerance, share, report)
        # The map begins where the first place is depleted, whatever ends the run.
        first = solution
        if run_on is not None and share > 0:
            first = _sand_time(cell, current, steps, end, tolerance, 0.0, report)
        if progress:
            jax.effects_barrier()
    if throw:
        _raise_if_failed(solution)
    if run_on is not None:
        with progress_bar("Running on") if progress else contextlib.nullcontext():
            last = run_on * solution.time
            times, error, result = depletion_times(
                first, last, steps, tolerance, report
            )
            if progress:
                jax.effects_barrier()
        failed = RESULTS.where(
            solution.result == RESULTS.successful, result, solution.result
        )
        solution = eqx.tree_at(
            lambda s: (s.depletion_time, s.salt_balance_error, s.result),
            solution,
            (times, jnp.maximum(solution.salt_balance_error, error), failed),
            is_leaf=lambda x: x is None,
        )
        if throw:
            _raise_if_failed(solution)
    return solution


def limiting_current(
    cell: Cell,
    *,
    depleted_share: float = 0.0,
    linear_tolerance: float | None = None,
) -> Scalar:
    """Largest current density [A m⁻² of footprint] that depletes nothing, ever.

    Or, with `depleted_share`, not more than that share of the plated area.

    The steady state under even plating, scaled until the lowest wall concentration is
    zero. In a gap L between metal electrodes it is 2 z₊ν₊F D c₀ / ((1 − t₊) L). Zero
    for a blocked or half-infinite far side, where every current depletes in the end.
    Where ions are told one by one (`MultiIonElectrolyte`) it is what a neutral solution
    carries to a metal at which nothing is left of the plated ion, wherever that is.

    Raises `SolveError` when the steady solve fails.
    """
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    share = _share(depleted_share)
    if not can_be_steady(cell):
        return jnp.zeros((), cell.scaffold.pore_fraction.dtype)
    if isinstance(cell.electrolyte, MultiIonElectrolyte):
        return limiting_current_of_ions(cell)
    tolerance = _linear_tolerance(cell, linear_tolerance)
    value, good = _limiting_current(cell, tolerance, share)
    if not is_traced(good) and not bool(good):
        raise SolveError(str(RESULTS[RESULTS.linear_solve_failed]))
    return value


@compiled_quickly
def _limiting_current(cell: Cell, rtol: float, share: float):
    balance = salt_balance(cell, as_current(1.0), rtol, share)
    steady, good = steady_deviation(balance, cell)
    return _limit(balance, steady), good


@compiled_quickly
def _sand_time(cell, current, steps, end_time, rtol, share, report) -> SandSolution:
    balance = salt_balance(cell, current, rtol, share)
    dtype = balance.mass.dtype
    steps = _with_first_step(steps, balance)
    if can_be_steady(cell):
        per_current, steady_good = steady_deviation(balance, cell)
        limit = _limit(balance, per_current)
    else:
        per_current, steady_good = jnp.zeros_like(balance.mass), jnp.asarray(True)
        limit = jnp.zeros((), dtype)
    constant = isinstance(current, ConstantCurrent)
    never = (current.mean <= limit) if constant else jnp.asarray(False)
    steady = jax.lax.stop_gradient(never)
    end_time = jnp.where(steady, 0.0, end_time.astype(dtype))
    run = integrate(
        balance, jnp.zeros_like(balance.mass), end_time, steps, report=report
    )
    u = jnp.where(steady, current.mean * per_current, run.state)
    last = balance.during(run.time * (1 - 1e-6), jnp.zeros((), dtype))
    wall = jnp.where(balance.wall, last.wall_deviation(run.time, u), u)
    place = jnp.unravel_index(balance.place(wall, share), wall.shape)
    c0 = cell.electrolyte.concentration
    result = RESULTS.where(
        steady_good | ~steady, run.result, RESULTS.linear_solve_failed
    )
    time = jnp.where(run.event_found, run.time, jnp.inf)
    return SandSolution(
        time=time,
        capacity=jnp.where(run.event_found, current.charge(run.time), jnp.inf),
        location=jnp.stack(
            [x[i] for x, i in zip(cell.grid.centers, place, strict=True)]
        ),
        concentration=c0 * _positive(balance, u),
        wall_concentration=c0 * _positive(balance, wall),
        depletion_time=None,
        nearly_depleted=share_below(wall, balance.wall_area, NEARLY - 1),
        limiting_current=limit,
        end_time=jnp.where(steady, jnp.inf, run.time),
        history=_in_units(run.history, jax.lax.stop_gradient(c0)),
        salt_balance_error=_balance_error(balance, run, current, steady),
        steps=run.steps,
        attempts=run.attempts,
        linear_iterations=run.iterations,
        depleted=run.event_found,
        result=result,
        cell=cell,
        current=current,
        depleted_share=share,
    )


def _share(depleted_share: Any) -> float:
    check_range("depleted_share", depleted_share, 0.0, 1.0, open_high=True)
    return float(depleted_share)


def _positive(balance: SaltBalance, deviation: Cells) -> Cells:
    """c/c₀, zero in the solid and in corners that a crack alone connects."""
    ratio = 1 + deviation
    return jnp.where((balance.mass > 0) & (ratio > 0), ratio, 0.0)


def _limit(balance: SaltBalance, per_current: Cells) -> Scalar:
    """Current at which 1 + J (u − drop) reaches zero on the share of the wall."""
    rise = per_current - balance.drop
    return -1 / rise.ravel()[balance.place(rise, balance.share)]


def _with_first_step(steps: Steps, balance: SaltBalance) -> Steps:
    """A first step within which the wall's concentration hardly falls.

    A power of two in seconds, so that it does not follow small changes of a parameter.
    """
    if steps.fixed is not None or steps.first_step is not None:
        return steps
    beside = jnp.sum(jnp.where(balance.wall, balance.mass, 0.0))
    uptake = balance.current.highest * jnp.sum(balance.sink) / beside
    guess = 0.01 / uptake
    guess = jax.lax.stop_gradient(jnp.exp2(jnp.floor(jnp.log2(guess))))
    return eqx.tree_at(
        lambda s: s.first_step, steps, guess, is_leaf=lambda x: x is None
    )


def _balance_error(balance: SaltBalance, run, current, steady) -> Scalar:
    """Salt found in the cell against salt booked at its sides, per salt plated."""
    found = jnp.sum(balance.storage(run.state))
    plated = current.charge(run.time) * jnp.sum(balance.sink)
    error = jnp.abs(found - run.exchanged) / jnp.where(plated > 0, plated, 1)
    return jax.lax.stop_gradient(jnp.where(steady, 0.0, error))


def _in_units(history: History, c0: Scalar) -> History:
    values = dict(history.values)
    for name in ("lowest_wall_concentration", "mean_wall_concentration"):
        values[name] = c0 * values[name]
    return History(history.time, values)


def _linear_tolerance(cell: Cell, asked: float | None) -> float:
    if asked is not None:
        check_range("linear_tolerance", asked, 1e-14, 1e-2)
        return float(asked)
    return 1e-9 if cell.scaffold.pore_fraction.dtype == jnp.float64 else 1e-5


def _raise_if_failed(solution: SandSolution) -> None:
    if is_traced(solution.time):
        return
    if bool(solution.result != RESULTS.successful):
        raise SolveError(str(RESULTS[solution.result]), solution)
