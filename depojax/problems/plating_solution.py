"""What a plating run has left behind: metal, pores, voltage, and what it took."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from depojax._types import Cells, Scalar
from depojax.physics.deposit import SurfaceLoss
from depojax.physics.nucleation import Nucleation
from depojax.problems.cell import Cell
from depojax.problems.coupled import CellState
from depojax.problems.fresh_surface import FreshSurface
from depojax.problems.growth import AbstractGrowth, Gain, volume_of_charge
from depojax.problems.plating_window import MeanNuclei
from depojax.problems.protocols import Protocol
from depojax.solvers.results import RESULTS


class Position(eqx.Module):
    """How far in its protocol a run is; to go on from."""

    step: Int[Array, ""]  # the one in hand, from 0; beyond the last when done
    since: Scalar  # time of that step [s]
    charge: Scalar  # passed when that step began [C m-2]
    dead: Scalar  # metal that was dead then [C m-2]
    film: Scalar  # that films on new surface had taken then [C m-2]
    length: Scalar  # of the next window [s]
    step_size: Scalar  # for it to begin with, 0 where that is not known [s]
    gain: Gain | None  # of the last window of the step
    window: Scalar  # length of the last window [s]
    concentration: Cells  # over c₀ at its end, in its pores; 0 elsewhere
    salt: Scalar  # at first [m³ of c₀]
    squeezed: Scalar  # out of the top since then [m³ of c₀]
    stored: Scalar  # charge of double layers per footprint [C m-2]


class Plating(eqx.Module):
    """A cell that was plated and stripped along a protocol, and its metal.

    Histories are kept after every time step and after every window; no derivative goes
    through them. Fields are those at the end, over the whole grid; derivatives go
    through these and through all that there is one of, or one for each step.
    """

    time: Float[Array, " n"]  # [s]
    step: Int[Array, " n"]  # of the protocol
    voltage: Float[Array, " n"]  # collector against counter electrode [V]
    current_density: Float[Array, " n"]  # per footprint [A m-2]
    lowest_wall_concentration: Float[Array, " n"]  # [mol m-3]
    charge_imbalance: Float[Array, " n"]  # between all electrodes, relative [-]
    window_time: Float[Array, " w"]  # ends of the windows [s]
    window_porosity: Float[Array, " w"]  # of the host then [-]
    window_pore_fraction: Float[Array, "w layers"]  # of the host's, then [-]
    window_voltage: Float[Array, " w"]  # then [V]
    window_step: Int[Array, " w"]  # of the protocol
    thickness: Cells  # of the deposit per true area of the bare host [m]
    coverage: Cells  # share of the host's area that is metal [-]
    nuclei_density: Cells  # per area of the host [m-2]
    nuclei_radius: Cells  # mean [m]
    dead_metal: Cells  # volume of dead metal per cell volume [-]
    pore_fraction: Cells  # [-]
    concentration: Cells  # [mol m-3]
    liquid_potential: Cells  # [V]
    local_current_density: Cells  # of the host's true surface, as it is now [A m-2]
    final_voltage: Scalar  # [V]
    voltage_parts: dict[str, Scalar]  # that add up to it [V]
    nucleation_overpotential: Scalar  # spike beyond the plateau, negative [V]
    charge: Scalar  # passed per footprint, plating positive [C m-2]
    end_time: Scalar  # [s]
    step_times: Float[Array, " steps"]  # length of every step of the protocol [s]
    step_charges: Float[Array, " steps"]  # that passed in each [C m-2]
    step_lost_charges: Float[Array, " steps"]  # metal that died in each [C m-2]
    step_film_charges: Float[Array, " steps"]  # that films took in each [C m-2]
    coulombic_efficiency: Float[Array, " cycles"]  # stripped/plated of each cycle [-]
    deposited_volume: Scalar  # of metal, as the geometry has it [m³]
    faraday_mismatch: Scalar  # of it, against charge × V_m/(zF), relative [-]
    inventory_mismatch: Scalar  # of live, dead and film metal, against charge [-]
    new_surface: Scalar  # of metal that got a film, per footprint [-]
    film_charge: Scalar  # that it took, per footprint [C m-2]
    salt_mismatch: Scalar  # salt that went amiss, over what there is [-]
    squeezed_salt: Scalar  # that left through the top with its electrolyte [mol]
    trapped_electrolyte: Scalar  # behind closed pores [m³]
    closure_time: Scalar  # when the first pore closed, inf if none did [s]
    closure_place: Float[Array, "3"]  # where [m]
    ended_by: tuple[str, ...]  # what ended every step
    windows: Int[Array, ""]
    time_steps: Int[Array, ""]
    newton_steps: Int[Array, ""]
    linear_iterations: Int[Array, ""]
    result: RESULTS
    cell: Cell  # bare, as it was given
    protocol: Protocol
    growth: AbstractGrowth
    metal: PyTree  # as the growth keeps it
    surface_loss: SurfaceLoss | None
    surface: FreshSurface | None  # and how much of it has its film
    nucleation: Nucleation | None
    nuclei: MeanNuclei | None  # of host and collector
    double_layer_capacitance: Scalar  # [F m-2]
    state: CellState  # to go on from
    position: Position

    @property
    def final_cell(self) -> Cell:
        """The cell with its metal."""
        return self.growth.cell(self.cell, self.metal)

    @property
    def dead_charge(self) -> Scalar:
        """Charge of all dead metal per footprint [C m⁻²]."""
        dead = self.growth.dead(self.cell, self.metal)
        return jnp.sum(dead) / self.cell.footprint

    @property
    def deposited_thickness(self) -> Scalar:
        """Volume of metal per footprint [m]: what a dense foil of it would be."""
        return self.deposited_volume / self.cell.footprint

    def to_xarray(self):
        """The run as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


def efficiencies(charges: list[Scalar], signs: list[float]) -> Array:
    """−stripped/plated of every run of plating steps that is followed by stripping."""
    plated = stripped = None
    found = []
    for charge, sign in zip(charges, signs, strict=True):
        if sign > 0:
            if stripped is not None and plated is not None:
                found.append(-stripped / plated)
                plated = stripped = None
            plated = charge if plated is None else plated + charge
        elif sign < 0 and plated is not None:
            stripped = charge if stripped is None else stripped + charge
    if plated is not None and stripped is not None:
        found.append(-stripped / plated)
    return jnp.stack(found) if found else jnp.zeros(0)


def dead_share(cell: Cell, dead: Cells) -> Cells:
    """Volume of dead metal per cell volume [-]."""
    return volume_of_charge(cell, dead) / cell.grid.volumes
