"""Space charge: a steady gap beside scipy, and time steps of a host in 3D.

    python benchmarks/space_charge.py                     two gaps, and 32³ in time
    python benchmarks/space_charge.py --cells 16 32 64    more of them; 0: gaps alone
    python benchmarks/space_charge.py --no-gaps

The gap is that of Rubinstein & Shtilman: a bath at one end, at the other a metal that
keeps c₊ = c₀ and passes no anion, at V = 20 RT/F and λ_D/L = 1e-2 and 1e-3. Currents
are compared with collocation to 1e-11, in F D c₀/L. scipy's solve_bvp gets the same
equations, continuation in V from rest, and asks for 1e-6; matscipy (if installed) has
101 equal nodes and a dense Jacobian by differences, so it gets the thicker layer alone.
"""

import argparse
import importlib.util
import logging
import time
from collections.abc import Sequence

import jax
import numpy as np
from scipy.integrate import solve_bvp
from shared.machine import peak_memory, print_machine, timed

import depojax as dj
from depojax.units import FARADAY, GAS_CONSTANT, VACUUM_PERMITTIVITY, nm

EXACT = {1e-2: 2.690882862524, 1e-3: 2.110623761692}
VOLTAGE = 20.0  # [RT/F]
THERMAL = GAS_CONSTANT * 298.15 / FARADAY  # [V]
LENGTH, DIFFUSIVITY, BULK = 1e-5, 1e-9, 1.0  # [m], [m² s⁻¹], [mol m⁻³]
UNIT = FARADAY * DIFFUSIVITY * BULK / LENGTH  # [A m⁻²]


def main() -> None:
    """Print errors and seconds of the gaps, then what a time step in 3D costs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--cells", type=int, nargs="+", default=[32], help="of the host, per side"
    )
    parser.add_argument("--no-gaps", action="store_true", help="the host alone")
    parser.add_argument("--steps", type=int, default=8, help="in time, of the host")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    if not options.no_gaps:
        gaps()
    if any(options.cells):
        in_time(options.cells, options.steps)


def gaps() -> None:
    """Steady gaps by three solvers."""
    print(f"\n{'λ_D/L':>6} {'solver':>10} {'cells':>6} {'first (s)':>10} ", end="")
    print(f"{'warm (s)':>9} {'j':>10} {'error':>9}")
    for ratio, exact in EXACT.items():
        for first in (10, 40):
            row("depojax", ratio, exact, *with_depojax(ratio, first))
        row("solve_bvp", ratio, exact, *with_scipy(ratio))
    if importlib.util.find_spec("matscipy") is None:
        print("matscipy is not installed: skipped (pip install matscipy)")
    else:
        row("matscipy", 1e-2, EXACT[1e-2], *with_matscipy(1e-2))


def row(name, ratio, exact, cells, first, warm, j) -> None:
    """One line of the table."""
    print(
        f"{ratio:6g} {name:>10} {cells:6d} {first:10.2f} {warm:9.3f} {j:10.6f} "
        f"{j / exact - 1:9.1e}",
        flush=True,
    )


def with_depojax(ratio: float, first: int) -> tuple[int, float, float, float]:
    """Cells, seconds of a first and a later call, current; first cell λ_D/`first`."""
    ions = dj.Ion("Li+", 1, DIFFUSIVITY), dj.Ion("X-", -1, DIFFUSIVITY)
    salt = dj.MultiIonElectrolyte(ions, [BULK, BULK]).with_debye_length(ratio * LENGTH)
    growth = 1 + 0.3 / first
    widths = dj.stretched_widths(ratio * LENGTH / first, LENGTH, growth)
    side = np.full(1, 1e-6)
    scaffold = dj.Scaffold.open(dj.Grid((side, side, widths)))
    cell = dj.Cell(scaffold, salt, counter_electrode="reservoir")

    def solve():
        return dj.space_charge(cell, voltage=-VOLTAGE * THERMAL)

    begun, _ = timed(solve)
    warm, solution = timed(solve)
    return widths.size, begun, warm, float(solution.current_density) / UNIT


def with_scipy(ratio: float) -> tuple[int, float, float, float]:
    """Nodes, seconds twice, current.

        c₊' = j − c₊φ',   εφ' = E,   2εE' = e^φ − c₊

    y = (c₊, φ, E) and j unknown, metal at x = 0; anions at rest are c₋ = e^φ. (With c₋
    as an unknown of its own, or φ' in place of E, the nodes run into the 100 000s.)
    """

    def slopes(x, y, p):
        plus, phi, field = y
        return np.stack(
            [
                p[0] - plus * field / ratio,
                field / ratio,
                (np.exp(phi) - plus) / (2 * ratio),
            ]
        )

    begun = time.perf_counter()
    x = np.unique([*np.geomspace(1e-2 * ratio, 1, 300), *np.linspace(0, 1, 300)])
    y, p = np.stack([1 + 0 * x, 0 * x, 0 * x]), [0.0]
    for V in (0.5, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, VOLTAGE):

        def ends(a, b, p, V=V):
            return np.array([a[0] - 1, a[1] + V, b[0] - 1, b[1]])

        found = solve_bvp(slopes, ends, x, y, p, tol=1e-6, max_nodes=100_000)
        if not found.success:
            return found.x.size, *2 * (time.perf_counter() - begun,), float("nan")
        y, p = found.sol(x), found.p
    spent = time.perf_counter() - begun
    return found.x.size, spent, spent, float(p[0])


def with_matscipy(ratio: float, nodes: int = 101) -> tuple[int, float, float, float]:
    """Nodes, seconds twice, current: Newton's method from V to V."""
    from matscipy.electrochemistry.poisson_nernst_planck_solver import (
        B,
        PoissonNernstPlanckSystem,
    )

    logging.disable(logging.CRITICAL)
    per_square = GAS_CONSTANT * 298.15 / (2 * BULK * FARADAY**2)
    permittivity = (ratio * LENGTH) ** 2 / per_square / VACUUM_PERMITTIVITY
    begun, state = time.perf_counter(), None
    for V in (1.0, 2.0, 4.0, 7.0, 10.0, 13.0, 16.0, VOLTAGE):
        system = PoissonNernstPlanckSystem(
            c=np.array([BULK, BULK]), z=np.array([1, -1]), L=LENGTH, T=298.15,
            delta_u=-V * THERMAL, relative_permittivity=permittivity, N=nodes - 1,
        )  # fmt: skip
        system.use_standard_interface_bc()
        # The metal keeps its cation, which is what passes.
        system.boundary_conditions[2] = lambda x, s=system: s.left_dirichlet_bc(
            x, 0, s.c_scaled[0]
        )
        if state is not None:
            system.ui0, system.ni0 = state
        state = system.solve()[:2]
    spent = time.perf_counter() - begun
    u, (plus, _) = state
    steps = B(u[:-1] - u[1:]) * plus[1:] - B(u[1:] - u[:-1]) * plus[:-1]
    j = steps.mean() / system.dx * system.L_scaled / system.c_scaled[0]
    return nodes, spent, spent, float(j)


def in_time(sizes: Sequence[int], steps: int) -> None:
    """Time steps of pillars in three ions, by a voltage of twice the limit's."""
    print("\npillars in three ions, -0.2 V for 0.02 L²/D; seconds of clock and cpu")
    print(f"{'cells':>10} {'steps':>6} {'first':>8} {'cpu':>8} ", end="")
    print(f"{'per step':>9} {'cpu':>8} ", end="")
    print(f"{'Newton':>7} {'Krylov':>7} {'GB':>6}")
    for n in sizes:
        print(steps_of_host(n, steps), flush=True)
    print("Newton: steps per stage, two stages a step; Krylov: iterations per Newton;")
    print("the first steps follow the jump of the voltage, and are short")


def steps_of_host(n: int, steps: int) -> str:
    """One line: a first call, which compiles, and a second one."""
    ions = (
        dj.Ion("Li+", 1, 2e-10),
        dj.Ion("Cs+", 1, 4e-10),
        dj.Ion("PF6-", -1, 4e-10),
    )
    salt = dj.MultiIonElectrolyte(ions, [10.0, 2.0, 12.0])
    # One host on finer and finer grids, of 16 × 3 nm a side.
    side = 48 * nm
    host = dj.pillars(
        (n, n, n), side / n, diameter=side / 2, height=side / 2, pitch=side
    )
    cell = dj.Cell(host, salt, counter_electrode="reservoir")
    step = 0.02 * side**2 / 2e-10 / steps
    asked = {"duration": steps * step, "steps": dj.Steps(fixed=step)}

    def solve():
        return dj.space_charge(cell, voltage=-0.2, **asked)

    begun = time.process_time()
    first, _ = timed(solve)
    compiled = time.process_time() - begun
    begun = time.process_time()
    warm, run = timed(solve)
    spent = time.process_time() - begun
    count = int(run.solves)
    newton, krylov = int(run.newton_steps), int(run.linear_iterations)
    return (
        f"{n:>8}³  {count:6d} {first:8.1f} {compiled:8.1f} {warm / count:9.2f} "
        f"{spent / count:8.2f} {newton / (2 * count):7.1f} {krylov / newton:7.1f} "
        f"{peak_memory():6.2f}"
    )


if __name__ == "__main__":
    main()
