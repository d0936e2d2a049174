"""The dip and the plateau of the voltage when metal is first plated on a flat sheet.

    C dE/dt = J_F − J,    J_F = S(state) i(E),    η = E + i R_film,    V = E − J R
    dN/dt and the growth of the nuclei at η:  see `depojax.physics.nucleation`

E is the potential of the electrode against the plated metal in the same electrolyte
(E < 0 plates). At first there is no metal: the current charges the double layer and E
falls, until nuclei come in numbers at a rate that rises steeply with |η|; their area S
takes the current over, E rises, no more nuclei come, and E settles where the whole area
carries J. The lowest voltage less the plateau is the *nucleation overpotential* (Pei et
al., Nano Lett. 17 (2017) 1132, doi:10.1021/acs.nanolett.6b04755).

The colder it is, the slower the kinetics: less current goes into each nucleus, E falls
further until there are enough of them, and there are more and smaller ones.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Bool, Float

from depojax._checks import (
    check_integer,
    check_plausible,
    check_range,
    refuse,
)
from depojax._extremes import least_of
from depojax._types import Scalar, as_float
from depojax.physics.interface import interface_current
from depojax.physics.kinetics import AbstractKinetics
from depojax.physics.nucleation import Nucleation, NucleiState
from depojax.solvers.results import RESULTS
from depojax.units import ROOM_TEMPERATURE

_TRIES = 200


class NucleationTransient(eqx.Module):
    """Voltage and nuclei against time, from the step of the current on."""

    time: Float[Array, "times"]  # [s]
    voltage: Float[Array, "times"]  # V, negative where it plates [V]
    overpotential: Float[Array, "times"]  # η at the nuclei, film excluded [V]
    coverage: Float[Array, "times"]  # [-]
    nuclei_density: Float[Array, "times"]  # [m-2]
    mean_radius: Float[Array, "times"]  # [m]
    area_factor: Float[Array, "times"]  # of the deposit per electrode [-]
    charge: Float[Array, "times"]  # of the metal [C m-2]
    current_density: Scalar  # J [A m-2]
    charge_balance_error: Scalar  # |J t + C ΔE − charge| over J t [-]
    converged: Bool[Array, ""]  # every step's equation
    nucleation: Nucleation
    kinetics: AbstractKinetics

    @property
    def plateau(self) -> Scalar:
        """Voltage at the end [V]: run on until it is flat."""
        return self.voltage[-1]

    @property
    def spike(self) -> Scalar:
        """The lowest voltage [V]."""
        return least_of(self.voltage)

    @property
    def nucleation_overpotential(self) -> Scalar:
        """Spike less plateau [V], negative; 0 where the voltage only falls."""
        return self.spike - self.plateau

    @property
    def result(self) -> RESULTS:
        """Whether the equations of all steps were solved."""
        good, bad = RESULTS.successful, RESULTS.nonlinear_solve_failed
        return RESULTS.where(self.converged, good, bad)

    def to_xarray(self):
        """The transient as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


def nucleation_transient(
    nucleation: Nucleation,
    kinetics: AbstractKinetics,
    current_density: Any,
    *,
    duration: Any,
    concentration: Any = 1000.0,
    temperature: Any = ROOM_TEMPERATURE,
    film_resistance: Any = 0.0,
    series_resistance: Any = 0.0,
    capacitance: Any = 0.2,
    start: NucleiState | None = None,
    first_step: Any = None,
    steps: int = 400,
) -> NucleationTransient:
    """The voltage of a flat, bare electrode after a current is switched on.

    Args:
        nucleation: law of its surface, of one place.
        kinetics: of plating on the metal.
        current_density: J > 0 [A m⁻²].
        duration: how long [s]; long enough that the voltage is flat.
        concentration: of the salt at the wall [mol m⁻³].
        temperature: T [K].
        film_resistance: of a coating that the current to the nuclei crosses, per area
            of nuclei [Ω m²].
        series_resistance: of all else that J crosses [Ω m²].
        capacitance: C of the double layer [F m⁻²].
        start: metal that stands there at first, or an alloy that plates like it; by
            default none.
        first_step: first of the times [s], from where they go on in a geometric row; by
            default a hundredth of what charges the double layer by 10 mV.
        steps: number of times. The error falls with its square, that of the bottom of
            the dip with their number: 5 % of the lowest voltage with 400.

    Differentiable, forward and reverse; vmap it over any of its numbers. Depletion of
    the salt is left out: 1 mA cm⁻² for a few minutes.
    """
    J = as_float(current_density)
    for argument, value, kind in (
        ("nucleation", nucleation, Nucleation),
        ("kinetics", kinetics, AbstractKinetics),
    ):
        if not isinstance(value, kind):
            raise refuse(argument, f"a {kind.__name__}", repr(value))
    for leaf in jax.tree.leaves((nucleation, kinetics)):
        if jnp.ndim(leaf) != 0:
            raise refuse(
                "nucleation", "one place", f"shape {jnp.shape(leaf)}", "vmap it over."
            )
    check_plausible("current_density", J, 1e-6, 1e7, "A m⁻²", "1 * mA / cm**2")
    check_plausible("duration", duration, 1e-9, 1e9, "s", "10 * minute")
    check_plausible("concentration", concentration, 1e-3, 1e5, "mol m⁻³", "1.0 * M")
    check_range("temperature", temperature, 150.0, 1500.0, "K", "Write celsius(25).")
    check_range("film_resistance", film_resistance, 0.0, 1e3, "Ω m²")
    check_range("series_resistance", series_resistance, 0.0, 1e3, "Ω m²")
    check_plausible("capacitance", capacitance, 1e-6, 1e4, "F m⁻²", "20 * uF / cm**2")
    check_integer("steps", steps, 8)
    C, end = as_float(capacitance), as_float(duration)
    first = 1e-4 * C / J if first_step is None else as_float(first_step)
    times = first * (end / first) ** jnp.linspace(0.0, 1.0, steps, dtype=J.dtype)
    electrode = _Electrode(
        nucleation,
        kinetics,
        J,
        C,
        as_float(film_resistance),
        as_float(concentration),
        as_float(temperature),
    )
    start = NucleiState.bare() if start is None else start
    potential, eta, states, good = _march(electrode, start, times)
    gained = states.charge[-1] - start.charge
    faradaic = J * times[-1] + C * potential[-1]
    return NucleationTransient(
        time=times,
        voltage=potential - J * as_float(series_resistance),
        overpotential=eta,
        coverage=states.coverage,
        nuclei_density=states.density,
        mean_radius=states.mean_radius,
        area_factor=states.area_factor,
        charge=states.charge,
        current_density=J,
        charge_balance_error=jnp.abs(faradaic - gained) / (J * times[-1]),
        converged=jnp.all(good),
        nucleation=nucleation,
        kinetics=kinetics,
    )


class _Electrode(eqx.Module):
    """A flat electrode and what is imposed on it."""

    nucleation: Nucleation
    kinetics: AbstractKinetics
    J: Scalar  # [A m-2]
    C: Scalar  # [F m-2]
    film: Scalar  # [Ω m2]
    c: Scalar  # [mol m-3]
    T: Scalar  # [K]

    def local(self, potential: Array) -> tuple[Array, Array]:
        """i on the nuclei [A m⁻²], and η there [V]."""
        i = interface_current(
            self.kinetics,
            potential,
            self.c,
            self.T,
            resistance=self.film,
            depletion=0.0,
        )
        return i, potential + i * self.film

    def after(self, potential: Array, before: "_Before") -> NucleiState:
        """Nuclei at the end of a step that ends at a potential: what the double layer
        does not take is plated, at the mean overpotential of both ends."""
        charge = self.J * before.span + self.C * (potential - before.potential)
        eta = (before.eta + self.local(potential)[1]) / 2
        return self.nucleation.plate(
            before.state, eta, jnp.maximum(charge, 0), before.span, self.T
        )

    def excess(self, potential: Array, before: "_Before") -> Array:
        """Current into the nuclei at the end of a step, less what is there for them."""
        i, _ = self.local(potential)
        charging = self.C * (potential - before.potential) / before.span
        return i * self.after(potential, before).area_factor / self.J - (
            1 + charging / self.J
        )


class _Before(eqx.Module):
    """Where a step starts, and how long it is."""

    potential: Scalar
    eta: Scalar
    state: NucleiState
    span: Scalar


@eqx.filter_jit
def _march(electrode: _Electrode, first: NucleiState, times: Array):
    """E, η, state and whether it converged, at all times."""
    spans = jnp.diff(times, prepend=0.0)

    def step(carry, span):
        potential, eta, state = carry
        before = _Before(potential, eta, state, span)
        E, good = _end_of_step(electrode, before)
        new = electrode.after(E, before)
        eta = electrode.local(E)[1]
        return (E, eta, new), (E, eta, new, good)

    zero = jnp.zeros_like(times[0])
    start = (zero, zero, jax.tree.map(lambda a: a + zero, first))
    _, kept = jax.lax.scan(step, start, spans)
    return kept


def _end_of_step(electrode: _Electrode, before: _Before) -> tuple[Array, Array]:
    """E at the end of the step, and whether it was found.

    Between the end that plates nothing and rest, where nothing flows: Newton's method,
    halving where it would leave the bracket. The last step carries the derivatives.
    """
    frozen, held = stop_gradient((electrode, before))
    lowest = held.potential - frozen.J * held.span / frozen.C
    one = jnp.ones_like(lowest)
    tolerance = 64 * jnp.finfo(one.dtype).eps

    def newton(E):
        return jax.jvp(lambda E: frozen.excess(E, held), (E,), (one,))

    def body(carry):
        n, E, low, high, _ = carry
        value, slope = newton(E)
        low, high = jnp.where(value > 0, E, low), jnp.where(value > 0, high, E)
        new = E - value / jnp.where(slope == 0, -one, slope)
        inside = (new > low) & (new < high)
        new = jnp.where(inside, new, (low + high) / 2)
        return n + 1, new, low, high, jnp.abs(new - E)

    carry = (jnp.asarray(0), held.potential, lowest, 0 * one, jnp.inf * one)
    _, E, _, _, change = jax.lax.while_loop(
        lambda c: (c[0] < _TRIES) & (c[-1] > tolerance), body, carry
    )
    E = stop_gradient(E)
    slope = stop_gradient(newton(E)[1])
    found = electrode.excess(E, before)
    change_last = (found - stop_gradient(found)) / jnp.where(slope == 0, -one, slope)
    return E - change_last, change <= tolerance
