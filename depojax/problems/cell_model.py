"""Salt, ionic and electronic current of a whole cell, driven by kinetics.

    ∂(ε c)/∂t = ∇·(D ∇c) − (1 − t₊)/(z₊ν₊F) a i − i_l·∇t₊/(z₊ν₊F)
    ∇·i_l = −a i,     i_l = −κ ∇φ_l + κ w ∇ln c,     w = (νRT/(z₊ν₊F)) (1 − t₊) χ
    ∇·i_s = +a i,     i_s = −σ ∇φ_s
    i = f(η, c_s, T),  η = φ_s − φ_l + i R_film      (φ_l against the same metal)

Three surfaces react: the host's, the open collector below it, and the counter
electrode, whose potential is zero. The potential V of the collector is an unknown,
closed by  ∫ i dA = J A_footprint  or by  V = V_applied.

In numbers the unknowns are u = c/c₀, ψ = φ F/(RT), and every current is divided by
z₊ν₊F c₀D₀ [A m⁻¹], so that all equations are of one size; they are written per cell
[m].

Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 12 and 22.
"""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from depojax._types import Cells, Scalar, as_float, static
from depojax.fv.grid import Grid
from depojax.fv.logarithmic_mean import logarithmic_mean, mean_of_rise
from depojax.physics.electrolyte import (
    AbstractElectrolyte,
    BinaryElectrolyte,
    diffusion_potential,
)
from depojax.physics.film import Film
from depojax.physics.interface import AtWall, at_wall, share_at_wall
from depojax.problems.cell_surfaces import Reactions, Surface, Use
from depojax.solvers.stencil import (
    FaceStencil,
    laid_out,
    neighbour,
    net_outflow,
    rows,
    unfolded,
)
from depojax.units import FARADAY, GAS_CONSTANT

_SMALLEST = 1e-9  # c/c₀ at which properties are asked for at least
_REST = 1e-6  # of a limiting current: less is none to compare others with


class Fields(eqx.Module):
    """The unknowns of a step."""

    c: Cells  # c/c₀ [-]
    liquid: Cells  # φ_l F/(RT) [-]
    # Against the collector, of which a good conductor differs by round-off of V.
    solid: Cells | None  # (φ_s − V) F/(RT) [-]; None: the host is at the collector's
    collector: Scalar  # V F/(RT) [-]


class Solid(eqx.Module):
    """How the host conducts electrons, over `CellModel.unit` F/(RT)."""

    faces: FaceStencil  # [m]
    contact: Array  # of the bottom cells with the collector [m]
    reached: Bool[Array, "x y z"]  # cells that something connects to the collector


class Transport(eqx.Module):
    """Coefficients in numbers, per cell.

    Between two places c is nearly linear, and so are D, κ and w of it:

        φ_P − φ_N = ∫w d ln c + i ∫dx/κ = w̄ ln(c_P/c_N) + i h/κ̄

    with the arithmetic mean w̄ and the logarithmic mean κ̄. Of a dilute salt, where κ is
    that of c, and of constant properties that is exact.
    """

    concentration: Array  # c/c₀, kept positive
    diffusion: Array  # D/D₀
    conduction: Array  # κ (RT/F) / unit
    log_conduction: Array | None  # None where κ is the same everywhere
    exponent: Array | None  # d ln κ/d ln c; None with it
    potential: Array  # w F/(RT), the diffusion potential per ln c
    cation_share: Array  # t₊

    def conduction_to(self, beside: Callable[[Array], Array]) -> Array:
        """κ̄ between the cells and those beside them, of a field laid out in rows."""
        here, there = rows(self.conduction), beside(self.conduction)
        if self.log_conduction is None:
            return (here + there) / 2
        rise = beside(self.log_conduction) - rows(self.log_conduction)
        return mean_of_rise(here, there, rise)


class CellModel(eqx.Module):
    """The discrete cell: geometry, properties, surfaces."""

    grid: Grid
    electrolyte: AbstractElectrolyte
    reference_diffusivity: Scalar  # D₀, that at c₀ [m² s⁻¹]
    pore_volume: Cells  # [m³]
    faces: FaceStencil  # conductances between cells [m]
    far: Array | None  # of the top faces where a bath holds c₀ and φ_l = 0 [m]
    solid: Solid | None  # None: the host is at the collector's potential
    host: Surface
    floor: Surface  # the collector where it is open
    counter: Surface  # without area where a bath is the far side
    in_pore: Bool[Array, "x y z"]
    # Where depletion is looked for: cracks that are cut off at once do not count.
    wall: Bool[Array, "x y z"]  # of the host
    open_floor: Bool[Array, "x y"]
    far_feeds: bool = static(default=True)  # whether salt passes the far side

    @property
    def thermal_voltage(self) -> Scalar:
        """RT/F [V]."""
        return GAS_CONSTANT * self.electrolyte.temperature / FARADAY

    @property
    def unit(self) -> Scalar:
        """z₊ν₊F c₀ D₀ [A m⁻¹], which currents are measured in."""
        electrolyte = self.electrolyte
        charge = electrolyte.charge_per_salt * FARADAY * electrolyte.concentration
        return charge * self.reference_diffusivity

    @property
    def current_scale(self) -> Scalar:
        """What currents in numbers [m] are like: near a limiting current."""
        x, y, z = self.grid.lengths
        return jax.lax.stop_gradient(x * y / jnp.minimum(z, 1e-3))

    def transport(self, c: Array) -> Transport:
        """The coefficients of the cells, as numbers."""
        electrolyte = self.electrolyte
        c0, D0 = electrolyte.concentration, self.reference_diffusivity
        u = jnp.maximum(c, _SMALLEST)
        p = electrolyte.properties(c0 * u)
        kappa = p.conductivity * (self.thermal_voltage / self.unit)
        w = diffusion_potential(electrolyte, p) / self.thermal_voltage
        exponent = self._exponent(u)
        return Transport(
            concentration=u,
            diffusion=p.diffusivity / D0,
            conduction=kappa,
            log_conduction=None if exponent is None else jnp.log(kappa),
            exponent=exponent,
            potential=w,
            cation_share=p.transference_number,
        )

    def _exponent(self, u: Array) -> Array | None:
        """d ln κ/d ln c at a concentration c/c₀ [-]; None for a constant κ."""
        electrolyte = self.electrolyte
        if isinstance(electrolyte, BinaryElectrolyte):
            return None

        def kappa(u):
            return electrolyte.properties(electrolyte.concentration * u).conductivity

        value, slope = jax.jvp(kappa, (u,), (jnp.ones_like(u),))
        return u * slope / value

    def reactions(
        self,
        x: Fields,
        guess: Reactions | None = None,
        known: Reactions | None = None,
    ) -> Reactions:
        """What happens at the three surfaces, from a guess; or `known`, followed."""
        transport = self.transport(x.c)
        metals = self.metal_potentials(x)

        def at(name: str, metal: Array) -> AtWall:
            return self._reaction(
                getattr(self, name),
                x,
                transport,
                metal,
                None if guess is None else getattr(guess, name).current,
                None if known is None else getattr(known, name),
            )

        names = ("host", "floor", "counter")
        return Reactions(*(at(*each) for each in zip(names, metals, strict=True)))

    @staticmethod
    def metal_potentials(x: Fields) -> tuple[Array, Scalar, Scalar]:
        """Of host, collector and counter electrode, φ F/(RT)."""
        host = x.collector if x.solid is None else x.collector + x.solid
        return host, x.collector, jnp.zeros_like(x.collector)

    def _reaction(
        self,
        surface: Surface,
        x: Fields,
        transport: Transport,
        potential: Array,
        guess: Array | None,
        known: AtWall | None,
    ) -> AtWall:
        """What happens at a surface whose metal is at `potential`."""
        electrolyte = self.electrolyte
        c0, scale = electrolyte.concentration, self.thermal_voltage
        c = surface.of(x.c)

        def of_places(tree: PyTree) -> PyTree:
            return surface.gathered(tree, c.shape)

        t, liquid, salt, metal, rest, reach, kinetics, film, least = of_places(
            (
                jax.tree.map(surface.of, transport),
                surface.of(x.liquid),
                c0 * jnp.maximum(c, 0),
                potential,
                surface.equilibrium,
                surface.reach,
                surface.kinetics,
                surface.film,
                surface.least,
            )
        )
        # i = unit × number / distance: what one ampere per area does over `reach`.
        number = reach / self.unit
        found = at_wall(
            kinetics,
            scale * (metal - liquid) - (0.0 if rest is None else rest),
            salt,
            electrolyte.temperature,
            resistance=film,
            depletion=c0 * (1 - t.cation_share) / t.diffusion * number,
            liquid=scale / t.conduction * jnp.maximum(number, 0),
            exponent=t.exponent,
            diffusion_potential=scale * t.potential,
            guess=of_places(guess),
            known=of_places(known),
            least=least,
        )
        current = surface.spread(found.current, 0 * c)
        wall = surface.spread(found.concentration, c0 * c)
        return AtWall(jnp.where(surface.area > 0, current, 0.0), wall)

    def flows(self, x: Fields, transport: Transport) -> tuple[Cells, Cells]:
        """What leaves each cell by transport: salt (as charge), and charge [m].

        Salt is that which the reference to the local t₊ leaves: t₊ times the balance of
        charge is taken from the balance of cations.
        """
        shape, periodic = self.grid.shape, self.grid.periodic
        logs = jnp.log(transport.concentration)
        c, log_c, liquid, t = jax.tree.map(
            lambda field: laid_out(field, periodic), (x.c, logs, x.liquid, transport)
        )
        salt = charge = jnp.zeros_like(rows(c))
        for axis in range(3):
            for side in (-1, 1):

                def beside(field, axis=axis, side=side):
                    return neighbour(field, axis, side, shape)

                def mean(field, beside=beside):
                    return (rows(field) + beside(field)) / 2

                g = self.faces.beside(axis, side)
                drop = rows(c) - beside(c)
                fall = rows(liquid) - beside(liquid)
                rest = mean(t.potential) * (rows(log_c) - beside(log_c))
                current = g * t.conduction_to(beside) * (fall - rest)
                charge = charge + current
                share = beside(t.cation_share) - rows(t.cation_share)
                salt = salt + g * mean(t.diffusion) * drop + share / 2 * current
        salt, charge = (unfolded(flow, shape)[:, 1:-1, 1:-1] for flow in (salt, charge))
        if self.far is not None:
            top = jax.tree.map(lambda k: k[..., -1], transport)
            ends = self.through_far_side(x.c[..., -1], x.liquid[..., -1], top)
            salt = salt.at[..., -1].add(ends[0])
            charge = charge.at[..., -1].add(ends[1])
        return salt, charge

    def through_far_side(
        self, c: Array, liquid: Array, t: Transport
    ) -> tuple[Array, Array]:
        """Salt and charge that leave the top cells into a bath of c₀ at φ_l = 0."""
        du, far = c - 1, as_float(self.far)
        through = far * self.conduction_to_far_side(t)
        if not self.far_feeds:
            return jnp.zeros_like(du), through * liquid
        bath = self.transport(jnp.ones_like(du))
        D, w = (t.diffusion + bath.diffusion) / 2, (t.potential + bath.potential) / 2
        return far * D * du, through * (liquid - w * jnp.log(t.concentration))

    def conduction_to_far_side(self, t: Transport) -> Array:
        """Of the way from the top cells to a bath."""
        if not self.far_feeds or t.exponent is None:
            return t.conduction
        bath = self.transport(jnp.ones_like(t.conduction))
        return logarithmic_mean(t.conduction, bath.conduction)

    @property
    def same_cation_share(self) -> bool:
        """Whether t₊ is one number, known before anything is computed."""
        return isinstance(self.electrolyte, BinaryElectrolyte)

    def balances(
        self, x: Fields, reactions: Reactions
    ) -> tuple[Cells, Cells, Cells | None, Scalar]:
        """What each cell loses: salt, ionic charge, electronic charge; and the current
        that leaves through the collector [m]."""
        transport = self.transport(x.c)
        salt, liquid = self.flows(x, transport)
        host, floor, counter = (
            surface.into_cells(surface.area * (i / self.unit), x.c.shape)
            for surface, i in zip(self.surfaces, reactions, strict=True)
        )
        plated = host + floor + counter
        salt = salt + (1 - transport.cation_share) * plated
        liquid = liquid + plated
        out = self.through_collector(x, reactions)
        if x.solid is None:
            return salt, liquid, None, out
        return salt, liquid, self.solid_flow(x.solid) - host, out

    def through_collector(self, x: Fields, reactions: Reactions) -> Scalar:
        """The current that leaves through the collector [m]."""
        host, floor, _ = (
            jnp.sum(surface.area * i) / self.unit
            for surface, i in zip(self.surfaces, reactions, strict=True)
        )
        if x.solid is None or self.solid is None:
            return floor + host
        return floor + jnp.sum(self.solid.contact * x.solid[..., 0])

    @property
    def surfaces(self) -> tuple[Surface, Surface, Surface]:
        """Host, open collector, counter electrode."""
        return self.host, self.floor, self.counter

    @property
    def changes_by_use(self) -> bool:
        """Whether a film grows."""
        return any(isinstance(surface.film, Film) for surface in self.surfaces)

    def in_use(
        self, use: Use | None, plated: tuple[Array, Array], span: Scalar
    ) -> "CellModel":
        """The cell for currents that go on for `span` after some use."""
        if use is None:
            use = Use(jnp.zeros_like(span), (None, None, None))
        host, floor, counter = (
            surface.in_use(use.time + span, crossed, charge, span)
            for surface, crossed, charge in zip(
                self.surfaces, use.crossed, (*plated, None), strict=True
            )
        )
        return dataclasses.replace(self, host=host, floor=floor, counter=counter)

    def films_after(self, use: Use | None) -> tuple[Array, Array, Array]:
        """Area resistance of the films of the three surfaces [Ω m²]."""
        time, crossed = (0.0, (0.0,) * 3) if use is None else (use.time, use.crossed)
        host, floor, counter = (
            surface.film_after(as_float(time), charge)
            for surface, charge in zip(self.surfaces, crossed, strict=True)
        )
        return host, floor, counter

    def with_films_after(self, use: Use | None) -> "CellModel":
        """The cell with films that stay as they are after some use."""
        host, floor, counter = (
            dataclasses.replace(surface, film=film)
            for surface, film in zip(self.surfaces, self.films_after(use), strict=True)
        )
        return dataclasses.replace(self, host=host, floor=floor, counter=counter)

    def deposit_left(self, plated: tuple[Array, Array]) -> Scalar | None:
        """Charge of the metal on host and collector per footprint [C m⁻²]."""
        if self.host.deposit is None or self.floor.deposit is None:
            return None
        host, floor = (
            jnp.sum(surface.area * (as_float(surface.deposit) + charge))
            for surface, charge in zip((self.host, self.floor), plated, strict=True)
        )
        return (host + floor) / self.grid.footprint

    @property
    def storage(self) -> Cells:
        """What a cell stores per c/c₀ [m s]."""
        return self.pore_volume / self.reference_diffusivity

    @property
    def safe_storage(self) -> Cells:
        """`storage`, 1 where nothing is stored."""
        return jnp.where(self.pore_volume > 0, self.storage, 1.0)

    @property
    def reacting_area(self) -> Cells:
        """True area of all surfaces in each cell [m²]."""
        shape = self.pore_volume.shape
        host, floor, counter = (s.into_cells(s.area, shape) for s in self.surfaces)
        return host + floor + counter

    def per_footprint(self, current: Scalar) -> Scalar:
        """A current in numbers [m] as a current density [A m⁻²]."""
        return current * (self.unit / self.grid.footprint)

    def idle_where_no_solid(self, balance: Cells | None, potential: Cells | None):
        """The electronic balance; where there is no solid, that its potential is 0."""
        if balance is None or potential is None or self.solid is None:
            return None
        return jnp.where(self.solid.reached, balance, self.current_scale * potential)

    def wall_concentration(self, x: Fields, reactions: Reactions) -> Cells:
        """c_s/c₀ beside the plated surfaces of each cell, infinite where is none."""
        t = self.transport(x.c)
        fall = (1 - t.cation_share) / t.diffusion / self.unit

        def beside(surface: Surface, i: Array) -> Array:
            loss = surface.of(fall) * i * surface.reach
            u = surface.of(t.concentration)
            return u * share_at_wall(loss / u, surface.reach < 0)

        host = beside(self.host, reactions.host.current)
        wall = jnp.where(self.wall, host, jnp.inf)
        floor = beside(self.floor, reactions.floor.current)
        floor = jnp.where(self.open_floor, floor, jnp.inf)
        return wall.at[..., 0].min(floor)

    def salt_drift(self, x: Fields, reactions: Reactions) -> Scalar:
        """Salt that gathers or leaves, over what electrodes take and give [-]."""
        salt = self.balances(x, reactions)[0]
        share = 1 - self.transport(x.c).cation_share
        taken = sum(
            jnp.sum(surface.of(share) * surface.area * jnp.abs(i))
            for surface, i in zip(self.surfaces, reactions, strict=True)
        )
        if self.far is not None:
            taken = 2 * taken  # as much comes from the bath
        gathered = jnp.sum(jnp.where(self.in_pore, jnp.abs(salt), 0.0))
        return gathered / (taken / self.unit + 1e-6 * self.current_scale)

    def exchanged(self, reactions: Reactions) -> Scalar:
        """The current that leaves all surfaces and enters others [m]."""
        flows = [
            jnp.sum(surface.area * jnp.abs(i))
            for surface, i in zip(self.surfaces, reactions, strict=True)
        ]
        return sum(flows, jnp.zeros_like(self.unit)) / (2 * self.unit)

    def imbalance(self, reactions: Reactions, current_density: Scalar) -> Scalar:
        """Largest difference between the currents of all electrodes [-].

        Relative to the current; at rest, below 1e-6 of a limiting current, there is
        none to compare with, and it is to a hundredth of that.
        """
        host, floor, counter = (
            jnp.sum(s.area * i) / self.grid.footprint
            for s, i in zip(self.surfaces, reactions, strict=True)
        )
        errors = [jnp.abs(host + floor - current_density)]
        if self.far is None:
            errors.append(jnp.abs(counter + current_density))
        size, typical = jnp.abs(current_density), self._typical_current
        rests = size < _REST * typical
        return jnp.max(jnp.stack(errors)) / jnp.where(rests, 1e-2 * typical, size)

    @property
    def _typical_current(self) -> Scalar:
        return self.per_footprint(self.current_scale)

    def solid_flow(self, potential: Cells) -> Cells:
        """Electronic current that leaves each cell, see `Fields.solid` [m]."""
        if self.solid is None:
            return jnp.zeros_like(potential)
        through = self.solid.contact * potential[..., 0]
        return net_outflow(self.solid.faces, potential).at[..., 0].add(through)
