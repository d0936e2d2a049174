"""Searches without gradients: what an optimisation has to beat.

    random   u = u₀ + s·normal, every run anew
    greedy   u = best + s·normal in one number, kept where it is better

in the free numbers u of a design, as `optimise` changes them.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_choice, check_integer, check_range
from depojax._types import Scalar, static
from depojax.design.variables import split
from depojax.scaffold.features import generator_of


class Search(eqx.Module):
    """The best design of a search, and the best loss after every run."""

    design: Any
    loss: Scalar
    history: Float[Array, " runs"]
    runs: int = static()


def search(
    loss: Callable[[Any], Any],
    design: Any,
    *,
    runs: int,
    kind: str = "random",
    key: Any,
    spread: float = 1.0,
    jit: bool = True,
) -> Search:
    """Look for a lower loss by chance.

    Args:
        loss: of a design, one number.
        design: to begin with; its loss is the first run.
        runs: how often the loss is computed. A loss with its gradient costs some three
            to four of them.
        kind: "random" or "greedy".
        key: a JAX key or a whole number.
        spread: standard deviation of the changes; in a bounded variable 1 covers the
            middle half of the range.
        jit: compile the loss as one program. False for one that has to see numbers, or
            whose parts are compiled already.

    Losses that are not finite count as infinite. Raises `ValueError` for an unknown
    kind, and less than one run.
    """
    check_choice("kind", kind, ("random", "greedy"))
    check_integer("runs", runs, 1)
    check_range("spread", spread, 0.0, 100.0, open_low=True)
    part, whole = split(design)
    flat, unravel = jax.flatten_util.ravel_pytree(part)
    compiled = eqx.filter_jit if jit else lambda function: function
    number = compiled(lambda u: jnp.asarray(loss(whole(unravel(u)))))
    chance, start = generator_of(key), np.asarray(flat)
    best, lowest, history = start, np.inf, []
    for run in range(runs):
        trial = start if kind == "random" else best.copy()
        if run and kind == "random":
            trial = start + spread * chance.normal(size=start.size)
        elif run:
            trial[chance.integers(start.size)] += spread * chance.normal()
        value = float(number(jnp.asarray(trial, flat.dtype)))
        if np.isfinite(value) and value < lowest:
            best, lowest = trial, value
        history.append(lowest)
    return Search(
        design=whole(unravel(jnp.asarray(best, flat.dtype))),
        loss=jnp.asarray(lowest, flat.dtype),
        history=jnp.asarray(history, flat.dtype),
        runs=runs,
    )
