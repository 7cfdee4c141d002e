"""From the steps of a bridge to what a visitor sees: previews, progress, report.

No Gradio here and no torch: pictures leave as float arrays (h, w, c).
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sbcore import DEFAULTS, SOLVERS, Bridge, Step, frame_indices

PREVIEWS_PER_SECOND = 10
MAX_STEPS = 2000
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Update:
    """A moment of a run."""

    step: Step
    final: bool
    frame: bool
    """Whether the state belongs to the film, where one is made."""
    fraction: float
    """Part of the run that is done, in [0, 1]."""
    seconds: float
    """Since the start."""

    @property
    def seconds_left(self) -> float:
        """Estimate from the time so far."""
        return self.seconds * (1 / self.fraction - 1) if self.fraction else math.inf


def watch(steps: Iterator[Step], frames: int | None = None) -> Iterator[Update]:
    """Follow a run: the first update, at most 10 a second after it, and always the last.

    Args:
        steps: A streaming run of the bridge.
        frames: Report this many states, evenly spread over the run, however fast they come.

    Yields:
        An `Update`; the consumer may stop at any of them.
    """
    start, shown = time.monotonic(), -math.inf
    for step in steps:
        now = time.monotonic()
        final = step.index == step.total
        frame = frames is not None and step.index in frame_indices(step.total, frames)
        if final or frame or now - shown >= 1 / PREVIEWS_PER_SECOND:
            shown = now
            yield Update(step, final, frame, step.index / step.total, now - start)


def pictures(batch: Any) -> list[np.ndarray]:
    """Pictures of a tensor (n, c, h, w), each (h, w, c) float32."""
    return list(batch.permute(0, 2, 3, 1).cpu().numpy())


def preview(update: Update) -> list[np.ndarray]:
    """What the network believes; in the end the pictures themselves, clamped to [0, 1]."""
    return pictures(update.step.x.clamp(0, 1) if update.final else update.step.denoised)


def to_engine(picture: np.ndarray) -> np.ndarray:
    """(h, w, c) as the facade takes it, (c, h, w)."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def solver_used(task: str, solver: str | None, paper: bool) -> str:
    """Name of the solver that a run takes: the visitor's, or the default of the task."""
    return "euler_maruyama" if paper else solver or DEFAULTS[task].solver


def report(bridge: Bridge, update: Update, seed: int, mode: str, solver: str) -> dict[str, Any]:
    """What is needed to draw the result again, and what it cost."""
    return {
        "model": bridge.name,
        "seed": seed,
        "mode": mode,
        "solver": solver,
        "steps": update.step.total,
        "nfe": update.step.nfe.total,
        "seconds": round(update.seconds, 3),
    }


def check_mode(bridge: Bridge, mode: Any) -> None:
    """Refuse paper mode to a model that lacks the network for it.

    Raises:
        ValueError: With one sentence for the visitor.
    """
    if mode == "paper" and not bridge.has_density_ratio:
        raise ValueError(
            f"Paper mode needs a density-ratio network, and {bridge.name} has none: "
            "please choose fast mode."
        )


def recipe_line(facts: dict[str, Any]) -> str:
    """The report as one line: seed 17 · 20 evaluations · 0.9 s · DPM-Solver++(2M)."""
    solver = SOLVERS[facts["solver"]].title if facts["solver"] in SOLVERS else facts["solver"]
    return (
        f"seed {facts['seed']} · {facts['nfe']:,} evaluations · {facts['seconds']:.1f} s · {solver}"
    )


# ----------------------------------------------------------------------------------------------
# Numbers from visitors


def whole(name: str, value: Any, least: int, most: int) -> int:
    """Check a whole number.

    Raises:
        ValueError: If it is missing, not whole, not finite or out of range; one sentence.
    """
    try:
        fits = least <= value <= most and value == int(value)  # NaN is in no range
    except TypeError:
        fits = False
    if not fits or isinstance(value, bool):
        raise ValueError(
            f"{name} must be a whole number from {least} to {most}, got {value!s:.40}."
        )
    return int(value)


def number(name: str, value: Any, least: float, most: float) -> float:
    """Check a finite number in [least, most]; errors as `whole`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not least <= value <= most  # NaN is in no range
    ):
        raise ValueError(f"{name} must be a number from {least:g} to {most:g}, got {value!s:.40}.")
    return float(value)


def seed_of(value: Any, fresh: bool = False) -> int:
    """The visitor's seed, or a new one."""
    return secrets.randbelow(1_000_000) if fresh else whole("The seed", value, 0, MAX_SEED)


def steps_of(value: Any) -> int | None:
    """The visitor's number of steps; None for the default."""
    return None if value in (None, 0, "") else whole("The number of steps", value, 1, MAX_STEPS)
