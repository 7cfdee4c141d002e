"""The edit back in the photo: the fill put where the paint was.

Notation: h, w = height and width of the photo; size = the model's side. A mask is (h, w), bool or
weights in [0, 1]; what has weight 0 keeps its bytes. A hole is a mask at the model's size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from demo.imaging import PictureError
from demo.photos import blend
from demo.photos.crop import Box, Crop, covers, cut, enlarge, enlargement, grown, part
from demo.photos.holes import OUTSIDE, covered, hole_of, painted_box

METHODS = ("matched", "poisson", "feather", "plain")
RING = 4  # model pixels around the hole that are measured
FEATHER = 2  # model pixels, of the method of that name
AGREES = 3.0  # grey levels: where the fill is as near to what was there, its own detail stays


@dataclass(frozen=True)
class Patch:
    """A part of a photo that was changed."""

    left: int
    top: int
    pixels: np.ndarray
    """uint8 (ph, pw, 3); the photo's own outside of the mask."""

    def onto(self, photo: np.ndarray) -> np.ndarray:
        """A new photo (h, w, 3) with the patch in its place."""
        height, width = self.pixels.shape[:2]
        changed = photo.copy()
        changed[self.top : self.top + height, self.left : self.left + width] = self.pixels
        return changed


def changed_outside(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> int:
    """How many pixels outside of the mask differ between two photos, uint8 (h, w, 3)."""
    return int(np.count_nonzero((before != after).any(-1) & ~(mask > 0)))


def paste(
    photo: np.ndarray,
    crop: Crop,
    mask: np.ndarray,
    fill: np.ndarray,
    *,
    feather: float | None = None,
    method: str = "matched",
    seed: int = 0,
) -> Patch:
    """Put a fill back into its photo.

    Args:
        photo: uint8 (h, w, 3).
        crop: Where the model looked.
        mask: What may change, (h, w), bool or weights; of it only what lies in the crop does.
        fill: The model's picture of the crop, float (size, size, 3) or (size, size, 1) in [0, 1].
        feather: Width in photo pixels over which the fill sets in inside of the mask.
        method: "matched": colour steps at the rim taken out, detail and grain as around it;
            "poisson": OpenCV's seamlessClone; "feather"; "plain": the enlarged fill. A fill
            whose pixels are the photo's own is copied, whatever the method.
        seed: Of the grain.

    Returns:
        The changed part; the same arguments give the same bytes.

    Raises:
        PictureError: If the mask is empty, of another size than the photo, or outside the crop.
        ValueError: If the method is unknown or the fill no square.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if fill.ndim != 3 or fill.shape[0] != fill.shape[1] or fill.shape[2] not in (1, 3):
        raise ValueError(f"a fill is (size, size, 1 or 3), got {fill.shape}")
    place = Place.of(photo, crop, mask, fill)
    if place.copies:
        return place.patch(place.enlarged(place.filled), 0)
    if method == "matched":
        drawn = place.matched(seed)
    elif method == "poisson":
        drawn = place.poisson()
    else:
        drawn = place.enlarged(place.filled)
    if feather is None and method == "feather":
        feather = FEATHER * place.scale
    return place.patch(drawn, feather or 0)


@dataclass(frozen=True)
class Place:
    """Where a fill goes: the photo around it, and the model's view of it with a margin."""

    box: Box
    before: np.ndarray
    """The photo in the box, float32 (bh, bw, 3), 0 to 255."""
    weights: np.ndarray
    """The mask in the box, 0 outside of the crop, float32 (bh, bw)."""
    crop: Crop
    """The square that `seen` and `filled` show."""
    seen: np.ndarray
    """What the model would see of it, float32 (n, n, 3), 0 to 255."""
    filled: np.ndarray
    """The same with the fill."""
    hole: np.ndarray
    """(n, n), what is filled."""
    real: np.ndarray
    """(n, n), what lies in the photo."""

    @classmethod
    def of(cls, photo: np.ndarray, crop: Crop, mask: np.ndarray, fill: np.ndarray) -> Place:
        """Cut out what `paste` works on; errors as there."""
        height, width, size = *photo.shape[:2], len(fill)
        if mask.shape != (height, width):
            shape = " x ".join(map(str, mask.shape[::-1]))
            raise PictureError(
                f"The mask must be as large as its photo, {width} x {height}, not {shape}."
            )
        hole = np.pad(hole_of(mask, crop, size), RING)
        box = covered(mask, crop)
        painted = (mask[part(box)] > 0) & covers(crop, box)
        if not painted.any():  # but the edge of a pixel may be
            raise PictureError(OUTSIDE)
        box = grown(painted_box(painted, box), 1 + math.ceil(RING * enlargement(crop, size)), photo)
        weights = np.clip(mask[part(box)], 0, 1) * covers(crop, box)
        wide = replace(crop, side=crop.side * (size + 2 * RING) / size)
        inner = np.s_[RING:-RING, RING:-RING]
        seen = _seen(photo, wide, size + 2 * RING)
        seen[inner] = _seen(photo, crop, size)  # as the model saw it, to the last bit
        filled = seen.copy()
        filled[inner] = 255 * np.clip(fill, 0, 1)
        x, y = wide.to_photo(len(seen)) @ _middles(len(seen))
        real = ((x >= 0) & (x < width) & (y >= 0) & (y < height)).reshape(hole.shape)
        before = photo[part(box)].astype(np.float32)
        return cls(box, before, weights.astype(np.float32), wide, seen, filled, hole, real)

    @property
    def scale(self) -> float:
        """Photo pixels to a pixel of the model."""
        return enlargement(self.crop, len(self.seen))

    @property
    def copies(self) -> bool:
        """Whether the model's pixels are the photo's own."""
        corner = self.crop.corners()[0]
        return self.scale == 1 and self.crop.angle == 0 and (corner == np.rint(corner)).all()

    def enlarged(self, picture: np.ndarray) -> np.ndarray:
        """A picture (n, n, c) of the crop, in the box."""
        return enlarge(picture, self.crop, self.box)

    def matched(self, seed: int) -> np.ndarray:
        """The fill as if it were of this photo, (bh, bw, 3)."""
        rim = blend.rim_of(self.hole) & self.real
        steps = blend.rim_steps(self.filled, self.hole, self.real)
        offset = blend.membrane(steps, rim) if rim.any() else steps
        drawn = self.enlarged(self.filled - self.hole[..., None] * offset)
        own = self.enlarged(self._agreement()[..., None]).clip(0, 1)
        known = self.weights == 0
        grain = self._sharpen(drawn, known, seed) if self.scale > 1 and known.any() else 0
        drawn += own * (self.before - drawn) + np.sqrt(1 - own**2) * grain
        return drawn + blend.membrane(self.before - drawn, known) if known.any() else drawn

    def _sharpen(self, drawn: np.ndarray, known: np.ndarray, seed: int) -> np.ndarray:
        """Sharpen an enlarged fill as its surroundings ask for; their grain, (bh, bw, 3)."""
        seen, blur = self.enlarged(self.seen), self.scale / 2
        detail = (self.before - seen) * known[..., None]
        strength = blend.sharpening(seen, detail, known, blur)
        drawn += strength * (drawn - cv2.GaussianBlur(drawn, (0, 0), blur))
        inside = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5)
        noise = blend.random_phases(blend.calmed(detail, known, blur), seed)
        return blend.grain(detail, known, inside, self.scale, noise)

    def poisson(self) -> np.ndarray:
        """The enlarged fill with the photo's values at the rim, by OpenCV: (bh, bw, 3)."""
        drawn, painted = self.enlarged(self.filled), self.weights[..., None] > 0
        edge = 8  # its mask must not meet the edge of the picture
        source, target = (
            cv2.copyMakeBorder(_bytes(picture), *[edge] * 4, cv2.BORDER_REPLICATE)
            for picture in (drawn, np.where(painted, drawn, self.before))
        )
        paint = np.pad(np.where(self.weights > 0, 255, 0).astype(np.uint8), edge)
        paint = cv2.dilate(paint, np.ones((3, 3)), iterations=3)  # by as much it is shrunk again
        left, top, width, height = cv2.boundingRect(paint)
        middle = (left + width // 2, top + height // 2)
        cloned = cv2.seamlessClone(source, target, paint, middle, cv2.NORMAL_CLONE)
        return cloned[edge:-edge, edge:-edge].astype(np.float32)

    def patch(self, drawn: np.ndarray, feather: float) -> Patch:
        """Lay the drawing (bh, bw, 3) over the photo, inside of the mask only."""
        weights = self.weights
        if feather:
            inside = cv2.distanceTransform((weights > 0).astype(np.uint8), cv2.DIST_L2, 5)
            weights = weights * np.clip(inside / feather, 0, 1)
        laid = self.before + weights[..., None] * (np.clip(drawn, 0, 255) - self.before)
        return Patch(self.box[0], self.box[1], _bytes(laid))

    def _agreement(self) -> np.ndarray:
        """1 where the fill is what was there, falling to 0 where it is not: (n, n)."""
        differ = abs(self.filled - self.seen).max(-1) * self.hole
        return np.exp(-((cv2.dilate(differ, np.ones((5, 5))) / AGREES) ** 2))


def _bytes(picture: np.ndarray) -> np.ndarray:
    """Grey levels as uint8."""
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


def _seen(photo: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """What a model of that size sees through a crop, float32 (size, size, 3)."""
    reach = math.ceil(0.71 * crop.side + enlargement(crop, size)) + 8  # as far as `cut` looks
    x, y = int(crop.x), int(crop.y)
    left, top, right, bottom = grown((x, y, x, y), reach, photo)
    region = Image.fromarray(np.ascontiguousarray(photo[top:bottom, left:right]))
    moved = replace(crop, x=crop.x - left, y=crop.y - top)
    return np.array(cut(region, moved, size), np.float32)


def _middles(size: int) -> np.ndarray:
    """Positions (x, y, 1) of the middles of (size, size) pixels, (3, size * size)."""
    y, x = np.mgrid[:size, :size].reshape(2, -1) + 0.5
    return np.stack([x, y, np.ones_like(x)])
