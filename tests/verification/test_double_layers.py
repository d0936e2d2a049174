"""Double layers at equilibrium and how charge relaxes: the cases r05 E1 to E4.

Numbers of Gouy and Chapman, Grahame, and the linearised equations in closed form, of
overlapping layers by quadrature. Hunter, Foundations of Colloid Science, ch. 7.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import eig, logm

import depojax as dj
from tests.helpers import observed_orders
from tests.ion_columns import (
    C0,
    VT,
    L,
    centers,
    growing_widths,
    ion_column,
    line,
    salt,
    widths_to_both_ends,
)

# ε_r, c₀, potential: λ_D, charge, φ at one and two λ_D; E1
GOUY = {
    "water": (
        (78.4, 1.0, 0.1),
        (9.6137007983173e-09, 0.012723459085289),
        (0.029111191225517, 0.010467927936553),
    ),
    "carbonate": (
        (30.0, 1000.0, -0.05),
        (1.8805859958371e-10, -0.082307230232315),
        (-0.017227640901615, -0.0062868206990665),
    ),
}
GRAHAME = -0.096812537641516  # NaCl 10 and CaCl₂ 5 mol m⁻³ at −80 mV; E3
# (φ₀, gap/λ_D): φ in the middle, slope at the wall; E2
OVERLAPPING = {
    (2.0, 2.0): (1.1560795263963, 2.0080393584177),
    (4.0, 6.0): (0.29839207128833, 7.247535114464),
}
BLOCKING = dj.Blocking()
MIDDLE = slice(99, 101)  # of 200 cells


def three_ions(amounts, eps_r):
    """Na⁺, Ca²⁺ and Cl⁻: one program for salts with and without the second."""
    charges = {"Na+": 1, "Ca2+": 2, "Cl-": -1}
    ions = [dj.Ion(name, z, 1e-9) for name, z in charges.items()]
    return dj.MultiIonElectrolyte(ions, amounts, relative_permittivity=eps_r)


def charged_wall(electrolyte, voltage, first=0.005, parts=1, cells=200):
    """A blocking wall before a bath, thirty Debye lengths away."""
    debye = float(electrolyte.debye_length)
    widths = growing_widths(first, cells, length=30.0, parts=parts)
    cell = ion_column(debye * widths, electrolyte, kinetics=BLOCKING)
    solution = dj.space_charge(cell, voltage=voltage)
    charge = float(electrolyte.permittivity * solution.collector_field[0, 0])
    return solution, charge


def at_depth(solution, depth):
    """φ [V] at some depth [λ_D], by a cubic through the nearest cells."""
    x = centers(solution.cell) / float(solution.debye_length)
    i = int(np.searchsorted(x, depth))
    near = slice(i - 2, i + 2)
    cubic = np.polynomial.Polynomial.fit(x[near], line(solution.potential)[near], 3)
    return float(cubic(depth))


@pytest.mark.slow
@pytest.mark.parametrize("name", GOUY)
def test_gouy_chapman(name):
    (eps_r, c0, zeta), (debye, charge), potentials = GOUY[name]
    solution, own = charged_wall(three_ions([c0, 0.0, c0], eps_r), zeta)
    assert float(solution.debye_length) == pytest.approx(debye, rel=1e-8)
    assert own == pytest.approx(charge, rel=1e-3)
    found = [at_depth(solution, depth) for depth in (1.0, 2.0)]
    np.testing.assert_allclose(found, potentials, rtol=1e-3)
    # Boltzmann, to round-off: the scheme's own equilibrium.
    phi, (sodium, calcium, chloride) = (
        line(solution.potential) / VT,
        line(solution.ion_concentration),
    )
    np.testing.assert_allclose(sodium, c0 * np.exp(-phi), rtol=1e-9)
    np.testing.assert_allclose(chloride, c0 * np.exp(phi), rtol=1e-9)
    assert np.max(np.abs(calcium)) < 1e-18 * c0
    assert abs(float(solution.current_density)) == 0


@pytest.mark.slow
def test_mixture_of_salts():
    electrolyte = three_ions([10.0, 5.0, 20.0], 78.4)
    _, charge = charged_wall(electrolyte, -0.08)
    assert charge == pytest.approx(GRAHAME, rel=1e-3)


@pytest.mark.slow
def test_second_order_at_a_wall():
    (eps_r, c0, zeta), (_, charge), _ = GOUY["water"]
    electrolyte = three_ions([c0, 0.0, c0], eps_r)
    errors = [
        charged_wall(electrolyte, zeta, first=0.05, cells=50, parts=parts)[1] - charge
        for parts in (1, 2, 4)
    ]
    assert np.all(observed_orders(errors) > 1.9)


def amounts_between_plates(middle, wall):
    """∫e^{∓φ} over half a gap [λ_D], by ½φ'² = cosh φ − cosh φ_m."""

    def along(factor):
        # φ = φ_m + u² takes the root's singularity away.
        def integrand(u):
            phi = middle + u * u
            drop = 2 * math.sinh((phi + middle) / 2) * math.sinh(u * u / 2)
            per_u = 2 * u / math.sqrt(2 * drop) if u > 0 else 0.0
            if u == 0:
                per_u = 2 / math.sqrt(2 * math.sinh(middle))
            return factor(phi) * per_u

        return quad(integrand, 0, math.sqrt(wall - middle), epsabs=1e-13)[0]

    return [along(f) for f in (lambda p: 1.0, lambda p: math.exp(-p), math.exp)]


@pytest.fixture(scope="module")
def slit():
    """A closed gap between two blocking plates, and a solution to begin with."""

    def of(width):
        eps = 1 / width
        widths = widths_to_both_ends(5e-4)
        cell = ion_column(
            L * widths,
            salt(eps),
            "metal",
            kinetics=BLOCKING,
            counter_kinetics=BLOCKING,
        )
        return cell, dj.space_charge(cell, voltage=0.0)

    return of


@pytest.mark.slow
@pytest.mark.parametrize("case", OVERLAPPING)
def test_overlapping_layers(slit, case):
    # The gap is closed: it is given the ions that such a gap has before a bath.
    (wall, gap), (middle, slope) = case, OVERLAPPING[case]
    half = gap / 2
    length, cations, anions = amounts_between_plates(middle, wall)
    assert length == pytest.approx(half, rel=1e-9)
    cell, rest = slit(gap)
    held = [cations / half, anions / half]  # means
    more = jnp.asarray(held)[:, None, None, None] ** 0.1
    for _ in range(10):
        c = more * rest.state.fields.c
        begun = eqx.tree_at(lambda s: s.state.fields.c, rest, c)
        rest = dj.space_charge(cell, voltage=0.0, start=begun)
    solution = rest
    phi = line(solution.potential) / VT
    assert phi[MIDDLE].mean() == pytest.approx(middle - wall, rel=1e-3)
    field = float(solution.collector_field[0, 0]) / VT * L / gap
    assert field == pytest.approx(slope, rel=1e-3)
    widths = np.asarray(cell.grid.widths[2]) / L
    means = line(solution.ion_concentration) @ widths / C0
    np.testing.assert_allclose(means, held, rtol=1e-10)


@pytest.mark.slow
def test_ions_between_blocking_plates(slit):
    cell, _ = slit(20.0)
    solution = dj.space_charge(cell, voltage=-4 * VT)
    c, phi = line(solution.ion_concentration), line(solution.potential) / VT
    widths = np.asarray(cell.grid.widths[2]) / L
    # Nothing passes: each ion is c e^{zφ} = const, and as many as there were.
    for k, z in enumerate((1, -1)):
        lots = c[k] * np.exp(z * phi)
        np.testing.assert_allclose(lots, lots[0], rtol=1e-9)
    np.testing.assert_allclose(c @ widths, C0, rtol=1e-11)
    np.testing.assert_allclose(c[0], c[1][::-1], rtol=1e-8)
    assert float(solution.current_density) == 0


# Of cos(kx): z, D, c, ε_r, k, and the rates [s⁻¹]; E4
RELAXING = {
    "two": (
        ((1, -1), (1e-9, 2e-9), (1.0, 1.0), 78.4, 62831853.071795866),
        (-23004643.6037064, -5068565.366127454),
    ),
    "three": (
        (
            (1, -1, 2),
            (2e-10, 4e-10, 1.5e-10),
            (5.0, 9.0, 2.0),
            30.0,
            125663706.14359173,
        ),
        (-86992035.76501375, -4126933.978251787, -2724130.7252286524),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RELAXING)
def test_relaxation_of_a_wave(name):
    (charges, diffusivities, amounts, eps_r, k), rates = RELAXING[name]
    numbers = enumerate(zip(charges, diffusivities, strict=True))
    ions = [dj.Ion(f"ion {n}", z, d) for n, (z, d) in numbers]
    electrolyte = dj.MultiIonElectrolyte(ions, amounts, relative_permittivity=eps_r)
    half_wave = math.pi / k
    cell = ion_column(
        np.full(64, half_wave / 64),
        electrolyte,
        "metal",
        kinetics=BLOCKING,
        counter_kinetics=BLOCKING,
    )
    wave = np.cos(k * centers(cell))
    # No current and no charge on the metal: no field there, and the wave stays one.
    time = 1.0 / abs(rates[0])
    held = {"current_density": 0.0, "duration": time}
    steps = dj.Steps(tolerance=1e-8, max_steps=2048)
    rest = dj.space_charge(cell, **held, steps=steps)
    n, size = len(charges), 1e-2
    passed = np.zeros((n, n))
    for j in range(n):
        c = np.array(rest.state.fields.c)
        c[:] = np.asarray(amounts)[:, None, None, None] / amounts[0]
        c[j] += size * wave
        begun = eqx.tree_at(lambda s: s.state.fields.c, rest, jnp.asarray(c))
        end = dj.space_charge(cell, **held, steps=steps, start=begun)
        left = line(end.ion_concentration) / amounts[0]
        passed[:, j] = 2 * np.mean(left * wave, axis=1) / size
    own = np.sort(eig(logm(passed))[0].real) / time
    np.testing.assert_allclose(own, np.sort(rates), rtol=2e-3)
