"""Metal that grows and dissolves on the surface of pores that the grid resolves.

    v_n = V_m i/(zFρ)                 of the wall, from the local current
    U = −γ κ V_m/(zF)                 of a wall of curvature κ (Gibbs–Thomson)

The wall is a level set on the grid nodes; after each window of time it is moved by the
charge that passed in each cell and the cells are cut anew. The pore loses Faraday's
volume to round-off. Pores that nothing connects to the separator any more keep their
electrolyte; metal that nothing connects to the collector is dead until it is reached
again.
"""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import check_choice, check_range, refuse
from depojax._compile import compiled_quickly, differentiated_alike
from depojax._types import (
    Cells,
    Scalar,
    as_float,
    concrete,
    is_traced,
    static,
    without_derivatives,
)
from depojax.fv.carrying import carried_over
from depojax.fv.cut_cells import face_apertures, interface_area, volume_fractions
from depojax.fv.level_set import (
    extended,
    moved,
    pore_volume,
    wall_curvature,
)
from depojax.physics.nuclei import Nuclei
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto
from depojax.problems.displaced import flowed
from depojax.problems.growth import (
    DISPLACED,
    AbstractGrowth,
    Gain,
    Stop,
    metal_of,
    volume_of_charge,
)
from depojax.problems.metal_on_grid import (
    SLIVER,
    MetalOnGrid,
    at_top,
    begun,
    conductivity_of,
    covered,
    severed,
    with_caps,
)
from depojax.scaffold.parts import (
    fine_grid,
    mean_of_corners,
    mean_over_parts,
    narrowest,
    on_parts,
    summed_over_parts,
    wall_area,
)
from depojax.scaffold.scaffold import Scaffold

_WAY = 0.1  # change of geometry, as windows count it, of a wall that moves by a cell
_REDISTANCE = 20  # sweeps after a move


class LevelSetGrowth(AbstractGrowth):
    """Growth that moves the surface of resolved pores.

    The host is as its scaffold was cut (`Scaffold.levelset`), so of an implicit shape
    or a smoothed image; without a host metal grows on the collector. What is given as
    `initial_deposit` is part of the solid that is drawn, and that thick.

    Args:
        density_factor: share of the deposit that is metal [-]; 1 is dense.
        closed: share of the pore volume behind closed pores that ends a run [-].
        gibbs_thomson: whether the wall's curvature shifts its potential.
        surface_energy: γ of metal and electrolyte [J m⁻²]; by default that of the metal
            in vacuum.
        displaced: what leaves the pores as they fill: "solvent", so that all salt stays
            in its place, or "electrolyte", which flows through the pores to the counter
            electrode with its salt, and back when metal is stripped.
        nuclei: metal that is there at first, see `depojax.draw_nuclei`; then bare host
            and collector do not react. Of a radius of two cells or more.

    `Windows.change` 0.05 lets the wall move by half a cell at most.
    Good values: windows of 0.02 to 0.05, 8 cells or more across a pore.

    Raises `ValueError` for numbers outside of their range.
    """

    # Long enough for spikes to go. What is booked comes half of a window late, but a
    # wall that takes all it meets has not let it get so far: 0.5 puts a plane front
    # (MB1, S = 1/2) 1.2 % back, 0.05 and 0.01 are 0.2 % and 0.4 % ahead.
    late: ClassVar[float] = 0.05

    density_factor: Scalar  # ρ [-]
    closed: Scalar  # [-]
    surface_energy: Scalar | None  # γ [J m-2]
    nuclei: Nuclei | None
    gibbs_thomson: bool = static()
    displaced: Literal["solvent", "electrolyte"] = static()

    def __init__(
        self,
        *,
        density_factor: Any = 1.0,
        closed: Any = 0.01,
        gibbs_thomson: bool = False,
        surface_energy: Any = None,
        displaced: Literal["solvent", "electrolyte"] = "solvent",
        nuclei: Nuclei | None = None,
    ):
        check_range("density_factor", density_factor, 0.0, 1.0, open_low=True)
        check_range("closed", closed, 0.0, 1.0, open_low=True)
        if not isinstance(gibbs_thomson, bool):
            raise refuse("gibbs_thomson", "True or False", repr(gibbs_thomson))
        if surface_energy is not None:
            check_range("surface_energy", surface_energy, 0.0, 10.0, "J m⁻²")
            surface_energy = as_float(surface_energy)
        check_choice("displaced", displaced, DISPLACED)
        if not isinstance(nuclei, Nuclei | None):
            raise refuse("nuclei", "Nuclei of draw_nuclei", type(nuclei).__name__)
        self.nuclei = nuclei
        self.density_factor, self.closed = as_float(density_factor), as_float(closed)
        self.gibbs_thomson, self.surface_energy = gibbs_thomson, surface_energy
        self.displaced = displaced

    def check(self, cell: Cell) -> None:
        """Refuse a host whose pores are averages, or whole voxels."""
        scaffold = cell.scaffold
        if not scaffold.resolved:
            raise refuse(
                "growth",
                "a HomogenisedGrowth for a host known by its averages",
                "a LevelSetGrowth, which moves walls that the grid resolves",
            )
        area = concrete(scaffold.surface_area)
        if scaffold.levelset is None and area is not None and area.any():
            raise refuse(
                "scaffold",
                "one that was cut by a level set",
                "one of whole voxels",
                "Read the image with cut=True.",
            )

    def begin(self, cell: Cell) -> MetalOnGrid:
        """The host as it is drawn; its outermost layer is the initial deposit."""
        bare = begun(cell, self._on_floor(cell))
        if self.nuclei is None:
            return bare
        return with_caps(cell, bare, self.nuclei)

    def _on_floor(self, cell: Cell) -> bool:
        """Whether the open collector is a wall that grows."""
        return cell.plated_collector and self.nuclei is None

    @differentiated_alike
    @compiled_quickly
    def cell(self, cell: Cell, metal: MetalOnGrid) -> Cell:
        """The cell cut by the wall as it is."""
        grid = cell.scaffold.grid
        raw = Scaffold.from_levelset(metal.distance, grid, trim=False)
        scaffold = raw.trimmed()
        live = jnp.where(metal.dead > 0, 0.0, scaffold.surface_area)
        if self.nuclei is not None:
            live = live * covered(cell, metal)
            # Nothing passes the floor but what reacts there.
            x, y, z = scaffold.face_transmission
            shut = (x, y, z.at[..., 0].set(0.0))
            scaffold = eqx.tree_at(lambda s: s.face_transmission, scaffold, shut)
        scaffold = eqx.tree_at(lambda s: s.surface_area, scaffold, live)
        cell = eqx.tree_at(lambda c: c.scaffold, cell, scaffold)
        if self.gibbs_thomson:
            U = cell.equilibrium_potential
            U = self.curvature_potential(cell, metal) + (0.0 if U is None else U)
            cell = eqx.tree_at(
                lambda c: c.equilibrium_potential, cell, U, is_leaf=lambda x: x is None
            )
        if cell.solid_conductivity is None:
            return cell
        sigma = conductivity_of(cell, metal)
        return eqx.tree_at(lambda c: c.solid_conductivity, cell, sigma)

    def curvature_potential(self, cell: Cell, metal: MetalOnGrid) -> Cells:
        """U = −γ κ V_m/(zF) of the wall in each cell [V]."""
        grid, fine = cell.scaffold.grid, fine_grid(cell.scaffold.grid, metal.distance)
        area = interface_area(fine, face_apertures(metal.distance))
        kappa = wall_curvature(fine, metal.distance)
        total = summed_over_parts(area, grid)
        mean = summed_over_parts(area * kappa, grid) / jnp.where(total > 0, total, 1.0)
        gamma = self.surface_energy
        gamma = metal_of(cell).surface_energy if gamma is None else gamma
        return -gamma * mean * volume_of_charge(cell, as_float(1.0))

    @differentiated_alike
    @compiled_quickly
    def grown(self, cell: Cell, metal: MetalOnGrid, gain: Gain) -> MetalOnGrid:
        """The wall after a window."""
        grid, fine = cell.scaffold.grid, fine_grid(cell.scaffold.grid, metal.distance)
        on_floor = jnp.maximum(gain.floor, 0.0)
        charge = gain.host[..., : cell.scaffold.shape[2]]
        charge = charge.at[..., 0].add(on_floor)
        volume = volume_of_charge(cell, charge) / self.density_factor
        area = wall_area(fine, metal.distance, self._on_floor(cell))
        total = summed_over_parts(area, grid)
        share = volume / jnp.where(total > 0, total, 1.0)
        gained = on_parts(share, metal.distance, grid) * area
        distance = moved(
            fine, metal.distance, gained, area, core=metal.core, sweeps=_REDISTANCE
        )
        distance = jnp.where(jnp.any(volume != 0), distance, metal.distance)
        near = jnp.abs(metal.distance) < jnp.max(narrowest(fine))
        thickness = extended(fine, metal.distance, gained, area)
        farthest = jnp.max(jnp.where(near, jnp.abs(thickness), 0.0))
        new = MetalOnGrid(
            distance=distance,
            core=metal.core,
            reserve=metal.reserve + gain.floor - on_floor,
            dead=metal.dead,
            anchored=metal.anchored,
            open_at_first=metal.open_at_first,
            pore_at_first=metal.pore_at_first,
            reserve_at_first=metal.reserve_at_first,
            film=metal.film,
            step=farthest / jnp.min(narrowest(fine)),
        )
        return eqx.tree_at(lambda m: m.dead, new, severed(cell, new))

    def change(self, cell: Cell, before: MetalOnGrid, after: MetalOnGrid) -> Scalar:
        """A tenth of the way of the wall, in cells."""
        return _WAY * after.step

    @differentiated_alike
    @compiled_quickly
    def left(self, cell: Cell, metal: MetalOnGrid) -> tuple[Cells, Array]:
        """Live metal, shared out by how thick it stands on the core."""
        grid = cell.scaffold.grid
        here = self.cell(cell, metal)
        depth = mean_over_parts(mean_of_corners(metal.core - metal.distance), grid)
        weight = here.scaffold.surface_area * jnp.maximum(depth, 0.0)
        deposit = self._deposit(cell, metal)
        live = jnp.sum(jnp.where(metal.dead > 0, 0.0, deposit)) - metal.film
        total = jnp.sum(weight)
        charge = weight * (jnp.maximum(live, 0.0) / jnp.where(total > 0, total, 1.0))
        return onto(cell.grid, charge), jnp.maximum(metal.reserve, 0.0)

    def consumed(
        self, cell: Cell, metal: MetalOnGrid, host: Cells, floor: Array
    ) -> MetalOnGrid:
        """All of the metal has less of it: a film moves with its surface."""
        film = metal.film + jnp.sum(host) + jnp.sum(floor)
        return eqx.tree_at(lambda m: m.film, metal, film)

    def along(self, values: Array, areas: Array) -> Array:
        """Surfaces move from cell to cell: shared out evenly, their sum is kept."""
        total = jnp.sum(areas)
        shared = areas * (jnp.sum(values) / jnp.where(total > 0, total, 1.0))
        return jnp.where(total > 0, shared, values)

    def _deposit(self, cell: Cell, metal: MetalOnGrid) -> Cells:
        """Charge of the metal in each cell of the host [C]."""
        core, now = (
            mean_over_parts(volume_fractions(v), cell.scaffold.grid)
            for v in (metal.core, metal.distance)
        )
        volume = (core - now) * cell.scaffold.grid.volumes * self.density_factor
        return volume / volume_of_charge(cell, as_float(1.0))

    @compiled_quickly
    def dead(self, cell: Cell, metal: MetalOnGrid) -> Cells:
        """Metal that nothing connects to the collector."""
        return onto(cell.grid, metal.dead * self._deposit(cell, metal))

    @compiled_quickly
    def volume(self, cell: Cell, metal: MetalOnGrid) -> Scalar:
        """What the pore has lost, and what is gone from the collector."""
        lost = metal.pore_at_first - pore_volume(
            fine_grid(cell.scaffold.grid, metal.distance), metal.distance
        )
        below = jnp.sum(metal.reserve) - metal.reserve_at_first
        return lost * self.density_factor + volume_of_charge(cell, below)

    @compiled_quickly
    def thickness(self, cell: Cell, metal: MetalOnGrid) -> Cells:
        """How deep the bare wall lies below the surface; of the collector as well."""
        scaffold = cell.scaffold
        first = begun(cell, self._on_floor(cell)).distance
        depth = mean_over_parts(mean_of_corners(first - metal.distance), scaffold.grid)
        bare = scaffold.surface_area.at[..., 0].add(collector_area(cell)) > 0
        return onto(cell.grid, jnp.where(bare, depth, 0.0))

    @compiled_quickly
    def trapped(self, cell: Cell, metal: MetalOnGrid) -> Cells:
        """Electrolyte in pores that were open and reach the top no more."""
        raw = Scaffold.from_levelset(metal.distance, cell.scaffold.grid, trim=False)
        now = raw.trimmed().pore_fraction > 0
        lost = (metal.open_at_first > 0) & ~now
        volume = jnp.where(lost, raw.pore_fraction, 0.0) * raw.grid.volumes
        return onto(cell.grid, volume)

    def stops(self, cell: Cell, metal: MetalOnGrid) -> tuple[Stop, ...]:
        """A pore that closed, the top that did, metal at the separator."""
        cell, metal = without_derivatives((cell, metal))
        trapped = self.trapped(cell, metal)
        if is_traced(trapped):
            return ()
        openness, touching = at_top(cell, metal)
        found = []
        if not np.any(np.asarray(openness) > 0):
            top = np.asarray(cell.scaffold.shape) - 1
            found.append(Stop(_place(cell, top // (2, 2, 1)), "top_closure", True))
        if np.any(touching):
            name = "short_circuit" if cell.separator is None else "separator_reached"
            column = np.unravel_index(np.argmax(touching), touching.shape)
            at = (*column, cell.scaffold.shape[2] - 1)
            found.append(Stop(_place(cell, at), name, cell.separator is None))
        closed = jax.lax.stop_gradient(self.closed)
        if float(np.sum(trapped)) > float(closed) * float(metal.pore_at_first):
            where = np.argwhere(np.asarray(trapped) > 0)
            at = where[where[:, 2].argmax()]
            found.append(Stop(_place(cell, at), "pore_closure"))
        return tuple(found)

    def carried(self, before: Cell, after: Cell, salt: Cells) -> Cells:
        """Salt stays in its cell, or flows with its electrolyte; a pocket keeps it.

        A cell that closes hands it on.
        """
        if self.displaced == "electrolyte":
            return _flowed(before, after, salt)
        return _carried(before, after, salt)


def _place(cell: Cell, at: Any) -> Array:
    centers = cell.scaffold.grid.centers
    return jnp.stack([centers[axis][int(at[axis])] for axis in range(3)])


@differentiated_alike
@compiled_quickly
def _carried(before: Cell, after: Cell, salt: Cells) -> Cells:
    old, new = before.domain(), after.domain()
    volumes = old.grid.volumes
    return carried_over(
        salt,
        old.pore_fraction * volumes,
        new.pore_fraction * volumes,
        volumes,
        (old.face_transmission, new.face_transmission),
        _pockets(after) > 0,
        old.grid.periodic,
    )


@differentiated_alike
@compiled_quickly
def _flowed(before: Cell, after: Cell, salt: Cells) -> Cells:
    old, new = before.domain(), after.domain()
    # What closes in between has the faces that it had, what opens those that it gets.
    x, y, z = (
        (a + b) / 2
        for a, b in zip(old.face_transmission, new.face_transmission, strict=True)
    )
    wet, wet_then = (
        (domain.pore_fraction + _pockets(cell)) * old.grid.volumes
        for domain, cell in ((old, before), (new, after))
    )
    return flowed(old.grid, (x, y, z), wet, wet_then, salt)


def _pockets(cell: Cell) -> Cells:
    """Pore fraction of the cells that nothing connects to the separator [-]."""
    scaffold = cell.scaffold
    if scaffold.levelset is None:
        return jnp.zeros(cell.grid.shape, scaffold.pore_fraction.dtype)
    inside = mean_over_parts(volume_fractions(scaffold.levelset), scaffold.grid)
    closed = (scaffold.pore_fraction == 0) & (inside > SLIVER)
    return onto(cell.grid, jnp.where(closed, inside, 0.0))
