"""`PlaneBridge`: the bridge to a distribution of the plane, held against the truth.

Public coordinates are plane units; inside, points are centred, as pictures are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sbcore.plane.distributions import EXTENT, Distribution
from sbcore.runtime import checks
from sbcore.runtime.learner import WeightAverage
from sbcore.runtime.metrics import sliced_w2
from sbcore.runtime.noise import Noise
from sbcore.runtime.run import Evaluations, Run, Step
from sbcore.twostage import process
from sbcore.twostage.denoiser import Denoiser, point_denoiser
from sbcore.twostage.grids import two_stage_grid
from sbcore.twostage.losses import denoising_loss
from sbcore.twostage.paper import PaperMode, algorithm1
from sbcore.twostage.ratio import PointDensityRatio, density_ratio_loss
from sbcore.twostage.sampler import reverse_steps
from sbcore.twostage.solvers import SOLVERS
from sbcore.twostage.wiener import WienerFilter

NETWORKS = ("learned", "exact")
MODES = ("fast", "paper")
DRIFTS = ("exact", "ratio")
LOST = 100 * EXTENT  # where a particle is that does not come back
FIRST = 1e-3  # time that stands for 0 in a field: at 0 itself, x / t is no number
REPEATS = 4  # fresh samples of the truth behind a distance
# Six Gaussians, networks after 800 steps of training, six runs of 3000 points each: sliced W2 is
# 1.03 times its floor for the ODE, 1.10 for the SDE; with the closed form 0.87 and 0.99.
SOLVER, STEPS = "dpmpp_2m", 20  # of a run that names none
END = 0.25  # last noise level before 0, in widths of a Gaussian of the data
FAR = 20.0  # noise level that stands for infinity, in standard deviations of the data
POINTS, RATIO_POINTS = 1024, 512  # points of one training step
WIDTH = 128  # of both networks
RATE, WARM_UP, DECAY = 3e-3, 50, 0.6  # learning rate; steps up, last part of the run down
HALF_LIFE = 0.05  # of the weight averages, as a part of the run so far
BATCH = 2048  # points of one network call: its activations fit the cache
SMALLEST, LARGEST = 0.005, 40.0  # noise levels in training, in standard deviations of the data
NOISE_MEAN, NOISE_STD = -1.5, 1.6  # of ln(s / standard deviation of the data) in training
Function = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class PlaneProgress:
    """Where training stands."""

    iteration: int
    fraction: float
    """Part of the training that is done, in [0, 1]."""
    seconds: float
    seconds_left: float
    score_loss: float
    """Denoising loss (equation 9), smoothed; 1 is the best linear denoiser."""
    ratio_loss: float
    """Logistic loss of the density ratio (equation 7), smoothed."""


class PlaneBridge:
    """Schrödinger bridge from the point mass at 0 to a distribution in the plane, on the CPU.

    Args:
        distribution: The data.
        sigma: Standard deviation of the smoothed density between the stages.
        tau: Variance of the Wiener reference of stage 1.
        seed: Of the networks' first weights.

    Raises:
        ValueError: If sigma or tau is not a finite number > 0.
    """

    def __init__(
        self, distribution: Distribution, sigma: float = 1.0, tau: float = 5.0, seed: int = 0
    ) -> None:
        self.distribution = distribution
        self.sigma = checks.number("sigma", sigma, above=0)
        self.tau = checks.number("tau", tau, above=0)
        self.seed = checks.seed(seed)
        self._truth, self._mean = distribution.centred(), distribution.mean
        self._scale = math.sqrt(float(self._truth.covariance.trace()) / 2)
        self.s_end = END * distribution.std
        self.s_max = max(FAR * self._scale, 2 * self.sigma)
        self._linear = WienerFilter(2, 2)
        values, vectors = torch.linalg.eigh(self._truth.covariance)
        self._linear.eigenvalues.copy_(values)
        self._linear.basis.copy_(vectors.T)
        self._learned: tuple[Denoiser, PointDensityRatio] | None = None

    # ------------------------------------------------------------------------------------------
    # Training

    def train(
        self, max_seconds: float = 45.0, iterations: int | None = None, seed: int = 0
    ) -> Iterator[PlaneProgress]:
        """Train both networks from nothing, on fresh points at every step.

        Leaving the loop at any time leaves the weight averages of that moment in place.

        Args:
            max_seconds: Length by the clock, unless ``iterations`` is given.
            iterations: Length in steps; only then is a seed's result the same every time.
            seed: Of points and noise.

        Yields:
            A `PlaneProgress` some eight times a second, and one at the end.

        Raises:
            ValueError: If a length is not positive.
        """
        checks.number("max_seconds", max_seconds, above=0)
        if iterations is not None:
            iterations = checks.whole("iterations", iterations)
        return self._train(max_seconds, iterations, checks.seed(seed))

    def _train(
        self, max_seconds: float, iterations: int | None, seed: int
    ) -> Iterator[PlaneProgress]:
        denoiser, ratio = self._new_networks()
        parameters = [*denoiser.parameters(), *ratio.parameters()]
        denoisers, ratios = WeightAverage(denoiser, HALF_LIFE), WeightAverage(ratio, HALF_LIFE)
        optimizer = torch.optim.Adam(parameters, lr=RATE, betas=(0.9, 0.99), fused=True)
        generator = torch.Generator().manual_seed(seed)
        losses, fraction, iteration = None, 0.0, 0
        start = shown = time.monotonic()
        while fraction < 1:
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (iteration + 1) / WARM_UP, (1 - fraction) / DECAY)
            found = self._train_step(denoiser, ratio, optimizer, generator)
            iteration += 1
            denoisers.follow(denoiser, iteration)
            ratios.follow(ratio, iteration)
            losses = found if losses is None else losses + 0.02 * (found - losses)
            self._learned = denoisers.network, ratios.network
            now = time.monotonic()
            seconds = now - start
            fraction = iteration / iterations if iterations else min(1.0, seconds / max_seconds)
            if fraction == 1 or now - shown > 0.12:
                shown = now
                left = seconds * (1 - fraction) / fraction
                yield PlaneProgress(iteration, fraction, seconds, left, *losses.tolist())

    @property
    def trained(self) -> bool:
        """Whether there are learned networks."""
        return self._learned is not None

    def _new_networks(self) -> tuple[Denoiser, PointDensityRatio]:
        """Untrained networks; the Wiener part has its closed form."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            denoiser, ratio = point_denoiser(WIDTH), PointDensityRatio(WIDTH)
        denoiser.linear.load_state_dict(self._linear.state_dict())
        denoiser.data_std.fill_(self._scale)
        return denoiser, ratio

    def _train_step(
        self,
        denoiser: Denoiser,
        ratio: PointDensityRatio,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> Tensor:
        """One step of both networks on fresh points; their losses, (2,)."""
        x0 = self._truth.draw(POINTS, generator)
        noise = torch.randn(POINTS, 2, generator=generator)
        score_loss = denoising_loss(denoiser, x0, self._noise_levels(generator), noise)
        smoothed = x0[:RATIO_POINTS] + self.sigma * torch.randn(
            RATIO_POINTS, 2, generator=generator
        )
        reference = math.sqrt(self.tau) * torch.randn(RATIO_POINTS, 2, generator=generator)
        ratio_loss = density_ratio_loss(ratio, smoothed / self._scale, reference / self._scale)
        optimizer.zero_grad()
        (score_loss + ratio_loss).backward()
        optimizer.step()
        return torch.stack([score_loss, ratio_loss]).detach()

    def _noise_levels(self, generator: torch.Generator) -> Tensor:
        """Log-normal, with the middle and the width measured to suit the sampler; (POINTS,)."""
        log = NOISE_MEAN + NOISE_STD * torch.randn(POINTS, generator=generator)
        return self._scale * log.exp().clamp(SMALLEST, LARGEST)

    # ------------------------------------------------------------------------------------------
    # Sampling

    def generate(
        self,
        n: int = 2000,
        seed: int = 0,
        *,
        steps: int = STEPS,
        solver: str | None = None,
        mode: str = "fast",
        paper: PaperMode | None = None,
        networks: str = "learned",
    ) -> Run:
        """Carry ``n`` particles from 0 to the data.

        One stream of noise serves all particles: a particle depends on ``seed`` and on ``n``.

        Args:
            n: Number of particles.
            seed: Of all noise.
            steps: Network evaluations of fast mode, >= 2.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast": any solver over both stages; "paper": Algorithm 1.
            paper: Settings of paper mode.
            networks: "learned", or "exact" for the closed forms.

        Returns:
            A run that begins with the start (index 0), ``x`` being X_t; its result is (n, 2).

        Raises:
            ValueError: If an argument is out of range, or learned networks are not trained.
            DivergedError: If particles leave every bound in paper mode, while it runs.
        """
        n = checks.whole("n", n)
        draw = _draws(n, checks.seed(seed))
        denoise, log_ratio = self._functions(networks)
        if checks.choice("mode", mode, MODES) == "paper":
            settings, zero = paper or PaperMode(), torch.zeros(n, 2)
            bridge = {"sigma": self.sigma, "tau": self.tau, "bound": LOST}
            run = algorithm1(denoise, log_ratio, zero, draw, settings, **bridge)
            return self._shown(run, n, settings.n1 + settings.n2)
        steps = checks.whole("steps", steps, least=2)
        chosen = SOLVERS[checks.choice("solver", solver or SOLVER, tuple(SOLVERS))]
        s_end = min(self.s_end, self.sigma / 2)
        levels = chosen.levels(
            steps, lambda k: two_stage_grid(k, self.s_max, self.sigma, self.tau, s_end)
        )
        v = self._linear.sample(draw(), self.s_max)
        bridge = {"sigma": self.sigma, "tau": self.tau, "linear": self._linear}
        return self._shown(reverse_steps(denoise, v, levels, chosen, draw, **bridge), n, steps)

    def _shown(self, run: Iterator[Step], n: int, total: int) -> Run:
        """Put the start first and go to plane units; lost particles are shown at the bound."""
        mean, start = self._mean, torch.zeros(n, 2)

        def steps() -> Iterator[Step]:
            yield Step(1, 0, total, 0.0, math.inf, start, start + mean, Evaluations())
            for step in run:
                x = step.x + (step.t if step.stage == 1 else 1.0) * mean
                x = x.nan_to_num(LOST, LOST, -LOST).clamp(-LOST, LOST)
                yield replace(step, x=x, denoised=step.denoised + mean)

        return Run(steps(), total + 1)

    def _functions(self, networks: str) -> tuple[Function, Callable[[Tensor], Tensor]]:
        """Denoiser (v, s) and log density ratio (x), in centred coordinates."""
        checks.choice("networks", networks, NETWORKS)
        if networks == "exact":
            truth = self._truth
            return truth.denoised, lambda x: truth.log_ratio(x, self.sigma, self.tau)
        if self._learned is None:
            raise ValueError(
                "the networks are not trained: iterate train(), or take networks='exact'"
            )
        denoiser, ratio = self._learned

        @torch.no_grad()
        def denoise(v: Tensor, s: float) -> Tensor:
            if s > LARGEST * self._scale:  # beyond what was trained all is linear
                return denoiser.linear.at(v, s)
            return torch.cat([denoiser(part, s) for part in v.split(BATCH)])

        @torch.no_grad()
        def log_ratio(x: Tensor) -> Tensor:
            return torch.cat([ratio(part / self._scale) for part in x.split(BATCH)])

        return denoise, log_ratio

    # ------------------------------------------------------------------------------------------
    # Drifts and distances

    def velocity(
        self,
        stage: int,
        t: float,
        where: Tensor,
        *,
        networks: str = "learned",
        drift: str = "exact",
        n3: int = 1,
        self_normalised: bool = False,
        seed: int = 0,
    ) -> Tensor:
        """Drift at points of the plane, per unit of bridge time.

        Args:
            stage: 1: equation (5); 2: equation (8).
            t: Bridge time in [0, 1]; in stage 2 less than 1.
            where: Points (k, 2), plane units.
            networks: "learned", or "exact" for the closed forms.
            drift: Of stage 1, as in `PaperMode`.
            n3: Monte-Carlo draws of the density-ratio drift.
            self_normalised: Same draws in numerator and denominator.
            seed: Of those draws.

        Returns:
            Vectors (k, 2); those of the density-ratio drift need not be finite.

        Raises:
            ValueError: If an argument is out of range, or learned networks are not trained.
        """
        if stage not in (1, 2) or isinstance(stage, bool):
            raise ValueError(f"stage must be 1 or 2, got {stage!r}")
        if not (checks.is_number(t) and 0 <= t <= 1 and (stage, t) != (2, 1)):
            raise ValueError(f"t must be in [0, 1], in stage 2 in [0, 1), got {t}")
        checks.choice("drift", drift, DRIFTS)
        where = checks.array("where", where, dtype=torch.float32)
        if where.dim() != 2 or where.shape[1] != 2 or not bool(where.isfinite().all()):
            raise ValueError("where must be finite points of shape (k, 2)")
        n3 = checks.whole("n3", n3)
        denoise, log_ratio = self._functions(networks)
        if stage == 2:
            x, s = where - self._mean, process.stage2_noise_level(t, self.sigma)
            score = process.score_from_denoised(denoise(x, s), x, s)
            return process.stage2_drift(score, sigma=self.sigma)
        t = max(t, FIRST)
        x = where - t * self._mean
        if drift == "ratio":
            draw = _draws(len(x), checks.seed(seed))
            z = torch.stack([draw() for _ in range(n3 * (1 if self_normalised else 2))])
            u = process.monte_carlo_stage1_drift(
                lambda y: process.score_from_denoised(denoise(y, self.sigma), y, self.sigma),
                log_ratio,
                x,
                t,
                z,
                tau=self.tau,
                self_normalised=self_normalised,
            )
        else:
            s = process.stage1_noise_level(t, self.sigma, self.tau)
            u = process.exact_stage1_drift(denoise(x / t, s), x, t, sigma=self.sigma, tau=self.tau)
        return u + self._mean

    def distances(self, points: Tensor, seed: int = 0) -> dict[str, float | list[float]]:
        """Distances of points to the truth, beside those of the truth to itself.

        Args:
            points: (n, 2), n >= 2.
            seed: Of the fresh samples of the truth.

        Returns:
            ``sliced_w2``, the mean over `REPEATS` fresh samples of n points; ``floor``, the same
            of other fresh samples in place of the points;
            ``mode_mass``, the share of points nearest to each mode, if there are modes.

        Raises:
            ValueError: If the points are not finite or of another shape.
        """
        points = checks.array("points", points, dtype=torch.float32)
        if points.dim() != 2 or points.shape[1] != 2 or len(points) < 2:
            raise ValueError(f"points must have shape (n, 2), n >= 2, got {tuple(points.shape)}")
        if not bool(points.isfinite().all()):
            raise ValueError("points must be finite numbers")
        generator = torch.Generator().manual_seed(checks.seed(seed))
        fresh = [self.distribution.draw(len(points), generator) for _ in range(2 * REPEATS)]
        truth, others = fresh[:REPEATS], fresh[REPEATS:]
        pairs = list(zip(truth, others, strict=True))
        found: dict[str, float | list[float]] = {
            "sliced_w2": _mean(sliced_w2(points, other) for other in truth),
            "floor": _mean(sliced_w2(a, b) for a, b in pairs),
        }
        modes = self.distribution.modes
        if modes is not None:
            nearest = torch.cdist(points, modes).argmin(1)
            share = torch.bincount(nearest, minlength=len(modes)) / len(points)
            found["mode_mass"] = share.tolist()
        return found


def _draws(n: int, seed: int) -> Callable[[], Tensor]:
    """Standard normal draws (n, 2) of all particles from one stream.

    A stream for each particle, as pictures have, would take longer than the networks.
    """
    noise = Noise([seed], (n, 2))
    return lambda: noise.draw()[0]


def lost(x: Tensor) -> Tensor:
    """Which particles (n, 2) left every bound, NaN among them; (n,)."""
    return ~(x.abs() < LOST).all(1)


def _mean(values: Iterator[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
