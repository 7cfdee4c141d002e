"""Attacks and crowds in a small form of ``python -m tests.attack`` and ``tests.load``."""

from __future__ import annotations

import httpx
import pytest

from tests import attack, load
from tests.attack import verdict

TRUTH = range(load.SEEDS)


@pytest.mark.usefixtures("no_traceback")
def test_attacks_are_answered_and_change_nothing(studio, caplog):
    answers, faults = attack.attack(studio[0], most=100)
    assert faults == []
    assert answers["in all"] == 100 and answers["a sentence"] > 80
    caplog.clear()


def test_a_crowd_gets_what_each_gets_alone(studio):
    truth = [load.Visitor(studio[0]).draw(seed)[0] for seed in TRUTH]
    assert len(set(truth)) == load.SEEDS and not any(isinstance(one, str) for one in truth)
    assert set(load.crowd(studio[0], 20, 20, truth)) == {"right"}
    # Here server and crowd share one interpreter, which is what the patience is for.
    crowd = load.crowd(studio[0], 60, 60, truth, patience=30)
    assert set(crowd) <= {"right", "told that the queue is full"}


def test_who_leaves_frees_the_machine_and_who_is_long_holds_nobody_up(studio, slow):
    assert load.leaving(studio[0]) < 3
    assert max(load.beside_a_long_run(studio[0], times=2)) < 10 * 0.05 + 5


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (("complete", [{"path": "/files/a.png"}]), ""),
        (("error", {"error": "The count must be a number."}), ""),
        (("complete", [{"path": "/tmp/a.png"}]), "a path"),
        (("error", None), "no sentence"),
        (("error", {"error": "Error"}), "no sentence"),
        (("error", {"error": "Traceback (most recent call last) in x."}), "no clean sentence"),
        (httpx.Response(500, text="Internal Server Error"), "HTTP 500"),
        (httpx.Response(404, json={"detail": "There is nothing here."}), ""),
        (httpx.Response(404, json={"detail": "not found"}), "no sentence"),
    ],
)
def test_the_judge_knows_good_answers_from_bad(answer, fault):
    assert verdict(answer).startswith(fault) and bool(verdict(answer)) == bool(fault)
