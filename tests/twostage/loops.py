"""What these tests share: three blobs in the plane, noise, filters of known covariance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sbcore.runtime.noise import Noise
from sbcore.runtime.run import Step
from sbcore.twostage.sampler import Draw
from sbcore.twostage.wiener import WienerFilter
from tests.oracles import three_blobs

SIGMA, TAU, SEEDS = 1.0, 3.0, (4, 5, 6)  # Algorithm 1 as printed stays finite
BRIDGE = {"sigma": SIGMA, "tau": TAU}
BLOBS = three_blobs()
SHAPE, DIM = (1, 3, 4), 12  # a picture of 12 values
MASKS = {
    "left": [1, 1, 0, 0] * 3,
    "one hole": [1] * 11 + [0],
    "one known": [0] * 5 + [1] + [0] * 6,
    "nothing known": [0] * 12,
}


def draws(seeds: Sequence[int] = SEEDS, shape: tuple[int, ...] = (2,)) -> Draw:
    """Noise of its own for each row, float64."""
    return Noise(seeds, shape, dtype=torch.float64).draw


def states(steps: Iterator[Step]) -> Tensor:
    return torch.stack([step.x for step in steps])


class Tape:
    """Draws written out beforehand, in the order in which a loop takes them."""

    def __init__(self, written: Sequence[Tensor]) -> None:
        self.left = iter(written)

    def __call__(self) -> Tensor:
        return next(self.left)


def log_ratio(x: Tensor) -> Tensor:
    return BLOBS.log_ratio(x, SIGMA, TAU)


def noise(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gaussian_filter(variances: Tensor) -> WienerFilter:
    """A float64 filter of independent directions."""
    linear = WienerFilter(len(variances), len(variances)).double()
    linear.basis.copy_(torch.eye(len(variances)))
    linear.eigenvalues.copy_(variances)
    return linear


def random_wiener(rank: int, seed: int = 0) -> WienerFilter:
    """A float64 filter with random directions and variances."""
    linear = WienerFilter(DIM, rank).double()
    linear.basis.copy_(torch.linalg.qr(noise(DIM, DIM, seed=seed)).Q[:rank])
    linear.eigenvalues.copy_(5.0 / torch.arange(1, rank + 1, dtype=torch.float64) ** 1.2)
    linear.rest.fill_(0.07)
    return linear
