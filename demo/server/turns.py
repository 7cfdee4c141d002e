"""Turns: one run computes at a time, between two of its updates another may."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 1.0  # seconds between two looks of a run that waits; there it can be ended
HALF_LIFE = 60.0  # seconds after which half of what a visitor has used is forgotten
FOURTH = 4  # every so many turns go to whoever has waited longest
END = object()


@dataclass(frozen=True)
class Waiting:
    """What a run yields that waits for its turn."""

    before: int = 0
    """Others that are before it; 0: it has begun already."""
    seconds: float | None = None
    """Until it begins, as far as known."""

    def __str__(self) -> str:
        """What its visitor reads: "2 visitors are before you: about 40 s."; "" once it began."""
        if not self.before:
            return ""
        who = "1 visitor is" if self.before == 1 else f"{self.before} visitors are"
        return f"{who} before you" + (f": about {spell(self.seconds)}." if self.seconds else ".")


@dataclass(eq=False)
class _Run:
    visitor: str
    came: float = field(default_factory=time.monotonic)
    since: float = 0.0
    """When it began to wait for its turn."""
    used: float = 0.0
    """Seconds of its turns."""


class Turns:
    """Shares the machine fairly among runs.

    Three of four turns go to the run whose visitor has used least lately, so that a short one
    passes long ones; the fourth to the one that has waited longest, so that none starves.
    """

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._runs: set[_Run] = set()
        self._waiting: set[_Run] = set()
        self._free, self._turn = True, 0
        self._used: dict[str, tuple[float, float]] = {}  # by visitor: seconds, when
        # One thread for all: each that computes would keep helpers and memory of its own.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="turns")
        self._lasted: deque[float] = deque(maxlen=20)  # turns of the last runs, in seconds

    def __len__(self) -> int:
        """Runs that have begun, or wait for that."""
        return len(self._runs)

    def of(self, visitor: str) -> int:
        """Runs of a visitor."""
        with self._lock:
            return sum(run.visitor == visitor for run in self._runs)

    def share(self, moments: Iterator[Any], visitor: str) -> Iterator[Any]:
        """Hand on a generator, each moment computed in a turn of its own; `Waiting` meanwhile."""
        run = _Run(visitor)
        with self._lock:
            self._runs.add(run)
        try:
            while True:
                while not self._take(run):
                    yield self._before(run)
                started = time.monotonic()
                try:
                    moment = self._worker.submit(copy_context().run, next, moments, END).result()
                finally:
                    self._give(run, time.monotonic() - started)
                if moment is END:
                    return
                yield moment
        finally:
            moments.close()
            self._leave(run)

    def wait(self, before: int) -> float | None:
        """Seconds until so many runs are over that are like the last ones; None: not known."""
        with self._lock:
            return before * sum(self._lasted) / len(self._lasted) if self._lasted else None

    def _before(self, run: _Run) -> Waiting:
        """Those before a run that waits: who have had less, or came first."""
        if run.used:
            return Waiting()
        with self._lock:
            rank = self._rank(run)
            before = max(1, sum(self._rank(other) < rank for other in self._runs))
        return Waiting(before, self.wait(before))

    def _take(self, run: _Run) -> bool:
        """Wait for a turn, but not for long: whether it came."""
        with self._lock:
            if run not in self._waiting:
                self._waiting.add(run)
                run.since = time.monotonic()
            if not self._lock.wait_for(lambda: self._free and self._next() is run, PATIENCE):
                return False
            self._waiting.remove(run)
            self._free, self._turn = False, self._turn + 1
            return True

    def _give(self, run: _Run, seconds: float) -> None:
        with self._lock:
            self._free = True
            run.used += seconds
            self._used[run.visitor] = (self._lately(run.visitor) + seconds, time.monotonic())
            self._lock.notify_all()

    def _leave(self, run: _Run) -> None:
        with self._lock:
            self._runs.discard(run)
            self._waiting.discard(run)
            self._lasted.append(run.used)
            for visitor in [v for v in self._used if self._lately(v) < 0.01]:
                del self._used[visitor]
            self._lock.notify_all()

    def _next(self) -> _Run:
        """Whose turn it is, of those that wait."""
        if self._turn % FOURTH == FOURTH - 1:
            return min(self._waiting, key=lambda run: run.since)
        return min(self._waiting, key=self._rank)

    def _rank(self, run: _Run) -> tuple[float, float]:
        return self._lately(run.visitor), run.came

    def _lately(self, visitor: str) -> float:
        """Seconds that a visitor has used, the older the less."""
        seconds, at = self._used.get(visitor, (0.0, 0.0))
        return seconds * math.exp2((at - time.monotonic()) / HALF_LIFE)


def spell(seconds: float) -> str:
    """A while: "40 s", "3 min"."""
    return f"{max(1, seconds):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


TURNS = Turns()
