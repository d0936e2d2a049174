"""`depojax info`: versions, devices, folders, and what a cell file can name."""

import argparse

import jax

from depojax._compile import cache_folder
from depojax.cli.cell_kinetics import KINETICS, OF_IONS
from depojax.cli.design_file import OBJECTIVES
from depojax.cli.generators import GENERATORS
from depojax.cli.run_folder import as_json
from depojax.cli.words import aligned, say
from depojax.io import provenance
from depojax.physics import electrolytes, metals, substrates


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax info`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Say what depojax runs with."""
    facts = provenance() | {
        "devices": [
            f"{device.platform}: {device.device_kind}" for device in jax.devices()
        ],
        "precision": "float64 unless --precision or [numerics] says float32; "
        "float64 alone for simulate, plate and space-charge",
        "cache": str(cache_folder()),
        "scaffolds": sorted(GENERATORS),
        "electrolytes": sorted(electrolytes.KNOWN),
        "metals": sorted(metals.KNOWN),
        "substrates": sorted(substrates.KNOWN),
        "kinetics": sorted(KINETICS),
        "kinetics of ions": sorted(OF_IONS),
        "objectives": sorted(OBJECTIVES),
    }
    rows = [
        (name, ", ".join(value) if isinstance(value, list) else value)
        for name, value in facts.items()
    ]
    say(as_json(facts).rstrip() if arguments.json else aligned(rows))
    return 0
