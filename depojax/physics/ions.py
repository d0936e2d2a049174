"""Solutions of any number of ions, each with its own diffusivity.

    N_k = −D_k (∇c_k + z_k c_k F/(RT) ∇φ)
    −∇·(ε₀ ε_r ∇φ) = F Σ z_k c_k + ρ_fixed

Dilute, or with ions that take up room (Bikerman): each c_k is then driven by the excess
chemical potential −RT ln(1 − N_A Σ a_k³ c_k) as well. Where the Debye length

    λ_D = √(ε₀ ε_r RT / (F² Σ z_k² c_k))

is small against all else the solution is neutral, Σ z_k c_k = 0.

Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 11; Kilic, Bazant & Ajdari,
Phys. Rev. E 75 (2007) 021503, doi:10.1103/PhysRevE.75.021503.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, nearest, refuse
from depojax._types import Scalar, as_float, concrete, static
from depojax.physics.electrolyte import BinaryElectrolyte, check_state
from depojax.units import (
    AVOGADRO,
    FARADAY,
    GAS_CONSTANT,
    ROOM_TEMPERATURE,
    VACUUM_PERMITTIVITY,
)

STANDARD_CONCENTRATION = 1000.0  # c° [mol m-3]
_NEUTRAL = 1e-6  # of all charges that may be left over
_FULL = 0.99  # share of the volume that ions may take in the bulk


class Ion(eqx.Module):
    """One kind of ion.

    Raises `ValueError` for a charge that is no whole number or zero, and a diffusivity
    that carries the wrong unit. Good values in water at 25 °C: 1.0e-9 (Li⁺), 0.7e-9
    (Zn²⁺), 2.0e-9 (Cl⁻, K⁺, Cs⁺), 9.3e-9 m² s⁻¹ (H⁺); in carbonates 1e-10 to 4e-10.
    CRC Handbook of Chemistry and Physics, 97th ed., p. 5-75.
    """

    diffusivity: Scalar  # D [m2 s-1]
    diameter: Scalar  # a of the solvated ion [m]; 0: takes up no room
    standard_potential: Scalar | None  # E° of its metal [V]
    name: str = static()
    charge: int = static()  # z [-]

    def __init__(
        self,
        name: str,
        charge: int,
        diffusivity: Any,
        diameter: Any = 0.0,
        *,
        standard_potential: Any = None,
    ):
        """`diameter` of the solvated ion [m], 0.3 to 0.8 nm; 0 leaves it a point.

        `standard_potential` E° of the metal that it may be reduced to [V], all against
        one reference; by default it is reduced only where it is the plated ion.
        """
        if not isinstance(name, str) or not name:
            raise refuse("name", "the name of an ion, as 'Li+'", repr(name))
        if isinstance(charge, bool) or not isinstance(charge, (int, np.integer)):
            raise refuse("charge", "a whole number, as 1 or -1", repr(charge))
        if charge == 0:
            raise refuse("charge", "other than zero", charge)
        for argument, value in (("diffusivity", diffusivity), ("diameter", diameter)):
            if np.ndim(value) != 0:
                raise refuse(argument, "one number", f"shape {np.shape(value)}")
        check_plausible(
            "diffusivity", diffusivity, 1e-17, 1e-7, "m² s⁻¹", "1e-5 * cm**2 / s"
        )
        check_range(
            "diameter",
            diameter,
            0.0,
            1e-8,
            "m",
            "depojax is SI inside: write it with its unit, as 0.5 * nm.",
        )
        if standard_potential is not None:
            check_range("standard_potential", standard_potential, -5.0, 5.0, "V")
            if charge < 0:
                raise refuse(
                    "standard_potential",
                    "that of a cation, which may be reduced to its metal",
                    f"{name!r} of charge {charge}",
                )
            standard_potential = as_float(standard_potential)
        self.standard_potential = standard_potential
        self.name = name
        self.charge = int(charge)
        self.diffusivity = as_float(diffusivity)
        self.diameter = as_float(diameter)


class MultiIonElectrolyte(eqx.Module):
    """A solution of several ions.

        ions = Ion("Li+", 1, 2e-10), Ion("PF6-", -1, 4e-10)
        MultiIonElectrolyte(ions, [1000.0, 1000.0])

    Args:
        ions: the kinds of ions, at least two.
        concentrations: of each, in the order of the ions [mol m⁻³]; neutral together.
        plated: the ion that the metal gives and takes; the first by default.
        relative_permittivity: ε_r [-]: 78 for water, 30 for EC:DMC, 7 for ethers.
        temperature: [K].
        name, reference: what it is called in results, where its numbers come from.

    Raises `ValueError` for names that are there twice, an unknown `plated` ion, one
    that the solution does not hold, and charges that do not add up to zero.
    """

    ions: tuple[Ion, ...]
    concentrations: Float[Array, " ions"]  # [mol m-3]
    relative_permittivity: Scalar  # ε_r [-]
    temperature: Scalar  # T [K]
    plated: str = static()
    name: str = static()
    reference: str = static()

    def __init__(
        self,
        ions: Sequence[Ion],
        concentrations: Any,
        *,
        plated: str | None = None,
        relative_permittivity: Any = 78.4,
        temperature: Any = ROOM_TEMPERATURE,
        name: str = "",
        reference: str = "",
    ):
        ions = tuple(ions)
        for ion in ions:
            if not isinstance(ion, Ion):
                raise refuse("ions", "a list of depojax.Ion", type(ion).__name__)
        names = [ion.name for ion in ions]
        if len(ions) < 2 or len(set(names)) < len(names):
            raise refuse("ions", "two or more, each with a name of its own", names)
        plated = names[0] if plated is None else plated
        if plated not in names:
            raise refuse(
                "plated", "one of the ions", repr(plated), nearest(plated, names)
            )
        amounts = jnp.asarray(concentrations, jnp.result_type(float))
        if amounts.shape != (len(ions),):
            raise refuse(
                "concentrations",
                f"one number for each of {names}",
                f"shape {amounts.shape}",
            )
        check_range("concentrations", amounts, 0.0, 3e4, "mol m⁻³", "Write 1.0 * M.")
        _check_bulk(ions, names.index(plated), amounts)
        check_range(
            "relative_permittivity", relative_permittivity, 0.0, 1e12, open_low=True
        )
        check_state(1.0, temperature)
        self.ions = ions
        self.concentrations = amounts
        self.relative_permittivity = as_float(relative_permittivity)
        self.temperature = as_float(temperature)
        self.plated = plated
        self.name = name
        self.reference = reference

    @classmethod
    def of_salt(
        cls,
        electrolyte: BinaryElectrolyte,
        relative_permittivity: Any = 78.4,
        *,
        cation: str = "cation",
        anion: str = "anion",
    ) -> "MultiIonElectrolyte":
        """The ideal dilute solution with D, t₊ and c of a binary electrolyte.

            D₊ = −z₋ D / ((z₊ − z₋)(1 − t₊)),   D₋ = z₊ D / ((z₊ − z₋) t₊)

        Its conductivity is that of the ideal solution, whatever was measured. Raises
        `ValueError` for t₊ ≤ 0.
        """
        D, t = electrolyte.diffusivity, electrolyte.transference_number
        check_range("transference_number", t, 0.0, 1.0, open_low=True, open_high=True)
        plus, minus = electrolyte.charge
        cations = (-minus / (plus - minus)) * D / (1 - t)
        anions = (plus / (plus - minus)) * D / t
        ions = (Ion(cation, plus, cations), Ion(anion, minus, anions))
        nu = electrolyte.stoichiometry
        amounts = electrolyte.concentration * jnp.asarray(nu, D.dtype)
        return cls(
            ions,
            amounts,
            relative_permittivity=relative_permittivity,
            temperature=electrolyte.temperature,
            name=electrolyte.name,
            reference=electrolyte.reference,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of all ions."""
        return tuple(ion.name for ion in self.ions)

    @property
    def charges(self) -> tuple[int, ...]:
        """z of all ions [-]."""
        return tuple(ion.charge for ion in self.ions)

    @property
    def diffusivities(self) -> Float[Array, " ions"]:
        """D of all ions [m² s⁻¹]."""
        return jnp.stack([ion.diffusivity for ion in self.ions])

    @property
    def plated_index(self) -> int:
        """Which ion the metal gives and takes."""
        return self.names.index(self.plated)

    @property
    def plated_charge(self) -> int:
        """z of the ion that the metal gives and takes [-]."""
        return self.charges[self.plated_index]

    @property
    def standard_potentials(self) -> Float[Array, " ions"]:
        """E° of all ions [V], NaN where it is not told."""
        none = jnp.full((), jnp.nan, self.concentrations.dtype)
        told = [ion.standard_potential for ion in self.ions]
        return jnp.stack([none if E is None else E for E in told])

    @property
    def nernst_potentials(self) -> Float[Array, " ions"]:
        """E_k = E°_k + RT/(z_k F) ln(c_k/c°) in the bulk [V], c° = 1 mol L⁻¹.

        Ideal solution: activities are concentrations. −∞ where there is none of an ion,
        NaN where its E° is not told. Above its own potential an ion is not reduced: a
        cation below that of the plated metal can shield it (Ding et al., J. Am. Chem.
        Soc. 135 (2013) 4450, doi:10.1021/ja312241y).
        """
        z = jnp.asarray(self.charges, self.concentrations.dtype)
        thermal = GAS_CONSTANT * self.temperature / FARADAY
        activity = self.concentrations / STANDARD_CONCENTRATION
        return self.standard_potentials + thermal / z * jnp.log(activity)

    @property
    def side_reactions(self) -> tuple[int, ...]:
        """Ions beside the plated one that the metal takes below their own potential."""
        if self.ions[self.plated_index].standard_potential is None:
            return ()
        return tuple(
            k
            for k, ion in enumerate(self.ions)
            if k != self.plated_index and ion.standard_potential is not None
        )

    @property
    def concentration(self) -> Scalar:
        """c of the plated ion [mol m⁻³]."""
        return self.concentrations[self.plated_index]

    @property
    def permittivity(self) -> Scalar:
        """ε₀ ε_r [F m⁻¹]."""
        return VACUUM_PERMITTIVITY * self.relative_permittivity

    @property
    def debye_length(self) -> Scalar:
        """λ_D = √(ε₀ ε_r RT / (F² Σ z_k² c_k)) [m]."""
        return jnp.sqrt(self.permittivity / self._screening)

    @property
    def conductivity(self) -> Scalar:
        """κ = F²/(RT) Σ z_k² D_k c_k [S m⁻¹]."""
        z = jnp.asarray(self.charges, self.concentrations.dtype)
        carried = jnp.sum(z**2 * self.diffusivities * self.concentrations)
        return FARADAY**2 / (GAS_CONSTANT * self.temperature) * carried

    def with_debye_length(self, length: Any) -> "MultiIonElectrolyte":
        """The same ions with the permittivity that makes the Debye length `length` [m].

        A rescaled Debye length keeps layers thick enough for a grid. What scales with
        it (field, charge, thickness of the layer) has to be read with that in mind.
        """
        check_plausible("length", length, 1e-13, 1e-2, "m", "10 * nm")
        needed = as_float(length) ** 2 * self._screening / VACUUM_PERMITTIVITY
        return dataclasses.replace(self, relative_permittivity=needed)

    @property
    def _screening(self) -> Scalar:
        """F² Σ z_k² c_k / (RT) [F m⁻³]."""
        z = jnp.asarray(self.charges, self.concentrations.dtype)
        strength = jnp.sum(z**2 * self.concentrations)
        return FARADAY**2 / (GAS_CONSTANT * self.temperature) * strength

    @property
    def volumes(self) -> Float[Array, " ions"]:
        """N_A a³ of all ions, what a mole of each takes up [m³ mol⁻¹]."""
        return jnp.stack([AVOGADRO * ion.diameter**3 for ion in self.ions])

    @property
    def takes_up_room(self) -> bool:
        """Whether some ion has a diameter; known before anything is computed."""
        sizes = [concrete(ion.diameter) for ion in self.ions]
        return any(size is None or float(size) > 0 for size in sizes)


def _check_bulk(ions: Sequence[Ion], plated: int, amounts: Array) -> None:
    """Refuse a bulk that is not neutral, too dense, or without the plated ion."""
    known = concrete(amounts)
    if known is None:
        return
    if known[plated] <= 0:
        raise refuse(
            "plated",
            "an ion that the solution holds",
            f"{ions[plated].name!r} at {known[plated]:g} mol m⁻³",
        )
    charges = known * [ion.charge for ion in ions]
    if abs(charges.sum()) > _NEUTRAL * np.abs(charges).sum():
        listed = ", ".join(
            f"{ion.name}: {c:g}" for ion, c in zip(ions, known, strict=True)
        )
        raise refuse(
            "concentrations",
            "charges that add up to zero",
            f"{charges.sum():g} mol m⁻³ of charge ({listed})",
        )
    room = 0.0
    for ion, c in zip(ions, known, strict=True):
        size = concrete(jax.lax.stop_gradient(ion.diameter))
        room += 0.0 if size is None else AVOGADRO * float(size) ** 3 * float(c)
    if room > _FULL or not math.isfinite(room):
        raise refuse(
            "diameter",
            "ions that fit into the volume",
            f"a bulk that they would fill to {100 * room:.3g} %",
        )
