"""Drawn pictures, kept on disk: studies that want the same pictures draw them once."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import sbcore
from sbcore.runtime import checkpoints
from sbcore.twostage.bridge import Bridge
from sbcore.twostage.paper import PaperMode
from studies.report import Progress

CHUNK = 16  # pictures of one file; a stopped run loses no more
Draw = Callable[[int, int], dict[str, Tensor]]
"""Maps (pictures, first seed) to sets of pictures (n, c, h, w) in [0, 1] by name."""


@dataclass(frozen=True)
class Drawn:
    """Pictures of one sampler."""

    sets: dict[str, Tensor]
    """float (n, c, h, w) in [0, 1], rounded to 8 bits as saved pictures are."""
    seconds: float
    """Seconds a picture took, when it was drawn in batches of `CHUNK`."""

    @property
    def pictures(self) -> Tensor:
        """The result of the run."""
        return self.sets["pictures"]


class Album:
    """Pictures of one model, by sampler and seed.

    The content of the weights, the arithmetic and the version of the engine name its folder: if
    one changes, the pictures are drawn anew.

    Args:
        out: Folder of results; the albums of all models are under ``pictures`` in it.
        model: Checkpoint folder, or Hub repository id.
        bridge: The model itself.
    """

    def __init__(self, out: Path, model: str | Path, bridge: Bridge) -> None:
        folder = checkpoints.locate(model)
        digest = hashlib.sha256(f"{sbcore.__version__} bf16 {bridge.bf16}".encode())
        for file in sorted(folder.glob("*.safetensors")):
            digest.update(file.read_bytes())
        self.bridge = bridge
        self.folder = out / "pictures" / f"{folder.name}-{digest.hexdigest()[:12]}"

    def generate(
        self, what: str, count: int, seed: int, progress: Progress, **options: Any
    ) -> Drawn:
        """Pictures of `Bridge.generate` with ``options``, of seeds ``seed``, ``seed + 1``, ..."""

        def draw(n: int, first: int) -> dict[str, Tensor]:
            return {"pictures": self.bridge.generate(n, first, **options).result()}

        return self.draw(what, count, seed, draw, progress, **options)

    def draw(
        self, what: str, count: int, seed: int, draw: Draw, progress: Progress, **key: Any
    ) -> Drawn:
        """Pictures by any way; those on disk are not drawn again.

        Args:
            what: Name of the way, for people.
            count: Number of pictures.
            seed: Of the first.
            draw: The way.
            progress: Told how many are there.
            key: What tells the way from others of this model.
        """
        key |= {"tau": self.bridge.tau}
        name = re.sub(r"[^\w.]+", "-", " ".join(f"{k} {v}" for k, v in sorted(key.items())))
        folder, chunks = self.folder / name.strip("-"), []
        folder.mkdir(parents=True, exist_ok=True)
        for first in range(seed, seed + count, CHUNK):
            n = min(CHUNK, seed + count - first)
            file = folder / f"{first:06d}-{n}.safetensors"
            if not file.exists():
                _write(file, n, first, draw)
            chunks.append(load_file(file))
            progress(what, first - seed + n, count)
        seconds = sum(float(chunk.pop("seconds")) for chunk in chunks) / count
        sets = {name: torch.cat([chunk[name] for chunk in chunks]) / 255.0 for name in chunks[0]}
        return Drawn(sets, seconds)


def paper_evaluations(paper: PaperMode) -> int:
    """Network evaluations of one picture by Algorithm 1 as printed, with one draw a step."""
    last = int(paper.final_denoise)
    if paper.drift == "exact":
        return paper.n1 - 1 + paper.n2 + last  # none at t = 0
    return 3 * paper.n1 + paper.n2 + last


def _write(file: Path, n: int, seed: int, draw: Draw) -> None:
    start = time.perf_counter()
    found = draw(n, seed)
    tensors = {name: (x.clamp(0, 1) * 255).round().byte().cpu() for name, x in found.items()}
    tensors["seconds"] = torch.tensor(time.perf_counter() - start)
    part = file.with_suffix(".part")
    save_file(tensors, part)
    part.rename(file)
