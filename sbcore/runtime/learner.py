"""Gradient steps on one network, and the averages of its weights."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from sbcore.runtime import checks
from sbcore.runtime.devices import NetworkT
from sbcore.runtime.optimizers import MOMENTS, OPTIMIZERS, make_optimizer

INTERVAL = 50  # steps between looks at the loss where a look waits for the device


def open_accelerator(cpu: bool) -> Accelerator:
    """Device and processes of a run; ``cpu``: no GPU."""
    # Its new name, forward_sync_buffers, is unknown to torch 2.8.
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
    still = DistributedDataParallelKwargs(broadcast_buffers=False)  # buffers do not learn
    return Accelerator(cpu=cpu, kwargs_handlers=[still])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How fast to train, and for how long at a time."""

    batch_size: int = 32
    """Pictures or points of one step, on each device."""
    learning_rate: float = 5e-4
    """Learning rate after the warm-up."""
    warmup_steps: int = 500
    """Steps over which the learning rate rises from 0."""
    optimizer: str = "adam"
    """Adam, or Muon for hidden weights with Adam for the rest."""
    beta1: float = 0.9
    """Decay of the first moment."""
    weight_decay: float = 0.0
    """Of Adam, added to the gradient."""
    ema: float = 0.05
    """Half-life of the weight average, as a part of the run so far."""
    max_minutes: float | None = None
    """Stop after this time, to be resumed."""
    save_minutes: float = 5.0
    """Minutes between writes of the training state."""
    seed: int = 0
    """Of everything random."""

    WHOLE: ClassVar[tuple[str, ...]] = ("batch_size", "warmup_steps")
    ABOVE_0: ClassVar[tuple[str, ...]] = ("learning_rate", "ema", "max_minutes", "save_minutes")

    def __post_init__(self) -> None:
        checks.choice("optimizer", self.optimizer, OPTIMIZERS)
        checks.seed(self.seed)
        given = {name: value for name, value in vars(self).items() if value is not None}
        for name in self.WHOLE:
            if isinstance(given.get(name), float):  # also 64.0, which no index takes
                raise ValueError(f"{name} must be a whole number, got {given[name]}")
            checks.whole(name, given.get(name, 1))
        for name in self.ABOVE_0:
            checks.number(name, given.get(name, 1), above=0)


class WeightAverage(Generic[NetworkT]):
    """An exponential average of weights, whose half-life grows with the run.

    Args:
        network: Whose weights are followed.
        half_life: As a part of the steps so far.
        into: The network that holds the average; None: a copy.
    """

    def __init__(self, network: NetworkT, half_life: float, into: NetworkT | None = None) -> None:
        into = copy.deepcopy(network) if into is None else into
        self.network, self.half_life = into.eval().requires_grad_(False), half_life

    @torch.no_grad()  # else it would hang a graph on the average at every step
    def follow(self, network: nn.Module, steps: int) -> None:
        """Move towards the weights after so many steps."""
        keep = 0.5 ** (1 / (self.half_life * steps))
        for own, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            own.lerp_(weight, 1 - keep)


class Learner(Generic[NetworkT]):
    """A network that follows the gradient, and the averages that follow the network.

    Args:
        network: What is trained, on the accelerator's device.
        plan: Optimiser and rates.
        accelerator: Device and processes.
        averages: Weight averages, moved after every step.

    Attributes:
        interval: Steps between looks at the loss. With 1, loss and gradient are looked at before
            the weights move.
    """

    def __init__(
        self,
        network: NetworkT,
        plan: Plan,
        accelerator: Accelerator,
        averages: list[WeightAverage],
    ) -> None:
        self.raw, self.plan, self.accelerator = network, plan, accelerator
        self.averages, self.done = averages, 0
        self.interval = 1 if accelerator.device.type == "cpu" else INTERVAL
        optimizer = make_optimizer(
            plan.optimizer, network, plan.learning_rate, plan.beta1, plan.weight_decay
        )
        self.network, self.optimizer = accelerator.prepare(network, optimizer)

    def step(self, loss: Tensor, rate: float = 1.0) -> Tensor:
        """One step down the gradient of a loss.

        Args:
            loss: A scalar, a function of the network.
            rate: Part of the learning rate, besides the warm-up.

        Returns:
            Loss, a mean over the processes, and norm of the gradient, (2,), for `finite_loss`.

        Raises:
            FloatingPointError: If ``interval`` is 1 and they are not finite; the weights stay.
        """
        rate *= min(1.0, (self.done + 1) / self.plan.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.learning_rate * rate
        self.accelerator.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.raw.parameters(), 1.0)
        found: Any = self.accelerator.reduce(torch.stack([loss.detach(), norm]), "mean")
        if self.interval == 1:
            finite_loss(found.tolist())
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.done += 1
        for average in self.averages:
            average.follow(self.raw, self.done)
        return found

    def moments(self) -> dict[str, Tensor]:
        """State of the optimiser by ``INDEX.KEY``."""
        state = self.optimizer.state_dict()["state"]
        return {f"{i}.{key}": value for i, moment in state.items() for key, value in moment.items()}

    def load_moments(self, saved: dict[str, Tensor]) -> bool:
        """Fill the optimiser; False if the moments are those of another."""
        every = (weight for group in self.optimizer.param_groups for weight in group["params"])
        weights = {str(i): weight for i, weight in enumerate(every)}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in saved.items():
            index, _, key = name.partition(".")
            weight = weights.get(index)
            if (
                weight is None
                or key not in MOMENTS[self.plan.optimizer]
                or (tensor.dim() and tensor.shape != weight.shape)
            ):
                return False
            if tensor.dim():
                # The fused update walks weights and moments as one: they need the same layout.
                tensor = torch.empty_like(weight).copy_(tensor)
            state.setdefault(int(index), {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        return True


def finite_loss(found: Sequence[float]) -> float:
    """The loss of what `Learner.step` returns.

    Raises:
        FloatingPointError: If it or the gradient is not finite.
    """
    for name, value in zip(("loss", "gradient"), found, strict=True):
        if not math.isfinite(value):
            raise FloatingPointError(f"the {name} is {value}")
    return found[0]
