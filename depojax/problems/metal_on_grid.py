"""Metal on resolved walls: where it begins, what of it holds together and conducts."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from depojax._compile import compiled_quickly
from depojax._types import Cells, Faces, Nodes, Scalar, as_float
from depojax.fv.cut_cells import face_apertures, interface_area, volume_fractions
from depojax.fv.level_set import extended, pore_volume, signed_distance, with_volume
from depojax.physics.nuclei import Nuclei
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area
from depojax.problems.growth import metal_of, volume_of_charge
from depojax.scaffold.parts import (
    fine_grid,
    mean_of_corners,
    mean_over_parts,
    narrowest,
    on_parts,
)
from depojax.scaffold.scaffold import Scaffold, flood

SLIVER = 1e-6  # of a cell, that is no phase
_THIN = 0.25  # of a cell: metal that counts in part where only metal reacts


class MetalOnGrid(eqx.Module):
    """Metal of a `LevelSetGrowth`."""

    distance: Nodes  # to the wall as it is, positive in the pore [m]
    core: Nodes  # level set of what never dissolves [m]
    reserve: Float[Array, "x y"]  # in the collector, below the grid [C]
    dead: Cells  # 1 where the solid has lost the collector
    anchored: Cells  # 1 where solid counts as connected from the beginning
    open_at_first: Cells  # 1 where the pore reached the top at the beginning
    pore_at_first: Scalar  # [m³]
    reserve_at_first: Scalar  # [C]
    film: Scalar  # metal that the films on new surface took [C]
    step: Scalar  # how far the wall moved last at most, over the cell [-]


@compiled_quickly
def begun(cell: Cell, on_floor: bool) -> MetalOnGrid:
    """The host as it is drawn, and the open collector where it is `on_floor`."""
    scaffold, grid = cell.scaffold, cell.scaffold.grid
    if scaffold.levelset is None:
        nodes = [n + 1 for n in grid.shape]
        distance = jnp.full(nodes, jnp.sum(grid.widths[2]), grid.dtype)
        fine = grid
    else:
        fine = fine_grid(cell.scaffold.grid, scaffold.levelset)
        distance = signed_distance(fine, scaffold.levelset)
        volume = pore_volume(fine, scaffold.levelset)
        distance = with_volume(fine, distance, volume, 1.0)
    core = distance
    first = cell.initial_deposit
    if first is not None:
        thickness = volume_of_charge(cell, first)
        if thickness.ndim:
            area = interface_area(fine, face_apertures(distance))
            amount = on_parts(thickness, distance, grid) * area
            thickness = extended(fine, distance, amount, area)
        core = distance + thickness
    reserve = jnp.zeros(grid.shape[:2], grid.dtype)
    if on_floor:
        height = jnp.broadcast_to(fine.node_mesh()[2], distance.shape)
        distance = jnp.where(height < distance, height, distance)
        core = jnp.where(height < core, height, core)
        if first is not None:
            per_column = jnp.broadcast_to(first, grid.shape)[..., 0]
            reserve = per_column * collector_area(cell)
    raw = Scaffold.from_levelset(distance, grid, trim=False)
    solid = _solid(raw)
    reached = flood(*solid, grid.periodic, end=0)
    return MetalOnGrid(
        distance=distance,
        core=core,
        reserve=reserve,
        dead=jnp.zeros(grid.shape, grid.dtype),
        anchored=(solid[1] & ~reached).astype(grid.dtype),
        open_at_first=(raw.trimmed().pore_fraction > 0).astype(grid.dtype),
        pore_at_first=pore_volume(fine, distance),
        reserve_at_first=jnp.sum(reserve),
        film=jnp.zeros((), grid.dtype),
        step=jnp.zeros((), grid.dtype),
    )


@compiled_quickly
def with_caps(cell: Cell, bare: MetalOnGrid, nuclei: Nuclei) -> MetalOnGrid:
    """Host and collector with nuclei on them.

    The collector is a mirror, on which a cap is half of a ball.
    """
    fine = fine_grid(cell.scaffold.grid, bare.distance)
    caps = nuclei.levelset(fine)
    distance = jnp.where(caps < bare.distance, caps, bare.distance)
    return eqx.tree_at(
        lambda m: (m.distance, m.pore_at_first),
        bare,
        (distance, pore_volume(fine, distance)),
    )


def covered(cell: Cell, metal: MetalOnGrid) -> Cells:
    """Whether the wall in a cell is that of metal, thin metal in part."""
    grid = cell.scaffold.grid
    depth = mean_over_parts(mean_of_corners(metal.core - metal.distance), grid)
    return jnp.clip(depth / (_THIN * jnp.min(narrowest(grid))), 0.0, 1.0)


def _solid(raw: Scaffold) -> tuple[Faces, Bool[Array, "x y z"]]:
    """Faces through which the solid holds together, and cells that have some."""
    x, y, z = (
        jnp.where(1 - face > SLIVER, 1 - face, 0.0) for face in raw.face_transmission
    )
    return (x, y, z), jax.lax.stop_gradient(1 - raw.pore_fraction) > SLIVER


def severed(cell: Cell, metal: MetalOnGrid) -> Cells:
    """1 where the solid is connected neither to the collector nor to an anchor."""
    grid = cell.scaffold.grid
    faces, solid = _solid(Scaffold.from_levelset(metal.distance, grid, trim=False))
    anchors = metal.anchored > 0
    reached = flood(faces, solid, grid.periodic, end=0, seeds=anchors)
    return (solid & ~reached).astype(grid.dtype)


def conductivity_of(cell: Cell, metal: MetalOnGrid) -> Cells:
    """σ of the solid in each cell [S m⁻¹]: of host and metal by their volumes."""
    grid = cell.scaffold.grid
    core, now = (
        1 - mean_over_parts(volume_fractions(v), grid)
        for v in (metal.core, metal.distance)
    )
    share = jnp.where(now > core, 1 - core / jnp.where(now > 0, now, 1.0), 0.0)
    own = as_float(cell.solid_conductivity)
    return own + share * (metal_of(cell).electrical_conductivity - own)


@compiled_quickly
def at_top(cell: Cell, metal: MetalOnGrid) -> tuple[Array, Array]:
    """Openness of the top faces, and where metal has come to a top that was clear."""
    grid = cell.scaffold.grid
    raw = Scaffold.from_levelset(metal.distance, grid, trim=False)
    openness = raw.face_transmission[2][..., -1]
    clear = jnp.all(metal.core[..., -1] > 0)
    return openness, clear & (openness < 1 - SLIVER)
