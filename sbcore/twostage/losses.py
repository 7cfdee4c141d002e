"""Denoising score matching (equation 9).

Notation: b batch; ``x0`` clean centred pictures (b, c, h, w) or points (b, 2); ``s`` noise
standard deviations (b,); ``known_mask`` (b, 1, h, w), 1 = known pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from torch import Tensor, nn

from sbcore.twostage.denoiser import Denoiser


def denoising_error(
    denoiser: Callable[..., Tensor],
    x0: Tensor,
    s: Tensor,
    noise: Tensor,
    known_mask: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the denoiser over the hole, per picture.

    Args:
        denoiser: Maps (v, s, known, known_mask) to the posterior mean.
        x0: Clean centred pictures, (b, c, h, w).
        s: Noise standard deviations, (b,).
        noise: Standard normal, shape of ``x0``.
        known_mask: (b, 1, h, w), 1 = known; None means that every pixel is in the hole.

    Returns:
        Mean of (D - x0)^2 over hole pixels, (b,), in squared picture units.
    """
    v = x0 + s.reshape(-1, *[1] * (x0.dim() - 1)) * noise
    if known_mask is None:
        return (denoiser(v, s) - x0).square().flatten(1).mean(1)
    squared = (denoiser(v, s, known=x0, known_mask=known_mask) - x0).square()
    hole = (1 - known_mask.float()).expand_as(x0).flatten(1)
    return (squared.flatten(1) * hole).sum(1) / hole.sum(1).clamp(min=1)


def denoising_loss(
    denoiser: nn.Module,
    x0: Tensor,
    s: Tensor,
    noise: Tensor,
    known_mask: Tensor | None = None,
    *,
    bf16: bool = False,
) -> Tensor:
    """Denoising score matching with the weight ``1 / c_out(s)^2``; a scalar.

    Source: equation (9) of Wang et al. 2021 (its weight is lambda = s^2); with
    ``score = (D - v) / s^2`` both are weighted squared errors of the denoiser. The weight
    makes the error of the best linear denoiser 1 at every noise level.
    """
    inner = cast(Denoiser, getattr(denoiser, "module", denoiser))  # unwrap data-parallel training
    weight = inner.linear.rms_error(s).square().reciprocal()
    error = denoising_error(partial(denoiser, bf16=bf16), x0, s, noise, known_mask)
    return (weight * error).mean()
