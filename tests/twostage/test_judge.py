"""How noisy a picture is, and how like the training set."""

from __future__ import annotations

import pytest
import torch

from sbcore.twostage.judge import noise_level, typicality
from sbcore.twostage.wiener import WienerFilter
from tests.conftest import smooth_pictures

SMOOTH = smooth_pictures(24, 64) / 255


def noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("s", [0.01, 0.05, 0.2, 0.5, 2.0])
def test_noise_of_a_known_level_is_found(s: float) -> None:
    for picture, white in zip(SMOOTH, noise(SMOOTH.shape), strict=True):
        assert noise_level(picture + s * white) == pytest.approx(s, rel=0.15)
        assert noise_level(picture) < 0.005


def test_an_edge_is_no_noise() -> None:
    picture = torch.zeros(1, 64, 64)
    picture[:, 20:, 30:] = 1.0
    assert noise_level(picture) == 0


@pytest.fixture(scope="module")
def linear() -> WienerFilter:
    """Pictures that differ from their mean in a few directions."""
    linear = WienerFilter(3 * 64 * 64, 16)
    linear.basis.copy_(torch.linalg.qr(noise((linear.dim, 16))).Q.T)
    linear.eigenvalues.fill_(25.0)
    linear.rest.fill_(1e-3)
    return linear


def test_typicality_is_1_for_such_pictures_and_0_for_others(linear: WienerFilter) -> None:
    mean, others = SMOOTH[0], SMOOTH[1:]
    drawn = mean + linear.sample(noise(others.shape, 7), 0.0)
    found = torch.tensor([typicality(x, mean, linear) for x in drawn])
    assert found.mean().item() == pytest.approx(1, abs=0.15)
    assert abs(sum(typicality(x, mean, linear) for x in others) / len(others)) < 0.3


def test_typicality_knows_neither_brightness_nor_contrast(linear: WienerFilter) -> None:
    mean = SMOOTH[0]
    expected = typicality(mean, mean, linear)
    for changed in (0.3 * mean, 0.5 + 0.4 * mean):
        assert typicality(changed, mean, linear) == pytest.approx(expected, abs=1e-4)
    assert typicality(torch.full_like(mean, 0.7), mean, linear) == pytest.approx(0, abs=1e-3)
    assert typicality(mean.flip(1), mean, linear) < expected


def test_a_mean_picture_without_a_pattern_judges_nothing(linear: WienerFilter) -> None:
    for picture in SMOOTH[:3]:
        assert typicality(picture, torch.full_like(picture, 0.4), linear) == 1
