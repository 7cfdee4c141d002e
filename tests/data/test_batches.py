"""Batches do not depend on how many processes share them, and pictures are shared out."""

from __future__ import annotations

from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sbcore.data.batches import Batches

ROWS = 12  # of a batch, in all processes together


def numbered(n: int) -> Tensor:
    """Pictures of one pixel that say which they are."""
    return torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1)


def shared(pictures: Tensor, processes: int) -> list[Batches]:
    """The batches of each process."""
    place: dict[str, Any] = {"num_processes": processes, "device": torch.device("cpu")}
    accelerators: Any = [SimpleNamespace(process_index=i, **place) for i in range(processes)]
    return [Batches(pictures, ROWS // processes, each) for each in accelerators]


def drawn(parts: list[Batches], seed: int) -> list[int]:
    """Which pictures a batch has, over all processes."""
    rows = [part.draw(torch.Generator().manual_seed(seed)) for part in parts]
    return (255 * torch.cat(rows)).round().long().flatten().tolist()


@pytest.mark.parametrize("n", [1, 5, 12, 13, 100])
@pytest.mark.parametrize("processes", [2, 3])
def test_processes_together_draw_what_one_draws(n: int, processes: int) -> None:
    one, parts = shared(numbered(n), 1), shared(numbered(n), processes)
    batches = [drawn(one, seed) for seed in range(50)]
    assert [drawn(parts, seed) for seed in range(50)] == batches
    assert set().union(*batches) == set(range(n))  # each has its turn
    assert all(len(batch) == ROWS for batch in batches)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_process_holds_its_part_of_the_pictures_and_no_other(processes: int) -> None:
    held = [part.held.flatten().tolist() for part in shared(numbered(100), processes)]
    assert sorted(chain.from_iterable(held)) == list(range(100))
    assert max(map(len, held)) - min(map(len, held)) <= ROWS // processes


def test_no_picture_is_twice_in_a_batch_and_all_come_equally_often() -> None:
    parts, counts = shared(numbered(36), 2), torch.zeros(36)
    for seed in range(300):
        batch = drawn(parts, seed)
        assert len(set(batch)) == ROWS
        counts[batch] += 1
    assert counts.min() > 60 and counts.max() < 145  # of 100, standard deviation 8
