"""Steps of a protocol: how the cell is driven, and what ends it.

A step gives the current density per footprint J(t) [A m⁻²], plating positive, or the
potential V(t) [V] of the collector against the counter electrode, negative while
plating, until the first of its conditions is met.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_choice, refuse
from depojax._quantities import write_quantity
from depojax._types import Scalar, as_float, concrete, is_traced
from depojax.problems.magnitudes import (
    CURRENTS,
    VOLTAGE,
    a_current,
    a_time,
    a_voltage,
    check_size,
    one_number,
    words_or_repr,
    write_current,
    write_time,
    write_voltage,
)
from depojax.problems.until import Observed, Until
from depojax.problems.waveforms import (
    AbstractWaveform,
    Constant,
    PulseTrain,
    Sweep,
    Table,
)


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
        return words_or_repr(self, lambda: self._opening() + self._ending())

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
        J = a_current("current_density", current_density)
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
        V = a_voltage("voltage", voltage)
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
        J = a_current("current_density", current_density)
        durations = [a_time("on_time", on_time), a_time("off_time", off_time)]
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
        J = a_current("current_density", current_density)
        reverse = a_current("reverse_current_density", reverse_current_density)
        if _sign(J) * _sign(reverse) > 0:
            raise refuse(
                "reverse_current_density",
                "the other sign than current_density",
                f"{float(reverse):g} A m⁻²",
            )
        levels = [J, reverse]
        durations = [a_time("on_time", on_time), a_time("reverse_time", reverse_time)]
        if rest_time is not None:
            levels.append(jnp.zeros_like(J))
            durations.append(a_time("rest_time", rest_time))
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
        vertices = a_voltage("vertices", vertices, many=True)
        start, rate = a_voltage("start", start), one_number("rate", rate, "V s⁻¹")
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
        check_size("values", as_float(values), CURRENTS[1], "A m⁻²", "2 * mA / cm**2")
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
        check_size("values", as_float(values), VOLTAGE, "V", "-100 * mV")
        table = Table.stairs(times, values) if stepwise else Table(times, values)
        super().__init__("voltage", table, _stops(until))


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
