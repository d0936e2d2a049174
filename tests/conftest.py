"""Every test runs in float64, under strict dtype promotion, with the shapes checked.

The annotations of the package are executed: `Float[Array, "x y z"]` in a signature is
a check on every call (jaxtyping + beartype), so a wrong shape fails where it is made.
"""

import jax
from jaxtyping import install_import_hook

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

install_import_hook("depojax", "shapes.checked")
