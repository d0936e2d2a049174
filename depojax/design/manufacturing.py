"""Whether a host can be made: how thin it gets, and whether a profile turns back.

Penalties: 0 where the wish is met, and growing with the square of what is missing, so
that slopes are continuous.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import check_choice, check_integer, check_plausible
from depojax._types import Scalar, as_float, static
from depojax.design.objective import AbstractObjective, scaffold_of
from depojax.scaffold.scaffold import Scaffold


class FeatureSize(AbstractObjective):
    """Penalty for features thinner than can be made [-], Σ S max(0, 1 − d/d_min)²/Σ S.

        d = 4 V/S   (strut or pore diameter; a sheet or slit of width w has d = 2w)

    V and S are volume of the phase and area of the wall in a window about each cell.

    Args:
        smallest: d_min [m].
        of: "solid" or "pore".
        window: edge of the window in cells; 1, the default, is right for homogenised
            hosts. In resolved ones it must hold whole features: a pore or a period.

    Needs the shape alone. Good values: 10 µm for extrusion and freeze casting, 1 µm for
    two-photon printing (recalled, ± a factor of 3).
    """

    smallest: Scalar
    window: int = static()
    of: Any = static()
    name = "feature size"
    unit = ""
    sense = "minimise"

    def __init__(self, smallest: Any, *, of: Any = "solid", window: int = 1):
        check_plausible("smallest", smallest, 1e-9, 1e-2, "m", "10 * um")
        check_choice("of", of, ("solid", "pore"))
        self.smallest, self.of = as_float(smallest), of
        self.window = check_integer("window", window, 1)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        host = scaffold_of(cell)
        diameter, area = self.diameters(host)
        lacks = 1 - diameter / self.smallest
        lacks = jnp.where(lacks > 0, lacks, 0.0)
        whole = jnp.sum(area)
        some = whole > 0
        penalty = jnp.sum(area * lacks**2) / jnp.where(some, whole, 1.0)
        return jnp.where(some, penalty, 0.0)

    def diameters(self, host: Scaffold) -> tuple[Array, Array]:
        """d = 4 V/S about each cell [m], and the wall's area in the cell [m²]."""
        share = host.pore_fraction if self.of == "pore" else 1 - host.pore_fraction
        volume, area = share * host.grid.volumes, host.surface_area
        around, wall = (self._in_window(host, x) for x in (volume, area))
        there = wall > 0
        return 4 * around / jnp.where(there, wall, 1.0), jnp.where(there, area, 0.0)

    def _in_window(self, host: Scaffold, values: Array) -> Array:
        """Sums over a box about each cell; fewer cells at the ends."""
        if self.window == 1:
            return values
        box = [min(self.window, n) for n in host.shape]
        # A constant of numpy: of any other XLA knows no derivative.
        zero = np.zeros((), values.dtype)
        return jax.lax.reduce_window(values, zero, jax.lax.add, box, (1, 1, 1), "SAME")


class MonotoneProfile(AbstractObjective):
    """Penalty for a porosity that turns back along z, Σ max(0, ∓Δε)² [-].

    Args:
        towards: "separator" where the porosity shall rise from the collector on,
            "collector" where it shall fall.

    ε is that of whole layers, Δε from one to the next; 0 for any profile that only
    rises. Needs the shape alone. The square root is about the step back.
    """

    towards: Any = static(default="separator")
    name = "monotone profile"
    unit = ""
    sense = "minimise"

    def __check_init__(self):
        check_choice("towards", self.towards, ("separator", "collector"))

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        host = scaffold_of(cell)
        volumes = host.grid.volumes
        pore = jnp.sum(host.pore_fraction * volumes, (0, 1))
        rise = jnp.diff(pore / jnp.sum(volumes, (0, 1)))
        back = -rise if self.towards == "separator" else rise
        return jnp.sum(jnp.where(back > 0, back, 0.0) ** 2)
