import pytest
import torch
import torch.nn.functional as F

from sbcore.metrics import (
    _blur,
    frechet_distance,
    laplacian_pyramid,
    nearest_neighbours,
    sliced_wasserstein,
)
from sbcore.studies import card as cards
from sbcore.studies.report import contact_sheet


def textures(n: int, seed: int, size: int = 32) -> torch.Tensor:
    """Smooth random pictures in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, size // 4, size // 4, generator=generator)
    return F.interpolate(coarse, size=(size, size), mode="bilinear")


def test_pyramid_adds_up_to_the_picture():
    pictures = textures(2, 0, 64)
    levels = laplacian_pyramid(pictures)
    assert [level.shape[-1] for level in levels] == [64, 32, 16]
    rebuilt = levels[-1]
    for level in reversed(levels[:-1]):
        spread = torch.zeros_like(level)
        spread[:, :, ::2, ::2] = rebuilt
        rebuilt = level + 4 * _blur(spread)
    assert torch.allclose(rebuilt, pictures, atol=1e-6)


def test_swd_of_like_sets_is_far_below_that_of_noisy_and_of_blurred_ones():
    a, b = textures(100, 0), textures(100, 1)
    floor = sliced_wasserstein(a, b)["32"]
    noise = torch.randn(b.shape, generator=torch.Generator().manual_seed(2))
    assert sliced_wasserstein(a, b + 0.05 * noise)["32"] > 2 * floor
    assert sliced_wasserstein(a, _blur(_blur(torch.rand_like(b))))["32"] > 2 * floor


def test_swd_grows_with_the_noise():
    a, b = textures(50, 0), textures(50, 1)
    noise = torch.randn(b.shape, generator=torch.Generator().manual_seed(2))
    distances = [sliced_wasserstein(a, b + level * noise)["32"] for level in (0, 0.02, 0.1)]
    assert distances == sorted(distances)


def test_swd_repeats_and_refuses_sets_of_other_sizes():
    a, b = textures(10, 0), textures(10, 1)
    assert sliced_wasserstein(a, b, seed=3) == sliced_wasserstein(a, b, seed=3)
    with pytest.raises(ValueError, match="equal shapes"):
        sliced_wasserstein(a, b[:5])


def test_frechet_distance_of_a_shift_and_a_scale_is_the_closed_form():
    a = torch.randn(4000, 1, 2, 2, generator=torch.Generator().manual_seed(0)) * 0.1
    basis = torch.eye(4)
    assert frechet_distance(a, a, basis) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 0.5, basis) == pytest.approx(4 * 0.25, rel=1e-5)
    # Scaled by 2: sum over components of (2 sd - sd)^2.
    variance = a.flatten(1).var(0).sum() + 0.0
    assert frechet_distance(a, 2 * a - a.mean(0), basis) == pytest.approx(float(variance), rel=1e-3)


def test_neighbours_find_copies_and_mirrored_copies():
    training = (torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    copies = torch.stack([training[7], training[11].flip(-1)]) / 255.0
    found = nearest_neighbours(copies, training)
    assert found.index.tolist() == [7, 11]
    assert found.nearest.max() < 1e-3
    assert found.copies == 1.0
    fresh = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert nearest_neighbours(fresh, training).copies == 0.0


def test_card_states_every_figure_with_its_floor(bridge):
    c, h, w = bridge.shape
    generator = torch.Generator().manual_seed(0)
    training = (torch.rand(40, c, h, w, generator=generator) * 255).byte()
    held_out = (torch.rand(30, c, h, w, generator=generator) * 255).byte()
    found = cards.measure(bridge, training, held_out, count=20)
    levels = {"0.1": 0.01, "1": 0.02}
    config = {
        "sigma": 2.0,
        "tau": 8.0,
        "network": {"rank": 8},
        "data": {"name": "noise", "license": "none"},
        "training": {
            "images": 1000, "seconds": 60, "pictures": 40, "device": "a toaster",
            "by_noise_level": levels, "linear": levels,
        },
    }  # fmt: skip
    text = cards.card("tiny", config, found, "python evaluate.py card tiny")
    for wanted in (
        "floor",
        "no network",
        "1,000 images",
        "a toaster",
        "held-out pictures",
        "noise",
    ):
        assert wanted in text
    assert contact_sheet(found["pictures"]).size == (8 * 2 * w, 3 * 2 * h)
    with pytest.raises(ValueError, match="31"):
        cards.measure(bridge, training, held_out, count=31)
