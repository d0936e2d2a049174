"""Metals that are plated: what one coulomb of them weighs, fills and is worth.

    h = q V_m / (zF),    V_m = M / ρ

`metals.lithium`, `sodium`, `potassium`, `zinc` and `copper` are made anew each time
they are read, in the precision set at that time. Values at 20–25 °C:

- molar mass, density, conductivity, standard potential: CRC Handbook of Chemistry and
  Physics, 97th ed. (2016), sections 4 and 12 (conductivity at 20 °C) and 5;
- surface energy: of the clean solid, rounded from Tyson & Miller, Surf. Sci. 62 (1977),
  doi:10.1016/0039-6028(77)90442-3, recalled, ±30 %. An electrolyte lowers it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import equinox as eqx

from depojax._checks import (
    check_finite,
    check_integer,
    check_plausible,
    check_range,
    nearest,
)
from depojax._types import Scalar, as_float, static
from depojax.units import FARADAY


class Metal(eqx.Module):
    """A metal and the charge of its cation.

    Raises `ValueError` for what is no number or carries the wrong unit.
    """

    molar_mass: Scalar  # M [kg mol-1]
    density: Scalar  # ρ [kg m-3]
    standard_potential: Scalar  # E° in water, against SHE [V]
    electrical_conductivity: Scalar  # σ [S m-1]
    surface_energy: Scalar  # γ [J m-2]
    charge: int = static()  # z of the cation [-]
    name: str = static()

    def __init__(
        self,
        name: str,
        charge: int,
        molar_mass: Any,
        density: Any,
        standard_potential: Any,
        electrical_conductivity: Any,
        surface_energy: Any,
    ):
        check_plausible("molar_mass", molar_mass, 1e-3, 0.5, "kg mol⁻¹", "6.94 * g")
        check_plausible("density", density, 100.0, 3e4, "kg m⁻³", "0.534 * g / cm**3")
        check_range("standard_potential", standard_potential, -5.0, 5.0, "V")
        check_plausible(
            "electrical_conductivity", electrical_conductivity, 1.0, 1e9, "S m⁻¹", "1e7"
        )
        check_plausible("surface_energy", surface_energy, 1e-3, 10.0, "J m⁻²", "0.5")
        self.name = name
        self.charge = check_integer("charge", charge, 1)
        self.molar_mass = as_float(molar_mass)
        self.density = as_float(density)
        self.standard_potential = as_float(standard_potential)
        self.electrical_conductivity = as_float(electrical_conductivity)
        self.surface_energy = as_float(surface_energy)

    @property
    def molar_volume(self) -> Scalar:
        """V_m = M/ρ [m³ mol⁻¹]."""
        return self.molar_mass / self.density

    def thickness_of(self, charge_per_area: Any) -> Any:
        """Thickness [m] of dense metal plated by a charge per true area [C m⁻²].

        Negative for stripped metal. 1 mAh cm⁻² of lithium is 4.85 µm.
        """
        check_finite("charge_per_area", charge_per_area)
        q = as_float(charge_per_area)
        return q * (self.molar_volume / (self.charge * FARADAY))


_TABLE = {
    # z [-], M [kg mol-1], ρ [kg m-3], E° [V], σ [S m-1], γ [J m-2]
    "lithium": (1, 6.94e-3, 534.0, -3.0401, 1 / 9.28e-8, 0.5),
    "sodium": (1, 22.98977e-3, 968.0, -2.71, 1 / 4.77e-8, 0.25),
    "potassium": (1, 39.0983e-3, 862.0, -2.931, 1 / 7.20e-8, 0.14),
    "zinc": (2, 65.38e-3, 7140.0, -0.7618, 1 / 5.90e-8, 0.8),
    "copper": (2, 63.546e-3, 8960.0, 0.3419, 1 / 1.678e-8, 1.5),
}

KNOWN: Mapping[str, Callable[[], Metal]] = {
    name: partial(Metal, name, *row) for name, row in _TABLE.items()
}


def __getattr__(name: str) -> Metal:
    # Made when read: an array made on import would be float32 for ever.
    if name not in KNOWN:
        raise AttributeError(f"No metal is called {name!r}. {nearest(name, KNOWN)}")
    return KNOWN[name]()


def __dir__() -> list[str]:
    return [*globals(), *KNOWN]
