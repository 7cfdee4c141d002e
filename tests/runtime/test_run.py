"""A run: iterate it, stop it, or ask for its result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from sbcore.runtime.run import Evaluations, Run, Step, follow


def test_follow_renumbers_a_part_of_a_longer_run() -> None:
    followed = list(follow(counting(2, []), offset=10, total=12, nfe=Evaluations(10, 4)))
    assert [(s.index, s.total, s.nfe) for s in followed] == [
        (11, 12, Evaluations(11, 4)),
        (12, 12, Evaluations(12, 4)),
    ]


# ----------------------------------------------------------------------------------------------
# Iterate, stop, finish


def counting(length: int, computed: list[int]) -> Iterator[Step]:
    """Steps whose state is their index; ``computed`` notes which were asked for."""
    for index in range(1, length + 1):
        computed.append(index)
        x = torch.full((1,), float(index))
        yield Step(2, index, length, index / length, 0.0, x, x, Evaluations(index))


def test_a_run_computes_what_is_asked_for_and_no_more() -> None:
    computed: list[int] = []
    run = Run(counting(5, computed), 5)
    assert computed == [] and len(run) == 5
    for step in run:
        if step.index == 2:
            break
    assert computed == [1, 2]
    assert run.result().item() == 5 and computed == [1, 2, 3, 4, 5]  # what was left
    assert run.result().item() == 5 and computed == [1, 2, 3, 4, 5]  # costs nothing
    assert [step.final for step in counting(3, [])] == [False, False, True]


def test_the_result_is_made_of_the_steps_that_are_kept() -> None:
    run = Run(counting(4, []), 4, torch.cat, lambda step: step.index % 2 == 0)
    assert run.result().tolist() == [2, 4]
    other = Run(counting(4, []), 4, torch.cat, lambda step: step.index % 2 == 0)
    assert [step.index for step in other if other.keeps(step)] == [2, 4]


def test_a_hook_sees_every_step_that_is_left_and_its_error_stops_the_run() -> None:
    seen: list[int] = []
    run = Run(counting(4, []), 4)
    next(run)
    run.result(lambda step: seen.append(step.index))
    assert seen == [2, 3, 4]
    computed: list[int] = []

    def stop(step: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run(counting(4, computed), 4).result(stop)
    assert computed == [1]


def test_a_run_left_early_has_no_result_without_the_rest() -> None:
    def broken() -> Iterator[Step]:
        yield from counting(1, [])
        raise MemoryError("no room")

    run = Run(broken(), 2, keeps=lambda step: step.index == 2)
    next(run)
    with pytest.raises(MemoryError, match="no room"):
        run.result()
