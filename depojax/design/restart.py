"""The file from which an optimisation that was killed goes on, bit for bit.

It holds every array of the state between two steps, the history, and a fingerprint of
the design that the optimisation began with. It is written whole or not at all.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse

FILE_NAME = "restart.npz"


class Restart:
    """The restart file of a folder.

    Args:
        folder: made where it is missing.
        start: the free part of the design.
        design: the whole of it.
    """

    def __init__(self, folder: str | Path, start: Any, design: Any):
        self.path = Path(folder) / FILE_NAME
        self.fingerprint = _fingerprint((start, design))

    def read(
        self, outline: Callable[[], Any]
    ) -> tuple[Any, dict[str, np.ndarray]] | None:
        """The state in the file and the history until then; None without a file.

        `outline` tells the structure, dtypes and shapes that the state has to have.

        Raises `ValueError` for a file of another problem, or one that is broken.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise self._refused(
                "a restart file", f"one that is broken ({error})"
            ) from None
        told = json.loads(str(arrays.pop("about")))
        shapes, structure = jax.tree.flatten(outline())
        if told["fingerprint"] != self.fingerprint:
            raise self._refused(
                "the restart file of this design", "one that began elsewhere"
            )
        if told["structure"] != _plain(structure) or told["shapes"] != _told(shapes):
            raise self._refused(
                "the restart file of this problem",
                "one with another optimizer, other constraints or another precision",
            )
        state = [jnp.asarray(arrays[f"state.{k}"]) for k in range(len(shapes))]
        log = {
            name.removeprefix("log."): array
            for name, array in arrays.items()
            if name.startswith("log.")
        }
        return jax.tree.unflatten(structure, state), log

    def write(self, state: Any, log: dict[str, np.ndarray]) -> None:
        """Put a state and the history until then into the file."""
        from depojax.io import whole_file

        leaves, structure = jax.tree.flatten(state)
        about = {
            "fingerprint": self.fingerprint,
            "structure": _plain(structure),
            "shapes": _told(leaves),
        }
        arrays = {f"state.{k}": np.asarray(leaf) for k, leaf in enumerate(leaves)}
        arrays |= {f"log.{name}": values for name, values in log.items()}
        with whole_file(self.path) as partial:
            arrays["about"] = np.asarray(json.dumps(about))
            np.savez(partial, **arrays)  # pyright: ignore[reportArgumentType]

    def _refused(self, expected: str, got: str) -> ValueError:
        return refuse(
            "folder",
            expected,
            f"{got}, {self.path}",
            "Name another folder, or begin anew with resume=False.",
        )


def _told(leaves: Any) -> list[list[Any]]:
    return [[str(leaf.dtype), *leaf.shape] for leaf in leaves]


def _plain(tree: Any) -> str:
    """A structure, or a leaf of it, in words that are the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(tree))


def _fingerprint(tree: Any) -> str:
    leaves, structure = jax.tree.flatten(tree)
    told = hashlib.sha256(_plain(structure).encode())
    for leaf in leaves:
        if eqx.is_array_like(leaf):
            array = np.asarray(leaf)
            told.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
        else:
            told.update(_plain(repr(leaf)).encode())
    return told.hexdigest()
