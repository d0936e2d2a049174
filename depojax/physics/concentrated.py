"""The concentrated solution: D, κ, t₊ and χ follow the local concentration.

A *law* is any callable (c, T) → `Properties`, elementwise in c [mol m⁻³]; it is asked
for c ≥ 0 only. Measured properties are known within a range, but a solver also visits
what lies beyond, so `FittedLaw` continues a fit with a continuous slope. Its argument
levels off outside of [l, h], so that nothing is extrapolated far:

    s(c) = c                               l ≤ c ≤ h
    s(c) = (l/2) (1 + (c/l)²)              c < l,   down to l/2
    s(c) = h + w (1 − exp(−(c − h)/w))     c > h,   up to h + w,  w = h/50

and below l, where κ belongs to c, κ = κ(s) c/s: κ/c stays finite as c → 0.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_finite, check_range, refuse
from depojax._sums import einsum
from depojax._types import Scalar, as_float, is_traced, static
from depojax.physics.electrolyte import (
    AbstractElectrolyte,
    BinaryElectrolyte,
    Properties,
    as_charge,
    check_state,
)
from depojax.units import ROOM_TEMPERATURE

Law = Callable[[Array, Array], Properties]
BEYOND = 1 / 50  # how far past its upper end a fit is asked, per that end
# Relative concentrations at which a law without a range is looked at.
_LOOKED_AT = np.array([1e-3, 0.03, 0.1, 0.3, 0.6, 1.0, 1.3, 1.6, 2.0])


class FunctionLaw(eqx.Module):
    """A plain function as a law: nothing in it is a leaf, and no file can hold it."""

    function: Law = static()

    def __call__(self, c: Array, T: Array) -> Properties:
        """The properties at c [mol m⁻³] and T [K]."""
        return self.function(c, T)


class FittedLaw(eqx.Module):
    """A fit with the range in which it was measured, continued for all c ≥ 0.

    Inside of the range it is the fit; how it goes on is told at the top of this module.
    """

    fit: Law  # with the leaves that a gradient may want
    concentration_range: tuple[float, float] = static()  # [mol m-3]
    temperature_range: tuple[float, float] = static()  # [K]
    charge: tuple[int, int] = static()  # (z₊, z₋) [-]
    name: str = static()
    reference: str = static()

    def __init__(
        self,
        fit: Law,
        concentration_range: tuple[float, float],
        temperature_range: tuple[float, float] = (150.0, 1500.0),
        charge: int | tuple[int, int] = 1,
        *,
        name: str = "",
        reference: str = "",
    ):
        self.fit = _as_module(fit)
        self.concentration_range = as_range(
            "concentration_range", concentration_range, "mol m⁻³"
        )
        self.temperature_range = as_range("temperature_range", temperature_range, "K")
        self.charge = as_charge(charge)
        self.name = name
        self.reference = reference

    def __call__(self, c: Array, T: Array) -> Properties:
        """The properties at c ≥ 0 [mol m⁻³] and T [K]."""
        low, high = self.concentration_range
        width = BEYOND * high
        # Each branch gets an argument at which its slope is finite.
        below = low / 2 * (1 + (jnp.clip(c, 0, low) / low) ** 2)
        above = high - width * jnp.expm1(-(jnp.maximum(c, high) - high) / width)
        s = jnp.where(c < low, below, jnp.where(c > high, above, c))
        found = self.fit(s, T)
        kappa = found.conductivity * jnp.where(c < low, c / s, 1)
        return eqx.tree_at(lambda p: p.conductivity, found, kappa)

    def check(self, concentration: Any, temperature: Any) -> None:
        """Refuse what lies out of the ranges."""
        of = f" of {self.name}" if self.name else ""
        check_range(
            f"concentration{of}",
            concentration,
            *self.concentration_range,
            "mol m⁻³",
            "Its properties are known there only. Write the unit, as 1.0 * M.",
        )
        check_range(
            f"temperature{of}",
            temperature,
            *self.temperature_range,
            "K",
            "Its properties are known there only. Write 25 °C as celsius(25).",
        )


class PropertyTable(eqx.Module):
    """Properties between tabulated ones; a fit for `FittedLaw`.

    Piecewise cubics in √c with limited slopes (no overshoot; de Boor & Swartz 1977,
    doi:10.1016/0021-9045(77)90023-2), polynomials in 1/T through all temperatures. Of D
    and κ/c the logarithms are interpolated, which keeps them positive. T is one number.
    """

    roots: Float[Array, " n"]  # √c, evenly spaced [mol½ m-3/2]
    inverse_temperatures: Float[Array, " m"]  # 1/T [K-1]
    values: Float[Array, "4 m n"]  # ln D, ln(κ/c), t₊, χ

    def __call__(self, c: Array, T: Array) -> Properties:
        """The properties at c [mol m⁻³] and T [K]."""
        roots, values = self.roots.astype(c.dtype), self.values.astype(c.dtype)
        y = einsum("m,pmn->pn", self._weights(1 / T).astype(c.dtype), values)
        step = roots[1] - roots[0]
        place = (jnp.sqrt(c) - roots[0]) / step
        left = jnp.clip(jnp.floor(place).astype(int), 0, roots.size - 2)
        x = place - left.astype(c.dtype)
        d = _limited_slopes(y)
        a, b, da, db = y[:, left], y[:, left + 1], d[:, left], d[:, left + 1]
        rise = b - a
        value = a + x * (da + x * (3 * rise - 2 * da - db + x * (da + db - 2 * rise)))
        D, molar = jnp.exp(value[0]), jnp.exp(value[1])
        return Properties(D, molar * c, value[2], value[3])

    def _weights(self, x: Array) -> Array:
        """Of Lagrange's polynomial through all temperatures, at x = 1/T."""
        nodes = self.inverse_temperatures.astype(x.dtype)
        same = jnp.eye(nodes.size, dtype=bool)
        apart = jnp.where(same, 1, nodes[:, None] - nodes[None, :])
        return jnp.prod(jnp.where(same, 1, (x - nodes[None, :]) / apart), axis=1)


def _limited_slopes(y: Array) -> Array:
    """Slopes per step along the last axis, such that cubics do not overshoot."""
    rise = jnp.diff(y, axis=-1)
    first = 2 * rise[..., :1] - rise[..., 1:2]  # as if the bend went on
    last = 2 * rise[..., -1:] - rise[..., -2:-1]
    r = jnp.concatenate([first, rise, last], axis=-1)
    ends = (r[..., :-1] + r[..., 1:]) / 2
    before, a, b, after = r[..., :-3], r[..., 1:-2], r[..., 2:-1], r[..., 3:]
    slope = (7 * (a + b) - before - after) / 12  # of the fourth order
    steepest = 3 * jnp.minimum(jnp.abs(a), jnp.abs(b))
    inner = jnp.where(a * b > 0, jnp.clip(slope, -steepest, steepest), 0)
    return jnp.concatenate([ends[..., :1], inner, ends[..., -1:]], axis=-1)


class ConcentratedElectrolyte(AbstractElectrolyte):
    """An electroneutral solution of one salt whose properties follow c and T.

        ConcentratedElectrolyte(electrolytes.lipf6_ec_emc, 1.0 * M)

    All of `electrolytes.KNOWN` serve as laws, and so do `IdealDilute`, what
    `electrolytes.from_pybamm` and `from_bpx` read, a `FittedLaw`, and any function
    (c, T) → `Properties` that is positive and smooth for all c ≥ 0.

    Raises `ValueError` for a law that gives no `Properties` or ones that cannot be, and
    for a concentration or temperature where a law with a range is not known.
    """

    law: Law
    concentration: Scalar  # c of the salt at rest [mol m-3]
    temperature: Scalar  # T [K]
    charge: tuple[int, int] = static()  # (z₊, z₋) [-]
    name: str = static()
    reference: str = static()

    def __init__(
        self,
        law: Any,
        concentration: Any,
        temperature: Any = ROOM_TEMPERATURE,
        charge: int | tuple[int, int] | None = None,
        *,
        name: str | None = None,
        reference: str | None = None,
    ):
        """Take the law of a solution.

        Args:
            law: (c [mol m⁻³], T [K]) → `Properties`, or a function of `electrolytes`.
                The leaves of an `equinox.Module` are differentiable.
            concentration: of the salt at rest [mol m⁻³].
            temperature: [K].
            charge: z for (z, −z), or (z₊, z₋) [-]; by default the law's.
            name: what it is called in results; by default the law's.
            reference: where the numbers come from; by default the law's.
        """
        if not isinstance(law, eqx.Module):  # a function of the catalogue knows its law
            law = getattr(law, "law", law)
        if not callable(law):
            raise refuse(
                "law",
                "a callable (c, T) → Properties, or a function of depojax.electrolytes",
                f"{type(law).__name__} {law!r:.40}",
            )
        if isinstance(law, FittedLaw):
            check_finite("concentration", concentration)
            check_finite("temperature", temperature)
            law.check(concentration, temperature)
        check_state(concentration, temperature)
        known = getattr(law, "charge", None)
        known = None if known is None else as_charge(known)
        if charge is None and known is None:
            raise refuse(
                "charge",
                "the charge of the ions, which this law does not tell",
                "None",
                "Write 1 for LiPF₆, 2 for ZnSO₄, (2, -1) for ZnCl₂.",
            )
        if charge is not None and known is not None and as_charge(charge) != known:
            raise refuse("charge", f"{known}, as the law has it", as_charge(charge))
        self.law = _as_module(law)
        self.concentration = as_float(concentration)
        self.temperature = as_float(temperature)
        self.charge = as_charge(charge) if known is None else known
        words = [getattr(law, word, "") for word in ("name", "reference")]
        self.name = words[0] if name is None else name
        self.reference = words[1] if reference is None else reference
        self._check_law()

    def properties(self, c: Any) -> Properties:
        """D, κ, t₊ and χ at concentrations `c` [mol m⁻³] of any shape.

        Below zero they are those at zero, where κ = 0. To have κ/c there, ask at
        max(c, tiny): in a `FittedLaw` κ/c is level near zero.
        """
        c = as_float(c)
        return self.law(jnp.where(c < 0, 0, c), self.temperature.astype(c.dtype))

    def at(self, c: Any, T: Any = None) -> BinaryElectrolyte:
        """The solution with constant properties, those at c [mol m⁻³] and T [K].

        Raises `ValueError` where a law with a range is not known.
        """
        T = self.temperature if T is None else T
        if isinstance(self.law, FittedLaw):
            self.law.check(c, T)
        found = _evaluate(self.law, as_float(c), as_float(T))
        return BinaryElectrolyte(
            concentration=c,
            diffusivity=found.diffusivity,
            transference_number=found.transference_number,
            charge=self.charge,
            conductivity=found.conductivity,
            temperature=T,
            thermodynamic_factor=found.thermodynamic_factor,
            name=self.name,
            reference=self.reference,
        )

    def _check_law(self) -> None:
        """Refuse a law that gives no properties, or ones that cannot be."""
        c, T = self.concentration, self.temperature
        leaves = jax.tree.leaves((self.law, c, T))
        if any(is_traced(leaf) for leaf in leaves):
            return
        if isinstance(self.law, FittedLaw):
            low, high = self.law.concentration_range
            samples = np.geomspace(low / 2, (1 + 2 * BEYOND) * high, 33)
        else:
            samples = float(c) * _LOOKED_AT
        with jax.ensure_compile_time_eval():  # numbers, also inside of a jit
            found = _evaluate(
                self.law, jnp.asarray(samples, c.dtype), T.astype(c.dtype)
            )
        if not isinstance(found, Properties):
            raise refuse(
                "law",
                "Properties of (c, T)",
                f"a {type(found).__name__}",
                "Return Properties(D, κ, t₊, χ), or Properties.like(c, D, κ, t₊, χ).",
            )
        limits = {
            "diffusivity": (0.0, 1e-6),
            "conductivity": (0.0, 1e4),
            "transference_number": (-1.0, 1.0),
            "thermodynamic_factor": (0.0, 100.0),
        }
        for argument, (least, most) in limits.items():
            value = np.asarray(getattr(found, argument))
            if value.shape != samples.shape:
                raise refuse(
                    f"law: {argument}",
                    f"the shape of c, {samples.shape}",
                    value.shape,
                    "Return Properties.like(c, D, κ, t₊, χ): it broadcasts.",
                )
            bad = ~((value > least) & (value < most))
            if bad.any():
                raise refuse(
                    f"law: {argument}",
                    f"within ({least:g}, {most:g}) in SI units",
                    f"{value[bad][0]:g} at c = {samples[bad][0]:g} mol m⁻³",
                    "Give a FittedLaw with the range in which the fit holds.",
                )


@eqx.filter_jit
def _evaluate(law: Law, c: Array, T: Array) -> Properties:
    return law(c, T)  # compiled as one: operation by operation it takes seconds


def _as_module(law: Any) -> Any:
    return law if isinstance(law, eqx.Module) else FunctionLaw(law)


def as_range(argument: str, ends: Any, unit: str) -> tuple[float, float]:
    """Two numbers 0 < low < high, or a refusal."""
    what = f"two numbers 0 < low < high in {unit}"
    check_finite(argument, ends)
    if is_traced(ends) or np.shape(ends) != (2,):
        raise refuse(argument, what, f"{ends!r:.60}")
    low, high = (float(end) for end in ends)
    if not 0 < low < high:
        raise refuse(argument, what, f"({low:g}, {high:g})")
    return low, high
