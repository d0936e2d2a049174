"""Plating runs against other accounts of the same thing: dips, cycles, inventories."""

import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold
from depojax.units import cm, mA, mAh, um

pytestmark = pytest.mark.slow

SIDE = np.full(1, 1e-5)


def host_cell(**options):
    given = {
        "metal": dj.metals.lithium,
        "separator": dj.Separator(20 * um, cells=2),
        "kinetics": dj.ButlerVolmer(10.0),
        "counter_kinetics": dj.ButlerVolmer(20.0),
        "plated_collector": False,
    }
    grid = Grid((SIDE, SIDE, np.full(4, 15 * um)))
    return dj.Cell(
        Scaffold.homogenised(grid, 0.8, 1.5, 2e5),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.38, conductivity=1.0),
        **(given | options),
    )


def test_the_dip_of_the_voltage_is_that_of_a_flat_electrode():
    """`nucleation_transient` solves the same law apart: no cell, no windows."""
    kinetics = dj.ButlerVolmer(10.0)
    cell = dj.Cell(
        Scaffold.open(Grid((SIDE, SIDE, np.full(4, 5 * um)))),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.38, conductivity=1000.0),
        metal=dj.metals.lithium,
        separator=dj.Separator(20 * um, cells=3),
        kinetics=kinetics,
    )
    law = dj.Nucleation.from_overpotential(cell.metal, -0.365)
    run = dj.plate(cell, dj.Galvanostatic(1 * mA / cm**2, time=100.0), nucleation=law)
    flat = dj.nucleation_transient(
        law, kinetics, 10.0, duration=100.0, capacitance=0.1, steps=2000
    )
    assert float(run.nucleation_overpotential) == pytest.approx(
        float(flat.nucleation_overpotential), rel=0.02
    )
    for name, there in (
        ("nuclei_density", flat.nuclei_density),
        ("nuclei_radius", flat.mean_radius),
        ("coverage", flat.coverage),
    ):
        here = float(jnp.max(getattr(run, name)))
        assert here == pytest.approx(float(there[-1]), rel=2e-3), name
    assert float(run.faraday_mismatch) < 1e-8


def test_what_dies_is_what_no_strip_brings_back():
    share = 0.05
    cycle = [
        "Plate at 2 mA/cm2 until 1 mAh/cm2",
        "Strip at 2 mA/cm2 until 0.5 V",
    ]
    growth = dj.HomogenisedGrowth(loss=dj.DeadMetal(share=share))
    run = dj.plate(host_cell(), cycle * 2, growth=growth)
    assert run.ended_by == ("charge", "stripped") * 2
    # A thousandth is left where stripping ends.
    np.testing.assert_allclose(run.coulombic_efficiency, 1 - share, rtol=2e-3)
    lost = np.asarray(run.step_lost_charges) / (mAh / cm**2)
    np.testing.assert_allclose(lost, [share, 0.0, share, 0.0], atol=1e-6)
    dead = float(run.dead_charge)
    assert dead == pytest.approx(2 * share * mAh / cm**2, rel=1e-5)
    # It stays in the pores: what is gone from them is dead, but for the rest.
    volume = np.asarray(run.dead_metal)[..., :4].sum()
    gone = 4 * 0.8 - np.asarray(run.pore_fraction)[..., :4].sum()
    assert gone == pytest.approx(volume, rel=2e-2)
    assert gone >= volume
    assert float(run.faraday_mismatch) < 1e-8
    assert float(run.salt_mismatch) < 1e-8


def test_excess_metal_lasts_as_long_as_book_keeping_says():
    """r22: n = (f − 1)/(1 − CE) + ln R/ln CE, by a run of the cell."""
    efficiency, excess, retention = 0.9, 1.3, 0.6
    capacity, J = 0.5 * mAh / cm**2, 20.0
    area_factor = 2e5 * 60e-6
    cell = host_cell(initial_deposit=excess * capacity / area_factor)
    growth = dj.HomogenisedGrowth(loss=dj.DeadMetal(share=1 - efficiency))
    run, cycled, inventory, booked = None, [], excess, []
    while not cycled or cycled[-1] > retention:
        strip = dj.Galvanostatic(-J, capacity=capacity)
        run = dj.plate(cell, strip, growth=growth, start=run)
        cycled.append(-float(run.step_charges[0]) / capacity)
        back = dj.Galvanostatic(J, capacity=cycled[-1] * capacity)
        run = dj.plate(cell, back, growth=growth, start=run)
        booked.append(min(1.0, inventory))
        inventory -= (1 - efficiency) * booked[-1]
    np.testing.assert_allclose(cycled, booked, rtol=5e-3)
    life = (excess - 1) / (1 - efficiency) + np.log(retention) / np.log(efficiency)
    assert abs(len(cycled) - 1 - life) <= 1.0


@pytest.mark.parametrize("renewed", [True, False])
def test_films_on_new_surface_lower_the_efficiency(renewed):
    """CE = 1 − q A/Q: of every cycle, or of the first alone if films last."""
    q, area = 100.0, 2e5 * 60e-6  # C m⁻²; of the host per footprint
    cycle = [
        "Plate at 2 mA/cm2 until 1 mAh/cm2",
        "Strip at 2 mA/cm2 until 0.5 V",
    ]
    run = dj.plate(
        host_cell(),
        cycle * 2,
        growth=dj.HomogenisedGrowth(area_law="constant"),
        surface_loss=dj.SurfaceLoss(q, renewed=renewed),
    )
    assert run.ended_by == ("charge", "stripped") * 2
    share = q * area / (mAh / cm**2)
    again = share if renewed else 0.0
    expected = [1 - share, 1 - again]
    np.testing.assert_allclose(run.coulombic_efficiency, expected, rtol=1.5e-3)
    filmed = np.asarray(run.step_film_charges) / (q * area)
    np.testing.assert_allclose(filmed, [1.0, 0.0, float(renewed), 0.0], atol=1e-9)
    assert float(run.new_surface) == pytest.approx(area * (1 + renewed), rel=1e-9)
    assert float(run.film_charge) == pytest.approx(q * float(run.new_surface))
    # Where all of it went: live, dead, film; and its volume is that of the charge.
    assert float(run.inventory_mismatch) < 1e-8
    assert float(run.faraday_mismatch) < 1e-8


def test_films_go_on_from_run_to_run():
    """Two runs of a cycle each book what one of two cycles does."""
    cycle = [
        "Plate at 2 mA/cm2 until 0.5 mAh/cm2",
        "Strip at 2 mA/cm2 until 0.25 mAh/cm2",
    ]
    loss, growth = dj.SurfaceLoss(100.0), dj.HomogenisedGrowth(area_law="fibres")
    options = {"growth": growth, "surface_loss": loss}
    whole = dj.plate(host_cell(), cycle * 2, **options)
    half = dj.plate(host_cell(), cycle, **options)
    again = dj.plate(host_cell(), cycle, growth=growth, start=half)
    assert float(again.film_charge) == pytest.approx(float(whole.film_charge), rel=1e-3)
    assert float(again.inventory_mismatch) < 1e-8
    filmed = [*np.asarray(half.step_film_charges), *np.asarray(again.step_film_charges)]
    np.testing.assert_allclose(
        filmed, whole.step_film_charges, rtol=1e-3, atol=1e-3 * filmed[0]
    )
