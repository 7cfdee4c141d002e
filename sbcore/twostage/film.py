"""States between those of a run, so that a film has enough of them; they cost no evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.sampler import Denoise, Draw


def stage1_path(
    end: Tensor, states: int, draw: Draw, believed: Denoise, *, sigma: float, tau: float
) -> Iterator[Step]:
    """A path of stage 1 to a given end, drawn from the bridge.

    Given its end X_1, the path of the Schrödinger bridge from the point mass at 0 is a Brownian
    bridge of variance tau: from X_t on to t', ``X_t' = X_t + (t' - t) / (1 - t) (X_1 - X_t) +
    sqrt(tau (t' - t) (1 - t') / (1 - t)) noise``.

    Args:
        end: X_1, a draw of q_sigma, (b, ...).
        states: Number of states at even times, the end among them.
        draw: Standard normal noise, shape of ``end``.
        believed: D(v, s) in closed form, for show.
        sigma: Standard deviation of the smoothing.
        tau: Variance of the reference.

    Yields:
        One `Step` a state.
    """
    x, t = torch.zeros_like(end), 0.0
    for k in range(1, states + 1):
        t_next = k / states
        part = (t_next - t) / (1 - t)
        spread = math.sqrt(tau * part * (1 - t_next))
        x = end if k == states else x + part * (end - x) + spread * draw()
        t, s = t_next, process.stage1_noise_level(t_next, sigma, tau)
        yield Step(1, k, states, t, s, x, believed(x / t, s), Evaluations())


def fill_in(
    start: Step, run: Iterator[Step], count: int, stochastic: bool, draw: Draw
) -> Iterator[Step]:
    """States between those of a run of stage 2; the run is not changed.

    Args:
        start: State before the run, at noise level sigma.
        run: One `Step` for each of its ``total`` updates.
        count: States wanted, at least ``total``.
        stochastic: Whether the run follows the SDE.
        draw: Standard normal noise, not that of the run.

    Yields:
        ``count`` steps at even distances along the run; the last of them is its last.
    """
    before, k = start, 1
    for step in run:
        while (position := k * step.total / count) < step.index:
            part, noise = position - (step.index - 1), draw() if stochastic else None
            between = _between(before, step, part, noise, start.s)
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
