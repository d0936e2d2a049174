"""Steps of a protocol: how the cell is driven, and what ends it.

A step gives the current density per footprint J(t) [A m⁻²], plating positive, or the
potential V(t) [V] of the collector against the counter electrode, negative while
plating, until the first of its conditions is met.
"""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_choice, check_range, refuse
from depojax._quantities import write_quantity
from depojax._types import Scalar, as_float, concrete, is_traced, quantity, static
from depojax.problems.waveforms import (
    AbstractWaveform,
    Constant,
    PulseTrain,
    Sweep,
    Table,
)

_CURRENTS = (1e-6, 1e7)  # beyond any that users meet [A m-2]
_CHARGES = (1e-6, 1e10)  # [C m-2]
_VOLTAGE = 100.0  # [V]
_TIMES = (0.0, 1e9)  # [s]
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
        Until.own(condition)            positive before the event, see `margin`

    Depletion and conditions of your own end the protocol, the others the step, unless
    `ends="step"` or `ends="protocol"` says otherwise.
    """

    kind: str = static()
    level: Scalar = quantity()  # where it happens [s, C m-2, V, A m-2 or -]
    ends: Literal["step", "protocol"] = static(default="step")
    condition: Callable[..., Any] | None = None

    def __check_init__(self):
        check_choice("ends", self.ends, ("step", "protocol"))

    @classmethod
    def time(cls, time: Any, *, ends: Any = "step") -> "Until":
        """After `time` in the step [s]."""
        time = _scalar("time", time, "s")
        check_range("time", time, *_TIMES, "s", open_low=True)
        return cls("time", time, ends)

    @classmethod
    def charge(cls, charge: Any, *, ends: Any = "step") -> "Until":
        """Once |∫J dt| of the step is `charge` [C m⁻²]; 1 mAh cm⁻² is 36 000."""
        charge = _scalar("charge", charge, "C m⁻²")
        cure = "depojax is SI inside: write it with its unit, as 4 * mAh / cm**2."
        check_range("charge", charge, *_CHARGES, "C m⁻²", cure)
        return cls("charge", charge, ends)

    @classmethod
    def voltage_below(cls, voltage: Any, *, ends: Any = "step") -> "Until":
        """Once the potential has fallen to `voltage` [V]."""
        return cls("voltage_below", _voltage("voltage", voltage), ends)

    @classmethod
    def voltage_above(cls, voltage: Any, *, ends: Any = "step") -> "Until":
        """Once the potential has risen to `voltage` [V]."""
        return cls("voltage_above", _voltage("voltage", voltage), ends)

    @classmethod
    def current_below(cls, current_density: Any, *, ends: Any = "step") -> "Until":
        """Once |J| has fallen to `current_density` [A m⁻²]."""
        J = _scalar("current_density", current_density, "A m⁻²")
        cure = "depojax is SI inside: write it with its unit, as 0.05 * mA / cm**2."
        check_range("current_density", J, *_CURRENTS, "A m⁻²", cure)
        return cls("current_below", J, ends)

    @classmethod
    def depletion(cls, threshold: Any = 0.0, *, ends: Any = "protocol") -> "Until":
        """Once the lowest wall concentration is `threshold` of the initial one [-]."""
        threshold = _scalar("threshold", threshold, "")
        check_range("threshold", threshold, 0.0, 1.0, open_high=True)
        return cls("depletion", threshold, ends)

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
                return (J - level) / (J + level)
            case "depletion":
                return (observed["lowest_wall_concentration"] - level) / (1 - level)
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
            case _:
                words = self.name
        default = "protocol" if self.kind in ("depletion", "own") else "step"
        return words if self.ends == default else f"{words} (ends the {self.ends})"

    def __str__(self) -> str:
        return _words_or_repr(self, lambda: f"until {self.words()}")


class Step(eqx.Module):
    """One way of driving the cell, until the first of its conditions.

    The typed steps below cover what is usual; with a waveform of your own this one
    takes it: `Step("current", MyWaveform(...), (Until.time(60.0),))`.

    Raises `ValueError` for a step that nothing ends, and for a condition on what the
    step itself sets.
    """

    mode: Literal["current", "voltage"] = eqx.field(static=True)
    drive: AbstractWaveform  # J(t) [A m-2] or V(t) [V]
    stops: tuple[Until, ...] = ()

    def __check_init__(self):
        check_choice("mode", self.mode, ("current", "voltage"))
        if not self.stops and self.drive.duration is None:
            raise refuse(
                "until",
                "a condition that ends the step",
                "none",
                "Give time=, or until=Until.charge(...) and the like.",
            )
        wrong = "current_" if self.mode == "current" else "voltage_"
        for stop in self.stops:
            if stop.kind.startswith(wrong):
                raise refuse(
                    "until",
                    f"no condition on the {self.mode} that the step itself sets",
                    stop.kind,
                )

    @property
    def conditions(self) -> tuple[Until, ...]:
        """`stops`, and the end of a waveform that has one."""
        if self.drive.duration is None:
            return self.stops
        return (*self.stops, Until("time", self.drive.duration))

    @property
    def end_time(self) -> Scalar:
        """When the step ends at the latest [s]; inf if no time is set."""
        times = [stop.level for stop in self.conditions if stop.kind == "time"]
        return as_float(reduce(jnp.minimum, times, jnp.inf))

    def margins(self, time: Scalar, observed: Observed) -> Float[Array, "conditions"]:
        """The margin of each of the `conditions`; the step ends at the first zero."""
        return jnp.stack([stop.margin(time, observed) for stop in self.conditions])

    @property
    def sense(self) -> int:
        """1 if the step plates, −1 if it strips, 0 if neither or not known."""
        return 0

    def _opening(self) -> str:
        return f"{type(self.drive).__name__} of {self.mode}"

    def __str__(self) -> str:
        return _words_or_repr(self, lambda: self._opening() + self._ending())

    def _ending(self) -> str:
        if not self.stops:
            return ""
        words = [stop.words(self.sense) for stop in self.stops]
        if self.stops[0].kind != "time":
            return f" until {' or '.join(words)}"
        rest = f" or until {' or '.join(words[1:])}" if words[1:] else ""
        return f" for {words[0]}{rest}"


class Galvanostatic(Step):
    """A constant current density [A m⁻²] per footprint; positive plates.

    Args:
        current_density: J [A m⁻²]; negative strips.
        until: one condition or several; see `Until`.
        time: ends the step after that long [s].
        capacity: ends it once that much charge has passed [C m⁻²], a positive number.
        voltage: cut-off potential [V]: from above while plating, from below while
            stripping.

    Good values: 1 to 500 A m⁻² (0.1 to 50 mA cm⁻²).
    """

    def __init__(
        self,
        current_density: Any,
        *,
        until: Any = (),
        time: Any = None,
        capacity: Any = None,
        voltage: Any = None,
    ):
        J = _current("current_density", current_density)
        stops = _stops(until, time, capacity) + _cut_off(voltage, J)
        super().__init__("current", Constant(J), stops)

    @property
    def sense(self):
        constant: Any = self.drive
        return _sign(constant.level)

    def _opening(self):
        constant: Any = self.drive
        verb = "Plate" if self.sense > 0 else "Strip"
        return f"{verb} at {write_current(jnp.abs(constant.level))}"


class Potentiostatic(Step):
    """A constant potential [V] of the collector against the counter electrode.

    Args:
        voltage: V [V]; negative plates.
        until: one condition or several; see `Until`.
        time: ends the step after that long [s].
        capacity: ends it once that much charge has passed [C m⁻²].
        current_density: ends it once |J| has fallen to that [A m⁻²].

    Good values: −0.05 to −0.3 V against a lithium counter electrode.
    """

    def __init__(
        self,
        voltage: Any,
        *,
        until: Any = (),
        time: Any = None,
        capacity: Any = None,
        current_density: Any = None,
    ):
        V = _voltage("voltage", voltage)
        stops = _stops(until, time, capacity)
        if current_density is not None:
            stops += (Until.current_below(current_density),)
        super().__init__("voltage", Constant(V), stops)

    def _opening(self):
        constant: Any = self.drive
        return f"Hold at {write_voltage(constant.level)}"


class Rest(Step):
    """No current for a time [s], or until a condition."""

    def __init__(self, time: Any = None, *, until: Any = ()):
        stops = _stops(until, time, None)
        for stop in stops:
            if stop.kind == "charge":
                raise refuse("until", "a condition that can be met at rest", "charge")
        super().__init__("current", Constant(as_float(0.0)), stops)

    def _opening(self):
        return "Rest"


class _Pulses(Step):
    @property
    def sense(self):
        train: Any = self.drive
        return _sign(train.levels[0])

    def _opening(self):
        train: Any = self.drive
        pieces = [
            f"{write_time(duration)} "
            + (f"at {write_current(level)}" if level else "rest")
            for level, duration in zip(
                np.asarray(train.levels), np.asarray(train.durations), strict=True
            )
        ]
        return f"Pulse {' / '.join(pieces)}"


class Pulse(_Pulses):
    """A current density [A m⁻²] for `on_time` [s], rest for `off_time` [s], repeated.

    Ends like `Galvanostatic`. Good values: 1 ms to 10 s each. Every pulse takes some
    steps in time: where pulses are short and many, their mean current is much cheaper.
    """

    def __init__(
        self,
        current_density: Any,
        on_time: Any,
        off_time: Any,
        *,
        until: Any = (),
        time: Any = None,
        capacity: Any = None,
        voltage: Any = None,
    ):
        J = _current("current_density", current_density)
        durations = [_time("on_time", on_time), _time("off_time", off_time)]
        drive = PulseTrain(jnp.stack([J, jnp.zeros_like(J)]), jnp.stack(durations))
        stops = _stops(until, time, capacity) + _cut_off(voltage, J)
        super().__init__("current", drive, stops)


class ReversePulse(_Pulses):
    """A current density [A m⁻²], one of the other sign, and a rest, repeated.

    Args:
        current_density: J for `on_time` [A m⁻²].
        on_time: [s]
        reverse_current_density: J for `reverse_time` [A m⁻²], of the other sign.
        reverse_time: [s]
        rest_time: no current before it begins again [s]; None for no rest.

    Ends like `Galvanostatic`.
    """

    def __init__(
        self,
        current_density: Any,
        on_time: Any,
        reverse_current_density: Any,
        reverse_time: Any,
        rest_time: Any = None,
        *,
        until: Any = (),
        time: Any = None,
        capacity: Any = None,
        voltage: Any = None,
    ):
        J = _current("current_density", current_density)
        reverse = _current("reverse_current_density", reverse_current_density)
        if _sign(J) * _sign(reverse) > 0:
            raise refuse(
                "reverse_current_density",
                "the other sign than current_density",
                f"{float(reverse):g} A m⁻²",
            )
        levels = [J, reverse]
        durations = [_time("on_time", on_time), _time("reverse_time", reverse_time)]
        if rest_time is not None:
            levels.append(jnp.zeros_like(J))
            durations.append(_time("rest_time", rest_time))
        drive = PulseTrain(jnp.stack(levels), jnp.stack(durations))
        stops = _stops(until, time, capacity) + _cut_off(voltage, J)
        super().__init__("current", drive, stops)


class CyclicVoltammetry(Step):
    """A potential that sweeps from `start` to each vertex in turn, at a constant rate.

    Args:
        start: [V]
        vertices: potentials where the sweep turns [V]; after the last it goes back to
            the start, and a cycle is over.
        rate: of the sweep [V s⁻¹], positive.
        cycles: how often; None for the way to the last vertex alone, once (linear
            sweep).
        until: conditions that end it before.

    Good values: 0.1 to 100 mV s⁻¹.
    """

    def __init__(
        self,
        start: Any,
        vertices: Any,
        rate: Any,
        *,
        cycles: int | None = 1,
        until: Any = (),
    ):
        vertices = _voltage("vertices", vertices, many=True)
        start, rate = _voltage("start", start), _scalar("rate", rate, "V s⁻¹")
        sweep = Sweep(start, jnp.atleast_1d(vertices), rate, cycles)
        super().__init__("voltage", sweep, _stops(until))

    def _opening(self):
        sweep: Any = self.drive
        way = [write_voltage(v) for v in (sweep.start, *np.asarray(sweep.vertices))]
        rate = write_quantity(sweep.rate, "mV/s", "V/s", patience=6)
        count = sweep.cycles
        often = f" for {count} cycle{'s' * (count > 1)}" if count else ""
        return f"Sweep from {' to '.join(way)} at {rate}{often}"

    def _ending(self):
        # The cycles have been said with "for", a time would be misread.
        words = [stop.words(self.sense) for stop in self.stops]
        return f" until {' or '.join(words)}" if words else ""


class _Profile(Step):
    def _ending(self):
        words = [stop.words(self.sense) for stop in self.stops]
        return f" until {' or '.join(words)}" if words else ""

    def _opening(self):
        table: Any = self.drive
        write = write_current if self.mode == "current" else write_voltage
        points = [
            f"{write(value)} at {write_time(time)}"
            for time, value in zip(
                np.asarray(table.times), np.asarray(table.values), strict=True
            )
        ]
        return f"Follow {', '.join(points)}"


class CurrentProfile(_Profile):
    """A current density [A m⁻²] given at times [s] from the start of the step.

    Straight lines between; a time given twice is a jump. With `stepwise` each value
    holds until the next time, and there is one time more than values. Ends with the
    last time, or with `until`.
    """

    def __init__(
        self, times: Any, values: Any, *, stepwise: bool = False, until: Any = ()
    ):
        _check_size("values", as_float(values), _CURRENTS[1], "A m⁻²", "2 * mA / cm**2")
        table = Table.stairs(times, values) if stepwise else Table(times, values)
        super().__init__("current", table, _stops(until))


class VoltageProfile(_Profile):
    """A potential [V] given at times [s] from the start of the step.

    Straight lines between; a time given twice is a jump. With `stepwise` each value
    holds until the next time, and there is one time more than values. Ends with the
    last time, or with `until`.
    """

    def __init__(
        self, times: Any, values: Any, *, stepwise: bool = False, until: Any = ()
    ):
        _check_size("values", as_float(values), _VOLTAGE, "V", "-100 * mV")
        table = Table.stairs(times, values) if stepwise else Table(times, values)
        super().__init__("voltage", table, _stops(until))


def write_current(value: Any) -> str:
    """A current density [A m⁻²] as one types it: "1 mA/cm2"."""
    return write_quantity(value, "mA/cm2", "A/m2", patience=6)


def write_voltage(value: Any) -> str:
    """A potential [V] as one types it: "-0.1 V"."""
    return write_quantity(value, "V", "mV", patience=3)


def write_time(value: Any) -> str:
    """A time [s] as one types it: "2 h"."""
    return write_quantity(value, "s", "min", "h", "ms")


def _stops(until: Any, time: Any = None, capacity: Any = None) -> tuple[Until, ...]:
    given = () if time is None else (Until.time(time),)
    if capacity is not None:
        given += (Until.charge(capacity),)
    if isinstance(until, Until) or callable(until):
        until = (until,)
    if not isinstance(until, Iterable):
        raise refuse("until", "a condition such as Until.time(60.0)", repr(until))
    for stop in until:
        if not isinstance(stop, Until) and not callable(stop):
            raise refuse("until", "a condition such as Until.time(60.0)", repr(stop))
        given += (stop if isinstance(stop, Until) else Until.own(stop),)
    return given


def _cut_off(voltage: Any, J: Array) -> tuple[Until, ...]:
    if voltage is None:
        return ()
    if is_traced(J):
        raise refuse(
            "voltage",
            "a current whose sign is known, to tell from where",
            "a traced one",
            "Say it: until=Until.voltage_below(...) or Until.voltage_above(...).",
        )
    below = _sign(J) > 0
    return ((Until.voltage_below if below else Until.voltage_above)(voltage),)


def _sign(value: Any) -> int:
    """Sign of a number, 0 while it is traced or stacked."""
    number = concrete(value)
    return 0 if number is None or number.ndim else int(np.sign(number))


def _scalar(argument: str, value: Any, unit: str) -> Array:
    if np.ndim(value) != 0 or isinstance(value, str):
        got = repr(value) if isinstance(value, str) else f"shape {np.shape(value)}"
        raise refuse(argument, f"one number{f' [{unit}]' if unit else ''}", got)
    check_range(argument, value, -np.inf, np.inf, unit)
    return as_float(value)


def _time(argument: str, value: Any) -> Array:
    value = _scalar(argument, value, "s")
    check_range(argument, value, *_TIMES, "s", open_low=True)
    return value


def _current(argument: str, value: Any) -> Array:
    J = _scalar(argument, value, "A m⁻²")
    if not is_traced(J) and float(J) == 0:
        raise refuse(
            argument, "a current density other than zero", "0", "Rest passes none."
        )
    _check_size(argument, J, _CURRENTS[1], "A m⁻²", "2 * mA / cm**2", _CURRENTS[0])
    return J


def _voltage(argument: str, value: Any, *, many: bool = False) -> Array:
    V = as_float(value) if many else _scalar(argument, value, "V")
    _check_size(argument, V, _VOLTAGE, "V", "-100 * mV")
    return V


def _check_size(
    argument: str, value: Any, most: float, unit: str, example: str, least: float = 0.0
) -> None:
    """Refuse magnitudes far beyond anything that users meet: a unit was forgotten."""
    if not is_traced(value):
        value = np.abs(np.asarray(value, dtype=float))
    cure = f"depojax is SI inside: write it with its unit, as {example}."
    check_range(f"|{argument}|", value, least, most, unit, cure)


def _words_or_repr(value: Any, words: Callable[[], str]) -> str:
    """`words()`, or the structure of what is traced or stacked and has no words."""
    try:
        return words()
    except TypeError:
        return repr(value)
