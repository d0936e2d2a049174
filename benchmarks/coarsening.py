"""What the choices in the multigrid cycle are worth, one by one.

    python benchmarks/coarsening.py [--sizes 64 128]

Iterations of conjugate gradients to a residual of 1e-8 with the cycle as it is, and
with one choice changed at a time. docs/solver.md tells what the choices are.
"""

import argparse
import contextlib
from unittest import mock

import numpy as np
from shared.machine import print_machine
from tortuosity import blobs, image_of

MOST = 200  # iterations, where the solver gives up


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 128])
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    media = {
        "blobs 0.5": lambda n: image_of("blobs 0.5", n),
        "grains 0.5": lambda n: blobs(n, 0.5, 1.6),
        "foam 0.9": lambda n: image_of("foam 0.9", n),
        "contrast 1e6": lambda n: np.where(blobs(n, 0.5, n / 40), 1.0, 1e-6),
    }
    columns = [(name, n) for name in media for n in options.sizes]
    print("\niterations to 1e-8")
    print(f"{'':34}" + "".join(f"{name:>14}" for name, _ in columns))
    print(f"{'cycle':34}" + "".join(f"{f'{n}³':>14}" for _, n in columns))
    images = [media[name](n) for name, n in columns]
    for label, change in changes().items():
        counts = [iterations(image, change) for image in images]
        cells = "".join(f"{c if c < MOST else '–':>14}" for c in counts)
        print(f"{label:34}{cells}", flush=True)


def iterations(image, change) -> int:
    """How many, with a changed cycle."""
    import jax

    import depojax as dj

    jax.clear_caches()
    with change():
        found = dj.tortuosity(image, linear_tolerance=1e-8, throw=False)
    return int(found.iterations)


def changes() -> dict:
    """What is changed, as functions that give a context."""
    import jax

    from depojax.solvers import multigrid

    one_pass = one_sweep_weights()
    real = multigrid._distance_ratios

    def plain(*arguments):
        return [[None] * 3 for _ in real(*arguments)]

    def visits(count):
        def correct(self, index, b):
            if self.levels[index].starts is None or count == 1:
                return self._visit(index, b)

            def again(_, u):
                return u + self._visit(
                    index, multigrid.stored(self._residual(index, u, b))
                )

            return jax.lax.fori_loop(0, count, again, b * 0)

        return correct

    def patched(name, value, owner=multigrid):
        return lambda: mock.patch.object(owner, name, value)

    return {
        "as it is: W(2,2), over-corrected": contextlib.nullcontext,
        "plain aggregation (Galerkin sums)": patched("_distance_ratios", plain),
        "V instead of W": patched("_correct", visits(1), multigrid.Cycle),
        "three visits": patched("_correct", visits(3), multigrid.Cycle),
        "one sweep instead of two": patched("_visit", one_pass, multigrid.Cycle),
        "Chebyshev on [0.1, 1.95]": patched("_WEIGHTS", weights(0.1)),
        "Chebyshev on [0.7, 1.95]": patched("_WEIGHTS", weights(0.7)),
    }


def weights(low: float, high: float = 1.95) -> tuple[float, float]:
    """Chebyshev weights of two sweeps."""
    first, second = (
        2 / (high + low + (high - low) * np.cos(np.pi * (2 * k - 1) / 4))
        for k in (2, 1)
    )
    return float(first), float(second)


def one_sweep_weights():
    """A visit with one damped sweep before and one after."""
    from depojax.solvers import multigrid

    def visit(self, index, b):
        level = self.levels[index]
        if level.starts is None:
            return self.coarsest(b)
        inverse = multigrid.rows(self.inverse[index])
        u = multigrid.stored(0.8 * inverse * multigrid.rows(b))
        coarse = self._restricted_residual(index, level.starts, u, b)
        coarse = self._correct(index + 1, coarse)
        return self._sweep(
            index, self._corrected(index, level.starts, u, coarse), b, 0.8
        )

    return visit


if __name__ == "__main__":
    main()
