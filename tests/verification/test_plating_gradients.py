"""Derivatives through whole plating runs: reverse = forward = central difference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold

CELLS = 3
NAMES = ("i0", "kappa", "D", "porosity", "area", "J", "bruggeman", "closed", "loss")
START = np.array([5.0, 0.6, 3e-10, 0.7, 2e5, 60.0, 1.7, 0.2, 0.03])


def fill(log_p):
    """Until the first pore closes, then stripped for a while."""
    p = dict(zip(NAMES, jnp.exp(log_p), strict=True))
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(CELLS, 1e-4 / CELLS)))
    slope = jnp.linspace(1.0, 0.9, CELLS)[None, None, :]
    cell = dj.Cell(
        Scaffold.homogenised(grid, p["porosity"] * slope, 1.5, p["area"] * slope),
        dj.BinaryElectrolyte(1000.0, p["D"], 0.4, conductivity=p["kappa"]),
        metal=dj.metals.lithium,
        separator=dj.Separator(2e-5, cells=1),
        kinetics=dj.ButlerVolmer(p["i0"]),
        plated_collector=False,
    )
    run = dj.plate(
        cell,
        dj.Galvanostatic(p["J"], capacity=1e7),
        growth=dj.HomogenisedGrowth(
            bruggeman=p["bruggeman"],
            closed=p["closed"],
            loss=dj.DeadMetal(share=p["loss"]),
        ),
        windows=dj.Windows(fixed=400.0),
        steps=dj.Steps(fixed=100.0, max_steps=16),
    )
    assert run.ended_by == ("top_closure",)
    even = jnp.std(run.thickness[0, 0, :CELLS]) / jnp.mean(run.thickness[0, 0, :CELLS])
    scale = jnp.asarray([1e4, 1.0, 0.1, 1e4])
    found = [run.closure_time, even, run.final_voltage, run.dead_charge]
    return jnp.stack(found) / scale


NUCLEI = ("i0", "f", "sites", "capacitance", "J")
FEW = np.array([20.0, 3e-3, 1e13, 0.2, 20.0])


def nucleate(log_p):
    """The dip of the voltage on a flat collector, and the nuclei that it leaves."""
    p = dict(zip(NUCLEI, jnp.exp(log_p), strict=True))
    side = np.full(1, 1e-5)
    cell = dj.Cell(
        Scaffold.open(Grid((side, side, np.full(1, 1e-5)))),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=1.0),
        metal=dj.metals.lithium,
        separator=dj.Separator(1e-5, cells=1),
        kinetics=dj.ButlerVolmer(p["i0"]),
    )
    nucleation = dj.Nucleation(
        cell.metal, wetting_factor=p["f"], site_density=p["sites"]
    )
    run = dj.plate(
        cell,
        dj.Galvanostatic(p["J"], time=0.03),
        nucleation=nucleation,
        double_layer_capacitance=p["capacitance"],
        windows=dj.Windows(fixed=5e-4),
        steps=dj.Steps(fixed=2.5e-4, max_steps=8),
    )
    found = [run.nucleation_overpotential, jnp.log(jnp.max(run.nuclei_density))]
    return jnp.stack([*found, jnp.max(run.nuclei_radius) / 1e-8])


@pytest.mark.slow
@pytest.mark.parametrize(("answers", "start"), [(fill, START), (nucleate, FEW)])
def test_reverse_is_forward_is_a_difference(answers, start):
    key = np.random.default_rng(3)
    x = jnp.log(jnp.asarray(start))
    ahead = jnp.asarray(key.standard_normal(start.size))
    value, forward = jax.jvp(answers, (x,), (ahead,))
    assert np.all(np.isfinite(np.asarray(value)))
    assert np.all(np.abs(np.asarray(forward)) > 0)
    h = 1e-5
    difference = (answers(x + h * ahead) - answers(x - h * ahead)) / (2 * h)
    np.testing.assert_allclose(forward, difference, rtol=2e-5)
    _, back = jax.vjp(answers, x)
    weights = jnp.asarray(key.standard_normal(value.size))
    (reverse,) = back(weights)
    np.testing.assert_allclose(weights @ forward, reverse @ ahead, rtol=1e-8)
