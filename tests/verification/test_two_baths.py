"""A gap and a membrane between two baths: liquid junctions (r05, E5) and what they are.

Planck, Ann. Phys. 276 (1890) 561, doi:10.1002/andp.18902760802; Goldman, J. Gen.
Physiol. 27 (1943) 37, doi:10.1085/jgp.27.1.37. Potentials of the right (far) side
against the left.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.units import FARADAY
from tests.helpers import central_slopes
from tests.ion_columns import (
    CELLS,
    VT,
    L,
    centers,
    growing_widths,
    ion_column,
    line,
    widths_to_both_ends,
)

# D and c on both sides; steady (Planck) and by free diffusion [V]
JUNCTIONS = {
    "HCl|KCl": (
        (9.311e-9, 1.957e-9, 2.032e-9),
        ((100.0, 0.0, 100.0), (0.0, 100.0, 100.0)),
        (0.026850292919294572, 0.026693470631118554),
    ),
    "NaCl": (
        (1.334e-9, 1.0e-9, 2.032e-9),
        ((100.0, 0.0, 100.0), (10.0, 0.0, 10.0)),
        (-0.01226774393344569, -0.01226774393343553),
    ),
    "LiCl|KCl": (
        (1.029e-9, 1.957e-9, 2.032e-9),
        ((100.0, 0.0, 100.0), (0.0, 20.0, 20.0)),
        (-0.015657879909464205, -0.015186138422534377),
    ),
}
# The dilute side has the thinner cells: there c changes most from one to the next.
WIDTHS = L * growing_widths(1e-3)[::-1]


def bath(diffusivities, amounts, **options):
    ions = [
        dj.Ion(name, z, d)
        for name, z, d in zip(
            ("a+", "b+", "x-"), (1, 1, -1), diffusivities, strict=True
        )
    ]
    plated = "a+" if float(amounts[0]) > 0 else "b+"
    return dj.MultiIonElectrolyte(ions, amounts, plated=plated, **options)


def between(diffusivities, near, far, widths=WIDTHS):
    """A column between two baths."""
    near, far = (bath(diffusivities, amounts) for amounts in (near, far))
    return ion_column(widths, far, near_bath=near)


def potential(cell, **options):
    """Of the far bath against the near one without a current [V]."""
    solution = dj.space_charge(cell, current_density=0.0, **options)
    return -float(solution.voltage), solution


@pytest.mark.parametrize("name", JUNCTIONS)
def test_steady_junction_is_plancks(name):
    diffusivities, sides, (known, _) = JUNCTIONS[name]
    own, solution = potential(between(diffusivities, *sides), electroneutral=True)
    assert own == pytest.approx(known, rel=1.2e-5)
    assert int(solution.most_newton_steps) <= 10
    c = line(solution.ion_concentration)
    np.testing.assert_allclose(c[0] + c[1], c[2], atol=1e-10)
    assert np.min(c) >= 0
    # Σ c is a straight line in Planck's junction of ions of charge ±1.
    x = centers(solution.cell) / L
    ends = [2 * side[2] for side in sides]
    known = ends[0] + (ends[1] - ends[0]) * x
    np.testing.assert_allclose(np.sum(c, 0), known, rtol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", JUNCTIONS)
def test_junction_by_free_diffusion(name):
    # A front in the middle, at a time at which the baths know nothing of it.
    diffusivities, sides, (_, known) = JUNCTIONS[name]
    half = growing_widths(1e-4, CELLS // 2, 0.5)
    widths = L * np.concatenate([half[::-1], half])
    cell = between(diffusivities, *sides, widths)
    time = 4e-4 * L**2 / max(diffusivities)
    steps = dj.Steps(tolerance=1e-5)
    own, run = potential(cell, electroneutral=True, duration=time, steps=steps)
    assert own == pytest.approx(known, rel=2e-4)
    assert float(run.charge) == pytest.approx(0.0, abs=1e-9)
    # Later it is Planck's, as a grid knows it that is fine at the front alone.
    later, _ = potential(cell, electroneutral=True, duration=1e4 * time, start=run)
    assert later == pytest.approx(JUNCTIONS[name][2][0], rel=1e-3)
    steady, _ = potential(cell, electroneutral=True)
    assert later == pytest.approx(steady, rel=1e-5)


def teorell_meyer_sievers(fixed, near, far, cation, anion):
    """φ of the far bath against the near one over a charged membrane [RT/F].

    Donnan's potentials at both sides, and what diffuses between them.
    """
    (p, q), (r, s) = (
        (root - fixed / 2, root + fixed / 2)
        for root in (math.hypot(fixed / 2, c) for c in (near, far))
    )
    into, out = -math.log(p / near), math.log(r / far)
    mobile = (cation - anion) / (cation + anion)
    ahead = -mobile * math.log((cation * r + anion * s) / (cation * p + anion * q))
    return into + ahead + out


@pytest.mark.parametrize("fixed", [-50.0, 0.0, 20.0])
def test_potential_of_a_charged_membrane(fixed):
    near, far = (100.0, 0.0, 100.0), (10.0, 0.0, 10.0)
    diffusivities = (1e-9, 1e-9, 2e-9)
    widths = L * widths_to_both_ends(1e-4)
    cell = between(diffusivities, near, far, widths)
    own, _ = potential(cell, electroneutral=True, fixed_charge=fixed * FARADAY)
    known = teorell_meyer_sievers(fixed, 100.0, 10.0, 1e-9, 2e-9)
    assert own / VT == pytest.approx(known, abs=2e-3)


def goldman(V, near, far, diffusivities):
    """Current density of ions that feel the same field everywhere [A m⁻²].

    V is the near side against the far one [RT/F], current towards the near side.
    """
    total = 0.0
    for z, d, a, b in zip((1, 1, -1), diffusivities, near, far, strict=True):
        u = -z * V  # rise of Φ from the near side on
        flux = d / L * u * (a - b * math.exp(u)) / math.expm1(u)
        total -= FARADAY * z * flux
    return total


@pytest.mark.slow
def test_goldmans_current_where_the_debye_length_is_long():
    # λ_D = 30 L: the charge of all ions bends the potential by a thousandth.
    near, far = (1.0, 0.0, 1.0), (0.1, 0.3, 0.4)
    diffusivities = JUNCTIONS["LiCl|KCl"][0]
    near_bath = bath(diffusivities, near)
    long = bath(diffusivities, far).with_debye_length(30 * L)
    cell = ion_column(WIDTHS, long, near_bath=near_bath)
    for V in (-2.0, 1.0):
        solution = dj.space_charge(cell, voltage=V * VT)
        known = goldman(V, near, far, diffusivities)
        assert float(solution.current_density) == pytest.approx(known, rel=2e-3)
    # Without a current: Goldman's potential.
    own, _ = potential(cell)
    P = diffusivities
    ratio = (P[0] * near[0] + P[1] * near[1] + P[2] * far[2]) / (
        P[0] * far[0] + P[1] * far[1] + P[2] * near[2]
    )
    assert own == pytest.approx(VT * math.log(ratio), rel=2e-3)


def test_resolved_junction_is_neutral_where_the_debye_length_is_short():
    diffusivities, sides, (known, _) = JUNCTIONS["LiCl|KCl"]
    near = bath(diffusivities, sides[0])
    far = bath(diffusivities, sides[1]).with_debye_length(2e-3 * L)
    cell = ion_column(WIDTHS, far, near_bath=near)
    own, solution = potential(cell)
    assert own == pytest.approx(known, rel=1e-3)
    assert float(np.max(np.abs(solution.charge_density))) > 0


def test_equal_baths_are_a_resistor():
    same = (50.0, 50.0, 100.0)
    diffusivities = (1e-9, 2e-9, 3e-9)
    cell = between(diffusivities, same, same)
    for drive in ({"voltage": 0.01}, {"current_density": -20.0}):
        solution = dj.space_charge(cell, electroneutral=True, **drive)
        ratio = -float(solution.current_density) / float(solution.voltage)
        known = float(cell.ions.conductivity) / L
        assert ratio == pytest.approx(known, rel=1e-9)


@pytest.mark.slow
def test_derivatives_of_a_junction():
    base = np.log(JUNCTIONS["LiCl|KCl"][0])

    def junction(p):
        far = bath(jnp.exp(base + p[:3]), jnp.asarray([0.0, 20.0, 20.0]))
        amounts = 100.0 * jnp.exp(p[3]) * jnp.asarray([1.0, 0.0, 1.0])
        near = dj.MultiIonElectrolyte(far.ions, amounts, plated="a+")
        cell = ion_column(WIDTHS, far, near_bath=near)
        return dj.space_charge(cell, current_density=0.0, electroneutral=True).voltage

    at = np.zeros(4)
    reverse = np.asarray(jax.grad(junction)(jnp.asarray(at)))
    central = central_slopes(lambda p: float(junction(jnp.asarray(p))), at, 1e-4)
    np.testing.assert_allclose(reverse, central, rtol=1e-5, atol=1e-9)
    # All D alike change nothing, and more salt at the near side a good deal.
    assert abs(np.sum(reverse[:3])) < 1e-9
    assert abs(reverse[3]) > 1e-3


def test_refused_baths():
    far = bath((1e-9, 1e-9, 2e-9), (10.0, 0.0, 10.0))
    with pytest.raises(ValueError, match=r"near_bath.*counter_electrode=\"reservoir\""):
        ion_column(WIDTHS, far, "metal", near_bath=far)
    salt = dj.BinaryElectrolyte(1000.0, 3e-10, 0.4)
    with pytest.raises(ValueError, match=r"near_bath.*ions one by one.*of_salt"):
        ion_column(WIDTHS, salt, near_bath=far)
    other = dj.MultiIonElectrolyte(far.ions[::2], [10.0, 10.0])
    with pytest.raises(ValueError, match=r"near_bath.*an amount may be 0"):
        ion_column(WIDTHS, far, near_bath=other)
    with pytest.raises(ValueError, match=r"near_bath.*MultiIonElectrolyte"):
        ion_column(WIDTHS, far, near_bath="KCl")
