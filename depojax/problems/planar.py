"""Sand's time of a flat electrode, in closed form.

Half-infinite electrolyte (Sand 1901):

    τ = π D [z₊ν₊F c₀ / (2 J (1 − t₊))]²

A gap L: the wall concentration under constant uptake G = (1 − t₊)J/(z₊ν₊F D) is

    c_s = c₀ − 2 G √(Dt) Σ_n s_n ierfc(n L / √(Dt)),   n = 0, ±1, ±2, …

by images of the wall: far side blocked s_n = 1; a reservoir at L s_n = (−1)^n; between
two metals the reservoir's form with L/2, since nothing changes at midplane. For late
times the same sums as eigenfunctions. Sand's time is the root c_s(τ) = 0.

Carslaw & Jaeger, Conduction of Heat in Solids, 2nd ed., §3.8.
"""

import functools
import math
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool

from depojax._checks import check_choice, check_plausible, refuse
from depojax._types import Scalar, as_float
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.physics.transport import salt_uptake

FarSide = Literal["metal", "reservoir", "blocked"]
# Images and modes kept on either side of the change-over: the first left out is below
# 1e-17 of the sum at D t/L² = 0.3.
_TERMS = 8
_CHANGE_OVER = 0.3
_LATEST = 50.0  # D t/L²: the transient has died by e^(−π² 50/4)


def planar_sand_time(
    electrolyte: BinaryElectrolyte,
    current_density: Any,
    *,
    gap: Any = None,
    counter_electrode: FarSide = "metal",
) -> Scalar:
    """Sand's time [s] of a flat electrode at `current_density` [A m⁻²].

    Args:
        electrolyte: constant properties D, t₊, c₀.
        gap: distance to the far side [m]; None for a half-infinite electrolyte.
        counter_electrode: "metal" (strips what is plated), "reservoir" or "blocked".

    Infinite at or below the limiting current. Differentiable in every number, by the
    implicit function theorem; near the limiting current the derivative diverges.
    """
    if not isinstance(electrolyte, BinaryElectrolyte):
        raise refuse("electrolyte", "a BinaryElectrolyte", type(electrolyte).__name__)
    check_plausible(
        "current_density", current_density, 1e-6, 1e7, "A m⁻²", "20 * mA / cm**2"
    )
    check_choice("counter_electrode", counter_electrode, get_args(FarSide))
    D, c0 = electrolyte.diffusivity, electrolyte.concentration
    J = as_float(current_density).astype(D.dtype)
    fall = salt_uptake(electrolyte, J) / (D * c0)  # G/c₀ [m-1]
    half_infinite = math.pi / (4 * D * fall**2)
    if gap is None:
        return half_infinite
    check_plausible("gap", gap, 1e-8, 10.0, "m", "25 * um")
    L = as_float(gap).astype(D.dtype)
    if counter_electrode == "metal":
        L = L / 2
    blocked = counter_electrode == "blocked"
    scaled, depletes = _scaled_time(fall * L, blocked)
    return jnp.where(depletes, scaled * L**2 / D, jnp.inf)


def planar_limiting_current(
    electrolyte: BinaryElectrolyte, gap: Any, counter_electrode: FarSide = "metal"
) -> Scalar:
    """Limiting current of a flat gap [A m⁻²]; between metals 2 z₊ν₊FDc₀ / ((1 − t₊)L).

    Half of that from a reservoir at L, zero where the far side is blocked.
    """
    check_plausible("gap", gap, 1e-8, 10.0, "m", "25 * um")
    check_choice("counter_electrode", counter_electrode, get_args(FarSide))
    share = {"metal": 2.0, "reservoir": 1.0, "blocked": 0.0}[counter_electrode]
    per_current = electrolyte.salt_flux_per_current
    return (
        share * electrolyte.diffusivity * electrolyte.concentration / per_current / gap
    )


@functools.partial(jax.jit, static_argnames="blocked")
def _scaled_time(uptake: Scalar, blocked: bool) -> tuple[Scalar, Bool[Array, ""]]:
    """D τ/L² for the dimensionless uptake G L/c₀, and whether anything depletes."""
    depletes = jnp.asarray(True) if blocked else uptake > 1
    # Any depleting number keeps the root find, whose answer is not used, sane.
    safe = jnp.where(depletes, uptake, 2.0)
    guess = jnp.minimum(math.pi / (4 * safe**2), 1 / safe if blocked else _LATEST)

    # In s = ln time the root is well scaled from the earliest to the latest.
    def remaining(s, uptake):
        return 1 - uptake * _wall_fall(jnp.exp(s), blocked)

    eps = float(jnp.finfo(uptake.dtype).eps)
    found = optx.root_find(
        remaining,
        optx.Bisection(rtol=4 * eps, atol=4 * eps, expand_if_necessary=True),
        jnp.log(guess),
        safe,
        options={
            "lower": jnp.log(guess) - 1.0,
            "upper": jnp.log(jnp.maximum(guess, _LATEST)),
        },
        max_steps=200,
        throw=False,
    )
    return jnp.exp(found.value), depletes


def _wall_fall(T: Scalar, blocked: bool) -> Scalar:
    """(c₀ − c_s)/(G L) at T = D t/L² after the current is switched on."""
    early = jnp.minimum(T, _CHANGE_OVER)
    late = jnp.maximum(T, _CHANGE_OVER)
    n = jnp.arange(1, _TERMS + 1, dtype=T.dtype)
    sign = jnp.ones_like(n) if blocked else (-1.0) ** n
    images = jnp.sum(sign * _ierfc(n / jnp.sqrt(early)))
    short = 2 * jnp.sqrt(early) * (1 / math.sqrt(math.pi) + 2 * images)
    if blocked:
        modes = (math.pi * n) ** 2
        long = late + 1 / 3 - jnp.sum(2 / modes * jnp.exp(-modes * late))
    else:
        modes = (math.pi * (n - 0.5)) ** 2
        long = 1 - jnp.sum(2 / modes * jnp.exp(-modes * late))
    return jnp.where(T < _CHANGE_OVER, short, long)


def _ierfc(x: Any) -> Any:
    """∫ₓ^∞ erfc."""
    return jnp.exp(-x * x) / math.sqrt(math.pi) - x * jax.scipy.special.erfc(x)
