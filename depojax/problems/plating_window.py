"""One window of a plating run: the coupled cell in a geometry that stands still.

All windows of a cell share one program: geometry, metal that is left and coverage are
numbers of it.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from depojax._checks import check_fraction, check_integer, check_range
from depojax._compile import compiled_quickly, differentiated_alike
from depojax._types import Cells, Scalar, as_float, static
from depojax.physics.covering import PartlyCovered
from depojax.physics.interface import AtWall
from depojax.physics.nucleation import Nucleation, NucleiState
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import cell_model, over_host
from depojax.problems.cell_model import CellModel, Surface
from depojax.problems.coupled import CellState, CoupledBalance, at_rest
from depojax.problems.growth import AbstractGrowth, Gain
from depojax.problems.late_salt import spread_late
from depojax.problems.simulate import BARE, REST, PlainStep
from depojax.problems.until import Until
from depojax.problems.voltage import overpotentials
from depojax.solvers.results import RESULTS
from depojax.solvers.time import Run, Steps, integrate

# Overpotential over which geometry counts as changed wholly [V]: where nuclei are born,
# at a rate that goes as the exponential of it, and where none are.
_FINE, _COARSE = 0.05, 0.5
_FEW_BIRTHS = 1.0  # rate [m-2 s-1]
_NO_RATE = 1e-12  # beside currents [A m-2] and area factors [-], for what is none
_DOUBLE_LAYER = 2.0  # that it is charged to at most [V]
_AHEAD = 0.3  # of ln A that is trusted to go on
_ROUND_OFF = 1e-6  # of the charge of a double layer


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


class MeanNuclei(eqx.Module):
    """What has nucleated on host and open collector, and how far both are charged."""

    host: NucleiState
    floor: NucleiState
    host_overpotential: Cells  # η [V]
    floor_overpotential: Float[Array, "x y"]  # η [V]
    host_swelling: Cells  # Δ ln A of the last window [-]
    floor_swelling: Float[Array, "x y"]  # [-]
    span: Scalar  # of that window [s]

    @classmethod
    def none(cls, cell: Cell) -> "MeanNuclei":
        """Bare host and collector, at equilibrium."""
        host = NucleiState.bare(cell.grid.shape)
        floor = NucleiState.bare(cell.grid.shape[:2])
        nothing = (0 * host.charge, 0 * floor.charge)
        return cls(host, floor, *nothing, *nothing, jnp.ones(()))


class Growing(eqx.Module):
    """What a window needs to know of growth to see its stops coming."""

    growth: AbstractGrowth
    cell: Cell  # bare
    metal: PyTree


class WindowBalance(CoupledBalance):
    """The coupled cell in a window of a step, up to a stop of the step or of growth."""

    since: Any = 0.0  # time of the step when the window begins [s]
    growing: Growing | None = None
    damping: Any = None  # how long the first step may be [s]

    @property
    def damping_time(self):
        return self.damping

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
    overpotentials: tuple[Cells, Array]  # of host and collector [V]
    # Time, steps, and as 1 or 0: done well, ended by an event, began bare; then the
    # number of the stop. Floats, for they are to be known while derivatives are taken.
    facts: Array
    counts: Array  # Newton steps, iterations


@differentiated_alike
@compiled_quickly
def opened(
    cell: Cell,
    places: int | None,
    left: tuple[Cells, Array],
    salt: Cells | None,
    before: CellState | None,
    nuclei: MeanNuclei | None = None,
    charging: tuple[Scalar, Scalar] | None = None,
    late: tuple[Scalar, Cells] | None = None,
) -> tuple[CellModel, CellState, Cells]:
    """The discrete cell of a window, where it begins, and its salt [m³ of c₀].

    Salt is kept: c = n/V of what the pores hold now. With `late`, a time [s] and c/c₀
    in the pores before (0 elsewhere), what changed has spread, see `spread_late`.
    Where there are `nuclei`, only they react; `charging` is C of the double layer
    [F m⁻²] and the window's length [s].
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
    if nuclei is not None and charging is not None:
        model = _covered(model, nuclei, *charging)
    state = at_rest(model)
    if salt is None or before is None:
        return model, state, model.pore_volume * state.fields.c
    volume = model.pore_volume
    c = jnp.where(volume > 0, salt / jnp.where(volume > 0, volume, 1.0), 1.0)
    if late is not None:
        duration, old = late
        c = spread_late(model, jnp.where(old > 0, old, c), c, duration)
        salt = jnp.where(volume > 0, volume * c, salt)
    fields = eqx.tree_at(lambda f: f.c, before.fields, c)
    state = eqx.tree_at(
        lambda s: (s.fields, s.reactions, s.charge, s.use),
        state,
        (fields, before.reactions, before.charge, before.use),
        is_leaf=lambda x: x is None,
    )
    return model, state, salt


def _covered(
    model: CellModel, nuclei: MeanNuclei, capacitance: Scalar, length: Scalar
) -> CellModel:
    electrolyte = model.electrolyte
    where = (electrolyte.concentration, electrolyte.temperature)

    def covered(surface: Surface, state: NucleiState, eta: Array, swelling: Array):
        # η is that at the end of the window: so is the area, as far as one can tell.
        # It grows by powers of the time, as windows do: as much again, at most.
        ratio = length / nuclei.span
        ahead = swelling * jnp.where(ratio < 1, ratio, 1.0)
        onward = jnp.exp(jnp.clip(ahead, -_AHEAD, _AHEAD))
        # pyright takes the property of the class for a field.
        kinetics = PartlyCovered(  # pyright: ignore
            surface.kinetics,
            state.area_factor * onward,
            capacitance / length + 0 * eta,
            eta,
            surface.kinetics.exchange_current_density(*where) + 0 * eta,
        )
        return dataclasses.replace(
            surface, kinetics=kinetics, slack=_DOUBLE_LAYER * capacitance
        )

    n = nuclei
    return dataclasses.replace(
        model,
        host=covered(model.host, n.host, n.host_overpotential, n.host_swelling),
        floor=covered(model.floor, n.floor, n.floor_overpotential, n.floor_swelling),
    )


def _per_area(charge: Array, area: Array) -> Array:
    some = area > 0
    return jnp.where(some, charge / jnp.where(some, area, 1.0), 0.0)


@differentiated_alike
@compiled_quickly
def run_window(
    model: CellModel,
    state: CellState,
    step: PlainStep,
    began: tuple[Scalar, Scalar],
    growing: Growing | None,
    length: Scalar,
    steps: Steps,
    damping: Scalar | None = None,
) -> Window:
    """Run for `length` [s], or to the first stop. `began`: time and charge of the step.

    `damping`: how long the first step may be [s], where geometry has just moved.
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
        damping=damping,
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
        overpotentials=overpotentials(model, run.state)[:2],
        salt=model.pore_volume * run.state.fields.c,
        facts=jax.lax.stop_gradient(facts),
        counts=run.iterations.astype(run.time.dtype),
    )


def gain_of(model: CellModel, state: CellState, duration: Scalar) -> Gain:
    """What has been plated since the window began; not what charges double layers."""
    etas: Any = (None, None)
    if isinstance(model.host.kinetics, PartlyCovered):
        etas = overpotentials(model, state)[:2]
    host, floor = (
        surface.area * _on_metal(plated, duration * _charging(model, surface, at, eta))
        for surface, plated, at, eta in zip(
            (model.host, model.floor),
            state.plated,
            (state.reactions.host, state.reactions.floor),
            etas,
            strict=True,
        )
    )
    return Gain(host, floor, duration)


def _on_metal(plated: Array, charging: Any) -> Array:
    """What is left of a charge for metal; round-off of the rest would strip nuclei."""
    rest = plated - charging
    return jnp.where(jnp.abs(rest) > _ROUND_OFF * jnp.abs(charging), rest, 0.0)


def _charging(model: CellModel, surface: Surface, at: AtWall, eta: Any) -> Any:
    """Current that charges the double layer [A m⁻²]."""
    kinetics: Any = surface.kinetics
    if not isinstance(kinetics, PartlyCovered):
        return 0.0
    T = model.electrolyte.temperature
    return kinetics.charging_current(eta, at.concentration, T)


@differentiated_alike
@eqx.filter_jit
def nucleated(
    nucleation: Nucleation,
    nuclei: MeanNuclei,
    model: CellModel,
    gain: Gain,
    reached: tuple[Cells, Array],
) -> tuple[MeanNuclei, Scalar]:
    """The nuclei after a window; and how much they changed, as windows count it."""
    T = model.electrolyte.temperature
    changes = []

    def after(surface: Surface, law, state, eta, charge, old):
        q = _per_area(charge, surface.area)
        new = law.plate(state, (eta + old) / 2, q, gain.duration, T)
        kinetics: Any = surface.kinetics
        on_metal = kinetics.kinetics.normalised_current(eta, T) * state.area_factor
        whole = jnp.abs(kinetics.normalised_current(eta, T) - on_metal)
        share = jnp.abs(on_metal) / (jnp.abs(on_metal) + whole + _NO_RATE)
        swelling = jnp.log(
            (new.area_factor + _NO_RATE) / (state.area_factor + _NO_RATE)
        )
        births = law.rate(eta, T)
        per_change = jnp.where(births > _FEW_BIRTHS, _FINE, _COARSE)
        change = jnp.maximum(
            jnp.abs(eta - old) / per_change, share * jnp.abs(swelling) / 4
        )
        changes.append(jnp.max(jnp.where(surface.area > 0, change, 0.0)))
        grew = (state.area_factor > _NO_RATE) & (gain.duration > 0)
        return new, jnp.where(grew, swelling, 0.0)

    at_floor = jax.tree.map(lambda k: k[..., 0] if k.ndim == 3 else k, nucleation)
    host_eta, floor_eta = reached
    host, host_swelling = after(
        model.host, over_host(model.grid, nucleation), nuclei.host, host_eta,
        gain.host, nuclei.host_overpotential,
    )  # fmt: skip
    floor, floor_swelling = after(
        model.floor, at_floor, nuclei.floor, floor_eta,
        gain.floor, nuclei.floor_overpotential,
    )  # fmt: skip
    span = jnp.where(gain.duration > 0, gain.duration, 1.0)
    swelling = (host_swelling, floor_swelling)
    new = MeanNuclei(host, floor, host_eta, floor_eta, *swelling, span)
    return new, jnp.maximum(*changes)
