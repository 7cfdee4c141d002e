"""The networks of a checkpoint, one by one, and bridges made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbcore.runtime import checkpoints
from sbcore.twostage.bridge import Bridge
from sbcore.twostage.denoiser import Denoiser, load_denoiser
from sbcore.twostage.ratio import DensityRatioNet, load_density_ratio


@dataclass(frozen=True)
class Model:
    """A loaded checkpoint; its bridges share the networks."""

    denoiser: Denoiser
    log_ratio: DensityRatioNet | None
    config: dict[str, Any]
    folder: Path

    def bridge(self, tau: float | None = None, bf16: bool | None = None) -> Bridge:
        """The bridge, or the one of another variance ``tau``, for which no ratio is trained."""
        own = tau is None or math.isclose(tau, self.config["tau"])
        return Bridge(
            self.denoiser,
            float(self.config["sigma"]),
            float(self.config["tau"] if own else tau),
            self.log_ratio if own else None,
            self.config.get("name", self.folder.name),
            self.config,
            bf16=bf16,
        )


def load_model(name_or_path: str | Path) -> Model:
    """Load a checkpoint.

    Args:
        name_or_path: Folder, or Hub repository id.

    Raises:
        CheckpointError: If there is no usable checkpoint; one sentence says why.
    """
    folder = checkpoints.locate(name_or_path)
    denoiser, config = load_denoiser(folder)
    ratio = load_density_ratio(folder)
    return Model(denoiser, ratio[0] if ratio else None, config, folder)
