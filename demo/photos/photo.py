"""A visitor's photo, what was made of it so far, and the square of it that the model sees."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from demo import imaging
from demo.imaging import PictureError, Source
from demo.photos.crop import Crop, cut
from demo.photos.faces import CELEBA_CROPS, Face, find_faces
from demo.photos.paste import Patch

MOST_PATCHES = 64
LOST = "The photo is no longer on the server: please choose it again."


@dataclass(frozen=True)
class Photo:
    """A photo with its crop; (size, c) = side and channels of what the model sees."""

    source: Source
    crop: Crop
    size: int
    channels: int = 3
    patches: Sequence[Patch] = field(default=(), repr=False)

    @classmethod
    def of(cls, source: Source, size: int, channels: int = 3, crop: Any = None) -> Photo:
        """Open a photo.

        Args:
            source: As for `imaging.open_picture`.
            size: Side of what the model sees.
            channels: 1 for grey, 3 for RGB.
            crop: A `Crop`, or what `Crop.of` takes; None: `default_crop`.

        Raises:
            PictureError: If the picture or the crop cannot be used.
        """
        whole = _opened(source)
        if not isinstance(crop, Crop):
            crop = Crop.of(crop, whole.size) if crop else default_crop(whole, size)[0]
        return cls(source, crop, size, channels)._decoded(whole)

    @classmethod
    def drawn(cls, picture: np.ndarray) -> Photo:
        """A picture (size, size, c) in [0, 1] that the model drew, as a file holds it."""
        image, (size, _, channels) = imaging.to_image(picture), picture.shape
        return cls(image, Crop.box(0, 0, size, size), size, channels)

    @classmethod
    def document(
        cls, document: Mapping[str, Any], size: int = 64, channels: int = 3, staged: bool = False
    ) -> Photo:
        """What the page's photo component holds: file, patches, crop; checked.

        The files of it Gradio has checked to be uploads.

        Args:
            document: As `box.PhotoBox` hands it over.
            size: Side of what the model sees.
            channels: 1 for grey, 3 for RGB.
            staged: Whether the patch that is only looked at is part of it.
        """
        photo = cls.of(file_path(document.get("file")), size, channels, document.get("crop"))
        patches = document.get("patches") or []
        if not isinstance(patches, list) or len(patches) > MOST_PATCHES:
            raise PictureError(f"A photo has at most {MOST_PATCHES} edits.")
        stage = document.get("stage") if staged else None
        patches = [*patches, *([stage] if stage else [])]
        return photo.edited(*(_patch(one, photo.whole.size) for one in patches))

    @cached_property
    def whole(self) -> Image.Image:
        """Upright RGB, at its own size, with all patches."""
        return _with(_opened(self.source), self.patches)

    @cached_property
    def seen(self) -> np.ndarray:
        """What the model sees, float32 (size, size, c) in [0, 1]."""
        square = cut(self.whole, self.crop, self.size)
        square = square.convert("L" if self.channels == 1 else "RGB")
        pixels = np.asarray(square, dtype=np.float32) / 255
        return pixels.reshape(self.size, self.size, self.channels)

    def edited(self, *patches: Patch) -> Photo:
        """The same with further patches."""
        return self._decoded(_with(self.whole, patches), patches=[*self.patches, *patches])

    def cropped(self, crop: Crop) -> Photo:
        """The same with another crop."""
        return self._decoded(self.whole, crop=crop)

    def _decoded(self, whole: Image.Image, **changes: Any) -> Photo:
        """The same with changes, and what was decoded already."""
        photo = replace(self, **changes)
        photo.__dict__["whole"] = whole
        return photo


def default_crop(whole: Image.Image, size: int) -> tuple[Crop, list[Face]]:
    """Where the model shall look, when nobody says; and the faces that were looked for.

    A picture of the model's size is kept, and aligned CelebA is cropped as in the paper; in any
    other it is the largest face, aligned as in the training pictures, or else `Crop.middle`.
    """
    if whole.size == (size, size):
        return Crop.box(0, 0, size, size), [Face(Crop.box(0, 0, size, size))]
    if whole.size in CELEBA_CROPS:
        return (crop := Crop.box(*CELEBA_CROPS[whole.size])), [Face(crop)]
    faces = find_faces(whole)
    crop = faces[0].crop if faces else Crop.middle(whole.size)
    return Crop(**crop.facts()), faces  # as a recipe tells it


def _with(whole: Image.Image, patches: Sequence[Patch]) -> Image.Image:
    """A picture with patches."""
    for patch in patches:
        whole = Image.fromarray(patch.onto(np.asarray(whole)))
    return whole


def _opened(source: Source) -> Image.Image:
    """As `imaging.open_picture`; a file that was opened just now is not decoded again."""
    changed = None
    if isinstance(source, str | Path):
        with suppress(OSError, ValueError):  # what is wrong with it will be said
            changed = os.stat(source).st_mtime_ns
    return imaging.open_picture(source) if changed is None else _decoded(str(source), changed)


@lru_cache(maxsize=2)  # of up to 150 MB; a brush comes back to the same photo stroke by stroke
def _decoded(path: str, changed: int) -> Image.Image:
    return imaging.open_picture(path)


def file_path(file: Any) -> str:
    """Of a file that Gradio has checked to be an upload."""
    path = file.get("path") if isinstance(file, Mapping) else None
    if not isinstance(path, str) or not Path(path).is_file():
        raise PictureError(LOST)
    return path


def _patch(value: Any, size: tuple[int, int]) -> Patch:
    """A patch of a document, checked to lie in the photo."""
    if not isinstance(value, Mapping):
        raise PictureError("An edit of the photo cannot be read.")
    pixels = np.asarray(imaging.open_picture(file_path(value.get("file")), least=1))
    left, top = value.get("left"), value.get("top")
    fits = all(isinstance(one, int) and one >= 0 for one in (left, top))
    if not fits or left + pixels.shape[1] > size[0] or top + pixels.shape[0] > size[1]:
        raise PictureError("An edit of the photo does not fit into it.")
    return Patch(left, top, pixels)
