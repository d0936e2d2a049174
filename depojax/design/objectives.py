"""What a host can be good at: numbers of a cell to maximise or to minimise.

Each is a callable of a `Cell` with a `name`, a `unit` and a `sense`; they are weighted
and added, and objectives of one run share it (see `depojax.design.objective`):

    objectives.SandTime(J) / (100 * s) + 0.5 * objectives.HostMass(8960.0) / 0.1

| objective | better | unit |
|---|---|---|
| `SandTime`, `SandCapacity` | more | s, C m⁻² |
| `LimitingCurrent` | more | A m⁻² |
| `DepletedArea` | less | share of the metal |
| `CurrentUniformity` | less | smooth max/mean |
| `VoltageLoss` | less | V |
| `TopPlatingShare` | less | share of the charge |
| `FillBeforeClosure`, `FillAtClosure` | more | share of the pore |
| `LowerMetalShare` | more | share of the metal |
| `EffectiveDiffusivity`, `EffectiveConductivity` | more | –, S m⁻¹ |
| `HostMass`, `HostVolume` | less | kg m⁻², m³ m⁻² |
| `SpecificEnergy`, `EnergyDensity` | more | Wh kg⁻¹, Wh L⁻¹ |
| `FeatureSize`, `MonotoneProfile` | less | – |

All are differentiable, forward and reverse; where one is not smooth it says so.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_choice, check_plausible, check_range, refuse
from depojax._types import Cells, Scalar, as_float, static
from depojax.design.manufacturing import FeatureSize, MonotoneProfile
from depojax.design.objective import (
    AbstractObjective,
    AbstractQuestion,
    Own,
    WeightedSum,
    cell_of,
    or_worst,
    scaffold_of,
)
from depojax.design.plated import FillAtClosure, LowerMetalShare, plating_protocol
from depojax.design.stack import EnergyDensity, HostMass, HostVolume, SpecificEnergy
from depojax.fv.grid import axis_index
from depojax.fv.operators import harmonic_to_faces
from depojax.problems.currents import AbstractCurrent, as_current
from depojax.problems.distribution import current_distribution, depth_profile, top_share
from depojax.problems.protocols import Protocol
from depojax.problems.sand import limiting_current, sand_time
from depojax.problems.sand_solution import SandSolution
from depojax.problems.simulate import Simulation, simulate
from depojax.problems.tortuosity import Tortuosity, tortuosity
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.time import Steps

__all__ = [
    "AbstractObjective",
    "CurrentUniformity",
    "DepletedArea",
    "EffectiveConductivity",
    "EffectiveDiffusivity",
    "EnergyDensity",
    "FeatureSize",
    "FillAtClosure",
    "FillBeforeClosure",
    "HostMass",
    "HostVolume",
    "LimitingCurrent",
    "LowerMetalShare",
    "MonotoneProfile",
    "Own",
    "SandCapacity",
    "SandTime",
    "SpecificEnergy",
    "TopPlatingShare",
    "VoltageLoss",
    "WeightedSum",
]

_ALL_BUT_THE_LAST = 0.99  # of the metal: depletion of so much ends any run


class Depletion(AbstractQuestion):
    """`sand_time` of a cell."""

    current: AbstractCurrent
    end_time: Scalar | None
    steps: Steps | None
    share: float = static()

    def answer(self, cell: Any) -> SandSolution:
        return sand_time(
            cell,
            self.current,
            steps=self.steps,
            depleted_share=self.share,
            max_time=self.end_time,
        )

    def is_answer(self, thing: Any) -> bool:
        return isinstance(thing, SandSolution)


class Driven(AbstractQuestion):
    """`simulate` of a cell."""

    protocol: Protocol
    steps: Steps | None

    def answer(self, cell: Any) -> Simulation:
        return simulate(cell, self.protocol, steps=self.steps)

    def is_answer(self, thing: Any) -> bool:
        return isinstance(thing, Simulation)


class Conducting(AbstractQuestion):
    """`tortuosity` of the pores of a host."""

    axis: str = static()

    def answer(self, cell: Any) -> Tortuosity:
        return tortuosity(scaffold_of(cell), self.axis)

    def is_answer(self, thing: Any) -> bool:
        return isinstance(thing, Tortuosity)


class SandTime(AbstractObjective):
    """Sand's time τ [s] at a current: when a share of the metal is depleted.

    Args:
        current_density: per footprint [A m⁻²], or a current protocol.
        depleted_share: of the metal, whose depletion counts [-]; 0 is the first place,
            which may change from one place to another on the way: the slope then
            jumps. A few percent follow the host, not a corner of it.
        max_time: at which the run stops [s]; τ is infinite then.
        steps: of the run.

    Below the limiting current τ is infinite, without a slope: take a larger current, or
    `LimitingCurrent`. See `depojax.sand_time`.
    """

    current: AbstractCurrent
    max_time: Scalar | None
    steps: Steps | None
    depleted_share: float = static()
    name = "Sand's time"
    unit = "s"
    sense = "maximise"

    def __init__(
        self,
        current_density: Any,
        *,
        depleted_share: float = 0.0,
        max_time: Any = None,
        steps: Steps | None = None,
    ):
        check_range("depleted_share", depleted_share, 0.0, 1.0, open_high=True)
        self.current = as_current(current_density)
        self.depleted_share = float(depleted_share)
        self.max_time = None if max_time is None else as_float(max_time)
        self.steps = steps

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        share = self.depleted_share
        return (Depletion(self.current, self.max_time, self.steps, share),)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (found,) = answers
        return or_worst(self, found.result, found.time)


class SandCapacity(SandTime):
    """Charge per footprint passed until Sand's time, ∫₀^τ J dt [C m⁻²].

    Arguments as `SandTime`. 1 mAh cm⁻² is 36 000 C m⁻².
    """

    name = "Sand's capacity"
    unit = "C m-2"

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (found,) = answers
        return or_worst(self, found.result, found.capacity)


class LimitingCurrent(AbstractObjective):
    """Largest current [A m⁻²] that never depletes more than a share of the metal.

    Of even plating; zero for a blocked or half-infinite far side. One steady solve, so
    it is the cheapest of what transport asks. See `depojax.limiting_current`.
    """

    depleted_share: float = static(default=0.0)
    name = "limiting current"
    unit = "A m-2"
    sense = "maximise"

    def __check_init__(self):
        check_range("depleted_share", self.depleted_share, 0.0, 1.0, open_high=True)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        cell = cell_of(self, cell)
        return limiting_current(cell, depleted_share=self.depleted_share)


class DepletedArea(AbstractObjective):
    """Share of the metal that is nearly depleted at a time [-].

        Σ S h(c_s/(2 θ c₀)) / Σ S,    h(x) = 1 − 3x² + 2x³, 0 beyond x = 1

    so that a place at c_s = θ c₀ counts by half. Slopes are continuous.

    Args:
        current_density: per footprint [A m⁻²], or a current protocol.
        time: [s]; the run ends before where 99 % of the metal are depleted.
        threshold: θ [-]. Good values: 0.05 to 0.2.
        steps: of the run.
    """

    current: AbstractCurrent
    time: Scalar
    threshold: Scalar
    steps: Steps | None
    name = "depleted area"
    unit = ""
    sense = "minimise"

    def __init__(
        self,
        current_density: Any,
        time: Any,
        *,
        threshold: Any = 0.1,
        steps: Steps | None = None,
    ):
        check_range("time", time, 0.0, 1e9, "s", open_low=True)
        check_range("threshold", threshold, 0.0, 0.5, open_low=True)
        self.current = as_current(current_density)
        self.time, self.threshold = as_float(time), as_float(threshold)
        self.steps = steps

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (Depletion(self.current, self.time, self.steps, _ALL_BUT_THE_LAST),)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (found,) = answers
        cell = found.cell
        area = cell.domain().wall_area
        c0 = cell.electrolyte.concentration
        x = found.wall_concentration / (2 * self.threshold * c0)
        x = jnp.where(x < 1, x, 1.0)
        share = jnp.sum(area * (1 - x * x * (3 - 2 * x))) / jnp.sum(area)
        return or_worst(self, found.result, share)


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


class EffectiveDiffusivity(AbstractObjective):
    """D_eff/D of the pores along an axis [-]; see `depojax.tortuosity`.

    Needs the shape alone: a `Scaffold` will do.
    """

    axis: str = static(default="z")
    name = "effective diffusivity"
    unit = ""
    sense = "maximise"

    def __check_init__(self):
        axis_index(self.axis)

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (Conducting(self.axis),)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (found,) = answers
        return or_worst(self, found.result, found.effective_diffusivity)


class EffectiveConductivity(AbstractObjective):
    """Conductivity of the host as a whole along an axis [S m⁻¹].

    Args:
        phase: "pore": κ(c₀) D_eff/D, of the ions; "solid": of the electrons, with the
            cell's `solid_conductivity` σ, ∇·(σ ∇φ) = 0.
        axis: "x", "y" or "z".

    Raises `ValueError` for the solid of a cell without `solid_conductivity`.
    """

    phase: str = static(default="solid")
    axis: str = static(default="z")
    name = "effective conductivity"
    unit = "S m-1"
    sense = "maximise"

    def __check_init__(self):
        check_choice("phase", self.phase, ("pore", "solid"))
        axis_index(self.axis)

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (Conducting(self.axis),) if self.phase == "pore" else ()

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        cell = cell_of(self, cell)
        if self.phase == "pore":
            (found,) = answers
            electrolyte = cell.salt
            bulk = electrolyte.properties(electrolyte.concentration).conductivity
        else:
            if cell.solid_conductivity is None:
                raise refuse(
                    "cell",
                    "one with a solid_conductivity",
                    "none",
                    "Give Cell(..., solid_conductivity=...) [S m⁻¹].",
                )
            bulk = jax.lax.stop_gradient(jnp.max(cell.solid_conductivity))
            relative = cell.solid_conductivity / bulk
            found = tortuosity(_for_electrons(cell.scaffold, relative), self.axis)
        return or_worst(self, found.result, bulk * found.effective_diffusivity)


def _for_electrons(scaffold: Scaffold, conductivity: Cells) -> Scaffold:
    """A host whose pores conduct as its solid does."""
    grid, faces = scaffold.grid, []
    solid: Array = jnp.ones_like(conductivity)
    if scaffold.resolved:
        solid = 1 - scaffold.pore_fraction
    for axis, pore in enumerate(scaffold.face_transmission):
        sigma = harmonic_to_faces(grid, conductivity, axis)
        faces.append(sigma * (1 - pore) if scaffold.resolved else sigma)
    none = jnp.zeros_like(conductivity)
    x, y, z = faces
    return Scaffold(
        grid=grid,
        pore_fraction=solid,
        face_transmission=(x, y, z),
        surface_area=none,
        wall_distance=none,
        closed_pore_fraction=jnp.zeros((), none.dtype),
        resolved=scaffold.resolved,
    )
