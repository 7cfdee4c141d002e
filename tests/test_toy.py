"""The paper's toy (Fig. 2): six Gaussians on a ring of radius 5, sigma = 1, tau = 5."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sbcore.sampler import PaperMode, algorithm1_stage1, algorithm1_stage2, reverse_steps
from sbcore.solvers import SOLVERS, two_stage_grid
from tests.oracles import Mixture, ring

SIGMA, TAU, PARTICLES, S_MAX = 1.0, 5.0, 5000, 200.0
RING: Mixture = ring()


class Draws:
    """Noise for many points at once."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Tensor:
        return torch.randn(PARTICLES, 2, dtype=torch.float64, generator=self.generator)


def sliced_w2(a: Tensor, b: Tensor) -> float:
    """Root mean squared W2 of 64 projections, for sets of equal size."""
    angles = torch.arange(64, dtype=torch.float64) * math.pi / 64
    directions = torch.stack([angles.cos(), angles.sin()])
    apart = (a @ directions).sort(0).values - (b @ directions).sort(0).values
    return float(apart.square().mean().sqrt())


FLOOR = max(
    sliced_w2(RING.sample(PARTICLES, 2 * i), RING.sample(PARTICLES, 2 * i + 1)) for i in range(5)
)


def assert_is_the_ring(points: Tensor) -> None:
    """All modes, each with its share of the mass, and no worse than a fresh sample."""
    nearest = torch.cdist(points, RING.means).argmin(1)
    share = torch.bincount(nearest, minlength=6) / PARTICLES
    error = math.sqrt(1 / 6 * 5 / 6 / PARTICLES)
    assert ((share - 1 / 6).abs() < 3.5 * error).all(), share
    assert sliced_w2(points, RING.sample(PARTICLES, 99)) <= 1.5 * FLOOR


@pytest.mark.parametrize(("solver", "steps"), [("dpmpp_2m_sde", 50), ("dpmpp_2m", 40)])
def test_fast_solvers_draw_the_ring(solver: str, steps: int) -> None:
    draws = Draws(0)
    grid = two_stage_grid(steps, S_MAX, SIGMA, 0.01)
    *_, last = reverse_steps(
        RING.denoised, S_MAX * draws.draw(), grid, SOLVERS[solver], draws, sigma=SIGMA, tau=TAU
    )
    assert_is_the_ring(last.x)


def test_algorithm_1_with_the_exact_drift_draws_the_ring() -> None:
    draws, settings = Draws(1), PaperMode(n1=1000, n2=1000, drift="exact")
    start = torch.zeros(PARTICLES, 2, dtype=torch.float64)
    *_, middle = algorithm1_stage1(
        RING.denoised, None, start, draws, settings, sigma=SIGMA, tau=TAU
    )
    *_, last = algorithm1_stage2(
        RING.denoised, middle.x, draws, steps=1000, s_start=SIGMA, sigma=SIGMA
    )
    assert_is_the_ring(last.x)
