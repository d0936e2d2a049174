"""Maps of local effective tensors: a voxel image becomes a homogenised host.

A window moves over the sample; in each place the phase's share, its true area and its
effective-diffusivity tensor are found as if the window were a sample of its own. What
comes out is a host known by its averages, on cells as large as the stride.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from depojax._checks import check_choice, check_integer, refuse
from depojax._types import Cells, Scalar, static
from depojax.fv.grid import AXES, Grid
from depojax.problems.conduction import Sides
from depojax.problems.tortuosity import (
    NARROW,
    Sample,
    has_path,
    sample_of,
    tensor_of,
    tolerance_of,
)
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.results import RESULTS, SolveError

_AT_ONCE = 2_000_000  # cells that are solved for in one batch
_SHUT = 1e6  # tortuosity factor that stands for a window that nothing crosses


class TortuosityMap(eqx.Module):
    """Local averages of a host; the first three axes of every array are its windows."""

    grid: Grid  # macroscopic cells around the windows' centres
    effective_diffusivity: Float[Array, "x y z 3 3"]  # D_eff/D [-]
    porosity: Cells  # volume of the phase / total volume [-]
    specific_area: Cells  # true interface area / total volume [m⁻¹]
    percolates: Bool[Array, "x y z 3"]  # along x, y, z
    window: tuple[int, int, int] = static()  # [voxels]

    @property
    def tortuosity_factor(self) -> Float[Array, "x y z 3"]:
        """τ = ε D/D_eff along x, y, z; infinite where nothing passes."""
        D = jnp.diagonal(self.effective_diffusivity, axis1=-2, axis2=-1)
        passes = self.percolates & (D > 0)
        return jnp.where(
            passes, self.porosity[..., None] / jnp.where(passes, D, 1.0), jnp.inf
        )

    def homogenised(self, *, wall_distance: Any = 0.0) -> Scaffold:
        """The host made of these averages (the tensor's diagonal).

        A window that nothing crosses gets a tortuosity factor of 1e6 there.
        """
        tau = jnp.clip(self.tortuosity_factor, 1.0, _SHUT)
        return Scaffold.homogenised(
            self.grid,
            jnp.maximum(self.porosity, 1e-6),
            tuple(tau[..., axis] for axis in range(3)),
            self.specific_area,
            wall_distance=wall_distance,
        )


def tortuosity_map(
    scaffold: Scaffold,
    window: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    phase: str = "pore",
    *,
    sides: Sides = "insulated",
    linear_tolerance: float | None = None,
    precision: str | None = None,
) -> TortuosityMap:
    """Local effective tensors of a resolved host.

    Args:
        scaffold: on a uniform grid.
        window: cells per side of a window; one number, or one per axis.
        stride: cells from window to window, at most the window; by default the
            window. Where strides do not fill an axis the last windows overlap more.
        phase, sides, linear_tolerance, precision: as for `effective_diffusivity`.

    Windows are solved in batches. A wall that lies just on the end of a window, as
    those between voxels may, is taken to lie behind it. Good values: a window of three
    to ten pores. Windows that no path crosses are marked in `percolates` and have
    D_eff = 0 there.

    Raises `ValueError` for windows that do not fit, and for a stretched grid.
    """
    if not isinstance(scaffold, Scaffold):
        raise refuse("scaffold", "a depojax.Scaffold", type(scaffold).__name__)
    check_choice("sides", sides, ("insulated", "linear"))
    size = _per_axis("window", window)
    step = size if stride is None else _per_axis("stride", stride)
    sample = sample_of(scaffold, phase, precision)
    edges = [np.asarray(width) for width in scaffold.grid.widths]
    for axis, n, w, s, edge in zip(
        AXES, scaffold.shape, size, step, edges, strict=True
    ):
        if w > n:
            raise refuse("window", f"at most {n} cells along {axis}", w)
        if s > w:
            raise refuse("stride", f"at most the window of {w} along {axis}", s)
        if np.ptp(edge) > 1e-6 * edge.max():
            raise refuse("scaffold", "a uniform grid", f"a stretched one along {axis}")
    starts = [
        _starts(n, w, s) for n, w, s in zip(scaffold.shape, size, step, strict=True)
    ]
    places = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 3)
    grid = Grid.uniform(size, [edge[0] for edge in edges])
    windows = _Windows(sample, scaffold.surface_area, grid, scaffold.resolved)
    tolerance = tolerance_of(sample, linear_tolerance)
    found = _solve(windows, jnp.asarray(places), sides, tolerance)
    tensor, porosity, area, good = jax.device_get(found)
    if not np.all(good):
        raise SolveError(str(RESULTS[RESULTS.linear_solve_failed]))
    percolates = np.ones((len(places), 3), bool)
    conducted = np.diagonal(tensor, axis1=1, axis2=2)
    for index, axis in np.argwhere(conducted <= NARROW * porosity[:, None]):
        path = has_path(windows.at(jnp.asarray(places[index])), int(axis))
        percolates[index, axis] = bool(path)
    tensor = tensor * percolates[:, :, None] * percolates[:, None, :]
    shape = tuple(len(s) for s in starts)
    return TortuosityMap(
        grid=_around(starts, size, edges, scaffold.shape),
        effective_diffusivity=jnp.asarray(tensor.reshape(*shape, 3, 3)),
        porosity=jnp.asarray(porosity.reshape(shape)),
        specific_area=jnp.asarray(area.reshape(shape)),
        percolates=jnp.asarray(percolates.reshape(*shape, 3)),
        window=size,
    )


class _Windows(eqx.Module):
    """A sample, cut to the window that begins at a place."""

    sample: Sample
    surface_area: Cells
    grid: Grid
    resolved: bool = static()

    def at(self, place: Array) -> Sample:
        """The window as a sample of its own."""
        fraction = self._cut(self.sample.fraction, place)
        x, y, z = (
            self._ended(self._cut(face, place, axis), fraction, axis)
            for axis, face in enumerate(self.sample.open_faces)
        )
        return Sample(
            self.grid,
            (x, y, z),
            fraction,
            jnp.zeros_like(fraction[0, 0, 0]),
            self.sample.mixed,
        )

    def area(self, place: Array) -> Scalar:
        """Interface area per volume in the window [m⁻¹]."""
        part = self._cut(self.surface_area, place)
        return jnp.sum(part) / jnp.sum(self.grid.volumes)

    def _ended(self, face: Array, fraction: Cells, axis: int) -> Array:
        """A face array whose two ends are open where whole cells end at a wall."""
        if not self.resolved:
            return face
        for end in (0, -1):
            place = (slice(None),) * axis + (end,)
            shut = (face[place] == 0) & (fraction[place] == 1)
            face = face.at[place].set(jnp.where(shut, 1.0, face[place]))
        return face

    def _cut(self, values: Array, place: Array, axis: int | None = None) -> Array:
        size = [n + (a == axis) for a, n in enumerate(self.grid.shape)]
        return jax.lax.dynamic_slice(values, tuple(place), size)


@eqx.filter_jit
def _solve(windows: _Windows, places: Array, sides: Sides, rtol: Scalar):
    def one(place):
        sample = windows.at(place)
        tensor, good = tensor_of(sample, sides, rtol)
        return tensor, sample.porosity, windows.area(place), good

    batch = max(1, _AT_ONCE // int(np.prod(windows.grid.shape)))
    return jax.lax.map(one, places, batch_size=batch)


def _per_axis(name: str, value: Any) -> tuple[int, int, int]:
    values = (value,) * 3 if np.ndim(value) == 0 else tuple(value)
    if len(values) != 3:
        raise refuse(name, "a number of cells, or three", len(values))
    x, y, z = (check_integer(name, v, 1) for v in values)
    return x, y, z


def _starts(n: int, window: int, stride: int) -> np.ndarray:
    """First cells of windows that cover an axis of n cells evenly."""
    count = -(-(n - window) // stride) + 1
    return np.round(np.linspace(0, n - window, count)).astype(int)


def _around(starts, size, edges, shape) -> Grid:
    """Cells that meet midway between the windows' centres and end with the sample."""
    widths = []
    for start, w, edge, n in zip(starts, size, edges, shape, strict=True):
        centers = start + w / 2
        borders = np.concatenate([[0], (centers[1:] + centers[:-1]) / 2, [n]])
        widths.append(np.diff(borders) * edge[0])
    return Grid(widths)
