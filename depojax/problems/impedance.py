"""Impedance: how the voltage of a cell answers a small current that oscillates.

    J = J₀ + Re(δJ e^{iωt}),   V = V₀ + Re(δV e^{iωt}),   Z(ω) = −δV/δJ  [Ω m²]

per footprint, collector against counter electrode (V falls where more is plated: hence
the sign). The coupled equations of `cell_model` are linearised around rest, or around
the end of a run, and solved at each frequency for the amplitudes of all fields; no
equivalent circuit is assumed but at the interface itself:

    metal ──┬── charge transfer, f(η, c_s) ──┬── film R ── wall layer ── electrolyte
            └────── double layer C_dl ───────┘

    δi = f_c δc_s − (g + iωC_dl) δη,   g = −∂f/∂η,   η = φ_s − φ_l − U(c_s) + i R

The double layer takes up cations alone, as the reaction does, and a potential against
an electrode of the same metal at the wall. The film conducts and stores nothing.

Newman & Thomas-Alyea, Electrochemical Systems, 3rd ed., ch. 22.
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from depojax._checks import check_range, refuse
from depojax._compile import compiled_quickly
from depojax._types import Scalar, as_float, is_traced
from depojax.problems.cell import Cell
from depojax.problems.cell_model import CellModel, Fields
from depojax.problems.coupled import at_rest
from depojax.problems.simulate import Simulation, check_cell, discrete_cell
from depojax.problems.small_signal import response
from depojax.solvers.results import RESULTS, SolveError

_FREQUENCIES = (1e-12, 1e12)  # [Hz]


class Impedance(eqx.Module):
    """Z of a cell at several frequencies, per footprint."""

    frequency: Float[Array, " n"]  # ω/(2π) [Hz]
    real: Float[Array, " n"]  # Re Z, Z = −δV/δJ [Ω m²]
    imaginary: Float[Array, " n"]  # Im Z [Ω m²]
    linear_iterations: Int[Array, " n"]
    residual: Float[Array, " n"]  # of the linear solves, relative ‖·‖₂ [-]
    result: RESULTS

    @property
    def impedance(self) -> Complex[Array, " n"]:
        """Z [Ω m²]."""
        return jax.lax.complex(self.real, self.imaginary)

    @property
    def angular_frequency(self) -> Float[Array, " n"]:
        """ω [s⁻¹]."""
        return 2 * math.pi * self.frequency

    @property
    def phase(self) -> Float[Array, " n"]:
        """arg Z [rad]; negative where the cell is capacitive."""
        return jnp.arctan2(self.imaginary, self.real)

    def to_xarray(self):
        """The spectrum as an `xarray.Dataset`: real and imaginary part by frequency."""
        from depojax.io import to_xarray

        return to_xarray(self)


def impedance(
    cell: Cell,
    frequencies: Any,
    *,
    state: Simulation | None = None,
    double_layer_capacitance: Any = 0.0,
    counter_double_layer_capacitance: Any = 0.0,
    linear_tolerance: float = 1e-10,
    throw: bool = True,
) -> Impedance:
    """Impedance spectrum of a cell.

    Args:
        cell: with an electrolyte whose conductivity is known, in float64.
        frequencies: ω/(2π) [Hz], one or several, above zero. Good values: 1 mHz to
            100 kHz. Below D/L² a cell of two metals is in its steady state.
        state: a run of the same cell, around whose end it is linearised; by default
            uniform salt without current. Where that end is no steady state, it counts
            as one.
        double_layer_capacitance: C_dl of host and open collector, per true area
            [F m⁻²]. Good values: 0.05 to 0.5.
        counter_double_layer_capacitance: the same of the counter electrode [F m⁻²].
        linear_tolerance: relative residual of the linear solves.
        throw: raise `SolveError` when a solve fails, instead of saying so in `result`.

    Above the frequency at which salt diffuses across a cell of the grid, D/h², the
    diffusion impedance is that of the grid.

    Differentiable, forward and reverse, with respect to every number in the cell, the
    frequencies, the capacitances and the state: of the real and the imaginary part.

    Raises `ValueError` for what is no cell, frequency or capacitance; `SolveError` for
    a solve that failed.
    """
    check_cell(cell)
    check_range("frequencies", frequencies, *_FREQUENCIES, "Hz")
    frequencies = jnp.atleast_1d(as_float(frequencies))
    if frequencies.ndim != 1 or frequencies.size == 0:
        raise refuse(
            "frequencies", "one frequency or a list", f"shape {frequencies.shape}"
        )
    capacitances = (double_layer_capacitance, counter_double_layer_capacitance)
    for argument, value in zip(
        ("double_layer_capacitance", "counter_double_layer_capacitance"),
        capacitances,
        strict=True,
    ):
        check_range(
            argument,
            value,
            0.0,
            1e4,
            "F m⁻²",
            "Write it with its unit, as 10 * uF / cm**2 is 0.1 F m⁻².",
        )
        if np.ndim(value) != 0:
            raise refuse(argument, "one number", f"shape {np.shape(value)}")
    if state is not None and not isinstance(state, Simulation):
        raise refuse("state", "a Simulation", type(state).__name__)
    if state is not None and state.cell.grid.shape != cell.grid.shape:
        raise refuse(
            "state",
            f"a run of a cell of {cell.grid.shape} cells",
            f"one of {state.cell.grid.shape}",
        )
    model = discrete_cell(cell)
    known = at_rest(model) if state is None else state.state
    model, x = model.with_films_after(known.use), known.fields
    host, counter = map(as_float, capacitances)
    real, imaginary, iterations, residual, converged = _spectrum(
        model, x, frequencies, (host, host, counter), as_float(linear_tolerance)
    )
    good = jnp.all(converged)
    result = RESULTS.where(good, RESULTS.successful, RESULTS.linear_solve_failed)
    solution = Impedance(frequencies, real, imaginary, iterations, residual, result)
    if throw and not is_traced(good) and not bool(good):
        raise SolveError(str(RESULTS[result]), solution)
    return solution


@compiled_quickly
def _spectrum(
    model: CellModel,
    x: Fields,
    frequencies: Float[Array, " n"],
    capacitances: tuple[Scalar, Scalar, Scalar],
    tolerance: Scalar,
) -> tuple[Array, Array, Int[Array, " n"], Array, Bool[Array, " n"]]:
    def at(frequency):
        omega = 2 * math.pi * frequency
        found = response(model, x, omega, capacitances, tolerance)
        real, imaginary = (
            -model.thermal_voltage * part.collector for part in found.fields
        )
        return real, imaginary, found.iterations, found.residual, found.converged

    return jax.lax.map(at, frequencies)
