"""Ways of driving the cell: the current per footprint as a function of time."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from depojax._checks import check_plausible, check_range, refuse
from depojax._types import Scalar, as_float, quantity


class AbstractCurrent(eqx.Module):
    """A current density per footprint [A m⁻²], constant between its switches."""

    @abc.abstractmethod
    def value(self, time: Scalar) -> Scalar:
        """J at a time [A m⁻²]."""

    @abc.abstractmethod
    def charge(self, time: Scalar) -> Scalar:
        """Charge passed per footprint until a time [C m⁻²]."""

    @abc.abstractmethod
    def next_switch(self, time: Scalar) -> Scalar:
        """The next time after `time` at which J jumps [s]; infinity if never."""

    @property
    @abc.abstractmethod
    def mean(self) -> Scalar:
        """Mean of J over a long time [A m⁻²]."""

    @property
    @abc.abstractmethod
    def highest(self) -> Scalar:
        """Largest J [A m⁻²]."""


class ConstantCurrent(AbstractCurrent):
    """The same plating current at all times.

    Good values: 1 to 500 A m⁻² (0.1 to 50 mA cm⁻²).
    """

    current_density: Scalar = quantity()  # J [A m-2]

    def __check_init__(self):
        _check_current(self.current_density)

    def value(self, time):
        return jnp.broadcast_to(self.current_density, jnp.shape(time))

    def charge(self, time):
        return self.current_density * time

    def next_switch(self, time):
        return jnp.full_like(time, jnp.inf)

    @property
    def mean(self):
        return self.current_density

    @property
    def highest(self):
        return self.current_density


class PulsedCurrent(AbstractCurrent):
    """Plating for `on_time`, rest for `off_time`, and again.

    Good values: 1 ms to 10 s each. Pulses shorter than the diffusion time of the pores
    lower the drop at the wall; the mean current still empties the electrolyte.
    """

    current_density: Scalar = quantity()  # J while on [A m-2]
    on_time: Scalar = quantity()  # [s]
    off_time: Scalar = quantity()  # [s]

    def __check_init__(self):
        _check_current(self.current_density)
        check_range("on_time", self.on_time, 0.0, 1e6, "s", open_low=True)
        check_range("off_time", self.off_time, 0.0, 1e6, "s", open_low=True)

    def _phase(self, time):
        """Number of finished periods, and the time within the present one."""
        period = self.on_time + self.off_time
        # The small lift keeps a time that is a switch, up to round-off, beyond it.
        lift = 1 + 8 * jnp.finfo(jnp.result_type(period)).eps
        count = jnp.floor(time * lift / period)
        return count, time * lift - count * period

    def value(self, time):
        return jnp.where(self._phase(time)[1] < self.on_time, self.current_density, 0.0)

    def charge(self, time):
        count, inside = self._phase(time)
        plated = count * self.on_time + jnp.minimum(inside, self.on_time)
        return self.current_density * plated

    def next_switch(self, time):
        count, inside = self._phase(time)
        start = count * (self.on_time + self.off_time)
        to_off = start + self.on_time
        return jnp.where(inside < self.on_time, to_off, to_off + self.off_time)

    @property
    def mean(self):
        share = self.on_time / (self.on_time + self.off_time)
        return self.current_density * share

    @property
    def highest(self):
        return self.current_density


def as_current(current_density: Any) -> AbstractCurrent:
    """A number [A m⁻²] as `ConstantCurrent`; a protocol as it is."""
    if isinstance(current_density, AbstractCurrent):
        return current_density
    if np.ndim(current_density) != 0:
        raise refuse(
            "current_density",
            "one number [A m⁻²] or a current protocol",
            f"shape {np.shape(current_density)}",
            "For several, map over them: jax.vmap(lambda J: sand_time(cell, J).time).",
        )
    return ConstantCurrent(as_float(current_density))


def _check_current(value: Any) -> None:
    check_plausible("current_density", value, 1e-6, 1e7, "A m⁻²", "20 * mA / cm**2")
