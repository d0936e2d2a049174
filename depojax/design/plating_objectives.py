"""How well a host is plated while its pores stand still: evenness, losses, fill."""

from typing import Any

import jax
import jax.numpy as jnp

from depojax._checks import check_choice, check_plausible, check_range
from depojax._types import Scalar, as_float, static
from depojax.design.objective import (
    AbstractObjective,
    AbstractQuestion,
    or_worst,
)
from depojax.design.plated import plating_protocol
from depojax.problems.distribution import current_distribution, depth_profile, top_share
from depojax.problems.protocols import Protocol
from depojax.problems.simulate import Simulation, simulate
from depojax.solvers.time import Steps


class Driven(AbstractQuestion):
    """`simulate` of a cell."""

    protocol: Protocol
    steps: Steps | None

    def answer(self, cell: Any) -> Simulation:
        return simulate(cell, self.protocol, steps=self.steps)

    def is_answer(self, thing: Any) -> bool:
        return isinstance(thing, Simulation)


class AbstractOfPlating(AbstractObjective):
    """An objective that reads the end of a run of `simulate`.

    Args:
        drive: a plating current [A m⁻²] per footprint, or a protocol.
        time, capacity: what ends a run at a current, [s] or [C m⁻²]: one of the two.
        steps: of the run.

    A current that cannot go on, for the metal is depleted, ends the run before.
    """

    protocol: Protocol
    steps: Steps | None

    def __init__(
        self,
        drive: Any,
        *,
        time: Any = None,
        capacity: Any = None,
        steps: Steps | None = None,
    ):
        self.protocol = plating_protocol(drive, time, capacity)
        self.steps = steps

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (Driven(self.protocol, self.steps),)


class CurrentUniformity(AbstractOfPlating):
    """How uneven the plating is: a smooth max/mean of the local current density [-].

        (Σ S |i/ī|^p / Σ S)^(1/p)  ≥ 1,    1 where it is even

    Args:
        drive, time, capacity, steps: of the run, see `AbstractOfPlating`.
        power: p; towards the maximum as it grows. Good values: 8 to 32.
        of: "current" at the end, or the "charge" plated during the run.

    On cut cells slivers make the maximum rough; p = 8 hardly sees them.
    """

    power: Scalar
    of: Any = static()
    name = "current uniformity"
    unit = ""
    sense = "minimise"

    def __init__(
        self, drive: Any, *, power: Any = 16.0, of: Any = "current", **run: Any
    ):
        super().__init__(drive, **run)
        check_range("power", power, 1.0, 1e3)
        check_choice("of", of, ("current", "charge"))
        self.power, self.of = as_float(power), of

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (run,) = answers
        spread = current_distribution(run, of=self.of)
        return or_worst(self, run.result, spread.smooth_max_over_mean(self.power))


class VoltageLoss(AbstractOfPlating):
    """Voltage that plating takes at the end of a run, −V or one of its parts [V].

    Args:
        drive, time, capacity, steps: of the run, see `AbstractOfPlating`.
        part: a name in `Simulation.voltage_parts`, such as "liquid", "solid",
            "concentration", "kinetics", "film"; by default the whole.

    V is that of the collector against the counter electrode, negative while plating.
    """

    part: str | None = static()
    name = "voltage loss"
    unit = "V"
    sense = "minimise"

    def __init__(self, drive: Any, *, part: str | None = None, **run: Any):
        super().__init__(drive, **run)
        self.part = part

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (run,) = answers
        if self.part is None:
            return or_worst(self, run.result, -run.final_voltage)
        check_choice("part", self.part, run.voltage_parts)
        return or_worst(self, run.result, -run.voltage_parts[self.part])


class TopPlatingShare(AbstractOfPlating):
    """Share of the charge that is plated near the top of the host [-].

    Args:
        drive, time, capacity, steps: of the run, see `AbstractOfPlating`.
        depth: below the top [m]. An even host gives depth/thickness.
        of: "charge" plated during the run, or the "current" at its end.

    See `depojax.top_share`.
    """

    depth: Scalar
    of: Any = static()
    name = "top plating share"
    unit = ""
    sense = "minimise"

    def __init__(self, drive: Any, *, depth: Any, of: Any = "charge", **run: Any):
        super().__init__(drive, **run)
        check_plausible("depth", depth, 1e-9, 1e-1, "m", "10 * um")
        check_choice("of", of, ("current", "charge"))
        self.depth, self.of = as_float(depth), of

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (run,) = answers
        share = top_share(run, self.depth, of=self.of)
        return or_worst(self, run.result, share)


class FillBeforeClosure(AbstractOfPlating):
    """Share of the host's pore that metal fills before the first layer closes [-].

        q_k = pore volume of layer k / (its share of the plating × pore volume)
        fill = (1/n Σ q_k^−p)^(−1/p)  →  the smallest q_k as p → ∞

    With the shares that the run of `drive` has left: the host is filled on as it began.
    1 where every layer closes at once; ways that narrow on the way make it worse, which
    `FillAtClosure` follows.

    Args:
        drive, time, capacity, steps: of the run, see `AbstractOfPlating`.
        power: p. Good values: 16 to 64.
    """

    power: Scalar
    name = "fill before closure"
    unit = ""
    sense = "maximise"

    def __init__(self, drive: Any, *, power: Any = 32.0, **run: Any):
        super().__init__(drive, **run)
        check_range("power", power, 1.0, 1e3)
        self.power = as_float(power)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (run,) = answers
        host = run.cell.scaffold
        pore = jnp.sum(host.pore_fraction * host.grid.volumes, (0, 1))
        charge = depth_profile(run).charge
        plated = charge / jnp.sum(charge)
        # 1/q is what is summed: a layer without plating never closes.
        speed = plated / (pore / jnp.sum(pore))
        fastest = jax.lax.stop_gradient(jnp.max(speed))
        some = speed > 0
        relative = jnp.where(some, speed / fastest, 1.0) ** self.power
        mean = jnp.mean(jnp.where(some, relative, 0.0))
        fill = 1 / (fastest * mean ** (1 / self.power))
        return or_worst(self, run.result, fill)
