"""Digits and letters as strokes, and pictures of them as the data sets of a bridge hold them.

A stroke is a list of points (x, y) in the unit square, y downwards. A picture of ink is grey,
light on dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

FINE = 8  # drawn so much larger, for smooth edges
UNIT = 28  # pixels of a side that the lengths of a `Script` count
GREY = 0.25  # share of pixels between ink and paper that a photo of a sign does not have
INK = 0.2  # what counts as ink when a picture is cut to its ink
SPECK = 0.06  # longest side of a drawing that is no drawing yet
MOST_POINTS = 20_000  # of a drawing; a hand draws some hundreds
Point = tuple[float, float]
Stroke = Sequence[Sequence[float]]


class DrawingError(ValueError):
    """A drawing that cannot be used; the message is one sentence for the visitor."""


@dataclass(frozen=True)
class Script:
    """How the pictures of one set are written."""

    name: str
    """Of the set."""
    one: str
    """Name of one of them."""
    box: float | None = None
    """Longest side of the ink in `UNIT`; None: where it is drawn."""
    pen: float = 2.6
    """Width of the pen in `UNIT`."""
    by_mass: bool = False
    """Whether the centre of mass is in the middle; else that of the box."""
    glyphs: dict[str, list[Stroke]] = field(default_factory=dict)
    """Examples by the sign that they show."""


def _arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> list[Point]:
    """Part of an ellipse; angles in degrees, 0 to the right, 90 down."""
    count = max(2, round(abs(end - start) / 12))
    turns = (math.radians(start + (end - start) * k / count) for k in range(count + 1))
    return [(cx + rx * math.cos(turn), cy + ry * math.sin(turn)) for turn in turns]


DIGITS = {
    "0": [_arc(0.5, 0.5, 0.25, 0.42, -60, 300)],
    "1": [[(0.36, 0.24), (0.54, 0.08), (0.5, 0.94)]],
    "2": [[*_arc(0.48, 0.31, 0.26, 0.23, -165, 38), (0.22, 0.9), (0.82, 0.88)]],
    "3": [
        [*_arc(0.48, 0.28, 0.23, 0.21, -150, 80), *_arc(0.47, 0.7, 0.28, 0.23, -85, 150)],
    ],
    "4": [[(0.36, 0.08), (0.22, 0.55), (0.82, 0.53)], [(0.7, 0.14), (0.6, 0.95)]],
    "5": [
        [(0.36, 0.1), (0.3, 0.45), *_arc(0.48, 0.66, 0.28, 0.26, -125, 150)],
        [(0.36, 0.1), (0.78, 0.08)],
    ],
    "6": [[(0.66, 0.06), (0.46, 0.24), (0.32, 0.5), *_arc(0.5, 0.69, 0.22, 0.24, 190, -165)]],
    "7": [[(0.2, 0.13), (0.8, 0.1), (0.56, 0.5), (0.42, 0.95)]],
    "8": [[*_arc(0.52, 0.28, 0.21, 0.2, 80, 430), *_arc(0.48, 0.71, 0.25, 0.23, -80, 280)]],
    "9": [[*_arc(0.48, 0.31, 0.23, 0.23, -10, -350), (0.7, 0.6), (0.6, 0.95)]],
}
_FRAME = {
    "A": [[(0.06, 1), (0.5, 0), (0.94, 1)], [(0.24, 0.64), (0.76, 0.64)]],
    "B": [
        [(0.1, 0.5), (0.1, 0), *_arc(0.55, 0.25, 0.27, 0.25, -90, 90), (0.1, 0.5)],
        [(0.1, 0.5), *_arc(0.58, 0.75, 0.32, 0.25, -90, 90), (0.1, 1), (0.1, 0.5)],
    ],
    "C": [_arc(0.55, 0.5, 0.47, 0.5, -48, -312)],
    "D": [[(0.1, 0), *_arc(0.42, 0.5, 0.5, 0.5, -90, 90), (0.1, 1), (0.1, 0)]],
    "E": [[(0.86, 0), (0.14, 0), (0.14, 1), (0.86, 1)], [(0.14, 0.48), (0.76, 0.48)]],
    "F": [[(0.86, 0), (0.14, 0), (0.14, 1)], [(0.14, 0.48), (0.74, 0.48)]],
    "G": [[*_arc(0.5, 0.5, 0.48, 0.5, -45, -350), (0.97, 0.54), (0.58, 0.54)]],
    "H": [[(0.1, 0), (0.1, 1)], [(0.9, 0), (0.9, 1)], [(0.1, 0.48), (0.9, 0.48)]],
    "I": [[(0.5, 0), (0.5, 1)], [(0.24, 0), (0.76, 0)], [(0.24, 1), (0.76, 1)]],
    "J": [[(0.74, 0), *_arc(0.45, 0.71, 0.29, 0.29, 0, 165)]],
}
LETTERS = {  # with a margin, as one would draw them
    sign: [[(0.14 + 0.72 * x, 0.14 + 0.72 * y) for x, y in stroke] for stroke in strokes]
    for sign, strokes in _FRAME.items()
}
SCRIPTS = {
    script.name: script
    for script in (
        Script("digits", "digit", box=20, by_mass=True, glyphs=DIGITS),
        Script("letters", "letter", box=28, pen=4.4, glyphs=LETTERS),
    )
}


def script_of(name: str) -> Script:
    """The script of a set; a plain pen for one that is not known."""
    return SCRIPTS.get(name) or Script(name, name)


# ----------------------------------------------------------------------------------------------
# Pictures


def write(strokes: Any, script: Script, size: int) -> np.ndarray:
    """Draw strokes as the set holds them: float32 (size, size, 1) in [0, 1].

    Raises:
        DrawingError: If there is nothing, hardly anything or too much, or it is no drawing.
    """
    lines = checked(strokes, script.one)
    points = np.concatenate(lines)
    low, span = points.min(0), float(np.ptp(points, axis=0).max())
    if span < SPECK:
        raise DrawingError("The drawing is hardly more than a dot: please draw larger.")
    side, pen = FINE * size, FINE * size * script.pen / UNIT
    if script.box is None:
        low, scale = np.zeros(2), float(side)
    else:
        scale = (side * script.box / UNIT - pen) / span
        low = low - pen / scale
    canvas = Image.new("L", (side + round(2 * pen),) * 2)
    draw = ImageDraw.Draw(canvas)
    for line in lines:
        spots = [tuple(spot) for spot in (line - low) * scale]
        draw.line(spots, 255, round(pen))
        for x, y in spots:  # round joints and ends
            draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), 255)
    if script.box is None:
        canvas = canvas.crop((0, 0, side, side))
    return settle(np.asarray(canvas, np.float32) / 255, script, size)


def settle(ink: np.ndarray, script: Script, size: int) -> np.ndarray:
    """Cut a picture to its ink and put that where the set has it.

    Args:
        ink: Light on dark, (h, w) in [0, 1].
        script: Where the set has it; one without a box keeps the picture as it is.
        size: Side of the result in pixels.

    Returns:
        float32 (size, size, 1) in [0, 1].

    Raises:
        DrawingError: If there is no ink.
    """
    rows, columns = (np.flatnonzero((ink > INK).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise DrawingError(f"The picture is empty: there is no {script.one} in it.")
    picture = Image.fromarray(ink.astype(np.float32))
    if script.box is None:
        return _reduced(picture, size, size)[..., None]
    picture = picture.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    scale = size * script.box / UNIT / max(picture.size)
    small = _reduced(picture, *(max(1, round(length * scale)) for length in picture.size))
    height, width = small.shape
    middle = (
        [
            float((small.sum(axis) * np.arange(n)).sum() / small.sum()) + 0.5
            for axis, n in ((1, height), (0, width))
        ]
        if script.by_mass
        else [height / 2, width / 2]
    )
    corner = [
        min(max(round(size / 2 - centre), 0), size - length)
        for centre, length in zip(middle, small.shape, strict=True)
    ]
    paper = np.zeros((size, size, 1), np.float32)
    paper[corner[0] : corner[0] + height, corner[1] : corner[1] + width, 0] = small
    return paper


def _reduced(picture: Image.Image, width: int, height: int) -> np.ndarray:
    filtered = picture.resize((width, height), Image.Resampling.BOX)
    return np.clip(np.asarray(filtered, np.float32), 0, 1)


def light_on_dark(picture: np.ndarray) -> np.ndarray:
    """Turn dark ink on a light ground round and stretch it; light ink stays as it is; (h, w)."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    if np.median(border) <= 0.5:
        return picture
    darkness = 1 - picture
    low, high = float(np.median(1 - border)), float(darkness.max())
    return np.clip((darkness - low) / max(high - low, 0.25), 0, 1)


def is_ink(picture: np.ndarray) -> bool:
    """Whether a picture (h, w) in [0, 1] is ink on a ground, and not, say, a person."""
    ink = light_on_dark(picture)
    return float(((ink > INK) & (ink < 1 - INK)).mean()) < GREY


def checked(strokes: Any, one: str) -> list[np.ndarray]:
    """Strokes as arrays (k, 2); see `write` for the errors."""
    try:
        lines = [np.asarray(stroke, np.float64) for stroke in strokes or () if len(stroke)]
    except (TypeError, ValueError, OverflowError) as error:
        raise DrawingError("The drawing must be a list of lists of (x, y).") from error
    if not lines:
        raise DrawingError(f"The drawing is empty: draw a {one} on the square, or pick one.")
    if any(line.ndim != 2 or line.shape[1] != 2 for line in lines):
        raise DrawingError("The drawing must be a list of lists of (x, y).")
    if sum(map(len, lines)) > MOST_POINTS:
        raise DrawingError(f"The drawing has more than {MOST_POINTS:,} points.")
    if not all(np.isfinite(line).all() and ((line >= 0) & (line <= 1)).all() for line in lines):
        raise DrawingError("The drawing leaves its square.")
    return lines
