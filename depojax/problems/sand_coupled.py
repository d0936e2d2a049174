"""Sand's time where the current goes as kinetics, potentials and properties send it.

The coupled cell of `cell_model` under an imposed current, from rest until the wall is
depleted: at c_s = c₀/10 000, for with kinetics it never gets to zero. Below its
limiting current the cell becomes steady instead.
"""

from typing import Any

import jax
import jax.numpy as jnp

from depojax._compile import compiled_quickly
from depojax._types import Scalar
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import cell_model, reacting_places
from depojax.problems.cell_model import CellModel
from depojax.problems.coupled import DEPLETED, CoupledBalance, at_rest
from depojax.problems.currents import AbstractCurrent, ConstantCurrent
from depojax.problems.places import deciding_place, share_below
from depojax.problems.salt_balance import can_be_steady
from depojax.problems.sand_solution import NEARLY, SandSolution
from depojax.problems.simulate import check_precision, with_first_step
from depojax.problems.until import Until
from depojax.solvers.time import History, Run, Steps, integrate


def goes_its_own_way(cell: Cell) -> bool:
    """Whether the current of the cell is not to be spread evenly."""
    given = cell.kinetics is not None or cell.solid_conductivity is not None
    return given or not isinstance(cell.electrolyte, BinaryElectrolyte)


def coupled_sand_time(
    cell: Cell,
    current: AbstractCurrent,
    steps: Steps,
    end_time: Scalar,
    share: float,
    report: Any = None,
) -> SandSolution:
    """Sand's time of the coupled cell; see `depojax.sand_time`."""
    check_precision(cell)
    places = reacting_places(cell)
    return _coupled_sand_time(cell, places, current, steps, end_time, share, report)


@compiled_quickly
def _coupled_sand_time(
    cell, places, current, steps, end_time, share, report
) -> SandSolution:
    model = cell_model(cell, places)
    stops = (Until.depletion(DEPLETED, share=share),)
    if can_be_steady(cell) and isinstance(current, ConstantCurrent):
        stops += (Until.steady(),)
    begun = jnp.zeros((), model.pore_volume.dtype)
    by_current = jnp.asarray(True)
    balance = CoupledBalance(model, current, by_current, stops, begun)
    steps = with_first_step(steps, model)
    run = integrate(balance, at_rest(model), end_time, steps, report=report)
    first, *others = balance.margins(run.time, run.state)
    depleted = run.event_found & jnp.all(jnp.asarray([first <= m for m in others]))
    steady = run.event_found & ~depleted
    wall, area = balance.walls(run.state)
    place = jnp.unravel_index(deciding_place(wall, area, share), wall.shape)
    c0, x = cell.electrolyte.concentration, run.state.fields
    ratio = jnp.where(model.in_pore, x.c, 0.0)
    at_wall = jnp.where(area > 0, jnp.maximum(wall, 0), ratio)
    return SandSolution(
        time=jnp.where(depleted, run.time, jnp.inf),
        capacity=jnp.where(depleted, current.charge(run.time), jnp.inf),
        location=jnp.stack(
            [x[i] for x, i in zip(cell.grid.centers, place, strict=True)]
        ),
        concentration=c0 * ratio,
        wall_concentration=c0 * at_wall,
        depletion_time=None,
        nearly_depleted=share_below(wall, area, NEARLY),
        limiting_current=None,
        end_time=jnp.where(steady, jnp.inf, run.time),
        history=_in_units(run.history, jax.lax.stop_gradient(c0)),
        salt_balance_error=_balance_error(model, run),
        steps=run.steps,
        attempts=run.attempts,
        linear_iterations=run.iterations[1],
        newton_steps=run.iterations[0],
        depleted=depleted,
        result=run.result,
        cell=cell,
        current=current,
        depleted_share=share,
    )


def _balance_error(model: CellModel, run: Run) -> Scalar:
    """Salt found against salt booked, per salt in the cell."""
    before = jnp.sum(jnp.where(model.in_pore, model.storage, 0.0))
    found = jnp.sum(jnp.where(model.in_pore, model.storage * run.state.fields.c, 0.0))
    return jax.lax.stop_gradient(jnp.abs(found - before - run.exchanged) / before)


def _in_units(history: History, c0: Scalar) -> History:
    named = {
        "current_density": 1.0,
        "voltage": 1.0,
        "lowest_wall_concentration": c0,
        "mean_wall_concentration": c0,
    }
    # What stood at the start was not settled yet.
    time = history.time[1:]
    return History(
        time, {k: scale * history.values[k][1:] for k, scale in named.items()}
    )
