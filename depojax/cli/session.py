"""JAX as the command line wants it: precision, and programs kept between runs.

The package leaves JAX's configuration alone; a command sets it for its own duration.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import jax


def cache_folder() -> Path:
    """Where compiled programs are kept: depojax in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "depojax"


@contextlib.contextmanager
def session(precision: str) -> Iterator[None]:
    """JAX in this precision, its compiled programs kept in the cache folder."""
    wanted = {
        "jax_enable_x64": precision == "float64",
        "jax_compilation_cache_dir": str(cache_folder()),
        "jax_persistent_cache_min_compile_time_secs": 0.2,
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    for name, value in wanted.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
