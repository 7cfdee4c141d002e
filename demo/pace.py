"""How long a visitor waits in the one queue: from the run under way and the last few."""

from __future__ import annotations

import time
from collections import deque


class Pace:
    """Of the runs of a server: one at a time, and now and then an example beside it."""

    def __init__(self) -> None:
        self._ends: dict[object, float] = {}
        self._lasted: deque[float] = deque(maxlen=10)

    def goes(self, run: object, seconds_left: float) -> None:
        """A run goes on; infinite where nothing is known."""
        self._ends[run] = time.monotonic() + seconds_left

    def over(self, run: object, seconds: float) -> None:
        """It has ended, after so many seconds."""
        self._ends.pop(run, None)
        self._lasted.append(seconds)

    def wait(self, before: int) -> float | None:
        """Seconds until as many runs as are before a visitor, one of them under way, are over.

        None where that is not known: a training tells nothing, nor does a run that begins.
        """
        if not self._ends or (before > 1 and not self._lasted):
            return None
        others = sum(self._lasted) / len(self._lasted) if before > 1 else 0.0
        ends = max(self._ends.values())
        seconds = max(0.0, ends - time.monotonic()) + (before - 1) * others
        return seconds if seconds < float("inf") else None


PACE = Pace()


def waiting(before: int) -> str:
    """What a visitor reads who waits: "2 visitors are before you: about 40 s"."""
    before = max(1, int(before))
    who = "1 visitor is" if before == 1 else f"{before} visitors are"
    seconds = PACE.wait(before)
    return f"{who} before you" + ("." if seconds is None else f": about {spell(seconds)}.")


def spell(seconds: float) -> str:
    """A while: "40 s", "3 min"."""
    return f"{max(1, seconds):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
