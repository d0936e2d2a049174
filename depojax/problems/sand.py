"""Sand's time: when, and where, plating empties the electrolyte at the metal.

The salt balance of the whole cell is integrated from a uniform concentration, with the
plating current spread evenly over the true surface (kinetics decide otherwise once the
cell has them):

    ∂(ε c)/∂t = ∇·(D_eff ∇c) − N_s a,   N_s = (1 − t₊) J A_footprint / (z₊ν₊F A_true)

until the *wall* concentration c_s = c_P − N_s δ/D falls to zero somewhere. That time is
Sand's time, the charge J τ passed until then Sand's capacity. Below the limiting
current a steady state is reached first and nothing is ever depleted.

Sand, Phil. Mag. 1 (1901) 45, doi:10.1080/14786440109462590; Newman & Thomas-Alyea,
Electrochemical Systems, 3rd ed., ch. 11.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Float, Int

from depojax._checks import check_range, refuse
from depojax._types import Cells, Faces, Scalar, as_float, static
from depojax.fv.boundary import FixedFlux, FixedValue, boundary_terms
from depojax.fv.flux import two_point_flux
from depojax.fv.operators import conductances, divergence, without_ends
from depojax.physics.transport import salt_uptake
from depojax.problems.cell import Cell, Domain
from depojax.problems.protocols import AbstractCurrent, ConstantCurrent, as_current
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import Hierarchy, build_hierarchy
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import AbstractBalance, History, Steps, integrate


class SandSolution(eqx.Module):
    """When and where the ions run out, and the state of the cell then.

    Without depletion (below the limiting current, or before `max_time`) the time and
    the capacity are infinite, and the fields are those of the steady state, or of
    `max_time`. `message` says it in words.
    """

    time: Scalar  # Sand's time τ [s]
    capacity: Scalar  # charge passed per footprint until then [C m-2]
    location: Float[Array, "3"]  # cell centre where the wall concentration is lowest [m]
    concentration: Cells  # salt, at the end of the run [mol m-3]
    wall_concentration: Cells  # c_s beside the plated surface, else c [mol m-3]
    depletion_time: Cells | None  # of each place on the metal, inf if later [s]
    limiting_current: Scalar  # even plating depletes nothing below it [A m-2]
    end_time: Scalar  # of the run [s]
    history: History
    salt_balance_error: Scalar  # |found − booked| / salt plated until the end [-]
    steps: Int[Array, ""]
    attempts: Int[Array, ""]
    linear_iterations: Int[Array, ""]
    depleted: Bool[Array, ""]
    result: RESULTS
    cell: Cell
    current: AbstractCurrent

    @property
    def message(self) -> str:
        """What came out, in a sentence."""
        return _sentence(self)

    def to_xarray(self):
        """The solution as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


class SaltBalance(AbstractBalance):
    """The salt balance of a cell in u = c/c₀ − 1, per reference volume V₀.

        m u' = J (inflow − sink) − loss u + ∇·(g ∇u)

    The deviation u starts from zero, so that float32 keeps its small values. All
    coefficients are per second.
    """

    mass: Cells  # pore volume / V₀
    loss: Cells  # conductance of the sides that hold c₀ [s-1]
    conductance: Faces  # of the inner faces [s-1]
    inflow: Cells  # at the counter electrode, per current density [m2 A-1 s-1]
    sink: Cells  # at the plated surface, per current density [m2 A-1 s-1]
    drop: Cells  # (c_P − c_s)/c₀ per current density [m2 A-1]
    wall: Bool[Array, "x y z"]
    wall_area: Cells  # [m2]
    current: AbstractCurrent
    hierarchy: Hierarchy
    rtol: float = static()
    periodic: tuple[bool, bool, bool] = static()

    def storage(self, y):
        return self.mass * y

    def rate(self, t, y):
        flux = two_point_flux(self.conductance, y, self.periodic)
        forcing = self.current.value(t) * (self.inflow - self.sink)
        return forcing - self.loss * y - divergence(flux)

    def exchange(self, t, y):
        forcing = jnp.sum(self.inflow) - jnp.sum(self.sink)
        return self.current.value(t) * forcing - jnp.sum(self.loss * y)

    def solve_stage(self, t, known, a, guess):
        operator = self.operator(1 / a)
        b = known / a + self.current.value(t) * (self.inflow - self.sink)
        return _solve(operator, self.hierarchy, b, guess, self.rtol)

    def damp(self, y, a, error):
        shift = (1 / a).astype(self.hierarchy.levels[0].mass.dtype)
        return self.hierarchy.cycle(shift)(error / a)

    def event(self, t, y):
        return jnp.min(jnp.where(self.wall, 1 + self.wall_deviation(t, y), jnp.inf))

    def observe(self, t, y):
        area = jnp.sum(self.wall_area)
        mean = jnp.sum(self.wall_area * self.wall_deviation(t, y)) / area
        return {
            "current_density": self.current.value(t),
            "lowest_wall_concentration": self.event(t, y),
            "mean_wall_concentration": 1 + mean,
        }

    def during(self, t, dt):
        held = ConstantCurrent(self.current.value(t + dt / 2))
        return eqx.tree_at(lambda b: b.current, self, held)

    def next_switch(self, t):
        return self.current.next_switch(t)

    def operator(self, shift: Scalar) -> DiffusionOperator:
        """(shift · m + loss) u − ∇·(g ∇u)."""
        return DiffusionOperator(
            self.mass, self.loss, self.conductance, shift, self.periodic
        )

    def wall_deviation(self, t: Scalar, y: Cells) -> Cells:
        """c_s/c₀ − 1 at the plated surface of each cell."""
        return y - self.current.value(t) * self.drop


def sand_time(
    cell: Cell,
    current_density: Any,
    *,
    steps: Steps | None = None,
    max_time: Any = None,
    linear_tolerance: float | None = None,
    progress: bool = False,
    throw: bool = True,
) -> SandSolution:
    """Sand's time of a cell: when and where plating runs out of ions.

    Args:
        cell: scaffold, electrolyte and far side.
        current_density: plating current per footprint [A m⁻²], or a current protocol
            such as `PulsedCurrent`.
        steps: choice of time steps; `Steps(tolerance=1e-4)` by default.
        max_time: give up waiting for depletion at this time [s].
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
    current = as_current(current_density)
    if max_time is not None:
        check_range("max_time", max_time, 0.0, jnp.inf, "s", open_low=True)
    elif not isinstance(current, ConstantCurrent) and _can_be_steady(cell):
        raise refuse(
            "max_time", "a time [s] to stop at", None,
            "A pulsed current may never deplete this cell.",
        )
    end = as_float(jnp.inf if max_time is None else max_time)
    tolerance = _linear_tolerance(cell, linear_tolerance)
    if not progress:
        solution = _sand_time(cell, current, steps or Steps(), end, tolerance, None)
    else:
        from depojax._progress import progress_bar, report_progress

        with progress_bar("Sand's time"):
            solution = _sand_time(
                cell, current, steps or Steps(), end, tolerance, report_progress
            )
            jax.effects_barrier()
    return _raise_if_failed(solution) if throw else solution


def limiting_current(cell: Cell, *, linear_tolerance: float | None = None) -> Scalar:
    """Largest current density [A m⁻² of footprint] that depletes nothing, ever.

    The steady state under even plating, scaled until the lowest wall concentration is
    zero. In a gap L between metal electrodes it is 2 z₊ν₊F D c₀ / ((1 − t₊) L). Zero
    for a blocked or half-infinite far side, where every current depletes in the end.

    Raises `SolveError` when the steady solve fails.
    """
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    if not _can_be_steady(cell):
        return jnp.zeros((), cell.scaffold.pore_fraction.dtype)
    tolerance = _linear_tolerance(cell, linear_tolerance)
    value, good = _limiting_current(cell, tolerance)
    if not isinstance(good, jax.core.Tracer) and not bool(good):
        raise SolveError(str(RESULTS[RESULTS.linear_solve_failed]))
    return value


@eqx.filter_jit
def _limiting_current(cell: Cell, rtol: float):
    balance = salt_balance(cell, ConstantCurrent(1.0), rtol)
    steady, good = steady_deviation(balance, cell)
    return _limit(balance, steady), good


def salt_balance(cell: Cell, current: AbstractCurrent, rtol: float) -> SaltBalance:
    """The discrete salt balance of a cell under a current."""
    domain = cell.domain()
    grid, electrolyte = domain.grid, cell.electrolyte
    D, c0 = electrolyte.diffusivity, electrolyte.concentration
    smallest = [jax.lax.stop_gradient(jnp.min(width)) for width in grid.widths]
    volume = smallest[0] * smallest[1] * smallest[2]
    area = jnp.sum(domain.wall_area)
    per_current = salt_uptake(electrolyte, grid.footprint) / c0  # Σ N A/(J c₀)
    taken = per_current * (domain.wall_area / area)
    wall = jax.lax.stop_gradient(domain.wall_area) > 0
    drop = jnp.where(wall, per_current / area * domain.wall_distance / D, 0.0)
    sides = boundary_terms(grid, domain.face_transmission, _far_side(cell, domain, per_current / D))
    g = without_ends(conductances(grid, domain.face_transmission), grid.periodic)
    mass = domain.pore_fraction * (grid.volumes / volume)
    rate = D / volume
    loss, conductance = rate * sides.loss, tuple(rate * face for face in g)
    return SaltBalance(
        mass=mass,
        loss=loss,
        conductance=(conductance[0], conductance[1], conductance[2]),
        inflow=rate * sides.source,
        sink=taken / volume,
        drop=drop,
        wall=wall,
        wall_area=domain.wall_area,
        current=current,
        hierarchy=_low_precision_hierarchy(domain, mass, loss, conductance),
        rtol=rtol,
        periodic=grid.periodic,
    )


def steady_deviation(balance: SaltBalance, cell: Cell) -> tuple[Cells, Bool[Array, ""]]:
    """Steady u per unit of current density, and whether the solve converged."""
    singular = cell.counter_electrode == "metal"
    b = balance.inflow - balance.sink
    operator = balance.operator(jnp.zeros((), b.dtype))
    guess = jnp.zeros_like(b)
    u, good, _ = _solve(operator, balance.hierarchy, b, guess, balance.rtol, singular)
    if singular:  # salt is neither lost nor gained
        u = u - jnp.sum(balance.mass * u) / jnp.sum(balance.mass)
    return u, good


def _far_side(cell: Cell, domain: Domain, total_flux: Scalar) -> dict:
    """Condition at the counter electrode, for u and fluxes divided by D."""
    if cell.counter_electrode == "blocked":
        return {}
    if cell.counter_electrode == "metal":
        top = domain.face_transmission[2][..., -1] * domain.grid.face_areas(2)[..., 0]
        return {"z+": FixedFlux(total_flux / jnp.sum(top))}
    return {"z+": FixedValue(jnp.zeros((), domain.pore_fraction.dtype))}


def _low_precision_hierarchy(domain: Domain, mass, loss, conductance) -> Hierarchy:
    """The preconditioner's coefficients: float32 is enough, and no derivative."""
    # On a line the cycle is the exact inverse: keep its precision.
    line = sum(n > 1 for n in mass.shape) <= 1
    dtype = mass.dtype if line else jnp.float32

    def low(x):
        return jax.lax.stop_gradient(x).astype(dtype)

    grid = jax.tree.map(low, domain.grid)
    return build_hierarchy(grid, low(mass), low(loss), tuple(low(g) for g in conductance))


def _solve(operator, hierarchy, b, guess, rtol, singular=False):
    """A u = b from a guess: u, whether it converged, iterations."""
    solver = MultigridCG(rtol=rtol, singular=singular)
    guess = jax.lax.stop_gradient(guess)
    scale = jax.lax.stop_gradient(jnp.sqrt(jnp.vdot(b, b)))
    state = solver.init(operator, {"hierarchy": hierarchy, "scale": scale})
    solution = lx.linear_solve(
        operator, b - operator.mv(guess), solver, state=state, throw=False
    )
    good = solution.result == lx.RESULTS.successful
    return guess + solution.value, good, solution.stats["num_steps"]


@eqx.filter_jit
def _sand_time(cell, current, steps, end_time, rtol, report) -> SandSolution:
    balance = salt_balance(cell, current, rtol)
    dtype = balance.mass.dtype
    steps = _with_first_step(steps, balance)
    if _can_be_steady(cell):
        per_current, steady_good = steady_deviation(balance, cell)
        limit = _limit(balance, per_current)
    else:
        per_current, steady_good = jnp.zeros_like(balance.mass), jnp.asarray(True)
        limit = jnp.zeros((), dtype)
    constant = isinstance(current, ConstantCurrent)
    never = (current.mean <= limit) if constant else jnp.asarray(False)
    steady = jax.lax.stop_gradient(never)
    end_time = jnp.where(steady, 0.0, end_time.astype(dtype))
    run = integrate(balance, jnp.zeros_like(balance.mass), end_time, steps, report=report)
    u = jnp.where(steady, current.mean * per_current, run.state)
    last = balance.during(run.time * (1 - 1e-6), jnp.zeros((), dtype))
    wall = jnp.where(balance.wall, last.wall_deviation(run.time, u), u)
    lowest = jnp.argmin(jnp.where(balance.wall, wall, jnp.inf))
    place = jnp.unravel_index(lowest, wall.shape)
    c0 = cell.electrolyte.concentration
    result = RESULTS.where(steady_good | ~steady, run.result, RESULTS.linear_solve_failed)
    time = jnp.where(run.event_found, run.time, jnp.inf)
    return SandSolution(
        time=time,
        capacity=jnp.where(run.event_found, current.charge(run.time), jnp.inf),
        location=jnp.stack([x[i] for x, i in zip(cell.grid.centers, place, strict=True)]),
        concentration=c0 * jnp.where(balance.mass > 0, 1 + u, 0.0),
        wall_concentration=c0 * jnp.where(balance.mass > 0, 1 + wall, 0.0),
        depletion_time=None,
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
    )


def _limit(balance: SaltBalance, per_current: Cells) -> Scalar:
    """Current at which 1 + J (u − drop) first reaches zero on the wall."""
    fall = jnp.max(jnp.where(balance.wall, balance.drop - per_current, -jnp.inf))
    return 1 / fall


def _with_first_step(steps: Steps, balance: SaltBalance) -> Steps:
    """A first step within which the wall's concentration hardly falls.

    A power of two in seconds, so that it does not follow small changes of a parameter.
    """
    if steps.fixed is not None or steps.first_step is not None:
        return steps
    uptake = balance.current.highest * jnp.max(
        jnp.where(balance.wall, balance.sink / jnp.maximum(balance.mass, 1e-3), 0.0)
    )
    spread = jnp.max(balance.hierarchy.levels[0].coupling.astype(uptake.dtype))
    guess = 0.01 / jnp.maximum(uptake, 1e-3 * spread)
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


def _can_be_steady(cell: Cell) -> bool:
    return cell.counter_electrode in ("metal", "reservoir")


def _linear_tolerance(cell: Cell, asked: float | None) -> float:
    if asked is not None:
        check_range("linear_tolerance", asked, 1e-14, 1e-2)
        return float(asked)
    return 1e-9 if cell.scaffold.pore_fraction.dtype == jnp.float64 else 1e-5


def _raise_if_failed(solution: SandSolution) -> SandSolution:
    if isinstance(solution.time, jax.core.Tracer):
        return solution
    failed = solution.result != RESULTS.successful
    if bool(failed):
        raise SolveError(str(RESULTS[solution.result]), solution)
    return solution


def _sentence(solution: SandSolution) -> str:
    if bool(solution.result != RESULTS.successful):
        return str(RESULTS[solution.result])
    lowest = float(jnp.nanmin(solution.history.values["lowest_wall_concentration"]))
    if bool(solution.depleted):
        x, y, z = (1e6 * float(v) for v in solution.location)
        return (
            f"Ions run out after {float(solution.time):.4g} s, when "
            f"{float(solution.capacity) / 36e3:.4g} mAh/cm2 have passed, first at "
            f"(x, y, z) = ({x:.4g}, {y:.4g}, {z:.4g}) um."
        )
    limit = float(solution.limiting_current)
    mean = float(solution.current.mean)
    if mean <= limit:
        walls = jnp.where(solution.cell.domain().wall_area > 0, solution.wall_concentration, jnp.inf)
        return (
            f"No depletion, ever: {mean / 10:.4g} mA/cm2 is below the limiting current of "
            f"{limit / 10:.4g} mA/cm2. The lowest wall concentration settles at "
            f"{float(jnp.min(walls)):.4g} mol/m3."
        )
    return (
        f"No depletion within {float(solution.end_time):.4g} s; the lowest wall "
        f"concentration was {lowest:.4g} mol/m3. Raise max_time to wait longer."
    )
