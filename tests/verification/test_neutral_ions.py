"""Ions without space charge: a supporting salt (r27), a charged host (r24), E5 of r05.

Lengths in L, concentrations in c₀, potentials in RT/F, currents in F D c₀/L.
Dydek & Bazant, AIChE J. 59 (2013) 3539, doi:10.1002/aic.14200; Newman &
Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 11 and 12.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.units import FARADAY
from tests.helpers import observed_orders
from tests.ion_columns import (
    C0,
    UNIT,
    VT,
    D,
    L,
    centers,
    growing_widths,
    ion_column,
    line,
)

# c₂/c₁ in the bath: limiting current; r27
SUPPORTED = {
    0.0: 2.0,
    0.1: 1.5366750419289201,
    1.0: 1.1715728752538097,
    20.0: 1.012196936161608,
}
# (ρ, V): j, and c₋ at 0.25, 0.5 and 0.75; r24
CHARGED = {
    (-0.05, 10.0): (
        2.499909200140475,
        (0.11631942924639226, 0.39805201476189195, 0.6965516821296466),
    ),
    (-0.2, 20.0): (
        5.999999995877693,
        (3.72651435800758e-06, 0.006324971771340768, 0.35387979818205184),
    ),
}
# D, and c on both sides: potential of the right against the left by free diffusion [V]
JUNCTIONS = {
    "HCl|KCl": (
        (9.311e-9, 1.957e-9, 2.032e-9),
        (100.0, 0.0, 100.0),
        (0.0, 100.0, 100.0),
        0.026693470631118554,
    ),
    "NaCl": (
        (1.0e-9, 1.334e-9, 2.032e-9),
        (0.0, 100.0, 100.0),
        (0.0, 10.0, 10.0),
        -0.01226774393343553,
    ),
    "LiCl|KCl": (
        (1.029e-9, 1.957e-9, 2.032e-9),
        (100.0, 0.0, 100.0),
        (0.0, 20.0, 20.0),
        -0.015186138422534377,
    ),
}


def supported(ratio, diffusivities=(D, D, D)):
    """A salt M⁺X⁻ and `ratio` times as much S⁺X⁻."""
    ions = [
        dj.Ion(name, z, d)
        for name, z, d in zip(
            ("M+", "S+", "X-"), (1, 1, -1), diffusivities, strict=True
        )
    ]
    return dj.MultiIonElectrolyte(ions, [C0, ratio * C0, (1 + ratio) * C0])


def neutral(cell, **drive):
    return dj.space_charge(cell, electroneutral=True, **drive)


def profiles(ratio, j, x):
    """c of all ions and φ in closed form: c₃ is linear, c₂c₃ and φ − ln c₃ constant."""
    bath = 1 + ratio
    c3 = bath - j / 2 * (1 - x)
    c2 = ratio * bath / c3
    return np.stack([c3 - c2, c2, c3]), np.log(c3 / bath)


@pytest.mark.parametrize("ratio", SUPPORTED)
def test_supporting_salt(ratio):
    j = 0.8 * SUPPORTED[ratio]
    cell = ion_column(L * growing_widths(1e-3), supported(ratio))
    solution = neutral(cell, current_density=j * UNIT)
    x = centers(cell) / L
    c, phi = profiles(ratio, j, x)
    np.testing.assert_allclose(line(solution.ion_concentration) / C0, c, 1e-4, 1e-12)
    np.testing.assert_allclose(line(solution.potential) / VT, phi, rtol=1e-4, atol=1e-6)
    # The metal is at equilibrium with what is left at it.
    c, phi = profiles(ratio, j, 0.0)
    voltage = phi + math.log(c[0])
    assert float(solution.voltage) / VT == pytest.approx(voltage, rel=1e-4)
    assert np.max(np.abs(solution.charge_density)) < 1e-12 * FARADAY * C0


@pytest.mark.parametrize("ratio", SUPPORTED)
def test_limiting_current_of_a_supported_salt(ratio):
    cell = ion_column(L * growing_widths(1e-3), supported(ratio))
    solution = neutral(cell, voltage=-25 * VT)
    own = float(solution.current_density) / UNIT
    assert own == pytest.approx(SUPPORTED[ratio], rel=3e-4)
    closed = 2 * ((1 + ratio) - math.sqrt(ratio * (1 + ratio)))
    assert own == pytest.approx(closed, rel=3e-4)


def test_ions_that_do_not_pass_have_no_say_by_their_diffusivity():
    cell = ion_column(L * growing_widths(1e-3), supported(0.1))
    answers = []
    for others in ((D, D), (0.1 * D, 7 * D)):
        other = cell.replace(electrolyte=supported(0.1, (D, *others)))
        answers.append(neutral(other, current_density=UNIT))
    one, two = answers
    np.testing.assert_allclose(one.ion_concentration, two.ion_concentration, rtol=1e-8)
    assert float(one.voltage) == pytest.approx(float(two.voltage), rel=1e-8)


@pytest.mark.slow
def test_second_order_of_a_supported_salt():
    ratio = 0.1
    j = 0.8 * SUPPORTED[ratio]
    c, phi = profiles(ratio, j, 0.0)
    errors = []
    for parts in (1, 2, 4):
        widths = growing_widths(1 / 100, cells=50, parts=parts)
        cell = ion_column(L * widths, supported(ratio))
        solution = neutral(cell, current_density=j * UNIT)
        errors.append(float(solution.voltage) / VT - phi - math.log(c[0]))
    assert np.all(observed_orders(errors) > 1.95)


def charged_host(rho, V):
    """The host of r24, whose c₋ = 1 at its mouth, and the voltage that gives V in it.

    The bath beyond has no fixed charge, c_b² = c₊ c₋ = 1 − ρ, and is lower by Donnan's
    potential, −ln c_b. At the metal c₊ = e^{−V} − ρ.
    """
    bath = math.sqrt(1 - rho)
    amounts = bath * np.array([C0, 0.0, C0])
    ions = supported(0.0).ions
    electrolyte = dj.MultiIonElectrolyte(ions, amounts)
    # The cells are smallest at the mouth: potential and salt jump there.
    fine = growing_widths(2e-4, 20, 0.04)[::-1]
    widths = np.concatenate([np.full(180, 0.96 / 180), fine])
    cell = ion_column(L * widths, electrolyte)
    donnan = -math.log(bath)
    voltage = donnan - V + math.log((math.exp(-V) - rho) / bath)
    return cell, voltage * VT


def charged(rho, V):
    """j and the solution in a charged host."""
    cell, voltage = charged_host(rho, V)
    fixed = rho * FARADAY * C0
    solution = neutral(cell, voltage=voltage, fixed_charge=fixed)
    return float(solution.current_density) / UNIT, solution


@pytest.mark.parametrize("case", CHARGED)
def test_charged_host(case):
    (rho, V), (j, anions) = case, CHARGED[case]
    own, solution = charged(rho, V)
    # Beyond 2 without any space charge: the fixed charges keep cations there.
    assert own == pytest.approx(j, rel=2e-4)
    x = centers(solution.cell) / L
    c = line(solution.ion_concentration) / C0
    found = np.exp(np.interp((0.25, 0.5, 0.75), x, np.log(c[2])))
    np.testing.assert_allclose(found, anions, rtol=5e-3)
    np.testing.assert_allclose(c[0] - c[2], -rho, atol=1e-12)


@pytest.mark.parametrize(("rho", "V"), [(0.05, 2.0), (-0.3, 1.0)])
def test_current_through_a_charged_host(rho, V):
    own, _ = charged(rho, V)
    assert own == pytest.approx(2 * (1 - math.exp(-V)) - rho * V, rel=2e-4)


@pytest.mark.slow
def test_a_run_goes_to_the_steady_state():
    cell = ion_column(L * growing_widths(1e-3), supported(0.1))
    run = neutral(cell, current_density=UNIT, duration=20 * L**2 / D)
    steady = neutral(cell, current_density=UNIT)
    assert float(run.voltage) == pytest.approx(float(steady.voltage), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", JUNCTIONS)
def test_liquid_junction_by_free_diffusion(name):
    # A step in the middle of a closed gap, at a time at which its ends know nothing.
    diffusivities, left, right, known = JUNCTIONS[name]
    ions = [
        dj.Ion(ion, z, d)
        for ion, z, d in zip(("a+", "b+", "x-"), (1, 1, -1), diffusivities, strict=True)
    ]
    electrolyte = dj.MultiIonElectrolyte(ions, right, plated="b+")
    half = growing_widths(1e-4, 100, 0.5)
    widths = L * np.concatenate([half[::-1], half])
    cell = ion_column(widths, electrolyte, kinetics=dj.Blocking())
    held = {"voltage": 0.0, "steps": dj.Steps(tolerance=1e-5)}  # of no consequence
    time = 4e-4 * L**2 / max(diffusivities)
    rest = neutral(cell, duration=1e-6 * time, **held)
    ones = np.ones_like(np.asarray(rest.state.fields.c))
    below = np.asarray(centers(cell) < L / 2)
    sides = (np.asarray(side)[:, None, None, None] * ones for side in (left, right))
    c = np.where(below, *sides) / float(electrolyte.concentration)
    begun = eqx.tree_at(lambda s: s.state.fields.c, rest, jnp.asarray(c))
    end = neutral(cell, duration=time, start=begun, **held)
    # The first cells have seen nothing, and nothing has passed.
    np.testing.assert_allclose(line(end.ion_concentration)[:, 0], left, atol=1e-4)
    assert -float(line(end.potential)[0]) == pytest.approx(known, rel=1e-3)
