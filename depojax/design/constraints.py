"""Constraints of a design, and the augmented Lagrangian that holds them.

    minimise f(x)   with   h(x) = 0,   g(x) ≤ 0
    L = f + Σ (λ h + μ h²/2) + Σ (max(0, λ + μ g)² − λ²)/(2μ)
    now and then   λ ← λ + μ h,   λ ← max(0, λ + μ g)

At the optimum λ says what a constraint costs: the loss falls by λ for each unit that a
bound is loosened, df*/db = −λ for a(x) = b and a(x) ≤ b, +λ for a(x) ≥ b.

Nocedal & Wright, Numerical Optimization, 2nd ed. (2006), ch. 17,
doi:10.1007/978-0-387-40065-5.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._checks import check_integer, check_range, refuse
from depojax._types import Scalar, as_float, quantity, static


class Constraint(eqx.Module):
    """What a design has to keep to: a function of it, and a bound.

        Constraint("mass", lambda design: 1 - design.build().porosity, at_most=0.1)

    Args:
        name: under which its multiplier is reported.
        function: of the design; one number or an array.
        equal, at_most, at_least: one of the three, the bound.
        scale: a change of the function that matters as much as a change of the loss by
            itself; by default the size of the bound, or 1 where that is 0.

    Raises `ValueError` unless exactly one bound is given.
    """

    function: Callable[[Any], Any]
    name: str = static()
    kind: str = static()
    bound: Array = quantity()
    scale: Array = quantity()

    def __init__(
        self,
        name: str,
        function: Callable[[Any], Any],
        *,
        equal: Any = None,
        at_most: Any = None,
        at_least: Any = None,
        scale: Any = None,
    ):
        given = {"equal": equal, "at_most": at_most, "at_least": at_least}
        given = {kind: bound for kind, bound in given.items() if bound is not None}
        if len(given) != 1:
            raise refuse(
                f"constraint {name!r}",
                "one of equal=, at_most= and at_least=",
                " and ".join(given) or "none of them",
            )
        if not callable(function):
            raise refuse("function", "a function of the design", repr(function))
        ((self.kind, bound),) = given.items()
        self.name = name
        self.function = function
        self.bound = as_float(bound)
        if scale is None:
            size = jnp.abs(self.bound)
            scale = jnp.where(size > 0, size, jnp.ones_like(size))
        check_range("scale", scale, 0.0, float("inf"), open_low=True)
        self.scale = as_float(scale)

    @property
    def is_equality(self) -> bool:
        """Whether the bound has to be met, not only kept."""
        return self.kind == "equal"

    def residual(self, design: Any) -> Array:
        """What is to be zero, or at most zero, in units of `scale`."""
        excess = (jnp.asarray(self.function(design)) - self.bound) / self.scale
        return -excess if self.kind == "at_least" else excess

    def violation(self, residual: Array) -> Scalar:
        """How far a residual is from what is allowed, at worst."""
        return jnp.max(
            jnp.abs(residual) if self.is_equality else jnp.maximum(residual, 0)
        )

    def in_units(self, multiplier: Array) -> Array:
        """A multiplier of the residual as one of the function: loss per its unit."""
        return multiplier / self.scale


class AugmentedLagrangian(eqx.Module):
    """How constraints are held while a loss falls.

    Args:
        constraints: at least one.
        penalty: μ at first, in units of the loss at the start; grows where needed.
        every: steps of the optimiser from one update of the multipliers to the next.
        growth: of μ where a violation has not become `shrink` times smaller since.
        shrink: see `growth`.
        tolerance: residual up to which a design counts as feasible, in the units of
            each constraint's scale.

    Good values: every = 5 to 20 (L-BFGS), 20 to 100 (Adam).
    """

    constraints: tuple[Constraint, ...]
    penalty: Scalar = quantity()
    growth: Scalar = quantity()
    shrink: Scalar = quantity()
    tolerance: Scalar = quantity()
    every: int = static()

    def __init__(
        self,
        constraints: Sequence[Constraint] | Constraint,
        *,
        penalty: Any = 10.0,
        every: int = 10,
        growth: Any = 3.0,
        shrink: Any = 0.25,
        tolerance: Any = 1e-4,
    ):
        if isinstance(constraints, Constraint):
            constraints = (constraints,)
        for constraint in constraints:
            if not isinstance(constraint, Constraint):
                raise refuse("constraints", "Constraints", type(constraint).__name__)
        if not constraints:
            raise refuse("constraints", "at least one", "none")
        names = [constraint.name for constraint in constraints]
        if len(set(names)) < len(names):
            raise refuse("constraints", "each with a name of its own", names)
        self.constraints = tuple(constraints)
        check_range("penalty", penalty, 0.0, float("inf"), open_low=True)
        check_range("growth", growth, 1.0, 1e3)
        check_range("shrink", shrink, 0.0, 1.0, open_low=True)
        check_range("tolerance", tolerance, 0.0, 1.0, open_low=True)
        check_integer("every", every, 1)
        self.penalty, self.growth = as_float(penalty), as_float(growth)
        self.shrink, self.tolerance = as_float(shrink), as_float(tolerance)
        self.every = every

    def residuals(self, design: Any) -> tuple[Array, ...]:
        """Of every constraint."""
        return tuple(each.residual(design) for each in self.constraints)

    def added(
        self,
        residuals: Sequence[Array],
        multipliers: Sequence[Array],
        penalties: Sequence[Array],
    ) -> Float[Array, ""]:
        """What the constraints add to the loss."""
        total = []
        groups = zip(self.constraints, residuals, multipliers, penalties, strict=True)
        for constraint, c, known, mu in groups:
            if constraint.is_equality:
                terms = known * c + mu * c**2 / 2
            else:
                terms = (jnp.maximum(known + mu * c, 0) ** 2 - known**2) / (2 * mu)
            total.append(jnp.sum(terms))
        return jnp.sum(jnp.stack(total))

    def violations(self, residuals: Sequence[Array]) -> tuple[Scalar, ...]:
        """Of every constraint, in units of its scale."""
        pairs = zip(self.constraints, residuals, strict=True)
        return tuple(constraint.violation(c) for constraint, c in pairs)

    def updated(
        self,
        residuals: Sequence[Array],
        multipliers: Sequence[Array],
        penalties: Sequence[Array],
        before: Sequence[Array],
    ) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array, ...]]:
        """Multipliers, penalties and violations after an update.

        `before` are the violations at the update before, infinite at the first.
        """
        raised, stiffer = [], []
        now = self.violations(residuals)
        groups = zip(
            self.constraints, residuals, multipliers, penalties, now, before,
            strict=True,
        )  # fmt: skip
        for constraint, c, known, mu, worst, past in groups:
            step = known + mu * c
            raised.append(step if constraint.is_equality else jnp.maximum(step, 0))
            slow = (worst > self.shrink * past) & (worst > self.tolerance)
            stiffer.append(jnp.where(slow, mu * self.growth, mu))
        return tuple(raised), tuple(stiffer), now


def as_lagrangian(constraints: Any) -> AugmentedLagrangian | None:
    """What holds constraints: None for none, a sequence with the default numbers."""
    if isinstance(constraints, AugmentedLagrangian):
        return constraints
    if isinstance(constraints, Constraint) or constraints:
        return AugmentedLagrangian(constraints)
    return None


def reported(
    holding: AugmentedLagrangian | None, multipliers: Sequence[Array]
) -> dict[str, Array]:
    """Multipliers by name, in units of the loss per unit of the bound."""
    if holding is None:
        return {}
    pairs = zip(holding.constraints, multipliers, strict=True)
    return {each.name: each.in_units(known) for each, known in pairs}
