"""Numbers by names: leaves of a tree as "electrolyte.diffusivity", outputs as well."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from depojax._checks import refuse


def named_leaves(tree: Any) -> dict[str, Any]:
    """Every floating-point number and array of a tree by its name."""
    leaves = all_leaves(tree)
    return {n: leaf for n, leaf in leaves.items() if eqx.is_inexact_array_like(leaf)}


def all_leaves(tree: Any) -> dict[str, Any]:
    """Every leaf of a tree by its name, whatever it is."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {dotted(path): leaf for path, leaf in found}


def numbers_by_name(found: Any) -> dict[str, Any]:
    """What a function gave, by name: a dict of numbers, or one number as "output".

    Raises `ValueError` for what is no single number.
    """
    named = found if isinstance(found, dict) else {"output": found}
    for name, value in named.items():
        if np.shape(value) != ():
            raise refuse(
                f"function {name}",
                "one number",
                f"shape {np.shape(value)}",
                "Give a dict of numbers by name for several.",
            )
    return named


def dotted(path: Any) -> str:
    """A path of `jax.tree_util` as words with dots between them."""
    return ".".join(_word(key) for key in path)


def _word(key: Any) -> str:
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
