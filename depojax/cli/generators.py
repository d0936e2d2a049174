"""The scaffolds that a cell file can name, and how their arguments are read there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from depojax.fv.grid import Grid
from depojax.scaffold.averages import averaged_foam
from depojax.scaffold.channels import aligned_channels, stacked_sheets
from depojax.scaffold.fibres import carbon_cloth, fibre_mat
from depojax.scaffold.foams import foam
from depojax.scaffold.foils import foil, grooves, needles, pillars, rough_foil
from depojax.scaffold.gradients import on_cells
from depojax.scaffold.images import scaffold_from_image
from depojax.scaffold.packings import sphere_array, sphere_pack
from depojax.scaffold.random_fields import gaussian_random_field
from depojax.scaffold.scaffold import Scaffold
from depojax.scaffold.tpms import gyroid, schwarz_d, schwarz_p


def homogenised(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    tortuosity_factor: Any,
    specific_area: Any,
    wall_distance: Any = 0.0,
) -> Scaffold:
    """`Scaffold.homogenised` on equal cells, its numbers or profiles along z.

    Raises `ValueError` as `Scaffold.homogenised`.
    """
    grid = Grid.uniform(shape, voxel_size)
    return Scaffold.homogenised(
        grid,
        on_cells(porosity, grid),
        on_cells(tortuosity_factor, grid),
        on_cells(specific_area, grid),
        wall_distance=on_cells(wall_distance, grid),
    )


GENERATORS: Mapping[str, Callable[..., Scaffold]] = {
    "aligned_channels": aligned_channels,
    "averaged_foam": averaged_foam,
    "carbon_cloth": carbon_cloth,
    "fibre_mat": fibre_mat,
    "foam": foam,
    "foil": foil,
    "gaussian_random_field": gaussian_random_field,
    "grooves": grooves,
    "gyroid": gyroid,
    "homogenised": homogenised,
    "image": scaffold_from_image,
    "needles": needles,
    "pillars": pillars,
    "rough_foil": rough_foil,
    "schwarz_d": schwarz_d,
    "schwarz_p": schwarz_p,
    "sphere_array": sphere_array,
    "sphere_pack": sphere_pack,
    "stacked_sheets": stacked_sheets,
}
