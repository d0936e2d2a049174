"""Objectives against closed forms: a linear porous electrode, gaps, laminates, sums.

Newman and Tobias' electrode (host at one potential, linear kinetics, no salt effects):

    a i/mean = ν cosh(νz/L)/sinh ν,    ν² = L² a i₀F/(RTκ),    −V = J L coth ν/(κν)
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import T_PLUS, column, lithium_salt

import depojax as dj
from depojax import objectives
from depojax.design.manufacturing import FeatureSize
from depojax.design.objective import AbstractQuestion
from depojax.design.stack import Stack
from depojax.fv.grid import Grid
from depojax.units import FARADAY, GAS_CONSTANT, cm, g, mAh

N, LENGTH, KAPPA, AREA, EXCHANGE, J = 64, 1e-4, 0.5, 1e5, 20.0, 10.0
SIDE = np.full(1, 1e-5)


def electrode(**changes):
    """The linear electrode; a bath at its top."""
    grid = Grid((SIDE, SIDE, np.full(N, LENGTH / N)))
    salt = dj.BinaryElectrolyte(
        3e4, 1e-7, 0.99, conductivity=KAPPA, thermodynamic_factor=1e-9
    )
    parts = {
        "kinetics": dj.LinearKinetics(EXCHANGE, exponent=0.0),
        "counter_electrode": "reservoir",
        "plated_collector": False,
    }
    return dj.Cell(
        dj.Scaffold.homogenised(grid, 1.0, 1.0, AREA),
        salt,
        **(parts | changes),
    )


NU = np.sqrt(LENGTH**2 * AREA * EXCHANGE * FARADAY / (GAS_CONSTANT * 298.15 * KAPPA))


@pytest.fixture(scope="module")
def run():
    return dj.simulate(electrode(), dj.Galvanostatic(J, time=1e-3))


def of_run(kind, **options):
    """An objective of such a run; what it asks is answered by `run`."""
    return kind(J, time=1e-3, **options)


def rates(z):
    return NU * np.cosh(NU * z) / np.sinh(NU)


def test_uniformity_is_a_norm_of_the_rates(run):
    z = (np.arange(4000) + 0.5) / 4000
    for p in (2.0, 8.0, 16.0):
        known = np.mean(rates(z) ** p) ** (1 / p)
        found = of_run(objectives.CurrentUniformity, power=p)(run)
        assert float(found) == pytest.approx(known, rel=2e-3)
    of_charge = of_run(objectives.CurrentUniformity, power=8.0, of="charge")(run)
    same = of_run(objectives.CurrentUniformity, power=8.0)(run)
    assert float(of_charge) == pytest.approx(float(same), rel=1e-3)


def test_voltage_loss_is_that_of_the_electrode(run):
    known = J * LENGTH / KAPPA / (NU * np.tanh(NU))
    loss = of_run(objectives.VoltageLoss)(run)
    assert float(loss) == pytest.approx(known, rel=1e-3)
    parts = [
        float(of_run(objectives.VoltageLoss, part=part)(run))
        for part in run.voltage_parts
    ]
    assert sum(parts) == pytest.approx(float(loss), rel=1e-9)


def test_top_share_is_the_integral_of_the_rates(run):
    for share in (0.25, 0.5):
        known = 1 - np.sinh(NU * (1 - share)) / np.sinh(NU)
        found = of_run(objectives.TopPlatingShare, depth=share * LENGTH)(run)
        assert float(found) == pytest.approx(known, rel=1e-3)


def test_fill_ends_where_the_fastest_layer_closes(run):
    z = (np.arange(4000) + 0.5) / 4000
    known = np.mean(rates(z) ** 32.0) ** (-1 / 32)
    fill = float(of_run(objectives.FillBeforeClosure)(run))
    assert fill == pytest.approx(known, rel=2e-3)
    sharp = float(of_run(objectives.FillBeforeClosure, power=1e3)(run))
    assert sharp == pytest.approx(1 / rates(1 - 0.5 / N), rel=5e-3)
    assert sharp < fill < 1


def test_a_gap_is_depleted_as_sand_says():
    """c_s = c₀ (1 − √(t/τ)) at a flat metal: one place, so one share."""
    cell = column(1e-3, n=60, ratio=30.0, counter_electrode="reservoir")
    J, known = 400.0, float(dj.planar_sand_time(lithium_salt(), 400.0, gap=1e-3))
    steps = dj.Steps(tolerance=1e-4)
    time = objectives.SandTime(J, steps=steps)(cell)
    assert float(time) == pytest.approx(known, rel=5e-3)
    capacity = objectives.SandCapacity(J, steps=steps)
    found = float(capacity(dj.sand_time(cell, J, steps=steps)))
    assert found == pytest.approx(J * float(time), rel=1e-9)
    left = 1 - np.sqrt(0.9)
    for threshold in (0.05, 0.2):
        share = objectives.DepletedArea(J, 0.9 * known, threshold=threshold)(cell)
        x = min(left / (2 * threshold), 1.0)
        assert float(share) == pytest.approx(1 - 3 * x**2 + 2 * x**3, abs=2e-2)


def test_limiting_current_is_that_of_the_gap():
    cell = column(1e-3, n=20, ratio=1.0)
    known = float(dj.planar_limiting_current(lithium_salt(), 1e-3))
    assert float(objectives.LimitingCurrent()(cell)) == pytest.approx(known, rel=1e-6)


def layered():
    """Two layers of a host with 0.9 and 0.6 of pore, and a cell around it."""
    grid = Grid.uniform((2, 2, 4), 10e-6)
    eps = jnp.broadcast_to(jnp.asarray([0.9, 0.9, 0.6, 0.6]), grid.shape)
    host = dj.Scaffold.homogenised(grid, eps, eps**-0.5, 4 * (1 - eps) / 8e-6)
    sigma = jnp.broadcast_to(jnp.asarray([1.0, 1.0, 4.0, 4.0]), grid.shape)
    salt = dj.BinaryElectrolyte(1000.0, 3e-10, T_PLUS, conductivity=0.9)
    return dj.Cell(
        host,
        salt,
        metal=dj.metals.lithium,
        separator=dj.Separator(20e-6, 0.4, 2.5, cells=2),
        solid_conductivity=sigma,
    )


def test_layers_conduct_in_series():
    cell = layered()
    pore = 2 / (1 / 0.9**1.5 + 1 / 0.6**1.5)
    assert float(objectives.EffectiveDiffusivity()(cell.scaffold)) == (
        pytest.approx(pore, rel=1e-8)
    )
    ions = objectives.EffectiveConductivity("pore")(cell)
    assert float(ions) == pytest.approx(0.9 * pore, rel=1e-8)
    electrons = objectives.EffectiveConductivity("solid")(cell)
    assert float(electrons) == pytest.approx(2 / (1 + 1 / 4), rel=1e-8)
    across = objectives.EffectiveConductivity("solid", "x")(cell)
    assert float(across) == pytest.approx(2.5, rel=1e-8)


def test_mass_volume_and_energy_add_up_by_hand():
    cell, solid = layered(), 20e-6 * (0.1 + 0.4)
    assert float(objectives.HostVolume()(cell)) == pytest.approx(solid, rel=1e-12)
    mass = objectives.HostMass(8960.0)
    assert float(mass(cell.scaffold)) == pytest.approx(8960 * solid, rel=1e-12)
    stack = Stack(
        2 * mAh / cm**2, 3.8, 190 * mAh / g, 3300.0, 0.25, 1200.0,
        foil_thickness=14e-6, foil_mass=0.088, spare_metal=2 * mAh / cm**2,
    )  # fmt: skip
    coating = 20 / 190  # Ah m⁻² over Ah g⁻¹: kg
    wet = 20e-6 * 1.5 + 20e-6 * 0.4 + 0.25 * coating / 3300
    whole = 8960 * solid + coating + 0.088 + 1200 * wet + 950 * 20e-6 * 0.6
    whole += 2 * 3.6e4 * 6.94e-3 / FARADAY
    energy = objectives.SpecificEnergy(stack, 8960.0)
    assert float(energy(cell)) == pytest.approx(20 * 3.8 / whole, rel=1e-9)
    thick = 40e-6 + 20e-6 + coating / 3300 + 14e-6
    density = objectives.EnergyDensity(stack, 8960.0)
    assert float(density(cell)) == pytest.approx(20 * 3.8 / thick / 1e3, rel=1e-9)
    loss = objectives.Own(lambda cell: 0.3, "loss", "minimise", "V")
    lossy = objectives.EnergyDensity(stack, 8960.0, loss)
    assert float(lossy(cell)) == pytest.approx(20 * 3.5 / thick / 1e3, rel=1e-9)


def test_struts_thinner_than_can_be_made_are_counted():
    """d = 4 (1 − ε)/a is 8 µm in all of the layers."""
    host = layered().scaffold
    assert float(FeatureSize(7.9e-6)(host)) == 0
    assert float(FeatureSize(16e-6)(host)) == pytest.approx(0.25, rel=1e-9)
    # pores: 4 ε/a = 72 µm where 0.1 is solid (a fifth of the area), 12 µm where 0.4 is
    assert float(FeatureSize(24e-6, of="pore")(host)) == pytest.approx(0.2, rel=1e-9)
    pillars = dj.pillars((16, 16, 24), 2e-6, diameter=16e-6, height=40e-6, pitch=32e-6)
    diameters, area = FeatureSize(1e-6, window=16).diameters(pillars)
    mean = float(jnp.sum(diameters * area) / jnp.sum(area))
    assert mean == pytest.approx(16e-6, rel=0.1)


def test_a_profile_that_turns_back_is_counted():
    falls = layered().scaffold
    rises = objectives.MonotoneProfile("separator")
    assert float(rises(falls)) == pytest.approx(0.3**2, rel=1e-9)
    assert float(objectives.MonotoneProfile("collector")(falls)) == 0


ASKED = []


class Asked(AbstractQuestion):
    number: jax.Array

    def answer(self, cell):
        ASKED.append(self)
        return self.number

    def is_answer(self, thing):
        return False


class Twice(objectives.AbstractObjective):
    number: jax.Array
    name = "twice"
    unit = "m"
    sense = "maximise"

    @property
    def questions(self):
        return (Asked(self.number),)

    def measured(self, cell, answers):
        return 2 * answers[0]


def test_sums_weigh_in_each_sense_and_ask_once():
    host = layered().scaffold
    first, same, other = (Twice(jnp.asarray(x)) for x in (3.0, 3.0, 4.0))
    volume = objectives.HostVolume()
    total = 2.0 * first + same / 4.0 - other + np.float64(1e5) * volume
    ASKED.clear()
    known = -2 * 6 - 6 / 4 + 8 + 1e5 * 1e-5
    assert float(total(host)) == pytest.approx(known, rel=1e-12)
    assert len(ASKED) == 2
    assert float(total.loss(host)) == float(total(host))
    assert float(first.loss(host)) == -6
    assert float((3 * total)(host)) == pytest.approx(3 * known, rel=1e-12)
    assert float(sum([first, other])(host)) == -14
    parts = total.parts(host)
    assert [float(parts[name]) for name in ("twice", "twice 2", "twice 3")] == [6, 6, 8]


def test_traced_questions_are_one_where_they_are_the_same_object():
    host = layered().scaffold

    @jax.jit
    def total(number):
        objective = Twice(number)
        return (objective + 2.0 * objective)(host)

    ASKED.clear()
    assert float(total(jnp.asarray(1.0))) == -6
    assert len(ASKED) == 1


def test_refusals():
    host, volume = layered().scaffold, objectives.HostVolume()
    with pytest.raises(ValueError, match=r"limiting current: expected a depojax.Cell"):
        objectives.LimitingCurrent()(host)
    with pytest.raises(ValueError, match=r"host volume: expected a depojax.Cell, a Sc"):
        volume(3.0)
    with pytest.raises(ValueError, match=r"weight: expected one number"):
        volume * jnp.ones(2)
    with pytest.raises(ValueError, match=r"an objective: expected another to add"):
        volume + 1.0
    with pytest.raises(ValueError, match=r"time, capacity: expected one of them"):
        objectives.VoltageLoss(10.0)
    with pytest.raises(ValueError, match=r"neither for a protocol"):
        objectives.VoltageLoss(dj.Galvanostatic(10.0, time=1.0), time=2.0)
    with pytest.raises(ValueError, match=r"sense: expected a known word.*maximise"):
        objectives.Own(lambda cell: 0.0, "mine", "maximize")
    with pytest.raises(ValueError, match=r"cell: expected one with a solid_cond"):
        objectives.EffectiveConductivity()(column(1e-3, n=4))
    with pytest.raises(ValueError, match=r"density: expected .* as 8.96"):
        objectives.HostMass(8.96)
    with pytest.raises(ValueError, match=r"capacity: .* as 2 \* mAh / cm"):
        Stack(2e-3, 3.8, 190 * mAh / g, 3300.0, 0.25, 1200.0)
    stack = Stack(7.2e4, 3.8, 190 * mAh / g, 3300.0, 0.25, 1200.0)
    with pytest.raises(ValueError, match=r"voltage_loss: expected an objective in V"):
        objectives.SpecificEnergy(stack, 8960.0, volume)
    with pytest.raises(ValueError, match=r"threshold: expected within \(0, 0.5\]"):
        objectives.DepletedArea(100.0, 1.0, threshold=0.0)
    with pytest.raises(ValueError, match=r"of: expected a known word"):
        FeatureSize(1e-5, of="void")
    with pytest.raises(ValueError, match=r"towards: expected a known word"):
        objectives.MonotoneProfile("top")
