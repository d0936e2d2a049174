"""Nuclei one by one, drawn on the true surface of a scaffold.

    births in a cell and a step ~ Poisson(b S),    places even over the wall in the cell

b is the number of births per bare area in the step (J Δt), S the true area. Nuclei
that would be born under metal are left out, so that their mean is that of
`depojax.physics.nucleation`: coverage = 1 − exp(−X). In a cell the wall is the plane
that leaves its pore fraction open, with the normal of its open faces.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.spatial import KDTree

from depojax._checks import check_array_shape, check_range, refuse
from depojax._types import Nodes, Triple, as_float, is_traced, static
from depojax.fv.grid import Grid
from depojax.scaffold.features import generator_of
from depojax.scaffold.scaffold import Scaffold

_HALVINGS = 60
_ROUNDS = 400
_THIN = 1e-4  # least share of a normal: what is thinner loses digits


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
    rng = generator_of(key)
    walls = _walls(scaffold)
    area = np.asarray(scaffold.surface_area, float).ravel()
    floor = _floor_area(scaffold).ravel() if collector else 0 * area
    reach = np.concatenate([np.zeros_like(grown[:1]), np.cumsum(grown, 0)])
    reach = np.broadcast_to(reach, (steps + 1, area.size))
    starts = np.concatenate([[0.0], np.cumsum(spans)])
    cells, points, times, shares, during = [], [], [], [], []
    for step in range(steps):
        for surface, on in ((area, walls.points), (floor, walls.floor_points)):
            counts = rng.poisson(np.broadcast_to(expected[step], area.shape) * surface)
            which = np.repeat(np.arange(area.size), counts)
            share = rng.random(which.size)
            cells.append(which)
            points.append(on(rng, which))
            shares.append(share)
            during.append(np.full(which.size, step))
            times.append(starts[step] + share * spans[step])
    cell, point, share, step, time = map(
        np.concatenate, (cells, points, shares, during, times)
    )
    order = np.argsort(step + share, kind="stable")
    cell, point, share, step, time = (
        a[order] for a in (cell, point, share, step, time)
    )

    def size(nucleus, at_step, at_share):
        """Radius of some nuclei when another is born."""
        here = cell[nucleus]

        def length(k, u):
            return (1 - u) * reach[k, here] + u * reach[k + 1, here]

        return (
            birth_radius
            + length(at_step, at_share)
            - length(step[nucleus], share[nucleus])
        )

    all_of = np.arange(cell.size)
    radii = size(all_of, np.full(cell.size, steps - 1), np.ones(cell.size))
    x, y, z = (float(length) for length in scaffold.grid.lengths)
    drawn = Nuclei(
        jnp.asarray(point.reshape(-1, 3)),
        jnp.asarray(radii),
        jnp.asarray(time),
        (x, y, z),
        scaffold.grid.periodic,
    )
    keep = _born_bare(drawn, size, step, share)
    return eqx.tree_at(
        lambda n: (n.centers, n.radii, n.birth_times),
        drawn,
        (drawn.centers[keep], drawn.radii[keep], drawn.birth_times[keep]),
    )


def _born_bare(nuclei: Nuclei, size, step, share) -> np.ndarray:
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
    keep[younger[apart < size(older, step[younger], share[younger])]] = False
    return keep


class _Walls:
    """Planes in the cut cells, and points on them."""

    def __init__(self, centers, widths, normal, offset):
        self.centers, self.widths = centers, widths
        self.normal, self.offset = normal, offset

    def points(self, rng, cell: np.ndarray) -> np.ndarray:
        """Points even over the walls in some cells."""
        normal, half = self.normal[cell], self.widths[cell] / 2
        middle = normal * self.offset[cell][:, None]
        first, second = _tangents(normal)
        reach = np.linalg.norm(half, axis=1)

        def propose(some):
            u, v = rng.uniform(-1, 1, (2, some.size)) * reach[some]
            return middle[some] + first[some] * u[:, None] + second[some] * v[:, None]

        def inside(some, point):
            return np.all(np.abs(point) <= half[some], axis=1)

        found = _accepted(cell.size, propose, inside)
        return self.centers[cell] + np.clip(found, -half, half)

    def floor_points(self, rng, cell: np.ndarray) -> np.ndarray:
        """Points even over what is open of the floors of some cells."""
        half = self.widths[cell] / 2

        def propose(some):
            point = rng.uniform(-1, 1, (some.size, 3)) * half[some]
            point[:, 2] = -half[some][:, 2]
            return point

        def inside(some, point):
            ahead = np.sum(point * self.normal[cell[some]], axis=1)
            uncut = ~np.any(self.normal[cell[some]], axis=1)
            return uncut | (ahead > self.offset[cell[some]])

        return self.centers[cell] + _accepted(cell.size, propose, inside)


def _accepted(count: int, propose, inside) -> np.ndarray:
    """Proposals until each is inside; what never is stays as it came last."""
    found = np.zeros((count, 3))
    missing = np.arange(count)
    for _ in range(_ROUNDS):
        if not missing.size:
            break
        found[missing] = propose(missing)
        missing = missing[~inside(missing, found[missing])]
    return found


def _walls(scaffold: Scaffold) -> _Walls:
    grid = scaffold.grid
    shape = grid.shape
    widths = np.stack(np.meshgrid(*map(np.asarray, grid.widths), indexing="ij"), -1)
    centers = np.stack(np.meshgrid(*map(np.asarray, grid.centers), indexing="ij"), -1)
    areas = []
    for axis, faces in enumerate(scaffold.face_transmission):
        jump = np.diff(np.asarray(faces, float), axis=axis)
        areas.append(jump * np.broadcast_to(np.asarray(grid.face_areas(axis)), shape))
    vector = np.stack(areas, -1).reshape(-1, 3)  # into the pore
    length = np.linalg.norm(vector, axis=1)
    cut = np.asarray(scaffold.surface_area).ravel() > 0
    normal = np.where(
        cut[:, None], vector / np.where(length > 0, length, 1.0)[:, None], 0.0
    )
    widths, centers = widths.reshape(-1, 3), centers.reshape(-1, 3)
    open_share = np.asarray(scaffold.pore_fraction, float).ravel()
    offset = np.zeros(len(normal))
    offset[cut] = _plane_offsets(normal[cut], widths[cut], open_share[cut])
    return _Walls(centers, widths, normal, offset)


def _plane_offsets(normal, widths, open_share) -> np.ndarray:
    """s of the planes n·x = s about the centres that leave a share open, n·x > s."""
    m = np.abs(normal) * widths
    m = np.maximum(m, _THIN * m.max(axis=1, keepdims=True))
    whole = m.sum(axis=1)
    low, high = np.zeros_like(whole), whole.copy()

    def below(alpha):
        """Volume of the unit cube where m·ξ < α, by inclusion and exclusion."""
        total = np.zeros_like(alpha)
        for corner in np.ndindex(2, 2, 2):
            rest = np.maximum(alpha - m @ np.asarray(corner, float), 0)
            total += (-1) ** sum(corner) * rest**3
        return total / (6 * m.prod(axis=1))

    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        less = below(middle) < 1 - open_share
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return (low + high) / 2 - whole / 2


def _tangents(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two directions at right angles to each normal and each other."""
    aside = np.eye(3)[np.argmin(np.abs(normal), axis=1)] if len(normal) else normal
    first = np.cross(normal, aside)
    length = np.linalg.norm(first, axis=1, keepdims=True)
    first = first / np.where(length > 0, length, 1.0)
    return first, np.cross(normal, first)


def _floor_area(scaffold: Scaffold) -> np.ndarray:
    """Open area of the plane z = 0 in each cell [m²]."""
    area = np.zeros(scaffold.shape)
    faces = np.broadcast_to(
        np.asarray(scaffold.grid.face_areas(2)), (*scaffold.shape[:2], 1)
    )
    area[..., 0] = np.asarray(scaffold.face_transmission[2])[..., 0] * faces[..., 0]
    return area


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
