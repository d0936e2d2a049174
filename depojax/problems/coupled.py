"""The coupled cell in time: implicit stages, stops, and what is written down.

Salt is stored; ionic and electronic current close at every moment (an index-1 system).
A stage asks for

    m(u) − a F(u, ψ) = known,     0 = currents(u, ψ),     J or V as imposed

and is solved for all fields at once by Newton's method, see `cell_model` for the
equations and `coupled_inverse` for the preconditioner.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._extremes import largest_of, least_of
from depojax._types import Cells, Scalar, static
from depojax.physics.interface import AtWall
from depojax.problems.cell_model import CellModel, Fields
from depojax.problems.cell_surfaces import Reactions, Use
from depojax.problems.cell_tangent import CellTangent, cell_tangent
from depojax.problems.coupled_inverse import FieldByField, inverse_of, salt_cycle
from depojax.problems.places import deciding_place
from depojax.problems.until import Until
from depojax.problems.waveforms import AbstractWaveform
from depojax.solvers.newton import AbstractSystem, Root, find_root, followed
from depojax.solvers.results import RESULTS
from depojax.solvers.tr_bdf2 import AbstractBalance
from depojax.solvers.trees import chosen, plus, scaled

_CLAMP = 20.0  # largest change of a potential per Newton step [RT/F]
_KEPT = 0.1  # of the concentration, at least, per Newton step
_INSTANT = 1e-9  # time to follow a jump [s]
DEPLETED = 1e-4  # c_s/c₀ that counts as depleted: kinetics never reach zero
_AT_ONCE = 1e-8  # stages shorter than that move no salt [s]
_LITTLE = 1e-6  # of a limiting current: what flows less is solved as that much is
_LEAST_WAY = 2.0**-10  # share of a jump that is worth a try


class CellState(eqx.Module):
    """What a run carries from step to step."""

    fields: Fields
    reactions: Reactions
    charge: Scalar  # passed per footprint, plating positive [C m-2]
    plated: tuple[Cells, Array]  # charge per true area, host and floor [C m-2]
    use: Use | None = None  # of films that grow


class Drive(eqx.Module):
    """What is imposed at a moment: J where `by_current`, else V."""

    value: Scalar  # J [A m-2] or V F/(RT) [-]
    by_current: Bool[Array, ""]


class Stage(AbstractSystem):
    """The equations of one implicit stage."""

    model: CellModel
    drive: Drive
    known: Cells  # storage before the stage, and what was added to it
    a: Scalar

    def inner(self, x: Fields, guess: Reactions) -> Reactions:
        return self.model.reactions(x, guess)

    def inner_followed(self, x: Fields, known: Reactions) -> Reactions:
        return self.model.reactions(x, known=known)

    def residual(self, x: Fields, inner: Reactions) -> Fields:
        model = self.model
        salt, liquid, solid, out = model.balances(x, inner)
        salt = salt + (model.storage * x.c - self.known) / self.a
        still = model.current_scale * (x.c - self.known / model.safe_storage)
        salt = jnp.where(self.is_instant, still, salt)
        by_voltage = model.current_scale * (x.collector - self.drive.value)
        return Fields(
            jnp.where(model.in_pore, salt, model.current_scale * (x.c - 1)),
            jnp.where(model.in_pore, liquid, model.current_scale * x.liquid),
            model.idle_where_no_solid(solid, x.solid),
            jnp.where(self.drive.by_current, self.asked - out, by_voltage),
        )

    @property
    def asked(self) -> Scalar:
        """The current that the drive asks for, where it does [m]."""
        return self.drive.value * (self.model.grid.footprint / self.model.unit)

    @property
    def round_off(self) -> Scalar:
        """What is left of the balances because numbers end, ‖·‖₂ [m].

        The shorter the step, the more: salt that is stored is a difference over it.
        """
        size = jnp.sqrt(jnp.sum(self.model.storage**2)) / self.a
        size = jnp.where(self.is_instant, 0.0, size)
        return 4 * jnp.finfo(size.dtype).eps * size

    def goal(self, target: Scalar, x: Fields, inner: Reactions) -> Scalar:
        """Relative to the current that flows, where that is less than a limiting one.

        Round-off may end the way before: a target of all currents alike is enough then,
        and `CellModel.imbalance` says how many digits there are. At rest it is too.
        """
        asked = jnp.abs(self.asked)
        passed = jnp.where(asked > 0, asked, self.model.current_scale)
        flows = jnp.where(self.drive.by_current, passed, self.model.exchanged(inner))
        share = jnp.clip(flows / self.model.current_scale, _LITTLE, 1.0)
        return share * (target - self.round_off) + self.round_off

    @property
    def is_instant(self) -> Bool[Array, ""]:
        """Whether the stage moves no salt."""
        return self.a < _AT_ONCE

    def on_the_way(self, here: Drive, share: Scalar) -> "Stage":
        """The stage for a drive between that of `here` and its own."""
        way = share * self.drive.value + (1 - share) * here.value
        return dataclasses.replace(self, drive=Drive(way, self.drive.by_current))

    def jacobian(self, x: Fields, inner: Reactions) -> CellTangent:
        return cell_tangent(
            self.model, x, inner, self.a, self.is_instant, self.drive.by_current
        )

    def preconditioner(self, x: Fields, jacobian: CellTangent) -> FieldByField:
        return inverse_of(jacobian, x)

    def held_back(self, x: Fields, step: Fields) -> Fields:
        # The step as a whole: cut field by field it would not close the currents.
        potentials = (step.liquid, step.solid, step.collector)
        longest = [jnp.max(jnp.abs(change)) for change in jax.tree.leaves(potentials)]
        longest = jnp.maximum(jnp.max(jnp.stack(longest)), _CLAMP)
        step = scaled(_CLAMP / longest, step)
        least = jnp.where(x.c > 0, (_KEPT - 1) * x.c, -jnp.inf)
        return eqx.tree_at(lambda f: f.c, step, jnp.maximum(step.c, least))


class CoupledBalance(AbstractBalance):
    """The coupled cell under one drive, up to the first of its stops."""

    model: CellModel
    drive: AbstractWaveform  # J [A m-2] or V [V], over the time of the step
    by_current: Bool[Array, ""]
    stops: tuple[Until, ...]
    begun: Scalar  # charge that had passed when the step began [C m-2]
    window: tuple[Scalar, Scalar] | None = None  # times within which the drive is read
    tolerance: float = static(default=1e-10)

    def storage(self, y: CellState) -> CellState:
        stored = _salt_alone(y.fields, self.model.storage * y.fields.c)
        return dataclasses.replace(y, fields=stored)

    def rate(self, t, y: CellState) -> CellState:
        salt = self.model.balances(y.fields, y.reactions)[0]
        gained = jnp.where(self.model.in_pore, -salt, 0.0)
        return CellState(
            _salt_alone(y.fields, gained),
            jax.tree.map(jnp.zeros_like, y.reactions),
            *self._passing(y.fields, y.reactions),
        )

    def exchange(self, t, y: CellState, rate: CellState) -> Scalar:
        return jnp.sum(rate.fields.c)

    def solve_stage(self, t, known: CellState, a, guess: CellState):
        fixed, before, a, fields, reactions = jax.lax.stop_gradient(
            (self, known, a, guess.fields, guess.reactions)
        )
        stage = fixed.stage(t, before, a)
        # A guess from the way so far may have gone on below zero.
        still = before.fields.c / self.model.safe_storage
        c = jnp.maximum(fields.c, _KEPT * jnp.maximum(still, 0))
        fields = dataclasses.replace(fields, c=c)
        root, counts = _led_to(stage, fields, fixed.target + stage.round_off, reactions)
        state = self._with_sums(t, known, a, root.x, root.inner)
        return state, root.converged, counts

    def follow_stage(self, t, known: CellState, a, y: CellState) -> CellState:
        stage = self.stage(t, known, a)
        fields = followed(stage, y.fields, y.reactions)
        reactions = stage.model.reactions(fields, known=y.reactions)
        return self._with_sums(t, known, a, fields, reactions)

    def _with_sums(
        self, t, known: CellState, a, fields: Fields, reactions: Reactions
    ) -> CellState:
        """The state of a stage from what was solved for."""
        passed = self._passing(fields, reactions)
        sums = plus((known.charge, known.plated, known.use), a, passed)
        return CellState(fields, reactions, *sums)

    def _passing(self, fields: Fields, reactions: Reactions):
        """What charge, plated charge and use gain per time."""
        out = self.model.through_collector(fields, reactions)
        use = None
        if self.model.changes_by_use:
            host, floor, counter = map(jnp.abs, reactions)
            use = Use(jnp.ones_like(out), (host, floor, counter))
        return self.model.per_footprint(out), _plating(reactions), use

    def uncounted(self):
        return jnp.zeros(2, jnp.int32)  # Newton steps and linear iterations

    def stage(self, t, known: CellState, a: Scalar) -> Stage:
        """The equations of a stage at time t, after what is known."""
        value = self.imposed(t)
        value = jnp.where(self.by_current, value, value / self.model.thermal_voltage)
        model = self.model.in_use(known.use, known.plated, a)
        return Stage(model, Drive(value, self.by_current), known.fields.c, a)

    @property
    def target(self) -> Scalar:
        """‖R‖₂ at which a stage is solved [m]."""
        return self.tolerance * self.model.current_scale

    def imposed(self, t) -> Scalar:
        """J [A m⁻²] or V [V] at a time; at a jump that of the step in hand."""
        if self.window is not None:
            t = jnp.clip(t, *self.window)
        return self.drive.value(t)

    def damp(self, y: CellState, a, error: CellState) -> CellState:
        cycle = salt_cycle(self.model, y.fields, a)
        nothing = jax.tree.map(jnp.zeros_like, error)
        return eqx.tree_at(lambda e: e.fields.c, nothing, cycle(error.fields.c / a))

    def size(self, error: CellState) -> Scalar:
        """Root mean square over the reacting surfaces, where the answer is decided."""
        area = self.model.reacting_area
        square = jnp.sum(area * error.fields.c**2)
        return jnp.sqrt(square / jnp.sum(area))

    def event(self, t, y: CellState) -> Scalar:
        margins = self.margins(t, y)
        return least_of(jnp.stack(margins)) if margins else jnp.ones_like(t)

    def margins(self, t, y: CellState) -> list[Scalar]:
        """Of all stops: positive before, zero where they are met."""
        observed = self.observe(t, y)

        def seen(stop: Until) -> dict[str, Scalar]:
            if stop.kind == "stripped":
                return observed | {"deposit": self.deposit_left(y)}
            if stop.kind == "steady":
                drift = self.model.salt_drift(y.fields, y.reactions)
                return observed | {"salt_drift": drift}
            if stop.share == 0:
                return observed
            wall, area = self.walls(y)
            place = deciding_place(wall, area, stop.share)
            return observed | {"lowest_wall_concentration": wall.ravel()[place]}

        return [stop.margin(t, seen(stop)) for stop in self.stops]

    def deposit_left(self, y: CellState) -> Scalar:
        """Metal on host and collector per footprint [C m⁻²]; inf: there always is."""
        left = self.model.deposit_left(y.plated)
        return jnp.full_like(y.charge, jnp.inf) if left is None else left

    def walls(self, y: CellState) -> tuple[Cells, Cells]:
        """c_s/c₀ where the host and the open collector are plated, and that area."""
        model = self.model
        wall = model.wall_concentration(y.fields, y.reactions)
        floor = jnp.where(model.open_floor, model.floor.area, 0.0)
        floor = model.floor.into_cells(floor, wall.shape)
        area = jnp.where(model.wall, model.host.area, 0.0) + floor
        return wall, jnp.where(jnp.isfinite(wall), area, 0.0)

    def observe(self, t, y: CellState) -> dict[str, Scalar]:
        """Numbers of the cell at a moment; of the step: its time and charge."""
        model = self.model
        reactions = y.reactions
        out = model.through_collector(y.fields, reactions)
        wall, area = self.walls(y)
        mean = jnp.sum(jnp.where(area > 0, area * wall, 0.0)) / jnp.sum(area)
        true_area = jnp.sum(model.host.area) + jnp.sum(model.floor.area)
        local = [largest_of(jnp.abs(i)) for i in _plating(reactions)]
        current = model.per_footprint(out)
        return {
            "time": t,
            "charge": y.charge - self.begun,
            "voltage": y.fields.collector * model.thermal_voltage,
            "current_density": current,
            "lowest_wall_concentration": least_of(wall),
            "mean_wall_concentration": mean,
            "mean_local_current_density": out * model.unit / true_area,
            "highest_local_current_density": jnp.maximum(*local),
            "charge_imbalance": model.imbalance(reactions, current),
        }

    def during(self, t, dt):
        edge = 1e-6 * dt
        return dataclasses.replace(self, window=(t + edge, t + dt - edge))

    def next_switch(self, t):
        return self.drive.next_switch(t)

    @property
    def failure(self):
        return RESULTS.nonlinear_solve_failed

    @property
    def settling_time(self):
        return jnp.asarray(_INSTANT, self.begun.dtype)


def _led_to(stage: Stage, fields: Fields, target: Scalar, reactions: Reactions):
    """The root of a stage, and the iterations; after a jump in steps, if need be.

    Straight away first. Where Newton's method does not get there and no salt moves,
    the drive is led from what it was to what it is now, each time half of the way that
    failed, twice that which did not.
    """
    model = stage.model
    out = model.per_footprint(model.through_collector(fields, reactions))
    before = jnp.where(stage.drive.by_current, out, fields.collector)
    here = Drive(before, stage.drive.by_current)

    def unfinished(state):
        _, share, way, _, first = state
        goes_on = stage.is_instant & (way >= _LEAST_WAY)
        return (share < 1) & (first | goes_on)

    def go_on(state):
        root, share, way, counts, _ = state
        to = jnp.minimum(share + way, 1.0)
        found = find_root(stage.on_the_way(here, to), root.x, target, root.inner)
        more = jnp.stack([found.newton_steps, found.linear_iterations])
        good = found.converged
        # A failure is kept where it is the last word.
        kept = good | ~stage.is_instant
        root = chosen(kept, found, dataclasses.replace(root, converged=good))
        way = jnp.where(good, 2 * way, way / 2)
        return root, jnp.where(good, to, share), way, counts + more, jnp.asarray(False)

    none, one = jnp.zeros_like(stage.a), jnp.ones_like(stage.a)
    begin = Root(fields, reactions, jnp.asarray(False), jnp.int32(0), jnp.int32(0))
    state = (begin, none, one, jnp.zeros(2, jnp.int32), jnp.asarray(True))
    root, _, _, counts, _ = jax.lax.while_loop(unfinished, go_on, state)
    return root, counts


def at_rest(model: CellModel) -> CellState:
    """Uniform salt, no potentials, nothing plated."""
    ones = jnp.ones_like(model.pore_volume)
    none = jnp.zeros((), ones.dtype)
    solid = None if model.solid is None else 0 * ones
    c0 = model.electrolyte.concentration
    idle = (AtWall(0 * s.area, c0 + 0 * s.area) for s in model.surfaces)
    reactions = Reactions(*idle)
    fields, plated = Fields(ones, 0 * ones, solid, none), _plating(reactions)
    use = Use(none, (*plated, reactions.counter.current))
    return CellState(
        fields, reactions, none, plated, use if model.changes_by_use else None
    )


def _salt_alone(fields: Fields, c: Cells) -> Fields:
    nothing = jax.tree.map(jnp.zeros_like, fields)
    return dataclasses.replace(nothing, c=c)


def _plating(reactions: Reactions) -> tuple[Cells, Array]:
    """The part of the reactions that the working electrode books."""
    return reactions.host.current, reactions.floor.current
