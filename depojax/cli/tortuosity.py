"""`depojax tortuosity foam.tif --voxel-size 2e-6`: how a scanned host conducts."""

import argparse
import math
from typing import Any

import jax
import numpy as np

from depojax.cli.cell_file import PRECISIONS, check_precision
from depojax.cli.quantities import parse_quantity
from depojax.cli.run_folder import as_json
from depojax.cli.session import session
from depojax.cli.words import InputError, aligned, finite_or_none, say
from depojax.io import save
from depojax.problems.tortuosity import PHASES, Tortuosity, tortuosity
from depojax.problems.tortuosity_map import TortuosityMap, tortuosity_map
from depojax.scaffold.scaffold import Scaffold


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `depojax tortuosity`."""
    parser.add_argument("image", help="TIFF stack, folder of slices, .npy or .raw")
    parser.add_argument(
        "--voxel-size", required=True, help='edge of a voxel: 2e-6 [m] or "2 um"'
    )
    parser.add_argument("--axis", default="z", help="x, y or z [z]")
    parser.add_argument("--phase", default="pore", help="pore or solid [pore]")
    parser.add_argument("--threshold", type=float, help="grey value between the phases")
    parser.add_argument(
        "--solid", help='with a threshold "above" or "below" it, else its labels: 1,3'
    )
    parser.add_argument("--pore", help="labels of the pore, such as 0 or 0,2")
    parser.add_argument("--axes", help='order of the stored axes ["zyx" for TIFF]')
    parser.add_argument("--shape", help="voxels of a .raw file as stored: 128,128,128")
    parser.add_argument("--dtype", help="of a .raw file, such as uint8")
    parser.add_argument(
        "--voxels", action="store_true", help="keep the faces of the voxels as walls"
    )
    parser.add_argument(
        "--map", type=int, metavar="CELLS", help="local tensors in windows so large"
    )
    parser.add_argument("--stride", type=int, help="cells from window to window")
    parser.add_argument("--out", metavar="FILE", help="netCDF file for field or map")
    parser.add_argument("--precision", default=PRECISIONS[0], help="or float32")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Compute the tortuosity factor of an image, or its map."""
    check_precision(arguments.precision)
    with session(arguments.precision):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        if arguments.phase not in PHASES:
            raise InputError(f"--phase: expected pore or solid, got {arguments.phase}.")
        if arguments.stride is not None and arguments.map is None:
            raise InputError("--stride: expected together with --map.")
        scaffold = Scaffold.from_image(
            arguments.image,
            parse_quantity(_number_or_words(arguments.voxel_size), "voxel_size"),
            trim=False,
            **_image_options(arguments),
        )
        if arguments.map is None:
            found: Any = tortuosity(scaffold, arguments.axis, arguments.phase)
            summary = summarise(found)
        else:
            found = tortuosity_map(
                scaffold, arguments.map, arguments.stride, arguments.phase
            )
            summary = summarise_map(found)
    except (ValueError, OSError, ImportError) as error:
        raise InputError(str(error)) from error
    if arguments.out:
        try:
            save(found, arguments.out)
        except OSError as error:
            raise InputError(f"--out {arguments.out}: {error}.") from error
        summary["file"] = arguments.out
    say(as_json(summary).rstrip() if arguments.json else _table(summary))
    return 0


def _image_options(arguments: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {"cut": not arguments.voxels}
    for name in ("threshold", "axes", "dtype"):
        if getattr(arguments, name) is not None:
            options[name] = getattr(arguments, name)
    if arguments.shape is not None:
        options["shape"] = tuple(_whole_numbers("--shape", arguments.shape))
    for name in ("pore", "solid"):
        words = getattr(arguments, name)
        if words is not None:
            with_threshold = words in ("above", "below")
            options[name] = (
                words if with_threshold else _whole_numbers(f"--{name}", words)
            )
    return options


def _whole_numbers(option: str, words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise InputError(
            f"{option}: expected whole numbers such as 0 or 0,2, got {words!r}."
        ) from None


def _number_or_words(words: str) -> float | str:
    try:
        return float(words)
    except ValueError:
        return words


def summarise(found: Tortuosity) -> dict[str, Any]:
    """What came out for one axis; None for what is infinite."""
    return {
        "message": found.message,
        "axis": found.axis,
        "phase": found.phase,
        "tortuosity_factor": finite_or_none(found.tortuosity_factor),
        "effective_diffusivity": finite_or_none(found.effective_diffusivity),
        "porosity": finite_or_none(found.porosity),
        "percolates": bool(found.percolates),
        "flux_mismatch": finite_or_none(found.flux_mismatch),
        "residual": finite_or_none(found.residual),
        "iterations": int(found.iterations),
        "cells": list(found.field.shape),
        "device": jax.devices()[0].device_kind,
    }


def summarise_map(found: TortuosityMap) -> dict[str, Any]:
    """What came out for a map: its size, and the spread of the local values."""
    tau = np.asarray(found.tortuosity_factor)
    windows = found.grid.shape
    blocked = int(np.sum(~np.asarray(found.percolates).all(-1)))
    open_ones = [tau[..., axis][np.isfinite(tau[..., axis])] for axis in range(3)]
    return {
        "message": f"{math.prod(windows)} windows of {found.window[0]} cells, of which "
        f"{blocked} do not percolate along every axis.",
        "windows": list(windows),
        "window_cells": list(found.window),
        "blocked_windows": blocked,
        "porosity": _spread(np.asarray(found.porosity)),
        "tortuosity_factor": {
            axis: _spread(values) for axis, values in zip("xyz", open_ones, strict=True)
        },
        "specific_area_1_m": _spread(np.asarray(found.specific_area)),
    }


def _spread(values: np.ndarray) -> dict[str, float | None]:
    if values.size == 0:
        return {"lowest": None, "median": None, "highest": None}
    return {
        "lowest": float(values.min()),
        "median": float(np.median(values)),
        "highest": float(values.max()),
    }


def _table(summary: dict[str, Any]) -> str:
    rows = [
        (name.replace("_", " "), _shown(value))
        for name, value in summary.items()
        if name != "message"
    ]
    return f"{summary['message']}\n\n{aligned(rows)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_shown(v)}" for k, v in value.items())
    if isinstance(value, list):
        return " × ".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:.5g}"
    return "none" if value is None else str(value)
