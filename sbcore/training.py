"""Training loops: the denoiser (equation 9) and the density-ratio network (equation 7).

A `Trainer` is iterated: it yields `Progress` after every step. Leaving the loop, by break or by
Ctrl-C, saves the state first. All randomness of step k is drawn from seeds of (seed, k), so a
resumed run equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sbcore import checkpoints
from sbcore.data import mean_and_std, principal_components
from sbcore.devices import device_name, has_fast_bf16
from sbcore.losses import denoising_error, denoising_loss, density_ratio_loss
from sbcore.masks import random_masks
from sbcore.networks import Denoiser, DenoiserConfig, DensityRatioNet, image_denoiser
from sbcore.optimizers import OPTIMIZERS, Muon

NOISE_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0)


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train."""

    images: int | None = None
    """Training images in all; the learning rate falls over the last `decay` of them."""
    max_minutes: float | None = None
    """Stop after this time. Without `images` it also sets the decay of the learning rate."""
    open_ended: bool = False
    """No planned end: a constant learning rate, until it is stopped."""
    finish: int | None = None
    """A branch of a run so far: the learning rate falls to 0 over this many images."""
    optimizer: str = "adam"
    """"adam", or "muon" for hidden weights with Adam for the rest."""
    batch_size: int = 32
    """Images of one step, on each device."""
    learning_rate: float = 5e-4
    """Of Adam, after the warm-up."""
    beta1: float = 0.9
    """Decay of Adam's first moment."""
    weight_decay: float = 0.0
    """Of Adam, added to the gradient."""
    warmup_steps: int = 500
    """Steps of linear warm-up of the learning rate."""
    decay: float = 0.3
    """Last part of the run over which the learning rate falls linearly to 0."""
    ema: float = 0.05
    """Half-life of the weight average, as a part of the images seen so far."""
    long_ema: float | None = None
    """Half-life of a second average; the better of the two is published."""
    noise_mean: float = -1.6
    """Mean of ln s in training (EDM's P_mean)."""
    noise_std: float = 1.4
    """Standard deviation of ln s in training (EDM's P_std)."""
    noise_tail: float = 0.1
    """Part of the noise levels drawn log-uniformly from [1, 40] instead, for stage 1."""
    conditional: float = 0.4
    """Part of the batch that is trained with known pixels."""
    flip: bool = True
    """Mirror half of the images."""
    seed: int = 0
    """Of everything random."""
    save_minutes: float = 5.0
    """Minutes between writes of the training state."""
    evaluate_minutes: float = 10.0
    """Minutes between evaluations on held-out pictures."""

    def __post_init__(self) -> None:
        endless = self.open_ended or self.finish is not None
        if not endless and self.images is None and self.max_minutes is None:
            raise ValueError("give the length of the run: images or max_minutes")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}")
        for name in (
            "images",
            "max_minutes",
            "batch_size",
            "learning_rate",
            "warmup_steps",
            "decay",
            "ema",
            "long_ema",
            "finish",
        ):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive, got {value}")


@dataclass(frozen=True)
class Preset:
    """A data set's picture shape, bridge and network."""

    name: str
    network: DenoiserConfig
    sigma: float
    """Standard deviation of the smoothed density q_sigma between the two stages."""
    tau: float
    """Variance of the Wiener reference of stage 1."""
    flip: bool = True


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("celeba64", DenoiserConfig(), sigma=2.0, tau=8.0),
        Preset("cifar10", DenoiserConfig(image_size=32, patch=1), sigma=1.0, tau=2.0),
        Preset(
            "digits",
            DenoiserConfig(28, image_channels=1, patch=1, channels=(32, 64, 128), rank=256),
            sigma=1.0,
            tau=2.0,
            flip=False,
        ),
    )
}


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int
    images: int
    """Images seen in all, over every resumption and device."""
    fraction: float
    """Part of the run that is done, in [0, 1]."""
    loss: float
    """Mean training loss of about the last 100 steps."""
    images_per_second: float
    seconds_left: float
    evaluation: dict[str, Any] | None = field(default=None, repr=False)
    """Result of an evaluation, when one was due after this step."""


class Trainer:
    """One optimiser, one network, one loss; weight averaging, evaluation, exact resume.

    Args:
        network: What is trained.
        loss: Maps (network, step seed) to a scalar loss of one random batch.
        evaluate: Maps the averaged network to a dictionary with key ``score`` (lower is better).
        publish: Called with the averaged network and facts of the run when it is the best so far.
        plan: Length and speed.
        folder: Where ``training.safetensors`` (the state) is kept.
        accelerator: Devices and processes.
        resume: Continue from the state in ``folder`` if there is one.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, int], Tensor],
        evaluate: Callable[[nn.Module], dict[str, Any]],
        publish: Callable[[nn.Module, dict[str, Any]], None],
        plan: Plan,
        folder: Path,
        accelerator: Accelerator,
        resume: bool,
    ) -> None:
        self.plan, self.folder, self.accelerator = plan, folder, accelerator
        self.loss, self.evaluate, self.publish = loss, evaluate, publish
        self.raw = network.to(accelerator.device)
        self.average = copy.deepcopy(self.raw).eval().requires_grad_(False)
        self.long = copy.deepcopy(self.average) if plan.long_ema is not None else None
        optimizer: torch.optim.Optimizer
        if plan.optimizer == "muon":
            optimizer = Muon(self.raw, plan.learning_rate, (plan.beta1, 0.99))
        else:
            optimizer = torch.optim.Adam(
                self.raw.parameters(),
                lr=plan.learning_rate,
                betas=(plan.beta1, 0.99),
                weight_decay=plan.weight_decay,
                fused=True,
            )
        self.network, self.optimizer = accelerator.prepare(self.raw, optimizer)
        self.step, self.images, self.seconds = 0, 0, 0.0
        self.best, self.history, self.branched = math.inf, [], 0
        if plan.finish is not None:
            self.folder = folder.with_name(f"{folder.name}-finish")
            trunk = folder / self.state_path.name
            if not trunk.exists():
                raise ValueError(f"there is no run to finish: {trunk} is missing")
            resume = resume and self.state_path.exists()
            self._load(self.state_path if resume else trunk)
            if not resume:
                self.branched, self.best = self.images, math.inf
        elif resume and self.state_path.exists():
            self._load(self.state_path)
        self.call_seconds = 0.0  # of this call, for max_minutes

    @property
    def state_path(self) -> Path:
        """File of the training state: weights, averages, moments, counters."""
        return self.folder / "training.safetensors"

    @property
    def fraction(self) -> float:
        """Part of the run that is done: of its images if they are given, else of its time."""
        if self.plan.finish is not None:
            return min(1.0, (self.images - self.branched) / self.plan.finish)
        if self.plan.images is not None:
            return min(1.0, self.images / self.plan.images)
        if self.plan.max_minutes is None:
            return 0.0
        return min(1.0, self.call_seconds / (60 * self.plan.max_minutes))

    def __iter__(self) -> Iterator[Progress]:
        """Train to the end of the plan; saves at the end, and when the loop is left early."""
        plan, mean_loss = self.plan, None
        last = saved = evaluated = time.monotonic()
        speed = None
        try:
            while self.fraction < 1 and not self._out_of_time():
                loss = self._train_step()
                mean_loss = loss if mean_loss is None else mean_loss + 0.02 * (loss - mean_loss)
                now = time.monotonic()
                rate = plan.batch_size * self.accelerator.num_processes / (now - last)
                speed = rate if speed is None else speed + 0.05 * (rate - speed)
                self.seconds, self.call_seconds = (
                    self.seconds + now - last,
                    self.call_seconds + now - last,
                )
                evaluation = None
                finished = self.fraction >= 1 or self._out_of_time()
                if finished or now - evaluated > 60 * plan.evaluate_minutes:
                    evaluation, evaluated = self._evaluate(), time.monotonic()
                if finished or now - saved > 60 * plan.save_minutes:
                    self._save()
                    saved = time.monotonic()
                last = time.monotonic()
                yield Progress(
                    self.step,
                    self.images,
                    self.fraction,
                    mean_loss,
                    speed,
                    self._seconds_left(speed),
                    evaluation,
                )
        except FloatingPointError:
            raise  # keep the last good state
        except BaseException:
            self._save()
            if not self.history:
                self._evaluate()  # leave something usable behind a very short run
            raise

    def _train_step(self) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * self._schedule()
        seed = _step_seed(self.plan.seed, self.step, self.accelerator.process_index)
        torch.manual_seed(seed)  # dropout
        loss = self.loss(self.network, seed)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.raw.parameters(), 1.0)
        for name, value in (("loss", loss.item()), ("gradient", norm.item())):
            if not math.isfinite(value):  # before it reaches the weights
                raise FloatingPointError(f"the {name} is {value} at step {self.step}")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.images += self.plan.batch_size * self.accelerator.num_processes
        self._follow(self.average, self.plan.ema)
        if self.long is not None:
            self._follow(self.long, self.plan.long_ema)
        return loss.item()

    @torch.no_grad()
    def _follow(self, average: nn.Module, half_life: float) -> None:
        """Move a weight average; without ``no_grad`` it would grow a graph at every step."""
        batch = self.plan.batch_size * self.accelerator.num_processes
        keep = 0.5 ** (batch / (half_life * self.images))
        torch._foreach_lerp_(list(average.parameters()), list(self.raw.parameters()), 1 - keep)

    def _schedule(self) -> float:
        warmup = min(1.0, (self.step + 1) / self.plan.warmup_steps)
        if self.plan.open_ended:
            return warmup
        if self.plan.finish is not None:
            return warmup * (1 - self.fraction)
        return warmup * min(1.0, (1 - self.fraction) / self.plan.decay + 1e-3)

    def _out_of_time(self) -> bool:
        limit = self.plan.max_minutes
        return limit is not None and self.call_seconds >= 60 * limit

    def _seconds_left(self, speed: float) -> float:
        left = [math.inf]
        if self.plan.images is not None:
            left.append((self.plan.images - self.images) / speed)
        if self.plan.finish is not None:
            left.append((self.branched + self.plan.finish - self.images) / speed)
        if self.plan.max_minutes is not None:
            left.append(60 * self.plan.max_minutes - self.call_seconds)
        return max(0.0, min(left))

    def _evaluate(self) -> dict[str, Any]:
        with torch.no_grad():
            evaluation, best = self.evaluate(self.average), self.average
            if self.long is not None:
                other = self.evaluate(self.long)
                scores = {"short": evaluation["score"], "long": other["score"]}
                if other["score"] < evaluation["score"]:
                    evaluation, best = other, self.long
                evaluation["by_average"] = scores
        self.history.append({"images": self.images, **evaluation})
        if evaluation["score"] < self.best and self.accelerator.is_main_process:
            self.best = evaluation["score"]
            facts = {"images": self.images, "seconds": round(self.seconds), **evaluation}
            self.publish(best, facts | {"plan": asdict(self.plan)})
        return evaluation

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{k}": v for k, v in self.raw.named_parameters()}
        tensors |= {f"average.{k}": v for k, v in self.average.named_parameters()}
        if self.long is not None:
            tensors |= {f"long.{k}": v for k, v in self.long.named_parameters()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        counters = {
            "step": self.step,
            "images": self.images,
            "seconds": self.seconds,
            "best": self.best,
            "history": self.history,
            "branched": self.branched,
        }
        checkpoints.save_tensors(self.state_path, tensors, {"counters": json.dumps(counters)})

    def _load(self, path: Path) -> None:
        tensors, metadata = checkpoints.load_tensors(path)
        if "counters" not in metadata:
            raise checkpoints.CheckpointError(
                f"{path} is not a training state; choose another --out."
            )
        groups = grouped(tensors)
        modules = {"model": self.raw, "average": self.average}
        if self.long is not None:
            modules["long"] = self.long
            groups.setdefault("long", groups["average"])
        for key, module in modules.items():
            parameters = dict(module.named_parameters())
            if parameters.keys() != groups[key].keys() or any(
                p.shape != groups[key][name].shape for name, p in parameters.items()
            ):
                raise checkpoints.CheckpointError(
                    f"{path} belongs to another network; choose another --out."
                )
            module.load_state_dict(groups[key], strict=False)
        restore_optimizer(self.optimizer, groups["optimizer"], path)
        counters = json.loads(metadata["counters"])
        self.step, self.images = counters["step"], counters["images"]
        self.seconds, self.best = counters["seconds"], counters["best"]
        self.history, self.branched = counters["history"], counters.get("branched", 0)


def grouped(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors of a training state by the first part of their names: model, average, optimizer."""
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = tensor
    return groups


def restore_optimizer(
    optimizer: torch.optim.Optimizer, saved: dict[str, Tensor], path: Path | None = None
) -> None:
    """Fill an optimizer with moments, by the index of their weight and their name.

    Raises:
        CheckpointError: If the moments are those of another optimiser.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in saved.items():
        index, _, key = name.partition(".")
        weight = weights[int(index)]
        if tensor.dim() and tensor.shape != weight.shape:
            raise checkpoints.CheckpointError(f"{path} belongs to another optimiser.")
        if tensor.dim():
            # The fused update walks weights and moments as one: they need the same layout.
            tensor = torch.empty_like(weight).copy_(tensor)
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _step_seed(seed: int, step: int, process: int) -> int:
    return (seed * 1_000_003 + step) * 1_009 + process


# ----------------------------------------------------------------------------------------------
# The two networks of the paper


def score_trainer(
    pictures: Tensor,
    held_out: Tensor,
    preset: Preset,
    plan: Plan,
    folder: Path,
    *,
    precision: str = "auto",
    compile: bool = False,
    resume: bool = False,
    cpu: bool = False,
    init: str | Path | None = None,
    facts: dict[str, Any] | None = None,
) -> Trainer:
    """Trainer of the denoiser; the averaged weights that are best on held-out data are published.

    Args:
        pictures: uint8 (n, c, h, w), the training set.
        held_out: uint8 (m, c, h, w), never trained on.
        preset: Shape, bridge and network.
        plan: Length and speed of the run.
        folder: The checkpoint folder.
        precision: "bf16", "fp32", or "auto" (bf16 where the device computes it fast).
        compile: Use torch.compile.
        resume: Continue the run in ``folder``.
        cpu: Do not use an accelerator.
        init: Checkpoint whose weights a new run starts from.
        facts: Further entries of config.json, e.g. the data set and its licence.

    Raises:
        CheckpointError: If ``init`` is unusable or of another shape.
    """
    accelerator = Accelerator(cpu=cpu)
    device = accelerator.device
    flip = plan.flip and preset.flip
    # As many components as pictures would leave no variance for what is unseen.
    rank = min(preset.network.rank, len(pictures) // 2)
    config = replace(preset.network, rank=rank)
    torch.manual_seed(plan.seed)
    denoiser = image_denoiser(config)
    mean, std = mean_and_std(pictures, flip)
    denoiser.mean.copy_(mean)
    denoiser.data_std.fill_(std)
    set_covariance(denoiser, pictures, flip, device)
    if init is not None:
        start_from(denoiser, config, init)
    denoiser = denoiser.to(device, memory_format=torch.channels_last)
    denoiser.bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    if compile:
        denoiser.trunk.compile()
    data = pictures.to(device)
    mean = mean.to(device)

    def loss(network: nn.Module, seed: int) -> Tensor:
        generator = torch.Generator(device).manual_seed(seed)
        x0 = random_batch(data, mean, plan.batch_size, flip, generator)
        s, noise, known_mask = random_corruption(x0, plan, generator)
        return denoising_loss(network, x0, s, noise, known_mask)

    def publish(average: Denoiser, run: dict[str, Any]) -> None:
        bridge = {"sigma": preset.sigma, "tau": preset.tau}
        training = run | {"device": device_name(device), "pictures": len(pictures), "flip": flip}
        checkpoints.save_denoiser(
            folder, average, config, name=preset.name, **bridge, **(facts or {}), training=training
        )

    return Trainer(
        denoiser,
        loss,
        lambda average: held_out_loss(average, held_out[:256].to(device)),
        publish,
        plan,
        folder / "training",
        accelerator,
        resume,
    )


def start_from(denoiser: Denoiser, config: DenoiserConfig, init: str | Path) -> None:
    """Take the weights of a published denoiser; statistics stay those of the data at hand."""
    published, _ = checkpoints.load_denoiser(checkpoints.locate(init))
    weights = published.trunk.state_dict()
    own = denoiser.trunk.state_dict()
    # A missing attention layer starts as the identity, so a checkpoint without it serves too.
    added = {name for name in own.keys() - weights.keys() if "attention" in name}
    if weights.keys() | added != own.keys() or any(
        weights[name].shape != own[name].shape for name in weights
    ):
        raise checkpoints.CheckpointError(f"{init} has another network than this run ({config}).")
    denoiser.trunk.load_state_dict(weights, strict=False)


def set_covariance(denoiser: Denoiser, pictures: Tensor, flip: bool, device: Any) -> None:
    """Measure the covariance of the training set and store it in the Wiener filter.

    With rank 0 (EDM preconditioning) the one variance is that of the pixels.
    """
    linear = denoiser.linear
    if linear.rank == 0:
        linear.rest.copy_(denoiser.data_std**2)
        return
    basis, eigenvalues, rest = principal_components(
        pictures.to(device), denoiser.mean.to(device), linear.rank, flip
    )
    linear.basis.copy_(basis)
    linear.eigenvalues.copy_(eigenvalues)
    linear.rest.copy_(rest)


def random_batch(
    data: Tensor, mean: Tensor, n: int, flip: bool, generator: torch.Generator
) -> Tensor:
    """Draw ``n`` centred pictures, (n, c, h, w), float32, half of them mirrored."""
    device = data.device
    index = torch.randint(len(data), (n,), generator=generator, device=device)
    pictures = data[index] / 255.0
    if flip:
        mirrored = torch.rand(n, 1, 1, 1, generator=generator, device=device) < 0.5
        pictures = torch.where(mirrored, pictures.flip(-1), pictures)
    return pictures - mean


def random_corruption(
    x0: Tensor, plan: Plan, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw noise levels (b,), standard normal noise (b, c, h, w) and known masks (b, 1, h, w)."""
    n, device = len(x0), x0.device
    log_s = torch.randn(n, generator=generator, device=device) * plan.noise_std + plan.noise_mean
    tail = torch.rand(n, generator=generator, device=device) * math.log(40)
    in_tail = torch.rand(n, generator=generator, device=device) < plan.noise_tail
    s = torch.where(in_tail, tail, log_s).exp()
    noise = torch.randn(x0.shape, generator=generator, device=device)
    known_mask = random_masks(n, x0.shape[-1], generator)
    conditional = torch.rand(n, generator=generator, device=device) < plan.conditional
    return s, noise, known_mask & conditional.view(-1, 1, 1, 1)


@torch.no_grad()
def held_out_loss(denoiser: Denoiser, pictures: Tensor, seed: int = 1234) -> dict[str, Any]:
    """Denoising error on held-out pictures, by noise level, under fixed noise.

    Returns:
        ``by_noise_level``: mean squared error for each of `NOISE_LEVELS`; ``linear``: the same
        of the Wiener filter alone; ``score``: mean over the levels of error / c_out^2.
    """
    device = denoiser.mean.device
    x0 = pictures / 255.0 - denoiser.mean
    by_level, linear, relative = {}, {}, []
    for level in NOISE_LEVELS:
        generator = torch.Generator(device).manual_seed(seed)
        noise = torch.randn(x0.shape, generator=generator, device=device)
        errors, filtered = [], []
        for x, z in zip(x0.split(64), noise.split(64), strict=True):
            s = torch.full((len(x),), level, device=device)
            errors.append(denoising_error(denoiser, x, s, z))
            filtered.append(denoising_error(denoiser.linear, x, s, z))
        by_level[f"{level:g}"] = float(torch.cat(errors).mean())
        linear[f"{level:g}"] = float(torch.cat(filtered).mean())
        c_out = denoiser.linear.rms_error(torch.tensor([level], device=device)).item()
        relative.append(by_level[f"{level:g}"] / c_out**2)
    return {
        "score": sum(relative) / len(relative),
        "by_noise_level": by_level,
        "linear": linear,
    }


def ratio_trainer(
    pictures: Tensor,
    held_out: Tensor,
    mean: Tensor,
    plan: Plan,
    folder: Path,
    *,
    sigma: float,
    tau: float,
    channels: int = 64,
    precision: str = "auto",
    resume: bool = False,
    cpu: bool = False,
) -> Trainer:
    """Trainer of the density-ratio network of paper mode (equation 7).

    Args:
        pictures: uint8 (n, c, h, w), the training set.
        held_out: uint8 (m, c, h, w).
        mean: Mean picture (c, h, w) of the denoiser it will be used with.
        plan: Length and speed of the run.
        folder: The checkpoint folder, which already holds the denoiser.
        sigma: Standard deviation of the smoothed density.
        tau: Variance of the reference.
        channels: Width of the network.
        precision: "bf16", "fp32" or "auto".
        resume: Continue the run in ``folder``.
        cpu: Do not use an accelerator.
    """
    accelerator = Accelerator(cpu=cpu)
    device = accelerator.device
    torch.manual_seed(plan.seed)
    arguments = {"shape": list(pictures.shape[1:]), "channels": channels}
    network = DensityRatioNet(**arguments).to(device, memory_format=torch.channels_last)
    bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16(device))
    data, mean = pictures.to(device), mean.to(device)

    def batch_loss(log_ratio: nn.Module, x0: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(2, *x0.shape, generator=generator, device=device)
        smoothed, reference = x0 + sigma * noise[0], math.sqrt(tau) * noise[1]
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return density_ratio_loss(lambda x: log_ratio(x).float(), smoothed, reference)

    def loss(log_ratio: nn.Module, seed: int) -> Tensor:
        generator = torch.Generator(device).manual_seed(seed)
        return batch_loss(
            log_ratio, random_batch(data, mean, plan.batch_size, plan.flip, generator), generator
        )

    def evaluate(average: nn.Module) -> dict[str, Any]:
        generator = torch.Generator(device).manual_seed(1234)
        x0 = held_out[:256].to(device) / 255.0 - mean
        losses = [batch_loss(average, x, generator) for x in x0.split(64)]
        return {"score": float(torch.stack(losses).mean())}

    def publish(average: DensityRatioNet, run: dict[str, Any]) -> None:
        bridge = {"sigma": sigma, "tau": tau}
        checkpoints.save_density_ratio(folder, average, arguments, **bridge, training=run)

    return Trainer(
        network, loss, evaluate, publish, plan, folder / "training-ratio", accelerator, resume
    )
