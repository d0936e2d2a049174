"""A porous host against lithium, beside PyBaMM on the same problem.

    python benchmarks/half_cell.py            needs `pip install pybamm`

Both solve the homogenised half cell in one dimension: a concentrated solution of LiPF₆
(Nyman's properties, as PyBaMM ships them), Butler–Volmer kinetics on the host and on
the lithium foil, electrons in the host. PyBaMM's is its DFN half-cell model: with an
open-circuit potential of zero and kinetics that know nothing of the particles, its
electrode is a host that is plated.
"""

import argparse
import time

import jax
import numpy as np
from shared.machine import print_machine

THICKNESS, GAP = 200e-6, 50e-6  # host and separator [m]
POROSITY, SEPARATOR_POROSITY = 0.8, 0.5
BRUGGEMAN = 1.5  # D_eff = D ε^1.5
AREA = 2e5  # of the host per volume [m⁻¹]
CONDUCTIVITY = 50.0  # effective, of the host [S m⁻¹]
HOST_I0, FOIL_I0 = 5.0, 20.0  # at 1 M [A m⁻²]
CURRENT = 40.0  # [A m⁻²]
TIMES = np.array([1.0, 10.0, 60.0, 300.0, 1200.0])  # [s]
START = 1000.0  # [mol m⁻³]


def main() -> None:
    """Run both, print voltages, concentrations and rates beside each other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=100, help="in the host")
    options = parser.parse_args()
    print_machine()
    theirs, their_time = with_pybamm(options.cells)
    ours, our_times = with_depojax(options.cells)
    print(f"\n{options.cells} cells in the host, {CURRENT / 10:g} mA cm⁻²")
    print(
        f"PyBaMM {their_time:.2f} s; depojax {our_times[0]:.2f} s with compilation, "
        f"{our_times[1]:.2f} s warm"
    )
    print(f"{'time (s)':>9} {'V PyBaMM':>12} {'V depojax':>12} {'difference':>11}")
    for t, a, b in zip(TIMES, theirs["voltage"], ours["voltage"], strict=True):
        print(f"{t:9.0f} {a:12.6f} {b:12.6f} {b / a - 1:11.1e}")
    for name in ("concentration", "rate"):
        a, b = theirs[name], ours[name]
        worst = np.max(np.abs(b - a)) / np.max(np.abs(a))
        print(f"{name} at the end: largest difference {worst:.1e} of the largest value")


def with_pybamm(cells: int):
    """Voltage at the times, and profiles in the host at the end, from the collector."""
    import pybamm

    model = pybamm.lithium_ion.DFN(
        {"working electrode": "positive", "particle": "uniform profile"}
    )
    values = pybamm.ParameterValues("Xu2019")
    nyman = pybamm.ParameterValues("Chen2020")
    electrolyte = (
        "Electrolyte diffusivity [m2.s-1]",
        "Electrolyte conductivity [S.m-1]",
        "Cation transference number",
        "Thermodynamic factor",
    )
    radius, solid = 1e-6, AREA * 1e-6 / 3  # a = 3 ε_s/r
    changed = {key: nyman[key] for key in electrolyte}
    changed |= {
        "Positive electrode thickness [m]": THICKNESS,
        "Separator thickness [m]": GAP,
        "Positive electrode porosity": POROSITY,
        "Separator porosity": SEPARATOR_POROSITY,
        "Positive electrode Bruggeman coefficient (electrolyte)": BRUGGEMAN,
        "Separator Bruggeman coefficient (electrolyte)": BRUGGEMAN,
        "Positive electrode Bruggeman coefficient (electrode)": 0.0,
        "Positive electrode conductivity [S.m-1]": CONDUCTIVITY,
        "Positive particle radius [m]": radius,
        "Positive electrode active material volume fraction": solid,
        "Maximum concentration in positive electrode [mol.m-3]": 1e7,
        "Initial concentration in positive electrode [mol.m-3]": 1e6,
        "Positive electrode OCP [V]": lambda stoichiometry: 0 * stoichiometry,
        "Positive electrode OCP entropic change [V.K-1]": 0.0,
        "Positive electrode exchange-current density [A.m-2]": (
            lambda c, c_surface, c_max, T: HOST_I0 * (c / START) ** 0.5 + 0 * c_surface
        ),
        "Exchange-current density for lithium metal electrode [A.m-2]": (
            lambda c, c_metal, T: FOIL_I0 * (c / START) ** 0.5
        ),
        "Initial concentration in electrolyte [mol.m-3]": START,
        "Ambient temperature [K]": 298.15,
        "Initial temperature [K]": 298.15,
        "Reference temperature [K]": 298.15,
        "Lower voltage cut-off [V]": -10.0,
        "Upper voltage cut-off [V]": 10.0,
        "Current function [A]": CURRENT
        * values["Electrode width [m]"]
        * values["Electrode height [m]"],
    }
    values.update(changed, check_already_exists=False)
    simulation = pybamm.Simulation(
        model,
        parameter_values=values,
        solver=pybamm.IDAKLUSolver(rtol=1e-9, atol=1e-11),
        var_pts=model.default_var_pts | {"x_s": cells // 4, "x_p": cells, "r_p": 4},
    )
    begun = time.perf_counter()
    solution = simulation.solve(np.concatenate([[0.0], TIMES]))
    spent = time.perf_counter() - begun
    concentration, rate = (
        solution[name].entries[:, -1]
        for name in (
            "Positive electrolyte concentration [mol.m-3]",
            "Positive electrode interfacial current density [A.m-2]",
        )
    )
    found = {
        "voltage": solution["Voltage [V]"](t=TIMES),
        "concentration": concentration[::-1],
        "rate": -rate[::-1],
    }
    return found, spent


def with_depojax(cells: int):
    """The same by `depojax.simulate`."""
    import pybamm

    import depojax as dj
    from depojax.fv.grid import Grid

    jax.config.update("jax_enable_x64", True)
    side = np.full(1, 1e-5)
    grid = Grid((side, side, np.full(cells, THICKNESS / cells)))
    cell = dj.Cell(
        dj.Scaffold.homogenised(grid, POROSITY, POROSITY ** (1 - BRUGGEMAN), AREA),
        dj.electrolytes.from_pybamm(pybamm.ParameterValues("Chen2020"), START, 298.15),
        separator=dj.Separator(
            GAP,
            SEPARATOR_POROSITY,
            SEPARATOR_POROSITY ** (1 - BRUGGEMAN),
            cells=cells // 4,
        ),
        kinetics=dj.ButlerVolmer(HOST_I0),
        counter_kinetics=dj.ButlerVolmer(FOIL_I0),
        solid_conductivity=CONDUCTIVITY,
        plated_collector=False,
    )
    plate = [
        dj.Galvanostatic(CURRENT, time=float(span))
        for span in np.diff(TIMES, prepend=0.0)
    ]
    steps = dj.Steps(tolerance=1e-6)
    spent = []
    for _ in range(2):
        begun = time.perf_counter()
        run = jax.block_until_ready(dj.simulate(cell, plate, steps=steps))
        spent.append(time.perf_counter() - begun)
    ends = [np.flatnonzero(np.asarray(run.step) == k)[-1] for k in range(len(TIMES))]
    found = {
        "voltage": np.asarray(run.voltage)[ends],
        "concentration": np.asarray(run.concentration)[0, 0, :cells],
        "rate": np.asarray(run.local_current_density)[0, 0, :cells],
    }
    return found, spent


if __name__ == "__main__":
    main()
