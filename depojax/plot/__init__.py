"""Figures of solutions and scaffolds.

Each function returns a matplotlib `Figure` and shows nothing: a notebook displays it,
`save_figure` writes it. `view_3d` returns a pyvista scene to turn about. Lengths are in
µm (nm in cells of less than 2 µm), concentrations in mol L⁻¹, currents in mA cm⁻²;
colours are those of viridis and of Okabe & Ito, told apart by all eyes and in grey.
"""

from depojax.plot.design import convergence, design_profiles
from depojax.plot.ions import column_profile, current_voltage
from depojax.plot.nucleation import nucleation, nucleation_transients
from depojax.plot.parts import save_figure
from depojax.plot.plating import fill_profile, plating_history, thickness_map
from depojax.plot.profiles import depletion_map, depth_profile, wall_history
from depojax.plot.runs import current_distribution, voltage
from depojax.plot.sections import scaffold, slices
from depojax.plot.view import view_3d

__all__ = [
    "column_profile",
    "convergence",
    "current_distribution",
    "current_voltage",
    "depletion_map",
    "depth_profile",
    "design_profiles",
    "fill_profile",
    "nucleation",
    "nucleation_transients",
    "plating_history",
    "save_figure",
    "scaffold",
    "slices",
    "thickness_map",
    "view_3d",
    "voltage",
    "wall_history",
]
