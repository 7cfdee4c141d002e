"""The training loop: one optimiser, weight averages, evaluation, exact resume."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sbcore.runtime import checkpoints
from sbcore.runtime.optimizers import OPTIMIZERS, Muon


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
