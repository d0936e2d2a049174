"""What the gradient of D_eff costs, with respect to the porosity of every cell.

    python benchmarks/gradient_tortuosity.py            64 × 64 × 64 numbers
    python benchmarks/gradient_tortuosity.py --cells 32

A host of averages: in each cell a porosity ε of its own, around 0.5 and correlated over
a few cells, and a local diffusivity ε^1.5. The gradient of D_eff along z is timed
beside the value, and compared with central differences along random directions.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from scipy.ndimage import gaussian_filter
from shared.machine import peak_memory, print_machine, timed

import depojax as dj

STEP = 1e-4  # of the logarithm of ε/(1 − ε) in the central differences
DIRECTIONS = 5


def main() -> None:
    """Print seconds, their ratio, and the differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, default=64, help="along each side")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    compare(options.cells)


def compare(n: int) -> None:
    """Value and gradient on n³ cells."""
    rng = np.random.default_rng(0)
    grid = dj.Grid.uniform((n, n, n), 1e-6)
    smooth = gaussian_filter(rng.standard_normal((n, n, n)), 2, mode="wrap")
    start = jnp.asarray(smooth / smooth.std())

    def conductance(logs):
        porosity = jax.nn.sigmoid(logs)
        host = dj.Scaffold.homogenised(grid, porosity, porosity**-0.5, 1e5)
        found = dj.tortuosity(host, linear_tolerance=1e-8)
        return found.effective_diffusivity, found.iterations

    value = jax.jit(conductance)
    both = jax.jit(jax.value_and_grad(conductance, has_aux=True))
    print(f"\nD_eff along z, {n}³ porosities, float64, linear residual 1e-8")
    seconds = {}
    for name, function in (("value", value), ("value and gradient", both)):
        first, _ = timed(lambda call=function: call(start))
        warm = [timed(lambda call=function: call(start))[0] for _ in range(5)]
        seconds[name] = min(warm)
        print(f"{name:20} first call {first:6.2f} s    warm {min(warm):6.3f} s")
    ratio = seconds["value and gradient"] / seconds["value"]
    (D, iterations), slopes = both(start)
    print(f"ratio                {ratio:.2f}")
    print(f"D_eff/D              {float(D):.10f} after {int(iterations)} iterations")
    print("direction   gradient        central difference   relative difference")
    for seed in range(DIRECTIONS):
        along = np.random.default_rng(seed + 1).standard_normal((n, n, n))
        along = jnp.asarray(along / np.sqrt(along.size))
        above, below = (value(start + s * STEP * along)[0] for s in (1, -1))
        central = float(above - below) / (2 * STEP)
        slope = float(jnp.vdot(slopes, along))
        print(
            f"{seed:9} {slope:+.9e} {central:+.9e}     {abs(slope / central - 1):.1e}"
        )
    print(f"peak memory          {peak_memory():.2f} GB")


if __name__ == "__main__":
    main()
