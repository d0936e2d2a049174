"""What a host can be good at: numbers of a cell to maximise or to minimise.

Each is a callable of a `Cell` with a `name`, a `unit` and a `sense`; they are weighted
and added, and objectives of one run share it (see `depojax.design.objective`):

    objectives.SandTime(J) / (100 * s) + 0.5 * objectives.HostMass(8960.0) / 0.1

| objective | better | unit |
|---|---|---|
| `SandTime`, `SandCapacity` | more | s, C m⁻² |
| `LimitingCurrent` | more | A m⁻² |
| `DepletedArea` | less | share of the metal |
| `CurrentUniformity` | less | smooth max/mean |
| `VoltageLoss` | less | V |
| `TopPlatingShare` | less | share of the charge |
| `FillBeforeClosure`, `FillAtClosure` | more | share of the pore |
| `LowerMetalShare` | more | share of the metal |
| `EffectiveDiffusivity`, `EffectiveConductivity` | more | –, S m⁻¹ |
| `HostMass`, `HostVolume` | less | kg m⁻², m³ m⁻² |
| `SpecificEnergy`, `EnergyDensity` | more | Wh kg⁻¹, Wh L⁻¹ |
| `FeatureSize`, `MonotoneProfile` | less | – |

All are differentiable, forward and reverse; where one is not smooth it says so.
"""

from depojax.design.conduction_objectives import (
    EffectiveConductivity,
    EffectiveDiffusivity,
)
from depojax.design.manufacturing import FeatureSize, MonotoneProfile
from depojax.design.objective import AbstractObjective, Own, WeightedSum
from depojax.design.plated import FillAtClosure, LowerMetalShare
from depojax.design.plating_objectives import (
    CurrentUniformity,
    FillBeforeClosure,
    TopPlatingShare,
    VoltageLoss,
)
from depojax.design.sand_objectives import (
    DepletedArea,
    LimitingCurrent,
    SandCapacity,
    SandTime,
)
from depojax.design.stack import EnergyDensity, HostMass, HostVolume, SpecificEnergy

__all__ = [
    "AbstractObjective",
    "CurrentUniformity",
    "DepletedArea",
    "EffectiveConductivity",
    "EffectiveDiffusivity",
    "EnergyDensity",
    "FeatureSize",
    "FillAtClosure",
    "FillBeforeClosure",
    "HostMass",
    "HostVolume",
    "LimitingCurrent",
    "LowerMetalShare",
    "MonotoneProfile",
    "Own",
    "SandCapacity",
    "SandTime",
    "SpecificEnergy",
    "TopPlatingShare",
    "VoltageLoss",
    "WeightedSum",
]
