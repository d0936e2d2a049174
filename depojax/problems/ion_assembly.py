"""The discrete cell of any number of ions, of a `Cell`."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._types import Cells, as_float
from depojax.fv.operators import conductances, harmonic_to_faces, without_ends
from depojax.physics.film import Film
from depojax.physics.ions import STANDARD_CONCENTRATION, MultiIonElectrolyte
from depojax.physics.kinetics import Blocking, Reversible
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, counter_area, onto, over_host
from depojax.problems.ion_model import Bath, Electrode, IonModel
from depojax.solvers.stencil import FaceStencil
from depojax.units import FARADAY, GAS_CONSTANT, VACUUM_PERMITTIVITY

# Of a cell's smallest width: the nearest that its centre may be to the metal.
_NEAREST = 0.1


def ion_model(
    cell: Cell,
    *,
    neutral: bool,
    fixed_charge: Any = 0.0,
    stern_capacitance: Any = None,
    relative_permittivity: Any = None,
    frumkin: bool = True,
    layered: bool = False,
    crowded: bool = False,
    inert: bool = False,
) -> IonModel:
    """The discrete cell, see `depojax.space_charge` for the arguments.

    `inert`: the scaffold is known to have no surface that anything happens at.
    """
    electrolyte, grid = cell.ions, cell.grid
    side = () if neutral or cell.near_bath is not None else electrolyte.side_reactions
    domain = cell.domain()
    dtype = domain.pore_fraction.dtype
    c0, D0 = electrolyte.concentration, _of_plated(electrolyte)
    z = electrolyte.plated_charge
    per_charge = GAS_CONSTANT * electrolyte.temperature / (FARADAY**2 * c0)
    eps = electrolyte.relative_permittivity
    eps = _over_cell(
        cell, eps if relative_permittivity is None else relative_permittivity
    )
    square = VACUUM_PERMITTIVITY * eps * per_charge
    g = conductances(grid, domain.face_transmission)
    means = tuple(harmonic_to_faces(grid, square, axis) for axis in range(3))
    screening = tuple(k * mean for k, mean in zip(g, means, strict=True))

    def between(faces) -> FaceStencil:
        inner = without_ends(faces, grid.periodic)
        return FaceStencil.of_conductance(inner, grid.periodic)

    stern = jnp.zeros((), dtype)
    if stern_capacitance is not None:
        stern = electrolyte.permittivity / as_float(stern_capacitance)
    host, floor, counter = _electrodes(cell, domain, inert=inert)
    far = near = None
    if cell.counter_electrode not in ("metal", "blocked"):
        far = Bath(g[2][..., -1], electrolyte.concentrations / c0, -1)
    bulk = electrolyte.concentrations
    if cell.near_bath is not None:
        near = Bath(g[2][..., 0], cell.near_bath.concentrations / c0, 0)
        # What holds no plated ion at one side has it on the other.
        bulk = (bulk + cell.near_bath.concentrations) / 2
    return IonModel(
        grid=grid,
        temperature=electrolyte.temperature,
        diffusion=electrolyte.diffusivities / D0,
        bulk=bulk / c0,
        room=electrolyte.volumes * c0,
        unit=abs(z) * FARADAY * c0 * D0,
        concentration=c0,
        pore_volume=domain.pore_fraction * grid.volumes,
        reference_diffusivity=D0,
        faces=between(g),
        screening=between(screening),
        square=square,
        fixed_charge=_over_host(cell, fixed_charge) / (FARADAY * c0),
        far=far,
        near=near,
        host=host,
        floor=floor,
        counter=counter,
        stern=stern,
        held=_held(electrolyte, side),
        in_pore=jax.lax.stop_gradient(domain.pore_fraction) > 0,
        charges=electrolyte.charges,
        plated=electrolyte.plated_index,
        side=side,
        neutral=neutral,
        layered=layered,
        crowded=crowded,
        frumkin=frumkin,
    )


def _of_plated(electrolyte: MultiIonElectrolyte) -> Array:
    """D of the plated ion, which only makes numbers: no derivative goes through."""
    return jax.lax.stop_gradient(electrolyte.diffusivities[electrolyte.plated_index])


def _held(electrolyte: MultiIonElectrolyte, side: tuple[int, ...]) -> Array:
    """c_k/c₀ at which the metal of side reactions stands at the plated ion's in c₀."""
    c0, z1 = electrolyte.concentration, electrolyte.plated_charge
    if not side:
        return jnp.zeros((0,), c0.dtype)
    per_volt = FARADAY / (GAS_CONSTANT * electrolyte.temperature)
    potentials = electrolyte.standard_potentials
    own = potentials[electrolyte.plated_index]
    held = [
        jnp.exp(electrolyte.charges[k] * per_volt * (own - potentials[k]))
        * (c0 / STANDARD_CONCENTRATION) ** (electrolyte.charges[k] / z1)
        for k in side
    ]
    return STANDARD_CONCENTRATION / c0 * jnp.stack(held)


def _electrodes(
    cell: Cell, domain, *, inert: bool
) -> tuple[Electrode, Electrode, Electrode]:
    grid = cell.grid
    kinetics = Reversible() if cell.kinetics is None else cell.kinetics
    x, y, z = grid.widths
    smallest = jnp.minimum(
        jnp.minimum(x[:, None, None], y[None, :, None]), z[None, None, :]
    )
    reach = jnp.maximum(onto(grid, cell.scaffold.wall_distance), _NEAREST * smallest)
    surface = onto(grid, cell.scaffold.surface_area)
    # No program for what is not there.
    inert = inert or cell.near_bath is not None
    host = Electrode(
        Blocking() if inert else over_host(grid, kinetics),
        0 * surface if inert else surface,
        reach,
        over_host(grid, _resistance(cell.film_resistance)),
    )
    at_floor = jax.tree.map(lambda k: k[..., 0] if k.ndim == 3 else k, kinetics)
    area = collector_area(cell)
    floor = Electrode(
        at_floor if cell.plated_collector else Blocking(),
        area,
        jnp.broadcast_to(z[0] / 2, area.shape),
        _resistance(cell.collector_film_resistance),
        layer=0,
    )
    kinetics = Reversible() if cell.counter_kinetics is None else cell.counter_kinetics
    if cell.counter_electrode != "metal":
        kinetics = Blocking()
    area, reach = counter_area(cell, domain)
    film = _resistance(cell.counter_film_resistance)
    return host, floor, Electrode(kinetics, area, reach, film, layer=-1)


def _resistance(film: Array | Film) -> Array:
    """Of a film as it stands at the start [Ω m²]."""
    return film.resistance if isinstance(film, Film) else as_float(film)


def _over_host(cell: Cell, field: Any) -> Cells:
    """A number or field over the host, zero beyond it."""
    return onto(cell.grid, jnp.broadcast_to(as_float(field), cell.scaffold.shape))


def _over_cell(cell: Cell, field: Any) -> Cells:
    """A number or field over the host, going on beyond it."""
    field = jnp.broadcast_to(as_float(field), cell.scaffold.shape)
    return over_host(cell.grid, field)
