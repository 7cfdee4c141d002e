"""Following a run: updates, previews, the report."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from demo import runs
from sbcore import Evaluations, Step


def step(index: int, total: int = 50) -> Step:
    x = torch.full((2, 3, 4, 4), 1.5)
    return Step(2, index, total, 0.5, 1.0, x, torch.zeros_like(x), Evaluations(index, 2))


class Clock:
    """Stands for the module `time`, so that only `runs` sees it; each look advances it."""

    def __init__(self, tick: float) -> None:
        self.now, self.tick = 0.0, tick

    def monotonic(self) -> float:
        self.now += self.tick
        return self.now


@pytest.mark.parametrize(("per_second", "apart"), [(10, 10), (4, 25)])
def test_watch_shows_the_first_the_last_and_so_many_a_second(monkeypatch, per_second, apart):
    monkeypatch.setattr(runs, "time", Clock(0.01))
    updates = list(runs.watch((step(k) for k in range(1, 51)), per_second))  # half a second
    indices = [update.step.index for update in updates]
    assert indices[0] == 1 and indices[-1] == 50 and len(indices) >= 50 // apart
    assert all(later - earlier >= apart for earlier, later in pairwise(indices[:-1]))


def test_watch_of_slow_steps_shows_all_and_stops_the_run_when_it_is_left(monkeypatch):
    monkeypatch.setattr(runs, "time", Clock(0.2))
    assert len(list(runs.watch(step(k, 5) for k in range(1, 6)))) == 5
    steps = (step(k) for k in range(1, 51))
    next(runs.watch(steps))
    assert next(steps).index == 2


def test_watch_ends_where_it_is_stopped_and_the_report_says_so(monkeypatch):
    monkeypatch.setattr(runs, "time", Clock(0.2))
    seen = []
    for update in runs.watch(step(k) for k in range(1, 51)):
        seen.append(update.step.index)
        if update.step.index == 3:
            update.showing("as it is").stop()
    assert seen == [1, 2, 3]
    report = runs.Report.of(update, model="m", seed=1, mode="fast", solver="ddim")
    assert report.facts()["stopped_at"] == 3
    assert report.line().startswith("Stopped at step 3 of 50 · seed 1 · 5 evaluations")


def test_steps_are_kept_while_a_run_passes_by():
    kept = runs.Kept(lambda step: step.index % 20 == 0)
    assert len(list(kept.passing(step(k) for k in range(51)))) == 51
    assert [one.index for one in kept.steps] == [0, 20, 40]


def test_time_left_is_extrapolated():
    update = runs.Update(step(10), 3.0)
    assert update.fraction == 0.2 and update.seconds_left == pytest.approx(12)
    assert runs.Update(step(0), 3.0).seconds_left == math.inf
    assert runs.Update(step(50), 3.0).seconds_left == 0


def test_preview_is_the_belief_and_in_the_end_the_clamped_picture():
    assert [p.shape for p in runs.preview(step(1))] == [(4, 4, 3)] * 2
    assert runs.preview(step(1))[0].max() == 0 and runs.preview(step(50))[0].min() == 1


def test_pictures_and_to_engine_are_inverse():
    picture = np.random.default_rng(0).random((4, 4, 3), dtype=np.float32)
    engine = runs.to_engine(picture)
    assert engine.shape == (3, 4, 4) and engine.flags.c_contiguous
    assert np.array_equal(runs.pictures(torch.as_tensor(engine)[None])[0], picture)


def test_a_report_holds_what_is_needed_to_draw_it_again():
    given = {"model": "tiny", "seed": 17, "mode": "fast", "solver": "ddim"}
    report = runs.Report.of(runs.Update(step(50), 1.23456), **given)
    assert report.facts() == given | {"steps": 50, "nfe": 52, "seconds": 1.235}
    assert report.line() == "seed 17 · 52 evaluations · 1.2 s · DDIM (Euler), ODE"
    own = runs.Report.of(runs.Update(step(50), 1.2), **given | {"solver": "own", "nfe": 2000})
    assert own.line() == "seed 17 · 2,000 evaluations · 1.2 s · own"
