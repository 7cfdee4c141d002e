"""Perceptron for points."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbcore.networks.unet import NoiseEmbedding

# Points in the plane


class PointMLP(nn.Module):
    """Residual perceptron on features (b, n) and, optionally, a noise level c_noise (b,).

    Random Fourier features of the first two inputs let it bend within a tenth of the unit
    (Tancik et al. 2020); without them narrow modes are not learned within minutes.

    Args:
        features_in: Number of input features.
        features_out: Number of outputs.
        width: Width of the hidden layers.
        takes_noise: Whether `forward` takes a noise level.
        frequencies: Number of Fourier frequencies, each giving a sine and a cosine.
    """

    waves: Tensor

    def __init__(
        self,
        features_in: int,
        features_out: int,
        width: int = 128,
        takes_noise: bool = True,
        frequencies: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        waves = BANDWIDTH * torch.randn(2, frequencies, generator=generator)
        self.register_buffer("waves", waves)
        self.embedding = NoiseEmbedding(64, frequencies=16) if takes_noise else None
        self.modulation = nn.Linear(64, 3 * 2 * width) if takes_noise else None
        sizes = (features_in + 2 * frequencies, width, width, width, features_out)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Tensor, c_noise: Tensor | None = None) -> Tensor:
        """Map x (b, features_in), c_noise (b,) to (b, features_out)."""
        phase = x[:, :2] @ self.waves
        first, *inner, last = self.layers
        scales = shifts = (0.0, 0.0, 0.0)
        if self.embedding is not None and self.modulation is not None:
            parts = self.modulation(self.embedding(c_noise)).chunk(6, dim=1)
            scales, shifts = parts[:3], parts[3:]
        h = first(torch.cat([x, phase.cos(), phase.sin()], dim=1))
        h = F.silu(h * (1 + scales[0]) + shifts[0])
        for layer, scale, shift in zip(inner, scales[1:], shifts[1:], strict=True):
            h = h + F.silu(layer(h) * (1 + scale) + shift)
        return last(h)


BANDWIDTH = math.pi  # standard deviation of the frequencies, in radians per unit
