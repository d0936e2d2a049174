"""Substrates as designs: how readily metal nucleates, graded over the host.

A host that is lithiophilic below and lithiophobic above takes its first metal below.
What is graded is the barrier of `depojax.physics.nucleation`, ΔG* ~ f(θ)/η².
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx

from depojax._checks import nearest, refuse
from depojax._types import as_float
from depojax.design.parameters import on_host
from depojax.physics.nucleation import Nucleation, wetting_factor_of
from depojax.problems.cell import Cell
from depojax.scaffold.scaffold import Scaffold

_NAMES = ("wetting_factor", "surface_energy", "prefactor", "site_density")


class DesignedNucleation(eqx.Module):
    """A nucleation some of whose numbers are design variables, called by their names.

        design = DesignedNucleation(nucleation, {
            "contact_angle": Profile(Bounded([0.2, 0.2, 0.3], 0.05, 3.1)),
            "site_density": Bounded(1e13, 1e11, 1e14, scale="log"),
        })
        objectives.LowerMetalShare(J, …, nucleation=design.build(host))

    Args:
        nucleation: what does not change.
        changes: by name: "contact_angle" θ [rad] or "wetting_factor" f [-], one of the
            two; "surface_energy" [J m⁻²], "prefactor" [m⁻² s⁻¹], "site_density" [m⁻²].
            A variable is one number, a field one for every cell of the host. The open
            collector takes those of the lowest cells.

    Bounds in which the equations hold: θ within 0 and π, f within 0 and 1. A share of
    metal changes by decades within a small range of f: begin where both ends nucleate.

    Raises `ValueError` for what is no nucleation, for unknown names, and for both of
    angle and factor.
    """

    nucleation: Nucleation
    changes: dict[str, Any]

    def __init__(self, nucleation: Nucleation, changes: Mapping[str, Any]):
        if not isinstance(nucleation, Nucleation):
            raise refuse(
                "nucleation", "a depojax.Nucleation", type(nucleation).__name__
            )
        known = ("contact_angle", *_NAMES)
        for name in changes:
            if name not in known:
                raise refuse(
                    "changes", "numbers of a Nucleation", repr(name),
                    nearest(name, known),
                )  # fmt: skip
        if {"contact_angle", "wetting_factor"} <= set(changes):
            raise refuse("changes", "contact_angle or wetting_factor", "both")
        self.nucleation, self.changes = nucleation, dict(changes)

    def build(self, host: Scaffold | Cell) -> Nucleation:
        """The nucleation on a host."""
        grid = (host.scaffold if isinstance(host, Cell) else host).grid
        values = {
            name: as_float(on_host(value, grid)) for name, value in self.changes.items()
        }
        if "contact_angle" in values:
            values["wetting_factor"] = wetting_factor_of(values.pop("contact_angle"))
        names = list(values)
        return eqx.tree_at(
            lambda law: [getattr(law, name) for name in names],
            self.nucleation,
            [values[name] for name in names],
        )
