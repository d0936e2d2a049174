"""Growth: how plated charge becomes geometry, window of time after window of time.

While a window runs geometry stands still; the coupled cell tells what was plated where
(`Gain`), and a growth makes new geometry of it. This is what `plate` asks of any of
them; `HomogenisedGrowth` fills hosts that are known by their averages.
"""

import abc
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from depojax._checks import check_choice, check_range, refuse
from depojax._types import Cells, Scalar, as_float, concrete, is_traced, static
from depojax.fv.operators import faces_between, harmonic_to_faces
from depojax.physics.deposit import AREA_LAWS, DeadMetal, metal_conductivity
from depojax.physics.metals import Metal
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto
from depojax.scaffold.scaffold import flood
from depojax.units import FARADAY

_AT_LIMIT = 1e-6  # where a window ends at the event, ε is the limit up to round-off
DISPLACED = ("solvent", "electrolyte")  # what may leave the pores as they fill


class Gain(eqx.Module):
    """What a window of time has plated, or (negative) stripped."""

    host: Cells  # charge on the host's surface in each cell of the whole grid [C]
    floor: Float[Array, "x y"]  # on the open collector, per column [C]
    duration: Scalar  # [s]


class Stop(eqx.Module):
    """Something that growth has come to: a pore that closed, a separator reached."""

    place: Float[Array, "3"]  # where [m]
    name: str = static()
    always: bool = static(default=False)  # whether nothing can go on from there


class AbstractGrowth(eqx.Module):
    """How plated charge becomes geometry.

    `metal`, a tree of arrays of the growth's own making, is the state that it carries
    from window to window; its structure never changes. All methods but `margin` are
    called outside of compiled programs (compile inside where it pays), but under
    `jax.grad` and `jax.jvp` with traced numbers.
    """

    # For what share of a window salt spreads before the next, see `late_salt`.
    late: ClassVar[float] = 0.0

    @abc.abstractmethod
    def check(self, cell: Cell) -> None:
        """Raise `ValueError` for a cell that this growth cannot fill."""

    @abc.abstractmethod
    def begin(self, cell: Cell) -> PyTree:
        """The metal that stands at first (`cell.initial_deposit`)."""

    @abc.abstractmethod
    def cell(self, cell: Cell, metal: PyTree) -> Cell:
        """The cell as it is with the metal: the scaffold, and what conducts."""

    @abc.abstractmethod
    def grown(self, cell: Cell, metal: PyTree, gain: Gain) -> PyTree:
        """The metal after a window; Faraday's volume, exactly."""

    @abc.abstractmethod
    def change(self, cell: Cell, before: PyTree, after: PyTree) -> Scalar:
        """How much geometry changed, relative: what `Windows.change` bounds [-]."""

    @abc.abstractmethod
    def left(self, cell: Cell, metal: PyTree) -> tuple[Cells, Array]:
        """What can be stripped: in each cell of the grid, and from the collector [C].

        Of live metal alone. A place without area holds nothing that counts.
        """

    @abc.abstractmethod
    def dead(self, cell: Cell, metal: PyTree) -> Cells:
        """Charge of the dead metal in each cell of the grid [C]."""

    @abc.abstractmethod
    def volume(self, cell: Cell, metal: PyTree) -> Scalar:
        """Volume of metal plated since `begin`, as the geometry has it [m³]."""

    @abc.abstractmethod
    def thickness(self, cell: Cell, metal: PyTree) -> Cells:
        """Of the deposit, per true area of the bare host, in cells of the grid [m]."""

    @abc.abstractmethod
    def trapped(self, cell: Cell, metal: PyTree) -> Cells:
        """Electrolyte that no pore connects to the separator any more [m³]."""

    @abc.abstractmethod
    def stops(self, cell: Cell, metal: PyTree) -> tuple[Stop, ...]:
        """What growth has come to with this metal; the first one names the end."""

    @abc.abstractmethod
    def consumed(self, cell: Cell, metal: PyTree, host: Cells, floor: Array) -> PyTree:
        """The metal once films took so much of what is live [C]: `left` has less."""

    def along(self, values: Array, areas: Array) -> Array:
        """What belongs to surfaces, place by place, once these have the new areas.

        By default surfaces stay in their places.
        """
        return values

    def halfway(self, cell: Cell, metal: PyTree, gain: Gain) -> PyTree:
        """The metal in the middle of a window that is expected to gain so much twice.

        Its geometry is that of the window: of second order in time. By default that of
        the start, of first order.
        """
        return metal

    def margin(self, cell: Cell, metal: PyTree, gain: Gain) -> Scalar | None:
        """Positive before the first of `stops`, zero there, smooth, 1 at most.

        Of the metal at the start of a window and of what it has gained so far: where
        there is one, the stop is located in the window and has a derivative. Else it is
        noticed at the end of the window.
        """
        return None

    def carried(self, before: Cell, after: Cell, salt: Cells) -> Cells:
        """Salt of every cell of the grid [m³ of c₀] when geometry moves.

        By default it stays in its cell: the solvent alone is squeezed out. What the sum
        lacks has left through the top with its electrolyte, and is counted so.
        """
        return salt


class MetalInPores(eqx.Module):
    """Metal of a `HomogenisedGrowth`; all of it counts in ε, whether live or dead."""

    live: Cells  # on the host [C]
    live_floor: Float[Array, "x y"]  # on the open collector [C]
    dead: Cells  # [C]
    dead_floor: Float[Array, "x y"]  # [C]
    plated: Cells  # since the beginning, net, host and collector together [C]


class HomogenisedGrowth(AbstractGrowth):
    """Growth in a host known by its averages: its pore fraction falls.

    See `depojax.physics.deposit` for the laws. What is plated on the open collector
    fills the cells that stand on it.

    Args:
        area_law: how the area goes with the pore fraction: "pores", "fibres" or
            "constant".
        bruggeman: exponent β of D_eff = D_eff,0 (ε/ε₀)^β [-].
        density_factor: share of the deposit that is metal [-]; 1 is dense.
        closed: pore fraction at which a pore counts as closed [-].
        displaced: what leaves the pores as they fill: "solvent", so that all salt stays
            in its place, or "electrolyte", which flows along z to the counter electrode
            with its salt, and back when metal is stripped.
        loss: how metal dies; by default none does.

    Raises `ValueError` for an unknown law and numbers outside of their range.
    Good values: β = 1.5 (spheres) to 3; density factor 0.5 to 1; closed 0.01 to 0.05.
    """

    bruggeman: Scalar  # β [-]
    density_factor: Scalar  # ρ [-]
    closed: Scalar  # [-]
    loss: DeadMetal | None
    area_law: Literal["pores", "fibres", "constant"] = static()
    displaced: Literal["solvent", "electrolyte"] = static()

    def __init__(
        self,
        *,
        area_law: Literal["pores", "fibres", "constant"] = "pores",
        bruggeman: Any = 1.5,
        density_factor: Any = 1.0,
        closed: Any = 0.02,
        displaced: Literal["solvent", "electrolyte"] = "solvent",
        loss: DeadMetal | None = None,
    ):
        check_choice("area_law", area_law, AREA_LAWS)
        check_choice("displaced", displaced, DISPLACED)
        check_range("bruggeman", bruggeman, 0.0, 10.0)
        check_range("density_factor", density_factor, 0.0, 1.0, open_low=True)
        check_range(
            "closed", closed, 0.0, 1.0, open_low=True, open_high=True,
            cure="It is a pore fraction, such as 0.02.",
        )  # fmt: skip
        if not isinstance(loss, DeadMetal | None):
            raise refuse("loss", "a DeadMetal", type(loss).__name__)
        self.area_law, self.displaced = area_law, displaced
        self.bruggeman, self.density_factor = (
            as_float(bruggeman),
            as_float(density_factor),
        )
        self.closed, self.loss = as_float(closed), loss

    def check(self, cell: Cell) -> None:
        """Refuse a resolved host, and one with pores that are closed already."""
        scaffold = cell.scaffold
        area = concrete(scaffold.surface_area)
        if scaffold.resolved and area is not None and area.any():
            raise refuse(
                "growth",
                "one that moves the surface of pores on the grid",
                "a HomogenisedGrowth, which fills averages",
                "Or describe the host by Scaffold.homogenised.",
            )
        eps, closed = concrete(scaffold.pore_fraction), concrete(self.closed)
        if eps is not None and closed is not None and eps.min() <= closed:
            raise refuse(
                "closed",
                f"less than the smallest pore fraction of the host, {eps.min():g}",
                f"{float(closed):g}",
            )

    def begin(self, cell: Cell) -> MetalInPores:
        """The initial deposit of the cell, or nothing."""
        none = jnp.zeros_like(cell.scaffold.pore_fraction)
        first = none if cell.initial_deposit is None else none + cell.initial_deposit
        return MetalInPores(
            live=first * cell.scaffold.surface_area,
            live_floor=first[..., 0] * collector_area(cell),
            dead=none,
            dead_floor=none[..., 0],
            plated=none,
        )

    @eqx.filter_jit
    def cell(self, cell: Cell, metal: MetalInPores) -> Cell:
        """The cell with pores as narrow as the metal leaves them."""
        scaffold = cell.scaffold
        eps0, eps = scaffold.pore_fraction, self.pore_fraction(cell, metal)
        kept = eps / eps0
        area = AREA_LAWS[self.area_law](eps, eps0)
        # What is closed goes on to fill as an exponential, never to the last of it.
        area = area * jnp.where(eps < self.closed, eps / self.closed, 1.0)
        narrower = kept**self.bruggeman
        faces = [
            face * harmonic_to_faces(scaffold.grid, narrower, axis)
            for axis, face in enumerate(scaffold.face_transmission)
        ]
        if scaffold.resolved:  # no host: the collector stays as wide as it is
            floor = scaffold.face_transmission[2][..., 0]
            faces[2] = faces[2].at[..., 0].set(floor)
        fuller = eqx.tree_at(
            lambda s: (
                s.pore_fraction, s.face_transmission, s.surface_area, s.wall_distance
            ),
            scaffold,
            (
                eps,
                tuple(faces),
                scaffold.surface_area * area,
                scaffold.wall_distance * kept / area,
            ),
        )  # fmt: skip
        cell = eqx.tree_at(lambda c: c.scaffold, cell, fuller)
        if cell.solid_conductivity is None:
            return cell
        return eqx.tree_at(
            lambda c: c.solid_conductivity, cell, self._conductivity(cell, metal)
        )

    def pore_fraction(self, cell: Cell, metal: MetalInPores) -> Cells:
        """ε [-] with the metal in the pores."""
        scaffold = cell.scaffold
        filled = volume_of_charge(cell, metal.plated) / scaffold.grid.volumes
        eps = scaffold.pore_fraction - filled / self.density_factor
        # A foil that is stripped recedes to below the grid.
        return jnp.where(eps < 1, eps, 1.0)

    def _conductivity(self, cell: Cell, metal: MetalInPores) -> Cells:
        """σ of host and live metal [S m⁻¹]."""
        live = metal.live.at[..., 0].add(metal.live_floor)
        share = volume_of_charge(cell, live) / cell.scaffold.grid.volumes
        sigma = metal_of(cell).electrical_conductivity
        return as_float(cell.solid_conductivity) + metal_conductivity(sigma, share)

    def grown(self, cell: Cell, metal: MetalInPores, gain: Gain) -> MetalInPores:
        """The metal after a window."""
        new = _plated(cell, metal, gain)
        return new if self.loss is None else self._with_loss(cell, new, gain)

    def halfway(self, cell: Cell, metal: MetalInPores, gain: Gain) -> MetalInPores:
        """What is plated until then."""
        return _plated(cell, metal, gain)

    def carried(self, before: Cell, after: Cell, salt: Cells) -> Cells:
        """Salt in its place, or with the electrolyte that flows along z."""
        if self.displaced == "solvent":
            return salt
        return _flowed(before, after, salt)

    def _with_loss(self, cell: Cell, metal: MetalInPores, gain: Gain) -> MetalInPores:
        loss: Any = self.loss
        host = gain.host[..., : cell.scaffold.shape[2]]
        lost = loss.lost(metal.live, host, gain.duration)
        lost_floor = loss.lost(metal.live_floor, gain.floor, gain.duration)
        if loss.contact is not None and cell.solid_conductivity is not None:
            touching = self.in_contact(cell, metal)
            lost = jnp.where(touching, lost, metal.live)
        return MetalInPores(
            live=metal.live - lost,
            live_floor=metal.live_floor - lost_floor,
            dead=metal.dead + lost,
            dead_floor=metal.dead_floor + lost_floor,
            plated=metal.plated,
        )

    def in_contact(self, cell: Cell, metal: MetalInPores) -> Bool[Array, "x y z"]:
        """Cells that `loss.contact` [S m⁻¹] or more connects to the collector."""
        loss: Any = self.loss
        conducts = jax.lax.stop_gradient(self._conductivity(cell, metal))
        conducts = conducts >= loss.contact
        return _reached(cell, conducts, end=0)

    def change(self, cell: Cell, before: MetalInPores, after: MetalInPores) -> Scalar:
        """Largest |Δε|/ε; of full pores, of a fifth of what they were."""
        old, new = (self.pore_fraction(cell, m) for m in (before, after))
        least = cell.scaffold.pore_fraction / 5
        return jnp.max(jnp.abs(new - old) / jnp.maximum(old, least))

    def left(self, cell: Cell, metal: MetalInPores) -> tuple[Cells, Array]:
        """Live metal."""
        return onto(cell.grid, metal.live), metal.live_floor

    def consumed(
        self, cell: Cell, metal: MetalInPores, host: Cells, floor: Array
    ) -> MetalInPores:
        """It stays in the pores, neither live nor dead."""
        live = metal.live - host[..., : cell.scaffold.shape[2]]
        changed = (live, metal.live_floor - floor)
        return eqx.tree_at(lambda m: (m.live, m.live_floor), metal, changed)

    def dead(self, cell: Cell, metal: MetalInPores) -> Cells:
        """Dead metal, that on the collector in the cells above it."""
        return onto(cell.grid, metal.dead.at[..., 0].add(metal.dead_floor))

    def volume(self, cell: Cell, metal: MetalInPores) -> Scalar:
        """Σ (ε₀ − ε) V ρ."""
        lost = cell.scaffold.pore_fraction - self.pore_fraction(cell, metal)
        return jnp.sum(lost * cell.scaffold.grid.volumes) * self.density_factor

    def thickness(self, cell: Cell, metal: MetalInPores) -> Cells:
        """Volume per area of host and collector in a cell."""
        area = cell.scaffold.surface_area.at[..., 0].add(collector_area(cell))
        volume = volume_of_charge(cell, metal.plated) / self.density_factor
        some = area > 0
        thickness = jnp.where(some, volume / jnp.where(some, area, 1.0), 0.0)
        return onto(cell.grid, thickness)

    def trapped(self, cell: Cell, metal: MetalInPores) -> Cells:
        """Electrolyte in cells that only closed pores lead to, and in closed ones."""
        eps = self.pore_fraction(cell, metal)
        is_open = jax.lax.stop_gradient(eps > self.closed * (1 + _AT_LIMIT))
        reached = _reached(cell, is_open, end=-1)
        volume = jnp.where(reached, 0.0, eps * cell.scaffold.grid.volumes)
        return onto(cell.grid, volume)

    def stops(self, cell: Cell, metal: MetalInPores) -> tuple[Stop, ...]:
        """A pore that closed: at the top it shuts out all below."""
        eps = jax.lax.stop_gradient(self.pore_fraction(cell, metal))
        closed = jax.lax.stop_gradient(self.closed)
        tightest = jnp.argmin(eps)
        if is_traced(eps):
            return ()
        if float(eps.ravel()[tightest]) > float(closed) * (1 + _AT_LIMIT):
            return ()
        at = np.unravel_index(int(tightest), eps.shape)
        centers = cell.scaffold.grid.centers
        place = jnp.stack([centers[axis][at[axis]] for axis in range(3)])
        top = at[2] == eps.shape[2] - 1 and eps.shape[2] > 1
        return (Stop(place, "top_closure" if top else "pore_closure"),)

    def margin(self, cell: Cell, metal: MetalInPores, gain: Gain) -> Scalar:
        """(ε − ε_closed)/(ε₀ − ε_closed) of the tightest pore."""
        eps = self.pore_fraction(cell, _plated(cell, metal, gain))
        eps0 = cell.scaffold.pore_fraction
        room = (eps - self.closed) / (eps0 - self.closed)
        return room.ravel()[jnp.argmin(room)]


def metal_of(cell: Cell) -> Metal:
    """The metal that is plated; `ValueError` where the cell does not say."""
    if cell.metal is None:
        raise refuse(
            "cell",
            "one that says which metal it plates",
            "metal=None",
            "Give Cell(..., metal=depojax.metals.lithium).",
        )
    return cell.metal


def volume_of_charge(cell: Cell, charge: Array) -> Array:
    """Q V_m/(zF): volume of dense metal [m³]."""
    metal = metal_of(cell)
    return charge * (metal.molar_volume / (metal.charge * FARADAY))


def _plated(cell: Cell, metal: MetalInPores, gain: Gain) -> MetalInPores:
    host = gain.host[..., : cell.scaffold.shape[2]]
    return MetalInPores(
        live=metal.live + host,
        live_floor=metal.live_floor + gain.floor,
        dead=metal.dead,
        dead_floor=metal.dead_floor,
        plated=metal.plated + host.at[..., 0].add(gain.floor),
    )


@eqx.filter_jit
def _flowed(before: Cell, after: Cell, salt: Cells) -> Cells:
    """Salt once electrolyte has left cells that got smaller through those above.

        V' c + F⁺ c − F⁻ c_above − (the same of the face below) = n

    Upwind and implicit: uniform salt stays uniform. What comes in at the top has the
    concentration at first.
    """
    old, new = (
        cell.domain().pore_fraction * cell.grid.volumes for cell in (before, after)
    )
    out = jnp.cumsum(old - new, axis=2)  # through the upper face of each cell [m³]
    up, down = jnp.where(out > 0, out, 0.0), jnp.where(out < 0, -out, 0.0)
    lower = jnp.pad(up[..., :-1], [(0, 0), (0, 0), (1, 0)])
    below = jnp.pad(down[..., :-1], [(0, 0), (0, 0), (1, 0)])
    upper = down.at[..., -1].set(0.0)
    given = salt.at[..., -1].add(down[..., -1])
    c = jax.lax.linalg.tridiagonal_solve(
        -lower, new + up + below, -upper, given[..., None]
    )[..., 0]
    return new * c


def _reached(cell: Cell, phase: Bool[Array, "x y z"], *, end: int) -> Array:
    """Cells of a phase that others of it connect to the collector (0) or the top."""
    periodic = cell.scaffold.grid.periodic
    faces = faces_between(phase, periodic, cell.scaffold.pore_fraction.dtype)
    return flood(faces, phase, periodic, end=end)
