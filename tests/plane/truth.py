"""The paper's toy, and the closed form of a distribution."""

from __future__ import annotations

import torch
from torch import Tensor

from sbcore import DISTRIBUTIONS
from sbcore.plane.distributions import Distribution
from tests.oracles import Mixture

SIGMA, TAU = 1.0, 5.0
RING = DISTRIBUTIONS["six-gaussians"]


def oracle(distribution: Distribution) -> Mixture:
    k = len(distribution.centres)
    covariances = distribution.std**2 * torch.eye(2, dtype=torch.float64).expand(k, 2, 2)
    return Mixture(torch.ones(k), distribution.centres, covariances)


def points(n: int = 50, seed: int = 0) -> Tensor:
    return 3 * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
