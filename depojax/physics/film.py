"""Films on the metal (SEI, coatings): an area resistance that grows.

    R_film = h/κ,    the surface overpotential loses i R_film

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
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, refuse
from depojax._types import as_float

SEI_CONDUCTIVITIES: Mapping[str, float] = {  # κ [S m-1]
    "lithium sulphide": 1e-3,
    "lithium carbonate": 1e-6,
    "lithium fluoride": 1e-7,
}


class Film(eqx.Module):
    """A film that ions cross: thickness [m] and ionic conductivity [S m⁻¹].

    Both are numbers or arrays over the places of the metal. No film is thickness 0.

    Raises `ValueError` for what is no number or carries the wrong unit, and for shapes
    that do not go together.
    Good values: 10–50 nm and 1e-7 to 1e-5 S m⁻¹ on lithium in carbonates, which make
    1e-3 to 0.1 Ω m² (10 to 1000 Ω cm²).
    """

    thickness: Float[Array, "..."]  # h [m]
    ionic_conductivity: Float[Array, "..."]  # κ [S m-1]

    def __init__(self, thickness: Any, ionic_conductivity: Any):
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
        try:
            np.broadcast_shapes(np.shape(thickness), np.shape(ionic_conductivity))
        except ValueError as error:
            raise refuse(
                "ionic_conductivity",
                f"one number or a shape that goes with {np.shape(thickness)}",
                np.shape(ionic_conductivity),
            ) from error
        self.thickness = as_float(thickness)
        self.ionic_conductivity = as_float(ionic_conductivity)

    @property
    def resistance(self) -> Float[Array, "..."]:
        """R_film = h/κ [Ω m²]."""
        return self.thickness / self.ionic_conductivity

    def grown_by_charge(self, charge: Any, volume_per_charge: Any) -> "Film":
        """The film after a charge of its own reaction per area [C m⁻²]: h + v q.

        Args:
            charge: q passed into the film's growth at each place, either sign [C m⁻²].
            volume_per_charge: v = V_m/(zF) of what it is made of [m³ C⁻¹]; Li₂CO₃ that
                takes two electrons has 1.8e-10.
        """
        growth = as_float(volume_per_charge) * jnp.abs(as_float(charge))
        return self._with_thickness(self.thickness + growth)

    def grown_by_time(self, time: Any, parabolic_rate: Any) -> "Film":
        """The film after a time [s] of growth limited by itself: h² + k t.

        Args:
            time: since the film had its thickness [s].
            parabolic_rate: k [m² s⁻¹]; 20 nm in a month is 1.5e-22.
        """
        squared = self.thickness**2 + as_float(parabolic_rate) * as_float(time)
        # The root of zero has no slope.
        some = squared > 0
        root = jnp.sqrt(jnp.where(some, squared, jnp.ones_like(squared)))
        return self._with_thickness(jnp.where(some, root, jnp.zeros_like(root)))

    def _with_thickness(self, thickness: Any) -> "Film":
        return eqx.tree_at(lambda film: film.thickness, self, thickness)
