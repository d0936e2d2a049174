"""Electrode kinetics: from overpotential to current.

    i = i₀(c_s, T) n(η, T),    i > 0 plates where η < 0
    i₀ = i₀_ref (c_s/c_ref)^γ exp(−E_a/R (1/T − 1/T_ref))

with h = Fη/(RT), and Λ = λ/(k_B T) of a reorganisation energy λ:

    linear                 n = −(α_c + α_a) h
    Tafel                  n = exp(−α_c h)
    Butler–Volmer          n = exp(−α_c h) − exp(α_a h)
    Marcus                 n = −2 sinh(h/2) exp(−h²/4Λ)
    Marcus–Hush–Chidsey    n = −2 sinh(h/2) G(h)/G(0),
                           G(h) = ∫ exp(−(x − h)²/4Λ) sech(x/2) dx

η is the surface overpotential φ_s − φ_l − U at the wall; drops in films and in the
electrolyte are added in `depojax.physics.interface`. The number of electrons is in the
transfer coefficients: α_c + α_a = z where one step decides.

Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 8; Chidsey, Science 251
(1991) 919, doi:10.1126/science.251.4996.919.
"""

import abc
from typing import Any, TypedDict, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from depojax._checks import check_plausible, check_range, refuse
from depojax._types import Scalar, as_float
from depojax.units import BOLTZMANN, FARADAY, GAS_CONSTANT, ROOM_TEMPERATURE

# A number, or one for each place on the metal.
Places = Float[Array, "..."]

_LARGEST_EXPONENT = 60.0  # e^60 still leaves float32 room for a slope and a product
_FAST = 1e8  # i₀ of a reaction that stays at equilibrium [A m-2]
_EMPTY = 1e-6  # share of c_ref below which the last ions count one by one


class Law(TypedDict, total=False):
    """How an exchange current depends on concentration and temperature."""

    exponent: Any  # γ [-]
    reference_concentration: Any  # c_ref [mol m-3]
    activation_energy: Any  # E_a [J mol-1]
    reference_temperature: Any  # T_ref [K]


class ExchangeCurrentDensity(eqx.Module):
    """i₀ = i₀_ref (c_s/c_ref)^γ exp(−E_a/R (1/T − 1/T_ref)) [A m⁻² of true area].

    Below about 1e-5 c_ref one more factor 1 − exp(−c_s/(1e-6 c_ref)) takes i₀ to zero
    with a finite slope, whatever γ: no reaction goes on without ions. i₀ = 0 for
    c_s ≤ 0. Kinetics make it from their arguments; each may be one number or an array
    over the places of the metal.

    Raises `ValueError` for what is no number or carries the wrong unit.
    """

    value: Places  # i₀_ref [A m-2]
    exponent: Places  # γ [-]
    reference_concentration: Places  # c_ref [mol m-3]
    activation_energy: Places  # E_a [J mol-1]
    reference_temperature: Places  # T_ref [K]

    def __init__(
        self,
        value: Any,
        exponent: Any = 0.5,
        reference_concentration: Any = 1000.0,
        activation_energy: Any = 0.0,
        reference_temperature: Any = ROOM_TEMPERATURE,
    ):
        check_range(
            "exchange_current_density", value, 0.0, 1e8, "A m⁻²",
            "depojax is SI inside: write it with its unit, as 2 * mA / cm**2.",
        )  # fmt: skip
        check_range("exponent", exponent, 0.0, 2.0)
        check_plausible(
            "reference_concentration", reference_concentration, 1e-3, 1e5,
            "mol m⁻³", "1.0 * M",
        )  # fmt: skip
        check_range(
            "activation_energy", activation_energy, 0.0, 3e5, "J mol⁻¹",
            "Write it with its unit, as 50 * kJ / mol.",
        )  # fmt: skip
        check_range(
            "reference_temperature", reference_temperature, 150.0, 1500.0, "K",
            "In degrees Celsius write celsius(25).",
        )  # fmt: skip
        self.value = as_float(value)
        self.exponent = as_float(exponent)
        self.reference_concentration = as_float(reference_concentration)
        self.activation_energy = as_float(activation_energy)
        self.reference_temperature = as_float(reference_temperature)

    def __call__(self, concentration: Any, temperature: Any) -> Any:
        """i₀ [A m⁻²] at a wall concentration [mol m⁻³] and a temperature [K]."""
        share = concentration / self.reference_concentration
        some = share > 0
        # The logarithm is taken where there is something to take it of.
        share = jnp.where(some, share, jnp.ones_like(share))
        # exp(γ ln s) takes a fifth of the time of a power.
        left = jnp.exp(self.exponent * jnp.log(share)) * -jnp.expm1(-share / _EMPTY)
        warmth = 1 / self.reference_temperature - 1 / temperature
        i0 = self.value * jnp.exp(self.activation_energy / GAS_CONSTANT * warmth) * left
        return jnp.where(some, i0, jnp.zeros_like(i0))


class AbstractKinetics(eqx.Module):
    """What gives a current for an overpotential.

    One's own kinetics subclass this with the field `exchange_current_density` and the
    method `normalised_current`, which must not rise with the overpotential.
    """

    exchange_current_density: eqx.AbstractVar[ExchangeCurrentDensity]

    @abc.abstractmethod
    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = i/i₀ [-] at a surface overpotential [V] and a temperature [K]."""

    def current_density(
        self, overpotential: Any, concentration: Any, temperature: Any
    ) -> Any:
        """i = i₀ n [A m⁻² of true area], positive where it plates; any shape.

        Args:
            overpotential: η of the surface, drops in film and electrolyte excluded [V].
            concentration: c_s at the wall [mol m⁻³].
            temperature: T [K].
        """
        n = self.normalised_current(overpotential, temperature)
        return self.exchange_current_density(concentration, temperature) * n

    def conductance(
        self, overpotential: Any, concentration: Any, temperature: Any
    ) -> Any:
        """−∂i/∂η [S m⁻²], one over the charge-transfer resistance; any shape."""
        eta = as_float(overpotential)
        _, slope = jax.jvp(
            lambda eta: self.current_density(eta, concentration, temperature),
            (eta,),
            (jnp.ones_like(eta),),
        )
        return -slope


class LinearKinetics(AbstractKinetics):
    """i = −i₀ (α_c + α_a) Fη/(RT): any kinetics close to equilibrium, |η| ≪ RT/F.

    Good values: see `ButlerVolmer`, whose small-signal limit this is.
    """

    exchange_current_density: ExchangeCurrentDensity  # i₀(c, T) [A m-2]
    transfer_sum: Places  # α_c + α_a [-]

    def __init__(
        self,
        exchange_current_density: Any,
        transfer_sum: Any = 1.0,
        **law: Unpack[Law],
    ):
        check_range("transfer_sum", transfer_sum, 0.0, 8.0, open_low=True)
        self.exchange_current_density = ExchangeCurrentDensity(
            exchange_current_density, **law
        )
        self.transfer_sum = as_float(transfer_sum)

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = −(α_c + α_a) h."""
        return -self.transfer_sum * _scaled(overpotential, temperature)


class Tafel(AbstractKinetics):
    """i = i₀ exp(−α_c Fη/(RT)): plating far from equilibrium, never stripping.

    At η = 0 it still plates with i₀; use it below η ≈ −0.1 V, else `ButlerVolmer`.
    """

    exchange_current_density: ExchangeCurrentDensity  # i₀(c, T) [A m-2]
    cathodic_transfer: Places  # α_c [-]

    def __init__(
        self,
        exchange_current_density: Any,
        cathodic_transfer: Any = 0.5,
        **law: Unpack[Law],
    ):
        _check_transfer("cathodic_transfer", cathodic_transfer)
        self.exchange_current_density = ExchangeCurrentDensity(
            exchange_current_density, **law
        )
        self.cathodic_transfer = as_float(cathodic_transfer)

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = exp(−α_c h)."""
        h = _scaled(overpotential, temperature)
        x = -self.cathodic_transfer * h
        y = jnp.minimum(x, _LARGEST_EXPONENT)
        return jnp.exp(y) * (1 + x - y)


class ButlerVolmer(AbstractKinetics):
    """i = i₀ [exp(−α_c Fη/(RT)) − exp(α_a Fη/(RT))].

    The exponent γ of i₀ is α_a unless told, as for a simple metal ion. Exponentials go
    on as straight lines beyond e⁶⁰ (3 V for α = 0.5), so that nothing overflows.

    Good values: i₀ = 1–100 A m⁻² with α = 0.5 for lithium in carbonates (slow, covered
    electrodes) and 100–500 A m⁻² at fresh surfaces; zinc in water i₀ = 10–300 A m⁻²
    with α_c + α_a = 2.
    """

    exchange_current_density: ExchangeCurrentDensity  # i₀(c, T) [A m-2]
    cathodic_transfer: Places  # α_c [-]
    anodic_transfer: Places  # α_a [-]

    def __init__(
        self,
        exchange_current_density: Any,
        cathodic_transfer: Any = 0.5,
        anodic_transfer: Any = 0.5,
        exponent: Any = None,
        reference_concentration: Any = 1000.0,
        activation_energy: Any = 0.0,
        reference_temperature: Any = ROOM_TEMPERATURE,
    ):
        _check_transfer("cathodic_transfer", cathodic_transfer)
        _check_transfer("anodic_transfer", anodic_transfer)
        self.exchange_current_density = ExchangeCurrentDensity(
            exchange_current_density,
            anodic_transfer if exponent is None else exponent,
            reference_concentration,
            activation_energy,
            reference_temperature,
        )
        self.cathodic_transfer = as_float(cathodic_transfer)
        self.anodic_transfer = as_float(anodic_transfer)

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = exp(−α_c h) − exp(α_a h)."""
        h = _scaled(overpotential, temperature)
        return _expm1(-self.cathodic_transfer * h) - _expm1(self.anodic_transfer * h)


class Marcus(AbstractKinetics):
    """i = −2 i₀ sinh(h/2) exp(−h²/4Λ), h = Fη/(RT), Λ = λ/(k_B T): Marcus' parabola.

    Near |η| = λ/e the parabola would turn back (the inverted region), which no metal
    shows: there are electrons of every energy. The current is held at its largest from
    there on; `MarcusHushChidsey` has the right form.

    Good values: λ = 0.2–0.5 eV for lithium in carbonates (Boyle et al., ACS Energy
    Lett. 5 (2020) 701, doi:10.1021/acsenergylett.0c00031).
    """

    exchange_current_density: ExchangeCurrentDensity  # i₀(c, T) [A m-2]
    reorganisation_energy: Places  # λ of one ion [J]

    def __init__(
        self,
        exchange_current_density: Any,
        reorganisation_energy: Any,
        **law: Unpack[Law],
    ):
        _check_reorganisation(reorganisation_energy)
        self.exchange_current_density = ExchangeCurrentDensity(
            exchange_current_density, **law
        )
        self.reorganisation_energy = as_float(reorganisation_energy)

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = −2 sinh(h/2) exp(−h²/4Λ), constant beyond its largest value."""
        lam = self.reorganisation_energy / (BOLTZMANN * temperature)
        # The curve is flat at its top: its place needs no derivative.
        top = stop_gradient(_top_of_marcus(lam))
        h = jnp.clip(_scaled(overpotential, temperature), -top, top)
        return -2 * jnp.sinh(h / 2) * jnp.exp(-h * h / (4 * lam))


class MarcusHushChidsey(AbstractKinetics):
    """i = −2 i₀ sinh(h/2) G(h)/G(0),  G(h) = ∫ exp(−(x − h)²/4Λ) sech(x/2) dx.

    Marcus' rate summed over the electrons of a metal: Tafel lines of slope 1/2 that
    bend and level off at |η| ≈ λ/e. Net current and exchange current are those of the
    integral itself: ln G is tabulated by trapezoidal sums at 64 Chebyshev points and
    interpolated, within 1e-11 for λ up to 1.5 eV. The customary closed form (Zeng et
    al., J. Electroanal. Chem. 735 (2014) 77, doi:10.1016/j.jelechem.2014.09.038) is off
    by up to some percent and costs as much.

    Good values: λ = 0.2–0.5 eV for lithium in carbonates.
    """

    exchange_current_density: ExchangeCurrentDensity  # i₀(c, T) [A m-2]
    reorganisation_energy: Scalar  # λ of one ion [J]

    def __init__(
        self,
        exchange_current_density: Any,
        reorganisation_energy: Any,
        **law: Unpack[Law],
    ):
        _check_reorganisation(reorganisation_energy)
        if np.ndim(reorganisation_energy) != 0:
            raise refuse(
                "reorganisation_energy",
                "one number",
                f"shape {np.shape(reorganisation_energy)}",
            )
        self.exchange_current_density = ExchangeCurrentDensity(
            exchange_current_density, **law
        )
        self.reorganisation_energy = as_float(reorganisation_energy)

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = −2 sinh(h/2) G(h)/G(0)."""
        h = _scaled(overpotential, temperature)
        lam = self.reorganisation_energy / (BOLTZMANN * temperature)
        far, coefficients = _chidsey_table(lam.astype(h.dtype))
        t = jnp.minimum(jnp.abs(h), far)
        L = _chebyshev(2 * t / far - 1, coefficients)
        # 2 sinh(h/2) is e^{t/2} from here on: both are held, and nothing overflows.
        h = jnp.clip(h, -_LARGEST_EXPONENT, _LARGEST_EXPONENT)
        return -2 * jnp.sinh(h / 2) * jnp.exp(L - jnp.abs(h) / 2)


class Reversible(AbstractKinetics):
    """A reaction so fast that it stays at equilibrium, whatever the current.

        c_s = c_ref exp(z F (φ_s − φ_l)/(RT))

    `concentration` is c_ref, at which metal and solution have one potential
    [mol m⁻³]; by default that of the bulk. Only where the solution's own electrostatic
    potential is known (`space_charge`) does it mean anything: elsewhere φ_l is measured
    against the metal.
    """

    exchange_current_density: ExchangeCurrentDensity  # as good as infinite [A m-2]
    concentration: Scalar | None  # c_ref [mol m-3]

    def __init__(self, concentration: Any = None):
        if concentration is not None:
            check_plausible(
                "concentration", concentration, 1e-6, 1e5, "mol m⁻³", "1.0 * M"
            )
            concentration = as_float(concentration)
        self.exchange_current_density = ExchangeCurrentDensity(_FAST, exponent=0.0)
        self.concentration = concentration

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = −h."""
        return -_scaled(overpotential, temperature)


class Blocking(AbstractKinetics):
    """No reaction: an electrode that only charges its double layer."""

    exchange_current_density: ExchangeCurrentDensity  # zero [A m-2]

    def __init__(self):
        self.exchange_current_density = ExchangeCurrentDensity(0.0)

    def normalised_current(self, overpotential: Any, temperature: Any) -> Any:
        """n = 0."""
        return 0 * as_float(overpotential)


def _check_transfer(argument: str, value: Any) -> None:
    check_range(
        argument, value, 0.0, 4.0,
        cure="α of a whole reaction: 0.5 for Li⁺, and α_c + α_a = 2 for Zn²⁺.",
        open_low=True,
    )  # fmt: skip


def _check_reorganisation(value: Any) -> None:
    check_plausible("reorganisation_energy", value, 1e-21, 4e-19, "J", "0.3 * eV")


def _scaled(overpotential: Any, temperature: Any) -> Any:
    """h = Fη/(RT) [-]."""
    return as_float(overpotential) * (FARADAY / (GAS_CONSTANT * temperature))


def _expm1(x: Any) -> Any:
    """eˣ − 1, going on as a straight line beyond the largest exponent."""
    y = jnp.minimum(x, _LARGEST_EXPONENT)
    below = jnp.expm1(y)
    return below + (1 + below) * (x - y)


def _top_of_marcus(lam: Any) -> Any:
    """The h where sinh(h/2) exp(−h²/4Λ) is largest: h tanh(h/2) = Λ, by Newton."""
    h = jnp.sqrt(lam * (lam + 2))  # both limits; 1 % off between them
    for _ in range(4):
        slope = jnp.tanh(h / 2)
        h = h - (h * slope - lam) / (slope + h * (1 - slope**2) / 2)
    return h


_POINTS = 64  # of the interpolation, 1e-12 for Λ = 0.2 to 60
_STEPS = 400  # of the integral: poles at ±iπ leave e^(−2π²/step) < 1e-14 up to Λ = 97


def _chidsey_table(lam: Scalar) -> tuple[Scalar, Float[Array, " n"]]:
    """Chebyshev coefficients of L(t) = ln[e^{t/2} G(t)/G(0)] on 0 ≤ t ≤ far.

    Beyond far = 2Λ + 40 the rate is constant to e⁻⁴⁰. The points are held while Λ is
    differentiated: the interpolant at fixed points has the slope of the function.
    """
    far = stop_gradient(2 * lam + 40)
    k = jnp.arange(_POINTS, dtype=lam.dtype)
    angles = jnp.pi * (k + 0.5) / _POINTS
    t = jnp.append(far * (jnp.cos(angles) + 1) / 2, jnp.zeros_like(lam))
    # Largest at x = 0 below t = Λ and at t − Λ above, with e⁻³⁶ left 12 √Λ away.
    centre = jnp.maximum(t - stop_gradient(lam), 0)
    u = 12 * jnp.sqrt(stop_gradient(lam)) * jnp.linspace(-1, 1, _STEPS, dtype=t.dtype)
    x = (centre[:, None] + u).astype(t.dtype)
    sech = -jnp.abs(x) / 2 - jnp.log1p(jnp.exp(-jnp.abs(x)))
    log_G = jax.nn.logsumexp(sech - (x - t[:, None]) ** 2 / (4 * lam), axis=1)
    L = log_G[:-1] - log_G[-1] + t[:-1] / 2
    coefficients = 2 / _POINTS * jnp.sum(jnp.cos(jnp.outer(k, angles)) * L, axis=1)
    return far, coefficients.at[0].divide(2)


def _chebyshev(x: Any, coefficients: Float[Array, " n"]) -> Any:
    """Σ a_k T_k(x) by Clenshaw's recurrence, written out so that it fuses."""
    b1 = b2 = jnp.zeros_like(x)
    for k in range(coefficients.size - 1, 0, -1):
        b1, b2 = 2 * x * b1 - b2 + coefficients[k], b1
    return x * b1 - b2 + coefficients[0]
