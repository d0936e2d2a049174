"""Numbers that say beforehand how evenly a cell will plate.

    Wa = κ_eff (R_p + R_film)/L          does the reaction or the electrolyte resist?
    Da = i₀ L (1 − t₊)/(z₊ν₊F D_eff c₀)  does the reaction or diffusion limit?

L is the thickness of the host, κ_eff and D_eff its effective properties along z at c₀,
R_p = −dη/di the slope of the kinetics at the mean local current.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_range, refuse
from depojax._types import Scalar, as_float, concrete
from depojax.physics.kinetics import AbstractKinetics
from depojax.problems.cell import Cell
from depojax.problems.magnitudes import CURRENTS, check_size, one_number
from depojax.problems.simulate import discrete_cell
from depojax.problems.tortuosity import tortuosity
from depojax.units import FARADAY

_HALVINGS = 60
_FARTHEST = 20.0  # asinh of the largest overpotential over 25 mV: ±6 MV


def wagner_number(
    cell: Cell, current_density: Any = 0.0, *, effective_diffusivity: Any = None
) -> Scalar:
    """Wa = κ_eff (R_p + R_film)/L [-] of a cell at a current.

    Args:
        cell: with kinetics.
        current_density: J per footprint [A m⁻²]; spread evenly over the true surface it
            is the local current at which R_p = −dη/di is taken. Near equilibrium that
            is RT/((α_c + α_a)F i₀), far from it, on the Tafel line, RT/(α_c F i).
        effective_diffusivity: D_eff/D of the host along z [-]; by default it is solved
            for, see `tortuosity`.

    Much more than 1: the reaction resists, the current is even (secondary and uniform);
    much less than 1: it is where the electrolyte's way is shortest (primary). In a
    porous host all of its surface shares the way: there Wa/(S/A), with the true area
    per footprint S/A (`Scaffold.area_factor`), is the number to compare with 1. It is
    Newman and Tobias' 1/ν² in a host at one potential, i/ī = ν cosh(νz/L)/sinh ν.

    Differentiable. Raises `ValueError` for a cell without kinetics, and for a current
    beyond what they can give.

    IUPAC Gold Book, doi:10.1351/goldbook.C01456; Newman & Thomas-Alyea, Electrochemical
    Systems, 3rd ed., ch. 18 and 22.
    """
    _check_kinetics(cell)
    J = one_number("current_density", current_density, "A m⁻²")
    check_size("current_density", J, CURRENTS[1], "A m⁻²", "2 * mA / cm**2")
    model = discrete_cell(cell).with_films_after(None)  # before they have grown
    areas = model.host.area, model.floor.area
    local = J * model.grid.footprint / (jnp.sum(areas[0]) + jnp.sum(areas[1]))
    share, mean = [], jnp.zeros_like(local)
    for surface, area in zip((model.host, model.floor), areas, strict=True):
        R = _slope(surface.kinetics, local, cell) + as_float(surface.film)
        # Places of different kinetics stand in parallel.
        mean = mean + jnp.sum(area / R)
        share.append(jnp.sum(area))
    resistance = (share[0] + share[1]) / mean
    electrolyte = cell.salt
    kappa = electrolyte.properties(electrolyte.concentration).conductivity
    factor = _factor(cell, effective_diffusivity)
    return kappa * factor * resistance / _thickness(cell)


def damkohler_number(cell: Cell, *, effective_diffusivity: Any = None) -> Scalar:
    """Da = i₀ L (1 − t₊)/(z₊ν₊F D_eff c₀) [-] of a cell.

    Args:
        cell: with kinetics; i₀ is theirs at c₀ and T, averaged over the true surface.
        effective_diffusivity: D_eff/D of the host along z [-]; by default it is solved
            for, see `tortuosity`.

    Much less than 1: the reaction is slow, salt reaches all of the surface; much more
    than 1: ions react where they come in (tertiary distribution). In a porous host
    Da · S/A is the number to compare with 1 (`Scaffold.area_factor`).

    Differentiable. Raises `ValueError` for a cell without kinetics.

    Of reaction against diffusion; Newman & Thomas-Alyea, Electrochemical Systems, 3rd
    ed., ch. 22, has its like for porous electrodes.
    """
    _check_kinetics(cell)
    model, electrolyte = discrete_cell(cell), cell.salt
    c0, T = electrolyte.concentration, electrolyte.temperature
    whole = i0 = jnp.zeros_like(c0)
    for surface in (model.host, model.floor):
        exchange = surface.kinetics.exchange_current_density(c0, T)
        i0 = i0 + jnp.sum(surface.area * exchange)
        whole = whole + jnp.sum(surface.area)
    p = electrolyte.properties(c0)
    D = p.diffusivity * _factor(cell, effective_diffusivity)
    supply = electrolyte.charge_per_salt * FARADAY * D * c0
    return (i0 / whole) * _thickness(cell) * (1 - p.transference_number) / supply


def _check_kinetics(cell: Any) -> None:
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    if cell.kinetics is None:
        raise refuse(
            "cell", "one with kinetics", "none", "Give kinetics=ButlerVolmer(...)."
        )


def _factor(cell: Cell, given: Any) -> Scalar:
    if given is None:
        return tortuosity(cell.scaffold).effective_diffusivity
    check_range("effective_diffusivity", given, 0.0, 1.0, open_low=True)
    return as_float(given)


def _thickness(cell: Cell) -> Scalar:
    return jnp.sum(cell.scaffold.grid.widths[2])


def _slope(kinetics: AbstractKinetics, current: Scalar, cell: Cell) -> Array:
    """−dη/di [Ω m²] where the kinetics give `current` at c₀."""
    c0, T = cell.electrolyte.concentration, cell.electrolyte.temperature
    i0 = kinetics.exchange_current_density(c0, T)
    wanted = jnp.broadcast_to(current, i0.shape)

    def eta_of(x):
        return 0.025 * jnp.sinh(x)

    def halve(_, bracket):
        low, high = bracket
        middle = (low + high) / 2
        # The current falls with the overpotential.
        more = kinetics.current_density(eta_of(middle), c0, T) > wanted
        return jnp.where(more, middle, low), jnp.where(more, high, middle)

    ends = jnp.full_like(i0, -_FARTHEST), jnp.full_like(i0, _FARTHEST)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
    eta = jax.lax.stop_gradient(eta_of((low + high) / 2))
    # One step of Newton's method carries the derivative, and the last digits.
    missing = kinetics.current_density(eta, c0, T) - wanted
    eta = eta + missing / kinetics.conductance(eta, c0, T)
    slope = kinetics.conductance(eta, c0, T)
    missing = jax.lax.stop_gradient(kinetics.current_density(eta, c0, T) - wanted)
    near = jnp.abs(missing) <= 1e-6 * jnp.maximum(jnp.abs(wanted), i0)
    possible = concrete(jnp.all(near & (slope > 0)))
    if possible is not None and not bool(possible):
        raise refuse(
            "current_density",
            "a current that the kinetics can give",
            f"{float(current):g} A m⁻² of true area",
        )
    return 1 / slope
