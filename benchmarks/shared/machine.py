"""What the benchmarks run on, and how they measure."""

import os
import platform
import resource
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def timed(function) -> tuple[float, Any]:
    """Seconds until everything is really there, and what came out."""
    import jax

    start = time.perf_counter()
    result = jax.block_until_ready(function())
    return time.perf_counter() - start, result


def peak_memory() -> float:
    """Most memory of this process so far [GB]: on an accelerator, if there is one."""
    if "jax" in sys.modules:
        device = sys.modules["jax"].devices()[0]
        on_device = (device.memory_stats() or {}).get("peak_bytes_in_use")
        if on_device is not None:
            return on_device / 1e9
    scale = 1e9 if sys.platform == "darwin" else 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def print_machine(note: str = "", peers: Sequence[str] = ()) -> None:
    """What it ran on, and in whose company."""
    import jax

    packages = ("depojax", "jax", "jaxlib", "lineax", "numpy", "scipy", *peers)
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"date       {time.strftime('%Y-%m-%d %H:%M %Z')}")
    print(f"processor  {processor()}, {os.cpu_count()} cores seen")
    print(f"system     {platform.platform()}, Python {platform.python_version()}")
    print(f"device     {jax.devices()[0]} ({jax.devices()[0].device_kind})")
    print("packages   " + ", ".join(f"{name} {_version(name)}" for name in packages))
    print(f"load       {load} at the start (1 per busy core)")
    if note:
        print(f"note       {note}")


def processor() -> str:
    """Its model, as the system calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"
