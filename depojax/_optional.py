"""Packages that only some users need: imported where they are used, missed by name."""

import importlib
from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """The optional `module`, or an `ImportError` that names the extra it comes with."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module}: expected the optional package, got {error}. "
            f'Install it with: pip install "depojax[{extra}]".'
        ) from error
