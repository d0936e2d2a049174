"""What a deposit does to the host it fills, on average, and how much of it is lost.

    ε = ε₀ − v/ρ,    v = Q V_m/(zF V)          volume of metal per volume of the host
    a = a₀ f(ε),     D_eff = D_eff,0 (ε/ε₀)^β,     δ = δ₀ (ε/ε₀)/(a/a₀)
    σ = σ₀ + σ_metal v^{3/2}                   Bruggeman, of the metal alone

ρ is the share of the deposit that is metal (1: dense). How the area goes with ε depends
on what is coated:

    "pores"     f = (ε/ε₀)^{1/2}               walls of round pores move inwards
    "fibres"    f = (ε/ε₀) (ln ε/ln ε₀)^{1/2}  fibres at random grow until they meet
    "constant"  f = 1                          as long as the deposit is thin

"fibres" is the Boolean model of overlapping cylinders: ε = exp(−nπR²), a = 2πnR ε.
Stoyan, Kendall & Mecke, Stochastic Geometry and its Applications, 2nd ed., ch. 3.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_range, refuse
from depojax._types import Scalar, as_float, static


def _of_pores(eps: Array, eps0: Array) -> Array:
    return jnp.sqrt(eps / eps0)


def _of_fibres(eps: Array, eps0: Array) -> Array:
    # An empty host has no fibres: its logarithm has no inverse.
    log0 = jnp.where(eps0 < 1, jnp.log(eps0), -1.0)
    log = jnp.where(eps0 < 1, jnp.log(eps), -1.0)
    return eps / eps0 * jnp.sqrt(log / log0)


def _constant(eps: Array, eps0: Array) -> Array:
    return jnp.ones_like(eps + eps0)


AREA_LAWS: Mapping[str, Callable[[Array, Array], Array]] = {
    "pores": _of_pores,
    "fibres": _of_fibres,
    "constant": _constant,
}


class DeadMetal(eqx.Module):
    """How live metal is lost: it stays where it is, and no current takes it any more.

        dM_dead/dt = k M + s i⁺

    k is the first-order rate of O'Kane et al., Phys. Chem. Chem. Phys. 24 (2022) 7909,
    doi:10.1039/D2CP00417H; s the share of the plated charge that is lost at once. Where
    `contact` is given, metal that no path of at least that electronic conductivity
    connects to the collector is dead too.

    Raises `ValueError` for what is no number or outside of its range.
    Good values: k = 1e-7 to 1e-6 s⁻¹ and s = 0.001 to 0.05 (1 − CE) for lithium.
    """

    rate: Scalar  # k [s-1]
    share: Scalar  # s [-]
    contact: Scalar | None  # [S m-1]

    def __init__(self, *, rate: Any = 0.0, share: Any = 0.0, contact: Any = None):
        check_range("rate", rate, 0.0, 1e3, "s⁻¹", "OKane 2022 has 1e-6 s⁻¹.")
        check_range("share", share, 0.0, 1.0, cure="It is 1 − CE, a fraction.")
        if contact is not None:
            check_range("contact", contact, 0.0, 1e9, "S m⁻¹")
            contact = as_float(contact)
        self.rate, self.share = as_float(rate), as_float(share)
        self.contact = contact

    def lost(self, live: Array, plated: Array, duration: Array) -> Array:
        """Charge that is lost of `live` metal, of which `plated` is new [C]."""
        at_once = self.share * jnp.maximum(plated, 0.0)
        left = jnp.maximum(live - at_once, 0.0)
        return at_once - left * jnp.expm1(-self.rate * duration)


class SurfaceLoss(eqx.Module):
    """A film (SEI) on every metal surface that is new: it takes live metal.

        dQ_film/dA⁺ = q

    A⁺ is metal surface that has no film yet: what first covers a host, and what is
    added to it as the deposit grows. It shows in the Coulombic efficiency once all of
    the metal is stripped: CE = 1 − q A⁺/Q where nothing else is lost.

    Args:
        charge: q of the film per true area [C m⁻²].
        renewed: whether surface that stripping did away with is new when it comes back,
            for its film is broken; else a place pays once for the largest area it had.

    Raises `ValueError` for what is no number or outside of its range.
    Good values: q = h/1.8e-10 m³ C⁻¹ of a film of Li₂CO₃, 110 C m⁻² of 20 nm.
    """

    charge: Scalar  # q [C m-2]
    renewed: bool = static()

    def __init__(self, charge: Any, *, renewed: bool = False):
        cure = "A film of 20 nm takes about 100 C m⁻²."
        check_range("charge", charge, 0.0, 1e6, "C m⁻²", cure)
        if not isinstance(renewed, bool):
            raise refuse("renewed", "True or False", repr(renewed))
        self.charge, self.renewed = as_float(charge), renewed


def metal_conductivity(sigma: Any, share: Array) -> Array:
    """Effective conductivity [S m⁻¹] of metal that fills a share of the volume [-]."""
    safe = jnp.where(share > 0, share, 1.0)
    return jnp.where(share > 0, as_float(sigma) * safe * jnp.sqrt(safe), 0.0)
