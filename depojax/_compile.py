"""Compilation of large programs: quickly, and once.

XLA's newer CPU emitters and its last optimisations take a good part of the compilation
and pay in hardly any run (`benchmarks/compilation.py`). A first tortuosity factor at
128³ takes 3.2 instead of 5.2 s of processor time, a later one the same 0.6 s; Sand's
time on 1.3 million cells 28 instead of 36 s at first and 19 instead of 21 s later.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import refuse
from depojax._sums import added
from depojax._types import is_traced

_QUICKER = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


def compiled_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """`equinox.filter_jit` that spares XLA on CPU what does not pay.

    Inside of other transformations it is `filter_jit`, for JAX takes options for the
    outermost program only.
    """
    plain = eqx.filter_jit(function)

    @functools.cache
    def quick() -> Callable[..., Any]:
        # The stub of filter_jit does not know that it hands options on to jax.jit.
        return eqx.filter_jit(function, compiler_options=_QUICKER)  # pyright: ignore

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        numbers = [x for x in jax.tree.leaves(arguments) if eqx.is_array(x)]
        # Inside of another program even a constant is traced.
        if any(map(is_traced, [*numbers, jnp.zeros(())])) or not _understood():
            return plain(*arguments)
        return quick()(*arguments)

    return call


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`equinox.filter_jit` for the solvers of `lineax.linear_solve`.

    lineax asks what an answer looks like before it asks for the answer. JAX remembers a
    compiled function between the two, if it finds itself in the same surroundings: that
    no mesh is set and that there is an empty one are the same, but not to JAX.
    """
    compiled = eqx.filter_jit(function)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        with jax.sharding.use_abstract_mesh(jax.sharding.get_abstract_mesh()):
            return compiled(*arguments)

    return call


def differentiated_alike(function: Callable[..., Any]) -> Callable[..., Any]:
    """Differentiate a compiled function from all of its numbers to all, or not at all.

    Else JAX makes a program of each choice of numbers that depend on what is asked, and
    of each that matters for it: in a run whose first window knows less than the second
    and whose last is asked for less, programs that take long to compile come twice.
    """

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        if not any(map(is_traced, jax.tree.leaves(arguments))):
            return function(*arguments)
        return _entangled(function(*_entangled(arguments)))

    return call


def _entangled(tree: Any) -> Any:
    """The same numbers; a derivative of one is one of all, 0 where there is none."""
    numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
    leaves, structure = jax.tree.flatten(numbers)
    if not leaves:
        return tree
    return eqx.combine(
        jax.tree.unflatten(structure, _with_nothing_of_all(leaves)), rest
    )


@jax.jit
def _with_nothing_of_all(numbers: list[Array]) -> list[Array]:
    """To each is added the sum of no entry of all: 0, but JAX cannot know."""
    none = [jax.lax.slice_in_dim(jnp.atleast_1d(x), 0, 0) for x in numbers]
    nothing = added(jnp.sum(x.real).astype(float) for x in none)
    return [x + nothing.astype(x.dtype) for x in numbers]


@functools.cache
def _understood() -> bool:
    """Whether this XLA knows the options (on other devices they are not wanted)."""
    if jax.default_backend() != "cpu":
        return False
    if jax.config.values.get("jax_disable_most_optimizations"):
        return False  # even less is asked for
    try:
        jax.jit(lambda: 0, compiler_options=_QUICKER)()
    except jax.errors.JaxRuntimeError:
        return False
    return True


# Programs that compile in less are not worth a file [s].
WORTH_KEEPING = 0.2


def cache_folder() -> Path:
    """Where compiled programs are kept: depojax in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "depojax"


def keep_programs(folder: str | Path | None = None) -> Path:
    """Keep compiled programs on disk: the next process reads instead of compiling.

    JAX has such a cache, and this turns it on for the rest of the process, as the
    command line always does. The first tortuosity factor at 128³ then takes a third of
    its time. Call it before the first computation.

    Args:
        folder: by default depojax in $XDG_CACHE_HOME or ~/.cache; made if need be.

    Returns the folder. Raises `ValueError` for one that cannot be written to.
    """
    place = cache_folder() if folder is None else Path(folder).expanduser()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise refuse(
            "folder", "a folder that can be written to", f"{place}: {error}",
            "Name another, or set XDG_CACHE_HOME.",
        ) from error  # fmt: skip
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", WORTH_KEEPING)
    return place
