"""Generate: what is drawn, what is shown of it."""

from __future__ import annotations

import numpy as np
import pytest

from demo import runs
from demo.runs import Result
from demo.tabs import evolution, generate
from demo.tabs.generate import OPERATION
from tests.demo.studio import moments


@pytest.mark.usefixtures("slowly")
def test_previews_come_with_every_evaluation_and_a_result_ends_them(bridge):
    *updates, result = moments(OPERATION, model=bridge, count=2, seed=5, steps=4, solver="ddim")
    assert [update.step.index for update in updates] == [1, 2, 3]
    for moment in (*updates, result):
        assert len(moment.shown) == 2
        for picture in moment.shown:
            assert picture.dtype == np.float32 and picture.min() >= 0 and picture.max() <= 1
    assert not np.array_equal(updates[-1].shown[0], result.shown[0])
    assert isinstance(result, Result) and result.outputs["pictures"] is result.shown
    given = {"model": "tiny", "seed": 5, "mode": "fast", "solver": "ddim", "steps": 4, "nfe": 4}
    assert result.report.facts().items() >= given.items()


@pytest.mark.parametrize("start", generate.STARTS.values())
def test_it_draws_what_the_engine_draws(bridge, start):
    result = OPERATION.result(model=bridge, count=3, seed=7, steps=3, start=start)
    expected = bridge.generate(3, 7, steps=3, start=start).result()
    assert np.array_equal(result.shown, runs.pictures(expected))


@pytest.mark.parametrize("operation", [OPERATION, evolution.OPERATION], ids=lambda one: one.name)
def test_paper_mode_needs_its_network(bridge_without_ratio, operation):
    with pytest.raises(ValueError, match=r"Paper mode .* tiny .* choose fast mode"):
        moments(operation, model=bridge_without_ratio, mode="paper")


def test_its_example_has_buttons_for_every_face(bridge):
    grid, drawn = generate.show(generate.example(bridge))
    count, first = generate.EXAMPLE_COUNT, generate.EXAMPLE_SEED
    assert len(drawn.pictures) == count and drawn.seed == first
    assert grid.count("<figure") == grid.count("download=") == count
    assert f"seed {first}" in grid and f"seed {first + count - 1}" in grid
    for action, _ in generate.ACTIONS:
        assert grid.count(f'data-action="{action}"') == count
    assert generate.faces(bridge) is generate.faces(bridge)  # drawn once


def test_a_sweep_draws_one_face_in_every_way(bridge):
    *updates, result = generate.SWEEP.start(Fixed(bridge), {"seed": 3})
    ways = len(generate.SWEPT_SOLVERS) * len(generate.SWEPT_STEPS)
    assert len(updates) == ways and result.origin == {}
    assert result.shown.size == updates[-1].shown.size > updates[0].shown.size
    updates = generate.SWEEP.start(Fixed(bridge), {"seed": 3})
    next(updates).stop()
    assert isinstance(next(updates), Result)


class Fixed:
    """Models of which there is one."""

    def __init__(self, model):
        self.get = lambda name: model
