"""`depojax new cell.toml`: a commented cell file to start from."""

import argparse
from pathlib import Path

from depojax.cli.run_folder import write_text
from depojax.cli.words import InputError, say

_ELECTROLYTE = """
[electrolyte]
name = "lipf6_ec_emc"       # or its diffusivity, transference_number and charge
concentration = "1 M"
temperature = 298.15        # K
"""

_SAND = f"""\
# A cell for `depojax sand`. Numbers are in SI; a string carries its unit.
# Keys are the arguments of the functions in depojax: their docstrings say more.

[scaffold]
generator = "foam"          # or gyroid, fibre_mat, pillars, image, homogenised, …
shape = [48, 48, 48]        # cells along x, y, and z (collector to separator)
voxel_size = "2 um"
porosity = 0.92             # a list is a profile from collector to separator
pore_diameter = "40 um"
key = 7                     # of the random numbers
{_ELECTROLYTE}\
# concentrated = true       # properties follow the local concentration

[cell]
metal = "lithium"
separator = "25 um"         # a free gap; or a table:
# separator = {{ thickness = "25 um", porosity = 0.45, tortuosity_factor = 3 }}
counter_electrode = "metal" # or reservoir, blocked, half_infinite
plated_collector = true

[sand]
# max_time = "1 hour"
# depleted_share = 0.05     # of the metal; by default its first place decides
current_density = "150 mA/cm^2"   # of footprint; or pulses:
# [sand.current_density]
# current_density = "300 mA/cm^2"
# on_time = "1 ms"
# off_time = "1 ms"

[numerics]
tolerance = 1e-4            # of each time step
precision = "float64"       # or "float32"
"""

_SIMULATE = f"""\
# A cell for `depojax simulate`. Numbers are in SI; a string carries its unit.
# Keys are the arguments of the functions in depojax: their docstrings say more.

[scaffold]
generator = "gyroid"        # or foam, fibre_mat, pillars, image, homogenised, …
shape = [16, 16, 16]        # cells along x, y, and z (collector to separator)
voxel_size = "3 um"
porosity = 0.8              # a list is a profile from collector to separator
period = "48 um"
{_ELECTROLYTE}\
concentrated = true         # properties follow the local concentration

[cell]
metal = "lithium"
separator = {{ thickness = "25 um", porosity = 0.45, tortuosity_factor = 3 }}
film_resistance = "10 ohm*cm^2"   # or {{ thickness = "20 nm",
#                                        ionic_conductivity = "1e-8 S/cm" }}
counter_film_resistance = "10 ohm*cm^2"
# solid_conductivity = "1e2 S/cm"   # left out: the host has one potential
# initial_deposit = "0 mAh/cm^2"    # to be stripped; left out: there is always enough

[kinetics]
kind = "butler_volmer"      # or tafel, linear, marcus, marcus_hush_chidsey
exchange_current_density = "1 mA/cm^2"  # of true area, at 1 M
cathodic_transfer = 0.5
anodic_transfer = 0.5

[counter_kinetics]
kind = "butler_volmer"
exchange_current_density = "1 mA/cm^2"

[simulate]                  # Plate, Strip, Rest, Hold, Pulse, Sweep, Follow, repeat
protocol = [
    "Plate at 2 mA/cm2 until 0.5 mAh/cm2 or until -0.5 V",
    "Rest for 5 minutes",
]

[numerics]
tolerance = 1e-4            # of each time step
"""

_SPACE_CHARGE = """\
# A cell for `depojax space-charge`. Numbers are in SI; a string carries its unit.
# Keys are the arguments of the functions in depojax: their docstrings say more.

[scaffold]
generator = "pillars"       # or gyroid, foam, foil, image, …
shape = [14, 14, 16]        # cells along x, y, and z (collector to separator)
voxel_size = "3 nm"         # at most two Debye lengths where there is metal
diameter = "20 nm"
height = "30 nm"
pitch = "42 nm"

[electrolyte]
relative_permittivity = 30  # or debye_length = "3 nm", knowingly
temperature = 298.15        # K
# plated = "Li+"            # by default the first ion

[[electrolyte.ions]]
name = "Li+"
charge = 1
diffusivity = "2e-6 cm^2/s"
concentration = "10 mM"
# diameter = "0.5 nm"       # an ion that takes up room
# standard_potential = "-3.04 V"    # told of two, the other is reduced below its own
# near_concentration = "1 mM"       # of a bath at z = 0 in place of the collector

[[electrolyte.ions]]
name = "PF6-"
charge = -1
diffusivity = "4e-6 cm^2/s"
concentration = "10 mM"

[cell]
separator = "30 nm"         # a free gap
counter_electrode = "reservoir"   # or metal, blocked, half_infinite

# [kinetics]                # left out: an electrode at equilibrium
# kind = "butler_volmer"    # or tafel, marcus, reversible, blocking, …
# exchange_current_density = "1 mA/cm^2"

[space_charge]
voltage = ["-50 mV", "-0.2 V", "-0.5 V", "-1 V"]   # a curve; or one voltage
# current_density = "100 mA/cm^2"   # instead of a voltage
# duration = "1 us"         # how long one of them is held; by default for ever
# electroneutral = true     # leave the space charge out
# stern_capacitance = "20 uF/cm^2"
# fixed_charge = "-1e5 C/m^3"       # of a charged scaffold; a list is a profile
"""

_PLATE = f"""\
# A cell for `depojax plate`. Numbers are in SI; a string carries its unit.
# Keys are the arguments of the functions in depojax: their docstrings say more.

[scaffold]
generator = "homogenised"   # a host known by its averages
shape = [1, 1, 10]          # cells along x, y, and z (collector to separator)
voxel_size = "10 um"
porosity = 0.9              # a list is a profile from collector to separator
tortuosity_factor = 1.4
specific_area = "2e5 1/m"
{_ELECTROLYTE}
[cell]
metal = "lithium"
separator = {{ thickness = "25 um", porosity = 0.45, tortuosity_factor = 3 }}
# solid_conductivity = "1e2 S/cm"   # left out: the host has one potential

[kinetics]
kind = "butler_volmer"      # or tafel, linear, marcus, marcus_hush_chidsey
exchange_current_density = "1 mA/cm^2"  # of true area, at 1 M

[counter_kinetics]
kind = "butler_volmer"
exchange_current_density = "1 mA/cm^2"

# [nucleation]              # left out: host and collector react like the metal
# substrate = "copper"                  # or two, as ["gold", "alumina"]; or
# nucleation_overpotential = "-40 mV"   # a list is a profile

[growth]
area_law = "pores"          # or fibres, constant
bruggeman = 1.5             # D_eff ~ (pore fraction)^1.5
# [growth.loss]             # left out: no metal dies
# rate = "1e-6 1/s"
# share = 0.01

[plate]                     # Plate, Strip, Rest, Hold, Pulse, Sweep, Follow, repeat
protocol = [
    "Plate at 2 mA/cm2 until 2 mAh/cm2",
    "Rest for 5 minutes",
    "Strip at 2 mA/cm2 until 0.5 V",
]

[numerics]
tolerance = 1e-4            # of each time step
"""

_OPTIMISE = f"""\
# A design for `depojax optimise`: a cell, what is free in it, and what is better.
# Numbers are in SI; a string carries its unit. All of `new --for sand` may stand here.

[scaffold]
generator = "averaged_foam" # homogenised; or foam, gyroid, … on a grid that resolves it
shape = [1, 1, 64]          # cells along x, y, and z (collector to separator)
voxel_size = "3 um"
porosity = 0.9              # where the free one below begins
pore_diameter = "60 um"
{_ELECTROLYTE}\

[cell]
metal = "lithium"
separator = "25 um"         # a free gap

[design.scaffold.porosity]  # any number of the tables above, by table and key
low = 0.75
high = 0.97
n = 8                       # a profile of so many values; left out: one number
interpolation = "linear"    # or "spline", "cells"
keep_mean = true            # the mass of the host stays what it is
# monotone = "rising"       # or "falling"
# scale = "log"             # for bounds that lie decades apart

[objective.sand_time]       # or host_mass, voltage_loss, … added, each with its
current_density = "200 mA/cm^2"   # weight, and per what
# weight = 1.0
# per = 10.0                # in the unit of the objective, here 10 s

# [constraints.area]        # what has to be kept
# of = "specific_area"      # or porosity, area_factor, or an objective
# at_most = 6e4

[optimise]
optimizer = "adam"          # or lbfgs, sgd, nadam, adabelief, rmsprop
learning_rate = 0.1
schedule = "cosine"         # or constant, exponential
steps = 30
stall_steps = 15
# starts = 4                # at once, scattered by spread = 1.0 with key = 0
"""

_SWEEP = f"""\
# A parameter study for `depojax sweep`: a cell, and what varies.
# Numbers are in SI; a string carries its unit. All of `new --for sand` may stand here.

[scaffold]
generator = "averaged_foam" # homogenised; or foam, gyroid, … on a grid that resolves it
shape = [1, 1, 48]
voxel_size = "4 um"
porosity = 0.9
pore_diameter = "60 um"
{_ELECTROLYTE}\

[cell]
metal = "lithium"
separator = "25 um"

[sand]
current_density = "200 mA/cm^2"

[sweep]
question = "sand"           # or simulate
outputs = ["time", "limiting_current", "specific_area"]
mode = "vmap"               # in one program; loop: also words and shapes; or dask

[sweep.parameters]          # every combination of them
scaffold.porosity = [0.8, 0.9, 0.95]
sand.current_density = {{ low = "150 mA/cm^2", high = "300 mA/cm^2", count = 3 }}
"""

EXAMPLES = {
    "sand": _SAND,
    "simulate": _SIMULATE,
    "plate": _PLATE,
    "space-charge": _SPACE_CHARGE,
    "optimise": _OPTIMISE,
    "sweep": _SWEEP,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax new`."""
    parser.add_argument("file", nargs="?", default="cell.toml", help="[cell.toml]")
    parser.add_argument(
        "--for",
        dest="question",
        choices=list(EXAMPLES),
        default="sand",
        help="the command that it is an example for [sand]",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def run(arguments: argparse.Namespace) -> int:
    """Write the example."""
    path, question = Path(arguments.file), arguments.question
    if path.exists() and not arguments.force:
        raise InputError(f"{path} exists already. Name another one, or add --force.")
    try:
        write_text(path, EXAMPLES[question])
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error}.") from error
    say(f"Wrote {path}. Run it with: depojax {question} {path}")
    return 0
