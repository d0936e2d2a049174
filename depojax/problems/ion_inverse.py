"""Preconditioners of the ions' equations.

A column of cells is inverted at once: block by block along z, with the collector's
potential as a border.

Else a few scalar systems one after the other, each by a multigrid cycle on what those
before have left. Between them they hold all that makes the system stiff:

    current   (λ² /(a D₀) + Σ z² D c) ∇²     potential alone. From Σ z_k (ions) + Gauss'
                                             law: what is stored drops out of that sum
    ions      V/a − ∇·D e^{−Φ} ∇ e^{Φ}       each by itself, in e^{Φ} c: symmetric
    Gauss     λ² ∇² + Σ z² c                 potential with the ions that follow it at
                                             equilibrium, c_k → c_k − z_k c_k φ

The first is what holds at lengths beyond λ_D and for long times, the last what holds
within the double layer: between them the exact Schur complement of the potential.
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._sums import einsum, sum_of_few
from depojax._types import Cells, Scalar, static
from depojax.problems.ion_model import IonCells, IonFields, IonModel
from depojax.problems.ion_tangent import BathSlopes, IonTangent
from depojax.solvers.block_tridiagonal import BlockTridiagonal
from depojax.solvers.gmres import AbstractPreconditioner
from depojax.solvers.multigrid import Cycle, build_hierarchy
from depojax.solvers.stencil import FaceStencil, interior, laid_out
from depojax.solvers.trees import chosen, plus

_THINNEST = 1e-12  # c/c₀ of an ion that counts as none
_FARTHEST = 40.0  # Φ of a cell against the middle one, as far as it counts


class Column(AbstractPreconditioner):
    """The inverse of a column's Jacobian."""

    blocks: BlockTridiagonal
    beside: Array  # what the collector's potential does to each cell: (z, unknowns)
    along: Array  # what each cell does to the collector's equation
    corner: Scalar
    transposed: bool = static(default=False)

    def transpose(self) -> "Column":
        return dataclasses.replace(self, transposed=not self.transposed)

    def __call__(self, residual: IonFields) -> IonFields:
        b = jnp.concatenate([residual.c, residual.potential[None]])[:, 0, 0, :].T
        blocks, beside, along = self.blocks, self.beside, self.along
        if self.transposed:
            blocks, beside, along = blocks.transpose(), along, beside
        solved = blocks.solve(jnp.stack([b, beside], axis=-1))
        own, border = solved[..., 0], solved[..., 1]
        rest = residual.collector - jnp.sum(along * own)
        collector = rest / (self.corner - jnp.sum(along * border))
        fields = (own - collector * border).T[:, None, None, :]
        return IonFields(fields[:-1], fields[-1], collector)


class OneByOne(AbstractPreconditioner):
    """Multigrid cycles for one scalar system after the other."""

    jacobian: IonTangent
    like: IonFields
    cycles: Cycle  # stacked
    leads: Array  # what each sees of the equations: (systems, ions + 1)
    follows: Array  # what its result is for the fields: (systems, ions + 1, x, y, z)
    weights: Array  # of the equations: (ions + 1, x, y, z); 0 where there is none
    stiffness: tuple[Scalar, Scalar]  # of the collector alone, of all potentials
    by_current: Bool[Array, ""]
    transposed: bool = static(default=False)

    def transpose(self) -> "OneByOne":
        return dataclasses.replace(self, transposed=not self.transposed)

    def __call__(self, residual: IonFields) -> IonFields:
        model = self.jacobian.model
        operator = self.jacobian
        if self.transposed:
            turned = jax.linear_transpose(self.jacobian, self.like)

            def operator(x):
                return turned(x)[0]

        dry = IonFields(
            jnp.where(model.in_pore, 0.0, residual.c / model.current_scale),
            jnp.where(model.in_pore, 0.0, residual.potential / model.current_scale),
            jnp.zeros_like(residual.collector),
        )

        def left(x):
            return plus(residual, -1, operator(x))

        def improve(x, now):
            cycle, lead, follow = now
            if self.transposed:
                step = self._turned(left(x), cycle, lead, follow)
            else:
                step = self._step(left(x), cycle, lead, follow)
            return plus(x, 1, step), None

        systems = (self.cycles, self.leads, self.follows)
        x = dry
        if not self.transposed:
            x = plus(x, 1, self._shapes(left(x)))
        x, _ = jax.lax.scan(improve, x, systems, reverse=self.transposed)
        if self.transposed:
            x = plus(x, 1, self._shapes(left(x)))
        return x

    def _step(self, r: IonFields, cycle: Cycle, lead: Array, follow: Array):
        seen = self.weights * jnp.concatenate([r.c, r.potential[None]])
        found = cycle(sum_of_few(lead[:, None, None, None] * seen))
        moved = follow * found
        return IonFields(moved[:-1], moved[-1], jnp.zeros_like(r.collector))

    def _turned(self, r: IonFields, cycle: Cycle, lead: Array, follow: Array):
        seen = follow * jnp.concatenate([r.c, r.potential[None]])
        found = cycle(sum_of_few(seen))
        moved = self.weights * lead[:, None, None, None] * found
        return IonFields(moved[:-1], moved[-1], jnp.zeros_like(r.collector))

    def _shapes(self, r: IonFields) -> IonFields:
        """The collector's potential alone, and all potentials with it."""
        wet = jnp.where(self.jacobian.model.in_pore, 1.0, 0.0)
        nothing = jax.tree.map(jnp.zeros_like, r)
        lead = self.weights * self.leads[0][:, None, None, None]
        alone, together = self.stiffness
        border = self.jacobian.border
        if self.transposed:
            whole = (r.collector + jnp.sum(wet * r.potential)) / together
            shift, collector = lead * whole, r.collector / alone + whole / border
            moved = IonFields(shift[:-1], shift[-1], collector)
        else:
            charge = jnp.sum(lead * jnp.concatenate([r.c, r.potential[None]]))
            whole = (r.collector / border + charge) / together
            moved = IonFields(nothing.c, wet * whole, r.collector / alone + whole)
        imposed = r.collector / self.jacobian.model.current_scale
        held = dataclasses.replace(nothing, collector=imposed)
        return chosen(self.by_current, moved, held)


def inverse_of(tangent: IonTangent, x: IonFields) -> AbstractPreconditioner:
    """Roughly the inverse of the Jacobian of a stage at x."""
    nx, ny, _ = tangent.model.grid.shape
    return _column(tangent) if (nx, ny) == (1, 1) else _one_by_one(tangent, x)


def _one_by_one(tangent: IonTangent, x: IonFields) -> OneByOne:
    model, still = tangent.model, tangent.still
    n = len(model.charges)
    z = jnp.asarray(model.charges, x.c.dtype)
    wet = jnp.where(model.in_pore, 1.0, 0.0)
    per_time = 1 / (tangent.a * model.reference_diffusivity)
    phi = model.driving(x.c, x.potential)
    # Φ against its middle: what is far beyond has no ions to speak of.
    middle = jnp.mean(phi, (1, 2, 3), keepdims=True)
    boltzmann = jnp.exp(jnp.clip(middle - phi, -_FARTHEST, _FARTHEST))
    if model.neutral:  # ln c + Φ takes the part of ln c: the same at equilibrium
        boltzmann = jnp.maximum(x.c, _THINNEST)
    slopes = _Losses.of(tangent)
    mass = jnp.where(still, model.current_scale, wet * tangent.storage)
    following = jnp.where(still, 0.0, -model.z * jnp.maximum(x.c, 0))
    screened = -model.pore_volume * sum_of_few(model.z * following)
    losses = [
        wet * (per_time * slopes.charge + slopes.host + slopes.far),
        *(wet * boltzmann * (mass + slopes.ions)),
        wet * (slopes.charge + screened),
    ]
    systems = _systems(tangent, boltzmann, per_time)
    eye = jnp.eye(n + 1, dtype=x.c.dtype)
    current = jnp.append(jnp.where(still, 0.0, z), per_time)
    nothing = jnp.zeros((n + 1, *x.potential.shape), x.c.dtype)
    follows = [nothing.at[n].set(wet)]
    follows += [nothing.at[k].set(wet * boltzmann[k]) for k in range(n)]
    follows.append(nothing.at[n].set(wet).at[:n].set(wet * following))
    weights = jnp.where(still, 1.0, tangent.weight)
    weights = jnp.concatenate([weights, model.poisson_scale[None]])
    far = jnp.sum(wet * (slopes.far + per_time * slopes.far_charge))
    return OneByOne(
        jacobian=tangent,
        like=x,
        cycles=_cycles(model, jnp.stack(losses), systems),
        leads=jnp.stack([current, *eye]),
        follows=jnp.stack(follows),
        weights=wet / weights,
        stiffness=(_of_collector(tangent)[1], jnp.where(far > 0, far, jnp.inf)),
        by_current=tangent.by_current,
    )


class _Losses(eqx.Module):
    """What electrodes and bath add to the diagonals, per cell."""

    charge: Cells  # of Gauss' law [m³]
    far_charge: Cells  # of that the bath's and the counter electrode's [m³]
    host: Cells  # charge by potential, that the working electrode takes [m]
    far: Cells  # the same of counter electrode and bath [m]
    ions: IonCells  # each ion by itself [m]

    @classmethod
    def of(cls, tangent: IonTangent) -> "_Losses":
        model, local = tangent.model, tangent.local
        z = jnp.asarray(model.charges, tangent.storage.dtype)
        none = jnp.zeros_like(tangent.storage)
        charge = far_charge = none
        if not model.neutral:
            for surface in model.surfaces:
                own = surface.into_cells(model.charge_of(surface), none.shape)
                charge = charge + own
            far_charge = own
            for bath in model.baths:
                at = bath.layer
                own = bath.way * model.square[..., at]
                charge = charge.at[..., at].add(own)
                if at != 0:
                    far_charge = far_charge.at[..., at].add(own)
        reacting = jnp.asarray(model.reacting)
        host = tangent.host_share[1]
        far = einsum("i,i...->...", z[reacting], local.by_potential) - host
        ions = jnp.zeros((len(model.charges), *none.shape), none.dtype)
        for m, k in enumerate(model.reacting):
            ions = ions.at[k].add(local.by_ions[m, k])
        for bath in tangent.baths:
            at = bath.layer
            through = einsum("i,i...->...", jnp.square(z), bath.by_driving)
            if at == 0:
                host = host.at[..., at].add(through)
            else:
                far = far.at[..., at].add(through)
            ions = ions.at[..., at].add(bath.by_own)
        host, far, ions = (
            jnp.where(tangent.still, 0.0, jnp.maximum(k, 0)) for k in (host, far, ions)
        )
        return cls(charge, far_charge, host, far, ions)


def _systems(tangent: IonTangent, boltzmann: IonCells, per_time: Scalar) -> list[Array]:
    """Conductances between cells along each axis, of all systems, see above."""
    model, still = tangent.model, tangent.still
    periodic = model.grid.periodic
    z = jnp.asarray(model.charges, boltzmann.dtype)
    weighted = jnp.stack([laid_out(b, periodic) for b in boltzmann])
    current, ions, gauss = [], [], []
    for slopes, g in zip(tangent.faces, model.screening.faces, strict=True):
        gauss.append(0 * g if model.neutral else g)
        by_field = moving = jnp.broadcast_to(0 * g, weighted.shape)
        if slopes is not None:
            by_field = jnp.where(still, 0.0, -slopes.driven)
            moving = -slopes.driven if model.neutral else slopes.here * weighted
            moving = jnp.where(still, 0.0, moving)
        carried = einsum("i,i...->...", jnp.square(z), by_field)
        current.append(carried + per_time * gauss[-1])
        ions.append(moving)
    return [
        jnp.concatenate([one[None], each, other[None]])
        for one, each, other in zip(current, ions, gauss, strict=True)
    ]


def _cycles(model: IonModel, losses: Array, systems: list[Array]) -> Cycle:
    """The W-cycles of  loss − ∇·(stencil ∇), one after the other: one program."""
    shape, periodic = model.grid.shape, model.grid.periodic

    def build(system):
        loss, (x, y, z) = system
        stencil = FaceStencil((x, y, z), shape, periodic)
        hierarchy = build_hierarchy(model.grid, None, loss, stencil, jnp.float32)
        return hierarchy.cycle(jnp.zeros((), jnp.float32))

    return jax.lax.map(build, (losses, tuple(systems)))


class _Rows(NamedTuple):
    """The rows of a column's Jacobian, cell by cell."""

    own: Array  # by the fields of the cell itself: (z, unknowns, unknowns)
    above: Array  # by those of the cell above
    below: Array
    collector: Array  # by the collector's potential: (z, unknowns)


def _column(tangent: IonTangent) -> Column:
    """The blocks of a column, row by row of what `IonTangent` does."""
    model = tangent.model
    n, cells = len(model.charges), model.grid.shape[2]
    dtype = tangent.storage.dtype
    driving = jnp.zeros((cells, n, n + 1), dtype)  # ∂Φ_k/∂(c_j, φ)
    driving = driving.at[:, :, n].set(jnp.asarray(model.charges, dtype))
    if tangent.crowding is not None:
        driving = driving.at[:, :, :n].add(_line(tangent.crowding).T[:, None, :])
    none = jnp.zeros((cells, n + 1, n + 1), dtype)
    rows = _Rows(none, none, none, none[..., 0])
    rows = _with_transport(rows, tangent, driving)
    rows = _with_reactions(rows, tangent, driving)
    rows = _where_idle(_weighted(_with_gauss(rows, tangent), tangent), tangent)
    along, corner = _of_collector(tangent)
    blocks = BlockTridiagonal(rows.below, rows.own, rows.above)
    return Column(blocks, rows.collector, along, corner)


def _line(field: Array) -> Array:
    """A field over a column, along z."""
    return field[..., 0, 0, :]


def _of_faces(padded: Array, tangent: IonTangent) -> Array:
    """A field on the faces above the cells of a column."""
    return interior(padded, tangent.model.grid.shape)[0, 0]


def _with_transport(rows: _Rows, tangent: IonTangent, driving: Array) -> _Rows:
    """What leaves through the faces, and what is stored."""
    n = len(tangent.model.charges)
    ions = jnp.arange(n)
    own, above, below, _ = rows
    faces = tangent.faces[2]
    if faces is not None:
        # δF of the face above each cell by the cell's own fields, and by those above.
        a, b, s = (
            jax.vmap(lambda field: _of_faces(field, tangent))(part).T
            for part in (faces.here, faces.above, faces.driven)
        )
        up = jnp.roll(driving, -1, 0)
        by_own = (-s[:, :, None] * driving).at[:, ions, ions].add(a)
        by_above = (s[:, :, None] * up).at[:, ions, ions].add(-b)
        own = own.at[:, :n].add(by_own).at[1:, :n].add(-by_above[:-1])
        above = above.at[:, :n].add(by_above)
        below = below.at[1:, :n].add(-by_own[:-1])
    own = own.at[:, ions, ions].add(_line(tangent.storage)[:, None])
    return rows._replace(own=own, above=above, below=below)


def _with_reactions(rows: _Rows, tangent: IonTangent, driving: Array) -> _Rows:
    """What metal and baths take of the ions."""
    model, local = tangent.model, tangent.local
    n = len(model.charges)
    ions = jnp.arange(n)
    own, collector = rows.own, rows.collector
    for m, p in enumerate(model.reacting):
        own = own.at[:, p, :n].add(_line(local.by_ions[m]).T)
        own = own.at[:, p, n].add(_line(local.by_potential[m]))
        collector = collector.at[:, p].add(_line(local.by_collector[m]))
    for bath in tangent.baths:
        at = bath.layer
        by_own, by_phi = bath.by_own[:, 0, 0], bath.by_driving[:, 0, 0]
        own = own.at[at, ions, ions].add(by_own)
        own = own.at[at, :n].add(by_phi[:, None] * driving[at])
        if at == 0:
            collector = collector.at[0, :n].add(-by_phi * driving[0, :, n])
    return rows._replace(own=own, collector=collector)


def _with_gauss(rows: _Rows, tangent: IonTangent) -> _Rows:
    """Gauss's law, the last of the equations of each cell."""
    model = tangent.model
    n = len(model.charges)
    own, above, below, collector = rows
    z = jnp.asarray(model.charges, own.dtype)
    own = own.at[:, n, :n].add(-_line(model.pore_volume)[:, None] * z)
    if model.neutral:
        return rows._replace(own=own)
    g = _of_faces(model.screening.faces[2], tangent)
    own = own.at[:, n, n].add(g).at[1:, n, n].add(g[:-1])
    above = above.at[:, n, n].add(-g)
    below = below.at[1:, n, n].add(-g[:-1])
    for surface in model.surfaces:
        charge = _line(surface.into_cells(model.charge_of(surface), model.grid.shape))
        own = own.at[:, n, n].add(charge)
        if surface is not model.counter:
            collector = collector.at[:, n].add(-charge)
    for bath in model.baths:
        at = bath.layer
        end = (bath.way * model.square[..., at])[0, 0]
        own = own.at[at, n, n].add(end)
        if at == 0:
            collector = collector.at[0, n].add(-end)
    return _Rows(own, above, below, collector)


def _weighted(rows: _Rows, tangent: IonTangent) -> _Rows:
    """Every equation in its own unit."""
    weight = jnp.concatenate([tangent.weight, tangent.model.poisson_scale[None]])
    weight = _line(weight).T
    own, above, below = (weight[..., None] * k for k in rows[:3])
    return _Rows(own, above, below, weight * rows.collector)


def _where_idle(rows: _Rows, tangent: IonTangent) -> _Rows:
    """The rows of `IonTangent` where no ion moves, and where no electrolyte is."""
    model, still = tangent.model, tangent.still
    n, scale = len(model.charges), model.current_scale
    own, above, below, collector = rows
    eye = jnp.eye(n + 1, dtype=own.dtype)
    own = own.at[:, :n].set(jnp.where(still, scale * eye[:n], own[:, :n]))
    above, below = (
        k.at[:, :n].set(jnp.where(still, 0, k[:, :n])) for k in (above, below)
    )
    collector = collector.at[:, :n].set(jnp.where(still, 0, collector[:, :n]))
    dry = ~_line(model.in_pore)[:, None, None]
    own = jnp.where(dry, scale * eye, own)
    above, below = (jnp.where(dry, 0, k) for k in (above, below))
    return _Rows(own, above, below, jnp.where(dry[..., 0], 0, collector))


def _of_collector(tangent: IonTangent) -> tuple[Array, Scalar]:
    """The collector's equation: what each cell does in it, and its own potential."""
    model, scale = tangent.model, tangent.model.current_scale
    by_ions, by_potential, by_collector = tangent.host_share
    charged = jnp.zeros_like(by_potential)
    for surface in (model.host, model.floor):
        own = model.charge_of(surface) / model.reference_diffusivity / tangent.a
        charged = charged + surface.into_cells(own, by_potential.shape)
    for bath in tangent.baths:
        if bath.layer == 0:
            through, by_phi = _of_near(tangent, bath)
            by_ions = by_ions.at[..., 0].add(through)
            by_potential = by_potential.at[..., 0].add(by_phi)
            by_collector = by_collector - jnp.sum(by_phi)
    if model.near is not None and not model.neutral:
        own = model.near.way * model.square[..., 0]
        own = own / model.reference_diffusivity / tangent.a
        charged = charged.at[..., 0].add(own)
    along = jnp.concatenate([-by_ions, -(charged + by_potential)[None]])
    along = along[:, 0, 0, :].T
    corner = jnp.sum(charged) - by_collector
    imposed = tangent.by_current
    along, corner = tangent.border * along, tangent.border * corner
    return jnp.where(imposed, along, 0.0), jnp.where(imposed, corner, scale)


def _of_near(tangent: IonTangent, bath: BathSlopes) -> tuple[Array, Array]:
    """Charge that leaves into the bath at z = 0, per c_j and per φ."""
    z = tangent.model.z[..., 0]
    by_ions, by_driving = z * bath.by_own, z * bath.by_driving
    if tangent.crowding is not None:
        by_ions = by_ions + jnp.sum(by_driving, 0) * tangent.crowding[..., 0]
    return by_ions, jnp.sum(z * by_driving, 0)
