"""Protocols in the sentences that people type at a battery cycler.

    Plate at 1 mA/cm2 for 2 h or until -0.2 V
    Strip at 1 mA/cm2 until 0.5 V
    Rest for 10 minutes
    Hold at -0.1 V until 0.05 mA/cm2
    Plate at 1 mA/cm2 until -0.1 V, hold until 0.05 mA/cm2
    Pulse 5 ms at 10 mA/cm2 / 2 ms at -5 mA/cm2 / 20 ms rest until 1 mAh/cm2
    Sweep from 0 V to -0.2 V to 0.2 V at 1 mV/s for 3 cycles
    Follow 0 mA/cm2 at 0 s, 2 mA/cm2 at 10 s, 2 mA/cm2 at 60 s
    repeat 10 times: Plate at 1 mA/cm2 for 1 h; Strip at 1 mA/cm2 until 0.5 V

Sentences follow each other on lines, or after ";", "," or "then"; "repeat" goes to the
end of its line. Case does not matter. A sweep without cycles ends at its last
potential. After a condition, "(ends the step)" or "(ends the protocol)" says which,
where that is not what `Until` has by default.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from depojax._quantities import Dimension, parse_unit
from depojax.problems.steps import (
    CurrentProfile,
    CyclicVoltammetry,
    Galvanostatic,
    Potentiostatic,
    Pulse,
    Rest,
    ReversePulse,
    Step,
    VoltageProfile,
)
from depojax.problems.until import Until

T = TypeVar("T")

_FORMS = {
    "plate": "Plate at 1 mA/cm2 for 2 h or until -0.2 V",
    "strip": "Strip at 1 mA/cm2 until 0.5 V",
    "rest": "Rest for 10 minutes",
    "hold": "Hold at -0.1 V until 0.05 mA/cm2",
    "pulse": "Pulse 5 ms at 10 mA/cm2 / 20 ms rest for 1 h",
    "sweep": "Sweep from 0 V to -0.2 V to 0.2 V at 1 mV/s",
    "follow": "Follow 0 mA/cm2 at 0 s, 2 mA/cm2 at 10 s",
    "repeat": "repeat 10 times: Plate at 1 mA/cm2 for 1 h; Rest for 10 minutes",
}
# What other codes and people say.
_MEANT = {
    **dict.fromkeys(("charge", "deposit", "electroplate", "galvanostatic"), "plate"),
    **dict.fromkeys(("discharge", "dissolve", "unplate", "deplate"), "strip"),
    **dict.fromkeys(("wait", "pause", "relax", "ocv", "sleep"), "rest"),
    **dict.fromkeys(("potentiostatic", "keep"), "hold"),
    **dict.fromkeys(("cv", "scan", "ramp", "cycle"), "sweep"),
    **dict.fromkeys(("table", "profile"), "follow"),
    **dict.fromkeys(("loop", "times"), "repeat"),
}

# Capital letters do not matter here: no sentence speaks of siemens or mol per litre.
_UNIT_NAMES = {
    name.casefold(): name
    for name in ("A", "mA", "uA", "C", "Ah", "mAh", "V", "mV", "s", "ms", "m", "cm")
}
_CURRENT, _CHARGE = parse_unit("A/m^2")[1], parse_unit("C/m^2")[1]
_VOLTAGE, _TIME, _RATE = parse_unit("V")[1], parse_unit("s")[1], parse_unit("V/s")[1]
_KINDS: dict[Dimension, str] = {
    _CURRENT: 'a current density such as "1 mA/cm2"',
    _CHARGE: 'a charge such as "4 mAh/cm2"',
    _VOLTAGE: 'a potential such as "-0.1 V"',
    _TIME: 'a time such as "10 min"',
    _RATE: 'a rate such as "1 mV/s"',
}

_NUMBER = re.compile(r"\s*([-+−]?(?:\d+\.?\d*|\.\d+)(?:e[-+−]?\d+)?)", re.IGNORECASE)
_POWER = r"(?:(?:\*\*|\^)?[-−]?\d+|⁻?[¹²³])?"
# Behind a space only what can go on a unit: "10 mA/cm2 / 20 ms" are two quantities.
_UNIT = re.compile(
    rf"\s*([a-zµμ%Ω°]+{_POWER}"
    rf"(?:[/*·][a-zµμ]+{_POWER}"
    rf"|\s*[/*·]\s*(?:cm|mm|m|s)(?![a-z]){_POWER}"
    rf"|\s+(?:cm|mm|m|s)(?:\^?[-−]\d|⁻[¹²]))*)",
    re.IGNORECASE,
)
_CYCLES = re.compile(rf"\s*for{_NUMBER.pattern}\s*cycles?\b", re.IGNORECASE)
_KEYWORDS = ["at", "for", "until", "or", "then", "to", "rest", "from", "below", "above"]
_WORD = re.compile(r"\s*([^\W\d_]+)")
_ANYTHING = re.compile(r"\s*([^\s,;:()]+|\S|$)")


def read_steps(text: str) -> tuple[Step, ...]:
    """The steps that a text of sentences speaks of; the numbers in SI.

    Raises `ValueError` for what is not understood, with the sentence, the place in it,
    and the nearest form that is.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(
            f'protocol: expected a sentence such as "{_FORMS["plate"]}", got nothing.'
        )
    return tuple(step for line in lines for step in _Reader(line.expandtabs()).line())


class _Reader:
    """Reads a line from left to right; every method takes what it names or refuses."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.form = ""  # what the sentence might have been meant to look like

    def line(self) -> tuple[Step, ...]:
        """Steps up to the end of the line, a repetition to the end included."""
        steps: list[Step] = []
        while True:
            if self.take("repeat"):
                return (*steps, *self._repetition())
            steps.append(self._step(steps))
            if self.done():
                return tuple(steps)
            if not (self.mark(",;") or self.ahead("then")):
                self.fail('"for", "until", "or", "," or the end')
            self.take("then")
            if self.done():
                return tuple(steps)

    def _repetition(self) -> tuple[Step, ...]:
        self.form = "repeat"
        count = self.whole("how many times, such as 10")
        self.need("times", "time", "x")
        if not self.mark(":"):
            self.fail('":" and what to repeat')
        return self.line() * count

    def _step(self, before: list[Step]) -> Step:
        verbs: dict[str, Callable[[], Step]] = {
            "plate": lambda: self._galvanostatic(1),
            "strip": lambda: self._galvanostatic(-1),
            "rest": self._rest,
            "hold": lambda: self._hold(before),
            "pulse": self._pulse,
            "sweep": self._sweep,
            "follow": self._follow,
        }
        self.form = ""
        verb = self.take(*verbs)
        if verb is None:
            self._refuse_verb()
        self.form = verb
        return verbs[verb]()

    def _refuse_verb(self) -> NoReturn:
        words = [*_FORMS, *_MEANT]
        close = difflib.get_close_matches(self.next_word().casefold(), words, n=1)
        if close:
            self.form = _MEANT.get(close[0], close[0])
        self.fail(
            _either([f'"{verb.capitalize()}"' for verb in _FORMS]), hint=self.form
        )

    def _galvanostatic(self, sign: int) -> Step:
        self.need("at")
        start, J, end = self.begin(), self.quantity(_CURRENT), self.at
        if J < 0:
            verb = "Strip" if sign > 0 else "Plate"
            self.fail(f'a magnitude ("{verb}" is the other direction)', start, end)
        stops = self.conditions((_TIME, _CHARGE, _VOLTAGE), sign)
        return self.made(start, end, lambda: Galvanostatic(sign * J, until=stops))

    def _rest(self) -> Step:
        return Rest(until=self.conditions((_TIME, _VOLTAGE)))

    def _hold(self, before: list[Step]) -> Step:
        kinds = (_TIME, _CHARGE, _CURRENT)
        if not self.ahead("at") and (limits := _voltage_limits(before)):
            return Potentiostatic(limits[0], until=self.conditions(kinds))
        self.need("at")
        start, V, end = self.begin(), self.quantity(_VOLTAGE), self.at
        stops = self.conditions(kinds)
        return self.made(start, end, lambda: Potentiostatic(V, until=stops))

    def _pulse(self) -> Step:
        start = self.begin()
        pieces = [self._piece()]
        while self.mark("/"):
            pieces.append(self._piece())
        end = self.at
        (on_time, J), *others = pieces
        resting = [not level for _, level in others]
        if not J or resting not in ([True], [False], [False, True]):
            self.fail(
                "a pulse, then a rest, or one of the other sign, or both",
                start,
                end,
            )
        stops = self.conditions((_TIME, _CHARGE, _VOLTAGE), 1 if J > 0 else -1)
        (off_time, reverse), *rest = others
        if resting == [True]:
            return self.made(
                start, end, lambda: Pulse(J, on_time, off_time, until=stops)
            )
        rest_time = rest[0][0] if rest else None
        return self.made(
            start,
            end,
            lambda: ReversePulse(J, on_time, reverse, off_time, rest_time, until=stops),
        )

    def _piece(self) -> tuple[float, float]:
        """How long, and at which current density: "5 ms at 10 mA/cm2", "20 ms rest"."""
        time = self.quantity(_TIME)
        if self.need("at", "rest") == "rest":
            return time, 0.0
        return time, self.quantity(_CURRENT)

    def _sweep(self) -> Step:
        self.need("from")
        start, first = self.begin(), self.quantity(_VOLTAGE)
        vertices = []
        while self.take("to") if vertices else self.need("to"):
            vertices.append(self.quantity(_VOLTAGE))
        self.need("at")
        rate = self.quantity(_RATE)
        cycles = None
        if _CYCLES.match(self.text, self.at):
            self.need("for")
            cycles = self.whole("a number of cycles")
            self.need("cycles", "cycle")
        end = self.at
        stops = self.conditions((_TIME, _CHARGE, _CURRENT), said=cycles, needed=False)
        return self.made(
            start,
            end,
            lambda: CyclicVoltammetry(
                first, vertices, rate, cycles=cycles, until=stops
            ),
        )

    def _follow(self) -> Step:
        start, points = self.begin(), []
        value, kind = self.any_quantity(_CURRENT, _VOLTAGE)
        while True:
            self.need("at")
            points.append((self.quantity(_TIME), value))
            if not self.ahead_number_after_comma():
                break
            self.mark(",")
            value = self.quantity(kind)
        make = CurrentProfile if kind == _CURRENT else VoltageProfile
        end, ends = self.at, _VOLTAGE if kind == _CURRENT else _CURRENT
        stops = self.conditions((_TIME, _CHARGE, ends), needed=False)
        times, values = zip(*points, strict=True)
        return self.made(start, end, lambda: make(times, values, until=stops))

    def conditions(
        self,
        kinds: tuple[Dimension, ...],
        sense: int = 0,
        *,
        said: Any = None,
        needed: bool = True,
    ) -> tuple[Until, ...]:
        """What follows "for", "until" and "or": times, charges and so on.

        A potential is approached from where `sense` says. `said` is what ended the
        step already.
        """
        stops: list[Until] = []
        while self._another(bool(stops or said)):
            stops.append(self._condition(kinds, sense))
        if needed and not stops:
            self.fail('"for" or "until"')
        return tuple(stops)

    def _another(self, some: bool) -> bool:
        before = self.at
        self.mark(",")
        joined = some and self.take("or") is not None
        said = self.take("for", "until") is not None
        if not (joined or said):
            self.at = before
        return joined or said

    def _condition(self, kinds: tuple[Dimension, ...], sense: int) -> Until:
        start = self.begin()
        if self.take("depletion"):
            level = self.number() if self.take("below") else 0.0
            return self._ends(start, Until.depletion, level)
        side = self.take("below", "above") if _VOLTAGE in kinds else None
        level, kind = self.any_quantity(*((_VOLTAGE,) if side else kinds))
        if kind == _VOLTAGE:
            if not (side or sense):
                self.fail('"below" or "above" before a potential', start, self.at)
            below = side == "below" if side else sense > 0
            make = Until.voltage_below if below else Until.voltage_above
            return self._ends(start, make, level)
        makes = {
            _TIME: Until.time,
            _CHARGE: Until.charge,
            _CURRENT: Until.current_below,
        }
        return self._ends(start, makes[kind], level)

    def _ends(self, start: int, make: Callable[..., Until], level: float) -> Until:
        end = self.at
        if not self.mark("("):
            return self.made(start, end, lambda: make(level))
        self.need("ends")
        self.need("the")
        ends = self.need("step", "protocol")
        if not self.mark(")"):
            self.fail('")"')
        return self.made(start, end, lambda: make(level, ends=ends))

    def quantity(self, kind: Dimension) -> float:
        """A number with its unit, of this dimension, in SI."""
        return self.any_quantity(kind)[0]

    def any_quantity(self, *kinds: Dimension) -> tuple[float, Dimension]:
        """A number with its unit in SI, and which of these dimensions it has."""
        start = self.begin()
        expected = _either([_KINDS[kind] for kind in kinds])
        number = self.number(expected)
        match = _UNIT.match(self.text, self.at)
        if match is None or match[1].casefold() in _KEYWORDS:
            self.fail(expected, start, self.at)
        self.at = match.end()
        unit = re.sub(
            r"[a-zµμ]+",
            lambda name: _UNIT_NAMES.get(name[0].casefold(), name[0].casefold()),
            match[1],
            flags=re.IGNORECASE,
        )
        try:
            factor, kind = parse_unit(unit)
        except ValueError as error:
            why = str(error).split(" Known:")[0]
            self.refuse(f"{why} Expected {expected}.", match.start(1), match.end(1))
        if kind not in kinds:
            self.fail(expected, start, self.at)
        return number * factor, kind

    def number(self, expected: str = "a number") -> float:
        """A number without a unit."""
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            self.fail(expected)
        self.at = match.end()
        if re.match(r",\d", self.text[self.at :]):
            cure = 'a point for decimals, as in "0.05", and nothing between thousands'
            self.fail(cure, match.start(1), self.at + 2)
        return float(match[1].replace("−", "-"))

    def whole(self, expected: str) -> int:
        """A whole number, at least one."""
        start, number = self.begin(), self.number(expected)
        if number < 1 or number != int(number):
            self.fail(f"{expected}: a whole number", start, self.at)
        return int(number)

    def take(self, *words: str) -> str | None:
        """The next word if it is one of these."""
        match = _WORD.match(self.text, self.at)
        if match is None or match[1].casefold() not in words:
            return None
        self.at = match.end()
        return match[1].casefold()

    def need(self, *words: str) -> str:
        """The next word, which has to be one of these."""
        word = self.take(*words)
        if word is None:
            self.fail(_either([f'"{word}"' for word in words]))
        return word

    def mark(self, marks: str) -> bool:
        """Whether the next sign is one of these; it is taken."""
        match = re.compile(rf"\s*[{re.escape(marks)}]").match(self.text, self.at)
        self.at = match.end() if match else self.at
        return match is not None

    def ahead(self, word: str) -> bool:
        """Whether this word comes next."""
        match = _WORD.match(self.text, self.at)
        return match is not None and match[1].casefold() == word

    def ahead_number_after_comma(self) -> bool:
        """Whether another number comes after a comma."""
        comma = re.compile(r"\s*,").match(self.text, self.at)
        return comma is not None and bool(_NUMBER.match(self.text, comma.end()))

    def next_word(self) -> str:
        """Whatever stands next, to be quoted."""
        match: Any = _ANYTHING.match(self.text, self.at)
        return match[1]

    def done(self) -> bool:
        """Whether only blanks and a full stop are left."""
        return not self.text[self.at :].strip(" \t.")

    def begin(self) -> int:
        """Where the next word begins."""
        match: Any = _ANYTHING.match(self.text, self.at)
        return match.start(1)

    def made(self, start: int, end: int, make: Callable[[], T]) -> T:
        """`make()`, what it refuses said with the place in the sentence."""
        try:
            return make()
        except ValueError as error:
            self.refuse(str(error), start, end)

    def fail(
        self, expected: str, start: int | None = None, end: int = 0, *, hint: str = ""
    ) -> NoReturn:
        """Refuse what stands next, or between two places, for what was expected."""
        if start is None:
            start = self.begin()
            end = start + len(self.next_word())
        got = self.text[start:end].strip()
        words = re.findall(r'"([a-z]+)"', expected)
        close = difflib.get_close_matches(got.casefold(), words, n=1)
        if close and close[0] != got.casefold():
            hint = close[0]
        got = f'"{got}"' if got else "the end"
        meant = f'Did you mean "{hint}"? ' if hint else ""
        form = _FORMS[self.form or "plate"]
        self.refuse(
            f'expected {expected}, got {got}. {meant}Understood: "{form}".', start, end
        )

    def refuse(self, why: str, start: int, end: int) -> NoReturn:
        """Quote the line, point at a place in it, and say why."""
        label = "protocol: "
        under = " " * (len(label) + start) + "^" * max(end - start, 1)
        raise ValueError(f"{label}{self.text}\n{under}\n{why}") from None


def _voltage_limits(steps: Iterable[Step]) -> list[Any]:
    """Potentials at which the last of the steps is cut off."""
    *_, last = [None, *steps]
    stops = () if last is None else last.stops
    return [stop.level for stop in stops if stop.kind.startswith("voltage")]


def _either(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
