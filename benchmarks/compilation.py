"""What compilation costs, and what XLA's last optimisations would bring.

    python benchmarks/compilation.py              tortuosity at 128³, Sand of a foam
    python benchmarks/compilation.py --cells 64   the factor at 64³ alone

Every line is a process of its own: a first call, which compiles, and the best of two
more. Seconds of the clock and of the processor; then what of the first call went into
tracing, into lowering, and into XLA (by the clock). "as XLA likes" is what `jax.jit`
alone would do, "quickly" what depojax asks for (`depojax._compile`).
"""

import argparse
import subprocess
import sys
import time

from shared.machine import print_machine

WAYS = ("as XLA likes", "quickly")
PARTS = {
    "trace": "/jax/core/compile/jaxpr_trace_duration",
    "lower": "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "XLA": "/jax/core/compile/backend_compile_duration",
}


def main() -> None:
    """Print first and later calls, both ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cells", type=int, help="of the factor, per side; no foam")
    parser.add_argument("--note", default="", help="words for the header")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_case(*options.child)
        return
    print_machine(options.note)
    cases = [("tortuosity", options.cells or 128)]
    if options.cells is None:
        cases.append(("sand_time", 96))
    calls = f"{'first (s)':>10} {'cpu':>8} {'later (s)':>10} {'cpu':>8}"
    parts = " ".join(f"{name:>8}" for name in PARTS)
    print(f"\n{'':46} {calls} {parts}")
    for question, n in cases:
        for way in WAYS:
            case = [question, str(n), way]
            command = [sys.executable, __file__, "--child", *case]
            subprocess.run(command, check=True)


def run_case(question: str, n: str, way: str) -> None:
    """One line of the table."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from depojax import _compile

    if way == WAYS[0]:
        _compile._QUICKER.clear()
    solve = {"tortuosity": factor, "sand_time": sand}[question](int(n))
    told: dict[str, float] = dict.fromkeys(PARTS.values(), 0.0)

    def listen(event: str, seconds: float, **_) -> None:
        if event in told:
            told[event] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    spent = [seconds(solve)]
    parts = " ".join(f"{told[event]:8.2f}" for event in PARTS.values())
    spent += [seconds(solve) for _ in range(2)]
    first, later = spent[0], min(spent[1:])
    label = f"{question}, {n} cells a side, {way}"
    print(
        f"{label:46} {first[0]:10.2f} {first[1]:8.2f} {later[0]:10.2f} {later[1]:8.2f}"
        f" {parts}",
        flush=True,
    )


def factor(n: int):
    """The tortuosity factor of a gyroid's voxels."""
    import numpy as np

    import depojax as dj

    host = dj.gyroid((n,) * 3, 1e-6, porosity=0.6, period=n / 2 * 1e-6)
    image = np.asarray(host.pore_fraction) > 0.5
    return lambda: float(dj.tortuosity(image).effective_diffusivity)


def sand(n: int):
    """Sand's time of a foam, a third deeper than wide."""
    import depojax as dj
    from depojax.units import M, cm, mA, um

    foam = dj.foam(
        (n, n, 4 * n // 3), 2 * um, porosity=0.9, pore_diameter=48 * um, key=7
    )
    electrolyte = dj.electrolytes.lipf6_ec_emc(1 * M)
    cell = dj.Cell(foam, electrolyte, separator=25 * um)
    return lambda: float(dj.sand_time(cell, 150 * mA / cm**2).time)


def seconds(function) -> tuple[float, float]:
    """Of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
