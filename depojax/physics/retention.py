"""Cycle life from Coulombic efficiency, with and without an excess of metal.

    no excess        R = CE^n
    f-fold metal     n = (f − 1)/(1 − CE) + ln R/ln CE,    R = 1 while it lasts

A cell whose capacity is 1 cycles it while its metal (f at first) lasts and loses 1 − CE
of what it cycles; then it cycles what is left. The form R' = 1 − (1 − R)/f that is
sometimes printed would ask for *more* efficiency the more metal there is.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array

from depojax._checks import check_fraction, check_range, refuse
from depojax._types import as_float, concrete

_NEWTON_STEPS = 60


def cycle_life(
    coulombic_efficiency: Any, *, retention: Any = 0.8, excess: Any = 1.0
) -> Array:
    """n [-]: cycles until only `retention` of the capacity is left; any shapes.

    Args:
        coulombic_efficiency: CE in (0, 1).
        retention: R in (0, 1].
        excess: f, metal over the metal that is cycled, at least 1 (N/P ratio).
    """
    check_fraction("coulombic_efficiency", coulombic_efficiency)
    R, f = _checked(retention, excess)
    CE = as_float(coulombic_efficiency)
    return (f - 1) / (1 - CE) + jnp.log(R) / jnp.log(CE)


def retention_after(
    cycles: Any, coulombic_efficiency: Any, *, excess: Any = 1.0
) -> Array:
    """R [-] after so many cycles; 1 as long as there is excess metal."""
    check_range("cycles", cycles, 0.0, 1e12)
    check_fraction("coulombic_efficiency", coulombic_efficiency)
    _, f = _checked(1.0, excess)
    CE = as_float(coulombic_efficiency)
    beyond = as_float(cycles) - (f - 1) / (1 - CE)
    return jnp.exp(jnp.maximum(beyond, 0) * jnp.log(CE))


def efficiency_for(cycles: Any, *, retention: Any = 0.8, excess: Any = 1.0) -> Array:
    """CE [-] that lets a cell live for so many cycles: `cycle_life` turned round.

    Raises `ValueError` where even losing all metal in each cycle would last longer
    (cycles ≤ f − 1), and for no loss at all without excess (R = 1, f = 1).
    """
    check_range("cycles", cycles, 0.0, 1e12, open_low=True)
    R, f = _checked(retention, excess)
    n = as_float(cycles)
    n, R, f = jnp.broadcast_arrays(n, R, f)
    spare, known = concrete(n - (f - 1)), concrete(f - 1 - jnp.log(R))
    if spare is not None and (spare <= 0).any():
        raise refuse(
            "cycles",
            "more than excess − 1, for which the spare metal lasts at any efficiency",
            f"{-float(spare.min()):g} fewer",
        )
    if known is not None and (known <= 0).any():
        raise refuse(
            "retention", "less than 1 where there is no excess", 1.0,
            "Nothing is ever lost only at CE = 1.",
        )  # fmt: skip

    def life(log_loss, R, f):
        # x = −ln CE
        x = jnp.exp(log_loss)
        return (f - 1) / -jnp.expm1(-x) - jnp.log(R) / x

    def newton(log_loss, n, R, f):
        value, slope = jax.jvp(
            lambda y: life(y, R, f), (log_loss,), (jnp.ones_like(log_loss),)
        )
        return log_loss - (value - n) / stop_gradient(slope)

    given = stop_gradient((n, R, f))
    start = jnp.log((given[2] - 1 - jnp.log(given[1])) / given[0])
    found = jax.lax.fori_loop(
        0, _NEWTON_STEPS, lambda _, y: jnp.minimum(newton(y, *given), 7.0), start
    )
    return jnp.exp(-jnp.exp(newton(stop_gradient(found), n, R, f)))


def _checked(retention: Any, excess: Any) -> tuple[Array, Array]:
    cure = "Give a fraction, not percent (0.8, not 80)."
    check_range("retention", retention, 0.0, 1.0, "", cure, open_low=True)
    check_range("excess", excess, 1.0, 1e6, "", "1 is metal for one charge, no more.")
    return as_float(retention), as_float(excess)
