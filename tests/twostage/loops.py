"""What the tests of the loops share: three blobs in the plane, and noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sbcore.runtime.noise import Noise
from sbcore.runtime.run import Step
from sbcore.twostage.sampler import Draw
from tests.oracles import three_blobs

SIGMA, TAU, SEEDS = 1.0, 3.0, (4, 5, 6)  # Algorithm 1 as printed stays finite
BRIDGE = {"sigma": SIGMA, "tau": TAU}
BLOBS = three_blobs()


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
