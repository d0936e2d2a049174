"""Every test runs in float64, under strict dtype promotion, with the shapes checked.

The annotations of the package are executed: `Float[Array, "x y z"]` in a signature is
a check on every call (jaxtyping + beartype), so a wrong shape fails where it is made.
"""

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

install_import_hook("depojax", "shapes.checked")


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Drop the compiled programs of a file after it.

    Files hardly share any, and thousands of them in one process exhaust its memory and
    its memory maps, at which the compiler aborts.
    """
    yield
    jax.clear_caches()
