"""What runs may cost, in network evaluations times pictures, and about how long they take."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

from demo.server.turns import spell

HOUR = 3600.0
TOO_MUCH = "This would take {cost}, more than the {most:,} evaluations of a run here: ask for less."
YOURS = "You have used your {most:,} evaluations of this hour: please come back in {wait}."
ALL = "The studio has used its {most:,} evaluations of this hour: please come back in {wait}."
TOO_LONG = "A run may compute for {seconds} here, and this one was ended; ask for less, please."


@dataclass
class Budget:
    """Limits, and what has been used of them; infinite on a machine of one's own."""

    run: float = math.inf
    """Evaluations times pictures of one run."""
    visitor: float = math.inf
    """Of all runs of a visitor in an hour."""
    all: float = math.inf
    """Of all runs in an hour."""
    seconds: float = math.inf
    """That a run may compute."""
    _used: dict[str, tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, cost: int, visitor: str) -> None:
        """Take the cost of a run from what is left.

        Raises:
            ValueError: If there is not so much left; one sentence.
        """
        with self._lock:
            now = time.monotonic()
            if cost > self.run:
                raise ValueError(TOO_MUCH.format(cost=evaluations(cost), most=int(self.run)))
            accounts = (visitor, self.visitor, YOURS), ("", self.all, ALL)
            for name, most, sentence in accounts:
                if (left := self._lately(name, now) + cost - most) > 0:
                    wait = spell(min(HOUR, HOUR * left / most))
                    raise ValueError(sentence.format(most=int(most), wait=wait))
            for name, *_ in accounts:
                self._used[name] = (self._lately(name, now) + cost, now)
            for name in [n for n in self._used if not self._lately(n, now)]:
                del self._used[name]

    def check_seconds(self, seconds: float) -> None:
        """Refuse to go on with a run that has computed for so long; a `ValueError`."""
        if seconds > self.seconds:
            raise ValueError(TOO_LONG.format(seconds=spell(self.seconds)))

    def _lately(self, name: str, now: float) -> float:
        """What was used; it is forgotten evenly over an hour."""
        used, at = self._used.get(name, (0.0, now))
        most = self.visitor if name else self.all
        return max(0.0, used - most * (now - at) / HOUR) if math.isfinite(most) else 0.0


class Pace:
    """How long an evaluation of a picture takes here, by operation, as its last runs were."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def learn(self, name: str, cost: int, seconds: float) -> None:
        """A run is over."""
        if cost and seconds:
            before = self._seconds.get(name, seconds / cost)
            self._seconds[name] = (before + seconds / cost) / 2

    def price(self, name: str, cost: int) -> str:
        """Of a run: "next: about 3 s, 40 evaluations"."""
        seconds = self._seconds.get(name)
        about = f"about {spell(seconds * cost)}, " if seconds else ""
        return f"next: {about}{evaluations(cost)}"


def evaluations(cost: int) -> str:
    """In words."""
    return "1 evaluation" if cost == 1 else f"{cost:,} evaluations"


BUDGET, PACE = Budget(), Pace()


def restrict() -> None:
    """Set limits for a server that strangers use."""
    BUDGET.run, BUDGET.visitor, BUDGET.all, BUDGET.seconds = 20_000, 60_000, 600_000, 300.0
