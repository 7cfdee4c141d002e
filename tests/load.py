"""Many visitors at a running studio: ``python -m tests.load http://HOST:PORT --pid PID``.

Every visitor must get what they would get alone, or be told at once that the queue is full; who
leaves frees the machine; a long run does not hold up a short one; and memory, threads and open
files stay what they were. Exit status 1 if something does not hold.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.attack import API, Studio

SEEDS = 8
FULL = "The queue is full"


class Visitor(Studio):
    """One of many, who draws a face."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address.rstrip("/"), timeout=300)

    def draw(self, seed: int, steps: int = 2) -> tuple[bytes | str, float]:
        """Draw: the pixels or the sentence of a refusal, and the seconds it took."""
        began = time.monotonic()
        kind, data = self.call("generate", [1, seed, steps, None, "fast", None, "closed form"])
        seconds = time.monotonic() - began
        if kind == "error":
            return (data.get("detail") or data.get("error")) if data else "nothing", seconds
        return self.pixels(data[0][0]["path"]), seconds

    @contextmanager
    def long_run(self, count: int = 1) -> Any:
        """Paper mode, for as long as the block lasts; then the visitor leaves."""
        data = {"data": [count, 0, None, None, "paper", None, "closed form"]}
        event = self.http.post(f"{API}/call/generate", json=data).json()["event_id"]
        began, left = threading.Event(), threading.Event()

        def listen() -> None:
            with self.http.stream("GET", f"{API}/call/generate/{event}") as stream:
                for line in stream.iter_lines():
                    if "progress" in line:
                        began.set()
                    if left.is_set():
                        return

        listener = threading.Thread(target=listen)
        listener.start()
        assert began.wait(60), "it never began"
        try:
            yield
        finally:
            left.set()
            listener.join(60)

    def runs(self) -> int:
        """Runs under way."""
        return self.http.get("/healthz").json()["runs"]


class State:
    """What a process uses: megabytes, threads, open files."""

    def __init__(self, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text()
        facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        self.megabytes = int(facts["VmRSS"].split()[0]) / 1024
        self.threads = int(facts["Threads"])
        self.files = len(list(Path(f"/proc/{pid}/fd").iterdir()))

    def __str__(self) -> str:
        return f"{self.megabytes:.0f} MB, {self.threads} threads, {self.files} open files"


def apart(one: bytes | str, other: bytes | str) -> int:
    """The largest distance of two pixels; 255 if one is no picture."""
    if isinstance(one, str) or isinstance(other, str) or len(one) != len(other):
        return 255
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def crowd(
    address: str,
    visitors: int,
    jobs: int,
    truth: list[Any],
    patience: float = 5,
    allowed: int = 0,
) -> Counter[str]:
    """So many jobs by so many at once: how many were right, were refused, were wrong."""

    def visit(job: int) -> tuple[str, float]:
        found, seconds = Visitor(address).draw(job % SEEDS)
        if apart(found, truth[job % SEEDS]) <= allowed:
            return "right", seconds
        full = isinstance(found, str) and found.startswith(FULL) and seconds < patience
        return "told that the queue is full" if full else f"WRONG: {found!s:.80}", seconds

    with ThreadPoolExecutor(visitors) as pool:
        answers = list(pool.map(visit, range(jobs)))
    longest = max(seconds for _, seconds in answers)
    found = Counter(what for what, _ in answers)
    print(
        f"{visitors} at once, {jobs} jobs: {dict(found)}, the longest {longest:.1f} s", flush=True
    )
    return found


def leaving(address: str) -> float:
    """Seconds until the run of a visitor who has left is over, less one evaluation."""
    visitor = Visitor(address)
    with visitor.long_run():
        before = visitor.runs()
    assert before == 1
    began = time.monotonic()
    while visitor.runs():
        time.sleep(0.02)
    return time.monotonic() - began


def beside_a_long_run(address: str, times: int = 5) -> list[float]:
    """Seconds of one face at the default steps while paper mode runs for somebody else."""
    with Visitor(address).long_run(count=16):
        drawn = [Visitor(address).draw(seed, steps=10) for seed in range(times)]
    assert not any(isinstance(found, str) for found, _ in drawn), drawn
    return [seconds for _, seconds in drawn]


def load(address: str, pid: int | None, jobs: int, allowed: int) -> bool:
    """Look at all of it: whether it holds."""
    one = Visitor(address)
    truth = [one.draw(seed)[0] for seed in range(SEEDS)]
    assert not any(isinstance(found, str) for found in truth), truth
    good = True
    for visitors in (20, 40, 60):
        found = crowd(address, visitors, visitors, truth, allowed=allowed)
        good &= set(found) <= {"right", "told that the queue is full"}
        good &= visitors > 40 or set(found) == {"right"}
    left = leaving(address)
    print(f"a visitor who leaves frees the machine after {left:.2f} s")
    shorts = beside_a_long_run(address)
    print(
        f"a face beside paper mode: {statistics.median(shorts):.2f} s, at most {max(shorts):.2f} s"
    )
    good &= left < 2 and max(shorts) < 2
    crowd(address, 8, 50, truth, allowed=allowed)
    before = State(pid) if pid else None
    good &= set(crowd(address, 8, jobs, truth, allowed=allowed)) == {"right"}
    if pid:
        time.sleep(15)  # threads that have nothing to do go after ten
        after = State(pid)
        print(f"after 50 jobs {before}; after {jobs} more {after}")
        good &= after.megabytes < 1.1 * before.megabytes
        good &= after.threads <= before.threads and after.files <= before.files
    return good


def main() -> None:
    """Crowd the studio at an address."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="of a running studio (required)")
    parser.add_argument("--pid", type=int, help="of its process (default: memory is not looked at)")
    parser.add_argument("--jobs", type=int, default=500, help="in the end (default: 500)")
    parser.add_argument(
        "--allowed",
        type=int,
        default=0,
        help="by how much a pixel may differ; 1 for a server with --together (default: 0)",
    )
    options = parser.parse_args()
    sys.exit(not load(options.address, options.pid, options.jobs, options.allowed))


if __name__ == "__main__":
    main()
