"""The cut-cell scaffold: everything that the transport sees of a 3D host.

Implicit shapes, voxel images and homogenised maps all end here. x and y lie in the
footprint, z runs from the current collector (index 0) to the separator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from depojax._checks import (
    check_array_shape,
    check_finite,
    check_fraction,
    check_integer,
    check_plausible,
    check_range,
    refuse,
)
from depojax._types import Cells, Faces, Nodes, Scalar, as_float, is_traced, static
from depojax.fv.cut_cells import cut_cells
from depojax.fv.grid import Grid
from depojax.fv.operators import harmonic_to_faces


class Scaffold(eqx.Module):
    """A host on a rectilinear grid: open volumes, open faces, and the wall.

    Build one with a generator (`depojax.foam`, `depojax.gyroid`, …), with
    `Scaffold.from_image`, `Scaffold.from_levelset` or `Scaffold.homogenised`.
    Pores that no path connects to the separator side (top) are closed on construction
    by these; `closed_pore_fraction` says how much was.
    """

    grid: Grid
    pore_fraction: Cells  # electrolyte volume / cell volume [-]
    face_transmission: Faces  # open aperture × sub-grid transport factor [-]
    surface_area: Cells  # true metal–electrolyte area in the cell [m²]
    wall_distance: Cells  # signed, cell centre to wall, positive in the pore [m]
    closed_pore_fraction: Scalar  # trimmed closed pore volume / total volume [-]
    resolved: bool = static(default=True)  # pores on the grid, or averaged over
    # Level set that the cells were cut by, if they were: what a growing deposit moves.
    levelset: Float[Array, "xs ys zs"] | None = None  # perhaps of parts of cells

    def __check_init__(self):
        shape = self.grid.shape
        for name in ("pore_fraction", "surface_area", "wall_distance"):
            check_array_shape(name, getattr(self, name), shape)
            check_finite(name, getattr(self, name))
        check_fraction("pore_fraction", self.pore_fraction, closed=True)
        check_range("surface_area", self.surface_area, 0.0, float("inf"), "m²")
        for axis, face in enumerate(self.face_transmission):
            faces = tuple(n + (a == axis) for a, n in enumerate(shape))
            check_array_shape(f"face_transmission[{axis}]", face, faces)
            check_fraction(f"face_transmission[{axis}]", face, closed=True)
        if self.levelset is not None:
            parts = subdivision_of(self.levelset, self.grid)
            nodes = [parts * n + 1 for n in shape]
            check_array_shape("levelset", self.levelset, nodes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of cells (x, y, z)."""
        return self.grid.shape

    @property
    def porosity(self) -> Scalar:
        """Electrolyte volume / total volume [-]."""
        volumes = self.grid.volumes
        return jnp.sum(self.pore_fraction * volumes) / jnp.sum(volumes)

    @property
    def total_surface_area(self) -> Scalar:
        """True area of the metal–electrolyte interface [m²]."""
        return jnp.sum(self.surface_area)

    @property
    def specific_area(self) -> Scalar:
        """True interface area / total volume [m⁻¹]."""
        return self.total_surface_area / jnp.sum(self.grid.volumes)

    @property
    def area_factor(self) -> Scalar:
        """True interface area / footprint [-]."""
        return self.total_surface_area / self.grid.footprint

    @classmethod
    def from_levelset(
        cls, values: Nodes, grid: Grid, *, trim: bool = True
    ) -> "Scaffold":
        """Cut the cells of `grid` where the node `values` change sign (> 0 is pore).

        `values` has one entry more than the grid per axis, or, where s parts per cell
        are known, s times as many and one: walls of small radius are then cut s² times
        as accurately on the same grid. Only the zero set matters, not the scale.
        Differentiable in `values`. `trim` closes the pores that do not reach the top.

        Raises `ValueError` for a wrong shape, NaN, no pore at all, or (with `trim`) no
        pore that reaches the top.
        """
        subdivision = subdivision_of(values, grid)
        check_array_shape("values", values, [subdivision * n + 1 for n in grid.shape])
        check_finite("values", values)
        values = as_float(values)
        cut = cut_cells(grid, values, subdivision=subdivision)
        scaffold = cls(
            grid=grid,
            pore_fraction=cut.volume_fraction,
            face_transmission=cut.apertures,
            surface_area=cut.interface_area,
            wall_distance=cut.wall_distance,
            closed_pore_fraction=jnp.zeros((), values.dtype),
            levelset=values,
        )
        return scaffold.trimmed() if trim else scaffold

    @classmethod
    def from_function(
        cls,
        levelset: Callable[[Array, Array, Array], Array],
        shape: Sequence[int],
        voxel_size: Any,
        *,
        periodic: Sequence[bool] = (False, False, False),
        subdivision: int = 1,
    ) -> "Scaffold":
        """Scaffold of `levelset(x, y, z)` [coordinates in m], positive in the pore.

        `subdivision` of each cell per axis when it is cut: 2 for curved walls of less
        than some ten cells' radius, at eight times the cost.
        """
        check_plausible("voxel_size", voxel_size, 1e-12, 1e-2, "m", "2 * um")
        check_integer("subdivision", subdivision, 1)
        grid = Grid.uniform(shape, voxel_size, periodic)
        fine = grid if subdivision == 1 else grid.subdivided(subdivision)
        values = jnp.broadcast_to(
            levelset(*fine.node_mesh()), tuple(n + 1 for n in fine.shape)
        )
        return cls.from_levelset(values, grid)

    @classmethod
    def from_image(cls, image: Any, voxel_size: Any, **options: Any) -> "Scaffold":
        """The scaffold in a voxel image, an array or a file; see `images`.

        `options` are those of `depojax.scaffold.images.scaffold_from_image`, which also
        says what is refused.
        """
        from depojax.scaffold.images import scaffold_from_image

        return scaffold_from_image(image, voxel_size, **options)

    @classmethod
    def homogenised(
        cls,
        grid: Grid,
        porosity: Any,
        tortuosity_factor: Any,
        specific_area: Any,
        *,
        wall_distance: Any = 0.0,
    ) -> "Scaffold":
        """A host known by its averages, each a number or a field over the cells.

            D_eff = ε D / τ,    interface area = a V

        Args:
            porosity: ε [-], in (0, 1].
            tortuosity_factor: τ = ε D/D_eff ≥ 1 [-] (not to be squared); one field, or
                three for x, y, z.
            specific_area: true area a per total volume [m⁻¹].
            wall_distance: from the pore's mean concentration to the wall [m]; about a
                quarter of the pore diameter where the pore-scale drop matters.
        """
        check_range("porosity", porosity, 0.0, 1.0, open_low=True)
        check_range("specific_area", specific_area, 0.0, 1e10, "m⁻¹")
        check_range("wall_distance", wall_distance, 0.0, 1e-2, "m")
        eps = _over_cells("porosity", porosity, grid)
        per_axis = (
            tortuosity_factor
            if isinstance(tortuosity_factor, (tuple, list))
            else (tortuosity_factor,) * 3
        )
        if len(per_axis) != 3:
            raise refuse("tortuosity_factor", "one field or three", len(per_axis))
        faces = []
        for axis, tau in enumerate(per_axis):
            check_range(
                "tortuosity_factor",
                tau,
                1.0,
                1e6,
                cure="It is ε D/D_eff, at least 1 for any medium.",
            )
            k = eps / _over_cells("tortuosity_factor", tau, grid)
            faces.append(harmonic_to_faces(grid, k, axis))
        return cls(
            grid=grid,
            pore_fraction=eps,
            face_transmission=(faces[0], faces[1], faces[2]),
            surface_area=_over_cells("specific_area", specific_area, grid)
            * grid.volumes,
            wall_distance=_over_cells("wall_distance", wall_distance, grid),
            closed_pore_fraction=jnp.zeros((), eps.dtype),
            resolved=False,
        )

    @classmethod
    def open(cls, grid: Grid) -> "Scaffold":
        """No host at all: electrolyte everywhere, plated on the collector alone."""
        ones = jnp.ones(grid.shape, grid.dtype)
        x, y, z = (
            jnp.ones([n + (a == axis) for a, n in enumerate(grid.shape)], grid.dtype)
            for axis in range(3)
        )
        return cls(
            grid=grid,
            pore_fraction=ones,
            face_transmission=(x, y, z),
            surface_area=0 * ones,
            wall_distance=0 * ones,
            closed_pore_fraction=jnp.zeros((), grid.dtype),
        )

    def trimmed(self) -> "Scaffold":
        """The scaffold without pores that no open face connects to the top (z = L).

        Raises `ValueError` when there is no pore, or none that reaches the top.
        """
        reached = reachable_from_top(self)
        volumes = self.grid.volumes
        lost = jnp.sum(jnp.where(reached, 0.0, self.pore_fraction * volumes))
        if not is_traced(reached):
            _refuse_closed(self.pore_fraction, reached)
        keep = reached.astype(self.pore_fraction.dtype)
        faces = []
        for axis, face in enumerate(self.face_transmission):
            edge = [(1, 0) if a == axis else (0, 0) for a in range(3)]
            below = jnp.pad(keep, edge, mode="edge")
            above = jnp.pad(keep, [pair[::-1] for pair in edge], mode="edge")
            faces.append(face * below * above)
        return Scaffold(
            grid=self.grid,
            pore_fraction=self.pore_fraction * keep,
            face_transmission=(faces[0], faces[1], faces[2]),
            surface_area=self.surface_area * keep,
            wall_distance=self.wall_distance,
            closed_pore_fraction=self.closed_pore_fraction + lost / jnp.sum(volumes),
            resolved=self.resolved,
            levelset=self.levelset,
        )


def _over_cells(argument: str, field: Any, grid: Grid) -> Array:
    """A number, or an array that broadcasts to the cells, as a field over them."""
    values = as_float(field)
    try:
        return jnp.broadcast_to(values, grid.shape)
    except ValueError as error:
        raise refuse(
            argument,
            f"a number, or an array that broadcasts to {grid.shape} cells",
            f"shape {values.shape}",
        ) from error


def subdivision_of(values: Any, grid: Grid) -> int:
    """Parts per cell and axis that node values of such a shape describe; 1 if none."""
    parts = {(n - 1) / m for n, m in zip(np.shape(values), grid.shape, strict=False)}
    whole = len(parts) == 1 and min(parts) >= 1 and min(parts) == int(min(parts))
    return int(min(parts)) if whole else 1


def reachable_from_top(scaffold: Scaffold) -> Bool[Array, "x y z"]:
    """Which pore cells a path of open faces connects to the top (z = L)."""
    return flood(
        scaffold.face_transmission, scaffold.pore_fraction > 0, scaffold.grid.periodic
    )


@jax.jit
def _flood(faces: Faces, pore: Array, seeds: Array) -> Array:
    """Spread `seeds` through open faces, a grid line at a time, until none is new."""

    def along_line(reached, passable, axis, reverse):
        # One plane after the other: a small program, which compiles three times faster
        # than an associative scan and does not run slower.
        def pass_on(before, plane):
            here, open_to_it = plane
            here = here | (before & open_to_it)
            return here, here

        planes = (jnp.moveaxis(reached, axis, 0), jnp.moveaxis(passable, axis, 0))
        none = jnp.zeros_like(planes[0][0])
        _, planes = jax.lax.scan(pass_on, none, planes, reverse=reverse)
        return jnp.moveaxis(planes, 0, axis)

    def spread(state):
        reached, _ = state
        before = reached
        for axis, face in enumerate(faces):
            is_open = face > 0
            n = pore.shape[axis]
            from_below = jax.lax.slice_in_dim(is_open, 0, n, axis=axis) & pore
            from_above = jax.lax.slice_in_dim(is_open, 1, n + 1, axis=axis) & pore
            reached = along_line(reached, from_below, axis, False)
            reached = along_line(reached, from_above, axis, True)
        return reached, jnp.any(reached != before)

    return jax.lax.while_loop(lambda s: s[1], spread, (seeds & pore, jnp.any(seeds)))[0]


def flood(
    faces: Faces,
    pore: Array,
    periodic: Sequence[bool],
    *,
    axis: int = 2,
    end: int = -1,
    seeds: Array | None = None,
) -> Array:
    """Cells of `pore` connected through open faces to the end (0 or −1) of `axis`.

    Or to one of the `seeds`.
    """
    more = seeds
    faces = jax.tree.map(jax.lax.stop_gradient, faces)
    cells = (slice(None),) * axis + (end,)
    seeds = (
        jnp.zeros(pore.shape, bool)
        .at[cells]
        .set(pore[cells] & (faces[axis][cells] > 0))
    )
    if more is not None:
        seeds = seeds | (more & pore)
    reached = _flood(faces, pore, seeds)
    if any(periodic):
        reached = _around(faces, pore, reached, periodic)
    return reached


def _around(faces, pore, reached, periodic):
    """Repeat the flood with what enters through periodic ends until nothing is new."""

    def enter(state):
        reached, _ = state
        seeds = reached
        for axis, wraps in enumerate(periodic):
            if wraps:
                low, high = (slice(None),) * axis + (0,), (slice(None),) * axis + (-1,)
                is_open = faces[axis][low] > 0
                first, last = seeds[low], seeds[high]
                seeds = seeds.at[low].set(first | (last & is_open & pore[low]))
                seeds = seeds.at[high].set(last | (first & is_open & pore[high]))
        more = _flood(faces, pore, seeds)
        return more, jnp.any(more != reached)

    return jax.lax.while_loop(lambda s: s[1], enter, (reached, jnp.asarray(True)))[0]


def _refuse_closed(pore_fraction, reached) -> None:
    if not bool(jnp.any(pore_fraction > 0)):
        raise refuse(
            "scaffold",
            "some pore",
            "none: every cell is solid",
            "Check which phase is pore, and that the features are resolved.",
        )
    if not bool(jnp.any(reached)):
        raise refuse(
            "scaffold",
            "pores that reach the separator side (top, last index of z)",
            "none that does",
            "Check axes= and which phase is pore, or flip the sample along z.",
        )
