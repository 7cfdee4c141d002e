"""Inpainting by resampling, as in RePaint (Lugmayr et al. 2022), with an unconditional denoiser.

Notation: n pictures; states are centred (n, c, h, w).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.sampler import Denoise, Draw
from sbcore.twostage.solvers import Evaluation, exponential_sde
from sbcore.twostage.wiener import WienerFilter

JUMP, RESAMPLE = 3, 3  # steps between jumps back, passes over each of them
EVALUATIONS = 90  # by default: 30 steps, each taken three times


def repaint_levels(evaluations: int, grid: Callable[[int], list[float]]) -> list[list[float]]:
    """Noise levels of a run of `repaint`, pass by pass.

    The grid is taken in segments of `JUMP` steps, each `RESAMPLE` times. Evaluations that are left
    over are further steps at the end of the grid, taken once.

    Args:
        evaluations: Network evaluations of the run, >= 1.
        grid: Maps a number of steps to falling noise levels, one more.
    """
    resampled, once = divmod(evaluations, RESAMPLE)
    levels, passes = grid(resampled + once), []
    for first in range(0, resampled, JUMP):
        last = min(first + JUMP, resampled)
        passes += [levels[first : last + 1]] * RESAMPLE
    return passes + ([levels[resampled:]] if once else [])


def repaint(
    denoise: Denoise,
    known: Tensor,
    known_mask: Tensor,
    draw: Draw,
    passes: list[list[float]],
    *,
    sigma: float,
    linear: WienerFilter,
) -> Iterator[Step]:
    """Fill a hole by ancestral steps with jumps back, a light version of RePaint's Algorithm 1.

    Known pixels are ``known + s z`` after every step; where a segment is taken again, noise first
    carries the state back to its beginning, so that hole and surroundings come to agree. Draws:
    the start, its known pixels, then those of the jump and of each step.

    Args:
        denoise: Unconditional D(v, s).
        known: Clean centred pictures, (n, c, h, w).
        known_mask: (n, 1, h, w), 1 = known.
        draw: Standard normal noise, shape of the state.
        passes: From `repaint_levels`; the first begins at sigma.
        sigma: Standard deviation of the smoothing.
        linear: The linear part of the denoiser, which draws the start.

    Yields:
        One `Step` after each update; in the last, known pixels are exactly ``known``.

    Cost: one denoiser evaluation a step.
    """
    mask, total, index = known_mask > 0, sum(len(levels) - 1 for levels in passes), 0
    v, reached = linear.sample(draw(), sigma), sigma
    v = torch.where(mask, known + sigma * draw(), v)
    for levels in passes:
        if reached < levels[0]:
            v = v + (levels[0] ** 2 - reached**2) ** 0.5 * draw()
        for s, s_next in pairwise(levels):
            denoised = denoise(v, s)
            v = exponential_sde(v, s, s_next, (Evaluation(s, denoised, v),), draw())
            v = torch.where(mask, known + s_next * draw(), v)
            denoised, index = torch.where(mask, known, denoised), index + 1
            t = process.stage2_time(s_next, sigma)
            yield Step(2, index, total, t, s_next, v, denoised, Evaluations(index))
        reached = levels[-1]
