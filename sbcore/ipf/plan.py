"""How a bridge between two sets is trained."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from sbcore.ipf.reference import METHODS, schedule
from sbcore.runtime import checks
from sbcore.runtime.learner import Plan


@dataclass(frozen=True)
class BridgePlan(Plan):
    """Reference, method and lengths of a bridge's training, in half-bridges."""

    method: str = "dsbm"
    """Mean matching along whole paths (dsb), or bridge matching between their ends (dsbm)."""
    sigma: float = 1.0
    """Standard deviation of the Brownian reference over the whole path."""
    steps: int = 20
    """Steps of a path."""
    contrast: float = 10.0
    """Largest over smallest step of a path; the last one should be small."""
    printed: bool = False
    """Targets of dsb as in its paper, else the mean of the reversed chain."""
    iterations: int = 5
    """IPF or IMF iterations: a backward and a forward half-bridge each."""
    half_steps: int = 1000
    """Training steps of a half-bridge."""
    first: float = 1.0
    """Length of the half-bridges of the first iteration, in others."""
    _: KW_ONLY
    batch_size: int = 512
    """Points or pictures of one step."""
    learning_rate: float = 1e-3
    """Learning rate; in each half-bridge it falls along a cosine."""
    final: float = 0.05
    """Last over first learning rate of a half-bridge."""
    warmup_steps: int = 20
    """Steps of each half-bridge over which the learning rate rises from 0."""
    ema: float = 0.1
    """Half-life of the weight average, as a part of the half-bridge so far."""
    cache: int = 2048
    """Paths simulated at once."""
    refresh: int = 100
    """Steps between simulations."""
    evaluate: int = 1000
    """Paths behind the distances after a half-bridge."""

    WHOLE: ClassVar[tuple[str, ...]] = (
        *Plan.WHOLE, "steps", "iterations", "half_steps", "cache", "refresh", "evaluate"
    )  # fmt: skip
    ABOVE_0: ClassVar[tuple[str, ...]] = (*Plan.ABOVE_0, "sigma", "first", "final")

    def __post_init__(self) -> None:
        checks.choice("method", self.method, METHODS)
        super().__post_init__()
        schedule(self.steps, self.contrast)
        checks.whole("evaluate", self.evaluate, least=2)

    def length(self, half: int) -> int:
        """Training steps of a half-bridge, counted from 0."""
        return max(1, round(self.half_steps * (self.first if half < 2 else 1)))

    @property
    def total(self) -> int:
        """Training steps in all."""
        return sum(self.length(half) for half in range(2 * self.iterations))
