"""Noise: a function of seed and purpose alone, standard normal, independent of the batch."""

from __future__ import annotations

import pytest
import torch

from sbcore.runtime.noise import Noise, generator


def test_noise_of_a_picture_does_not_depend_on_its_batch() -> None:
    batch, alone = Noise(range(10, 16), (3, 4, 4)), Noise([13], (3, 4, 4))
    for _ in range(3):
        assert torch.equal(batch.draw()[3], alone.draw()[0])


def test_noise_is_fresh_at_each_draw_standard_normal_and_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    noise = Noise([0], (50_000,))
    first, second = noise.draw(), noise.draw()
    assert torch.equal(torch.rand(1), expected)
    assert abs(float((first * second).mean())) < 0.02
    assert float(first.mean()) == pytest.approx(0, abs=0.02)
    assert float(first.std()) == pytest.approx(1, abs=0.02)


def test_float64_noise_is_the_float32_noise() -> None:
    single, double = Noise([3], (5,)), Noise([3], (5,), dtype=torch.float64)
    assert torch.equal(single.draw().double(), double.draw())


def test_no_two_seeds_share_a_stream() -> None:
    """Also where 32 bits would not tell them apart."""
    first = Noise([5, 5, 6, 5 + 2**32, 5 + 2**52], (4,)).draw()
    assert len({tuple(row.tolist()) for row in first}) == 4 and torch.equal(first[0], first[1])


def test_purposes_of_one_seed_share_nothing() -> None:
    one, other = (Noise([5], (50_000,), purpose).draw() for purpose in ("forward", "backward"))
    assert abs(float((one * other).mean())) < 0.02


def test_a_seed_means_the_same_on_every_machine() -> None:
    expected = torch.tensor([0.2582, -0.9959, 0.5079])
    torch.testing.assert_close(Noise([0], (3,)).draw()[0], expected, rtol=0, atol=1e-4)


def test_generators_are_functions_of_their_keys() -> None:
    def draw(*key: int | str) -> torch.Tensor:
        return torch.rand(3, generator=generator("cpu", *key))

    assert torch.equal(draw(1, "batch", 7), draw(1, "batch", 7))
    assert not torch.equal(draw(1, "batch", 7), draw(1, "batch", 8))
    assert not torch.equal(draw(1, "batch", 7), draw(1, "mask", 7))
    assert not torch.equal(draw(12, 3), draw(1, 23))


def test_choices_are_even_and_of_each_seed_alone() -> None:
    chosen = Noise(range(3000), (1,)).choose(3)
    assert torch.bincount(chosen, minlength=3).min() > 900
    assert Noise([17], (1,)).choose(3) == chosen[17]
