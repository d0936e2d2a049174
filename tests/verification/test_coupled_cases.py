"""The coupled cell against the cases with known answers (r02, r09) and its own laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import graded_widths, observed_orders
from scipy.interpolate import CubicSpline

import depojax as dj
from depojax.fv.grid import Grid
from depojax.problems.simulate import simulate
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, GAS_CONSTANT, um

THERMAL = GAS_CONSTANT * 298.15 / FARADAY


def gap(n, length, electrolyte, i0, film, ratio=1.0, **options):
    """Two metal foils at a distance, both with Butler–Volmer kinetics and a film."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, graded_widths(n, length, ratio)))
    kinetics = dj.ButlerVolmer(i0)
    return dj.Cell(
        Scaffold.open(grid),
        electrolyte,
        kinetics=kinetics,
        counter_kinetics=kinetics,
        film_resistance=film,
        counter_film_resistance=film,
        **options,
    )


def settled(cell, current_density, time=1e5):
    """The cell after a long time at a current."""
    return simulate(cell, dj.Galvanostatic(current_density, time=time))


@pytest.mark.slow
def test_concentrated_gap_at_half_its_limit():
    # C2: Valøen's properties, T = 298.15 K, J = J_lim/2.
    law = dj.electrolytes.lipf6_pc_ec_dmc_valoen2005
    salt = dj.ConcentratedElectrolyte(law, 1000.0)
    errors = []
    for n in (32, 64):
        run = settled(gap(n, 2e-4, salt, 10.0, 2e-4), 309.3700225820345)
        errors.append(float(run.final_voltage) + 0.6294426847590786)
        parts = {name: float(part) for name, part in run.voltage_parts.items()}
        assert sum(parts.values()) == pytest.approx(float(run.final_voltage), abs=1e-9)
        assert float(jnp.max(run.charge_imbalance)) < 1e-8
    assert abs(errors[-1]) < 1e-4
    assert observed_orders(errors)[0] > 1.9
    expected = {
        "liquid": -0.056437832979938846,
        "concentration": -0.09002132440807173,
        "kinetics": -0.19677990378879448,
        "counter_kinetics": -0.16245561454945975,
        "film": -0.1237480090328138 / 2,
        "counter_film": -0.1237480090328138 / 2,
    }
    for name, value in expected.items():
        assert parts[name] == pytest.approx(value, abs=6e-5), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("current_density", "voltage", "wall"),
    [
        (92.62591883837761, 0.2261394267807321, 400.0),
        (146.65770482743122, 0.44434437010228844, 50.0),
    ],
)
def test_dilute_gap(current_density, voltage, wall):
    # C3: ideal dilute salt at 0.6 and 0.95 of the limit. With logarithmic means of the
    # conductivity, in the layer before the metal too, ten cells are exact.
    salt = dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1000.0)
    run = settled(gap(10, 5e-4, salt, 30.0, 1e-4), current_density, 1e6)
    assert float(run.lowest_wall_concentration[-1]) == pytest.approx(wall, rel=1e-6)
    assert -float(run.final_voltage) == pytest.approx(voltage, rel=1e-6)


def porous(n, kinetics, *, sigma=5.0, area=1e5, kappa=0.5, length=1e-4):
    """A homogenised electrode below a bath; fast diffusion holds its salt."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(n, length / n)))
    return dj.Cell(
        Scaffold.homogenised(grid, 1.0, 1.0, area),
        dj.BinaryElectrolyte(3e4, 1e-7, 0.99, conductivity=kappa),
        kinetics=kinetics,
        counter_electrode="reservoir",
        plated_collector=False,
        solid_conductivity=sigma,
    )


def rates(run, n):
    """Local rate over its mean at the five heights of the cases."""
    local = np.asarray(run.local_current_density[0, 0, :n])
    spline = CubicSpline((np.arange(n) + 0.5) / n, local / local.mean())
    return spline(np.linspace(0, 1, 5))


LINEAR = (0.8311978, 0.8364599, 0.9320536, 1.1283024, 1.4464000)
TAFEL = (0.79835639, 0.80184751, 0.89745912, 1.13434933, 1.67409564)
EQUAL = (1.34351634, 0.95292008, 0.85699453, 0.95292008, 1.34351634)
VOLMER = (0.82687275, 0.83200161, 0.92916673, 1.13082250, 1.46465112)
AT_C0 = {"reference_concentration": 3e4}


@pytest.mark.parametrize(
    ("kinetics", "sigma", "current_density", "expected"),
    [
        (dj.LinearKinetics(20.0, **AT_C0), 5.0, 10.0, LINEAR),
        (dj.Tafel(0.01, **AT_C0), 5.0, 500.0, TAFEL),
        (dj.Tafel(0.01, **AT_C0), 0.5, 500.0, EQUAL),
        (dj.ButlerVolmer(20.0, **AT_C0), 5.0, 100.0, VOLMER),
    ],
    ids=["linear", "tafel", "equal", "volmer"],
)
@pytest.mark.slow
def test_current_distribution_in_a_porous_electrode(
    kinetics, sigma, current_density, expected
):
    # PE1, PE2, PE3: secondary distributions with electrons in series.
    off = []
    for n in (32, 64):
        cell = porous(n, kinetics, sigma=sigma)
        run = settled(cell, current_density, 1e-6)
        off.append(np.max(np.abs(rates(run, n) / np.asarray(expected) - 1)))
    assert off[1] < 1e-4
    assert observed_orders(off)[0] > 1.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tau", "drop", "ratio"),
    [
        (1.25, 0.014157954748335255, 1.3228506419618884),
        (4.46, 0.0450502202945573, 2.3275803222903497),
    ],
)
def test_tertiary_distribution(tau, drop, ratio):
    # PE4: salt, potential and kinetics together, the host an equipotential. Ideal
    # dilute: D and t₊ give both diffusivities.
    D, share = 3e-10, 0.38
    law = dj.IdealDilute(D / (2 * (1 - share)), D / (2 * share))
    n, length = 96, 1e-4
    side = np.full(1, 1e-5)
    cell = dj.Cell(
        Scaffold.homogenised(Grid((side, side, np.full(n, length / n))), 0.9, tau, 1e6),
        dj.ConcentratedElectrolyte(law, 1000.0),
        kinetics=dj.ButlerVolmer(1.0),
        counter_electrode="reservoir",
        plated_collector=False,
    )
    run = settled(cell, 10.0)
    c = np.asarray(run.concentration[0, 0])
    bottom = CubicSpline((np.arange(n) + 0.5) / n, c)(0.0)
    assert 1 - bottom / 1000 == pytest.approx(drop, rel=1e-4)
    found = rates(run, n)
    assert found[-1] / found[0] == pytest.approx(ratio, rel=3e-4)


@pytest.mark.slow
def test_no_anion_moves_in_the_steady_state():
    # Then the electrostatic potential is (RT/F) ln c + const in any geometry, and the
    # one against an electrode of the metal twice that.
    host = dj.gyroid((12, 12, 12), 6 * um, porosity=0.8, period=72 * um)
    cell = dj.Cell(
        host,
        dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1000.0),
        separator=18 * um,
        kinetics=dj.ButlerVolmer(20.0),
        counter_kinetics=dj.ButlerVolmer(20.0),
    )
    run = settled(cell, 500.0)
    wet = np.asarray(run.concentration) > 0
    c, phi = np.asarray(run.concentration)[wet], np.asarray(run.liquid_potential)[wet]
    spread = np.ptp(phi - 2 * THERMAL * np.log(c))
    assert np.ptp(phi) > 0.03
    assert spread < 2e-3 * np.ptp(phi)
    assert float(jnp.max(run.charge_imbalance)) < 1e-8
    plated = jnp.sum(
        run.plated_charge * jnp.pad(host.surface_area, [(0, 0)] * 2 + [(0, 3)])
    )
    floor = (
        jnp.sum(run.state.plated[1] * host.face_transmission[2][..., 0]) * (6e-6) ** 2
    )
    charge = float(run.charge) * float(cell.footprint)
    assert float(plated + floor) == pytest.approx(charge, rel=1e-9)


@pytest.mark.slow
def test_gradient_of_the_voltage():
    # dV/dJ of C3 at 0.6 of the limit: closed form; and reverse = forward mode.
    salt = dj.ConcentratedElectrolyte(dj.IdealDilute(2e-10, 4e-10), 1000.0)
    cell = gap(20, 5e-4, salt, 30.0, 1e-4)

    def voltage(J):
        return simulate(cell, dj.Galvanostatic(J, time=1e6)).final_voltage

    J = jnp.asarray(92.62591883837761)
    _, reverse = jax.value_and_grad(voltage)(J)
    _, forward = jax.jvp(voltage, (J,), (jnp.ones_like(J),))
    assert float(reverse) == pytest.approx(float(forward), rel=1e-6)
    step = 1e-4 * J
    slope = (voltage(J + step) - voltage(J - step)) / (2 * step)
    assert float(reverse) == pytest.approx(float(slope), rel=1e-6)
    assert float(reverse) == pytest.approx(-0.002487189921545628, rel=2e-3)
