"""A substrate that is partly under metal: what reacts, and what charges.

    i = A(X) i₀ n(η) − (C/Δt)(η − η₀)          per area of substrate

Metal alone takes ions; A is its true area per area of substrate (`NucleiState`), i₀ n
are the kinetics on it. Until there is enough of it a current charges the double layer,
implicitly in time: η₀ is the overpotential when the span Δt began. That is what makes
the potential dip before nuclei grow.
"""

from typing import Any

from depojax.physics.kinetics import AbstractKinetics, ExchangeCurrentDensity, Places


class PartlyCovered(AbstractKinetics):
    """Kinetics of a substrate under some metal, for one span of time."""

    kinetics: AbstractKinetics  # on metal
    area_factor: Places  # A [-]
    per_time: Places  # C/Δt [S m-2]
    before: Places  # η₀ [V]
    scale: Places  # i₀ at the concentration at first [A m-2]

    @property
    def exchange_current_density(self) -> ExchangeCurrentDensity:  # pyright: ignore
        """i₀ of the metal."""
        return self.kinetics.exchange_current_density

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = A n(η) − (C/Δt)(η − η₀)/i₀."""
        on_metal = self.kinetics.normalised_current(overpotential, temperature)
        charging = self.per_time * (overpotential - self.before)
        return self.area_factor * on_metal - charging / self.scale

    def charging_current(
        self, overpotential: Any, concentration: Any, temperature: Any
    ) -> Any:
        """The part that charges the double layer [A m⁻² of substrate]."""
        i0 = self.exchange_current_density(concentration, temperature)
        return -i0 * self.per_time * (overpotential - self.before) / self.scale
