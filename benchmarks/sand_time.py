"""How long Sand's time takes, and how long it takes an outsider.

    python benchmarks/sand_time.py              all of it, some ten minutes on two cores
    python benchmarks/sand_time.py --quick      the small grid in float64 only

Every case runs in a process of its own, so that first calls and memory are its own.
The cell: a gyroid or a foam of 2 µm cells in 0.1 M LiPF₆, 25 µm of free electrolyte,
lithium metal; twice the limiting current.

The outsider solves the same semi-discrete problem: scipy.sparse matrices made of
depojax's own conductances, the same TR-BDF2 scheme at the very time points that depojax
chose (it gets them for nothing, and neither estimates errors nor looks for the event),
scipy's conjugate gradients to the same residual, with Jacobi's preconditioner and,
where pyamg is installed, with its smoothed aggregation.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np
from shared.machine import peak_memory, print_machine, timed

SMALL, LARGE = (48, 48, 64), (96, 96, 128)
GAMMA = 2 - math.sqrt(2)


def main() -> None:
    """Run every case and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small grid, float64 only")
    parser.add_argument("--note", default="", help="words for the header")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(run_case(**json.loads(options.child))))
        return
    print_machine(options.note)
    sizes = (SMALL,) if options.quick else (SMALL, LARGE)
    precisions = ("float64",) if options.quick else ("float64", "float32")
    print_heading()
    for size in sizes:
        for kind in ("gyroid", "foam"):
            for precision in precisions:
                print_case(kind, size, precision, in_own_process(kind, size, precision))
    gradient = in_own_process("foam", SMALL, "float64", task="gradient")
    print_gradient(gradient)
    print_peer(in_own_process("foam", SMALL, "float64", task="peer"))


def in_own_process(kind: str, size, precision: str, task: str = "forward") -> dict:
    """The numbers of one case, measured in a fresh interpreter."""
    case = {"kind": kind, "size": list(size), "precision": precision, "task": task}
    command = [sys.executable, __file__, "--child", json.dumps(case)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_case(kind: str, size: list[int], precision: str, task: str) -> dict:
    """One case, in this process."""
    import jax

    jax.config.update("jax_enable_x64", precision == "float64")
    tasks = {"forward": forward, "gradient": gradient_cost, "peer": peer}
    numbers = tasks[task](kind, tuple(size))
    return numbers | {"memory": peak_memory()}


def make_scaffold(kind: str, size, seed: int = 7):
    """A gyroid or a foam of 2 µm cells."""
    import depojax as dj
    from depojax.units import um

    if kind == "gyroid":
        return dj.gyroid(size, 2 * um, porosity=0.8, period=48 * um)
    return dj.foam(size, 2 * um, porosity=0.9, pore_diameter=48 * um, key=seed)


def make_cell(scaffold):
    """The scaffold in 0.1 M LiPF₆ before a free gap of 25 µm and lithium metal."""
    import depojax as dj
    from depojax.units import M, um

    solution = dj.electrolytes.lipf6_ec_emc(0.1 * M)
    return dj.Cell(scaffold, solution, metal=dj.metals.lithium, separator=25 * um)


def forward(kind: str, size) -> dict:
    """Construction, limiting current, Sand's time: first and warm."""
    import depojax as dj

    build_first, scaffold = timed(lambda: make_scaffold(kind, size))
    build_warm, scaffold = timed(lambda: make_scaffold(kind, size))
    cell = make_cell(scaffold)
    limit_first, limit = timed(lambda: dj.limiting_current(cell))
    limit_warm, limit = timed(lambda: dj.limiting_current(cell))
    J = 2 * limit
    first, solution = timed(lambda: dj.sand_time(cell, J))
    warm, solution = timed(lambda: dj.sand_time(cell, J))
    return {
        "build": (build_first, build_warm),
        "limit": (limit_first, limit_warm),
        "sand": (first, warm),
        "cells": math.prod(cell.grid.shape),
        "steps": int(solution.steps),
        "attempts": int(solution.attempts),
        "iterations": int(solution.linear_iterations),
        "time": float(solution.time),
    }


def gradient_cost(kind: str, size) -> dict:
    """Reverse mode for every number in the cell, against the value alone."""
    import equinox as eqx

    import depojax as dj

    cell = make_cell(make_scaffold(kind, size))
    J = 2 * dj.limiting_current(cell)

    @eqx.filter_jit
    def value(cell, J):
        return dj.sand_time(cell, J).time

    @eqx.filter_jit
    def gradient(cell, J):
        return eqx.filter_value_and_grad(lambda cell: dj.sand_time(cell, J).time)(cell)

    first_value, _ = timed(lambda: value(cell, J))
    before = peak_memory()
    first_gradient, _ = timed(lambda: gradient(cell, J))
    return {
        "value": (first_value, timed(lambda: value(cell, J))[0]),
        "gradient": (first_gradient, timed(lambda: gradient(cell, J))[0]),
        "more_memory": peak_memory() - before,
    }


def peer(kind: str, size) -> dict:
    """depojax and the outsiders on the same steps of the same problem."""
    import depojax as dj
    from depojax.problems.currents import ConstantCurrent
    from depojax.problems.salt_balance import salt_balance

    cell = make_cell(make_scaffold(kind, size))
    J = 2 * dj.limiting_current(cell)
    dj.sand_time(cell, J)
    warm, solution = timed(lambda: dj.sand_time(cell, J))
    times = np.asarray(solution.history.time)
    balance = salt_balance(cell, ConstantCurrent(J), 1e-9)
    problem = SparseProblem(balance, float(J))
    outsiders = {"scipy CG, Jacobi": jacobi}
    if find_spec("pyamg"):
        outsiders["scipy CG, pyamg"] = smoothed_aggregation
    runs = {}
    for name, preconditioner in outsiders.items():
        start = time.perf_counter()
        u, iterations = problem.integrate(times[np.isfinite(times)], preconditioner)
        runs[name] = {
            "seconds": time.perf_counter() - start,
            "iterations": iterations,
            "lowest": problem.lowest_wall(u),
        }
    return {
        "depojax": warm,
        "iterations": int(solution.linear_iterations),
        "steps": int(np.isfinite(times).sum() - 1),
        "runs": runs,
    }


class SparseProblem:
    """The same balance as scipy matrices: m u' = f − K u on the open cells."""

    def __init__(self, balance, J: float):
        import scipy.sparse as sp

        shape = balance.mass.shape
        index = np.arange(math.prod(shape)).reshape(shape)
        rows, columns, values = [], [], []
        for axis, g in enumerate(balance.conductance):
            n = shape[axis]
            below = np.take(index, range(n - 1), axis).ravel()
            above = np.take(index, range(1, n), axis).ravel()
            inner = np.take(np.asarray(g), range(1, n), axis).ravel()
            rows += [below, above]
            columns += [above, below]
            values += [inner, inner]
        links = (np.concatenate(rows), np.concatenate(columns))
        size = index.size
        matrix = sp.csr_matrix((np.concatenate(values), links), (size, size))
        loss = np.asarray(balance.loss).ravel() + np.asarray(matrix.sum(1)).ravel()
        matrix = sp.diags(loss) - matrix
        mass = np.asarray(balance.mass).ravel()
        self.open = mass > 0
        self.K = matrix.tocsr()[self.open][:, self.open]
        self.mass = mass[self.open]
        source = J * np.asarray(balance.inflow - balance.sink)
        self.source = source.ravel()[self.open]
        self.drop = J * np.asarray(balance.drop).ravel()[self.open]
        self.wall = np.asarray(balance.wall).ravel()[self.open]

    def lowest_wall(self, u: np.ndarray) -> float:
        """Lowest wall concentration / c₀: zero at depojax's Sand's time."""
        return float(np.min((1 + u - self.drop)[self.wall]))

    def integrate(self, times: np.ndarray, preconditioner) -> tuple[np.ndarray, int]:
        """TR-BDF2 over given times; the state and the number of CG iterations."""
        u, ready = np.zeros_like(self.mass), {}
        count = 0
        for dt in np.diff(times):
            a = GAMMA / 2 * dt
            key = round(math.log2(dt), 3)
            if key not in ready:
                ready = {key: self._prepare(a, preconditioner)}
            A, M = ready[key]
            rate = self.source - self.K @ u
            known = self.mass * u + a * rate
            middle, first = self._solve(A, M, known / a + self.source, u)
            rate = rate + self.source - self.K @ middle
            known = self.mass * u + math.sqrt(2) / 4 * dt * rate
            u, second = self._solve(A, M, known / a + self.source, middle)
            count += first + second
        return u, count

    def _prepare(self, a: float, preconditioner):
        import scipy.sparse as sp

        A = (sp.diags(self.mass / a) + self.K).tocsr()
        return A, preconditioner(A)

    def _solve(self, A, M, b, guess):
        from scipy.sparse.linalg import cg

        count = [0]

        def tick(_):
            count[0] += 1

        u, bad = cg(A, b, x0=guess, rtol=1e-9, M=M, maxiter=5000, callback=tick)
        if bad:
            raise RuntimeError(f"The outsider's CG stopped with code {bad}.")
        return u, count[0]


def jacobi(A):
    """Division by the diagonal."""
    import scipy.sparse as sp

    return sp.diags(1 / A.diagonal())


def smoothed_aggregation(A):
    """A V-cycle of pyamg, set up anew whenever the step changes."""
    import pyamg  # pyright: ignore[reportMissingImports]

    return pyamg.smoothed_aggregation_solver(A).aspreconditioner()


def print_heading() -> None:
    """Columns of the table of cases."""
    print("\nSeconds, first call (with compilation) / warm; twice the limiting current")
    print(
        f"{'scaffold':8} {'cells':>11} {'':7} {'construction':>14} {'limit':>14} "
        f"{'sand_time':>14} {'steps':>5} {'its/solve':>9} {'ms/it':>6} "
        f"{'ms/it/Mcell':>11} {'GB':>5} {'tau (s)':>9}"
    )


def print_case(kind: str, size, precision: str, r: dict) -> None:
    """One line of the table."""
    pairs = [
        f"{first:7.2f}/{warm:6.2f}"
        for first, warm in (r["build"], r["limit"], r["sand"])
    ]
    per_iteration = 1e3 * r["sand"][1] / r["iterations"]
    solves = 2 * r["attempts"]
    print(
        f"{kind:8} {'x'.join(map(str, size)):>11} {precision:7} "
        f"{' '.join(pairs)} {r['steps']:5d} {r['iterations'] / solves:9.1f} "
        f"{per_iteration:6.2f} {per_iteration * 1e6 / r['cells']:11.1f} "
        f"{r['memory']:5.2f} {r['time']:9.5g}",
        flush=True,
    )


def print_gradient(r: dict) -> None:
    """The cost of a gradient."""
    (_, value), (first, warm) = r["value"], r["gradient"]
    print("\nGradient with respect to every number in the cell, foam 48x48x64, float64")
    print(f"value {value:.2f} s, value and gradient {warm:.2f} s (first {first:.1f} s)")
    print(
        f"ratio {warm / value:.2f}, {r['more_memory']:.2f} GB more memory", flush=True
    )


def print_peer(r: dict) -> None:
    """depojax beside the outsiders."""
    print(f"\nThe outsider on the same {r['steps']} steps, foam 48x48x64, float64")
    print(f"{'':18} {'seconds':>8} {'x depojax':>9} {'iterations':>10}  lowest c_s/c0")
    print(f"{'depojax, warm':18} {r['depojax']:8.2f} {1:9.2f} {r['iterations']:10d}  0")
    for name, run in r["runs"].items():
        print(
            f"{name:18} {run['seconds']:8.2f} {run['seconds'] / r['depojax']:9.2f} "
            f"{run['iterations']:10d}  {run['lowest']:.1e}"
        )
    if "scipy CG, pyamg" not in r["runs"]:
        print("pyamg is not installed: pip install pyamg")


if __name__ == "__main__":
    main()
