"""Nucleation: from the overpotential to the number, size and cover of nuclei.

    r* = 2γV_m/(zF|η|),    ΔG* = (4π/3) r*² γ f,    f = (2 + cos θ)(1 − cos θ)²/4
    J = J₀ exp(−ΔG*/(k_B T))                   nuclei per bare area and time, η < 0

In the mean over a place that holds many nuclei, all of which grow at the rate v, with
N₀ sites that each nucleate at the rate A = J/N₀ (Kolmogorov 1937, Johnson & Mehl 1939,
Avrami 1939, doi:10.1063/1.1750380):

    coverage = 1 − exp(−X),    X = π ∫ A (N₀ − N) r² dt',    r = ∫ v dt''

X comes from three moments of the radii, Σ 1, Σ r, Σ r² (`nuclei_state`), which a step
of constant A and v takes along without error (`nuclei_growth`). A → ∞ is instantaneous
nucleation, A → 0 at constant A N₀ progressive.

With γ of the clean metal and measured overpotentials ΔG* of a hemisphere is thousands
of k_B T and nothing would nucleate: θ (or f) is an *effective, fitted* number, no
contact angle that one could see under a microscope.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import check_plausible, check_range, check_together, refuse
from depojax._types import Scalar, as_float, concrete, static
from depojax.physics.metals import Metal
from depojax.physics.nuclei_growth import Step, growth_of
from depojax.physics.nuclei_state import NucleiState, Places
from depojax.units import AVOGADRO, BOLTZMANN, FARADAY, ROOM_TEMPERATURE

_SMALLEST = 1e-12  # |η| below which nothing nucleates [V]


def wetting_factor_of(contact_angle: Any) -> Array:
    """f = (2 + cos θ)(1 − cos θ)²/4 [-]: barrier of a cap over that of a sphere."""
    theta = as_float(contact_angle)
    return (2 + jnp.cos(theta)) * jnp.sin(theta / 2) ** 4


class Nucleation(eqx.Module):
    """How metal nucleates on a substrate: interface energy, wetting, sites.

    Numbers, or arrays over the places of the substrate (a scaffold's cells), so that
    hosts may be lithiophilic below and lithiophobic above. `from_overpotential` takes
    a measured nucleation overpotential, `from_barrier` an effective barrier.

    Raises `ValueError` for what is no number or carries the wrong unit, for neither or
    both of contact angle and wetting factor, and for shapes that do not go together.
    Good values: f from a measured nucleation overpotential, never from a drop of molten
    metal; J₀ = 1e28 to 1e34 m⁻² s⁻¹; N₀ = 1e10 to 1e14 m⁻² (a nucleus every 10 to
    0.1 µm).
    """

    surface_energy: Places  # γ of metal and electrolyte [J m-2]
    wetting_factor: Places  # f, effective [-]
    prefactor: Places  # J₀ [m-2 s-1]
    site_density: Places  # N₀ [m-2]
    molar_volume: Scalar  # V_m of the metal [m3 mol-1]
    charge: int = static()  # z of its cation [-]

    def __init__(
        self,
        metal: Metal,
        *,
        contact_angle: Any = None,
        wetting_factor: Any = None,
        surface_energy: Any = None,
        prefactor: Any = 1e31,
        site_density: Any = 1e13,
    ):
        """Take the metal and how well it wets the substrate.

        Args:
            metal: what is plated, such as `depojax.metals.lithium`.
            contact_angle: θ, effective [rad].
            wetting_factor: f, effective, in its place [-]; 0 has no barrier.
            surface_energy: γ [J m⁻²]; by default that of the clean metal.
            prefactor: J₀ [m⁻² s⁻¹].
            site_density: N₀ of sites where a nucleus can form [m⁻²]. There is at most
                one nucleus on each.
        """
        if not isinstance(metal, Metal):
            raise refuse(
                "metal", "a Metal", repr(metal), "Take depojax.metals.lithium."
            )
        if (contact_angle is None) == (wetting_factor is None):
            got = "none" if contact_angle is None else "both"
            raise refuse("contact_angle", "either it or wetting_factor", got)
        if contact_angle is not None:
            cure = "It is in radians: write 120 * degree."
            check_range("contact_angle", contact_angle, 0.0, math.pi, "rad", cure)
            wetting_factor = wetting_factor_of(contact_angle)
        check_range(
            "wetting_factor", wetting_factor, 0.0, 1.0, "",
            "Beyond 1 the metal would rather nucleate in the electrolyte: raise "
            "surface_energy or lower the barrier.",
        )  # fmt: skip
        if surface_energy is None:
            surface_energy = metal.surface_energy
        check_plausible("surface_energy", surface_energy, 1e-4, 10.0, "J m⁻²", "0.5")
        check_plausible("prefactor", prefactor, 1e3, 1e37, "m⁻² s⁻¹", "1e31")
        check_plausible("site_density", site_density, 1.0, 1e20, "m⁻²", "1e9 / cm**2")
        check_together(
            wetting_factor=wetting_factor,
            surface_energy=surface_energy,
            prefactor=prefactor,
            site_density=site_density,
        )
        self.surface_energy = as_float(surface_energy)
        self.wetting_factor = as_float(wetting_factor)
        self.prefactor = as_float(prefactor)
        self.site_density = as_float(site_density)
        self.molar_volume = metal.molar_volume
        self.charge = metal.charge

    @classmethod
    def from_barrier(
        cls,
        metal: Metal,
        barrier: Any,
        *,
        overpotential: Any,
        temperature: Any = ROOM_TEMPERATURE,
        **options: Any,
    ) -> "Nucleation":
        """The one with a barrier of so many k_B T at an overpotential η < 0 [V].

        `options` are those of the constructor but for the wetting. Good values of the
        barrier where nucleation is seen: 40 to 60.
        """
        check_range("barrier", barrier, 0.0, 1e5, "k_B T")
        check_range(
            "overpotential", overpotential, -5.0, 0.0, "V",
            "Plating takes a negative overpotential.",
        )  # fmt: skip
        whole = cls(metal, wetting_factor=1.0, **options)
        per_square = whole._barrier_kelvins() / as_float(temperature)
        f = as_float(barrier) * as_float(overpotential) ** 2 / per_square
        return cls(metal, wetting_factor=f, **options)

    @classmethod
    def from_overpotential(
        cls,
        metal: Metal,
        nucleation_overpotential: Any,
        *,
        rate: Any = 1e12,
        temperature: Any = ROOM_TEMPERATURE,
        **options: Any,
    ) -> "Nucleation":
        """The one whose rate reaches `rate` [m⁻² s⁻¹] at that overpotential [V].

            ΔG*(η_n) = k_B T ln(J₀/rate)

        Args:
            metal: what is plated.
            nucleation_overpotential: η_n, its magnitude or with its sign; 0 is a
                substrate without barrier.
            rate: J at η_n; 1e12 is one nucleus per µm² and second.
            temperature: T at which η_n was measured [K].
            options: of the constructor, but for the wetting.
        """
        check_range("nucleation_overpotential", nucleation_overpotential, -5, 5, "V")
        check_plausible("rate", rate, 1e-6, 1e37, "m⁻² s⁻¹", "1e12")
        prefactor = as_float(options.get("prefactor", 1e31))
        barrier = jnp.log(prefactor / as_float(rate))
        known = concrete(barrier)
        if known is not None and np.any(known < 0):
            raise refuse("rate", "at most the prefactor J₀", rate, "Raise prefactor.")
        eta = -jnp.abs(as_float(nucleation_overpotential))
        return cls.from_barrier(
            metal, barrier, overpotential=eta, temperature=temperature, **options
        )

    @property
    def contact_angle(self) -> Places:
        """θ [rad] that belongs to f: the middle root of cos³θ − 3 cos θ + 2 = 4f."""
        turn = (2 * math.pi - jnp.arccos(2 * self.wetting_factor - 1)) / 3
        return jnp.arccos(jnp.clip(2 * jnp.cos(turn), -1.0, 1.0))

    def critical_radius(self, overpotential: Any) -> Array:
        """r* = 2γV_m/(zF|η|) [m] at η [V]; infinite where it does not plate."""
        plates, eta = _plating(overpotential)
        r = 2 * self._length_volts() / eta
        return jnp.where(plates, r, jnp.full_like(r, jnp.inf))

    def barrier(self, overpotential: Any) -> Array:
        """ΔG* [J] at η [V]; infinite where it does not plate."""
        plates, eta = _plating(overpotential)
        energy = self._barrier_square() / eta**2
        return jnp.where(plates, energy, jnp.full_like(energy, jnp.inf))

    def atoms(self, overpotential: Any) -> Array:
        """Atoms in a critical nucleus [-] at η [V]; infinite for η ≥ 0."""
        per_volume = AVOGADRO / self.molar_volume * (4 * math.pi / 3)
        r = self.critical_radius(overpotential)
        return per_volume * self.wetting_factor * r**3

    def rate(self, overpotential: Any, temperature: Any = ROOM_TEMPERATURE) -> Array:
        """J = J₀ exp(−ΔG*/(k_B T)) [m⁻² of bare substrate s⁻¹] at η [V] and T [K].

        0, with derivatives 0, where it does not plate.
        """
        return self.prefactor * self._chance(overpotential, temperature)

    def birth_radius(self, overpotential: Any) -> Array:
        """Radius [m] of the hemisphere as large as a critical nucleus: r* (2f)^⅓."""
        plates, eta = _plating(overpotential)
        some = self.wetting_factor > 0
        f = jnp.where(some, self.wetting_factor, jnp.ones_like(self.wetting_factor))
        r = 2 * self._length_volts() / eta * jnp.cbrt(2 * f)
        return jnp.where(plates & some, r, jnp.zeros_like(r))

    def grow(
        self,
        state: NucleiState,
        overpotential: Any,
        growth: Any,
        time_step: Any,
        temperature: Any = ROOM_TEMPERATURE,
    ) -> NucleiState:
        """The state after a step in which every radius grew by `growth` ≥ 0 [m].

        Births at the constant rate of η [V] and even growth within the step are taken
        along exactly but for `density`, which follows the free share by Gauss' rule.
        The charge is that of the deposit's area times its growth; `plate` asks for a
        charge instead. Any shapes that go together.
        """
        step = self._step(state, overpotential, growth, time_step, temperature)
        births = step.grown_by_end()
        gained = step.film() * (self.charge * FARADAY / self.molar_volume)
        return NucleiState(*births, charge=state.charge + gained)

    def plate(
        self,
        state: NucleiState,
        overpotential: Any,
        charge: Any,
        time_step: Any,
        temperature: Any = ROOM_TEMPERATURE,
    ) -> NucleiState:
        """The state after a charge [C m⁻² of substrate] has gone into its metal.

        Args:
            state: before the step.
            overpotential: η during the step [V]; nothing is born where it is not
                negative.
            charge: passed in the step, per substrate area [C m⁻²]; what is negative is
                stripped, as long as there is metal. Exactly this much is added to
                `state.charge`. Current needs metal to go to: multiply that of the
                kinetics by `state.area_factor`.
            time_step: how long it took [s].
            temperature: T [K].

        The radii grow by what makes ∫ area of the deposit dr equal to V_m q/(zF).
        """
        q = as_float(charge)
        volume = jnp.maximum(q, 0) * (self.molar_volume / (self.charge * FARADAY))

        def step(growth, of=(self, state, overpotential, time_step, temperature)):
            law, state, eta, time, T = of
            return law._step(state, eta, growth, time, T)

        growth = growth_of(step, volume)
        grown = NucleiState(*step(growth).grown_by_end(), charge=state.charge + q)
        return jax.tree.map(
            lambda more, less: jnp.where(q < 0, less, more),
            grown,
            state.shrunk(jnp.maximum(-q, 0)),
        )

    def _length_volts(self) -> Array:
        """γV_m/(zF) [V m]."""
        return self.surface_energy * self.molar_volume / (self.charge * FARADAY)

    def _barrier_square(self) -> Array:
        """ΔG* η² = (16π/3) γ³V_m² f/(zF)² [J V²]."""
        return self._barrier_kelvins() * BOLTZMANN

    def _barrier_kelvins(self) -> Array:
        """The same over k_B [K V²], in steps that float32 holds with their slopes."""
        root = self.charge * FARADAY * math.sqrt(BOLTZMANN)
        length = self.surface_energy * (self.molar_volume / root)
        whole = self.surface_energy * length**2
        return (16 * math.pi / 3) * whole * self.wetting_factor

    def _chance(self, overpotential: Any, temperature: Any) -> Array:
        """exp(−ΔG*/(k_B T)), 0 where it does not plate."""
        plates, eta = _plating(overpotential)
        x = self._barrier_kelvins() / as_float(temperature) / eta**2
        # Beyond, the exponential is none: neither it nor its slope may be asked for.
        plates &= x < -math.log(jnp.finfo(x.dtype).tiny)
        x = jnp.where(plates, x, jnp.zeros_like(x))
        return jnp.where(plates, jnp.exp(-x), jnp.zeros_like(x))

    def _step(self, state, overpotential, growth, time_step, temperature):
        per_site = self.rate(overpotential, temperature) / self.site_density
        a = per_site * as_float(time_step)
        born = jnp.where(a > 0, self.birth_radius(overpotential), jnp.zeros_like(a))
        free = jnp.maximum(self.site_density - state.sites_used, 0)
        return Step(state, free, a, born, as_float(growth))


def _plating(overpotential: Any) -> tuple[Array, Array]:
    """Where η plates, and |η| there (1 elsewhere) [V]."""
    eta = as_float(overpotential)
    plates = eta < -_SMALLEST
    return plates, jnp.where(plates, -eta, jnp.ones_like(eta))
