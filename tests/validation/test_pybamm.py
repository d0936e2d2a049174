"""A half cell as PyBaMM solves it: a porous host that plates, in front of lithium.

The numbers are those of `pybamm_reference.json`; the script beside it made them.
"""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import depojax as dj
from depojax.fv.grid import Grid

REFERENCE = json.loads(Path(__file__).with_name("pybamm_reference.json").read_text())
WHERE = REFERENCE["parameters"]
AGREEMENT = 1e-3


def half_cell(temperature, cells):
    """The cell of the reference, `cells` along the host."""
    side, p = np.full(1, 1e-5), WHERE
    grid = Grid((side, side, np.full(cells, p["host"] / cells)))

    def tortuosity_factor(porosity):
        return porosity ** (1 - p["bruggeman"])

    return dj.Cell(
        dj.Scaffold.homogenised(
            grid,
            p["porosity"],
            tortuosity_factor(p["porosity"]),
            p["specific_area"],
        ),
        dj.ConcentratedElectrolyte(
            dj.electrolytes.lipf6_ec_emc_landesfeind2019,
            p["concentration"],
            temperature,
        ),
        separator=dj.Separator(
            p["separator"],
            p["separator_porosity"],
            tortuosity_factor(p["separator_porosity"]),
            cells=cells // 2,
        ),
        kinetics=dj.ButlerVolmer(p["host_exchange"]),
        counter_kinetics=dj.ButlerVolmer(p["counter_exchange"]),
        plated_collector=False,
        solid_conductivity=p["solid_conductivity"],
    )


def at_heights(cell, field):
    """A field of the host where the reference has it: 0 is at the separator."""
    height = np.cumsum(cell.scaffold.grid.widths[2]) - cell.scaffold.grid.widths[2] / 2
    values = np.asarray(field)[0, 0, : height.size]
    return CubicSpline(height, values)(
        WHERE["host"] * (1 - np.array(REFERENCE["heights"]))
    )


@pytest.mark.parametrize(
    "name",
    [
        "plate, rest and strip",
        pytest.param("plate", marks=pytest.mark.slow),
        pytest.param("warm and fast", marks=pytest.mark.slow),
    ],
)
def test_half_cell_beside_pybamm(name):
    case = REFERENCE["cases"][name]
    cell, run = half_cell(case["temperature"], 48), None
    # At rest what is left is told in parts of what flowed before.
    volts, local = (np.array(case[key]) for key in ("voltage", "current_density"))
    least = AGREEMENT * np.max(np.abs(volts)), AGREEMENT * np.max(np.abs(local))
    for index, (J, time) in enumerate(case["steps"]):
        step = dj.Galvanostatic(J, time=time) if J else dj.Rest(time)
        run = dj.simulate(cell, step, start=run)
        assert run.ended_by == ("time",)
        assert float(jnp.max(run.charge_imbalance)) < 1e-8
        found = {
            "voltage": (run.final_voltage, 0 if J else least[0]),
            "concentration": (at_heights(cell, run.concentration), 0),
            "current_density": (
                at_heights(cell, run.local_current_density),
                0 if J else least[1],
            ),
        }
        for key, (value, atol) in found.items():
            np.testing.assert_allclose(
                value, case[key][index], rtol=AGREEMENT, atol=atol, err_msg=key
            )
