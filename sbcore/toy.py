"""The plane: distributions whose truth is closed form, and `PlaneBridge`, the bridge to them.

Every distribution is a mixture of equal isotropic Gaussians. Smoothed by noise it stays one, so
denoiser, score, density ratio and both drifts are known exactly at every noise level: what the
networks learn can be held against the truth.

Notation as in `sbcore.process`; n particles, k centres. Public coordinates are plane units with
abs <= `EXTENT`; inside, points are centred (minus the mean of the distribution), as pictures are.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sbcore import arguments, process
from sbcore.bridge import MODES, DivergedError
from sbcore.losses import denoising_loss, density_ratio_loss
from sbcore.metrics import sliced_w2
from sbcore.networks import Denoiser, PointDensityRatio, WienerFilter, point_denoiser
from sbcore.sampler import (
    Evaluations,
    PaperMode,
    Step,
    algorithm1_stage1,
    algorithm1_stage2,
    follow,
    reverse_steps,
)
from sbcore.solvers import SOLVERS, two_stage_grid

EXTENT = 8.0  # half side of the canvas, in plane units
DRAWN_STD = 0.15  # width of the pen
MOST_POINTS = 20_000  # of a drawing; a hand draws some hundreds
MOST_CENTRES = 1000  # of a drawing's mixture
NETWORKS = ("learned", "exact")
DRIFTS = ("exact", "ratio")
BLOCK = 2**21  # distances to centres held in memory at once
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


# ----------------------------------------------------------------------------------------------
# Distributions


@dataclass(frozen=True, eq=False)  # tensors have no single truth value
class Distribution:
    """Mixture of k Gaussians of equal weight and width."""

    name: str
    title: str
    centres: Tensor
    """(k, 2), plane units."""
    std: float
    """Standard deviation of every Gaussian."""
    modes: Tensor | None = None
    """Centres of the separate modes of equal mass (m, 2); None if there are none."""

    @property
    def mean(self) -> Tensor:
        """Mean, (2,)."""
        return self.centres.mean(0)

    @property
    def covariance(self) -> Tensor:
        """Covariance, (2, 2)."""
        apart = self.centres - self.mean
        return apart.T @ apart / len(apart) + self.std**2 * torch.eye(2)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw ``n`` points, (n, 2)."""
        return self.draw(n, torch.Generator().manual_seed(seed))

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw ``n`` points from a generator, (n, 2)."""
        kind = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[kind] + self.std * torch.randn(n, 2, generator=generator)

    def denoised(self, v: Tensor, s: float) -> Tensor:
        """Posterior mean ``E[x0 | x0 + s n = v]`` in closed form: (n, 2) to (n, 2).

        ``[s^2 sum_k p_k c_k + std^2 v] / (s^2 + std^2)``, p the posterior of the centre.
        """
        variance = s**2 + self.std**2
        half = self.centres.square().sum(1) / 2
        parts = [
            torch.softmax((part @ self.centres.T - half) / variance, dim=1) @ self.centres
            for part in v.split(max(1, BLOCK // len(half)))
        ]
        return (s**2 * torch.cat(parts) + self.std**2 * v) / variance

    def log_density(self, x: Tensor, s: float = 0.0) -> Tensor:
        """Log density of the data plus noise of standard deviation ``s``: (n, 2) to (n,)."""
        variance = s**2 + self.std**2
        parts = [
            torch.logsumexp(-(part[:, None] - self.centres).square().sum(2) / (2 * variance), 1)
            for part in x.split(max(1, BLOCK // len(self.centres)))
        ]
        return torch.cat(parts) - math.log(2 * math.pi * variance * len(self.centres))

    def log_ratio(self, x: Tensor, sigma: float, tau: float) -> Tensor:
        """``log q_sigma(x) - log N(x; 0, tau I)``, equation (6): (n, 2) to (n,)."""
        reference = -x.square().sum(1) / (2 * tau) - math.log(2 * math.pi * tau)
        return self.log_density(x, sigma) - reference

    def centred(self) -> Distribution:
        """The same around 0."""
        return replace(self, centres=self.centres - self.mean, modes=None)


def _polar(radius: Tensor | float, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1)


def _turn(count: int, start: float = 0.0, turns: float = 1.0) -> Tensor:
    """``count`` angles spread evenly over a part of the circle, ends apart."""
    return 2 * math.pi * (start + turns * (torch.arange(count) + 0.5) / count)


def _six_gaussians() -> Distribution:
    """The toy of the paper's Fig. 2: radius 5, variance 0.01."""
    centres = _polar(5.0, 2 * math.pi * torch.arange(6) / 6)
    return Distribution("six-gaussians", "Six Gaussians", centres, 0.1, modes=centres)


def _moons() -> Distribution:
    upper = _polar(4.0, _turn(120, turns=0.5)) + torch.tensor([-2.0, -1.0])
    return Distribution("moons", "Two moons", torch.cat([upper, -upper]), 0.25)


def _rings() -> Distribution:
    """Two rings with mass in proportion to their length."""
    return Distribution(
        "rings", "Two rings", torch.cat([_polar(2.5, _turn(80)), _polar(5.5, _turn(176))]), 0.2
    )


def _spirals() -> Distribution:
    angle = 3 * math.pi * ((torch.arange(240) + 0.5) / 240).sqrt()  # even along the arm
    arm = _polar(0.6 * angle + 0.4, angle)
    return Distribution("spirals", "Two spirals", torch.cat([arm, -arm]), 0.15)


def _pinwheel(arms: int = 5) -> Distribution:
    """Gaussian blades, stretched outwards and bent around the middle."""
    levels = torch.linspace(0.04, 0.96, 48)  # the tails would be beads
    outwards = 3.6 + 1.3 * torch.special.ndtri(levels)
    blade = torch.stack(
        torch.meshgrid(outwards, torch.tensor([-0.25, 0.0, 0.25]), indexing="ij"), dim=-1
    ).flatten(0, 1)
    radius, angle = blade.norm(dim=1), torch.atan2(blade[:, 1], blade[:, 0])
    turned = [_polar(radius, angle + 0.28 * radius + 2 * math.pi * i / arms) for i in range(arms)]
    return Distribution("pinwheel", "Pinwheel", torch.cat(turned), 0.15)


DISTRIBUTIONS = {
    distribution.name: distribution
    for distribution in (_six_gaussians(), _moons(), _rings(), _spirals(), _pinwheel())
}


def drawn_distribution(
    strokes: Sequence[Sequence[Sequence[float]]], std: float = DRAWN_STD
) -> Distribution:
    """A distribution along lines drawn by hand, even along their length.

    Args:
        strokes: Polylines, each a list of (x, y) in plane units; one point makes a dot.
        std: Width of the pen.

    Raises:
        ValueError: If nothing or only one point is drawn, or a point is no finite number or
            outside the canvas, or there are too many.
    """
    if not (arguments.is_number(std) and 0 < std <= EXTENT):
        raise ValueError(f"std must be in (0, {EXTENT:g}], got {std}")
    try:
        lines = [_line(stroke) for stroke in strokes if len(stroke)]
    except TypeError as error:
        raise ValueError("strokes must be a list of lists of (x, y)") from error
    if not lines:
        raise ValueError("the drawing is empty: draw at least one line")
    points = torch.cat(lines)
    if len(points) > MOST_POINTS:
        raise ValueError(f"the drawing has {len(points)} points, more than {MOST_POINTS}")
    if not bool(points.isfinite().all()):
        raise ValueError("the drawing has points that are no finite numbers")
    if bool((points.abs() > EXTENT).any()):
        raise ValueError(f"the drawing leaves the canvas: points must be within ±{EXTENT:g}")
    if bool((points == points[0]).all()):
        raise ValueError("the drawing is a single point: draw a line")
    lengths = [max(float(line.diff(dim=0).norm(dim=1).sum()), 4 * std) for line in lines]
    spacing = max(std, sum(lengths) / MOST_CENTRES)  # at one std apart, no beads are seen
    centres = [
        _resampled(line, max(1, round(length / spacing)))
        for line, length in zip(lines, lengths, strict=True)
    ]
    return Distribution("drawn", "Drawn", torch.cat(centres), float(std))


def _line(stroke: Sequence[Sequence[float]]) -> Tensor:
    """One polyline as a tensor (m, 2)."""
    line = arguments.tensor("strokes", stroke, dtype=torch.float32)
    if line.dim() != 2 or line.shape[1] != 2:
        raise ValueError(f"strokes must be lists of (x, y), got shape {tuple(line.shape)}")
    return line


def _resampled(line: Tensor, count: int) -> Tensor:
    """``count`` points spread evenly along a polyline (m, 2)."""
    along = torch.cat([torch.zeros(1), line.diff(dim=0).norm(dim=1).cumsum(0)])
    wanted = along[-1] * (torch.arange(count) + 0.5) / count
    after = torch.searchsorted(along, wanted).clamp(1, max(1, len(line) - 1))
    if along[-1] == 0:
        return line[:1].expand(count, 2)
    part = (wanted - along[after - 1]) / (along[after] - along[after - 1]).clamp(min=1e-12)
    return torch.lerp(line[after - 1], line[after], part[:, None])


# ----------------------------------------------------------------------------------------------
# The bridge


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


class _Draws:
    """Standard normal draws for all particles from one generator.

    A generator for each particle, as pictures have, would take longer than the networks.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.generator = n, torch.Generator().manual_seed(seed)

    def draw(self) -> Tensor:
        """The next draw, (n, 2)."""
        return torch.randn(self.n, 2, generator=self.generator)


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
        for name, value in (("sigma", sigma), ("tau", tau)):
            if not (arguments.is_number(value) and value > 0):
                raise ValueError(f"{name} must be a finite number > 0, got {value}")
        self.distribution, self.sigma, self.tau = distribution, float(sigma), float(tau)
        self.seed = arguments.seeds_from(1, seed)[0]
        self.trained = False
        self._truth, self._mean = distribution.centred(), distribution.mean
        self._scale = math.sqrt(float(self._truth.covariance.trace()) / 2)
        self.s_end = END * distribution.std
        self.s_max = max(FAR * self._scale, 2 * self.sigma)
        self._linear = WienerFilter(2, 2)
        values, vectors = torch.linalg.eigh(self._truth.covariance)
        self._linear.eigenvalues.copy_(values)
        self._linear.basis.copy_(vectors.T)
        self._denoiser: Denoiser | None = None
        self._log_ratio: nn.Module | None = None

    # ------------------------------------------------------------------------------------------
    # Training

    def train_steps(
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
        if not (arguments.is_number(max_seconds) and max_seconds > 0):
            raise ValueError(f"max_seconds must be a finite number > 0, got {max_seconds}")
        if iterations is not None:
            iterations = arguments.count("iterations", iterations, 1)
        return self._train(max_seconds, iterations, arguments.seeds_from(1, seed)[0])

    def _train(
        self, max_seconds: float, iterations: int | None, seed: int
    ) -> Iterator[PlaneProgress]:
        networks = self._new_networks()
        averages = copy.deepcopy(networks).eval().requires_grad_(False)
        optimizer = torch.optim.Adam(networks.parameters(), lr=RATE, betas=(0.9, 0.99), fused=True)
        generator = torch.Generator().manual_seed(seed)
        losses, fraction, iteration = None, 0.0, 0
        start = shown = time.monotonic()
        while fraction < 1:
            for group in optimizer.param_groups:
                group["lr"] = RATE * min(1.0, (iteration + 1) / WARM_UP, (1 - fraction) / DECAY)
            found = self._train_step(networks, optimizer, generator)
            iteration += 1
            follow_average(averages, networks, iteration)
            losses = found if losses is None else losses + 0.02 * (found - losses)
            self._denoiser, self._log_ratio = averages
            self.trained = True
            now = time.monotonic()
            seconds = now - start
            fraction = iteration / iterations if iterations else min(1.0, seconds / max_seconds)
            if fraction == 1 or now - shown > 0.12:
                shown = now
                left = seconds * (1 - fraction) / fraction
                yield PlaneProgress(iteration, fraction, seconds, left, *losses.tolist())

    def _new_networks(self) -> nn.ModuleList:
        """Untrained networks; the Wiener part has its closed form."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            denoiser, ratio = point_denoiser(WIDTH), PointDensityRatio(WIDTH)
        denoiser.linear.load_state_dict(self._linear.state_dict())
        denoiser.data_std.fill_(self._scale)
        return nn.ModuleList([denoiser, ratio])

    def _train_step(
        self, networks: nn.ModuleList, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> Tensor:
        """One step of both networks on fresh points; their losses, (2,)."""
        denoiser, ratio = networks
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

    def run(self, n: int = 2000, seed: int = 0, **options: object) -> Tensor:
        """Draw ``n`` points, (n, 2); options as of `run_steps`."""
        *_, last = self.run_steps(n, seed, **options)
        return last.x

    def run_steps(
        self,
        n: int = 2000,
        seed: int = 0,
        *,
        steps: int = STEPS,
        solver: str | None = None,
        mode: str = "fast",
        paper: PaperMode | None = None,
        networks: str = "learned",
    ) -> Iterator[Step]:
        """Carry ``n`` particles from 0 to the data.

        One generator serves all particles: a particle depends on ``seed`` and on ``n``.

        Args:
            n: Number of particles.
            seed: Of all noise.
            steps: Network evaluations of fast mode, >= 2.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast": any solver over both stages; "paper": Algorithm 1.
            paper: Settings of paper mode.
            networks: "learned", or "exact" for the closed forms.

        Yields:
            The start (index 0), then a `Step` after each update; ``x`` is X_t.

        Raises:
            ValueError: If an argument is out of range, or learned networks are not trained.
            DivergedError: If particles leave every bound in paper mode.
        """
        n = arguments.count("n", n, 2000)
        draws = _Draws(n, arguments.seeds_from(1, seed)[0])
        arguments.one_of("mode", mode, MODES)
        denoise, log_ratio = self._functions(networks)
        if mode == "paper":
            settings = paper or PaperMode()
            run = self._algorithm1(denoise, log_ratio, draws, settings)
            return self._shown(run, n, settings.n1 + settings.n2)
        steps = arguments.count("steps", steps, STEPS, least=2)
        name = SOLVER if solver is None else solver
        arguments.one_of("solver", name, tuple(SOLVERS))
        chosen, s_end = SOLVERS[name], min(self.s_end, self.sigma / 2)
        levels = chosen.levels(
            steps, lambda k: two_stage_grid(k, self.s_max, self.sigma, self.tau, s_end)
        )
        v = self._linear.sample(draws.draw(), self.s_max)
        bridge = {"sigma": self.sigma, "tau": self.tau, "linear": self._linear}
        return self._shown(reverse_steps(denoise, v, levels, chosen, draws, **bridge), n, steps)

    def _algorithm1(
        self, denoise: Function, log_ratio: Callable, draws: _Draws, settings: PaperMode
    ) -> Iterator[Step]:
        """Both stages of Algorithm 1 as one run."""
        total = settings.n1 + settings.n2
        bridge = {"sigma": self.sigma, "tau": self.tau}
        step = None
        for step in algorithm1_stage1(
            denoise, log_ratio, torch.zeros(draws.n, 2), draws, settings, **bridge
        ):
            yield replace(step, total=total)
        gone = int(lost(step.x).sum())
        if gone:
            raise DivergedError(
                f"stage 1 of Algorithm 1 diverged: {gone} of {draws.n} particles left every "
                "bound, as its density ratio is unbounded; take self_normalised=True, more draws "
                "n3, or drift='exact'"
            )
        second = algorithm1_stage2(
            denoise,
            step.x,
            draws,
            steps=settings.n2,
            s_start=self.sigma,
            sigma=self.sigma,
            final_denoise=settings.final_denoise,
        )
        yield from follow(second, offset=settings.n1, total=total, nfe=step.nfe)

    def _shown(self, run: Iterator[Step], n: int, total: int) -> Iterator[Step]:
        """Put the start first and go to plane units; lost particles are shown at the bound."""
        mean = self._mean
        start = torch.zeros(n, 2)
        yield Step(1, 0, total, 0.0, math.inf, start, start + mean, Evaluations())
        for step in run:
            x = step.x + (step.t if step.stage == 1 else 1.0) * mean
            x = x.nan_to_num(LOST, LOST, -LOST).clamp(-LOST, LOST)
            yield replace(step, x=x, denoised=step.denoised + mean)

    def _functions(self, networks: str) -> tuple[Function, Callable[[Tensor], Tensor]]:
        """Denoiser (v, s) and log density ratio (x), in centred coordinates."""
        arguments.one_of("networks", networks, NETWORKS)
        if networks == "exact":
            truth = self._truth
            return truth.denoised, lambda x: truth.log_ratio(x, self.sigma, self.tau)
        if not self.trained:
            raise ValueError(
                "the networks are not trained: iterate train_steps(), or take networks='exact'"
            )
        denoiser, ratio = self._denoiser, self._log_ratio

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
        if not (arguments.is_number(t) and 0 <= t <= 1 and (stage, t) != (2, 1)):
            raise ValueError(f"t must be in [0, 1], in stage 2 in [0, 1), got {t}")
        arguments.one_of("drift", drift, DRIFTS)
        where = arguments.tensor("where", where, dtype=torch.float32)
        if where.dim() != 2 or where.shape[1] != 2 or not bool(where.isfinite().all()):
            raise ValueError("where must be finite points of shape (k, 2)")
        n3 = arguments.count("n3", n3, 1)
        denoise, log_ratio = self._functions(networks)
        if stage == 2:
            x, s = where - self._mean, process.stage2_noise_level(t, self.sigma)
            score = process.score_from_denoised(denoise(x, s), x, s)
            return process.stage2_drift(score, sigma=self.sigma)
        t = max(t, FIRST)
        x = where - t * self._mean
        if drift == "ratio":
            draws = _Draws(len(x), arguments.seeds_from(1, seed)[0])
            z = torch.stack([draws.draw() for _ in range(n3 * (1 if self_normalised else 2))])
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
        points = arguments.tensor("points", points, dtype=torch.float32)
        if points.dim() != 2 or points.shape[1] != 2 or len(points) < 2:
            raise ValueError(f"points must have shape (n, 2), n >= 2, got {tuple(points.shape)}")
        if not bool(points.isfinite().all()):
            raise ValueError("points must be finite numbers")
        generator = torch.Generator().manual_seed(arguments.seeds_from(1, seed)[0])
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


@torch.no_grad()
def follow_average(averages: nn.Module, networks: nn.Module, iteration: int) -> None:
    """Move the weight averages; their half-life grows with the run, as in `training.Plan`."""
    keep = 0.5 ** (1 / (HALF_LIFE * iteration))
    for average, weight in zip(averages.parameters(), networks.parameters(), strict=True):
        average.lerp_(weight, 1 - keep)


def lost(x: Tensor) -> Tensor:
    """Which particles (n, 2) left every bound, NaN among them; (n,)."""
    return ~(x.abs() < LOST).all(1)


def _mean(values: Iterator[float]) -> float:
    values = list(values)
    return sum(values) / len(values)
