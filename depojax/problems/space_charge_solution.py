"""What `space_charge` finds: ions, fields and currents, and when a layer set in."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from depojax._types import Cells, Scalar, static
from depojax.physics.ions import MultiIonElectrolyte
from depojax.problems.cell import Cell
from depojax.problems.cell_assembly import collector_area, onto
from depojax.problems.ion_balance import IonState
from depojax.solvers.results import RESULTS
from depojax.units import FARADAY, GAS_CONSTANT

ONSET = 5.0  # Debye lengths, beyond which a layer is more than a double layer


class SpaceCharge(eqx.Module):
    """Ions, potential and space charge in a cell, steady or at the end of a run.

    Histories hold the one steady state, or the start and every time step (NaN beyond
    the last inside of a transformation); no derivative goes through those of a run.
    """

    voltage: Scalar  # collector against bath or counter electrode [V]
    current_density: Scalar  # per footprint, charging included [A m-2]
    ion_concentration: Float[Array, "ions x y z"]  # [mol m-3]
    potential: Cells  # electrostatic; 0 in the bath, or in the counter electrode [V]
    charge_density: Cells  # ions and fixed charge [C m-3]
    electric_field: Float[Array, "3 x y z"]  # −∇φ in the cells [V m-1]
    # −∂φ/∂n at the host, away from the metal; 0 elsewhere, and where neutral [V m-1].
    host_field: Cells
    collector_field: Array  # the same at the open collector [V m-1]
    local_current_density: Cells  # of the reaction on the host [A m-2]
    collector_current_density: Array  # of that on the open collector [A m-2]
    ion_current_density: Float[Array, " ions"]  # reactions of each, per footprint
    reduction_margin: Float[Array, " ions"]  # lowest E − E_k on the metal [V]
    layer_thickness: Scalar  # of the space charge, volume per plated area [m]
    local_layer_thickness: Cells  # the same at each place on the metal, else 0 [m]
    local_onset_time: Cells  # of a space charge there; inf if none has set in [s]
    charge: Scalar  # passed per footprint during the run [C m-2]
    end_time: Scalar  # [s]; inf: a steady state
    time: Float[Array, " n"]  # [s]
    voltage_history: Float[Array, " n"]  # [V]
    current_density_history: Float[Array, " n"]  # [A m-2]
    layer_thickness_history: Float[Array, " n"]  # [m]
    lowest_concentration: Float[Array, " n"]  # of any ion [mol m-3]
    # Of a neutral solution that was asked for more, else NaN [A m-2].
    limiting_current: Scalar
    debye_length: Scalar  # of the bulk [m]
    newton_steps: Int[Array, ""]  # of all stages
    most_newton_steps: Int[Array, ""]  # of one step towards the steady state
    linear_iterations: Int[Array, ""]
    solves: Int[Array, ""]  # time steps, or steps towards the steady state
    result: RESULTS
    cell: Cell
    state: IonState  # to go on from
    ions: tuple[str, ...] = static()
    electroneutral: bool = static()

    @property
    def message(self) -> str:
        """What came out, in a sentence."""
        if bool(self.result != RESULTS.successful):
            words = str(RESULTS[self.result])
            limit = float(self.limiting_current)
            if np.isfinite(limit):
                return f"{words} The limit is {limit / 10:.4g} mA/cm2."
            if bool(self.result == RESULTS.ran_out):
                return f"{words} That was after {float(self.end_time):.5g} s."
            return words
        if np.isinf(float(self.end_time)):
            return "A steady state."
        words = f"Done, after {float(self.end_time):.5g} s"
        onset = float(self.onset_time)
        if np.isfinite(onset):
            return f"{words}; a space charge set in after {onset:.5g} s."
        return f"{words}."

    @property
    def onset_time(self) -> Scalar:
        """When a space charge set in during a run [s]; inf if none has.

        That is when the layer got thicker than five Debye lengths of the bulk, more
        than a double layer at equilibrium: about Sand's time.
        """
        level = ONSET * self.debye_length
        thick = jnp.nan_to_num(self.layer_thickness_history)
        over = thick > level
        last = jnp.argmax(over)
        before = jnp.maximum(last - 1, 0)
        low, high = thick[before], thick[last]
        share = (level - low) / jnp.where(high > low, high - low, 1.0)
        share = jnp.clip(share, 0.0, 1.0)
        ended = jnp.isfinite(self.end_time)
        time = jnp.where(ended, self.time, 0.0)
        found = time[before] + share * (time[last] - time[before])
        return jnp.where(ended & jnp.any(over), found, jnp.inf)

    @property
    def front_velocity(self) -> Cells:
        """|μ_a E|, with which dendrites grow into the solution (Chazalviel) [m s⁻¹].

        μ_a = |z| D F/(RT) of the anion there is most of, E the field in the cell: to be
        read in the neutral solution ahead of the metal.
        """
        mobility = _anion_mobility(self.cell.ions)
        return mobility * jnp.sqrt(jnp.sum(self.electric_field**2, 0))

    @property
    def dendrite_velocity(self) -> Cells:
        """μ_a i/κ: how fast dendrites grow from each place on the metal [m s⁻¹].

        |μ_a E| of the field that carries the local current density through fresh,
        neutral solution, t_a J/(|z_a| F c_a) (Chazalviel): a front runs as fast as
        anions leave. It starts when `local_onset_time` has come. 0 where nothing is
        plated.
        """
        cell = self.cell
        area = onto(cell.grid, cell.scaffold.surface_area)
        floor = collector_area(cell)
        current = area * self.local_current_density
        current = current.at[..., 0].add(floor * self.collector_current_density)
        area = area.at[..., 0].add(floor)
        mean = jnp.where(area > 0, current / jnp.where(area > 0, area, 1.0), 0.0)
        mobility = _anion_mobility(cell.ions)
        return mobility * jnp.maximum(mean, 0.0) / cell.ions.conductivity

    def to_xarray(self):
        """The solution as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


def _anion_mobility(electrolyte: MultiIonElectrolyte) -> Scalar:
    """|z| D F/(RT) of the anion there is most of [m² V⁻¹ s⁻¹]."""
    z = jnp.asarray(electrolyte.charges, electrolyte.concentrations.dtype)
    amounts = jnp.where(z < 0, electrolyte.concentrations, -1.0)
    most = jnp.argmax(amounts)
    per_volt = FARADAY / (GAS_CONSTANT * electrolyte.temperature)
    return jnp.abs(z[most]) * electrolyte.diffusivities[most] * per_volt
