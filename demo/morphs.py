"""Measures of a morph: how evenly it goes, how exactly it begins and ends.

Notation: a frame is a float array (h, w, c) in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from demo import curves
from sbcore import path_positions

MOST_PSNR = 99.0  # dB, of equal pictures: JSON has no infinity


def mixes(pictures: Sequence[np.ndarray], frames: int) -> list[np.ndarray]:
    """The plain pixel mix along the path of a morph through all pictures."""
    return [(1 - c) * pictures[i] + c * pictures[i + 1] for i, c in places(len(pictures), frames)]


def places(pictures: int, frames: int) -> list[tuple[int, np.float32]]:
    """For each frame the picture that it has left, and the share of the next in it."""
    positions = np.float32(path_positions(frames, pictures).tolist())
    before = np.minimum(positions.astype(int), pictures - 2)
    return list(zip(before.tolist(), positions - before.astype(np.float32), strict=True))


def psnr(frame: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio of a frame that should be a picture, in dB."""
    error = float(np.square(frame - picture, dtype=np.float64).mean())
    return min(MOST_PSNR, -10 * math.log10(error)) if error else MOST_PSNR


def distances(frames: Sequence[np.ndarray]) -> list[float]:
    """Root-mean-square change from each frame to the next, in levels of 8 bits."""
    stack = 255 * np.stack(frames)
    return np.sqrt(np.square(np.diff(stack, axis=0)).mean((1, 2, 3))).tolist()


def chart(morph: Sequence[float], mix: Sequence[float]) -> str:
    """Both `distances` as curves on one scale, below the film; an even morph is a level line."""
    most = math.ceil(max(*morph, *mix, 1e-3))
    parts = (("this morph", morph, "#4f46e5"), ("the plain mix", mix, "#d96120"))
    return curves.row(
        *(
            curves.Curve(
                (np.arange(len(changes)) + 0.5) / len(changes),  # between two frames
                changes,
                "0",
                f"{most}",
                colour,
                f"from frame to frame, {_range(changes)} of 255 levels",
                f"Change a frame, {name}: <b>{_range(changes)}</b> of 255 levels",
                dots=True,
            )
            for name, changes, colour in parts
        )
    )


def _range(changes: Sequence[float]) -> str:
    low, high = (f"{end:.1f}" for end in (min(changes), max(changes)))
    return low if low == high else f"{low} to {high}"
