"""The discrete cell of a `Cell`: its geometry, properties and surfaces as one model."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from depojax._types import Cells, Faces, concrete
from depojax.fv.grid import Grid
from depojax.fv.operators import conductances, without_ends
from depojax.physics.electrolyte import AbstractElectrolyte, Properties
from depojax.physics.kinetics import AbstractKinetics, LinearKinetics
from depojax.problems.cell import Cell, Domain
from depojax.problems.cell_model import CellModel, Solid
from depojax.problems.cell_surfaces import Surface
from depojax.problems.salt_balance import well_connected
from depojax.scaffold.scaffold import flood
from depojax.scaffold.solid import solid_conductances
from depojax.solvers.stencil import FaceStencil

_FAST = 1e8  # i₀ of an electrode without overpotential [A m-2]
_PARTS = 16  # of all cells, by which the number of reacting ones is told


def reacting_places(cell: Cell, spare: float = 0.0) -> int | None:
    """How many cells hold metal, rounded up; None where that is most of them.

    `spare`: room for so many more, relative, where the metal will grow; and for that
    which will on the open collector.

    Kinetics cost more than all else in a cell: they are found where there is metal.
    The number changes the program, so it is not known inside of jit and vmap. Nor is it
    while derivatives are taken of averages: a cell without area may be about to get
    some, which the wall of a resolved host does by moving there.
    """
    area = cell.scaffold.surface_area
    if cell.scaffold.resolved:
        area = jax.lax.stop_gradient(area)
    area = concrete(area)
    if area is None:
        return None
    step = max(math.prod(cell.grid.shape) // _PARTS, 1)
    number = np.count_nonzero(area)
    if spare and cell.plated_collector:
        number += np.count_nonzero(area[..., 0] == 0)
    places = step * math.ceil((1 + spare) * number / step)
    return places if places <= _PARTS // 2 * step else None


def cell_model(cell: Cell, places: int | None = None) -> CellModel:
    """The discrete cell; `places` as many cells as there may be with metal in them."""
    scaffold, grid = cell.scaffold, cell.grid
    domain = cell.domain()
    kinetics = _at_equilibrium() if cell.kinetics is None else cell.kinetics
    g = conductances(grid, domain.face_transmission)
    bath = cell.counter_electrode != "metal"
    area = onto(grid, scaffold.surface_area)
    sound = jnp.ones(grid.shape, bool)
    if scaffold.resolved:
        sound = well_connected(cell, domain)
    floor = _floor(cell, kinetics)
    model = CellModel(
        grid=grid,
        electrolyte=cell.salt,
        reference_diffusivity=_at_start(cell.salt).diffusivity,
        pore_volume=domain.pore_fraction * grid.volumes,
        faces=FaceStencil.of_conductance(without_ends(g, grid.periodic), grid.periodic),
        far=g[2][..., -1] if bath else None,
        solid=None,
        host=Surface(
            over_host(grid, kinetics),
            area,
            onto(grid, scaffold.wall_distance),
            over_host(grid, cell.film_resistance),
            _deposit(cell),
            places=None if places is None else _where_any(area, places),
            equilibrium=over_host(grid, cell.equilibrium_potential),
        ),
        floor=floor,
        counter=_counter(cell, domain),
        in_pore=jax.lax.stop_gradient(domain.pore_fraction) > 0,
        wall=jax.lax.stop_gradient(sound & (domain.wall_area > 0) & (area > 0)),
        open_floor=jax.lax.stop_gradient(sound[..., 0] & (floor.area > 0)),
        far_feeds=cell.counter_electrode != "blocked",
    )
    if cell.solid_conductivity is None:
        return model
    return _with_solid(model, cell, cell.solid_conductivity)


def _with_solid(model: CellModel, cell: Cell, conductivity: Cells) -> CellModel:
    """The model with electrons that have to pass the host."""
    grid = model.grid
    per_number = model.thermal_voltage / model.unit
    g = solid_conductances(cell.scaffold, conductivity)
    contact = per_number * g[2][..., 0]
    inner = _above_cells(without_ends(g, grid.periodic))
    faces = tuple(per_number * onto(grid, face) for face in inner)
    ends = tuple(
        jnp.concatenate([jax.lax.slice_in_dim(f, f.shape[a] - 1, None, axis=a), f], a)
        for a, f in enumerate(faces)
    )
    bottom = ends[2].at[..., 0].set(contact)
    held = contact > 0
    solid = jnp.zeros(grid.shape, bool).at[..., 0].set(held)
    for axis, face in enumerate(faces):
        wraps = grid.periodic[axis]
        solid = solid | (face > 0) | (_below(face, axis, wraps) > 0)
    reached = flood((ends[0], ends[1], bottom), solid, grid.periodic, end=0)
    # What no solid connects to the collector cannot plate.
    alone = jnp.where(reached, model.host.area, 0.0)
    return dataclasses.replace(
        model,
        solid=Solid(FaceStencil.of_faces(faces, grid.periodic), contact, reached),
        host=dataclasses.replace(model.host, area=alone),
        wall=model.wall & reached,
    )


def _below(flux: Array, axis: int, wraps: bool) -> Array:
    """The flux through the face below each cell, of that above."""
    n = flux.shape[axis]
    last = jax.lax.slice_in_dim(flux, n - 1, n, axis=axis)
    rest = jax.lax.slice_in_dim(flux, 0, n - 1, axis=axis)
    first = last if wraps else jnp.zeros_like(last)
    return jnp.concatenate([first, rest], axis=axis)


def _floor(cell: Cell, kinetics: AbstractKinetics) -> Surface:
    """The collector where it is open to the electrolyte, and plated."""
    scaffold, area = cell.scaffold, collector_area(cell)
    half = jnp.broadcast_to(scaffold.grid.widths[2][0] / 2, area.shape)
    at_floor = jax.tree.map(lambda k: k[..., 0] if k.ndim == 3 else k, kinetics)
    film, deposit = cell.collector_film_resistance, _deposit(cell)
    if deposit is not None:
        deposit = deposit[..., 0]
    return Surface(at_floor, area, half, film, deposit, layer=0)


def collector_area(cell: Cell) -> Array:
    """Of the collector where it is open to the electrolyte, per column [m²]."""
    scaffold = cell.scaffold
    openness = (
        scaffold.face_transmission[2][..., 0]
        if scaffold.resolved
        else scaffold.pore_fraction[..., 0]
    )
    area = openness * scaffold.grid.face_areas(2)[..., 0]
    return area if cell.plated_collector else 0 * area


def _counter(cell: Cell, domain: Domain) -> Surface:
    """The foil at the far side."""
    kinetics = cell.counter_kinetics
    kinetics = _at_equilibrium() if kinetics is None else kinetics
    area, reach = counter_area(cell, domain)
    return Surface(kinetics, area, reach, cell.counter_film_resistance, layer=-1)


def counter_area(cell: Cell, domain: Domain) -> tuple[Array, Array]:
    """Area of the foil at the far side [m²], and the way to it [m], per column.

    It is whole behind a separator, else where the pore is.
    """
    grid = cell.grid
    openness = domain.face_transmission[2][..., -1]
    area = jnp.broadcast_to(grid.face_areas(2)[..., 0], openness.shape)
    reach = jnp.broadcast_to(grid.widths[2][-1] / 2, openness.shape)
    if cell.separator is None and cell.scaffold.resolved:
        area = area * openness
    else:
        reach = reach / openness
    if cell.counter_electrode != "metal":
        area = 0 * area
    return area, reach


def _where_any(area: Cells, most: int) -> Array:
    """The cells with some area, in a row; and numbers beyond the last cell."""
    some = jax.lax.stop_gradient(area).ravel() > 0
    return jnp.nonzero(some, size=most, fill_value=area.size)[0]


def _at_start(electrolyte: AbstractElectrolyte) -> Properties:
    """The properties at c₀, which only make numbers: no derivative goes through."""
    return jax.lax.stop_gradient(electrolyte.properties(electrolyte.concentration))


def _at_equilibrium() -> LinearKinetics:
    """A reaction without overpotential."""
    return LinearKinetics(_FAST, exponent=0.0)


def _deposit(cell: Cell) -> Cells | None:
    """Charge of the metal at first, over the whole cell [C m⁻²]."""
    if cell.initial_deposit is None:
        return None
    per_cell = jnp.broadcast_to(cell.initial_deposit, cell.scaffold.shape)
    return onto(cell.grid, per_cell)


def over_host(grid: Grid, properties: PyTree) -> PyTree:
    """Kinetics or film whose fields over the host go on over the whole cell."""

    def continued(k: Array) -> Array:
        more = grid.shape[2] - k.shape[2] if k.ndim == 3 else 0
        return jnp.pad(k, [(0, 0), (0, 0), (0, more)], mode="edge") if more else k

    return jax.tree.map(continued, properties)


def onto(grid: Grid, field: Array) -> Array:
    """A field over the host as one over the whole cell."""
    return jnp.pad(field, [(0, 0), (0, 0), (0, grid.shape[2] - field.shape[2])])


def _above_cells(faces: Faces) -> tuple[Cells, Cells, Cells]:
    x, y, z = (
        jax.lax.slice_in_dim(face, 1, None, axis=axis)
        for axis, face in enumerate(faces)
    )
    return x, y, z
