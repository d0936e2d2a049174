"""The type checker of the tests: shapes and dtypes of arrays, and nothing else.

What is no int, no `Scaffold` and so on is refused by the package itself, in words, and
the tests want to read those words.
"""

import typing

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function):
    """`function`, checking those of its annotations that speak of arrays."""
    hints = function.__annotations__.items()
    function.__annotations__ = {name: hint for name, hint in hints if of_array(hint)}
    return beartype(function)


def of_array(hint):
    """Whether an array's shape is told anywhere in an annotation."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(of_array(part) for part in typing.get_args(hint))
