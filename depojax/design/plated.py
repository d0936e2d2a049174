"""What the metal of a whole run of `plate` says: how full the host is, and where.

Unlike objectives of `simulate`, whose geometry stands still, these follow pores that
narrow, metal that nucleates and pores that close. How many windows of time that takes
is decided while it runs, so neither `jit` nor `vmap` can go through: hand them to
`optimise(..., jit=False)`. Their derivatives take the windows as they are; they are
those of the numbers that come out where `windows=Windows(fixed=...)`.
"""

from typing import Any

import jax.numpy as jnp

from depojax._checks import check_plausible, check_range, refuse
from depojax._types import Scalar, as_float, concrete
from depojax.design.objective import AbstractObjective, AbstractQuestion, or_worst
from depojax.physics.nucleation import Nucleation
from depojax.problems.growth import AbstractGrowth, HomogenisedGrowth
from depojax.problems.plating import plate
from depojax.problems.plating_solution import Plating
from depojax.problems.plating_window import Windows
from depojax.problems.protocols import Protocol, protocol_from
from depojax.problems.steps import Galvanostatic
from depojax.solvers.time import Steps


def plating_protocol(drive: Any, time: Any, capacity: Any) -> Protocol:
    """A protocol as it is; a current [A m⁻²] until a time [s] or a charge [C m⁻²]."""
    given = [end for end in (time, capacity) if end is not None]
    if isinstance(drive, (int, float)) or hasattr(drive, "dtype"):
        if len(given) != 1:
            raise refuse(
                "time, capacity", "one of them, to end the run", f"{len(given)} of them"
            )
        return protocol_from(Galvanostatic(drive, time=time, capacity=capacity))
    if given:
        raise refuse(
            "time, capacity", "neither for a protocol, which says its ends", given[0]
        )
    return protocol_from(drive)


class Filling(AbstractQuestion):
    """`plate` of a cell."""

    protocol: Protocol
    growth: AbstractGrowth | None
    nucleation: Nucleation | None
    double_layer_capacitance: Scalar
    windows: Windows | None
    steps: Steps | None

    def answer(self, cell: Any) -> Plating:
        return plate(
            cell,
            self.protocol,
            growth=self.growth,
            nucleation=self.nucleation,
            double_layer_capacitance=self.double_layer_capacitance,
            windows=self.windows,
            steps=self.steps,
        )

    def is_answer(self, thing: Any) -> bool:
        return isinstance(thing, Plating)


class AbstractOfGrowth(AbstractObjective):
    """An objective that reads the end of a run of `plate`.

    Args:
        drive: a plating current [A m⁻²] per footprint, or a protocol.
        time, capacity: what ends a run at a current, [s] or [C m⁻²]: one of the two.
            The first pore that closes ends it as well.
        growth: how the metal fills the host, as `plate` takes it.
        nucleation: how metal nucleates on a bare host; that of a
            `DesignedNucleation.build(host)` where it is designed.
        double_layer_capacitance: charged before there are nuclei [F m⁻²].
        windows, steps: of the run.

    Not inside of jit and vmap: `optimise(..., jit=False)`.
    """

    run: Filling

    def __init__(
        self,
        drive: Any,
        *,
        time: Any = None,
        capacity: Any = None,
        growth: AbstractGrowth | None = None,
        nucleation: Nucleation | None = None,
        double_layer_capacitance: Any = 0.1,
        windows: Windows | None = None,
        steps: Steps | None = None,
    ):
        self.run = Filling(
            plating_protocol(drive, time, capacity),
            growth,
            nucleation,
            as_float(double_layer_capacitance),
            windows,
            steps,
        )

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (self.run,)


class FillAtClosure(AbstractOfGrowth):
    """Share of the host's pore that is metal when the first pore closes [-].

        fill = Q V_m/(zF) / Σ ε₀ V,    Q plated until min ε reaches `growth.closed`

    What the run itself gives, with transport and area that change as pores fill;
    `FillBeforeClosure` carries the shares of one moment on instead, for the price of
    that moment. Where the run ends before a pore closes, it is the fill until then:
    give a capacity beyond that of the pores.

    Args:
        drive, time, capacity, growth, nucleation, double_layer_capacitance, windows,
            steps: of the run, see `AbstractOfGrowth`.

    A host that fills evenly gives 1 − closed/ε₀, times the share of the deposit that is
    metal. The pore that closes first may change from one place to another: the slope
    then jumps.
    """

    name = "fill at closure"
    unit = ""
    sense = "maximise"

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (run,) = answers
        host = run.cell.scaffold
        pore = jnp.sum(host.pore_fraction * host.grid.volumes)
        return or_worst(self, run.result, run.deposited_volume / pore)


class LowerMetalShare(AbstractOfGrowth):
    """Share of the metal that lies in the lower part of the host [-].

    Of all that was plated less what was stripped, live or dead, that on the collector
    included. Layers that the height cuts count in proportion.

    Args:
        drive, time, capacity, growth, nucleation, double_layer_capacitance, windows,
            steps: of the run, see `AbstractOfGrowth`.
        height: above the collector [m]. An even host gives height/thickness.

    Raises `ValueError` for a resolved host, whose metal has no cells of its own.
    """

    height: Scalar
    name = "lower metal share"
    unit = ""
    sense = "maximise"

    def __init__(self, drive: Any, *, height: Any, **run: Any):
        super().__init__(drive, **run)
        check_plausible("height", height, 1e-9, 1e-1, "m", "10 * um")
        self.height = as_float(height)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (run,) = answers
        if not isinstance(run.growth, HomogenisedGrowth):
            raise refuse(
                self.name,
                "a run with HomogenisedGrowth",
                f"one with {type(run.growth).__name__}",
                "Describe the host by Scaffold.homogenised.",
            )
        nodes = run.cell.scaffold.grid.nodes[2]
        top = concrete(nodes[-1])
        most = jnp.inf if top is None else float(top) * (1 + 1e-12)
        check_range("height", self.height, 0.0, float(most), "m", open_low=True)
        layers = jnp.sum(run.metal.plated, (0, 1))
        inside = (self.height - nodes[:-1]) / (nodes[1:] - nodes[:-1])
        below = jnp.sum(layers * jnp.clip(inside, 0.0, 1.0))
        return or_worst(self, run.result, below / jnp.sum(layers))
