"""Ions at the metal: what passes host, open collector and counter electrode.

Only the plated ion passes, with i = f(φ_s − φ_w − U, c_w), known from the ion's own
flux over the last half cell, behind a Stern layer of thickness λ_S = ε₀ε_r/C_S if there
is one:

    φ_w = φ_s − (φ_s − φ_P) λ_S/(λ_S + δ)

In a neutral solution φ_w follows from the ions' own balance, see `_neutral_wall`, and
behind a space charge in closed form from `ion_layers`.

Other ions whose standard potential is known are reduced where the metal is below their
Nernst potential, behind a double layer that is resolved: as fast as they arrive, and
nowhere else,

    N_k = max(0, what keeps c_k,w = c° exp(z_k F (φ_s − φ_w + E°₁ − E°_k)/(RT))),

φ_s against the plated ion's metal in c₀.
"""

import jax.numpy as jnp
from jaxtyping import Array

from depojax._sums import sum_of_few
from depojax._types import Cells, Scalar
from depojax.fv.scharfetter_gummel import bernoulli
from depojax.physics.interface import AtWall, at_wall
from depojax.physics.kinetics import Blocking, Reversible
from depojax.problems.ion_layers import fall_before_metal, layer_before_metal
from depojax.problems.ion_model import (
    Electrode,
    IonCells,
    IonFields,
    IonModel,
    Passing,
)

_LEAST = 1e-30  # c/c₀ of which a logarithm is still asked for
_MOST = 60.0  # ln of what the wall may have more than the cell


def passing_of(
    model: IonModel,
    x: IonFields,
    guess: Passing | None = None,
    known: Passing | None = None,
) -> Passing:
    """What passes the surfaces, from a guess; or `known`, followed."""

    def at(name: str, metal: Scalar) -> AtWall:
        start = None if guess is None else getattr(guess, name).current
        held = None if known is None else getattr(known, name)
        return _at(model, getattr(model, name), x, metal, start, held)

    none = jnp.zeros_like(x.collector)
    return Passing(
        at("host", x.collector), at("floor", x.collector), at("counter", none)
    )


def _at(
    model: IonModel,
    surface: Electrode,
    x: IonFields,
    metal: Scalar,
    guess: Array | None,
    known: AtWall | None,
) -> AtWall:
    """Current [A m⁻²] and concentration [mol m⁻³] at a surface."""
    k, c0, scale = model.plated, model.concentration, model.thermal_voltage
    z = model.charges[k]
    c, phi = surface.of(x.c), surface.of(x.potential)
    if isinstance(surface.kinetics, Blocking):
        return AtWall(0 * phi, c0 * jnp.maximum(c[k], 0))
    # i = unit × number / distance: what one ampere per area does over `reach`.
    number = surface.reach / model.unit / model.diffusion[k]
    if model.layered:
        return _behind_layer(model, surface, c[k], phi, metal, known)
    if model.neutral or not model.frumkin:
        wet, fall, drop = jnp.maximum(c[k], _LEAST), *_neutral_wall(model, c)
        if not model.neutral:
            # Seen from the middle of the cell: nothing happens on the way.
            fall, drop = 0.0 * fall, 0.0 * drop
        at, G, psi = phi, number * fall, drop + 1 / z
        if isinstance(surface.kinetics, Reversible):
            # φ_s − φ_w = ln(c_w)/z: no current is needed to know c_w.
            held = model.reference(surface.kinetics) / c0
            rise = (metal - phi - jnp.log(wet / held) / z) / psi
            wall = wet * jnp.exp(jnp.minimum(rise, _MOST))
            current = jnp.where(surface.area > 0, (wet - wall) / G, 0.0)
            return AtWall(current, c0 * wall)
    else:
        at = metal - (metal - phi) * model.stern_share(surface)
        w = z * (at - phi)
        up = bernoulli(w)
        if isinstance(surface.kinetics, Reversible):
            return _held(model, surface, c[k], metal - at, up, w)
        # The ion's flux over the half cell, solved for the ions at the wall.
        wet = jnp.maximum(c[k] * jnp.exp(-w), _LEAST)
        G, psi = number / (up + w), 1.0 / z
    reference = model.reference(surface.kinetics)
    driving = scale * (metal - at - jnp.log(c0 * wet / reference) / z)
    return at_wall(
        surface.kinetics,
        driving,
        c0 * wet,
        model.temperature,
        resistance=surface.film,
        depletion=c0 * G,
        diffusion_potential=scale * psi,
        guess=guess,
        known=known,
    )


def _held(
    model: IonModel, surface: Electrode, c: Array, stern: Array, up: Array, w: Array
):
    """A reversible electrode keeps the ions behind its Stern layer."""
    held = model.reference(surface.kinetics) / model.concentration
    held = held * jnp.exp(model.charges[model.plated] * stern)
    flux = model.diffusion[model.plated] * (c * up - held * (up + w))
    current = jnp.where(surface.area > 0, model.unit * flux / surface.reach, 0.0)
    return AtWall(current, model.concentration * held + 0 * current)


def _behind_layer(
    model: IonModel,
    surface: Electrode,
    c: Array,
    phi: Array,
    metal: Scalar,
    known: AtWall | None,
) -> AtWall:
    """A reversible electrode behind the space charge of a neutral 1:1 solution."""
    z, wet = model.charges[model.plated], jnp.maximum(c, _LEAST)
    held, square = _layer_of(model, surface)
    per_fall = _current_per_fall(model, surface)
    fall = fall_before_metal(
        z * (phi - metal),
        wet,
        held,
        surface.reach,
        square,
        None if known is None else known.current / per_fall,
    )
    current = jnp.where(surface.area > 0, per_fall * fall, 0.0)
    return AtWall(current, model.concentration * held + 0 * current)


def _layer_of(model: IonModel, surface: Electrode) -> tuple[Array, Array]:
    """Cations that an electrode holds [c₀], and λ² before it [m²]."""
    z = model.charges[model.plated]
    held = model.reference(surface.kinetics) / model.concentration
    square = surface.of(model.square) / z**2
    return jnp.broadcast_to(held, square.shape), square


def _current_per_fall(model: IonModel, surface: Electrode) -> Array:
    """i over the fall of c/c₀ in the last half cell [A m⁻²].

    Half of the slope is the field's: i = 2 z F D c'.
    """
    return 2 * model.diffusion[model.plated] * model.unit / surface.reach


def _neutral_wall(model: IonModel, c: Array) -> tuple[Array, Array]:
    """How the wall of a neutral solution differs from the cell before it.

    No ion but the plated one, 1, passes: Σ z c' = 0 and c_k' = −z_k c_k φ' give

        c₁' = −(N₁/D₁) S/(S + z₁²c₁),   φ' = z₁ c₁'/S,   S = Σ_{k≠1} z_k² c_k

    Returned: the first factor, and dφ/d ln c₁.
    """
    z = jnp.asarray(model.charges, c.dtype)
    squares = (z**2)[:, None, None] if c.ndim == 3 else (z**2)[:, None, None, None]
    wet = jnp.maximum(c, _LEAST)
    own = squares[model.plated] * wet[model.plated]
    others = jnp.maximum(sum_of_few(squares * wet) - own, _LEAST)
    return others / (others + own), own / others / z[model.plated]


def layers_before(
    model: IonModel, x: IonFields, passing: Passing
) -> tuple[Array, Array, Array, Array]:
    """Of closed-form layers at host and collector: thickness [m], field [m⁻¹]."""
    thicknesses, fields = [], []
    for surface, wall in ((model.host, passing.host), (model.floor, passing.floor)):
        c = jnp.maximum(surface.of(x.c[model.plated]), _LEAST)
        held, square = _layer_of(model, surface)
        fall = wall.current / _current_per_fall(model, surface)
        thick, field = layer_before_metal(fall, c, held, surface.reach, square)
        thicknesses.append(jnp.where(surface.area > 0, thick, 0.0))
        sign = -model.charges[model.plated] / model.charges[model.plated] ** 2
        fields.append(jnp.where(surface.area > 0, sign * field, 0.0))
    return thicknesses[0], thicknesses[1], fields[0], fields[1]


def layer_thickness(model: IonModel, x: IonFields, passing: Passing) -> Scalar:
    """Of the space charge: volume where it rules, per plated area [m].

    Per footprint where nothing is plated.
    """
    area = jnp.sum(model.host.area) + jnp.sum(model.floor.area)
    area = jnp.where(area > 0, area, model.grid.footprint)
    if model.layered:
        host, floor = layers_before(model, x, passing)[:2]
        volume = jnp.sum(model.host.area * host) + jnp.sum(model.floor.area * floor)
        return volume / area
    return jnp.sum(model.charged_volume(x)) / area


def side_currents(model: IonModel, x: IonFields) -> list[tuple[Array, Array]]:
    """What host and open collector take of the ions of side reactions [m].

    Per cell, over D₀ c₀ F.
    """
    return [
        (
            _taken_aside(model, model.host, n, k, x),
            _taken_aside(model, model.floor, n, k, x),
        )
        for n, k in enumerate(model.side)
    ]


def _taken_aside(
    model: IonModel, surface: Electrode, n: int, k: int, x: IonFields
) -> Array:
    if isinstance(surface.kinetics, Blocking):
        return jnp.zeros_like(surface.area)
    z, metal = model.charges[k], x.collector
    c, phi = surface.of(x.c[k]), surface.of(x.potential)
    at = metal - (metal - phi) * model.stern_share(surface)
    held = model.held[n] * (
        model.reference(surface.kinetics) / model.concentration
    ) ** (z / model.charges[model.plated])
    held = held * jnp.exp(jnp.clip(z * (metal - at), -_MOST, _MOST))
    w = z * (at - phi)
    up = bernoulli(w)
    flux = jnp.maximum(c * up - held * (up + w), 0.0)
    way = jnp.where(surface.area > 0, surface.area / surface.reach, 0.0)
    return model.diffusion[k] * way * flux


def balances(model: IonModel, x: IonFields, passing: Passing) -> tuple[IonCells, Cells]:
    """What each cell loses of every ion [m], and Gauss's law [m³]."""
    shape = model.grid.shape
    lost = model.outflow(x)
    taken = sum(
        surface.into_cells(surface.area * wall.current, shape) / model.unit
        for surface, wall in zip(model.surfaces, passing, strict=True)
    )
    lost = lost.at[model.plated].add(taken)
    for k, (host, floor) in zip(model.side, side_currents(model, x), strict=True):
        aside = host + model.floor.into_cells(floor, shape)
        lost = lost.at[k].add(aside)
    charge = sum_of_few(model.z * x.c) + model.fixed_charge
    if model.neutral:
        return lost, -model.pore_volume * charge
    gauss = model.displacement(x.potential, (x.collector, 0 * x.collector))
    return lost, gauss - model.pore_volume * charge


def faradaic(model: IonModel, x: IonFields, passing: Passing) -> Scalar:
    """Charge that the working electrode takes from ions, over F c₀ D₀ [m].

    Or that passes into the bath in its place.
    """
    return jnp.sum(charge_by_ion(model, x, passing)) + model.into_near(x)


def charge_by_ion(model: IonModel, x: IonFields, passing: Passing) -> Array:
    """Charge that each of `reacting` brings, over F c₀ D₀ [m]."""
    host, floor = (
        jnp.sum(surface.area * wall.current)
        for surface, wall in zip(
            (model.host, model.floor), (passing.host, passing.floor), strict=True
        )
    )
    own = model.charges[model.plated] * (host + floor) / model.unit
    aside = [
        model.charges[k] * (jnp.sum(at_host) + jnp.sum(at_floor))
        for k, (at_host, at_floor) in zip(
            model.side, side_currents(model, x), strict=True
        )
    ]
    return jnp.stack([own, *aside])
