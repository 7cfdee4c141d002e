"""Fairness: short runs pass long ones, none starves, one computes at a time."""

from __future__ import annotations

import threading
import time

import pytest

from demo.server.turns import Turns, Waiting, spell


def work(log, name, moments, seconds=0.02):
    """A run of so many moments that keeps a log of its turns."""
    for _ in range(moments):
        log.append((name, "begin"))
        time.sleep(seconds)
        log.append((name, "end"))
        yield name


def drain(run):
    return [moment for moment in run if not isinstance(moment, Waiting)]


def in_threads(*jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_hands_on_what_the_run_yields():
    turns = Turns()
    assert list(turns.share(iter_of("abc"), "one")) == ["a", "b", "c"]
    assert len(turns) == 0


def iter_of(things):
    yield from things


def test_one_computes_at_a_time():
    turns, log = Turns(), []
    in_threads(*(lambda v=v: drain(turns.share(work(log, v, 5), v)) for v in "abcd"))
    assert len(log) == 40
    for (name, begin), (other, end) in zip(log[::2], log[1::2], strict=True):
        assert (name, begin, end) == (other, "begin", "end")


def test_a_few_may_compute_together():
    turns, barrier = Turns(), threading.Barrier(3)
    turns.together = 3

    def meeting():
        barrier.wait(10)  # all three are in a turn at once
        yield "met"

    in_threads(*(lambda v=v: drain(turns.share(meeting(), v)) for v in "abc"))
    log, most = [], 0
    in_threads(*(lambda v=v: drain(turns.share(work(log, v, 3), v)) for v in "abcdef"))
    at_work = 0
    for _, what in log:
        at_work += 1 if what == "begin" else -1
        most = max(most, at_work)
    assert most <= 3 and len(log) == 36


def test_a_short_run_passes_a_long_one():
    turns, log, over = Turns(), [], {}

    def long():
        drain(turns.share(work(log, "long", 60), "long"))
        over["long"] = len(log)

    def short():
        while len(log) < 20:
            time.sleep(0.005)
        drain(turns.share(work(log, "short", 9), "short"))
        over["short"] = len(log)

    in_threads(long, short)
    begun = log.index(("short", "begin"))
    between = [name for name, what in log[begun : over["short"]] if what == "end"]
    assert between.count("long") <= 1  # the turn that was under way
    assert over["short"] < over["long"]


def test_a_long_run_does_not_starve_among_ever_new_ones(monkeypatch):
    monkeypatch.setattr("demo.server.turns.STARVED", 0.1)
    turns, log, stop = Turns(), [], threading.Event()

    def crowd(first):
        number = first
        while not stop.is_set():
            drain(turns.share(work(log, "new", 1), f"visitor {number}"))
            number += 2

    def long():
        drain(turns.share(work(log, "long", 10), "long"))
        stop.set()

    in_threads(long, lambda: crowd(0), lambda: crowd(1))
    names = [name for name, what in log if what == "end"]
    assert names.count("long") == 10 and len(names) <= 150


def test_who_waits_is_told_what_for():
    turns, go, told = Turns(), threading.Event(), []

    def held():
        go.wait(5)
        yield "held"

    def second():
        run = turns.share(iter_of("x"), "second")
        told.append(next(run))
        go.set()
        told.extend(drain(run))

    for _ in range(3):
        drain(turns.share(work([], "before", 1, 0.2), "before"))
    in_threads(lambda: drain(turns.share(held(), "first")), second)
    assert told[1:] == ["x"]
    assert told[0].before == 1 and told[0].seconds == pytest.approx(0.2, rel=1)
    assert str(told[0]) == "1 visitor is before you: about 1 s."


@pytest.mark.parametrize(
    ("waiting", "text"),
    [
        (Waiting(), ""),
        (Waiting(1), "1 visitor is before you."),
        (Waiting(3, 250.0), "3 visitors are before you: about 4 min."),
    ],
)
def test_the_wait_in_words(waiting, text):
    assert str(waiting) == text


def test_spelling():
    assert [spell(0.2), spell(99), spell(150)] == ["1 s", "99 s", "2 min"]


def test_leaving_ends_the_run_and_makes_room():
    turns, ended = Turns(), []

    def run():
        try:
            yield 1
            yield 2
        finally:
            ended.append(True)

    shared = turns.share(run(), "one")
    assert next(shared) == 1 and len(turns) == 1 and turns.of("one") == 1
    shared.close()
    assert ended and len(turns) == 0


def test_what_a_run_raises_is_raised_and_frees_the_turn():
    turns = Turns()

    def bad():
        yield 1
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        drain(turns.share(bad(), "one"))
    assert drain(turns.share(iter_of("a"), "two")) == ["a"]
