"""Grids of noise levels, falling to 0."""

from __future__ import annotations

import math

from sbcore.twostage.process import stage1_noise_level, stage1_time


def karras_grid(steps: int, s_start: float, s_end: float, rho: float = 7.0) -> list[float]:
    """Noise levels from ``s_start`` to 0 in ``steps`` steps (Karras et al. 2022, equation 5).

    Args:
        steps: Number of steps, >= 1.
        s_start: First noise level.
        s_end: Last noise level before 0, < ``s_start``.
        rho: Exponent; larger puts more steps at small noise.

    Returns:
        ``steps + 1`` falling noise levels, the last of them 0.
    """
    if steps == 1:
        return [s_start, 0.0]
    a, b = s_start ** (1 / rho), s_end ** (1 / rho)
    levels = [(a + i / (steps - 1) * (b - a)) ** rho for i in range(1, steps - 1)]
    return [s_start, *levels, s_end, 0.0]


def log_snr_grid(steps: int, s_start: float, s_end: float) -> list[float]:
    """Levels uniform in the logarithm of the signal-to-noise ratio; as `karras_grid`."""
    if steps == 1:
        return [s_start, 0.0]
    ratio = (s_end / s_start) ** (1 / (steps - 1))
    return [s_start, *(s_start * ratio**i for i in range(1, steps - 1)), s_end, 0.0]


def linear_variance_grid(steps: int, s_start: float, s_end: float = 0.0) -> list[float]:
    """The paper's grid, uniform in time: ``s_k^2 = s_start^2 (1 - k / steps)``, k = 0..steps.

    ``s_end`` is there for the signature; the grid ends as it ends.
    """
    return [s_start * math.sqrt(1 - k / steps) for k in range(steps + 1)]


GRIDS = {"karras": karras_grid, "log_snr": log_snr_grid, "uniform_t": linear_variance_grid}


def two_stage_grid(
    steps: int, s_max: float, sigma: float, tau: float, s_end: float, grid: str = "karras"
) -> list[float]:
    """A grid from ``s_max`` to 0 in which ``sigma`` is one of the levels.

    Args:
        steps: Number of steps, >= 2.
        s_max: First noise level, > ``sigma``.
        sigma: The level between the stages.
        tau: Variance of the reference; only the paper's grid depends on it.
        s_end: Last noise level before 0.
        grid: Name in `GRIDS`. "uniform_t" is the paper's: half of the steps in each stage. In the
            others the level nearest to sigma is moved onto it.

    Returns:
        ``steps + 1`` falling noise levels.
    """
    if grid == "uniform_t":
        n, first = steps // 2, stage1_time(s_max, sigma, tau)
        times = [first + (1 - first) * k / n for k in range(1, n)]
        inner = [stage1_noise_level(t, sigma, tau) for t in times]
        return [s_max, *inner, *linear_variance_grid(steps - n, sigma)]
    levels = GRIDS[grid](steps, s_max, s_end)
    inner = range(1, steps)
    nearest = min(inner, key=lambda i: abs(math.log(levels[i] / sigma)))
    return [sigma if i == nearest else level for i, level in enumerate(levels)]
