"""Polarisation curves: the voltage of a cell, and its parts, current by current.

Each current is held until the cell is steady, from where the one before has left it. A
current beyond the limiting one ends by depletion: it has no voltage.
"""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depojax._checks import check_finite, refuse
from depojax._types import Scalar, as_float, concrete, is_traced
from depojax.problems.cell import Cell
from depojax.problems.magnitudes import a_time
from depojax.problems.salt_balance import can_be_steady
from depojax.problems.simulate import Simulation, check_cell, simulate
from depojax.problems.steps import Galvanostatic
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps

_DIFFUSION_TIMES = 100.0  # L²/D: e⁻⁹⁰ is left where τ is 10


class PolarisationCurve(eqx.Module):
    """Voltage by current. NaN where the cell cannot carry the current."""

    current_density: Float[Array, " n"]  # per footprint, as asked for [A m-2]
    voltage: Float[Array, " n"]  # collector against counter electrode [V]
    voltage_parts: dict[str, Float[Array, " n"]]  # that add up to it [V]
    lowest_wall_concentration: Float[Array, " n"]  # at the end [mol m-3]
    carried: Bool[Array, " n"]  # whether the current was held until the end
    depletion_time: Float[Array, " n"]  # from its start, inf where carried, NaN: unrun
    time: Scalar  # for which each current was held [s]
    ended_by: tuple[str, ...]  # each "time", "depletion", "failure" or "not run"
    last: Simulation  # of the last current that was carried (or tried, if none)

    @property
    def limiting_current(self) -> tuple[Scalar, Scalar]:
        """|J| between which the limiting current lies [A m⁻²].

        The largest that was carried (0 if none was) and the smallest that was not (inf
        if all were), of both signs together.
        """
        size = jnp.abs(self.current_density)
        return (
            jnp.max(jnp.where(self.carried, size, 0.0)),
            jnp.min(jnp.where(self.carried, jnp.inf, size)),
        )

    def to_xarray(self):
        """The curve as an `xarray.Dataset` along `current_density`."""
        from depojax.io import to_xarray

        return to_xarray(self)


def polarisation_curve(
    cell: Cell,
    current_densities: Any,
    *,
    time: Any = None,
    steps: Steps | None = None,
    start: Simulation | None = None,
    throw: bool = True,
) -> PolarisationCurve:
    """Steady voltage, and its parts, at several currents.

    Args:
        cell: as for `simulate`.
        current_densities: J per footprint [A m⁻²], other than zero, run in this order;
            negative ones strip. From small to large is best.
        time: for which each current is held [s]: give it for a curve at a given time.
            By default 100 L²/D, L all of the cell along z: a steady state.
        steps: choice of time steps, see `simulate`.
        start: a run of the same cell to go on from; by default uniform salt. A current
            that the cell carries does not change the steady state after it.
        throw: raise `SolveError` when a solve fails, instead of leaving NaN there.

    Where a wall is depleted before the time is over the current is not `carried`; the
    next one goes on from the last that was, and those of the same sign that are as
    large are not run. All currents share one compiled program.

    While stripping it is the counter electrode that is depleted, which no condition
    looks for: beyond its limit the solve fails ("failure", with `throw=False`).

    Differentiable, forward and reverse, with respect to all numbers in the cell, for
    currents that are carried.

    Raises `ValueError` for what is no cell or current, and where no time is given but
    the cell has no steady state; `SolveError` for a solve that failed.
    """
    check_cell(cell)
    check_finite("current_densities", current_densities)
    currents = jnp.atleast_1d(as_float(current_densities))
    if currents.ndim != 1 or currents.size == 0:
        raise refuse(
            "current_densities", "one current or a list", f"shape {currents.shape}"
        )
    held = _steady_time(cell) if time is None else a_time("time", time)
    runs: list[Simulation | None] = []
    ended: list[str] = []
    last, beyond = start, {}
    for J in currents:
        if _is_beyond(J, beyond):
            runs.append(None)
            ended.append("not run")
            continue
        run = _run(cell, J, held, steps, last)
        good = is_traced(run.end_time) or bool(run.result == RESULTS.successful)
        if not good and last is not None:
            # Too large a leap for walls that are all but empty: from rest it is none.
            run = _run(cell, J, held, steps, None)
            good = bool(run.result == RESULTS.successful)
        if throw and not good:
            raise SolveError(str(RESULTS[run.result]), run)
        runs.append(run)
        ended.append("" if is_traced(run.end_time) else run.ended_by[0])
        if is_traced(run.end_time) or run.ended_by == ("time",):
            last = run
        else:
            known = float(J)
            sign = known > 0
            beyond[sign] = min(abs(known), beyond.get(sign, abs(known)))
    return _curve(currents, runs, ended, held, last if last is not None else runs[0])


def _steady_time(cell: Cell) -> Scalar:
    if not can_be_steady(cell):
        raise refuse(
            "time",
            "a time for which each current is held",
            f"none, and a {cell.counter_electrode} far side has no steady state",
        )
    electrolyte = cell.salt
    D = electrolyte.properties(electrolyte.concentration).diffusivity
    return _DIFFUSION_TIMES * cell.grid.lengths[2] ** 2 / D


def _is_beyond(J: Scalar, beyond: dict[bool, float]) -> bool:
    known = concrete(J)
    if known is None:
        return False
    return abs(float(known)) >= beyond.get(float(known) > 0, math.inf)


def _run(cell, J, time, steps, start) -> Simulation:
    step = Galvanostatic(J, time=time)
    return simulate(cell, step, steps=steps, start=start, throw=False)


def _curve(currents, runs, ended, time, last) -> PolarisationCurve:
    first = next(run for run in runs if run is not None)
    nothing = jnp.full_like(first.final_voltage, jnp.nan)

    def column(of):
        """A number of all runs that were carried."""
        values = []
        for run in runs:
            carried = run is not None and _carried(run, time)
            values.append(
                nothing if run is None else jnp.where(carried, of(run), nothing)
            )
        return jnp.stack(values)

    names = first.voltage_parts
    return PolarisationCurve(
        current_density=currents,
        voltage=column(lambda run: run.final_voltage),
        voltage_parts={
            name: column(lambda run, name=name: run.voltage_parts[name])
            for name in names
        },
        lowest_wall_concentration=column(
            lambda run: _last(run.lowest_wall_concentration)
        ),
        carried=jnp.stack(
            [jnp.asarray(False) if run is None else _carried(run, time) for run in runs]
        ),
        depletion_time=jnp.stack(
            [
                nothing
                if run is None
                else jnp.where(_carried(run, time), jnp.inf, run.step_times[-1])
                for run in runs
            ]
        ),
        time=time,
        ended_by=tuple(ended),
        last=last,
    )


def _carried(run: Simulation, time: Scalar) -> Bool[Array, ""]:
    whole = run.step_times[-1] >= (1 - 1e-9) * time
    return whole & (run.result == RESULTS.successful)


def _last(history: Float[Array, " n"]) -> Scalar:
    """The last entry that was written."""
    count = jnp.sum(jnp.isfinite(history)) - 1
    return history[jnp.maximum(count, 0)]
