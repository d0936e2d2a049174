"""Every objective × every family of designs: forward = reverse = central differences.

The chain is cut at the cell, which is alike for all families (8 × 8 × 8 cells): one
program gives all objectives and their slopes along a direction of the cell, another
pulls weights back to it; what a design does to a cell is differentiated by itself.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax import objectives
from depojax.design.fields import Profile, VolumeField
from depojax.design.parameters import (
    CurrentSegments,
    DesignedCell,
    DesignedScaffold,
    FreeDensity,
    FreeLevelSet,
    GradedPorosity,
)
from depojax.design.stack import Stack
from depojax.design.topology import FilteredDensity, PorousMedium
from depojax.design.variables import Bounded, split
from depojax.units import cm, g, mAh

N, SIZE = 8, 4e-6
SHAPE = (N, N, N)
CURRENTS = jnp.asarray([150.0, 100.0])  # [A m⁻²]
MEDIUM = PorousMedium(6e-6, 0.5, conductivity=100.0)
STACK = Stack(2 * mAh / cm**2, 3.8, 190 * mAh / g, 3300.0, 0.25, 1200.0)
STEPS = dj.Steps(fixed=0.5)

CHEAP = {
    "limiting current": objectives.LimitingCurrent(),
    "limiting current of a share": objectives.LimitingCurrent(0.3),
    "effective diffusivity": objectives.EffectiveDiffusivity(),
    "ionic conductivity": objectives.EffectiveConductivity("pore"),
    "electronic conductivity": objectives.EffectiveConductivity("solid"),
    "host mass": objectives.HostMass(8960.0),
    "host volume": objectives.HostVolume(),
    "specific energy": objectives.SpecificEnergy(STACK, 8960.0),
    "energy density": objectives.EnergyDensity(STACK, 8960.0),
    "feature size": objectives.FeatureSize(40e-6, window=3),
    "pore size": objectives.FeatureSize(80e-6, of="pore", window=3),
    "rising": objectives.MonotoneProfile("separator"),
    "falling": objectives.MonotoneProfile("collector"),
}


def of_even_plating(cell, J):
    """Objectives of runs of `sand_time`, the current far beyond the limit."""
    run = dj.sand_time(cell, 60 * J, depleted_share=0.3)
    area = objectives.DepletedArea(40 * J, 0.05, threshold=0.4)
    return {
        "sand's time": objectives.SandTime(60 * J, depleted_share=0.3)(run),
        "sand's capacity": objectives.SandCapacity(60 * J, depleted_share=0.3)(run),
        "depleted area": area(cell),
    }


def of_plating(currents):
    """Objectives of a run of `simulate`, all of one."""
    drive = CurrentSegments(Bounded(currents, 1.0, 1e3), 2.0).build()
    options = {"steps": STEPS}
    loss = objectives.VoltageLoss(drive, **options)
    return {
        "uniformity": objectives.CurrentUniformity(drive, power=6.0, **options),
        "uniformity of charge": objectives.CurrentUniformity(
            drive, power=6.0, of="charge", **options
        ),
        "voltage loss": loss,
        "liquid": objectives.VoltageLoss(drive, part="liquid", **options),
        "top share": objectives.TopPlatingShare(drive, depth=10e-6, **options),
        "fill": objectives.FillBeforeClosure(drive, power=8.0, **options),
        "lossy energy": objectives.EnergyDensity(STACK, 8960.0, loss),
    }


def cell_of(scaffold, conductivity=None, exchange=10.0):
    """What all families end in; kinetics and conductivity are fields."""
    if conductivity is None:
        conductivity = jnp.full(SHAPE, 50.0)
    return dj.Cell(
        scaffold,
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.38, conductivity=0.9),
        metal=dj.metals.lithium,
        separator=dj.Separator(3 * SIZE, 0.5, 2.0, cells=3),
        kinetics=dj.ButlerVolmer(jnp.full(SHAPE, exchange)),
        solid_conductivity=conductivity,
    )


def graded():
    eps = Bounded(jnp.asarray([0.75, 0.85, 0.8, 0.9]), 0.5, 0.98)
    host = GradedPorosity(eps, shape=SHAPE, voxel_size=SIZE, pore_diameter=20e-6)
    return host, lambda d: (cell_of(d.build()), CURRENTS)


def density():
    rho = np.random.default_rng(1).uniform(0.2, 0.8, SHAPE)
    free = FreeDensity(jnp.asarray(rho), SIZE)
    design = FilteredDensity(free, MEDIUM, radius=1.5 * SIZE, sharpness=4.0)

    def build(d):
        return cell_of(d.build(), d.solid_conductivity()), CURRENTS

    return design, build


def fields_of_a_cell():
    eps = jnp.broadcast_to(jnp.linspace(0.75, 0.9, N), SHAPE)
    host = dj.Scaffold.homogenised(
        dj.Grid.uniform(SHAPE, SIZE), eps, eps**-0.5, 4 * (1 - eps) / 6e-6
    )
    design = DesignedCell(
        cell_of(host),
        {
            "kinetics.exchange_current_density.value": Profile(
                Bounded(jnp.asarray([20.0, 5.0, 8.0]), 0.1, 100.0, scale="log")
            ),
            "solid_conductivity": Profile(
                Bounded(jnp.asarray([80.0, 20.0]), 1.0, 1e3, scale="log")
            ),
            "electrolyte.concentration": Bounded(1000.0, 500.0, 2000.0),
            "electrolyte.diffusivity": Bounded(3e-10, 1e-10, 1e-9, scale="log"),
        },
    )
    return design, lambda d: (d.build(), CURRENTS)


def waveform():
    host = graded()[0].build()
    design = CurrentSegments(Bounded(CURRENTS, 20.0, 400.0), 2.0)
    return design, lambda d: (cell_of(host), d.values.value)


def gyroid():
    eps = np.random.default_rng(2).uniform(0.5, 0.7, (2, 2, 3))
    design = DesignedScaffold(
        dj.gyroid,
        SHAPE,
        SIZE,
        period=N * SIZE,
        porosity=VolumeField(Bounded(jnp.asarray(eps), 0.3, 0.8), "linear"),
    )
    return design, lambda d: (cell_of(d.build()), CURRENTS)


def pillars():
    design = DesignedScaffold(
        dj.pillars,
        SHAPE,
        SIZE,
        pitch=N * SIZE,
        diameter=Bounded(15e-6, 9e-6, 28e-6),
        height=Bounded(21e-6, 10e-6, 30e-6),
    )
    return design, lambda d: (cell_of(d.build()), CURRENTS)


def level_set():
    k = 2 * np.pi / (N * SIZE)

    def wave(x, y, z):
        # Shifted: in a host with mirrors two places are depleted first, at a kink.
        x, y = jnp.cos(k * x + 0.4), jnp.cos(k * y - 0.3)
        return (x + y + jnp.cos(0.9 * k * z) + 0.7) / k

    design = FreeLevelSet.of_function(wave, SHAPE, SIZE)
    return design, lambda d: (cell_of(d.build()), CURRENTS)


FAMILIES = {
    "graded porosity": graded,
    "free density": density,
    "fields of a cell": fields_of_a_cell,
    "waveform": waveform,
    "gyroid": gyroid,
    "pillars": pillars,
    "level set": level_set,
}


def values(cell, currents, whole):
    """All objectives of a cell, by name."""
    found = {name: objective(cell) for name, objective in CHEAP.items()}
    if not whole:
        return found
    bare = cell.replace(kinetics=None, solid_conductivity=None)
    found |= of_even_plating(bare, currents[0])
    plating = of_plating(currents)
    run = dj.simulate(cell, plating["voltage loss"].protocol, steps=STEPS)
    for name, objective in plating.items():
        known = name != "lossy energy"
        found[name] = objective(run) if known else objective.measured(cell, (run,))
    return found


def apart(cell):
    return eqx.partition(cell, eqx.is_inexact_array)


@eqx.filter_jit
def forward(numbers, rest, tangents, whole):
    def of(cell, currents):
        return values(eqx.combine(cell, rest), currents, whole)

    return jax.jvp(of, numbers, tangents)


@eqx.filter_jit
def backward(numbers, rest, weights, whole):
    def of(cell, currents):
        found = values(eqx.combine(cell, rest), currents, whole)
        return sum(weights[name] * value for name, value in found.items())

    return jax.grad(of, argnums=(0, 1))(*numbers)


def check(family, whole, step=1e-5):
    design, build = FAMILIES[family]()
    free, complete = split(design)
    chance = np.random.default_rng(7)
    direction = jax.tree.map(
        lambda u: jnp.asarray(chance.normal(size=u.shape), u.dtype), free
    )
    rest = apart(build(design)[0])[1]

    def numbers(part):
        cell, currents = build(complete(part))
        return apart(cell)[0], currents

    there, along, pull = None, None, None
    there, along = jax.jvp(numbers, (free,), (direction,))
    _, pull = jax.vjp(numbers, free)
    found, slopes = forward(there, rest, along, whole)

    def at(s):
        moved = jax.tree.map(lambda u, v: u + s * v, free, direction)
        return forward(numbers(moved), rest, along, whole)[0]

    ahead, behind = at(step), at(-step)
    moving = 0
    for name, slope in slopes.items():
        central = (float(ahead[name]) - float(behind[name])) / (2 * step)
        # Pillars below the separator conduct nothing but round-off.
        floor = max(1e-6 * abs(float(found[name])), 1e-14)
        assert np.isfinite(float(found[name])), name
        assert float(slope) == pytest.approx(central, rel=1e-4, abs=floor), name
        moving += abs(float(slope)) > floor
    weights = {
        name: chance.uniform(0.5, 1.0) / max(abs(float(value)), 1e-12)
        for name, value in found.items()
    }
    weights = {name: jnp.asarray(weight) for name, weight in weights.items()}
    (pulled,) = pull(backward(there, rest, weights, whole))
    reverse = sum(
        float(jnp.vdot(a, b))
        for a, b in zip(
            jax.tree.leaves(pulled), jax.tree.leaves(direction), strict=True
        )
    )
    whole_slope = sum(float(weights[name] * slope) for name, slope in slopes.items())
    assert reverse == pytest.approx(whole_slope, rel=1e-6)
    return moving, len(slopes)


@pytest.mark.parametrize(
    "family",
    ["graded porosity", pytest.param("free density", marks=pytest.mark.slow)],
)
def test_cheap_objectives(family):
    moving, _ = check(family, whole=False)
    assert moving >= 11


@pytest.mark.slow
@pytest.mark.parametrize("family", list(FAMILIES))
def test_all_objectives(family):
    """On gyroids and level sets short steps: over longer ones new cells are cut."""
    moving, count = check(family, whole=True, step=1e-6 if "l" in family else 1e-5)
    assert count == len(CHEAP) + 10
    assert moving >= (6 if family == "waveform" else 8)
