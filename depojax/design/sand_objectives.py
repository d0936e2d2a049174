"""How long a host lasts: Sand's time, the current it can take, what it has lost."""

from typing import Any

import jax.numpy as jnp

from depojax._checks import check_range
from depojax._types import Scalar, as_float, static
from depojax.design.objective import (
    AbstractObjective,
    AbstractQuestion,
    cell_of,
    or_worst,
)
from depojax.problems.currents import AbstractCurrent, as_current
from depojax.problems.sand import limiting_current, sand_time
from depojax.problems.sand_solution import SandSolution
from depojax.solvers.time import Steps

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
