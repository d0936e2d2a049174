"""Concentrated laws through the equations that they are made for, in one dimension.

The solutions here are made by scipy's integrators, quadratures and root finders, with
nothing of depojax but the laws: the numbers are those of the cases C1, C2 and C3.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import depojax as dj
from depojax.physics.electrolyte import diffusion_potential
from depojax.units import FARADAY, GAS_CONSTANT, M

KNOWN = dj.electrolytes.KNOWN


def valoen(temperature=298.15):
    return dj.ConcentratedElectrolyte(
        KNOWN["lipf6_pc_ec_dmc_valoen2005"], 1.0 * M, temperature
    )


# Sand's time of a half-infinite solution with D(c). With u = c/c₀ − 1, ξ = x/(2√(D₀t))
# and s = √(t/τ₀), τ₀ the time at which ∂c/∂x = c₀/√(D₀τ₀):
#   s ∂u/∂s = ½ ∂/∂ξ (D/D₀ ∂u/∂ξ) + ξ ∂u/∂ξ,   D/D₀ ∂u/∂ξ = 2s at ξ = 0
def sand_constant(electrolyte, cells):
    """τJ² [A² s m⁻⁴] by finite volumes in ξ, second order, and a stiff integrator."""
    c0 = float(electrolyte.concentration)
    at_rest = electrolyte.at(c0)
    D0 = float(at_rest.diffusivity)
    nodes = 9 * np.expm1(3 * np.linspace(0, 1, cells + 1)) / np.expm1(3)
    width, middle = np.diff(nodes), (nodes[1:] + nodes[:-1]) / 2
    apart = np.diff(middle)

    def ratio(u):
        return electrolyte.properties(c0 * (1 + u)).diffusivity / D0

    def wall(s, u):
        # D/D₀ ∂u/∂ξ = 2s over half a cell, D in its middle.
        surface = u[0] - s * width[0]
        for _ in range(8):
            surface = u[0] - s * width[0] / ratio((u[0] + surface) / 2)
        return surface

    @jax.jit
    def rate(log_s, u):
        s = jnp.exp(log_s)
        flux = ratio((u[1:] + u[:-1]) / 2) * jnp.diff(u) / apart
        flux = jnp.concatenate([2 * s[None], flux, jnp.zeros(1)])
        faces = jnp.concatenate([wall(s, u)[None], (u[1:] + u[:-1]) / 2, jnp.zeros(1)])
        # ξ ∂u/∂ξ = ∂(ξu)/∂ξ − u
        return (jnp.diff(flux) / 2 + jnp.diff(nodes * faces)) / width - u

    surface = jax.jit(lambda log_s, u: 1 + wall(jnp.exp(log_s), u))

    def depleted(log_s, u):
        return float(surface(log_s, u))

    depleted.terminal = True
    start = 3e-3
    eta = jnp.asarray(middle)
    ierfc = jnp.exp(-(eta**2)) / np.sqrt(np.pi) - eta * jax.scipy.special.erfc(eta)
    # Steps that scipy tries and takes back may overflow.
    with np.errstate(all="ignore"):
        run = solve_ivp(
            lambda t, u: np.asarray(rate(t, u)),
            (np.log(start), 1.0),
            np.asarray(-2 * start * ierfc),
            method="BDF",
            jac=jax.jit(jax.jacfwd(rate, 1)),
            events=depleted,
            rtol=1e-7,
            atol=1e-9,
        )
    (log_s,) = run.t_events[0]
    # c₀/√(D₀τ₀) = (1 − t₊)J/(FD₀) fixes τ₀J².
    gradient = float(at_rest.salt_flux_per_current) / D0
    return float(np.exp(2 * log_s)) * (c0 / gradient) ** 2 / D0


def extrapolated_sand_constant(electrolyte):
    coarse, fine = (sand_constant(electrolyte, cells) for cells in (40, 80))
    return fine + (fine - coarse) / 3


def test_sand_constant_of_constant_properties_is_sands():
    law = dj.IdealDilute(2.2e-10, 4e-10)
    electrolyte = dj.ConcentratedElectrolyte(law, 1.0 * M)
    D, per_current = 2 * 2.2e-10 * 4e-10 / 6.2e-10, 4 / 6.2 / FARADAY
    exact = np.pi * D * (1000 / (2 * per_current)) ** 2
    np.testing.assert_allclose(
        extrapolated_sand_constant(electrolyte), exact, rtol=2e-5
    )


@pytest.mark.parametrize(
    ("temperature", "known"),
    [
        pytest.param(273.15, 3088121.813037295, marks=pytest.mark.slow),
        (298.15, 9192406.032059316),
        pytest.param(333.15, 17293783.92078341, marks=pytest.mark.slow),
    ],
)
def test_sand_constant_of_valoen_reimers(temperature, known):
    found = extrapolated_sand_constant(valoen(temperature))
    np.testing.assert_allclose(found, known, rtol=1e-4)


# A steady cell of length L between two electrodes: D ∂c/∂x = (1 − t₊) J/F throughout.
def steady_ends(electrolyte, J, length):
    """c at the plating and the stripping electrode, their mean held at c₀."""
    c0 = float(electrolyte.concentration)

    def slowness(c):  # dx/dc · J/F
        found = electrolyte.properties(c)
        return found.diffusivity / (1 - found.transference_number)

    span = J * length / FARADAY

    def stripping(low):
        return brentq(
            lambda c: integral(slowness, low, c) - span, low, 20 * c0, rtol=1e-14
        )

    def excess(low):
        return integral(lambda c: (c - c0) * slowness(c), low, stripping(low)) / span

    plating = brentq(excess, 1e-2 * c0, c0, rtol=1e-13)
    return plating, stripping(plating)


def integral(f, low, high):
    """∫f dc by Gauss and Legendre in ln c; their error here is below 1e-13."""
    points, weights = np.polynomial.legendre.leggauss(48)
    half = np.log(high / low) / 2
    c = np.sqrt(low * high) * np.exp(half * points)
    return half * float(np.sum(weights * c * np.asarray(f(jnp.asarray(c)))))


def test_steady_cell_of_valoen_reimers():
    electrolyte, J = valoen(), 309.3700225820345
    plating, stripping = steady_ends(electrolyte, J, 2e-4)
    np.testing.assert_allclose(plating, 451.95734650941694, rtol=1e-8)
    np.testing.assert_allclose(stripping, 1723.6465062268883, rtol=1e-8)

    def ohmic(c):
        found = electrolyte.properties(c)
        uptake = (1 - found.transference_number) / FARADAY
        return found.diffusivity / uptake / found.conductivity

    def concentration(c):
        return diffusion_potential(electrolyte, electrolyte.properties(c)) / c

    V_ohmic = integral(ohmic, plating, stripping)
    V_diffusion = integral(concentration, plating, stripping)
    np.testing.assert_allclose(V_ohmic, 0.056437832979938846, rtol=1e-8)
    np.testing.assert_allclose(V_diffusion, 0.09002132440807173, rtol=1e-8)


@pytest.mark.parametrize(
    ("J", "ends", "electrostatic", "total"),
    [
        (
            92.62591883837761,
            (400.0, 1600.0),
            0.03561747755818794,
            0.07123495511637588,
        ),
        (
            146.65770482743122,
            (50.0, 1950.0),
            0.09412634745816152,
            0.18825269491632304,
        ),
    ],
)
def test_steady_dilute_cell(J, ends, electrostatic, total):
    """Ohmic drop and diffusion potential together are twice (RT/F) ln c."""
    electrolyte = dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1.0 * M)
    plating, stripping = steady_ends(electrolyte, J, 5e-4)
    np.testing.assert_allclose((plating, stripping), ends, rtol=1e-8)

    def drop(c):
        found = electrolyte.properties(c)
        uptake = (1 - found.transference_number) / FARADAY
        ohmic = found.diffusivity / uptake / found.conductivity
        return ohmic + diffusion_potential(electrolyte, found) / c

    heat = GAS_CONSTANT * 298.15 / FARADAY
    whole = integral(drop, plating, stripping)
    np.testing.assert_allclose(whole, total, rtol=1e-8)
    # Against a reference of the metal each electrode adds (RT/F) ln c of its own.
    own = heat * np.log(stripping / plating)
    np.testing.assert_allclose(whole - own, electrostatic, rtol=1e-8)


@pytest.mark.parametrize("charge", [1, 2, (2, -1), (1, -2), (3, -2), (3, -1)])
def test_current_is_that_of_nernst_and_planck(charge):
    """Any fields ∇c, ∇φ: F Σ z N of the ions is −κ∇φ_l + κ U ∇ln c."""
    law = dj.IdealDilute(0.7e-9, 1.1e-9, charge)
    electrolyte = dj.ConcentratedElectrolyte(law, 700.0, 310.0)
    z, nu = electrolyte.charge, electrolyte.stoichiometry
    c, slope, field = 700.0, 3e6, 40.0  # ∇c and ∇φ, of the ions' potential
    f = FARADAY / (GAS_CONSTANT * 310.0)
    i = 0.0
    for valence, number, D in zip(z, nu, (0.7e-9, 1.1e-9), strict=True):
        i -= FARADAY * valence * D * number * (slope + valence * f * c * field)
    # A reference electrode of the metal reads φ + (RT/z₊F) ln c₊.
    reference = field + slope / c / (z[0] * f)
    found = electrolyte.properties(c)
    U = diffusion_potential(electrolyte, found)
    expected = found.conductivity * (U * slope / c - reference)
    np.testing.assert_allclose(expected, i, rtol=1e-12)


def test_diffusion_potential_of_a_snapshot_is_the_laws():
    electrolyte = valoen()
    c = jnp.asarray([1000.0, 1000.0])
    follows = diffusion_potential(electrolyte, electrolyte.properties(c))
    held = electrolyte.at(1000.0)
    constant = diffusion_potential(held, held.properties(c))
    np.testing.assert_allclose(constant, follows, rtol=1e-14)
    assert eqx.tree_equal(held.properties(c), electrolyte.properties(c), rtol=1e-14)
