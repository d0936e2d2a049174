"""What the potential of a cell is made of.

Every current loses energy where it flows. Summed over the cell that is the power drawn,
and per current passed each sum is a part of the voltage:

    V J A = − Σ (losses)
    solid     ∫ |i_s|²/σ dV               liquid    ∫ |i_l|²/κ dV
    concentration  −∫ w i_l·∇ln c dV      film      ∫ i² R_film dA
    kinetics  −∫ i η dA                   (each of working and counter electrode)

In numbers they add up to the voltage to round-off: currents close in every cell.
Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 12 and 22.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._types import Scalar
from depojax.physics.interface import (
    drift_at_wall,
    layer_resistance,
    share_at_wall,
)
from depojax.problems.cell_model import CellModel, Fields, Transport
from depojax.problems.cell_surfaces import Surface
from depojax.problems.coupled import CellState
from depojax.solvers.stencil import (
    dissipation,
    laid_out,
    neighbour,
    rows,
    unfolded,
)

# Below that share of a limiting current what a solve leaves is no current to divide by.
_NO_CURRENT = 1e-8


def voltage_parts(model: CellModel, state: CellState) -> dict[str, Scalar]:
    """Parts of the collector's potential against the counter electrode [V].

    Zero where no current flows. Where a bath is the far side, that is the reference.
    """
    x, t = state.fields, model.transport(state.fields.c)
    out = model.through_collector(x, state.reactions)
    ohmic, mixed = _in_liquid(model, x, t)
    parts = {
        "solid": -_in_solid(model, x),
        "liquid": -ohmic,
        "concentration": -mixed,
    }
    metals = model.metal_potentials(x)
    prefixes, films = ("", "", "counter_"), model.films_after(state.use)
    for surface, film, metal, prefix, i in zip(
        model.surfaces, films, metals, prefixes, state.reactions, strict=True
    ):
        for name, loss in _at_surface(model, surface, film, metal, x, t, i).items():
            own = name in ("kinetics", "film")
            key = prefix + name if own else name
            parts[key] = parts.get(key, jnp.zeros_like(out)) + loss
    flows = jnp.abs(out) > _NO_CURRENT * model.current_scale
    scale = model.thermal_voltage / jnp.where(flows, out, 1.0)
    return {name: jnp.where(flows, scale * part, 0.0) for name, part in parts.items()}


def overpotentials(model: CellModel, state: CellState) -> tuple[Array, Array, Array]:
    """η of the kinetics on host, collector and counter electrode [V]."""
    x, t = state.fields, model.transport(state.fields.c)

    def shift(surface: Surface) -> Any:
        return 0.0 if surface.equilibrium is None else surface.equilibrium

    host, floor, counter = (
        model.thermal_voltage * _drops(model, surface, film, metal, x, t, i)[0]
        - shift(surface)
        for surface, film, metal, i in zip(
            model.surfaces,
            model.films_after(state.use),
            model.metal_potentials(x),
            state.reactions,
            strict=True,
        )
    )
    return host, floor, counter


def _drops(
    model: CellModel,
    surface: Surface,
    resistance: Array,
    metal: Array,
    x: Fields,
    t: Transport,
    i: Array,
) -> tuple[Array, Array, Array, Array]:
    """Potentials at a surface: η, and what film, layer and its salt take [RT/F]."""
    here = jax.tree.map(surface.of, t)
    # What lies between cell and metal, as in `CellModel.reactions`.
    number = surface.reach * (i / model.unit)
    wet, scale = here.concentration, model.thermal_voltage
    loss = (1 - here.cation_share) / here.diffusion * number / wet
    share = share_at_wall(loss, surface.reach < 0)
    share = jnp.where(share > 0, share, 1.0)
    film = i * resistance / scale
    layer = jnp.where(surface.reach > 0, number, 0.0) / here.conduction
    layer = layer_resistance(layer, here.exponent, jnp.log(share))
    c0, T = model.electrolyte.concentration, model.electrolyte.temperature
    G = c0 * (1 - here.cation_share) / here.diffusion * surface.reach / model.unit
    psi = drift_at_wall(surface.kinetics, scale * here.potential, G, c0 * wet, T)
    drift = psi / scale * jnp.log(share)
    return metal - surface.of(x.liquid) + film + layer - drift, film, layer, drift


def _at_surface(
    model: CellModel,
    surface: Surface,
    resistance: Array,
    metal: Array,
    x: Fields,
    t: Transport,
    i: Array,
) -> dict[str, Scalar]:
    """Power that the current through a surface takes, by cause [m]."""
    current = surface.area * (i / model.unit)
    eta, film, layer, drift = _drops(model, surface, resistance, metal, x, t, i)

    def power(potential):
        return jnp.sum(jnp.where(current != 0, current * potential, 0.0))

    return {
        "kinetics": power(eta),
        "film": -power(film),
        "liquid": -power(layer),
        "concentration": power(drift),
    }


def _in_liquid(model: CellModel, x: Fields, t: Transport) -> tuple[Scalar, Scalar]:
    """Ohmic power, and that against the diffusion potential [m]."""
    shape, periodic = model.grid.shape, model.grid.periodic

    log_c, liquid, t_laid = jax.tree.map(
        lambda field: laid_out(field, periodic),
        (jnp.log(t.concentration), x.liquid, t),
    )
    ohmic = mixed = jnp.zeros_like(x.collector)
    for axis in range(3):

        def above(field, axis=axis):
            return neighbour(field, axis, 1, shape)

        def mean(field, above=above):
            return (rows(field) + above(field)) / 2

        def added_up(values):
            return jnp.sum(unfolded(values, shape)[:, 1:-1, 1:-1])

        g = model.faces.beside(axis, 1)
        kappa = t_laid.conduction_to(above)
        fall = rows(liquid) - above(liquid)
        part = mean(t_laid.potential) * (rows(log_c) - above(log_c))
        current = g * kappa * (fall - part)
        ohmic = ohmic + added_up(current * (fall - part))
        mixed = mixed + added_up(current * part)
    if model.far is not None:
        top = jax.tree.map(lambda k: k[..., -1], t)
        c, liquid = x.c[..., -1], x.liquid[..., -1]
        _, current = model.through_far_side(c, liquid, top)
        resistance = 1 / (model.far * model.conduction_to_far_side(top))
        ohmic = ohmic + jnp.sum(current**2 * resistance)
        mixed = mixed + jnp.sum(current * (liquid - current * resistance))
    return ohmic, mixed


def _in_solid(model: CellModel, x: Fields) -> Scalar:
    """Ohmic power in the host and at its contact [m]."""
    if x.solid is None or model.solid is None:
        return jnp.zeros_like(x.collector)
    level = [jnp.zeros(n, x.c.dtype) for n in model.grid.shape]
    inside = dissipation(model.solid.faces, (x.solid, level), (x.solid, level))
    return inside + jnp.sum(model.solid.contact * x.solid[..., 0] ** 2)
