"""Salt transport in an electroneutral binary electrolyte.

    ∂(ε c)/∂t = ∇·(D_eff ∇c) − a N_s,      N_s = (1 − t₊) i / (z₊ν₊F)

(constant properties; i > 0 plates, a = true area per volume.) N_s is the salt that the
metal's surface takes per true area. The concentration at the wall differs from that of
the cell beside it by the drop over the distance δ between them:

    c_s = c_P − N_s δ / D

Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 12.
"""

from typing import Any

from depojax._types import Scalar
from depojax.physics.electrolyte import BinaryElectrolyte


def salt_uptake(electrolyte: BinaryElectrolyte, current_density: Any) -> Any:
    """N_s [mol m⁻² s⁻¹], the salt that plating at `current_density` [A m⁻²] takes."""
    return electrolyte.salt_flux_per_current * current_density


def wall_concentration(
    cell_concentration: Any, uptake: Any, wall_distance: Any, diffusivity: Scalar
) -> Any:
    """c_s [mol m⁻³] beside a wall that takes `uptake` [mol m⁻² s⁻¹]; distance [m]."""
    return cell_concentration - uptake * wall_distance / diffusivity
