"""Derivatives of a coupled run by reverse mode against central differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold

NAMES = ("i0", "alpha", "film", "sigma", "kappa", "c0", "D", "porosity", "area", "J")
START = np.array([5.0, 0.45, 1e-3, 8.0, 0.6, 1000.0, 3e-10, 0.7, 2e5, 60.0])
CELLS = 6


def cell_of(p):
    """A homogenised host above its collector, every number of it a parameter."""
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(CELLS, 1e-4 / CELLS)))
    # The shape: porosity and area fall towards the separator.
    slope = jnp.linspace(1.0, 0.8, CELLS)[None, None, :]
    return dj.Cell(
        Scaffold.homogenised(grid, p["porosity"] * slope, 2.0, p["area"] * slope),
        dj.BinaryElectrolyte(p["c0"], p["D"], 0.4, conductivity=p["kappa"]),
        separator=dj.Separator(2e-5, cells=2),
        kinetics=dj.ButlerVolmer(p["i0"], p["alpha"], 1 - p["alpha"]),
        counter_kinetics=dj.ButlerVolmer(20.0),
        film_resistance=p["film"],
        collector_film_resistance=1e-3,
        solid_conductivity=p["sigma"],
    )


def named(log_p):
    return dict(zip(NAMES, jnp.exp(log_p), strict=True))


def run_answers(log_p):
    """Voltage, uniformity of the current, and the lowest concentration at the end."""
    p = named(log_p)
    run = dj.simulate(
        cell_of(p),
        dj.Galvanostatic(p["J"], time=200.0),
        steps=dj.Steps(fixed=25.0, max_steps=12),
    )
    local = run.local_current_density[0, 0, :CELLS]
    spread = jnp.std(local) / jnp.mean(local)
    return jnp.stack([run.final_voltage, spread, jnp.min(run.concentration) / p["c0"]])


def sand_answer(log_p):
    p = named(log_p)
    steps = dj.Steps(fixed=0.5, max_steps=64)
    solution = dj.sand_time(cell_of(p), 40 * p["J"], steps=steps)
    return jnp.log(solution.time)[None]


RESOLVED = ("i0", "alpha", "film", "sigma", "kappa", "porosity")


def resolved_answers(log_p):
    """The same of a gyroid whose walls are resolved."""
    p = dict(zip(RESOLVED, jnp.exp(log_p), strict=True))
    size = 5e-6
    cell = dj.Cell(
        dj.gyroid((8, 8, 8), size, porosity=p["porosity"], period=8 * size),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=p["kappa"]),
        separator=dj.Separator(2e-5, cells=2),
        kinetics=dj.ButlerVolmer(p["i0"], p["alpha"], 1 - p["alpha"]),
        counter_kinetics=dj.ButlerVolmer(20.0),
        film_resistance=p["film"],
        solid_conductivity=p["sigma"],
    )
    run = dj.simulate(
        cell,
        dj.Galvanostatic(400.0, time=8.0),
        steps=dj.Steps(fixed=2.0, max_steps=8),
    )
    area = cell.scaffold.surface_area
    local = run.local_current_density[..., : area.shape[2]]
    mean = jnp.sum(area * local) / jnp.sum(area)
    spread = jnp.sqrt(jnp.sum(area * (local - mean) ** 2) / jnp.sum(area)) / mean
    salt = jnp.sum(area * run.concentration[..., : area.shape[2]]) / jnp.sum(area)
    return jnp.stack([run.final_voltage, spread, salt / 1000.0])


CASES = [(run_answers, NAMES), (sand_answer, NAMES), (resolved_answers, RESOLVED)]


@pytest.mark.slow
@pytest.mark.parametrize(("answers", "names"), CASES)
def test_reverse_mode_is_the_central_difference(answers, names):
    at = jnp.log(jnp.asarray([START[NAMES.index(name)] for name in names]))
    weights = jnp.asarray([3.0, 1.0, 0.7])[: answers(at).size]
    gradient = np.asarray(jax.grad(lambda p: weights @ answers(p))(at))
    h = 1e-4
    for k, name in enumerate(names):
        step = h * jnp.eye(len(names))[k]
        fell = weights @ answers(at - step)
        difference = float((weights @ answers(at + step) - fell) / (2 * h))
        scale = np.max(np.abs(gradient))
        assert gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-7 * scale), (
            name
        )
    assert np.all(np.isfinite(gradient))
