"""How long the windows of a plating run are: as long as geometry hardly changes."""

from collections.abc import Callable

from depojax._types import Scalar
from depojax.problems.plating_record import known
from depojax.problems.plating_window import Windows

_LONGER = 4.0  # windows grow at most so much
_RETRY = 2.0  # a window that changed so much more than it should is run again
_AIM = 0.9  # of the change that is allowed
_CAUTION = 0.25  # of the first window: the current is not known yet
_SHORTEST, _LONGEST = 1e-6, 1e12  # windows [s]
_SLIVER = 1e-6  # of a window: not worth one of its own


class WindowLengths:
    """Chooses the length of every window from how much the last one changed."""

    def __init__(self, windows: Windows):
        self.windows = windows
        self.next = 0.0  # [s]; 0: not known yet

    def choose(self, rest: float, first: Callable[[], float]) -> float:
        """Of the next window [s]; `first` tells that of a step's first one."""
        if self.windows.fixed is not None:
            length = float(known(self.windows.fixed))
        else:
            length = self.next or first()
        length = min(length, _LONGEST)
        return rest if rest - length < _SLIVER * length else length

    def cautious(self, rate: Scalar) -> float:
        """A first length [s] where geometry seems to change at a `rate` [s⁻¹]."""
        change = float(known(rate))
        if change == 0:
            return float("inf")
        return _CAUTION * float(known(self.windows.change)) / change

    def was_too_long(self, took: float, change: float) -> bool:
        """Whether a window is to be run again, shorter; sets the next one's length."""
        if self.windows.fixed is not None or took == 0:
            return False
        allowed = float(known(self.windows.change))
        wanted = _AIM * allowed / max(change, 1e-12)
        if change > _RETRY * allowed and took > _SHORTEST:
            self.next = took * wanted
            return True
        self.next = took * min(wanted, _LONGER)
        return False
