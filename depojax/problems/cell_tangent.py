"""The derivative of the coupled equations, as coefficients of faces and cells.

Currents through a face depend on the two cells beside it, reactions on one cell: the
Jacobian is a seven-point stencil for each pair of fields. Written down once per Newton
step it is applied at the cost of reading its coefficients; what automatic
differentiation keeps for the same is four times as much.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._types import Cells, Scalar
from depojax.fv.logarithmic_mean import slopes_of_mean
from depojax.problems.cell_model import CellModel, Fields, Transport
from depojax.problems.cell_surfaces import Reactions
from depojax.solvers.stencil import (
    Padded,
    Rows,
    interior,
    laid_out,
    neighbour,
    rows,
    stored,
    unfolded,
    wrapped,
)


class FaceSlopes(eqx.Module):
    """How what passes the faces above the cells along an axis follows the fields.

    `charge` by salt below and above, and by the potential's fall; `flux` of salt by
    salt below and above; `share`, which both cells lose, as `charge`.
    """

    charge: tuple[Array, Array, Array]
    flux: tuple[Array, Array]
    share: tuple[Array, Array, Array] | None  # None: t₊ is the same everywhere


class ReactionSlopes(eqx.Module):
    """Of the current that the surfaces of each cell take [m]."""

    by_salt: tuple[Cells, Cells, Cells]  # host, floor, counter
    by_liquid: tuple[Cells, Cells, Cells]


class CellTangent(eqx.Module):
    """The Jacobian of a stage: a linear map from Fields to Fields."""

    model: CellModel
    faces: tuple[FaceSlopes, FaceSlopes, FaceSlopes]
    reactions: ReactionSlopes
    far: tuple[Array, Array, Array] | None  # top: flux by c, charge by c and by φ
    storage: Cells  # of salt, over a; and what else its row has of its own c
    salt_share: Cells  # 1 − t₊
    still: Bool[Array, ""]  # no salt moves
    by_current: Bool[Array, ""]

    def __call__(self, x: Fields) -> Fields:
        """J x."""
        model, scale = self.model, self.model.current_scale
        salt, charge = self._flows(x.c, x.liquid)
        metals = model.metal_potentials(x)
        slopes = zip(self.reactions.by_salt, self.reactions.by_liquid, strict=True)
        host, floor, counter = (
            by_c * x.c + by_l * (x.liquid - metal)
            for (by_c, by_l), metal in zip(slopes, metals, strict=True)
        )
        plated = host + floor + counter
        salt = salt + self.storage * x.c + self.salt_share * plated
        salt = jnp.where(self.still, scale * x.c, salt)
        out, solid = jnp.sum(floor), None
        if x.solid is None or model.solid is None:
            out = out + jnp.sum(host)
        else:
            solid = model.solid_flow(x.solid) - host
            out = out + jnp.sum(model.solid.contact * x.solid[..., 0])
        return Fields(
            jnp.where(model.in_pore, salt, scale * x.c),
            jnp.where(model.in_pore, charge + plated, scale * x.liquid),
            model.idle_where_no_solid(solid, x.solid),
            jnp.where(self.by_current, -out, scale * x.collector),
        )

    def of_potentials(self, x: Fields) -> Fields:
        """J x as far as potentials without gradients act: what reacts, and contacts.

        The collector's own equation is left out.
        """
        model = self.model
        metals = model.metal_potentials(x)
        host, floor, counter = (
            slope * (x.liquid - metal)
            for slope, metal in zip(self.reactions.by_liquid, metals, strict=True)
        )
        plated = host + floor + counter
        salt = jnp.where(self.still, 0.0, self.salt_share * plated)
        solid = None
        if x.solid is not None and model.solid is not None:
            contact = model.solid.contact * x.solid[..., 0]
            solid = (-host).at[..., 0].add(contact)
        if self.far is not None:
            plated = plated.at[..., -1].add(self.far[2] * x.liquid[..., -1])
        return Fields(salt, plated, solid, jnp.zeros_like(x.collector))

    def on_potentials(self, x: Fields) -> Fields:
        """J x as far as salt acts on potentials, and the solid's on the liquid's."""
        host, floor, counter = self.reactions.by_salt
        charge = self._charge_by_salt(x.c) + (host + floor + counter) * x.c
        solid = None
        if x.solid is not None:
            charge = charge - self.reactions.by_liquid[0] * x.solid
            solid = -host * x.c
        return Fields(0 * x.c, charge, solid, 0 * x.collector)

    def _charge_by_salt(self, c: Cells) -> Cells:
        """The charge that leaves each cell for the sake of salt."""
        shape, periodic = self.model.grid.shape, self.model.grid.periodic
        u = laid_out(c, periodic)
        charge = jnp.zeros_like(rows(u))
        for axis, slopes in enumerate(self.faces):
            k_here, k_above, _ = slopes.charge
            charge = charge + rows(k_here) * rows(u)
            charge = charge + rows(k_above) * neighbour(u, axis, 1, shape)
            low, high = (neighbour(k, axis, -1, shape) for k in (k_here, k_above))
            charge = charge - low * neighbour(u, axis, -1, shape) - high * rows(u)
        charge = interior(stored(charge), shape)
        if self.far is None:
            return charge
        return charge.at[..., -1].add(self.far[1] * c[..., -1])

    def _flows(self, c: Cells, liquid: Cells) -> tuple[Cells, Cells]:
        shape, periodic = self.model.grid.shape, self.model.grid.periodic

        c, liquid = laid_out(c, periodic), laid_out(liquid, periodic)
        salt = charge = jnp.zeros_like(rows(c))
        for axis, slopes in enumerate(self.faces):

            def below(field, axis=axis):
                return neighbour(field, axis, -1, shape)

            def above(field, axis=axis):
                return neighbour(field, axis, 1, shape)

            here, fall = rows(c), rows(liquid) - above(liquid)
            fall_below = below(liquid) - rows(liquid)

            def through(k, here=here, fall=fall, above=above):
                flow = rows(k[0]) * here + rows(k[1]) * above(c)
                return flow + rows(k[2]) * fall if len(k) > 2 else flow

            def from_below(k, here=here, fall=fall_below, below=below):
                flow = below(k[0]) * below(c) + below(k[1]) * here
                return flow + below(k[2]) * fall if len(k) > 2 else flow

            charge = charge + through(slopes.charge) - from_below(slopes.charge)
            salt = salt + through(slopes.flux) - from_below(slopes.flux)
            if slopes.share is not None:
                salt = salt + through(slopes.share) + from_below(slopes.share)
        salt, charge = (interior(stored(f), shape) for f in (salt, charge))
        if self.far is not None:
            top = self.far
            c, liquid = (unfolded(f, shape)[1:-1, 1:-1, -2] for f in (c, liquid))
            salt = salt.at[..., -1].add(top[0] * c)
            charge = charge.at[..., -1].add(top[1] * c + top[2] * liquid)
        return salt, charge


def cell_tangent(
    model: CellModel,
    x: Fields,
    reactions: Reactions,
    a: Scalar,
    still: Bool[Array, ""],
    by_current: Bool[Array, ""],
) -> CellTangent:
    """The Jacobian of a stage at x, from the reactions there.

    `a` is that of the stage; `still` where no salt moves in it.
    """
    ones = jnp.ones_like(x.c)
    t, slope = jax.jvp(model.transport, (x.c,), (ones,))
    slopes = _reaction_slopes(model, x, reactions)
    host, floor, counter = (
        surface.into_cells(surface.area * i, x.c.shape) / model.unit
        for surface, i in zip(model.surfaces, reactions, strict=True)
    )
    plated = host + floor + counter
    return CellTangent(
        model=model,
        faces=_face_slopes(model, x, t, slope),
        reactions=slopes,
        far=_far_slopes(model, x),
        storage=model.storage / a - slope.cation_share * plated,
        salt_share=1 - t.cation_share,
        still=still,
        by_current=by_current,
    )


def _face_slopes(model: CellModel, x: Fields, t: Transport, slope: Transport):
    shape, periodic = model.grid.shape, model.grid.periodic

    def kept(values: Rows, axis: int) -> Padded:
        whole = [wraps and a == axis for a, wraps in enumerate(periodic)]
        return wrapped(stored(values), (whole[0], whole[1], whole[2]), shape)

    same_share = model.same_cation_share
    log_c, per_c = jnp.log(t.concentration), slope.concentration / t.concentration
    c, log_c, per_c, liquid, t, slope = jax.tree.map(
        lambda field: laid_out(field, periodic),
        (x.c, log_c, per_c, x.liquid, t, slope),
    )
    axes = []
    for axis in range(3):

        def above(field, axis=axis):
            return neighbour(field, axis, 1, shape)

        def mean(field, above=above):
            return (rows(field) + above(field)) / 2

        g = rows(model.faces.faces[axis])
        rise = above(c) - rows(c)
        w, log_fall = mean(t.potential), rows(log_c) - above(log_c)
        drive = rows(liquid) - above(liquid) - w * log_fall
        k = g * t.conduction_to(above)
        current = k * drive
        follows = 0.5, 0.5
        if t.log_conduction is not None:
            rise_of_log = above(t.log_conduction) - rows(t.log_conduction)
            ends = rows(t.conduction), above(t.conduction)
            follows = slopes_of_mean(*ends, rise_of_log)

        def by_salt(end, share, sign, g=g, k=k, w=w, drive=drive, log_fall=log_fall):
            eased = g * share * end(slope.conduction) * drive
            return eased - k * (
                end(slope.potential) / 2 * log_fall + sign * w * end(per_c)
            )

        charge = by_salt(rows, follows[0], 1), by_salt(above, follows[1], -1), k
        D = mean(t.diffusion)
        flux = (
            g * (D - rise * rows(slope.diffusion) / 2),
            -g * (D + rise * above(slope.diffusion) / 2),
        )
        share = None
        if not same_share:
            half = (above(t.cation_share) - rows(t.cation_share)) / 2
            share = (
                half * charge[0] - rows(slope.cation_share) / 2 * current,
                half * charge[1] + above(slope.cation_share) / 2 * current,
                half * k,
            )
        slopes = FaceSlopes(charge, flux, share)
        axes.append(jax.tree.map(lambda v, axis=axis: kept(v, axis), slopes))
    return axes[0], axes[1], axes[2]


def _reaction_slopes(
    model: CellModel, x: Fields, reactions: Reactions
) -> ReactionSlopes:
    # One program for both directions, (1, 0) and (0, 1) for (c, φ).
    one, none = jnp.ones_like(x.c), jnp.zeros_like(x.c)

    def reacting(c: Cells, liquid: Cells) -> Reactions:
        return model.reactions(Fields(c, liquid, x.solid, x.collector), known=reactions)

    def along(c: Cells, liquid: Cells):
        slopes = jax.jvp(reacting, (x.c, x.liquid), (c, liquid))[1]
        host, floor, counter = (
            surface.into_cells(surface.area * i, one.shape) / model.unit
            for surface, i in zip(model.surfaces, slopes, strict=True)
        )
        return host, floor, counter

    both = jax.vmap(along)(jnp.stack([one, none]), jnp.stack([none, one]))
    by_salt, by_liquid = (jax.tree.map(lambda p, k=k: p[k], both) for k in (0, 1))
    return ReactionSlopes(by_salt, by_liquid)


def _far_slopes(model: CellModel, x: Fields):
    if model.far is None:
        return None
    c, liquid = x.c[..., -1], x.liquid[..., -1]
    one = jnp.ones_like(c)

    def flows(c, liquid):
        return model.through_far_side(c, liquid, model.transport(c))

    _, (salt_c, charge_c) = jax.jvp(flows, (c, liquid), (one, 0 * one))
    _, (_, charge_l) = jax.jvp(flows, (c, liquid), (0 * one, one))
    return salt_c, charge_c, charge_l
