"""Current transients of nucleation with diffusion zones that overlap.

    i = z F c √(D/(π t)) (1 − exp(−y)),    k = √(8π c V_m)

    instantaneous    y = π k D N₀ t
    progressive      y = π k' D J t²/2,    k' = 4k/3
    between          y = π k D N₀ (t − (1 − e^(−At))/A),    A = J/N₀

N₀ sites nucleate at the rate J per bare area at first. The two limits are those of
Scharifker & Hills, Electrochim. Acta 28 (1983) 879, doi:10.1016/0013-4686(83)85163-9,
the law between them that of Scharifker & Mostany, J. Electroanal. Chem. 177 (1984) 13,
doi:10.1016/0022-0728(84)80207-7. Theirs ends in k, not k', where A t is small: J from
it is 4/3 of J from the progressive limit.

Before the zones meet each nucleus is a hemisphere: see `hemisphere_radius`.
"""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, refuse
from depojax._types import Scalar, as_float, static
from depojax.physics.metals import Metal
from depojax.units import FARADAY

Kind = Literal["instantaneous", "progressive", "mixed"]
_BISECTIONS = 60


class NucleationKinetics(eqx.Module):
    """The law y(t) of one of the three kinds, and the current that goes with it."""

    diffusivity: Scalar  # D [m2 s-1]
    concentration: Scalar  # c [mol m-3]
    molar_volume: Scalar  # V_m [m3 mol-1]
    site_density: Scalar  # N₀ [m-2]; not of the progressive kind
    nucleation_rate: Scalar  # J at first [m-2 s-1]; not of the instantaneous kind
    charge: int = static()  # z [-]
    kind: Kind = static()

    def exponent(self, time: Array) -> Array:
        """y [-] at t [s]."""
        root = jnp.sqrt(8 * math.pi * self.concentration * self.molar_volume)
        zones = math.pi * root * self.diffusivity
        if self.kind == "instantaneous":
            return zones * self.site_density * time
        if self.kind == "progressive":
            return zones * (4 / 3) * self.nucleation_rate * time**2 / 2
        a = self.nucleation_rate / self.site_density * time
        return zones * self.site_density * time * _late(a)

    def current_density(self, time: Array) -> Array:
        """i [A m⁻²] at t [s]; 0 at 0."""
        some = time > 0
        t = jnp.where(some, time, jnp.ones_like(time))
        flow = self.charge * FARADAY * self.concentration
        planar = flow * jnp.sqrt(self.diffusivity / (math.pi * t))
        i = planar * -jnp.expm1(-self.exponent(t))
        return jnp.where(some, i, jnp.zeros_like(i))

    def nuclei_density(self, time: Array) -> Array:
        """Nuclei born until t [m⁻²], as if no zone kept any from being born."""
        if self.kind == "instantaneous":
            return jnp.where(time > 0, self.site_density, jnp.zeros_like(time))
        if self.kind == "progressive":
            return self.nucleation_rate * time
        a = self.nucleation_rate / self.site_density
        return -self.site_density * jnp.expm1(-a * time)

    def peak_time(self) -> Array:
        """t_m [s], where i is largest: 2 t y' = e^y − 1."""
        frozen = stop_gradient(self)

        def excess(log_t, law):
            y, slope = jax.jvp(
                lambda s: law.exponent(jnp.exp(s)), (log_t,), (jnp.ones_like(log_t),)
            )
            return jnp.log(2 * slope) - jnp.log(jnp.expm1(y))

        # y lies between 1 and 3 at the peak: bracket it by what its growth allows.
        one = jnp.ones_like(self.diffusivity)
        low, high = -60.0 * one, 60.0 * one

        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            y = frozen.exponent(jnp.exp(middle))
            safe = jnp.where((y > 1e-3) & (y < 50), middle, jnp.zeros_like(middle))
            early = jnp.where(y < 50, (y <= 1e-3) | (excess(safe, frozen) > 0), False)
            return jnp.where(early, middle, low), jnp.where(early, high, middle)

        low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (low, high))
        log_t = stop_gradient((low + high) / 2)
        _, slope = jax.jvp(lambda s: excess(s, frozen), (log_t,), (one,))
        return jnp.exp(log_t - excess(log_t, self) / stop_gradient(slope))


class Transient(eqx.Module):
    """A current transient at a step of the potential."""

    time: Float[Array, "times"]  # [s]
    current_density: Float[Array, "times"]  # i [A m-2]
    nuclei_density: Float[Array, "times"]  # [m-2]
    peak_time: Scalar  # t_m [s]
    peak_current_density: Scalar  # i_m [A m-2]
    law: NucleationKinetics

    @property
    def kind(self) -> Kind:
        """Instantaneous, progressive, or mixed."""
        return self.law.kind

    @property
    def product(self) -> Scalar:
        """i_m² t_m/((zFc)² D) [-]: 0.1629 if instantaneous, 0.2598 if progressive."""
        law = self.law
        flow = law.charge * FARADAY * law.concentration
        return self.peak_current_density**2 * self.peak_time / flow**2 / law.diffusivity

    def to_xarray(self):
        """The transient as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


def scharifker_hills(
    time: Any,
    metal: Metal,
    *,
    concentration: Any,
    diffusivity: Any,
    site_density: Any = None,
    nucleation_rate: Any = None,
) -> Transient:
    """The current transient of nucleation under diffusion control.

    With `site_density` alone nucleation is instantaneous, with `nucleation_rate` alone
    progressive, with both it is what lies between.

    Args:
        time: t [s], any number of times ≥ 0 in one row.
        metal: what is plated: its charge and molar volume.
        concentration: c of its ion in the bulk [mol m⁻³].
        diffusivity: D of its ion [m² s⁻¹], in supporting electrolyte; in a binary salt
            D/(1 − t₊).
        site_density: N₀ [m⁻²].
        nucleation_rate: J of the bare substrate [m⁻² s⁻¹].

    Good values: N₀ = 1e9 to 1e14 m⁻², J = 1e9 to 1e15 m⁻² s⁻¹.
    """
    if not isinstance(metal, Metal):
        raise refuse("metal", "a Metal", repr(metal), "Take depojax.metals.copper.")
    check_range("time", time, 0.0, math.inf, "s")
    check_plausible("concentration", concentration, 1e-4, 1e5, "mol m⁻³", "1.0 * M")
    check_plausible("diffusivity", diffusivity, 1e-16, 1e-6, "m² s⁻¹", "3e-10")
    if site_density is None and nucleation_rate is None:
        raise refuse("site_density", "it, nucleation_rate, or both", "none")
    if site_density is not None:
        check_plausible("site_density", site_density, 1.0, 1e20, "m⁻²", "1e7 / cm**2")
    if nucleation_rate is not None:
        check_plausible(
            "nucleation_rate", nucleation_rate, 1e-3, 1e30, "m⁻² s⁻¹", "1e7 / cm**2"
        )
    kind: Kind = "mixed"
    if nucleation_rate is None:
        kind = "instantaneous"
    elif site_density is None:
        kind = "progressive"
    law = NucleationKinetics(
        diffusivity=as_float(diffusivity),
        concentration=as_float(concentration),
        molar_volume=metal.molar_volume,
        site_density=as_float(1.0 if site_density is None else site_density),
        nucleation_rate=as_float(1.0 if nucleation_rate is None else nucleation_rate),
        charge=metal.charge,
        kind=kind,
    )
    return transient_of(law, as_float(time))


@eqx.filter_jit
def transient_of(law: NucleationKinetics, time: Array) -> Transient:
    """What a law says at some times."""
    peak = law.peak_time()
    return Transient(
        time=time,
        current_density=law.current_density(time),
        nuclei_density=law.nuclei_density(time),
        peak_time=peak,
        peak_current_density=law.current_density(peak),
        law=law,
    )


def hemisphere_radius(
    time: Any,
    metal: Metal,
    *,
    concentration: Any = None,
    diffusivity: Any = None,
    current_density: Any = None,
) -> Array:
    """r [m] of a hemisphere that has grown alone for t [s], from nothing; any shapes.

        diffusion    r = √(2 D c V_m t)
        kinetics     r = V_m i t/(zF)
        both         r + r² i/(2 z F D c) = V_m i t/(zF)

    Args:
        time: t [s].
        metal: its charge and molar volume.
        concentration: c far away [mol m⁻³], with diffusivity.
        diffusivity: D [m² s⁻¹]; in a binary salt D/(1 − t₊).
        current_density: i of the kinetics at the concentration far away, if it goes as
            the first power of it [A m⁻²]; by default so fast that diffusion decides.
    """
    check_range("time", time, 0.0, math.inf, "s")
    t, z = as_float(time), metal.charge
    if (concentration is None) != (diffusivity is None):
        raise refuse(
            "diffusivity", "both it and concentration, or neither", "one",
            "Diffusion decides with both, kinetics alone with neither.",
        )  # fmt: skip
    if diffusivity is None and current_density is None:
        raise refuse("current_density", "it, or diffusivity and concentration", "none")
    if current_density is not None:
        check_plausible("current_density", current_density, 1e-9, 1e12, "A m⁻²", "1e3")
        kinetic = metal.molar_volume * as_float(current_density) * t / (z * FARADAY)
        if diffusivity is None:
            return kinetic
    Dc = as_float(diffusivity) * as_float(concentration)
    if current_density is None:
        some = t > 0
        square = 2 * Dc * metal.molar_volume * jnp.where(some, t, jnp.ones_like(t))
        return jnp.where(some, jnp.sqrt(square), jnp.zeros_like(square))
    bend = 2 * as_float(current_density) / (z * FARADAY * Dc)
    # The root of r + b r²/4 = kinetic without cancellation, b = bend.
    return 2 * kinetic / (1 + jnp.sqrt(1 + bend * kinetic))


def hemisphere_current(radius: Any, growth: Any, metal: Metal) -> Array:
    """I = 2π r² (zF/V_m) dr/dt [A] of a hemisphere of radius [m] and growth [m s⁻¹]."""
    per_volume = metal.charge * FARADAY / metal.molar_volume
    return 2 * math.pi * as_float(radius) ** 2 * per_volume * as_float(growth)


def _late(a: Array) -> Array:
    """1 − (1 − e^(−a))/a [-], a/2 for small a."""
    small = a < 0.1
    x = jnp.where(small, a, jnp.zeros_like(a))
    series, term = jnp.zeros_like(x), x / 2
    for n in range(3, 14):
        series = series + term
        term = -term * x / n
    y = jnp.where(small, jnp.ones_like(a), a)
    return jnp.where(small, series, 1 + jnp.expm1(-y) / y)
