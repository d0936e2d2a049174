"""Distributions and the numbers that foretell them, against Newman and Tobias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT

THERMAL = GAS_CONSTANT * 298.15 / FARADAY
LENGTH, AREA, KAPPA, C0 = 1e-4, 1e5, 0.5, 3e4


def electrode(n, kinetics, *, tau=1.0, eps=1.0):
    """A homogenised host at one potential below a bath; fast diffusion holds c."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(n, LENGTH / n)))
    return dj.Cell(
        Scaffold.homogenised(grid, eps, tau, AREA),
        dj.BinaryElectrolyte(C0, 1e-7, 0.99, conductivity=KAPPA),
        kinetics=kinetics,
        counter_electrode="reservoir",
        plated_collector=False,
    )


def linear(nu):
    """Kinetics that make Newman and Tobias' number ν: ν² = a L² i₀ F/(RT κ)."""
    i0 = nu**2 * THERMAL * KAPPA / (AREA * LENGTH**2)
    return dj.LinearKinetics(i0, exponent=0.0, reference_concentration=C0)


@pytest.mark.slow
def test_from_even_to_the_surface_alone():
    # i/mean = ν cosh(νy)/sinh ν; its moments and shares in closed form. r09, PE1.
    n = 64
    for nu in (0.1, 1.0, 5.0):
        cell = electrode(n, linear(nu))
        wagner = float(dj.wagner_number(cell, 10.0, effective_diffusivity=1.0))
        assert wagner == pytest.approx(AREA * LENGTH / nu**2, rel=1e-9)
        run = dj.simulate(cell, dj.Galvanostatic(10.0, time=1e-6))
        found = dj.current_distribution(run)
        # Sampled in the middle of cells: second order in ν/n.
        loose = 3 * (nu / n) ** 2 + 1e-6
        square = (nu / np.sinh(nu)) ** 2 * (0.5 + np.sinh(2 * nu) / (4 * nu))
        assert float(found.relative_deviation) == pytest.approx(
            np.sqrt(square - 1), rel=loose, abs=1e-6
        )
        top = 1 - 1 / (2 * n)  # the uppermost middle
        peak = nu * np.cosh(nu * top) / np.sinh(nu)
        assert float(found.max_over_mean) == pytest.approx(peak, rel=loose)
        share = 1 - np.sinh(nu * 0.75) / np.sinh(nu)
        assert float(dj.top_share(run, LENGTH / 4)) == pytest.approx(share, rel=loose)
        assert float(found.total) == pytest.approx(10.0 * 1e-10, rel=1e-8)
    # The last is nearly primary, the first nearly uniform.
    assert float(found.max_over_mean) > 4.5
    assert share > 0.7


def test_wagner_number_follows_the_kinetics():
    J = 100.0
    local = J / (AREA * LENGTH)
    options = {"reference_concentration": C0}

    def resistance(kinetics, J):
        cell = electrode(4, kinetics)
        wagner = dj.wagner_number(cell, J, effective_diffusivity=1.0)
        return float(wagner) * LENGTH / KAPPA

    # At equilibrium; far from it; and as the slope of η(i) in between.
    volmer = dj.ButlerVolmer(20.0, 0.5, 0.5, **options)
    assert resistance(volmer, 0.0) == pytest.approx(THERMAL / 20.0, rel=1e-12)
    tafel = dj.Tafel(1e-4, 0.3, **options)
    assert resistance(tafel, J) == pytest.approx(THERMAL / (0.3 * local), rel=1e-9)
    slope = THERMAL / 20.0 / np.sqrt(1 + (local / 40.0) ** 2)
    assert resistance(volmer, J) == pytest.approx(slope, rel=1e-9)
    assert resistance(volmer, -J) == pytest.approx(slope, rel=1e-9)
    # Places that differ stand in parallel, and a film in series.
    halves = jnp.asarray([10.0, 10.0, 30.0, 30.0]).reshape(1, 1, 4)
    mixed = dj.ButlerVolmer(halves, **options)
    assert resistance(mixed, 0.0) == pytest.approx(THERMAL / 20.0, rel=1e-12)
    filmed = electrode(4, volmer).replace(film_resistance=2e-3)
    wagner = float(dj.wagner_number(filmed, effective_diffusivity=1.0))
    expected = (THERMAL / 20.0 + 2e-3) * KAPPA / LENGTH
    assert wagner == pytest.approx(expected, rel=1e-12)


def test_damkohler_number_and_effective_properties():
    kinetics = dj.ButlerVolmer(20.0, reference_concentration=C0)
    cell = electrode(4, kinetics, eps=0.6, tau=3.0)
    plain = 20.0 * LENGTH * 0.01 / (FARADAY * 1e-7 * C0)
    given = dj.damkohler_number(cell, effective_diffusivity=0.5)
    assert float(given) == pytest.approx(plain / 0.5, rel=1e-12)
    # ε/τ = 0.2, found by itself.
    assert float(dj.damkohler_number(cell)) == pytest.approx(plain / 0.2, rel=1e-9)
    wagner = THERMAL / 20.0 * KAPPA * 0.2 / LENGTH
    assert float(dj.wagner_number(cell)) == pytest.approx(wagner, rel=1e-9)


def test_wagner_number_has_derivatives():
    J = jnp.asarray(300.0)

    def wagner(i0, J):
        kinetics = dj.ButlerVolmer(i0, 0.4, 0.7, reference_concentration=C0)
        return dj.wagner_number(electrode(4, kinetics), J, effective_diffusivity=1.0)

    i0 = jnp.asarray(20.0)
    slopes = jax.grad(wagner, argnums=(0, 1))(i0, J)
    _, forward = jax.jvp(lambda i0: wagner(i0, J), (i0,), (jnp.ones_like(i0),))
    assert float(slopes[0]) == pytest.approx(float(forward), rel=1e-10)
    h = 1e-4
    for slope, (a, b) in zip(slopes, ((h, 0.0), (0.0, h)), strict=True):
        change = (wagner(i0 + a, J + b) - wagner(i0 - a, J - b)) / (2 * h)
        assert float(slope) == pytest.approx(float(change), rel=1e-6)


def test_refusals():
    bare = electrode(4, None)
    with pytest.raises(ValueError, match="cell: expected one with kinetics, got none"):
        dj.wagner_number(bare)
    with pytest.raises(ValueError, match="cell: expected one with kinetics, got none"):
        dj.damkohler_number(bare)
    with pytest.raises(ValueError, match="a current that the kinetics can give"):
        dj.wagner_number(electrode(4, dj.Tafel(1.0)), effective_diffusivity=1.0)
    with pytest.raises(ValueError, match=r"cell: expected a depojax\.Cell"):
        dj.damkohler_number(3)


@pytest.mark.slow
def test_gradient_of_the_unevenness():
    # Of std/mean, and of the smooth maximum, with respect to i₀ and the current.
    def measures(i0, J):
        kinetics = dj.ButlerVolmer(i0, reference_concentration=C0)
        step = dj.Galvanostatic(J, time=1e-6)
        found = dj.current_distribution(dj.simulate(electrode(4, kinetics), step))
        return found.relative_deviation + found.smooth_max_over_mean(8.0)

    i0, J = jnp.asarray(20.0), jnp.asarray(200.0)
    slopes = jax.grad(measures, argnums=(0, 1))(i0, J)
    _, forward = jax.jvp(lambda i0: measures(i0, J), (i0,), (jnp.ones_like(i0),))
    assert float(slopes[0]) == pytest.approx(float(forward), rel=1e-6)
    for slope, (a, b) in zip(slopes, ((1e-2, 0.0), (0.0, 0.1)), strict=True):
        change = measures(i0 + a, J + b) - measures(i0 - a, J - b)
        assert float(slope) == pytest.approx(float(change) / (2 * (a + b)), rel=1e-5)
