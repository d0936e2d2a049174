"""What arguments mean in a cell file: "60 mA/cm^2" as SI, its dimension checked.

quantity  =  number [unit], units as in `depojax._quantities`
"""

import re
from typing import Any

import jax

from depojax._quantities import parse_unit
from depojax.cli.words import InputError

# What is reckoned in each unit; "" is a pure number.
_ARGUMENTS = {
    "m": """
        amplitude channel_width correlation_length debye_length depth diameter
        fibre_diameter filament_diameter floor foil_thickness gap height period pitch
        pore_diameter radius sheet_thickness smallest spacing thickness tip_radius
        tow_pitch tow_thickness tow_width voxel_size wall_distance wall_thickness
        wavelength width window
    """,
    "": """
        angle anisotropy anodic_transfer bruggeman cathodic_transfer change closed
        contact_angle density_factor depleted_share disorder electrode_porosity
        exponent half_angle linear_tolerance phase porosity power
        relative_permittivity run_on share smoothing solid_fraction
        thermodynamic_factor threshold tolerance tortuosity_exponent tortuosity_factor
        transfer_sum transference_number weight wetting_factor
    """,
    "m^2/s": "anion_diffusivity cation_diffusivity diffusivity parabolic_rate",
    "s": "duration first_step fixed max_time off_time on_time time",
    "mol/m^3": "concentration near_concentration reference_concentration",
    "S/m": "conductivity contact ionic_conductivity solid_conductivity",
    "A/m^2": "current_density exchange_current_density",
    "ohm*m^2": "collector_film_resistance counter_film_resistance film_resistance",
    "K": "reference_temperature temperature",
    "J/mol": "activation_energy",
    "C/m^3": "fixed_charge",
    "C/m^2": "capacity initial_deposit spare_metal",
    "kg/m^3": "density electrode_density electrolyte_density separator_density",
    "kg/m^2": "foil_mass",
    "C/kg": "specific_capacity",
    "m^3/C": "volume_per_charge",
    "J": "reorganisation_energy",
    "1/m": "specific_area",
    "F/m^2": "double_layer_capacitance stern_capacitance",
    "V": "equilibrium_potential nucleation_overpotential standard_potential voltage",
    "1/m^2/s": "prefactor",
    "1/s": "rate",
    "1/m^2": "site_density",
    "J/m^2": "surface_energy",
}
ARGUMENT_UNITS = {
    name: unit for unit, names in _ARGUMENTS.items() for name in names.split()
}

_QUANTITY = re.compile(
    r"\s*(?P<number>[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?)\s*(?P<unit>.*?)\s*"
)


def parse_quantity(value: Any, argument: str) -> float:
    """`value`, a number in SI or a string with a unit, as a number in SI.

    Raises `InputError` for what is neither, for an unknown unit, and for a unit of
    another dimension than the argument's.
    """
    if isinstance(value, jax.Array):  # a design or a sweep has put it there
        return value  # pyright: ignore[reportReturnType]
    unit = ARGUMENT_UNITS.get(argument)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError(f"{argument}: expected {_expected(unit)}, got {value!r}.")
    if not isinstance(value, str):
        return float(value)
    match = _QUANTITY.fullmatch(value)
    if match is None:
        raise InputError(f'{argument}: expected {_expected(unit)}, got "{value}".')
    try:
        factor, dimension = parse_unit(match["unit"])
    except ValueError as error:
        raise InputError(f'{argument}: in "{value}": {error}') from None
    if unit is not None and match["unit"] and dimension != parse_unit(unit)[1]:
        raise InputError(f'{argument}: expected {_expected(unit)}, got "{value}".')
    if unit and not match["unit"]:
        raise InputError(
            f'{argument}: expected a unit in the string "{value}", such as '
            f'"{value.strip()} {unit}"; a number without quotes is in SI.'
        )
    return float(match["number"]) * factor


def _expected(unit: str | None) -> str:
    if unit == "":
        return "a number without a unit"
    if unit is None:
        return 'a number in SI, or a string with its unit, such as "20 um"'
    return f'a number in {unit}, or a string with its unit, such as "{_example(unit)}"'


def _example(unit: str) -> str:
    examples = {
        "m": "20 um",
        "A/m^2": "20 mA/cm^2",
        "mol/m^3": "1 M",
        "m^2/s": "3e-6 cm^2/s",
        "ohm*m^2": "10 ohm*cm^2",
        "J/mol": "50 kJ/mol",
        "J": "0.3 eV",
        "C/m^2": "4 mAh/cm^2",
        "K": "298.15 K",
        "s": "10 ms",
        "V": "-0.5 V",
        "F/m^2": "20 uF/cm^2",
    }
    return examples.get(unit, f"1 {unit}")
