"""depojax: when and where ions run out in a 3D metal-anode scaffold."""

from depojax import units
from depojax.fv.grid import Grid
from depojax.physics import electrolytes, metals
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.physics.metals import Metal
from depojax.problems.cell import Cell, Separator
from depojax.problems.protocols import ConstantCurrent, PulsedCurrent
from depojax.problems.sand import SandSolution, limiting_current, sand_time
from depojax.scaffold.gradients import Graded
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.time import Steps

__all__ = [
    "RESULTS",
    "BinaryElectrolyte",
    "Cell",
    "ConstantCurrent",
    "Graded",
    "Grid",
    "Metal",
    "PulsedCurrent",
    "SandSolution",
    "Scaffold",
    "Separator",
    "SolveError",
    "Steps",
    "electrolytes",
    "limiting_current",
    "metals",
    "sand_time",
    "units",
]

__version__ = "0.1.0"
