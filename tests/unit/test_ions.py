"""Ions and solutions of them: lengths, conductivities, refusals."""

import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.units import FARADAY, GAS_CONSTANT

LI, PF6 = dj.Ion("Li+", 1, 2e-10), dj.Ion("PF6-", -1, 4e-10)
SALT = dj.MultiIonElectrolyte([LI, PF6], [1000.0, 1000.0])
PER_CHARGE = FARADAY**2 / (GAS_CONSTANT * 298.15)


@pytest.mark.parametrize(
    ("eps_r", "c0", "length"),  # r05, E1
    [(78.4, 1.0, 9.6137007983173e-09), (30.0, 1000.0, 1.8805859958371e-10)],
)
def test_debye_length(eps_r, c0, length):
    salt = dj.MultiIonElectrolyte([LI, PF6], [c0, c0], relative_permittivity=eps_r)
    assert float(salt.debye_length) == pytest.approx(length, rel=1e-9)


def test_debye_length_of_ones_own():
    mixture = dj.MultiIonElectrolyte(
        [LI, dj.Ion("Ca2+", 2, 8e-10), dj.Ion("Cl-", -1, 2e-9)], [10.0, 5.0, 20.0]
    )
    wide = mixture.with_debye_length(2e-7)
    assert float(wide.debye_length) == pytest.approx(2e-7, rel=1e-12)
    # λ² F² Σ z² c = ε₀ ε_r RT, with 10 + 4 × 5 + 20 = 50.
    eps = 2e-7**2 * 50 * PER_CHARGE
    assert float(wide.permittivity) == pytest.approx(eps, rel=1e-12)
    assert wide.names == mixture.names
    np.testing.assert_array_equal(wide.concentrations, mixture.concentrations)


def test_what_a_solution_says_of_itself():
    ions = [dj.Ion("SO4 2-", -2, 1.1e-9), dj.Ion("Zn2+", 2, 0.7e-9, 0.6e-9)]
    salt = dj.MultiIonElectrolyte(ions, [500.0, 500.0], plated="Zn2+")
    assert salt.charges == (-2, 2)
    assert salt.plated_index == 1
    assert salt.plated_charge == 2
    assert float(salt.concentration) == 500.0
    kappa = PER_CHARGE * 4 * 500 * 1.8e-9
    assert float(salt.conductivity) == pytest.approx(kappa, rel=1e-12)
    assert salt.takes_up_room
    assert not SALT.takes_up_room
    room = 6.02214076e23 * 0.6e-9**3
    np.testing.assert_allclose(salt.volumes, [0.0, room], rtol=1e-12)


@pytest.mark.parametrize(
    ("charge", "plus", "minus"),
    [((1, -1), 2e-10, 4e-10), ((2, -1), 7e-10, 2e-9), ((2, -2), 7e-10, 1.1e-9)],
)
def test_a_salt_and_its_ions_are_one(charge, plus, minus):
    ideal = dj.IdealDilute(plus, minus, charge=charge)
    # D, t₊ and κ of the law, and back to the ions.
    law = ideal(jnp.asarray(1000.0), 298.15)
    salt = dj.BinaryElectrolyte(
        1000.0,
        float(law.diffusivity),
        float(law.transference_number),
        charge=charge,
    )
    ions = dj.MultiIonElectrolyte.of_salt(salt, 30.0, cation="M", anion="X")
    assert ions.names == ("M", "X")
    assert ions.charges == charge
    np.testing.assert_allclose(ions.diffusivities, [plus, minus], rtol=1e-12)
    kappa = float(law.conductivity)
    assert float(ions.conductivity) == pytest.approx(kappa, rel=1e-12)
    total = sum(z * c for z, c in zip(charge, ions.concentrations, strict=True))
    assert float(total) == 0.0
    assert float(ions.relative_permittivity) == 30.0


REFUSED_IONS = [
    (("", 1, 1e-9), "name.*expected the name of an ion"),
    ((3, 1, 1e-9), "name.*expected the name of an ion"),
    (("Li+", 1.0, 1e-9), "charge.*whole number"),
    (("Li+", True, 1e-9), "charge.*whole number"),
    (("X", 0, 1e-9), "charge.*other than zero"),
    (("Li+", 1, 1e-5), r"diffusivity.*m² s⁻¹.*1e-5 \* cm\*\*2 / s"),
    (("Li+", 1, [1e-9, 1e-9]), "diffusivity.*one number"),
    (("Li+", 1, 1e-9, 0.5), r"diameter.*0\.5 \* nm"),
    (("Li+", 1, 1e-9, [1e-9]), "diameter.*one number"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED_IONS)
def test_refused_ions(arguments, words):
    with pytest.raises(ValueError, match=words):
        dj.Ion(*arguments)


BIG = dj.Ion("Li+", 1, 2e-10, 1e-9)
REFUSED_SOLUTIONS = [
    ((["Li+", PF6], [1.0, 1.0]), {}, r"ions.*depojax\.Ion.*str"),
    (([LI], [1.0]), {}, "ions.*two or more"),
    (([LI, LI], [1.0, 1.0]), {}, "ions.*a name of its own"),
    (([LI, PF6], [1.0, 1.0]), {"plated": "Li"}, r"plated.*'Li'.*Li\+"),
    (([LI, PF6], [1.0, 1.0, 1.0]), {}, "concentrations.*one number for each"),
    (([LI, PF6], 1.0), {}, "concentrations.*one number for each"),
    (([LI, PF6], [-1.0, -1.0]), {}, "concentrations.*mol m⁻³"),
    (([LI, PF6], [1e5, 1e5]), {}, r"concentrations.*1\.0 \* M"),
    (([LI, PF6], [1.0, 2.0]), {}, r"concentrations.*add up to zero.*Li\+: 1"),
    (([LI, PF6], [0.0, 0.0]), {}, "plated.*an ion that the solution holds"),
    (([LI, PF6], [1.0, 1.0]), {"relative_permittivity": 0.0}, "relative_permittivity"),
    (([LI, PF6], [1.0, 1.0]), {"temperature": 25.0}, "temperature"),
    (([BIG, PF6], [2e3, 2e3]), {}, "diameter.*fit into the volume"),
]


@pytest.mark.parametrize(("arguments", "options", "words"), REFUSED_SOLUTIONS)
def test_refused_solutions(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        dj.MultiIonElectrolyte(*arguments, **options)


def test_refused_debye_lengths_and_salts():
    with pytest.raises(ValueError, match=r"length.*10 \* nm"):
        SALT.with_debye_length(10.0)
    still = dj.BinaryElectrolyte(1000.0, 3e-10, 0.0)
    with pytest.raises(ValueError, match="transference_number"):
        dj.MultiIonElectrolyte.of_salt(still)
