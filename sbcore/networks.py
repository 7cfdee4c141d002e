"""Networks: the denoiser, the density-ratio network of paper mode, and their 2-D twins.

The denoiser is ``D(v, s) = W_s v + c_out(s) F(...)``: a Wiener filter in closed form plus a
U-Net for what is not Gaussian (see `WienerFilter` and `Denoiser`).

Notation: b batch, c channels, h height, w width, d = c h w; ``v`` a noisy centred image,
``s`` its noise standard deviation. Images are centred: [0, 1] minus the training mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# ----------------------------------------------------------------------------------------------
# The linear part: the best linear denoiser of the data, in closed form


class WienerFilter(nn.Module):
    """Best linear denoiser of data with covariance ``Sigma``.

    Equation: ``W_s = Sigma (Sigma + s^2 I)^-1`` with ``Sigma = U diag(l) U^T`` on the leading
    R principal components and ``rest * I`` on their orthogonal complement. With R = 0 this
    is EDM's ``c_skip v`` and `rms_error` is EDM's ``c_out`` (Karras et al. 2022, Table 1), so
    one class serves both preconditioners.

    Args:
        dim: d, the number of values of an image.
        rank: R, the number of principal components.
    """

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.dim, self.rank = dim, rank
        self.register_buffer("basis", torch.zeros(rank, dim))  # rows: orthonormal components
        self.register_buffer("eigenvalues", torch.ones(rank))  # variances along them
        self.register_buffer("rest", torch.ones(()))  # variance of every other direction

    def forward(self, v: Tensor, s: Tensor) -> Tensor:
        """Filter ``v`` (b, ...) at noise levels ``s`` (b,); returns the shape of ``v``."""
        variance = s[:, None] ** 2  # (b, 1)
        leading = self.eigenvalues / (self.eigenvalues + variance)  # (b, R)
        return self._scale(v, leading, self.rest / (self.rest + variance))

    def at(self, v: Tensor, s: float) -> Tensor:
        """Filter ``v`` (b, ...) at one noise level; returns its shape."""
        return self.scale(v, lambda variance: variance / (variance + s**2))

    def rms_error(self, s: Tensor) -> Tensor:
        """Root-mean-square error per value of the filter at ``s`` (b,), in closed form; (b,)."""
        variance = s[:, None] ** 2
        leading = self.eigenvalues * variance / (self.eigenvalues + variance)  # (b, R)
        rest = self.rest * variance[:, 0] / (self.rest + variance[:, 0])  # (b,)
        return ((leading.sum(1) + (self.dim - self.rank) * rest) / self.dim).sqrt()

    def sample(self, noise: Tensor, s: float) -> Tensor:
        """Map standard normal ``noise`` (b, ...) to ``N(0, Sigma + s^2 I)``; same shape."""
        return self.scale(noise, lambda variance: (variance + s**2).sqrt())

    def flow(self, v: Tensor, s: float, s_next: float) -> Tensor:
        """Carry ``v`` (b, ...) from noise level ``s`` to ``s_next`` along the probability flow.

        Exact for Gaussian data: along each component the state scales with its standard
        deviation, ``v'_i = v_i sqrt((l_i + s'^2) / (l_i + s^2))``.
        """
        return self.scale(v, lambda variance: ((variance + s_next**2) / (variance + s**2)).sqrt())

    def sample_given(self, known: Tensor, known_mask: Tensor, noise: Tensor) -> Tensor:
        """Draw from ``N(0, Sigma)`` conditioned on known pixels, by Matheron's rule.

        ``x = x' + Sigma_{.k} Sigma_kk^-1 (known - x'_k)`` with x' drawn unconditionally; the
        inverse goes through an R x R system (Woodbury).

        Args:
            known: One clean centred picture, (c, h, w).
            known_mask: (1, h, w), 1 = known.
            noise: Standard normal, (n, c, h, w).

        Returns:
            Pictures that agree with ``known`` up to the variance ``rest``, shape of ``noise``.
        """
        mask = (known_mask > 0).expand_as(known).flatten()
        drawn = self.sample(noise, 0.0)
        root = (self.eigenvalues - self.rest).clamp(min=0).sqrt().double()  # (R,)
        components = self.basis[:, mask]  # (R, known)
        gram = (components @ components.T).double()
        system = root[:, None] * gram * root / self.rest.double()
        system.diagonal().add_(1.0)
        missing = known.flatten()[mask] - drawn.flatten(1)[:, mask]  # (n, known)
        right = root * (missing @ components.T).double() / self.rest.double()  # (n, R)
        weights = root * torch.linalg.solve(system, right.T).T
        return drawn + (weights.to(noise.dtype) @ self.basis).view_as(noise)

    def scale(self, v: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """Multiply each principal component of ``v`` (b, ...) by ``gain`` of its variance."""
        return self._scale(v, gain(self.eigenvalues), gain(self.rest))

    def _scale(self, v: Tensor, leading: Tensor, rest: Tensor) -> Tensor:
        """Scale the components by ``leading`` (R,), the orthogonal complement by ``rest``."""
        flat = v.flatten(1)
        return (rest * flat + ((leading - rest) * (flat @ self.basis.T)) @ self.basis).view_as(v)


# ----------------------------------------------------------------------------------------------
# The U-Net


class NoiseEmbedding(nn.Module):
    """Fourier features of ``ln(s) / 4`` (EDM's c_noise) through a two-layer MLP."""

    def __init__(self, width: int, frequencies: int = 64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", 4 * torch.randn(frequencies, generator=generator))
        self.mlp = nn.Sequential(
            nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, s: Tensor) -> Tensor:
        """Embed noise levels s (b,) as (b, width)."""
        phase = s.log()[:, None] / 4 * self.frequencies
        return self.mlp(torch.cat([phase.cos(), phase.sin()], dim=1))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the noise embedding scales and shifts the second norm."""

    def __init__(self, channels_in: int, channels: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = dropout
        self.skip = (
            nn.Conv2d(channels_in, channels, 1) if channels_in != channels else nn.Identity()
        )
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map x (b, channels_in, h, w) and embedding (b, width) to (b, channels, h, w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        h = self.conv2(F.dropout(h, self.dropout, self.training))
        return (self.skip(x) + h) * math.sqrt(0.5)


class Attention(nn.Module):
    """Self-attention over all positions."""

    def __init__(self, channels: int, head_width: int = 64) -> None:
        super().__init__()
        most = max(1, channels // head_width)
        self.heads = next(n for n in range(most, 0, -1) if channels % n == 0)
        self.norm = nn.GroupNorm(8, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

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
            self.down.append(nn.ModuleList(ResidualBlock(c, c, width, dropout) for _ in range(n)))
            self.down_attention.append(Attention(c) if attention[level] else nn.Identity())
            skips.append(c)
            previous = c
        for level in reversed(range(len(channels))):
            c, n = channels[level], blocks[level]
            inner = nn.ModuleList(
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
        self.head = nn.Conv2d(channels[0], channels_out * patch**2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, s: Tensor) -> Tensor:
        """Map ``x`` (b, channels_in, h, w) at levels ``s`` (b,) to (b, channels_out, h, w)."""
        embedding = self.embedding(s)
        x = self.stem(F.pixel_unshuffle(x, self.patch)) + self.position
        skips = []
        for downsample, blocks, attention in zip(
            self.downsample, self.down, self.down_attention, strict=True
        ):
            x = downsample(x)
            for block in blocks:
                x = block(x, embedding)
            x = attention(x)
            skips.append(x)
        for level, (upsample, blocks, attention) in enumerate(
            zip(self.upsample, self.up, self.up_attention, strict=True)
        ):
            if level == 0:
                x = upsample(x, embedding)
            else:
                x = upsample(F.interpolate(x, scale_factor=2, mode="nearest"))
            x = torch.cat([x, skips.pop()], dim=1)
            for block in blocks:
                x = block(x, embedding)
            x = attention(x)
        return F.pixel_shuffle(self.head(F.silu(self.norm(x))), self.patch)


def _lists(n: int) -> tuple[nn.ModuleList, ...]:
    return tuple(nn.ModuleList() for _ in range(n))


# ----------------------------------------------------------------------------------------------
# The denoiser


@dataclass(frozen=True)
class DenoiserConfig:
    """Everything needed to build an image `Denoiser`; saved in ``config.json``."""

    image_size: int = 64
    """Height and width of the pictures, in pixels."""
    image_channels: int = 3
    """1 for grey, 3 for RGB."""
    rank: int = 512
    """Principal components of the Wiener filter; 0 selects EDM preconditioning."""
    patch: int = 2
    """Side of the pixel blocks folded into channels before the U-Net."""
    channels: tuple[int, ...] = (64, 128, 256)
    """Width of each resolution of the U-Net, finest first."""
    blocks: tuple[int, ...] = (2, 2, 2)
    """Residual blocks of each resolution, on the way down and again on the way up."""
    attention: tuple[bool, ...] = (False, False, True)
    """Whether each resolution has self-attention."""
    dropout: float = 0.0
    """Dropout rate inside the residual blocks, during training."""

    def __post_init__(self) -> None:
        for name in ("channels", "blocks", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("image_size", "image_channels", "patch", "channels", "blocks"):
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if not values or any(not isinstance(v, int) or v < 1 for v in values):
                raise ValueError(f"{name} must be positive whole numbers, got {value}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if not len(self.channels) == len(self.blocks) == len(self.attention):
            raise ValueError("channels, blocks and attention must have the same length")
        if any(c % 8 for c in self.channels):
            raise ValueError(f"channels must be multiples of 8, got {self.channels}")
        stride = self.patch * 2 ** (len(self.channels) - 1)
        if self.image_size % stride:
            raise ValueError(f"image_size must be a multiple of {stride}, got {self.image_size}")
        if not 0 <= self.rank <= self.dim:
            raise ValueError(f"rank must be in [0, {self.dim}], got {self.rank}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (c, h, w) of one picture."""
        return (self.image_channels, self.image_size, self.image_size)

    @property
    def dim(self) -> int:
        """Number of values of one picture."""
        return math.prod(self.shape)


class Denoiser(nn.Module):
    """Posterior mean of the clean picture, ``D(v, s) = E[x0 | x0 + s n = v]``.

    Equation: ``D(v, s) = W_s v + c_out(s) F(c_in v, known, mask, W_s v / data_std; s)`` with
    `WienerFilter` W_s, its error c_out and ``c_in = 1 / sqrt(s^2 + data_std^2)``. With a mask,
    v is the composite (known pixels clean, noise in the hole only), so that the network learns
    the exact conditional ``E[x0 | v, known pixels]``; known pixels pass through bit-exact.
    The score is ``(D(v, s) - v) / s^2``.

    Args:
        trunk: The network F; maps (b, channels, ...) and s (b,) to the shape of v.
        shape: Shape of one centred picture (c, h, w), or (2,) for points in the plane.
        rank: Components of the Wiener filter; 0 selects EDM preconditioning.
        conditional: Whether F takes the known pixels and the mask.
    """

    def __init__(
        self, trunk: nn.Module, shape: tuple[int, ...], rank: int, conditional: bool
    ) -> None:
        super().__init__()
        self.trunk, self.shape, self.conditional = trunk, tuple(shape), conditional
        self.linear = WienerFilter(math.prod(shape), rank)
        self.register_buffer("mean", torch.zeros(shape))  # of the training set, in [0, 1]
        self.register_buffer("data_std", torch.ones(()))
        self.bf16 = False  # bf16 inside the trunk; the state stays float32

    def forward(
        self,
        v: Tensor,
        s: Tensor | float,
        known: Tensor | None = None,
        known_mask: Tensor | None = None,
    ) -> Tensor:
        """Denoise ``v``.

        Args:
            v: Noisy centred pictures, (b, c, h, w), float32.
            s: Noise standard deviation, a number or (b,), > 0, in picture units.
            known: Clean centred pictures, (b, c, h, w); only known pixels are read.
            known_mask: (b, 1, h, w), 1 = known pixel, 0 = hole.

        Returns:
            Centred posterior mean, shape of ``v``.

        Cost: 1 network evaluation.
        """
        s = torch.as_tensor(s, dtype=v.dtype, device=v.device).expand(v.shape[0])
        if known_mask is not None:
            if not self.conditional:
                raise ValueError("this denoiser was not trained with a mask channel")
            v = torch.where(known_mask > 0, known, v)
        linear = self.linear(v, s)
        features = self._features(v, s, linear, known_mask)
        with torch.autocast(v.device.type, torch.bfloat16, enabled=self.bf16):
            residual = self.trunk(features, s)
        denoised = linear + _expand(self.linear.rms_error(s), v) * residual.float()
        if known_mask is not None:
            denoised = torch.where(known_mask > 0, known, denoised)
        return denoised

    def _features(self, v: Tensor, s: Tensor, linear: Tensor, known_mask: Tensor | None) -> Tensor:
        scaled = v * _expand(torch.rsqrt(s**2 + self.data_std**2), v)
        if not self.conditional:
            return torch.cat([scaled, linear / self.data_std], dim=1)
        if known_mask is None:
            known_mask = v.new_zeros(v.shape[0], 1, *v.shape[2:])
        known_mask = known_mask.to(v.dtype)
        # Known pixels are not scaled by c_in: they would vanish at large s.
        known = known_mask * v / self.data_std
        scaled = (1 - known_mask) * scaled
        return torch.cat([scaled, known, known_mask, linear / self.data_std], dim=1)


def _expand(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.dim() - 1))


def image_denoiser(config: DenoiserConfig) -> Denoiser:
    """An untrained image denoiser with mask channel."""
    c = config.image_channels
    trunk = UNet(
        channels_in=3 * c + 1,
        channels_out=c,
        image_size=config.image_size,
        patch=config.patch,
        channels=config.channels,
        blocks=config.blocks,
        attention=config.attention,
        dropout=config.dropout,
    )
    return Denoiser(trunk, config.shape, config.rank, conditional=True)


# ----------------------------------------------------------------------------------------------
# The density-ratio network of paper mode


class DensityRatioNet(nn.Module):
    """Logarithm of the density ratio, ``log q_sigma(x) - log N(x; 0, tau I)``, for pictures.

    The paper's network: five convolutions (kernel 5, 5, 3, 3, 3) with three residual additions,
    no norm and no time, then one linear map to a number.

    Args:
        shape: Shape (c, h, w) of one centred picture.
        channels: Width of the convolutions; 128 in the paper.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int = 128) -> None:
        super().__init__()
        c, h, w = shape
        self.stem = nn.Conv2d(c, channels, 5, padding=2)
        kernels = (5, 3, 3, 3)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, k, padding=k // 2) for k in kernels
        )
        self.head = nn.Linear(channels * h * w, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (b, c, h, w) to log ratios (b,)."""
        x = F.relu(self.stem(x))
        *residual, last = self.convolutions
        for convolution in residual:
            x = x + F.relu(convolution(x))
        return self.head(F.relu(last(x)).flatten(1))[:, 0]


# ----------------------------------------------------------------------------------------------
# Points in the plane


class PointMLP(nn.Module):
    """Residual perceptron on features (b, n) and, optionally, a noise level s (b,).

    Random Fourier features of the first two inputs let it bend within a tenth of the unit
    (Tancik et al. 2020); without them narrow modes are not learned within minutes.

    Args:
        features_in: Number of input features.
        features_out: Number of outputs.
        width: Width of the hidden layers.
        takes_noise: Whether `forward` takes a noise level.
        frequencies: Number of Fourier frequencies, each giving a sine and a cosine.
    """

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

    def forward(self, x: Tensor, s: Tensor | None = None) -> Tensor:
        """Map x (b, features_in), s (b,) to (b, features_out)."""
        phase = x[:, :2] @ self.waves
        first, *inner, last = self.layers
        scales = shifts = (0.0, 0.0, 0.0)
        if self.modulation is not None:
            parts = self.modulation(self.embedding(s)).chunk(6, dim=1)
            scales, shifts = parts[:3], parts[3:]
        h = first(torch.cat([x, phase.cos(), phase.sin()], dim=1))
        h = F.silu(h * (1 + scales[0]) + shifts[0])
        for layer, scale, shift in zip(inner, scales[1:], shifts[1:], strict=True):
            h = h + F.silu(layer(h) * (1 + scale) + shift)
        return last(h)


BANDWIDTH = math.pi  # standard deviation of the frequencies, in radians per unit


def point_denoiser(width: int = 128) -> Denoiser:
    """An untrained denoiser of points in the plane, shape (2,); full-rank Wiener part."""
    return Denoiser(PointMLP(4, 2, width, frequencies=32), shape=(2,), rank=2, conditional=False)


class PointDensityRatio(nn.Module):
    """Log density ratio of points in the plane: (b, 2) to (b,)."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.mlp = PointMLP(2, 1, width, takes_noise=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map points (b, 2) to log ratios (b,)."""
        return self.mlp(x)[:, 0]
