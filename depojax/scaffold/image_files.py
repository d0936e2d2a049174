"""Image files: stacks of slices as numpy arrays [x, y, z].

What a file does not say (the order of its axes, the shape of raw bytes) is an argument;
what it says too late (a stack cut short, slices of several sizes) is refused.
"""

import contextlib
import logging
import math
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from jaxtyping import Shaped

from depojax._checks import check_shape, refuse
from depojax.fv.grid import AXES

Voxels = Shaped[np.ndarray, "x y z"]

SUFFIXES = (".tif", ".tiff", ".npy", ".raw")


def read_image(
    path: str | Path,
    *,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    axes: str | None = None,
) -> Voxels:
    """The voxel image stored at `path`, as a numpy array [x, y, z].

    Args:
        path: a TIFF stack (.tif, .tiff), a folder of 2D TIFF slices (one per z, in the
            order of the numbers in their names), .npy, or .raw (C order).
        shape: numbers of voxels along the *stored* axes; .raw only.
        dtype: type of a stored voxel, as "uint8" or "<u2"; .raw only.
        axes: order of the stored axes, any permutation of "xyz". TIFF slices are
            stored "zyx", which is their default; .npy and .raw default to "xyz".

    Raises `ValueError` for a file that is cut short, unreadable, no 3D image, of an
    unknown kind, or of another size than shape and dtype say; `FileNotFoundError` when
    it does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"image: expected a file or folder, got no {path}.")
    suffix = path.suffix.lower()
    if not path.is_dir() and suffix not in SUFFIXES:
        raise refuse(
            "image", f"a folder or one of {', '.join(SUFFIXES)}", repr(path.name)
        )
    if suffix != ".raw" and (shape is not None or dtype is not None):
        raise refuse(
            "shape, dtype", "nothing (the file knows them)", f"them for {path.name}"
        )
    if path.is_dir():
        stored, default = _read_folder(path), "zyx"
    elif suffix == ".npy":
        stored, default = _read_npy(path), "xyz"
    elif suffix == ".raw":
        stored, default = _read_raw(path, shape, dtype), "xyz"
    else:
        stored, default = _read_tiff(path), "zyx"
    return turned(stored, default if axes is None else axes)


def turned(stored: np.ndarray, axes: str) -> Voxels:
    """`stored`, whose axes are in the order `axes`, as [x, y, z]."""
    check_dimensions(stored)
    if not isinstance(axes, str) or sorted(axes) != list(AXES):
        raise refuse(
            "axes", 'the order of the stored axes, a permutation of "xyz"', repr(axes)
        )
    return np.ascontiguousarray(stored.transpose([axes.index(axis) for axis in AXES]))


def check_dimensions(image: np.ndarray) -> None:
    """Refuse what is no 3D array of voxels."""
    if image.ndim == 3 and image.size > 0:
        return
    cures = {
        2: "Give a single slice its third axis: image[:, :, None].",
        4: "Take one channel or time of it: image[..., 0].",
    }
    raise refuse(
        "image",
        "a 3D array of voxels",
        f"shape {image.shape}",
        cures.get(image.ndim, ""),
    )


class _Complaints(logging.Handler):
    """What tifffile logs about a file instead of raising."""

    SERIOUS = ("invalid page offset", "failed to reshape", "corrupted")

    def __init__(self):
        super().__init__()
        self.serious: list[str] = []

    def emit(self, record):
        message = record.getMessage()
        if any(words in message for words in self.SERIOUS):
            self.serious.append(message)


@contextlib.contextmanager
def _listening():
    logger, complaints = logging.getLogger("tifffile"), _Complaints()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(complaints)
    try:
        yield complaints
    finally:
        logger.removeHandler(complaints)
        logger.propagate = propagate


def _read_tiff(path: Path) -> np.ndarray:
    size = path.stat().st_size
    with _listening() as complaints:
        try:
            with tifffile.TiffFile(path) as file:
                ends = [
                    offset + count
                    for page in file.pages
                    for offset, count in zip(
                        page.dataoffsets, page.databytecounts, strict=True
                    )
                ]
                if max(ends, default=0) > size:
                    complaints.serious.append(f"its slices need {max(ends)} bytes")
                stored = file.asarray() if not complaints.serious else None
                several = len(file.series)
        except _TIFF_ERRORS as error:
            raise _unreadable(path, f"{size} bytes ({error})") from error
    if stored is None or complaints.serious:
        raise _unreadable(path, f"{size} bytes ({'; '.join(complaints.serious)})")
    if several != 1:
        raise refuse(
            "image", "one stack of slices of equal size", f"{several} in {path.name}"
        )
    return stored


# What tifffile raises on bytes that end too early, are garbled, or need imagecodecs
# (whose own errors are RuntimeErrors).
_TIFF_ERRORS = (
    tifffile.TiffFileError,
    ValueError,
    LookupError,
    OSError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def _unreadable(path: Path, got: str) -> ValueError:
    return refuse(
        "image",
        f"a readable file {path.name}",
        got,
        "Copy it again: it may have been cut short.",
    )


def _read_folder(path: Path) -> np.ndarray:
    def number(slice_path: Path):
        # slice_2 comes before slice_10
        return [
            int(part) if part.isdigit() else part
            for part in re.split(r"(\d+)", slice_path.name)
        ]

    files = sorted(
        (f for f in path.iterdir() if f.suffix.lower() in (".tif", ".tiff")), key=number
    )
    if not files:
        raise refuse("image", "a folder of TIFF slices", f"none in {path}")
    slices = [_read_tiff(file) for file in files]
    for file, layer in zip(files, slices, strict=True):
        if layer.ndim != 2 or layer.shape != slices[0].shape:
            raise refuse(
                "image",
                f"2D slices of one size, {slices[0].shape} as in {files[0].name}",
                f"{layer.shape} in {file.name}",
            )
    return np.stack(slices)


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        size = path.stat().st_size
        raise _unreadable(path, f"{size} bytes ({error})") from error


def _read_raw(path: Path, shape: Sequence[int] | None, dtype: Any) -> np.ndarray:
    size = path.stat().st_size
    if shape is None or dtype is None:
        raise refuse(
            "shape, dtype",
            "both for a .raw file, which does not know them",
            f"shape={shape}, dtype={dtype}",
            f"The file has {size} bytes. {_would_fit(_cubes(size))}",
        )
    shape = check_shape("shape", shape)
    try:
        dtype = np.dtype(dtype)
    except TypeError as error:
        raise refuse("dtype", 'a numpy type, as "uint8"', repr(dtype)) from error
    expected = math.prod(shape) * dtype.itemsize
    if size != expected:
        raise refuse(
            "shape, dtype",
            f"{expected} bytes for {shape} voxels of {dtype.name}",
            f"{size} bytes in {path.name}",
            _would_fit(_neighbours(size, shape, dtype) + _cubes(size))
            or "Is it cut short?",
        )
    return np.fromfile(path, dtype).reshape(shape)


_WIDTHS = {1: "uint8", 2: "uint16", 4: "float32", 8: "float64"}


def _would_fit(found: list[str]) -> str:
    return f"It would fit {' or '.join(dict.fromkeys(found))}." if found else ""


def _cubes(size: int) -> list[str]:
    """Which cubes of which voxels have `size` bytes."""
    sides = {name: round((size / width) ** (1 / 3)) for width, name in _WIDTHS.items()}
    return [
        f"({n}, {n}, {n}) of {name}"
        for (width, name), n in zip(_WIDTHS.items(), sides.values(), strict=True)
        if n > 0 and n**3 * width == size
    ]


def _neighbours(size: int, shape: tuple[int, int, int], dtype: np.dtype) -> list[str]:
    """Shapes that differ along one axis, and other types, that have `size` bytes."""
    found = []
    for axis in range(3):
        slab = math.prod(shape) // shape[axis] * dtype.itemsize
        if size > 0 and size % slab == 0:
            other = tuple(size // slab if a == axis else n for a, n in enumerate(shape))
            found.append(f"{other} of {dtype.name}")
    name = _WIDTHS.get(size // math.prod(shape))
    if name is not None and size % math.prod(shape) == 0:
        found.append(f"{shape} of {name}")
    return found
