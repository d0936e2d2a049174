"""How well a host conducts: ions through its pores, electrons through its solid."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_choice, refuse
from depojax._types import Cells, Scalar, static
from depojax.design.objective import (
    AbstractObjective,
    AbstractQuestion,
    cell_of,
    or_worst,
    scaffold_of,
)
from depojax.fv.grid import axis_index
from depojax.fv.operators import harmonic_to_faces
from depojax.problems.tortuosity import Tortuosity, tortuosity
from depojax.scaffold.scaffold import Scaffold


class Conducting(AbstractQuestion):
    """`tortuosity` of the pores of a host."""

    axis: str = static()

    def answer(self, cell: Any) -> Tortuosity:
        return tortuosity(scaffold_of(cell), self.axis)

    def is_answer(self, thing: Any) -> bool:
        return isinstance(thing, Tortuosity)


class EffectiveDiffusivity(AbstractObjective):
    """D_eff/D of the pores along an axis [-]; see `depojax.tortuosity`.

    Needs the shape alone: a `Scaffold` will do.
    """

    axis: str = static(default="z")
    name = "effective diffusivity"
    unit = ""
    sense = "maximise"

    def __check_init__(self):
        axis_index(self.axis)

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (Conducting(self.axis),)

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        (found,) = answers
        return or_worst(self, found.result, found.effective_diffusivity)


class EffectiveConductivity(AbstractObjective):
    """Conductivity of the host as a whole along an axis [S m⁻¹].

    Args:
        phase: "pore": κ(c₀) D_eff/D, of the ions; "solid": of the electrons, with the
            cell's `solid_conductivity` σ, ∇·(σ ∇φ) = 0.
        axis: "x", "y" or "z".

    Raises `ValueError` for the solid of a cell without `solid_conductivity`.
    """

    phase: str = static(default="solid")
    axis: str = static(default="z")
    name = "effective conductivity"
    unit = "S m-1"
    sense = "maximise"

    def __check_init__(self):
        check_choice("phase", self.phase, ("pore", "solid"))
        axis_index(self.axis)

    @property
    def questions(self) -> tuple[AbstractQuestion, ...]:
        return (Conducting(self.axis),) if self.phase == "pore" else ()

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        cell = cell_of(self, cell)
        if self.phase == "pore":
            (found,) = answers
            electrolyte = cell.salt
            bulk = electrolyte.properties(electrolyte.concentration).conductivity
        else:
            if cell.solid_conductivity is None:
                raise refuse(
                    "cell",
                    "one with a solid_conductivity",
                    "none",
                    "Give Cell(..., solid_conductivity=...) [S m⁻¹].",
                )
            bulk = jax.lax.stop_gradient(jnp.max(cell.solid_conductivity))
            relative = cell.solid_conductivity / bulk
            found = tortuosity(_for_electrons(cell.scaffold, relative), self.axis)
        return or_worst(self, found.result, bulk * found.effective_diffusivity)


def _for_electrons(scaffold: Scaffold, conductivity: Cells) -> Scaffold:
    """A host whose pores conduct as its solid does."""
    grid, faces = scaffold.grid, []
    solid: Array = jnp.ones_like(conductivity)
    if scaffold.resolved:
        solid = 1 - scaffold.pore_fraction
    for axis, pore in enumerate(scaffold.face_transmission):
        sigma = harmonic_to_faces(grid, conductivity, axis)
        faces.append(sigma * (1 - pore) if scaffold.resolved else sigma)
    none = jnp.zeros_like(conductivity)
    x, y, z = faces
    return Scaffold(
        grid=grid,
        pore_fraction=solid,
        face_transmission=(x, y, z),
        surface_area=none,
        wall_distance=none,
        closed_pore_fraction=jnp.zeros((), none.dtype),
        resolved=scaffold.resolved,
    )
