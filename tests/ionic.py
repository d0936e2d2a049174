"""A cell with ions told one by one, and a made-up solution of it.

For files and figures. The numbers obey no equation; each is another, so that none can
stand for another.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import depojax as dj
from depojax.problems.ion_assembly import ion_model
from depojax.problems.ion_balance import begin
from depojax.units import nm

SHAPE = (5, 4, 6)


def made_up_cell(**options):
    """Pillars of 20 nm in three ions, beneath a gap of two layers."""
    scaffold = dj.pillars(
        SHAPE, 5 * nm, diameter=18 * nm, height=20 * nm, pitch=30 * nm
    )
    ions = dj.Ion("Li+", 1, 2e-10), dj.Ion("Cs+", 1, 2e-9), dj.Ion("PF6-", -1, 4e-10)
    electrolyte = dj.MultiIonElectrolyte(ions, [10.0, 2.0, 12.0])
    return dj.Cell(scaffold, electrolyte, **({"separator": 10 * nm} | options))


def made_up_solution(cell=None, **changes):
    """40 ns of it that end at −0.5 V and 300 A m⁻²."""
    cell = made_up_cell() if cell is None else cell
    shape = cell.grid.shape
    x, y, z = np.meshgrid(
        *(np.asarray(c) / nm for c in cell.grid.centers), indexing="ij"
    )
    wet = np.asarray(cell.domain().pore_fraction) > 0
    area = np.asarray(cell.scaffold.surface_area)
    host = np.pad(area, [(0, 0), (0, 0), (0, shape[2] - area.shape[2])]) > 0
    bulk = np.asarray(cell.ions.concentrations)
    shares = np.stack([0.1 + z / z.max(), 1.2 - z / z.max(), (z / z.max()) ** 3])
    time = np.asarray([0.0, 1e-8, 4e-8])
    values = {
        "voltage": -0.5,
        "current_density": 300.0,
        "ion_concentration": bulk[:, None, None, None] * shares * wet,
        "potential": -0.01 * (z.max() - z) * wet,
        "charge_density": 1e6 * (1 - z / 12 + 0.01 * x) * wet,
        "electric_field": 1e6 * np.stack([x, -y, 2 * z]) * wet,
        "host_field": np.where(host, -1e7 - 1e5 * x, 0.0),
        "collector_field": -2e7 - 1e5 * x[..., 0],
        "local_current_density": np.where(host, 100 + z, 0.0),
        "collector_current_density": 50 + y[..., 0],
        "ion_current_density": np.array([280.0, 20.0, 0.0]),
        "reduction_margin": np.array([-0.4, -0.02, np.nan]),
        "layer_thickness": 3e-9,
        "local_layer_thickness": np.where(host, 2e-9 + 1e-10 * z, 0.0),
        "local_onset_time": np.where(host, 1e-8 + 1e-10 * z, np.inf),
        "limiting_current": np.nan,
        "charge": 1.2e-5,
        "end_time": 4e-8,
        "time": time,
        "voltage_history": -0.5 + 1e6 * (time - 4e-8),
        "current_density_history": 300.0 + 1e9 * (4e-8 - time),
        "layer_thickness_history": 0.075 * time,
        "lowest_concentration": 10.0 - 2e8 * time,
        "newton_steps": np.int32(41),
        "most_newton_steps": np.int32(7),
        "linear_iterations": np.int32(190),
        "solves": np.int32(2),
    }
    state = begin(ion_model(cell, neutral=False))
    given = {name: jnp.asarray(value) for name, value in values.items()}
    others = {
        "debye_length": cell.ions.debye_length,
        "result": dj.RESULTS.successful,
        "cell": cell,
        "state": state,
        "ions": cell.ions.names,
        "electroneutral": False,
    }
    return dj.SpaceCharge(**(given | others | changes))


def steady(solution):
    """The same as a steady state."""
    histories = {
        name: getattr(solution, name)[-1:]
        for name in (
            "voltage_history",
            "current_density_history",
            "layer_thickness_history",
            "lowest_concentration",
        )
    }
    forever = jnp.asarray(jnp.inf)
    return dataclasses.replace(
        solution, end_time=forever, time=forever[None], **histories
    )


def made_up_curve(last):
    """Three voltages, one of them without a solution, that end with a solution."""
    V = jnp.asarray([-0.1, -0.3, -0.5])
    return dj.SpaceChargeCurve(
        voltage=V,
        current_density=jnp.asarray([100.0, jnp.nan, 300.0]),
        layer_thickness=-6e-9 * V,
        highest_field=-1e8 * V,
        newton_steps=jnp.asarray([6, 5, 4], jnp.int32),
        found=jnp.asarray([True, False, True]),
        last=last,
    )
