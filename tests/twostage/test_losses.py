"""The losses at their known minima."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sbcore.twostage.denoiser import Denoiser
from sbcore.twostage.losses import denoising_error, denoising_loss
from sbcore.twostage.ratio import density_ratio_loss
from tests.conftest import TINY, tiny_denoiser


class Silent(nn.Module):
    """A trunk that adds nothing: the denoiser is its Wiener filter."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        return x.new_zeros(len(x), *self.shape)


def gaussian_denoiser(dim: int, rank: int) -> Denoiser:
    denoiser = Denoiser(Silent((dim,)), (dim,), rank, conditional=False)
    start = torch.randn(dim, dim, generator=torch.Generator().manual_seed(0))
    denoiser.linear.basis.copy_(torch.linalg.qr(start).Q[:rank])
    denoiser.linear.eigenvalues.copy_(4.0 / torch.arange(1, rank + 1))
    denoiser.linear.rest.fill_(0.05)
    return denoiser


@pytest.mark.parametrize(("rank", "s"), [(0, 0.02), (3, 0.5), (8, 10.0)])
def test_denoising_loss_of_the_wiener_filter_on_gaussian_data_is_one(rank: int, s: float) -> None:
    denoiser, n = gaussian_denoiser(8, rank), 40_000
    generator = torch.Generator().manual_seed(1)
    x0 = denoiser.linear.sample(torch.randn(n, 8, generator=generator), 0.0)
    noise = torch.randn(n, 8, generator=generator)
    loss = denoising_loss(denoiser, x0, torch.full((n,), s), noise)
    assert loss.item() == pytest.approx(1, abs=0.02)


def test_denoising_loss_weighs_each_picture_by_its_own_level_and_unwraps_data_parallel() -> None:
    denoiser = gaussian_denoiser(8, 3)
    x0, noise, s = torch.randn(2, 8), torch.randn(2, 8), torch.tensor([0.1, 5.0])
    weight = denoiser.linear.rms_error(s) ** -2
    expected = (weight * denoising_error(denoiser, x0, s, noise)).mean()
    torch.testing.assert_close(denoising_loss(denoiser, x0, s, noise), expected)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = denoiser

        def forward(self, *arguments: Tensor, **options: bool) -> Tensor:
            return self.module(*arguments, **options)

    torch.testing.assert_close(denoising_loss(Wrapped(), x0, s, noise), expected)


def test_denoising_error_is_the_squared_error_of_the_denoiser_at_the_noisy_picture() -> None:
    denoiser = tiny_denoiser()
    x0, noise = torch.randn(2, *TINY.shape), torch.randn(2, *TINY.shape)
    s = torch.tensor([0.2, 3.0])
    v = x0 + s[:, None, None, None] * noise
    expected = (denoiser(v, s) - x0).square().mean((1, 2, 3))
    torch.testing.assert_close(denoising_error(denoiser, x0, s, noise), expected)


def test_error_is_averaged_over_the_hole_only() -> None:
    class Off(nn.Module):
        """Wrong by 2 in the hole; wrong by 100 where it was told the pixels."""

        def forward(self, v: Tensor, s: Tensor, known: Tensor, known_mask: Tensor) -> Tensor:
            return known + torch.where(known_mask > 0, 100.0, 2.0)

    x0, s, noise = torch.randn(3, 3, 4, 4), torch.ones(3), torch.randn(3, 3, 4, 4)
    mask = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    mask[0, :, :2] = True
    mask[1, :, 3, 3] = True
    torch.testing.assert_close(denoising_error(Off(), x0, s, noise, mask), torch.full((3,), 4.0))


def test_error_of_a_picture_without_a_hole_is_zero_and_not_nan() -> None:
    x0, full = torch.randn(2, *TINY.shape), torch.ones(2, 1, 16, 16, dtype=torch.bool)
    error = denoising_error(tiny_denoiser(), x0, torch.ones(2), torch.randn_like(x0), full)
    assert torch.equal(error, torch.zeros(2))


def test_density_ratio_loss_is_logistic_regression() -> None:
    smoothed, reference = torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.1])
    expected = (
        -torch.log(torch.sigmoid(smoothed)).mean() - torch.log(1 - torch.sigmoid(reference)).mean()
    )
    torch.testing.assert_close(density_ratio_loss(lambda x: x, smoothed, reference), expected)


@pytest.mark.parametrize("logit", [-1e4, 1e30])
def test_huge_logits_do_not_overflow(logit: float) -> None:
    x = torch.full((4,), logit, requires_grad=True)
    loss = density_ratio_loss(lambda y: y, x, x)
    loss.backward()
    assert loss.isfinite() and x.grad.isfinite().all()
    assert loss.item() == pytest.approx(abs(logit), rel=1e-3)
