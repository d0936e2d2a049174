"""Cut cells: what a level set on the grid nodes leaves open of each cell and face.

The pore is where the node values are positive. Each face is split into four triangles
about its centre, each cell into the 24 tetrahedra that stand on them with their tip in
the cell's centre; values at the centres are means of the corners. On each piece the
level set is linear and its positive part has a closed form, smooth in the node values,
so every measure below has exact derivatives with respect to shape.

    aperture   open part of a face / face area                     [-]
    volume     open part of a cell / cell volume                   [-]
    interface  area vector of the wall, by closure                 [m²]
               A n = −Σ_faces (aperture × face area × outward normal)
    distance   signed distance from the cell's centre to the wall  [m]

Closure makes the discrete divergence of a constant vector field exactly zero. With
two-point fluxes between cell centres the cell value stands for the centre, also where
the centre lies in the solid: then a linear field that obeys no flux on a flat wall is
reproduced exactly, and the wall value is c_s = c_P − N·distance/D with the *signed*
distance (negative when the centre is in the solid), corrected for curvature.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._sums import added, sum_of_few
from depojax._types import Cells, Faces, Nodes
from depojax.fv.grid import Grid, along


class CutCells(eqx.Module):
    """Open fractions and walls of every cell of a grid."""

    volume_fraction: Cells  # [-]
    apertures: Faces  # [-]
    interface_area: Cells  # [m²]
    wall_distance: Cells  # signed, from the cell centre, positive in the pore [m]


@eqx.filter_jit
def cut_cells(
    grid: Grid, values: Nodes, *, subdivision: int = 1, smallest_aperture: float = 1e-8
) -> CutCells:
    """Cut the cells of `grid` by the level set `values` (positive in the pore).

    The values are those at the nodes, or, with a `subdivision` s, at the nodes of the
    grid with s parts per cell and axis: open parts of faces and cells are then summed
    over the parts, and the walls' curvature costs s² times less accuracy.

    Apertures below `smallest_aperture` count as closed: they carry nothing and only
    spoil the conditioning. A cell with no open face is closed altogether.
    """
    s = subdivision
    parts = face_apertures(values)
    open_parts = (_mean_of_parts(a, s, axis) for axis, a in enumerate(parts))
    x, y, z = (jnp.where(a < smallest_aperture, 0.0, a) for a in open_parts)
    apertures = (x, y, z)
    reachable = _any_open_face(apertures)
    fraction = _mean_of_parts(volume_fractions(values), s)
    fraction = jnp.where(reachable, fraction, 0.0)
    # An open face without volume behind it would be a cell without storage.
    fraction = jnp.where(reachable, jnp.maximum(fraction, smallest_aperture), 0.0)
    return CutCells(
        volume_fraction=fraction,
        apertures=apertures,
        interface_area=interface_area(grid, apertures),
        wall_distance=center_distance(grid, values[::s, ::s, ::s]),
    )


def positive_in_triangle(a: Array, b: Array, c: Array) -> Array:
    """Fraction of a triangle where the linear function of its corner values is > 0."""
    low, mid, high = _sort3(a, b, c)
    one = _ratio(high * high, (high - low) * (high - mid))
    two = 1 - _ratio(low * low, (mid - low) * (high - low))
    return jnp.where(
        low >= 0, 1.0, jnp.where(mid >= 0, two, jnp.where(high > 0, one, 0.0))
    )


def positive_in_tetrahedron(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Fraction of a tetrahedron where the linear function with these values is > 0.

    The divided difference of x₊³ over the four corner values, with the differences
    between corners of equal sign cancelled, so that no case divides by zero.
    """
    a, b, c, d = _sort4(a, b, c, d)
    one = _ratio(d**3, (d - a) * (d - b) * (d - c))
    three = 1 - _ratio(-(a**3), (b - a) * (c - a) * (d - a))
    both = c * c * d * d - (a + b) * c * d * (c + d) + a * b * (c * c + c * d + d * d)
    two = _ratio(both, (c - a) * (c - b) * (d - a) * (d - b))
    inner = jnp.where(b >= 0, three, jnp.where(c >= 0, two, jnp.where(d > 0, one, 0.0)))
    return jnp.where(a >= 0, 1.0, inner)


def face_apertures(values: Nodes) -> Faces:
    """Open fraction of every face, one array per axis."""
    x, y, z = (_face_aperture(values, axis) for axis in range(3))
    return x, y, z


def volume_fractions(values: Nodes) -> Cells:
    """Open fraction of every cell, from the same pieces as the apertures."""
    values = _unit_scale(values)
    corners = [_corner(values, offset) for offset in _CORNERS]
    centers = jnp.stack([added(corners[i] for i in face) / 4 for face in _CELL_FACES])
    corners = jnp.stack(corners)
    tip = sum_of_few(corners) / 8

    def add(total, piece):
        first, second, face = piece
        part = positive_in_tetrahedron(
            corners[first], corners[second], centers[face], tip
        )
        return total + part, None

    total, _ = jax.lax.scan(jax.checkpoint(add), jnp.zeros_like(tip), _PIECES)
    return jnp.clip(total / len(_PIECES[0]), 0.0, 1.0)


def interface_area(grid: Grid, apertures: Faces) -> Cells:
    """Wall area of each cell [m²]: length of the closure of its apertures."""
    squares = jnp.zeros(grid.shape, apertures[0].dtype)
    for axis, aperture in enumerate(apertures):
        jump = jnp.diff(aperture, axis=axis) * grid.face_areas(axis)
        squares = squares + jump * jump
    # What closure leaves in an uncut cell is round-off, not wall; and the root's
    # derivative at zero must not become NaN.
    scale = grid.volumes ** (2 / 3)
    real = squares > (1e-10 * scale) ** 2
    return jnp.where(real, jnp.sqrt(jnp.where(real, squares, 1.0)), 0.0)


def center_distance(grid: Grid, values: Nodes) -> Cells:
    """Signed distance [m] that the flux into the wall has to cross from the centre.

        c_P − c_s = (N/D) δ,   δ = d [1 + d (φ_nn − ∇²φ/2)/|∇φ|],   d = φ/|∇φ|

    The bracket takes the wall's curvature into account (around a sphere of radius a the
    value rises as G a d/(a + d), not as G d) and the bending of a level set that is no
    distance. Meaningful in cut cells; kept within half a cell diagonal, which also
    bounds it where the level set is flat.
    """
    values = _unit_scale(values)
    center, slopes, bends = center_derivatives(grid, values, _second_difference)
    squares = sum((slope * slope for slope in slopes), jnp.zeros_like(center))
    tiny = jnp.finfo(center.dtype).tiny ** 0.5
    flat = squares <= tiny
    squares = jnp.where(flat, 1.0, squares)
    steepness = jnp.sqrt(squares)
    reach = sum(along(w, a) ** 2 for a, w in enumerate(grid.widths)) ** 0.5 / 2
    distance = jnp.where(flat, jnp.sign(center) * reach, center / steepness)
    distance = jnp.clip(distance, -reach, reach)
    along_normal = sum(
        (n * m * bend for n, m, bend in _products(slopes, bends)),
        jnp.zeros_like(center),
    )
    bending = along_normal / squares - (bends[0, 0] + bends[1, 1] + bends[2, 2]) / 2
    # A kink in the level set is no curvature: keep the correction a correction.
    share = jnp.clip(distance * bending / steepness, -_MOST_BENDING, _MOST_BENDING)
    return distance * (1 + jnp.where(flat, 0.0, share))


def _products(slopes, bends):
    for (a, b), bend in bends.items():
        yield slopes[a], slopes[b], bend if a == b else 2 * bend


def center_derivatives(grid: Grid, values: Nodes, second: Callable[..., Nodes]):
    """Value, gradient and second derivatives (by axes a ≤ b) at the cell centres.

    `second` takes grid, values and an axis to ∂²/∂x² at the nodes. Means are taken axis
    by axis: in reverse mode, too, that is a few sums, and not one of eighty terms.
    """

    def mean(values, *axes):
        for axis in axes:
            below, above = _ends(values, axis)
            values = (below + above) / 2
        return values

    width = [along(w, axis) for axis, w in enumerate(grid.widths)]
    slopes, bends = [], {}
    for a in range(3):
        others = [b for b in range(3) if b != a]
        rise = jnp.diff(values, axis=a) / width[a]
        slopes.append(mean(rise, *others))
        bend = second(grid, values, a)
        bends[a, a] = mean(bend, 0, 1, 2)
        for b in range(a):
            (other,) = (c for c in others if c != b)
            bends[b, a] = mean(jnp.diff(rise, axis=b) / width[b], other)
    return mean(values, 0, 1, 2), slopes, bends


def _second_difference(grid: Grid, values: Nodes, axis: int) -> Nodes:
    """∂²/∂x² at the nodes along `axis`; at the ends that of the neighbour."""
    widths = grid.widths[axis]
    if widths.shape[0] < 2:
        return jnp.zeros_like(values)
    slope = jnp.diff(values, axis=axis) / along(widths, axis)
    apart = along((widths[1:] + widths[:-1]) / 2, axis)
    inner = jnp.diff(slope, axis=axis) / apart
    edge = [(1, 1) if a == axis else (0, 0) for a in range(3)]
    return jnp.pad(inner, edge, mode="edge")


def _face_aperture(values: Nodes, axis: int) -> Float[Array, "..."]:
    first, second = (a for a in range(3) if a != axis)
    ring = []
    for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
        index = [slice(None)] * 3
        index[first] = slice(i, values.shape[first] - 1 + i)
        index[second] = slice(j, values.shape[second] - 1 + j)
        ring.append(values[tuple(index)])
    center = added(ring) / 4
    ring = jnp.stack(ring)

    def add(total, edge):
        part = positive_in_triangle(ring[edge], ring[(edge + 1) % 4], center)
        return total + part, None

    # A loop, as for the volumes: its derivative is computed piece by piece.
    total, _ = jax.lax.scan(jax.checkpoint(add), jnp.zeros_like(center), np.arange(4))
    return total / 4


def _mean_of_parts(parts: Array, subdivision: int, normal: int | None = None) -> Array:
    """Mean over the parts of a cell, or of a face that is `normal` to an axis."""
    for axis in range(3):
        if axis == normal:
            index = (slice(None),) * axis + (slice(None, None, subdivision),)
            parts = parts[index]
        elif subdivision > 1:
            shape = parts.shape
            split = (*shape[:axis], -1, subdivision, *shape[axis + 1 :])
            parts = parts.reshape(split).mean(axis + 1)
    return parts


def _any_open_face(apertures: Faces) -> Array:
    open_face = jnp.zeros((), bool)
    for axis, aperture in enumerate(apertures):
        is_open = aperture > 0
        below, above = (
            (slice(None),) * axis + (slice(None, -1),),
            (slice(None),) * axis + (slice(1, None),),
        )
        open_face = open_face | is_open[below] | is_open[above]
    return open_face


def _unit_scale(values: Nodes) -> Nodes:
    # Cubes of lengths in metres underflow float32; the zero set has no scale.
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(values)))
    return values / jnp.where(scale > 0, scale, 1.0)


def _ratio(numerator: Array, denominator: Array) -> Array:
    safe = denominator > 0
    return jnp.where(safe, numerator / jnp.where(safe, denominator, 1.0), 0.0)


def _order(a: Array, b: Array) -> tuple[Array, Array]:
    # Not minimum and maximum: their derivative compares the result with its arguments,
    # and a compiler that recomputes one of them with other rounding loses it.
    swap = a > b
    return jnp.where(swap, b, a), jnp.where(swap, a, b)


def _sort3(a, b, c):
    a, b = _order(a, b)
    b, c = _order(b, c)
    a, b = _order(a, b)
    return a, b, c


def _sort4(a, b, c, d):
    a, b = _order(a, b)
    c, d = _order(c, d)
    a, c = _order(a, c)
    b, d = _order(b, d)
    b, c = _order(b, c)
    return a, b, c, d


def _ends(values: Array, axis: int) -> tuple[Array, Array]:
    """Below and above each cell along an axis of nodes."""
    n = values.shape[axis]
    below = jax.lax.slice_in_dim(values, 0, n - 1, axis=axis)
    return below, jax.lax.slice_in_dim(values, 1, n, axis=axis)


def _corner(values: Nodes, offset: tuple[int, int, int]) -> Cells:
    index = tuple(
        slice(o, n - 1 + o) for o, n in zip(offset, values.shape, strict=True)
    )
    return values[index]


_MOST_BENDING = 0.25  # largest share by which curvature may change a wall distance
_CORNERS = tuple((i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1))


def _cell_faces() -> tuple[tuple[int, int, int, int], ...]:
    faces = []
    for axis in range(3):
        for side in (0, 1):
            ring = []
            for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
                offset = [i, j]
                offset.insert(axis, side)
                ring.append(_CORNERS.index(tuple(offset)))
            faces.append(tuple(ring))
    return tuple(faces)


_CELL_FACES = _cell_faces()
# Each of the 24 tetrahedra: an edge of a face (two corners) and that face's centre.
_PIECES = tuple(
    np.asarray(column)
    for column in zip(
        *(
            (ring[k], ring[(k + 1) % 4], face)
            for face, ring in enumerate(_CELL_FACES)
            for k in range(4)
        ),
        strict=True,
    )
)
