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
from jaxtyping import Array, PyTree

from depojax._checks import refuse
from depojax._progress import report_progress
from depojax._types import Scalar, is_traced
from depojax.physics.deposit import SurfaceLoss
from depojax.physics.nucleation import Nucleation
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto, reacting_places
from depojax.problems.fresh_surface import (
    FreshSurface,
    first_surface,
    surface_after,
)
from depojax.problems.growth import AbstractGrowth, Gain, Stop, volume_of_charge
from depojax.problems.plating_solution import (
    Plating,
    Position,
    dead_share,
    efficiencies,
)
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
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps

_LONGER = 4.0  # windows grow at most so much
_RETRY = 2.0  # a window that changed so much more than it should is run again
_AIM = 0.9  # of the change that is allowed
_CAUTION = 0.25  # of the first window: the current is not known yet
_FIRST_RISE = 2e-3  # of the potential while the double layer charges [V]
_SHORTEST, _LONGEST = 1e-6, 1e12  # windows [s]
_KEPT_EVERY = 60.0  # restart points [s of wall time]
_HISTORIES = (
    "voltage",
    "current_density",
    "lowest_wall_concentration",
    "charge_imbalance",
)


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
        self.elapsed: Any = 0.0  # of the steps before [s]
        self.begun: Any = 0.0  # end of the run that this one goes on from [s]
        self.times: list[np.ndarray] = []
        self.indices: list[np.ndarray] = []
        self.values: list[dict[str, np.ndarray]] = []
        self.window_times: list[float] = []
        self.porosities: list[float] = []
        self.profiles: list[np.ndarray] = []  # of the pore fraction
        self.window_steps: list[int] = []
        self.window_voltages: list[Any] = []
        self.step_times: list[Any] = []
        self.step_charges: list[Any] = []
        self.step_lost: list[Any] = []
        self.step_film: list[Any] = []
        self.surface: FreshSurface | None = None
        self.ended: list[str] = []
        self.counts = np.zeros(2)
        self.time_steps = 0
        self.closure: tuple[Any, Any] | None = None
        self.result: RESULTS = RESULTS.successful
        self.kept_at = clock.monotonic()
        self.longest_step: Any = None  # in the last window [s]
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
        places = reacting_places(self.here)
        self.model, self.state, self.salt = opened(self.here, places, left, None, None)
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
        places = reacting_places(self.here)
        self.model, _, _ = opened(self.here, places, left, None, None)
        self.salt = self.model.pore_volume * before.state.fields.c
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
        done = len(partial.ended_by)
        self.step_times = list(partial.step_times[:done])
        self.step_charges = list(partial.step_charges[:done])
        self.step_lost = list(partial.step_lost_charges[:done])
        self.step_film = list(partial.step_film_charges[:done])
        self.elapsed = sum(self.step_times, 0.0)
        self.begun = partial.end_time - self.elapsed - position.since
        self.ended = list(partial.ended_by)
        self.since = position.since
        self.charge_before, self.dead_before = position.charge, position.dead
        self.film_before = position.film
        self.next_length = float(known(position.length))
        self.longest_step = float(known(position.longest_step)) or None
        self.last_gain = position.gain
        self.salt_at_first, self.squeezed = position.salt, position.squeezed
        self.stored = position.stored
        self.times, self.indices = (
            [np.asarray(partial.time)],
            [np.asarray(partial.step)],
        )
        self.values = [{n: np.asarray(getattr(partial, n)) for n in _HISTORIES}]
        self.window_times = list(np.asarray(partial.window_time))
        self.porosities = list(np.asarray(partial.window_porosity))
        self.profiles = list(np.asarray(partial.window_pore_fraction))
        self.window_voltages = list(partial.window_voltage)
        self.window_steps = [int(step) for step in partial.window_step]
        self.counts = np.asarray([partial.newton_steps, partial.linear_iterations])
        self.time_steps = int(partial.time_steps)
        if np.isfinite(known(partial.closure_time)):
            self.closure = (partial.closure_time, partial.closure_place)

    def _begin_step(self) -> None:
        self.since: Any = jnp.zeros_like(self.state.charge)
        self.charge_before: Any = self.state.charge
        self.dead_before: Any = self._dead_charge()
        self.film_before: Any = self._film_charge()
        self.next_length = 0.0  # not known yet
        self.last_gain: Gain | None = None

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
            self.step_times.append(self.since)
            self.step_charges.append(self.state.charge - self.charge_before)
            self.step_lost.append(self._dead_charge() - self.dead_before)
            self.step_film.append(self._film_charge() - self.film_before)
            self.elapsed = self.elapsed + self.since
            self.index += 1
            self._begin_step()
        solution = self.solution()
        if throw and bool(known(self.result._value) != 0):
            raise SolveError(str(RESULTS[self.result]), solution)
        return solution

    def _through_step(self) -> bool:
        """One step of the protocol; whether it ended all of it."""
        plain = plain_step(self.protocol[self.index])
        end = float(known(plain.end_time))
        while True:
            if len(self.window_times) >= self.windows.max_windows:
                self.result = RESULTS.max_steps_reached
                self.ended.append("failure")
                return True
            length = self._length(plain, end - float(known(self.since)))
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

    def _length(self, plain: PlainStep, rest: float) -> float:
        """Of the next window [s]."""
        if self.windows.fixed is not None:
            length = float(known(self.windows.fixed))
        else:
            length = self.next_length or self._first_length(plain)
        length = min(length, _LONGEST)
        # A sliver of a window is not worth its while.
        return rest if rest - length < 1e-6 * length else length

    def _first_length(self, plain: PlainStep) -> float:
        gain = self._even_gain(plain)
        if gain is None:
            first = with_first_step(self.steps, self.model)
            unit = first.fixed if first.first_step is None else first.first_step
            return 64 * float(known(unit))
        grown = self.growth.grown(self.cell, self.metal, gain)
        change = float(known(self.growth.change(self.cell, self.metal, grown)))
        if change == 0:
            return float("inf")
        length = _CAUTION * float(known(self.windows.change)) / change
        if self.nuclei is None:
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
        places, left = reacting_places(here), growth.left(cell, self.metal)
        model, state, _ = opened(
            here, places, left, salt, self.state, self.nuclei, charging
        )
        began = (self.since, self.charge_before)
        growing, steps = self._growing(plain), self._steps(model)
        window = run_window(model, state, plain, began, growing, span, steps)
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
        if self._was_too_long(float(facts[0]), change):
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
        self._take_in(model, window, facts, metal, here)
        self.squeezed, self.nuclei = squeezed, nuclei
        return window, facts

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

    def _was_too_long(self, took: float, change: float) -> bool:
        """Whether a window is to be run again, shorter; how long the next one is."""
        if self.windows.fixed is not None or took == 0:
            return False
        allowed = float(known(self.windows.change))
        wanted = _AIM * allowed / max(change, 1e-12)
        if change > _RETRY * allowed and took > _SHORTEST:
            self.next_length = took * wanted
            return True
        self.next_length = took * min(wanted, _LONGER)
        return False

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
        if self.longest_step is None or any(given is not None for given in chosen):
            return with_first_step(self.steps, model)
        return eqx.tree_at(
            lambda s: s.first_step,
            self.steps,
            jnp.asarray(self.longest_step, model.pore_volume.dtype),
            is_leaf=lambda x: x is None,
        )

    def _take_in(self, model, window: Window, facts, metal, here: Cell) -> None:
        run = window.run
        steps, first = int(facts[1]), self.since
        history = jax.tree.map(known, run.history)
        began = float(known(self.begun + self.elapsed + first))
        # What stood at the start had not settled, and in later windows was told before.
        part = slice(1 if float(known(first)) == 0 else min(2, steps), steps + 1)
        self.times.append(began + history.time[part])
        self.indices.append(np.full(self.times[-1].shape, self.index))
        self.values.append({n: v[part] for n, v in history.values.items()})
        if steps > 2:
            self.longest_step = float(np.max(np.diff(history.time[1 : steps + 1])))
        self.metal, self.state, self.salt = metal, run.state, window.salt
        self.model, self.here = model, here
        if facts[0] > 0:
            self.last_gain = window.gain
        self.since = first + run.time
        self.counts = self.counts + known(window.counts)
        self.time_steps += steps
        self.window_times.append(began + float(facts[0]))
        self.window_steps.append(self.index)
        self.window_voltages.append(run.state.fields.collector * model.thermal_voltage)
        now = self.growth.cell(self.cell, metal).scaffold
        self.porosities.append(float(known(now.porosity)))
        self.profiles.append(known(layer_means(now)))

    def _ended(self, plain: PlainStep, window: Window, facts, end: float):
        """What ended the step, "" if nothing did; and whether that ends everything."""
        _, _, fine, found, bare, number = facts
        stops: tuple[Stop, ...] = ()
        if (
            float(np.sum(known(window.gain.host)) + np.sum(known(window.gain.floor)))
            > 0
        ):
            stops = self.growth.stops(self.cell, self.metal)
        if stops and self.closure is None:
            when = self.begun + self.elapsed + self.since
            self.closure = (when, stops[0].place)
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
        c = jnp.where(wet, c0 * salt / jnp.where(wet, volume, 1.0), 0.0)
        scale = self.model.thermal_voltage
        since = self.since
        lost_now = self._dead_charge() - self.dead_before
        under_way = self.index < len(self.protocol) and float(known(since)) > 0
        times = [*self.step_times, *([since] if under_way else [])]
        charges = [
            *self.step_charges,
            *([state.charge - self.charge_before] if under_way else []),
        ]
        lost = [*self.step_lost, *([lost_now] if under_way else [])]
        filmed_now = self._film_charge() - self.film_before
        filmed = [*self.step_film, *([filmed_now] if under_way else [])]
        deposited = growth.volume(cell, self.metal)
        booked = (state.charge - self.stored) * cell.footprint
        turned = jnp.sum(jnp.abs(jnp.stack([jnp.zeros_like(since), *charges])))
        turned = turned * cell.footprint
        gained = self._inventory(self.metal) - self._inventory(growth.begin(cell))
        gained = gained + self._film_charge() * cell.footprint
        missing = jnp.abs(gained - booked) / jnp.where(turned > 0, turned, 1.0)
        booked, turned = (volume_of_charge(cell, q) for q in (booked, turned))
        amiss = jnp.abs(deposited - booked) / jnp.where(turned > 0, turned, 1.0)
        salt_amiss = jnp.sum(salt) + squeezed - self.salt_at_first
        salt_amiss = jnp.abs(salt_amiss)
        salt_amiss = salt_amiss / self.salt_at_first
        if cell.counter_electrode != "metal":  # salt passes the far side
            salt_amiss = jnp.full_like(salt_amiss, jnp.nan)
        signs = [float(np.sign(known(charge))) for charge in charges]
        nowhere = jnp.full(3, jnp.nan)
        never = (jnp.asarray(jnp.inf), nowhere)
        closure_time, closure_place = self.closure or never
        cover = self._cover()
        return Plating(
            time=_joined(self.times),
            step=jnp.asarray(np.concatenate([np.zeros(0, int), *self.indices])),
            **{
                name: _joined([values[name] for values in self.values])
                * (c0 if name == "lowest_wall_concentration" else 1.0)
                for name in _HISTORIES
            },
            window_time=jnp.asarray(self.window_times, float),
            window_porosity=jnp.asarray(self.porosities, float),
            window_pore_fraction=jnp.asarray(
                np.reshape(self.profiles, (-1, cell.scaffold.shape[2])), float
            ),
            window_voltage=jnp.asarray(
                [float(known(V)) for V in self.window_voltages], float
            ),
            window_step=jnp.asarray(self.window_steps, int),
            thickness=growth.thickness(cell, self.metal),
            coverage=cover["coverage"],
            nuclei_density=cover["density"],
            nuclei_radius=cover["mean_radius"],
            dead_metal=dead_share(cell, growth.dead(cell, self.metal)),
            pore_fraction=domain.pore_fraction,
            concentration=c,
            liquid_potential=scale * state.fields.liquid,
            local_current_density=state.reactions.host.current,
            final_voltage=scale * state.fields.collector,
            voltage_parts=parts_of_voltage(self.model, state),
            nucleation_overpotential=self._spike(),
            charge=state.charge,
            end_time=self.begun + self.elapsed + (since if under_way else 0.0),
            step_times=jnp.stack(times) if times else jnp.zeros(0),
            step_charges=jnp.stack(charges) if times else jnp.zeros(0),
            step_lost_charges=jnp.stack(lost) if times else jnp.zeros(0),
            step_film_charges=jnp.stack(filmed) if times else jnp.zeros(0),
            coulombic_efficiency=efficiencies(charges, signs),
            deposited_volume=deposited,
            faraday_mismatch=amiss,
            inventory_mismatch=missing,
            new_surface=(jnp.zeros(()) if self.surface is None else self.surface.made)
            / cell.footprint,
            film_charge=self._film_charge(),
            salt_mismatch=salt_amiss,
            trapped_electrolyte=jnp.sum(growth.trapped(cell, self.metal)),
            squeezed_salt=c0 * jnp.asarray(squeezed),
            closure_time=jnp.asarray(closure_time),
            closure_place=closure_place,
            ended_by=tuple(self.ended),
            windows=jnp.asarray(len(self.window_times)),
            time_steps=jnp.asarray(self.time_steps),
            newton_steps=jnp.asarray(int(self.counts[0])),
            linear_iterations=jnp.asarray(int(self.counts[1])),
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
            state=eqx.tree_at(lambda s: s.fields.c, state, jnp.where(wet, c / c0, 1.0)),
            position=Position(
                step=jnp.asarray(self.index),
                since=since,
                charge=self.charge_before,
                dead=self.dead_before,
                film=self.film_before,
                length=jnp.asarray(self.next_length, float),
                longest_step=jnp.asarray(self.longest_step or 0.0, float),
                gain=self.last_gain,
                salt=self.salt_at_first,
                squeezed=jnp.asarray(squeezed, float),
                stored=jnp.asarray(self.stored, float),
            ),
        )

    def _inventory(self, metal: PyTree) -> Scalar:
        """Charge of metal, live and dead [C]."""
        host, floor = self.growth.left(self.cell, metal)
        dead = self.growth.dead(self.cell, metal)
        return jnp.sum(host) + jnp.sum(floor) + jnp.sum(dead)

    def _cover(self) -> dict[str, Any]:
        """Coverage, density and radius of nuclei; the collector's where no host is."""
        area = onto(self.cell.grid, self.cell.scaffold.surface_area)
        floor = collector_area(self.cell)
        at_floor = (area[..., 0] == 0) & (floor > 0)
        found = {}
        for name in ("coverage", "density", "mean_radius"):
            if self.nuclei is None:
                whole = 1.0 if name == "coverage" else 0.0
                host, below = jnp.where(area > 0, whole, 0.0), whole + 0 * floor
            else:
                host = jnp.where(area > 0, getattr(self.nuclei.host, name), 0.0)
                below = getattr(self.nuclei.floor, name)
            lowest = jnp.where(at_floor, below, host[..., 0])
            found[name] = host.at[..., 0].set(lowest)
        return found

    def _spike(self) -> Scalar:
        """The deepest dip of the first step that plates, against the plateau after."""
        if self.nuclei is None:
            return jnp.asarray(jnp.nan)
        under_way = self.state.charge - self.charge_before
        charges = [float(known(q)) for q in [*self.step_charges, under_way]]
        first = [index for index, charge in enumerate(charges) if charge > 0]
        pairs = zip(self.window_steps, self.window_voltages, strict=True)
        voltages = [V for step, V in pairs if first and step == first[0]]
        if not voltages:
            return jnp.asarray(jnp.nan)
        numbers = np.asarray([float(known(V)) for V in voltages])
        dip = int(np.argmin(numbers))
        plateau = dip + int(np.argmax(numbers[dip:]))
        return voltages[dip] - voltages[plateau]


def layer_means(scaffold: Scaffold) -> Array:
    """Pore fraction of every layer of cells, from the collector up [-]."""
    volumes = scaffold.grid.volumes
    pores = jnp.sum(scaffold.pore_fraction * volumes, (0, 1))
    return pores / jnp.sum(volumes, (0, 1))


def _joined(parts: list[np.ndarray]):
    return jnp.asarray(np.concatenate([np.zeros(0), *parts]))


def known(value: Any) -> np.ndarray:
    """A number as it is, also while derivatives are taken of it.

    Raises `ValueError` inside of jit and vmap, where there is none to know.
    """
    value = jax.lax.stop_gradient(value)
    if is_traced(value):
        raise refuse(
            "plate",
            "to run outside of jit and vmap",
            "a traced number",
            "How many windows there are is decided while it runs; jax.grad works.",
        )
    return np.asarray(value)
