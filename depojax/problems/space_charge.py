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
from jaxtyping import Array, Float, Int

from depojax._checks import check_array_shape, check_finite, check_range, refuse
from depojax._compile import compiled_quickly
from depojax._extremes import least_of
from depojax._progress import progress_bar, report_progress
from depojax._types import Cells, Scalar, as_float, concrete, is_traced, static
from depojax.fv.grid import along
from depojax.physics.film import Film
from depojax.physics.ions import STANDARD_CONCENTRATION, MultiIonElectrolyte
from depojax.physics.kinetics import Blocking, Reversible
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto
from depojax.problems.ion_assembly import ion_model
from depojax.problems.ion_balance import IonBalance, IonState, begin, induced
from depojax.problems.ion_maps import local_thickness, nearest_metal
from depojax.problems.ion_model import IonFields, IonModel
from depojax.problems.ion_stage import IonDrive
from depojax.problems.ion_steady import Place, steady_state
from depojax.problems.magnitudes import a_time, a_voltage, check_size, one_number
from depojax.problems.waveforms import Constant
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.stencil import interior
from depojax.solvers.time import Steps, integrate
from depojax.units import FARADAY, GAS_CONSTANT

_COARSE = 2.0  # Debye lengths that the cells at the metal may be thick at most
_THICK = 10.0  # Debye lengths that a half cell with a layer in it has at least
_INSTANT = 1e-4  # time to follow a jump, of that in which ions cross the thinnest cell
_FIRST = 0.1  # first step, of the same
# Kept of a run at every step, and of a steady state once.
_KEPT = ("voltage", "current_density", "layer_thickness", "lowest_of_any_ion")
_AT_LIMIT = 30.0  # voltage at which a neutral solution is at its limit [RT/(zF)]
_NEARLY = 1 - 1e-6  # share of the limit, up to which a current may be beyond it
_LEAST = 1e-30  # c/c₀ of which a logarithm is still asked for
_ONSET = 5.0  # Debye lengths, beyond which a layer is more than a double layer


class SpaceCharge(eqx.Module):
    """Ions, potential and space charge in a cell, steady or at the end of a run.

    Histories hold the one steady state, or the start and every time step (NaN beyond
    the last inside of a transformation); no derivative goes through those of a run.
    """

    voltage: Scalar  # collector against bath or counter electrode [V]
    current_density: Scalar  # per footprint, charging included [A m-2]
    ion_concentration: Float[Array, "ions x y z"]  # [mol m-3]
    potential: Cells  # electrostatic; 0 in the bath, or in the counter electrode [V]
    charge_density: Cells  # ions and fixed charge [C m-3]
    electric_field: Float[Array, "3 x y z"]  # −∇φ in the cells [V m-1]
    # −∂φ/∂n at the host, away from the metal; 0 elsewhere, and where neutral [V m-1].
    host_field: Cells
    collector_field: Array  # the same at the open collector [V m-1]
    local_current_density: Cells  # of the reaction on the host [A m-2]
    collector_current_density: Array  # of that on the open collector [A m-2]
    ion_current_density: Float[Array, " ions"]  # reactions of each, per footprint
    reduction_margin: Float[Array, " ions"]  # lowest E − E_k on the metal [V]
    layer_thickness: Scalar  # of the space charge, volume per plated area [m]
    local_layer_thickness: Cells  # the same at each place on the metal, else 0 [m]
    local_onset_time: Cells  # of a space charge there; inf if none has set in [s]
    charge: Scalar  # passed per footprint during the run [C m-2]
    end_time: Scalar  # [s]; inf: a steady state
    time: Float[Array, " n"]  # [s]
    voltage_history: Float[Array, " n"]  # [V]
    current_density_history: Float[Array, " n"]  # [A m-2]
    layer_thickness_history: Float[Array, " n"]  # [m]
    lowest_concentration: Float[Array, " n"]  # of any ion [mol m-3]
    # Of a neutral solution that was asked for more, else NaN [A m-2].
    limiting_current: Scalar
    debye_length: Scalar  # of the bulk [m]
    newton_steps: Int[Array, ""]  # of all stages
    most_newton_steps: Int[Array, ""]  # of one step towards the steady state
    linear_iterations: Int[Array, ""]
    solves: Int[Array, ""]  # time steps, or steps towards the steady state
    result: RESULTS
    cell: Cell
    state: IonState  # to go on from
    ions: tuple[str, ...] = static()
    electroneutral: bool = static()

    @property
    def message(self) -> str:
        """What came out, in a sentence."""
        if bool(self.result != RESULTS.successful):
            words = str(RESULTS[self.result])
            limit = float(self.limiting_current)
            if np.isfinite(limit):
                return f"{words} The limit is {limit / 10:.4g} mA/cm2."
            if bool(self.result == RESULTS.ran_out):
                return f"{words} That was after {float(self.end_time):.5g} s."
            return words
        if np.isinf(float(self.end_time)):
            return "A steady state."
        words = f"Done, after {float(self.end_time):.5g} s"
        onset = float(self.onset_time)
        if np.isfinite(onset):
            return f"{words}; a space charge set in after {onset:.5g} s."
        return f"{words}."

    @property
    def onset_time(self) -> Scalar:
        """When a space charge set in during a run [s]; inf if none has.

        That is when the layer got thicker than five Debye lengths of the bulk, more
        than a double layer at equilibrium: about Sand's time.
        """
        level = _ONSET * self.debye_length
        thick = jnp.nan_to_num(self.layer_thickness_history)
        over = thick > level
        last = jnp.argmax(over)
        before = jnp.maximum(last - 1, 0)
        low, high = thick[before], thick[last]
        share = (level - low) / jnp.where(high > low, high - low, 1.0)
        share = jnp.clip(share, 0.0, 1.0)
        ended = jnp.isfinite(self.end_time)
        time = jnp.where(ended, self.time, 0.0)
        found = time[before] + share * (time[last] - time[before])
        return jnp.where(ended & jnp.any(over), found, jnp.inf)

    @property
    def front_velocity(self) -> Cells:
        """|μ_a E|, with which dendrites grow into the solution (Chazalviel) [m s⁻¹].

        μ_a = |z| D F/(RT) of the anion there is most of, E the field in the cell: to be
        read in the neutral solution ahead of the metal.
        """
        mobility = _anion_mobility(self.cell.ions)
        return mobility * jnp.sqrt(jnp.sum(self.electric_field**2, 0))

    @property
    def dendrite_velocity(self) -> Cells:
        """μ_a i/κ: how fast dendrites grow from each place on the metal [m s⁻¹].

        |μ_a E| of the field that carries the local current density through fresh,
        neutral solution, t_a J/(|z_a| F c_a) (Chazalviel): a front runs as fast as
        anions leave. It starts when `local_onset_time` has come. 0 where nothing is
        plated.
        """
        cell = self.cell
        area = onto(cell.grid, cell.scaffold.surface_area)
        floor = collector_area(cell)
        current = area * self.local_current_density
        current = current.at[..., 0].add(floor * self.collector_current_density)
        area = area.at[..., 0].add(floor)
        mean = jnp.where(area > 0, current / jnp.where(area > 0, area, 1.0), 0.0)
        mobility = _anion_mobility(cell.ions)
        return mobility * jnp.maximum(mean, 0.0) / cell.ions.conductivity

    def to_xarray(self):
        """The solution as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


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
    _check_electrodes(cell, neutral=electroneutral, by_current=by_current)
    value = _value(voltage, current_density)
    _check_fields(cell, fixed_charge, stern_capacitance, relative_permittivity)
    if asymptotic:
        _check_layered(cell, fixed_charge, stern_capacitance)
    elif not electroneutral:
        _check_resolved(cell)
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


def check_ionic(cell: Any) -> None:
    """Refuse what is no cell with ions told one by one, and one in float32."""
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    _ = cell.ions
    precision = cell.scaffold.pore_fraction.dtype
    if precision != jnp.float64:
        raise refuse(
            "cell",
            "float64: charge is a small difference of concentrations",
            str(precision),
            'Begin with jax.config.update("jax_enable_x64", True).',
        )


def check_frozen(cell: Cell) -> None:
    """Refuse parts of a cell that these equations do not know."""
    for name in ("solid_conductivity", "initial_deposit", "equilibrium_potential"):
        if getattr(cell, name) is not None:
            raise refuse(
                "cell",
                f"no {name}: the host is at the collector's potential and stays",
                "a cell with one",
                f"Leave it out: cell.replace({name}=None).",
            )


def _check_electrodes(cell: Cell, *, neutral: bool, by_current: bool) -> None:
    """Refuse films that nothing would feel, and currents that nothing could carry."""
    sides = {
        "film_resistance": cell.kinetics,
        "collector_film_resistance": cell.kinetics,
        "counter_film_resistance": cell.counter_kinetics,
    }
    for name, kinetics in sides.items():
        film = getattr(cell, name)
        value = None if isinstance(film, Film) else concrete(film)
        none = value is not None and not np.any(value > 0)
        if isinstance(kinetics, Reversible | None) and not none:
            raise refuse(
                "cell",
                f"no {name} where the reaction is reversible",
                "a film",
                "Give kinetics, such as ButlerVolmer, which a film acts on.",
            )
    if neutral and by_current and isinstance(cell.kinetics, Blocking):
        raise refuse(
            "current_density",
            "a voltage where the electrode blocks and the solution is neutral",
            "a current, which nothing would carry",
        )


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


def _check_fields(cell: Cell, fixed: Any, stern: Any, permittivity: Any) -> None:
    check_finite("fixed_charge", fixed)
    if np.ndim(fixed) != 0:
        check_array_shape("fixed_charge", fixed, cell.scaffold.shape)
    if stern is not None:
        cure = "depojax is SI inside: 10 µF cm⁻² are 0.1 F m⁻²."
        check_range("stern_capacitance", stern, 0.0, 1e3, "F m⁻²", cure, open_low=True)
    if permittivity is not None:
        check_range("relative_permittivity", permittivity, 0.0, 1e12, open_low=True)
        if np.ndim(permittivity) != 0:
            check_array_shape(
                "relative_permittivity", permittivity, cell.scaffold.shape
            )


def _check_layered(cell: Cell, fixed: Any, stern: Any) -> None:
    """Refuse what the closed form of the layer does not know."""
    charges = cell.ions.charges
    if len(charges) != 2 or sum(charges) != 0 or cell.ions.plated_charge < 0:
        raise refuse(
            "asymptotic",
            "a z:z salt whose cation is plated",
            f"ions of charge {charges}",
            "Resolve the layer, or leave it out (electroneutral=True).",
        )
    for name in ("kinetics", "counter_kinetics"):
        if not isinstance(getattr(cell, name), Reversible | None):
            raise refuse(
                "asymptotic",
                f"Reversible() {name}",
                type(getattr(cell, name)).__name__,
                "Resolve the layer, or leave it out (electroneutral=True).",
            )
    length, top = concrete(cell.ions.debye_length), concrete(cell.grid.widths[2])
    thickness = np.inf
    if length is not None and top is not None:
        thickness = float(top[0]) / float(length)
    if thickness < 2 * _THICK:
        raise refuse(
            "asymptotic",
            f"cells at the metal of at least {2 * _THICK:g} Debye lengths, which hold "
            "the whole layer",
            f"{thickness:.3g} Debye lengths at the collector",
            "On such a grid the layer can be resolved: asymptotic=False.",
        )
    zero = concrete(as_float(fixed))
    if stern is not None or zero is None or np.any(zero != 0):
        raise refuse(
            "asymptotic",
            "neither fixed_charge nor stern_capacitance",
            "one of them",
            "Resolve the layer for these.",
        )


def _check_resolved(cell: Cell) -> None:
    """Refuse cells at the metal that are thicker than the layer that forms there."""
    length = concrete(cell.ions.debye_length)
    known = [concrete(width) for width in cell.grid.widths]
    widths = [width for width in known if width is not None]
    if length is None or len(widths) < 3:
        return
    thickest = {"z at the collector": float(widths[2][0])}
    if not cell.plated_collector:
        thickest = {}
    if cell.counter_electrode == "metal":
        thickest["z at the counter electrode"] = float(widths[2][-1])
    area = concrete(cell.scaffold.surface_area)
    if area is not None and np.any(area > 0) and cell.near_bath is None:
        for axis, name in enumerate("xyz"):
            others = tuple(a for a in range(3) if a != axis)
            at_metal = np.any(area > 0, axis=others)
            own = widths[axis][: at_metal.size]
            if own.size > 1:
                thickest[f"{name} at the host"] = float(np.max(own[at_metal]))
    for where, width in thickest.items():
        if width > _COARSE * float(length):
            raise refuse(
                "cell",
                f"cells of at most {_COARSE:g} Debye lengths ({float(length):.3g} m) "
                "at the metal",
                f"{width:.3g} m along {where}",
                "Refine them (depojax.stretched_widths), give the electrolyte a longer "
                "Debye length knowingly (with_debye_length), or leave the space charge "
                "out (electroneutral=True).",
            )


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


def _told_of_limit(model: IonModel, value: Scalar, result: RESULTS):
    """Whether a failed current is beyond what the neutral solution carries; and that.

    The limit is what passes at a voltage that leaves nothing of the ions at the metal.
    """
    bad = result != RESULTS.successful
    if is_traced(bad) or is_traced(value) or not bool(bad):
        return result, None
    held = -_AT_LIMIT * model.thermal_voltage / model.charges[model.plated]
    rest = begin(model, mixed=True)
    *_, limit, found = _found(model, held, jnp.asarray(False), rest)
    if not bool(found == RESULTS.successful):
        return result, None
    beyond = bool(value >= _NEARLY * limit)
    return RESULTS.beyond_limiting_current if beyond else result, limit


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
def _found(model: IonModel, value, by_current, state: IonState):
    scaled = jnp.where(by_current, value, value / model.thermal_voltage)
    drive = IonDrive(scaled, by_current)
    # Ions that no electrode takes are as many as there were.
    place = Place(state.fields, state.passing)
    found = steady_state(model, drive, place, state.fields.c)
    fields, passing = found.place.fields, found.place.passing
    current = model.per_footprint(model.faradaic(fields, passing))
    electrode = model.electrode_charge(fields)
    ended = IonState(fields, passing, electrode, jnp.zeros_like(electrode))
    result = RESULTS.where(
        found.found, RESULTS.successful, RESULTS.nonlinear_solve_failed
    )
    return found, ended, current, result


def _steady(cell, model, value, by_current: bool, state: IonState) -> SpaceCharge:
    found, state, current, result = _found(model, value, jnp.asarray(by_current), state)
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
        level=jax.lax.stop_gradient(_ONSET * cell.ions.debye_length),
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
    answers, lowest = _answers(cell, model, state)
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


@compiled_quickly
def _answers(
    cell: Cell, model: IonModel, state: IonState
) -> tuple[dict[str, Array], Scalar]:
    """What a state means, in SI; and the lowest concentration of any ion [c₀]."""
    x, scale, c0 = state.fields, model.thermal_voltage, model.concentration
    charge = FARADAY * c0 * (jnp.sum(model.z * x.c, 0) + model.fixed_charge)
    potential = scale * x.potential
    metal = scale * x.collector
    host, floor = (
        jnp.where(
            surface.area > 0,
            (metal - surface.of(potential)) / (model.stern + surface.reach),
            0.0,
        )
        for surface in (model.host, model.floor)
    )
    if model.layered:
        _, _, host, floor = model.layers(x, state.passing)
        host, floor = scale * host, scale * floor
    elif model.neutral:
        host, floor = 0 * host, 0 * floor
    wet = model.in_pore
    local = jnp.zeros_like(model.pore_volume)
    if model.layered or not model.neutral:
        nearest = jax.lax.stop_gradient(nearest_metal(model))
        local = local_thickness(model, nearest, x, state.passing)
    by_ion = jnp.zeros(len(model.charges), metal.dtype)
    by_ion = by_ion.at[jnp.asarray(model.reacting)].set(model.by_ion(x, state.passing))
    answers = {
        "voltage": metal,
        "ion_concentration": jnp.where(wet, c0 * x.c, 0.0),
        "potential": jnp.where(wet, potential, 0.0),
        "charge_density": jnp.where(wet, charge, 0.0),
        "electric_field": _field(model, potential, metal),
        "host_field": host,
        "collector_field": floor,
        "local_current_density": state.passing.host.current,
        "collector_current_density": state.passing.floor.current,
        "ion_current_density": model.per_footprint(by_ion),
        "reduction_margin": _margin(cell.ions, model, x),
        "layer_thickness": model.layer_thickness(x, state.passing),
        "local_layer_thickness": local,
    }
    return answers, jnp.min(jnp.where(wet, x.c, jnp.inf))


def _margin(electrolyte: MultiIonElectrolyte, model: IonModel, x: IonFields) -> Array:
    """Lowest E − E_k over the metal [V], NaN for ions without E°."""
    scale, c0 = model.thermal_voltage, model.concentration
    z = jnp.asarray(model.charges, scale.dtype)
    standard = electrolyte.standard_potentials
    margins = []
    for surface in (model.host, model.floor):
        reference = (
            scale
            / z[model.plated]
            * jnp.log(model.reference(surface.kinetics) / STANDARD_CONCENTRATION)
            + standard[model.plated]
        )
        c = jnp.maximum(surface.of(c0 * x.c), _LEAST * c0)
        shape = (-1, *[1] * (c.ndim - 1))
        own = standard.reshape(shape) + scale / z.reshape(shape) * jnp.log(
            c / STANDARD_CONCENTRATION
        )
        above = reference + scale * (x.collector - surface.of(x.potential)) - own
        above = jnp.where(surface.area > 0, above, jnp.inf)
        margins.append(least_of(above.reshape(z.size, -1), 1))
    least = jnp.minimum(*margins)
    return jnp.where(jnp.isfinite(standard), least, jnp.nan)


def _field(model: IonModel, potential: Cells, metal: Scalar) -> Float[Array, "3 x y z"]:
    """−∇φ in the cells: the mean of what holds at their open faces [V m⁻¹]."""
    grid = model.grid
    floor, counter = model.floor, model.counter
    low = (metal - potential[..., 0]) / (model.stern + floor.reach)
    top, beyond = potential[..., -1], grid.widths[2][-1] / 2
    high = top / (model.stern + counter.reach)
    low_open, high_open = floor.area > 0, counter.area > 0
    if model.near is not None:
        low = (metal - potential[..., 0]) / (grid.widths[2][0] / 2)
        low_open = model.near.way > 0
    if model.far is not None:
        high, high_open = top / beyond, model.far.way > 0
    fields = []
    for axis in range(3):
        n = grid.shape[axis]
        distance = along(grid.center_distances(axis)[1:], axis)
        g = model.faces.faces[axis]
        is_open = interior(g, grid.shape) > 0  # the face above each cell
        above = (potential - jnp.roll(potential, -1, axis)) / distance
        if axis == 2:
            above = above.at[..., -1].set(jnp.where(high_open, high, above[..., -1]))
            is_open = is_open.at[..., -1].set(high_open | is_open[..., -1])
        below = jnp.roll(above, 1, axis)
        open_below = jnp.roll(is_open, 1, axis)
        if axis == 2 and not grid.periodic[2]:
            below = below.at[..., 0].set(low)
            open_below = open_below.at[..., 0].set(low_open)
        elif not grid.periodic[axis]:
            first = jnp.arange(n) == 0
            open_below = open_below & ~along(first, axis)
        count = is_open.astype(above.dtype) + open_below.astype(above.dtype)
        both = jnp.where(is_open, above, 0.0) + jnp.where(open_below, below, 0.0)
        fields.append(both / jnp.maximum(count, 1))
    return jnp.stack(fields)


def _anion_mobility(electrolyte: MultiIonElectrolyte) -> Scalar:
    """|z| D F/(RT) of the anion there is most of [m² V⁻¹ s⁻¹]."""
    z = jnp.asarray(electrolyte.charges, electrolyte.concentrations.dtype)
    amounts = jnp.where(z < 0, electrolyte.concentrations, -1.0)
    most = jnp.argmax(amounts)
    per_volt = FARADAY / (GAS_CONSTANT * electrolyte.temperature)
    return jnp.abs(z[most]) * electrolyte.diffusivities[most] * per_volt


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
