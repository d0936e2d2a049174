"""Scaffolds from triply periodic minimal surfaces: gyroid, Schwarz P, Schwarz D.

With X = 2π x/P and so on (P the period, edge of the cubic unit cell) the surfaces are
taken by their first Fourier terms, F(X, Y, Z) = level:

    gyroid     F = sin X cos Y + sin Y cos Z + sin Z cos X
    Schwarz P  F = cos X + cos Y + cos Z
    Schwarz D  F = sin X sin Y sin Z + sin X cos Y cos Z
                   + cos X sin Y cos Z + cos X cos Y sin Z

`"skeletal"`: one of the two labyrinths is solid, pore = {F > level}. `"sheet"`: a wall
about the surface is solid, pore = {|F| > level}, both labyrinths are pore. The level
follows from the porosity; F = 0 halves the volume.

Schoen, NASA TN D-5541 (1970); Wohlgemuth et al., Macromolecules 34, 6083 (2001),
doi:10.1021/ma0019499.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import (
    check_choice,
    check_finite,
    refuse,
)
from depojax._types import as_float, concrete, is_traced
from depojax.fv.grid import AXES, Grid, along
from depojax.scaffold.features import uniform_grid
from depojax.scaffold.gradients import on_nodes
from depojax.scaffold.implicit import at_porosity, in_voxels, porosity_on_nodes
from depojax.scaffold.scaffold import Scaffold

_SMALLEST_PERIOD = 8.0  # voxels
_THINNEST_SOLID = 2.0  # voxels


def gyroid(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    period: Any,
    kind: str = "skeletal",
    phase: Any = 0.0,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Gyroid scaffold: three-way struts (skeletal) or one smooth wall (sheet).

    The two labyrinths are mirror images, so it does not matter which one is solid.

    Args:
        shape: cells (x, y, z).
        voxel_size: edge of the cubic cells [m].
        porosity: pore volume / total volume [-]; skeletal 0.03–0.97, sheet above 0.06
            (beyond, a labyrinth falls apart); may be graded.
        period: edge of the cubic unit cell [m], at least 8 voxels; may be graded. The
            phase along each axis is then ∫ dx/P along that axis, anchored to the middle
            of the sample: the surface stays smooth, the cells keep their proportions on
            the centre line and shear away from it, by |x − x_mid| |dP/dz| / P.
        kind: `"skeletal"` or `"sheet"`.
        phase: shift of the pattern towards the origin [periods], one or three numbers.
        periodic: axes whose two ends are one; the sample must hold whole periods there.

    Raises `ValueError` for porosities beyond these, periods below 8 voxels, a gradient
    that shears cells by more than 45°, solid thinner than 2 voxels, and periodic axes
    that do not close. Traced numbers are not looked at.

    Good values: porosity 0.5–0.9, 16–32 voxels per period.
    """
    return _scaffold(
        _GYROID, shape, voxel_size, porosity, period, kind, phase, periodic
    )


def schwarz_p(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    period: Any,
    kind: str = "skeletal",
    phase: Any = 0.0,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Schwarz P scaffold: six-way nodes on a cubic lattice (skeletal), or one wall.

    Skeletal solid is the labyrinth about the middle of the unit cell, the pore the one
    about its corners. Its necks close early: porosity 0.22–0.78, sheet above 0.44.
    Otherwise as `gyroid`.
    """
    return _scaffold(_P, shape, voxel_size, porosity, period, kind, phase, periodic)


def schwarz_d(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    period: Any,
    kind: str = "skeletal",
    phase: Any = 0.0,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Schwarz D (diamond) scaffold: four-way nodes on a diamond lattice, or one wall.

    The two labyrinths are alike, so it does not matter which one is solid. Porosity
    0.09–0.91, sheet above 0.18. Otherwise as `gyroid`.
    """
    return _scaffold(_D, shape, voxel_size, porosity, period, kind, phase, periodic)


class _Surface(NamedTuple):
    function: Callable[[Array, Array, Array], Array]
    pinch: float  # volume fraction below which a labyrinth falls apart


def _gyroid(x: Array, y: Array, z: Array) -> Array:
    sin, cos = jnp.sin, jnp.cos
    return sin(x) * cos(y) + sin(y) * cos(z) + sin(z) * cos(x)


def _schwarz_p(x: Array, y: Array, z: Array) -> Array:
    return jnp.cos(x) + jnp.cos(y) + jnp.cos(z)


def _schwarz_d(x: Array, y: Array, z: Array) -> Array:
    sin, cos = jnp.sin, jnp.cos
    odd = sin(x) * cos(y) + cos(x) * sin(y)
    return odd * cos(z) + (cos(x) * cos(y) + sin(x) * sin(y)) * sin(z)


# Fractions counted on 96³ samples at the levels of the saddles (√2, 1, 1), rounded up.
_GYROID = _Surface(_gyroid, 0.03)
_P = _Surface(_schwarz_p, 0.22)
_D = _Surface(_schwarz_d, 0.09)


def _scaffold(surface, shape, voxel_size, porosity, period, kind, phase, periodic):
    check_choice("kind", kind, ("skeletal", "sheet"))
    grid = uniform_grid(shape, voxel_size, periodic)
    target = _checked_porosity(porosity, grid, surface, kind)
    phases = _phases(_checked_period(period, grid), _checked_phase(phase, grid), grid)
    field = surface.function(*(2 * np.pi * cycles for cycles in phases))
    _refuse_open_ends(field, grid)
    scaffold = at_porosity(jnp.abs(field) if kind == "sheet" else field, grid, target)
    _refuse_thin_solid(scaffold, target, kind)
    return scaffold


def _checked_porosity(porosity: Any, grid: Grid, surface: _Surface, kind: str) -> Array:
    sheet = kind == "sheet"
    low, high = (
        (2 * surface.pinch, 1.0) if sheet else (surface.pinch, 1 - surface.pinch)
    )
    cure = f"Beyond, the labyrinths of a {kind} surface of this type fall apart."
    return porosity_on_nodes(porosity, grid, low, high, cure)


def _checked_period(period: Any, grid: Grid) -> Array:
    values = on_nodes(period, grid, "period").astype(grid.dtype)
    cure = "Use a smaller voxel_size or a longer period."
    in_voxels("period", values, grid, _SMALLEST_PERIOD, np.inf, cure)
    return values


def _checked_phase(phase: Any, grid: Grid) -> Array:
    check_finite("phase", phase)
    if np.shape(phase) not in ((), (3,)):
        raise refuse("phase", "one or three numbers [periods]", np.shape(phase))
    return jnp.broadcast_to(as_float(phase).astype(grid.dtype), (3,))


def _phases(period: Array, shift: Array, grid: Grid) -> list[Array]:
    """Phase along each axis in periods, ∫ dx/P from the middle of the sample.

    What a period P at the collector's corner gives from there to the middle is added,
    so that for a constant period the phase is x/P.
    """
    phases = []
    for axis, nodes in enumerate(grid.nodes):
        cycles = _integral(1 / period, nodes, axis) + shift[axis]
        middle = jnp.take(cycles, jnp.asarray([nodes.size // 2]), axis=axis)
        phases.append(cycles - middle + middle[:1, :1, :1])
    _refuse_shear(phases, period, grid)
    return phases


def _integral(density: Array, nodes: Array, axis: int) -> Array:
    """∫ density dx along `axis` from the first node (trapezoids)."""
    if density.shape[axis] == 1:
        return density * along(nodes, axis)
    lower = jnp.take(density, jnp.arange(nodes.size - 1), axis=axis)
    upper = jnp.take(density, jnp.arange(1, nodes.size), axis=axis)
    steps = (lower + upper) / 2 * along(jnp.diff(nodes), axis)
    start = [(1, 0) if a == axis else (0, 0) for a in range(3)]
    return jnp.pad(jnp.cumsum(steps, axis=axis), start)


def _refuse_shear(phases: list[Array], period: Array, grid: Grid) -> None:
    if is_traced(period) or period.size == 1:
        return
    h = grid.widths[0][0]
    worst = 0.0
    for axis, cycles in enumerate(phases):
        for other in range(3):
            if other != axis and cycles.shape[other] > 1:
                local = jnp.broadcast_to(period, cycles.shape)
                local = jax.lax.slice_in_dim(local, 1, None, axis=other)
                slope = jnp.abs(jnp.diff(cycles, axis=other)) * local / h
                worst = max(worst, float(jnp.max(slope)))
    if worst > 1:
        raise refuse(
            "period",
            "a gradient that shears the cells at the sides by at most 45°",
            f"{np.degrees(np.arctan(worst)):.0f}°",
            "Grade less steeply, or over a narrower sample.",
        )


def _refuse_open_ends(field: Array, grid: Grid) -> None:
    values = concrete(field)
    if values is None:
        return
    for axis, wraps in enumerate(grid.periodic):
        if (
            wraps
            and np.ptp(np.take(values, [0, -1], axis=axis), axis=axis).max() > 1e-3
        ):
            raise refuse(
                f"periodic[{AXES[axis]}]", "whole periods in the sample",
                "ends that do not fit each other",
                "Make shape × voxel_size a multiple of the period, and constant there.",
            )  # fmt: skip


def _refuse_thin_solid(scaffold: Scaffold, target: Array, kind: str) -> None:
    if is_traced(scaffold.surface_area):
        return
    # of a plate 2 volume / area, of a strut 4 volume / area
    factor = 2 if kind == "sheet" else 4
    solid = 1 - float(jnp.mean(target))
    thickness = factor * solid / float(scaffold.specific_area)
    across = thickness / float(scaffold.grid.widths[0][0])
    if across < _THINNEST_SOLID:
        raise refuse(
            "porosity",
            f"solid at least {_THINNEST_SOLID:g} voxels thick",
            f"{across:.2g} voxels on average",
            "Use a smaller voxel_size, a longer period or a lower porosity.",
        )
