"""Cases K1 to K3: interface kinetics against numbers computed with many digits.

The cases count anodic currents positive and give overpotentials with the film's drop in
them: what is called `drive` here.
"""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import brentq

import depojax as dj
from depojax.physics.interface import interface_current
from depojax.units import BOLTZMANN, FARADAY, GAS_CONSTANT, nm

T = 298.15
KT = GAS_CONSTANT * T / FARADAY  # of one charge [V]

# α_c, α_a, i₀ [A m-2], R_film [Ω m2], i [A m-2], drive [V], d drive/dln(i, i₀, R) [V],
# i at −0.12 V [A m-2]
K1 = [
    (0.5, 0.5, 20.0, 0.0005, 50.0, -0.078830732728376,
     (-0.065125067339594, 0.040125067339578, -0.025), 85.49327794155),
    (0.7, 0.3, 20.0, 0.0005, 50.0, -0.066698303636438,
     (-0.052164528419574, 0.027164528419564, -0.025), 109.31076713509),
    (1.5, 0.5, 30.0, 0.0, 200.0, -0.033776865216042,
     (-0.015519806013243, 0.015519806013241, 0.0), 33091.232750061),
]  # fmt: skip


@pytest.mark.parametrize(("ac", "aa", "i0", "R", "i", "drive", "slopes", "far"), K1)
def test_butler_volmer_behind_a_film(ac, aa, i0, R, i, drive, slopes, far):
    def current(drive, i0, R):
        law = dj.ButlerVolmer(i0, ac, aa)
        return interface_current(law, drive, 1000.0, T, resistance=R, depletion=0.0)

    np.testing.assert_allclose(current(drive, i0, R), i, rtol=1e-8)
    np.testing.assert_allclose(current(-0.12, i0, R), far, rtol=1e-8)
    numbers = tuple(jnp.asarray(a) for a in (drive, i0, R))
    by_drive, by_i0, by_R = jax.grad(current, (0, 1, 2))(*numbers)
    found = np.array([i, -by_i0 * i0, -by_R * R]) / by_drive
    np.testing.assert_allclose(found, slopes, rtol=1e-7, atol=1e-12)


# λ/kT: h, k_red/k₀, k_ox/k₀, (k_red − k_ox)/k₀
K2 = {
    10.0: [
        (-20.0, 50.998279085549, 1.0511528767531e-07, 50.998278980434),
        (-10.0, 25.999139542775, 0.001180359109127, 25.997959183666),
        (-5.0, 7.7816499216256, 0.052432344737351, 7.7292175768883),
        (-1.0, 1.6191761404064, 0.59566161369084, 1.0235145267156),
        (0.0, 1.0, 1.0, -0.0),
        (1.0, 0.59566161369084, 1.6191761404064, -1.0235145267156),
        (5.0, 0.052432344737351, 7.7816499216256, -7.7292175768883),
        (10.0, 0.001180359109127, 25.999139542775, -25.997959183666),
    ],
    25.0: [
        (-30.0, 2395.4863471597, 2.2416057305985e-10, 2395.4863471595),
        (-10.0, 63.497092580294, 0.0028827635432673, 63.494209816751),
        (-2.0, 2.6270711529528, 0.3555354185676, 2.2715357343852),
        (2.0, 0.3555354185676, 2.6270711529528, -2.2715357343852),
        (10.0, 0.0028827635432673, 63.497092580294, -63.494209816751),
    ],
}


@pytest.mark.parametrize("lam", sorted(K2))
def test_marcus_hush_chidsey(lam):
    law = dj.MarcusHushChidsey(1.0, lam * BOLTZMANN * T)
    h, reduction, oxidation, net = np.array(K2[lam]).T
    found = law.normalised_current(jnp.asarray(h * KT), T)
    np.testing.assert_allclose(found, net, rtol=1e-8, atol=1e-12)
    # Detailed balance k_red = k_ox e^(−h) makes both of the net current.
    away = h != 0
    rate = found[away] / -np.expm1(h[away])
    np.testing.assert_allclose(rate, reduction[away], rtol=1e-8)
    # (the integrals of the case hold 1e-17 of k₀)
    by_balance = rate * np.exp(h[away])
    np.testing.assert_allclose(by_balance, oxidation[away], rtol=1e-8, atol=2e-17)


@pytest.mark.parametrize("lam", [1.0, 4.0, 12.0, 30.0, 58.0])
def test_marcus_hush_chidsey_against_its_integral(lam):
    def rate(h):
        # The trapezoidal sum of step ¼ is exact to e^(−8π²): the poles are at ±iπ.
        x = [mp.mpf(k) / 4 for k in range(-400, int(4 * (h + 24 * lam**0.5)) + 1)]
        return mp.fsum(mp.exp(-((a - h) ** 2) / (4 * lam)) * mp.sech(a / 2) for a in x)

    h = np.array([1e-3, 0.5, 3.0, 0.9 * lam, 1.1 * lam, 2 * lam + 5, 2 * lam + 60])
    with mp.workdps(20):
        G = [rate(mp.mpf(a)) / rate(mp.mpf(0)) for a in h]
        expected = [float(2 * mp.sinh(a / 2) * g) for a, g in zip(h, G, strict=True)]
    law = dj.MarcusHushChidsey(1.0, lam * BOLTZMANN * T)
    found = law.normalised_current(jnp.asarray(-h * KT), T)
    np.testing.assert_allclose(found, expected, rtol=2e-11)
    np.testing.assert_allclose(
        law.normalised_current(jnp.asarray(h * KT), T), -found, rtol=1e-12
    )


# κ of the worse conductor [S m-1]; i₁, i₂ [A m-2], drive [V]
K3 = [
    (1e-07, 65.892630367988, 0.3317298422909, 198.63341179358, -0.066772113334375),
    (1e-06, 59.819057448597, 2.934689664887, 20.383435483595, -0.062460406633289),
]


@pytest.mark.parametrize(("kappa", "i1", "i2", "ratio", "drive"), K3)
def test_the_better_conducting_patch_plates_first(kappa, i1, i2, ratio, drive):
    """20 nm of Li₂S on 30 % of the metal, a worse conductor beside it; 20 A m⁻²."""
    film = dj.Film(20 * nm, jnp.asarray([1e-3, kappa]))
    share = np.array([0.3, 0.7])

    @jax.jit
    def currents(drive):
        return interface_current(
            dj.ButlerVolmer(20.0),
            drive,
            1000.0,
            T,
            resistance=film.resistance,
            depletion=0.0,
        )

    found = brentq(
        lambda drive: float(currents(drive) @ share) - 20.0, -1.0, 0.0, xtol=1e-15
    )
    np.testing.assert_allclose(found, drive, rtol=1e-8)
    first, second = currents(found)
    np.testing.assert_allclose([first, second], [i1, i2], rtol=1e-8)
    np.testing.assert_allclose(first / second, ratio, rtol=1e-8)
