"""The cell: scaffold, electrolyte, separator and what stands at the far side.

    z = 0                        z = H              z = H + separator
    | collector |  scaffold …    |  separator       |  counter electrode

Everything is put on one grid, as the transport sees it (`Domain`).
"""

import dataclasses
import math
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import (
    check_array_shape,
    check_choice,
    check_integer,
    check_range,
    nearest,
    refuse,
)
from depojax._types import Cells, Faces, Scalar, as_float, concrete, static
from depojax.fv.grid import Grid, stretched_widths
from depojax.physics.electrolyte import AbstractElectrolyte
from depojax.physics.film import Film
from depojax.physics.ions import MultiIonElectrolyte
from depojax.physics.kinetics import AbstractKinetics
from depojax.physics.metals import Metal
from depojax.scaffold.scaffold import Scaffold
from depojax.scaffold.solid import conductivity_field

CounterElectrode = Literal["metal", "reservoir", "blocked", "half_infinite"]
# Far beyond the diffusion layer of any run: 6 √(D t) = 0.1 m after ten days at 3e-10.
_BATH_LENGTH = 0.1
_BATH_GROWTH = 1.1


class Separator(eqx.Module):
    """A porous layer between the scaffold and the counter electrode.

    A free gap has porosity 1 and tortuosity factor 1. Good values for a polyolefin
    membrane: 10 to 25 µm, porosity 0.4 to 0.5, tortuosity factor 2 to 4 (Landesfeind
    et al. 2016, doi:10.1149/2.1141607jes).
    """

    thickness: Scalar  # [m]
    porosity: Scalar  # ε [-]
    tortuosity_factor: Scalar  # τ = ε D/D_eff [-]
    cells: int | None = static()

    def __init__(
        self,
        thickness: Any,
        porosity: Any = 1.0,
        tortuosity_factor: Any = 1.0,
        *,
        cells: int | None = None,
    ):
        """`cells` along z: by default as fine as the scaffold, growing away from it."""
        check_range(
            "separator thickness",
            thickness,
            0.0,
            0.1,
            "m",
            "depojax is SI inside: write it with its unit, as 25 * um.",
            open_low=True,
        )
        check_range("separator porosity", porosity, 0.0, 1.0, open_low=True)
        check_range("separator tortuosity_factor", tortuosity_factor, 1.0, 1e4)
        self.thickness = as_float(thickness)
        self.porosity = as_float(porosity)
        self.tortuosity_factor = as_float(tortuosity_factor)
        self.cells = None if cells is None else check_integer("cells", cells, 1)


class Cell(eqx.Module):
    """A plated scaffold, its electrolyte, and the far side.

    Args:
        scaffold: the host; all of its surface is plated.
        electrolyte: a `BinaryElectrolyte`, with constant properties, or a
            `ConcentratedElectrolyte`, whose properties follow c.
        metal: what is plated; its charge must be the cation's.
        separator: a `Separator`, or the thickness of a free gap [m], or None.
        counter_electrode: what stands at the far side:
            "metal" — strips as much as is plated, evenly over its open area;
            "reservoir" — holds the concentration, as a stirred bath does;
            "blocked" — lets nothing pass;
            "half_infinite" — 0.1 m of still electrolyte, for growing cells.
        plated_collector: whether the collector plane z = 0 is plated where it is open.
        kinetics: of plating on host and collector, see `depojax.ButlerVolmer`, its
            arguments one number or one per cell of the scaffold; by default a reaction
            that needs no overpotential.
        counter_kinetics: of the metal at the far side; by default as fast.
        film_resistance: area resistance of the film (SEI) on the host [Ω m²], one
            number or one per cell of the scaffold, or a `Film`, which may grow.
        collector_film_resistance: the same on the open collector; by default that of
            the host, where it is the same everywhere.
        counter_film_resistance: the same on the counter electrode [Ω m²].
        initial_deposit: charge of the metal that stands on host and collector at first
            [C m⁻² of true area], one number or one per cell; what is gone cannot be
            stripped. 0 is a bare host (Li‖Cu); by default there is always enough.
        near_bath: a bath at z = 0 in place of the collector, the same ions in other
            amounts: the scaffold is a membrane or a gap between two baths (with
            "reservoir" at the far side), and nothing is plated. For `space_charge`.
        solid_conductivity: of the host for electrons [S m⁻¹], one number or one per
            cell; by default all of it is at the potential of the collector. Of the
            solid where the pores are resolved, else the effective one of the host.
        equilibrium_potential: U of the host's surface against bulk metal [V], one
            number or one per cell, such as that of its curvature, −γκV_m/(zF); by
            default zero.

    Kinetics, films and the host's conductivity are what `simulate` computes with;
    `sand_time` spreads the current evenly whatever they are.

    Raises `ValueError` for an unknown counter electrode, a metal of another charge, and
    a cell without any surface to plate.
    """

    scaffold: Scaffold
    electrolyte: AbstractElectrolyte | MultiIonElectrolyte
    metal: Metal | None
    separator: Separator | None
    grid: Grid  # of the whole cell
    kinetics: AbstractKinetics | None
    counter_kinetics: AbstractKinetics | None
    film_resistance: Array | Film  # [Ω m²]
    collector_film_resistance: Scalar | Film  # [Ω m²]
    counter_film_resistance: Scalar | Film  # [Ω m²]
    initial_deposit: Array | None  # [C m-2]
    near_bath: MultiIonElectrolyte | None
    solid_conductivity: Cells | None  # [S m-1]
    equilibrium_potential: Array | None  # U of the host's surface [V]
    counter_electrode: CounterElectrode = static()
    plated_collector: bool = static()
    bath_cells: int = static()  # of a half-infinite bath, along z

    def __init__(
        self,
        scaffold: Scaffold,
        electrolyte: AbstractElectrolyte | MultiIonElectrolyte,
        *,
        metal: Metal | None = None,
        separator: Separator | Any = None,
        counter_electrode: CounterElectrode = "metal",
        plated_collector: bool = True,
        kinetics: AbstractKinetics | None = None,
        counter_kinetics: AbstractKinetics | None = None,
        film_resistance: Any = 0.0,
        collector_film_resistance: Any = None,
        counter_film_resistance: Any = 0.0,
        initial_deposit: Any = None,
        near_bath: MultiIonElectrolyte | None = None,
        solid_conductivity: Any = None,
        equilibrium_potential: Any = None,
    ):
        for argument, value, kind in (
            ("scaffold", scaffold, Scaffold),
            ("electrolyte", electrolyte, AbstractElectrolyte | MultiIonElectrolyte),
            ("metal", metal, Metal | None),
            ("plated_collector", plated_collector, bool),
            ("kinetics", kinetics, AbstractKinetics | None),
            ("counter_kinetics", counter_kinetics, AbstractKinetics | None),
            ("near_bath", near_bath, MultiIonElectrolyte | None),
        ):
            if not isinstance(value, kind):
                name = getattr(kind, "__name__", str(kind))
                if argument == "electrolyte":
                    name = "BinaryElectrolyte, ConcentratedElectrolyte or "
                    name += "MultiIonElectrolyte"
                raise refuse(
                    argument, f"a {name}", f"{type(value).__name__} {value!r:.60}"
                )
        check_choice("counter_electrode", counter_electrode, get_args(CounterElectrode))
        if metal is not None and metal.charge != electrolyte.plated_charge:
            raise refuse(
                "metal",
                f"a metal whose ion carries {electrolyte.plated_charge} charge(s), as "
                "that of the electrolyte does",
                f"{metal.name} with {metal.charge}",
            )
        if separator is not None and not isinstance(separator, Separator):
            separator = Separator(separator)
        self.scaffold = scaffold
        self.electrolyte = electrolyte
        self.metal = metal
        self.separator = separator
        self.counter_electrode = counter_electrode
        if near_bath is not None:
            _check_near(near_bath, electrolyte, counter_electrode)
        self.near_bath = near_bath
        self.plated_collector = plated_collector and near_bath is None
        for number in jax.tree.leaves(kinetics):
            if np.ndim(number) != 0:
                check_array_shape("a field of kinetics", number, scaffold.shape)
        self.kinetics = kinetics
        self.counter_kinetics = counter_kinetics
        if collector_film_resistance is None:
            leaves = jax.tree.leaves(film_resistance)
            whole = all(np.ndim(number) == 0 for number in leaves)
            collector_film_resistance = film_resistance if whole else 0.0
        films = {
            "film_resistance": film_resistance,
            "collector_film_resistance": collector_film_resistance,
            "counter_film_resistance": counter_film_resistance,
        }
        kept = {name: _as_film(name, film) for name, film in films.items()}
        for number in jax.tree.leaves(kept["film_resistance"]):
            if np.ndim(number) != 0:
                check_array_shape("film_resistance", number, scaffold.shape)
        self.film_resistance = kept["film_resistance"]
        self.collector_film_resistance = kept["collector_film_resistance"]
        self.counter_film_resistance = kept["counter_film_resistance"]
        if initial_deposit is not None:
            cure = "depojax is SI inside: write it with its unit, as 4 * mAh / cm**2."
            check_range("initial_deposit", initial_deposit, 0.0, 1e10, "C m⁻²", cure)
            if np.ndim(initial_deposit) != 0:
                check_array_shape("initial_deposit", initial_deposit, scaffold.shape)
            initial_deposit = as_float(initial_deposit)
        self.initial_deposit = initial_deposit
        if solid_conductivity is not None:
            solid_conductivity = conductivity_field(scaffold, solid_conductivity)
        self.solid_conductivity = solid_conductivity
        if equilibrium_potential is not None:
            check_range("equilibrium_potential", equilibrium_potential, -10, 10, "V")
            if np.ndim(equilibrium_potential) != 0:
                check_array_shape(
                    "equilibrium_potential", equilibrium_potential, scaffold.shape
                )
            equilibrium_potential = as_float(equilibrium_potential)
        self.equilibrium_potential = equilibrium_potential
        bath = _bath_widths(scaffold.grid, counter_electrode)
        self.bath_cells = 0 if bath is None else bath.size
        self.grid = _whole_grid(scaffold.grid, separator, bath)
        self._check_surface()

    def _check_surface(self) -> None:
        if self.near_bath is not None:
            return
        area = concrete(self.scaffold.total_surface_area)
        if area is None or float(area) > 0:
            return
        floor = concrete(jnp.max(self.scaffold.face_transmission[2][..., 0]))
        if not (self.plated_collector and floor is not None and float(floor) > 0):
            raise refuse(
                "scaffold",
                "some surface to plate",
                "none",
                "Give a scaffold with solid in it, or plated_collector=True.",
            )

    @property
    def salt(self) -> AbstractElectrolyte:
        """The electrolyte as one salt; `ValueError` if its ions are told one by one."""
        if isinstance(self.electrolyte, MultiIonElectrolyte):
            raise refuse(
                "electrolyte",
                "one salt: a BinaryElectrolyte or ConcentratedElectrolyte",
                "a MultiIonElectrolyte",
                "Ask depojax.space_charge, which knows ions one by one.",
            )
        return self.electrolyte

    @property
    def ions(self) -> MultiIonElectrolyte:
        """The electrolyte as ions; `ValueError` if it is known as one salt."""
        if isinstance(self.electrolyte, MultiIonElectrolyte):
            return self.electrolyte
        raise refuse(
            "electrolyte",
            "a MultiIonElectrolyte, which knows its ions one by one",
            f"a {type(self.electrolyte).__name__}",
            "MultiIonElectrolyte.of_salt(electrolyte) makes one of a binary salt.",
        )

    @property
    def footprint(self) -> Scalar:
        """Projected area [m²]."""
        return self.grid.footprint

    @property
    def metal_area(self) -> Scalar:
        """True area that is plated, collector included [m²]."""
        return jnp.sum(self.domain().wall_area)

    def replace(self, **changes: Any) -> "Cell":
        """The same cell with some constructor arguments changed, all checked."""
        known = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("grid", "bath_cells")
        }
        for argument in changes:
            if argument not in known:
                raise refuse(
                    "replace",
                    "a part of the cell",
                    repr(argument),
                    nearest(argument, known),
                )
        return Cell(**(known | changes))

    def with_scaffold(self, scaffold: Scaffold) -> "Cell":
        """The same cell with another host."""
        return self.replace(scaffold=scaffold)

    def domain(self) -> "Domain":
        """The whole cell on one grid, as the transport sees it."""
        return _assemble(self)


def _check_near(near: MultiIonElectrolyte, far: Any, counter: str) -> None:
    """Refuse a second bath of other ions, and one with nothing opposite."""
    if counter != "reservoir":
        raise refuse(
            "near_bath",
            'a second bath opposite, counter_electrode="reservoir"',
            f"counter_electrode={counter!r}",
        )
    if not isinstance(far, MultiIonElectrolyte):
        raise refuse(
            "near_bath",
            "an electrolyte that tells the same ions one by one",
            f"a {type(far).__name__} as electrolyte",
            "MultiIonElectrolyte.of_salt(electrolyte) makes one of a binary salt.",
        )
    if near.names != far.names or near.charges != far.charges:
        raise refuse(
            "near_bath",
            f"the electrolyte's ions {list(far.names)}, in other amounts",
            f"{list(near.names)}",
            "Give both the same list of ions; an amount may be 0.",
        )


def _as_film(argument: str, film: Any) -> Array | Film:
    """A film that grows as it is, any other as its area resistance [Ω m²]."""
    if isinstance(film, Film):
        if film.grows:
            return film
        film = film.resistance
    check_range(argument, film, 0.0, 1e3, "Ω m²")
    return as_float(film)


class Domain(eqx.Module):
    """Coefficients of the whole cell: scaffold, separator and bath in one."""

    grid: Grid
    pore_fraction: Cells  # [-]
    face_transmission: Faces  # [-]
    wall_area: Cells  # plated area [m²]
    wall_distance: Cells  # signed, cell centre to plated wall [m]


def _bath_widths(grid: Grid, counter_electrode: str) -> np.ndarray | None:
    if counter_electrode != "half_infinite":
        return None
    top = concrete(grid.widths[2])
    if top is None:
        raise refuse(
            "counter_electrode",
            "known cell sizes for a half-infinite bath",
            "traced ones",
            "Build the cell outside of jit and grad, or stand a long separator there.",
        )
    return stretched_widths(float(top[-1]), _BATH_LENGTH, _BATH_GROWTH)


def _whole_grid(
    grid: Grid, separator: Separator | None, bath: np.ndarray | None
) -> Grid:
    x, y, z = (w if concrete(w) is None else concrete(w) for w in grid.widths)
    columns = [z]
    if separator is not None:
        columns.append(_separator_widths(separator, concrete(z)))
    if bath is not None:
        columns.append(bath)
    if len(columns) == 1:
        return grid
    # numpy while the widths are known, so that the grid finds its pairing
    known = [column for column in map(concrete, columns) if column is not None]
    if len(known) == len(columns):
        return Grid((x, y, np.concatenate(known)), grid.periodic)
    traced = jnp.concatenate([as_float(column) for column in columns])
    return Grid((x, y, traced), grid.periodic)


def _separator_widths(separator: Separator, below: np.ndarray | None) -> Any:
    thickness = concrete(separator.thickness)
    if separator.cells is not None:
        n = separator.cells
        whole = separator.thickness if thickness is None else float(thickness)
        return (jnp if thickness is None else np).full(n, 1.0) * (whole / n)
    if thickness is None or below is None:
        raise refuse(
            "separator",
            "a number of cells where its thickness is traced",
            "cells=None",
            "Give Separator(thickness, cells=16).",
        )
    thickness, first = float(thickness), float(below[-1])
    if thickness <= 16 * first:
        n = max(1, math.ceil(thickness / first - 1e-6))
        return np.full(n, thickness / n)
    return stretched_widths(first, thickness, _BATH_GROWTH)


def _assemble(cell: Cell) -> Domain:
    scaffold, grid = cell.scaffold, cell.grid
    nx, ny, nz = scaffold.shape
    above = grid.shape[2] - nz
    dtype = scaffold.pore_fraction.dtype
    eps, k = _layers_above(cell, above, dtype)
    pore = jnp.concatenate(
        [scaffold.pore_fraction, jnp.broadcast_to(eps, (nx, ny, above))], axis=2
    )
    tx, ty, tz = scaffold.face_transmission
    tx = jnp.concatenate([tx, jnp.broadcast_to(k, (nx + 1, ny, above))], axis=2)
    ty = jnp.concatenate([ty, jnp.broadcast_to(k, (nx, ny + 1, above))], axis=2)
    if above:
        tz = jnp.concatenate([tz[..., :nz], _faces_above(cell, tz[..., nz], k)], axis=2)

    area = jnp.pad(scaffold.surface_area, [(0, 0), (0, 0), (0, above)])
    distance = jnp.pad(scaffold.wall_distance, [(0, 0), (0, 0), (0, above)])
    if cell.plated_collector:
        area, distance = _with_collector(cell, area, distance)
    return Domain(grid, pore, (tx, ty, tz), area, distance)


def _layers_above(cell: Cell, above: int, dtype) -> tuple[Any, Any]:
    """Porosity and transport factor ε/τ of the cells above the scaffold, along z."""
    eps, k = jnp.ones(above, dtype), jnp.ones(above, dtype)
    if cell.separator is not None:
        inside = jnp.arange(above) < above - cell.bath_cells
        porosity = cell.separator.porosity.astype(dtype)
        factor = porosity / cell.separator.tortuosity_factor.astype(dtype)
        eps = jnp.where(inside, porosity, eps)
        k = jnp.where(inside, factor, k)
    return eps, k


def _faces_above(cell: Cell, top: Any, k: Any) -> Any:
    """Transmission of the faces normal to z from the scaffold's top upwards."""
    nz = cell.scaffold.shape[2]
    half = cell.grid.widths[2][nz - 1 :].astype(k.dtype) / 2
    below, above = half[0], half[1]
    # A cut face stays as narrow on its upper side; a homogenised one has a factor of
    # its own on each side, in series.
    narrow = 1.0 if cell.scaffold.resolved else 1 / jnp.where(top > 0, top, 1.0)
    resistance = below * narrow + above / k[0]
    share = top if cell.scaffold.resolved else jnp.where(top > 0, 1.0, 0.0)
    junction = share * (below + above) / resistance
    inner = (half[1:-1] + half[2:]) / (half[1:-1] / k[:-1] + half[2:] / k[1:])
    upper = jnp.concatenate([inner, k[-1:]])
    nx, ny = top.shape
    return jnp.concatenate(
        [junction[..., None], jnp.broadcast_to(upper, (nx, ny, upper.shape[0]))], axis=2
    )


def _with_collector(cell: Cell, area: Cells, distance: Cells) -> tuple[Cells, Cells]:
    scaffold = cell.scaffold
    openness = (
        scaffold.face_transmission[2][..., 0]
        if scaffold.resolved
        else scaffold.pore_fraction[..., 0]
    )
    floor = openness * scaffold.grid.face_areas(2)[..., 0]
    half = scaffold.grid.widths[2][0] / 2
    total = area[..., 0] + floor
    moment = area[..., 0] * distance[..., 0] + floor * half
    mean = moment / jnp.where(total > 0, total, 1.0)
    mean = jnp.where(total > 0, mean, distance[..., 0])
    return area.at[..., 0].set(total), distance.at[..., 0].set(mean)
