"""The reverse loop: any solver on any grid of noise levels, over one stage or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from sbcore.runtime.run import Evaluations, Step
from sbcore.twostage import process
from sbcore.twostage.solvers import MEMORY, Evaluation, History, Solver, last_step
from sbcore.twostage.wiener import WienerFilter

Denoise = Callable[[Tensor, float], Tensor]
Draw = Callable[[], Tensor]


def reverse_steps(
    denoise: Denoise,
    v: Tensor,
    grid: Sequence[float],
    solver: Solver,
    draw: Draw,
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
        draw: Standard normal noise, shape of v; called once a step by stochastic solvers.
        sigma: Standard deviation of the smoothing: levels above it belong to stage 1.
        tau: Variance of the reference; only the times of stage 1 depend on it.
        linear: Wiener filter of the denoiser: every solver ends by `last_step` of it, and some
            know it throughout; None: the solver's own last step.

    Yields:
        One `Step` after each update. In stage 1, ``x`` is X_t = t v.

    Cost: one denoiser evaluation a step.
    """
    history: History = ()
    rule, total = solver.rule(linear), len(grid) - 1
    for index, (s, s_next) in enumerate(pairwise(grid), start=1):
        history = (Evaluation(s, denoise(v, s), v), *history[: MEMORY - 1])
        if s_next == 0 and linear is not None:
            v = last_step(history[0], linear)
        else:
            v = rule(v, s, s_next, history, draw() if solver.stochastic else None)
        stage, t = process.stage_and_time(s_next, sigma, tau)
        x = t * v if stage == 1 else v
        yield Step(stage, index, total, t, s_next, x, history[0].denoised, Evaluations(index))
