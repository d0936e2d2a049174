"""Functions of time that drive a cell: a current density J(t) or a potential V(t).

    value(t),   ∫₀ᵗ value dt',   and the times at which value jumps or bends

Time runs from the start of the step that the waveform belongs to. A waveform knows its
switches exactly, so that steps in time can end there; at a jump it has the value after.
"""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_finite, check_integer, check_range, refuse
from depojax._types import Scalar, as_float, concrete, quantity, static


class AbstractWaveform(eqx.Module):
    """A current density [A m⁻²] or a potential [V] as a function of time [s]."""

    @abc.abstractmethod
    def value(self, time: Any) -> Array:
        """The value at a time, after the jump where there is one."""

    @abc.abstractmethod
    def integral(self, time: Any) -> Array:
        """∫ value dt from 0 to `time`: the charge per footprint of a current."""

    @abc.abstractmethod
    def next_switch(self, time: Any) -> Array:
        """The next time after `time` at which value jumps or bends; inf if never."""

    @property
    def duration(self) -> Scalar | None:
        """When the waveform is over [s]; None if it goes on for ever."""
        return None


class Constant(AbstractWaveform):
    """The same value at all times."""

    level: Scalar = quantity()  # [A m-2] or [V]

    def __check_init__(self):
        check_finite("level", self.level)

    def value(self, time):
        return jnp.broadcast_to(self.level, jnp.shape(time))

    def integral(self, time):
        return self.level * time

    def next_switch(self, time):
        return jnp.full_like(time, jnp.inf)


class PulseTrain(AbstractWaveform):
    """Levels that follow each other, each for its duration, again and again.

    Good values: 1 ms to 10 s. Shorter than the diffusion time of the pores, the wall
    feels the mean.
    """

    levels: Float[Array, "pieces"] = quantity()  # [A m-2] or [V]
    durations: Float[Array, "pieces"] = quantity()  # [s]

    def __check_init__(self):
        _check_same_length("levels", self.levels, "durations", self.durations, 1)
        check_finite("levels", self.levels)
        check_range("durations", self.durations, 0.0, 1e9, "s", open_low=True)

    def _phase(self, time):
        """Ends of the pieces in a period, periods finished, time within this one."""
        ends = jnp.cumsum(self.durations)
        time = _beyond(time)
        count = jnp.floor(time / ends[-1])
        return ends, count, time - count * ends[-1]

    def value(self, time):
        ends, _, inside = self._phase(time)
        return self.levels[_piece(ends[:-1], inside)]

    def integral(self, time):
        ends, count, inside = self._phase(time)
        area = _running_sum(self.levels * self.durations)
        piece = _piece(ends[:-1], inside)
        begun = inside - (ends - self.durations)[piece]
        return count * area[-1] + area[piece] + self.levels[piece] * begun

    def next_switch(self, time):
        ends, count, inside = self._phase(time)
        return count * ends[-1] + ends[_piece(ends[:-1], inside)]


class Table(AbstractWaveform):
    """Values at given times, straight lines between; a time given twice is a jump.

    Over at the last time, and constant from there. Every time is a switch: an adaptive
    step must not leap over what a table says, so thin out tables of many thousand rows.

    Raises `ValueError` unless the times start at 0, never fall, and end with a rise.
    """

    times: Float[Array, "points"] = quantity()  # from the start of the step [s]
    values: Float[Array, "points"] = quantity()  # [A m-2] or [V]

    def __check_init__(self):
        _check_same_length("times", self.times, "values", self.values, 2)
        check_range("times", self.times, 0.0, 1e9, "s")
        check_finite("values", self.values)
        times = concrete(self.times)
        if times is None:
            return
        if times[0] != 0:
            raise refuse("times", "a start at 0 s", f"{times[0]:g} s")
        gaps = np.diff(times)
        if np.any(gaps < 0):
            worst = int(np.argmin(gaps))
            got = f"{times[worst]:g} s before {times[worst + 1]:g} s"
            raise refuse("times", "times that never fall", got, "Sort the table.")
        if gaps[-1] == 0 or np.any((gaps[1:] == 0) & (gaps[:-1] == 0)):
            raise refuse(
                "times",
                "at most two values at one time, and one at the last",
                "more",
                "The same time twice is a jump from the first value to the second.",
            )

    @classmethod
    def stairs(cls, times: Any, values: Any) -> "Table":
        """Each value from its time until the next; the last one ends the table.

        That is one time more than values.
        """
        times, values = as_float(times), as_float(values)
        if times.ndim != 1 or values.shape != (times.size - 1,):
            raise refuse(
                "times", "one more than values", f"{times.size} and {values.size}"
            )
        return cls(jnp.repeat(times, 2)[1:-1], jnp.repeat(values, 2))

    def _piece(self, time):
        time = jnp.minimum(_beyond(time), self.times[-1])
        return time, _piece(self.times[1:-1], time)

    def _slope(self, piece):
        width = self.times[piece + 1] - self.times[piece]
        rise = self.values[piece + 1] - self.values[piece]
        return rise / jnp.where(width > 0, width, 1)

    def value(self, time):
        time, piece = self._piece(time)
        begun = time - self.times[piece]
        return self.values[piece] + self._slope(piece) * begun

    def integral(self, time):
        after = jnp.maximum(time - self.times[-1], 0) * self.values[-1]
        time, piece = self._piece(time)
        means = (self.values[1:] + self.values[:-1]) / 2
        area = _running_sum(means * jnp.diff(self.times))
        begun = time - self.times[piece]
        inside = begun * (self.values[piece] + self._slope(piece) * begun / 2)
        return area[piece] + inside + after

    def next_switch(self, time):
        later = jnp.append(self.times, jnp.inf)
        return later[_piece(self.times, _beyond(time))]

    @property
    def duration(self):
        return self.times[-1]


class Sweep(AbstractWaveform):
    """From `start` to each vertex in turn at a constant rate.

    With `cycles` the way leads back to the start and is gone that many times; without,
    it ends at the last vertex.
    """

    start: Scalar = quantity()  # [V]
    vertices: Float[Array, "vertices"] = quantity()  # [V]
    rate: Scalar = quantity()  # how fast, in either direction [V s-1]
    cycles: int | None = static(default=None)

    def __check_init__(self):
        check_finite("start", self.start)
        check_finite("vertices", self.vertices)
        check_range("rate", self.rate, 0.0, 1e6, "V s⁻¹", open_low=True)
        if jnp.ndim(self.vertices) != 1 or jnp.size(self.vertices) == 0:
            raise refuse(
                "vertices",
                "one potential or more [V], in a list",
                f"shape {jnp.shape(self.vertices)}",
            )
        if self.cycles is not None:
            check_integer("cycles", self.cycles, 1)
        start, vertices = concrete(self.start), concrete(self.vertices)
        if start is not None and vertices is not None:
            path = np.append(start, vertices)
            if np.any(np.diff(path) == 0):
                raise refuse(
                    "vertices",
                    "each to differ from the one before it, and from the start",
                    path[1:].tolist(),
                )
            if self.cycles is not None and path[0] == path[-1]:
                raise refuse(
                    "vertices",
                    "a last one that is not the start",
                    path[1:].tolist(),
                    "A cycle leads back to the start by itself.",
                )

    @property
    def table(self) -> Table:
        """The sweep as a table of its corners."""
        corners = jnp.append(self.start, self.vertices)
        if self.cycles is not None:
            corners = jnp.append(jnp.tile(corners, self.cycles), self.start)
        gaps = jnp.abs(jnp.diff(corners)) / self.rate
        return Table(_running_sum(gaps), corners)

    def value(self, time):
        return self.table.value(time)

    def integral(self, time):
        return self.table.integral(time)

    def next_switch(self, time):
        return self.table.next_switch(time)

    @property
    def duration(self):
        return self.table.duration


def _beyond(time: Any) -> Array:
    """`time`, a few roundings later: what is a switch up to round-off lies behind."""
    time = jnp.asarray(time)
    return time * (1 + 8 * jnp.finfo(time.dtype).eps)


def _piece(inner_ends: Array, time: Array) -> Array:
    """Which piece holds a time, given where each but the last piece ends."""
    return jnp.searchsorted(inner_ends, time, side="right")


def _running_sum(parts: Array) -> Array:
    """0, p₀, p₀ + p₁, …: as many as parts and one."""
    return jnp.append(jnp.zeros_like(parts[:1]), jnp.cumsum(parts))


def _check_same_length(name: str, a: Any, other: str, b: Any, least: int) -> None:
    if jnp.ndim(a) != 1 or jnp.shape(a) != jnp.shape(b) or jnp.size(a) < least:
        raise refuse(
            name,
            f"as many numbers as {other}, at least {least}",
            f"shapes {jnp.shape(a)} and {jnp.shape(b)}",
        )
