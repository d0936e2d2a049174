"""Nuclei one by one, drawn on the true surface of a scaffold.

    births in a cell and a step ~ Poisson(b S),    places even over the wall in the cell

b is the number of births per bare area in the step (J Δt), S the true area. Nuclei
that would be born under metal are left out, so that their mean is that of
`depojax.physics.nucleation`: coverage = 1 − exp(−X). Where a cell
has its wall is told by `cut_walls`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.spatial import KDTree

from depojax._checks import check_array_shape, check_range, refuse
from depojax._types import Nodes, Triple, as_float, is_traced, static
from depojax.fv.grid import Grid
from depojax.physics.cut_walls import cut_walls, floor_area
from depojax.scaffold.features import generator_of
from depojax.scaffold.scaffold import Scaffold


class Nuclei(eqx.Module):
    """Hemispheres on a surface: spheres about a place on it."""

    centers: Float[Array, "n 3"]  # [m]
    radii: Float[Array, " n"]  # at the end [m]
    birth_times: Float[Array, " n"]  # [s]
    lengths: Triple = static()  # of the box [m]
    periodic: tuple[bool, bool, bool] = static()

    @property
    def count(self) -> int:
        """How many there are."""
        return self.radii.shape[0]

    def to_xarray(self):
        """The nuclei as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)

    def levelset(self, grid: Grid, host: Any = None) -> Nodes:
        """Values on the nodes of `grid`, positive outside of all nuclei (and of host).

            φ = min_k (|x − x_k| − r_k),    with the host's values: the least of both

        Differentiable in centres, radii and the host's values. The cost is nodes ×
        nuclei: 2 s for 64³ and 2000 on two cores.
        """
        nodes = tuple(n + 1 for n in grid.shape)
        mesh = [jnp.broadcast_to(x, nodes) for x in grid.node_mesh()]
        dtype = mesh[0].dtype
        far = jnp.full(nodes, math.hypot(*self.lengths), dtype)
        if host is not None:
            check_array_shape("host", host, nodes)
            far = as_float(host).astype(dtype)

        @jax.checkpoint
        def add(values, nucleus):
            center, radius = nucleus
            squares = jnp.zeros(nodes, dtype)
            for axis, x in enumerate(mesh):
                apart = x - center[axis]
                if self.periodic[axis]:
                    length = self.lengths[axis]
                    apart = apart - length * jnp.round(apart / length)
                squares = squares + apart * apart
            # The root of zero has no slope.
            some = squares > 0
            root = jnp.sqrt(jnp.where(some, squares, jnp.ones_like(squares)))
            distance = jnp.where(some, root, jnp.zeros_like(root))
            return jnp.minimum(values, distance - radius), None

        spheres = (self.centers.astype(dtype), self.radii.astype(dtype))
        return jax.lax.scan(add, far, spheres)[0]

    def covers(self, points: Any) -> Bool[Array, " points"]:
        """Which of some points (x, y, z) [m] lie within a nucleus."""
        points = np.asarray(points, float)
        if points.ndim != 2 or points.shape[1] != 3:
            raise refuse("points", "rows of x, y, z", f"shape {points.shape}")
        inside = np.zeros(len(points), bool)
        if not self.count:
            return jnp.asarray(inside)
        tree, radii = self._tree(), np.asarray(self.radii)
        near = tree.query_ball_point(self._wrapped(points), float(radii.max()))
        for k, found in enumerate(near):
            apart = self._apart(points[k] - np.asarray(self.centers)[found])
            inside[k] = np.any(apart < radii[found])
        return jnp.asarray(inside)

    def _tree(self) -> KDTree:
        box = [length if p else 0.0 for length, p in self._axes()]
        return KDTree(self._wrapped(np.asarray(self.centers)), boxsize=box)

    def _axes(self):
        return zip(self.lengths, self.periodic, strict=True)

    def _wrapped(self, points: np.ndarray) -> np.ndarray:
        columns = [
            np.mod(points[:, axis], length) % length if p else points[:, axis]
            for axis, (length, p) in enumerate(self._axes())
        ]
        return np.stack(columns, axis=1)

    def _apart(self, difference: np.ndarray) -> np.ndarray:
        """Distances, through periodic sides too."""
        for axis, (length, p) in enumerate(self._axes()):
            if p:
                d = difference[..., axis]
                difference[..., axis] = d - length * np.round(d / length)
        return np.linalg.norm(difference, axis=-1)


def draw_nuclei(
    scaffold: Scaffold,
    births: Any,
    growth: Any,
    *,
    time_step: Any = 1.0,
    key: Any,
    birth_radius: Any = 0.0,
    collector: bool = False,
) -> Nuclei:
    """Draw nuclei on a scaffold, from what is expected in each of some steps.

    Args:
        scaffold: a resolved host.
        births: b of each step, expected per bare area [m⁻²], such as
            `nucleation.rate(eta, T) * time_step`: one number per step, or an array
            (steps, x, y, z) over the cells.
        growth: of every radius in each step [m], the same shapes; the nuclei of a step
            are born evenly over it. Instantaneous nucleation is a first step without
            growth.
        time_step: of each step [s], one number or one per step.
        key: whole number or `jax.random.key`; the same key gives the same nuclei.
        birth_radius: of each [m].
        collector: whether the open floor z = 0 is drawn on too.

    The draw is not differentiable; its `levelset` is. Raises `ValueError` for a host
    that is not resolved, and for negative numbers.
    """
    if not scaffold.resolved:
        raise refuse(
            "scaffold", "a resolved host", "a homogenised one",
            "Its nuclei are known in the mean: Nucleation.plate.",
        )  # fmt: skip
    if any(is_traced(a) for a in (births, growth, scaffold.pore_fraction)):
        raise refuse("births", "known numbers", "traced ones", "Draw outside of jit.")
    shape = scaffold.shape
    check_range("births", births, 0.0, 1e25, "m⁻²")
    check_range("growth", growth, 0.0, 1.0, "m", "Nuclei that shrink are not drawn.")
    check_range("birth_radius", birth_radius, 0.0, 1e-3, "m")
    expected = _per_step("births", births, shape)
    steps = expected.shape[0]
    grown = _per_step("growth", growth, shape)
    if grown.shape[0] != steps:
        raise refuse("growth", f"as many steps as births, {steps}", grown.shape[0])
    spans = np.broadcast_to(np.asarray(time_step, float), (steps,))
    walls = cut_walls(scaffold)
    area = np.asarray(scaffold.surface_area, float).ravel()
    floor = floor_area(scaffold).ravel() if collector else 0 * area
    surfaces = ((area, walls.points), (floor, walls.floor_points))
    born = _drawn_births(generator_of(key), expected, spans, surfaces)
    reach = np.concatenate([np.zeros_like(grown[:1]), np.cumsum(grown, 0)])
    reach = np.broadcast_to(reach, (steps + 1, area.size))

    def size(nucleus, at_step, at_share):
        """Radius of some nuclei when another is born."""
        here = born.cell[nucleus]

        def length(k, u):
            return (1 - u) * reach[k, here] + u * reach[k + 1, here]

        at_birth = length(born.step[nucleus], born.share[nucleus])
        return birth_radius + length(at_step, at_share) - at_birth

    count = born.cell.size
    radii = size(np.arange(count), np.full(count, steps - 1), np.ones(count))
    x, y, z = (float(length) for length in scaffold.grid.lengths)
    drawn = Nuclei(
        jnp.asarray(born.point.reshape(-1, 3)),
        jnp.asarray(radii),
        jnp.asarray(born.time),
        (x, y, z),
        scaffold.grid.periodic,
    )
    keep = _born_bare(drawn, size, born)
    return eqx.tree_at(
        lambda n: (n.centers, n.radii, n.birth_times),
        drawn,
        (drawn.centers[keep], drawn.radii[keep], drawn.birth_times[keep]),
    )


class _Births(NamedTuple):
    """Where and when nuclei are born, the oldest first."""

    cell: np.ndarray  # flat index
    point: np.ndarray  # [m]
    step: np.ndarray  # in which
    share: np.ndarray  # of that step, passed by then [-]
    time: np.ndarray  # [s]


def _drawn_births(
    rng: np.random.Generator,
    expected: np.ndarray,
    spans: np.ndarray,
    surfaces: tuple[tuple[np.ndarray, Callable[..., np.ndarray]], ...],
) -> _Births:
    """Births on surfaces, each an area per cell [m²] and what draws points on it.

    `expected` per area [m⁻²] in each step, `spans` of the steps [s].
    """
    starts = np.concatenate([[0.0], np.cumsum(spans)])
    drawn = []
    for step in range(len(spans)):
        for area, points_in in surfaces:
            counts = rng.poisson(np.broadcast_to(expected[step], area.shape) * area)
            cell = np.repeat(np.arange(area.size), counts)
            share = rng.random(cell.size)
            during = np.full(cell.size, step)
            time = starts[step] + share * spans[step]
            drawn.append(_Births(cell, points_in(rng, cell), during, share, time))
    births = _Births(*map(np.concatenate, zip(*drawn, strict=True)))
    order = np.argsort(births.step + births.share, kind="stable")
    return _Births(*(values[order] for values in births))


def _born_bare(nuclei: Nuclei, size, born: _Births) -> np.ndarray:
    """Which nuclei were not born within an older one."""
    keep = np.ones(nuclei.count, bool)
    if not nuclei.count:
        return keep
    points = np.asarray(nuclei.centers)
    largest = float(np.max(nuclei.radii))
    pairs = nuclei._tree().query_pairs(largest, output_type="ndarray")
    # Sorted by birth: the first of each pair is the older one.
    older, younger = np.sort(pairs, axis=1).T
    apart = nuclei._apart(points[older] - points[younger])
    keep[younger[apart < size(older, born.step[younger], born.share[younger])]] = False
    return keep


def _per_step(argument: str, value: Any, shape: tuple[int, int, int]) -> np.ndarray:
    """One row per step, of one number or of one per cell."""
    array = np.asarray(value, float)
    if array.ndim == 1:
        return array[:, None]
    if array.ndim == 4 and array.shape[1:] == shape:
        return array.reshape(array.shape[0], -1)
    raise refuse(
        argument,
        f"one number per step, or an array (steps, {', '.join(map(str, shape))})",
        f"shape {array.shape}",
    )
