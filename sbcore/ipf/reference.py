"""The reference process of a bridge between two sets: its schedule, and the Gaussian truth.

The reference is Brownian motion of variance sigma^2 over the whole path.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sbcore.runtime import checks
from sbcore.runtime.metrics import symmetric_root

DIRECTIONS = ("forward", "backward")
METHODS = ("dsb", "dsbm")


def opposite(direction: str) -> str:
    """The opposite direction."""
    return "backward" if direction == "forward" else "forward"


def schedule(steps: int, contrast: float = 1.0) -> list[float]:
    """Parts h of the steps: they sum to 1 and read the same from both ends.

    Args:
        steps: Number of steps, >= 1; odd numbers have one middle step.
        contrast: Largest over smallest step; they grow linearly towards the middle.

    Raises:
        ValueError: If steps is no whole number >= 1, or contrast is less than 1.
    """
    steps, contrast = checks.whole("steps", steps), checks.number("contrast", contrast, least=1)
    middle = max(1, (steps - 1) // 2)
    weights = [1 + (contrast - 1) * min(k, steps - 1 - k) / middle for k in range(steps)]
    return [weight / sum(weights) for weight in weights]


# Truth


def gaussian_coupling(first: Tensor, second: Tensor, sigma: float) -> Tensor:
    """Cross-covariance E[(X_0 - m_0)(X_1 - m_1)^T] of the bridge between two Gaussians, (d, d).

    Janati et al. 2020, with eps = 2 sigma^2 in their convention:
    ``S^1/2 (S^1/2 T S^1/2 + sigma^4 / 4)^1/2 S^-1/2 - sigma^2 / 2``.

    Args:
        first: Covariance S of the source, (d, d), positive definite.
        second: Covariance T of the target.
        sigma: Standard deviation of the reference.
    """
    root = symmetric_root(first.double())
    inner = root @ second.double() @ root + sigma**4 / 4 * torch.eye(len(first))
    coupling = root @ symmetric_root(inner) @ torch.linalg.inv(root)
    return (coupling - sigma**2 / 2 * torch.eye(len(first))).to(first.dtype)
