"""Following a run, its report, and the numbers that visitors send."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from demo import runs
from sbcore import Evaluations, Step


def step(index: int, total: int = 50) -> Step:
    x = torch.full((2, 3, 4, 4), 1.5)
    return Step(2, index, total, 0.5, 1.0, x, torch.zeros_like(x), Evaluations(index, 2))


def update(index: int, fraction: float = 1.0, seconds: float = 1.0) -> runs.Update:
    return runs.Update(step(index), index == 50, False, fraction, seconds)


class Clock:
    """Time that advances by `tick` at every look."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def fast_clock(monkeypatch):
    monkeypatch.setattr(runs.time, "monotonic", Clock(0.01))


# ---- watch


def test_watch_shows_the_first_the_last_and_ten_a_second(fast_clock):
    updates = list(runs.watch(step(k) for k in range(1, 51)))  # half a second
    indices = [moment.step.index for moment in updates]
    assert indices[0] == 1 and indices[-1] == 50 and 5 <= len(indices) <= 7
    assert all(later - earlier >= 10 for earlier, later in pairwise(indices[:-1]))
    assert [moment.final for moment in updates] == [False] * (len(updates) - 1) + [True]


def test_watch_of_slow_steps_shows_all(monkeypatch):
    monkeypatch.setattr(runs.time, "monotonic", Clock(0.2))
    assert len(list(runs.watch(step(k, 5) for k in range(1, 6)))) == 5


@pytest.mark.parametrize("frames", [4, 24, 51])
def test_watch_reports_the_states_of_a_film_however_fast_they_come(fast_clock, frames):
    updates = [u for u in runs.watch((step(k) for k in range(51)), frames) if u.frame]
    assert len(updates) == frames
    assert updates[0].step.index == 0 and updates[-1].step.index == 50


def test_a_run_without_a_film_has_no_frames_of_it(fast_clock):
    assert not any(moment.frame for moment in runs.watch(step(k) for k in range(1, 51)))


def test_watch_shows_a_single_step_once(fast_clock):
    (moment,) = runs.watch(iter([step(1, 1)]))
    assert moment.final and moment.fraction == 1 and moment.seconds_left == 0


def test_watch_stops_the_run_when_it_is_left():
    asked = []

    def steps():
        for k in range(1, 51):
            asked.append(k)
            yield step(k)

    for _ in runs.watch(steps()):
        break
    assert asked == [1]


def test_time_left_is_extrapolated():
    moment = update(10, fraction=0.2, seconds=3.0)
    assert moment.seconds_left == pytest.approx(12)
    assert replace(moment, fraction=0.0).seconds_left == math.inf


# ---- what leaves a run


def test_preview_is_the_belief_and_in_the_end_the_clamped_picture():
    under_way, done = update(1), update(50)
    assert [p.shape for p in runs.preview(under_way)] == [(4, 4, 3)] * 2
    assert runs.preview(under_way)[0].max() == 0 and runs.preview(done)[0].min() == 1


def test_pictures_and_to_engine_are_inverse():
    picture = np.random.default_rng(0).random((4, 4, 3), dtype=np.float32)
    engine = runs.to_engine(picture)
    assert engine.shape == (3, 4, 4) and engine.flags.c_contiguous
    assert np.array_equal(runs.pictures(torch.as_tensor(engine)[None])[0], picture)


def test_report_holds_what_is_needed_to_draw_it_again(bridge):
    facts = runs.report(bridge, update(50, seconds=1.23456), 17, "fast", "ddim")
    assert facts == {
        "model": "tiny",
        "seed": 17,
        "mode": "fast",
        "solver": "ddim",
        "steps": 50,
        "nfe": 52,
        "seconds": 1.235,
    }
    assert runs.recipe_line(facts) == "seed 17 · 52 evaluations · 1.2 s · DDIM (Euler), ODE"
    assert runs.recipe_line(facts | {"nfe": 2000, "solver": "own"}).endswith(
        "2,000 evaluations · 1.2 s · own"
    )


def test_paper_mode_is_refused_where_its_network_is_missing(bridge, bridge_without_ratio):
    runs.check_mode(bridge, "paper")
    runs.check_mode(bridge_without_ratio, "fast")
    with pytest.raises(ValueError, match="density-ratio network, and tiny has none") as error:
        runs.check_mode(bridge_without_ratio, "paper")
    assert_sentence(error, "Paper mode")


# ---- numbers from visitors

BAD = [
    math.nan,
    math.inf,
    -math.inf,
    None,
    "7",
    "many",
    "",
    True,
    False,
    [3],
    0,
    -1,
    11,
    1e300,
    10**400,
]


def assert_sentence(error, name):
    message = str(error.value)
    assert message.startswith(name) and message.endswith(".") and "\n" not in message
    assert len(message) < 120


@pytest.mark.parametrize(("value", "expected"), [(1, 1), (10, 10), (3.0, 3), (np.int64(4), 4)])
def test_whole_takes_whole_numbers_in_range(value, expected):
    number = runs.whole("The count", value, 1, 10)
    assert number == expected and type(number) is int


@pytest.mark.parametrize("value", [*BAD, 2.5], ids=lambda v: str(v)[:12])
def test_whole_refuses_all_else_in_one_sentence(value):
    with pytest.raises(ValueError) as error:
        runs.whole("The count", value, 1, 10)
    assert_sentence(error, "The count must be a whole number from 1 to 10, got ")


@pytest.mark.parametrize("value", [1, 2.5, 10])
def test_number_takes_numbers_in_range(value):
    number = runs.number("The variance", value, 1, 10)
    assert number == value and type(number) is float


@pytest.mark.parametrize("value", BAD, ids=lambda v: str(v)[:12])
def test_number_refuses_all_else_in_one_sentence(value):
    with pytest.raises(ValueError) as error:
        runs.number("The variance", value, 0.5, 10)
    assert_sentence(error, "The variance must be a number from 0.5 to 10, got ")


@pytest.mark.parametrize("value", [0, 17, 17.0, 2**31 - 1])
def test_seed_of_takes_the_visitors_seed(value):
    assert runs.seed_of(value) == value


@pytest.mark.parametrize("value", [-1, 2**31, 0.5, math.nan, None, "3", True])
def test_seed_of_names_a_bad_seed(value):
    with pytest.raises(ValueError) as error:
        runs.seed_of(value)
    assert_sentence(error, "The seed must be")


def test_a_fresh_seed_is_new_and_ignores_the_old_one():
    seeds = {runs.seed_of(None, fresh=True) for _ in range(20)}
    assert len(seeds) > 15 and all(0 <= seed < 1_000_000 for seed in seeds)


@pytest.mark.parametrize("value", [None, 0, ""])
def test_no_steps_mean_the_default(value):
    assert runs.steps_of(value) is None


@pytest.mark.parametrize("value", [1, 2000, 20.0])
def test_steps_of_takes_steps(value):
    assert runs.steps_of(value) == value


@pytest.mark.parametrize("value", [-1, 2001, 2.5, math.nan, math.inf, "20", True])
def test_steps_of_names_bad_steps(value):
    with pytest.raises(ValueError) as error:
        runs.steps_of(value)
    assert_sentence(error, "The number of steps must be")
