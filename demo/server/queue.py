"""Who is let in: the one queue, its limits and what is said to whom it refuses."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from gradio.queueing import Queue

from demo.server.turns import TURNS, spell

CAPACITY = 40  # runs that may wait or go on at once
SHARE = 4  # of them, of one visitor
SILENCE = 30.0  # seconds that a run goes on though nobody listens to it
# Every handler that computes has a place in the queue; `TURNS` says whose turn it is.
QUEUE = {"concurrency_id": "model", "concurrency_limit": CAPACITY}
LEAVING = "The studio is being shut down and takes no new runs: please come back in a minute."
YOURS = "{count} of your runs are under way already: please wait for one of them."
FULL = "The queue is full, with {count} runs{wait}: please try again then."


class Listeners:
    """Knows which runs somebody listens to: by session, or by the event of a single call."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._last: dict[str, float] = {}

    def come(self, *names: str) -> None:
        """A stream is opened, or a run begins that will have one soon."""
        self._open.update(names)
        self._last.update(dict.fromkeys(names, time.monotonic()))

    def go(self, *names: str) -> None:
        """A stream is closed."""
        self._open.subtract(names)
        self._last.update(dict.fromkeys(names, time.monotonic()))
        for name in [n for n, at in self._last.items() if time.monotonic() - at > 10 * SILENCE]:
            if self._open[name] <= 0:
                del self._open[name], self._last[name]

    def silent(self, name: str) -> bool:
        """Whether nobody has listened for a while."""
        known = self._last.setdefault(name, time.monotonic())
        return self._open[name] <= 0 and time.monotonic() - known > SILENCE


LISTENERS = Listeners()


class Door(Queue):
    """Gradio's queue, which says in a sentence why it is closed to somebody, and until when."""

    leaving = False
    """Whether the server is about to stop."""

    def knows(self, name: str) -> bool:
        """Whether there is a run to listen to, by its event, or a session with one."""
        events = self.pending_event_ids_session.values()
        sessions = self.pending_messages_per_session
        return name in sessions or any(name in session for session in events)

    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        """Let a call in, or not: (whether, its event or the reason, a word for the reason)."""
        if refusal := self._refusal(body):
            return False, refusal, "queue_full"
        return await super().push(body, request, username)

    def _refusal(self, body: Any) -> str | None:
        if self.leaving:
            return LEAVING
        waiting = (queue.queue for queue in self.event_queue_per_concurrency_id.values())
        jobs = [event for events in (*self.active_jobs, *waiting) for event in events or ()]
        if sum(job.session_hash == body.session_hash for job in jobs) >= SHARE:
            return YOURS.format(count=SHARE)
        if len(jobs) >= CAPACITY:
            seconds = TURNS.wait(len(jobs))
            wait = f", about {spell(seconds)}" if seconds else ""
            return FULL.format(count=len(jobs), wait=wait)
        return None
