"""Named solutions: functions of concentration and temperature, one source per number.

Each returns the `BinaryElectrolyte` with the properties at that concentration [mol m⁻³]
and temperature [K], and raises `ValueError` outside of the range where they are known.
`KNOWN` maps the names to the functions. For properties that follow the local
concentration give the function itself to `ConcentratedElectrolyte`; its `law` is the
`FittedLaw` with the ranges. `from_pybamm` and `from_bpx` read parameter sets.

In the formulas c is in mol L⁻¹ as in the papers. "Read" numbers were compared with the
parameter files of PyBaMM or the abstract of the paper; "recalled" ones were not found
at a source and carry the uncertainty that is stated.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, cast

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_choice, nearest
from depojax._types import as_float, static
from depojax.physics.concentrated import FittedLaw
from depojax.physics.electrolyte import BinaryElectrolyte, IdealDilute, Properties
from depojax.physics.electrolyte_files import from_bpx as from_bpx
from depojax.physics.electrolyte_files import from_pybamm as from_pybamm
from depojax.units import GAS_CONSTANT, ROOM_TEMPERATURE, M


class Solution(Protocol):
    """A named solution: its snapshot at (c, T) when called, and its law."""

    law: FittedLaw

    def __call__(
        self, concentration: Any, temperature: Any = ROOM_TEMPERATURE
    ) -> BinaryElectrolyte: ...


KNOWN: dict[str, Solution] = {}
_FITS: dict[str, Callable[[Array, Array], Properties]] = {}


class KnownFit(eqx.Module):
    """The fit of a named solution. It holds its name only, so a file can hold it."""

    name: str = static()

    def __call__(self, c: Array, T: Array) -> Properties:
        """The properties at c [mol m⁻³], in the measured range, and T [K]."""
        check_choice("name of a solution", self.name, _FITS)
        return _FITS[self.name](c / M, T)


def _known(
    *,
    concentration: tuple[float, float],
    temperature: tuple[float, float],
    reference: str,
    charge: int = 1,
) -> Callable[[Callable[[Array, Array], Properties]], Solution]:
    """Enter a solution into `KNOWN`, refusing what lies out of its ranges."""
    c_range, T_range = concentration, temperature

    def enter(fit: Callable[[Array, Array], Properties]) -> Solution:
        name = fit.__name__
        law = FittedLaw(
            KnownFit(name), c_range, T_range, charge, name=name, reference=reference
        )

        @wraps(fit)
        def snapshot(
            concentration: Any, temperature: Any = ROOM_TEMPERATURE
        ) -> BinaryElectrolyte:
            law.check(concentration, temperature)
            found = law.fit(as_float(concentration), as_float(temperature))
            return BinaryElectrolyte(
                concentration=concentration,
                diffusivity=found.diffusivity,
                transference_number=found.transference_number,
                charge=charge,
                conductivity=found.conductivity,
                temperature=temperature,
                thermodynamic_factor=found.thermodynamic_factor,
                name=name,
                reference=reference,
            )

        del snapshot.__wrapped__  # its signature is not that of the fit
        solution = cast(Solution, snapshot)
        solution.law = law
        _FITS[name], KNOWN[name] = fit, solution
        return solution

    return enter


def _arrhenius(energy: float, temperature: Array) -> Array:
    """exp(E/R (1/298.15 K − 1/T)) for an activation energy E [J mol⁻¹]."""
    return jnp.exp(energy / GAS_CONSTANT * (1 / ROOM_TEMPERATURE - 1 / temperature))


@_known(
    concentration=(100.0, 3000.0),
    temperature=(263.15, 323.15),
    reference="doi:10.1149/2.0571912jes",
)
def lipf6_ec_emc_landesfeind2019(c, T):
    """LiPF₆ in EC:EMC 3:7 by weight, 0.1–3 M, −10 to 50 °C, all measured over c and T.

    Landesfeind & Gasteiger, J. Electrochem. Soc. 166 (2019) A3079,
    doi:10.1149/2.0571912jes; coefficients read. They are printed with three digits,
    which leaves t₊ open by ±0.1; below about 10 °C the fit is negative near 1.5 M.
    """
    heat = jnp.exp(1e3 / T)
    ions = 1 - 1.06 * jnp.sqrt(c) + 0.353 * (1 - 3.59e-3 * heat) * c
    t = (-12.8, -6.12, 8.21e-2, 0.904, 3.18e-2, -1.27e-4, 1.75e-2, -3.12e-3, -3.96e-5)
    chi = (25.7, -45.1, -0.177, 1.94, 0.295, 3.08e-4, 0.259, -9.46e-3, -4.54e-4)
    return Properties.like(
        c,
        diffusivity=1.01e-7 * jnp.exp(1.01 * c - (1.56e3 + 4.87e2 * c) / T),
        transference_number=_polynomial(t, c, T),
        conductivity=0.0521 * (T - 227) * c * ions / (1 + 1.48e-3 * heat * c**4),
        thermodynamic_factor=_polynomial(chi, c, T),
    )


def _polynomial(coefficients, c, T):
    # The paper's form for t₊ and χ, terms in its order.
    terms = (1, c, T, c**2, c * T, T**2, c**3, c**2 * T, c * T**2)
    return sum(p * term for p, term in zip(coefficients, terms, strict=True))


@_known(
    concentration=(100.0, 3000.0),
    temperature=(263.15, 323.15),
    reference="doi:10.1149/2.0571912jes",
)
def lipf6_ec_emc(c, T):
    """LiPF₆ in EC:EMC 3:7 by weight: the set of `lipf6_ec_emc_landesfeind2019`.

    Preferred to Nyman 2008, whose t₊ and χ hold at one temperature.
    """
    return _FITS["lipf6_ec_emc_landesfeind2019"](c, T)


@_known(
    concentration=(200.0, 2000.0),
    temperature=(273.15, 323.15),
    reference="doi:10.1016/j.electacta.2008.04.023",
)
def lipf6_ec_emc_nyman2008(c, T):
    """LiPF₆ in EC:EMC 3:7 by weight, 0.2–2 M, 0 to 50 °C.

    Nyman, Behm & Lindbergh, Electrochim. Acta 53 (2008) 6356,
    doi:10.1016/j.electacta.2008.04.023, measured at 25 °C: D and κ read in PyBaMM, t₊
    in MPET and LiiBRA. Activation energy 17 kJ mol⁻¹ of D and κ: Ecker et al. 2015,
    doi:10.1149/2.0551509jes, read. χ = 1 is a stand-in (PyBaMM's): diffusion
    potentials come out about half. (MPET's fit of it is negative at 1 M.)
    """
    heat = _arrhenius(17e3, T)
    return Properties.like(
        c,
        diffusivity=(8.794e-11 * c**2 - 3.972e-10 * c + 4.862e-10) * heat,
        transference_number=-0.1287 * c**3 + 0.4106 * c**2 - 0.4717 * c + 0.4492,
        conductivity=(0.1297 * c**3 - 2.51 * c**1.5 + 3.329 * c) * heat,
    )


@_known(
    concentration=(10.0, 3900.0),
    temperature=(263.15, 333.15),
    reference="doi:10.1149/1.1872737",
)
def lipf6_pc_ec_dmc_valoen2005(c, T):
    """LiPF₆ in PC:EC:DMC 10:27:63 by volume, 0.01–3.9 M, −10 to 60 °C.

    Valøen & Reimers, J. Electrochem. Soc. 152 (2005) A882, doi:10.1149/1.1872737: D, κ
    and t₊ read, χ too but for its 294 K (PyBaMM has 298.15). The paper prints ln D
    where the fit is log₁₀ D.
    """
    log_D = -4.43 - 54 / (T - 229 - 5 * c) - 0.22 * c  # of D in cm² s⁻¹
    root_molar = (
        (-10.5 + 0.0740 * T - 6.96e-5 * T**2)
        + c * (0.668 - 0.0178 * T + 2.80e-5 * T**2)
        + c**2 * (0.494 - 8.86e-4 * T)
    )
    drag = 0.601 - 0.24 * c**0.5 + 0.982 * (1 - 0.0052 * (T - 294)) * c**1.5
    return Properties.like(
        c,
        diffusivity=1e-4 * 10**log_D,
        transference_number=0.38,
        conductivity=0.1 * c * root_molar**2,
        thermodynamic_factor=drag / (1 - 0.38),  # drag = (1 − t₊) χ
    )


@_known(
    concentration=(500.0, 1500.0),
    temperature=(293.15, 303.15),
    reference="recalled, ±50 %",
)
def litfsi_dol_dme(c, T):
    """LiTFSI in DOL:DME 1:1 by volume, near 1 M and 25 °C.

    All numbers recalled, ±50 %, and the same over the whole range.
    """
    return Properties.like(
        c,
        diffusivity=7e-10,
        transference_number=0.45,
        conductivity=1.2,
        thermodynamic_factor=1.5,
    )


@_known(
    concentration=(50.0, 2500.0),
    temperature=(293.15, 303.15),
    reference="doi:10.1016/j.electacta.2021.139764",
)
def napf6_ec_pc_chayambuka2022(c, T):
    """NaPF₆ in EC:PC 1:1, 0.05–2.5 M, 25 °C.

    Chayambuka et al., Electrochim. Acta 404 (2022) 139764,
    doi:10.1016/j.electacta.2021.139764, the set that PyBaMM ships; t₊ = 0.45 and χ = 1
    read. D and κ are smooth curves of ours within 2 and 6 % of the numbers of its
    fig. A3 that we could read; PyBaMM's own table has a higher κ, 0.404 S m⁻¹ at 0.15 M
    and 0.72 at 0.5 M. D is ten times below that of NaPF₆ in other carbonates
    (Landesfeind, Hosaka, Graf, Kubota, Komaba & Gasteiger 2021): treat it as a set
    fitted to a cell, not as the truth.
    """
    return Properties.like(
        c,
        diffusivity=1.58e-11 + 2.56e-11 * jnp.exp(-c / 0.977),
        transference_number=0.45,
        conductivity=1.93 * c * jnp.exp(-0.82 * c),
    )


@_known(
    concentration=(300.0, 1000.0),
    temperature=(293.15, 303.15),
    reference="recalled, ±50 %",
)
def kpf6_ec_dec(c, T):
    """KPF₆ in EC:DEC 1:1 by volume, near 0.8 M and 25 °C.

    All numbers recalled, ±50 %, and the same over the whole range. For measured ones
    of KFSI in DME see Dhir, Jagger, Maguire & Pasta, Nat. Commun. 14 (2023).
    """
    return Properties.like(
        c,
        diffusivity=4e-10,
        transference_number=0.45,
        conductivity=0.8,
    )


@_known(
    concentration=(10.0, 2500.0),
    temperature=(283.15, 323.15),
    reference="CRC Handbook, 97th ed.; recalled",
    charge=2,
)
def znso4_water(c, T):
    """ZnSO₄ in water, 0.01–2.5 M, 10 to 50 °C.

    Ions at infinite dilution: CRC Handbook, 97th ed., section 5. The rest is recalled:
    D falls to 5.0e-10 m² s⁻¹ at 1 M (±30 %), κ follows the handbook's conductances up
    to its maximum near 2 M (±15 %), t₊ that of CuSO₄ (±0.05), χ = 0.5 (0.4 to 0.7).
    """
    dilute = IdealDilute(0.703e-9, 1.065e-9, 2)(c * M, ROOM_TEMPERATURE)
    root = jnp.sqrt(c)
    friction = 1 + 8.68 * root / (1 + 1.224 * root) + 0.97 * c**2
    heat = _arrhenius(_WATER, T)
    return Properties.like(
        c,
        diffusivity=dilute.diffusivity / (1 + 0.694 * root) * heat,
        transference_number=_sulfate_transference(dilute, root),
        conductivity=dilute.conductivity / friction * heat,
        thermodynamic_factor=0.5,
    )


@_known(
    concentration=(10.0, 1400.0),
    temperature=(283.15, 323.15),
    reference="CRC Handbook, 97th ed.; J. Chem. Eng. Data 16 (1971); recalled",
    charge=2,
)
def cuso4_water(c, T):
    """CuSO₄ in water without acid, 0.01–1.4 M, 10 to 50 °C.

    Ions at infinite dilution: CRC Handbook, 97th ed., section 5. t₊ ± 0.005: Pikal &
    Miller, J. Chem. Eng. Data 16 (1971), read. The rest is recalled: D falls to
    5.5e-10 m² s⁻¹ at 0.5 M (±30 %), κ follows the handbook's conductances (±15 %),
    χ = 0.5 (0.4 to 0.6).
    """
    dilute = IdealDilute(0.714e-9, 1.065e-9, 2)(c * M, ROOM_TEMPERATURE)
    root = jnp.sqrt(c)
    friction = 1 + 9.34 * root / (1 + 1.21 * root) + 0.5 * c**2
    heat = _arrhenius(_WATER, T)
    return Properties.like(
        c,
        diffusivity=dilute.diffusivity / (1 + 0.784 * root) * heat,
        transference_number=_sulfate_transference(dilute, root),
        conductivity=dilute.conductivity / friction * heat,
        thermodynamic_factor=0.5,
    )


# What the viscosity of water does to any ion: 2.2 % per kelvin at 25 °C.
_WATER = 16e3  # [J mol-1]


def _sulfate_transference(dilute, root):
    # Pikal & Miller: 0.4010 − 0.1426 √m + 0.0186 m; molality taken for molarity.
    return dilute.transference_number - 0.1426 * root + 0.0186 * root**2


def __getattr__(name: str) -> Any:
    raise AttributeError(f"No solution is called {name!r}. {nearest(name, KNOWN)}")
