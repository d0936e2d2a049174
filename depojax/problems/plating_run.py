"""A plating run under way: windows one after the other, and what they leave behind."""

import contextlib
import dataclasses
import time as clock
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from depojax._progress import report_progress
from depojax._types import Cells, Scalar
from depojax.physics.deposit import SurfaceLoss
from depojax.physics.nucleation import Nucleation
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import reacting_places
from depojax.problems.fresh_surface import (
    FreshSurface,
    first_surface,
    surface_after,
)
from depojax.problems.growth import AbstractGrowth, Gain, Stop
from depojax.problems.plating_books import cover, metal_mismatches
from depojax.problems.plating_lengths import WindowLengths
from depojax.problems.plating_record import StepRecord, WindowRecord, known
from depojax.problems.plating_solution import Plating, Position, dead_share
from depojax.problems.plating_window import (
    Growing,
    MeanNuclei,
    Window,
    Windows,
    nucleated,
    opened,
    run_window,
)
from depojax.problems.protocols import Protocol
from depojax.problems.simulate import (
    PlainStep,
    parts_of_voltage,
    plain_step,
    step_bar,
    with_first_step,
)
from depojax.problems.waveforms import Constant
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps

_FIRST_RISE = 2e-3  # of the potential while the double layer charges [V]
_SPARE = 0.1  # room for places that react, beyond those there are
_DAMPED = 0.1  # of the window before: the first step, where geometry has moved
_KEPT_EVERY = 60.0  # restart points [s of wall time]


@dataclasses.dataclass
class PlatingRun:
    """A run under way: what it was asked, where it is, and what it has seen."""

    cell: Cell
    protocol: Protocol
    growth: AbstractGrowth
    stop_on_closure: bool
    windows: Windows
    steps: Steps
    progress: bool
    keep: Callable[[Plating], None] | None
    nucleation: Nucleation | None = None
    capacitance: Any = 0.0  # [F m-2]
    surface_loss: SurfaceLoss | None = None

    def __post_init__(self):
        self.index = 0  # of the step in hand
        self.begun: Any = 0.0  # end of the run that this one goes on from [s]
        self.windows_seen = WindowRecord()
        self.steps_seen = StepRecord()
        self.surface: FreshSurface | None = None
        self.ended: list[str] = []
        self.places: int | None = -1  # room for reacting cells; None: all, -1: not yet
        self.closure: tuple[Any, Any] | None = None
        self.result: RESULTS = RESULTS.successful
        self.kept_at = clock.monotonic()
        self.step_size: Any = None  # for the next window to begin with [s]
        self.stored: Any = 0.0  # charge of double layers per footprint [C m-2]
        self.squeezed: Any = 0.0  # salt out of the top, with its electrolyte [m³ of c₀]

    # Where it begins

    def begin(self) -> None:
        """A cell that nothing has happened to."""
        self.metal = self.growth.begin(self.cell)
        self.state: Any = None
        self.salt: Any = None
        self.here = self.growth.cell(self.cell, self.metal)
        left = self.growth.left(self.cell, self.metal)
        places = self._places(self.here)
        self.model, self.state, self.salt = opened(self.here, places, left, None, None)
        self.concentration = jnp.zeros_like(self.salt)
        self.last_length: Any = jnp.zeros_like(self.state.charge)
        self.salt_at_first = jnp.sum(self.salt)
        self.nuclei = None if self.nucleation is None else MeanNuclei.none(self.cell)
        self._begin_surface(None)
        self._begin_step()

    def _begin_surface(self, before: FreshSurface | None) -> None:
        self.surface = before
        if before is None and self.surface_loss is not None:
            self.surface = first_surface(
                self.growth, self.cell, self.metal, self.nuclei
            )

    def take_up(self, before: Plating) -> None:
        """Where another run ended."""
        self.metal = before.metal
        self.here = before.final_cell
        left = self.growth.left(self.cell, self.metal)
        places = self._places(self.here)
        self.model, _, _ = opened(self.here, places, left, None, None)
        self.salt = self.model.pore_volume * before.state.fields.c
        self.concentration = before.position.concentration
        self.last_length = before.position.window
        self.state, self.nuclei = before.state, before.nuclei
        self.salt_at_first = jnp.sum(self.salt)
        self.begun = before.end_time
        self._begin_surface(before.surface)
        self._begin_step()

    def restore(self, partial: Plating) -> None:
        """Where a run was kept, with all that it had seen."""
        self.take_up(partial)
        self.begun = 0.0
        position = partial.position
        self.index = int(known(position.step))
        self.ended = list(partial.ended_by)
        self.steps_seen = StepRecord.of(partial, len(self.ended))
        self.windows_seen = WindowRecord.of(partial)
        self.since = position.since
        self.begun = partial.end_time - self.steps_seen.elapsed - position.since
        self.charge_before, self.dead_before = position.charge, position.dead
        self.film_before = position.film
        self.lengths.next = float(known(position.length))
        self.step_size = float(known(position.step_size)) or None
        self.last_gain = position.gain
        self.salt_at_first, self.squeezed = position.salt, position.squeezed
        self.stored = position.stored
        if np.isfinite(known(partial.closure_time)):
            self.closure = (partial.closure_time, partial.closure_place)

    def _begin_step(self) -> None:
        self.since: Any = jnp.zeros_like(self.state.charge)
        self.charge_before: Any = self.state.charge
        self.dead_before: Any = self._dead_charge()
        self.film_before: Any = self._film_charge()
        self.lengths = WindowLengths(self.windows)
        self.last_gain: Gain | None = None

    def _places(self, here: Cell) -> int | None:
        """Room for the places that react. Another number is another program, which
        takes long to compile: it only ever grows."""
        needed = reacting_places(here)
        if self.places is not None and (needed is None or needed > self.places):
            self.places = reacting_places(here, spare=_SPARE)
        return self.places

    def _dead_charge(self) -> Scalar:
        dead = self.growth.dead(self.cell, self.metal)
        return jnp.sum(dead) / self.cell.footprint

    def _film_charge(self) -> Scalar:
        charge = jnp.zeros(()) if self.surface is None else self.surface.charge
        return charge / self.cell.footprint

    # The way through the protocol

    def through_protocol(self, throw: bool) -> Plating:
        """Step after step; what came of it."""
        over = False
        while self.index < len(self.protocol) and not over:
            bar = step_bar(self.index, self.protocol)
            with bar if self.progress else contextlib.nullcontext():
                over = self._through_step()
            self._note_step(self.steps_seen)
            self.index += 1
            self._begin_step()
        solution = self.solution()
        if throw and bool(known(self.result._value) != 0):
            raise SolveError(str(RESULTS[self.result]), solution)
        return solution

    def _note_step(self, record: StepRecord) -> None:
        record.add(
            self.since,
            self.state.charge - self.charge_before,
            self._dead_charge() - self.dead_before,
            self._film_charge() - self.film_before,
        )

    def _now(self) -> Any:
        """The time of the run [s]."""
        return self.begun + self.steps_seen.elapsed + self.since

    def _through_step(self) -> bool:
        """One step of the protocol; whether it ended all of it."""
        plain = plain_step(self.protocol[self.index])
        end = float(known(plain.end_time))
        while True:
            if len(self.windows_seen) >= self.windows.max_windows:
                self.result = RESULTS.max_steps_reached
                self.ended.append("failure")
                return True
            rest = end - float(known(self.since))
            length = self.lengths.choose(rest, lambda: self._first_length(plain))
            gathered = self._window(plain, length)
            if gathered is None:  # it was too long
                continue
            window, facts = gathered
            ended, over = self._ended(plain, window, facts, end)
            self._show(plain, end)
            if ended:
                self.ended.append(ended)
                return over
            if self.keep is not None and clock.monotonic() - self.kept_at > _KEPT_EVERY:
                self.kept_at = clock.monotonic()
                self.keep(self.solution())

    def _first_length(self, plain: PlainStep) -> float:
        gain = self._even_gain(plain)
        if gain is None:
            first = with_first_step(self.steps, self.model)
            unit = first.fixed if first.first_step is None else first.first_step
            return 64 * float(known(unit))
        grown = self.growth.grown(self.cell, self.metal, gain)
        rate = self.growth.change(self.cell, self.metal, grown)
        length = self.lengths.cautious(rate)
        if self.nuclei is None or length == float("inf"):
            return length
        charging = known(self.capacitance / jnp.abs(self._even_current(plain)))
        return min(length, float(charging) * _FIRST_RISE)

    def _even_current(self, plain: PlainStep) -> Scalar:
        """An imposed current per true area, if it spreads evenly [A m⁻²]."""
        area = jnp.sum(self.model.host.area) + jnp.sum(self.model.floor.area)
        return plain.drive.value(self.since) * self.cell.footprint / area

    def _even_gain(self, plain: PlainStep) -> Gain | None:
        """What a second of an imposed current plates, if it spreads evenly."""
        if not bool(known(plain.by_current)):
            return None
        i, model = self._even_current(plain), self.model
        return Gain(model.host.area * i, model.floor.area * i, jnp.ones_like(i))

    def _window(self, plain: PlainStep, length: float):
        """Run a window and take it in; None, and a shorter one is next, if too long."""
        growth, cell = self.growth, self.cell
        here = growth.cell(cell, self._halfway(plain, length))
        salt = growth.carried(self.here, here, self.salt)
        squeezed = self.squeezed + (jnp.sum(self.salt) - jnp.sum(salt))
        span = jnp.asarray(length, self.since.dtype)
        charging = None if self.nuclei is None else (self.capacitance, span)
        places, left = self._places(here), growth.left(cell, self.metal)
        late = self._late()
        model, state, salt = opened(
            here, places, left, salt, self.state, self.nuclei, charging,
            None if late is None else (late, self.concentration),
        )  # fmt: skip
        began = (self.since, self.charge_before)
        growing, steps = self._growing(plain), self._steps(model)
        damping = None if late is None else self._damping(plain)
        window = run_window(model, state, plain, began, growing, span, steps, damping)
        # What a pocket has enclosed is no part of the model and stays.
        wet = model.pore_volume > 0
        window = eqx.tree_at(
            lambda w: w.salt, window, jnp.where(wet, window.salt, salt)
        )
        if self.nuclei is not None:
            window = eqx.tree_at(lambda w: w.gain, window, self._on_nuclei(window.gain))
        facts = known(window.facts)
        metal = growth.grown(cell, self.metal, window.gain)
        change = float(known(growth.change(cell, self.metal, metal)))
        nuclei = self.nuclei
        if nuclei is not None and self.nucleation is not None:
            nuclei, more = nucleated(
                self.nucleation, nuclei, model, window.gain, window.overpotentials
            )
            change = max(change, float(known(more)))
        if self.lengths.was_too_long(float(facts[0]), change):
            return None
        if nuclei is not None:
            gained = jnp.sum(window.gain.host) + jnp.sum(window.gain.floor)
            passed = window.run.state.charge - self.state.charge
            self.stored = self.stored + passed - gained / cell.footprint
        if self.surface is not None and self.surface_loss is not None:
            metal, self.surface = surface_after(
                self.surface_loss, growth, cell, metal, nuclei, window.gain,
                self.surface,
            )  # fmt: skip
        self._take_in(model, window, metal, here, damped=damping is not None)
        self.squeezed, self.nuclei = squeezed, nuclei
        return window, facts

    def _late(self) -> Scalar | None:
        """For how long the salt spreads that the last window's growth moved [s]."""
        share = self.growth.late
        return None if share == 0 else share * self.last_length

    def _damping(self, plain: PlainStep) -> Scalar:
        """How long the first step of a window may be [s].

        What a drive does is followed at once, and seen.
        """
        before, nothing = self.last_gain, jnp.zeros_like(self.since)
        goes_on = float(known(self.since)) > 0 and isinstance(plain.drive, Constant)
        return nothing if before is None or not goes_on else _DAMPED * before.duration

    def _on_nuclei(self, gain: Gain) -> Gain:
        """What was plated where there are nuclei; a bare place only charges."""
        nuclei: Any = self.nuclei
        host = jnp.where(nuclei.host.area_factor > 0, gain.host, 0.0)
        floor = jnp.where(nuclei.floor.area_factor > 0, gain.floor, 0.0)
        return Gain(host, floor, gain.duration)

    def _halfway(self, plain: PlainStep, length: float) -> PyTree:
        """The metal in the middle of the window, as far as one can tell."""
        gain = self._even_gain(plain) if self.last_gain is None else self.last_gain
        if gain is None or not np.isfinite(length):
            return self.metal
        ahead = length / 2 / gain.duration
        gain = jax.tree.map(lambda part: part * ahead, gain)
        return self.growth.halfway(self.cell, self.metal, gain)

    def _growing(self, plain: PlainStep) -> Growing | None:
        """What shows the stops of growth; none while a closed pore is stripped."""
        if not self.stop_on_closure:
            return None
        drive = float(known(plain.drive.value(self.since)))
        strips = drive < 0 if bool(known(plain.by_current)) else drive > 0
        if strips and self.growth.stops(self.cell, self.metal):
            return None
        return Growing(self.growth, self.cell, self.metal)

    def _steps(self, model) -> Steps:
        chosen = [self.windows.fixed, self.steps.fixed, self.steps.first_step]
        if self.step_size is None or any(given is not None for given in chosen):
            return with_first_step(self.steps, model)
        return eqx.tree_at(
            lambda s: s.first_step,
            self.steps,
            jnp.asarray(self.step_size, model.pore_volume.dtype),
            is_leaf=lambda x: x is None,
        )

    def _take_in(
        self, model, window: Window, metal, here: Cell, *, damped: bool
    ) -> None:
        run, first = window.run, self.since
        size = self.windows_seen.add(
            window,
            self.index,
            began=float(known(self._now())),
            opens=float(known(first)) == 0,
            damped=damped and float(known(first)) > 0,
            voltage=run.state.fields.collector * model.thermal_voltage,
            scaffold=self.growth.cell(self.cell, metal).scaffold,
        )
        self.step_size = self.step_size if size is None else size
        self.metal, self.state, self.salt = metal, run.state, window.salt
        self.concentration = jnp.where(model.in_pore, run.state.fields.c, 0.0)
        self.model, self.here = model, here
        if float(known(window.facts)[0]) > 0:
            self.last_gain, self.last_length = window.gain, window.gain.duration
        self.since = first + run.time

    def _ended(self, plain: PlainStep, window: Window, facts, end: float):
        """What ended the step, "" if nothing did; and whether that ends everything."""
        _, _, fine, found, bare, number = facts
        stops: tuple[Stop, ...] = ()
        if np.sum(known(window.gain.host)) + np.sum(known(window.gain.floor)) > 0:
            stops = self.growth.stops(self.cell, self.metal)
        if stops and self.closure is None:
            self.closure = (self._now(), stops[0].place)
        if not fine:
            self.result = window.run.result
            return "failure", True
        if bare:
            return "stripped", False
        if found and number < len(plain.stops):
            stop = plain.stops[int(number)]
            return stop.name, stop.ends == "protocol"
        if found and number == len(plain.stops):
            return "stripped", False
        final = [stop for stop in stops if stop.always or self.stop_on_closure]
        if found or final:
            return (final[0].name if final else "pore_closure"), True
        if float(known(self.since)) >= end * (1 - 1e-12):
            return "time", False
        return "", False

    def _show(self, plain: PlainStep, end: float) -> None:
        if not self.progress:
            return
        passed = float(known(self.state.charge - self.charge_before))
        shares = [0.0]
        for stop in plain.stops:
            if stop.kind == "charge":
                shares.append(abs(passed) / float(known(stop.level)))
        since = float(known(self.since))
        report_progress(since, 1 - max(shares), True)

    # What came of it

    def solution(self) -> Plating:
        """The run so far."""
        cell, growth, state = self.cell, self.growth, self.state
        final = growth.cell(cell, self.metal)
        salt = growth.carried(self.here, final, self.salt)
        squeezed = self.squeezed + (jnp.sum(self.salt) - jnp.sum(salt))
        domain = final.domain()
        volume = domain.pore_fraction * cell.grid.volumes
        c0 = cell.salt.concentration
        wet = volume > 0
        share = jnp.where(wet, 1 / jnp.where(wet, volume, 1.0), 0.0)
        c = salt * share
        scale = self.model.thermal_voltage
        steps = self.steps_seen
        if self.index < len(self.protocol) and float(known(self.since)) > 0:
            steps = steps.copy()
            self._note_step(steps)
        closure_time, closure_place = self.closure or (jnp.inf, jnp.full(3, jnp.nan))
        made = jnp.zeros(()) if self.surface is None else self.surface.made
        spike = jnp.asarray(jnp.nan)
        if self.nuclei is not None:
            under_way = state.charge - self.charge_before
            spike = self.windows_seen.spike([*self.steps_seen.charges, under_way])
        return Plating(
            **self.windows_seen.fields(c0, cell.scaffold.shape[2]),
            **steps.fields(),
            **cover(cell, self.nuclei),
            **self._metal_mismatches(steps.turned_over),
            salt_mismatch=self._salt_mismatch(salt, squeezed),
            thickness=growth.thickness(cell, self.metal),
            dead_metal=dead_share(cell, growth.dead(cell, self.metal)),
            pore_fraction=domain.pore_fraction,
            concentration=c0 * share * self._spread(final, salt),
            liquid_potential=scale * state.fields.liquid,
            local_current_density=state.reactions.host.current,
            final_voltage=scale * state.fields.collector,
            voltage_parts=parts_of_voltage(self.model, state),
            nucleation_overpotential=spike,
            charge=state.charge,
            end_time=self.begun + steps.elapsed,
            deposited_volume=growth.volume(cell, self.metal),
            new_surface=made / cell.footprint,
            film_charge=self._film_charge(),
            trapped_electrolyte=jnp.sum(growth.trapped(cell, self.metal)),
            squeezed_salt=c0 * jnp.asarray(squeezed),
            closure_time=jnp.asarray(closure_time),
            closure_place=closure_place,
            ended_by=tuple(self.ended),
            result=self.result,
            cell=cell,
            protocol=self.protocol,
            growth=growth,
            metal=self.metal,
            surface_loss=self.surface_loss,
            surface=self.surface,
            nuclei=self.nuclei,
            nucleation=self.nucleation,
            double_layer_capacitance=jnp.asarray(self.capacitance),
            state=eqx.tree_at(lambda s: s.fields.c, state, jnp.where(wet, c, 1.0)),
            position=self._position(squeezed),
        )

    def _position(self, squeezed: Any) -> Position:
        return Position(
            step=jnp.asarray(self.index),
            since=self.since,
            charge=self.charge_before,
            dead=self.dead_before,
            film=self.film_before,
            length=jnp.asarray(self.lengths.next, float),
            step_size=jnp.asarray(self.step_size or 0.0, float),
            gain=self.last_gain,
            window=self.last_length,
            concentration=self.concentration,
            salt=self.salt_at_first,
            squeezed=jnp.asarray(squeezed, float),
            stored=jnp.asarray(self.stored, float),
        )

    def _spread(self, final: Cell, salt: Cells) -> Cells:
        """Salt [m³ of c₀] as the next window would find it: what is late has spread."""
        late = self._late()
        if late is None:
            return salt
        left = self.growth.left(self.cell, self.metal)
        _, _, salt = opened(
            final, self._places(final), left, salt, self.state, None, None,
            (late, self.concentration),
        )  # fmt: skip
        return salt

    def _metal_mismatches(self, turned: Scalar) -> dict[str, Any]:
        """Of all metal, against what was `turned` over per footprint [C m⁻²]."""
        footprint = self.cell.footprint
        return metal_mismatches(
            self.cell,
            self.growth,
            self.metal,
            booked=(self.state.charge - self.stored) * footprint,
            film=self._film_charge() * footprint,
            turned=turned * footprint,
        )

    def _salt_mismatch(self, salt: Cells, squeezed: Any) -> Scalar:
        """Over what there was at first; NaN where some passes the far side."""
        lost = jnp.abs(jnp.sum(salt) + squeezed - self.salt_at_first)
        if self.cell.counter_electrode != "metal":
            lost = jnp.full_like(lost, jnp.nan)
        return lost / self.salt_at_first
