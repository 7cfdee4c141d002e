"""The square of a photo that the model sees.

Notation: h, w = height and width of the photo; size = the model's side (64 for faces). Positions
are in photo pixels, x to the right, y downwards, 0 at the outer corner of the first pixel, so that
pixel i covers [i, i + 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from demo.imaging import PictureError, told

LEAST_SIDE = 8  # photo pixels
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in whole photo pixels."""
FIELDS = ("x", "y", "side", "angle")


@dataclass(frozen=True)
class Crop:
    """A square, turned: where it is in the photo. It may reach over the photo's edges."""

    x: float
    """Its centre."""
    y: float
    side: float
    angle: float = 0.0
    """Degrees, clockwise as seen; at 0 the crop is upright in the photo."""

    @classmethod
    def of(cls, value: Any, photo_size: tuple[int, int] | None) -> Crop:
        """Check a crop that came from outside: a mapping with x, y, side and perhaps angle.

        Args:
            value: What came.
            photo_size: Width and height of the photo; None where it is not there yet.

        Raises:
            PictureError: If it is no crop, or not in the photo; one sentence.
        """
        if not isinstance(value, Mapping) or not set(FIELDS[:3]) <= value.keys() <= set(FIELDS):
            raise PictureError("The crop must have x, y, side and perhaps angle.")
        numbers = {name: value[name] for name in value}
        for name, number in numbers.items():
            real = isinstance(number, int | float) and not isinstance(number, bool)
            if not real or not math.isfinite(number):
                raise PictureError(f"The crop's {name} must be a number, got {told(number)}.")
        crop = cls(**{name: float(number) for name, number in numbers.items()})
        if photo_size is None:
            return crop
        width, height = photo_size
        if not (0 <= crop.x <= width and 0 <= crop.y <= height):
            raise PictureError("The crop lies outside of the photo: please move it back.")
        if not LEAST_SIDE <= crop.side <= 2 * max(width, height):
            most = 2 * max(width, height)
            raise PictureError(f"The crop's side must be {LEAST_SIDE} to {most} pixels.")
        return crop

    @classmethod
    def middle(cls, photo_size: tuple[int, int]) -> Crop:
        """The largest upright square, its centre at 45 % of the height: faces sit there."""
        width, height = photo_size
        side = min(width, height)
        top = max(0, round(0.45 * height - side / 2))
        return cls((width - side) // 2 + side / 2, top + side / 2, side)

    @classmethod
    def box(cls, left: float, top: float, right: float, bottom: float) -> Crop:
        """An upright square by its edges."""
        return cls((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top))

    def to_photo(self, size: int) -> np.ndarray:
        """Affine map (2, 3) from positions in the crop, in [0, size], to the photo."""
        scale, turn = self.side / size, math.radians(self.angle)
        a, b = scale * math.cos(turn), scale * math.sin(turn)
        half = size / 2
        return np.array([[a, -b, self.x - half * (a - b)], [b, a, self.y - half * (a + b)]])

    def from_photo(self, size: int) -> np.ndarray:
        """The inverse of `to_photo`, (2, 3)."""
        return cv2.invertAffineTransform(self.to_photo(size))

    def corners(self) -> np.ndarray:
        """The four corners (4, 2), clockwise from the top left."""
        unit = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
        return unit @ self.to_photo(1).T

    def facts(self) -> dict[str, float]:
        """As JSON."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def cut(photo: Image.Image, crop: Crop, size: int) -> Image.Image:
    """Cut a crop out of an RGB photo, at the model's size.

    An upright crop of the model's own size at whole pixels is copied, any other is resampled with
    the area of each model pixel in mind; beyond the photo its edge pixels go on.
    """
    box = [crop.x - crop.side / 2, crop.y - crop.side / 2]
    box += [edge + crop.side for edge in box]
    if crop.angle == 0 and all(edge == int(edge) for edge in box):
        left, top, right, bottom = map(int, box)
        if min(left, top) >= 0 and right <= photo.width and bottom <= photo.height:
            square = photo.crop((left, top, right, bottom))
            same = square.size == (size, size)
            return square if same else square.resize((size, size), Image.Resampling.LANCZOS)
    scale = crop.side / size
    shrink = max(1, int(scale / 2))  # what is left is 1 to 4 photo pixels a model pixel
    reach = int(crop.side * 0.71) + 2 * shrink + 2
    left, top = max(0, int(crop.x) - reach), max(0, int(crop.y) - reach)
    right, bottom = min(photo.width, int(crop.x) + reach), min(photo.height, int(crop.y) + reach)
    region = photo.crop((left, top, right, bottom))
    region = region.reduce(shrink) if shrink > 1 else region
    fine = size * max(1, math.ceil(scale / shrink))
    warp = crop.to_photo(fine)
    warp[:, 2] -= (left, top)
    warp /= shrink
    warp[:, 2] += warp[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from the middles of pixels
    pixels = cv2.warpAffine(
        np.asarray(region),
        warp,
        (fine, fine),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.LANCZOS)


def enlargement(crop: Crop, size: int) -> float:
    """How many times a pixel of the model is enlarged in the photo."""
    return crop.side / size


def enlarge(picture: np.ndarray, crop: Crop, box: Box) -> np.ndarray:
    """A picture (n, n, c) of a crop as the photo's pixels in a box show it, (bh, bw, c).

    The inverse of `cut`; beyond the crop the picture's edge goes on. It is enlarged up to eight
    times upright, since OpenCV turns in steps of 1/32 of a pixel, which would show.
    """
    n, scale = len(picture), enlargement(crop, len(picture))
    fine = n * min(8, math.ceil(scale)) if scale > 1 else max(1, math.ceil(n * scale))
    flags = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    large = cv2.resize(picture, (fine, fine), interpolation=flags)
    warp = crop.to_photo(fine)
    warp[:, 2] += warp[:, :2] @ (0.5, 0.5) - 0.5 - box[:2]  # OpenCV counts from pixels' middles
    shape = (box[2] - box[0], box[3] - box[1])
    warped = cv2.warpAffine(
        large, warp, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return warped.reshape(*shape[::-1], picture.shape[2])


def positions(crop: Crop, size: int, box: Box) -> np.ndarray:
    """Position in the crop, 0 to size, of the middle of each pixel of a box: (2, bh, bw)."""
    (a, b, c), (d, e, f) = crop.from_photo(size).tolist()
    x = np.arange(box[0], box[2], dtype=np.float32) + np.float32(0.5)
    y = (np.arange(box[1], box[3], dtype=np.float32) + np.float32(0.5))[:, None]
    return np.stack([a * x + b * y + c, d * x + e * y + f])


def covers(crop: Crop, box: Box) -> np.ndarray:
    """Which pixels of a box have their middle in the crop, (bh, bw)."""
    u, v = positions(crop, 1, box)
    return (u >= 0) & (u < 1) & (v >= 0) & (v < 1)


def bounds(crop: Crop) -> Box:
    """The upright box around a crop."""
    corners = crop.corners()
    return (*map(math.floor, corners.min(0)), *map(math.ceil, corners.max(0)))


def part(box: Box) -> tuple[slice, slice]:
    """The box as an index of a photo."""
    return slice(box[1], box[3]), slice(box[0], box[2])


def grown(box: Box, margin: int, photo: np.ndarray) -> Box:
    """A box with a margin, cut to the photo."""
    left, top, right, bottom = box
    height, width = photo.shape[:2]
    return (
        max(0, left - margin), max(0, top - margin),
        min(width, right + margin), min(height, bottom + margin),
    )  # fmt: skip
