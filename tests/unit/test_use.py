"""What use does to a cell: films grow, and a host runs out of metal."""

import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold

J = 20.0


def column(n=6, **options):
    """A short gap of good electrolyte: all that matters is at the metal."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(n, 1e-5 / n)))
    salt = dj.BinaryElectrolyte(1000.0, 1e-9, 0.4, conductivity=10.0)
    kinetics = dj.ButlerVolmer(20.0)
    return dj.Cell(
        Scaffold.open(grid),
        salt,
        kinetics=kinetics,
        counter_kinetics=kinetics,
        **options,
    )


@pytest.fixture(scope="module")
def filmed():
    """Both films grow, that of the collector with charge and with time."""
    own = dj.Film(2e-8, 1e-6, volume_per_charge=1e-12, parabolic_rate=1e-19)
    far = dj.Film(1e-8, 1e-6, volume_per_charge=2e-12)
    cell = column(film_resistance=own, counter_film_resistance=far)
    plates = dj.Galvanostatic(J, time=1000.0)
    strips = dj.Galvanostatic(-J, time=500.0)
    return dj.simulate(cell, [plates, strips], steps=dj.Steps(fixed=50.0)), own, far


def test_films_grow_while_the_cell_runs(filmed):
    run, own, far = filmed
    # A flat cell: every place carries J, so R is known at every moment.
    passed, time = J * 1500.0, 1500.0
    drop = -J * float(own.resistance_after(time, passed))
    assert float(run.voltage_parts["film"]) == pytest.approx(-drop, rel=1e-9)
    other = -J * float(far.resistance_after(time, passed))
    assert float(run.voltage_parts["counter_film"]) == pytest.approx(-other, rel=1e-9)
    # The net charge is that of 500 s, what crossed that of 1500 s, as closely as Newton
    # closes the currents.
    assert float(run.charge) == pytest.approx(J * 500.0, rel=1e-8)
    assert float(run.state.use.crossed[1][0, 0]) == pytest.approx(passed, rel=1e-8)
    resistance = float(run.film_resistance["collector"][0, 0])
    assert resistance == pytest.approx(-drop / J, rel=1e-8)


def test_parts_still_add_up(filmed):
    run, *_ = filmed
    total = sum(float(part) for part in run.voltage_parts.values())
    assert total == pytest.approx(float(run.final_voltage), abs=1e-10)


@pytest.fixture(scope="module")
def stripped():
    """Li on Cu: plate, strip until it is gone, and once more."""
    cell = column(initial_deposit=0.0)
    protocol = ["Plate at 2 mA/cm2 for 1000 s", "Strip at 2 mA/cm2 for 3000 s"]
    return dj.simulate(cell, protocol)


def test_stripping_ends_with_the_metal(stripped):
    assert stripped.ended_by == ("time", "stripped")
    # A thousandth stays, where the last places would carry any current.
    assert float(stripped.charge) == pytest.approx(1e-3 * J * 1000.0, rel=1e-5)
    assert float(stripped.step_times[1]) == pytest.approx(999.0, rel=1e-6)


def test_nothing_is_stripped_from_nothing(stripped):
    run = dj.simulate(column(initial_deposit=0.0), ["Strip at 2 mA/cm2 for 100 s"])
    assert run.ended_by == ("stripped",)
    assert float(run.charge) == 0


@pytest.mark.slow
def test_held_potential_strips_what_there_is():
    cell = column(initial_deposit=100.0)
    run = dj.simulate(cell, "Hold at 0.05 V for 100 s")
    assert float(run.charge) == pytest.approx(-100.0, rel=1e-9)
    assert float(jnp.min(run.state.plated[1])) >= -100.0 * (1 + 1e-12)
    assert abs(float(run.current_density[-1])) < 1e-9


def test_a_run_goes_on_only_in_a_cell_of_the_same_parts(filmed):
    run, *_ = filmed
    rest = dj.Rest(time=1.0)
    with pytest.raises(ValueError, match=r"start.*without films that grow.*one with"):
        dj.simulate(column(), rest, start=run)
    conducting = run.cell.replace(solid_conductivity=10.0)
    with pytest.raises(ValueError, match=r"with a solid_conductivity.*one without"):
        dj.simulate(conducting, rest, start=run)
