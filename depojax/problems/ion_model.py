"""Any number of ions in a cell, with space charge or without.

    ∂(ε c_k)/∂t = −∇·N_k − a N_k,wall,   N_k = −D_k (∇c_k + c_k ∇Φ_k)
    −∇·(ε₀ ε_r ∇φ) = F Σ z_k c_k + ρ,    or  0 = F Σ z_k c_k + ρ  where neutral
    Φ_k = z_k F φ/(RT) − ln(1 − Σ v_j c_j)

Scharfetter–Gummel fluxes between the cells; in a neutral solution the plated ion has
that of the logarithmic mean; v_j is the molar volume of an ion that takes up room. What
passes the metal is in `ion_reactions`; the electrode's charge is −ε₀ε_r ∂φ/∂n there,
behind a Stern layer of thickness λ_S = ε₀ε_r/C_S if there is one. In place of the
collector a second bath may stand at z = 0, through which all ions pass.

In numbers the unknowns are c_k/c₀ and φF/(RT), c₀ that of the plated ion; currents are
divided by z F c₀ D₀ of that ion, and equations are written per cell [m].
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depojax._sums import sum_of_few
from depojax._types import Cells, Scalar, static
from depojax.fv.grid import Grid
from depojax.fv.logarithmic_mean import drift_flux
from depojax.fv.scharfetter_gummel import bernoulli
from depojax.physics.interface import AtWall
from depojax.physics.kinetics import AbstractKinetics, Reversible
from depojax.solvers.stencil import (
    FaceStencil,
    Padded,
    interior,
    laid_out,
    neighbour,
    rows,
    stored,
    wrapped,
)
from depojax.units import FARADAY, GAS_CONSTANT

_CROWDED = 1e-3  # share of the volume that ions leave at least
_MIXED, _ALONE = 0.4, 0.6  # charge per charges, where a space charge begins

IonCells = Float[Array, "ions x y z"]


class IonFields(eqx.Module):
    """The unknowns of a step."""

    c: IonCells  # c_k/c₀ [-]
    potential: Cells  # φ F/(RT) [-]
    collector: Scalar  # V F/(RT) [-]


class Electrode(eqx.Module):
    """A metal surface, in all cells or in one layer of them."""

    kinetics: AbstractKinetics
    area: Array  # true area per cell [m²]
    reach: Array  # from the cell's centre to the metal [m]
    film: Array  # area resistance [Ω m²]
    layer: int | None = static(default=None)  # along z; None: all cells

    def of(self, field: Array) -> Array:
        """The cells of a field at this surface."""
        return field if self.layer is None else field[..., self.layer]

    def into_cells(self, values: Array, shape: tuple[int, ...]) -> Array:
        """`values` at the surface as a field that is zero elsewhere."""
        if self.layer is None:
            return values
        whole = (*values.shape[:-2], *shape)
        return jnp.zeros(whole, values.dtype).at[..., self.layer].set(values)


class Bath(eqx.Module):
    """Stirred solution beyond the first or the last layer of cells."""

    way: Array  # conductances of the faces into it [m]
    bulk: Float[Array, " ions"]  # c_k/c₀ [-]
    layer: int = static()  # 0 or -1, along z


class Passing(eqx.Module):
    """What passes the three metal surfaces."""

    host: AtWall
    floor: AtWall
    counter: AtWall

    def __iter__(self):
        return iter((self.host, self.floor, self.counter))


class IonModel(eqx.Module):
    """The discrete cell: geometry, ions, surfaces; fluxes and charge between them."""

    grid: Grid
    temperature: Scalar  # [K]
    diffusion: Float[Array, " ions"]  # D_k/D₀ [-]
    bulk: Float[Array, " ions"]  # c_k/c₀ at the start [-]
    room: Float[Array, " ions"]  # N_A a_k³ c₀ [-]
    unit: Scalar  # z F c₀ D₀ of the plated ion [A m-1]
    concentration: Scalar  # c₀ [mol m-3]
    pore_volume: Cells  # [m³]
    reference_diffusivity: Scalar  # D₀ of the plated ion [m² s⁻¹]
    faces: FaceStencil  # conductances between the cells [m]
    screening: FaceStencil  # λ² times the same, λ² = ε₀ε_r RT/(F²c₀) [m³]
    square: Cells  # λ² of the cells [m²]
    fixed_charge: Cells  # ρ/(F c₀) [-]
    far: Bath | None  # at φ = 0
    near: Bath | None  # in place of the collector, at its potential
    host: Electrode
    floor: Electrode
    counter: Electrode
    stern: Scalar  # thickness of the Stern layer λ_S [m]
    held: Float[Array, " side"]  # c_k,w/c₀ of side reactions at φ_s = φ_w [-]
    in_pore: Bool[Array, "x y z"]
    charges: tuple[int, ...] = static()
    plated: int = static()  # which of the ions
    side: tuple[int, ...] = static()  # others that may be reduced
    neutral: bool = static()
    layered: bool = static()  # neutral, but for a layer at the metal in closed form
    crowded: bool = static()  # ions take up room
    # Kinetics see the potential behind the Stern layer and the ions there (Frumkin);
    # else those in the middle of the last cell.
    frumkin: bool = static()

    @property
    def thermal_voltage(self) -> Scalar:
        """RT/F [V]."""
        return GAS_CONSTANT * self.temperature / FARADAY

    @property
    def z(self) -> Float[Array, "ions 1 1 1"]:
        """z of all ions, to multiply fields."""
        return jnp.asarray(self.charges, self.bulk.dtype)[:, None, None, None]

    @property
    def current_scale(self) -> Scalar:
        """What currents in numbers [m] are like: near a limiting current."""
        x, y, z = self.grid.lengths
        return jax.lax.stop_gradient(x * y / z)

    @property
    def storage(self) -> Cells:
        """What a cell stores per c/c₀ [m s]."""
        return self.pore_volume / self.reference_diffusivity

    @property
    def baths(self) -> tuple[Bath, ...]:
        """Those there are."""
        return tuple(bath for bath in (self.near, self.far) if bath is not None)

    @property
    def reacting(self) -> tuple[int, ...]:
        """Ions that the metal takes: the plated one, and those it may take."""
        return (self.plated, *self.side)

    @property
    def surfaces(self) -> tuple[Electrode, Electrode, Electrode]:
        """Host, open collector, counter electrode."""
        return self.host, self.floor, self.counter

    @property
    def poisson_scale(self) -> Cells:
        """What the potential's equation is multiplied by [m⁻²]: one size for all."""
        if self.neutral:
            return self.current_scale / self._safe(self.pore_volume)
        own = interior(stored(self.screening.total()), self.grid.shape)
        per_cell = jax.lax.stop_gradient(self.pore_volume + own)
        return self.current_scale / self._safe(per_cell)

    def ion_scale(self, a: Scalar) -> IonCells:
        """What the ions' equations are multiplied by [-]: one size for all cells.

        Else the thin cells of a double layer outweigh all that happens elsewhere.
        """
        own = interior(stored(self.faces.total()), self.grid.shape)
        for surface in self.surfaces:
            way = jnp.where(surface.area > 0, surface.area / surface.reach, 0.0)
            own = own + surface.into_cells(way, own.shape)
        for bath in self.baths:
            own = own.at[..., bath.layer].add(bath.way)
        per_ion = self.diffusion[:, None, None, None] * own + self.storage / a
        return jax.lax.stop_gradient(self.current_scale / self._safe(per_ion))

    def collector_scale(self, a: Scalar) -> Scalar:
        """The same of the collector's equation, where a current is imposed."""
        steep = self.current_scale
        for surface in (self.host, self.floor):
            own = self.charge_of(surface) / self.reference_diffusivity / a
            own = own + self.charges[self.plated] ** 2 * surface.area / surface.reach
            steep = steep + jnp.sum(jnp.where(surface.area > 0, own, 0.0))
        if self.near is not None:
            own = self.near.way * self.square[..., 0] / self.reference_diffusivity / a
            carried = jnp.sum(self.z[:, 0, 0, 0] ** 2 * self.diffusion * self.near.bulk)
            steep = steep + jnp.sum(own + carried * self.near.way)
        return jax.lax.stop_gradient(self.current_scale / steep)

    def _safe(self, values: Array) -> Array:
        return jnp.where(self.in_pore, jnp.where(values > 0, values, 1.0), 1.0)

    def driving(self, c: IonCells, potential: Cells) -> IonCells:
        """Φ_k."""
        phi = self.z * potential
        if not self.crowded:
            return phi
        return phi - jnp.log(self._room_left(c))

    def _room_left(self, c: IonCells) -> Cells:
        taken = sum_of_few(self.room[:, None, None, None] * c)
        return jnp.maximum(1 - taken, _CROWDED)

    def crowding(self, c: IonCells) -> IonCells | None:
        """∂Φ_k/∂c_j, the same for all k; None: ions are points."""
        if not self.crowded:
            return None
        left = self._room_left(c)
        return self.room[:, None, None, None] / left

    def through_faces(self, values: Array, axis: int) -> Padded:
        """What passes the faces above the cells, in memory with its ghosts."""
        x, y, z = (self.grid.periodic[a] and a == axis for a in range(3))
        return wrapped(stored(values), (x, y, z), self.grid.shape)

    def flux(self, ion: int, here: Array, there: Array, rise: Array) -> Array:
        """N h/D between two places, for their c_k and the rise of Φ_k from one on."""
        # Where others stay at equilibrium, as they do exactly by either flux, that of
        # the plated ion is exact.
        if self.neutral and ion == self.plated and self.near is None:
            return drift_flux(here, there, rise)
        up = bernoulli(rise)
        return here * up - there * (up + rise)

    def outflow(self, x: IonFields) -> IonCells:
        """What leaves each cell to the cells around it, of every ion [m]."""
        c, potential = x.c, x.potential
        shape, periodic = self.grid.shape, self.grid.periodic
        phi = self.driving(c, potential)

        def one(ion, c, phi, D):
            c, phi = laid_out(c, periodic), laid_out(phi, periodic)
            total = jnp.zeros_like(rows(c))
            for axis in range(3):
                if shape[axis] == 1 and not periodic[axis]:
                    continue
                w = neighbour(phi, axis, 1, shape) - rows(phi)
                flux = self.flux(ion, rows(c), neighbour(c, axis, 1, shape), w)
                flux = D * rows(self.faces.faces[axis]) * flux
                flux = self.through_faces(flux, axis)
                total = total + rows(flux) - neighbour(flux, axis, -1, shape)
            return interior(stored(total), shape)

        out = self.for_each_ion(one, c, phi, self.diffusion)
        for bath in self.baths:
            at = bath.layer
            leaves = self.into_bath(bath, c[..., at], phi[..., at], x.collector)
            out = out.at[..., at].add(leaves)
        return out

    def into_bath(self, bath: Bath, c: Array, phi: Array, collector: Scalar) -> Array:
        """What leaves the cells before a bath into it [m]."""
        outside = jnp.zeros_like(phi[0])
        if self.crowded:
            outside = outside - jnp.log(1 - jnp.sum(self.room * bath.bulk))
        held = collector if bath.layer == 0 else 0.0
        flux = [
            self.flux(ion, own, bulk + 0 * own, z * held + outside - drive)
            for ion, (own, bulk, drive, z) in enumerate(
                zip(c, bath.bulk, phi, self.charges, strict=True)
            )
        ]
        return self.diffusion[:, None, None] * bath.way * jnp.stack(flux)

    def for_each_ion(self, function: Callable[..., Any], *fields: Array) -> Any:
        """`function(ion, *own)` of all ions along a first axis, as one program.

        But for the plated ion of a neutral solution, whose flux is another.
        """
        apart = self.neutral and self.near is None
        other = 1 - self.plated if self.plated < 2 else 0
        many = jax.vmap(lambda *own: function(other, *own))(*fields)
        if not apart:
            return many
        k = self.plated
        own = function(k, *(field[k] for field in fields))
        return jax.tree.map(lambda all_ions, one: all_ions.at[k].set(one), many, own)

    def into_near(self, x: IonFields) -> Scalar:
        """Charge that leaves into the bath at z = 0, over F c₀ D₀ [m]."""
        if self.near is None:
            return jnp.zeros_like(x.collector)
        phi = self.driving(x.c, x.potential)[..., 0]
        flux = self.into_bath(self.near, x.c[..., 0], phi, x.collector)
        return jnp.sum(self.z[..., 0] * flux)

    def reference(self, kinetics: AbstractKinetics) -> Scalar:
        """c at which metal and solution have one potential [mol m⁻³]."""
        if isinstance(kinetics, Reversible) and kinetics.concentration is not None:
            return kinetics.concentration
        return self.concentration

    def stern_share(self, surface: Electrode) -> Array:
        """(φ_s − φ_w)/(φ_s − φ_P)."""
        whole = self.stern + surface.reach
        return self.stern / jnp.where(whole > 0, whole, 1.0)

    def charge_of(self, surface: Electrode) -> Array:
        """Charge on a surface per potential over the cell before it, / (F c₀) [m³]."""
        if self.neutral:
            return jnp.zeros_like(surface.area)
        square = surface.of(self.square)
        return surface.area * square / (self.stern + surface.reach)

    def electrode_charge(self, x: IonFields) -> Scalar:
        """Charge of the working electrode over F c₀ D₀ [m s]."""
        total = jnp.zeros_like(x.collector)
        for surface in (self.host, self.floor):
            across = x.collector - surface.of(x.potential)
            total = total + jnp.sum(self.charge_of(surface) * across)
        if self.near is not None and not self.neutral:
            across = x.collector - x.potential[..., 0]
            total = total + jnp.sum(self.near.way * self.square[..., 0] * across)
        return total / self.reference_diffusivity

    def displacement(self, potential: Cells, metals: tuple[Scalar, Scalar]) -> Cells:
        """λ² ∮ −∇φ over the faces of each cell, metal and bath included [m³]."""
        shape = self.grid.shape
        u = laid_out(potential, self.grid.periodic)
        out = interior(stored(self.screening.outflow(u)), shape)
        working, counter = metals
        for surface, metal in zip(
            self.surfaces, (working, working, counter), strict=True
        ):
            own = self.charge_of(surface) * (surface.of(potential) - metal)
            out = out + surface.into_cells(own, shape)
        for bath in self.baths:
            at = bath.layer
            rise = potential[..., at] - (working if at == 0 else 0.0)
            out = out.at[..., at].add(bath.way * self.square[..., at] * rise)
        return out

    def charged_volume(self, x: IonFields) -> Cells:
        """Of cells where a space charge rules [m³].

        That is where ions of one sign have more than half of all charges to themselves
        (from 0.4 to 0.6 a growing part of the volume counts).
        """
        charge = jnp.abs(sum_of_few(self.z * x.c) + self.fixed_charge)
        all_charges = sum_of_few(jnp.abs(self.z) * x.c)
        share = charge / jnp.where(all_charges > 0, all_charges, 1.0)
        counted = jnp.clip((share - _MIXED) / (_ALONE - _MIXED), 0.0, 1.0)
        return counted * self.pore_volume

    def per_footprint(self, current: Array) -> Array:
        """A current over F c₀ D₀ [m] as a current density [A m⁻²]."""
        return current * (self.unit / self.charges[self.plated] / self.grid.footprint)
