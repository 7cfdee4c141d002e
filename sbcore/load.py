"""The bridge of a checkpoint, whatever its kind."""

from __future__ import annotations

from pathlib import Path

import torch

from sbcore.ipf.bridge import TranslationBridge
from sbcore.ipf.network import KIND
from sbcore.runtime.checkpoints import locate, read_config
from sbcore.runtime.devices import check_device
from sbcore.twostage.bridge import Bridge


def load(
    name_or_path: str | Path,
    device: str | torch.device | None = None,
    revision: str | None = None,
    bf16: bool | None = None,
) -> Bridge | TranslationBridge:
    """Load a model: a `Bridge` to pictures, or a `TranslationBridge` between two sets.

    Args:
        name_or_path: Checkpoint folder, or Hub repository id.
        device: Where to compute; None: CUDA, else MPS, else the CPU.
        revision: Branch, tag or commit on the Hub.
        bf16: bf16 inside the networks; None: where CUDA has it.

    Raises:
        CheckpointError: If there is no usable checkpoint; one sentence says why.
        ValueError: If the device cannot be used here.
    """
    check_device(device)
    folder = locate(name_or_path, revision)
    kind = TranslationBridge if read_config(folder).get("kind") == KIND else Bridge
    return kind.from_pretrained(folder, device, bf16=bf16)
