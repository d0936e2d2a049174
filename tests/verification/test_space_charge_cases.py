"""Steady space charge in a gap: the cases r04 (P4, P5) and r04b, and their limits.

Lengths in L, concentrations in c₀, potentials in RT/F, currents in F D c₀/L, and the
Debye length ε. The numbers are those of collocation of order ten on two meshes.
Rubinstein & Shtilman 1979, doi:10.1039/F29797500231; Smyrl & Newman, Trans. Faraday
Soc. 63 (1967) 207, doi:10.1039/TF9676300207; Chazalviel 1990,
doi:10.1103/PhysRevA.42.7355.
"""

import math

import numpy as np
import pytest

import depojax as dj
from tests.helpers import observed_orders
from tests.ion_columns import (
    C0,
    UNIT,
    VT,
    L,
    centers,
    growing_widths,
    ion_column,
    line,
    salt,
)

# ε: {V: j}, P4
CURRENTS = {
    1e-2: {
        1: 0.791421272434175,
        5: 1.9233477287719116,
        10: 2.2684415529246182,
        20: 2.6908828625238352,
        40: 3.4732000437730526,
    },
    1e-3: {
        1: 0.7873858269010338,
        5: 1.8449084491661778,
        10: 2.0235413987512216,
        20: 2.110623761692279,
        40: 2.2239761443909836,
    },
}
# (ε, V): field at the wall, least c₊, where it is; P4
LAYERS = {
    (1e-2, 5): (96.44583894271277, 0.14172303200167402, 0.07343582486491816),
    (1e-2, 40): (157.27404842284878, 0.030695369630567515, 0.06448355443941953),
    (1e-3, 10): (1011.7251723854373, 0.019302818660902943, 0.01944432340620297),
    (1e-3, 40): (1106.3351136374229, 0.005135427323866747, 0.018695061242565807),
}
# (ε, V): φ − φ(0) at 0.02, 0.1 and 0.5; P4
POTENTIALS = {
    (1e-2, 40): (2.6671092227955597, 11.79074208958203, 37.921064355585095),
    (1e-3, 40): (10.104199927024993, 34.29004414776277, 39.18807425581957),
}
# (ε, V): largest charge beyond the double layer, and where; P4
BUMPS = {
    (1e-2, 20): (0.05482940587375686, 0.23968629400275632),
    (1e-2, 40): (0.06499836528598232, 0.40841733089737614),
    (1e-3, 40): (0.010403263176121542, 0.09681044784122884),
}
# V: j, c₋ in the middle, φ − φ(0) at 0.1, 0.5 and 0.9; P5
BETWEEN_METALS = {
    1: (
        0.9805838690692659,
        0.9998343903759732,
        (0.34242260594408647, 0.5607663312363469, 0.739874533491007),
    ),
    4: (
        3.0937427512312543,
        0.9978823884037676,
        (1.8817764528451697, 2.8500130919723325, 3.3324887742849256),
    ),
    10: (
        4.347234099739077,
        0.9914438158812451,
        (6.392164166021182, 8.521821796905195, 9.151493156913137),
    ),
    20: (
        5.126864668942374,
        0.9737845322346653,
        (12.966355884140057, 18.338940481961064, 19.058264635354377),
    ),
    40: (
        6.354306348303638,
        0.9201842201675874,
        (20.70359061344791, 38.06768586218657, 38.93530226637668),
    ),
}
# ε: V at j = 1, 2 and 2.2; r04b
VOLTAGES = {
    1e-2: (1.3701011249295474, 5.755142562651932, 8.675098265158898),
    3e-3: (1.3813583179494462, 7.217123556206305, 16.19049301159997),
    1e-3: (1.3846413669728594, 8.594000023280614, 35.349991900608494),
    3e-4: (1.3857976530393865, 10.134295272810274, 99.79379071697713),
    1e-4: (1.3861287144082386, 11.559142604500806, 281.58408000682743),
}
# At j = 2, between these ε; r04b
SLOPES = {
    "least": (0.63375644, 0.64477615, 0.65195598, 0.65673182),
    "place": (0.60461988, 0.62922867, 0.63318748, 0.65003980),
    "field": (-0.63597578, -0.64937869, -0.64262890, -0.65821145),
}
MOST = 10  # Newton steps


def gap(eps, first=0.1, parts=1):
    """P4: a cation-selective wall before a bath; `first` cell in Debye lengths."""
    widths = growing_widths(first * eps, parts=parts)
    return ion_column(L * widths, salt(eps))


def answer(cell, **drive):
    solution = dj.space_charge(cell, **drive)
    assert int(solution.most_newton_steps) <= MOST
    return solution


@pytest.fixture(scope="module")
def curves():
    """(ε, V): solution."""
    return {
        (eps, V): answer(gap(eps), voltage=-V * VT)
        for eps, currents in CURRENTS.items()
        for V in currents
    }


def current(solution):
    return float(solution.current_density) / UNIT


def rise(solution, at):
    """φ − φ(0) [RT/F] at some places [L]."""
    phi = line(solution.potential - solution.voltage) / VT
    x = np.concatenate([[0.0], centers(solution.cell) / L])
    return np.interp(at, x, np.concatenate([[0.0], phi]))


def peak(x, y):
    """Value and place of the parabola through the largest y and its neighbours."""
    i = int(np.argmax(y))
    parabola = np.polynomial.Polynomial.fit(x[i - 1 : i + 2], y[i - 1 : i + 2], 2)
    at = float(parabola.deriv().roots()[0].real)
    return float(parabola(at)), at


def least_cations(solution):
    """c₊ where it is least, and where that is."""
    x, c = centers(solution.cell) / L, line(solution.ion_concentration[0]) / C0
    value, at = peak(np.log(x), -np.log(c))
    return math.exp(-value), math.exp(at)


def test_currents_before_a_bath(curves):
    for (eps, V), solution in curves.items():
        assert current(solution) == pytest.approx(CURRENTS[eps][V], rel=4e-4)
        assert float(solution.voltage) == pytest.approx(-V * VT, rel=1e-12)


def test_layers_before_a_bath(curves):
    for key, (field, least, place) in LAYERS.items():
        solution = curves[key]
        own = -float(solution.collector_field[0, 0]) * L / VT
        assert own == pytest.approx(field, rel=2e-3)
        assert least_cations(solution) == pytest.approx((least, place), rel=3e-3)
    for key, known in POTENTIALS.items():
        own = rise(curves[key], (0.02, 0.1, 0.5))
        np.testing.assert_allclose(own, known, rtol=3e-3)


def test_charge_goes_out_into_the_gap(curves):
    for key, known in BUMPS.items():
        solution = curves[key]
        x = centers(solution.cell) / L
        charge = line(solution.charge_density) / (dj.units.FARADAY * C0)
        beyond = x > least_cations(solution)[1]
        own = peak(x[beyond], charge[beyond])
        assert own == pytest.approx(known, rel=5e-3)


def test_ions_carry_one_current(curves):
    # Gauss' law and no anions through: E (c₊ + c₋) − 2ε² E'' = j everywhere. In the
    # first integral, S = jx + ε²E² + A with S(1) = 2: one number from end to end.
    eps, V = 1e-2, 40
    solution = curves[eps, V]
    x = centers(solution.cell) / L
    c = line(solution.ion_concentration) / C0
    field = line(solution.electric_field)[2] * L / VT
    sums = c.sum(0) - current(solution) * x - (eps * field) ** 2
    inside = (x > 0.05) & (x < 0.999)
    np.testing.assert_allclose(sums[inside], sums[-1], atol=3e-3)


def test_layer_thickness_grows_beyond_the_limit(curves):
    eps = 1e-3
    thick = [float(curves[eps, V].layer_thickness) / L for V in (10, 20, 40)]
    # At j the neutral solution ends at 1 − 2/j (Rubinstein & Shtilman).
    ends = [1 - 2 / CURRENTS[eps][V] for V in (20, 40)]
    assert thick[0] < thick[1] < thick[2]
    np.testing.assert_allclose(thick[1:], ends, atol=2 * eps ** (2 / 3))


@pytest.mark.slow
def test_second_order_before_a_bath():
    eps, V = 1e-2, 10
    errors = []
    for parts in (1, 2, 4):
        widths = growing_widths(eps / 2.5, cells=50, parts=parts)
        solution = answer(ion_column(L * widths, salt(eps)), voltage=-V * VT)
        errors.append(current(solution) - CURRENTS[eps][V])
    assert np.all(observed_orders(errors) > 1.9)
    assert abs(errors[-1]) < 1e-4 * CURRENTS[eps][V]


def test_neutral_limit_is_reached_at_first_order():
    # Without space charge j = 2 (1 − e^{−V/2}).
    V, lengths = 1.0, (2e-2, 1e-2, 5e-3, 2.5e-3)
    limit = 2 * (1 - math.exp(-V / 2))
    cells = [gap(eps, first=0.05) for eps in lengths]
    excess = [current(answer(cell, voltage=-V * VT)) - limit for cell in cells]
    np.testing.assert_allclose(observed_orders(excess), 1.0, atol=0.02)


@pytest.fixture(scope="module")
def imposed():
    """(ε, j): solution."""
    return {
        (eps, j): answer(gap(eps, first=0.3), current_density=j * UNIT)
        for eps in VOLTAGES
        for j in (1.0, 2.0, 2.2)
        if (eps, j) != (1e-4, 2.2)  # where a voltage is the better drive
    }


def test_voltages_at_and_beyond_the_limit(imposed):
    for (eps, j), solution in imposed.items():
        known = VOLTAGES[eps][(1.0, 2.0, 2.2).index(j)]
        # Where a layer is thinner than 200 cells reach, less.
        rel = {1.0: 3e-5, 2.0: 1e-3, 2.2: 2.5e-3}[j] * max(1.0, 1e-3 / eps)
        assert -float(solution.voltage) / VT == pytest.approx(known, rel=rel)
    far = answer(gap(1e-4), voltage=-VOLTAGES[1e-4][2] * VT)
    assert current(far) == pytest.approx(2.2, rel=3e-3)


def test_scaling_at_the_limit(imposed):
    layers = [imposed[eps, 2.0] for eps in VOLTAGES]
    found = [least_cations(solution) for solution in layers]
    fields = [
        np.interp(at, centers(s.cell) / L, -line(s.electric_field)[2])
        for s, (_, at) in zip(layers, found, strict=True)
    ]
    least, place = zip(*found, strict=True)
    own = {"least": least, "place": place, "field": fields}
    for name, known in SLOPES.items():
        slopes = np.diff(np.log(own[name])) / np.diff(np.log(list(VOLTAGES)))
        np.testing.assert_allclose(slopes, known, atol=0.02)
        # Smyrl & Newman: 2/3, 2/3, −2/3.
        assert abs(abs(slopes[-1]) - 2 / 3) < 0.025


def test_voltage_of_the_space_charge(imposed):
    # V = 2/(3ε) √j (1 − 2/j)^{3/2} − ln ε + a constant, to leading orders.
    j, lengths = 2.2, np.array([1e-2, 3e-3, 1e-3])
    layer = 2 / (3 * lengths) * math.sqrt(j) * (1 - 2 / j) ** 1.5
    own = np.array([-float(imposed[eps, j].voltage) / VT for eps in lengths])
    rest = np.diff(own - layer) / -np.diff(np.log(lengths))
    np.testing.assert_allclose(rest, 1.0, atol=0.08)


@pytest.mark.slow
def test_between_two_metals():
    eps = 5e-3
    # More of the cells on the side of the cathode, whose layer goes out into the gap.
    ends = growing_widths(0.3 * eps, 140, 0.6), growing_widths(0.3 * eps, 60, 0.4)
    widths = np.concatenate([ends[0], ends[1][::-1]])
    cell = ion_column(L * widths, salt(eps), "metal")
    for V, (j, middle, potentials) in BETWEEN_METALS.items():
        solution = answer(cell, voltage=-V * VT)
        anions = line(solution.ion_concentration[1]) / C0
        assert current(solution) == pytest.approx(j, rel=1e-3)
        assert np.sum(anions * widths) == pytest.approx(1.0, rel=1e-10)
        x = centers(cell) / L
        assert np.interp(0.5, x, anions) == pytest.approx(middle, rel=1e-3)
        np.testing.assert_allclose(
            rise(solution, (0.1, 0.5, 0.9)), potentials, rtol=2e-3
        )
