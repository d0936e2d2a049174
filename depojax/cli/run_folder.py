"""The run folder: what went in, with what it was run, and what came out.

    input.toml  versions.json  summary.json  solution.nc  figures/*.png

(and last.nc, the last state of a curve; restart.nc of a plating run under way;
best.toml and restart.npz of an optimisation; sweep.nc)

Every file is whole or absent: it is written under another name first and then renamed.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from depojax.cli.words import InputError
from depojax.io import provenance, whole_file

_RESULTS = (
    "solution.nc", "last.nc", "restart.nc", "sweep.nc", "best.toml", "summary.json",
)  # fmt: skip


def open_run_folder(path: str | Path, text: str) -> Path:
    """The folder at `path`, empty but for the input and the versions.

    The results of an earlier run in it are removed: they belong to another input.

    Raises `InputError` where a folder holds something else or cannot be written.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: expected a folder, got a file.")
    try:
        if folder.exists() and any(folder.iterdir()) and not _is_run(folder):
            raise InputError(
                f"--out {folder}: expected a new, empty or run folder, got one with "
                "other things in it. Name another one."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in _RESULTS:
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "figures", ignore_errors=True)
        write_text(folder / "versions.json", as_json(provenance()))
        write_text(folder / "input.toml", text)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error}.") from error
    return folder


def _is_run(folder: Path) -> bool:
    return (folder / "versions.json").is_file()


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def as_json(values: dict[str, Any]) -> str:
    """`values` as JSON; what is not finite must have become None before."""
    return json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
