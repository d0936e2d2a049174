"""The closed form of a flat electrode: 15-digit references, limits, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import lithium_salt

from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.problems.planar import planar_limiting_current, planar_sand_time

GAP = 93.37290205481615  # limiting current of 1 mm between metals [A m⁻²]
# J, gap, far side, τ, dlnτ by (D, c₀, J, L, t₊)
CASES = {
    "half-infinite": (
        100.0, None, "metal", 570.62441458805, (1, 2, -2, 0, 1.2258064516129)
    ),
    "gap 1.05": (
        98.04154715755695, 1e-3, "metal", 957.31773788467,
        (6.0559076762012, 7.0559076762012, -7.0559076762012,
         -5.0559076762012, 4.3245885757362),
    ),
    "gap 1.2": (
        112.04748246577935, 1e-3, "metal", 534.21310180414,
        (2.1610636139893, 3.1610636139893, -3.1610636139893,
         -1.1610636139893, 1.9374260859935),
    ),
    "gap 1.5": (
        140.05935308222422, 1e-3, "metal", 300.14200902399,
        (1.2488828638111, 2.2488828638111, -2.2488828638111,
         -0.24888286381111, 1.3783475616907),
    ),
    "gap 2": (
        186.7458041096323, 1e-3, "metal", 163.94228293642,
        (1.0231513814624, 2.0231513814624, -2.0231513814624,
         -0.023151381462399, 1.2399960079931),
    ),
    "gap 5": (
        466.86451027408066, 1e-3, "metal", 26.179938779915,
        (1.0, 2.0, -2.0, 0.0, 1.2258064516129),
    ),
    "reservoir": (
        303.46193167815244, 2e-4, "reservoir", 67.889172090967,
        (1.6531423633899, 2.6531423633899, -2.6531423633899,
         -0.65314236338985, 1.6261195130454),
    ),
    "blocked": (
        300.0, 1e-4, "blocked", 40.76276208493,
        (0.27256439705489, 1.2725643970549, -1.2725643970549,
         0.72743560294511, 0.77995882400139),
    ),
}  # fmt: skip


def log_time(logs, far_side, has_gap):
    """ln τ of the logarithms of (D, c₀, J, L, t₊)."""
    D, c0, J, L, t_plus = jnp.exp(logs)
    salt = BinaryElectrolyte(c0, D, t_plus)
    gap = L if has_gap else None
    return jnp.log(planar_sand_time(salt, J, gap=gap, counter_electrode=far_side))


@pytest.mark.parametrize("case", CASES)
def test_time_and_derivatives(case):
    J, gap, far_side, tau, slopes = CASES[case]
    logs = jnp.log(jnp.asarray([3e-10, 1000.0, J, gap or 1.0, 0.38]))
    static = (far_side, gap is not None)
    value, reverse = jax.value_and_grad(log_time)(logs, *static)
    np.testing.assert_allclose(jnp.exp(value), tau, rtol=1e-8)
    np.testing.assert_allclose(reverse, slopes, rtol=1e-7, atol=1e-7)
    forward = jax.jacfwd(log_time)(logs, *static)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-10)


def test_zinc_carries_two_charges():
    salt = BinaryElectrolyte(1000.0, 7e-10, 0.4, charge=2)
    np.testing.assert_allclose(
        planar_sand_time(salt, 500.0), 227.47202589237, rtol=1e-9
    )


def test_unequal_charges_count_by_salt():
    """ZnCl₂: two electrons per salt as in ZnSO₄, only the current's share matters."""
    two_two = BinaryElectrolyte(1000.0, 7e-10, 0.4, charge=2)
    two_one = BinaryElectrolyte(1000.0, 7e-10, 0.4, charge=(2, -1))
    one_two = BinaryElectrolyte(1000.0, 7e-10, 0.4, charge=(1, -2))
    times = [planar_sand_time(salt, 500.0) for salt in (two_two, two_one, one_two)]
    np.testing.assert_allclose(times, [times[0]] * 3, rtol=1e-14)


@pytest.mark.parametrize(
    ("J", "gap", "far_side"),
    [
        (0.8 * GAP, 1e-3, "metal"),
        (20.0, 25e-6, "metal"),
        (0.4999 * GAP, 1e-3, "reservoir"),
        (0.999 * 233.43225513704036, 2e-4, "reservoir"),
    ],
)
def test_never_at_or_below_the_limit(J, gap, far_side):
    def time(J, gap):
        return planar_sand_time(lithium_salt(), J, gap=gap, counter_electrode=far_side)

    assert jnp.isinf(time(J, gap))
    slopes = jax.grad(time, argnums=(0, 1))(J, gap)
    np.testing.assert_array_equal(slopes, (0.0, 0.0))


def test_at_the_limit_itself():
    salt = lithium_salt()
    J = planar_limiting_current(salt, 1e-3)
    np.testing.assert_allclose(J, GAP, rtol=1e-9)
    assert not jnp.isfinite(planar_sand_time(salt, J * (1 - 1e-12), gap=1e-3))
    just_above = planar_sand_time(salt, J * (1 + 1e-9), gap=1e-3)
    assert jnp.isfinite(just_above)
    # the last mode alone: 1 − 8/π² e^(−π² T) = 1/(1 + 1e-9), T = D τ/L²
    T = np.log(8 / np.pi**2 * 1e9) / np.pi**2
    np.testing.assert_allclose(just_above, T * 1e-6 / 3e-10, rtol=1e-6)


@pytest.mark.parametrize(
    ("far_side", "share"), [("metal", 2.0), ("reservoir", 1.0), ("blocked", 0.0)]
)
def test_limiting_current(far_side, share):
    found = planar_limiting_current(lithium_salt(), 1e-3, far_side)
    np.testing.assert_allclose(found, share * GAP / 2, rtol=1e-9)


def test_long_and_short_gaps_meet_their_limits():
    salt = lithium_salt()
    wide = planar_sand_time(salt, 100.0, gap=0.1)
    np.testing.assert_allclose(wide, planar_sand_time(salt, 100.0), rtol=1e-12)
    # a blocked sliver is empty when all salt is plated, less the parabola's third
    thin = planar_sand_time(salt, 100.0, gap=1e-6, counter_electrode="blocked")
    fall = 0.62 * 100 / 96485.33212 / (3e-10 * 1000)
    np.testing.assert_allclose(thin, (1 / (fall * 1e-6) - 1 / 3) * 1e-12 / 3e-10)


def test_monotone_through_the_change_of_series():
    salt = lithium_salt()
    J = np.geomspace(1.001, 5, 200) * GAP
    times = jax.vmap(lambda J: planar_sand_time(salt, J, gap=1e-3))(J)
    assert np.all(np.diff(times) < 0)
    assert np.all(np.diff(np.log(times), 2) > -1e-9)  # no kink where the series change


def test_single_precision():
    salt = BinaryElectrolyte(*(jnp.float32(v) for v in (1000.0, 3e-10, 0.38)))
    for J, gap, far_side, tau, _ in CASES.values():
        found = planar_sand_time(
            salt,
            jnp.float32(J),
            gap=None if gap is None else jnp.float32(gap),
            counter_electrode=far_side,
        )
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, tau, rtol=5e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"electrolyte": "LiPF6"},
            "electrolyte: expected a BinaryElectrolyte, got str",
        ),
        (
            {"current_density": 0.0},
            "current_density: expected a positive number in A m",
        ),
        ({"current_density": -5.0}, "current_density: expected a positive number"),
        ({"current_density": jnp.nan}, "current_density: expected finite numbers"),
        ({"current_density": 1e9}, r"20 \* mA / cm\*\*2"),
        ({"gap": 0.0}, "gap: expected a positive number in m"),
        ({"gap": 25.0}, r"write it with its unit, as 25 \* um"),
        ({"counter_electrode": "resevoir"}, "Did you mean 'reservoir'"),
    ],
)
def test_refusals(changes, words):
    arguments = {
        "electrolyte": lithium_salt(), "current_density": 100.0, "gap": 1e-3
    } | changes  # fmt: skip
    with pytest.raises(ValueError, match=words):
        planar_sand_time(**arguments)
