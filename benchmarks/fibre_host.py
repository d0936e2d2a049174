"""Sand's time of a resolved fibre mat whose kinetics share out the current.

    python benchmarks/fibre_host.py              64 × 64 × 77 cells; some minutes
    python benchmarks/fibre_host.py --cells 16   small

Salt, both potentials and kinetics behind a film are solved together, in a host of
1e4 S m⁻¹ below a separator of 25 µm.
"""

import argparse

import jax
from shared.machine import peak_memory, print_machine, timed

import depojax as dj


def main() -> None:
    """Print the answer, what it took, and how the solvers fared."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=64, help="along each side")
    parser.add_argument("--current", type=float, default=2000.0, help="[A m-2]")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    cell = fibre_cell(options.cells)
    seconds, solution = timed(lambda: dj.sand_time(cell, options.current))
    print(f"\ncells                 {cell.grid.shape}")
    print(f"first call            {seconds:.1f} s")
    print(solution.message)
    print(f"steps, tries          {int(solution.steps)}, {int(solution.attempts)}")
    newton, gmres = int(solution.newton_steps), int(solution.linear_iterations)
    stages = 2 * int(solution.attempts)
    print(f"Newton steps          {newton}, {newton / stages:.1f} per stage")
    print(f"GMRES iterations      {gmres}, {gmres / newton:.1f} per Newton step")
    print(f"salt balance          {float(solution.salt_balance_error):.1e}")
    print(f"peak memory           {peak_memory():.2f} GB")


def fibre_cell(n: int) -> dj.Cell:
    """A mat of n³ cells and its separator."""
    size = 2e-6
    host = dj.fibre_mat((n, n, n), size, porosity=0.85, fibre_diameter=8e-6, key=3)
    kinetics = dj.ButlerVolmer(30.0)
    return dj.Cell(
        host,
        dj.ConcentratedElectrolyte(dj.electrolytes.lipf6_ec_emc, 1000.0),
        kinetics=kinetics,
        counter_kinetics=kinetics,
        film_resistance=1e-3,
        separator=dj.Separator(25e-6, porosity=0.45, tortuosity_factor=3.0),
        solid_conductivity=1e4,
    )


if __name__ == "__main__":
    main()
