"""The bridge between two Gaussians on the line, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sbcore.data.sets import Ends
from sbcore.ipf.network import EndPoint

SIGMA = 1.5
FIRST, LAST = (0.5, 0.8), (-1.0, 2.0)  # mean and variance of two Gaussians on the line


def noise(shape: tuple[int, ...], seed: int = 0) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(shape, generator=generator)


def gaussian(name: str, mean: float, variance: float) -> Ends:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        return mean + math.sqrt(variance) * torch.randn(n, 1, generator=generator)

    return Ends(name, draw)


def exact_coupling() -> float:
    """Covariance of the ends of the bridge on the line."""
    return math.sqrt(FIRST[1] * LAST[1] + SIGMA**4 / 4) - SIGMA**2 / 2


class Linear(EndPoint):
    """The exact network of the bridge between FIRST and LAST, times ``gain``; or backward."""

    def __init__(self, gain: float = 1.0, ends: tuple[Any, Any] = (FIRST, LAST)) -> None:
        super().__init__(nn.Identity(), (1,))
        self.gain, self.ends = gain, ends
        self.means.copy_(torch.tensor([[mean] for mean, _ in ends]))
        self.variances.copy_(torch.tensor([variance for _, variance in ends]))
        self.sigma.fill_(SIGMA)

    def residual(self, x: Tensor, r: Tensor, *, bf16: bool | None = None) -> Tensor:
        (first, v), (last, w) = self.ends
        rest, c = r.reshape(-1, 1), exact_coupling()
        mean = rest * first + (1 - rest) * last
        variance = rest**2 * v + (1 - rest) ** 2 * w + rest * (1 - rest) * (2 * c + SIGMA**2)
        end = last + (rest * c + (1 - rest) * w) / variance * (x - mean)
        return self.gain * (end - x) / (rest.sqrt() * self.scale)
