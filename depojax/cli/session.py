"""JAX as the command line wants it: precision, and programs kept between runs.

The package leaves JAX's configuration alone; a command sets it for its own duration.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import jax

from depojax._compile import WORTH_KEEPING, cache_folder


@contextlib.contextmanager
def session(precision: str) -> Iterator[None]:
    """JAX in this precision, its compiled programs kept in the cache folder."""
    wanted = {
        "jax_enable_x64": precision == "float64",
        "jax_compilation_cache_dir": str(cache_folder()),
        "jax_persistent_cache_min_compile_time_secs": WORTH_KEEPING,
    }
    before = settings(wanted)
    _configure(wanted)
    try:
        yield
    finally:
        _configure(before)


def settings(names: Iterable[str]) -> dict[str, Any]:
    """What JAX is set to now."""
    return {name: getattr(jax.config, name) for name in names}


def _configure(values: dict[str, Any]) -> None:
    before = settings(values)
    for name, value in values.items():
        jax.config.update(name, value)
    # Programs that were traced in the other precision are not told apart everywhere
    # in JAX (loops inside of jax.checkpoint, 0.10): forget them.
    if values["jax_enable_x64"] != before["jax_enable_x64"]:
        jax.clear_caches()
