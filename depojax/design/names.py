"""Leaves of a tree by dotted names, "electrolyte.diffusivity" and such."""

from typing import Any

import equinox as eqx
import jax


def named_leaves(tree: Any) -> dict[str, Any]:
    """Every floating-point number and array of a tree by its name."""
    leaves = all_leaves(tree)
    return {n: leaf for n, leaf in leaves.items() if eqx.is_inexact_array_like(leaf)}


def all_leaves(tree: Any) -> dict[str, Any]:
    """Every leaf of a tree by its name, whatever it is."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {dotted(path): leaf for path, leaf in found}


def dotted(path: Any) -> str:
    """A path of `jax.tree_util` as words with dots between them."""
    return ".".join(_word(key) for key in path)


def _word(key: Any) -> str:
    for attribute in ("name", "key", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
