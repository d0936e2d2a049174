"""netCDF files that hold a solution twice: for people, and without any loss.

The root group is the dataset of `to_xarray`. The group `/state` holds the solution
itself: its structure as JSON and every array by its path. An array whose bits are those
of another one in the file is stored once. Checksums guard every array.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from depojax.io.dataset import to_xarray
from depojax.io.files import whole_file
from depojax.io.state import Arrays, decode, encode

FORMAT = 1
_STATE = "state"
_ROOT_FIELDS = (
    "concentration", "depletion_time", "pore_fraction", "surface_area",
    "ion_concentration", "charge_density", "electric_field",
)  # fmt: skip


def save(
    solution: Any, path: str | Path, *, attributes: Mapping[str, Any] | None = None
) -> None:
    """Write a solution, or a scaffold, to a netCDF file; `load` gives it back.

    The file is whole or absent. `attributes` are added to those of the dataset.

    Raises `ValueError` for what is no solution, `OSError` for a folder that cannot be
    written.
    """
    dataset = to_xarray(solution, attributes=attributes)
    structure, arrays = encode(solution)
    dataset.attrs["depojax_format"] = FORMAT
    packed = {"zlib": True, "complevel": 1, "shuffle": True, "fletcher32": True}
    encoding: dict[Any, Any] = {
        name: packed if variable.size > 1 and variable.dtype.kind in "fi" else {}
        for name, variable in dataset.variables.items()
    }
    with whole_file(path) as partial:
        dataset.to_netcdf(
            partial, engine="netcdf4", format="NETCDF4", encoding=encoding
        )
        known = {
            _bits(dataset[n].values): f"/{n}" for n in _ROOT_FIELDS if n in dataset
        }
        with netCDF4.Dataset(partial, "a") as file:
            _write_state(file.createGroup(_STATE), structure, arrays, known)


def _bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


def _write_state(group: Any, structure: Any, arrays: Arrays, known: dict) -> None:
    places: dict[str, str] = {}
    for name, array in arrays.items():
        same = known.setdefault(_bits(array), f"/{_STATE}/{name}")
        places[name] = same
        if same == f"/{_STATE}/{name}":
            _write_array(group, name, array)
    shapes = {name: [str(array.dtype), *array.shape] for name, array in arrays.items()}
    group.structure = json.dumps({"tree": structure, "at": places, "shapes": shapes})


def _write_array(group: Any, name: str, array: np.ndarray) -> None:
    if array.size == 0:  # its shape says all
        return
    dimensions = []
    for size in array.shape:
        dimension = f"n{size}"
        if dimension not in group.dimensions:
            group.createDimension(dimension, size)
        dimensions.append(dimension)
    packed = array.size > 1
    variable = group.createVariable(
        name,
        "i1" if array.dtype == bool else array.dtype,
        dimensions,
        fill_value=False,
        **(
            {"compression": "zlib", "complevel": 1, "shuffle": True, "fletcher32": True}
            if packed
            else {}
        ),
    )
    variable.set_auto_maskandscale(False)
    variable[...] = array.astype("i1") if array.dtype == bool else array


def load(path: str | Path) -> Any:
    """What `save` was given: the same leaves, bit by bit, and the same structure.

    Raises `FileNotFoundError`, and `ValueError` for a file that is no depojax file,
    broken, or of a newer version than this.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    if path.is_dir():
        raise ValueError(f"{path}: expected a file, got a folder.")
    try:
        file = netCDF4.Dataset(path)
    except OSError as error:
        raise ValueError(
            f"{path}: not a netCDF file, or one that is cut off: {error}."
        ) from error
    with file:
        found = getattr(file, "depojax_format", None)
        if found is None or _STATE not in file.groups:
            raise ValueError(
                f"{path}: a netCDF file, but not one that depojax.io.save wrote."
            )
        if found > FORMAT:
            raise ValueError(
                f"{path}: written in format {found} by depojax "
                f"{getattr(file, 'depojax', '?')}, newer than format {FORMAT} of "
                "this version. Update depojax."
            )
        return _read_state(file, path)


def _read_state(file: Any, path: Path) -> Any:
    try:
        state = json.loads(file.groups[_STATE].structure)
    except (ValueError, AttributeError) as error:
        raise _broken(path, "its structure cannot be read") from error

    def read(name: str) -> np.ndarray:
        dtype, *shape = state["shapes"][name]
        if 0 in shape:
            return np.zeros(shape, dtype)
        try:
            variable = file[state["at"][name]]
            variable.set_auto_maskandscale(False)
            array = np.asarray(variable[...])
        except (RuntimeError, OSError, IndexError) as error:
            raise _broken(path, f"{name} cannot be read") from error
        return array.astype(dtype).reshape(shape)

    try:
        return decode(state["tree"], read)
    except KeyError as error:
        raise _broken(path, f"{error} is missing") from error
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path}: {error}") from error


def _broken(path: Path, words: str) -> ValueError:
    return ValueError(f"{path}: the file is broken: {words}. Write it again.")
