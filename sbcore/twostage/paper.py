"""Algorithms 1 and 2 of the paper, as printed.

Notation: b batch; states are centred pictures (b, c, h, w) or points (b, 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from sbcore.runtime.run import DivergedError, Evaluations, Step, follow
from sbcore.twostage import process
from sbcore.twostage.grids import linear_variance_grid
from sbcore.twostage.sampler import Denoise, Draw


@dataclass(frozen=True)
class PaperMode:
    """Settings of the paper's algorithms, with the toggles of its reference code."""

    n1: int = 1000
    """Euler-Maruyama steps of stage 1."""
    n2: int = 1000
    """Euler-Maruyama steps of stage 2."""
    n3: int = 1
    """Monte-Carlo draws of the stage-1 drift."""
    drift: str = "ratio"
    """"ratio": equation (5) with the density-ratio network; "exact": from the denoiser alone."""
    self_normalised: bool = False
    """Same Monte-Carlo draws in numerator and denominator."""
    clip: float | None = None
    """Bound on the log density ratio; None as printed."""
    final_denoise: bool = True
    """The reference code's last Tweedie step, without which noise of std sigma/sqrt(n2) stays."""
    shared_noise: bool = True
    """Algorithm 2: one noise picture for the known pixels, as in the reference code."""

    def __post_init__(self) -> None:
        for name in ("n1", "n2", "n3"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.drift not in ("ratio", "exact"):
            raise ValueError(f"drift must be 'ratio' or 'exact', got {self.drift!r}")
        if self.clip is not None and not self.clip >= 0:  # also refuses NaN
            raise ValueError(f"clip must not be negative, got {self.clip}")


def algorithm1(
    denoise: Denoise,
    log_ratio: Callable[[Tensor], Tensor] | None,
    x: Tensor,
    draw: Draw,
    settings: PaperMode,
    *,
    sigma: float,
    tau: float,
    bound: float = math.inf,
) -> Iterator[Step]:
    """Algorithm 1: both stages, from the point mass to the data.

    Args:
        denoise: D(v, s).
        log_ratio: Log density ratio, (n, ...) to (n,); unused by the exact drift.
        x: Start, zeros (b, ...).
        draw: Standard normal noise, shape of x.
        settings: Steps, draws and drift.
        sigma: Standard deviation of the smoothing.
        tau: Variance of the reference.
        bound: Values beyond it are lost.

    Yields:
        One `Step` after each update.

    Raises:
        DivergedError: If a particle leaves the bound in stage 1.
    """
    total, step = settings.n1 + settings.n2, None
    for step in algorithm1_stage1(denoise, log_ratio, x, draw, settings, sigma=sigma, tau=tau):
        yield step
    assert step is not None
    stayed = (step.x.abs() < bound).flatten(1).all(1)  # no for NaN
    if not bool(stayed.all()):
        raise DivergedError(
            f"stage 1 of Algorithm 1 diverged: {int((~stayed).sum())} of {len(x)} particles left "
            "every bound, as its density ratio is unbounded; take PaperMode(clip=3), "
            "self_normalised=True, more draws n3, or drift='exact'"
        )
    second = algorithm1_stage2(
        denoise,
        step.x,
        draw,
        steps=settings.n2,
        s_start=sigma,
        sigma=sigma,
        final_denoise=settings.final_denoise,
    )
    yield from follow(second, offset=settings.n1, total=total, nfe=step.nfe)


def algorithm1_stage1(
    denoise: Denoise,
    log_ratio: Callable[[Tensor], Tensor] | None,
    x: Tensor,
    draw: Draw,
    settings: PaperMode,
    *,
    sigma: float,
    tau: float,
) -> Iterator[Step]:
    """Stage 1 of Algorithm 1: Euler-Maruyama from the point mass to q_sigma.

    ``x_{k+1} = x_k + u(x_k, k/N1) / N1 + sqrt(tau / N1) noise``. Draws of a step, in this order:
    the Monte-Carlo draws (numerator, denominator), then the noise.

    Args:
        denoise: D(v, s).
        log_ratio: Log density ratio, (n, ...) to (n,); unused by the exact drift.
        x: Start, zeros (b, ...).
        draw: Standard normal noise, shape of the state.
        settings: Steps, draws and drift.
        sigma: Standard deviation of the smoothing.
        tau: Variance of the reference.

    Yields:
        One `Step` after each update.
    """
    n1, total = settings.n1, settings.n1 + settings.n2
    denoised, nfe = torch.zeros_like(x), Evaluations()
    draws = settings.n3 * (1 if settings.self_normalised else 2)

    def score(y: Tensor) -> Tensor:
        nonlocal denoised
        posterior = denoise(y, sigma)
        denoised = posterior[: len(x)]  # of the first draw, for show
        return process.score_from_denoised(posterior, y, sigma)

    for k in range(n1):
        t = k / n1
        if settings.drift == "exact":
            if k > 0:  # at t = 0 D is the mean of the data, 0
                denoised = denoise(x / t, process.stage1_noise_level(t, sigma, tau))
                nfe = replace(nfe, denoiser=nfe.denoiser + 1)
            drift = process.exact_stage1_drift(denoised, x, t, sigma=sigma, tau=tau)
        else:
            assert log_ratio is not None
            z = torch.stack([draw() for _ in range(draws)])
            drift = process.monte_carlo_stage1_drift(
                score,
                log_ratio,
                x,
                t,
                z,
                tau=tau,
                self_normalised=settings.self_normalised,
                clip=settings.clip,
            )
            nfe = Evaluations(nfe.denoiser + settings.n3, nfe.ratio + draws)
        x = x + drift / n1 + math.sqrt(tau / n1) * draw()
        t = (k + 1) / n1
        s = process.stage1_noise_level(t, sigma, tau)
        yield Step(1, k + 1, total, t, s, x, denoised, nfe)


def algorithm1_stage2(
    denoise: Denoise,
    x: Tensor,
    draw: Draw,
    *,
    steps: int,
    s_start: float,
    sigma: float,
    final_denoise: bool = True,
) -> Iterator[Step]:
    """Stage 2 of Algorithm 1: Euler-Maruyama from q_sigma to the data, variance linear in time.

    ``x_{k+1} = x_k + (sigma^2 / N2) score(x_k, sigma_k) + (sigma / sqrt(N2)) noise``.

    Args:
        denoise: D(v, s).
        x: State at noise level ``s_start``, (b, ...).
        draw: Standard normal noise, shape of the state.
        steps: N2.
        s_start: Noise level of the start: sigma, or less for interpolation.
        sigma: Standard deviation of the smoothing, for the bridge times.
        final_denoise: Replace the noise that is left by a last Tweedie step.

    Yields:
        One `Step` after each update; the last Tweedie step belongs to the last of them.
    """
    variance = s_start**2 / steps
    for k, (s, s_next) in enumerate(pairwise(linear_variance_grid(steps, s_start))):
        denoised = denoise(x, s)
        drift = process.stage2_drift(process.score_from_denoised(denoised, x, s), sigma=s_start)
        x = x + drift / steps + math.sqrt(variance) * draw()
        nfe = k + 1
        if k == steps - 1 and final_denoise:
            x = denoised = denoise(x, math.sqrt(variance))
            nfe += 1
        t = process.stage2_time(s_next, sigma)
        yield Step(2, k + 1, steps, t, s_next, x, denoised, Evaluations(nfe))


def algorithm2(
    denoise: Denoise,
    known: Tensor,
    known_mask: Tensor,
    draw: Draw,
    settings: PaperMode,
    *,
    sigma: float,
) -> Iterator[Step]:
    """Algorithm 2: inpainting by stage 2 with the known pixels replaced before every step.

    Known pixels are ``known + sigma_k z``; the hole starts at N(0, sigma^2) and takes the steps
    of `algorithm1_stage2`. Draws: z first (anew every step unless the noise is shared), then the
    noise of each step.

    Args:
        denoise: Unconditional D(v, s).
        known: Clean centred pictures, (b, c, h, w).
        known_mask: (b, 1, h, w), 1 = known.
        draw: Standard normal noise, shape of the state.
        settings: N2 and toggles.
        sigma: Standard deviation of the smoothing.

    Yields:
        One `Step` after each update; in the last, known pixels are exactly ``known``.
    """
    steps, mask = settings.n2, known_mask > 0
    z = draw()
    x = sigma * z
    for k, (s, s_next) in enumerate(pairwise(linear_variance_grid(steps, sigma))):
        if k > 0 and not settings.shared_noise:
            z = draw()
        x = torch.where(mask, known + s * z, x)
        denoised = denoise(x, s)
        drift = process.stage2_drift(process.score_from_denoised(denoised, x, s), sigma=sigma)
        x = x + drift / steps + sigma / math.sqrt(steps) * draw()
        nfe = k + 1
        if k == steps - 1:
            if settings.final_denoise:
                x = denoise(x, sigma / math.sqrt(steps))
                nfe += 1
            x = torch.where(mask, known, x)
        denoised = torch.where(mask, known, denoised)
        yield Step(2, k + 1, steps, (k + 1) / steps, s_next, x, denoised, Evaluations(nfe))
