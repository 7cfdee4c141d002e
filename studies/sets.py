"""The pictures that studies compare: training, held-out and drawn ones."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sbcore.data.pictures import load_images, split_validation
from sbcore.twostage.bridge import Bridge


@dataclass(frozen=True)
class Sets:
    """Real pictures, uint8 (n, c, h, w)."""

    training: Tensor
    held_out: Tensor


def load_sets(bridge: Bridge, training: str, held_out: str | None = None) -> Sets:
    """Load the pictures that a model was trained on, and those that it never saw.

    Args:
        bridge: The model; its size and channels are used.
        training: Folder, zip or archive, as for training.
        held_out: Likewise; None: ``val`` beside ``train``.

    Raises:
        ValueError: If a set is missing or unreadable.
    """
    channels, size, _ = bridge.shape
    seen = load_images(training, size, channels)
    held_out = held_out or split_validation(training)
    if held_out is None:
        raise ValueError("there is no val beside the training pictures; give --val")
    return Sets(seen, load_images(held_out, size, channels))
