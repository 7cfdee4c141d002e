"""The oracles themselves, against autograd, quadrature and samples: who checks the checkers."""

from __future__ import annotations

import math

import pytest
import torch

from tests.oracles import Mixture, slope, three_blobs


@pytest.mark.parametrize("s", [0.0, 2.0])
def test_score_is_the_gradient_of_the_log_density(s: float) -> None:
    blobs = three_blobs()
    x = blobs.sample(50, s=s).requires_grad_(True)
    (gradient,) = torch.autograd.grad(blobs.log_density(x, s).sum(), x)
    torch.testing.assert_close(blobs.score(x.detach(), s), gradient, rtol=1e-9, atol=1e-9)


def test_denoiser_obeys_tweedie() -> None:
    blobs, s = three_blobs(), 1.0
    v = blobs.sample(50, s=s)
    torch.testing.assert_close(blobs.denoised(v, s), v + s**2 * blobs.score(v, s))


def test_density_integrates_to_one_and_samples_have_its_moments() -> None:
    blobs = three_blobs()
    axis = torch.linspace(-5, 5, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = blobs.log_density(grid, 0.2).exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(
        blobs.sample(100_000).mean(0), torch.zeros(2, dtype=torch.float64), atol=0.02, rtol=0
    )


@pytest.mark.parametrize(("t", "sigma", "tau"), [(0.0, 1.0, 5.0), (0.4, 1.0, 1.0), (0.9, 1.5, 1.0)])
def test_bridge_drift_equals_quadrature_of_the_convolution(
    t: float, sigma: float, tau: float
) -> None:
    line = Mixture([0.7, 0.3], [[0.6], [-1.4]], [[[0.2]], [[0.05]]])
    x, step = 0.3, 1e-4
    z = torch.linspace(-14, 14, 40_001, dtype=torch.float64)
    weight = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)

    def log_convolution(x: float) -> float:
        y = x + math.sqrt(tau * (1 - t)) * z
        values = weight * line.log_ratio(y[:, None], sigma, tau).exp()
        return float(torch.trapezoid(values, z).log())

    by_quadrature = tau * (log_convolution(x + step) - log_convolution(x - step)) / (2 * step)
    point = torch.tensor([[x]], dtype=torch.float64)
    assert line.bridge_drift(point, t, sigma, tau).item() == pytest.approx(by_quadrature, abs=1e-6)


def test_slope_measures_the_order() -> None:
    assert slope([10, 20, 40], [1.0, 0.25, 0.0625]) == pytest.approx(2)
