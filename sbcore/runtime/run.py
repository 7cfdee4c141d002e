"""A run of a bridge: iterate it for its steps, or ask for the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


class DivergedError(ValueError):
    """A run that left the finite numbers."""


@dataclass(frozen=True)
class Evaluations:
    """Network evaluations per picture, for each network."""

    denoiser: int = 0
    ratio: int = 0

    @property
    def total(self) -> int:
        """Evaluations of all networks."""
        return self.denoiser + self.ratio

    def __add__(self, other: Evaluations) -> Evaluations:
        return Evaluations(self.denoiser + other.denoiser, self.ratio + other.ratio)


@dataclass(frozen=True)
class Step:
    """The state after one update."""

    stage: int
    """1: point mass to q_sigma; 2: q_sigma to the data."""
    index: int
    """Updates so far in the whole run, 1..total (0 for a state before the first update)."""
    total: int
    """Updates of the whole run."""
    t: float
    """Bridge time within the stage, in [0, 1]; 1 is its end."""
    s: float
    """Noise level of the state."""
    x: Tensor
    """State (b, ...): X_t in both stages."""
    denoised: Tensor
    """Latest posterior mean of the clean picture, (b, ...)."""
    nfe: Evaluations
    """Network evaluations so far, per picture."""

    @property
    def final(self) -> bool:
        """Whether it is the last of its run."""
        return self.index == self.total


class Run(Iterator[Step]):
    """Steps of a bridge, computed as they are asked for.

    Leaving the loop stops before the next network call; `result` runs what is left.

    Args:
        steps: The updates, in order.
        length: How many there are.
        outcome: Maps the states of the steps that are kept to the result.
        keeps: Which steps the result is made of; the last one by default.
    """

    def __init__(
        self,
        steps: Iterator[Step],
        length: int,
        outcome: Callable[[list[Tensor]], Tensor] = lambda states: states[-1],
        keeps: Callable[[Step], bool] = lambda step: step.final,
    ) -> None:
        self._steps, self._length, self._outcome = steps, length, outcome
        self.keeps = keeps
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return self._length

    def __next__(self) -> Step:
        step = next(self._steps)
        if self.keeps(step):
            self._kept.append(step.x)
        return step

    def result(self, on_step: Callable[[Step], Any] | None = None) -> Tensor:
        """Run to the end.

        Args:
            on_step: Called with every step that is left; what it raises stops the run.

        Returns:
            The outcome, as the method that made the run says.
        """
        for step in self:
            if on_step is not None:
                on_step(step)
        return self._outcome(self._kept)


def pictures(states: list[Tensor]) -> Tensor:
    """The usual outcome: the last state, clamped to [0, 1]."""
    return states[-1].clamp(0, 1)


def follow(
    steps: Iterator[Step], *, offset: int, total: int, nfe: Evaluations | None = None
) -> Iterator[Step]:
    """Renumber the steps of one loop as a part of a longer run.

    Args:
        steps: Steps of the loop.
        offset: Updates before this loop.
        total: Updates of the whole run.
        nfe: Evaluations before this loop.

    Yields:
        The same steps with index, total and evaluations of the whole run.
    """
    before = nfe or Evaluations()
    for step in steps:
        yield replace(step, index=step.index + offset, total=total, nfe=before + step.nfe)
