"""The facade: `Bridge` loads a model and generates, evolves, interpolates, inpaints, denoises.

Each method returns pictures as a float32 tensor (n, c, h, w) in [0, 1]; its twin ``*_steps``
yields `Step` after every update, in picture coordinates (the mean picture added back).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.network import KIND
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.devices import best_device, device_name
from sbcore.runtime.noise import PictureNoise
from sbcore.runtime.run import DivergedError, Evaluations, OnStep, Step, follow
from sbcore.twostage.denoiser import Denoiser, load_denoiser
from sbcore.twostage.film import fill_in, frame_indices
from sbcore.twostage.grids import GRIDS, two_stage_grid
from sbcore.twostage.paper import PaperMode, algorithm1_stage1, algorithm1_stage2, algorithm2
from sbcore.twostage.process import stage1_noise_level
from sbcore.twostage.ratio import DensityRatioNet, load_density_ratio
from sbcore.twostage.sampler import closed_form_stage1, reverse_steps
from sbcore.twostage.solvers import SOLVERS, Solver

S_MAX = 40.0  # noise level that stands for infinity; EDM's 80, halved as our data std is
S_END = 0.03  # last noise level before 0; smaller ones cost texture (SWD at 64 pixels)
LEAST_VARIANCE = 1e-6  # of added noise: a quarter of a step of 8 bits
BATCH = 16  # pictures of one network call; bounds memory
STARTS = ("closed form", "network", "noise")
MODES = ("fast", "paper")
METHODS = ("conditional", "algorithm2")


class Default(NamedTuple):
    """Solver and network evaluations of a fast run that names none."""

    solver: str
    steps: int


# By `evaluate.py samplers` on the face model, the SDE: SWD 19.7 with 10 evaluations, 21.9 with 100,
# Frechet distance of features 0.055 and 0.038; the best ODE: SWD 27.4. Paper mode: 43.9 and 0.107.
# Morphs take an ODE, whose path adds no noise of its own.
DEFAULTS = {
    "generate": Default("dpmpp_2m_sde", 10),
    "interpolate": Default("unipc", 10),
    "denoise": Default("dpmpp_2m_sde", 10),
    "inpaint": Default("dpmpp_2m_sde", 10),
}


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
        bf16: bf16 inside the networks; None: where CUDA has it. On CPUs with AMX it makes batches
            three times faster, but a picture then depends, in its last bits, on its batch.
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
    ) -> None:
        self.device = torch.device(device) if device is not None else best_device()
        self.sigma, self.tau, self.name, self.facts = sigma, tau, name, facts or {}
        self._denoiser = denoiser.eval().requires_grad_(False).to(self.device)
        self._log_ratio = log_ratio
        if log_ratio is not None:
            self._log_ratio = log_ratio.eval().requires_grad_(False).to(self.device)
        if bf16 is None:
            bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self._denoiser.bf16 = bf16
        self._denoiser.trunk.to(memory_format=torch.channels_last)  # faster, on CPUs too

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        device: str | torch.device | None = None,
        revision: str | None = None,
        bf16: bool | None = None,
    ) -> Bridge | TranslationBridge:
        """Load a model; one that translates between two sets is a `TranslationBridge`.

        Args:
            name_or_path: Checkpoint folder, or Hub repository id.
            device: Where to compute; None: CUDA, else MPS, else the CPU.
            revision: Branch, tag or commit on the Hub.
            bf16: bf16 inside the networks, as in `Bridge`.

        Raises:
            CheckpointError: If there is no usable checkpoint; one sentence says why.
        """
        folder = checkpoints.locate(name_or_path, revision)
        if checkpoints.read_config(folder).get("kind") == KIND:
            return TranslationBridge.from_pretrained(folder, device, bf16=bf16)
        denoiser, config = load_denoiser(folder)
        ratio = load_density_ratio(folder)
        if ratio is not None:
            fits = all(ratio[1].get(name) == config[name] for name in ("sigma", "tau"))
            if not fits or tuple(ratio[1]["network"]["shape"]) != denoiser.shape:
                raise checkpoints.CheckpointError(
                    f"The density ratio of {folder} belongs to another model."
                )
        return cls(
            denoiser,
            float(config["sigma"]),
            float(config["tau"]),
            ratio[0] if ratio else None,
            config.get("name", folder.name),
            config,
            device,
            bf16,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (c, h, w) of one picture."""
        return self._denoiser.shape

    @property
    def device_name(self) -> str:
        """Name of the device for people, e.g. "2 CPU cores"."""
        return device_name(self.device)

    def gaussian(self, n: int, seed: int = 0) -> Tensor:
        """Pictures of the closed-form part alone, N(mean, Sigma), (n, c, h, w); a baseline."""
        draw = PictureNoise(checks.seeds_from(n, seed), self.shape, self.device).draw()
        return (self._denoiser.linear.sample(draw, 0.0) + self._denoiser.mean).clamp(0, 1)

    def components(self, n: int) -> Tensor:
        """The leading ``n`` principal components of the training set, (n, c h w)."""
        return self._denoiser.linear.basis[:n]

    def posterior_mean(self, noisy: Tensor, s: float) -> Tensor:
        """Tweedie's step, D(v, s): the mean of the clean pictures given noisy ones.

        Args:
            noisy: Pictures plus noise, (n, c, h, w).
            s: Standard deviation of the noise, > 0.

        Returns:
            (n, c, h, w), not clamped. One evaluation.
        """
        mean = self._denoiser.mean
        return self._denoise(noisy.to(self.device) - mean, s) + mean

    @property
    def has_density_ratio(self) -> bool:
        """Whether stage 1 of paper mode is available."""
        return self._log_ratio is not None

    # ------------------------------------------------------------------------------------------
    # Generation

    def generate(
        self, n: int = 1, seed: int = 0, *, on_step: OnStep | None = None, **options: Any
    ) -> Tensor:
        """Draw ``n`` pictures, (n, c, h, w) in [0, 1]; options as in `generate_steps`."""
        return _drain(self.generate_steps(n, seed, **options), on_step)

    def generate_steps(
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
    ) -> Iterator[Step]:
        """Draw ``n`` pictures; picture i is that of seed ``seed + i`` whatever ``n``.

        Args:
            n: Number of pictures, >= 1.
            seed: Seed of the first picture, >= 0.
            steps: Network evaluations; in paper mode the Euler-Maruyama steps of each stage.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast", or "paper" for Algorithm 1.
            start: Stage 1 of fast mode. "closed form": q_sigma as the Gaussian N(mean, Sigma +
                sigma^2 I), no evaluations; "network": solver steps from the point mass; "noise":
                none, stage 2 starts from N(mean, sigma^2 I) (Fig. 5's control).
            grid: Spacing of the noise levels, a name in `GRIDS`; fast mode only.
            s_end: Last noise level before 0, in (0, sigma); fast mode only.
            paper: Settings of paper mode; ``steps`` overrides n1 and n2.

        Yields:
            A `Step` after each update.

        Raises:
            ValueError: If an argument is out of range.
            DivergedError: If paper mode leaves the finite numbers.
        """
        seeds = checks.seeds_from(n, seed)
        noise = PictureNoise(seeds, self.shape, self.device)
        if mode == "paper":
            settings = paper or PaperMode()
            if steps is not None:
                count = checks.count("steps", steps, settings.n1)
                settings = replace(settings, n1=count, n2=count)
            return self._shown(self._algorithm1(noise, len(seeds), settings))
        checks.one_of("mode", mode, MODES)
        checks.one_of("start", start, STARTS)
        checks.one_of("grid", grid, tuple(GRIDS))
        if not (checks.is_number(s_end) and 0 < s_end < self.sigma):
            raise ValueError(f"s_end must be in (0, {self.sigma:g}), got {s_end}")
        default = DEFAULTS["generate"]
        chosen = _solver(solver, default.solver)
        steps = checks.count("steps", steps, default.steps, least=2 if start == "network" else 1)
        linear, draw = self._denoiser.linear, noise.draw()
        if start != "network":
            v = linear.sample(draw, self.sigma) if start == "closed form" else self.sigma * draw
            levels = _levels(chosen, steps, self.sigma, s_end, grid)
        else:
            v = linear.sample(draw, S_MAX)
            levels = chosen.levels(
                steps, lambda n: two_stage_grid(n, S_MAX, self.sigma, self.tau, s_end, grid)
            )
        return self._shown(self._reverse(self._denoise, v, levels, chosen, noise))

    def _algorithm1(self, noise: PictureNoise, n: int, settings: PaperMode) -> Iterator[Step]:
        """Both stages of Algorithm 1 as one run."""
        if settings.drift == "ratio" and self._log_ratio is None:
            raise ValueError(
                f"{self.name} has no density-ratio network: train one with 'train.py ratio', "
                "or take PaperMode(drift='exact')"
            )
        total = settings.n1 + settings.n2
        bridge = {"sigma": self.sigma, "tau": self.tau}
        x = torch.zeros(n, *self.shape, device=self.device)

        def steps() -> Iterator[Step]:
            step = None
            for step in algorithm1_stage1(self._denoise, self._ratio, x, noise, settings, **bridge):
                yield step
            if not bool(step.x.isfinite().all()):
                raise DivergedError(
                    "stage 1 of Algorithm 1 diverged, as its density ratio is unbounded; "
                    "take PaperMode(clip=3), self_normalised=True or drift='exact'"
                )
            second = algorithm1_stage2(
                self._denoise,
                step.x,
                noise,
                steps=settings.n2,
                s_start=self.sigma,
                sigma=self.sigma,
                final_denoise=settings.final_denoise,
            )
            yield from follow(second, offset=settings.n1, total=total, nfe=step.nfe)

        return steps()

    # ------------------------------------------------------------------------------------------
    # Evolution

    def evolve(
        self, frames: int = 24, seed: int = 0, *, on_step: OnStep | None = None, **options: Any
    ) -> Tensor:
        """States of one particle from 0 to a picture, (frames, c, h, w), not clamped."""
        states = []
        for step in self.evolve_steps(frames, seed, **options):
            if step.index in frame_indices(step.total, frames):
                states.append(step.x[0])
            if on_step is not None:
                on_step(step)
        return torch.stack(states)

    def evolve_steps(
        self,
        frames: int = 24,
        seed: int = 0,
        *,
        solver: str | None = None,
        mode: str = "fast",
        paper: PaperMode | None = None,
    ) -> Iterator[Step]:
        """Follow the particle of ``seed`` from the point mass at 0 to its picture (Fig. 4).

        In fast mode stage 1 is the closed-form Gaussian bridge, uniform in time, and stage 2 that
        of `generate`: the picture is that of the seed, however many frames there are. Frames
        between its evaluations are drawn from the bridge.

        Args:
            frames: States wanted, the start included, >= 4; half of them in each stage.
            seed: Seed of the particle, >= 0.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast", or "paper" for Algorithm 1.
            paper: Settings of paper mode.

        Yields:
            The start (index 0) and a `Step` after each update; `frame_indices` tells which of
            them are the frames.

        Raises:
            ValueError: If an argument is out of range.
        """
        frames = checks.count("frames", frames, 24, least=4)
        [seed] = checks.seeds_from(1, seed)
        noise = PictureNoise([seed], self.shape, self.device)
        zero = torch.zeros(1, *self.shape, device=self.device)
        if mode == "paper":
            settings = paper or PaperMode()
            run = self._algorithm1(noise, 1, settings)
            total = settings.n1 + settings.n2
            if frames > total + 1:
                raise ValueError(f"frames must be at most {total + 1}, got {frames}")
        else:
            checks.one_of("mode", mode, MODES)
            default = DEFAULTS["generate"]
            states = max(default.steps, frames // 2)
            total = 2 * states
            run = self._two_stages(seed, states, default.steps, _solver(solver, default.solver))
        first = Step(1, 0, total, 0.0, math.inf, zero, zero, Evaluations())

        def steps() -> Iterator[Step]:
            yield first
            yield from run

        return self._shown(steps())

    def _two_stages(
        self, seed: int, states: int, evaluations: int, solver: Solver
    ) -> Iterator[Step]:
        """Closed-form stage 1 and solver stage 2, ``states`` in each."""
        linear, total = self._denoiser.linear, 2 * states
        noise, other = (PictureNoise([s], self.shape, self.device) for s in (seed, seed + 2**52))
        times = [k / states for k in range(1, states)]
        levels = [stage1_noise_level(t, self.sigma, self.tau) for t in times]
        grid = [S_MAX, *levels, self.sigma]
        v = linear.sample(noise.draw(), S_MAX)
        bridge = {"sigma": self.sigma, "tau": self.tau}
        step = None
        for step in closed_form_stage1(linear.flow, linear.at, v, grid, **bridge):
            yield replace(step, total=total)
        levels = _levels(solver, evaluations, self.sigma)
        second = self._reverse(self._denoise, step.x, levels, solver, noise)
        film = fill_in(step, second, states, solver.stochastic, other)
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
        on_step: OnStep | None = None,
        **options: Any,
    ) -> Tensor:
        """Morph ``a`` into ``b``, (frames, c, h, w); options as in `interpolate_steps`."""
        return _drain(self.interpolate_steps(a, b, frames, variance, seed, **options), on_step)

    def interpolate_steps(
        self,
        a: Tensor,
        b: Tensor,
        frames: int = 9,
        variance: float = 0.4,
        seed: int = 0,
        *,
        steps: int | None = None,
        solver: str | None = None,
        mode: str = "fast",
    ) -> Iterator[Step]:
        """Morph between two pictures: linear mixes plus shared noise, then stage 2.

        ``x_c = (1 - c) a + c b + sqrt(variance) n`` for c uniform in [0, 1], denoised by stage 2
        from ``s = sqrt(variance)``; all frames share n, and the noise of every step.

        Args:
            a: First picture, (c, h, w) in [0, 1].
            b: Second picture, likewise.
            frames: Number of pictures, both ends included, >= 2.
            variance: Variance of the noise, in [1e-6, sigma^2]; 0.4 in the paper.
            seed: Seed of the noise.
            steps: Network evaluations.
            solver: Name in `SOLVERS`, fast mode only.
            mode: "fast", or "paper": Euler-Maruyama with the paper's step sigma^2 / N2.

        Yields:
            A `Step` of all frames after each update.

        Raises:
            ValueError: If an argument is out of range.
        """
        frames = checks.count("frames", frames, 9, least=2)
        a, b = self._picture("a", a), self._picture("b", b)
        c = torch.linspace(0, 1, frames, device=self.device).view(-1, 1, 1, 1)
        noise = PictureNoise([checks.seeds_from(1, seed)[0]] * frames, self.shape, self.device)
        start = (1 - c) * a + c * b + self._deviation(variance) * noise.draw()
        default = DEFAULTS["interpolate"]
        return self._edit(start, variance, noise, steps, solver, mode, default)

    def denoise(
        self,
        image: Tensor,
        variance: float = 1.0,
        n: int = 4,
        seed: int = 0,
        *,
        on_step: OnStep | None = None,
        **options: Any,
    ) -> Tensor:
        """Perturb and restore a picture, (n, c, h, w); options as in `denoise_steps`."""
        return _drain(self.denoise_steps(image, variance, n, seed, **options), on_step)

    def denoise_steps(
        self,
        image: Tensor,
        variance: float = 1.0,
        n: int = 4,
        seed: int = 0,
        *,
        steps: int | None = None,
        solver: str | None = None,
        mode: str = "fast",
    ) -> Iterator[Step]:
        """Add noise to a picture once and restore it ``n`` times by stage 2 (Fig. 6).

        All restorations start from `perturb` of the same seed; a stochastic solver makes them
        differ.

        Args:
            image: Picture, (c, h, w) in [0, 1].
            variance: Variance of the added noise, in [1e-6, sigma^2].
            n: Number of restorations, >= 1.
            seed: Seed of the noise; restoration i takes its steps with seed + i.
            steps: Network evaluations.
            solver: Name in `SOLVERS`, fast mode only; a stochastic one by default.
            mode: "fast", or "paper": Euler-Maruyama with the paper's step sigma^2 / N2.

        Yields:
            A `Step` of all restorations after each update.

        Raises:
            ValueError: If an argument is out of range.
        """
        start = self.perturb(image, variance, seed) - self._denoiser.mean
        seeds = checks.seeds_from(n, seed)
        noise = PictureNoise(seeds, self.shape, self.device)
        noise.draw()  # that of the perturbation
        start = start.expand(len(seeds), *self.shape)
        default = DEFAULTS["denoise"]
        return self._edit(start, variance, noise, steps, solver, mode, default)

    def perturb(self, image: Tensor, variance: float, seed: int = 0) -> Tensor:
        """``image + sqrt(variance) n``, (c, h, w), not clamped."""
        noise = PictureNoise(checks.seeds_from(1, seed), self.shape, self.device).draw()[0]
        centred = self._picture("image", image) + self._deviation(variance) * noise
        return centred + self._denoiser.mean

    def _edit(
        self,
        start: Tensor,
        variance: float,
        noise: PictureNoise,
        steps: int | None,
        solver: str | None,
        mode: str,
        default: Default,
    ) -> Iterator[Step]:
        """Stage 2 from a noisy picture at noise level sqrt(variance)."""
        s, chosen = math.sqrt(variance), _solver(solver, default.solver)
        if mode == "paper":
            # Keep the paper's step sigma^2 / N2 of the variance, not its number of steps.
            per_stage = PaperMode().n2
            count = checks.count(
                "steps", steps, max(1, round(per_stage * variance / self.sigma**2))
            )
            run = algorithm1_stage2(
                self._denoise, start, noise, steps=count, s_start=s, sigma=self.sigma
            )
            return self._shown(run)
        checks.one_of("mode", mode, MODES)
        steps = checks.count("steps", steps, default.steps)
        levels = _levels(chosen, steps, s, min(S_END, s / 2))
        return self._shown(self._reverse(self._denoise, start, levels, chosen, noise))

    def inpaint(
        self,
        image: Tensor,
        known_mask: Tensor,
        n: int = 3,
        seed: int = 0,
        *,
        on_step: OnStep | None = None,
        **options: Any,
    ) -> Tensor:
        """Fill the hole ``n`` times, (n, c, h, w); options as in `inpaint_steps`.

        Known pixels equal those of ``image`` bit for bit.
        """
        filled = _drain(self.inpaint_steps(image, known_mask, n, seed, **options), on_step)
        keep = self._mask(known_mask)[0].to(filled.device) > 0
        return torch.where(keep, torch.as_tensor(image).to(filled), filled)

    def inpaint_steps(
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
    ) -> Iterator[Step]:
        """Fill the hole of a picture ``n`` times.

        Args:
            image: Picture, (c, h, w) in [0, 1]; only known pixels are read.
            known_mask: (h, w) or (1, h, w), 1 = known, 0 = hole.
            n: Number of fills, >= 1.
            seed: Seed of the first fill; fill i is that of seed + i.
            method: "conditional": the denoiser is told the known pixels, so that every solver
                samples the exact conditional; "algorithm2": the paper's.
            steps: Network evaluations; N2 of Algorithm 2.
            solver: Name in `SOLVERS`, conditional only.
            shared_noise: Toggle of Algorithm 2.

        Yields:
            A `Step` of all fills after each update.

        Raises:
            ValueError: If an argument is out of range, or nothing is to be filled.
        """
        checks.one_of("method", method, METHODS)
        known, mask = self._picture("image", image), self._mask(known_mask)
        if bool((mask > 0).all()):
            raise ValueError("nothing is to be filled: every pixel is marked as known")
        seeds = checks.seeds_from(n, seed)
        noise = PictureNoise(seeds, self.shape, self.device)
        known, mask = (part.expand(len(seeds), *part.shape[-3:]) for part in (known, mask))
        if method == "algorithm2":
            settings = PaperMode(n2=checks.count("steps", steps, 1000), shared_noise=shared_noise)
            run = algorithm2(self._denoise, known, mask, noise, settings, sigma=self.sigma)
            return self._shown(run)
        default = DEFAULTS["inpaint"]
        chosen = _solver(solver, default.solver)
        steps = checks.count("steps", steps, default.steps)
        clean = self._denoiser.linear.sample_given(known[0], mask[0], noise.draw())
        v = torch.where(mask > 0, known, clean + self.sigma * noise.draw())

        def conditional(v: Tensor, s: float) -> Tensor:
            return self._denoise(v, s, known, mask)

        def steps_with_known() -> Iterator[Step]:
            levels = _levels(chosen, steps, self.sigma)
            for step in self._reverse(conditional, v, levels, chosen, noise):
                yield replace(step, x=torch.where(mask > 0, known, step.x))

        return self._shown(steps_with_known())

    # ------------------------------------------------------------------------------------------
    # Network calls, coordinates, validation

    def _reverse(
        self,
        denoise: Callable[[Tensor, float], Tensor],
        v: Tensor,
        levels: Sequence[float],
        solver: Solver,
        noise: PictureNoise,
    ) -> Iterator[Step]:
        bridge = {"sigma": self.sigma, "tau": self.tau, "linear": self._denoiser.linear}
        return reverse_steps(denoise, v, levels, solver, noise, **bridge)

    def _denoise(self, v: Tensor, s: float, *conditions: Tensor) -> Tensor:
        parts = zip(*(tensor.split(BATCH) for tensor in (v, *conditions)), strict=True)
        return torch.cat([self._denoiser(part, s, *rest) for part, *rest in parts])

    def _ratio(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self._denoiser.bf16):
            logs = [self._log_ratio(part) for part in x.split(BATCH)]
        return torch.cat(logs).float()

    def _shown(self, steps: Iterator[Step]) -> Iterator[Step]:
        """Add the mean picture back: X_t / t has mean ``mean`` in stage 1, X_t in stage 2."""
        mean = self._denoiser.mean
        for step in steps:
            weight = step.t if step.stage == 1 else 1.0
            denoised = (step.denoised + mean).clamp(0, 1)
            yield replace(step, x=step.x + weight * mean, denoised=denoised)

    def _picture(self, name: str, picture: Tensor) -> Tensor:
        """Check a picture and centre it: (c, h, w)."""
        picture = checks.tensor(name, picture, dtype=torch.float32, device=self.device)
        if picture.shape != self.shape:
            raise ValueError(f"{name} must have shape {self.shape}, got {tuple(picture.shape)}")
        if not bool(((picture >= 0) & (picture <= 1)).all()):  # also refuses NaN
            raise ValueError(f"{name} must have values in [0, 1]")
        return picture - self._denoiser.mean

    def _mask(self, known_mask: Tensor) -> Tensor:
        """Check a mask: (1, 1, h, w)."""
        mask = checks.tensor("known_mask", known_mask, device=self.device)
        size = self.shape[1:]
        if mask.shape not in (size, (1, *size)):
            raise ValueError(f"known_mask must have shape {size}, got {tuple(mask.shape)}")
        if bool(mask.isnan().any()):
            raise ValueError("known_mask must hold 0 and 1, not NaN")
        return (mask > 0).reshape(1, 1, *size)

    def _deviation(self, variance: float) -> float:
        """Check a noise variance and return its standard deviation."""
        limit = self.sigma**2
        if not (checks.is_number(variance) and LEAST_VARIANCE <= variance <= limit):
            raise ValueError(f"variance must be in [{LEAST_VARIANCE:g}, {limit:g}], got {variance}")
        return math.sqrt(variance)


def _drain(steps: Iterator[Step], on_step: OnStep | None) -> Tensor:
    """Run to the end; the last state, clamped to [0, 1] only now."""
    step = None
    for step in steps:
        if on_step is not None:
            on_step(step)
    return step.x.clamp(0, 1)


def _levels(
    solver: Solver, evaluations: int, s_start: float, s_end: float = S_END, grid: str = "karras"
) -> list[float]:
    """Noise levels of a run of stage 2."""
    return solver.levels(evaluations, lambda n: GRIDS[grid](n, s_start, s_end))


def _solver(name: str | None, default: str) -> Solver:
    name = default if name is None else name
    checks.one_of("solver", name, tuple(SOLVERS))
    return SOLVERS[name]
