"""Foils: the plain electrode, and what is machined, grown or worn on it.

All stand on the current collector z = 0. Wherever the pore reaches down to that plane,
the plane itself is the metal's surface (`Cell` plates it), so an open box is the foil.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_choice, check_range, refuse
from depojax._types import as_float, concrete
from depojax.fv.grid import Grid
from depojax.scaffold.features import (
    check_resolved,
    from_nearest_multiple,
    generator_of,
    norm,
    off_nodes,
    uniform_grid,
)
from depojax.scaffold.gradients import Field, extremes, on_nodes
from depojax.scaffold.implicit import join_pores, join_solids
from depojax.scaffold.scaffold import Scaffold

ARRANGEMENTS = ("square", "hexagonal")
PATTERNS = ("ridges", "bumps", "random")


def foil(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    height: Field = 0.0,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """A planar foil whose surface lies at `height` above the collector [m].

    At height 0 the box is open and the collector plane is the foil: the case of Sand's
    equation. (There the height has no derivative; raise it to have one.) A field
    height(x, y) makes any relief.

    Raises `ValueError` when less than two voxels are left above.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    surface = on_nodes(height, grid, "height")
    _check_below_top("height", surface, grid)
    z = grid.node_mesh()[2]
    sizes = extremes(surface, grid)
    if sizes == (0.0, 0.0):
        levelset = jnp.ones([n + 1 for n in grid.shape], grid.dtype)
    else:
        levelset = off_nodes(z - surface, grid)
    return Scaffold.from_levelset(levelset, grid)


def pillars(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    diameter: Field,
    height: Any,
    pitch: Any,
    arrangement: str = "square",
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Upright round pillars with flat tops on the collector.

        square: one per pitch²;   hexagonal: one per (√3/2) pitch²
        solid volume (π/4) d² h each,   area π d h + (π/4) d² each

    Args:
        shape: cells (x, y, z); voxel_size: [m]. A whole number of pitches per side (y
            in the hexagonal arrangement: of √3 pitch) makes the sides mirror planes;
            the first pillar of the square arrangement stands at (pitch/2, pitch/2).
        diameter: d [m]; a field graded in z makes tapered pillars.
        height: h [m].
        pitch: from one pillar's axis to the next [m].
        arrangement: "square" or "hexagonal".
        periodic: axes whose two ends are one.

    Raises `ValueError` for pillars below two voxels, that touch, or reach the top.
    Good values: copper pillar arrays, d = 2–10 µm, h = 10–50 µm, pitch = 2–4 d.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_choice("arrangement", arrangement, ARRANGEMENTS)
    check_resolved("diameter", diameter, grid)
    check_resolved("height", height, grid)
    _check_below_top("height", height, grid)
    width, spacing = on_nodes(diameter, grid, "diameter"), as_float(pitch)
    _check_apart("diameter", width, spacing, grid)
    z = grid.node_mesh()[2]
    side = _distance_to_axis(grid, spacing, arrangement) - width / 2
    levelset = join_pores(side, z - as_float(height))
    return Scaffold.from_levelset(off_nodes(levelset, grid), grid)


def needles(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    height: Any,
    tip_radius: Any,
    pitch: Any,
    half_angle: Any = None,
    arrangement: str = "square",
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Sharp needles on the collector: paraboloids, or cones with a round tip.

        paraboloid  r² = 2 R (h − z),  volume π R h²
        cone        side at `half_angle` from z, ending in a sphere of radius R

    Args:
        shape: cells (x, y, z); voxel_size: [m]. For the sides see `pillars`.
        height: h, of the tip above the collector [m].
        tip_radius: R, radius of curvature at the tip [m].
        pitch: from one needle's axis to the next [m].
        half_angle: of the cone [rad], in (0, 1.5); None: a paraboloid.
        arrangement: "square" or "hexagonal".
        periodic: axes whose two ends are one.

    Raises `ValueError` for tips below two voxels across, needles whose feet touch, or
    that reach the top.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_choice("arrangement", arrangement, ARRANGEMENTS)
    check_resolved("height", height, grid)
    tip, radius, spacing = as_float(height), as_float(tip_radius), as_float(pitch)
    check_resolved("tip_radius (twice)", 2 * radius, grid)
    check_resolved("pitch", pitch, grid)
    _check_below_top("height", height, grid)
    away = _distance_to_axis(grid, spacing, arrangement)
    z = grid.node_mesh()[2]
    if half_angle is None:
        foot = jnp.sqrt(2 * radius * tip)
        _check_apart("needle's foot, 2 √(2 R h)", 2 * foot, spacing, grid)
        # divided by its slope: a distance near the wall
        surface = away * away / (2 * radius) + z - tip
        levelset = surface / norm(away / radius, jnp.ones_like(away))
    else:
        check_range(
            "half_angle",
            half_angle,
            0.0,
            1.5,
            "rad",
            "Give radians: math.radians(15) for 15°.",
            open_low=True,
        )
        slope = as_float(half_angle)
        center = tip - radius
        foot = (radius + center * jnp.sin(slope)) / jnp.cos(slope)
        _check_apart("needle's foot", 2 * foot, spacing, grid)
        levelset = _round_cone(away, z - center, radius, slope)
    return Scaffold.from_levelset(off_nodes(levelset, grid), grid)


def _round_cone(away: Array, above: Array, radius: Array, half_angle: Array) -> Array:
    """Distance to a cone that ends in a sphere centred at away = above = 0."""
    sine, cosine = jnp.sin(half_angle), jnp.cos(half_angle)
    beyond_side = cosine * above - sine * away > 0
    side = cosine * away + sine * above
    return jnp.where(beyond_side, norm(away, above), side) - radius


def grooves(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    width: Field,
    depth: Any,
    pitch: Any,
    floor: Any = None,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Trenches along y in a foil, centred at x = pitch/2, 3 pitch/2, …

        solid per pitch: (pitch − width) depth + pitch × floor
        area per pitch and length: pitch + 2 depth, with the bottom counted

    Args:
        shape: cells (x, y, z); voxel_size: [m]. A whole number of half pitches along x
            makes the sides mirror planes.
        width: of a trench [m]; a field graded in z makes tapered trenches.
        depth: of a trench [m].
        pitch: from the middle of one trench to the next [m].
        floor: thickness of foil under the trenches [m]; None: they reach the collector
            plane, which is then their bottom.
        periodic: axes whose two ends are one.

    Raises `ValueError` for trenches or ridges below two voxels, or a foil that reaches
    the top.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_resolved("width", width, grid)
    check_resolved("depth", depth, grid)
    check_resolved("pitch", pitch, grid)
    trench, spacing, top = on_nodes(width, grid), as_float(pitch), as_float(depth)
    check_resolved("ridge (pitch − width)", spacing - trench, grid)
    x, _, z = grid.node_mesh()
    inside = trench / 2 - jnp.abs(from_nearest_multiple(x - spacing / 2, spacing))
    if floor is None:
        levelset = join_pores(inside, z - top)
    else:
        check_resolved("floor", floor, grid)
        bottom = as_float(floor)
        top = top + bottom
        levelset = join_solids(join_pores(inside, z - top), z - bottom)
    _check_below_top("depth (and floor)", top, grid)
    return Scaffold.from_levelset(off_nodes(levelset, grid), grid)


def rough_foil(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    height: Any,
    amplitude: Any,
    wavelength: Any,
    pattern: str = "ridges",
    key: Any = None,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """A wavy or rough foil, z = height + amplitude × waves(x, y).

        ridges  cos(2πx/λ)
        bumps   [cos(2πx/λ) + cos(2πy/λ)]/√2
        random  waves of all directions, lengths within about a quarter of λ
        All three have zero mean over whole waves and the same rms, amplitude/√2.

    Args:
        shape: cells (x, y, z); voxel_size: [m]. Whole waves per side make the regular
            patterns seamless; the random one always is.
        height: mean height of the surface [m].
        amplitude: of the ridges; the rms roughness is amplitude/√2 for all [m].
        wavelength: λ [m], at least eight voxels.
        pattern: "ridges", "bumps" or "random".
        key: whole number or `jax.random.key`, for the random pattern only.
        periodic: axes whose two ends are one.

    Raises `ValueError` when waves are too short for the grid, or leave it.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_choice("pattern", pattern, PATTERNS)
    if (pattern == "random") != (key is not None):
        raise refuse(
            "key",
            'one for pattern="random" and none otherwise',
            repr(key),
            'Give key=0 (any whole number) with pattern="random".',
        )
    check_resolved("height", height, grid)
    check_resolved("wavelength / 4", as_float(wavelength) / 4, grid)
    check_range("amplitude", amplitude, 0.0, 1.0, "m")
    waves = _waves(grid, as_float(wavelength), pattern, key)
    surface = as_float(height) + as_float(amplitude) * waves
    lowest = extremes(surface, grid)
    if lowest is not None and lowest[0] < 0:
        raise refuse(
            "amplitude",
            "waves that stay above the collector (z = 0)",
            f"a trough at {lowest[0]:.3g} m",
            "Take more height or less amplitude.",
        )
    _check_below_top("height + waves", surface, grid)
    levelset = off_nodes(grid.node_mesh()[2] - surface, grid)
    return Scaffold.from_levelset(levelset, grid)


def _waves(grid: Grid, wavelength: Array, pattern: str, key: Any) -> Array:
    """Heights on the nodes of the footprint, with mean 0 and rms 1/√2."""
    x, y, _ = grid.node_mesh()
    wavenumber = 2 * math.pi / wavelength
    if pattern == "ridges":
        return jnp.cos(wavenumber * x)
    if pattern == "bumps":
        both = jnp.cos(wavenumber * x) + jnp.cos(wavenumber * y)
        return both / math.sqrt(2.0)
    nx, ny = grid.shape[:2]
    noise = jnp.asarray(generator_of(key).standard_normal((nx, ny)), grid.dtype)
    per_x = jnp.fft.fftfreq(nx).astype(grid.dtype)[:, None] / grid.widths[0][0]
    per_y = jnp.fft.rfftfreq(ny).astype(grid.dtype)[None, :] / grid.widths[1][0]
    waves_per_length = norm(per_x + 0 * per_y, per_y + 0 * per_x) * wavelength
    band = jnp.exp(-0.5 * ((waves_per_length - 1) / 0.25) ** 2).at[0, 0].set(0.0)
    spectrum = jnp.fft.rfft2(noise)
    heights = jnp.fft.irfft2(spectrum * band.astype(spectrum.dtype), (nx, ny))
    heights = heights / jnp.sqrt(2 * jnp.mean(heights**2))
    return jnp.pad(heights, ((0, 1), (0, 1)), mode="wrap")[:, :, None]


def _distance_to_axis(grid: Grid, pitch: Array, arrangement: str) -> Array:
    """From the nearest upright axis of the arrangement [m]."""
    x, y, _ = grid.node_mesh()
    middle = pitch / 2
    if arrangement == "square":
        return norm(
            from_nearest_multiple(x - middle, pitch) + 0 * y,
            from_nearest_multiple(y - middle, pitch) + 0 * x,
        )
    row = math.sqrt(3.0) * pitch
    even = norm(from_nearest_multiple(x - middle, pitch), from_nearest_multiple(y, row))
    odd = norm(from_nearest_multiple(x, pitch), from_nearest_multiple(y - row / 2, row))
    return join_solids(even, odd)


def _check_apart(argument: str, width: Any, pitch: Array, grid: Grid) -> None:
    widths, spacing = extremes(width, grid), concrete(pitch)
    if widths is not None and spacing is not None and widths[1] >= float(spacing):
        raise refuse(
            argument, f"below the pitch, {float(spacing):.4g} m", f"{widths[1]:.4g} m"
        )


def _check_below_top(argument: str, height: Any, grid: Grid) -> None:
    """Refuse what is negative or leaves less than two voxels of pore above it."""
    sizes, widths = extremes(height, grid), concrete(grid.widths[2])
    if sizes is None or widths is None:
        return
    room = float(widths.sum() - 2 * widths[0]) * (1 + 1e-6)
    if sizes[0] < 0 or sizes[1] > room:
        got = sizes[0] if sizes[0] < 0 else sizes[1]
        raise refuse(
            argument,
            f"within [0, {room:.4g}] m, two voxels below the top",
            f"{got:.4g} m",
            "Take more cells in z.",
        )
