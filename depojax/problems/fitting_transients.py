"""Sites, rate and diffusivity from a measured current transient of nucleation.

    min Σ_j (i(t_j; p) − i_j)²/u_j²    over ln p, for each kind of nucleation

by Levenberg & Marquardt's method. Which kind it was is told by Akaike's criterion with
its correction for few points, n ln(Σ r²/n) + 2m + 2m(m + 1)/(n − m − 1) for m free
numbers: the law between the limits has one more than they, and must earn it.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_finite, check_plausible, check_range, refuse
from depojax._types import as_float, static
from depojax.physics.metals import Metal
from depojax.physics.scharifker_hills import (
    Kind,
    NucleationKinetics,
    Transient,
    scharifker_hills,
    transient_of,
)
from depojax.solvers.least_squares import LeastSquares, least_squares_of_logs
from depojax.solvers.results import SolveError
from depojax.units import FARADAY

# Numbers of each kind, and i_m² t_m/((zFc)² D) of the two limits.
_FREE: dict[Kind, tuple[str, ...]] = {
    "instantaneous": ("site_density",),
    "progressive": ("nucleation_rate",),
    "mixed": ("site_density", "nucleation_rate"),
}
_PRODUCT = {"instantaneous": 0.16287906504362, "progressive": 0.25975420592325}


class TransientFit(eqx.Module):
    """The transient that fits, how well, and how its nuclei came."""

    transient: Transient  # with the fitted numbers, at the measured times
    measured: Float[Array, " n"]  # i_j [A m-2]
    values: Float[Array, " p"]  # of the free numbers, SI units
    standard_errors: Float[Array, " p"]  # of the values, SI units
    covariance: Float[Array, "p p"]  # of the logarithms of the values [-]
    residual: Float[Array, " n"]  # (i_fit − i)/uncertainty [-]
    free: tuple[str, ...] = static()  # names, in the order of values
    criteria: tuple[tuple[str, float], ...] = static()  # of each kind; least is best

    @property
    def verdict(self) -> Kind:
        """Instantaneous, progressive, or mixed."""
        return self.transient.kind

    def to_xarray(self):
        """The fit as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)

    @property
    def deviation(self) -> Array:
        """Root mean square of the residual [-]; of the peak current by default."""
        return jnp.sqrt(jnp.mean(self.residual**2))


def fit_scharifker_hills(
    time: Any,
    current_density: Any,
    metal: Metal,
    *,
    concentration: Any,
    diffusivity: Any = None,
    uncertainty: Any = None,
    max_steps: int = 100,
) -> TransientFit:
    """The transient that fits measured currents best, of all three kinds.

    Args:
        time: t_j since the step of the potential [s], positive, beyond the charging of
            the double layer; on both sides of the peak.
        current_density: i_j of that area, positive where it plates [A m⁻²].
        metal: what is plated.
        concentration: of its ion in the bulk [mol m⁻³].
        diffusivity: D where it is known [m² s⁻¹]; by default it is fitted too.
        uncertainty: standard deviation of each current [A m⁻²]; by default a share of
            the peak current, the same for all points.
        max_steps: of each minimisation. A kind whose fit does not end is left out.

    Raises `ValueError` for what is no number and for too few points, `SolveError` where
    no minimisation ends.
    """
    check_range("time", time, 0.0, 1e9, "s", open_low=True)
    check_finite("current_density", current_density)
    t, i = as_float(time), as_float(current_density)
    if t.ndim != 1 or t.shape != i.shape or t.size < 6:
        raise refuse(
            "current_density",
            "as many currents as times, in one row of at least 6",
            f"shapes {t.shape} and {i.shape}",
        )
    peak = int(np.argmax(np.asarray(i)))
    if not float(i[peak]) > 0:
        raise refuse("current_density", "a positive peak", f"{float(i[peak]):g} A m⁻²")
    u = jnp.full_like(i, i[peak]) if uncertainty is None else as_float(uncertainty)
    u = jnp.broadcast_to(u, i.shape)
    check_plausible("uncertainty", u, 1e-12, 1e12, "A m⁻²", "0.1 * mA / cm**2")
    given = {"concentration": concentration, "diffusivity": diffusivity}
    free, fits = {}, {}
    for kind, names in _FREE.items():
        free[kind] = names if diffusivity is not None else (*names, "diffusivity")
        start = _start(kind, metal, given, t[peak], i[peak])
        fit = _minimise(start, free[kind], t, i, u, max_steps)
        if fit.ended and jnp.all(jnp.isfinite(fit.residual)):
            fits[kind] = start, fit
    if not fits:
        raise SolveError(
            f"No fit ended within {max_steps} steps. The data must show the peak: "
            "leave out the charging of the double layer, go on to twice its time.",
            None,
        )
    criteria = {
        kind: _criterion(fit.residual, len(free[kind]))
        for kind, (_, fit) in fits.items()
    }
    best = min(criteria, key=criteria.__getitem__)
    start, fit = fits[best]
    values = jnp.exp(fit.logs)
    variance = jnp.sum(fit.residual**2) / (t.size - len(free[best]))
    # Numbers that the data do not tell leave JᵀJ singular.
    covariance = jnp.linalg.pinv(fit.normal) * variance
    return TransientFit(
        transient=transient_of(_with(start, free[best], values), t),
        measured=i,
        values=values,
        standard_errors=values * jnp.sqrt(jnp.diagonal(covariance)),
        covariance=covariance,
        residual=fit.residual,
        free=free[best],
        criteria=tuple(sorted(criteria.items())),
    )


def _start(kind: Kind, metal, given, peak_time, peak_current) -> NucleationKinetics:
    """The law whose peak is the highest of the measured currents."""
    limit = "progressive" if kind == "progressive" else "instantaneous"
    c = as_float(given["concentration"])
    probe = {_FREE[limit][0]: 1.0}
    D = given["diffusivity"]
    if D is None:
        flow = scharifker_hills(
            peak_time[None], metal, concentration=c, diffusivity=1e-9, **probe
        )
        # i_m² t_m = P (zFc)² D
        unit = _PRODUCT[limit] * _flow_square(flow.law)
        D = peak_current**2 * peak_time / unit
    one = scharifker_hills(
        peak_time[None], metal, concentration=c, diffusivity=D, **probe
    )
    ratio = one.peak_time / peak_time
    sites, rate = ratio, ratio**2
    if kind == "instantaneous":
        return _with(one.law, ("site_density",), sites[None])
    if kind == "progressive":
        return _with(one.law, ("nucleation_rate",), rate[None])
    law = dataclasses.replace(one.law, kind="mixed")
    first = jnp.stack([2 * sites, 4 * sites / peak_time])
    return _with(law, ("site_density", "nucleation_rate"), first)


def _flow_square(law: NucleationKinetics) -> Array:
    """(zFc)² [C² m⁻⁶]."""
    return (law.charge * FARADAY * law.concentration) ** 2


def _with(law, names, values):
    return eqx.tree_at(
        lambda law: [getattr(law, name) for name in names], law, list(values)
    )


def _criterion(residual: Array, m: int) -> float:
    """Akaike's, of m free numbers; the least is best."""
    n = residual.size
    least = float(jnp.finfo(residual.dtype).eps) ** 2
    mean = max(float(jnp.mean(residual**2)), least)
    return n * float(np.log(mean)) + 2 * m + 2 * m * (m + 1) / max(n - m - 1, 1e-9)


@eqx.filter_jit
def _minimise(law, free, t, i, u, max_steps) -> LeastSquares:
    def residual(logs):
        return (_with(law, free, jnp.exp(logs)).current_density(t) - i) / u

    return least_squares_of_logs(
        residual,
        jnp.log(jnp.stack([getattr(law, name) for name in free])),
        tolerance=float(jnp.finfo(t.dtype).eps) ** 0.6,
        max_steps=max_steps,
    )
