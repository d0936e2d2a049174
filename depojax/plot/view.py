"""The host in three dimensions, by pyvista (the extra `view`)."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax._optional import require
from depojax.plot.parts import COLOURS
from depojax.problems.sand import SandSolution
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

if TYPE_CHECKING:
    import pyvista


def view_3d(
    solution: SandSolution | Scaffold, *, off_screen: bool = False
) -> "pyvista.Plotter":
    """The wall of a host, coloured by the salt concentration beside it [mol L⁻¹].

    Returns a `pyvista.Plotter` with the scene in µm: `.show()` opens it in a window or
    a notebook, `.screenshot("host.png")` writes a picture (with `off_screen=True` where
    there is no screen). A bare scaffold is drawn in grey.

    Raises `ImportError` without pyvista, `ValueError` for a host without walls on the
    grid (an open box, or a homogenised one).
    """
    pyvista = require("pyvista", "view")
    if not isinstance(solution, (SandSolution, Scaffold)):
        raise refuse("plot", "a SandSolution or a Scaffold", type(solution).__name__)
    bare = isinstance(solution, Scaffold)
    scaffold = solution if bare else solution.cell.scaffold
    if not scaffold.resolved or not bool(jnp.any(scaffold.pore_fraction < 0.5)):
        raise refuse(
            "plot", "a host with walls on the grid", "one without", "Draw its slices."
        )
    nodes = [np.asarray(axis) / um for axis in scaffold.grid.nodes]
    box = pyvista.RectilinearGrid(*nodes)
    box.cell_data["pore"] = np.asarray(scaffold.pore_fraction).ravel(order="F")
    if not bare:
        top = scaffold.shape[2]
        beside = np.asarray(solution.wall_concentration)[..., :top] / 1000
        box.cell_data["wall"] = _spread_into_solid(beside).ravel(order="F")
    wall = box.cell_data_to_point_data().contour([0.5], scalars="pore")
    plotter = pyvista.Plotter(off_screen=off_screen)
    if bare:
        plotter.add_mesh(wall, color="lightgrey", smooth_shading=True)
    else:
        plotter.add_mesh(
            wall,
            scalars="wall",
            cmap=COLOURS,
            smooth_shading=True,
            scalar_bar_args={"title": "salt at the wall (mol/L)"},
        )
    plotter.add_mesh(box.outline(), color="black")
    plotter.show_axes()
    return plotter


def _spread_into_solid(values: np.ndarray) -> np.ndarray:
    """The values with those of the nearest pore in every cell of solid."""
    from scipy.ndimage import distance_transform_edt

    solid = values <= 0
    if solid.all():
        return values
    nearest: Any = distance_transform_edt(
        solid, return_distances=False, return_indices=True
    )
    return values[tuple(nearest)]
