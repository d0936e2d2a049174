"""The derivative of the ions' equations, as coefficients of faces and cells.

A flux through a face depends on the two cells beside it,

    δF = a δc_P − b δc_N + s (δΦ_N − δΦ_P),

and a reaction on the cell before the metal.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._types import Cells, Scalar, static
from depojax.problems.ion_model import Bath, IonCells, IonFields, IonModel, Passing
from depojax.problems.ion_reactions import passing_of, side_currents
from depojax.solvers.stencil import (
    Padded,
    interior,
    laid_out,
    neighbour,
    rows,
    stored,
)


class IonFaces(eqx.Module):
    """How the flux of every ion through the faces above the cells follows the fields.

    Padded arrays with the ions along a first axis [m].
    """

    here: Array  # a
    above: Array  # b
    driven: Array  # s


class Local(eqx.Module):
    """What depends on a cell's own fields alone, for each reacting ion [m]."""

    by_ions: Array  # of its balance, per c_j: (reacting, ions, x, y, z)
    by_potential: Array  # (reacting, x, y, z)
    by_collector: Array


class BathSlopes(eqx.Module):
    """Of what leaves the cells before a bath into it [m]."""

    by_own: Array  # per c_k: (ions, x, y)
    by_driving: Array  # per Φ_k
    layer: int = static()


class IonTangent(eqx.Module):
    """The Jacobian of a stage: a linear map from IonFields to IonFields."""

    model: IonModel
    faces: tuple[IonFaces | None, IonFaces | None, IonFaces | None]  # None: one cell
    local: Local
    host_share: tuple[Array, Array, Array]  # of `local` that the working electrode has
    baths: tuple[BathSlopes, ...]
    crowding: IonCells | None  # ∂Φ/∂c_j
    storage: Cells  # over a [m]
    weight: IonCells  # of the ions' equations
    border: Scalar  # of the collector's
    a: Scalar
    still: Bool[Array, ""]  # no ion moves
    by_current: Bool[Array, ""]

    def __call__(self, x: IonFields) -> IonFields:
        """J x."""
        model, scale = self.model, self.model.current_scale
        ions = self._outflow(x)
        ions = ions + self.storage * x.c
        taken = jnp.sum(self.local.by_ions * x.c, 1)
        taken = taken + self.local.by_potential * x.potential
        taken = taken + self.local.by_collector * x.collector
        ions = ions.at[jnp.asarray(model.reacting)].add(taken)
        ions = self.weight * ions
        ions = jnp.where(self.still, scale * x.c, ions)
        charge = -model.pore_volume * jnp.sum(model.z * x.c, 0)
        if not model.neutral:
            none = jnp.zeros_like(x.collector)
            charge = charge + model.displacement(x.potential, (x.collector, none))
        charge = model.poisson_scale * charge
        return IonFields(
            jnp.where(model.in_pore, ions, scale * x.c),
            jnp.where(model.in_pore, charge, scale * x.potential),
            jnp.where(
                self.by_current, -self.border * self._current(x), scale * x.collector
            ),
        )

    def _current(self, x: IonFields) -> Scalar:
        by_ions, by_potential, by_collector = self.host_share
        z = self.model.z[jnp.asarray(self.model.reacting)]
        taken = jnp.sum(z[:, None] * by_ions * x.c)
        taken = taken + jnp.sum(z * by_potential * x.potential)
        taken = taken + jnp.sum(z * by_collector) * x.collector
        for bath in self.baths:
            if bath.layer == 0:
                taken = taken + jnp.sum(self.model.z[..., 0] * self._through(bath, x))
        charged = self.model.electrode_charge(x) / self.a
        return taken - charged

    def _through(self, bath: BathSlopes, x: IonFields) -> Array:
        """What leaves into a bath [m]."""
        at = bath.layer
        rise = self._driving(x.c, x.potential)[..., at]
        if at == 0:
            rise = rise - self.model.z[..., 0] * x.collector
        return bath.by_own * x.c[..., at] + bath.by_driving * rise

    def _driving(self, c: IonCells, potential: Cells) -> IonCells:
        phi = self.model.z * potential
        if self.crowding is None:
            return phi
        return phi + jnp.sum(self.crowding * c, 0)

    def _outflow(self, x: IonFields) -> IonCells:
        c, phi = x.c, self._driving(x.c, x.potential)
        model, shape = self.model, self.model.grid.shape
        periodic = model.grid.periodic

        def one(c, phi, faces):
            u, drive = laid_out(c, periodic), laid_out(phi, periodic)
            total = jnp.zeros_like(rows(u))
            for axis, slopes in enumerate(faces):
                if slopes is None:
                    continue
                rise = neighbour(drive, axis, 1, shape) - rows(drive)
                flux = rows(slopes.here) * rows(u)
                flux = flux - rows(slopes.above) * neighbour(u, axis, 1, shape)
                flux = flux + rows(slopes.driven) * rise
                flux = model.through_faces(flux, axis)
                total = total + rows(flux) - neighbour(flux, axis, -1, shape)
            return interior(stored(total), shape)

        flows = jax.vmap(one)(c, phi, self.faces)
        for bath in self.baths:
            flows = flows.at[..., bath.layer].add(self._through(bath, x))
        return flows


def ion_tangent(
    model: IonModel,
    x: IonFields,
    passing: Passing,
    a: Scalar,
    still: Bool[Array, ""],
    by_current: Bool[Array, ""],
) -> IonTangent:
    """The Jacobian of a stage at x, from what passes the surfaces there."""
    local, host_share = _local_slopes(model, x, passing)
    shape, periodic = model.grid.shape, model.grid.periodic
    phi = model.driving(x.c, x.potential)
    faces = []
    for axis in range(3):
        if shape[axis] == 1 and not periodic[axis]:
            faces.append(None)
            continue

        def slopes(ion, c, phi, D, axis=axis):
            return _face_slopes(model, ion, c, phi, D, axis)

        faces.append(model.for_each_ion(slopes, x.c, phi, model.diffusion))
    return IonTangent(
        model=model,
        faces=(faces[0], faces[1], faces[2]),
        local=local,
        host_share=host_share,
        baths=tuple(_bath_slopes(model, bath, x, phi) for bath in model.baths),
        crowding=model.crowding(x.c),
        storage=model.storage / a,
        weight=model.ion_scale(a),
        border=model.collector_scale(a),
        a=a,
        still=still,
        by_current=by_current,
    )


def _bath_slopes(
    model: IonModel, bath: Bath, x: IonFields, phi: IonCells
) -> BathSlopes:
    c, drive = x.c[..., bath.layer], phi[..., bath.layer]
    one, none = jnp.ones_like(c), jnp.zeros_like(c)

    def leaves(c, drive):
        return model.into_bath(bath, c, drive, x.collector)

    by_own = jax.jvp(leaves, (c, drive), (one, none))[1]
    by_driving = jax.jvp(leaves, (c, drive), (none, one))[1]
    return BathSlopes(by_own, by_driving, bath.layer)


def _face_slopes(
    model: IonModel, ion: int, c: Cells, phi: Cells, D: Scalar, axis: int
) -> IonFaces:
    shape, periodic = model.grid.shape, model.grid.periodic
    c, phi = laid_out(c, periodic), laid_out(phi, periodic)
    rise = neighbour(phi, axis, 1, shape) - rows(phi)
    at = rows(c), neighbour(c, axis, 1, shape), rise
    g = D * rows(model.faces.faces[axis])
    one, none = jnp.ones_like(g), jnp.zeros_like(g)

    def along(*way: Array) -> Array:
        return jax.jvp(functools.partial(model.flux, ion), at, way)[1]

    def kept(values: Array) -> Padded:
        return model.through_faces(values, axis)

    return IonFaces(
        here=kept(g * along(one, none, none)),
        above=kept(-g * along(none, one, none)),
        driven=kept(g * along(none, none, one)),
    )


def _local_slopes(model: IonModel, x: IonFields, passing: Passing):
    """Slopes of what the surfaces take of reacting ions; and the host's part."""
    shape, n = model.grid.shape, len(model.charges)

    def taken(c: IonCells, potential: Cells, collector: Scalar):
        fields = IonFields(c, potential, collector)
        host, floor, counter = (
            surface.into_cells(surface.area * wall.current, shape) / model.unit
            for surface, wall in zip(
                model.surfaces, passing_of(model, fields, known=passing), strict=True
            )
        )
        aside = [
            at_host + model.floor.into_cells(at_floor, shape)
            for at_host, at_floor in side_currents(model, fields)
        ]
        return jnp.stack([host + floor, *aside]), counter

    at = (x.c, x.potential, x.collector)
    directions = jnp.eye(n + 2, dtype=x.c.dtype)

    def along(way: Array):
        dc = jnp.broadcast_to(way[:n, None, None, None], x.c.shape)
        dp = jnp.broadcast_to(way[n], x.potential.shape)
        return jax.jvp(taken, at, (dc, dp, way[n + 1]))[1]

    working, counter = jax.vmap(along, out_axes=(1, 0))(directions)
    every = working.at[0].add(counter)
    local = Local(every[:, :n], every[:, n], every[:, n + 1])
    return local, (working[:, :n], working[:, n], working[:, n + 1])
