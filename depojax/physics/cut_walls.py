"""The walls in cut cells as planes, and points drawn evenly on them.

In a cell the wall is the plane n·x = s that leaves its pore fraction open, with the
normal of its open faces; on the floor z = 0 it is what is open of the face.
"""

from typing import NamedTuple

import numpy as np

from depojax.scaffold.scaffold import Scaffold

_HALVINGS = 60
_ROUNDS = 400
_THIN = 1e-4  # least share of a normal: what is thinner loses digits


class CutWalls(NamedTuple):
    """Planes n·(x − centre) = s in the cells, one row each; n = 0 in cells uncut."""

    centers: np.ndarray  # [m]
    widths: np.ndarray  # [m]
    normal: np.ndarray  # n, into the pore [-]
    offset: np.ndarray  # s [m]

    def points(self, rng: np.random.Generator, cell: np.ndarray) -> np.ndarray:
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

    def floor_points(self, rng: np.random.Generator, cell: np.ndarray) -> np.ndarray:
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


def cut_walls(scaffold: Scaffold) -> CutWalls:
    """The walls of a resolved host."""
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
    return CutWalls(centers, widths, normal, offset)


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
            rest = np.maximum(alpha - m.dot(np.asarray(corner, float)), 0)
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


def floor_area(scaffold: Scaffold) -> np.ndarray:
    """Open area of the plane z = 0 in each cell [m²]."""
    area = np.zeros(scaffold.shape)
    faces = np.broadcast_to(
        np.asarray(scaffold.grid.face_areas(2)), (*scaffold.shape[:2], 1)
    )
    area[..., 0] = np.asarray(scaffold.face_transmission[2])[..., 0] * faces[..., 0]
    return area
