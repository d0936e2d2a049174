"""What an optimisation found, and how it went."""

from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from depojax._types import Scalar, static

Ended = Literal["steps", "converged", "stalled", "failed"]

_SENTENCES = {
    "steps": "All {steps} steps are done.",
    "converged": "The gradient has vanished after {steps} steps.",
    "stalled": "Nothing has improved for a while: stopped after {steps} steps.",
    "failed": (
        "No step from here has a finite loss and gradient, however short: stopped "
        "after {steps} steps. The design may lie at the edge of what can be solved."
    ),
}


class Optimisation(eqx.Module):
    """What an optimisation found, and how it went.

    Histories hold the start and the state after every step; with an ensemble they have
    its members as their last axis.
    """

    design: Any  # the best: feasible, with the lowest loss
    loss: Scalar  # of the best
    violation: Scalar  # of its constraints, in units of their scales
    multipliers: dict[str, Array]  # of the constraints, at the end [loss / their unit]
    history: dict[str, Float[Array, "steps *members"]]
    designs: dict[str, Float[Array, "steps ..."]]  # free numbers, if they were kept
    last: Any  # the design at the end, all members of an ensemble
    best_step: int = static()  # at which the best was found
    best_member: int = static()  # of an ensemble, else 0
    steps: int = static()
    evaluations: int = static()  # of loss and gradient together
    ended_by: Ended = static()

    @property
    def message(self) -> str:
        """How it went, in a sentence or two."""
        words = _SENTENCES[self.ended_by].format(steps=self.steps)
        loss, first = float(self.loss), np.ravel(self.history["loss"][0])[0]
        words += f" Loss {first:.6g} → {loss:.6g}, found at step {self.best_step}."
        if self.multipliers:
            words += f" Largest violation {float(self.violation):.1e}."
        return words

    def to_xarray(self):
        """The history as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)
