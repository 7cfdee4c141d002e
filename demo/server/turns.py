"""Turns: one run computes at a time, or a few together; between two updates another may."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from sbcore import GATHERING

PATIENCE = 1.0  # seconds between two looks of a run that waits; there it can be ended
AHEAD = 0.1  # seconds that a turn is kept for a run that has just had one
STARVED = 5.0  # seconds of waiting after which a run comes first
HALF_LIFE = 60.0  # seconds after which half of what a visitor has used is forgotten
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
    since: float = field(default_factory=time.monotonic)
    """When it had its last turn, or came."""
    used: float = 0.0
    """Seconds of its turns."""
    called: threading.Event = field(default_factory=threading.Event)
    """Set while it is its turn."""


class Turns:
    """Shares the machine fairly among runs.

    A turn goes to the run whose visitor has used least lately, so that a short one passes long
    ones; but first to one that has waited long, so that none starves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: set[_Run] = set()
        self._waiting: set[_Run] = set()
        self._turns: dict[_Run, float] = {}  # whose turn it is, and until when it is kept for them
        self._used: dict[str, tuple[float, float]] = {}  # by visitor: seconds, when
        self.together = 1
        self._lasted: deque[float] = deque(maxlen=20)  # turns of the last runs, in seconds

    @property
    def together(self) -> int:
        """How many may have a turn at once, and share the calls of their networks."""
        return self._together

    @together.setter
    def together(self, count: int) -> None:
        # A thread for each and no more: one that computes keeps helpers and memory of its own.
        self._worker = ThreadPoolExecutor(count, thread_name_prefix="turns")
        self._together = count

    def __len__(self) -> int:
        """Runs that have begun, or wait for that."""
        return len(self._runs)

    def of(self, visitor: str) -> int:
        """Runs of a visitor."""
        with self._lock:
            return sum(run.visitor == visitor for run in self._runs)

    def share(
        self,
        moments: Iterator[Any],
        visitor: str,
        check: Callable[[float], None] = lambda seconds: None,
    ) -> Iterator[Any]:
        """Hand on a generator, each moment computed in a turn of its own; `Waiting` meanwhile.

        Args:
            moments: The run.
            visitor: Whose it is.
            check: Called with the seconds of its turns so far; what it raises ends the run.
        """
        run = _Run(visitor)
        with self._lock:
            self._runs.add(run)
        try:
            while True:
                while not self._take(run):
                    yield self._before(run)
                started = time.monotonic()
                try:
                    moment = self._worker.submit(copy_context().run, _next, moments).result()
                finally:
                    self._give(run, time.monotonic() - started)
                if moment is END:
                    return
                yield moment
                check(run.used)
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
        limit = time.monotonic() + PATIENCE
        with self._lock:
            self._waiting.add(run)
            self._call()
        while not run.called.wait(AHEAD):
            with self._lock:
                self._call()
            if time.monotonic() > limit:
                return False
        with self._lock:
            if not run.called.is_set():  # it came too late, and was another's turn
                return False
            self._waiting.remove(run)
            self._turns[run] = math.inf
            return True

    def _give(self, run: _Run, seconds: float) -> None:
        """The turn of a run is over; it may have the next one, too, if it comes back soon."""
        with self._lock:
            run.used += seconds
            run.since = time.monotonic()
            self._used[run.visitor] = (self._lately(run.visitor) + seconds, run.since)
            self._free(run)
            self._call(run)

    def _leave(self, run: _Run) -> None:
        with self._lock:
            self._runs.discard(run)
            self._waiting.discard(run)
            self._lasted.append(run.used)
            for visitor in [v for v in self._used if self._lately(v) < 0.01]:
                del self._used[visitor]
            self._free(run)
            self._call()

    def _free(self, run: _Run) -> None:
        if self._turns.pop(run, None):
            run.called.clear()

    def _call(self, *back: _Run) -> None:
        """Say whose turn it is, of those that wait or will be back soon, while there is room."""
        now = time.monotonic()
        for late in [run for run, until in self._turns.items() if now > until]:
            self._free(late)
        candidates = {*self._waiting, *back} - self._turns.keys()
        room = self.together - len(self._turns)
        for run in sorted(candidates, key=self._order)[:room]:
            self._turns[run] = now + AHEAD
            run.called.set()

    def _order(self, run: _Run) -> tuple[Any, ...]:
        starved = time.monotonic() - run.since > STARVED
        return (0, run.since) if starved else (1, *self._rank(run))

    def _rank(self, run: _Run) -> tuple[float, float]:
        return self._lately(run.visitor), run.came

    def _lately(self, visitor: str) -> float:
        """Seconds that a visitor has used, the older the less."""
        seconds, at = self._used.get(visitor, (0.0, 0.0))
        return seconds * math.exp2((at - time.monotonic()) / HALF_LIFE)


def _next(moments: Iterator[Any]) -> Any:
    with GATHERING.member():
        return next(moments, END)


def spell(seconds: float) -> str:
    """A while: "40 s", "3 min"."""
    return f"{max(1, seconds):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


TURNS = Turns()
