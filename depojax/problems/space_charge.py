"""Space charge: what happens at and beyond the limiting current.

Where the ions run out the solution is no longer neutral: a layer without anions forms
at the metal, with a strong field in it. See `ion_model` for the equations.

    −∇·(ε₀ ε_r ∇φ) = F Σ z_k c_k + ρ,    ∂(ε c_k)/∂t = −∇·N_k − a N_k,wall

Chazalviel, Phys. Rev. A 42 (1990) 7355, doi:10.1103/PhysRevA.42.7355; Rubinstein &
Shtilman, J. Chem. Soc. Faraday Trans. 2 75 (1979) 231, doi:10.1039/F29797500231.
"""

import contextlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import refuse
from depojax._compile import compiled_quickly
from depojax._progress import progress_bar, report_progress
from depojax._types import Cells, Scalar, as_float, concrete, is_traced, static
from depojax.problems.cell import Cell
from depojax.problems.ion_answers import answers_of
from depojax.problems.ion_assembly import ion_model
from depojax.problems.ion_balance import IonBalance, IonState, begin, induced
from depojax.problems.ion_maps import nearest_metal
from depojax.problems.ion_model import IonModel
from depojax.problems.ion_reactions import faradaic
from depojax.problems.ion_stage import IonDrive
from depojax.problems.ion_steady import Place, steady_state
from depojax.problems.magnitudes import a_time, a_voltage, check_size, one_number
from depojax.problems.space_charge_checks import (
    check_electrodes,
    check_fields,
    check_frozen,
    check_ionic,
    check_layered,
    check_resolved,
)
from depojax.problems.space_charge_solution import ONSET, SpaceCharge
from depojax.problems.waveforms import Constant
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps, integrate
from depojax.units import FARADAY, GAS_CONSTANT

_INSTANT = 1e-4  # time to follow a jump, of that in which ions cross the thinnest cell
_FIRST = 0.1  # first step, of the same
# Kept of a run at every step, and of a steady state once.
_KEPT = ("voltage", "current_density", "layer_thickness", "lowest_of_any_ion")
_AT_LIMIT = 30.0  # voltage at which a neutral solution is at its limit [RT/(zF)]
_NEARLY = 1 - 1e-6  # share of the limit, up to which a current may be beyond it


def space_charge(
    cell: Cell,
    *,
    voltage: Any = None,
    current_density: Any = None,
    duration: Any = None,
    electroneutral: bool = False,
    asymptotic: bool = False,
    fixed_charge: Any = 0.0,
    stern_capacitance: Any = None,
    relative_permittivity: Any = None,
    frumkin: bool = True,
    start: SpaceCharge | None = None,
    steps: Steps | None = None,
    progress: bool = False,
    throw: bool = True,
) -> SpaceCharge:
    """Ions, potential and space charge in a cell under a voltage or a current.

    Args:
        cell: with a `MultiIonElectrolyte`. Its `kinetics` are those of the plated ion;
            `Reversible()` by default, an electrode at equilibrium. `Blocking()` only
            charges. The host is at the potential of the collector.
        voltage: of the collector against the bath, or the counter electrode [V];
            negative while plating. Or
        current_density: per footprint, plating positive [A m⁻²]; one of the two.
        duration: how long it is held, from uniform ions [s]; by default for ever: the
            steady state.
        electroneutral: leave space charge out, Σ z c + ρ/F = 0.
        asymptotic: a neutral solution with the space charge at the metal in closed form
            (`depojax.physics.depleted_layer`): for cells of real size, whose grid can
            not resolve a Debye length; the layer must fit into the half cell at the
            metal. Within some 0.1 RT/F of the resolved voltage for a given
            depletion; for a z:z salt and reversible electrodes.
        fixed_charge: ρ of a charged scaffold, per volume of electrolyte, one number or
            one per cell of the scaffold [C m⁻³].
        stern_capacitance: of the layer between metal and ions [F m⁻²], 0.1 to 1; by
            default there is none.
        relative_permittivity: ε_r over the cells of the scaffold, where it is not the
            electrolyte's [-].
        frumkin: whether kinetics see potential and ions behind the Stern layer, or,
            without Frumkin's correction, those in the middle of the cell at the metal,
            for double layers that are thinner than that.
        start: a solution of the same cell to go on from: the next voltage of a curve,
            or what a run begins with.
        steps: choice of time steps, for a `duration`; `Steps(tolerance=1e-4)`.
        progress: show a progress bar on stderr.
        throw: raise `SolveError` when a solve fails, instead of saying so in `result`.

    Fluxes are Scharfetter–Gummel's: no concentration is ever negative, and without a
    driving force nothing moves. The cells at the metal must resolve the Debye length
    (see `MultiIonElectrolyte.with_debye_length`, `stretched_widths`). A plating current
    beyond the limiting one is carried by the space charge, at a voltage that grows as
    L/λ_D.

    Differentiable, forward and reverse, in all numbers of cell, voltage and current.

    Raises `ValueError` for what is no cell or number, for cells too coarse for the
    double layer, and for float32; `SolveError` for a solve that failed.
    """
    check_ionic(cell)
    check_frozen(cell)
    by_current = _which(voltage, current_density)
    check_electrodes(cell, neutral=electroneutral, by_current=by_current)
    value = _value(voltage, current_density)
    check_fields(cell, fixed_charge, stern_capacitance, relative_permittivity)
    if asymptotic:
        check_layered(cell, fixed_charge, stern_capacitance)
    elif not electroneutral:
        check_resolved(cell)
    options = (
        as_float(fixed_charge),
        None if stern_capacitance is None else as_float(stern_capacitance),
        None if relative_permittivity is None else as_float(relative_permittivity),
    )
    kind = _Kind(
        neutral=electroneutral or asymptotic,
        layered=asymptotic,
        frumkin=frumkin,
        crowded=cell.ions.takes_up_room,
        inert=_is_bare(cell),
    )
    model = _discrete(cell, options, kind)
    if start is None:
        state = begin(model, mixed=duration is None)
    else:
        state = _state_of(start, cell)
    state = eqx.tree_at(lambda s: s.charge, state, jnp.zeros_like(state.charge))
    if duration is None:
        solution = _steady(cell, model, value, by_current, state)
    else:
        held = a_time("duration", duration)
        solution = _transient(
            cell, model, value, by_current, state, held, steps, progress=progress
        )
    bad = solution.result != RESULTS.successful
    if throw and not is_traced(bad) and bool(bad):
        raise SolveError(solution.message, solution)
    return solution


def limiting_current_of_ions(cell: Cell) -> Scalar:
    """What a neutral solution carries at most [A m⁻²], see `limiting_current`."""
    bare = cell.replace(
        kinetics=None,
        counter_kinetics=None,
        film_resistance=0.0,
        collector_film_resistance=0.0,
        counter_film_resistance=0.0,
    )
    scale = GAS_CONSTANT * cell.ions.temperature / FARADAY
    held = -_AT_LIMIT * scale / cell.ions.plated_charge
    return space_charge(bare, voltage=held, electroneutral=True).current_density


def _which(voltage: Any, current_density: Any) -> bool:
    if (voltage is None) == (current_density is None):
        got = "neither" if voltage is None else "both"
        raise refuse("voltage", "either a voltage or a current_density", got)
    return voltage is None


def _value(voltage: Any, current_density: Any) -> Scalar:
    if voltage is not None:
        return a_voltage("voltage", voltage)
    J = one_number("current_density", current_density, "A m⁻²")
    check_size("current_density", J, 1e9, "A m⁻²", "2 * mA / cm**2")
    return J


def _state_of(start: Any, cell: Cell) -> IonState:
    if not isinstance(start, SpaceCharge):
        raise refuse("start", "a SpaceCharge", type(start).__name__)
    ours = (len(cell.ions.ions), *cell.grid.shape)
    if start.ion_concentration.shape != ours:
        raise refuse(
            "start",
            f"a solution of {ours[0]} ions in {ours[1:]} cells",
            f"one of shape {start.ion_concentration.shape}",
        )
    return start.state


class _Kind(eqx.Module):
    """What makes another program of a cell."""

    neutral: bool = static()
    layered: bool = static()
    frumkin: bool = static()
    crowded: bool = static()
    inert: bool = static()


def _is_bare(cell: Cell) -> bool:
    """Whether the scaffold is known to have no surface."""
    area = concrete(cell.scaffold.surface_area)
    return area is not None and not np.any(area > 0)


@eqx.filter_jit
def _discrete(cell: Cell, options, kind: _Kind) -> IonModel:
    fixed, stern, permittivity = options
    return ion_model(
        cell,
        neutral=kind.neutral,
        layered=kind.layered,
        crowded=kind.crowded,
        inert=kind.inert,
        fixed_charge=fixed,
        stern_capacitance=stern,
        relative_permittivity=permittivity,
        frumkin=kind.frumkin,
    )


@compiled_quickly
def _solved(model: IonModel, value, by_current, state: IonState):
    scaled = jnp.where(by_current, value, value / model.thermal_voltage)
    drive = IonDrive(scaled, by_current)
    # Ions that no electrode takes are as many as there were.
    place = Place(state.fields, state.passing)
    found = steady_state(model, drive, place, state.fields.c)
    fields, passing = found.place.fields, found.place.passing
    current = model.per_footprint(faradaic(model, fields, passing))
    electrode = model.electrode_charge(fields)
    ended = IonState(fields, passing, electrode, jnp.zeros_like(electrode))
    result = RESULTS.where(
        found.found, RESULTS.successful, RESULTS.nonlinear_solve_failed
    )
    return found, ended, current, result


def _steady(cell, model, value, by_current: bool, state: IonState) -> SpaceCharge:
    found, state, current, result = _solved(
        model, value, jnp.asarray(by_current), state
    )
    forever = jnp.full((1,), jnp.inf, state.charge.dtype)
    limit = None
    if by_current and model.neutral and not model.layered:
        result, limit = _told_of_limit(model, value, result)
    return _solution(
        cell,
        model,
        state,
        current,
        result,
        forever[0],
        forever,
        None,
        counts=(found.newton_steps, found.linear_iterations),
        most=found.most_newton_steps,
        solves=found.steps,
        limit=limit,
    )


@compiled_quickly
def _run(balance: IonBalance, state: IonState, duration, steps, report):
    state = eqx.tree_at(lambda s: s.charge, state, balance.jump(state))
    run = integrate(balance, state, duration, steps, report=report)
    return run, balance.current(run.time, run.state)


def _balance(cell: Cell, model: IonModel, value, by_current: bool) -> IonBalance:
    return IonBalance(
        model=model,
        drive=Constant(value),
        by_current=jnp.asarray(by_current),
        weight=_weight(model),
        instant=_INSTANT * _crossing(model),
        nearest=_nearest(model),
        level=jax.lax.stop_gradient(ONSET * cell.ions.debye_length),
    )


def _crossing(model: IonModel) -> Scalar:
    """In which the fastest ion crosses the thinnest cell [s]."""
    smallest = jnp.min(jnp.stack([jnp.min(width) for width in model.grid.widths]))
    fastest = jnp.max(model.diffusion) * model.reference_diffusivity
    return jax.lax.stop_gradient(smallest**2 / fastest)


_weight = compiled_quickly(induced)
_nearest = compiled_quickly(nearest_metal)


def _transient(
    cell, model, value, by_current: bool, state, duration, steps, *, progress: bool
) -> SpaceCharge:
    steps = Steps() if steps is None else steps
    if steps.fixed is None and steps.first_step is None:
        first = jnp.exp2(jnp.floor(jnp.log2(_FIRST * _crossing(model))))
        steps = eqx.tree_at(
            lambda s: s.first_step, steps, first, is_leaf=lambda x: x is None
        )
    balance = _balance(cell, model, value, by_current)
    bar = contextlib.nullcontext()
    if progress and not is_traced(duration):
        end = float(duration)
        bar = progress_bar("Ions", lambda time, _: time / end)
    report = report_progress if progress else None
    with bar:
        run, current = _run(balance, state, duration, steps, report)
        if progress:
            jax.effects_barrier()
    count = None if is_traced(run.steps) else int(run.steps) + 1
    known = jax.lax.stop_gradient(run.history)
    part = slice(0, count)
    values = {name: v[part] for name, v in known.values.items()}
    return _solution(
        cell,
        model,
        run.state,
        model.per_footprint(current),
        run.result,
        run.time,
        known.time[part],
        values,
        onset=None if run.memory is None else run.memory[1],
        counts=(run.iterations[0], run.iterations[1]),
        most=jnp.int32(0),
        solves=run.steps,
    )


def _solution(
    cell: Cell,
    model: IonModel,
    state: IonState,
    current: Scalar,
    result: RESULTS,
    end_time: Scalar,
    time: Array,
    history: dict[str, Array] | None,
    *,
    counts: tuple[Any, Any],
    most: Any,
    solves: Any,
    onset: Cells | None = None,
    limit: Scalar | None = None,
) -> SpaceCharge:
    never = jnp.full_like(model.pore_volume, jnp.inf)
    answers, lowest = answers_of(cell, model, state)
    if history is None:
        once = {"current_density": current, "lowest_of_any_ion": lowest, **answers}
        history = {k: jax.lax.stop_gradient(once[k])[None] for k in _KEPT}
    return SpaceCharge(
        **answers,
        current_density=current,
        local_onset_time=never if onset is None else onset,
        charge=state.charge,
        end_time=end_time,
        time=time,
        voltage_history=history["voltage"],
        current_density_history=history["current_density"],
        layer_thickness_history=history["layer_thickness"],
        lowest_concentration=model.concentration * history["lowest_of_any_ion"],
        limiting_current=jnp.full_like(current, jnp.nan) if limit is None else limit,
        debye_length=cell.ions.debye_length,
        newton_steps=counts[0],
        most_newton_steps=most,
        linear_iterations=counts[1],
        solves=solves,
        result=result,
        cell=cell,
        state=state,
        ions=cell.ions.names,
        electroneutral=model.neutral,
    )


def _told_of_limit(model: IonModel, value: Scalar, result: RESULTS):
    """Whether a failed current is beyond what the neutral solution carries; and that.

    The limit is what passes at a voltage that leaves nothing of the ions at the metal.
    """
    bad = result != RESULTS.successful
    if is_traced(bad) or is_traced(value) or not bool(bad):
        return result, None
    held = -_AT_LIMIT * model.thermal_voltage / model.charges[model.plated]
    rest = begin(model, mixed=True)
    *_, limit, found = _solved(model, held, jnp.asarray(False), rest)
    if not bool(found == RESULTS.successful):
        return result, None
    beyond = bool(value >= _NEARLY * limit)
    return RESULTS.beyond_limiting_current if beyond else result, limit
