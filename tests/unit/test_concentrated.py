"""Laws of concentrated solutions: values, slopes, refusals, files of other people."""

import json
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.cli.cell_file import read_cell_file
from depojax.cli.cell_parts import build_electrolyte
from depojax.cli.words import InputError
from depojax.physics.concentrated import PropertyTable
from depojax.physics.electrolyte_files import expression
from depojax.units import M

KNOWN = dj.electrolytes.KNOWN
NAMES = sorted(KNOWN)
FIELDS = (
    "diffusivity",
    "conductivity",
    "transference_number",
    "thermodynamic_factor",
)
R = 8.314462618


def known(name, c=0.8 * M, T=298.15):
    return dj.ConcentratedElectrolyte(KNOWN[name], c, T)


@pytest.mark.parametrize("name", NAMES)
def test_known_solutions_are_laws(name):
    electrolyte, snapshot = known(name), KNOWN[name](0.8 * M)
    assert electrolyte.charge == snapshot.charge
    assert electrolyte.name == name
    assert electrolyte.reference == snapshot.reference
    assert float(electrolyte.concentration) == 800.0
    low, high = KNOWN[name].law.concentration_range
    c = np.linspace(low, high, 6)[1:-1].reshape(2, 2)
    found = electrolyte.properties(c)
    for field in FIELDS:
        assert getattr(found, field).shape == (2, 2)
        expected = [float(getattr(KNOWN[name](one), field)) for one in c.ravel()]
        np.testing.assert_allclose(getattr(found, field).ravel(), expected, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_snapshot_is_what_the_function_returns(name):
    cold, warm = KNOWN[name].law.temperature_range
    for c, T in ((0.7 * M, None), (0.9 * M, 0.3 * cold + 0.7 * warm)):
        made = known(name).at(c, T)
        expected = KNOWN[name](c, 298.15 if T is None else T)
        assert eqx.tree_equal(made, expected, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_properties_are_sound_at_any_concentration(name):
    c = jnp.concatenate([jnp.zeros(1), jnp.geomspace(1e-12, 5e4, 300)])
    cold, warm = KNOWN[name].law.temperature_range
    for T in (cold, (cold + warm) / 2, warm):
        found = known(name, T=T).properties(c)
        for field in FIELDS:
            assert np.isfinite(getattr(found, field)).all(), field
        assert (found.diffusivity > 1e-14).all()
        assert float(found.conductivity[0]) == 0
        assert (found.conductivity[1:] > 0).all()
        assert (jnp.abs(found.transference_number) < 1).all()
        assert (found.thermodynamic_factor > 0).all()
        molar = found.conductivity[1:100] / c[1:100]
        np.testing.assert_allclose(molar, molar[0], rtol=1e-6)
        assert 1e-5 < float(molar[0]) < 0.1  # 0.1 to 1000 S cm² mol⁻¹


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_finite_and_continuous(name):
    electrolyte = known(name)
    low, high = KNOWN[name].law.concentration_range

    @jax.jit
    def slopes(c):
        return jax.jacfwd(electrolyte.properties)(jnp.asarray(c, float))

    for c in (0.0, 1e-9, low / 3, low, high, 1.2 * high, 1e5):
        assert all(np.isfinite(slopes(c).__dict__[field]) for field in FIELDS)
    for end in (low, high):
        below, above = slopes(end * (1 - 1e-9)), slopes(end * (1 + 1e-9))
        for field in FIELDS:
            scale = float(getattr(electrolyte.properties(end), field)) / end
            left, right = getattr(below, field), getattr(above, field)
            np.testing.assert_allclose(left, right, atol=1e-6 * scale)
    # κ/c at zero is the slope there.
    tiny = 1e-6
    molar = electrolyte.properties(tiny).conductivity / tiny
    np.testing.assert_allclose(slopes(0.0).conductivity, molar, rtol=1e-9)
    assert float(slopes(0.0).diffusivity) == 0


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree(name):
    """Below, inside and above the range: reverse = forward = central difference."""
    low, high = KNOWN[name].law.concentration_range
    c, T = jnp.asarray([0.4 * low, 0.93 * high, 1.04 * high]), jnp.asarray(298.15)

    def total(c, T):
        electrolyte = eqx.tree_at(lambda e: e.temperature, known(name), T)
        found = electrolyte.properties(c)
        return sum(jnp.log(getattr(found, field)) for field in FIELDS)

    @jax.jit
    def values_and_slopes(c):
        step = 1e-4 * c
        ends = total(c + step, T), total(c - step, T)
        warmer, colder = total(c, T + 1e-3), total(c, T - 1e-3)
        central = ((ends[0] - ends[1]) / (2 * step), (warmer - colder) / 2e-3)
        reverse = jax.grad(total, (0, 1))(c, T)
        return reverse, jax.jacfwd(total, (0, 1))(c, T), central

    reverse, forward, central = jax.vmap(values_and_slopes)(c)
    np.testing.assert_allclose(reverse, forward, rtol=1e-11, atol=1e-18)
    np.testing.assert_allclose(reverse[0], central[0], rtol=1e-5, atol=1e-11)
    np.testing.assert_allclose(reverse[1], central[1], rtol=1e-6, atol=1e-11)


def test_constant_properties_in_the_shape_of_c():
    salt = dj.BinaryElectrolyte(1000.0, 3e-10, 0.38, conductivity=1.0)
    found = salt.properties(jnp.full((2, 3, 4), 7.0))
    assert found.conductivity.shape == (2, 3, 4)
    assert float(found.diffusivity[1, 2, 3]) == 3e-10
    with pytest.raises(ValueError, match=r"conductivity.*Give conductivity=10"):
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.38).properties(1.0)


@pytest.mark.parametrize("charge", [1, 2, (2, -1), (1, -2)])
def test_ideal_dilute_is_from_ions(charge):
    law = dj.IdealDilute(0.7e-9, 1.1e-9, charge)
    made = dj.ConcentratedElectrolyte(law, 300.0, 310.0).at(20.0)
    ions = dj.BinaryElectrolyte.from_ions(20.0, 0.7e-9, 1.1e-9, charge, 310.0)
    assert eqx.tree_equal(made, ions, rtol=1e-14)

    def conductivity(law):
        return dj.ConcentratedElectrolyte(law, 300.0).properties(40.0).conductivity

    slope = jax.grad(conductivity)(law)  # the diffusivities of a law are leaves
    again = slope.cation_diffusivity * 0.7e-9 + slope.anion_diffusivity * 1.1e-9
    np.testing.assert_allclose(again, conductivity(law), rtol=1e-12)


def test_any_function_is_a_law():
    def law(c, T):
        return dj.Properties.like(c, 3e-10 * T / 300, 1e-3 * c, 0.4)

    electrolyte = dj.ConcentratedElectrolyte(law, 1.0 * M, 330.0, 1, name="mine")
    np.testing.assert_allclose(
        electrolyte.properties(jnp.ones(3)).diffusivity, 3.3e-10, rtol=1e-14
    )
    assert all(eqx.is_array(leaf) for leaf in jax.tree.leaves(electrolyte))
    assert float(electrolyte.properties(-5.0).conductivity) == 0
    fitted = dj.FittedLaw(law, (10.0, 2000.0), charge=2)
    assert dj.ConcentratedElectrolyte(fitted, 1.0 * M).charge == (2, -2)


def test_another_concentration_or_temperature_does_not_recompile():
    count = 0

    @eqx.filter_jit
    def conductivity(electrolyte, c):
        nonlocal count
        count += 1
        return electrolyte.properties(c).conductivity

    for c, T in ((500.0, 290.0), (900.0, 300.0)):
        conductivity(known("lipf6_ec_emc", c, T), jnp.ones(3))
    assert count == 1


def test_construction_within_transformations():
    def slope(T):
        electrolyte = dj.ConcentratedElectrolyte(KNOWN["cuso4_water"], 500.0, T)
        return electrolyte.properties(jnp.asarray(400.0)).diffusivity

    T = jnp.asarray(300.0)
    np.testing.assert_allclose(jax.jit(slope)(T), slope(T), rtol=1e-14)
    relative = jax.grad(slope)(T) / slope(T)
    np.testing.assert_allclose(relative, 16e3 / R / 300**2, rtol=1e-10)
    inside = jax.jit(lambda c: known("lipf6_ec_emc").properties(c).diffusivity)
    assert float(inside(jnp.asarray(500.0))) > 0


def test_float32_stays_float32():
    for law in (KNOWN["lipf6_ec_emc"], dj.IdealDilute(1e-9, 2e-9), table()):
        c, T = jnp.float32(1000), jnp.float32(300)
        found = dj.ConcentratedElectrolyte(law, c, T).properties(jnp.ones(3, c.dtype))
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {c.dtype}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: known("lipf6_ec_emc", 1.0), "concentration of lipf6_ec_emc: expected"),
        (lambda: known("lipf6_ec_emc", T=25), r"temperature of lipf6.*celsius\(25\)"),
        (lambda: known("lipf6_ec_emc").at(9 * M), "concentration of lipf6_ec_emc"),
        (lambda: known("lipf6_ec_emc").at(1 * M, 400.0), "temperature of lipf6_ec_emc"),
        (
            lambda: dj.ConcentratedElectrolyte("lipf6", 1.0 * M),
            r"law: expected a callable .*got str 'lipf6'",
        ),
        (
            lambda: dj.ConcentratedElectrolyte(lambda c, T: c, 1.0 * M),
            "charge: expected the charge of the ions, which this law does not tell",
        ),
        (
            lambda: dj.ConcentratedElectrolyte(lambda c, T: c, 1.0 * M, charge=1),
            r"law: expected Properties of \(c, T\), got a .*Properties\.like",
        ),
        (
            lambda: dj.ConcentratedElectrolyte(KNOWN["znso4_water"], 1.0 * M, charge=1),
            r"charge: expected \(2, -2\), as the law has it",
        ),
        (
            lambda: dj.ConcentratedElectrolyte(KNOWN["znso4_water"], [1.0 * M]),
            "concentration: expected one number",
        ),
        (
            lambda: dj.ConcentratedElectrolyte(
                lambda c, T: dj.Properties.like(c, 1e-9 - 1e-12 * c, 1e-3 * c, 0.4),
                800.0,
                charge=1,
            ),
            r"law: diffusivity: .*got -4e-11 at c = 1040 .*Give a FittedLaw",
        ),
        (
            lambda: dj.ConcentratedElectrolyte(
                lambda c, T: dj.Properties(c, c, c, T), 800.0, charge=1
            ),
            "law: diffusivity: expected within",
        ),
        (
            lambda: dj.FittedLaw(lambda c, T: c, (2000.0, 10.0)),
            "concentration_range: expected two numbers 0 < low < high in mol",
        ),
        (
            lambda: dj.FittedLaw(lambda c, T: c, 2000.0),  # type: ignore
            "concentration_range: expected two numbers",
        ),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_cells_take_either_and_the_limiting_current_says_what_it_needs():
    electrolyte = known("lipf6_ec_emc", 1.0 * M)
    cell = dj.Cell(dj.foil((1, 1, 8), 1e-5), electrolyte, metal=dj.metals.lithium)
    assert cell.electrolyte is electrolyte
    with pytest.raises(ValueError, match=r"constant properties.*electrolyte\.at\(c\)"):
        dj.limiting_current(cell)
    with pytest.raises(ValueError, match="metal"):
        cell.replace(electrolyte=known("znso4_water"))
    with pytest.raises(ValueError, match="expected a BinaryElectrolyte, Concentrated"):
        dj.Cell(cell.scaffold, KNOWN["lipf6_ec_emc"])  # type: ignore


# Saving


@pytest.mark.parametrize("name", ["lipf6_pc_ec_dmc_valoen2005", "znso4_water"])
def test_a_cell_comes_back_from_a_file(tmp_path, name):
    check_round_trip(tmp_path, known(name))


def test_ideal_dilute_and_tables_come_back_from_a_file(tmp_path):
    check_round_trip(
        tmp_path, dj.ConcentratedElectrolyte(dj.IdealDilute(1e-9, 2e-9, (2, -1)), 10.0)
    )
    check_round_trip(tmp_path, dj.electrolytes.from_pybamm(NYMAN))


def check_round_trip(tmp_path, electrolyte):
    from depojax.io.state import decode, encode

    data, arrays = encode(electrolyte)
    back = decode(json.loads(json.dumps(data)), arrays.__getitem__)
    assert eqx.tree_equal(back, electrolyte)
    c = jnp.asarray([0.0, 3.0, 800.0])
    assert eqx.tree_equal(back.properties(c), electrolyte.properties(c))


def test_a_law_of_ones_own_is_not_saved():
    from depojax.io.state import encode

    law = dj.FittedLaw(lambda c, T: dj.Properties.like(c, 1e-9, 1.0, 0.4), (1.0, 1e4))
    for own in (law, law.fit.function):
        electrolyte = dj.ConcentratedElectrolyte(own, 1.0 * M, charge=1)
        with pytest.raises(
            ValueError, match=r"got a FunctionLaw.*electrolyte\.at\(c\)"
        ):
            encode(electrolyte)


# The command line


def cell_file(tmp_path, electrolyte):
    path = tmp_path / "cell.toml"
    path.write_text(f"[scaffold]\n[electrolyte]\n{electrolyte}\n[sand]\n")
    return read_cell_file(path)


def test_cell_file(tmp_path):
    text = 'name = "cuso4_water"\nconcentration = "0.5 M"\ntemperature = 300\n'
    assert isinstance(
        build_electrolyte(cell_file(tmp_path, text)), dj.BinaryElectrolyte
    )
    made = build_electrolyte(cell_file(tmp_path, text + "concentrated = true"))
    assert eqx.tree_equal(made, known("cuso4_water", 500.0, 300.0))
    text = (
        'name = "mine"\nconcentration = 10\ncharge = [2, -1]\nconcentrated = true\n'
        "cation_diffusivity = 1e-9\nanion_diffusivity = 2e-9"
    )
    made = build_electrolyte(cell_file(tmp_path, text))
    law = dj.IdealDilute(1e-9, 2e-9, (2, -1))
    assert eqx.tree_equal(made, dj.ConcentratedElectrolyte(law, 10.0, name="mine"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('concentrated = "yes"', "concentrated: expected true or false, got 'yes'"),
        ("concentratd = true", "concentratd: no argument.*Did you mean 'concentrated'"),
    ],
)
def test_cell_file_refusals(tmp_path, text, words):
    named = f'name = "cuso4_water"\nconcentration = "0.5 M"\n{text}'
    with pytest.raises(InputError, match=words):
        build_electrolyte(cell_file(tmp_path, named))


def test_cell_file_cannot_make_a_law_of_numbers(tmp_path):
    text = "concentration = 10\ndiffusivity = 1e-9\ntransference_number = 0.4\n"
    with pytest.raises(InputError, match="concentrated: these properties are numbers"):
        build_electrolyte(cell_file(tmp_path, text + "concentrated = true"))


# PyBaMM


def arrhenius(T):
    return np.exp(17000 / R * (1 / 298.15 - 1 / T))


NYMAN = {
    "Electrolyte diffusivity [m2.s-1]": lambda c, T: (
        (8.794e-11 * (c / 1000) ** 2 - 3.972e-10 * (c / 1000) + 4.862e-10)
        * arrhenius(T)
    ),
    "Electrolyte conductivity [S.m-1]": lambda c, T: (
        (0.1297 * (c / 1000) ** 3 - 2.51 * (c / 1000) ** 1.5 + 3.329 * (c / 1000))
        * arrhenius(T)
    ),
    "Cation transference number": 0.2594,
    "Thermodynamic factor": 1.0,
    "Initial concentration in electrolyte [mol.m-3]": 1000.0,
    "Initial temperature [K]": 298.15,
    "Number of cells": lambda: "other things are left alone",
}


def table():
    return dj.electrolytes.from_pybamm(NYMAN).law


@pytest.mark.parametrize("T", [280.0, 298.15, 317.0])
def test_pybamm_functions_on_a_table(T):
    electrolyte = dj.electrolytes.from_pybamm(NYMAN, temperature=T, name="Chen2020")
    assert electrolyte.name == "Chen2020"
    assert electrolyte.charge == (1, -1)
    c = np.geomspace(10.0, 3000.0, 97)
    found = electrolyte.properties(c)
    D, kappa = (NYMAN[key](c, T) for key in list(NYMAN)[:2])
    np.testing.assert_allclose(found.diffusivity, D, rtol=1e-7)
    np.testing.assert_allclose(found.conductivity, kappa, rtol=1e-7)
    np.testing.assert_allclose(found.transference_number, 0.2594, rtol=1e-14)
    np.testing.assert_allclose(found.thermodynamic_factor, 1.0, rtol=1e-14)
    other = electrolyte.at(500.0, T + 7)
    np.testing.assert_allclose(
        other.diffusivity, NYMAN["Electrolyte diffusivity [m2.s-1]"](500.0, T + 7), 1e-7
    )


class Symbol:
    """What pybamm.exp(...) and the like return, as far as a reader sees it."""

    def __init__(self, value):
        self.value = value

    def __mul__(self, other):
        return Symbol(self.value * other)

    def evaluate(self):
        return np.reshape(self.value, (-1, 1))


class ParameterValues:
    """As pybamm.ParameterValues: no dict, and symbols have to be processed."""

    def __init__(self, known):
        self.known = known

    def items(self):
        return self.known.items()

    def process_symbol(self, symbol):
        return symbol * 2


def test_pybamm_symbols_and_functions_of_one_number():
    def one_by_one(c, T):
        return Symbol(0.5e-3 * c if c > 1 else math.nan)

    known = NYMAN | {
        "Electrolyte diffusivity [m2.s-1]": lambda c, T: Symbol(1e-10 + 1e-14 * c),
        "Electrolyte conductivity [S.m-1]": one_by_one,
    }
    found = dj.electrolytes.from_pybamm(ParameterValues(known)).properties(500.0)
    np.testing.assert_allclose(found.diffusivity, 2.1e-10, rtol=1e-9)
    np.testing.assert_allclose(found.conductivity, 0.5, rtol=1e-12)


# As PyBaMM 26.10 evaluates its sets ORegan2022 and Ai2020: D, κ, t₊, χ at c and T. (χ
# of Ai2020 has another reference temperature; at 285 K t₊ is small, χ left out.)
LANDESFEIND, VALOEN = "lipf6_ec_emc_landesfeind2019", "lipf6_pc_ec_dmc_valoen2005"
AS_PYBAMM_HAS_IT = {
    (LANDESFEIND, 100.0, 310.0): (
        (6.229840752807959e-10, 0.301362959022264, 0.4389295, 0.691193)
    ),
    (LANDESFEIND, 1777.0, 285.0): (
        (1.2242197227259024e-10, 0.5000199676135335, -0.05817040322249856)
    ),
    (LANDESFEIND, 2900.0, 298.15): (
        (8.847612547913594e-11, 0.3051357490643276, 0.133752722597, 6.4586234765)
    ),
    (VALOEN, 100.0, 310.0): (7.536896416616513e-10, 0.30666269700539545, 0.38),
    (VALOEN, 1777.0, 285.0): (1.07876834663831e-10, 0.6503367379801285, 0.38),
    (VALOEN, 2900.0, 298.15): (8.788077335598833e-11, 0.33445044231303345, 0.38),
}


@pytest.mark.parametrize("at", AS_PYBAMM_HAS_IT, ids=str)
def test_known_solutions_are_those_of_pybamm(at):
    name, c, T = at
    made = KNOWN[name](c, T)
    for field, value in zip(FIELDS, AS_PYBAMM_HAS_IT[at], strict=False):
        np.testing.assert_allclose(getattr(made, field), value, rtol=1e-10)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"Electrolyte conductivity [S.m-1]": lambda c, T: 1.0 - c / 1000},
            r"Electrolyte conductivity .*expected positive .*narrower",
        ),
        (
            {"Electrolyte diffusivity [m2.s-1]": "Nyman"},
            r"Electrolyte diffusivity .*'Nyman'.* It says: ValueError",
        ),
        (
            {"Electrolyte diffusivity [m2.s-1]": lambda c: 1e-10},
            r"expected a number or a function of \(c, T\).*It says: TypeError",
        ),
        (
            {"Cation transference number": 1.2},
            r"law: transference_number: expected within",
        ),
    ],
)
def test_pybamm_refusals(changes, words):
    with pytest.raises(ValueError, match=words):
        dj.electrolytes.from_pybamm(NYMAN | changes)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("Thermodynamic factor", r'Add "Thermodynamic factor": 1\.0'),
        ("Electrolyte diffusivity [m2.s-1]", "Known: .*Electrolyte conductivity"),
        (
            "Initial concentration in electrolyte [mol.m-3]",
            r"Or give concentration=1\.0 \* M",
        ),
    ],
)
def test_pybamm_keys_are_asked_for(key, words):
    known = {k: value for k, value in NYMAN.items() if k != key}
    with pytest.raises(ValueError, match=words):
        dj.electrolytes.from_pybamm(known)


def test_pybamm_needs_a_dict():
    with pytest.raises(
        ValueError, match=r"a pybamm\.ParameterValues or a dict, got str"
    ):
        dj.electrolytes.from_pybamm("Chen2020")


# Tables


def test_table_goes_through_its_points_and_never_overshoots():
    roots = jnp.linspace(1.0, 9.0, 9)
    steps = jnp.asarray([0.2, 0.2, 0.2, 0.6, 0.6, 0.6, 0.3, 0.3, 0.5])
    values = jnp.broadcast_to(steps, (4, 1, 9))
    fit = PropertyTable(roots, jnp.asarray([1 / 300]), values)
    T = jnp.asarray(300.0)
    np.testing.assert_allclose(fit(roots**2, T).transference_number, steps, rtol=1e-14)
    between = fit(jnp.linspace(1.0, 9.0, 801) ** 2, T).transference_number
    assert float(between.min()) >= 0.2 - 1e-15
    assert float(between.max()) <= 0.6 + 1e-15


def test_table_converges():
    def error(n):
        known = np.linspace(2.0, 30.0, n)
        values = np.broadcast_to(np.cos(known / 9), (4, 1, n))
        fit = PropertyTable(
            jnp.asarray(known), jnp.asarray([1 / 300]), jnp.asarray(values)
        )
        x = np.linspace(5.0, 25.0, 401)  # monotone, and away from the ends
        return np.abs(
            fit(jnp.asarray(x**2), jnp.asarray(300.0)).diffusivity
            / np.exp(np.cos(x / 9))
            - 1
        ).max()

    assert math.log2(error(40) / error(79)) > 3.8


# BPX


def bpx():
    """A file as BPX 1 has it, of made-up numbers."""
    return {
        "Header": {"BPX": "1.1.0", "Title": "A cell", "References": "none"},
        "Parameterisation": {
            "Cell": {"Reference temperature [K]": 300.0},
            "Electrolyte": {
                "Cation transference number": 0.26,
                "Diffusivity [m2.s-1]": "8.794e-17*x**2 - 3.972e-13 * x + 4.862e-10",
                "Diffusivity activation energy [J.mol-1]": 17100,
                "Conductivity [S.m-1]": {
                    "x": [0, 250, 500, 1000, 1500, 2000],
                    "y": [0.0, 0.5, 0.75, 0.95, 0.9, 0.7],
                },
            },
        },
        "State": {
            "Initial conditions": {
                "Initial temperature [K]": 310.0,
                "Initial electrolyte concentration [mol.m-3]": 900.0,
            }
        },
    }


def test_bpx(tmp_path):
    path = tmp_path / "cell.json"
    path.write_text(json.dumps(bpx()))
    electrolyte = dj.electrolytes.from_bpx(path)
    assert (electrolyte.name, electrolyte.reference) == ("A cell", "none")
    assert float(electrolyte.concentration) == 900.0
    assert float(electrolyte.temperature) == 310.0
    c = np.asarray([250.0, 500.0, 1000.0, 1500.0])
    found = electrolyte.properties(c)
    D = 8.794e-17 * c**2 - 3.972e-13 * c + 4.862e-10
    D *= math.exp(17100 / R * (1 / 300 - 1 / 310))
    np.testing.assert_allclose(found.diffusivity, D, rtol=1e-7)
    np.testing.assert_allclose(found.conductivity, [0.5, 0.75, 0.95, 0.9], rtol=1e-3)
    np.testing.assert_allclose(found.transference_number, 0.26, rtol=1e-14)
    np.testing.assert_allclose(found.thermodynamic_factor, 1.0, rtol=1e-14)
    assert electrolyte.law.concentration_range[1] < 2000
    assert eqx.tree_equal(dj.electrolytes.from_bpx(bpx()), electrolyte)


def test_bpx_of_the_older_kind():
    file = bpx()
    del file["State"]
    with pytest.raises(ValueError, match=r"initial concentration.*concentration=1\.0"):
        dj.electrolytes.from_bpx(file)
    file["Parameterisation"]["Electrolyte"]["Initial concentration [mol.m-3]"] = 1200
    electrolyte = dj.electrolytes.from_bpx(file, thermodynamic_factor=lambda c, T: 2.0)
    assert float(electrolyte.concentration) == 1200.0
    assert float(electrolyte.temperature) == 300.0
    np.testing.assert_allclose(electrolyte.properties(1.0).thermodynamic_factor, 2.0)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("Diffusivity [m2.s-1]", "x.__class__", "'x.__class__'"),
        ("Diffusivity [m2.s-1]", "open(x)", r"'open\(x\)' in .*Known: abs, atan, cos"),
        ("Diffusivity [m2.s-1]", "y + 1", "'y' in 'y \\+ 1'"),
        ("Diffusivity [m2.s-1]", "1 +", "expected arithmetic in x"),
        ("Diffusivity [m2.s-1]", [1, 2], "a number, an expression in x, or a table"),
        ("Diffusivity [m2.s-1]", "9**9**9**9", "positive numbers in all of the range"),
        (
            "Conductivity [S.m-1]",
            None,
            "Conductivity .*expected a number, an expression",
        ),
    ],
)
def test_bpx_refusals(key, value, words):
    file = bpx()
    file["Parameterisation"]["Electrolyte"][key] = value
    with pytest.raises(ValueError, match=words):
        dj.electrolytes.from_bpx(file)


def test_what_is_no_bpx(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for source in (tmp_path / "broken.json", tmp_path / "absent.json"):
        with pytest.raises(ValueError, match="BPX: expected a JSON file"):
            dj.electrolytes.from_bpx(source)
    with pytest.raises(ValueError, match='"Parameterisation" with an "Electrolyte"'):
        dj.electrolytes.from_bpx({"Header": {}})
    file = bpx()
    electrolyte = file["Parameterisation"]["Electrolyte"]
    electrolyte["Difusivity [m2.s-1]"] = electrolyte.pop("Diffusivity [m2.s-1]")
    with pytest.raises(ValueError, match=r"Did you mean 'Difusivity \[m2\.s-1\]'"):
        dj.electrolytes.from_bpx(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + x", 3.0),
        ("-x**2", -4.0),
        ("2**3**x", 512.0),
        ("1.9793 * exp(-0.5 * x)", 1.9793 * math.exp(-1)),
        ("tanh(x) + cosh(x) / sinh(x)", math.tanh(2) + 1 / math.tanh(2)),
        ("sqrt(x) * log(x) - log10(x)", 2**0.5 * math.log(2) - math.log10(2)),
        ("abs(-x) + sin(x) * cos(x) / tan(x)", 2 + math.cos(2) ** 2),
        (" (x - 1e0) ", 1.0),
        ("5", 5.0),
    ],
)
def test_expressions(text, value):
    assert float(expression(text)(2.0)) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text",
    [
        "x if x else 1",
        "[x]",
        "x < 1",
        "lambda: x",
        "'x'",
        "True",
        "exp(x, x)",
        "exp",
        "exp(x=1)",
        "x @ x",
        "x and x",
        "__import__('os')",
        "(x := 1)",
        "x[0]",
        "1j",
        "",
    ],
)
def test_no_code_is_an_expression(text):
    with pytest.raises(ValueError, match="expression: expected"):
        expression(text)
