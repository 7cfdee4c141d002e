"""The denoiser: its equation, its mask, its limits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sbcore.twostage.denoiser import Denoiser, DenoiserConfig, image_denoiser, point_denoiser
from tests.conftest import TINY, tiny_denoiser
from tests.oracles import isotropic
from tests.twostage.loops import MASKS, SHAPE, noise, random_wiener


def box_mask(n: int) -> Tensor:
    mask = torch.zeros(n, 1, 16, 16)
    mask[..., :9, 3:] = 1
    return mask


def test_untrained_denoiser_is_the_wiener_filter() -> None:
    denoiser, s = image_denoiser(TINY), torch.tensor([0.01, 40.0])
    denoiser.linear.load_state_dict(tiny_denoiser().linear.state_dict())
    v = torch.randn(2, *TINY.shape)
    torch.testing.assert_close(denoiser(v, s), denoiser.linear(v, s))


def test_denoiser_adds_the_network_scaled_by_the_error_of_the_filter() -> None:
    class One(nn.Module):
        def forward(self, x: Tensor, s: Tensor) -> Tensor:
            return torch.ones(len(x), *SHAPE)

    denoiser = Denoiser(One(), SHAPE, rank=5, conditional=True)
    denoiser.linear.load_state_dict(random_wiener(5).state_dict())
    v, s = noise(3, *SHAPE).float(), torch.tensor([0.1, 1.0, 10.0])
    expected = denoiser.linear(v, s) + denoiser.linear.rms_error(s)[:, None, None, None]
    torch.testing.assert_close(denoiser(v, s), expected)


def test_denoiser_returns_the_picture_as_the_noise_vanishes() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(2, *TINY.shape)
    gaps = [(denoiser(v, s) - v).abs().max().item() for s in (1e-1, 1e-2, 1e-3)]
    assert gaps[2] < 0.01
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]


def test_denoiser_returns_the_mean_as_the_noise_grows() -> None:
    denoiser, v = tiny_denoiser(), 1e4 * torch.randn(2, *TINY.shape)
    assert denoiser.linear(v, torch.full((2,), 1e4)).abs().max() < 0.01


def test_number_and_tensor_levels_agree_and_rows_are_independent() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(3, *TINY.shape)
    levels = torch.tensor([0.1, 1.0, 10.0])
    together = denoiser(v, levels)
    for i, s in enumerate(levels.tolist()):
        torch.testing.assert_close(together[i : i + 1], denoiser(v[i : i + 1], s))


def test_network_sees_the_scaled_hole_the_clean_known_pixels_the_mask_and_the_filter() -> None:
    """Known pixels without c_in, which would make them vanish at large noise."""
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor, s: Tensor) -> Tensor:
            seen.append(x)
            return torch.zeros(len(x), *SHAPE)

    denoiser = Denoiser(Spy(), SHAPE, rank=5, conditional=True)
    denoiser.linear.load_state_dict(random_wiener(5).state_dict())
    denoiser.data_std.fill_(0.25)
    v, known, s = noise(2, *SHAPE).float(), noise(2, *SHAPE, seed=3).float(), torch.tensor([0.1, 9])
    mask = torch.tensor(MASKS["left"]).view(1, 1, 3, 4).expand(2, 1, 3, 4).float()
    c_in = ((s**2 + 0.25**2) ** -0.5)[:, None, None, None]
    denoiser(v, s, known, mask)
    composite = mask * known + (1 - mask) * v
    filtered = denoiser.linear(composite, s) / 0.25
    expected = torch.cat([(1 - mask) * c_in * v, mask * known / 0.25, mask, filtered], dim=1)
    torch.testing.assert_close(seen[0], expected)
    denoiser(v, s)
    nothing = torch.zeros_like(mask)
    expected = torch.cat([c_in * v, nothing, nothing, denoiser.linear(v, s) / 0.25], dim=1)
    torch.testing.assert_close(seen[1], expected)


def test_known_pixels_pass_through_bit_exact_and_the_hole_is_filled() -> None:
    denoiser, known, mask = tiny_denoiser(), torch.randn(2, *TINY.shape), box_mask(2)
    v = 5 * torch.randn(2, *TINY.shape)
    denoised = denoiser(v, 2.0, known, mask)
    keep = mask.bool().expand_as(v)
    assert torch.equal(denoised[keep], known[keep])
    assert denoised[~keep].isfinite().all()
    assert not torch.allclose(denoised[~keep], denoiser(v, 2.0)[~keep])  # it looks at them


def test_content_of_the_hole_of_known_and_of_the_known_part_of_v_is_ignored() -> None:
    denoiser, known, mask = tiny_denoiser(), torch.randn(2, *TINY.shape), box_mask(2)
    v = torch.randn(2, *TINY.shape)
    denoised = denoiser(v, 2.0, known, mask)
    scribbled = torch.where(mask > 0, known, torch.full_like(known, math.nan))
    assert torch.equal(denoiser(v, 2.0, scribbled, mask), denoised)
    noisy = torch.where(mask > 0, torch.full_like(v, math.nan), v)
    assert torch.equal(denoiser(noisy, 2.0, known, mask), denoised)
    for dtype in (torch.bool, torch.uint8):
        assert torch.equal(denoiser(v, 2.0, known, mask.to(dtype)), denoised)
    assert torch.equal(denoiser(v, 2.0, known, torch.zeros_like(mask)), denoiser(v, 2.0))


def test_unconditional_denoiser_refuses_a_mask() -> None:
    points = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="not trained with a mask"):
        point_denoiser()(points, 1.0, points, torch.ones(3, 2))


def test_bf16_stays_inside_the_trunk() -> None:
    denoiser, v = tiny_denoiser(), torch.randn(2, *TINY.shape)
    exact = denoiser(v, 0.5)
    rounded = denoiser(v, 0.5, bf16=True)
    assert rounded.dtype == torch.float32 and not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": (8, 16)}, "same length"),
        ({"channels": (64, 128, 250)}, "multiples of 8"),
        ({"channels": (), "blocks": (), "attention": ()}, "channels"),
        ({"image_size": 60}, "image_size must be a multiple of 8"),
        ({"image_size": 0}, "image_size"),
        ({"image_channels": 0}, "image_channels"),
        ({"patch": 0}, "patch"),
        ({"blocks": (2, 0, 2)}, "blocks"),
        ({"rank": -1}, "rank"),
        ({"rank": 3 * 64 * 64 + 1}, "rank must be in"),
        ({"dropout": math.nan}, "dropout"),
    ],
)
def test_impossible_network_is_refused_with_the_reason(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenoiserConfig(**options)


def test_config_turns_lists_of_json_into_tuples() -> None:
    config = DenoiserConfig(channels=[8, 8, 8], blocks=[1, 1, 1], attention=[False] * 3)
    assert config.channels == (8, 8, 8) and config.shape == (3, 64, 64) and config.dim == 12288


def test_point_denoiser_with_the_true_covariance_is_exact_on_a_gaussian() -> None:
    denoiser = point_denoiser()
    with torch.no_grad():
        for parameter in denoiser.trunk.layers[-1].parameters():
            parameter.zero_()
    denoiser.linear.basis.copy_(torch.eye(2))
    denoiser.linear.eigenvalues.fill_(0.3)
    v = isotropic(2, 0.3).sample(10, s=0.8)
    torch.testing.assert_close(denoiser(v.float(), 0.8), isotropic(2, 0.3).denoised(v, 0.8).float())
