"""Spheres: ordered arrays and random packings, and their inverse opals.

For n spheres of radius r per cubic period a, each cut by its neighbours at the half
distances h_j (c_j of them), the solid fraction is

    φ = n [4/3 π r³ − Σ_j c_j π/3 (r − h_j)₊² (2 r + h_j)] / a³,

exact up to the radius at which three spheres meet.
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from depojax._checks import (
    check_choice,
    check_fraction,
    check_integer,
    check_range,
    refuse,
)
from depojax._types import Nodes, as_float, concrete, is_traced
from depojax.fv.grid import Grid
from depojax.scaffold.features import (
    check_resolved,
    from_nearest_multiple,
    generator_of,
    nearest,
    norm,
    off_nodes,
    uniform_grid,
)
from depojax.scaffold.gradients import Field, extremes, on_nodes
from depojax.scaffold.implicit import at_porosity, join_solids
from depojax.scaffold.scaffold import Scaffold

DENSEST = 0.60  # solid fraction of the random packing whose spheres just touch


class Lattice(eqx.Module):
    """A cubic arrangement of spheres; lengths in periods."""

    places: tuple[tuple[float, float, float], ...] = eqx.field(static=True)
    # half distances to the neighbours, and how many there are
    neighbours: tuple[tuple[float, int], ...] = eqx.field(static=True)
    largest: float = eqx.field(static=True)  # radius at which three spheres meet

    def solid_fraction(self, radius: Array) -> Array:
        """φ of spheres of `radius` (in periods)."""
        volume = 4 / 3 * math.pi * radius**3
        for half, count in self.neighbours:
            over = jnp.maximum(radius - half, 0.0)
            volume = volume - count * math.pi / 3 * over**2 * (2 * radius + half)
        return len(self.places) * volume

    def radius(self, solid_fraction: Array) -> Array:
        """Radius (in periods) at which the spheres fill this fraction.

        Spheres that do not touch give a closed form; from there Newton's steps rise to
        the root, as φ(r) is concave once they overlap. The derivative is the root's.
        """
        target = jax.lax.stop_gradient(solid_fraction)
        r = jnp.cbrt(target * 3 / (4 * math.pi * len(self.places)))
        for _ in range(30):
            r = r + (target - self.solid_fraction(r)) / self._growth(r)
        return r + (solid_fraction - target) / self._growth(r)

    def _growth(self, radius: Array) -> Array:
        """dφ/dr: the area of the spheres left open."""
        area = 4 * math.pi * radius**2
        for half, count in self.neighbours:
            over = jnp.maximum(radius - half, 0.0)
            area = area - count * 2 * math.pi * radius * over
        return len(self.places) * area


LATTICES = {
    "sc": Lattice(((0.5, 0.5, 0.5),), ((0.5, 6),), math.sqrt(0.5)),
    "bcc": Lattice(
        ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
        ((math.sqrt(3.0) / 4, 8), (0.5, 6)),
        0.75 / math.sqrt(2.0),
    ),
    "fcc": Lattice(
        ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)),
        ((math.sqrt(0.125), 12),),
        1 / math.sqrt(6.0),
    ),
}


def sphere_array(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    lattice: str = "sc",
    period: Any,
    radius: Field | None = None,
    solid_fraction: Field | None = None,
    invert: bool = False,
    subdivision: int = 2,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Spheres on a cubic lattice, solid or (`invert`) hollow: the inverse opal.

    Spheres may overlap, up to where three of them meet:

        lattice   touch at r/a, φ        three meet at r/a, φ
        sc        0.5      0.5236        0.7071   0.9651
        bcc       0.4330   0.6802        0.5303   0.9943
        fcc       0.3536   0.7405        0.4082   0.9640

    Args:
        shape: cells (x, y, z); voxel_size: [m]. A whole number of half periods per side
            makes the sides mirror planes.
        lattice: "sc" (spheres in the middle of each period), "bcc" (at its corners and
            middle) or "fcc" (at its corners and the middles of its faces).
        period: edge a of the cubic cell [m].
        radius: [m]; may be graded. Give this or `solid_fraction`.
        solid_fraction: φ of the solid spheres [-], by the closed form (the grid's is
            right to second order in the voxel); with `invert` the fraction that the
            hollow spheres leave solid.
        invert: hollow spheres in a solid. They connect only when they overlap.
        periodic: axes whose two ends are one.

    Raises `ValueError` when three spheres meet, spheres are below two voxels, percent.
    Good values: 8 voxels per radius give area and volume within 1 %.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_choice("lattice", lattice, LATTICES)
    check_resolved("period", period, grid)
    if (radius is None) == (solid_fraction is None):
        raise refuse(
            "radius, solid_fraction",
            "one of the two",
            "none" if radius is None else "both",
        )
    check_integer("subdivision", subdivision, 1)
    # A field that was given on the nodes is known there only.
    given = solid_fraction if radius is None else radius
    on_grid = isinstance(given, (np.ndarray, jax.Array)) and given.ndim > 0
    fine = grid if on_grid or subdivision == 1 else grid.subdivided(subdivision)
    kind, length = LATTICES[lattice], as_float(period)
    if radius is None:
        phi = on_nodes(solid_fraction, fine)
        check_fraction("solid_fraction", phi)
        spheres = 1 - phi if invert else phi
        most = float(kind.solid_fraction(jnp.asarray(kind.largest)))
        check_range(
            "solid_fraction of the spheres",
            spheres,
            0.0,
            most,
            cure="Three spheres would meet: the closed form ends there; give radius=.",
        )
        size = length * kind.radius(spheres)
    else:
        size = on_nodes(radius, fine)
        sizes, whole = extremes(size, fine), concrete(length)
        if sizes is not None and whole is not None:
            check_range(
                "radius",
                np.asarray(sizes),
                0.0,
                kind.largest * float(whole),
                "m",
                f"Beyond, three spheres of the {lattice} lattice meet.",
            )
    check_resolved("sphere diameter", 2 * jnp.min(size), grid)
    levelset = _distance_to_lattice(fine, kind, length) - size
    levelset = -levelset if invert else levelset
    return Scaffold.from_levelset(off_nodes(levelset, fine), grid)


def _distance_to_lattice(grid: Grid, lattice: Lattice, period: Array) -> Nodes:
    least = jnp.asarray(jnp.inf, grid.dtype)
    for place in lattice.places:
        offset = [
            from_nearest_multiple(x - shift * period, period)
            for x, shift in zip(grid.node_mesh(), place, strict=True)
        ]
        least = join_solids(least, norm(*offset))
    return least


def sphere_pack(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    diameter: Field | None = None,
    porosity: Field | None = None,
    key: Any = None,
    centers: Any = None,
    invert: bool = False,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """A random packing of equal spheres, solid or (`invert`) hollow.

    With a `key`: as many spheres as the porosity and the diameter ask for are placed by
    `sphere_centers`; then the diameter is trimmed so that the porosity is exact. The
    packing repeats across all sides of the box.

    With `centers` (from `sphere_centers`, or your own): give the diameter or the
    porosity; differentiable in these and in the centres, and works under jit.

    Args:
        shape: cells (x, y, z); voxel_size: [m].
        diameter: [m]; may be graded.
        porosity: ε [-]; may be graded, the spheres then swell where it is low.
        key: whole number or `jax.random.key`.
        centers: [m], one row (x, y, z) per sphere.
        invert: hollow spheres in a solid: a disordered inverse opal.
        periodic: axes whose two ends are one.

    Raises `ValueError` for missing or contradicting arguments, percent, spheres below
    two voxels, and as `sphere_centers`.
    Good values: solid ε = 0.4–0.7; inverted ε = 0.7–0.85 (below 0.65 the hollow spheres
    do not connect). 8 voxels per radius, 5 diameters or more per side.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    if diameter is not None:
        check_resolved("diameter", diameter, grid)
    if porosity is not None:
        check_fraction("porosity", on_nodes(porosity, grid, "porosity"))
    if (key is None) == (centers is None):
        raise refuse(
            "key, centers", "one of the two", "none" if key is None else "both"
        )
    if centers is None:
        if diameter is None or porosity is None:
            raise refuse("diameter, porosity", "both, with a key", "one or none")
        middles = sphere_centers(
            shape,
            voxel_size,
            diameter=diameter,
            porosity=porosity,
            key=key,
            invert=invert,
        )
    else:
        if (diameter is None) == (porosity is None):
            raise refuse(
                "diameter, porosity", "one of the two, with centers", "not one"
            )
        middles = as_float(centers)
        if middles.ndim != 2 or middles.shape[1] != 3 or middles.shape[0] < 1:
            raise refuse("centers", "rows of x, y, z [m]", f"shape {middles.shape}")
    distance = _distance_to_centers(grid, middles)
    if porosity is None:
        levelset = off_nodes(distance - on_nodes(diameter, grid, "diameter") / 2, grid)
        return Scaffold.from_levelset(-levelset if invert else levelset, grid)
    unit = (
        grid.widths[0][0]
        if diameter is None
        else on_nodes(diameter, grid, "diameter") / 2
    )
    return at_porosity((-distance if invert else distance) / unit, grid, porosity)


def sphere_centers(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    diameter: Any,
    porosity: Any,
    key: Any,
    invert: bool = False,
) -> Float[Array, "spheres 3"]:
    """Middles of randomly packed equal spheres [m], found on the host with numpy.

    Random points are pushed apart pair by pair until no two are closer than a diameter
    (a soft-sphere relaxation; it jams near a solid fraction of 0.62). Where the spheres
    fill more than 0.60 of the box, they overlap: points are then held apart by the
    distance at which they would fill 0.60, and their number is such that spheres of
    the diameter asked for reach the porosity.

    Args: as of `sphere_pack`; graded ones count with their mean.

    Raises `ValueError` for traced numbers, a box below two diameters per side, or more
    than a million spheres.
    """
    grid = uniform_grid(shape, voxel_size)
    check_resolved("diameter", diameter, grid)
    eps, width = (
        on_nodes(porosity, grid, "porosity"),
        on_nodes(diameter, grid, "diameter"),
    )
    check_fraction("porosity", eps)
    voxel = grid.widths[0]
    if is_traced(eps) or is_traced(width) or is_traced(voxel):
        raise refuse(
            "centers",
            "positions, as porosity, diameter or voxel_size is traced (jit, grad)",
            "None",
            "Call depojax.sphere_centers(...) outside and hand them on as centers=.",
        )
    rng = generator_of(key)
    box = np.asarray(grid.shape, float)
    across = float(jnp.mean(width)) / float(voxel[0])
    if box.min() < 2 * across:
        raise refuse(
            "diameter",
            "at most half of the shortest side of the box",
            f"{across / box.min():.3g} of it",
            "Take a larger box or smaller spheres.",
        )
    filled = float(jnp.mean(eps)) if invert else 1 - float(jnp.mean(eps))
    count = _spheres_filling(min(filled, DENSEST), across, box)
    places = _pushed_apart(rng, count, min(filled, DENSEST), box)
    if filled > DENSEST:
        # overlapping spheres: the number that this packing needs at this diameter
        needed = 2 * _radius_filling(filled, places, box)
        count = check_integer("spheres", round(count * (needed / across) ** 3), 1)
        places = _pushed_apart(rng, count, DENSEST, box)
    return jnp.asarray(places * float(voxel[0]), grid.dtype)


def _spheres_filling(solid_fraction: float, diameter: float, box: np.ndarray) -> int:
    number = solid_fraction * box.prod() / (math.pi / 6 * diameter**3)
    if number > 1e6:
        raise refuse("diameter", "at most a million spheres", f"{number:.3g}")
    return max(1, round(number))


def _pushed_apart(
    rng: np.random.Generator, count: int, solid_fraction: float, box: np.ndarray
) -> Float[np.ndarray, "spheres 3"]:
    """Random points of a periodic box, no two nearer than spheres of this fraction."""
    contact = (solid_fraction * box.prod() / (math.pi / 6 * count)) ** (1 / 3)
    places = rng.random((count, 3)) * box
    for _ in range(1000):
        pairs = KDTree(places % box, boxsize=box).query_pairs(
            contact, output_type="ndarray"
        )
        first, second = pairs.T
        apart = places[first] - places[second]
        apart -= box * np.round(apart / box)
        length = np.maximum(np.linalg.norm(apart, axis=1), 1e-9 * contact)
        overlap = contact - length
        if overlap.size == 0 or overlap.max() < 1e-3 * contact:
            break
        push = apart * (0.55 * overlap / length)[:, None]
        np.add.at(places, first, push)
        np.add.at(places, second, -push)
    return places % box


def _radius_filling(fraction: float, places: np.ndarray, box: np.ndarray) -> float:
    """Radius at which spheres about `places` fill a fraction of the box: a quantile."""
    skip = tuple(slice(0, n, max(n / 32, 1.0)) for n in box)
    points = np.stack(np.meshgrid(*(np.arange(s.start, s.stop, s.step) for s in skip)))
    away, _ = KDTree(places, boxsize=box).query(points.reshape(3, -1).T % box)
    return float(np.quantile(away, fraction))


def _distance_to_centers(grid: Grid, centers: Array) -> Nodes:
    """From every node to the nearest centre, around the sides of the box [m]."""
    mesh, lengths = grid.node_mesh(), grid.lengths

    def distance(index, parameters):
        mesh, lengths, centers = parameters
        place = centers[index]
        return norm(
            *(
                from_nearest_multiple(mesh[axis] - place[..., axis], lengths[axis])
                for axis in range(3)
            )
        )

    parameters = (mesh, lengths, centers)
    return distance(nearest(distance, centers.shape[0], parameters), parameters)
