"""States between evaluations, so that a film has enough of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sbcore.runtime.noise import PictureNoise
from sbcore.runtime.run import Step
from sbcore.twostage import process


def fill_in(
    start: Step, run: Iterator[Step], count: int, stochastic: bool, noise: PictureNoise
) -> Iterator[Step]:
    """States between those of a run of stage 2, so that a film has enough of them.

    They cost no evaluations and do not change the run.

    Args:
        start: State before the run, at noise level sigma.
        run: One `Step` for each of its ``total`` updates.
        count: States wanted, at least ``total``.
        stochastic: Whether the run follows the SDE.
        noise: Of the states between; not that of the run.

    Yields:
        ``count`` steps at even distances along the run; the last of them is its last.
    """
    before, k = start, 1
    for step in run:
        while (position := k * step.total / count) < step.index:
            part, draw = position - (step.index - 1), noise.draw() if stochastic else None
            between = _between(before, step, part, draw, start.s)
            yield replace(between, index=k, total=count)
            k += 1
        if position == step.index:
            yield replace(step, index=k, total=count)
            k += 1
        before = step


def _between(before: Step, after: Step, part: float, noise: Tensor | None, sigma: float) -> Step:
    """A state ``part`` of the way between two, as if D had been constant.

    Then (v - D) / s is constant along the ODE, and (v - D) / s^2 is a Brownian motion in 1 / s^2
    along the SDE: the state is drawn from its bridge.
    """
    s = (math.sqrt(before.s) + part * (math.sqrt(after.s) - math.sqrt(before.s))) ** 2
    first, last = before.x - after.denoised, after.x - after.denoised
    if after.s >= before.s:  # Heun's corrections
        y = torch.lerp(first, last, part)
    elif noise is None:
        slope = first / before.s
        y = s * (slope if after.s == 0 else torch.lerp(slope, last / after.s, part))
    else:
        time, begin = s**-2, before.s**-2
        share, end = 0.0, begin * first
        if after.s > 0:
            share, end = (time - begin) / (after.s**-2 - begin), after.s**-2 * last
        spread = math.sqrt((time - begin) * (1 - share))
        y = s**2 * (torch.lerp(begin * first, end, share) + spread * noise)
    return replace(after, x=after.denoised + y, s=s, t=process.stage2_time(s, sigma))


def frame_indices(total: int, frames: int) -> set[int]:
    """Step indices of ``frames`` states of a run over two stages of equally many updates.

    Spread evenly over each stage; the start, the end of stage 1 and the end are among them.

    Args:
        total: Updates of the whole run.
        frames: States wanted, in [4, total + 1].
    """
    n, second = total // 2, frames // 2
    first = frames - second - 1  # after the start
    return {round(n * k / first) for k in range(first + 1)} | {
        n + round(n * k / second) for k in range(1, second + 1)
    }
