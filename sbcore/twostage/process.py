"""The two bridges as pure functions: noise levels, time maps, drifts.

Stage 1 carries the point mass at 0 to the smoothed density q_sigma along a Wiener process of
variance tau; stage 2 carries q_sigma to the data. Bridge time t in [0, 1] runs towards the data
in both. Numbers go in and out as floats; states are tensors of any shape and dtype.

Notation: ``sigma`` standard deviation of the smoothing, ``tau`` variance of the reference
measure, ``s`` noise level of the moment, ``x`` state, ``D`` the denoiser E[x0 | x0 + s n].
Source: Wang et al., "Deep Generative Learning via Schrödinger Bridge", ICML 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

ScoreFunction = Callable[[Tensor], Tensor]
LogRatioFunction = Callable[[Tensor], Tensor]


# Noise levels and times


def stage1_noise_level(t: float, sigma: float, tau: float) -> float:
    """Noise level of X_t / t in stage 1: ``s(t)^2 = sigma^2 + tau (1 - t) / t``.

    X_t / t is a clean picture plus noise of standard deviation s, because given its end the
    bridge is ``X_t = t X_1 + sqrt(tau t (1 - t)) Z``.

    Args:
        t: Bridge time in [0, 1].
        sigma: Standard deviation of the smoothing, > 0.
        tau: Variance of the reference, > 0.

    Returns:
        s, from infinity at t = 0 to sigma at t = 1.
    """
    return math.inf if t == 0 else math.sqrt(sigma**2 + tau * (1 - t) / t)


def stage1_time(s: float, sigma: float, tau: float) -> float:
    """Inverse of `stage1_noise_level`: ``t = tau / (s^2 - sigma^2 + tau)`` for s >= sigma."""
    return tau / (s**2 - sigma**2 + tau)


def stage2_noise_level(t: float, sigma: float) -> float:
    """Noise level of the state in stage 2: ``s(t) = sigma sqrt(1 - t)``."""
    return sigma * math.sqrt(max(0.0, 1 - t))


def stage2_time(s: float, sigma: float) -> float:
    """Inverse of `stage2_noise_level`: ``t = 1 - s^2 / sigma^2`` for s <= sigma."""
    return 1 - (s / sigma) ** 2


def stage_and_time(s: float, sigma: float, tau: float) -> tuple[int, float]:
    """Stage, 1 or 2, and bridge time of a noise level; sigma itself is the end of stage 1."""
    return (1, stage1_time(s, sigma, tau)) if s >= sigma else (2, stage2_time(s, sigma))


# Drifts


def score_from_denoised(denoised: Tensor, v: Tensor, s: float) -> Tensor:
    """Score of the smoothed density by Tweedie's formula: ``(D(v, s) - v) / s^2``."""
    return (denoised - v) / s**2


def exact_stage1_drift(
    denoised: Tensor, x: Tensor, t: float, *, sigma: float, tau: float
) -> Tensor:
    """Drift of stage 1 from one denoiser, without a density-ratio network.

    Equation: ``u(x, t) = [tau D(x / t, s(t)) - (tau - sigma^2) x] / A(t)`` with
    ``A(t) = tau (1 - t) + t sigma^2``; equal to equation (5) of the paper times tau.

    Args:
        denoised: D(x / t, s(t)), shape of ``x``; the data mean (0 when centred) at t = 0.
        x: State X_t, any shape.
        t: Bridge time in [0, 1].
        sigma: Standard deviation of the smoothing, > 0.
        tau: Variance of the reference, > 0.

    Returns:
        Drift per unit of time, shape and dtype of ``x``; ``dX = u dt + sqrt(tau) dW``.
    """
    return (tau * denoised - (tau - sigma**2) * x) / (tau * (1 - t) + t * sigma**2)


def monte_carlo_stage1_drift(
    score: ScoreFunction,
    log_ratio: LogRatioFunction,
    x: Tensor,
    t: float,
    z: Tensor,
    *,
    tau: float,
    self_normalised: bool = False,
    clip: float | None = None,
) -> Tensor:
    """Drift of stage 1 by Monte Carlo, equation (5) as Algorithm 1 prints it.

    Equation: ``u = x + tau sum_i f(x_i) g_i / sum_j f(x_j)`` with ``x_i = x + sqrt(tau (1 - t))
    z_i``, ``g_i = score(x_i) + sqrt((1 - t) / tau) z_i`` and f = exp(log_ratio). As printed, the
    numerator runs over the first half of the draws and the denominator over the other half;
    self-normalised, both run over all of them.

    Args:
        score: Score of q_sigma, (n, ...) to (n, ...).
        log_ratio: log q_sigma(x) - log N(x; 0, tau I), (n, ...) to (n,).
        x: State X_t, (b, ...).
        t: Bridge time in [0, 1].
        z: Standard normal draws, (2 N3, b, ...) as printed, (N3, b, ...) self-normalised.
        tau: Variance of the reference, > 0.
        self_normalised: Same draws in numerator and denominator: biased, but it cannot diverge.
        clip: Bound on abs(log_ratio); None as printed.

    Returns:
        Drift per unit of time, shape of ``x``.

    Raises:
        ValueError: If as printed the number of draws is odd.

    Cost: N3 score and 2 N3 (self-normalised: N3) density-ratio evaluations.
    """
    draws, batch = z.shape[0], x.shape[0]
    if not self_normalised and draws % 2:
        raise ValueError(f"as printed the drift needs an even number of draws, got {draws}")
    proposals = x + math.sqrt(tau * (1 - t)) * z  # (draws, b, ...)
    logs = log_ratio(proposals.flatten(0, 1)).view(draws, batch)
    if clip is not None:
        logs = logs.clamp(-clip, clip)
    n = draws if self_normalised else draws // 2
    gradients = score(proposals[:n].flatten(0, 1)).view_as(proposals[:n])
    gradients = gradients + math.sqrt((1 - t) / tau) * z[:n]
    denominator = logs if self_normalised else logs[n:]
    weights = torch.exp(logs[:n] - torch.logsumexp(denominator, dim=0))  # (n, b)
    weights = weights.view(n, batch, *[1] * (x.dim() - 1))
    return x + tau * (weights * gradients).sum(0)


def stage2_drift(score: Tensor, *, sigma: float) -> Tensor:
    """Drift of stage 2, equation (8): ``sigma^2 score(x, sigma sqrt(1 - t))``.

    Args:
        score: Score of the density smoothed by ``sigma sqrt(1 - t)`` at the state, any shape.
        sigma: Standard deviation of the smoothing, > 0.

    Returns:
        Drift per unit of time, same shape; ``dX = drift dt + sigma dW``.
    """
    return sigma**2 * score
