"""Faces in a photo, each as the crop that puts its eyes where training pictures have them.

OpenCV's cascade finds upright faces in turned copies of the photo. Each hit is then moved, scaled
and turned by a few linear steps from its oriented gradients (Xiong and De la Torre 2013) and
weighed by a linear classifier of the same; both were learned from aligned CelebA
(``python evaluate.py faces --fit``). All work is on a reduced grey copy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from demo.photos.crop import Crop, cut

# Aligned CelebA, full and half resolution: the paper's crop, (left, top, right, bottom).
CELEBA_CROPS = {(178, 218): (25, 57, 153, 185), (89, 109): (12, 28, 76, 92)}
EYES = np.array([[22.0, 27.5], [43.0, 27.5]]) / 64  # in the mean of these crops, in sides
LEARNED = Path(__file__).with_name("faces.npz")
CASCADE = "haarcascade_frontalface_alt2.xml"
# Longer side of the copy that is searched, and its turns in degrees: a cascade stands about 15
# either way. The second if nothing was found: people in the distance.
LOOKS = ((480, (0, -18, 18, -36, 36)), (960, (0,)))
LEAST = 20  # pixels of a face's box in that copy
FINE = 1600  # longer side of the copy on which faces are aligned
WINDOW = 32  # pixels of a crop that is looked at
BOX_TO_CROP = (0.015, 0.0, 1.12)  # of the cascade's box: where the crop's centre lies, its side
SHOWN = 0.4  # least score
SAME = 0.5  # of the smaller side: crops whose centres are nearer show one face

HOG = cv2.HOGDescriptor((WINDOW, WINDOW), (8, 8), (8, 8), (4, 4), 9)


@dataclass(frozen=True)
class Face:
    """A face."""

    crop: Crop
    score: float = 1.0
    """How sure it is: about 1 for an ordinary face, -1 for none."""


@dataclass(frozen=True)
class Aligner:
    """What was learned: ``faces.npz``."""

    steps: np.ndarray
    """float (k, 577, 4): features and 1 to a change of (x, y, log side, angle), k times over."""
    judge: np.ndarray
    """float (577,): features and 1 to a score."""

    @classmethod
    @cache
    def load(cls) -> Aligner:
        """Read it once."""
        with np.load(LEARNED) as learned:
            return cls(learned["steps"].astype(np.float32), learned["judge"].astype(np.float32))

    def align(self, grey: Image.Image, crop: Crop) -> Face:
        """Move a crop onto the face that it shows nearly; away from the photo is none."""
        for step in self.steps:
            crop = changed(crop, look(grey, crop) @ step)
            if not (0 <= crop.x <= grey.width and 0 <= crop.y <= grey.height and crop.side > 4):
                return Face(crop, -1)
        return Face(crop, float(look(grey, crop) @ self.judge))


def find_faces(photo: Image.Image) -> list[Face]:
    """Find upright and tilted faces, up to some 45 degrees.

    Args:
        photo: RGB, of any size.

    Returns:
        Faces, the largest first; none is no error.
    """
    fine = ImageOps.autocontrast(_reduced(photo.convert("L"), FINE), cutoff=0.5)
    for side, angles in LOOKS:
        small = _reduced(fine, side)
        hits = _hits(small, angles, fine.width / small.width)
        aligned = (Aligner.load().align(fine, hit) for hit in hits)
        faces = _distinct([face for face in aligned if face.score > SHOWN])
        if faces:
            break
    scale = photo.width / fine.width
    faces = [Face(_scaled(face.crop, scale), face.score) for face in faces]
    return sorted(faces, key=lambda face: -face.crop.side)


def look(grey: Image.Image, crop: Crop) -> np.ndarray:
    """Oriented gradients of a crop, blind to its contrast, and a 1: float32 (577,)."""
    return np.append(HOG.compute(np.asarray(cut(grey, crop, WINDOW))).ravel(), np.float32(1))


def changed(crop: Crop, change: np.ndarray) -> Crop:
    """Apply (x, y, log side, angle): sides, in the crop's own axes, and radians."""
    dx, dy, grow, turn = (float(value) for value in np.clip(change, -0.5, 0.5))
    cos, sin = math.cos(math.radians(crop.angle)), math.sin(math.radians(crop.angle))
    x, y = crop.x + crop.side * (dx * cos - dy * sin), crop.y + crop.side * (dx * sin + dy * cos)
    return Crop(x, y, crop.side * math.exp(grow), crop.angle + math.degrees(turn))


def _reduced(grey: Image.Image, side: int) -> Image.Image:
    """The picture at most so large."""
    scale = side / max(grey.size)
    if scale >= 1:
        return grey
    size = [max(1, round(edge * scale)) for edge in grey.size]
    return grey.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)


def _hits(grey: Image.Image, angles: Sequence[float], scale: float) -> Iterator[Crop]:
    """Where the cascade sees a face, even once: the judge knows better; times ``scale``."""
    pixels = np.asarray(grey)
    height, width = pixels.shape
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + CASCADE)
    right, down, grow = BOX_TO_CROP
    for angle in angles:
        upright = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
        wide, high = np.abs(upright[:, :2]) @ (width, height)
        upright[:, 2] += (wide - width) / 2, (high - height) / 2
        size = math.ceil(wide), math.ceil(high)
        turned = cv2.warpAffine(pixels, upright, size, borderMode=cv2.BORDER_REPLICATE)
        back = cv2.invertAffineTransform(upright)
        boxes = cascade.detectMultiScale(turned, 1.15, 0, minSize=(LEAST, LEAST))
        for left, top, side, _ in boxes:
            x, y = back @ (left + side * (0.5 + right), top + side * (0.5 + down), 1)
            yield _scaled(Crop(x, y, float(side) * grow, float(angle)), scale)


def _scaled(crop: Crop, scale: float) -> Crop:
    """The same in a photo ``scale`` times as large."""
    return Crop(crop.x * scale, crop.y * scale, crop.side * scale, crop.angle)


def _distinct(faces: list[Face]) -> list[Face]:
    """One of those that lie on another, the surest."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        x, y, side = face.crop.x, face.crop.y, face.crop.side
        near = (
            math.hypot(x - one.crop.x, y - one.crop.y) < SAME * min(side, one.crop.side)
            for one in kept
        )
        if not any(near):
            kept.append(face)
    return kept
