"""Plating and stripping a cell: metal that grows into the pores of its host.

Operator splitting. In each window of time geometry stands still and the coupled cell is
integrated (`cell_model` has the equations); then a growth turns the charge plated at
every place into new geometry, v_n = V_m i/(zF), and the salt stays what it was.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from depojax._checks import check_array_shape, check_range, refuse
from depojax._types import as_float, concrete
from depojax.physics.deposit import SurfaceLoss
from depojax.physics.nucleation import Nucleation
from depojax.problems.cell import Cell
from depojax.problems.growth import AbstractGrowth, HomogenisedGrowth, metal_of
from depojax.problems.level_set_growth import LevelSetGrowth
from depojax.problems.plating_run import PlatingRun
from depojax.problems.plating_solution import Plating
from depojax.problems.plating_window import Windows
from depojax.problems.protocols import protocol_from
from depojax.problems.simulate import check_cell
from depojax.solvers.time import Steps


def plate(
    cell: Cell,
    protocol: Any,
    *,
    kinetics: Any = None,
    nucleation: Nucleation | None = None,
    double_layer_capacitance: Any = 0.1,
    growth: AbstractGrowth | None = None,
    surface_loss: SurfaceLoss | None = None,
    stop_on_closure: bool = True,
    windows: Windows | None = None,
    steps: Steps | None = None,
    start: Plating | None = None,
    progress: bool = False,
    throw: bool = True,
    keep: Callable[[Plating], None] | None = None,
) -> Plating:
    """Plate and strip a cell, and let its metal grow.

    Args:
        cell: with a `metal`, and an electrolyte whose conductivity is known. Where it
            has no `initial_deposit` it is bare: only what was plated can be stripped.
        protocol: a step such as `Galvanostatic`, a sentence such as "Plate at 1 mA/cm2
            until 4 mAh/cm2", or a sequence of them.
        kinetics: of host and collector, instead of those of the cell.
        nucleation: how metal nucleates on the bare host and collector, its numbers one
            or one per cell of the scaffold; by default all of it reacts like metal.
            Only with `HomogenisedGrowth`: a mean over nuclei has no surface to move.
        double_layer_capacitance: of host and collector [F m⁻²], charged before there
            are nuclei. Good values: 0.05 to 0.4.
        growth: how the metal fills the host; by default `HomogenisedGrowth()` where it
            is known by its averages and where there is nucleation, else
            `LevelSetGrowth()`.
        surface_loss: film on new metal surface, which takes live metal; by default none
            forms. Metal that is there at first has its film.
        stop_on_closure: end the run where the first pore closes.
        windows: how long geometry stands still; `Windows(0.05)` by default.
        steps: choice of time steps in a window; `Steps(tolerance=1e-4)` by default.
        start: a run of the same cell to go on from, with this protocol.
        progress: show a progress bar on stderr.
        throw: raise `SolveError` when a solve fails, instead of saying so in `result`.
        keep: called with the run so far after windows, a minute apart or more: to save
            restart points. `go_on` takes one up.

    Differentiable under `jax.grad` and `jax.jvp`, not inside of `jit` or `vmap`: how
    many windows there are is decided while it runs. Derivatives take the windows as
    they are; with `Windows(fixed=...)` they are those of the numbers that come out.

    Raises `ValueError` for what is no cell or protocol, for a cell without a metal and
    one in float32; `SolveError` for a solve that failed.
    """
    check_cell(cell)
    _ = metal_of(cell)
    if kinetics is not None:
        cell = cell.replace(kinetics=kinetics)
    if start is not None:
        growth = start.growth if growth is None else growth
        nucleation = _nucleation_of(start, nucleation)
        surface_loss = start.surface_loss if surface_loss is None else surface_loss
    if growth is None:
        averages = not cell.scaffold.resolved or nucleation is not None
        growth = HomogenisedGrowth() if averages else LevelSetGrowth()
    if not isinstance(growth, AbstractGrowth):
        raise refuse(
            "growth", "a HomogenisedGrowth or LevelSetGrowth", type(growth).__name__
        )
    growth.check(cell)
    if not isinstance(surface_loss, SurfaceLoss | None):
        raise refuse("surface_loss", "a SurfaceLoss", type(surface_loss).__name__)
    check_range(
        "double_layer_capacitance", double_layer_capacitance, 0.0, 1e4, "F m⁻²",
        "Write it with its unit, as 10 * uF / cm**2.", open_low=True,
    )  # fmt: skip
    if nucleation is not None:
        _check_nucleation(nucleation, cell, bare=start is None)
        if not isinstance(growth, HomogenisedGrowth):
            raise refuse(
                "growth",
                "a HomogenisedGrowth where there is nucleation",
                type(growth).__name__,
                "Draw nuclei (depojax.physics.nuclei) and move their surface, or leave "
                "nucleation out.",
            )
    run = PlatingRun(
        cell=cell,
        protocol=protocol_from(protocol),
        growth=growth,
        stop_on_closure=stop_on_closure,
        windows=Windows() if windows is None else windows,
        steps=Steps() if steps is None else steps,
        progress=progress,
        keep=keep,
        nucleation=nucleation,
        capacitance=as_float(double_layer_capacitance),
        surface_loss=surface_loss,
    )
    if start is None:
        run.begin()
    else:
        _check_start(start, cell, growth)
        run.take_up(start)
    return run.through_protocol(throw)


def go_on(
    partial: Plating,
    *,
    stop_on_closure: bool = True,
    windows: Windows | None = None,
    steps: Steps | None = None,
    progress: bool = False,
    throw: bool = True,
    keep: Callable[[Plating], None] | None = None,
) -> Plating:
    """Finish a run that was kept on its way, as if it had never been stopped.

    Raises `ValueError` for what is no `Plating`, and as `plate` does.
    """
    if not isinstance(partial, Plating):
        raise refuse("partial", "a Plating", type(partial).__name__)
    run = PlatingRun(
        cell=partial.cell,
        protocol=partial.protocol,
        growth=partial.growth,
        stop_on_closure=stop_on_closure,
        windows=Windows() if windows is None else windows,
        steps=Steps() if steps is None else steps,
        progress=progress,
        keep=keep,
        nucleation=partial.nucleation,
        capacitance=partial.double_layer_capacitance,
        surface_loss=partial.surface_loss,
    )
    run.restore(partial)
    return run.through_protocol(throw)


def _nucleation_of(start: Plating, nucleation: Nucleation | None) -> Any:
    if nucleation is not None and start.nuclei is None:
        raise refuse(
            "start",
            "a run with nucleation, as this one",
            "one without, whose metal is everywhere",
        )
    return start.nucleation if nucleation is None else nucleation


def _check_nucleation(nucleation: Any, cell: Cell, *, bare: bool) -> None:
    if not isinstance(nucleation, Nucleation):
        raise refuse("nucleation", "a Nucleation", type(nucleation).__name__)
    for number in jax.tree.leaves(nucleation):
        if np.ndim(number) != 0:
            check_array_shape("a field of nucleation", number, cell.scaffold.shape)
    if cell.kinetics is None:
        raise refuse(
            "kinetics",
            "some, for there is no overpotential without",
            "None",
            "Give plate(..., kinetics=depojax.ButlerVolmer(10.0)).",
        )
    deposit = cell.initial_deposit
    first = None if deposit is None else concrete(deposit)
    if bare and first is not None and first.any():
        raise refuse(
            "nucleation",
            "a bare host, initial_deposit=0",
            "one with metal on it, on which nothing needs to nucleate",
        )


def _check_start(start: Plating, cell: Cell, growth: AbstractGrowth) -> None:
    if start.cell.grid.shape != cell.grid.shape:
        raise refuse(
            "start",
            f"a run of a cell of {cell.grid.shape} cells",
            f"one of {start.cell.grid.shape}",
        )
    if type(start.growth) is not type(growth):
        raise refuse(
            "start",
            f"a run with {type(growth).__name__}",
            f"one with {type(start.growth).__name__}",
        )
