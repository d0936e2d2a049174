"""What a scaffold is like before any transport is solved: paths, clusters, sizes.

Two cells of a phase are connected when the face between them is open to that phase;
nothing connects over edges or corners. The solid of a cut cell is what its pore leaves,
whole closed pores apart, which conduct nothing.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from depojax._checks import check_choice, refuse
from depojax._optional import require
from depojax.fv.grid import AXES, axis_index
from depojax.scaffold.scaffold import Scaffold

PHASES = ("pore", "solid")
Members = Bool[np.ndarray, "x y z"]
ClusterLabels = Int[np.ndarray, "x y z"]

# A face closed to a phase up to round-off is closed.
_OPEN = 1e-6


class Clusters(eqx.Module):
    """The connected parts of a phase, the largest first.

    `labels` is 0 outside of the phase and n in the n-th largest cluster.
    """

    labels: ClusterLabels
    volumes: Float[np.ndarray, "clusters"]  # [m³]

    @property
    def number(self) -> int:
        return len(self.volumes)

    @property
    def largest_fraction(self) -> float:
        """Volume of the largest cluster / volume of the phase [-]."""
        return float(self.volumes[0] / self.volumes.sum()) if self.number else 0.0

    def touching(self, axis: str | int, end: int) -> set[int]:
        """Numbers of the clusters with a cell at the end (0 or −1) of `axis`."""
        side = np.take(self.labels, end, axis=axis_index(axis))
        return {int(n) for n in np.unique(side) if n > 0}


def clusters(scaffold: Scaffold, phase: str = "solid") -> Clusters:
    """The connected parts of `phase` ("pore" or "solid"), the largest first."""
    check_choice("phase", phase, PHASES)
    content, members, faces = _phase(scaffold, phase)
    labels = _label(members, faces, scaffold.grid.periodic)
    size = content * np.asarray(scaffold.grid.volumes, np.float64)
    volumes = np.bincount(labels.ravel(), size.ravel())[1:]
    order = np.argsort(-volumes, kind="stable")
    rank = np.zeros(len(volumes) + 1, int)
    rank[order + 1] = np.arange(1, len(volumes) + 1)
    return Clusters(labels=rank[labels], volumes=volumes[order])


def percolates(scaffold: Scaffold, phase: str = "pore", axis: str = "z") -> bool:
    """Whether a path within `phase` leads from one end of `axis` to the other."""
    return _spans(clusters(scaffold, phase), axis)


def connected_fraction(
    scaffold: Scaffold, phase: str = "solid", to: str = "collector"
) -> float:
    """Share of the phase's volume in clusters that reach `to` [-].

    `to` is "collector" (z = 0), "top" (z = L) or "largest" (the largest cluster).
    Nothing of a phase that is absent is connected: 0.
    """
    check_choice("to", to, ("collector", "top", "largest"))
    return _share(clusters(scaffold, phase), to)


class Report(eqx.Module):
    """A scaffold's measures. `str(report)` is a table and what follows from it."""

    shape: tuple[int, int, int]
    lengths: tuple[float, float, float]  # [m]
    porosity: float  # [-]
    surface_area: float  # [m²]
    specific_area: float  # true area / total volume [m⁻¹]
    area_factor: float  # true area / footprint [-]
    closed_pore_fraction: float  # trimmed closed pores / total volume [-]
    pore_percolates: tuple[bool, bool, bool]  # along x, y, z
    solid_percolates: tuple[bool, bool, bool]
    solid_clusters: int
    largest_cluster: float  # share of the solid [-]
    solid_at_collector: float  # share of the solid connected to z = 0 [-]
    smallest_feature: float  # of the solid; 0 without solid [m]
    smallest_feature_in_cells: float

    def __str__(self) -> str:
        rows = [
            ("cells", " × ".join(str(n) for n in self.shape)),
            (
                "size",
                " × ".join(f"{1e6 * length:.4g}" for length in self.lengths) + " µm",
            ),
            ("porosity", f"{self.porosity:.4f}"),
            (
                "closed pores",
                f"{self.closed_pore_fraction:.2e} of the volume, closed off",
            ),
            ("surface area", f"{self.surface_area:.4g} m²"),
            ("specific area", f"{self.specific_area:.4g} m⁻¹"),
            ("area / footprint", f"{self.area_factor:.4g}"),
            ("pore percolates", _along(self.pore_percolates)),
            ("solid percolates", _along(self.solid_percolates)),
            (
                "solid clusters",
                f"{self.solid_clusters}, largest {self.largest_cluster:.1%}",
            ),
            ("solid at collector", f"{self.solid_at_collector:.1%}"),
            ("smallest feature", f"{1e6 * self.smallest_feature:.3g} µm"),
        ]
        table = [f"{name:<19}{value}" for name, value in rows]
        return "\n".join(table + self.sentences())

    def sentences(self) -> list[str]:
        """What a user must know before trusting a transport result on the scaffold."""
        said = []
        if not self.pore_percolates[2]:
            said.append("The pore does not percolate along z: ions cannot cross it.")
        if self.solid_clusters == 0:
            return [*said, "There is no solid: the scaffold is an open box."]
        if not self.solid_percolates[2]:
            said.append(
                "The solid does not percolate along z: electrons cannot cross it."
            )
        adrift = 1 - self.solid_at_collector
        if adrift > 1e-3:
            said.append(
                f"{adrift:.1%} of the solid is not connected to the collector (z = 0): "
                "it carries no current."
            )
        if self.closed_pore_fraction > 0:
            said.append(
                f"Pores that do not reach the top were closed "
                f"({self.closed_pore_fraction:.2e} of the volume)."
            )
        if self.smallest_feature_in_cells < 3:
            said.append(
                f"The thinnest features are {self.smallest_feature_in_cells:.1f} cells "
                "wide: finer cells would change their area and transport."
            )
        return said


def report(scaffold: Scaffold) -> Report:
    """The measures of a scaffold that cost no solve; `print(report(scaffold))`."""
    solid, pore = clusters(scaffold, "solid"), clusters(scaffold, "pore")
    x, y, z = (float(length) for length in scaffold.grid.lengths)
    feature = smallest_feature(scaffold)
    cell = min(float(jnp.min(width)) for width in scaffold.grid.widths)
    return Report(
        shape=scaffold.shape,
        lengths=(x, y, z),
        porosity=float(scaffold.porosity),
        surface_area=float(scaffold.total_surface_area),
        specific_area=float(scaffold.specific_area),
        area_factor=float(scaffold.area_factor),
        closed_pore_fraction=float(scaffold.closed_pore_fraction),
        pore_percolates=_spans_all(pore),
        solid_percolates=_spans_all(solid),
        solid_clusters=solid.number,
        largest_cluster=solid.largest_fraction,
        solid_at_collector=_share(solid, "collector"),
        smallest_feature=feature,
        smallest_feature_in_cells=feature / cell,
    )


def smallest_feature(scaffold: Scaffold) -> float:
    """Width that the thinnest twentieth of the solid's features stays below [m].

    Twice the distance to the pore on the ridges of the solid, to half a cell; 0
    without solid, infinite without pore. On stretched grids for the mean cell.
    """
    content, _, _ = _phase(scaffold, "solid")
    solid = content >= 0.5
    if not content.any():
        return 0.0
    edges = [float(jnp.mean(width)) for width in scaffold.grid.widths]
    if not solid.any():
        return min(edges)
    if solid.all():
        return float("inf")
    # The distance runs to the centre of a pore cell: half an edge too far on each side,
    # or half of that where an even number of cells has no middle one.
    depth = np.asarray(ndimage.distance_transform_edt(solid, sampling=edges))
    ridges = solid & (depth >= ndimage.maximum_filter(depth, 3, mode="nearest"))
    return float(np.quantile(2 * depth[ridges] - min(edges) / 2, 0.05))


def pore_size_distribution(
    scaffold: Scaffold, bins: int = 20
) -> tuple[Float[np.ndarray, "bins"], Float[np.ndarray, "bins"]]:
    """Diameters [m] and the share of the pore volume [-] that each holds.

    The diameter of a place is that of the largest sphere within the pore that covers
    it (PoreSpy's local thickness, whose True is pore), to about a cell; pores at a side
    go on beyond it. 5 s at 128³ cells is usual, and the time grows faster than their
    number. Cells at least half open count as pore.

    Raises `ImportError` without PoreSpy (`pip install "depojax[images]"`), `ValueError`
    for cells that are no equal cubes, or when none is half open.
    """
    porespy = require("porespy", "images")
    edges = np.concatenate([np.asarray(width) for width in scaffold.grid.widths])
    if np.ptp(edges) > 1e-4 * edges.max():
        raise refuse(
            "scaffold",
            "equal cubic cells",
            f"cells of {edges.min():g} to {edges.max():g} m",
        )
    is_pore = np.asarray(scaffold.pore_fraction) >= 0.5
    if not is_pore.any():
        raise refuse("scaffold", "cells at least half open", "none")
    bars = porespy.settings.tqdm
    shown, bars["disable"] = bars["disable"], True
    try:
        radius = np.asarray(porespy.filters.local_thickness(is_pore))[is_pore]
    finally:
        bars["disable"] = shown
    diameter = 2 * radius * float(edges.mean())
    counts, limits = np.histogram(diameter, bins)
    return (limits[1:] + limits[:-1]) / 2, counts / counts.sum()


def _phase(scaffold: Scaffold, phase: str):
    """Content of each cell, the cells that belong, and the share of each face."""
    pore = np.asarray(scaffold.pore_fraction, np.float64)
    apertures = [np.asarray(face, np.float64) for face in scaffold.face_transmission]
    if phase == "pore":
        return pore, pore > 0, apertures
    # A pore that was closed off lies on the pore's side of its wall, but is not open.
    closed_pore = (pore == 0) & (np.asarray(scaffold.wall_distance) > 0)
    content = np.where(closed_pore, 0.0, 1 - pore)
    content = np.where(content > _OPEN, content, 0.0)
    return content, content > 0, [1 - aperture for aperture in apertures]


def _label(members: Members, faces, periodic) -> ClusterLabels:
    """Number (from 1) of the connected part that each member cell belongs to."""
    number = np.arange(members.size).reshape(members.shape)
    first, second = [], []
    for axis, (face, wraps) in enumerate(zip(faces, periodic, strict=True)):
        above = np.roll(number, -1, axis)
        joined = members & np.roll(members, -1, axis)
        joined &= np.take(face, range(1, face.shape[axis]), axis) > _OPEN
        if not wraps:
            joined[(slice(None),) * axis + (-1,)] = False
        first.append(number[joined])
        second.append(above[joined])
    ends = np.concatenate(first), np.concatenate(second)
    graph = sparse.coo_matrix(
        (np.ones(len(ends[0]), bool), ends), shape=(members.size, members.size)
    )
    _, part = csgraph.connected_components(graph, directed=False)
    _, label = np.unique(part[members.ravel()], return_inverse=True)
    labels = np.zeros(members.size, int)
    labels[members.ravel()] = label + 1
    return labels.reshape(members.shape)


def _spans(parts: Clusters, axis: str | int) -> bool:
    return bool(parts.touching(axis, 0) & parts.touching(axis, -1))


def _spans_all(parts: Clusters) -> tuple[bool, bool, bool]:
    x, y, z = (_spans(parts, axis) for axis in AXES)
    return x, y, z


def _share(parts: Clusters, to: str) -> float:
    if parts.number == 0:
        return 0.0
    if to == "largest":
        return parts.largest_fraction
    reached = parts.touching("z", 0 if to == "collector" else -1)
    inside = sum(parts.volumes[n - 1] for n in reached)
    return float(inside / parts.volumes.sum())


def _along(flags: tuple[bool, bool, bool]) -> str:
    yes = [axis for axis, flag in zip(AXES, flags, strict=True) if flag]
    no = [axis for axis, flag in zip(AXES, flags, strict=True) if not flag]
    parts = [f"along {', '.join(yes)}"] if yes else []
    parts += [f"not along {', '.join(no)}"] if no else []
    return "; ".join(parts)
