"""The loops: generators that yield a `Step` after every update.

`reverse_steps` runs any solver on any grid of noise levels; `algorithm1_stage1`,
`algorithm1_stage2` and `algorithm2` are the paper's algorithms as printed. A consumer that stops
iterating stops before the next network call. Random numbers come from `PictureNoise`: picture i
owns a generator of its own, so its noise does not depend on the batch.

Notation: b batch; states are centred pictures (b, c, h, w) or points (b, 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from sbcore import process
from sbcore.networks import WienerFilter
from sbcore.solvers import MEMORY, Evaluation, History, Solver, linear_variance_grid

Denoise = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Evaluations:
    """Network evaluations per picture, for each network."""

    denoiser: int = 0
    ratio: int = 0

    @property
    def total(self) -> int:
        """Evaluations of all networks."""
        return self.denoiser + self.ratio


@dataclass(frozen=True)
class Step:
    """The state after one update."""

    stage: int
    """1: point mass to q_sigma; 2: q_sigma to the data."""
    index: int
    """Updates so far in the whole run, 1..total (0 for a state before the first update)."""
    total: int
    """Updates of the whole run."""
    t: float
    """Bridge time within the stage, in [0, 1]; 1 is its end."""
    s: float
    """Noise level of the state."""
    x: Tensor
    """State (b, ...): X_t in both stages."""
    denoised: Tensor
    """Latest posterior mean of the clean picture, (b, ...)."""
    nfe: Evaluations
    """Network evaluations so far, per picture."""


class PictureNoise:
    """Standard normal draws, one generator a picture.

    Drawn on the CPU in float32 whatever the device, so that a seed means the same everywhere.
    Equal seeds give equal noise: pass one seed n times for noise shared by n pictures.

    Args:
        seeds: One seed a picture.
        shape: Shape of one picture.
        device: Where the draws go.
        dtype: Type of the draws.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.shape, self.device, self.dtype = tuple(shape), device, dtype
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self) -> Tensor:
        """The next draw, (b, ...)."""
        draws = [torch.randn(self.shape, generator=g) for g in self.generators]
        return torch.stack(draws).to(self.device, self.dtype)


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


# ----------------------------------------------------------------------------------------------
# The paper's algorithms


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


def algorithm1_stage1(
    denoise: Denoise,
    log_ratio: Callable[[Tensor], Tensor] | None,
    x: Tensor,
    noise: PictureNoise,
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
        noise: Source of random numbers.
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
            z = torch.stack([noise.draw() for _ in range(draws)])
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
        x = x + drift / n1 + math.sqrt(tau / n1) * noise.draw()
        t = (k + 1) / n1
        s = process.stage1_noise_level(t, sigma, tau)
        yield Step(1, k + 1, total, t, s, x, denoised, nfe)


def algorithm1_stage2(
    denoise: Denoise,
    x: Tensor,
    noise: PictureNoise,
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
        noise: Source of random numbers.
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
        x = x + drift / steps + math.sqrt(variance) * noise.draw()
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
    noise: PictureNoise,
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
        noise: Source of random numbers.
        settings: N2 and toggles.
        sigma: Standard deviation of the smoothing.

    Yields:
        One `Step` after each update; in the last, known pixels are exactly ``known``.
    """
    steps, mask = settings.n2, known_mask > 0
    z = noise.draw()
    x = sigma * z
    for k, (s, s_next) in enumerate(pairwise(linear_variance_grid(steps, sigma))):
        if k > 0 and not settings.shared_noise:
            z = noise.draw()
        x = torch.where(mask, known + s * z, x)
        denoised = denoise(x, s)
        drift = process.stage2_drift(process.score_from_denoised(denoised, x, s), sigma=sigma)
        x = x + drift / steps + sigma / math.sqrt(steps) * noise.draw()
        nfe = k + 1
        if k == steps - 1:
            if settings.final_denoise:
                x = denoise(x, sigma / math.sqrt(steps))
                nfe += 1
            x = torch.where(mask, known, x)
        denoised = torch.where(mask, known, denoised)
        yield Step(2, k + 1, steps, (k + 1) / steps, s_next, x, denoised, Evaluations(nfe))


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


def follow(
    steps: Iterator[Step], *, offset: int, total: int, nfe: Evaluations | None = None
) -> Iterator[Step]:
    """Renumber the steps of one loop as a part of a longer run.

    Args:
        steps: Steps of the loop.
        offset: Updates before this loop.
        total: Updates of the whole run.
        nfe: Evaluations before this loop.

    Yields:
        The same steps with index, total and evaluations of the whole run.
    """
    before = nfe or Evaluations()
    for step in steps:
        evaluations = Evaluations(
            step.nfe.denoiser + before.denoiser, step.nfe.ratio + before.ratio
        )
        yield replace(step, index=step.index + offset, total=total, nfe=evaluations)


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
