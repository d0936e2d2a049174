"""Make the numbers of `pybamm_reference.json`: a half cell in PyBaMM.

    pip install pybamm==26.10.1.1
    python tests/validation/pybamm_reference.py

A porous host in front of lithium, as PyBaMM's Doyle–Fuller–Newman half cell: its
particles are made so large a store that neither potential nor kinetics see them, which
leaves a host of specific area a that plates at U = 0. The properties of the electrolyte
are typed here once more, from Landesfeind & Gasteiger 2019, doi:10.1149/2.0571912jes.

Second order in space: two grids, and the number that they tend to.
"""

import json
from pathlib import Path

import numpy as np
import pybamm

PARAMETERS = {
    "host": 100e-6,  # [m]
    "separator": 25e-6,  # [m]
    "porosity": 0.7,
    "separator_porosity": 0.45,
    "bruggeman": 1.5,  # D_eff = ε^1.5 D
    "specific_area": 1e5,  # [m-1]
    "solid_conductivity": 10.0,  # effective [S m-1]
    "concentration": 1000.0,  # [mol m-3]
    "host_exchange": 10.0,  # i0 at 1 M, ~ c^½ [A m-2]
    "counter_exchange": 30.0,
}
# Of the host, 0 at the separator: where concentrations and currents are compared.
HEIGHTS = [0.05, 0.2, 0.4, 0.6, 0.8, 0.95]
# (name, T [K], steps of (J [A m-2], time [s]))
CASES = [
    ("plate", 298.15, [(100.0, 300.0)]),
    ("plate, rest and strip", 298.15, [(250.0, 60.0), (0.0, 60.0), (-150.0, 120.0)]),
    ("warm and fast", 318.15, [(600.0, 60.0)]),
]


def diffusivity(c, T):
    """D [m² s⁻¹]."""
    c = c / 1000
    return 1.01e-7 * np.exp(1.01 * c) * np.exp(-1560 / T) * np.exp(-487 * c / T)


def conductivity(c, T):
    """κ [S m⁻¹]."""
    c = c / 1000
    ions = 1 - 1.06 * c**0.5 + 0.353 * (1 - 3.59e-3 * np.exp(1000 / T)) * c
    return 0.0521 * (T - 227) * c * ions / (1 + c**4 * 1.48e-3 * np.exp(1000 / T))


def polynomial(p, c, T):
    """The form of t₊ and of the thermodynamic factor."""
    c = c / 1000
    low = p[0] + p[1] * c + p[2] * T + p[3] * c**2 + p[4] * c * T + p[5] * T**2
    return low + p[6] * c**3 + p[7] * c**2 * T + p[8] * c * T**2


def transference(c, T):
    """t₊."""
    p = (-12.8, -6.12, 0.0821, 0.904, 0.0318, -1.27e-4, 0.0175, -3.12e-3, -3.96e-5)
    return polynomial(p, c, T)


def thermodynamic_factor(c, T):
    """1 + dln f/dln c."""
    p = (25.7, -45.1, -0.177, 1.94, 0.295, 3.08e-4, 0.259, -9.46e-3, -4.54e-4)
    return polynomial(p, c, T)


def parameter_values(T: float) -> pybamm.ParameterValues:
    """The cell in PyBaMM's names."""
    p = PARAMETERS
    values = pybamm.ParameterValues("Xu2019")
    solid = 0.3
    values.update(
        {
            "Negative electrode thickness [m]": 1e-9,
            "Negative electrode conductivity [S.m-1]": 1e10,
            "Separator thickness [m]": p["separator"],
            "Separator porosity": p["separator_porosity"],
            "Separator Bruggeman coefficient (electrolyte)": p["bruggeman"],
            "Positive electrode thickness [m]": p["host"],
            "Positive electrode porosity": p["porosity"],
            "Positive electrode Bruggeman coefficient (electrolyte)": p["bruggeman"],
            "Positive electrode Bruggeman coefficient (electrode)": 0.0,
            "Positive electrode conductivity [S.m-1]": p["solid_conductivity"],
            "Positive electrode active material volume fraction": solid,
            "Positive particle radius [m]": 3 * solid / p["specific_area"],
            "Positive particle diffusivity [m2.s-1]": 1e-8,
            "Maximum concentration in positive electrode [mol.m-3]": 9e4,
            "Initial concentration in positive electrode [mol.m-3]": 4.5e4,
            "Positive electrode OCP [V]": lambda sto: 0 * sto,
            "Positive electrode OCP entropic change [V.K-1]": 0.0,
            "Positive electrode exchange-current density [A.m-2]": (
                lambda c_e, c_surf, c_max, T: (
                    p["host_exchange"] * (c_e / p["concentration"]) ** 0.5
                )
            ),
            "Exchange-current density for lithium metal electrode [A.m-2]": (
                lambda c_e, c_Li, T: (
                    p["counter_exchange"] * (c_e / p["concentration"]) ** 0.5
                )
            ),
            "Electrolyte diffusivity [m2.s-1]": diffusivity,
            "Electrolyte conductivity [S.m-1]": conductivity,
            "Cation transference number": transference,
            "Thermodynamic factor": thermodynamic_factor,
            "Initial concentration in electrolyte [mol.m-3]": p["concentration"],
            "Ambient temperature [K]": T,
            "Initial temperature [K]": T,
            "Reference temperature [K]": T,
            "Electrode width [m]": 1.0,
            "Electrode height [m]": 1.0,
            "Lower voltage cut-off [V]": -5.0,
            "Upper voltage cut-off [V]": 5.0,
            "Current function [A]": "[input]",
        },
        check_already_exists=False,
    )
    return values


def run(T: float, steps, cells: int) -> dict[str, np.ndarray]:
    """What stands at the end of every step, on so many cells per 50 µm of host."""
    points = {"x_s": cells, "x_p": 2 * cells, "r_p": 3, "x_n": 3, "r_n": 3}
    simulation = pybamm.Simulation(
        pybamm.lithium_ion.BasicDFNHalfCell(),
        parameter_values=parameter_values(T),
        var_pts=points,
        solver=pybamm.IDAKLUSolver(rtol=1e-8, atol=1e-10),
    )
    x = PARAMETERS["separator"] + PARAMETERS["host"] * np.array(HEIGHTS)
    thermal = pybamm.constants.R.value * T / pybamm.constants.F.value
    ends: list[dict[str, np.ndarray]] = []
    for J, time in steps:
        solution = simulation.step(time, inputs={"Current function [A]": J})

        def at_end(name, solution=solution):
            return solution[name](t=solution.t[-1], x=x)

        c = at_end("Positive electrolyte concentration [mol.m-3]")
        metal = at_end("Positive electrode potential [V]")
        liquid = at_end("Positive electrolyte potential [V]")
        i0 = PARAMETERS["host_exchange"] * (c / PARAMETERS["concentration"]) ** 0.5
        ends.append(
            {
                "voltage": solution["Voltage [V]"].entries[-1],
                "concentration": c,
                "current_density": -2 * i0 * np.sinh((metal - liquid) / (2 * thermal)),
            }
        )
    return {name: np.array([end[name] for end in ends]) for name in ends[0]}


def reference(T: float, steps) -> dict:
    """Extrapolated from two grids, and by how much the finer one was off."""
    coarse, fine = (run(T, steps, cells) for cells in (80, 160))
    limit = {name: fine[name] + (fine[name] - coarse[name]) / 3 for name in fine}
    off = {name: float(np.max(np.abs(fine[name] - limit[name]))) for name in fine}
    numbers = {name: np.round(value, 8).tolist() for name, value in limit.items()}
    return {"temperature": T, "steps": steps, **numbers, "finer_grid_off_by": off}


def main() -> None:
    """Write the numbers beside this file."""
    cases = {name: reference(T, steps) for name, T, steps in CASES}
    whole = {
        "made_by": "tests/validation/pybamm_reference.py",
        "pybamm": pybamm.__version__,
        "parameters": PARAMETERS,
        "heights": HEIGHTS,
        "cases": cases,
    }
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
