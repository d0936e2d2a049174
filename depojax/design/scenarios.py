"""A design for several scenarios: one loss out of many."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from depojax._checks import check_choice, check_range, refuse
from depojax._extremes import largest_of
from depojax._types import Scalar


def robust(
    loss: Callable[[Any, Any], Any],
    scenarios: Any,
    *,
    measure: str = "mean",
    sharpness: float | None = None,
) -> Callable[[Any], Scalar]:
    """One loss out of that of several scenarios: currents, seeds, temperatures.

        mean   Σ L_k/n,    worst   max L_k,    soft_worst   ln(Σ e^{p L_k}/n)/p

    Args:
        loss: of a design and a scenario.
        scenarios: an array (its first axis is mapped over by `vmap`), or a list of
            whatever `loss` takes, one after the other.
        measure: "mean", "worst", whose gradient jumps from one scenario to the next,
            or "soft_worst", which does not.
        sharpness: p of "soft_worst" [1/loss]; some ten divided by the spread of the
            losses.

    Raises `ValueError` for an unknown measure, no scenario, and a missing sharpness.
    """
    check_choice("measure", measure, ("mean", "worst", "soft_worst"))
    if measure == "soft_worst":
        if sharpness is None:
            raise refuse("sharpness", "a number [1/loss]", None, "Try 10/spread.")
        check_range("sharpness", sharpness, 0.0, np.inf, open_low=True)
    if len(scenarios) == 0:
        raise refuse("scenarios", "at least one", "none")

    def of_all(design):
        if isinstance(scenarios, (list, tuple)):
            losses = jnp.stack([loss(design, scenario) for scenario in scenarios])
        else:
            losses = jax.vmap(lambda scenario: loss(design, scenario))(scenarios)
        if measure == "mean":
            return jnp.mean(losses)
        if measure == "worst":
            return largest_of(losses)
        p = jnp.asarray(sharpness, losses.dtype)
        return jax.nn.logsumexp(p * losses - jnp.log(float(losses.size))) / p

    return of_all
