"""Measures of a morph: how evenly it goes, how exactly it begins and ends.

Notation: a frame is a float array (h, w, c) in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

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
    most = max(*morph, *mix, 1e-3)
    parts = (("this morph", morph, "#4f46e5"), ("the plain mix", mix, "#d96120"))
    plots = "".join(
        f"<figure>{_plot(changes, most, colour)}<figcaption>Change a frame, {name}: "
        f"<b>{_range(changes)}</b> of 255 levels</figcaption></figure>"
        for name, changes, colour in parts
    )
    return f'<div class="curves">{plots}</div>'


def _plot(changes: Sequence[float], most: float, colour: str) -> str:
    """One curve in a box of 240 x 60, from 0 to ``most`` levels."""
    x = 26 + 212 * (np.arange(len(changes)) + 0.5) / len(changes)  # between two frames
    y = 50 - 44 * np.asarray(changes) / most
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    dots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2" fill="{colour}"/>'
        for a, b in zip(x, y, strict=True)
    )
    return (
        f'<svg viewBox="0 0 240 60" role="img" aria-label="from frame to frame, {_range(changes)} '
        f'of 255 levels"><path d="M26 4V50H238" class="axis"/>'
        f'<text x="22" y="11" text-anchor="end">{most:.0f}</text>'
        f'<text x="22" y="53" text-anchor="end">0</text>'
        f'<polyline points="{points}" stroke="{colour}"/>{dots}</svg>'
    )


def _range(changes: Sequence[float]) -> str:
    low, high = (f"{end:.1f}" for end in (min(changes), max(changes)))
    return low if low == high else f"{low} to {high}"
