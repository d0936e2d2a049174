"""One implicit stage of the ions' equations."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._types import Scalar
from depojax.problems.ion_inverse import inverse_of
from depojax.problems.ion_model import IonCells, IonFields, IonModel, Passing
from depojax.problems.ion_reactions import balances, faradaic, passing_of
from depojax.problems.ion_tangent import IonTangent, ion_tangent
from depojax.solvers.newton import AbstractSystem
from depojax.solvers.trees import scaled

_CLAMP = 20.0  # largest change of a potential per Newton step [RT/F]
_KEPT = 0.1  # of a concentration, at least, per Newton step
_TARGET = 1e-12  # ‖R‖₂ over `current_scale`, at which a stage is solved


class IonDrive(eqx.Module):
    """What is imposed at a moment: J where `by_current`, else V."""

    value: Scalar  # J [A m-2] or V F/(RT) [-]
    by_current: Bool[Array, ""]


class IonStage(AbstractSystem):
    """The equations of one implicit stage."""

    model: IonModel
    drive: IonDrive
    known: IonCells  # storage before the stage, and what was added to it
    charge: Scalar  # of the working electrode, as `known`
    a: Scalar
    still: Bool[Array, ""]  # the stage is too short for ions to move

    def inner(self, x: IonFields, guess: Passing) -> Passing:
        return passing_of(self.model, x, guess)

    def inner_followed(self, x: IonFields, known: Passing) -> Passing:
        return passing_of(self.model, x, known=known)

    def residual(self, x: IonFields, inner: Passing) -> IonFields:
        model, scale = self.model, self.model.current_scale
        lost, gauss = balances(model, x, inner)
        ions = lost + (model.storage * x.c - self.known) / self.a
        ions = model.ion_scale(self.a) * ions
        safe = jnp.where(model.pore_volume > 0, model.storage, 1.0)
        ions = jnp.where(self.still, scale * (x.c - self.known / safe), ions)
        bulk = model.bulk[:, None, None, None]
        charged = (model.electrode_charge(x) - self.charge) / self.a
        passed = faradaic(model, x, inner) - charged
        asked = self.drive.value / model.per_footprint(jnp.ones_like(self.a))
        return IonFields(
            jnp.where(model.in_pore, ions, scale * (x.c - bulk)),
            jnp.where(model.in_pore, model.poisson_scale * gauss, scale * x.potential),
            jnp.where(
                self.drive.by_current,
                model.collector_scale(self.a) * (asked - passed),
                scale * (x.collector - self.drive.value),
            ),
        )

    def jacobian(self, x: IonFields, inner: Passing) -> IonTangent:
        by_current = self.drive.by_current
        return ion_tangent(self.model, x, inner, self.a, self.still, by_current)

    def preconditioner(self, x: IonFields, jacobian: IonTangent):
        return inverse_of(jacobian, x)

    def held_back(self, x: IonFields, step: IonFields) -> IonFields:
        # The step as a whole: cut field by field it would not close the currents.
        longest = jnp.maximum(jnp.max(jnp.abs(step.potential)), jnp.abs(step.collector))
        step = scaled(_CLAMP / jnp.maximum(longest, _CLAMP), step)
        least = jnp.where(x.c > 0, (_KEPT - 1) * x.c, -jnp.inf)
        return eqx.tree_at(lambda f: f.c, step, jnp.maximum(step.c, least))


def at_rest(model: IonModel, *, mixed: bool = False) -> tuple[IonFields, Passing]:
    """The bulk everywhere, no potentials; nothing passes.

    Between two baths each fills its half; where `mixed`, one goes over into the other.
    """
    none = jnp.zeros_like(model.pore_volume)
    c = model.bulk[:, None, None, None] + none
    if model.near is not None and model.far is not None:
        near, far = (b.bulk[:, None, None, None] for b in (model.near, model.far))
        height = model.grid.centers[2] / model.grid.lengths[2]
        share = height if mixed else jnp.where(height > 0.5, 1.0, 0.0)
        c = near + (far - near) * share + none
    fields = IonFields(c, none, jnp.zeros_like(model.stern))
    return fields, jax.lax.stop_gradient(passing_of(model, fields))


def target(model: IonModel) -> Scalar:
    """‖R‖₂ at which a stage is solved [m]."""
    return _TARGET * model.current_scale
