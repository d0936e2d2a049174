"""VTK files for ParaView and PyVista: the fields over the cells.

    .vti   image data, for equal cells
    .vtr   rectilinear grid, for any widths

XML with the arrays appended as raw bytes, each after its length; x runs fastest.
"""

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import xarray as xr

from depojax._checks import refuse
from depojax.fv.grid import AXES
from depojax.io.dataset import to_xarray
from depojax.io.files import whole_file

_TYPES = {
    "float32": "Float32",
    "float64": "Float64",
    "int32": "Int32",
    "int64": "Int64",
}


def to_vtk(solution: Any, path: str | Path) -> None:
    """Write the fields of a solution, a scaffold or their dataset to .vti or .vtr.

    Raises `ValueError` for another suffix, and for .vti where the cells differ.
    """
    path = Path(path)
    if path.suffix not in (".vti", ".vtr"):
        raise refuse("path", "a name that ends in .vti or .vtr", path.name)
    dataset = solution if isinstance(solution, xr.Dataset) else to_xarray(solution)
    fields = {
        f"{name}_{label}" if label else str(name): values
        for name, variable in dataset.data_vars.items()
        for label, values in _over_cells(variable)
    }
    if not fields:
        raise refuse("solution", "fields over x, y, z", "none")
    nodes = [_nodes(dataset[f"{axis}_bounds"].values) for axis in AXES]
    appended: list[bytes] = []
    arrays = "".join(_array(name, value, appended) for name, value in fields.items())
    cells = f'<CellData Scalars="{next(iter(fields))}">{arrays}</CellData>'
    if path.suffix == ".vti":
        kind, about, grid = "ImageData", _image(nodes), ""
    else:
        kind, about = "RectilinearGrid", ""
        axes = "".join(
            _array(axis, value, appended)
            for axis, value in zip(AXES, nodes, strict=True)
        )
        grid = f"<Coordinates>{axes}</Coordinates>"
    extent = " ".join(f"0 {node.size - 1}" for node in nodes)
    head = (
        f'<?xml version="1.0"?>\n<VTKFile type="{kind}" version="1.0" '
        f'byte_order="LittleEndian" header_type="UInt64">\n'
        f'<{kind} WholeExtent="{extent}"{about}>\n<Piece Extent="{extent}">\n'
        f"{cells}{grid}\n</Piece>\n</{kind}>\n"
        '<AppendedData encoding="raw">\n_'
    )
    with whole_file(path) as partial, partial.open("wb") as file:
        file.write(head.encode())
        file.writelines(appended)
        file.write(b"\n</AppendedData>\n</VTKFile>\n")


def _array(name: str, value: np.ndarray, appended: list[bytes]) -> str:
    """The element of an array, whose bytes go to the end of `appended`."""
    kind = _TYPES[str(value.dtype)]
    offset = sum(len(piece) for piece in appended)
    raw = value.astype(value.dtype.newbyteorder("<")).tobytes(order="F")
    appended.append(np.uint64(len(raw)).astype("<u8").tobytes() + raw)
    return (
        f'<DataArray type="{kind}" Name={quoteattr(name)} format="appended" '
        f'offset="{offset}"/>\n'
    )


def _nodes(bounds: np.ndarray) -> np.ndarray:
    return np.concatenate([bounds[:1, 0], bounds[:, 1]])


def _over_cells(variable: xr.DataArray) -> list[tuple[str, np.ndarray]]:
    """The fields in a variable: itself, or one for each ion or axis, by its name."""
    if variable.dims == AXES:
        return [("", np.asarray(variable.values))]
    if variable.dims[1:] != AXES:
        return []
    labels = variable.coords[variable.dims[0]].values
    return [
        (str(label), np.asarray(values))
        for label, values in zip(labels, variable.values, strict=True)
    ]


def _image(nodes: list[np.ndarray]) -> str:
    spacing = []
    for axis, node in zip(AXES, nodes, strict=True):
        widths = np.diff(node)
        if np.ptp(widths) > 1e-5 * widths.max():
            raise refuse(
                "path",
                "equal cells for a .vti file",
                f"widths along {axis} from {widths.min():.3g} to {widths.max():.3g} m",
                "Write a .vtr file.",
            )
        spacing.append(float(widths.mean()))
    words = " ".join(f"{h:.17g}" for h in spacing)
    return f' Origin="0 0 0" Spacing="{words}"'
