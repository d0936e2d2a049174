"""The type checker of the tests: shapes and dtypes of arrays, not plain types.

What is no int, no string and so on is refused by the package itself, in words, and the
tests want to read those words.
"""

from beartype import BeartypeConf, FrozenDict, beartype

_PLAIN = FrozenDict({int: object, float: object, str: object, bool: object})

checked = beartype(conf=BeartypeConf(hint_overrides=_PLAIN))
