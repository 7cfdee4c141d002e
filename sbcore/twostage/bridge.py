"""The facade: `Bridge` loads a model and generates, evolves, interpolates, inpaints, denoises.

Each method checks its arguments and returns a `Run`, whose steps are in picture coordinates (the
mean picture added back) and whose result is a float32 tensor (n, c, h, w) in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sbcore.networks.onnx import SmallBatches
from sbcore.runtime import checks
from sbcore.runtime.checkpoints import CheckpointError, fingerprint, locate
from sbcore.runtime.devices import InParts, best_device, channels_last, device_name
from sbcore.runtime.gather import GATHERING
from sbcore.runtime.graphs import Graphed
from sbcore.runtime.noise import Noise
from sbcore.runtime.run import Evaluations, Run, Step, follow, pictures
from sbcore.twostage import judge
from sbcore.twostage.denoiser import Denoiser, load_denoiser
from sbcore.twostage.film import fill_in, frame_indices, stage1_path
from sbcore.twostage.grids import GRIDS, two_stage_grid
from sbcore.twostage.instant import FEW, LEVELS, LONGER, TRUST, Rule, fit_rule, load_rule
from sbcore.twostage.inversion import invert, linear_mix, path_positions, spherical_mix
from sbcore.twostage.mixture import KernelMixture, load_mixture
from sbcore.twostage.paper import PaperMode, algorithm1, algorithm1_stage2, algorithm2
from sbcore.twostage.ratio import DensityRatioNet, load_density_ratio
from sbcore.twostage.repaint import EVALUATIONS, repaint, repaint_levels
from sbcore.twostage.sampler import Denoise, reverse_steps
from sbcore.twostage.solvers import SOLVERS, Solver

S_MAX = 40.0  # noise level that stands for infinity; EDM's 80, halved as our data std is
S_END = 0.03  # last noise level before 0; smaller ones cost texture (SWD at 64 pixels)
LEAST_VARIANCE = 1e-6  # of added noise: a quarter of a step of 8 bits
BATCH = 16  # pictures of one network call, of CUDA sixteen times as many; bounds memory
STARTS = ("closed form", "gaussian", "network", "noise")
MODES = ("fast", "instant", "paper")
MORPHS = ("shared noise", "inversion")
METHODS = ("conditional", "algorithm2", "repaint")


class Default(NamedTuple):
    """Solver and network evaluations of a fast run that names none."""

    solver: str
    steps: int


# By `evaluate.py samplers` on the face model. Morphs take an ODE, whose path adds no noise of its
# own.
DEFAULTS = {
    "generate": Default("dpmpp_2m_sde", 10),
    "interpolate": Default("unipc", 10),
    "inversion": Default("unipc", 15),
    "denoise": Default("dpmpp_2m_sde", 10),
    "inpaint": Default("dpmpp_2m_sde", 10),
    "instant": Default("linear_exact_2", 3),  # where there is no fitted rule
}
INSTANT = DEFAULTS["instant"]


class Bridge:
    """A trained Schrödinger bridge from the point mass at 0 to pictures.

    Args:
        denoiser: The denoiser; it knows mean and covariance of its training set.
        sigma: Standard deviation of the smoothed density between the stages.
        tau: Variance of the Wiener reference of stage 1.
        log_ratio: Density-ratio network; only paper mode needs it.
        name: Name of the model.
        facts: The checkpoint's config, for display.
        device: Where to compute; None: CUDA, else MPS, else the CPU.
        bf16: bf16 inside the networks; None: where CUDA has it. On CPUs that are fast at it batches
            take less time, but pictures of the face model move by up to 2/255, and depend, in
            their last bits, on their batch.
        mixture: q_sigma in closed form; None: the Gaussian N(mean, Sigma + sigma^2 I).
        rule: Multistep rule of instant mode, from sigma on; None: a solver's own.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        sigma: float,
        tau: float,
        log_ratio: DensityRatioNet | None = None,
        name: str = "",
        facts: dict[str, Any] | None = None,
        device: str | torch.device | None = None,
        bf16: bool | None = None,
        mixture: KernelMixture | None = None,
        rule: Rule | None = None,
    ) -> None:
        self.device = torch.device(device) if device is not None else best_device()
        self.sigma, self.tau, self.name, self.facts = sigma, tau, name, facts or {}
        self.denoiser = denoiser.eval().requires_grad_(False).to(self.device)
        self.mixture = mixture and mixture.to(self.device)
        self.rule = rule and rule.to(self.device)
        self.log_ratio = log_ratio and log_ratio.eval().requires_grad_(False).to(self.device)
        if bf16 is None:
            bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.bf16, self._network = bf16, Graphed(self.denoiser)
        self._in_parts = InParts(BATCH, self.device)
        channels_last(self.denoiser.trunk)  # faster, on CPUs too

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        device: str | torch.device | None = None,
        revision: str | None = None,
        bf16: bool | None = None,
    ) -> Bridge:
        """Load a model that draws pictures; `sbcore.load` loads one of any kind.

        Args:
            name_or_path: Checkpoint folder, or Hub repository id.
            device: Where to compute; None: CUDA, else MPS, else the CPU.
            revision: Branch, tag or commit on the Hub.
            bf16: bf16 inside the networks, as in `Bridge`.

        Raises:
            CheckpointError: If there is no usable checkpoint; one sentence says why.
        """
        folder = locate(name_or_path, revision)
        denoiser, config = load_denoiser(folder)
        ratio = load_density_ratio(folder)
        if ratio is not None:
            fits = all(ratio[1].get(name) == config[name] for name in ("sigma", "tau"))
            if not fits or tuple(ratio[1]["network"]["shape"]) != denoiser.shape:
                raise CheckpointError(f"The density ratio of {folder} belongs to another model.")
        denoiser.backend = SmallBatches(denoiser.trunk)
        return cls(
            denoiser,
            float(config["sigma"]),
            float(config["tau"]),
            ratio[0] if ratio else None,
            config.get("name", folder.name),
            config,
            device,
            bf16,
            load_mixture(folder, denoiser.linear, denoiser.shape),
            load_rule(folder, denoiser),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c, h, w) of one picture."""
        return self.denoiser.shape

    @property
    def device_name(self) -> str:
        """Name of the device for people, e.g. "2 CPU cores"."""
        return device_name(self.device)

    @cached_property
    def fingerprint(self) -> str:
        """`checkpoints.fingerprint` of all networks, mixture and rule, sigma and tau."""
        numbers = {"sigma": self.sigma, "tau": self.tau}
        ratio, kernels = self.log_ratio.state_dict() if self.log_ratio else {}, {}
        if self.mixture:
            numbers |= {"width": self.mixture.width, "kernels": len(self.mixture)}
            kernels = {"centres": self.mixture.centres[: self.mixture.given]}
        fitted = [self.rule.state_dict()] if self.rule else []
        return fingerprint(self.denoiser.state_dict(), ratio, kernels, *fitted, **numbers)

    @property
    def has_density_ratio(self) -> bool:
        """Whether stage 1 of paper mode is available."""
        return self.log_ratio is not None

    def gaussian(self, n: int, seed: int = 0) -> Tensor:
        """Pictures of the closed-form part alone, N(mean, Sigma), (n, c, h, w); a baseline."""
        draw = self._noise(checks.seeds(n, seed)).draw()
        return (self.denoiser.linear.sample(draw, 0.0) + self.denoiser.mean).clamp(0, 1)

    def components(self, n: int) -> Tensor:
        """The leading ``n`` principal components of the training set, (n, c h w)."""
        return self.denoiser.linear.basis[:n]

    def posterior_mean(self, noisy: Tensor, s: float) -> Tensor:
        """Tweedie's step, D(v, s): the mean of the clean pictures given noisy ones.

        Args:
            noisy: Pictures plus noise, (n, c, h, w).
            s: Standard deviation of the noise, > 0.

        Returns:
            (n, c, h, w), not clamped. One evaluation.
        """
        mean = self.denoiser.mean
        return self._denoise(noisy.to(self.device) - mean, s) + mean

    def noise_level(self, image: Tensor) -> float:
        """Estimate the standard deviation of white noise in a picture, (c, h, w); no evaluation."""
        return judge.noise_level(self._picture("image", image, noisy=True) + self.denoiser.mean)

    def typicality(self, image: Tensor) -> float:
        """How like the training set a picture is, as a whole: about 1 there, about 0 elsewhere.

        The coherence of the picture with the mean picture, `judge.typicality`; below `TYPICAL` it
        is better to warn. No evaluation.

        Args:
            image: Picture, (c, h, w) in [0, 1].
        """
        mean = self.denoiser.mean
        return judge.typicality(self._picture("image", image) + mean, mean, self.denoiser.linear)

    # ------------------------------------------------------------------------------------------
    # Generation

    def generate(
        self,
        n: int = 1,
        seed: int = 0,
        *,
        steps: int | None = None,
        solver: str | None = None,
        mode: str = "fast",
        start: str = "closed form",
        grid: str = "karras",
        s_end: float = S_END,
        paper: PaperMode | None = None,
    ) -> Run:
        """Draw ``n`` pictures; picture i is that of seed ``seed + i`` whatever ``n``.

        Args:
            n: Number of pictures, >= 1.
            seed: Seed of the first picture, >= 0.
            steps: Network evaluations, fast mode only; in paper mode the Euler-Maruyama steps of
                each stage.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast"; "instant" for a few evaluations by the model's fitted rule, or by a
                solver if it has none; or "paper" for Algorithm 1.
            start: Stage 1 of fast mode. "closed form": q_sigma as the model's mixture, or as the
                Gaussian N(mean, Sigma + sigma^2 I) if it has none, no evaluations; "gaussian": the
                latter; "network": solver steps from the point mass; "noise": none, stage 2 starts
                from N(mean, sigma^2 I) (Fig. 5's control).
            grid: Spacing of the noise levels, a name in `GRIDS`; fast mode only.
            s_end: Last noise level before 0, in (0, sigma); fast mode only.
            paper: Settings of paper mode; ``steps`` overrides n1 and n2.

        Returns:
            A run whose result is (n, c, h, w) in [0, 1].

        Raises:
            ValueError: If an argument is out of range.
            DivergedError: If paper mode leaves the finite numbers, while it runs.
        """
        noise = self._noise(checks.seeds(n, seed))
        if checks.choice("mode", mode, MODES) == "paper":
            settings = paper or PaperMode()
            if steps is not None:
                count = checks.whole("steps", steps)
                settings = replace(settings, n1=count, n2=count)
            run = self._algorithm1(noise, settings)
            return Run(self._shown(run), settings.n1 + settings.n2, pictures)
        if mode == "instant":
            run, length = self._instantly(self._denoise, self._start(noise), noise)
            return Run(self._shown(run), length, pictures)
        checks.choice("start", start, STARTS)
        checks.choice("grid", grid, tuple(GRIDS))
        if checks.number("s_end", s_end, above=0) >= self.sigma:
            raise ValueError(f"s_end must be in (0, {self.sigma:g}), got {s_end}")
        chosen, steps = _sampler("generate", solver, steps, least=2 if start == "network" else 1)
        if start == "network":
            v = self.denoiser.linear.sample(noise.draw(), S_MAX)
            levels = chosen.levels(
                steps, lambda n: two_stage_grid(n, S_MAX, self.sigma, self.tau, s_end, grid)
            )
        else:
            v = self._start(noise, start)
            levels = chosen.levels(steps, lambda n: GRIDS[grid](n, self.sigma, s_end))
        return self._reverse(self._denoise, v, levels, chosen, noise)

    def _start(self, noise: Noise, start: str = "closed form") -> Tensor:
        """A draw of q_sigma, centred, without the network."""
        draw, linear = noise.draw(), self.denoiser.linear
        if start == "noise":
            return self.sigma * draw
        if start == "gaussian" or self.mixture is None:
            return linear.sample(draw, self.sigma)
        return self.mixture.sample(linear, noise.choose(len(self.mixture)), draw, self.sigma)

    def _believed(self, v: Tensor, s: float) -> Tensor:
        """D(v, s) in closed form, for noise levels of stage 1."""
        linear = self.denoiser.linear
        return linear.at(v, s) if self.mixture is None else self.mixture.denoised(linear, v, s)

    def _instantly(self, denoise: Denoise, v: Tensor, noise: Noise) -> tuple[Iterator[Step], int]:
        """Stage 2 from noise level sigma in instant mode, and its evaluations."""
        if self.rule is not None:
            steps = self.rule.steps(denoise, v, self.denoiser.linear, self.sigma)
            return steps, len(self.rule)
        chosen, count = SOLVERS[INSTANT.solver], INSTANT.steps
        levels = chosen.levels(count, lambda n: GRIDS["karras"](n, self.sigma, S_END))
        return self._steps(denoise, v, levels, chosen, noise), count

    def fit_rule(
        self,
        evaluations: int = FEW,
        starts: int = 512,
        seed: int = 0,
        trust: float = TRUST,
        on_step: Callable[[Step], Any] | None = None,
    ) -> Rule:
        """Fit the rule of instant mode to runs of `LONGER` evaluations, and take it; no data.

        Args:
            evaluations: Of the rule, a key of `LEVELS`.
            starts: Runs to fit to, >= 32.
            seed: Of their starts, which no other method draws.
            trust: As of `instant.fit_rule`, in [0, 1].
            on_step: Called with every step of the longer runs, which go side by side.

        Raises:
            ValueError: If an argument is out of range.
        """
        checks.whole("evaluations", evaluations, most=max(LEVELS))
        checks.number("trust", trust, 0, 1)
        count = checks.whole("starts", starts, least=32)
        noise = self._noise(checks.seeds(count, seed), purpose="instant")
        levels, linear = [self.sigma * part for part in LEVELS[evaluations]], self.denoiser.linear
        grid = list(GRIDS["karras"](LONGER, self.sigma, S_END))
        for level in levels[1:]:  # the longer run passes by there
            nearest = min(range(1, LONGER), key=lambda i: abs(math.log(grid[i] / level)))
            grid[nearest] = level
        v, targets = self._start(noise), []
        for step in self._steps(self._denoise, v, grid, SOLVERS[INSTANT.solver], noise):
            if step.s in levels or step.final:
                targets.append(step.x)
            if on_step is not None:
                on_step(step)
        self.rule = fit_rule(self._denoise, linear, v, levels, targets, trust)
        self.__dict__.pop("fingerprint", None)  # it was that of another rule
        return self.rule

    def _algorithm1(self, noise: Noise, settings: PaperMode) -> Iterator[Step]:
        """Both stages of Algorithm 1."""
        if settings.drift == "ratio" and self.log_ratio is None:
            raise ValueError(
                f"{self.name} has no density-ratio network: train one with 'train.py ratio', "
                "or take PaperMode(drift='exact')"
            )
        x = torch.zeros(len(noise.streams), *self.shape, device=self.device)
        bridge = {"sigma": self.sigma, "tau": self.tau}
        return algorithm1(self._denoise, self._ratio, x, noise.draw, settings, **bridge)

    # ------------------------------------------------------------------------------------------
    # Evolution

    def evolve(
        self,
        frames: int = 24,
        seed: int = 0,
        *,
        solver: str | None = None,
        mode: str = "fast",
        paper: PaperMode | None = None,
    ) -> Run:
        """Follow the particle of ``seed`` from the point mass at 0 to its picture (Fig. 4).

        In fast mode the picture is that of `generate`, however many frames there are: stage 2 is
        that run, and stage 1 a path of the bridge to its start. What lies between the evaluations
        is drawn from the bridge.

        Args:
            frames: States wanted, the start included, >= 4; half of them in each stage.
            seed: Seed of the particle, >= 0.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast", or "paper" for Algorithm 1.
            paper: Settings of paper mode.

        Returns:
            A run that begins with the start (index 0); its result are the frames, (frames, c, h,
            w), not clamped, and `Run.keeps` tells which of its steps they are.

        Raises:
            ValueError: If an argument is out of range.
        """
        frames = checks.whole("frames", frames, least=4)
        noise = self._noise([checks.seed(seed)])
        if checks.choice("mode", mode, ("fast", "paper")) == "paper":
            settings = paper or PaperMode()
            total = settings.n1 + settings.n2
            if frames > total + 1:
                raise ValueError(f"frames must be at most {total + 1}, got {frames}")
            run = self._algorithm1(noise, settings)
        else:
            chosen, evaluations = _sampler("generate", solver, None)
            states = max(evaluations, frames // 2)
            total = 2 * states
            between = self._noise([seed], purpose="between evaluations")
            run = self._two_stages(noise, between, states, evaluations, chosen)
        zero = torch.zeros(1, *self.shape, device=self.device)
        first = Step(1, 0, total, 0.0, math.inf, zero, zero, Evaluations())

        def steps() -> Iterator[Step]:
            yield first
            yield from run

        kept = frame_indices(total, frames)
        return Run(self._shown(steps()), total + 1, torch.cat, lambda step: step.index in kept)

    def _two_stages(
        self, noise: Noise, between: Noise, states: int, evaluations: int, solver: Solver
    ) -> Iterator[Step]:
        """Stage 1 drawn from the bridge, stage 2 by a solver; ``states`` in each."""
        total, v, step = 2 * states, self._start(noise), None
        bridge = {"sigma": self.sigma, "tau": self.tau}
        for step in stage1_path(v, states, between.draw, self._believed, **bridge):
            yield replace(step, total=total)
        assert step is not None
        levels = solver.levels(evaluations, lambda n: GRIDS["karras"](n, self.sigma, S_END))
        second = self._steps(self._denoise, v, levels, solver, noise)
        film = fill_in(step, second, states, solver.stochastic, between.draw)
        yield from follow(film, offset=states, total=total)

    # ------------------------------------------------------------------------------------------
    # Editing

    def interpolate(
        self,
        a: Tensor,
        b: Tensor,
        frames: int = 9,
        variance: float = 0.4,
        seed: int = 0,
        *,
        more: Sequence[Tensor] = (),
        method: str = "shared noise",
        steps: int | None = None,
        solver: str | None = None,
        mode: str = "fast",
    ) -> Run:
        """Morph between two pictures, or along a path through several.

        By shared noise, as in the paper: ``x_c = (1 - c) a + c b + sqrt(variance) n`` for c uniform
        in [0, 1], denoised by stage 2 from ``s = sqrt(variance)``; all frames share n, and the
        noise of every step. No frame is a given picture.

        By inversion: the probability-flow ODE carries the pictures to noise level sigma, where
        their codes are mixed (`spherical_mix`), and back. At the ends, and wherever the path meets
        a picture, the frame is that picture, up to the error of the solver.

        Args:
            a: First picture, (c, h, w) in [0, 1].
            b: Second picture, likewise.
            frames: Number of pictures, both ends included, at least that of the given ones.
            variance: Variance of the shared noise, in [1e-6, sigma^2]; 0.4 in the paper.
            seed: Seed of the shared noise.
            more: Further pictures; the path goes from b through all of them.
            method: "shared noise", or "inversion", which has no noise.
            steps: Network evaluations; by inversion as many up as down.
            solver: Name in `SOLVERS`, fast mode only; by inversion a deterministic one.
            mode: "fast"; "instant", in a few evaluations; or "paper": Euler-Maruyama with the
                paper's step sigma^2 / N2. By inversion "fast" alone.

        Returns:
            A run whose result is (frames, c, h, w) in [0, 1].

        Raises:
            ValueError: If an argument is out of range.
        """
        named = {"a": a, "b": b} | {f"more[{i}]": picture for i, picture in enumerate(more)}
        frames = checks.whole("frames", frames, least=len(named))
        given = torch.stack([self._picture(name, picture) for name, picture in named.items()])
        positions = path_positions(frames, len(given)).to(self.device)
        noise, variance = self._noise([checks.seed(seed)] * frames), self._variance(variance)
        if checks.choice("method", method, MORPHS) == "shared noise":
            start = linear_mix(given, positions) + math.sqrt(variance) * noise.draw()
            return self._edit("interpolate", start, variance, noise, steps, solver, mode)
        if checks.choice("mode", mode, MODES) != "fast":
            raise ValueError(f"mode must be fast for method 'inversion'; got {mode!r}")
        chosen, count = _sampler("inversion", solver, steps)
        if chosen.stochastic:
            raise ValueError(f"solver must be deterministic for method 'inversion'; got {solver!r}")
        levels = chosen.levels(count, lambda n: GRIDS["karras"](n, self.sigma, S_END))
        run = self._through_codes(given, positions, levels, chosen, noise)
        return Run(self._shown(run), 2 * count, pictures)

    def _through_codes(
        self, given: Tensor, positions: Tensor, levels: list[float], solver: Solver, noise: Noise
    ) -> Iterator[Step]:
        """Up to the codes, of which only mixes are shown, and down again."""
        linear, total, step = self.denoiser.linear, 2 * (len(levels) - 1), None
        bridge = {"sigma": self.sigma, "tau": self.tau}
        for step in invert(self._denoise, given, levels, **bridge, linear=linear):
            mixed = {name: linear_mix(getattr(step, name), positions) for name in ("x", "denoised")}
            yield replace(step, total=total, **mixed)
        assert step is not None
        code = spherical_mix(step.x, positions, levels[0], linear)
        down = self._steps(self._denoise, code, levels, solver, noise)
        yield from follow(down, offset=step.index, total=total, nfe=step.nfe)

    def denoise(
        self,
        image: Tensor,
        variance: float | None = 1.0,
        n: int = 4,
        seed: int = 0,
        *,
        steps: int | None = None,
        solver: str | None = None,
        mode: str = "fast",
        add_noise: bool = True,
    ) -> Run:
        """Add noise to a picture once and restore it ``n`` times by stage 2 (Fig. 6).

        All restorations start from `perturb` of the same seed; a stochastic solver makes them
        differ. A picture that is noisy already is taken as it is by ``add_noise=False``.

        Args:
            image: Picture, (c, h, w) in [0, 1]; one that is noisy already may leave that range.
            variance: Variance of the noise, in [1e-6, sigma^2]; None, of a picture that is noisy
                already: that of `noise_level`.
            n: Number of restorations, >= 1.
            seed: Seed of the noise; restoration i takes its steps with seed + i.
            steps: Network evaluations.
            solver: Name in `SOLVERS`, fast mode only; a stochastic one by default.
            mode: "fast"; "instant", in a few evaluations; or "paper": Euler-Maruyama with the
                paper's step sigma^2 / N2.
            add_noise: Whether noise is added first.

        Returns:
            A run whose result is (n, c, h, w) in [0, 1].

        Raises:
            ValueError: If an argument is out of range.
        """
        noise = self._noise(checks.seeds(n, seed))
        if variance is None and not add_noise:
            variance = min(max(LEAST_VARIANCE, self.noise_level(image) ** 2), self.sigma**2)
        variance = self._variance(variance)
        if add_noise:
            start = self.perturb(image, variance, seed) - self.denoiser.mean
            noise.draw()  # that of the perturbation
        else:
            start = self._picture("image", image, noisy=True)
        start = start.expand(len(noise.streams), *self.shape)
        return self._edit("denoise", start, variance, noise, steps, solver, mode)

    def perturb(self, image: Tensor, variance: float, seed: int = 0) -> Tensor:
        """``image + sqrt(variance) n``, (c, h, w), not clamped."""
        noise = self._noise([checks.seed(seed)]).draw()[0]
        centred = self._picture("image", image) + math.sqrt(self._variance(variance)) * noise
        return centred + self.denoiser.mean

    def _edit(
        self,
        task: str,
        start: Tensor,
        variance: float,
        noise: Noise,
        steps: int | None,
        solver: str | None,
        mode: str,
    ) -> Run:
        """Stage 2 from noisy pictures at noise level sqrt(variance)."""
        s = math.sqrt(variance)
        if checks.choice("mode", mode, MODES) == "instant":
            solver, steps = INSTANT
        chosen, count = _sampler(task, solver, steps)
        if mode != "paper":
            levels = chosen.levels(count, lambda n: GRIDS["karras"](n, s, min(S_END, s / 2)))
            return self._reverse(self._denoise, start, levels, chosen, noise)
        if steps is None:  # keep the paper's step sigma^2 / N2 of the variance, not their number
            count = max(1, round(PaperMode().n2 * variance / self.sigma**2))
        run = algorithm1_stage2(
            self._denoise, start, noise.draw, steps=count, s_start=s, sigma=self.sigma
        )
        return Run(self._shown(run), count, pictures)

    def inpaint(
        self,
        image: Tensor,
        known_mask: Tensor,
        n: int = 3,
        seed: int = 0,
        *,
        method: str = "conditional",
        steps: int | None = None,
        solver: str | None = None,
        shared_noise: bool = True,
        mode: str = "fast",
    ) -> Run:
        """Fill the hole of a picture ``n`` times.

        Args:
            image: Picture, (c, h, w) in [0, 1]; only known pixels are read.
            known_mask: (h, w) or (1, h, w), 1 = known, 0 = hole.
            n: Number of fills, >= 1.
            seed: Seed of the first fill; fill i is that of seed + i.
            method: "conditional": the denoiser is told the known pixels, so that every solver
                samples the exact conditional; "algorithm2": the paper's; "repaint": resampling
                with jumps back, `repaint`.
            steps: Network evaluations; N2 of Algorithm 2, which takes one more. All methods draw
                from the noise of the seed, so that they can be compared at equal evaluations.
            solver: Name in `SOLVERS`, conditional only.
            shared_noise: Toggle of Algorithm 2.
            mode: "fast"; or "instant", in a few evaluations, conditional only.

        Returns:
            A run whose result is (n, c, h, w) in [0, 1]; its known pixels, and those of every
            step, equal those of ``image`` bit for bit.

        Raises:
            ValueError: If an argument is out of range, or nothing is to be filled.
        """
        checks.choice("method", method, METHODS)
        if checks.choice("mode", mode, MODES[:2]) == "instant" and method != "conditional":
            raise ValueError(f"mode must be fast for method {method!r}; got 'instant'")
        known, mask = self._picture("image", image), self._mask(known_mask)
        if bool((mask > 0).all()):
            raise ValueError("nothing is to be filled: every pixel is marked as known")
        noise = self._noise(checks.seeds(n, seed))
        count = len(noise.streams)
        known, masks = known.expand(count, *self.shape), mask.expand(count, *mask.shape[1:])
        if method == "algorithm2":
            settings = PaperMode(shared_noise=shared_noise)
            if steps is not None:
                settings = replace(settings, n2=checks.whole("steps", steps))
            run = algorithm2(self._denoise, known, masks, noise.draw, settings, sigma=self.sigma)
            length = settings.n2
        elif method == "repaint":
            length = checks.whole("steps", EVALUATIONS if steps is None else steps)
            passes = repaint_levels(length, lambda n: GRIDS["karras"](n, self.sigma, S_END))
            bridge = {"sigma": self.sigma, "linear": self.denoiser.linear}
            run = repaint(self._denoise, known, masks, noise.draw, passes, **bridge)
        else:
            clean = self.denoiser.linear.sample_given(known[0], mask[0], noise.draw())
            v = clean + self.sigma * noise.draw()

            def conditional(v: Tensor, s: float) -> Tensor:
                return self._denoise(v, s, known, masks)

            if mode == "instant":
                run, length = self._instantly(conditional, v, noise)
            else:
                chosen, length = _sampler("inpaint", solver, steps)
                levels = chosen.levels(length, lambda n: GRIDS["karras"](n, self.sigma, S_END))
                run = self._steps(conditional, v, levels, chosen, noise)
        picture = torch.as_tensor(image, dtype=torch.float32, device=self.device)
        shown = (
            replace(
                step,
                x=torch.where(mask > 0, picture, step.x),
                denoised=torch.where(mask > 0, picture, step.denoised),
            )
            for step in self._shown(run)
        )
        return Run(shown, length, pictures)

    # ------------------------------------------------------------------------------------------
    # Network calls, coordinates, validation

    def _reverse(
        self, denoise: Denoise, v: Tensor, levels: list[float], solver: Solver, noise: Noise
    ) -> Run:
        """A run of a solver."""
        steps = self._steps(denoise, v, levels, solver, noise)
        return Run(self._shown(steps), len(levels) - 1, pictures)

    def _steps(
        self, denoise: Denoise, v: Tensor, levels: list[float], solver: Solver, noise: Noise
    ) -> Iterator[Step]:
        return reverse_steps(
            denoise,
            v,
            levels,
            solver,
            noise.draw,
            sigma=self.sigma,
            tau=self.tau,
            linear=self.denoiser.linear,
        )

    def _noise(self, seeds: list[int], purpose: str = "run") -> Noise:
        return Noise(seeds, self.shape, purpose, self.device)

    def _denoise(self, v: Tensor, s: float, *conditions: Tensor) -> Tensor:
        def call(part: Tensor, *rest: Tensor) -> Tensor:
            return GATHERING.call(self._network, part, s, *rest, bf16=self.bf16)

        return self._in_parts(call, v, *conditions)

    def _ratio(self, x: Tensor) -> Tensor:
        assert self.log_ratio is not None
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return self._in_parts(self.log_ratio, x).float()

    def _shown(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Add the mean picture back: X_t / t has mean ``mean`` in stage 1, X_t in stage 2."""
        mean = self.denoiser.mean
        for step in steps:
            weight = step.t if step.stage == 1 else 1.0
            denoised = (step.denoised + mean).clamp(0, 1)
            yield replace(step, x=step.x + weight * mean, denoised=denoised)

    def _picture(self, name: str, picture: Tensor, noisy: bool = False) -> Tensor:
        """Check a picture, which noise may have carried out of [0, 1], and centre it: (c, h, w)."""
        picture = checks.array(name, picture, dtype=torch.float32, device=self.device)
        if picture.shape != self.shape:
            raise ValueError(f"{name} must have shape {self.shape}, got {tuple(picture.shape)}")
        if noisy and not bool(picture.isfinite().all()):
            raise ValueError(f"{name} must hold finite numbers")
        if not noisy and not bool(((picture >= 0) & (picture <= 1)).all()):  # also refuses NaN
            raise ValueError(f"{name} must have values in [0, 1]")
        return picture - self.denoiser.mean

    def _mask(self, known_mask: Tensor) -> Tensor:
        """Check a mask: bool (1, 1, h, w)."""
        mask = checks.array("known_mask", known_mask, device=self.device)
        size = self.shape[1:]
        if mask.shape not in (size, (1, *size)):
            raise ValueError(f"known_mask must have shape {size}, got {tuple(mask.shape)}")
        if bool(mask.isnan().any()):
            raise ValueError("known_mask must hold 0 and 1, not NaN")
        return (mask > 0).reshape(1, 1, *size)

    def _variance(self, variance: float | None) -> float:
        """Check a noise variance."""
        return checks.number("variance", variance, LEAST_VARIANCE, self.sigma**2)


def _sampler(
    task: str, solver: str | None, steps: int | None, least: int = 1
) -> tuple[Solver, int]:
    """Solver and network evaluations of a fast run: those asked for, else the task's defaults."""
    default = DEFAULTS[task]
    name = checks.choice("solver", default.solver if solver is None else solver, tuple(SOLVERS))
    count = checks.whole("steps", default.steps if steps is None else steps, least)
    return SOLVERS[name], count
