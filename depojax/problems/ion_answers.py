"""What a state of the ions means, in SI: fields, currents, margins at the metal."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._compile import compiled_quickly
from depojax._extremes import least_of
from depojax._sums import sum_of_few
from depojax._types import Cells, Scalar
from depojax.fv.grid import along
from depojax.physics.ions import STANDARD_CONCENTRATION, MultiIonElectrolyte
from depojax.problems.cell import Cell
from depojax.problems.ion_balance import IonState
from depojax.problems.ion_maps import local_thickness, nearest_metal
from depojax.problems.ion_model import IonFields, IonModel
from depojax.problems.ion_reactions import (
    charge_by_ion,
    layer_thickness,
    layers_before,
)
from depojax.solvers.stencil import interior
from depojax.units import FARADAY

_LEAST = 1e-30  # c/c₀ of which a logarithm is still asked for


@compiled_quickly
def answers_of(
    cell: Cell, model: IonModel, state: IonState
) -> tuple[dict[str, Array], Scalar]:
    """What a state means, in SI; and the lowest concentration of any ion [c₀]."""
    x, scale, c0 = state.fields, model.thermal_voltage, model.concentration
    charge = FARADAY * c0 * (sum_of_few(model.z * x.c) + model.fixed_charge)
    potential = scale * x.potential
    metal = scale * x.collector
    host, floor = (
        jnp.where(
            surface.area > 0,
            (metal - surface.of(potential)) / (model.stern + surface.reach),
            0.0,
        )
        for surface in (model.host, model.floor)
    )
    if model.layered:
        _, _, host, floor = layers_before(model, x, state.passing)
        host, floor = scale * host, scale * floor
    elif model.neutral:
        host, floor = 0 * host, 0 * floor
    wet = model.in_pore
    local = jnp.zeros_like(model.pore_volume)
    if model.layered or not model.neutral:
        nearest = jax.lax.stop_gradient(nearest_metal(model))
        local = local_thickness(model, nearest, x, state.passing)
    by_ion = jnp.zeros(len(model.charges), metal.dtype)
    by_ion = by_ion.at[jnp.asarray(model.reacting)].set(
        charge_by_ion(model, x, state.passing)
    )
    told = {
        "voltage": metal,
        "ion_concentration": jnp.where(wet, c0 * x.c, 0.0),
        "potential": jnp.where(wet, potential, 0.0),
        "charge_density": jnp.where(wet, charge, 0.0),
        "electric_field": _field(model, potential, metal),
        "host_field": host,
        "collector_field": floor,
        "local_current_density": state.passing.host.current,
        "collector_current_density": state.passing.floor.current,
        "ion_current_density": model.per_footprint(by_ion),
        "reduction_margin": _margin(cell.ions, model, x),
        "layer_thickness": layer_thickness(model, x, state.passing),
        "local_layer_thickness": local,
    }
    return told, jnp.min(jnp.where(wet, x.c, jnp.inf))


def _margin(electrolyte: MultiIonElectrolyte, model: IonModel, x: IonFields) -> Array:
    """Lowest E − E_k over the metal [V], NaN for ions without E°."""
    scale, c0 = model.thermal_voltage, model.concentration
    z = jnp.asarray(model.charges, scale.dtype)
    standard = electrolyte.standard_potentials
    margins = []
    for surface in (model.host, model.floor):
        reference = (
            scale
            / z[model.plated]
            * jnp.log(model.reference(surface.kinetics) / STANDARD_CONCENTRATION)
            + standard[model.plated]
        )
        c = jnp.maximum(surface.of(c0 * x.c), _LEAST * c0)
        shape = (-1, *[1] * (c.ndim - 1))
        own = standard.reshape(shape) + scale / z.reshape(shape) * jnp.log(
            c / STANDARD_CONCENTRATION
        )
        above = reference + scale * (x.collector - surface.of(x.potential)) - own
        above = jnp.where(surface.area > 0, above, jnp.inf)
        margins.append(least_of(above.reshape(z.size, -1), 1))
    least = jnp.minimum(*margins)
    return jnp.where(jnp.isfinite(standard), least, jnp.nan)


def _field(model: IonModel, potential: Cells, metal: Scalar) -> Float[Array, "3 x y z"]:
    """−∇φ in the cells: the mean of what holds at their open faces [V m⁻¹]."""
    grid = model.grid
    floor, counter = model.floor, model.counter
    low = (metal - potential[..., 0]) / (model.stern + floor.reach)
    top, beyond = potential[..., -1], grid.widths[2][-1] / 2
    high = top / (model.stern + counter.reach)
    low_open, high_open = floor.area > 0, counter.area > 0
    if model.near is not None:
        low = (metal - potential[..., 0]) / (grid.widths[2][0] / 2)
        low_open = model.near.way > 0
    if model.far is not None:
        high, high_open = top / beyond, model.far.way > 0
    fields = []
    for axis in range(3):
        n = grid.shape[axis]
        distance = along(grid.center_distances(axis)[1:], axis)
        g = model.faces.faces[axis]
        is_open = interior(g, grid.shape) > 0  # the face above each cell
        above = (potential - jnp.roll(potential, -1, axis)) / distance
        if axis == 2:
            above = above.at[..., -1].set(jnp.where(high_open, high, above[..., -1]))
            is_open = is_open.at[..., -1].set(high_open | is_open[..., -1])
        below = jnp.roll(above, 1, axis)
        open_below = jnp.roll(is_open, 1, axis)
        if axis == 2 and not grid.periodic[2]:
            below = below.at[..., 0].set(low)
            open_below = open_below.at[..., 0].set(low_open)
        elif not grid.periodic[axis]:
            first = jnp.arange(n) == 0
            open_below = open_below & ~along(first, axis)
        count = is_open.astype(above.dtype) + open_below.astype(above.dtype)
        both = jnp.where(is_open, above, 0.0) + jnp.where(open_below, below, 0.0)
        fields.append(both / jnp.maximum(count, 1))
    return jnp.stack(fields)
