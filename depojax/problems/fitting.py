"""Kinetics from measured currents and overpotentials.

    min Σ_j ((i(η_j; p) − i_j)/u_j)²    over ln p

by Levenberg & Marquardt's method in the logarithms of the parameters, which stay
positive. Covariance of ln p: s² (JᵀJ)⁻¹, s² = Σ r²/(n − number of parameters).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._checks import check_choice, check_finite, check_plausible, refuse
from depojax._types import Scalar, as_float, static
from depojax.physics.interface import interface_current
from depojax.physics.kinetics import (
    AbstractKinetics,
    ButlerVolmer,
    LinearKinetics,
    Marcus,
    MarcusHushChidsey,
    Tafel,
)
from depojax.solvers.least_squares import LeastSquares, least_squares_of_logs
from depojax.solvers.results import SolveError
from depojax.units import ROOM_TEMPERATURE

# What is fitted unless told otherwise. One's own kinetics name theirs in `free`.
_FREE: Mapping[type, tuple[str, ...]] = {
    LinearKinetics: ("exchange_current_density",),
    Tafel: ("exchange_current_density", "cathodic_transfer"),
    ButlerVolmer: (
        "exchange_current_density",
        "cathodic_transfer",
        "anodic_transfer",
    ),
    Marcus: ("exchange_current_density", "reorganisation_energy"),
    MarcusHushChidsey: ("exchange_current_density", "reorganisation_energy"),
}


class KineticsFit(eqx.Module):
    """Kinetics that fit, and how well they do."""

    kinetics: AbstractKinetics  # with the fitted numbers
    resistance: Scalar  # of the film, given or fitted [Ω m2]
    values: Float[Array, " p"]  # of the free parameters, SI units
    standard_errors: Float[Array, " p"]  # of the values, SI units
    covariance: Float[Array, "p p"]  # of the logarithms of the values [-]
    residual: Float[Array, " n"]  # (i_fit − i)/uncertainty [-]
    free: tuple[str, ...] = static()  # names, in the order of values
    steps: int = static()  # of the minimisation

    @property
    def deviation(self) -> Scalar:
        """Root mean square of the residual [-]; relative by default."""
        return jnp.sqrt(jnp.mean(self.residual**2))


def fit_kinetics(
    kinetics: AbstractKinetics,
    overpotential: Any,
    current_density: Any,
    *,
    concentration: Any = 1000.0,
    temperature: Any = ROOM_TEMPERATURE,
    resistance: Any = 0.0,
    free: Sequence[str] | None = None,
    uncertainty: Any = None,
    max_steps: int = 500,
) -> KineticsFit:
    """Kinetics with those numbers that fit a measured polarisation curve best.

    Args:
        kinetics: the law, with numbers to start from; what is not free stays as it is.
        overpotential: η_j, film drop included, below 0 where it plates [V].
        current_density: i_j of true area, positive where it plates [A m⁻²].
        concentration: at the wall [mol m⁻³], one number or one for each point.
        temperature: T [K].
        resistance: of a film [Ω m²]; free if "resistance" is in `free`.
        free: names of the parameters to fit, all positive. By default i₀ with the
            transfer coefficients or the reorganisation energy.
        uncertainty: standard deviation of each current [A m⁻²]; by default a share of
            |i_j|, the same for all points, so that decades count alike.
        max_steps: of the minimisation.

    Raises `ValueError` for what is no number, for names that are no parameter and for
    too few points, `SolveError` where the minimisation does not end.
    A start within a factor of ten of i₀ and three of the rest is good enough.
    """
    check_finite("overpotential", overpotential)
    check_finite("current_density", current_density)
    check_plausible("temperature", temperature, 150.0, 1500.0, "K", "celsius(25)")
    eta, i = as_float(overpotential), as_float(current_density)
    if eta.ndim != 1 or eta.shape != i.shape:
        raise refuse(
            "current_density",
            "as many points as overpotentials, in one row",
            f"shapes {eta.shape} and {i.shape}",
        )
    names = _FREE.get(type(kinetics), ()) if free is None else tuple(free)
    if not names or eta.size <= len(names):
        raise refuse(
            "free",
            "at least one name, and more points than names",
            f"{list(names)} for {eta.size} points",
        )
    known = ["resistance", *vars(kinetics)]
    for name in names:
        check_choice("free", name, known)
    u = jnp.abs(i) if uncertainty is None else as_float(uncertainty)
    check_plausible("uncertainty", u, 1e-12, 1e12, "A m⁻²", "0.1 * mA / cm**2")

    start = (kinetics, as_float(resistance))
    first = jnp.stack([_get(start, name) for name in names])
    check_plausible("free", first, 1e-30, 1e30, "SI units", "a positive start")
    conditions = (eta, i, u, as_float(concentration), as_float(temperature))
    found = _minimise(start, jnp.log(first), conditions, names, max_steps)
    values = jnp.exp(found.logs)
    law, R = _with(start, names, values)
    if not found.ended:
        raise SolveError(
            f"The fit did not end within {max_steps} steps. Start closer: i₀ within a "
            "factor of ten; leave out what the data cannot tell.",
            law,
        )
    variance = jnp.sum(found.residual**2) / (eta.size - len(names))
    covariance = jnp.linalg.inv(found.normal) * variance
    return KineticsFit(
        kinetics=law,
        resistance=R,
        values=values,
        standard_errors=values * jnp.sqrt(jnp.diagonal(covariance)),
        covariance=covariance,
        residual=found.residual,
        free=names,
        steps=int(found.steps),
    )


@eqx.filter_jit
def _minimise(start, logs, conditions, names, max_steps) -> LeastSquares:
    eta, i, u, c, T = conditions

    def residual(logs):
        law, R = _with(start, names, jnp.exp(logs))
        found = interface_current(law, eta, c, T, resistance=R, depletion=0.0)
        return (found - i) / u

    tolerance = float(jnp.finfo(eta.dtype).eps) ** 0.75
    return least_squares_of_logs(
        residual, logs, tolerance=tolerance, max_steps=max_steps
    )


def _leaf(start, name):
    """The number behind the name of a parameter."""
    kinetics, resistance = start
    if name == "resistance":
        return resistance
    value = getattr(kinetics, name)
    return value.value if name == "exchange_current_density" else value


def _get(start, name):
    value = _leaf(start, name)
    if jnp.ndim(value) != 0:
        raise refuse(name, "one number to start from", f"shape {jnp.shape(value)}")
    return value


def _with(start, names, values):
    return eqx.tree_at(
        lambda tree: [_leaf(tree, name) for name in names], start, list(values)
    )
