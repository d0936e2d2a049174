"""A resolved fibre mat that is plated until its pores close.

    python benchmarks/filling.py              64 × 64 × 64 cells; four minutes
    python benchmarks/filling.py --cells 24   small: a minute
    python benchmarks/filling.py --closed 1e-5 --displaced solvent --current 20
                                              to the first pore that closes

A hundredth of all pore volume that is shut off ends it. Electrolyte leaves with its
salt: were the solvent alone squeezed out, the rest would become so rich that it hardly
conducts, and at 20 A m⁻² the top would be plated and depleted before a pore of any size
has closed.

Every window solves the coupled cell in the pores as they are, moves the wall by what
was plated, and cuts the cells anew. Time steps of a tolerance of 1e-3 are enough beside
windows of 5 %: at 24³ cells the first pore closes within 4e-7 of the time that 1e-4
gives. Windows of 10 % let the wall move by a cell.
"""

import argparse
import time

import jax
from shared.machine import peak_memory, print_machine, timed

import depojax as dj
from depojax.solvers.results import RESULTS


def main() -> None:
    """Print how the mat fills, what it took, and what is kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=64, help="along each side")
    parser.add_argument("--exchange", type=float, default=3.0, help="i0 [A m-2]")
    parser.add_argument("--current", type=float, default=5.0, help="[A m-2]")
    parser.add_argument("--change", type=float, default=0.1, help="of a window")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="of time steps")
    parser.add_argument("--closed", type=float, default=0.01, help="share that ends it")
    parser.add_argument("--displaced", default="electrolyte", help="or solvent")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    cell = mat(options.cells, options.exchange)
    step = dj.Galvanostatic(options.current, time=1e6)
    growth = dj.LevelSetGrowth(closed=options.closed, displaced=options.displaced)
    settings = {
        "growth": growth,
        "windows": dj.Windows(options.change),
        "steps": dj.Steps(options.tolerance),
    }
    begun = time.process_time()
    seconds, run = timed(lambda: dj.plate(cell, step, **settings, throw=False))
    spent = time.process_time() - begun
    print(f"\ncells                 {cell.grid.shape}")
    print(f"wall time             {seconds:.1f} s, compilation included")
    print(f"processor time        {spent:.1f} s")
    print(f"ended by              {run.ended_by[-1]} after {float(run.end_time):.1f} s")
    print(f"result                {RESULTS[run.result] or 'successful'}")
    print(f"porosity              {float(cell.scaffold.porosity):.4f} at first,")
    print(f"                      {float(run.window_porosity[-1]):.4f} at the end")
    print(f"windows, steps        {int(run.windows)}, {int(run.time_steps)}")
    print(
        f"Newton, GMRES         {int(run.newton_steps)}, {int(run.linear_iterations)}"
    )
    print(f"Faraday mismatch      {float(run.faraday_mismatch):.1e}")
    print(f"salt mismatch         {float(run.salt_mismatch):.1e}")
    print(f"peak memory           {peak_memory():.2f} GB")


def mat(n: int, exchange: float) -> dj.Cell:
    """A mat of n³ cells and its separator; i₀ [A m⁻²]."""
    host = dj.fibre_mat((n, n, n), 2e-6, porosity=0.85, fibre_diameter=1.2e-5, key=3)
    kinetics = dj.ButlerVolmer(exchange)
    return dj.Cell(
        host,
        dj.ConcentratedElectrolyte(dj.electrolytes.lipf6_ec_emc, 1000.0),
        metal=dj.metals.lithium,
        kinetics=kinetics,
        counter_kinetics=kinetics,
        separator=dj.Separator(25e-6, porosity=0.45, tortuosity_factor=3.0),
    )


if __name__ == "__main__":
    main()
