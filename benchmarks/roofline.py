"""How near the solver's loops come to the memory bandwidth of the machine.

    python benchmarks/roofline.py [--sizes 256 512]

The bandwidth is that of `a = b + s c` over arrays as large, written in place. A loop's
share of it counts every array that it must read or write once; what is read again from
the caches is not counted. All loops run ten times within one program (on an
accelerator a hundred times), so that neither calls nor fresh pages of memory are timed.
"""

import argparse
import time

import numpy as np
from shared.machine import print_machine


def main() -> None:
    """Time the loops and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256], help="per side")
    parser.add_argument("--note", default="", help="words for the header")
    options = parser.parse_args()
    import jax

    jax.config.update("jax_enable_x64", True)
    print_machine(options.note)
    for size in options.sizes:
        for dtype in (np.float32, np.float64):
            table(size, dtype)


def table(n: int, dtype) -> None:
    """All loops in one precision."""
    import jax
    import jax.numpy as jnp

    from depojax.fv.grid import Grid
    from depojax.solvers.multigrid import build_hierarchy
    from depojax.solvers.stencil import (
        FaceStencil,
        VoxelStencil,
        padded,
        rows,
        stored,
        unfolded,
    )

    shape, walls = (n, n, n), (False, False, False)
    noise = np.random.default_rng(0).random(shape)
    phase = padded(jnp.asarray(noise < 0.6, dtype))
    one = jnp.ones((), dtype)
    voxels = VoxelStencil(phase, (one, one, one), shape, walls)
    faces = FaceStencil.of_faces(
        [unfolded(voxels.beside(a, 1), shape)[:, 1:-1, 1:-1] for a in range(3)], walls
    )
    grid = Grid.uniform(shape, jnp.asarray(1e-6, dtype))
    place = jnp.arange(n)
    loss = (place == 0).astype(dtype) * unfolded(phase, shape)[1:-1, 1:-1, 1:-1]
    b = phase * padded(jnp.asarray(noise, dtype))
    zero = jnp.zeros((), dtype)
    size = b.size * b.dtype.itemsize

    triad = seconds(lambda u, _: stored(rows(b) + 2 * rows(u)), b)
    rate = 3 * size / triad
    print(f"\n{np.dtype(dtype)}, {n}³: a = b + s c at {rate / 1e9:.1f} GB/s")
    print(f"{'loop':38} {'ms':>8} {'of the bandwidth':>17}")
    print(f"{'a = b + s c':38} {triad * 1e3:8.3f} {'100 %':>17}")
    for name, stencil, arrays in (("voxels", voxels, 4), ("faces", faces, 7)):
        cycle = build_hierarchy(grid, None, loss, stencil).cycle(zero)
        loops = {
            "sweep": (lambda u, c: c._sweep(0, u, b, 0.8), arrays),
            "A u": (lambda u, c: stored(c.levels[0].stencil.outflow(u)), arrays - 1),
            "one W-cycle": (lambda u, c: c.on_padded(u), None),
        }
        for loop, (function, count) in loops.items():
            spent = seconds(function, b, cycle)
            share = "" if count is None else f"{count * size / rate / spent:.0%}"
            print(f"{f'{loop}, {name}':38} {spent * 1e3:8.3f} {share:>17}", flush=True)
        jax.clear_caches()


def seconds(function, start, *more) -> float:
    """Per run, the best of three programs of many runs."""
    import jax

    pairs = 5 if jax.default_backend() == "cpu" else 50

    @jax.jit
    def many(u, *more):
        def pair(_, u):
            # Two at a time: a loop that ends where it began needs no copy.
            return function(function(u, *(more or (None,))), *(more or (None,)))

        return jax.lax.fori_loop(0, pairs, pair, u)

    jax.block_until_ready(many(start, *more))
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        jax.block_until_ready(many(start, *more))
        best = min(best, time.perf_counter() - begin)
    return best / (2 * pairs)


if __name__ == "__main__":
    main()
