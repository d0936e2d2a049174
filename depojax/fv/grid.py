"""The rectilinear grid: cell widths per axis, uniform or stretched.

Arrays over cells are indexed [x, y, z]; nodes have one more entry per axis, and the
faces normal to an axis one more entry along that axis. z runs from the current
collector (index 0) to the counter electrode.
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, check_shape, refuse
from depojax._types import Cells, Scalar, as_float, concrete, static

AXES = ("x", "y", "z")


def axis_index(axis: str | int) -> int:
    """0, 1 or 2 for "x", "y", "z"."""
    if axis in (0, 1, 2):
        return int(axis)
    if axis not in AXES:
        raise refuse("axis", 'one of "x", "y", "z"', repr(axis))
    return AXES.index(str(axis))


class Grid(eqx.Module):
    """Rectilinear cells of given widths [m].

    `periodic` marks the axes whose two ends are one; the others end in sides that
    take a boundary condition (no flux where none is given).

    Raises `ValueError` for widths that are not positive or not a length in metres.
    """

    widths: tuple[Float[Array, "x"], Float[Array, "y"], Float[Array, "z"]]  # [m]
    periodic: tuple[bool, bool, bool] = static()
    # Which cells join on each level of a multigrid hierarchy: cells are paired until
    # all are about as large as the largest, so that stretched grids become isotropic.
    # Static, because it sets array shapes; plain pairs while the widths are traced.
    pairing: tuple[tuple[tuple[int, ...], ...], ...] = static()

    def __init__(
        self, widths: Sequence[Any], periodic: Sequence[bool] = (False, False, False)
    ):
        if len(widths) != 3 or len(tuple(periodic)) != 3:
            raise refuse(
                "widths", "one array of cell widths per axis (x, y, z)", len(widths)
            )
        for axis, width in zip(AXES, widths, strict=True):
            if np.ndim(width) != 1:
                raise refuse(f"widths[{axis}]", "a 1D array [m]", f"{np.ndim(width)}D")
            check_plausible(f"widths[{axis}]", width, 1e-12, 1.0, "m", "2 * um")
        x, y, z = (as_float(width) for width in widths)
        self.widths = (x, y, z)
        px, py, pz = (bool(flag) for flag in periodic)
        self.periodic = (px, py, pz)
        self.pairing = _pairing([concrete(width) for width in widths], self.shape)

    @classmethod
    def uniform(
        cls,
        shape: Sequence[int],
        spacing: Any,
        periodic: Sequence[bool] = (False, False, False),
    ) -> "Grid":
        """Equal cells: `spacing` [m] is one number or one per axis."""
        shape = check_shape("shape", shape)
        check_plausible("spacing", spacing, 1e-12, 1.0, "m", "2 * um")
        spacings = spacing if np.ndim(spacing) == 1 else (spacing, spacing, spacing)
        # numpy while the number is known, so that the pairing can be found
        full = [
            jnp.full(n, as_float(h)) if concrete(h) is None else np.full(n, float(h))
            for n, h in zip(shape, spacings, strict=True)
        ]
        return cls(full, periodic)

    def subdivided(self, parts: int) -> "Grid":
        """The grid with every cell split into so many equal parts per axis."""
        widths = [jnp.repeat(width / parts, parts) for width in self.widths]
        return Grid(widths, self.periodic)

    @property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = (width.shape[0] for width in self.widths)
        return x, y, z

    @property
    def dtype(self):
        return self.widths[0].dtype

    @property
    def lengths(self) -> tuple[Scalar, Scalar, Scalar]:
        """Side lengths of the whole grid [m]."""
        x, y, z = (jnp.sum(width) for width in self.widths)
        return x, y, z

    @property
    def volume(self) -> Scalar:
        """Volume of the whole grid [m³]."""
        x, y, z = self.lengths
        return x * y * z

    @property
    def footprint(self) -> Scalar:
        """Projected area seen along z [m²]."""
        x, y, _ = self.lengths
        return x * y

    @property
    def nodes(self) -> tuple[Array, Array, Array]:
        """Coordinates of the nodes along each axis [m], from 0."""
        x, y, z = (
            jnp.concatenate([jnp.zeros(1, w.dtype), jnp.cumsum(w)]) for w in self.widths
        )
        return x, y, z

    @property
    def centers(self) -> tuple[Array, Array, Array]:
        """Coordinates of the cell centres along each axis [m]."""
        x, y, z = ((n[1:] + n[:-1]) / 2 for n in self.nodes)
        return x, y, z

    @property
    def volumes(self) -> Cells:
        """Cell volumes [m³]."""
        x, y, z = self.widths
        return x[:, None, None] * y[:, None] * z

    def node_mesh(self) -> tuple[Array, Array, Array]:
        """Node coordinates (x, y, z) as arrays that broadcast to all nodes [m]."""
        x, y, z = self.nodes
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def center_mesh(self) -> tuple[Array, Array, Array]:
        """Cell-centre coordinates as three arrays that broadcast to all cells [m]."""
        x, y, z = self.centers
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def face_areas(self, axis: int) -> Float[Array, "..."]:
        """Areas of the faces normal to `axis`, broadcastable to them [m²]."""
        width = [
            w.reshape([-1 if a == b else 1 for b in range(3)])
            for a, w in enumerate(self.widths)
        ]
        first, second = (width[a] for a in range(3) if a != axis)
        return first * second

    def center_distances(self, axis: int) -> Float[Array, "faces"]:
        """Distance between the cell centres on both sides of each face [m].

        At the two ends: to the boundary, or around the corner where the axis is
        periodic.
        """
        half = self.widths[axis] / 2
        inner = half[1:] + half[:-1]
        if self.periodic[axis]:
            around = half[-1:] + half[:1]
            return jnp.concatenate([around, inner, around])
        return jnp.concatenate([half[:1], inner, half[-1:]])


def along(values: Array, axis: int) -> Array:
    """A 1D array laid along `axis`, to broadcast against cells or faces."""
    return values.reshape([-1 if a == axis else 1 for a in range(3)])


def stretched_widths(first: float, length: float, growth: float = 1.1) -> np.ndarray:
    """Cell widths [m] that grow by `growth` from about `first` and add up to `length`.

    The second-order flux keeps its order while neighbours differ little: 1.05 to 1.2.
    """
    check_plausible("first", first, 1e-12, 1.0, "m", "2 * um")
    check_plausible("length", length, 1e-12, 10.0, "m", "1 * mm")
    check_range("growth", growth, 1.0, 2.0, open_low=True)
    if length <= first:
        return np.array([float(length)])
    n = math.ceil(math.log1p((growth - 1) * length / first) / math.log(growth))
    widths = growth ** np.arange(n)
    return widths * (length / widths.sum())


def _pairing(widths, shape) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """Per level and axis: the index of the first fine cell in each coarse cell."""
    known = all(width is not None for width in widths)
    sizes = [
        np.asarray(w, float) if known else np.ones(n)
        for w, n in zip(widths, shape, strict=True)
    ]
    target = (
        min(float(size.min()) for size in sizes if size.size > 1)
        if max(shape) > 1
        else 1.0
    )
    levels = []
    while (
        max(size.size for size in sizes) > 2 and np.prod([s.size for s in sizes]) > 64
    ):
        target *= 2
        starts = [_join(size, target * 1.3) for size in sizes]
        if all(
            len(start) == size.size for start, size in zip(starts, sizes, strict=True)
        ):
            continue  # every cell is larger than the target: try the next size
        sizes = [
            np.add.reduceat(size, start)
            for size, start in zip(sizes, starts, strict=True)
        ]
        levels.append(tuple(tuple(int(i) for i in start) for start in starts))
    return tuple(levels)


def _join(size: np.ndarray, target: float) -> np.ndarray:
    """Starts of runs of one or two neighbours, jointly no wider than `target`."""
    if size.size > 1 and np.ptp(size) < 1e-6 * size.max():
        return (
            np.arange(0, size.size, 2)
            if 2 * size[0] <= target
            else np.arange(size.size)
        )
    starts, i = [], 0
    while i < size.size:
        starts.append(i)
        i += 2 if i + 1 < size.size and size[i] + size[i + 1] <= target else 1
    return np.asarray(starts)
