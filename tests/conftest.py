"""Every test runs in float64, under strict dtype promotion, with the shapes checked.

The annotations of the package are executed: `Float[Array, "x y z"]` in a signature is
a check on every call (jaxtyping + beartype), so a wrong shape fails where it is made.
"""

import os
from importlib.metadata import version
from pathlib import Path

# Most tests are small and compile longer than they run: spare the compiler its pains.
# (A flag that a later XLA does not know would abort it.)
if version("jaxlib").startswith("0.10."):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_disable_most_optimizations", True)

install_import_hook("depojax", "shapes.checked")


MANY_MAPS = 20_000  # of the 65 530 memory maps that Linux lets a process have


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Drop the compiled programs after a file, once there are very many.

    Each takes a few memory maps; when they run out the compiler aborts.
    """
    yield
    if memory_maps() > MANY_MAPS:
        jax.clear_caches()


def memory_maps():
    """How many this process has; 0 where the system does not say."""
    try:
        return Path("/proc/self/maps").read_text().count("\n")
    except OSError:
        return 0
