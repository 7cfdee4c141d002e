"""The wait of a visitor, in words."""

from __future__ import annotations

import math

import pytest

from demo import pace
from demo.pace import Pace, waiting


@pytest.fixture
def clock(monkeypatch):
    """A time that stands still, and a new pace."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(pace, "PACE", Pace())
    return now


def test_one_waits_for_the_run_under_way_and_as_long_as_the_last_for_each_other(clock):
    pace.PACE.over("a", 20)
    pace.PACE.over("b", 40)
    pace.PACE.goes("c", 10)
    pace.PACE.goes("an example", 1)
    assert waiting(1) == "1 visitor is before you: about 10 s."
    assert waiting(2) == "2 visitors are before you: about 40 s."
    assert waiting(6) == "6 visitors are before you: about 3 min."
    clock[0] += 4
    assert "about 6 s" in waiting(1)
    clock[0] += 40  # longer than it said
    assert "about 1 s" in waiting(1)


def test_what_is_not_known_is_not_said(clock):
    assert waiting(1) == "1 visitor is before you."
    pace.PACE.goes("a", math.inf)
    assert waiting(1) == "1 visitor is before you."
    pace.PACE.goes("a", 5)
    assert waiting(2) == "2 visitors are before you."
    pace.PACE.over("a", 5)
    assert waiting(0) == "1 visitor is before you."
