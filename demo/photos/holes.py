"""Masks both ways: from the photo's pixels to the model's, and back.

Notation: h, w = height and width of the photo; size = the model's side. A mask is (h, w), bool or
weights in [0, 1]; a hole is a mask at the model's size, True where it is to be filled.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from demo.imaging import PictureError, check_hole
from demo.photos.crop import (
    Box,
    Crop,
    bounds,
    covers,
    enlarge,
    enlargement,
    grown,
    part,
    positions,
)

MIN_COVERAGE = 0.25  # of a model pixel that must be painted
FACE = (32, 33, 25, 30)  # of 64: centre and half axes of a face cropped as CelebA
OUTSIDE = "The painted part lies outside of the crop: please move the crop over it."


def hole_of(mask: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """What the model is to fill: the mask as its pixels see it through the crop.

    A model pixel is hole if at least 25 % of it is painted. Fainter paint (a stroke thinner than
    a model pixel, a dot) counts where it would vanish otherwise: no hole within one pixel.

    Returns:
        Boolean (size, size), True somewhere.

    Raises:
        PictureError: If nothing is painted, or nothing inside the crop.
    """
    box = covered(mask, crop)
    painted = mask[part(box)]
    shrink = max(1, int(enlargement(crop, size) / 4))  # 4 samples a model pixel are enough
    split = max(1, math.ceil(4 / enlargement(crop, size)))
    rows, columns = (-n % shrink for n in painted.shape)
    padded = np.pad(painted, ((0, rows), (0, columns))).astype(np.float32)
    paint = cv2.resize(padded, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
    paint = np.repeat(np.repeat(paint, split, 0), split, 1)
    y, x = np.nonzero(paint)
    step = shrink / split  # photo pixels a sample
    place = np.stack([x + 0.5, y + 0.5, np.ones(len(x))]) * [[step], [step], [1]]
    place[:2] += [[box[0]], [box[1]]]
    column, row = np.floor(crop.from_photo(size) @ place).astype(int)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    if not inside.any():
        raise PictureError(OUTSIDE)
    cells, weights = (row * size + column)[inside], paint[y, x][inside]
    coverage = np.bincount(cells, weights, size * size).reshape(size, size)
    return _hole_of_coverage(coverage * (step * size / crop.side) ** 2)


def mask_in_photo(hole: np.ndarray, crop: Crop, photo_size: tuple[int, int]) -> np.ndarray:
    """A hole of the model (size, size) as a mask of the photo, its outline smooth.

    Args:
        hole: Boolean or weights.
        crop: Where the model looks.
        photo_size: Width and height of the photo.

    Returns:
        Weights float32 (h, w).
    """
    box, weights = _empty_mask(crop, photo_size)
    size = len(hole)
    soft = enlarge(hole.astype(np.float32)[..., None], crop, box)[..., 0]
    sharp = max(1.0, enlargement(crop, size))  # the outline is one photo pixel wide
    soft = np.clip((soft - 0.5) * sharp + 0.5, 0, 1) * covers(crop, box)
    weights[part(box)] = soft
    return weights


def face_mask(crop: Crop, photo_size: tuple[int, int]) -> np.ndarray:
    """A soft ellipse over the face in a crop: weights float32 (h, w); size as `mask_in_photo`."""
    box, weights = _empty_mask(crop, photo_size)
    u, v = positions(crop, 64, box)
    x, y, a, b = FACE
    edge = np.clip(3 * (1 - np.hypot((u - x) / a, (v - y) / b)), 0, 1)  # its outer third
    weights[part(box)] = edge**2 * (3 - 2 * edge)
    return weights


def covered(mask: np.ndarray, crop: Crop) -> Box:
    """The box around a crop in its photo; PictureError if nothing is painted in it."""
    check_hole(mask)
    box = grown(bounds(crop), 0, mask)
    if not mask[part(box)].any():
        raise PictureError(OUTSIDE)
    return box


def painted_box(mask: np.ndarray, box: Box) -> Box:
    """The box around what is painted in a box."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = box[:2]
    first, last = (int(columns[0]), int(rows[0])), (int(columns[-1]) + 1, int(rows[-1]) + 1)
    return left + first[0], top + first[1], left + last[0], top + last[1]


def _hole_of_coverage(coverage: np.ndarray) -> np.ndarray:
    """The rule of `hole_of`, from the painted share of each model pixel."""
    hole = coverage >= MIN_COVERAGE - 1e-6
    near_hole = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3))) > 0
    return hole | ((coverage > 0) & ~near_hole)


def _empty_mask(crop: Crop, photo_size: tuple[int, int]) -> tuple[Box, np.ndarray]:
    """The box around a crop in a photo, and a mask of the photo's size to write in."""
    weights = np.zeros(photo_size[::-1], np.float32)
    return grown(bounds(crop), 0, weights), weights
