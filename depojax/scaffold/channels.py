"""Aligned hosts: straight channels through the depth, and stacked sheets across it.

Vertically aligned graphene, ice-templated and wood-like hosts are channels along z
(tilted by an angle θ, the tortuosity factor is 1/cos²θ); restacked sheets that lie on
the collector with slit openings are their opposite, with long ways around.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_choice, check_integer, check_range, refuse
from depojax._types import as_float, concrete
from depojax.fv.grid import Grid
from depojax.scaffold.features import (
    check_resolved,
    from_nearest_multiple,
    norm,
    off_nodes,
    uniform_grid,
)
from depojax.scaffold.gradients import Field, extremes, on_nodes
from depojax.scaffold.implicit import join_pores, join_solids
from depojax.scaffold.scaffold import Scaffold

SECTIONS = ("slit", "square", "round", "hexagonal")


def aligned_channels(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    channel_width: Field,
    wall_thickness: Any,
    angle: Any = 0.0,
    section: str = "slit",
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Straight channels along z, or tilted from it in the x–z plane.

        pitch p = channel_width w + wall_thickness,  the porosity is
        slit w/p,   square (w/p)²,   round (π/4)(w/p)²,   hexagonal (w/p)²

    Widths are taken across the channel, so the tilt leaves the porosity as it is; over
    the footprint the pattern repeats after p/cos(angle) in x. Take a whole number of
    repeats per side (in y: p; hexagonal: √3 p), then the sides are mirror planes when
    upright, and seamless with `periodic`.

    Args:
        shape: cells (x, y, z); voxel_size: [m].
        channel_width: w, across the flats when hexagonal [m]. A field (graded in z,
            say) tapers the channels: the pitch stays, and `wall_thickness` is then that
            at the collector, in the corner x = y = 0.
        wall_thickness: at the thinnest place between two channels [m].
        angle: from z towards x [rad], within ±1.4.
        section: "slit" (endless in y), "square", "round" (both on a square lattice) or
            "hexagonal" (honeycomb).
        periodic: axes whose two ends are one.

    Raises `ValueError` for sizes below two voxels, a section that is not known, or an
    angle out of range (is it in degrees?).
    Good values: w = 5–50 µm, walls 1–10 µm in vertically aligned graphene.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_choice("section", section, SECTIONS)
    check_resolved("channel_width", channel_width, grid)
    check_resolved("wall_thickness", wall_thickness, grid)
    check_range(
        "angle", angle, -1.4, 1.4, "rad", "Give radians: math.radians(30) for 30°."
    )
    width = on_nodes(channel_width, grid, "channel_width")
    pitch = width[0, 0, 0] + as_float(wall_thickness)
    check_resolved("wall_thickness (pitch − channel_width)", pitch - width, grid)
    x, y, z = grid.node_mesh()
    tilt = as_float(angle)
    across = x * jnp.cos(tilt) - z * jnp.sin(tilt) - pitch / 2
    levelset = width / 2 - _distance_to_axis(section, across, y, pitch)
    return Scaffold.from_levelset(off_nodes(levelset, grid), grid)


def _distance_to_axis(section: str, across: Array, y: Array, pitch: Array) -> Array:
    """From the nearest channel's axis, in the norm in which its section is a ball."""
    first = from_nearest_multiple(across, pitch)
    if section == "slit":
        return jnp.abs(first)
    if section == "hexagonal":
        row = math.sqrt(3.0) * pitch
        even = _hexagonal_norm(first, from_nearest_multiple(y, row))
        odd = _hexagonal_norm(
            from_nearest_multiple(across - pitch / 2, pitch),
            from_nearest_multiple(y - row / 2, row),
        )
        return join_solids(even, odd)
    second = from_nearest_multiple(y - pitch / 2, pitch)
    if section == "round":
        return norm(first, second)
    return join_pores(jnp.abs(first), jnp.abs(second))


def _hexagonal_norm(x: Array, y: Array) -> Array:
    slanted = jnp.abs(x) / 2 + math.sqrt(0.75) * jnp.abs(y)
    return join_pores(jnp.abs(x), slanted)


def stacked_sheets(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    gap: Field,
    sheet_thickness: Field,
    spacing: Any,
    period: Any,
    sheets: int | None = None,
    stagger: bool = True,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Sheets across z with slit openings: the horizontally aligned host.

    Sheet k = 0, 1, … lies at z = (k + 1/2) spacing. Its slits run along y and are
    centred at x = 0, period, … in the even sheets and, with `stagger`, half a period
    further in the odd ones.

        porosity = 1 − sheets × sheet_thickness (1 − gap/period) / height of the box

    For thin staggered sheets D_eff/D = G spacing/(period/2), G from a conformal map:
    0.109 at gap/period = 0.1, spacing/period = 0.2 (cut sheets have a thickness: they
    come near it only as sheet_thickness → 0).

    Args:
        shape: cells (x, y, z); voxel_size: [m]. A whole number of half periods along x
            makes the sides mirror planes.
        gap: width of the slits [m]; a field may grade it.
        sheet_thickness: of one sheet [m]; a field may grade it.
        spacing: from the middle of one sheet to that of the next [m].
        period: from slit to slit within a sheet [m].
        sheets: how many; as many as the height holds by default. Must be given when
            `spacing` is traced (jit, grad).
        stagger: shift the slits of every second sheet by half a period.
        periodic: axes whose two ends are one.

    Raises `ValueError` when the gap leaves no sheet, sheets touch, do not fit, or any
    size is below two voxels.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    check_resolved("gap", gap, grid)
    check_resolved("sheet_thickness", sheet_thickness, grid)
    check_resolved("spacing", spacing, grid)
    check_resolved("period", period, grid)
    width, thickness = (
        on_nodes(gap, grid, "gap"),
        on_nodes(sheet_thickness, grid, "sheet_thickness"),
    )
    height, length = as_float(spacing), as_float(period)
    _check_left("gap", width, length, grid, "leaves no sheet: take a longer period")
    _check_left("sheet_thickness", thickness, height, grid, "closes the space between")
    count = _sheets_in(grid, spacing, sheets)

    x, _, z = grid.node_mesh()
    levelsets = []
    for parity in (0, 1)[:count]:
        last = (count - 1 - parity) // 2
        nearest = jnp.clip(jnp.round((z / height - 0.5 - parity) / 2), 0, last)
        off_plane = jnp.abs(z - (2 * nearest + parity + 0.5) * height)
        shift = length / 2 if stagger and parity else jnp.zeros_like(length)
        off_slit = jnp.abs(from_nearest_multiple(x - shift, length))
        levelsets.append(join_pores(off_plane - thickness / 2, width / 2 - off_slit))
    levelset = levelsets[0] if count == 1 else join_solids(*levelsets)
    return Scaffold.from_levelset(off_nodes(levelset, grid), grid)


def _check_left(argument: str, size: Array, whole: Array, grid: Grid, why: str) -> None:
    """Refuse a `size` that leaves less than two voxels of the `whole`."""
    left = extremes(whole - size, grid)
    voxel = concrete(grid.widths[0])
    if (
        left is not None
        and voxel is not None
        and left[0] < 2 * float(voxel[0]) * 0.99999
    ):
        raise refuse(
            argument,
            f"at most {float(whole) - 2 * float(voxel[0]):.4g} m",
            f"{float(whole) - left[0]:.4g} m",
            f"It {why}.",
        )


def _sheets_in(grid: Grid, spacing: Any, sheets: int | None) -> int:
    height, between = concrete(grid.lengths[2]), concrete(spacing)
    fitting = None
    if height is not None and between is not None:
        fitting = math.floor(float(height) / float(between) * (1 + 1e-5))
    if sheets is None:
        if fitting is None:
            raise refuse(
                "sheets", "a number, as spacing is traced", "None", "Give sheets=."
            )
        sheets = fitting
    sheets = check_integer("sheets", sheets, 0 if fitting == 0 else 1)
    if fitting is not None and not 1 <= sheets <= fitting:
        raise refuse(
            "sheets",
            f"1 to {fitting}, as many as the height holds",
            sheets,
            "Take more cells in z, or a smaller spacing.",
        )
    return sheets
