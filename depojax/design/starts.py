"""Several starts at once, for a loss with more than one valley."""

from typing import Any

import jax

from depojax._checks import check_integer, check_range
from depojax.design.variables import split
from depojax.scaffold.implicit import as_key


def scattered_starts(design: Any, n: int, *, key: Any, spread: float = 1.0) -> Any:
    """n designs at once, for `ensemble=True`: the design itself, and n − 1 beside it.

    The free numbers of the others are moved at random by a normal deviation `spread`;
    in a bounded variable 1 covers the middle half of the range.
    """
    check_integer("n", n, 1)
    check_range("spread", spread, 0.0, 100.0)
    free, whole = split(design)
    leaves, structure = jax.tree.flatten(free)
    keys = jax.random.split(as_key(key), len(leaves))
    moved = []
    for leaf, own in zip(leaves, keys, strict=True):
        noise = spread * jax.random.normal(own, (n, *leaf.shape), leaf.dtype)
        moved.append(leaf + noise.at[0].set(0))
    return whole(jax.tree.unflatten(structure, moved))
