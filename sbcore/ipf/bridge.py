"""The facade of a trained pair of drifts: `TranslationBridge` carries one set into another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sbcore.ipf.network import Pair, load_translation
from sbcore.ipf.paths import walk
from sbcore.ipf.reference import DIRECTIONS, opposite, schedule
from sbcore.runtime import checkpoints, checks
from sbcore.runtime.devices import InParts, best_device, channels_last, device_name
from sbcore.runtime.noise import Noise
from sbcore.runtime.run import Evaluations, Run, Step, pictures

BATCH, POINTS = 64, 2**20  # pictures, and points, of one network call; bounds memory


class TranslationBridge:
    """A trained Schrödinger bridge between two sets, of pictures or of points.

    Pictures are float32 in [0, 1], points in their own units.

    Args:
        pair: The networks of both directions.
        config: Entries of ``config.json``.
        device: Where to compute; None: CUDA, else MPS, else the CPU.
        bf16: bf16 inside the networks; None: where CUDA has it.
    """

    def __init__(
        self,
        pair: Pair,
        config: dict[str, Any],
        device: str | torch.device | None = None,
        bf16: bool | None = None,
    ) -> None:
        self.device = torch.device(device) if device is not None else best_device()
        self.facts, self.name = config, config.get("name", "")
        self.sets: tuple[str, str] = tuple(config["sets"])
        self.noise = tuple(config.get("noise") or (False, False))  # which sets are N(0, I)
        self.method, self.sigma = config["method"], float(config["sigma"])
        self.steps, self.contrast = int(config["steps"]), float(config["contrast"])
        self.pictures = len(pair.config.shape) == 3
        self._unit = 0.5 if self.pictures else 1.0  # [-1, 1] inside, [0, 1] outside
        self._pair = pair.eval().requires_grad_(False).to(self.device)
        if self.pictures:
            channels_last(self._pair)
        if bf16 is None:
            bf16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.bf16 = bf16
        self._in_parts = InParts(BATCH if self.pictures else POINTS, self.device)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        device: str | torch.device | None = None,
        revision: str | None = None,
        bf16: bool | None = None,
    ) -> TranslationBridge:
        """Load a model; arguments as of `Bridge.from_pretrained`.

        Raises:
            CheckpointError: If there is no usable checkpoint; one sentence says why.
        """
        folder = checkpoints.locate(name_or_path, revision)
        pair, config = load_translation(folder)
        return cls(pair, {"name": folder.name} | config, device, bf16)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (c, h, w) of one picture, or (d,) of one point."""
        return self._pair.config.shape

    @property
    def device_name(self) -> str:
        """Name of the device for people."""
        return device_name(self.device)

    @cached_property
    def fingerprint(self) -> str:
        """`checkpoints.fingerprint` of both networks, sigma and the schedule."""
        numbers = {"sigma": self.sigma, "steps": self.steps, "contrast": self.contrast}
        numbers |= {"from noise": self.noise[0], "to noise": self.noise[1]}
        return checkpoints.fingerprint(self._pair.state_dict(), **numbers)

    def starts_from_noise(self, direction: str) -> bool:
        """Whether a direction starts from standard normal noise: it generates."""
        return self.noise[direction != DIRECTIONS[0]]

    def translate(
        self,
        images: Tensor,
        direction: str = "forward",
        n: int = 1,
        seed: int = 0,
        *,
        steps: int | None = None,
    ) -> Run:
        """Carry pictures into the other set; outcome j of picture i takes seed + i * n + j.

        Each direction has noise of its own: a round trip with one seed is no path there and back.

        Args:
            images: k pictures (k, c, h, w) in [0, 1], or points (k, d). Where the direction starts
                from noise, ``0.5 + 0.5 z`` for pictures, z standard normal.
            direction: "forward" (source to target) or "backward".
            n: Outcomes of each picture, beside each other in the result.
            seed: Of the first outcome.
            steps: Network evaluations; None: as in training.

        Returns:
            A run whose result is (k * n, ...). In its steps ``t`` runs from 0 to 1, ``s`` is the
            noise of the reference still to come, ``denoised`` the predicted end.

        Raises:
            ValueError: If an argument is out of range.
        """
        checks.choice("direction", direction, DIRECTIONS)
        n = checks.whole("n", n)
        count = checks.whole("steps", self.steps if steps is None else steps)
        images = self._checked(images, direction)
        seeds = checks.seeds(n * len(images), seed)
        noise = Noise(seeds, self.shape, direction, self.device)
        start = (images / self._unit - self._shift).repeat_interleave(n, 0)
        run = self._walk(start, direction, schedule(count, self.contrast), noise)
        free = not self.pictures or self.starts_from_noise(opposite(direction))
        return Run(run, count) if free else Run(run, count, pictures)

    @torch.no_grad()
    def _walk(self, x: Tensor, direction: str, parts: list[float], noise: Noise) -> Iterator[Step]:
        network = self._pair[direction]

        def end(x: Tensor, r: float) -> Tensor:
            return self._in_parts(lambda part: network(part, r, bf16=self.bf16), x)

        walked = walk(end, x, parts, self.sigma, noise.draw)
        for index, moment in enumerate(walked, start=1):
            yield Step(
                1,
                index,
                len(parts),
                1 - moment.r,
                self._unit * self.sigma * math.sqrt(moment.r),
                self._unit * (moment.x + self._shift),
                self._unit * (moment.end + self._shift),
                Evaluations(min(index + 1, len(parts))),
            )

    @property
    def _shift(self) -> float:
        return 1.0 if self.pictures else 0.0

    def _checked(self, images: Tensor, direction: str) -> Tensor:
        """Check what is to be translated; noise of a Gaussian set may leave [0, 1]."""
        images = checks.array("images", images, dtype=torch.float32, device=self.device)
        if images.shape[1:] != self.shape or len(images) < 1:
            raise ValueError(
                f"images must have shape (k, {', '.join(map(str, self.shape))}), "
                f"got {tuple(images.shape)}"
            )
        if not bool(images.isfinite().all()):
            raise ValueError("images must be finite numbers")
        free = not self.pictures or self.starts_from_noise(direction)
        if not free and not bool(((images >= 0) & (images <= 1)).all()):
            raise ValueError("images must have values in [0, 1]")
        return images
