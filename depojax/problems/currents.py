"""Plating currents of a cell without kinetics: what drives `sand_time`."""

import abc
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import check_finite, check_plausible, check_range, refuse
from depojax._types import Scalar, as_float, quantity
from depojax.problems.waveforms import AbstractWaveform, PulseTrain


class AbstractCurrent(AbstractWaveform):
    """A current density per footprint [A m⁻²], constant between its switches."""

    def charge(self, time: Any) -> Array:
        """Charge passed per footprint until a time [C m⁻²]."""
        return self.integral(time)

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

    def integral(self, time):
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

    @property
    def _train(self) -> PulseTrain:
        J = self.current_density
        return PulseTrain(
            jnp.stack([J, jnp.zeros_like(J)]),
            jnp.stack([self.on_time, self.off_time]),
        )

    def value(self, time):
        return self._train.value(time)

    def integral(self, time):
        return self._train.integral(time)

    def next_switch(self, time):
        return self._train.next_switch(time)

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
    check_finite("current_density", current_density)
    return ConstantCurrent(as_float(current_density))


def _check_current(value: Any) -> None:
    check_plausible("current_density", value, 1e-6, 1e7, "A m⁻²", "20 * mA / cm**2")
