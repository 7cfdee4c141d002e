"""The two drifts: networks that predict the end of a path."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sbcore.ipf.reference import METHODS, schedule
from sbcore.networks.mlp import PointMLP
from sbcore.networks.unet import UNet
from sbcore.runtime import checkpoints, checks

# The networks


@dataclass(frozen=True)
class NetworkConfig:
    """Everything needed to build the network of one direction; saved in ``config.json``."""

    shape: tuple[int, ...]
    """(d,) for points, (c, h, w) for pictures."""
    width: int = 128
    """Of the hidden layers, for points."""
    frequencies: int = 32
    """Fourier features, for points in the plane."""
    patch: int = 2
    """Side of the pixel blocks folded into channels, for pictures."""
    channels: tuple[int, ...] = (64, 128)
    """Width of each resolution of the U-Net, finest first."""
    blocks: tuple[int, ...] = (2, 2)
    """Residual blocks of each resolution."""
    attention: tuple[bool, ...] = (False, True)
    """Whether each resolution has self-attention."""

    def __post_init__(self) -> None:
        for name in ("shape", "channels", "blocks", "attention"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.shape) not in (1, 3) or any(n < 1 for n in self.shape):
            raise ValueError(f"shape must be (d,) or (c, h, w), got {self.shape}")
        if not len(self.channels) == len(self.blocks) == len(self.attention):
            raise ValueError("channels, blocks and attention must have the same length")
        if len(self.shape) == 3 and any(c < 8 or c % 8 for c in self.channels):
            raise ValueError(f"channels must be multiples of 8, got {self.channels}")
        if min(self.width, self.patch, *self.blocks) < 1:
            raise ValueError("width, patch and blocks must be at least 1")
        stride = self.patch * 2 ** (len(self.channels) - 1)
        if len(self.shape) == 3 and (self.shape[1] != self.shape[2] or self.shape[1] % stride):
            raise ValueError(
                f"pictures must be squares with a side divisible by {stride}, got {self.shape[1:]}"
            )

    def trunk(self) -> nn.Module:
        """An untrained network (x, level) to the shape of x; its output is 0."""
        if len(self.shape) == 1:
            return _PointTrunk(self.shape[0], self.width, self.frequencies)
        c, size, _ = self.shape
        return UNet(c, c, size, self.patch, self.channels, self.blocks, self.attention, 0.0)


class _PointTrunk(nn.Module):
    """`PointMLP` beside a linear map that depends on the level; Gaussian bridges need no more."""

    def __init__(self, dim: int, width: int, frequencies: int) -> None:
        super().__init__()
        self.dim = dim
        self.mlp = PointMLP(max(2, dim), dim, width, frequencies=frequencies if dim == 2 else 0)
        self.linear = nn.Linear(dim, 4 * dim)
        for layer in (self.mlp.layers[-1], self.linear):
            for weight in layer.parameters():
                nn.init.zeros_(weight)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """Map x (b, d), c_noise (b,) of a level in (0, 1] to (b, d)."""
        level = (4 * c_noise).exp()
        padded = nn.functional.pad(x, (0, 2 - self.dim)) if self.dim < 2 else x
        powers = level[:, None] ** torch.arange(4, device=x.device)  # (b, 4)
        linear = (self.linear(x).view(-1, 4, self.dim) * powers[:, :, None]).sum(1)
        return self.mlp(padded, c_noise) + linear


class EndPoint(nn.Module):
    """Predicted end of the path, ``D(x, r) = x + sqrt(r) scale F((x - m_r) / s_r, sqrt(r))``.

    m_r and s_r are mean and spread at r if the ends were independent. F has outputs of order 1
    at every r, and D is x itself where nothing is left to come.

    Args:
        trunk: The network F.
        shape: Shape of one point.
    """

    def __init__(self, trunk: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk, self.bf16 = trunk, False  # bf16 inside F, unless a call says otherwise
        self.means: Tensor
        self.variances: Tensor
        self.sigma: Tensor
        self.register_buffer("means", torch.zeros(2, *shape))  # of start and end
        self.register_buffer("variances", torch.ones(2))  # per value, of start and end
        self.register_buffer("sigma", torch.ones(()))

    @property
    def scale(self) -> Tensor:
        """Root mean square of (end - x) / sqrt(r), about; a scalar."""
        apart = (self.means[0] - self.means[1]).square().mean()
        return (self.variances.sum() + apart + self.sigma**2).sqrt()

    def forward(self, x: Tensor, r: Tensor | float, *, bf16: bool | None = None) -> Tensor:
        """Predict the end of x (b, ...) at r, a number or (b,)."""
        r = torch.as_tensor(r, dtype=x.dtype, device=x.device).expand(len(x))
        rest = expand(r, x)
        return x + rest.sqrt() * self.scale * self.residual(x, r, bf16=bf16)

    def residual(self, x: Tensor, r: Tensor, *, bf16: bool | None = None) -> Tensor:
        """F at x (b, ...), r (b,)."""
        rest = expand(r, x)
        mean = rest * self.means[0] + (1 - rest) * self.means[1]
        first, last = self.variances
        variance = rest**2 * first + (1 - rest) ** 2 * last + self.sigma**2 * rest * (1 - rest)
        bf16 = self.bf16 if bf16 is None else bf16
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            return self.trunk((x - mean) * variance.rsqrt(), r.log() / 8).float()

    def drift(self, x: Tensor, r: float) -> Tensor:
        """(D - x) / r, (b, ...)."""
        return (self(x, r) - x) / r


def expand(values: Tensor, like: Tensor) -> Tensor:
    """Values (b,) with the dimensions of ``like`` (b, ...)."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


class Pair(nn.Module):
    """The networks of both directions; what a checkpoint holds."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.forward_end = EndPoint(config.trunk(), config.shape)
        self.backward_end = EndPoint(config.trunk(), config.shape)

    def __getitem__(self, direction: str) -> EndPoint:
        return self.forward_end if direction == "forward" else self.backward_end

    @torch.no_grad()
    def measure(self, source: Tensor, target: Tensor, sigma: float) -> None:
        """Store means and spreads of the sets (n, ...) and sigma."""
        means = torch.stack([source.mean(0), target.mean(0)])
        variances = torch.stack([_variance(source), _variance(target)])
        for direction, order in (("forward", [0, 1]), ("backward", [1, 0])):
            end = self[direction]
            end.means.copy_(means[order])
            end.variances.copy_(variances[order].clamp(min=1e-6))
            end.sigma.fill_(sigma)


def _variance(points: Tensor) -> Tensor:
    """Mean variance of a value."""
    return (points - points.mean(0)).square().mean()


KIND = "dsb"


def save_translation(folder: Path, pair: Pair, config: dict[str, Any]) -> None:
    """Write ``model.safetensors`` (both networks, half precision) and ``config.json``."""
    entries = {"kind": KIND, "network": asdict(pair.config), **config}
    checkpoints.save_network(folder, "model.safetensors", "config", pair, entries)


def load_translation(folder: Path) -> tuple[Pair, dict[str, Any]]:
    """Load both networks of a folder, on the CPU, float32, and the config.

    Raises:
        CheckpointError: If the folder holds no usable pair.
    """
    config = checkpoints.read_config(folder)
    if config.get("kind") != KIND:
        raise checkpoints.CheckpointError(
            f"{folder} holds a {config.get('kind')}, not a bridge between two sets."
        )
    sets, sigma, noise = config.get("sets"), config.get("sigma"), config.get("noise", [])
    try:
        if config.get("method") not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}")
        if not (
            isinstance(sets, list) and len(sets) == 2 and all(isinstance(s, str) for s in sets)
        ):
            raise ValueError("sets must be two names")
        if not (isinstance(noise, list) and len(noise) in (0, 2)):
            raise ValueError("noise must be a truth value for each set")
        checks.number("sigma", sigma, above=0)
        schedule(config.get("steps", 0), config.get("contrast", 0.0))
    except (TypeError, ValueError) as error:
        raise checkpoints.CheckpointError(f"{folder / 'config.json'}: {error}.") from error
    pair = checkpoints.build_network(lambda: Pair(NetworkConfig(**config["network"])), folder)
    checkpoints.load_weights(pair, folder / "model.safetensors")
    return pair.eval(), config
