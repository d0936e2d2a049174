"""What datasets share: the axes of a grid, variables with units, the input in words."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from depojax.fv.grid import AXES, Grid
from depojax.io.state import encode


def with_axes(dataset: xr.Dataset, grid: Grid) -> xr.Dataset:
    """`dataset` with the coordinates x, y, z and the sides of the cells."""
    axes = zip(AXES, grid.centers, grid.nodes, strict=True)
    for axis, centers, nodes in axes:
        words = {
            "x": "first axis of the footprint",
            "y": "second axis of the footprint",
            "z": "height above the current collector",
        }
        about = {"units": "m", "long_name": words[axis], "axis": axis.upper()}
        sides = np.stack([np.asarray(nodes[:-1]), np.asarray(nodes[1:])], axis=1)
        dataset.coords[axis] = xr.Variable(
            (axis,), np.asarray(centers), about | {"bounds": f"{axis}_bounds"}
        )
        dataset[f"{axis}_bounds"] = xr.Variable(
            (axis, "side"),
            sides,
            {"units": "m", "long_name": f"sides of the cells, {axis}"},
        )
    return dataset


def named(dims: tuple[str, ...], value: Any, unit: str, words: str) -> xr.Variable:
    """A variable with its unit and what it is."""
    return xr.Variable(dims, np.asarray(value), {"units": unit, "long_name": words})


def add_named(
    dataset: xr.Dataset,
    dims: tuple[str, ...],
    source: Any,
    meaning: Mapping[str, tuple[str, str]],
) -> None:
    """Attributes of `source` along `dims`; `meaning` is (unit, what it is) by name."""
    for name, about in meaning.items():
        dataset[name] = named(dims, getattr(source, name), *about)


def add_voltage_parts(dataset: xr.Dataset, parts: Mapping[str, Any]) -> None:
    """The parts of the last voltage, along `part`."""
    values = [float(part) for part in parts.values()]
    dataset["voltage_part"] = named(
        ("part",), values, "V", "parts of the voltage at the end"
    )
    dataset.coords["part"] = labels("part", parts, "cause")


def labels(dim: str, names: Iterable[str], words: str) -> xr.Variable:
    """A coordinate of names along `dim`."""
    return xr.Variable((dim,), list(names), {"long_name": words})


def times(values: Any, words: str, dim: str = "time") -> xr.Variable:
    """A coordinate of times [s]; `time` itself is the standard's."""
    about = {"units": "s", "long_name": words}
    if dim == "time":
        about["standard_name"] = "time"
    return xr.Variable((dim,), np.asarray(values), about)


def on_grid(
    grid: Grid, fields: Mapping[str, Any], meaning: Mapping[str, tuple[str, str]]
) -> xr.Dataset:
    """Fields over the cells of a grid; `meaning` is (unit, what it is) by name."""
    variables = {
        name: named(AXES, value, *meaning[name]) for name, value in fields.items()
    }
    return with_axes(xr.Dataset(variables), grid)


def described(tree: Any) -> str:
    """All numbers and words of the input but its fields over the grid, as JSON."""
    structure, arrays = encode(tree)

    def plain(data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if "class" in data:
            kept = {k: v for k, v in data["fields"].items() if k != "pairing"}
            return {"class": data["class"]} | {k: plain(v) for k, v in kept.items()}
        (kind, inner), *_ = data.items()
        if kind in ("jax", "numpy"):
            array = arrays[inner]
            return array.tolist() if array.ndim < 2 else f"array {array.shape}"
        if kind in ("tuple", "list"):
            return [plain(item) for item in inner]
        return {k: plain(v) for k, v in inner.items()} if kind == "dict" else inner

    return json.dumps(plain(structure))
