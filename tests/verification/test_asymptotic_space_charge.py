"""Space charge in closed form on a grid of five cells, against resolved profiles.

Reference: r04b and r04, steady Rubinstein–Shtilman profiles by collocation on graded
meshes, c₊ = 1 at the wall.
"""

import jax
import numpy as np
import pytest

import depojax as dj
from depojax.units import FARADAY, GAS_CONSTANT

L, D, C0 = 1e-5, 1e-9, 1.0
VT = GAS_CONSTANT * 298.15 / FARADAY
J0 = FARADAY * D * C0 / L


def cell(eps, n=5):
    ions = dj.Ion("Li+", 1, D), dj.Ion("X-", -1, D)
    solution = dj.MultiIonElectrolyte(ions, [C0, C0]).with_debye_length(eps * L)
    side = np.full(1, 1e-6)
    grid = dj.Grid((side, side, np.full(n, L / n)))
    return dj.Cell(dj.Scaffold.open(grid), solution, counter_electrode="reservoir")


@pytest.mark.parametrize(
    ("eps", "j", "V"),
    [
        (1e-4, 1.0, 1.3861287144),
        (1e-4, 2.0, 11.5591426045),
        (1e-4, 2.2, 281.5840800068),
        (3e-4, 2.2, 99.7937907170),
        (1e-3, 2.0, 8.5940000233),
    ],
)
def test_voltage_of_a_current(eps, j, V):
    """The layer is a tenth of the gap at 2.2: the first half cell just holds it."""
    found = dj.space_charge(cell(eps), current_density=j * J0, asymptotic=True)
    assert -float(found.voltage) / VT == pytest.approx(V, abs=0.02)
    assert found.most_newton_steps <= 10
    emptied = max(1 - 2 / j, 0.0)
    assert float(found.layer_thickness) / L == pytest.approx(emptied, abs=1e-9)
    # At the metal ε²E² = p + j x₀; before depletion (p − c_s)²/p, a double layer's.
    field = -float(found.collector_field[0, 0]) * L / VT
    known = np.sqrt(1 + j * emptied) - max(1 - j / 2, 0.0)
    assert field == pytest.approx(known / eps, rel=5e-3)


@pytest.mark.slow
def test_current_of_a_voltage_and_its_slope():
    """5 and 20 RT/F at ε = 1e-3 (r04), below and beyond what neutral salt carries."""
    here = cell(1e-3)
    for V, j in ((5.0, 1.844908449166), (20.0, 2.110623761692)):
        found = dj.space_charge(here, voltage=-V * VT, asymptotic=True)
        assert float(found.current_density) / J0 == pytest.approx(j, rel=2e-3)

    def current(V):
        return dj.space_charge(here, voltage=V, asymptotic=True).current_density

    h = 1e-3 * VT
    central = (current(-30 * VT + h) - current(-30 * VT - h)) / (2 * h)
    slope = jax.grad(current)(-30 * VT)
    assert float(slope) == pytest.approx(float(central), rel=1e-6)


def test_what_it_does_not_know_is_refused():
    three = dj.MultiIonElectrolyte(
        [dj.Ion("Li+", 1, D), dj.Ion("Cs+", 1, D), dj.Ion("X-", -1, D)], [1.0, 0.5, 1.5]
    )
    here = cell(1e-3)
    cases = [
        (here.replace(electrolyte=three), {}, "a z:z salt"),
        (here.replace(kinetics=dj.ButlerVolmer(10.0)), {}, r"Reversible\(\) kinetics"),
        (cell(1e-2, n=6), {}, "cells at the metal of"),
        (here, {"fixed_charge": 1.0}, "neither fixed_charge nor stern_capacitance"),
    ]
    for refused, options, words in cases:
        with pytest.raises(ValueError, match=f"asymptotic: expected {words}"):
            dj.space_charge(refused, voltage=-0.1, asymptotic=True, **options)
