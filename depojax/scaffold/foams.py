"""Open-cell foams: round struts on the edges of a Voronoi or a Kelvin tessellation.

Seeds sit on a body-centred cubic lattice of cube edge A, two per cube, each displaced
at random. Space divides into the cells nearest to each seed; three cells meet in an
edge, and the solid is all that lies within the strut radius of an edge:

    π d³/6 = A³/2            pore diameter d ↔ lattice: a mean cell has the volume of
                             a sphere of diameter d, whatever the disorder
    v·B = (|b|² − |a|²)/2,   v·C = (|c|² − |a|²)/2,   v in the plane of B and C

v leads from a node to the line that is equally far from the seeds a, b, c (seen from
the node; B = b − a, C = c − a). Its foot is on an edge if no other seed is nearer to it
than these three. Seen from inside a convex cell the nearest point of the cell's edges
is never a vertex only, so the smallest |v| with such a foot is the distance to the
edges, exactly.

No tessellation is built: which three seeds matter to a node is found without
derivative, in one sweep over the lattice sites around it. The distance is then a smooth
function of where they sit: it has exact derivatives, and one program serves every pore
diameter.
"""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from depojax._checks import check_choice, check_range, refuse
from depojax._types import Nodes, is_traced
from depojax.fv.grid import Grid
from depojax.scaffold.features import uniform_grid
from depojax.scaffold.gradients import on_nodes
from depojax.scaffold.implicit import as_key, in_voxels, level_of, porosity_on_nodes
from depojax.scaffold.scaffold import Scaffold

# Smallest features that cut cells still carry, in voxels.
_THINNEST_STRUT = 2.0
_SMALLEST_PORE = 8.0


def foam(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    pore_diameter: Any,
    key: Any = None,
    skeleton: str = "voronoi",
    disorder: float | None = None,
) -> Scaffold:
    """Open-cell foam of round struts, differentiable in porosity and pore diameter.

    The struts lie on the edges of a Voronoi tessellation of displaced lattice sites
    (`"voronoi"`, as in metal and polymer foams) or of Kelvin's truncated octahedra
    (`"kelvin"`, square faces along x, y, z). All struts have one diameter, in
    proportion to the local pore diameter; it follows from the porosity.

    Args:
        shape: cells (x, y, z).
        voxel_size: edge of the cubic cells [m].
        porosity: pore volume / total volume [-], 0.6 to 0.99; may be graded.
        pore_diameter: diameter of the sphere with the volume of the mean cell, struts
            included [m]; at least 8 voxels. May be graded along z: layers of cells then
            follow the local diameter upwards and sideways, without shear.
        key: whole number or jax key that decides the displacements; the same key gives
            the same foam at any resolution. Not needed for `"kelvin"`.
        skeleton: `"voronoi"` or `"kelvin"`.
        disorder: largest displacement of a seed / distance between neighbouring seeds
            [-], 0 to 0.5; 0.3 when not given. Only for `"voronoi"`.

    Raises `ValueError` for a porosity below 0.6, where struts merge and windows close;
    pores below 8 voxels or wider than the sample; struts thinner than 2 voxels; a
    missing key; a pore diameter that varies along x or y, or at all for `"kelvin"`.
    Traced numbers are not looked at.

    Good values: porosity 0.85–0.97, 15–40 voxels per pore.
    """
    check_choice("skeleton", skeleton, _LATTICES)
    grid = uniform_grid(shape, voxel_size)
    target = porosity_on_nodes(
        porosity, grid, 0.6, 0.99,
        "Below, the struts of a foam merge and its windows close: use gyroid or "
        "gaussian_random_field. Above, no strut is resolved.",
    )  # fmt: skip
    diameter = _diameter_on_heights(pore_diameter, grid, skeleton)
    offsets = _displacements(key, disorder, skeleton).astype(grid.dtype)
    field = _skeleton_distance(grid, diameter, offsets, skeleton)
    level = level_of(field, grid, target)
    _refuse_thin_struts(level, diameter)
    return Scaffold.from_levelset(field - level, grid)


def _diameter_on_heights(pore_diameter: Any, grid: Grid, skeleton: str) -> Array:
    """The pore diameter at each height, in voxels."""
    values = on_nodes(pore_diameter, grid, "pore_diameter")
    if values.shape[:2] != (1, 1):
        raise refuse("pore_diameter", "a field that varies along z only", values.shape)
    if skeleton == "kelvin" and values.shape[2] > 1:
        raise refuse(
            "pore_diameter", 'one number with skeleton="kelvin"', "a profile",
            'Regular cells cannot change size: use skeleton="voronoi".',
        )  # fmt: skip
    diameter = in_voxels(
        "pore_diameter", values[0, 0], grid, _SMALLEST_PORE, max(grid.shape),
        "Use a smaller voxel_size, or a sample that holds some pores.",
    )  # fmt: skip
    return jnp.broadcast_to(diameter, (grid.shape[2] + 1,))


def _refuse_thin_struts(level: Array, diameter: Array) -> None:
    thickness = 2 * jnp.min(level * diameter)
    if not is_traced(thickness) and thickness < _THINNEST_STRUT:
        raise refuse(
            "porosity",
            f"struts at least {_THINNEST_STRUT:g} voxels thick",
            f"{float(thickness):.2g} voxels",
            "Use a smaller voxel_size, a larger pore_diameter or a lower porosity.",
        )


class _Lattice(NamedTuple):
    """A bcc lattice as rows along x, stacked into layers; lengths in cube edges A."""

    layer_height: float
    row_height: float
    row_shift: float  # of every other layer, along y
    rows_alternate: int  # whether also every other row is shifted along x by A/2
    window: tuple[int, int, int]  # layers, rows, sites to look at on each side


# For "voronoi" the densest planes lie across z: those layers make compact cells also
# where a graded pore diameter brings neighbouring layers out of register.
_LATTICES = {
    "voronoi": _Lattice(0.5**0.5, 0.5**0.5, 0.0, 1, (2, 2, 1)),
    "kelvin": _Lattice(0.5, 1.0, 0.5, 0, (2, 1, 1)),
}
_EDGE_PER_DIAMETER = (np.pi / 3) ** (1 / 3)  # A/d
_NEIGHBOUR_DISTANCE = 0.75**0.5  # between nearest seeds / A
_TABLE = 32  # random displacements repeat after so many layers, rows and sites
# Seeds among which the three of a strut are sought: distances are then exact up to
# 0.15 d, which is more than the strut radius at porosity 0.6.
_NEAREST = 6
_TRIPLES = np.asarray(list(itertools.combinations(range(_NEAREST), 3)))


def _candidates(lattice: _Lattice) -> np.ndarray:
    """Steps (layer, row, site) from the nearest site to all that may matter."""
    layers, rows, sites = lattice.window
    steps = np.asarray(
        list(
            itertools.product(
                range(-layers, layers + 1),
                range(-rows, rows + 1),
                range(-sites, sites + 1),
            )
        )
    )
    # Rounding leaves up to half a step to the nearest site.
    gap = np.maximum(np.abs(steps) - 0.5, 0.0)
    reach = np.linalg.norm(
        gap * [lattice.layer_height, lattice.row_height, 1.0], axis=1
    )
    return steps[reach < 1.25].astype(np.int32)


def _displacements(key: Any, disorder: Any, skeleton: str) -> Float[Array, "k j i xyz"]:
    """Table of random displacements, uniform in a ball, in cube edges."""
    if skeleton == "kelvin":
        if disorder:
            raise refuse(
                "disorder", 'none with skeleton="kelvin"', disorder,
                'Use skeleton="voronoi".',
            )  # fmt: skip
        return jnp.zeros((_TABLE, _TABLE, _TABLE, 3), jnp.float32)
    disorder = 0.3 if disorder is None else disorder
    check_range("disorder", disorder, 0.0, 0.5)
    direction_key, radius_key = jax.random.split(as_key(key))
    shape = (_TABLE, _TABLE, _TABLE)
    # float32 in every precision, so that a key means one foam
    direction = jax.random.normal(direction_key, (*shape, 3), jnp.float32)
    length = jnp.linalg.norm(direction, axis=-1, keepdims=True)
    radius = jax.random.uniform(radius_key, (*shape, 1), jnp.float32) ** (1 / 3)
    largest = jnp.asarray(disorder, jnp.float32) * _NEIGHBOUR_DISTANCE
    return largest * radius * direction / length


class _Seeds(eqx.Module):
    """Where the seeds sit, in voxels: a function of their whole-number address."""

    heights: Float[Array, "layers"]
    edges: Float[Array, "layers"]  # cube edge A of each layer
    offsets: Float[Array, "k j i xyz"]
    center: tuple[float, float] = eqx.field(static=True)  # of the footprint
    lattice: _Lattice = eqx.field(static=True)

    below = 4  # layers kept below z = 0

    def layer(self, k: Array) -> tuple[Array, Array]:
        """Height and cube edge of layer k."""
        return self.heights[k + self.below], self.edges[k + self.below]

    def nearest(self, x: Array, y: Array, k: Array, step: Array) -> tuple[Array, Array]:
        """Row and site nearest to (x, y) in layer k, plus `step`."""
        _, edge = self.layer(k)
        row_shift, _ = self._shifts(k, k)
        row = (y - self.center[1]) / (edge * self.lattice.row_height) - row_shift
        j = jnp.round(row).astype(jnp.int32) + step[0]
        _, site_shift = self._shifts(k, j)
        i = (
            jnp.round((x - self.center[0]) / edge - site_shift).astype(jnp.int32)
            + step[1]
        )
        return j, i

    def positions(self, k: Array, j: Array, i: Array) -> tuple[Array, Array, Array]:
        """Coordinates of the seeds at (layer, row, site)."""
        height, edge = self.layer(k)
        row_shift, site_shift = self._shifts(k, j)
        wrap = _TABLE - 1
        dx, dy, dz = jnp.moveaxis(self.offsets[k & wrap, j & wrap, i & wrap], -1, 0)
        dtype = edge.dtype
        x = self.center[0] + (i.astype(dtype) + site_shift + dx) * edge
        rows = (j.astype(dtype) + row_shift) * self.lattice.row_height
        return x, self.center[1] + (rows + dy) * edge, height + dz * edge

    def _shifts(self, k, j):
        dtype = self.edges.dtype
        row_shift = self.lattice.row_shift * (k & 1).astype(dtype)
        odd = (k + self.lattice.rows_alternate * j) & 1
        return row_shift, 0.5 * odd.astype(dtype)


def _layer_of_height(z: Array, edge: Array, lattice: _Lattice) -> Array:
    """Layer coordinate ∫ dz/(layer height) at the nodes."""
    density = 1 / (edge * lattice.layer_height)
    steps = jnp.diff(z) * (density[1:] + density[:-1]) / 2
    return jnp.concatenate([jnp.zeros(1, z.dtype), jnp.cumsum(steps)])


def _seeds(grid: Grid, diameter: Array, offsets: Array, lattice: _Lattice) -> _Seeds:
    z = jnp.arange(grid.shape[2] + 1, dtype=grid.dtype)
    edge = _EDGE_PER_DIAMETER * diameter
    coordinate = _layer_of_height(z, edge, lattice)
    # outside of the sample the layers go on with the spacing of its ends
    margin = 2 * _Seeds.below
    first, last = (
        margin * lattice.layer_height * edge[0],
        margin * lattice.layer_height * edge[-1],
    )
    known = jnp.concatenate(
        [coordinate[:1] - margin, coordinate, coordinate[-1:] + margin]
    )
    at = jnp.concatenate([z[:1] - first, z, z[-1:] + last])
    thinnest = _SMALLEST_PORE * _EDGE_PER_DIAMETER * lattice.layer_height
    count = int(grid.shape[2] / thinnest) + 2 * _Seeds.below
    layers = jnp.arange(-_Seeds.below, count, dtype=grid.dtype)
    heights = jnp.interp(layers, known, at)
    center = (grid.shape[0] / 2, grid.shape[1] / 2)
    return _Seeds(heights, jnp.interp(heights, z, edge), offsets, center, lattice)


@eqx.filter_jit
def _skeleton_distance(
    grid: Grid, diameter: Array, offsets: Array, skeleton: str
) -> Nodes:
    """Distance of every node to the strut edges / local pore diameter [-]."""
    lattice = _LATTICES[skeleton]
    seeds = _seeds(grid, diameter, offsets, lattice)
    x, y, z = (jnp.arange(n + 1, dtype=grid.dtype) for n in grid.shape)
    layer = _layer_of_height(z, _EDGE_PER_DIAMETER * diameter, lattice)
    triples = _three_seeds(*jax.lax.stop_gradient((seeds, x, y, z, layer)))

    @jax.checkpoint
    def plane(seeds, x, triple):
        corners = [
            _relative(seeds, _unpack(triple[n]), x, y[:, None], z) for n in range(3)
        ]
        squared, _, _ = _to_axis(*corners)
        safe = squared > 1e-12
        return jnp.where(safe, jnp.sqrt(jnp.where(safe, squared, 1.0)), 0.0)

    distance = jax.lax.map(lambda args: plane(seeds, *args), (x, triples))
    return distance / diameter


def _three_seeds(
    seeds: _Seeds, x: Array, y: Array, z: Array, layer: Array
) -> Int[Array, "x 3 y z"]:
    """For every node the packed addresses of the three seeds of the nearest strut."""
    steps = _candidates(seeds.lattice)
    nearest_layer = jnp.round(layer).astype(jnp.int32)
    shape = (_NEAREST, y.size, z.size)

    def plane(x):
        def visit(ranking, step):
            k = nearest_layer + step[0]
            j, i = seeds.nearest(x, y[:, None], k, step[1:])
            a = _relative(seeds, (k, j, i), x, y[:, None], z)
            return _insert(ranking, _dot(a, a), _pack(k, j, i)), None

        farthest = jnp.full(shape, jnp.inf, z.dtype), jnp.zeros(shape, jnp.int32)
        (_, addresses), _ = jax.lax.scan(visit, farthest, steps)
        near = _relative(seeds, _unpack(addresses), x, y[:, None], z)

        def compare(best, triple):
            a, b, c = (tuple(axis[n] for axis in near) for n in triple)
            squared, foot, well_posed = _to_axis(a, b, c)
            radius = _squared_distance(foot, a)
            others = jnp.min(_squared_distance(foot, near), axis=0)
            on_edge = well_posed & (others > radius * (1 - 1e-4))
            # far from any edge a line off the edges stands in, behind all that count
            score = jnp.where(on_edge, squared, squared + 1e6)
            found = jnp.stack([addresses[n] for n in triple])
            return _smaller(best, (score, found)), None

        none = jnp.full(shape[1:], jnp.inf, z.dtype), addresses[:3]
        (_, triple), _ = jax.lax.scan(compare, none, _TRIPLES)
        return triple

    return jax.lax.map(plane, x)


def _smaller(first, second):
    closer = second[0] < first[0]
    return jax.tree.map(partial(jnp.where, closer), second, first)


def _insert(ranking, squared, address):
    """Put one more seed into the ranking by distance."""
    distances, addresses = [], []
    for n in range(_NEAREST):
        best, known = ranking[0][n], ranking[1][n]
        closer = squared < best
        distances.append(jnp.where(closer, squared, best))
        addresses.append(jnp.where(closer, address, known))
        squared = jnp.where(closer, best, squared)
        address = jnp.where(closer, known, address)
    return jnp.stack(distances), jnp.stack(addresses)


def _relative(seeds, address, x, y, z):
    """Seeds as seen from the nodes."""
    sx, sy, sz = seeds.positions(*address)
    return sx - x, sy - y, sz - z


def _to_axis(a, b, c):
    """From the node (at 0) to the line equally far from three seeds.

    Squared distance, foot of the perpendicular, and whether the seeds span a plane.
    """
    to_b, to_c = _minus(b, a), _minus(c, a)
    bb, bc, cc = _dot(to_b, to_b), _dot(to_b, to_c), _dot(to_c, to_c)
    # |b|² − |a|² without the loss of digits
    along_b, along_c = _dot(to_b, _plus(b, a)) / 2, _dot(to_c, _plus(c, a)) / 2
    determinant = bb * cc - bc * bc
    well_posed = determinant > 1e-4 * bb * cc
    determinant = jnp.where(well_posed, determinant, bb * cc)
    beta = (along_b * cc - along_c * bc) / determinant
    gamma = (along_c * bb - along_b * bc) / determinant
    foot = tuple(beta * p + gamma * q for p, q in zip(to_b, to_c, strict=True))
    return beta * along_b + gamma * along_c, foot, well_posed


def _dot(p, q):
    return p[0] * q[0] + p[1] * q[1] + p[2] * q[2]


def _plus(p, q):
    return tuple(first + second for first, second in zip(p, q, strict=True))


def _minus(p, q):
    return tuple(first - second for first, second in zip(p, q, strict=True))


def _squared_distance(p, q):
    between = _minus(p, q)
    return _dot(between, between)


def _pack(k, j, i):
    """One whole number for (layer, row, site): 11, 10 and 10 bits."""
    k, j, i = jnp.broadcast_arrays(k + 512, j + 512, i + 512)
    return (k << 20) | ((j & 1023) << 10) | (i & 1023)


def _unpack(address):
    return (
        (address >> 20) - 512,
        ((address >> 10) & 1023) - 512,
        (address & 1023) - 512,
    )
