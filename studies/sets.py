"""The pictures that studies compare: training pictures, and both halves of the held-out ones."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sbcore.data.pictures import load_images, split_held_out, split_validation


@dataclass(frozen=True)
class Sets:
    """Real pictures, uint8 (n, c, h, w)."""

    training: Tensor
    selection: Tensor
    """Held out; weights and defaults are chosen on them."""
    reporting: Tensor
    """Held out; nothing was chosen on them, so tables are measured on them."""

    def of(self, half: str, count: int) -> Tensor:
        """The first ``count`` pictures of "selection" or "reporting", in [0, 1].

        Raises:
            ValueError: If there are not as many.
        """
        pictures = getattr(self, half)
        least = min(len(pictures), len(self.training))
        if count > least:
            raise ValueError(f"count must be at most {least}, the number of {half} pictures")
        return pictures[:count] / 255.0


def load_sets(shape: tuple[int, ...], training: str, held_out: str | None = None) -> Sets:
    """Load the pictures that a model was trained on, and those that it never saw.

    Args:
        shape: Shape (c, h, w) of the model's pictures.
        training: Folder, zip or archive, as for training.
        held_out: Likewise; None: ``val`` beside ``train``.

    Raises:
        ValueError: If a set is missing or unreadable.
    """
    channels, size, _ = shape
    seen = load_images(training, size, channels)
    held_out = held_out or split_validation(training)
    if held_out is None:
        raise ValueError("there is no val beside the training pictures; give --val")
    return Sets(seen, *split_held_out(load_images(held_out, size, channels)))
