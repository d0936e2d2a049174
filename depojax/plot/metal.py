"""What happened on the metal of a run: its local current, or what was plated."""

from typing import NamedTuple

import numpy as np

from depojax.problems.simulate import Simulation
from depojax.units import cm, mA, mAh

_FLOWS = 1e-6  # of the highest current in the run


class OnMetal(NamedTuple):
    """A quantity per true area, over the host and the open collector."""

    values: np.ndarray  # over the cells of the host
    area: np.ndarray  # true area in each [m²]
    collector: np.ndarray  # over the footprint
    collector_area: np.ndarray  # [m²]
    words: str
    unit: str

    @property
    def label(self) -> str:
        """What to write beside an axis."""
        return f"{self.words} ({self.unit})"

    @property
    def mean(self) -> float:
        """Over all of the surface."""
        areas = self.area.sum() + self.collector_area.sum()
        here = (self.values * self.area).sum()
        return float((here + (self.collector * self.collector_area).sum()) / areas)


def on_metal(run: Simulation) -> OnMetal:
    """The local current density at the end; the plated charge where none flows then."""
    scaffold, nz = run.cell.scaffold, run.cell.scaffold.shape[2]
    area = np.asarray(scaffold.surface_area)
    floor = np.asarray(run.cell.domain().wall_area)[..., 0] - area[..., 0]
    J = np.abs(np.asarray(run.current_density))
    flows = J.size > 0 and J[-1] > _FLOWS * J.max()
    if flows:
        host, collector = run.local_current_density, run.collector_current_density
        unit, words = mA / cm**2, "local current density"
        name = r"mA cm$^{-2}$"
    else:
        host, collector = run.plated_charge, run.state.plated[1]
        unit, words = mAh / cm**2, "plated charge"
        name = r"mAh cm$^{-2}$"
    return OnMetal(
        np.asarray(host)[..., :nz] / unit,
        area,
        np.asarray(collector) / unit,
        # Round-off of a difference is no area.
        np.where(floor > 1e-9 * floor.max(initial=0.0), floor, 0.0),
        words,
        name,
    )
