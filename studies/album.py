"""Drawn pictures, kept on disk: studies that want the same pictures draw them once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

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


class Album:
    """Pictures of one model, by sampler and seed.

    Args:
        folder: Where the albums of all models are.
        weights: Files that the pictures depend on; their content names the album.
        precision: Name of the arithmetic, e.g. "bf16"; likewise.
    """

    def __init__(self, folder: Path, weights: list[Path], precision: str) -> None:
        digest = hashlib.sha256(precision.encode())
        for file in weights:
            digest.update(file.read_bytes())
        self.folder = folder / f"{weights[0].parent.name}-{digest.hexdigest()[:12]}"

    def draw(self, name: str, count: int, seed: int, draw: Draw, progress: Progress) -> Drawn:
        """The pictures of seeds ``seed``, ``seed + 1``, ...; those on disk are not drawn again."""
        folder, chunks = self.folder / name, []
        folder.mkdir(parents=True, exist_ok=True)
        for first in range(seed, seed + count, CHUNK):
            n = min(CHUNK, seed + count - first)
            file = folder / f"{first:06d}-{n}.safetensors"
            if not file.exists():
                _write(file, n, first, draw)
            chunks.append(load_file(file))
            progress(name, first - seed + n, count)
        seconds = sum(float(chunk.pop("seconds")) for chunk in chunks) / count
        sets = {name: torch.cat([chunk[name] for chunk in chunks]) / 255.0 for name in chunks[0]}
        return Drawn(sets, seconds)


def _write(file: Path, n: int, seed: int, draw: Draw) -> None:
    start = time.perf_counter()
    found = draw(n, seed)
    tensors = {name: (x.clamp(0, 1) * 255).round().byte().cpu() for name, x in found.items()}
    tensors["seconds"] = torch.tensor(time.perf_counter() - start)
    part = file.with_suffix(".part")
    save_file(tensors, part)
    part.rename(file)
