"""Training of a Schrödinger bridge between two sets, by half-bridges in turn.

DSB (De Bortoli et al. 2021) is iterative proportional fitting: paths of one direction, simulated
from its own set, train the other by mean matching. DSBM (Shi et al. 2023) is iterative Markovian
fitting: their ends alone are kept and joined by Brownian bridges; it starts from independent
ends. An iteration is two half-bridges, backward then forward, on networks that are used again.

A `Fitter` is iterated: it yields `training.Progress` after every step. Leaving the loop saves
the state. The cached paths are a function of the seed and of the frozen weight average of the
other direction, so a run that is resumed, also within a half-bridge, equals one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from sbcore.data.sets import GAUSSIAN, Ends
from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.losses import LEAST, bridge_loss, matching_loss, matching_targets
from sbcore.ipf.network import EndPoint, NetworkConfig, Pair, save_translation
from sbcore.ipf.paths import walk
from sbcore.ipf.reference import METHODS, opposite, schedule
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.devices import device_name, has_fast_bf16
from sbcore.runtime.metrics import sliced_w2
from sbcore.runtime.run import DivergedError
from sbcore.runtime.trainer import Progress, grouped, restore_optimizer

CHUNK = 2048  # points, or pictures of 28x28, of one network call while simulating
LOST = 100.0  # bound on points, in units of the larger spread, beyond which a run has diverged
COUNTERS = ("half", "step", "done", "seconds", "loss", "history")  # of the training state
MEASURED = 10_000  # points that means and spreads are measured on


@dataclass(frozen=True)
class Fitting:
    """How a bridge is fitted."""

    method: str = "dsbm"
    """"dsb" or "dsbm"."""
    sigma: float = 1.0
    """Standard deviation of the Brownian reference over the whole path."""
    steps: int = 20
    """Steps of a path."""
    contrast: float = 10.0
    """Largest over smallest step of the schedule; the last step of `walk` should be small."""
    printed: bool = False
    """Targets of DSB as in its paper, else the mean of the reversed chain (`matching_targets`)."""
    iterations: int = 5
    """IPF or IMF iterations: a backward and a forward half-bridge each."""
    half_steps: int = 1000
    """Training steps of a half-bridge."""
    first: float = 1.0
    """Length of the half-bridges of the first iteration, in others."""
    batch_size: int = 512
    """Points or pictures of one step."""
    learning_rate: float = 1e-3
    """Of Adam; in each half-bridge it falls along a cosine to `final` of it."""
    final: float = 0.05
    """Last over first learning rate of a half-bridge."""
    ema: float = 0.1
    """Half-life of the weight average, as a part of the half-bridge so far."""
    cache: int = 2048
    """Paths simulated at once."""
    refresh: int = 100
    """Steps between simulations."""
    seed: int = 0
    """Of everything random."""
    max_minutes: float | None = None
    """Stop after this time, to be resumed."""
    save_minutes: float = 5.0
    """Minutes between writes of the training state."""
    evaluate: int = 1000
    """Points behind the distances after a half-bridge."""

    def __post_init__(self) -> None:
        checks.choice("method", self.method, METHODS)
        schedule(self.steps, self.contrast)
        for name in ("iterations", "half_steps", "batch_size", "cache", "refresh"):
            checks.whole(name, getattr(self, name))
        checks.whole("evaluate", self.evaluate, least=2)
        for name in ("sigma", "first", "learning_rate", "final", "ema", "max_minutes"):
            value = getattr(self, name)
            if value is not None and not (checks.is_number(value) and value > 0):
                raise ValueError(f"{name} must be a finite number > 0, got {value}")
        checks.seed(self.seed)

    def length(self, half: int) -> int:
        """Training steps of a half-bridge, counted from 0."""
        return max(1, round(self.half_steps * (self.first if half < 2 else 1)))

    @property
    def total(self) -> int:
        """Training steps in all."""
        return sum(self.length(half) for half in range(2 * self.iterations))


SETTINGS = tuple(
    setting.name for setting in fields(Fitting) if setting.name not in ("final", "ema")
)
"""Entries of `Fitting` that a command line sets."""


@dataclass
class _Cache:
    """Simulated paths: what a half-bridge learns from."""

    key: tuple[int, int]
    """Half-bridge, and which simulation of it."""
    first: Tensor
    """DSB: states (paths * steps, ...); DSBM: starts of the trained direction (paths, ...)."""
    second: Tensor
    """DSB: mean moves; DSBM: ends."""
    r: Tensor = field(default_factory=lambda: torch.zeros(0))
    """DSB: part to come at each state."""
    h: Tensor = field(default_factory=lambda: torch.zeros(0))
    """DSB: part of each step."""


class Fitter:
    """Trains the two networks of a bridge.

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

    def __init__(
        self,
        source: Ends,
        target: Ends,
        config: NetworkConfig,
        plan: Fitting,
        folder: Path | None = None,
        *,
        resume: bool = False,
        cpu: bool = True,
        precision: str = "auto",
        facts: dict[str, Any] | None = None,
    ) -> None:
        self.plan, self.folder, self.facts = plan, folder, facts or {}
        self.ends = {"forward": source, "backward": target}  # where a direction starts
        self.accelerator = Accelerator(cpu=cpu)
        self.device = self.accelerator.device
        self.parts = schedule(plan.steps, plan.contrast)
        samples = [end.draw(MEASURED, self._generator(i)) for i, end in enumerate((source, target))]
        shapes = [source.shape, target.shape]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"source and target must have the same shape: {source.name} has {shapes[0]}, "
                f"{target.name} has {shapes[1]}"
            )
        if shapes[0] != config.shape:
            raise ValueError(f"the network is for shape {config.shape}, the sets have {shapes[0]}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            pair = Pair(config)
        pair.measure(*samples, plan.sigma)
        spreads = pair["forward"].variances.sqrt().max() + plan.sigma
        self.bound = float(LOST * (spreads + pair["forward"].means.abs().max()))
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.average = pair.to(self.device).eval().requires_grad_(False)
        if len(config.shape) == 3:
            self.average.to(memory_format=torch.channels_last)
            fast = has_fast_bf16(self.device)
            for direction in self.ends:
                end = self.average[direction]
                end.bf16 = precision == "bf16" or (precision == "auto" and fast)
        self.half, self.step, self.done, self.seconds, self.loss = 0, 0, 0, 0.0, 0.0
        self.history: list[dict[str, Any]] = []
        self._cache: _Cache | None = None
        self._start_half()
        if resume and folder is not None and self.state_path.exists():
            self._load()
        self.call_seconds, self._steps_here = 0.0, 0

    @property
    def state_path(self) -> Path:
        """File of the training state."""
        return self.folder / "training" / "training.safetensors"

    @property
    def direction(self) -> str:
        """Direction that is being trained; the first half-bridge trains the backward one."""
        return "forward" if self.half % 2 else "backward"

    @property
    def iteration(self) -> int:
        """Current iteration, from 1."""
        return min(self.half // 2, self.plan.iterations - 1) + 1

    def model(self) -> TranslationBridge:
        """The bridge of the weight averages of this moment; a copy."""
        return TranslationBridge(copy.deepcopy(self.average), self._config(), device=self.device)

    # ------------------------------------------------------------------------------------------
    # The loop

    def __iter__(self) -> Iterator[Progress]:
        """Train to the end of the plan.

        Raises:
            DivergedError: If the loss, the gradient or the paths leave the finite numbers; the
                checkpoint then is that of the last half-bridge that ended well.
        """
        speed = None
        last = saved = time.monotonic()
        try:
            while not self.finished and not self._out_of_time():
                length = self.plan.length(self.half)
                if self.done < length:  # else it was stopped while it measured
                    self._train_step()
                evaluation = self._end_half() if self.done == length else None
                now = time.monotonic()
                seconds = now - last
                rate = self.plan.batch_size / seconds
                speed = rate if speed is None else speed + 0.05 * (rate - speed)
                self.seconds += seconds
                self.call_seconds += seconds
                last = now
                if evaluation or now - saved > 60 * self.plan.save_minutes or self._out_of_time():
                    self._save()
                    saved = time.monotonic()
                yield self._progress(speed, evaluation)
        except DivergedError:
            raise  # keep the last good state
        except BaseException:
            self._save()
            raise

    @property
    def finished(self) -> bool:
        """Whether all half-bridges are done."""
        return self.half >= 2 * self.plan.iterations

    def _progress(self, speed: float, evaluation: dict[str, Any] | None) -> Progress:
        images = self.step * self.plan.batch_size
        fraction = self.step / self.plan.total
        left = self.call_seconds / max(1, self._steps_here) * (self.plan.total - self.step)
        if self.plan.max_minutes is not None:
            left = min(left, max(0.0, 60 * self.plan.max_minutes - self.call_seconds))
        return Progress(self.step, images, fraction, self.loss, speed, left, evaluation)

    def _out_of_time(self) -> bool:
        limit = self.plan.max_minutes
        return limit is not None and self.call_seconds >= 60 * limit

    def _start_half(self) -> None:
        """Begin with the average of the direction that is trained, and a new optimiser."""
        self.raw = copy.deepcopy(self.average[self.direction]).train().requires_grad_(True)
        self.optimizer = torch.optim.Adam(
            self.raw.parameters(), lr=self.plan.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.done = 0

    def _end_half(self) -> dict[str, Any]:
        """Measure, publish, go on with the other direction."""
        evaluation = self.diagnose(self.plan.evaluate)
        numbers = {"iteration": self.half // 2 + 1, "half": self.half, "step": self.step}
        evaluation = numbers | {"trained": self.direction} | evaluation
        if not math.isfinite(evaluation["score"]):
            raise self._diverged("a path", evaluation["score"])
        self.history.append(evaluation)
        self.half += 1
        self._start_half()  # also after the last one: more iterations may follow
        self.publish()
        self._keep_iteration()
        return evaluation

    def _train_step(self) -> None:
        plan, group = self.plan, self.optimizer.param_groups[0]
        part = self.done / plan.length(self.half)
        cosine = (1 + math.cos(math.pi * part)) / 2
        group["lr"] = plan.learning_rate * (plan.final + (1 - plan.final) * cosine)
        group["lr"] *= min(1.0, (self.done + 1) / 20)
        loss = self._loss(self._fresh_cache(), self._generator(2, self.step))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.raw.parameters(), 1.0)
        loss, norm = loss.item(), norm.item()
        for name, value in (("loss", loss), ("gradient", norm)):
            if not math.isfinite(value):  # before it reaches the weights
                raise self._diverged(f"the {name}", value)
        self.optimizer.step()
        self.step += 1
        self.done += 1
        self._steps_here += 1
        keep = 0.5 ** (1 / (plan.ema * self.done))
        average = self.average[self.direction]
        torch._foreach_lerp_(list(average.parameters()), list(self.raw.parameters()), 1 - keep)
        self.loss += (1.0 if self.done == 1 else 0.02) * (loss - self.loss)

    def _loss(self, cache: _Cache, generator: torch.Generator) -> Tensor:
        """Loss of one random batch of the cached paths."""
        n, sigma = self.plan.batch_size, self.plan.sigma
        index = torch.randint(len(cache.first), (n,), generator=generator, device=self.device)
        first, second = cache.first[index], cache.second[index]
        if self.plan.method == "dsb":
            return matching_loss(self.raw, first, second, cache.r[index], cache.h[index], sigma)
        # Uniform in sqrt(r): the network must be sharp near the end.
        level = torch.rand(n, generator=generator, device=self.device)
        level = (level + torch.arange(n, device=self.device)) / n
        r = (math.sqrt(LEAST) + (1 - math.sqrt(LEAST)) * level).square()
        noise = torch.randn(first.shape, generator=generator, device=self.device)
        return bridge_loss(self.raw, first, second, r, noise, sigma)

    # ------------------------------------------------------------------------------------------
    # Simulated paths

    def _fresh_cache(self) -> _Cache:
        """The paths of this step, simulated anew every ``refresh`` steps."""
        key = (self.half, self.done // self.plan.refresh)
        if self._cache is None or self._cache.key != key:
            self._cache = None  # free the old one first
            self._cache = self._simulate(key)
        return self._cache

    @torch.no_grad()
    def _simulate(self, key: tuple[int, int]) -> _Cache:
        """Paths of the direction that is not trained, by its weight average."""
        plan, generator = self.plan, self._generator(3, *key)
        against = opposite(self.direction)
        end = self.average[against] if key[0] else None  # nothing is trained yet
        found = []
        for first in range(0, plan.cache, CHUNK):
            n = min(CHUNK, plan.cache - first)
            start = self.ends[against].draw(-(-n // 2), generator).repeat_interleave(2, 0)[:n]
            found.append(self._simulate_from(start, end, generator))
        first, second = (torch.cat(parts) for parts in zip(*found, strict=True))
        for value in (first, second):
            if not bool((value.abs() < self.bound).all()):
                raise self._diverged("a path", math.inf)
        if plan.method == "dsbm":
            return _Cache(key, first, second)
        # After k + 1 steps of the other direction, that part is to come in this one.
        parts = torch.tensor(self.parts, device=self.device)
        r, h = parts.cumsum(0).clamp(max=1), parts
        paths = len(first)
        return _Cache(
            key, first.flatten(0, 1), second.flatten(0, 1), r.repeat(paths), h.repeat(paths)
        )

    def _simulate_from(
        self, start: Tensor, end: EndPoint | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The two tensors of a `_Cache` for paths from ``start``."""
        plan, signs = self.plan, torch.ones(len(start), device=self.device)
        signs[1::2] = -1

        def draw() -> Tensor:
            """Two paths from each start with opposite noise: its mean cancels."""
            half = torch.randn(
                -(-len(start) // 2), *start.shape[1:], generator=generator, device=self.device
            )
            both = half.repeat_interleave(2, 0)[: len(start)]
            return both * signs.reshape(-1, *[1] * (start.dim() - 1))

        if plan.method == "dsb":
            return matching_targets(end, start, self.parts, plan.sigma, draw, printed=plan.printed)
        if end is None:  # independent ends
            return self.ends[self.direction].draw(len(start), generator), start
        *_, last = walk(end, start, self.parts, plan.sigma, draw)
        return last.x, start

    def _generator(self, *key: int) -> torch.Generator:
        """A generator of its own for each purpose; key[0] is the purpose."""
        seed = self.plan.seed
        for number in key:
            seed = (seed * 1_000_003 + number + 1) % (2**61 - 1)
        return torch.Generator(self.device).manual_seed(seed)

    # ------------------------------------------------------------------------------------------
    # Diagnostics

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
        found: dict[str, Any] = {}
        for place, direction in enumerate(self.ends):
            generator = self._generator(4, seed, place)
            start = self.ends[direction].draw(n, generator)
            energy, x = 0.0, start
            for moment in self._walk(start, direction, generator):
                drift = (moment.end - moment.before) / (moment.r + moment.h)
                energy += moment.h * float(drift.square().mean())
                x = moment.x
            aim = self.ends[opposite(direction)]
            truth = aim.draw(n, generator)
            some = n if aim.size is None else min(n, aim.size // 2)
            apart = (start - start.mean(0)) * (x - x.mean(0))
            found[direction] = {
                "distance": sliced_w2(x, truth),
                "floor": sliced_w2(*aim.draw(2 * some, generator).chunk(2)),
                "energy": energy,
                "move": float((x - start).square().mean()),
                "coupling": float(apart.mean()),
            }
        distances = [found[direction]["distance"] for direction in self.ends]
        finite = all(map(math.isfinite, distances))  # max would pass over a NaN
        return {"score": max(distances) if finite else math.nan, **found}

    def _walk(self, start: Tensor, direction: str, generator: torch.Generator) -> Iterator:
        def draw() -> Tensor:
            return torch.randn(start.shape, generator=generator, device=self.device)

        return walk(self.average[direction], start, self.parts, self.plan.sigma, draw)

    # ------------------------------------------------------------------------------------------
    # Files

    def _config(self) -> dict[str, Any]:
        """Entries of config.json."""
        plan = self.plan
        return {
            "name": self.folder.name if self.folder else "",
            "sets": [self.ends["forward"].name, self.ends["backward"].name],
            **{name: getattr(plan, name) for name in ("method", "sigma", "steps", "contrast")},
            "range": "[-1, 1]" if len(self.average.config.shape) == 3 else "plane",
            "noise": [end.name == GAUSSIAN for end in self.ends.values()],
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
        """Write the model as it is."""
        if self.folder is None:
            return
        save_translation(self.folder, self.average, self._config())
        text = json.dumps(self.history, indent=1)
        (self.folder / "history.json").write_text(text, encoding="utf-8")

    def _keep_iteration(self) -> None:
        """Keep the model of each iteration beside the training state, to compare them."""
        if self.folder is not None and self.half % 2 == 0:
            number, folder = self.half // 2, self.state_path.parent
            for old in folder.glob("iteration-*") if number == 1 else ():  # of another run
                shutil.rmtree(old)
            save_translation(folder / f"iteration-{number}", self.average, self._config())

    def _save(self) -> None:
        """Write the training state; the model, too, where there is none yet."""
        if self.folder is None:
            return
        if not (self.folder / "config.json").exists():
            self.publish()
        self.state_path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{k}": v for k, v in self.raw.named_parameters()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
        counters = {
            "run": self._identity(),
            **{name: getattr(self, name) for name in COUNTERS},
        }
        checkpoints.save_tensors(self.state_path, tensors, {"counters": json.dumps(counters)})

    def _identity(self) -> dict[str, Any]:
        """What a run that is resumed must share."""
        free = ("max_minutes", "save_minutes", "iterations")
        plan = {name: value for name, value in asdict(self.plan).items() if name not in free}
        sets = [end.name for end in self.ends.values()]
        return json.loads(json.dumps(plan | {"sets": sets} | asdict(self.average.config)))

    def _load(self) -> None:
        tensors, metadata = checkpoints.load_tensors(self.state_path)
        counters = json.loads(metadata.get("counters", "{}"))
        if counters.get("run") != self._identity():
            raise checkpoints.CheckpointError(
                f"{self.state_path} belongs to another run; choose another --out."
            )
        groups = grouped(tensors)
        self.average.load_state_dict(groups["average"])
        for name in COUNTERS:
            setattr(self, name, counters[name])
        done = self.done
        self._start_half()
        self.done = done
        self.raw.load_state_dict(groups["model"], strict=False)
        restore_optimizer(self.optimizer, groups["optimizer"])

    def _diverged(self, what: str, value: float) -> DivergedError:
        saved = self.folder is not None and self.state_path.exists()
        kept = f"; {self.folder} keeps the last good state" if saved else ""
        return DivergedError(
            f"the run diverged: {what} is {value} in the {self.direction} half-bridge of "
            f"iteration {self.iteration}, step {self.step}{kept}; take a smaller learning rate "
            "or more steps"
        )
