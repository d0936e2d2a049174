"""Every test runs in float64, under strict dtype promotion, with the shapes checked.

The annotations of the package are executed: `Float[Array, "x y z"]` in a signature is
a check on every call (jaxtyping + beartype), so a wrong shape fails where it is made.
"""

import atexit
import gc
import os
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

# Most tests are small and compile longer than they run: spare the compiler its pains.
# What is told by the environment holds for the processes that tests start as well.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
# (A flag that a later XLA does not know would abort it.)
if version("jaxlib").startswith("0.10."):
    flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count"
    os.environ.setdefault("XLA_FLAGS", f"{flags}=1")

# What one process has compiled the others read: workers and what they start. The folder
# belongs to this run and goes with it.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    programs = TemporaryDirectory(prefix="depojax-programs-")
    atexit.register(programs.cleanup)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = programs.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

# Importing makes objects by the hundred thousand, and none of them are garbage.
gc.set_threshold(100_000, 20, 100)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

install_import_hook("depojax", "shapes.checked")

# By itself `pytest.approx` lets 1e-12 pass, which is more than a pore has of m³: any
# volume would be that of any other. Zero alone has that tolerance here.
by_default = pytest.approx


def approx(expected, rel=None, abs=None, nan_ok=False):
    """`pytest.approx`, relative to what is expected where no `abs` is given."""
    if abs is None and not (np.isscalar(expected) and expected == 0):
        rel, abs = 1e-6 if rel is None else rel, 0.0
    return by_default(expected, rel=rel, abs=abs, nan_ok=nan_ok)


pytest.approx = approx


MANY_MAPS = 20_000  # of the 65 530 memory maps that Linux lets a process have


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Drop the compiled programs after a file, once there are very many.

    Each takes a few memory maps; when they run out the compiler aborts.
    """
    yield
    if memory_maps() > MANY_MAPS:
        jax.clear_caches()


@pytest.fixture
def well_compiled():
    """All of the compiler's optimisations: for tests that mostly run."""
    spared = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", spared)


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """The working folder and the user's cache are the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def memory_maps():
    """How many this process has; 0 where the system does not say."""
    try:
        return Path("/proc/self/maps").read_text().count("\n")
    except OSError:
        return 0
