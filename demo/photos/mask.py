"""What is to be filled: painted on the photo, or on the square that the model sees."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from PIL import Image

from demo import imaging
from demo.imaging import PictureError, Source
from demo.photos.holes import MIN_COVERAGE, hole_of, mask_in_photo
from demo.photos.photo import Photo

MOST_PIXELS = 20_000_000  # of a mask that the page paints
BROKEN = "The mask cannot be read: please paint it again."


@dataclass(frozen=True)
class Mask:
    """A mask."""

    pixels: np.ndarray
    """Boolean, True where it is to be filled."""
    on_photo: bool = True
    """Whether it has the photo's size; else it is square and lies on the crop."""
    encoded: dict[str, Any] = field(default_factory=dict, repr=False)
    """As the page holds it (``assets/mask.js``): the part of a canvas that is painted, a PNG."""

    @classmethod
    def of_picture(cls, source: Source, photo: Photo) -> Mask:
        """From a picture: white is to be filled, transparency counts as black.

        Raises:
            PictureError: If it cannot be read, or has neither the photo's size nor is square.
        """
        mask = imaging.open_picture(source, background="black", least=1).convert("L")
        on_photo = mask.size == photo.whole.size
        if not on_photo and mask.width != mask.height:
            shape = f"{mask.width} x {mask.height}"
            raise PictureError(f"The mask must be square or as large as its picture, not {shape}.")
        return cls(pixels := np.asarray(mask) >= 128, on_photo, encode(pixels))

    @classmethod
    def of_document(cls, painted: Any, photo: Photo | None) -> Mask:
        """From what the page's photo component holds; without a photo it is checked alone.

        Raises:
            PictureError: If nothing is painted, or it cannot be read.
        """
        if painted is None:
            raise PictureError(imaging.EMPTY_MASK)
        pixels = np.asarray(_canvas(painted)) >= 255 * MIN_COVERAGE
        if photo and pixels.shape[::-1] != photo.whole.size:
            grown = pixels.astype(np.uint8)
            pixels = cv2.resize(grown, photo.whole.size, interpolation=cv2.INTER_NEAREST) > 0
        return cls(pixels, encoded=dict(painted))

    def in_crop(self, photo: Photo) -> np.ndarray:
        """The model's mask, boolean (size, size).

        Raises:
            PictureError: If nothing is marked in the square that the model sees.
        """
        if self.on_photo:
            return hole_of(self.pixels, photo.crop, photo.size)
        square = Image.fromarray(self.pixels)
        hole = np.asarray(square.resize((photo.size, photo.size), Image.Resampling.NEAREST))
        imaging.check_hole(hole)
        return hole

    def in_photo(self, photo: Photo) -> np.ndarray:
        """The same on the photo, (h, w), boolean or weights in [0, 1]."""
        if self.on_photo:
            return self.pixels
        return mask_in_photo(self.in_crop(photo), photo.crop, photo.whole.size)


def encode(pixels: np.ndarray) -> dict[str, Any]:
    """A boolean mask as the page holds one."""
    height, width = pixels.shape
    mask = Image.fromarray(pixels)
    left, top, right, bottom = mask.getbbox() or (0, 0, 1, 1)
    alpha = mask.crop((left, top, right, bottom)).convert("L")
    buffer = io.BytesIO()
    Image.merge("LA", (alpha, alpha)).save(buffer, "PNG", optimize=True)
    png = base64.b64encode(buffer.getvalue()).decode()
    return {"width": width, "height": height, "left": left, "top": top, "png": png}


def _canvas(painted: Any) -> Image.Image:
    """Opacity of the whole canvas of which the PNG is a part."""
    if not isinstance(painted, Mapping):
        raise PictureError(BROKEN)
    try:
        width, height, left, top = (int(painted[k]) for k in ("width", "height", "left", "top"))
        png = io.BytesIO(base64.b64decode(painted["png"], validate=True))
        part = Image.open(png, formats=["PNG"])
        fits = 0 <= left <= width - part.width and 0 <= top <= height - part.height
        if not fits or width * height > MOST_PIXELS:
            raise PictureError(BROKEN)
        canvas = Image.new("L", (width, height))
        canvas.paste(part.convert("RGBA").getchannel("A"), (left, top))
    except PictureError:
        raise
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        raise PictureError(BROKEN) from error
    return canvas
