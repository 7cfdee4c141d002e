"""The reverse loop: any solver on any grid of noise levels.

A consumer that stops iterating stops before the next network call.

Notation: b batch; states are centred pictures (b, c, h, w) or points (b, 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from sbcore.runtime.noise import PictureNoise
from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.solvers import MEMORY, Evaluation, History, Solver
from sbcore.twostage.wiener import WienerFilter

Denoise = Callable[[Tensor, float], Tensor]


def reverse_steps(
    denoise: Denoise,
    v: Tensor,
    grid: Sequence[float],
    solver: Solver,
    noise: PictureNoise,
    *,
    sigma: float,
    tau: float,
    linear: WienerFilter | None = None,
) -> Iterator[Step]:
    """Run a solver down a grid of noise levels.

    Args:
        denoise: D(v, s); known pixels, if any, are its own affair.
        v: State at the first noise level of the grid, (b, ...).
        grid: Noise levels from `Solver.levels`; contains sigma if it starts above it.
        solver: Step rule.
        noise: Source of random numbers, advanced once a step by stochastic solvers.
        sigma: Standard deviation of the smoothing: levels above it belong to stage 1.
        tau: Variance of the reference; only the times of stage 1 depend on it.
        linear: Wiener filter of the denoiser, for solvers that know it.

    Yields:
        One `Step` after each update. In stage 1, ``x`` is X_t = t v.

    Cost: one denoiser evaluation a step.
    """
    history: History = ()
    rule, total = solver.rule(linear), len(grid) - 1
    for index, (s, s_next) in enumerate(pairwise(grid), start=1):
        history = (Evaluation(s, denoise(v, s), v), *history[: MEMORY - 1])
        draw = noise.draw() if solver.stochastic else None
        v = rule(v, s, s_next, history, draw)
        yield _step_of_state(
            v, s_next, history[0].denoised, index, total, Evaluations(index), sigma=sigma, tau=tau
        )


def _step_of_state(
    v: Tensor,
    s: float,
    denoised: Tensor,
    index: int,
    total: int,
    nfe: Evaluations,
    *,
    sigma: float,
    tau: float,
) -> Step:
    """Place the state v at noise level s in its stage, at its bridge time."""
    if s >= sigma:
        t = process.stage1_time(s, sigma, tau)
        return Step(1, index, total, t, s, t * v, denoised, nfe)
    return Step(2, index, total, process.stage2_time(s, sigma), s, v, denoised, nfe)


def closed_form_stage1(
    flow: Callable[[Tensor, float, float], Tensor],
    linear: Denoise,
    v: Tensor,
    grid: Sequence[float],
    *,
    sigma: float,
    tau: float,
) -> Iterator[Step]:
    """Stage 1 of Gaussian data, exactly, without a network.

    Args:
        flow: Maps (v, s, s') along the probability flow of the Gaussian.
        linear: Its denoiser W_s v.
        v: State at ``grid[0]``, (b, ...).
        grid: Falling noise levels down to sigma.
        sigma: Standard deviation of the smoothing.
        tau: Variance of the reference.

    Yields:
        One `Step` after each update; no network evaluations.
    """
    for index, (s, s_next) in enumerate(pairwise(grid), start=1):
        v = flow(v, s, s_next)
        yield _step_of_state(
            v,
            s_next,
            linear(v, s_next),
            index,
            len(grid) - 1,
            Evaluations(),
            sigma=sigma,
            tau=tau,
        )
