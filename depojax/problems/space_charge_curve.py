"""Current by voltage through and beyond the limiting current, with its space charge.

Each voltage starts from the steady state before it, so that a curve costs little more
than its last point; all of them share one compiled program.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from depojax._checks import check_finite, refuse
from depojax._extremes import largest_of
from depojax._types import Scalar, is_traced
from depojax.problems.cell import Cell
from depojax.problems.magnitudes import a_voltage
from depojax.problems.space_charge import space_charge
from depojax.problems.space_charge_solution import SpaceCharge
from depojax.solvers.results import RESULTS

_NO_OPTIONS = ("voltage", "current_density", "duration", "steps", "progress")


class SpaceChargeCurve(eqx.Module):
    """Steady states by voltage. NaN where none was found."""

    voltage: Float[Array, " n"]  # of the collector, as asked for [V]
    current_density: Float[Array, " n"]  # per footprint, plating positive [A m-2]
    layer_thickness: Float[Array, " n"]  # of the space charge [m]
    highest_field: Float[Array, " n"]  # |∂φ/∂n| at host and collector [V m-1]
    newton_steps: Int[Array, " n"]  # on the way from the voltage before
    found: Bool[Array, " n"]  # whether there is a solution
    last: SpaceCharge  # of the last voltage with a solution (or tried, if none)

    def to_xarray(self):
        """The curve as an `xarray.Dataset` along `voltage`."""
        from depojax.io import to_xarray

        return to_xarray(self)


def space_charge_curve(
    cell: Cell,
    voltages: Any,
    *,
    start: SpaceCharge | None = None,
    throw: bool = True,
    **options: Any,
) -> SpaceChargeCurve:
    """Steady current, space charge and field at several voltages.

    Args:
        cell: as for `space_charge`.
        voltages: of the collector [V], taken in this order; negative while plating.
            From small to large is best.
        start: a solution of the same cell to go on from; by default uniform ions.
        throw: raise `SolveError` when a solve fails, instead of leaving NaN there and
            going on from the voltage before.
        **options: those of `space_charge`: `electroneutral`, `asymptotic`,
            `fixed_charge`, `stern_capacitance`, `relative_permittivity`, `frumkin`.

    `highest_field` is the largest at any place of host and open collector, on cut
    cells that of the worst sliver. Good values: steps of 5 to 10 RT/F (0.13 to 0.26 V).

    Differentiable, forward and reverse, in all numbers of the cell and in the voltages.

    Raises `ValueError` as `space_charge`, and for voltages that are no list of numbers;
    `TypeError` for an option that it does not take; `SolveError` for a failed solve.
    """
    check_finite("voltages", voltages)
    asked = jnp.atleast_1d(a_voltage("voltages", voltages, many=True))
    if asked.ndim != 1 or asked.size == 0:
        raise refuse("voltages", "one voltage or a list", f"shape {asked.shape}")
    for name in options:
        if name in _NO_OPTIONS:
            raise TypeError(
                f"space_charge_curve takes no {name}: its states are steady"
            )
    runs: list[SpaceCharge] = []
    last = start
    for V in asked:
        run = space_charge(cell, voltage=V, start=last, throw=throw, **options)
        runs.append(run)
        if is_traced(run.result) or bool(run.result == RESULTS.successful):
            last = run
    return _curve(asked, runs, runs[0] if last is None else last)


def _curve(asked: Array, runs: list[SpaceCharge], last: SpaceCharge):
    found = jnp.stack([run.result == RESULTS.successful for run in runs])

    def column(values: list[Scalar]) -> Array:
        return jnp.where(found, jnp.stack(values), jnp.nan)

    return SpaceChargeCurve(
        voltage=asked,
        current_density=column([run.current_density for run in runs]),
        layer_thickness=column([run.layer_thickness for run in runs]),
        highest_field=column([_highest_field(run) for run in runs]),
        newton_steps=jax.lax.stop_gradient(
            jnp.stack([jnp.asarray(run.newton_steps) for run in runs])
        ),
        found=found,
        last=last,
    )


def _highest_field(run: SpaceCharge) -> Scalar:
    host = largest_of(jnp.abs(run.host_field))
    return jnp.maximum(host, largest_of(jnp.abs(run.collector_field)))
