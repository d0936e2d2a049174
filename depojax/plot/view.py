"""The host in three dimensions, by pyvista (the extra `view`)."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax._optional import require
from depojax.plot.parts import COLOURS
from depojax.plot.plating import shut_in
from depojax.problems.plating_solution import Plating
from depojax.problems.sand import SandSolution
from depojax.scaffold.scaffold import Scaffold
from depojax.units import um

if TYPE_CHECKING:
    import pyvista


def view_3d(
    solution: SandSolution | Plating | Scaffold, *, off_screen: bool = False
) -> "pyvista.Plotter":
    """The wall of a host, coloured by the salt concentration beside it [mol L⁻¹].

    Of a `Plating` the wall as the metal left it, coloured by how thick it stands [µm].
    Returns a `pyvista.Plotter` with the scene in µm: `.show()` opens it in a window or
    a notebook, `.screenshot("host.png")` writes a picture (with `off_screen=True` where
    there is no screen). A bare scaffold is drawn in grey.

    Raises `ImportError` without pyvista, `ValueError` for a host without walls on the
    grid (an open box, or a homogenised one).
    """
    pyvista = require("pyvista", "view")
    if not isinstance(solution, (SandSolution, Plating, Scaffold)):
        raise refuse(
            "plot", "a SandSolution, a Plating or a Scaffold", type(solution).__name__
        )
    if isinstance(solution, Plating):
        scaffold = solution.final_cell.scaffold
    else:
        bare = isinstance(solution, Scaffold)
        scaffold = solution if bare else solution.cell.scaffold
    if not scaffold.resolved or not bool(jnp.any(scaffold.pore_fraction < 0.5)):
        raise refuse(
            "plot", "a host with walls on the grid", "one without", "Draw its slices."
        )
    nodes = [np.asarray(axis) / um for axis in scaffold.grid.nodes]
    box = pyvista.RectilinearGrid(*nodes)
    top, title = scaffold.shape[2], ""
    pore = np.asarray(scaffold.pore_fraction)
    if isinstance(solution, Plating):  # a wall has closed pores behind it, too
        pore = pore + shut_in(solution)[..., :top]
    box.cell_data["pore"] = pore.ravel(order="F")
    if isinstance(solution, SandSolution):
        beside = np.asarray(solution.wall_concentration)[..., :top] / 1000
        title = "salt at the wall (mol/L)"
    elif isinstance(solution, Plating):
        beside = np.asarray(solution.thickness)[..., :top] / um
        title = "deposit (µm)"
    if title:
        box.cell_data["wall"] = _spread(beside).ravel(order="F")
    wall = box.cell_data_to_point_data().contour([0.5], scalars="pore")
    plotter = pyvista.Plotter(off_screen=off_screen)
    if not title:
        plotter.add_mesh(wall, color="lightgrey", smooth_shading=True)
    else:
        plotter.add_mesh(
            wall,
            scalars="wall",
            cmap=COLOURS,
            smooth_shading=True,
            scalar_bar_args={"title": title},
        )
    plotter.add_mesh(box.outline(), color="black")
    plotter.show_axes()
    return plotter


def _spread(values: np.ndarray) -> np.ndarray:
    """The values, and where there are none those of the nearest cell that has one."""
    from scipy.ndimage import distance_transform_edt

    none = values <= 0
    if none.all():
        return values
    nearest: Any = distance_transform_edt(
        none, return_distances=False, return_indices=True
    )
    return values[tuple(nearest)]
