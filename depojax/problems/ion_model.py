"""Any number of ions in a cell, with space charge or without.

    ∂(ε c_k)/∂t = −∇·N_k − a N_k,wall,   N_k = −D_k (∇c_k + c_k ∇Φ_k)
    −∇·(ε₀ ε_r ∇φ) = F Σ z_k c_k + ρ,    or  0 = F Σ z_k c_k + ρ  where neutral
    Φ_k = z_k F φ/(RT) − ln(1 − Σ v_j c_j)

Scharfetter–Gummel fluxes between the cells; in a neutral solution the plated ion has
that of the logarithmic mean; v_j is the molar volume of an ion that takes up room. At
the metal (host, open collector, counter electrode) only the plated ion passes, with
i = f(φ_s − φ_w − U, c_w), known from the ion's own flux over the last half cell; the
electrode's charge is −ε₀ε_r ∂φ/∂n there, behind a Stern layer of thickness
λ_S = ε₀ε_r/C_S if there is one:

    φ_w = φ_s − (φ_s − φ_P) λ_S/(λ_S + δ)

In a neutral solution φ_w follows from the ions' own balance, see `_neutral_wall`, and
behind a space charge in closed form from `ion_layers`.

Other ions whose standard potential is known are reduced where the metal is below their
Nernst potential, behind a double layer that is resolved: as fast as they arrive, and
nowhere else,

    N_k = max(0, what keeps c_k,w = c° exp(z_k F (φ_s − φ_w + E°₁ − E°_k)/(RT))),

φ_s against the plated ion's metal in c₀. In place of the collector a second bath may
stand at z = 0, through which all ions pass.

In numbers the unknowns are c_k/c₀ and φF/(RT), c₀ that of the plated ion; currents are
divided by z F c₀ D₀ of that ion, and equations are written per cell [m].
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depojax._types import Cells, Scalar, static
from depojax.fv.grid import Grid
from depojax.fv.logarithmic_mean import drift_flux
from depojax.fv.scharfetter_gummel import bernoulli
from depojax.physics.interface import AtWall, at_wall
from depojax.physics.kinetics import AbstractKinetics, Blocking, Reversible
from depojax.problems.ion_layers import fall_before_metal, layer_before_metal
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

_LEAST = 1e-30  # c/c₀ of which a logarithm is still asked for
_MOST = 60.0  # ln of what the wall may have more than the cell
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
    """The discrete cell: geometry, ions, surfaces."""

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
        taken = jnp.tensordot(self.room, c, axes=1)
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

        each = zip(c, phi, self.diffusion, strict=True)
        out = [one(ion, *own) for ion, own in enumerate(each)]
        out = jnp.stack(out)
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

    def into_near(self, x: IonFields) -> Scalar:
        """Charge that leaves into the bath at z = 0, over F c₀ D₀ [m]."""
        if self.near is None:
            return jnp.zeros_like(x.collector)
        phi = self.driving(x.c, x.potential)[..., 0]
        flux = self.into_bath(self.near, x.c[..., 0], phi, x.collector)
        return jnp.sum(self.z[..., 0] * flux)

    def passing(
        self, x: IonFields, guess: Passing | None = None, known: Passing | None = None
    ) -> Passing:
        """What passes the surfaces, from a guess; or `known`, followed."""

        def at(name: str, metal: Scalar) -> AtWall:
            start = None if guess is None else getattr(guess, name).current
            held = None if known is None else getattr(known, name)
            return self._at(getattr(self, name), x, metal, start, held)

        none = jnp.zeros_like(x.collector)
        return Passing(
            at("host", x.collector), at("floor", x.collector), at("counter", none)
        )

    def _at(
        self,
        surface: Electrode,
        x: IonFields,
        metal: Scalar,
        guess: Array | None,
        known: AtWall | None,
    ) -> AtWall:
        """Current [A m⁻²] and concentration [mol m⁻³] at a surface."""
        k, c0, scale = self.plated, self.concentration, self.thermal_voltage
        z = self.charges[k]
        c, phi = surface.of(x.c), surface.of(x.potential)
        if isinstance(surface.kinetics, Blocking):
            return AtWall(0 * phi, c0 * jnp.maximum(c[k], 0))
        # i = unit × number / distance: what one ampere per area does over `reach`.
        number = surface.reach / self.unit / self.diffusion[k]
        if self.layered:
            return self._behind_layer(surface, c[k], phi, metal, known)
        if self.neutral or not self.frumkin:
            wet, fall, drop = jnp.maximum(c[k], _LEAST), *self._neutral_wall(c)
            if not self.neutral:
                # Seen from the middle of the cell: nothing happens on the way.
                fall, drop = 0.0 * fall, 0.0 * drop
            at, G, psi = phi, number * fall, drop + 1 / z
            if isinstance(surface.kinetics, Reversible):
                # φ_s − φ_w = ln(c_w)/z: no current is needed to know c_w.
                held = self.reference(surface.kinetics) / c0
                rise = (metal - phi - jnp.log(wet / held) / z) / psi
                wall = wet * jnp.exp(jnp.minimum(rise, _MOST))
                current = jnp.where(surface.area > 0, (wet - wall) / G, 0.0)
                return AtWall(current, c0 * wall)
        else:
            at = metal - (metal - phi) * self.stern_share(surface)
            w = z * (at - phi)
            up = bernoulli(w)
            if isinstance(surface.kinetics, Reversible):
                return self._held(surface, c[k], metal - at, up, w)
            # The ion's flux over the half cell, solved for the ions at the wall.
            wet = jnp.maximum(c[k] * jnp.exp(-w), _LEAST)
            G, psi = number / (up + w), 1.0 / z
        reference = self.reference(surface.kinetics)
        driving = scale * (metal - at - jnp.log(c0 * wet / reference) / z)
        return at_wall(
            surface.kinetics,
            driving,
            c0 * wet,
            self.temperature,
            resistance=surface.film,
            depletion=c0 * G,
            diffusion_potential=scale * psi,
            guess=guess,
            known=known,
        )

    def _held(self, surface: Electrode, c: Array, stern: Array, up: Array, w: Array):
        """A reversible electrode keeps the ions behind its Stern layer."""
        held = self.reference(surface.kinetics) / self.concentration
        held = held * jnp.exp(self.charges[self.plated] * stern)
        flux = self.diffusion[self.plated] * (c * up - held * (up + w))
        current = jnp.where(surface.area > 0, self.unit * flux / surface.reach, 0.0)
        return AtWall(current, self.concentration * held + 0 * current)

    def _behind_layer(
        self,
        surface: Electrode,
        c: Array,
        phi: Array,
        metal: Scalar,
        known: AtWall | None,
    ) -> AtWall:
        """A reversible electrode behind the space charge of a neutral 1:1 solution."""
        z, wet = self.charges[self.plated], jnp.maximum(c, _LEAST)
        held, square = self._layer_of(surface)
        # Half of the slope is the field's: i = 2 z F D c'.
        per_fall = 2 * self.diffusion[self.plated] * self.unit / surface.reach
        fall = fall_before_metal(
            z * (phi - metal),
            wet,
            held,
            surface.reach,
            square,
            None if known is None else known.current / per_fall,
        )
        current = jnp.where(surface.area > 0, per_fall * fall, 0.0)
        return AtWall(current, self.concentration * held + 0 * current)

    def _layer_of(self, surface: Electrode) -> tuple[Array, Array]:
        """Cations that an electrode holds [c₀], and λ² before it [m²]."""
        z = self.charges[self.plated]
        held = self.reference(surface.kinetics) / self.concentration
        square = surface.of(self.square) / z**2
        return jnp.broadcast_to(held, square.shape), square

    def layers(
        self, x: IonFields, passing: Passing
    ) -> tuple[Array, Array, Array, Array]:
        """Of closed-form layers at host and collector: thickness [m], field [m⁻¹]."""
        thicknesses, fields = [], []
        for surface, wall in ((self.host, passing.host), (self.floor, passing.floor)):
            c = jnp.maximum(surface.of(x.c[self.plated]), _LEAST)
            held, square = self._layer_of(surface)
            per_fall = 2 * self.diffusion[self.plated] * self.unit / surface.reach
            fall = wall.current / per_fall
            thick, field = layer_before_metal(fall, c, held, surface.reach, square)
            thicknesses.append(jnp.where(surface.area > 0, thick, 0.0))
            sign = -self.charges[self.plated] / self.charges[self.plated] ** 2
            fields.append(jnp.where(surface.area > 0, sign * field, 0.0))
        return thicknesses[0], thicknesses[1], fields[0], fields[1]

    def _neutral_wall(self, c: Array) -> tuple[Array, Array]:
        """How the wall of a neutral solution differs from the cell before it.

        No ion but the plated one, 1, passes: Σ z c' = 0 and c_k' = −z_k c_k φ' give

            c₁' = −(N₁/D₁) S/(S + z₁²c₁),   φ' = z₁ c₁'/S,   S = Σ_{k≠1} z_k² c_k

        Returned: the first factor, and dφ/d ln c₁.
        """
        z = jnp.asarray(self.charges, c.dtype)
        squares = (z**2)[:, None, None] if c.ndim == 3 else (z**2)[:, None, None, None]
        wet = jnp.maximum(c, _LEAST)
        own = squares[self.plated] * wet[self.plated]
        others = jnp.maximum(jnp.sum(squares * wet, 0) - own, _LEAST)
        return others / (others + own), own / others / z[self.plated]

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

    def side_currents(self, x: IonFields) -> list[tuple[Array, Array]]:
        """What host and open collector take of the ions of side reactions [m].

        Per cell, over D₀ c₀ F.
        """
        return [
            (
                self._taken_aside(self.host, n, k, x),
                self._taken_aside(self.floor, n, k, x),
            )
            for n, k in enumerate(self.side)
        ]

    def _taken_aside(self, surface: Electrode, n: int, k: int, x: IonFields) -> Array:
        if isinstance(surface.kinetics, Blocking):
            return jnp.zeros_like(surface.area)
        z, metal = self.charges[k], x.collector
        c, phi = surface.of(x.c[k]), surface.of(x.potential)
        at = metal - (metal - phi) * self.stern_share(surface)
        held = self.held[n] * (
            self.reference(surface.kinetics) / self.concentration
        ) ** (z / self.charges[self.plated])
        held = held * jnp.exp(jnp.clip(z * (metal - at), -_MOST, _MOST))
        w = z * (at - phi)
        up = bernoulli(w)
        flux = jnp.maximum(c * up - held * (up + w), 0.0)
        way = jnp.where(surface.area > 0, surface.area / surface.reach, 0.0)
        return self.diffusion[k] * way * flux

    def balances(self, x: IonFields, passing: Passing) -> tuple[IonCells, Cells]:
        """What each cell loses of every ion [m], and Gauss's law [m³]."""
        shape = self.grid.shape
        lost = self.outflow(x)
        taken = sum(
            surface.into_cells(surface.area * wall.current, shape) / self.unit
            for surface, wall in zip(self.surfaces, passing, strict=True)
        )
        lost = lost.at[self.plated].add(taken)
        for k, (host, floor) in zip(self.side, self.side_currents(x), strict=True):
            aside = host + self.floor.into_cells(floor, shape)
            lost = lost.at[k].add(aside)
        charge = jnp.sum(self.z * x.c, 0) + self.fixed_charge
        if self.neutral:
            return lost, -self.pore_volume * charge
        gauss = self.displacement(x.potential, (x.collector, 0 * x.collector))
        return lost, gauss - self.pore_volume * charge

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

    def layer_thickness(self, x: IonFields, passing: Passing) -> Scalar:
        """Of the space charge: volume where it rules, per plated area [m].

        Per footprint where nothing is plated.
        """
        area = jnp.sum(self.host.area) + jnp.sum(self.floor.area)
        area = jnp.where(area > 0, area, self.grid.footprint)
        if self.layered:
            host, floor = self.layers(x, passing)[:2]
            volume = jnp.sum(self.host.area * host) + jnp.sum(self.floor.area * floor)
            return volume / area
        return jnp.sum(self.charged_volume(x)) / area

    def charged_volume(self, x: IonFields) -> Cells:
        """Of cells where a space charge rules [m³].

        That is where ions of one sign have more than half of all charges to themselves
        (from 0.4 to 0.6 a growing part of the volume counts).
        """
        charge = jnp.abs(jnp.sum(self.z * x.c, 0) + self.fixed_charge)
        all_charges = jnp.sum(jnp.abs(self.z) * x.c, 0)
        share = charge / jnp.where(all_charges > 0, all_charges, 1.0)
        counted = jnp.clip((share - _MIXED) / (_ALONE - _MIXED), 0.0, 1.0)
        return counted * self.pore_volume

    def faradaic(self, x: IonFields, passing: Passing) -> Scalar:
        """Charge that the working electrode takes from ions, over F c₀ D₀ [m].

        Or that passes into the bath in its place.
        """
        return jnp.sum(self.by_ion(x, passing)) + self.into_near(x)

    def by_ion(self, x: IonFields, passing: Passing) -> Array:
        """Charge that each of `reacting` brings, over F c₀ D₀ [m]."""
        host, floor = (
            jnp.sum(surface.area * wall.current)
            for surface, wall in zip(
                (self.host, self.floor), (passing.host, passing.floor), strict=True
            )
        )
        own = self.charges[self.plated] * (host + floor) / self.unit
        aside = [
            self.charges[k] * (jnp.sum(host) + jnp.sum(floor))
            for k, (host, floor) in zip(self.side, self.side_currents(x), strict=True)
        ]
        return jnp.stack([own, *aside])

    def per_footprint(self, current: Array) -> Array:
        """A current over F c₀ D₀ [m] as a current density [A m⁻²]."""
        return current * (self.unit / self.charges[self.plated] / self.grid.footprint)
