"""The one training loop: a clock, a time budget, stop, exact resume, the best average published.

A `Trainer` runs a `Learner` under a clock and keeps its state on disk; a subclass says what is
learned and when it is measured: `NetworkTrainer` for one network and one loss,
`sbcore.ipf.training.BridgeTrainer` for the half-bridges of IPF.
"""

from __future__ import annotations

import json
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from sbcore.runtime import checkpoints
from sbcore.runtime.learner import Learner, Plan, WeightAverage, finite_loss
from sbcore.runtime.noise import generator
from sbcore.runtime.run import DivergedError

STATE, PREVIOUS = "training.safetensors", "previous.safetensors"
LATER = ("loss",)  # counters that the first states did not hold
LENGTH = ("images", "open_ended")  # settings that a branch has of its own
PER_CALL = ("max_minutes", "save_minutes", "evaluate_minutes")  # settings of a call, not of a run
logger = logging.getLogger(__name__)


def states(folder: Path) -> list[Path]:
    """The training states in a folder, the newest first."""
    return [path for path in (folder / STATE, folder / PREVIOUS) if path.exists()]


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int
    images: int
    """Pictures or points seen in all, over every resumption and device."""
    fraction: float
    """Part of the run that is done, in [0, 1]."""
    loss: float
    """Mean training loss of about the last 50 steps."""
    images_per_second: float
    seconds_left: float
    evaluation: dict[str, Any] | None = field(default=None, repr=False)
    """What was measured, when a measurement was due after this step."""


class Trainer(ABC):
    """A run: iterate it, and it yields a `Progress` after every step. Leaving the loop saves.

    Args:
        plan: Rates and times.
        folder: Where the training state is kept; None: nowhere.
        accelerator: Devices and processes.
        identity: What a resumed run must share with the saved one, besides optimiser, seed and
            batch size.
        settings: What else a resumed run may change, besides the plan: that is said.
    """

    learner: Learner[Any]
    networks: dict[str, nn.Module]
    """What the training state holds beside the learner's network, by name."""
    counters: ClassVar[tuple[str, ...]] = ("step", "images", "seconds", "loss", "history")
    """Attributes that the training state holds."""
    length: float = math.inf
    """Pictures or points of the run; infinite if its time is its length, or it has no end."""
    timed: bool = False
    """Whether the time budget is the length of the run, over all resumptions."""
    branched: int = 0
    """Pictures or points seen before this run branched off another."""

    def __init__(
        self,
        plan: Plan,
        folder: Path | None,
        accelerator: Accelerator,
        identity: dict[str, Any],
        settings: dict[str, Any],
    ) -> None:
        self.accelerator, self.save_seconds = accelerator, 60 * plan.save_minutes
        self.max_seconds = 60 * (math.inf if plan.max_minutes is None else plan.max_minutes)
        self.state_path = None if folder is None else folder / STATE
        self.batch = plan.batch_size * accelerator.num_processes
        shared = {"optimizer": plan.optimizer, "seed": plan.seed, "batch size": self.batch}
        self.identity: dict[str, Any] = json.loads(json.dumps(shared | identity))
        chosen = {name: value for name, value in asdict(plan).items() if name not in PER_CALL}
        chosen |= settings | {"device": accelerator.device.type}
        self.settings: dict[str, Any] = json.loads(json.dumps(chosen))
        self._sound = False  # whether the newest state on disk is one that this process knows
        self.step, self.images, self.seconds, self.loss = 0, 0, 0.0, math.nan
        self.history: list[dict[str, Any]] = []
        self.call_seconds, self.call_images, self._ticked = 0.0, 0, 0.0  # since it was resumed
        self._unread: list[Tensor] = []  # what the steps since the last look returned
        self._stopped = False

    @abstractmethod
    def advance(self) -> Tensor | None:
        """One step of the learner; what it returns. None if only a measurement is left to do."""

    @abstractmethod
    def examine(self, last: bool) -> dict[str, Any] | None:
        """Measure and publish if that is due; ``last``: the run ends or is out of time."""

    @abstractmethod
    def salvage(self) -> None:
        """Publish what there is if nothing has been published: the run is stopped."""

    def begin(self) -> None:  # noqa: B027  a hook
        """Make the learner for where the counters stand."""

    @property
    def place(self) -> str:
        """Where the run stands, for an error message."""
        return f"at step {self.step}"

    @property
    def fraction(self) -> float:
        """Part of the run that is done, in [0, 1]."""
        seen = (self.images - self.branched) / self.length
        return min(1.0, self.seconds / self.max_seconds if self.timed else seen)

    @property
    def finished(self) -> bool:
        """Whether the whole length is done."""
        return self.fraction >= 1

    @property
    def due(self) -> bool:
        """Whether losses and clock are looked at after this step, and what hangs on them is done.

        A look waits for the device, and for the other processes: at the first step of a call, for
        people, then at intervals, and at the end.
        """
        first = self.call_images <= self.batch
        return first or self.step % self.learner.interval == 0 or self.finished

    @property
    def seconds_left(self) -> float:
        """Of the time budget: of all calls if it is the length of the run, else of this one."""
        return self.max_seconds - (self.seconds if self.timed else self.call_seconds)

    def __iter__(self) -> Iterator[Progress]:
        """Train until the run is finished or out of time.

        Raises:
            DivergedError: If something is not finite; what was saved before stays.
            OSError: If the state cannot be written, before the first step if it is so already.
        """
        try:
            yield from self._train()
        except FloatingPointError as error:
            raise DivergedError(self._diverged(error)) from error

    def stop(self) -> None:
        """Stop, as Ctrl-C does, at the next look at the clock: all processes at the same step."""
        self._stopped = True

    def _train(self) -> Iterator[Progress]:
        over = self.finished or self.seconds_left <= 0
        self.accelerator.wait_for_everyone()  # another may be reading the state
        if not over:
            self.save()  # what cannot be written should be known now, not after minutes
        self._ticked, saved, speed, left = time.monotonic(), self.call_seconds, 0.0, math.inf
        try:
            while not over:
                self._count(self.advance())
                evaluation = None
                if self.due:
                    steps = len(self._unread)
                    self._read_losses()
                    rate = steps * self.batch / max(1e-9, self._tick())
                    speed += (1 - 0.95**steps if speed else 1.0) * (rate - speed)
                    over = self.finished or self.seconds_left <= 0
                    evaluation = self.examine(over)
                    over = over or self.finished
                    self._tick()
                    if over or evaluation or self.call_seconds - saved > self.save_seconds:
                        self.save()
                        saved = self.call_seconds
                    pace = self.call_seconds / max(self.call_images, self.batch)
                    left = pace * (self.length + self.branched - self.images)
                    left = max(0.0, min(self.seconds_left, left))
                part = self.fraction
                yield Progress(self.step, self.images, part, self.loss, speed, left, evaluation)
        except FloatingPointError:
            raise  # nothing of this is saved
        except BaseException:
            self.save()
            self.salvage()
            raise

    def _count(self, found: Tensor | None) -> None:
        if found is not None:
            self.step += 1
            self.images += self.batch
            self.call_images += self.batch
            self._unread.append(found)

    def _read_losses(self) -> None:
        """Take the losses since the last look into their mean; refuse what is not finite."""
        for found in torch.stack(self._unread).tolist() if self._unread else ():
            loss = finite_loss(found)
            self.loss = loss if math.isnan(self.loss) else self.loss + 0.02 * (loss - self.loss)
        self._unread = []

    def _tick(self) -> float:
        """Move the clock on; seconds since the last tick."""
        now = time.monotonic()
        seconds, self._ticked = now - self._ticked, now
        if self.accelerator.num_processes > 1:  # one clock: all must stop at the same step
            ours = torch.tensor(
                [seconds if self.accelerator.is_main_process else 0.0, self._stopped],
                device=self.accelerator.device,
            )
            torch.distributed.all_reduce(ours, torch.distributed.ReduceOp.MAX)
            seconds, stopped = ours.tolist()
            self._stopped = bool(stopped)
        self.seconds += seconds
        self.call_seconds += seconds
        if self._stopped:
            raise KeyboardInterrupt
        return seconds

    def _diverged(self, error: FloatingPointError) -> str:
        note = f"; {self.state_path} keeps the last good state" if self.state_path else ""
        return f"the run diverged: {error} {self.place}{note}; take a smaller learning rate"

    # ------------------------------------------------------------------------------------------
    # State

    def save(self) -> None:
        """Write the training state: weights, averages, moments, counters; keep the one before.

        Raises:
            FloatingPointError: If the run has diverged; nothing is written.
            OSError: If it cannot be written.
        """
        self._read_losses()
        if self.state_path is None or not self.accelerator.is_main_process:
            return
        self.state_path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"optimizer.{name}": value for name, value in self.learner.moments().items()}
        for name, network in (self.networks | {"model": self.learner.raw}).items():
            tensors |= {f"{name}.{key}": value for key, value in network.named_parameters()}
        counters = {name: getattr(self, name) for name in self.counters}
        counters |= {"done": self.learner.done, "run": self.identity, "settings": self.settings}
        facts = {"counters": json.dumps(counters)}
        facts["checksum"] = checkpoints.fingerprint(tensors, **facts)
        previous = self.state_path.with_name(PREVIOUS)
        checkpoints.save_tensors(self.state_path, tensors, facts, previous if self._sound else None)
        if not self._sound:
            previous.unlink(missing_ok=True)  # of another run, or this state is its heir
        self._sound = True

    def restore(self, folder: Path) -> None:
        """Go on from the training state in a folder, or from the one before if that is damaged.

        Raises:
            CheckpointError: If it is none, or that of another run; one sentence says why.
        """
        path = folder / STATE
        try:
            tensors, counters = self._read(path)
            self._sound = True
        except checkpoints.CheckpointError as error:
            path = folder / PREVIOUS
            if not path.exists():
                raise
            tensors, counters = self._read(path)
            logger.warning("%s The run goes on from %s, step %d.", error, path, counters["step"])
        self._refuse_another(path, counters.get("run", {}))
        for name in self.counters:
            setattr(self, name, counters.get(name, getattr(self, name)))
        self.begin()
        self.learner.done = counters.get("done", self.step)
        groups: dict[str, dict[str, Tensor]] = {"optimizer": {}}
        for name, tensor in tensors.items():
            group, _, key = name.partition(".")
            groups.setdefault(group, {})[key] = tensor
        for name, network in (self.networks | {"model": self.learner.raw}).items():
            # A second average that the run did not have starts as the first.
            weights = groups.get(name, groups.get("average", {}))
            own = dict(network.named_parameters())
            if own.keys() != weights.keys() or any(own[k].shape != weights[k].shape for k in own):
                raise _of_another(path, "network")
            network.load_state_dict(weights, strict=False)
        if not self.learner.load_moments(groups["optimizer"]):
            raise _of_another(path, "optimizer")
        self._say_what_changes(counters.get("settings", {}))

    def _read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and counters of a state; a CheckpointError if they cannot be trusted."""
        tensors, facts = checkpoints.load_tensors(path)
        checksum = facts.pop("checksum", None)  # the first states held none
        if checksum is not None and checksum != checkpoints.fingerprint(tensors, **facts):
            raise checkpoints.CheckpointError(f"{path} is damaged: its checksum does not fit.")
        try:
            counters = json.loads(facts["counters"])
            for name in set(self.counters) - {*LATER}:
                if not isinstance(counters[name], type(getattr(self, name))):
                    raise TypeError(name)
        except (KeyError, TypeError, ValueError) as error:
            raise checkpoints.CheckpointError(
                f"{path} is not a training state; choose another --out."
            ) from error
        return tensors, counters

    def _refuse_another(self, path: Path, saved: dict[str, Any]) -> None:
        for name, now in self.identity.items():
            if saved.get(name, now) != now:
                values = "" if isinstance(now, dict) else f" ({saved[name]}, not {now})"
                raise _of_another(path, name + values)

    def _say_what_changes(self, saved: dict[str, Any]) -> None:
        changes = [
            f"{name.replace('_', ' ')} {now} instead of {saved[name]}"
            for name, now in self.settings.items()
            if saved.get(name) not in (None, now)
        ]
        if changes and self.accelerator.is_main_process:
            logger.warning("The run goes on with %s.", ", ".join(changes))


def _of_another(path: Path, what: str) -> checkpoints.CheckpointError:
    return checkpoints.CheckpointError(
        f"{path} belongs to a run of another {what}; go on as it began, or choose another --out."
    )


# ----------------------------------------------------------------------------------------------
# One network, one loss


@dataclass(frozen=True, kw_only=True)
class NetworkPlan(Plan):
    """How long to train one network, and how its learning rate ends."""

    images: int | None = None
    """Training pictures in all; without, the time is the length, over all resumptions."""
    decay: float = 0.3
    """Last part of the run over which the learning rate falls linearly to 0."""
    open_ended: bool = False
    """No planned end: a constant learning rate, until the run is stopped."""
    finish: int | None = None
    """Branch off the run so far: the learning rate falls to 0 over so many pictures."""
    long_ema: float | None = None
    """Half-life of a second weight average; the better of the two is published."""
    evaluate_minutes: float = 10.0
    """Minutes between measurements on held-out pictures."""

    WHOLE: ClassVar[tuple[str, ...]] = (*Plan.WHOLE, "images", "finish")
    ABOVE_0: ClassVar[tuple[str, ...]] = (*Plan.ABOVE_0, "decay", "long_ema", "evaluate_minutes")

    def __post_init__(self) -> None:
        super().__post_init__()
        endless = self.open_ended or self.finish is not None
        if not endless and self.images is None and self.max_minutes is None:
            raise ValueError("give the length of the run: images or max_minutes")

    def rate(self, fraction: float) -> float:
        """Part of the learning rate after this part of the run."""
        if self.finish is not None:
            return 1 - fraction
        return 1.0 if self.open_ended else min(1.0, (1 - fraction) / self.decay + 1e-3)


class NetworkTrainer(Trainer):
    """Trains one network with one loss; publishes its best average.

    Args:
        network: What is trained.
        loss: Maps (network, generator) to a scalar loss of this process's rows of one random batch;
            the loss of the batch is the mean over the processes.
        evaluate: Maps an averaged network to a dictionary with key ``score`` (lower is better).
        publish: Called with the averaged network and facts of the run when it is the best so far.
        plan: Length and rates.
        folder: Where the training state is kept.
        accelerator: Devices and processes.
        identity: What a resumed run must share with the saved one: network and data.
        settings: What else it may change, besides the plan: that is said.
        resume: Go on from the state in ``folder`` if there is one.

    Raises:
        ValueError: If there is no run to finish.
        CheckpointError: If the state to resume is unusable or that of another run.
    """

    counters = (*Trainer.counters, "best", "branched")

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[nn.Module, torch.Generator], Tensor],
        evaluate: Callable[[Any], dict[str, Any]],
        publish: Callable[[Any, dict[str, Any]], None],
        plan: NetworkPlan,
        folder: Path,
        accelerator: Accelerator,
        *,
        identity: dict[str, Any],
        settings: dict[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        branch = folder if plan.finish is None else folder.with_name(f"{folder.name}-finish")
        super().__init__(plan, branch, accelerator, identity, settings or {})
        self.plan, self.evaluate, self.publish, self.batch_loss = plan, evaluate, publish, loss
        network = network.to(accelerator.device)
        for buffer in network.buffers():  # measured by each process, with its own last bits
            broadcast(buffer)
        averages = {"average": WeightAverage(network, plan.ema)}
        if plan.long_ema is not None:
            averages["long"] = WeightAverage(network, plan.long_ema)
        self.networks = {name: average.network for name, average in averages.items()}
        self.learner = Learner(network, plan, accelerator, list(averages.values()))
        self.best, self._evaluated = math.inf, 0.0
        planned = plan.images if plan.finish is None else plan.finish
        self.length = math.inf if planned is None else planned
        self.timed = planned is None and not plan.open_ended
        if resume and states(branch):
            self.restore(branch)
        elif plan.finish is not None:
            if not states(folder):
                raise ValueError(f"there is no run to finish: {folder / STATE} is missing")
            self.settings = {k: v for k, v in self.settings.items() if k not in LENGTH}
            self.restore(folder)
            self.branched, self.best, self._sound = self.images, math.inf, False

    def advance(self) -> Tensor:
        """One step of the learner, on a batch that is the same however many processes share it."""
        random = generator(self.accelerator.device, "batch", self.plan.seed, self.step)
        torch.manual_seed(random.initial_seed() + self.accelerator.process_index)  # dropout
        loss = self.batch_loss(self.learner.network, random)
        return self.learner.step(loss, self.plan.rate(self.fraction))

    def salvage(self) -> None:
        """Leave something usable behind a very short run."""
        if not self.history:
            self.examine(last=True)

    @torch.no_grad()
    def examine(self, last: bool) -> dict[str, Any] | None:
        """Measure the averages on held-out pictures and publish the best, if that is due."""
        waited = self.call_seconds - self._evaluated
        if not last and waited <= 60 * self.plan.evaluate_minutes:
            return None
        found = {name: self.evaluate(network) for name, network in self.networks.items()}
        best = min(found, key=lambda name: found[name]["score"])
        evaluation = dict(found[best])
        if len(found) > 1:
            evaluation["by_average"] = {name: each["score"] for name, each in found.items()}
        self.history.append({"images": self.images, **evaluation})
        self._evaluated = self.call_seconds
        if evaluation["score"] < self.best:
            self.best = evaluation["score"]
            if self.accelerator.is_main_process:
                facts = {"images": self.images, "seconds": round(self.seconds), **evaluation}
                self.publish(self.networks[best], facts | {"plan": asdict(self.plan)})
        return evaluation
