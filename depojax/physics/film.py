"""Films on the metal (SEI, coatings): an area resistance that grows.

    R_film = h/κ,    h² = (h₀ + v |q|)² + k t,    the overpotential loses i R_film

Thickness h and ionic conductivity κ are numbers or arrays over the places of the metal:
patches of good and bad conductors on one surface are an array. Where they lie side by
side, the better conductor plates first.

Conductivities at room temperature of what a lithium SEI is made of, as compared by Chen
et al., Adv. Energy Mater. 9 (2019) 1900858, doi:10.1002/aenm.201900858 (recalled, an
order of magnitude either way; real SEIs are mosaics of grains and boundaries):

    Li₂S 1e-3 S m⁻¹,    Li₂CO₃ 1e-6 S m⁻¹,    LiF 1e-7 S m⁻¹
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, check_together
from depojax._types import as_float

SEI_CONDUCTIVITIES: Mapping[str, float] = {  # κ [S m-1]
    "lithium sulphide": 1e-3,
    "lithium carbonate": 1e-6,
    "lithium fluoride": 1e-7,
}


class Film(eqx.Module):
    """A film that ions cross: thickness [m] and ionic conductivity [S m⁻¹].

    It may grow with the charge that crosses it (plating and stripping both) and with
    time. Each is a number or an array over the places of the metal. No film is
    thickness 0. What the film is made of is not taken out of electrolyte and deposit:
    it is thin beside both.

    Raises `ValueError` for what is no number or carries the wrong unit, and for shapes
    that do not go together.
    Good values: 10–50 nm and 1e-7 to 1e-5 S m⁻¹ on lithium in carbonates, which make
    1e-3 to 0.1 Ω m² (10 to 1000 Ω cm²). v = 2e-13 to 2e-12 m³ C⁻¹ where 0.1 to 1 % of
    the charge goes into the film (Li₂CO₃ takes 1.8e-10 m³ per charge of its own); k =
    1.5e-22 m² s⁻¹ is 20 nm in a month.
    """

    thickness: Float[Array, "..."]  # h₀ [m]
    ionic_conductivity: Float[Array, "..."]  # κ [S m-1]
    volume_per_charge: Float[Array, "..."] | None  # v [m3 C-1]
    parabolic_rate: Float[Array, "..."] | None  # k [m2 s-1]

    def __init__(
        self,
        thickness: Any,
        ionic_conductivity: Any,
        *,
        volume_per_charge: Any = None,
        parabolic_rate: Any = None,
    ):
        """Take the film as it is at first, and how it grows.

        Args:
            thickness: h₀ [m].
            ionic_conductivity: κ [S m⁻¹].
            volume_per_charge: v of film per charge that crosses it [m³ C⁻¹]; by
                default it does not grow with charge.
            parabolic_rate: k of growth limited by the film itself [m² s⁻¹]; by default
                it does not grow with time.
        """
        check_range(
            "thickness", thickness, 0.0, 1e-3, "m", "Write it with its unit: 20 * nm."
        )
        check_plausible(
            "ionic_conductivity",
            ionic_conductivity,
            1e-13,
            1e3,
            "S m⁻¹",
            "1e-8 * S / cm",
        )
        if volume_per_charge is not None:
            check_range("volume_per_charge", volume_per_charge, 0.0, 1e-8, "m³ C⁻¹")
        if parabolic_rate is not None:
            check_range("parabolic_rate", parabolic_rate, 0.0, 1e-10, "m² s⁻¹")
        check_together(
            thickness=thickness,
            ionic_conductivity=ionic_conductivity,
            volume_per_charge=volume_per_charge,
            parabolic_rate=parabolic_rate,
        )
        self.thickness = as_float(thickness)
        self.ionic_conductivity = as_float(ionic_conductivity)
        self.volume_per_charge, self.parabolic_rate = (
            None if rate is None else as_float(rate)
            for rate in (volume_per_charge, parabolic_rate)
        )

    @property
    def grows(self) -> bool:
        """Whether it does, with charge or with time."""
        return self.volume_per_charge is not None or self.parabolic_rate is not None

    @property
    def resistance(self) -> Float[Array, "..."]:
        """R_film = h₀/κ [Ω m²], before it has grown."""
        return self.thickness / self.ionic_conductivity

    def thickness_after(self, time: Any, charge: Any) -> Float[Array, "..."]:
        """h [m] after a time [s] and a charge ∫|i| dt per true area [C m⁻²]."""
        thickness = self.thickness
        if self.volume_per_charge is not None:
            thickness = thickness + self.volume_per_charge * jnp.abs(as_float(charge))
        if self.parabolic_rate is None:
            return thickness
        squared = thickness**2 + self.parabolic_rate * as_float(time)
        # The root of zero has no slope.
        some = squared > 0
        root = jnp.sqrt(jnp.where(some, squared, jnp.ones_like(squared)))
        return jnp.where(some, root, jnp.zeros_like(root))

    def resistance_after(self, time: Any, charge: Any) -> Float[Array, "..."]:
        """R_film [Ω m²] then."""
        return self.thickness_after(time, charge) / self.ionic_conductivity


class FilmInUse(eqx.Module):
    """A film during a step in time: its resistance for a current that crosses it."""

    film: Film
    time: Float[Array, ""]  # at the end of the step [s]
    charge: Float[Array, "..."]  # ∫|i| dt before, per true area [C m-2]
    span: Float[Array, ""]  # how long the current counts [s]

    def __call__(self, current: Any) -> Float[Array, "..."]:
        """R_film [Ω m²] at a current density of either sign [A m⁻²]."""
        charge = self.charge + self.span * jnp.abs(current)
        return self.film.resistance_after(self.time, charge)
