"""Fibre hosts: mats of straight random fibres, and woven cloth.

Random lines of length density L_V [m⁻²], each thickened to radius r, leave the porosity

    ε = exp(−π r² L_V),

Matheron's Boolean model of lines (Random Sets and Integral Geometry, Wiley 1975): the
number of fibres that a porosity and a diameter ask for follows from it.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_fraction, check_integer, check_range, refuse
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
from depojax.scaffold.gradients import Field, on_nodes
from depojax.scaffold.implicit import at_porosity, join_solids, level_of
from depojax.scaffold.scaffold import Scaffold

Line = tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]  # point, direction
MARGIN = 0.1  # by which fibre axes may pass the box, of its shortest side


def fibre_mat(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    key: Any,
    porosity: Field | None = None,
    fibre_diameter: Field | None = None,
    fibres: int | None = None,
    anisotropy: float = 1.0,
) -> Scaffold:
    """Straight, endless, overlapping fibres at random: carbon paper, felt, metal wool.

    Two of three are given, the third follows:

        porosity and fibre_diameter   fibres are laid one by one until the porosity is
                                      reached at this diameter; then the diameter is
                                      trimmed so that the porosity is exact (the last
                                      fibre's share: about 1/(4 fibres) of it)
        fibre_diameter and fibres     the porosity follows; differentiable, under jit
        porosity and fibres           the diameter follows; differentiable, under jit

    One key lays the same fibres in the same order whatever the other numbers are.

    Args:
        shape: cells (x, y, z); voxel_size: [m].
        key: whole number or `jax.random.key`.
        porosity: ε [-]; may be graded, the fibres then thicken where it is low.
        fibre_diameter: [m]; may be graded.
        fibres: number of axes that cross the box or pass it within a tenth of its
            shortest side.
        anisotropy: β of the directions' density on the sphere,
            ∝ (1 + (β² − 1) cos²θ)^(−3/2), θ from z: 1 isotropic, above in-plane,
            below along z.

    Raises `ValueError` unless two of the three are given (under jit or grad: `fibres`
    and one other), for percent, or for fibres below two voxels.
    Good values: carbon paper ε = 0.75–0.85, 7–10 µm, β = 10–50; felt 0.9–0.95,
    10–20 µm, β = 1–3. At least 6 voxels per diameter, 10 diameters per side.
    doi:10.1016/j.commatsci.2006.01.018 (the density with β).
    """
    grid = uniform_grid(shape, voxel_size)
    _check_two_given(porosity, fibre_diameter, fibres)
    check_range("anisotropy", anisotropy, 1e-3, 1e3)
    if fibre_diameter is not None:
        check_resolved("fibre_diameter", fibre_diameter, grid)
    if porosity is not None:
        check_fraction("porosity", on_nodes(porosity, grid, "porosity"))
    rng, beta = generator_of(key), float(anisotropy)
    if fibres is None:
        lines = _lines_to_porosity(rng, beta, grid, porosity, fibre_diameter)
    else:
        count = check_integer("fibres", fibres, 1)
        lines = list(itertools.islice(random_lines(rng, grid.shape, beta), count))
    voxel = grid.widths[0][0]
    distance = voxel * _distance_to_lines(grid, lines)
    if fibre_diameter is not None:
        radius = on_nodes(fibre_diameter, grid, "fibre_diameter") / 2
        if porosity is None:
            return Scaffold.from_levelset(off_nodes(distance - radius, grid), grid)
        return at_porosity(distance / radius, grid, porosity)
    radius = level_of(distance, grid, porosity)
    check_resolved(
        "fibre_diameter (of these fibres at this porosity)", 2 * radius, grid
    )
    return Scaffold.from_levelset(distance - radius, grid)


def random_lines(
    rng: np.random.Generator, shape: Sequence[int], anisotropy: float
) -> Iterator[Line]:
    """Random lines through a box of `shape` voxels, one after the other, without end.

    For each direction the feet are uniform over the disc that the box's ball shows;
    lines that miss the box by more than the margin are dropped. Lengths in voxels.
    """
    half = np.asarray(shape, float) / 2
    room = half + MARGIN * 2 * half.min()
    reach, batch = float(np.linalg.norm(room)), 256
    while True:
        # normals stretched in the plane have the density of β
        u = rng.standard_normal((batch, 3)) * (anisotropy, anisotropy, 1.0)
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        radius = reach * np.sqrt(rng.random((batch, 1)))
        turn = 2 * np.pi * rng.random((batch, 1))
        first = _across(u)
        foot = radius * (np.cos(turn) * first + np.sin(turn) * np.cross(u, first))
        for n in np.flatnonzero(_hits(foot, u, room)):
            yield foot[n] + half, u[n]


def _across(u: np.ndarray) -> np.ndarray:
    """A unit vector normal to each `u`."""
    axis = np.eye(3)[np.argmin(np.abs(u), axis=1)]
    normal = np.cross(u, axis)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _hits(foot: np.ndarray, u: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Which lines foot + t u cross the box ± room: its three slabs share some t."""
    slope = np.where(np.abs(u) < 1e-12, 1e-12, u)
    ends = np.stack([(-room - foot) / slope, (room - foot) / slope])
    return ends.min(0).max(1) < ends.max(0).min(1)


def _lines_to_porosity(
    rng: np.random.Generator, beta: float, grid: Grid, porosity: Any, diameter: Any
) -> list[Line]:
    """As many lines as come nearest to this porosity at this diameter."""
    eps, width = (
        on_nodes(porosity, grid, "porosity"),
        on_nodes(diameter, grid, "diameter"),
    )
    voxel = grid.widths[0]
    if is_traced(eps) or is_traced(width) or is_traced(voxel):
        raise refuse(
            "fibres",
            "a number, as porosity, fibre_diameter or voxel_size is traced (jit, grad)",
            "None",
            "Give fibres= and one of porosity= and fibre_diameter=.",
        )
    nodes = tuple(n + 1 for n in grid.shape)
    target = float(np.mean(np.broadcast_to(eps, nodes)))
    # a few 10⁴ nodes tell the porosity well enough for a count
    some = tuple(slice(None, None, max(1, n // 32)) for n in nodes)
    open_points = np.stack(np.meshgrid(*map(np.arange, nodes), indexing="ij"), -1)
    open_points = open_points[some].reshape(-1, 3).astype(float)
    radius = np.broadcast_to(width, nodes)[some].reshape(-1) / (2 * float(voxel[0]))
    total, lines = len(open_points), []
    endless = random_lines(rng, grid.shape, beta)
    while True:
        point, direction = next(endless)
        away = np.linalg.norm(np.cross(open_points - point, direction), axis=1)
        free = away > radius
        before, after = len(free) / total, free.sum() / total
        if after <= target and before - target < target - after and lines:
            return lines
        lines.append((point, direction))
        if after <= target:
            return lines
        open_points, radius = open_points[free], radius[free]


def _distance_to_lines(grid: Grid, lines: list[Line]) -> Nodes:
    """From every node to the nearest line [voxels]; constant, so nothing is stored."""
    points, directions = (
        jnp.asarray(np.stack(part), grid.dtype) for part in zip(*lines, strict=True)
    )
    x, y, z = (
        jnp.arange(n + 1, dtype=grid.dtype).reshape(side)
        for n, side in zip(
            grid.shape, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True
        )
    )

    def closer(least, line):
        (px, py, pz), (ux, uy, uz) = line
        dx, dy, dz = x - px, y - py, z - pz
        # |offset × direction|²: no cancellation far along the line
        square = (dy * uz - dz * uy) ** 2 + (dz * ux - dx * uz) ** 2
        square = square + (dx * uy - dy * ux) ** 2
        return join_solids(least, square), None

    start = jnp.full([n + 1 for n in grid.shape], jnp.inf, grid.dtype)
    square, _ = jax.lax.scan(closer, start, (points, directions))
    return jnp.sqrt(square)


def _check_two_given(porosity: Any, fibre_diameter: Any, fibres: Any) -> None:
    given = {"porosity": porosity, "fibre_diameter": fibre_diameter, "fibres": fibres}
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 2:
        raise refuse(
            "porosity, fibre_diameter, fibres", "two of the three", names or "none"
        )


def carbon_cloth(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    tow_pitch: Any,
    filaments: int | None = None,
    filament_diameter: Any = None,
    porosity: Field | None = None,
    tow_width: Any = None,
    tow_thickness: Any = None,
    layers: int = 1,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Plain-woven cloth: tows along x and y that pass over and under each other.

        middle of tow j along x:  z = ±(thickness/2) sin(π x/pitch), sign (−1)^j
        those along y run opposite, so that tows touch where they cross

    A tow is an ellipse of `tow_width` × `tow_thickness`, filled evenly with parallel
    `filaments`, or solid when filaments is None.

    Args:
        shape: cells (x, y, z); voxel_size: [m]. The weave repeats after 2 tow_pitch in
            x and y.
        tow_pitch: from one tow's middle to the next [m].
        filaments: per tow; None: solid tows.
        filament_diameter: [m]. Give this or `porosity` when there are filaments.
        porosity: of the box [-]; the filament diameter (or the solid tow's size, about
            tow_width and tow_thickness) follows. May be graded.
        tow_width: in the plane [m]; 0.85 tow_pitch when None.
        tow_thickness: [m]; half of a layer's height when None, the most that fits.
        layers: of cloth, stacked to fill the height.
        periodic: axes whose two ends are one.

    Raises `ValueError` for tows that overlap their neighbours or do not fit in the
    layer, filaments below two voxels, or more or less than one of filament_diameter and
    porosity.
    Good values: pitch 0.4–0.5 mm, thickness 0.15–0.2 mm; real tows have hundreds of
    filaments of 7–10 µm: take tens of thicker ones, or a model of one crossing.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    layers = check_integer("layers", layers, 1)
    pitch, layer = as_float(tow_pitch), grid.lengths[2] / layers
    width = 0.85 * pitch if tow_width is None else as_float(tow_width)
    thickness = layer / 2 if tow_thickness is None else as_float(tow_thickness)
    for name, length in (
        ("tow_pitch", pitch),
        ("tow_width", width),
        ("tow_thickness", thickness),
    ):
        check_resolved(name, length, grid)
    _check_at_most("tow_width", width, pitch, "the tow_pitch")
    _check_at_most("tow_thickness", thickness, layer / 2, "half the height of a layer")
    weave = (pitch, layer, thickness)
    if filaments is None:
        return _solid_tows(grid, weave, width, filament_diameter, porosity)
    count = check_integer("filaments", filaments, 1)
    if (porosity is None) == (filament_diameter is None):
        raise refuse(
            "filament_diameter, porosity",
            "one of the two",
            "none" if porosity is None else "both",
        )
    if filament_diameter is None:
        # room for half a filament of the size that touching ones would have
        radius = jnp.sqrt(width * thickness / count) / 4
        distance = _distance_to_filaments(grid, weave, width, radius, count)
        radius = level_of(distance, grid, porosity)
        check_resolved("filament_diameter (at this porosity)", 2 * radius, grid)
        return Scaffold.from_levelset(distance - radius, grid)
    check_resolved("filament_diameter", filament_diameter, grid)
    radius = as_float(filament_diameter) / 2
    _check_at_most("filament_diameter", 2 * radius, thickness, "the tow_thickness")
    distance = _distance_to_filaments(grid, weave, width, radius, count)
    return Scaffold.from_levelset(off_nodes(distance - radius, grid), grid)


def _from_tow(grid: Grid, weave: tuple[Array, Array, Array], along_x: bool):
    """Offsets (across, upward) of every node from the middle of its nearest tow [m]."""
    pitch, layer, thickness = weave
    x, y, z = grid.node_mesh()
    run, across = (x, y) if along_x else (y, x)
    offset = from_nearest_multiple(across - pitch / 2, pitch)
    number = jnp.round((across - offset) / pitch - 0.5)
    sign = jnp.cos(jnp.pi * number) * (1.0 if along_x else -1.0)
    wave = math.pi / pitch
    middle = sign * thickness / 2 * jnp.sin(wave * run)
    slope = sign * thickness / 2 * wave * jnp.cos(wave * run)
    above = from_nearest_multiple(z - layer / 2, layer) - middle
    # measured across the tow rather than upright
    return offset, above / jnp.sqrt(1 + slope * slope)


def _solid_tows(grid, weave, width, filament_diameter, porosity) -> Scaffold:
    if filament_diameter is not None:
        raise refuse(
            "filament_diameter",
            "None for solid tows",
            filament_diameter,
            "Give filaments=, their number per tow.",
        )
    half_width, half_height = width / 2, weave[2] / 2

    def ellipse(along_x):
        across, above = _from_tow(grid, weave, along_x)
        return norm(across / half_width, above / half_height)

    size = join_solids(ellipse(True), ellipse(False))
    if porosity is None:
        levelset = off_nodes((size - 1) * half_height, grid)
        return Scaffold.from_levelset(levelset, grid)
    return at_porosity(size, grid, porosity)


def _distance_to_filaments(grid, weave, width, radius, count) -> Nodes:
    """From every node to the axis of the nearest filament [m]."""
    order = np.arange(count)
    # the sunflower's arrangement fills an ellipse evenly with any number
    share = np.sqrt((order + 0.5) / count) if count > 1 else np.zeros(1)
    turn = order * math.pi * (3 - math.sqrt(5.0))
    across = jnp.asarray(share * np.cos(turn), grid.dtype)
    upward = jnp.asarray(share * np.sin(turn), grid.dtype)
    places = (
        across * (width / 2 - radius),
        upward * (weave[2] / 2 - radius),
    )

    def distance(index, parameters):
        (here_across, here_above), (places_across, places_above) = parameters
        return norm(
            here_across - places_across[index], here_above - places_above[index]
        )

    fields = []
    for along_x in (True, False):
        parameters = (_from_tow(grid, weave, along_x), places)
        which = nearest(distance, count, parameters)
        fields.append(distance(which, parameters))
    return join_solids(*fields)


def _check_at_most(argument: str, value: Any, limit: Any, name: str) -> None:
    known, most = concrete(value), concrete(limit)
    if known is not None and most is not None and known > most * (1 + 1e-5):
        raise refuse(argument, f"at most {name}, {float(most):.4g} m", f"{known:.4g} m")
