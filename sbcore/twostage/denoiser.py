"""The denoiser: a Wiener filter in closed form plus a network for what is not Gaussian."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sbcore.networks.mlp import PointMLP
from sbcore.networks.unet import UNet
from sbcore.runtime.checkpoints import (
    CheckpointError,
    build_network,
    load_weights,
    read_config,
    save_network,
)
from sbcore.twostage.wiener import WienerFilter


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

    Equation: ``D(v, s) = W_s v + c_out F(c_in v, known, mask, W_s v / data_std; c_noise)`` with the
    Wiener filter W_s. With a mask, v is the composite (known pixels clean, noise in the hole only),
    so that the network learns the exact conditional ``E[x0 | v, known pixels]``; known pixels pass
    through bit-exact. The score is ``(D(v, s) - v) / s^2``.

    Args:
        trunk: The network F; maps (b, channels, ...) and c_noise (b,) to the shape of v.
        shape: Shape of one centred picture (c, h, w), or (2,) for points in the plane.
        rank: Components of the Wiener filter; 0 selects EDM preconditioning.
        conditional: Whether F takes the known pixels and the mask.
    """

    def __init__(
        self, trunk: nn.Module, shape: tuple[int, ...], rank: int, conditional: bool
    ) -> None:
        super().__init__()
        self.trunk, self.shape, self.conditional = trunk, tuple(shape), conditional
        self.backend: Callable[[Tensor, Tensor], Tensor] | None = None  # computes F, if not trunk
        self.linear = WienerFilter(math.prod(shape), rank)
        self.mean: Tensor
        self.data_std: Tensor
        self.register_buffer("mean", torch.zeros(shape))  # of the training set, in [0, 1]
        self.register_buffer("data_std", torch.ones(()))

    def forward(
        self,
        v: Tensor,
        s: Tensor | float,
        known: Tensor | None = None,
        known_mask: Tensor | None = None,
        *,
        bf16: bool = False,
    ) -> Tensor:
        """Denoise ``v``.

        Args:
            v: Noisy centred pictures, (b, c, h, w), float32.
            s: Noise standard deviation, a number or (b,), > 0, in picture units.
            known: Clean centred pictures, (b, c, h, w); only known pixels are read.
            known_mask: (b, 1, h, w), 1 = known pixel, 0 = hole.
            bf16: bf16 inside F; all else stays float32.

        Returns:
            Centred posterior mean, shape of ``v``.

        Cost: 1 network evaluation.
        """
        s = torch.as_tensor(s, dtype=v.dtype, device=v.device).expand(v.shape[0])
        if known is not None and known_mask is not None:
            if not self.conditional:
                raise ValueError("this denoiser was not trained with a mask channel")
            v = torch.where(known_mask > 0, known, v)
        c_in = _expand(torch.rsqrt(s**2 + self.data_std**2), v)
        c_out = _expand(self.linear.rms_error(s), v)
        c_noise = s.log() / 4
        W_v = self.linear(v, s)
        inputs = [c_in * v, W_v / self.data_std]
        if self.conditional:
            mask = v.new_zeros(v.shape[0], 1, *v.shape[2:]) if known_mask is None else known_mask
            mask = mask.to(v.dtype)
            # Known pixels are not scaled by c_in: they would vanish at large s.
            inputs = [(1 - mask) * c_in * v, mask * v / self.data_std, mask, W_v / self.data_std]
        with torch.autocast(v.device.type, torch.bfloat16, enabled=bf16):
            F_x = (self.backend or self.trunk)(torch.cat(inputs, dim=1), c_noise)
        D_x = W_v + c_out * F_x.float()
        if known is not None and known_mask is not None:
            D_x = torch.where(known_mask > 0, known, D_x)
        return D_x


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


def point_denoiser(width: int = 128) -> Denoiser:
    """An untrained denoiser of points in the plane, shape (2,); full-rank Wiener part."""
    return Denoiser(PointMLP(4, 2, width, frequencies=32), shape=(2,), rank=2, conditional=False)


def load_denoiser(folder: Path) -> tuple[Denoiser, dict[str, Any]]:
    """Load the denoiser of a model folder, in evaluation mode, on the CPU, float32.

    Raises:
        CheckpointError: If the folder holds no usable denoiser.
    """
    config = read_config(folder)
    if config.get("kind") != "denoiser":
        raise CheckpointError(f"{folder} holds a {config.get('kind')}, not a denoiser.")
    for name in ("sigma", "tau"):
        value = config.get(name)
        if not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
            raise CheckpointError(f"{folder / 'config.json'} gives no positive {name}.")
    network = build_network(lambda: image_denoiser(DenoiserConfig(**config["network"])), folder)
    load_weights(network, folder / "model.safetensors")
    return network.eval(), config


def save_denoiser(folder: Path, denoiser: Denoiser, network: DenoiserConfig, **facts: Any) -> None:
    """Write ``model.safetensors`` (half precision) and ``config.json`` atomically.

    Args:
        folder: Model folder, made if need be.
        denoiser: The network.
        network: What it was built from.
        facts: Further entries of the config, e.g. ``name``, ``sigma``, ``tau``, ``training``.
    """
    config = {"kind": "denoiser", "network": asdict(network), **facts}
    save_network(folder, "model.safetensors", "config", denoiser, config)
