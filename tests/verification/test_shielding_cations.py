"""A second cation that is drawn to the metal and reduced below its own potential alone.

Ding et al., J. Am. Chem. Soc. 135 (2013) 4450, doi:10.1021/ja312241y: 0.05 M Cs⁺ is not
reduced where 1 M Li⁺ is. Closed forms: Nernst's equation (r08, K4), Boltzmann's law for
an ion that does not pass, and that two ions alike are one.
"""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

import depojax as dj
from tests.ion_columns import C0, UNIT, VT, D, L, growing_widths, ion_column, line

EPS = 1e-2
LITHIUM, CAESIUM, RUBIDIUM = -3.04, -3.026, -2.98  # E° against SHE [V], after Ding
NERNST = {  # (E°, c in M): E; K4
    (CAESIUM, 0.05): -3.102968088463876,
    (CAESIUM, 0.01): -3.144318699369564,
    (RUBIDIUM, 0.05): -3.056968088463876,
    (LITHIUM, 1.0): -3.04,
    (LITHIUM, 0.5): -3.057808738779094,
}


def mixed(share, *, second=CAESIUM, first=LITHIUM, **options):
    """M⁺X⁻ at C0 and `share` as much S⁺X⁻, with a Debye length of EPS L."""
    ions = [
        dj.Ion("M+", 1, D, standard_potential=first),
        dj.Ion("S+", 1, D, standard_potential=second),
        dj.Ion("X-", -1, D),
    ]
    amounts = [C0, share * C0, (1 + share) * C0]
    return dj.MultiIonElectrolyte(ions, amounts, **options).with_debye_length(EPS * L)


WIDTHS = L * growing_widths(0.02 * EPS)


@pytest.mark.parametrize("case", NERNST)
def test_nernst_potential(case):
    standard, amount = case
    ions = dj.Ion("M+", 1, D, standard_potential=standard), dj.Ion("X-", -1, D)
    solution = dj.MultiIonElectrolyte(ions, [1000 * amount, 1000 * amount])
    E = np.asarray(solution.nernst_potentials)
    assert E[0] == pytest.approx(NERNST[case], rel=1e-12)
    assert np.isnan(E[1])


def test_nernst_potential_of_two_charges():
    ions = dj.Ion("Zn2+", 2, D, standard_potential=-0.762), dj.Ion("X-", -1, D)
    solution = dj.MultiIonElectrolyte(ions, [10.0, 20.0], temperature=320.0)
    known = -0.762 + 8.314462618 * 320 / (2 * 96485.33212) * math.log(0.01)
    assert float(solution.nernst_potentials[0]) == pytest.approx(known, rel=1e-12)


def window(electrolyte):
    """How far below the bath's own potential the shield stands [V]."""
    E = electrolyte.nernst_potentials
    return float(E[0] - E[1])


def test_above_its_own_potential_it_only_shields():
    electrolyte = mixed(0.05)
    cell = ion_column(WIDTHS, electrolyte)
    allowed = window(electrolyte)
    voltage = -0.9 * allowed
    state = dj.space_charge(cell, voltage=voltage)
    # No current, to the last digit, and Boltzmann's law up to the metal.
    assert float(state.ion_current_density[1]) == 0
    carried = float(state.ion_current_density[0])
    assert carried == pytest.approx(float(state.current_density), rel=1e-12)
    c, phi = line(state.ion_concentration), line(state.potential) / VT
    np.testing.assert_allclose(c[1], 0.05 * C0 * np.exp(-phi), rtol=1e-8)
    assert c[1, 0] > 5 * 0.05 * C0
    assert np.all(np.diff(c[1]) < 0)
    # At equilibrium with the bath it is as far from its metal as the bath is.
    margin = np.asarray(state.reduction_margin)
    assert margin[1] == pytest.approx(allowed + voltage, rel=1e-9)
    assert np.isnan(margin[2])
    assert state.message == "A steady state."


def test_below_its_own_potential_it_is_plated():
    electrolyte = mixed(0.05)
    cell = ion_column(WIDTHS, electrolyte)
    state = dj.space_charge(cell, voltage=-window(electrolyte) - 0.05)
    own, aside = np.asarray(state.ion_current_density)[:2]
    assert aside > 0
    assert own + aside == pytest.approx(float(state.current_density), rel=1e-12)
    # What keeps it at the metal: c° e^{(E − E°)F/RT} there.
    deep = dj.space_charge(cell, voltage=-0.6)
    ratio = float(deep.ion_current_density[1] / deep.ion_current_density[0])
    # Both are all but gone at the metal, and arrive by the same field.
    assert ratio == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("V", [-4.0, -20.0])
def test_two_ions_alike_are_one(V):
    twins = mixed(1.0, second=LITHIUM)
    ions = dj.Ion("M+", 1, D), dj.Ion("X-", -1, D)
    single = dj.MultiIonElectrolyte(ions, [2 * C0, 2 * C0]).with_debye_length(EPS * L)
    both, one = (
        dj.space_charge(ion_column(WIDTHS, electrolyte), voltage=V * VT)
        for electrolyte in (twins, single)
    )
    known = float(one.current_density)
    assert float(both.current_density) == pytest.approx(known, rel=1e-9)
    np.testing.assert_allclose(both.ion_current_density[:2], known / 2, rtol=1e-9)
    c, known = line(both.ion_concentration), line(one.ion_concentration)
    np.testing.assert_allclose(c[0] + c[1], known[0], rtol=1e-8, atol=1e-12)


def test_the_shield_takes_current_as_in_a_neutral_solution():
    # r27: c₃ = 1.2 − j/2, c₂c₃ = 0.24 and φ = ln(c₃/1.2) at the metal, V = φ + ln c₁.
    V, share = -6.0, 0.2
    inert = ion_column(WIDTHS, mixed(share, second=-4.0))
    state = dj.space_charge(inert, voltage=V * VT)
    assert float(state.ion_current_density[1]) == 0

    def left(c3):
        return math.log(c3 / (1 + share)) + math.log(c3 - share * (1 + share) / c3) - V

    anions = brentq(left, math.sqrt(share * (1 + share)) * (1 + 1e-12), 1 + share)
    known = 2 * (1 + share - anions)
    own = float(state.current_density) / UNIT
    # The double layers leave λ_D/L of the gap out, and a little more.
    assert own == pytest.approx(known, rel=4e-2)
    # A salt alone carries more at that voltage.
    assert own < 0.8 * 2 * (1 - math.exp(V / 2))


def test_refused_potentials():
    with pytest.raises(ValueError, match=r"standard_potential.*cation.*X-"):
        dj.Ion("X-", -1, D, standard_potential=1.0)
    with pytest.raises(ValueError, match="standard_potential"):
        dj.Ion("M+", 1, D, standard_potential=-3040.0)
