"""From the steps of a bridge to what a visitor sees: previews, progress, results, reports.

No Gradio here and no torch: pictures leave as float arrays (h, w, c).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from sbcore import DEFAULTS, SOLVERS, Bridge, PaperMode, Step

PREVIEWS_PER_SECOND = 10
FITTED = "fitted rule"  # the solver of instant mode, of models that have one
PAPER_STEPS = PaperMode().n2  # of a stage


class Stopped(Exception):
    """Thrown into a handler, at its yield, when its visitor presses Stop."""


@dataclass(frozen=True)
class Update:
    """A moment of a run."""

    step: Step
    seconds: float
    """Computed so far; what others computed meanwhile does not count."""
    shown: Any = None
    """What there is to see so far; None: nothing new."""
    halt: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    def stop(self) -> None:
        """End the run here: its operation makes a result of what there is."""
        self.halt.set()

    @property
    def fraction(self) -> float:
        """Part of the run that is done, in [0, 1]."""
        return self.step.index / self.step.total

    @property
    def seconds_left(self) -> float:
        """Estimate from the time so far."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction else math.inf

    def showing(self, shown: Any) -> Update:
        """The same with something to see."""
        return replace(self, shown=shown)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is needed to draw a result again, and what it cost; operations add their own fields."""

    model: str
    seed: int
    mode: str
    """"fast", "instant" or "paper"."""
    solver: str
    steps: int
    nfe: int
    """Network evaluations for one picture."""
    seconds: float
    stopped_at: int | None = None
    """The step at which a visitor ended it; None: it came to its end."""

    @classmethod
    def of(cls, update: Update, **own: Any) -> Any:
        """The report after the last update of a run; what ``own`` says goes first."""
        cost = {"steps": update.step.total, "nfe": update.step.nfe.total}
        cost["stopped_at"] = None if update.step.final else update.step.index
        return cls(**cost | {"seconds": round(update.seconds, 3)} | own)

    def facts(self) -> dict[str, Any]:
        """As JSON; what does not apply is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def way(self) -> str:
        """How it was drawn, in words."""
        return SOLVERS[self.solver].title if self.solver in SOLVERS else self.solver

    def line(self) -> str:
        """In one line: seed 17 · 20 evaluations · 0.9 s · DPM-Solver++(2M)."""
        line = f"seed {self.seed} · {self.nfe:,} evaluations · {self.seconds:.1f} s · {self.way}"
        if self.stopped_at is None:
            return line
        return f"Stopped at step {self.stopped_at:,} of {self.steps:,} · {line}"


@dataclass(frozen=True)
class Result:
    """What a run of an operation ends with."""

    shown: Any
    """What there is to see, of the same kind as that of its updates."""
    outputs: dict[str, Any]
    """The outputs that the operation declares, by name."""
    report: Report
    note: str = ""
    """A remark for the status line."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What `recipe` says beside the report; `Operation.recorded` knows."""

    @property
    def recipe(self) -> dict[str, Any]:
        """What draws it again, as JSON; see `demo.recipe`."""
        return self.report.facts() | self.origin


@dataclass
class Kept:
    """Some steps of a run, remembered while it passes by."""

    wanted: Callable[[Step], bool]
    steps: list[Step] = field(default_factory=list)

    def passing(self, run: Iterable[Step]) -> Iterator[Step]:
        """Hand on a run."""
        for step in run:
            if self.wanted(step):
                self.steps.append(step)
            yield step


def watch(run: Iterable[Step], per_second: float = PREVIEWS_PER_SECOND) -> Iterator[Update]:
    """Follow a run: the first update, so many a second after it, and always the last.

    The consumer may leave at any of them, or `Update.stop` it: then there are no more.
    """
    seconds, shown, halt = 0.0, -math.inf, threading.Event()
    resumed = time.monotonic()
    for step in run:
        now = time.monotonic()
        if step.final or now - shown >= 1 / per_second:
            seconds += now - resumed
            yield Update(step, seconds, halt=halt)
            if halt.is_set():
                return
            shown = resumed = time.monotonic()


def pictures(batch: Any) -> list[np.ndarray]:
    """Pictures of a tensor (n, c, h, w), each (h, w, c) float32."""
    return list(batch.permute(0, 2, 3, 1).cpu().numpy())


def preview(step: Step) -> list[np.ndarray]:
    """What the network believes; in the end the pictures themselves, clamped to [0, 1]."""
    return pictures(step.x.clamp(0, 1) if step.final else step.denoised)


def to_engine(picture: np.ndarray) -> np.ndarray:
    """(h, w, c) as the facade takes it, (c, h, w)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def origin(
    bridge: Bridge, task: str, seed: int, *, solver: str | None, mode: str = "fast", **_: Any
) -> dict[str, Any]:
    """What a `Report` says of how pictures came about; the solver is the one that was used."""
    used = solver or DEFAULTS[task].solver
    if mode == "paper":
        used = "euler_maruyama"
    elif mode == "instant":
        ruled = bridge.rule is not None and task in ("generate", "inpaint")
        used = FITTED if ruled else DEFAULTS["instant"].solver
    return {"model": bridge.name, "seed": seed, "mode": mode, "solver": used}


def evaluations(task: str, steps: int | None, mode: str = "fast") -> int:
    """Network evaluations of a picture; in paper mode ``steps`` are those of each stage."""
    if mode == "paper":
        # Stage 1 takes three a step, the ratio twice and the denoiser; the last step is one more.
        return (4 if task == "generate" else 1) * (steps or PAPER_STEPS) + 1
    return DEFAULTS["instant"].steps if mode == "instant" else steps or DEFAULTS[task].steps


def check_mode(bridge: Bridge, mode: str) -> None:
    """Refuse paper mode to a model that lacks the network for it.

    Raises:
        ValueError: With one sentence for the visitor.
    """
    if mode == "paper" and not bridge.has_density_ratio:
        raise ValueError(
            f"Paper mode needs a density-ratio network, and {bridge.name} has none: "
            "please choose fast mode."
        )
