"""The density-ratio network of paper mode and its loss (equations 6 and 7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from sbcore.networks.mlp import PointMLP
from sbcore.runtime.checkpoints import (
    CheckpointError,
    build_network,
    load_weights,
    read_config,
    save_network,
)
from sbcore.twostage.process import LogRatioFunction

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


class PointDensityRatio(nn.Module):
    """Log density ratio of points in the plane: (b, 2) to (b,)."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.mlp = PointMLP(2, 1, width, takes_noise=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map points (b, 2) to log ratios (b,)."""
        return self.mlp(x)[:, 0]


def density_ratio_loss(log_ratio: LogRatioFunction, smoothed: Tensor, reference: Tensor) -> Tensor:
    """Logistic regression of q_sigma against the Gaussian reference; a scalar.

    Equation (7) of Wang et al. 2021; softplus, because log(1 + exp(r)) overflows.
    At its minimum ``log_ratio(x) = log q_sigma(x) - log N(x; 0, tau I)``.

    Args:
        log_ratio: Maps (b, ...) to (b,).
        smoothed: Samples of q_sigma (data plus noise of std sigma), (b, ...).
        reference: Samples of N(0, tau I), (b, ...).
    """
    return F.softplus(-log_ratio(smoothed)).mean() + F.softplus(log_ratio(reference)).mean()


def load_density_ratio(folder: Path) -> tuple[DensityRatioNet, dict[str, Any]] | None:
    """Load the density-ratio network of a model folder; None if it has none.

    Raises:
        CheckpointError: If there is one and it is unusable.
    """
    if not (folder / "ratio.json").exists():
        return None
    config = read_config(folder, "ratio")
    if config.get("kind") != "density_ratio":
        raise CheckpointError(f"{folder / 'ratio.json'} describes a {config.get('kind')}.")
    network = build_network(lambda: DensityRatioNet(**config["network"]), folder)
    load_weights(network, folder / "ratio.safetensors")
    return network.eval(), config


def save_density_ratio(
    folder: Path, network: DensityRatioNet, arguments: dict[str, Any], **facts: Any
) -> None:
    """Write ``ratio.safetensors`` (half precision) and ``ratio.json`` atomically."""
    config = {"kind": "density_ratio", "network": arguments, **facts}
    save_network(folder, "ratio.safetensors", "ratio", network, config)
