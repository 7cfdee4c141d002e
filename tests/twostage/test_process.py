"""Time maps and drifts against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sbcore.twostage import process
from tests.oracles import Mixture, isotropic, slope, three_blobs

BRIDGES = [(1.0, 5.0), (1.0, 1.0), (1.5, 1.0)]  # tau > sigma^2, tau = sigma^2, tau < sigma^2
scales = st.floats(0.05, 10)


# ----------------------------------------------------------------------------------------------
# Noise levels and times


@given(t=st.floats(1e-6, 1), sigma=scales, tau=scales)
def test_stage1_time_inverts_the_noise_level(t: float, sigma: float, tau: float) -> None:
    s = process.stage1_noise_level(t, sigma, tau)
    assert process.stage1_time(s, sigma, tau) == pytest.approx(t, rel=1e-6)


@given(t=st.floats(0, 1), sigma=scales)
def test_stage2_time_inverts_the_noise_level(t: float, sigma: float) -> None:
    s = process.stage2_noise_level(t, sigma)
    assert process.stage2_time(s, sigma) == pytest.approx(t, abs=1e-12)


def test_stages_meet_at_sigma_and_run_from_infinity_to_zero() -> None:
    assert process.stage1_noise_level(0, 2.0, 8.0) == math.inf
    assert process.stage1_noise_level(1, 2.0, 8.0) == 2.0
    # X_t / t = X_1 + sqrt(tau (1 - t) / t) Z
    assert process.stage1_noise_level(0.2, 2.0, 8.0) == pytest.approx(math.sqrt(4 + 8 * 4))
    assert process.stage1_time(2.0, 2.0, 8.0) == 1
    assert process.stage2_noise_level(0, 2.0) == 2.0
    assert process.stage2_noise_level(1, 2.0) == 0
    assert process.stage2_time(2.0, 2.0) == 0
    assert process.stage2_noise_level(1 + 1e-15, 2.0) == 0  # rounding must not make a root of -0


# ----------------------------------------------------------------------------------------------
# The exact drift of stage 1


def bridge_state(data: Mixture, t: float, sigma: float, tau: float, n: int = 64) -> Tensor:
    """Samples of X_t = t X_1 + sqrt(tau t (1 - t)) Z."""
    generator = torch.Generator().manual_seed(7)
    z = torch.randn(n, data.dim, generator=generator, dtype=torch.float64)
    return t * data.sample(n, s=sigma) + math.sqrt(tau * t * (1 - t)) * z


@pytest.mark.parametrize(("sigma", "tau"), BRIDGES)
@pytest.mark.parametrize("t", [1e-4, 0.3, 0.999, 1.0])
def test_exact_drift_equals_equation_5(t: float, sigma: float, tau: float) -> None:
    data = three_blobs()
    x = bridge_state(data, t, sigma, tau)
    denoised = data.denoised(x / t, process.stage1_noise_level(t, sigma, tau))
    drift = process.exact_stage1_drift(denoised, x, t, sigma=sigma, tau=tau)
    torch.testing.assert_close(drift, data.bridge_drift(x, t, sigma, tau), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("sigma", "tau"), BRIDGES)
def test_exact_drift_starts_as_the_mean(sigma: float, tau: float) -> None:
    data = Mixture([0.6, 0.4], [[1.0, 0.0], [-0.5, 2.0]], 0.1 * torch.eye(2).expand(2, 2, 2))
    zero = torch.zeros(1, 2, dtype=torch.float64)
    drift = process.exact_stage1_drift(data.mean[None], zero, 0.0, sigma=sigma, tau=tau)
    torch.testing.assert_close(drift, data.mean[None])
    torch.testing.assert_close(drift, data.bridge_drift(zero, 0.0, sigma, tau))


@given(t=st.floats(0, 1), sigma=scales, tau=scales)
def test_exact_drift_is_finite_at_every_time(t: float, sigma: float, tau: float) -> None:
    drift = process.exact_stage1_drift(torch.ones(2), torch.ones(2), t, sigma=sigma, tau=tau)
    assert drift.isfinite().all()


def test_score_and_stage2_drift_are_tweedie_and_equation_8() -> None:
    data = three_blobs()
    v = data.sample(20, s=0.7)
    score = process.score_from_denoised(data.denoised(v, 0.7), v, 0.7)
    torch.testing.assert_close(score, data.score(v, 0.7), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(process.stage2_drift(score, sigma=3.0), 9 * score)


# ----------------------------------------------------------------------------------------------
# The Monte-Carlo drift of stage 1


def estimate(
    data: Mixture, x: Tensor, t: float, z: Tensor, sigma: float, tau: float, **options: object
) -> Tensor:
    return process.monte_carlo_stage1_drift(
        lambda y: data.score(y, sigma),
        lambda y: data.log_ratio(y, sigma, tau),
        x,
        t,
        z,
        tau=tau,
        **options,
    )


def draws(*shape: int, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("self_normalised", [True, False])
@pytest.mark.parametrize("t", [0.0, 0.6])
def test_monte_carlo_drift_converges_to_the_exact_one_at_the_root_of_the_draws(
    t: float, self_normalised: bool
) -> None:
    data, sigma, tau, n = three_blobs(), 1.0, 3.0, 300
    x = torch.tensor([[0.4, -0.3]], dtype=torch.float64).expand(n, 2)
    exact = data.bridge_drift(x[:1], t, sigma, tau)
    counts, errors = [100, 400, 1200], []
    for m in counts:
        z = draws(m if self_normalised else 2 * m, n, 2)
        drift = estimate(data, x, t, z, sigma, tau, self_normalised=self_normalised)
        errors.append((drift - exact).square().mean().sqrt().item())
    assert errors[-1] < 0.1
    assert slope(counts, errors) == pytest.approx(0.5, abs=0.15)


def test_as_printed_uses_the_first_half_for_the_numerator_the_second_for_the_denominator() -> None:
    data, sigma, tau, t = three_blobs(), 1.0, 3.0, 0.4
    x, z = draws(5, 2, seed=1), draws(6, 5, 2, seed=2)
    proposals = x + math.sqrt(tau * (1 - t)) * z
    f = torch.stack([data.log_ratio(y, sigma, tau) for y in proposals]).exp()
    g = torch.stack([data.score(y, sigma) for y in proposals]) + math.sqrt((1 - t) / tau) * z
    printed = x + tau * (f[:3, :, None] * g[:3]).sum(0) / f[3:].sum(0)[:, None]
    torch.testing.assert_close(estimate(data, x, t, z, sigma, tau), printed)
    normalised = x + tau * (f[..., None] * g).sum(0) / f.sum(0)[:, None]
    torch.testing.assert_close(
        estimate(data, x, t, z, sigma, tau, self_normalised=True), normalised
    )


def test_drift_works_on_pictures_as_on_points() -> None:
    """Each picture has its own weights: a batch equals its pictures one by one."""
    x, z = draws(3, 1, 4, 4, seed=1), draws(2, 3, 1, 4, 4, seed=2)

    def drift(x: Tensor, z: Tensor) -> Tensor:
        return process.monte_carlo_stage1_drift(
            lambda y: -y / 3, lambda y: y.flatten(1).sum(1), x, 0.3, z, tau=2.0
        )

    alone = torch.cat([drift(x[i : i + 1], z[:, i : i + 1]) for i in range(3)])
    torch.testing.assert_close(drift(x, z), alone)


def test_odd_number_of_draws_is_refused_as_printed_only() -> None:
    data, x = isotropic(2, 1.0), torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="even number of draws, got 3"):
        estimate(data, x, 0.5, draws(3, 1, 2), 1.0, 2.0)
    assert estimate(data, x, 0.5, draws(3, 1, 2), 1.0, 2.0, self_normalised=True).isfinite().all()


def test_clip_bounds_the_log_ratio() -> None:
    data, t, sigma, tau = three_blobs(), 0.2, 0.3, 4.0
    x, z = 2 * draws(20, 2, seed=1), draws(8, 20, 2, seed=2)
    options = {"self_normalised": True}
    gradients = torch.stack([data.score(x + math.sqrt(tau * 0.8) * zi, sigma) for zi in z])
    unit = x + tau * (gradients + math.sqrt(0.8 / tau) * z).mean(0)
    torch.testing.assert_close(estimate(data, x, t, z, sigma, tau, clip=0.0, **options), unit)
    free = estimate(data, x, t, z, sigma, tau, **options)
    torch.testing.assert_close(estimate(data, x, t, z, sigma, tau, clip=1e6, **options), free)
    clipped = estimate(data, x, t, z, sigma, tau, clip=2.0, **options)
    assert not torch.allclose(clipped, free) and not torch.allclose(clipped, unit)


@pytest.mark.parametrize("level", [-1e4, 3e38])
@pytest.mark.parametrize("self_normalised", [True, False])
def test_huge_log_ratios_do_not_overflow(level: float, self_normalised: bool) -> None:
    """Only differences of log ratios matter, and exp is never taken of a log ratio itself."""
    x, z = torch.zeros(4, 2), torch.randn(4, 4, 2)
    drift = process.monte_carlo_stage1_drift(
        lambda y: -y, lambda y: level + y[:, 0], x, 0.5, z, tau=2.0, self_normalised=self_normalised
    )
    assert drift.isfinite().all()


def test_spread_of_log_ratios_does_not_overflow_when_self_normalised() -> None:
    """Hundreds of nats between draws, as at picture size, pick the largest draw."""
    z = torch.randn(6, 1, 2, dtype=torch.float64)
    level = torch.tensor([-900.0, 3e4, -3e4, 0.0, 700.0, 2.9e4], dtype=torch.float64)
    drift = process.monte_carlo_stage1_drift(
        lambda y: -y,
        lambda y: level,
        torch.zeros(1, 2, dtype=torch.float64),
        0.5,
        z,
        tau=2.0,
        self_normalised=True,
    )
    best = 2.0 * (-z[1] + math.sqrt(0.25) * z[1])  # x_1 = sqrt(tau / 2) z_1 = z_1
    torch.testing.assert_close(drift, best)
