"""Conditions that end a step of a protocol, or all of it."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from depojax._checks import check_choice, check_range, refuse
from depojax._quantities import write_quantity
from depojax._types import Scalar, as_float, quantity, static
from depojax.problems.magnitudes import (
    CURRENTS,
    TIMES,
    a_voltage,
    one_number,
    words_or_repr,
    write_current,
    write_time,
    write_voltage,
)

_CHARGES = (1e-6, 1e10)  # beyond any that users meet [C m-2]
_VOLTAGE_SCALE = 0.1  # potentials change by about as much in a step [V]

Observed = dict[str, Scalar]


class Until(eqx.Module):
    """A condition that ends a step, or the whole protocol (`ends`).

        Until.time(7200.0)              after that long in the step [s]
        Until.charge(144e3)             |∫J dt| of the step [C m⁻²]
        Until.voltage_below(-0.2)       [V]
        Until.voltage_above(0.5)        [V]
        Until.current_below(0.5)        |J|, while a potential is held [A m⁻²]
        Until.depletion(0.05)           lowest wall concentration c_s/c₀ [-]
        Until.depletion(0, share=0.05)  the same on a share of the plated area [-]
        Until.steady()                  transport brings what the electrodes take
        Until.stripped(36.0)            metal left on host and collector [C m⁻²]
        Until.own(condition)            positive before the event, see `margin`

    Depletion and conditions of your own end the protocol, the others the step, unless
    `ends="step"` or `ends="protocol"` says otherwise.
    """

    kind: str = static()
    level: Scalar = quantity()  # where it happens [s, C m-2, V, A m-2 or -]
    ends: Literal["step", "protocol"] = static(default="step")
    condition: Callable[..., Any] | None = None
    share: float = static(default=0.0)  # of the plated area, for depletion [-]

    def __check_init__(self):
        check_choice("ends", self.ends, ("step", "protocol"))

    @classmethod
    def time(cls, time: Any, *, ends: Any = "step") -> "Until":
        """After `time` in the step [s]."""
        time = one_number("time", time, "s")
        check_range("time", time, *TIMES, "s", open_low=True)
        return cls("time", time, ends)

    @classmethod
    def charge(cls, charge: Any, *, ends: Any = "step") -> "Until":
        """Once |∫J dt| of the step is `charge` [C m⁻²]; 1 mAh cm⁻² is 36 000."""
        charge = one_number("charge", charge, "C m⁻²")
        cure = "depojax is SI inside: write it with its unit, as 4 * mAh / cm**2."
        check_range("charge", charge, *_CHARGES, "C m⁻²", cure)
        return cls("charge", charge, ends)

    @classmethod
    def voltage_below(cls, voltage: Any, *, ends: Any = "step") -> "Until":
        """Once the potential has fallen to `voltage` [V]."""
        return cls("voltage_below", a_voltage("voltage", voltage), ends)

    @classmethod
    def voltage_above(cls, voltage: Any, *, ends: Any = "step") -> "Until":
        """Once the potential has risen to `voltage` [V]."""
        return cls("voltage_above", a_voltage("voltage", voltage), ends)

    @classmethod
    def current_below(cls, current_density: Any, *, ends: Any = "step") -> "Until":
        """Once |J| has fallen to `current_density` [A m⁻²]."""
        J = one_number("current_density", current_density, "A m⁻²")
        cure = "depojax is SI inside: write it with its unit, as 0.05 * mA / cm**2."
        check_range("current_density", J, *CURRENTS, "A m⁻²", cure)
        return cls("current_below", J, ends)

    @classmethod
    def depletion(
        cls, threshold: Any = 0.0, *, share: float = 0.0, ends: Any = "protocol"
    ) -> "Until":
        """Once the lowest wall concentration is `threshold` of the initial one [-].

        Or, with a `share`, that on this share of the plated area [-].
        """
        threshold = one_number("threshold", threshold, "")
        check_range("threshold", threshold, 0.0, 1.0, open_high=True)
        check_range("share", share, 0.0, 1.0, open_high=True)
        return cls("depletion", threshold, ends, None, float(share))

    @classmethod
    def steady(cls, imbalance: Any = 1e-4, *, ends: Any = "step") -> "Until":
        """Once the salt that still gathers or leaves anywhere is so little [-].

        Compared with what the electrodes take and give; 1 when a current sets in.
        """
        imbalance = one_number("imbalance", imbalance, "")
        check_range("imbalance", imbalance, 1e-12, 1.0, open_high=True)
        return cls("steady", imbalance, ends)

    @classmethod
    def stripped(cls, left: Any, *, ends: Any = "step") -> "Until":
        """Once stripping leaves no more than `left` on host and collector [C m⁻²].

        Per footprint. Only for cells with an `initial_deposit`: others never run out.
        """
        left = one_number("left", left, "C m⁻²")
        cure = "depojax is SI inside: write it with its unit, as 4 * mAh / cm**2."
        check_range("left", left, *_CHARGES, "C m⁻²", cure)
        return cls("stripped", left, ends)

    @classmethod
    def own(cls, condition: Callable[..., Any], *, ends: Any = "protocol") -> "Until":
        """Once `condition(observed)` has fallen to zero; what it gets, see `margin`.

        A function, or a callable `equinox.Module` with numbers to differentiate by.
        It should be smooth, about 1 to begin with, and positive when the step begins.
        """
        if not callable(condition):
            raise refuse("condition", "a function of what is observed", condition)
        kept: Any = condition
        if not isinstance(condition, eqx.Module):
            # A pytree without leaves, so that the step stays one of arrays.
            kept = jax.tree_util.Partial(condition)
        return cls("own", as_float(0.0), ends, kept)

    @property
    def name(self) -> str:
        """Its kind, or the name of your own condition."""
        if self.kind != "own":
            return self.kind
        named = getattr(self.condition, "func", type(self.condition))
        return getattr(named, "__name__", type(named).__name__)

    def margin(self, time: Scalar, observed: Observed) -> Scalar:
        """Positive before the event, zero there, of order one and smooth.

        `observed` holds `time` [s] and signed `charge` [C m⁻²] since the step began,
        `voltage` [V], `current_density` [A m⁻²] and `lowest_wall_concentration`
        (c_s/c₀).
        """
        level = self.level
        match self.kind:
            case "time":
                return 1 - time / level
            case "charge":
                return 1 - jnp.abs(observed["charge"]) / level
            case "voltage_below":
                return (observed["voltage"] - level) / _VOLTAGE_SCALE
            case "voltage_above":
                return (level - observed["voltage"]) / _VOLTAGE_SCALE
            case "current_below":
                # Bounded, though a held potential may start with a spike of current.
                J = jnp.abs(observed["current_density"])
                asked = level > 0  # else it is never met
                least = jnp.where(asked, level, 1.0)
                return jnp.where(asked, (J - least) / (J + least), 1.0)
            case "depletion":
                return (observed["lowest_wall_concentration"] - level) / (1 - level)
            case "stripped":
                left, strips = observed["deposit"], observed["current_density"] < 0
                share = 2 * level / (left + level)  # 0 where there always is enough
                return jnp.where(strips, 1 - share, 1.0)
            case "steady":
                drift = observed["salt_drift"]
                return (drift - level) / (drift + level)
            case _:
                own: Any = self.condition
                return own(observed)

    def words(self, sense: int = 0) -> str:
        """What follows "until" in a sentence; `sense` is that of its step."""
        level, implied = self.level, {"voltage_below": 1, "voltage_above": -1}
        match self.kind:
            case "time":
                words = write_time(level)
            case "charge":
                words = write_quantity(level, "mAh/cm2", "C/m2", patience=6)
            case "voltage_below" | "voltage_above":
                side = self.kind.removeprefix("voltage_")
                said = "" if implied[self.kind] == sense else f"{side} "
                words = said + write_voltage(level)
            case "current_below":
                words = write_current(level)
            case "depletion":
                threshold = write_quantity(level, "")
                words = f"depletion below {threshold}" if level else "depletion"
                words += f" of {100 * self.share:g} %" if self.share else ""
            case "steady":
                words = "steady"
            case "stripped":
                left = write_quantity(level, "mAh/cm2", "C/m2", patience=6)
                words = f"{left} are left"
            case _:
                words = self.name
        default = "protocol" if self.kind in ("depletion", "own") else "step"
        return words if self.ends == default else f"{words} (ends the {self.ends})"

    def __str__(self) -> str:
        return words_or_repr(self, lambda: f"until {self.words()}")
