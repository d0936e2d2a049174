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

from depojax._sums import sum_of_few, vdot
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
    # Charge that the working electrode takes, per c_j, φ and the collector's φ [m].
    host_share: tuple[IonCells, Cells, Scalar]
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
        taken = sum_of_few(self.local.by_ions * x.c, axis=1)
        taken = taken + self.local.by_potential * x.potential
        taken = taken + self.local.by_collector * x.collector
        ions = ions.at[jnp.asarray(model.reacting)].add(taken)
        ions = self.weight * ions
        ions = jnp.where(self.still, scale * x.c, ions)
        charge = -model.pore_volume * sum_of_few(model.z * x.c)
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
        taken = vdot(by_ions, x.c) + vdot(by_potential, x.potential)
        taken = taken + by_collector * x.collector
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
        return phi + sum_of_few(self.crowding * c)

    def _outflow(self, x: IonFields) -> IonCells:
        model, shape = self.model, self.model.grid.shape
        n, size = x.c.shape[0], shape[0] + 2

        def in_one(padded: Array) -> Array:
            """The ions one behind the other, with the ghosts between them."""
            return padded.reshape(n * size, -1)

        def laid(cells: IonCells) -> Array:
            lay_out = functools.partial(laid_out, periodic=model.grid.periodic)
            return in_one(jax.vmap(lay_out)(cells))

        # One loop over all ions; faces of ghosts conduct nothing.
        u, drive = laid(x.c), laid(self._driving(x.c, x.potential))
        total = jnp.zeros_like(rows(u))
        for axis, slopes in enumerate(self.faces):
            if slopes is None:
                continue
            here, above, driven = (
                in_one(k) for k in (slopes.here, slopes.above, slopes.driven)
            )
            # Through the face above each cell, and through that below it.
            for side in (0, -1):
                lower, upper = (
                    [neighbour(k, axis, at, shape) for k in (u, drive)]
                    for at in (side, side + 1)
                )
                a, b, s = (
                    neighbour(k, axis, side, shape) for k in (here, above, driven)
                )
                flux = a * lower[0] - b * upper[0] + s * (upper[1] - lower[1])
                total = total + flux if side == 0 else total - flux
        padded = stored(total).reshape(n, size, -1)
        flows = jax.vmap(functools.partial(interior, shape=shape))(padded)
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
    """Slopes of what the surfaces take of reacting ions; and of the host's charge."""
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
    z = model.z[jnp.asarray(model.reacting)]
    charge = sum_of_few(z[:, None] * working)
    return local, (charge[:n], charge[n], jnp.sum(charge[n + 1]))
