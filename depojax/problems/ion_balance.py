"""Ions in time: what `depojax.solvers.time` integrates.

The total current of the working electrode is what ions bring and what charges it. Under
an imposed potential the second follows from where the ions go: by reciprocity a charge
q in a cell induces −q w on the electrode, w the potential there of an electrode at 1
with all else at 0 (Shockley, J. Appl. Phys. 9 (1938) 635, doi:10.1063/1.1710367), so

    J A = Σ z F N_wall − dQ/dt,    dQ/dt = C dV/dt − Σ_cells w dq/dt

In numbers this is the derivative of the electrode's charge to round-off.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Int

from depojax._extremes import least_of
from depojax._sums import sum_of_few
from depojax._types import Cells, Scalar
from depojax.problems.ion_inverse import inverse_of
from depojax.problems.ion_maps import crossed, local_thickness
from depojax.problems.ion_model import IonFields, IonModel, Passing
from depojax.problems.ion_reactions import (
    balances,
    faradaic,
    layer_thickness,
    passing_of,
)
from depojax.problems.ion_stage import IonDrive, IonStage, at_rest, target
from depojax.problems.ion_tangent import ion_tangent
from depojax.problems.waveforms import AbstractWaveform
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import build_hierarchy
from depojax.solvers.newton import find_root, followed
from depojax.solvers.results import RESULTS
from depojax.solvers.tr_bdf2 import AbstractBalance

_KEPT = 0.1  # of the concentration, at least, in a guess


class IonState(eqx.Module):
    """What a run carries from step to step."""

    fields: IonFields
    passing: Passing
    electrode: Scalar  # charge on the working electrode over F c₀ D₀ [m s]
    charge: Scalar  # passed per footprint, plating positive [C m-2]


class IonBalance(AbstractBalance):
    """The ions of a cell under one drive."""

    model: IonModel
    drive: AbstractWaveform  # J [A m-2] or V [V], over time
    by_current: Bool[Array, ""]
    weight: Cells  # w, see above
    instant: Scalar  # stages that are shorter move no ion [s]
    nearest: Int[Array, "x y z"]  # metal, see `ion_maps`
    level: Scalar  # thickness of a layer that counts as space charge [m]
    window: tuple[Scalar, Scalar] | None = None  # times within which the drive is read

    def storage(self, y: IonState) -> IonState:
        ions = self.model.storage * y.fields.c
        nothing = jax.tree.map(jnp.zeros_like, y)
        electrode = self.model.electrode_charge(y.fields)
        return dataclasses.replace(
            nothing,
            fields=dataclasses.replace(nothing.fields, c=ions),
            electrode=electrode,
            charge=y.charge,
        )

    def rate(self, t, y: IonState) -> IonState:
        gained = self._gained(y)
        current = self.current(t, y, gained)
        nothing = jax.tree.map(jnp.zeros_like, y)
        return dataclasses.replace(
            nothing,
            fields=dataclasses.replace(nothing.fields, c=gained),
            electrode=faradaic(self.model, y.fields, y.passing) - current,
            charge=self.model.per_footprint(current),
        )

    def _gained(self, y: IonState) -> Array:
        lost, _ = balances(self.model, y.fields, y.passing)
        return jnp.where(self.model.in_pore, -lost, 0.0)

    def current(self, t, y: IonState, gained: Array | None = None) -> Scalar:
        """The total current of the working electrode over F c₀ D₀ [m]."""
        model = self.model
        gained = self._gained(y) if gained is None else gained
        moved = jnp.sum(self.weight * sum_of_few(model.z * gained))
        passed = faradaic(model, y.fields, y.passing)
        if not model.neutral:
            rising = self._slope(t) / model.thermal_voltage
            moved = moved - self._capacity() * rising
        asked = self.imposed(t) / model.per_footprint(jnp.ones_like(y.charge))
        return jnp.where(self.by_current, asked, passed + moved)

    def jump(self, y: IonState) -> Scalar:
        """Charge that an imposed voltage takes at once, as without ions [C m⁻²].

        Plating positive, per footprint.
        """
        model = self.model
        if model.neutral:
            return jnp.zeros_like(y.charge)
        rise = self.imposed(jnp.zeros_like(y.charge)) / model.thermal_voltage
        taken = self._capacity() * (rise - y.fields.collector)
        return jnp.where(self.by_current, 0.0, -model.per_footprint(taken))

    def _capacity(self) -> Scalar:
        """Charge of the electrode per potential, without ions, over F c₀ D₀ [m s]."""
        model = self.model
        one = jnp.ones_like(model.stern)
        none = jnp.zeros((len(model.charges), *self.weight.shape), self.weight.dtype)
        bare = IonFields(none, self.weight, one)
        return model.electrode_charge(bare)

    def _slope(self, t) -> Scalar:
        """dV/dt [V s⁻¹]."""
        return jax.jvp(self.imposed, (t,), (jnp.ones_like(t),))[1]

    def exchange(self, t, y: IonState, rate: IonState) -> Scalar:
        return jnp.sum(rate.fields.c[self.model.plated])

    def solve_stage(self, t, known: IonState, a, guess: IonState):
        fixed, before, a, fields, passing = jax.lax.stop_gradient(
            (self, known, a, guess.fields, guess.passing)
        )
        stage = fixed.stage(t, before, a)
        safe = jnp.where(fixed.model.pore_volume > 0, fixed.model.storage, 1.0)
        still = before.fields.c / safe
        fields = dataclasses.replace(
            fields, c=jnp.maximum(fields.c, _KEPT * jnp.maximum(still, 0))
        )
        root = find_root(stage, fields, target(fixed.model), passing)
        counts = jnp.stack([root.newton_steps, root.linear_iterations])
        state = self._with_sums(t, known, a, root.x, root.inner)
        return state, root.converged, counts

    def follow_stage(self, t, known: IonState, a, y: IonState) -> IonState:
        stage = self.stage(t, known, a)
        fields = followed(stage, y.fields, y.passing)
        passing = passing_of(stage.model, fields, known=y.passing)
        return self._with_sums(t, known, a, fields, passing)

    def _with_sums(self, t, known: IonState, a, fields: IonFields, passing: Passing):
        electrode = self.model.electrode_charge(fields)
        y = IonState(fields, passing, electrode, known.charge)
        passed = self.model.per_footprint(self.current(t, y))
        return dataclasses.replace(y, charge=known.charge + a * passed)

    def uncounted(self):
        return jnp.zeros(2, jnp.int32)  # Newton steps and linear iterations

    def stage(self, t, known: IonState, a: Scalar) -> IonStage:
        """The equations of a stage at time t, after what is known."""
        value = self.imposed(t)
        value = jnp.where(self.by_current, value, value / self.model.thermal_voltage)
        drive = IonDrive(value, self.by_current)
        # A neutral solution has no charge that would follow a jump by itself.
        still = (a < self.instant) & (not self.model.neutral)
        return IonStage(self.model, drive, known.fields.c, known.electrode, a, still)

    def imposed(self, t) -> Scalar:
        """J [A m⁻²] or V [V] at a time; at a jump that of the step in hand."""
        if self.window is not None:
            t = jnp.clip(t, *self.window)
        return self.drive.value(t)

    def damp(self, y: IonState, a, error: IonState) -> IonState:
        # With the potential that goes with it: charge relaxes faster than any step.
        never = jnp.asarray(False)
        fixed = jax.lax.stop_gradient(self.model)
        tangent = ion_tangent(fixed, y.fields, y.passing, a, never, self.by_current)
        nothing = jax.tree.map(jnp.zeros_like, y.fields)
        residual = dataclasses.replace(nothing, c=tangent.weight * error.fields.c / a)
        left = inverse_of(tangent, y.fields)(residual)
        whole = jax.tree.map(jnp.zeros_like, error)
        return eqx.tree_at(lambda e: e.fields.c, whole, left.c)

    def size(self, error: IonState) -> Scalar:
        """Root mean square over the electrolyte of all ions [c/c₀]."""
        volume = self.model.pore_volume
        square = jnp.sum(volume * error.fields.c**2)
        return jnp.sqrt(square / jnp.sum(volume))

    def event(self, t, y: IonState) -> Scalar:
        return jnp.ones_like(t)

    def observe(self, t, y: IonState) -> dict[str, Scalar]:
        """Numbers of the cell at a moment."""
        model = self.model
        current = model.per_footprint(self.current(t, y))
        return {
            "voltage": y.fields.collector * model.thermal_voltage,
            "current_density": current,
            "layer_thickness": layer_thickness(model, y.fields, y.passing),
            "lowest_of_any_ion": least_of(
                jnp.where(model.in_pore, y.fields.c, jnp.inf)
            ),
        }

    def begin(self, y0: IonState):
        if not self.may_be_charged:
            return None
        thick = local_thickness(self.model, self.nearest, y0.fields, y0.passing)
        return thick, jnp.full_like(thick, jnp.inf)

    def remember(self, memory, t, y: IonState, dt, new: IonState):
        if memory is None:
            return None
        before, onset = memory
        thick = local_thickness(self.model, self.nearest, new.fields, new.passing)
        found = crossed(self.level, before, thick, t, dt)
        return thick, jnp.minimum(onset, found)

    @property
    def may_be_charged(self) -> bool:
        """Whether there is a space charge to follow."""
        return self.model.layered or not self.model.neutral

    def during(self, t, dt):
        edge = 1e-6 * dt
        return dataclasses.replace(self, window=(t + edge, t + dt - edge))

    def next_switch(self, t):
        return self.drive.next_switch(t)

    @property
    def failure(self):
        if self.model.neutral and not self.model.layered:
            plates = self.by_current & (self.imposed(self.instant) > 0)
            return RESULTS.where(
                plates, RESULTS.ran_out, RESULTS.nonlinear_solve_failed
            )
        return RESULTS.nonlinear_solve_failed

    @property
    def settling_time(self):
        return jax.lax.stop_gradient(self.instant)


def induced(model: IonModel) -> Cells:
    """w: the potential of the cells where the working electrode is at 1, all else 0."""
    if model.neutral:
        return jnp.zeros_like(model.pore_volume)
    shape, dtype = model.grid.shape, model.pore_volume.dtype
    source = jnp.zeros(shape, dtype)
    loss = jnp.where(model.in_pore, 0.0, 1.0)
    for surface in model.surfaces:
        charge = surface.into_cells(model.charge_of(surface), shape)
        loss = loss + charge
        if surface is not model.counter:
            source = source + charge
    for bath in model.baths:
        at = bath.layer
        own = bath.way * model.square[..., at]
        loss = loss.at[..., at].add(own)
        if at == 0:
            source = source.at[..., at].add(own)
    zero = jnp.zeros((), dtype)
    operator = DiffusionOperator(None, loss, model.screening, zero)
    hierarchy = build_hierarchy(model.grid, None, loss, model.screening, jnp.float32)
    solver = MultigridCG(rtol=1e-12)
    state = solver.init(operator, {"hierarchy": hierarchy})
    return lx.linear_solve(operator, source, solver, state=state, throw=False).value


def begin(model: IonModel, *, mixed: bool = False) -> IonState:
    """The bulk everywhere, nothing charged; see `at_rest`."""
    fields, passing = at_rest(model, mixed=mixed)
    none = jnp.zeros_like(model.stern)
    return IonState(fields, passing, none, none)
