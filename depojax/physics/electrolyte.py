"""The binary electrolyte: one salt that gives one cation and one anion.

    A_ν₊ B_ν₋  →  ν₊ A^z₊ + ν₋ B^z₋,    z₊ν₊ + z₋ν₋ = 0

Electroneutrality leaves one concentration c, that of the salt, and transport is told
by D, t₊, κ and the thermodynamic factor χ (`Properties`): constant in a
`BinaryElectrolyte`, functions of c and T in a `ConcentratedElectrolyte`. In the dilute
limit all follow from the diffusivities of the ions:

    D = (z₊ − z₋) D₊D₋ / (z₊D₊ − z₋D₋)
    t₊ = z₊D₊ / (z₊D₊ − z₋D₋)
    κ = F²/(RT) (z₊²ν₊D₊ + z₋²ν₋D₋) c,    χ = 1

The current in the solution, φ_l measured against an electrode of the plated metal:

    i_l = −κ ∇φ_l + κ U ∇ln c,    U = (ν₊ + ν₋) RT (1 − t₊) χ / (z₊ν₊F)

Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 11 and 12.
"""

import abc
import dataclasses
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, nearest, refuse
from depojax._types import Scalar, as_float, static
from depojax.units import FARADAY, GAS_CONSTANT, ROOM_TEMPERATURE


class Properties(eqx.Module):
    """What transport asks of a solution, at each concentration: arrays of one shape."""

    diffusivity: Float[Array, "..."]  # D [m2 s-1]
    conductivity: Float[Array, "..."]  # κ [S m-1]
    transference_number: Float[Array, "..."]  # t₊ [-]
    thermodynamic_factor: Float[Array, "..."]  # χ [-]

    @classmethod
    def like(
        cls,
        c: Array,
        diffusivity: Any,
        conductivity: Any,
        transference_number: Any,
        thermodynamic_factor: Any = 1.0,
    ) -> "Properties":
        """Numbers and arrays in the shape and precision of `c`."""
        given = (diffusivity, conductivity, transference_number, thermodynamic_factor)
        shape = jnp.shape(c)
        return cls(*(jnp.broadcast_to(jnp.asarray(p, c.dtype), shape) for p in given))


class AbstractElectrolyte(eqx.Module):
    """One salt in a solvent: its ions, its concentration, and `properties(c)`."""

    concentration: eqx.AbstractVar[Scalar]
    temperature: eqx.AbstractVar[Scalar]
    charge: eqx.AbstractVar[tuple[int, int]]
    name: eqx.AbstractVar[str]
    reference: eqx.AbstractVar[str]

    @abc.abstractmethod
    def properties(self, c: Any) -> Properties:
        """D, κ, t₊ and χ at concentrations `c` [mol m⁻³] of any shape."""

    @property
    def stoichiometry(self) -> tuple[int, int]:
        """(ν₊, ν₋), the ions of one formula unit, smallest whole numbers [-]."""
        return stoichiometry(self.charge)

    @property
    def plated_charge(self) -> int:
        """z₊, what the metal's ion carries [-]."""
        return self.charge[0]

    @property
    def charge_per_salt(self) -> int:
        """z₊ν₊, the charges that the cations of one formula unit carry [-]."""
        return self.charge[0] * self.stoichiometry[0]


def check_state(concentration: Any, temperature: Any) -> None:
    """Refuse a c [mol m⁻³] or T [K] that is not one number, or that no solution has."""
    for argument, value in (
        ("concentration", concentration),
        ("temperature", temperature),
    ):
        if np.ndim(value) != 0:
            raise refuse(argument, "one number", f"shape {np.shape(value)}")
    check_plausible("concentration", concentration, 1e-3, 3e4, "mol m⁻³", "1.0 * M")
    check_range(
        "temperature",
        temperature,
        150.0,
        1500.0,
        "K",
        "In degrees Celsius write celsius(25).",
    )


def diffusion_potential(
    electrolyte: AbstractElectrolyte, properties: Properties
) -> Any:
    """U = (ν₊ + ν₋) RT (1 − t₊) χ / (z₊ν₊F) [V], in the shape of the properties.

    The open-circuit difference of two electrodes of the plated metal is ∫U dln c. For a
    1:1 salt U = 2RT (1 − t₊) χ/F.
    """
    t_plus, chi = properties.transference_number, properties.thermodynamic_factor
    ions = sum(electrolyte.stoichiometry) / electrolyte.charge_per_salt
    heat = (ions * GAS_CONSTANT / FARADAY) * electrolyte.temperature
    return heat.astype(t_plus.dtype) * (1 - t_plus) * chi


class IdealDilute(eqx.Module):
    """The law of ions with diffusivities D₊ and D₋ [m² s⁻¹] that do not interact.

        D = (z₊ − z₋) D₊D₋ / (z₊D₊ − z₋D₋),   t₊ = z₊D₊ / (z₊D₊ − z₋D₋)
        κ = F²/(RT) (z₊²ν₊D₊ + z₋²ν₋D₋) c,    χ = 1

    Of temperature it knows κ ∝ 1/T only: give the diffusivities at the cell's own.
    In water at 1 M it makes κ too large 1.3 times for KCl and six times for ZnSO₄, and
    D and t₊ wrong by tens of percent.
    """

    cation_diffusivity: Scalar  # D₊ [m2 s-1]
    anion_diffusivity: Scalar  # D₋ [m2 s-1]
    charge: tuple[int, int] = static()  # (z₊, z₋) [-]

    def __init__(
        self,
        cation_diffusivity: Any,
        anion_diffusivity: Any,
        charge: int | tuple[int, int] = 1,
    ):
        for ion, value in (
            ("cation_diffusivity", cation_diffusivity),
            ("anion_diffusivity", anion_diffusivity),
        ):
            check_plausible(ion, value, 1e-17, 1e-7, "m² s⁻¹", "1e-5 * cm**2 / s")
        self.cation_diffusivity = as_float(cation_diffusivity)
        self.anion_diffusivity = as_float(anion_diffusivity)
        self.charge = as_charge(charge)

    def __call__(self, c: Array, T: Any) -> Properties:
        """The properties at c [mol m⁻³] and T [K]."""
        z, nu, T = self.charge, stoichiometry(self.charge), jnp.asarray(T, c.dtype)
        D_cation = self.cation_diffusivity.astype(c.dtype)
        D_anion = self.anion_diffusivity.astype(c.dtype)
        mobility = z[0] * D_cation - z[1] * D_anion
        ionic = z[0] ** 2 * nu[0] * D_cation + z[1] ** 2 * nu[1] * D_anion
        return Properties.like(
            c,
            diffusivity=(z[0] - z[1]) * D_cation * (D_anion / mobility),
            conductivity=FARADAY**2 / GAS_CONSTANT / T * ionic * c,
            transference_number=z[0] * D_cation / mobility,
        )


class BinaryElectrolyte(AbstractElectrolyte):
    """An electroneutral solution of one salt, with constant properties.

    They are the properties at the given concentration and temperature. Named solutions
    are in `depojax.electrolytes`; the dilute limit is `BinaryElectrolyte.from_ions`.

    Raises `ValueError` for what is no number, carries the wrong unit or charges no ion.
    Good values: D = 1e-10 to 1e-9 m² s⁻¹ and κ = 0.1 to 10 S m⁻¹ in liquids, t₊ = 0.2
    to 0.5; polymers have D near 1e-11 m² s⁻¹, and some a negative t₊.
    """

    concentration: Scalar  # c of the salt [mol m-3]
    diffusivity: Scalar  # D of the salt (ambipolar, against its own gradient) [m2 s-1]
    transference_number: Scalar  # t₊ relative to the solvent [-]
    conductivity: Scalar | None  # κ [S m-1]
    temperature: Scalar  # T [K]
    thermodynamic_factor: Scalar  # χ = 1 + dln f±/dln c [-]
    charge: tuple[int, int] = static()  # (z₊, z₋) [-]
    name: str = static()
    reference: str = static()

    def __init__(
        self,
        concentration: Any,
        diffusivity: Any,
        transference_number: Any,
        charge: int | tuple[int, int] = 1,
        conductivity: Any = None,
        temperature: Any = ROOM_TEMPERATURE,
        thermodynamic_factor: Any = 1.0,
        *,
        name: str = "",
        reference: str = "",
    ):
        """Take the properties of a solution.

        Args:
            concentration: of the salt, not of an ion [mol m⁻³].
            diffusivity: of the salt [m² s⁻¹].
            transference_number: of the cation, relative to the solvent [-], below 1.
            charge: of the ions: z for (z, −z), or (z₊, z₋) [-].
            conductivity: [S m⁻¹]; may stay unknown where no potential is asked for.
            temperature: [K].
            thermodynamic_factor: 1 + dln f±/dln c [-]; 1 is the ideal solution.
            name: what it is called in results.
            reference: where the numbers come from.
        """
        numbers = {
            "diffusivity": diffusivity,
            "transference_number": transference_number,
            "thermodynamic_factor": thermodynamic_factor,
        }
        if conductivity is not None:
            numbers["conductivity"] = conductivity
        for argument, value in numbers.items():
            if np.ndim(value) != 0:
                raise refuse(argument, "one number", f"shape {np.shape(value)}")
        check_state(concentration, temperature)
        check_plausible(
            "diffusivity", diffusivity, 1e-17, 1e-7, "m² s⁻¹", "3e-6 * cm**2 / s"
        )
        check_range(
            "transference_number",
            transference_number,
            -1.0,
            1.0,
            cure="Give a fraction, not percent; at t₊ = 1 nothing is ever depleted.",
            open_low=True,
            open_high=True,
        )
        check_range(
            "thermodynamic_factor",
            thermodynamic_factor,
            0.0,
            100.0,
            cure="At or below 0 the solution would separate.",
            open_low=True,
        )
        if conductivity is not None:
            check_plausible(
                "conductivity", conductivity, 1e-12, 1e3, "S m⁻¹", "10 * mS / cm"
            )
        self.concentration = as_float(concentration)
        self.diffusivity = as_float(diffusivity)
        self.transference_number = as_float(transference_number)
        self.conductivity = None if conductivity is None else as_float(conductivity)
        self.temperature = as_float(temperature)
        self.thermodynamic_factor = as_float(thermodynamic_factor)
        self.charge = as_charge(charge)
        self.name = name
        self.reference = reference

    @classmethod
    def from_ions(
        cls,
        concentration: Any,
        cation_diffusivity: Any,
        anion_diffusivity: Any,
        charge: int | tuple[int, int] = 1,
        temperature: Any = ROOM_TEMPERATURE,
        *,
        name: str = "",
        reference: str = "",
    ) -> "BinaryElectrolyte":
        """The solution by `IdealDilute`, with its diffusivities D₊ and D₋ [m² s⁻¹]."""
        law = IdealDilute(cation_diffusivity, anion_diffusivity, charge)
        found = law(as_float(concentration), as_float(temperature))
        return cls(
            concentration=concentration,
            diffusivity=found.diffusivity,
            transference_number=found.transference_number,
            charge=law.charge,
            conductivity=found.conductivity,
            temperature=temperature,
            name=name,
            reference=reference,
        )

    def properties(self, c: Any) -> Properties:
        """The constants in the shape of `c`, which they do not depend on.

        Raises `ValueError` where the conductivity is unknown.
        """
        if self.conductivity is None:
            raise refuse(
                "electrolyte",
                "a known conductivity",
                f"none for {self.name or 'this solution'}",
                "Give conductivity=10 * mS / cm: potentials depend on it.",
            )
        return Properties.like(
            as_float(c),
            self.diffusivity,
            self.conductivity,
            self.transference_number,
            self.thermodynamic_factor,
        )

    @property
    def salt_flux_per_current(self) -> Scalar:
        """(1 − t₊)/(z₊ν₊F), salt removed at the plating metal per charge [mol C⁻¹]."""
        return (1 - self.transference_number) / (self.charge_per_salt * FARADAY)

    def replace(self, **changes: Any) -> "BinaryElectrolyte":
        """The same solution with some constructor arguments changed, all checked.

        The other properties stay what they were: a new temperature or concentration
        does not bring a new diffusivity along.
        """
        known = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        for argument in changes:
            if argument not in known:
                raise refuse(
                    "replace",
                    "a property of the electrolyte",
                    repr(argument),
                    nearest(argument, known),
                )
        return BinaryElectrolyte(**(known | changes))


def as_charge(charge: Any) -> tuple[int, int]:
    """(z₊, z₋) from z or (z₊, z₋)."""
    pair = tuple(charge) if isinstance(charge, (tuple, list)) else (charge, None)
    whole = all(
        isinstance(z, (int, np.integer)) and not isinstance(z, bool)
        for z in pair
        if z is not None
    )
    if len(pair) != 2 or not whole or pair[0] is None or pair[0] <= 0:
        raise refuse(
            "charge",
            "a whole number z ≥ 1, or (z₊, z₋)",
            repr(charge),
            "Write 1 for LiPF₆, 2 for ZnSO₄, (2, -1) for ZnCl₂.",
        )
    cation = int(pair[0])
    anion = -cation if pair[1] is None else int(pair[1])
    if anion >= 0:
        raise refuse(
            "charge",
            "an anion with z₋ ≤ -1",
            anion,
            "Write 1 for LiPF₆, 2 for ZnSO₄, (2, -1) for ZnCl₂.",
        )
    return cation, anion


def stoichiometry(charge: tuple[int, int]) -> tuple[int, int]:
    """(ν₊, ν₋) of ions with charges (z₊, z₋), smallest whole numbers."""
    cation, anion = charge
    common = math.gcd(cation, -anion)
    return -anion // common, cation // common
