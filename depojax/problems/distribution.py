"""How evenly a run plates: over the true surface, through the depth, in the pore.

Means are over the true area that is plated, host and open collector together:

    mean = Σ S i / Σ S,    std² = Σ S (i − mean)² / Σ S

so that mean × area is the current. Numbers of the end of a run; the plated charge is
what all of it has left behind.
"""

from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import (
    check_choice,
    check_finite,
    check_integer,
    check_range,
    refuse,
)
from depojax._extremes import largest_of, least_of
from depojax._types import Scalar, as_float, concrete
from depojax.problems.cell_model import CellModel
from depojax.problems.simulate import Simulation, discrete_cell

What = Literal["current", "charge"]


class Distribution(eqx.Module):
    """A quantity over the true plated surface: [A m⁻²], or [C m⁻²] of charge."""

    mean: Scalar  # area-weighted
    standard_deviation: Scalar  # area-weighted
    highest: Scalar
    lowest: Scalar
    levels: Float[Array, " q"]  # shares of the area [-]
    quantiles: Float[Array, " q"]  # that so much of the area does not exceed
    edges: Float[Array, " edges"]  # of the histogram
    shares: Float[Array, " bins"]  # of the area, between the edges [-]
    area: Scalar  # true area [m²]
    values: Float[Array, " places"]  # at every place, host first, then collector
    areas: Float[Array, " places"]  # true area of every place [m²]

    @property
    def total(self) -> Scalar:
        """Mean times area: the whole current [A], or charge [C]."""
        return self.mean * self.area

    @property
    def relative_deviation(self) -> Scalar:
        """std/|mean| [-], 0 where all is even; NaN where nothing flows."""
        return self.standard_deviation / jnp.abs(self._divisor)

    @property
    def max_over_mean(self) -> Scalar:
        """Largest value in the direction of the mean, over the mean [-].

        On cut cells it is that of the worst sliver: compare `quantiles`.
        """
        return jnp.where(self.mean > 0, self.highest, self.lowest) / self._divisor

    @property
    def min_over_mean(self) -> Scalar:
        """Smallest value in the direction of the mean, over the mean [-]."""
        return jnp.where(self.mean > 0, self.lowest, self.highest) / self._divisor

    def smooth_max_over_mean(self, power: Any = 16.0) -> Scalar:
        """(Σ S |i/mean|^p / Σ S)^(1/p) [-]: a maximum that optimisation can follow.

        Between w^(1/p) max and max, w the share of the area that has the maximum. At
        p = 2 it is √(1 + (std/mean)²). Good values: 8 to 32.
        """
        check_range("power", power, 1.0, 1e3)
        p = as_float(power).astype(self.mean.dtype)
        ratio = jnp.abs(self.values / self._divisor)
        # Taken out before the power and put back after: nothing overflows.
        top = jax.lax.stop_gradient(jnp.max(jnp.where(self.areas > 0, ratio, 0.0)))
        top = jnp.where(top > 0, top, 1.0)
        share = ratio / top
        some = (share > 0) & (self.areas > 0)
        powers = jnp.where(some, jnp.where(some, share, 1.0) ** p, 0.0)
        return top * (jnp.sum(self.areas * powers) / self.area) ** (1 / p)

    @property
    def _divisor(self) -> Scalar:
        return jnp.where(self.mean != 0, self.mean, jnp.nan)


def current_distribution(
    run: Simulation,
    *,
    of: What = "current",
    bins: Any = 40,
    levels: Any = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99),
) -> Distribution:
    """The local current density over the true surface at the end of a run.

    Args:
        run: a `Simulation`.
        of: "current" [A m⁻²], or "charge" that has been plated [C m⁻²], per true area.
        bins: of the histogram: a number of them between lowest and highest, or their
            edges, rising.
        levels: shares of the area for the quantiles [-].

    Differentiable but for the histogram; the highest value and the quantiles follow the
    one place that they are from (see `Distribution.smooth_max_over_mean`).

    Raises `ValueError` for what is no run, bin or level.
    """
    values, areas = _surface(run, of)
    return distribution(values, areas, bins=bins, levels=levels)


def distribution(values: Any, areas: Any, *, bins: Any, levels: Any) -> Distribution:
    """The distribution of `values` at places of some `areas` [m²], both flat."""
    check_range("levels", levels, 0.0, 1.0)
    return _measured(values, areas, _bins(bins), jnp.atleast_1d(as_float(levels)))


@eqx.filter_jit
def _measured(
    values: Array, areas: Array, bins: "int | Array", levels: Array
) -> Distribution:
    counted = areas > 0
    area = jnp.sum(areas)
    mean = jnp.sum(areas * values) / area
    variance = jnp.sum(areas * (values - mean) ** 2) / area
    uneven = variance > 0
    deviation = jnp.where(uneven, jnp.sqrt(jnp.where(uneven, variance, 1.0)), 0.0)
    highest = largest_of(jnp.where(counted, values, -jnp.inf))
    lowest = least_of(jnp.where(counted, values, jnp.inf))
    fixed = jax.lax.stop_gradient((values, lowest, highest))
    edges = _edges(bins, *fixed[1:])
    shares, _ = jnp.histogram(fixed[0], bins=edges, weights=areas / area)
    order = jnp.argsort(jnp.where(counted, values, jnp.inf))
    below = jnp.cumsum(areas[order]) / area
    index = jnp.searchsorted(below, levels)
    index = jnp.minimum(index, jnp.sum(counted, dtype=index.dtype) - 1)
    return Distribution(
        mean=mean,
        standard_deviation=deviation,
        highest=highest,
        lowest=lowest,
        levels=levels,
        quantiles=values[order][index],
        edges=edges,
        shares=shares,
        area=area,
        values=values,
        areas=areas,
    )


def _bins(bins: Any) -> "int | Array":
    """A number of bins, or their edges."""
    if np.ndim(bins) == 0:
        return check_integer("bins", bins, 1)
    check_finite("bins", bins)
    edges, known = as_float(bins), concrete(bins)
    rising = known is None or bool((known[1:] > known[:-1]).all())
    if edges.ndim != 1 or edges.size < 2 or not rising:
        raise refuse("bins", "a number, or two and more edges that rise", repr(bins))
    return edges


def _edges(bins: "int | Array", lowest: Scalar, highest: Scalar) -> Array:
    if not isinstance(bins, int):
        return bins
    # Around values that are all alike: a bin needs a width.
    least = 1e-9 * jnp.maximum(jnp.abs(highest), 1e-30)
    middle, width = (lowest + highest) / 2, jnp.maximum(highest - lowest, least)
    steps = jnp.linspace(-0.5, 0.5, bins + 1, dtype=middle.dtype)
    return (middle + width * steps).at[0].min(lowest).at[-1].max(highest)


class DepthProfile(eqx.Module):
    """Per layer of the host's grid, z = 0 at the collector.

    The lowest layer has the open collector. Sums over the layers are the current and
    the charge of the cell per footprint; `current_per_volume` is the rate a i that
    porous-electrode theory plots.
    """

    nodes: Float[Array, " nodes"]  # heights between the layers [m]
    current: Float[Array, " layers"]  # per footprint, of each layer [A m-2]
    charge: Float[Array, " layers"]  # plated, per footprint, of each layer [C m-2]
    area: Float[Array, " layers"]  # true area per footprint [-]
    concentration: Float[Array, " layers"]  # mean in the pore [mol m-3]

    @property
    def height(self) -> Float[Array, " layers"]:
        """Middle of each layer [m]."""
        return (self.nodes[1:] + self.nodes[:-1]) / 2

    @property
    def thickness(self) -> Float[Array, " layers"]:
        """Of each layer [m]."""
        return self.nodes[1:] - self.nodes[:-1]

    @property
    def current_per_volume(self) -> Float[Array, " layers"]:
        """Current over the volume of each layer, solid included [A m⁻³]."""
        return self.current / self.thickness

    @property
    def charge_per_volume(self) -> Float[Array, " layers"]:
        """Plated charge over the volume of each layer, solid included [C m⁻³]."""
        return self.charge / self.thickness

    def to_xarray(self):
        """The profile as an `xarray.Dataset` along z."""
        from depojax.io import to_xarray

        return to_xarray(self)


def depth_profile(run: Simulation) -> DepthProfile:
    """Current and plated charge through the depth of the host, at the end of a run.

    Differentiable. Raises `ValueError` for what is no run.
    """
    model = _model_of(run)
    n = run.cell.scaffold.shape[2]
    footprint = model.grid.footprint

    def layers(host: Array, floor: Array) -> Array:
        per_layer = jnp.sum(host * model.host.area, (0, 1))[:n]
        return per_layer.at[0].add(jnp.sum(floor * model.floor.area)) / footprint

    ones = jnp.ones_like(model.host.area), jnp.ones_like(model.floor.area)
    volume = jnp.where(model.in_pore, model.pore_volume, 0.0)[..., :n]
    pore = jnp.sum(volume, (0, 1))
    salt = jnp.sum(volume * run.concentration[..., :n], (0, 1))
    return DepthProfile(
        nodes=model.grid.nodes[2][: n + 1],
        current=layers(run.local_current_density, run.collector_current_density),
        charge=layers(run.plated_charge, run.collector_plated_charge),
        area=layers(*ones),
        concentration=salt / jnp.where(pore > 0, pore, jnp.nan),
    )


def top_share(run: Simulation, depth: Any, *, of: What = "charge") -> Scalar:
    """Share of the plating within `depth` [m] below the top of the host [-].

    Layers that the depth cuts count in proportion; the open collector counts where the
    depth is all of the host. `of` is "charge", plated during the whole run, or
    "current" at its end. An even host gives depth/thickness.

    Differentiable, in the depth as well. NaN where nothing was plated. Raises
    `ValueError` for what is no run, or no depth within the host.
    """
    check_choice("of", of, get_args(What))
    model = _model_of(run)
    nodes = model.grid.nodes[2][: run.cell.scaffold.shape[2] + 1]
    top = concrete(nodes[-1])
    most = jnp.inf if top is None else float(top) * (1 + 1e-12)
    cure = "depojax is SI inside: write it with its unit, as 10 * um."
    check_range("depth", depth, 0.0, float(most), "m", cure)
    depth = as_float(depth).astype(nodes.dtype)
    host, floor = _fields(run, of)
    per_layer = jnp.sum(host * model.host.area, (0, 1))[: nodes.size - 1]
    inside = (nodes[1:] - (nodes[-1] - depth)) / (nodes[1:] - nodes[:-1])
    found = jnp.sum(per_layer * jnp.clip(inside, 0.0, 1.0))
    on_floor = jnp.sum(floor * model.floor.area)
    all_of_it = depth >= nodes[-1] * (1 - 1e-12)
    total = jnp.sum(per_layer) + on_floor
    total = jnp.where(total != 0, total, jnp.nan)
    return (found + jnp.where(all_of_it, on_floor, 0.0)) / total


class ConcentrationDrop(eqx.Module):
    """Largest differences of concentration over c₀ [-]."""

    host: Scalar  # (c_max − c_min)/c₀ in the pore of the host
    cell: Scalar  # the same in all of the cell
    wall: Scalar  # the same of c_s beside the plated surface
    depletion: Scalar  # 1 − c_s/c₀ at the poorest place of the plated surface


def concentration_drop(run: Simulation) -> ConcentrationDrop:
    """How much the concentration differs from place to place at the end of a run.

    c₀ is the concentration that the cell began with. Differentiable. Raises
    `ValueError` for what is no run.
    """
    model = _model_of(run)
    n = run.cell.scaffold.shape[2]
    c = run.concentration / run.cell.electrolyte.concentration
    walls = model.wall_concentration(run.state.fields, run.state.reactions)
    on_wall = jnp.isfinite(walls)
    return ConcentrationDrop(
        host=_spread(c[..., :n], model.in_pore[..., :n]),
        cell=_spread(c, model.in_pore),
        wall=_spread(walls, on_wall),
        depletion=1 - least_of(walls),
    )


def _spread(values: Array, counted: Array) -> Scalar:
    high = largest_of(jnp.where(counted, values, -jnp.inf))
    return high - least_of(jnp.where(counted, values, jnp.inf))


def _surface(run: Simulation, of: What) -> tuple[Array, Array]:
    """Values and areas [m²] of host and open collector, flat."""
    check_choice("of", of, get_args(What))
    model = _model_of(run)
    host, floor = _fields(run, of)
    return (
        jnp.concatenate([host.ravel(), floor.ravel()]),
        jnp.concatenate([model.host.area.ravel(), model.floor.area.ravel()]),
    )


def _fields(run: Simulation, of: What) -> tuple[Array, Array]:
    if of == "current":
        return run.local_current_density, run.collector_current_density
    return run.plated_charge, run.collector_plated_charge


def _model_of(run: Any) -> CellModel:
    if not isinstance(run, Simulation):
        raise refuse("run", "a Simulation", type(run).__name__)
    return discrete_cell(run.cell)
