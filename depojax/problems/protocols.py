"""Protocols: steps one after the other, from values or from sentences."""

from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx

from depojax._checks import refuse
from depojax.problems.protocol_strings import read_steps
from depojax.problems.steps import Step

_EXAMPLE = '"Plate at 1 mA/cm2 for 2 h"'


class Protocol(eqx.Module):
    """How a cell is driven: steps one after the other, each until it ends.

    Made of steps, of sentences, or of both in any nesting; `protocol_from` does the
    same and leaves a protocol as it is.

        Protocol(["Plate at 1 mA/cm2 for 4 h or until -0.2 V", Rest(600.0)])
        Protocol(("Plate at 1 mA/cm2 for 1 h", "Strip at 1 mA/cm2 until 0.5 V") * 10)

    `str(protocol)` is a text of such sentences, without a digit lost: `Protocol` makes
    the same of it again. (Conditions and waveforms of your own are only named in it.)
    What sentences are understood: `depojax.problems.protocol_strings`.

    Raises `ValueError` for a sentence that is not understood.
    """

    steps: tuple[Step, ...]

    def __init__(self, *steps: Any):
        self.steps = tuple(_flat(steps, {}))
        if not self.steps:
            raise refuse("protocol", f"a step or a sentence such as {_EXAMPLE}", "none")

    @classmethod
    def parse(cls, text: str) -> "Protocol":
        """A protocol from sentences on lines."""
        return cls(*read_steps(text))

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]

    def __str__(self) -> str:
        return "\n".join(_folded([str(step) for step in self.steps]))


def protocol_from(protocol: Any) -> Protocol:
    """A protocol from a step, a sentence, or a nested sequence of them.

    Raises `ValueError` for what is none of them.
    """
    return protocol if isinstance(protocol, Protocol) else Protocol(protocol)


def _flat(parts: Any, read: dict[str, tuple[Step, ...]]) -> Iterator[Step]:
    """Steps in nested sequences, the same sentence read once."""
    for part in parts:
        if isinstance(part, Step):
            yield part
        elif isinstance(part, str):
            if part not in read:
                read[part] = read_steps(part)
            yield from read[part]
        elif isinstance(part, Iterable) and not isinstance(part, dict):
            yield from _flat(part, read)
        else:
            got = f"{part!r} ({type(part).__name__})"
            raise refuse("protocol", f"steps and sentences such as {_EXAMPLE}", got)


def _folded(sentences: list[str]) -> list[str]:
    """Sentences as lines, what comes twice and more in a row as "repeat … times"."""
    lines, at = [], 0
    while at < len(sentences):
        length, times = _repetition(sentences, at)
        block = sentences[at : at + length]
        said = "; ".join(block)
        lines.append(f"repeat {times} times: {said}" if times > 1 else said)
        at += length * times
    return lines


def _repetition(sentences: list[str], at: int) -> tuple[int, int]:
    """The shortest block that repeats itself from a place on, and how many times."""
    for length in range(1, (len(sentences) - at) // 2 + 1):
        block, times = sentences[at : at + length], 1
        while sentences[at + length * times : at + length * (times + 1)] == block:
            times += 1
        if times > 1:
            return length, times
    return 1, 1
