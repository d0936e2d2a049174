"""optax's optimisers by their names, for those who write no Python."""

from collections.abc import Callable
from typing import Any

import optax

from depojax._checks import check_choice, check_range, refuse

OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adabelief": optax.adabelief,
    "adam": optax.adam,
    "lbfgs": optax.lbfgs,
    "nadam": optax.nadam,
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}
SCHEDULES = ("constant", "cosine", "exponential")


def named_optimizer(
    name: str,
    *,
    steps: int,
    learning_rate: float | None = None,
    schedule: str = "constant",
) -> Any:
    """One of optax, with a learning rate that stays, or falls within so many steps.

    "cosine" falls to nothing, "exponential" to a hundredth. L-BFGS finds the length of
    its steps itself and takes no learning rate.

    Raises `ValueError` for unknown names.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    check_choice("schedule", schedule, SCHEDULES)
    if name == "lbfgs":
        for argument, given in (
            ("learning_rate", learning_rate),
            ("schedule", None if schedule == "constant" else schedule),
        ):
            if given is not None:
                raise refuse(
                    argument,
                    "none with lbfgs, which searches along its lines",
                    repr(given),
                    "Leave it out, or take adam.",
                )
        return optax.lbfgs()
    rate = 0.05 if learning_rate is None else learning_rate
    check_range("learning_rate", rate, 0.0, 100.0, open_low=True)
    falling = {
        "constant": rate,
        "cosine": optax.cosine_decay_schedule(rate, max(steps, 1)),
        "exponential": optax.exponential_decay(rate, max(steps, 1), 0.01),
    }
    return OPTIMIZERS[name](falling[schedule])
