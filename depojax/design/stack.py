"""What a host weighs, and what the cell around it stores per mass and per volume.

Per footprint, with Q the areal capacity [C m⁻²] and V the mean voltage of the cell:

    mass    host ρ_s h_s + electrolyte ρ_e (h_pore + …) + separator + far electrode
            + foils + spare metal Q_spare M/(zF)
    volume  host + separator + far electrode + foils (thicknesses)
    E = Q (V − loss)/(3600 mass)  [Wh kg⁻¹],    Q (V − loss)/(3.6e6 volume)  [Wh L⁻¹]

The case, tabs and the metal that comes out of the far electrode are not counted again.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from depojax._checks import check_array_shape, check_plausible, check_range, refuse
from depojax._types import Scalar, as_float, quantity
from depojax.design.objective import AbstractObjective, cell_of, scaffold_of
from depojax.problems.cell import Cell
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY

_LITRE, _HOUR = 1e-3, 3600.0


class Stack(eqx.Module):
    """What stands beside the host in a cell: far electrode, separator, foils.

    Every number is the user's. Good values for NMC against lithium (recalled, ±10 %
    where nothing else is said): voltage 3.8 V, specific_capacity 190 mAh g⁻¹ of coating
    (200 of NMC811, 95 % of the coating), electrode_density 3.3 g cm⁻³ with its pores,
    electrode_porosity 0.25; electrolyte_density 1.2 g cm⁻³ (±5 %; of carbonates with
    1 M of salt, cf. doi:10.3390/batteries11020044); separator_density 0.95 g cm⁻³ of
    polyethylene without its pores; foils of copper and aluminium weigh 8.96 and
    2.70 g cm⁻³ (CRC Handbook, 97th ed.): 8 µm and half of 12 µm, which coats two
    sides, are foil_thickness 14 µm and foil_mass 88 g m⁻².
    """

    capacity: Scalar = quantity()  # Q, areal [C m-2]
    voltage: Scalar = quantity()  # mean, without the losses at the host [V]
    specific_capacity: Scalar = quantity()  # of the far electrode's coating [C kg-1]
    electrode_density: Scalar = quantity()  # of the coating, pores empty [kg m-3]
    electrode_porosity: Scalar = quantity()  # [-]
    electrolyte_density: Scalar = quantity()  # [kg m-3]
    separator_density: Scalar = quantity(default=950.0)  # of its solid [kg m-3]
    foil_thickness: Scalar = quantity(default=0.0)  # of both current collectors [m]
    foil_mass: Scalar = quantity(default=0.0)  # of both per footprint [kg m-2]
    spare_metal: Scalar = quantity(default=0.0)  # beyond that which cycles [C m-2]

    def __check_init__(self):
        positive = {
            "capacity": (1.0, 1e7, "C m⁻²", "2 * mAh / cm**2"),
            "voltage": (0.1, 10.0, "V", "3.8"),
            "specific_capacity": (1e3, 1e8, "C kg⁻¹", "190 * mAh / g"),
            "electrode_density": (100.0, 3e4, "kg m⁻³", "3.3 * g / cm**3"),
            "electrolyte_density": (100.0, 3e4, "kg m⁻³", "1.2 * g / cm**3"),
            "separator_density": (100.0, 3e4, "kg m⁻³", "0.95 * g / cm**3"),
        }
        for name, (low, high, unit, example) in positive.items():
            check_plausible(name, getattr(self, name), low, high, unit, example)
        check_range("electrode_porosity", self.electrode_porosity, 0.0, 0.99)
        units = {"foil_thickness": "m", "foil_mass": "kg m⁻²", "spare_metal": "C m⁻²"}
        for name, unit in units.items():
            check_range(name, getattr(self, name), 0.0, np.inf, unit)

    def mass(self, cell: Cell, host_density: Array) -> Scalar:
        """Of all layers per footprint [kg m⁻²]."""
        coating = self.capacity / self.specific_capacity
        inside = self.electrode_porosity * coating / self.electrode_density
        wet = pore_volume(cell.scaffold) + inside
        mass = coating + self.foil_mass + host_mass(cell.scaffold, host_density)
        if cell.separator is not None:
            layer = cell.separator
            wet = wet + layer.porosity * layer.thickness
            solid = (1 - layer.porosity) * layer.thickness
            mass = mass + self.separator_density * solid
        if cell.metal is not None:
            metal = cell.metal
            per_charge = metal.molar_mass / (metal.charge * FARADAY)
            mass = mass + self.spare_metal * per_charge
        return mass + self.electrolyte_density * wet

    def thickness(self, cell: Cell) -> Scalar:
        """Of all layers [m]."""
        coating = self.capacity / self.specific_capacity / self.electrode_density
        whole = coating + self.foil_thickness + cell.scaffold.grid.lengths[2]
        if cell.separator is not None:
            whole = whole + cell.separator.thickness
        return whole


def solid_volume(scaffold: Scaffold) -> Scalar:
    """Volume of the solid per footprint [m³ m⁻²]; closed pores count as solid."""
    volume = (1 - scaffold.pore_fraction) * scaffold.grid.volumes
    return jnp.sum(volume) / scaffold.grid.footprint


def pore_volume(scaffold: Scaffold) -> Scalar:
    """Volume of the pores per footprint [m³ m⁻²]."""
    volume = scaffold.pore_fraction * scaffold.grid.volumes
    return jnp.sum(volume) / scaffold.grid.footprint


def host_mass(scaffold: Scaffold, density: Array) -> Scalar:
    """Mass of the solid per footprint [kg m⁻²]; one density, or one per cell."""
    if density.ndim != 0:
        check_array_shape("density", density, scaffold.shape)
    volume = (1 - scaffold.pore_fraction) * scaffold.grid.volumes
    return jnp.sum(density * volume) / scaffold.grid.footprint


def _density(density: Any) -> Array:
    check_plausible("density", density, 10.0, 3e4, "kg m⁻³", "8.96 * g / cm**3")
    return as_float(density)


class HostMass(AbstractObjective):
    """Mass of the host's solid per footprint, Σ ρ (1 − ε) V / A [kg m⁻²].

    Args:
        density: of the solid [kg m⁻³], one number or one per cell.

    Needs the shape alone: a `Scaffold` will do. Good values: copper 8960, nickel 8908,
    zinc 7140, aluminium 2700 (CRC Handbook, 97th ed.), hard carbon and carbon fibres
    about 1800 (recalled, ±10 %).
    """

    density: Array = eqx.field(converter=_density)
    name = "host mass"
    unit = "kg m-2"
    sense = "minimise"

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        return host_mass(scaffold_of(cell), self.density)


class HostVolume(AbstractObjective):
    """Volume of the host's solid per footprint, Σ (1 − ε) V / A [m³ m⁻²].

    Needs the shape alone: a `Scaffold` will do. Over the thickness it is 1 − porosity.
    """

    name = "host volume"
    unit = "m3 m-2"
    sense = "minimise"

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        return solid_volume(scaffold_of(cell))


class SpecificEnergy(AbstractObjective):
    """Energy per mass of the cell, Q (V − loss)/mass [Wh kg⁻¹]; see `Stack`.

    Args:
        stack: what stands beside the host.
        density: of the host's solid [kg m⁻³].
        voltage_loss: an objective in volts, such as `VoltageLoss`, taken off the
            voltage; by default none.
    """

    stack: Stack
    density: Array = eqx.field(converter=_density)
    voltage_loss: AbstractObjective | None = None
    name = "specific energy"
    unit = "Wh kg-1"
    sense = "maximise"

    def __check_init__(self):
        if not isinstance(self.stack, Stack):
            raise refuse("stack", "a Stack", type(self.stack).__name__)
        loss = self.voltage_loss
        if loss is not None and getattr(loss, "unit", "") != "V":
            got = f"one in {loss.unit!r}" if hasattr(loss, "unit") else repr(loss)
            raise refuse(
                "voltage_loss", "an objective in V", got, "Such as VoltageLoss."
            )

    @property
    def questions(self):
        return () if self.voltage_loss is None else self.voltage_loss.questions

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        cell = cell_of(self, cell)
        return self.energy(cell, answers) / self.stack.mass(cell, self.density) / _HOUR

    def energy(self, cell: Cell, answers: tuple[Any, ...]) -> Scalar:
        """Per footprint [J m⁻²]."""
        voltage = self.stack.voltage
        if self.voltage_loss is not None:
            voltage = voltage - self.voltage_loss.measured(cell, answers)
        return self.stack.capacity * voltage


class EnergyDensity(SpecificEnergy):
    """Energy per volume of the cell, Q (V − loss)/thickness [Wh L⁻¹]; see `Stack`.

    Arguments as `SpecificEnergy`.
    """

    name = "energy density"
    unit = "Wh L-1"

    def measured(self, cell: Any, answers: tuple[Any, ...]) -> Scalar:
        cell = cell_of(self, cell)
        per_volume = self.energy(cell, answers) / self.stack.thickness(cell)
        return per_volume * _LITRE / _HOUR
