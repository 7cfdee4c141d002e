"""U-Net for pictures.

Notation: b batch, c channels, h height, w width; ``c_noise = ln(s) / 4`` of a noise level s.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The U-Net


class NoiseEmbedding(nn.Module):
    """Fourier features of a noise level, ``c_noise = ln(s) / 4`` (EDM), through a two-layer MLP."""

    frequencies: Tensor

    def __init__(self, width: int, frequencies: int = 64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", 4 * torch.randn(frequencies, generator=generator))
        self.mlp = nn.Sequential(
            nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, c_noise: Tensor) -> Tensor:
        """Embed c_noise (b,) as (b, width)."""
        phase = c_noise[:, None] * self.frequencies
        return self.mlp(torch.cat([phase.cos(), phase.sin()], dim=1))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the noise embedding scales and shifts the second norm."""

    def __init__(self, channels_in: int, channels: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        self.dropout = dropout
        self.skip = (
            nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map x (b, channels_in, h, w) and embedding (b, width) to (b, channels, h, w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        h = self.conv2(F.dropout(h, self.dropout, self.training))
        return (self.skip(x) + h) * math.sqrt(0.5)


class ResidualBlocks(nn.ModuleList):
    """Residual blocks in a row, under one noise embedding."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map x (b, channels_in, h, w) and embedding (b, width) to (b, channels, h, w)."""
        for block in self:
            x = block(x, embedding)
        return x


class Attention(nn.Module):
    """Self-attention over all positions."""

    def __init__(self, channels: int, head_width: int = 64) -> None:
        super().__init__()
        most = max(1, channels // head_width)
        self.heads = next(n for n in range(most, 0, -1) if channels % n == 0)
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to the same shape."""
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(1)  # each (b, heads, h w, c / heads)
        attended = F.scaled_dot_product_attention(q, k, v)
        attended = attended.transpose(-1, -2).reshape(b, c, h, w)
        return x + self.out(attended)


class UNet(nn.Module):
    """U-Net on pixel-unshuffled input (the latency of a convolution grows with h w).

    Args:
        channels_in: Channels of the input image.
        channels_out: Channels of the output image.
        image_size: Height and width, divisible by ``patch * 2**(len(channels) - 1)``.
        patch: Side of the pixel blocks folded into channels before the first convolution.
        channels: Width of each resolution, finest first.
        blocks: Residual blocks of each resolution on the way down, and again on the way up.
        attention: Whether each resolution has self-attention after its last block.
        dropout: Dropout rate inside the residual blocks.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        image_size: int,
        patch: int,
        channels: tuple[int, ...],
        blocks: tuple[int, ...],
        attention: tuple[bool, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        width = 4 * channels[0]
        side = image_size // patch
        self.patch = patch
        self.embedding = NoiseEmbedding(width)
        self.stem = nn.Conv2d(channels_in * patch**2, channels[0], 3, padding=1)
        # Aligned pictures have a layout: let the first layer know where it is.
        self.position = nn.Parameter(torch.zeros(channels[0], side, side))
        self.down, self.down_attention, self.downsample = _lists(3)
        self.up, self.up_attention, self.upsample = _lists(3)
        previous, skips = channels[0], []
        for level, (c, n) in enumerate(zip(channels, blocks, strict=True)):
            self.downsample.append(
                nn.Conv2d(previous, c, 3, stride=2, padding=1) if level else nn.Identity()
            )
            self.down.append(ResidualBlocks(ResidualBlock(c, c, width, dropout) for _ in range(n)))
            self.down_attention.append(Attention(c) if attention[level] else nn.Identity())
            skips.append(c)
            previous = c
        for level in reversed(range(len(channels))):
            c, n = channels[level], blocks[level]
            inner = ResidualBlocks(
                ResidualBlock(2 * c if i == 0 else c, c, width, dropout) for i in range(n)
            )
            self.upsample.append(
                nn.Conv2d(previous, c, 3, padding=1)
                if level < len(channels) - 1
                else ResidualBlock(c, c, width, dropout)  # the middle block
            )
            self.up.append(inner)
            self.up_attention.append(Attention(c) if attention[level] else nn.Identity())
            previous = c
        self.norm = nn.GroupNorm(8, channels[0])
        self.head = zeroed(nn.Conv2d(channels[0], channels_out * patch**2, 3, padding=1))

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Map ``x`` (b, channels_in, h, w) and ``c_noise`` (b,) to (b, channels_out, h, w)."""
        embedding = self.embedding(c_noise)
        x = self.stem(F.pixel_unshuffle(x, self.patch)) + self.position
        skips = []
        for downsample, blocks, attention in zip(
            self.downsample, self.down, self.down_attention, strict=True
        ):
            x = attention(blocks(downsample(x), embedding))
            skips.append(x)
        for level, (upsample, blocks, attention) in enumerate(
            zip(self.upsample, self.up, self.up_attention, strict=True)
        ):
            if level == 0:
                x = upsample(x, embedding)
            else:
                x = upsample(F.interpolate(x, scale_factor=2, mode="nearest"))
            x = torch.cat([x, skips.pop()], dim=1)
            x = attention(blocks(x, embedding))
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), self.patch)


def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with all weights 0, so that what it ends starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _lists(n: int) -> tuple[nn.ModuleList, ...]:
    return tuple(nn.ModuleList() for _ in range(n))
