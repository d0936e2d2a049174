"""The surfaces of a cell that react: their films and metal, and what happens there."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from depojax._types import Cells, Scalar, as_float, static
from depojax.physics.film import Film, FilmInUse
from depojax.physics.interface import AtWall
from depojax.physics.kinetics import AbstractKinetics


class Surface(eqx.Module):
    """A reacting surface, in all cells or in one layer of them."""

    kinetics: AbstractKinetics
    area: Array  # true area per cell [m²]
    # Wall distance over the transport factor on the way, negative where the centre of a
    # cell lies in the metal [m].
    reach: Array
    film: Array | Film | FilmInUse  # area resistance [Ω m²]
    deposit: Array | None = None  # metal at first [C m-2]; None: always enough
    least: Array | None = None  # the lowest current, for there is no more [A m-2]
    slack: Array | None = None  # what a double layer gives beside metal [C m-2]
    # Where it is, among all cells in a row, and numbers beyond them; None: everywhere.
    places: Int[Array, "n"] | None = None
    equilibrium: Array | None = None  # U against bulk metal [V]; None: zero
    layer: int | None = static(default=None)  # along z; None: all cells

    def gathered(self, tree: PyTree, shape: tuple[int, ...]) -> PyTree:
        """A tree whose fields over cells are of the reacting places alone."""
        if self.places is None:
            return tree

        def pick(field: Any) -> Any:
            if not (eqx.is_array(field) and field.shape == shape):
                return field
            return field.ravel().at[self.places].get(mode="clip")

        return jax.tree.map(pick, tree)

    def spread(self, values: Array, elsewhere: Array) -> Array:
        """Undo `gathered` for one array: a field with other values elsewhere."""
        if self.places is None:
            return values
        flat = elsewhere.ravel().at[self.places].set(values, mode="drop")
        return flat.reshape(elsewhere.shape)

    def of(self, field: Array) -> Array:
        """The cells of a field at this surface."""
        return field if self.layer is None else field[..., self.layer]

    def in_use(
        self, time: Scalar, crossed: Array | None, plated: Array | None, span: Scalar
    ) -> "Surface":
        """The surface for a current that goes on for `span` until `time` [s].

        Before, a charge had crossed the film, and a charge been plated [C m⁻²].
        """
        film, least = self.film, None
        if isinstance(film, Film):
            film = FilmInUse(film, time, as_float(crossed), span)
        if self.deposit is not None:
            # Above zero where the explicit part of a step took too much: it comes back.
            there = self.deposit + as_float(plated)
            least = -(there if self.slack is None else there + self.slack) / span
        return dataclasses.replace(self, film=film, least=least)

    def film_after(self, time: Scalar, crossed: Any) -> Array:
        """Area resistance of the film [Ω m²]."""
        if isinstance(self.film, Film):
            return self.film.resistance_after(time, crossed)
        return as_float(self.film)

    def into_cells(self, values: Array, shape: tuple[int, ...]) -> Cells:
        """`values` at the surface as a field that is zero elsewhere."""
        if self.layer is None:
            return values
        return jnp.zeros(shape, values.dtype).at[..., self.layer].set(values)


class Reactions(eqx.Module):
    """What happens at the three surfaces; iterating gives current densities [A m⁻²]."""

    host: AtWall  # per cell
    floor: AtWall  # per column
    counter: AtWall

    def __iter__(self) -> Iterator[Array]:
        return (place.current for place in (self.host, self.floor, self.counter))


class Use(eqx.Module):
    """What the films have seen."""

    time: Scalar  # [s]
    crossed: tuple[
        Array | None, Array | None, Array | None
    ]  # ∫|i| dt of the three surfaces [C m-2]
