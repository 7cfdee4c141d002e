"""Training of a Schrödinger bridge between two sets, by half-bridges in turn.

DSB (De Bortoli et al. 2021) is iterative proportional fitting: paths of one direction, simulated
from its own set, train the other by mean matching. DSBM (Shi et al. 2023) is iterative Markovian
fitting: their ends alone are kept and joined by Brownian bridges; it starts from independent
ends. An iteration is two half-bridges, backward then forward, on networks that are used again.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sbcore.data.sets import Ends
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.halfbridge import fit_half_bridge
from sbcore.ipf.network import NetworkConfig, Pair, save_translation
from sbcore.ipf.paths import walk
from sbcore.ipf.plan import BridgePlan
from sbcore.ipf.reference import DIRECTIONS, opposite, schedule
from sbcore.runtime.checkpoints import write_atomically
from sbcore.runtime.devices import channels_last, device_name, uses_bf16
from sbcore.runtime.learner import Learner, WeightAverage, open_accelerator
from sbcore.runtime.metrics import sliced_w2
from sbcore.runtime.noise import generator
from sbcore.runtime.trainer import Trainer, states

LOST = 100.0  # bound on points, in units of the larger spread, beyond which a run has diverged
MEASURED = 10_000  # points that means and spreads are measured on


class BridgeTrainer(Trainer):
    """Trains the two networks of a bridge; iterate it for a `Progress` after every step.

    The simulated paths are a function of the seed and of the frozen weight average of the other
    direction, so a run that is resumed, also within a half-bridge, equals one that was not.

    Args:
        source: Set that "forward" starts from.
        target: Set that it ends in.
        config: The networks.
        plan: Method, schedule and lengths.
        folder: Checkpoint folder; None: nothing is written.
        resume: Continue the run in ``folder``.
        cpu: Do not use an accelerator.
        precision: "bf16", "fp32", or "auto" (bf16 for pictures where the device is fast at it).
        facts: Further entries of config.json.

    Raises:
        ValueError: If the sets differ in shape, or do not fit the network.
        CheckpointError: If the state to resume belongs to another run.
    """

    counters = (*Trainer.counters, "half")

    def __init__(
        self,
        source: Ends,
        target: Ends,
        config: NetworkConfig,
        plan: BridgePlan,
        folder: Path | None = None,
        *,
        resume: bool = False,
        cpu: bool = True,
        precision: str = "auto",
        facts: dict[str, Any] | None = None,
    ) -> None:
        _check_shapes(source, target, config)
        free = ("iterations", "learning_rate", "max_minutes", "save_minutes", "evaluate")
        fixed = {name: value for name, value in asdict(plan).items() if name not in free}
        sets = [[end.name, end.size, end.checksum] for end in (source, target)]
        accelerator = open_accelerator(cpu)
        bf16 = len(config.shape) == 3 and uses_bf16(precision, accelerator.device)
        super().__init__(
            plan,
            folder and folder / "training",
            accelerator,
            fixed | {"data": sets, "network": asdict(config)},
            {"bf16": bf16},
        )
        if self.accelerator.num_processes > 1:
            raise ValueError("a bridge trains on one device: start it without accelerate launch")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.plan, self.folder, self.facts, self._cpu = plan, folder, facts or {}, cpu
        self.device = self.accelerator.device
        self.ends = {"forward": source, "backward": target}  # where a direction starts
        self.parts = schedule(plan.steps, plan.contrast)
        self.length, self.half = plan.total * self.batch, 0
        self.average, self.bound = self._reference(config, bf16)
        self.networks = {"average": self.average}
        self.begin()
        if resume and self.state_path is not None and states(self.state_path.parent):
            self.restore(self.state_path.parent)

    def _reference(self, config: NetworkConfig, bf16: bool) -> tuple[Pair, float]:
        """Untrained networks, which are the reference, and a bound on what a path may reach."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.plan.seed)
            pair = Pair(config)
        source, target = (
            end.draw(MEASURED, generator("cpu", "measure", self.plan.seed, way))
            for way, end in self.ends.items()
        )
        pair.measure(source, target, self.plan.sigma)
        end = pair["forward"]
        spread = end.variances.sqrt().max() + self.plan.sigma + end.means.abs().max()
        pair.to(self.device).eval().requires_grad_(False)
        if len(config.shape) == 3:
            channels_last(pair)
            for way in DIRECTIONS:
                pair[way].bf16 = bf16
        return pair, float(LOST * spread)

    @property
    def direction(self) -> str:
        """Direction that is being trained; the first half-bridge trains the backward one."""
        return "forward" if self.half % 2 else "backward"

    @property
    def iteration(self) -> int:
        """Current iteration, from 1."""
        return min(self.half // 2, self.plan.iterations - 1) + 1

    @property
    def finished(self) -> bool:
        """Whether all half-bridges are done."""
        return self.half >= 2 * self.plan.iterations

    @property
    def due(self) -> bool:
        """Also at the end of a half-bridge."""
        return super().due or self.learner.done >= self.plan.length(self.half)

    @property
    def place(self) -> str:
        """Where the run stands, for an error message."""
        where = f"in the {self.direction} half-bridge of iteration {self.iteration}"
        return f"{where}, step {self.step}"

    def model(self) -> TranslationBridge:
        """The bridge of the weight averages of this moment; a copy."""
        return TranslationBridge(copy.deepcopy(self.average), self._config(), device=self.device)

    # ------------------------------------------------------------------------------------------
    # Half-bridges in turn

    def begin(self) -> None:
        """Start a half-bridge with the average of its direction and a new optimiser."""
        plan, against = self.plan, opposite(self.direction)
        average = self.average[self.direction]
        raw = copy.deepcopy(average).train().requires_grad_(True)
        follower = WeightAverage(raw, plan.ema, into=average)
        # An accelerator of its own: it never lets go of a network that it was given.
        self.learner = Learner(raw, plan, open_accelerator(self._cpu), [follower])
        half = self.half
        self._steps = fit_half_bridge(
            self.learner,
            self.average[against] if half else None,
            self.ends[against],
            self.ends[self.direction],
            plan,
            plan.length(half),
            lambda *key: generator(self.device, plan.seed, half, *key),
            self.bound,
        )

    def advance(self) -> Tensor | None:
        """One step of the half-bridge; None if it was stopped while it measured."""
        return next(self._steps, None)

    def salvage(self) -> None:
        """Leave something usable behind a very short run."""
        if self.folder is not None and not (self.folder / "config.json").exists():
            self.publish()

    def examine(self, last: bool) -> dict[str, Any] | None:
        """At the end of a half-bridge: measure, publish, go on with the other direction."""
        if self.learner.done < self.plan.length(self.half):
            if last:
                self.salvage()
            return None
        evaluation: dict[str, Any] = {
            "iteration": self.half // 2 + 1,
            "half": self.half,
            "step": self.step,
            "trained": self.direction,
            **self.diagnose(self.plan.evaluate),
        }
        if not math.isfinite(evaluation["score"]):
            raise FloatingPointError("a path is lost")
        self.history.append(evaluation)
        self.half, self.loss = self.half + 1, math.nan
        self.begin()  # also after the last one: more iterations may follow
        self.publish()
        return evaluation

    @torch.no_grad()
    def diagnose(self, n: int, seed: int = 0) -> dict[str, Any]:
        """Measure both directions on n fresh paths.

        Returns:
            ``score``: larger distance of the two; for each direction a dictionary: ``distance``
            (sliced W2 of its ends to its set), ``floor`` (of two samples of the set, of its halves
            if there are fewer than 2 n points), ``energy`` (mean squared drift, integrated over
            the path, per value), ``move`` (mean squared distance of start and end, per value),
            ``coupling`` (covariance of start and end, per value).
        """
        found = {way: self._diagnose_one(way, n, seed) for way in DIRECTIONS}
        distances = [each["distance"] for each in found.values()]
        finite = all(map(math.isfinite, distances))  # max would pass over a NaN
        return {"score": max(distances) if finite else math.nan, **found}

    def _diagnose_one(self, direction: str, n: int, seed: int) -> dict[str, float]:
        random = generator(self.device, "diagnose", self.plan.seed, seed, direction)
        start, aim = self.ends[direction].draw(n, random), self.ends[opposite(direction)]

        def draw() -> Tensor:
            return torch.randn(start.shape, generator=random, device=self.device)

        energy, x = 0.0, start
        for moment in walk(self.average[direction], start, self.parts, self.plan.sigma, draw):
            drift = (moment.end - moment.before) / (moment.r + moment.h)
            energy += moment.h * float(drift.square().mean())
            x = moment.x
        truth = aim.draw(n, random)
        some = n if aim.size is None else min(n, aim.size // 2)
        first, second = aim.draw(2 * some, random).chunk(2)
        return {
            "distance": sliced_w2(x, truth),
            "floor": sliced_w2(first, second),
            "energy": energy,
            "move": float((x - start).square().mean()),
            "coupling": float(((start - start.mean(0)) * (x - x.mean(0))).mean()),
        }

    # ------------------------------------------------------------------------------------------
    # Files

    def _config(self) -> dict[str, Any]:
        """Entries of config.json."""
        plan, sets = self.plan, self.ends.values()
        return {
            "name": self.folder.name if self.folder else "",
            "sets": [end.name for end in sets],
            **{name: getattr(plan, name) for name in ("method", "sigma", "steps", "contrast")},
            "range": "[-1, 1]" if len(self.average.config.shape) == 3 else "plane",
            "noise": [end.noise for end in sets],
            **self.facts,
            "training": {
                "half_bridges": self.half,
                "seconds": round(self.seconds),
                "device": device_name(self.device),
                "plan": asdict(plan),
                "last": self.history[-1] if self.history else None,
            },
        }

    def publish(self) -> None:
        """Write the model as it is; keep that of each iteration beside the training state."""
        if self.folder is None:
            return
        save_translation(self.folder, self.average, self._config())
        text = json.dumps(self.history, indent=1)
        write_atomically(self.folder / "history.json", text.encode())
        if self.half and self.half % 2 == 0:
            number, training = self.half // 2, self.folder / "training"
            for old in training.glob("iteration-*") if number == 1 else ():  # of another run
                shutil.rmtree(old)
            save_translation(training / f"iteration-{number}", self.average, self._config())


def _check_shapes(source: Ends, target: Ends, config: NetworkConfig) -> None:
    if source.shape != target.shape:
        raise ValueError(
            f"source and target must have the same shape: {source.name} has {source.shape}, "
            f"{target.name} has {target.shape}"
        )
    if source.shape != config.shape:
        raise ValueError(f"the network is for shape {config.shape}, the sets have {source.shape}")
