"""A run of a bridge, step by step: what every sampler yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Evaluations:
    """Network evaluations per picture, for each network."""

    denoiser: int = 0
    ratio: int = 0

    @property
    def total(self) -> int:
        """Evaluations of all networks."""
        return self.denoiser + self.ratio


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
        evaluations = Evaluations(
            step.nfe.denoiser + before.denoiser, step.nfe.ratio + before.ratio
        )
        yield replace(step, index=step.index + offset, total=total, nfe=evaluations)


OnStep = Callable[[Step], Any]


class DivergedError(ValueError):
    """A run of paper mode that left the finite numbers."""
