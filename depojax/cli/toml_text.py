"""Tables as TOML text: what `tomllib` reads, written back."""

import json
from collections.abc import Mapping
from typing import Any


def as_toml(tables: Mapping[str, Any], above: str = "") -> str:
    """Nested tables of numbers, words, truths and lists as TOML.

    A float keeps all of its digits.
    """
    plain = {k: v for k, v in tables.items() if not isinstance(v, Mapping)}
    inner = {k: v for k, v in tables.items() if isinstance(v, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if above and (lines or not inner):
        lines.insert(0, f"[{above}]")
    blocks = ["\n".join(lines)] if lines else []
    for name, table in inner.items():
        blocks.append(as_toml(table, f"{above}.{_key(name)}" if above else _key(name)))
    return "\n\n".join(blocks) + ("" if above else "\n")


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "").isalnum() and name.isascii()
    return name if bare else json.dumps(name, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
