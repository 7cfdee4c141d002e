"""Sets that a bridge may join: how they are drawn, and what they say of themselves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sbcore.data.sets import end_of_pictures, end_of_points, standard_normal
from tests.conftest import smooth_pictures


def test_every_point_is_drawn_before_any_comes_again() -> None:
    points = torch.arange(10.0).view(5, 2)
    drawn = end_of_points("five", points).draw(12, torch.Generator().manual_seed(0))
    for chunk in (drawn[:5], drawn[5:10]):
        assert torch.equal(chunk.sort(0).values, points)
    assert not torch.equal(drawn[:5], drawn[5:10])


def test_pictures_become_values_in_minus_one_to_one() -> None:
    end = end_of_pictures("few", torch.tensor([[[[0, 255]]], [[[51, 204]]]], dtype=torch.uint8))
    drawn = end.draw(2, torch.Generator())
    assert sorted(drawn.flatten().tolist()) == pytest.approx([-1.0, -0.6, 0.6, 1.0])
    assert (end.shape, end.size, end.noise) == ((1, 1, 2), 2, False)


def test_pictures_of_one_name_differ_by_their_checksum() -> None:
    sets = [end_of_pictures("same", smooth_pictures(4, seed=seed)) for seed in (0, 0, 1)]
    assert sets[0].checksum == sets[1].checksum != sets[2].checksum


def test_noise_is_a_fact_of_the_set_not_of_its_name() -> None:
    assert standard_normal("static", (1, 2, 2)).noise
    assert not end_of_pictures("gaussian", smooth_pictures(4)).noise
    drawn = standard_normal("static", (1, 2, 2)).draw(5000, torch.Generator().manual_seed(0))
    assert drawn.shape == (5000, 1, 2, 2) and abs(drawn.std() - 1) < 0.02


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.ones(5, 2), "one point only"),
        (torch.tensor([[math.nan, 0], [1, 2]]), "finite"),
        (torch.ones(4), "at least 2 points"),
        ("x", "must be an array"),
    ],
)
def test_sets_that_are_none(points: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        end_of_points("set", points)
    with pytest.raises(ValueError, match="at least 2"):
        end_of_pictures("lonely", smooth_pictures(1))
