"""With what a result was made: versions, revision, device, time."""

import datetime
import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax

_PACKAGES = ("jax", "jaxlib", "equinox", "lineax", "numpy", "xarray", "netCDF4")


def provenance() -> dict[str, str]:
    """Versions, git revision (in a checkout), device, and the time now (UTC)."""
    from depojax import __version__

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    device = jax.devices()[0]
    facts = {
        "depojax": __version__,
        **versions,
        "python": platform.python_version(),
        "device": f"{device.platform}: {device.device_kind}",
        "created": now,
    }
    revision = git_revision()
    return facts | ({"git_revision": revision} if revision else {})


@functools.cache
def git_revision() -> str:
    """The commit of the checkout that depojax runs from, "+" if edited, "" if none."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        edited = _git(root, "status", "--porcelain", "--", "depojax")
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+" if edited else "")


def _git(root: Path, *words: str) -> str:
    ran = subprocess.run(
        ["git", "-C", str(root), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return ran.stdout.strip()
