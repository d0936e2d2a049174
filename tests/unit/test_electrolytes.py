"""Binary electrolytes against closed forms, published values and their own limits."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.physics import electrolytes
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.units import FARADAY, GAS_CONSTANT, M, celsius

PLAIN = {"concentration": 1000.0, "diffusivity": 3e-10, "transference_number": 0.38}


@pytest.mark.parametrize(
    ("charge", "ions", "stoichiometry", "charge_per_salt"),
    [
        (1, (1, -1), (1, 1), 1),  # LiPF6
        (2, (2, -2), (1, 1), 2),  # ZnSO4
        ((2, -1), (2, -1), (1, 2), 2),  # ZnCl2
        ((1, -2), (1, -2), (2, 1), 2),  # K2SO4
        ((3, -2), (3, -2), (2, 3), 6),  # Al2(SO4)3
        ((4, -2), (4, -2), (1, 2), 4),
    ],
)
def test_stoichiometry_is_electroneutral(charge, ions, stoichiometry, charge_per_salt):
    salt = BinaryElectrolyte(**PLAIN, charge=charge)
    assert salt.charge == ions
    assert salt.stoichiometry == stoichiometry
    assert salt.charge_per_salt == charge_per_salt
    neutral = sum(z * n for z, n in zip(salt.charge, salt.stoichiometry, strict=True))
    assert neutral == 0


def test_salt_flux_per_current():
    zinc = BinaryElectrolyte(1000.0, 7e-10, 0.4, 2)
    expected = 0.6 / (2 * 96485.33212)
    np.testing.assert_allclose(zinc.salt_flux_per_current, expected, rtol=1e-14)


def test_dilute_potassium_chloride_is_the_handbooks():
    # CRC Handbook: D(KCl) = 1.993e-9, Λ° = 149.8 S cm² mol⁻¹, t₊ = 0.4906 (Stokes &
    # Robinson), from ions 1.957 and 2.032e-9.
    salt = BinaryElectrolyte.from_ions(1.0, 1.957e-9, 2.032e-9)
    np.testing.assert_allclose(salt.diffusivity, 1.994e-9, rtol=1e-3)
    np.testing.assert_allclose(salt.transference_number, 0.4906, rtol=1e-3)
    np.testing.assert_allclose(salt.conductivity, 149.8e-4, rtol=1e-3)


def test_dilute_calcium_chloride_is_the_handbooks():
    # A 2:1 salt: D° = 1.335e-9, λ°(½Ca) = 59.47, λ°(Cl) = 76.31 S cm² mol⁻¹.
    salt = BinaryElectrolyte.from_ions(1.0, 0.792e-9, 2.032e-9, (2, -1))
    np.testing.assert_allclose(salt.diffusivity, 1.335e-9, rtol=1e-3)
    np.testing.assert_allclose(
        salt.transference_number, 59.47 / (59.47 + 76.31), rtol=1e-3
    )
    np.testing.assert_allclose(salt.conductivity, 2 * (59.47 + 76.31) * 1e-4, rtol=1e-3)


def test_equal_ions_diffuse_as_the_salt_and_share_the_current():
    salt = BinaryElectrolyte.from_ions(500.0, 2e-10, 2e-10, 2, temperature=350.0)
    np.testing.assert_allclose(salt.diffusivity, 2e-10, rtol=1e-14)
    np.testing.assert_allclose(salt.transference_number, 0.5, rtol=1e-14)
    einstein = 2 * 4 * 2e-10 * 500 * FARADAY**2 / (GAS_CONSTANT * 350)
    np.testing.assert_allclose(salt.conductivity, einstein, rtol=1e-13)


@pytest.mark.parametrize("charge", [1, 2, (2, -1), (1, -2)])
def test_slow_ion_governs(charge):
    # With D₋ → ∞ the cation carries nothing and the salt follows it at (1 − z₊/z₋) D₊.
    salt = BinaryElectrolyte.from_ions(1.0, 1e-15, 1e-7, charge)
    cation, anion = salt.charge
    np.testing.assert_allclose(
        salt.diffusivity, (1 - cation / anion) * 1e-15, rtol=1e-6
    )
    assert 0 < float(salt.transference_number) < 1e-7


# πD (zF c₀ / (2(1 − t₊)))² of the reference calculation of Sand's time [A² s m⁻⁴]
@pytest.mark.parametrize(
    ("temperature", "sand_constant"),
    [
        (273.15, 1777946.750793839),
        (298.15, 6129880.520883663),
        (333.15, 12150656.545861516),
    ],
)
def test_valoen_reimers_diffusivity(temperature, sand_constant):
    salt = electrolytes.lipf6_pc_ec_dmc_valoen2005(1.0 * M, temperature)
    charge = 1000.0 / (2 * salt.salt_flux_per_current)
    np.testing.assert_allclose(
        math.pi * salt.diffusivity * charge**2, sand_constant, rtol=1e-9
    )


def test_valoen_reimers_at_one_molar():
    salt = electrolytes.lipf6_pc_ec_dmc_valoen2005(1.0 * M)
    np.testing.assert_allclose(salt.diffusivity, 3.2227e-10, rtol=1e-5)
    np.testing.assert_allclose(salt.conductivity, 1.19433, rtol=1e-5)
    assert float(salt.transference_number) == 0.38
    dilute = electrolytes.lipf6_pc_ec_dmc_valoen2005(10.0)
    # The limit of the fit for c → 0 is 0.601/0.62.
    np.testing.assert_allclose(dilute.thermodynamic_factor, 0.969, atol=0.04)


def test_landesfeind_gasteiger():
    salt = electrolytes.lipf6_ec_emc_landesfeind2019(1.0 * M, 303.0)
    np.testing.assert_allclose(salt.transference_number, 0.27, atol=5e-3)
    # In plain arithmetic, from D = 1e-10 p₁ exp(p₂c) exp(p₃/T) exp(p₄c/T).
    D = 1e-10 * 1.01e3 * math.exp(1.01) * math.exp(-1.56e3 / 303) * math.exp(-487 / 303)
    np.testing.assert_allclose(salt.diffusivity, D, rtol=1e-13)
    # Its conductivity at 1 M meets that of Nyman et al., another laboratory, to 5 %.
    warm = electrolytes.lipf6_ec_emc_landesfeind2019(1.0 * M)
    nyman = electrolytes.lipf6_ec_emc_nyman2008(1.0 * M)
    np.testing.assert_allclose(warm.conductivity, nyman.conductivity, rtol=0.05)
    # Its χ meets that of another mixture of carbonates to 10 %.
    valoen = electrolytes.lipf6_pc_ec_dmc_valoen2005(1.0 * M)
    np.testing.assert_allclose(
        warm.thermodynamic_factor, valoen.thermodynamic_factor, rtol=0.1
    )


def test_nyman_at_one_molar():
    salt = electrolytes.lipf6_ec_emc_nyman2008(1.0 * M)
    np.testing.assert_allclose(salt.transference_number, 0.2594, rtol=1e-12)
    np.testing.assert_allclose(salt.conductivity, 0.9487, rtol=1e-12)
    np.testing.assert_allclose(salt.diffusivity, 1.7694e-10, rtol=1e-12)
    warm = electrolytes.lipf6_ec_emc_nyman2008(1.0 * M, 308.15)
    factor = math.exp(17e3 / 8.314462618 * (1 / 298.15 - 1 / 308.15))
    np.testing.assert_allclose(warm.diffusivity / salt.diffusivity, factor, rtol=1e-12)
    np.testing.assert_allclose(
        warm.conductivity / salt.conductivity, factor, rtol=1e-12
    )


def test_chayambuka_at_the_points_that_were_read():
    D = [
        float(electrolytes.napf6_ec_pc_chayambuka2022(c * M).diffusivity)
        for c in (0.05, 0.5, 1.01, 2.0, 2.5)
    ]
    np.testing.assert_allclose(
        D, [4.01e-11, 3.15e-11, 2.49e-11, 1.92e-11, 1.76e-11], rtol=0.02
    )
    kappa = [
        float(electrolytes.napf6_ec_pc_chayambuka2022(c * M).conductivity)
        for c in (0.1, 0.5, 1.0, 1.5, 2.0, 2.5)
    ]
    np.testing.assert_allclose(
        kappa, [0.178, 0.641, 0.883, 0.815, 0.727, 0.605], rtol=0.06
    )


@pytest.mark.parametrize(
    ("name", "infinite", "conductivity"),
    [("znso4_water", 0.847e-9, 0.526), ("cuso4_water", 0.855e-9, 0.5055)],
)
def test_aqueous_sulfates(name, infinite, conductivity):
    make = electrolytes.KNOWN[name]
    # Handbook: equivalent conductances 52.6 and 50.55 S cm² at 0.1 equivalents per L.
    np.testing.assert_allclose(make(0.05 * M).conductivity, conductivity, rtol=0.02)
    np.testing.assert_allclose(make(10.0).diffusivity, infinite, rtol=0.08)
    assert make(1.0 * M).charge == (2, -2)
    warm = make(1.0 * M, celsius(26)).diffusivity / make(1.0 * M).diffusivity
    np.testing.assert_allclose(warm, 1.022, atol=2e-3)


def test_copper_sulfate_transference_is_pikal_and_miller():
    for c in (0.05, 0.5, 1.0, 1.4):
        measured = 0.4010 - 0.1426 * math.sqrt(c) + 0.0186 * c
        salt = electrolytes.cuso4_water(c * M)
        np.testing.assert_allclose(salt.transference_number, measured, atol=1e-3)


def test_unverified_solutions_say_so():
    for name in ("litfsi_dol_dme", "kpf6_ec_dec"):
        make = electrolytes.KNOWN[name]
        assert "±50 %" in (make.__doc__ or "")
        assert "±50 %" in make(0.8 * M).reference


@pytest.mark.parametrize("name", sorted(electrolytes.KNOWN))
def test_known_solutions(name):
    make = electrolytes.KNOWN[name]
    assert getattr(electrolytes, name) is make
    salt = make(0.8 * M)
    assert salt.name == name
    assert salt.reference
    assert salt.conductivity is not None
    assert float(salt.concentration) == 800.0
    assert 1e-11 < float(salt.diffusivity) < 1e-9
    assert 0.1 < float(salt.conductivity) < 10
    assert 0.2 < float(salt.transference_number) < 0.5


@pytest.mark.parametrize("name", sorted(electrolytes.KNOWN))
def test_known_solutions_hold_in_all_of_their_range(name):
    make = electrolytes.KNOWN[name]
    with pytest.raises(ValueError, match=rf"concentration of {name}: expected within"):
        make(1.0)  # 1 mol m⁻³, where 1 M was meant
    with pytest.raises(ValueError, match=r"got 25 K\. .*celsius\(25\)"):
        make(0.8 * M, 25)
    ends = electrolytes_range(name)
    for c in np.linspace(*ends[0], 7):
        for T in np.linspace(*ends[1], 5):
            salt = make(c, T)  # the constructor refuses what is not physical
            assert float(salt.thermodynamic_factor) > 0


def electrolytes_range(name):
    """The ranges of a solution, out of its own refusals."""
    ranges = []
    for given in ((1e9, 298.15), (800.0, 1e9)):
        with pytest.raises(ValueError, match="expected within") as refused:
            electrolytes.KNOWN[name](*given)
        inside = str(refused.value).split("[")[1].split("]")[0]
        ranges.append([float(end) for end in inside.split(",")])
    return ranges


@pytest.mark.parametrize("name", sorted(electrolytes.KNOWN))
def test_gradient_with_respect_to_concentration_and_temperature(name):
    def total(c, T):
        salt = electrolytes.KNOWN[name](c, T)
        numbers = [leaf for leaf in jax.tree.leaves(salt) if eqx.is_array(leaf)]
        return sum(jnp.log(jnp.abs(number)) for number in numbers)

    c, T = jnp.asarray(700.0), jnp.asarray(299.0)
    for k, step in ((0, 1e-2), (1, 1e-3)):
        move = jnp.asarray([step, 0.0]) if k == 0 else jnp.asarray([0.0, step])
        reverse = jax.grad(total, k)(c, T)
        forward = jax.jacfwd(total, k)(c, T)
        above, below = total(c + move[0], T + move[1]), total(c - move[0], T - move[1])
        np.testing.assert_allclose(reverse, forward, rtol=1e-12)
        np.testing.assert_allclose(reverse, (above - below) / (2 * step), rtol=1e-6)


def test_constructor_is_traceable():
    def sand_factor(t_plus):
        salt = BinaryElectrolyte(1000.0, 3e-10, t_plus, conductivity=1.0)
        return 1 / salt.salt_flux_per_current**2

    t_plus = jnp.asarray(0.38)
    slope = jax.grad(sand_factor)(t_plus) / sand_factor(t_plus) * t_plus
    np.testing.assert_allclose(slope, 2 * 0.38 / 0.62, rtol=1e-12)
    np.testing.assert_allclose(
        jax.jit(sand_factor)(t_plus), sand_factor(t_plus), rtol=1e-14
    )
    made = eqx.filter_vmap(electrolytes.lipf6_ec_emc)(jnp.asarray([500.0, 1000.0]))
    assert made.diffusivity.shape == (2,)


def test_another_value_does_not_recompile():
    count = 0

    @eqx.filter_jit
    def diffusivity(salt):
        nonlocal count
        count += 1
        return salt.diffusivity

    for t_plus in (0.2, 0.3, 0.4):
        diffusivity(BinaryElectrolyte(1000.0, 3e-10, t_plus))
    assert count == 1


def test_float32_stays_float32():
    number = jnp.float32(0.8e-9)
    salt = BinaryElectrolyte.from_ions(
        jnp.float32(1000), number, number, 2, jnp.float32(300)
    )
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(eqx.filter(salt, eqx.is_array))}
    assert salt.diffusivity.dtype == jnp.float32
    assert salt.conductivity is not None
    assert salt.conductivity.dtype == jnp.float32
    # Only the factor that nobody gave is in the precision of the session.
    assert dtypes == {jnp.dtype("float32"), jnp.dtype("float64")}
    np.testing.assert_allclose(salt.diffusivity, 0.8e-9, rtol=1e-6)


def test_replace_keeps_the_rest_and_checks():
    salt = electrolytes.znso4_water(1.0 * M)
    faster = salt.replace(diffusivity=2e-9)
    assert float(faster.diffusivity) == 2e-9
    assert faster.charge == (2, -2)
    assert faster.name == "znso4_water"
    assert faster.conductivity == salt.conductivity
    assert float(salt.diffusivity) < 1e-9
    with pytest.raises(ValueError, match="Did you mean 'diffusivity'"):
        salt.replace(difusivity=1e-9)
    with pytest.raises(ValueError, match="diffusivity: expected within"):
        salt.replace(diffusivity=3.2e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"concentration": 0.0},
            "concentration: expected a positive number in mol m⁻³",
        ),
        ({"concentration": 1e6}, r"concentration: .*got 1e\+06 .*1\.0 \* M"),
        ({"concentration": "1 M"}, "concentration: expected a number"),
        ({"concentration": math.nan}, "concentration: expected finite"),
        ({"concentration": [1.0, 2.0]}, "concentration: expected one number"),
        ({"diffusivity": 3e-6}, r"diffusivity: .*got 3e-06 .*cm\*\*2 / s"),
        ({"transference_number": 1.0}, "transference_number: .*nothing is ever deplet"),
        ({"transference_number": 38}, "transference_number: .*not percent"),
        ({"transference_number": -1.0}, "transference_number: expected within"),
        ({"temperature": 25}, r"temperature: .*got 25 K\. .*celsius\(25\)"),
        ({"thermodynamic_factor": 0.0}, "thermodynamic_factor: .*would separate"),
        ({"conductivity": -1.0}, "conductivity: expected a positive number"),
        ({"charge": 0}, "charge: expected a whole number"),
        ({"charge": 1.0}, "charge: expected a whole number"),
        ({"charge": True}, "charge: expected a whole number"),
        ({"charge": -1}, "charge: expected a whole number"),
        ({"charge": (2, 1)}, "charge: expected an anion"),
        ({"charge": (1, -1, 0)}, "charge: expected a whole number"),
    ],
)
def test_refusals(changes, words):
    with pytest.raises(ValueError, match=words):
        BinaryElectrolyte(**(PLAIN | changes))


def test_negative_transference_and_unknown_conductivity_are_let_in():
    # Some polymer electrolytes have t₊ < 0 (doi:10.1149/2.0651705jes).
    salt = BinaryElectrolyte(1000.0, 1e-11, -0.38)
    assert salt.conductivity is None
    np.testing.assert_allclose(salt.salt_flux_per_current, 1.38 / FARADAY, rtol=1e-14)


def test_ions_are_checked_by_name():
    with pytest.raises(ValueError, match="anion_diffusivity"):
        BinaryElectrolyte.from_ions(1.0, 1e-9, 1e-5)


def test_unknown_solution_names_the_nearest():
    with pytest.raises(AttributeError, match=r"Did you mean 'lipf6_ec_emc'\? Known: "):
        _ = electrolytes.lipf6_ec_emcc
