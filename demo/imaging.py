"""Between what a visitor gives (a file, an array, a drawing) and a picture the engine takes.

Notation: h, w = height and width in pixels; size = the model's side (64 for faces). A `hole` is
a boolean array (size, size), True where the model is to fill in.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pi_heif
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

# What phones and cameras write. TIFF, EPS and the like: too much attack surface.
FORMATS = ("PNG", "JPEG", "WEBP", "HEIF", "BMP", "GIF")
MOST_PIXELS = 50_000_000
MOST_BYTES = 25 * 1024**2
# Above twice this Pillow refuses before it decodes, also files that gradio opens itself.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2
PngImagePlugin.MAX_TEXT_CHUNK = 16 * 1024**2  # instead of 1 MB: what editors say of a picture
pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

LARGE = 8_000_000  # pixels; such pictures are decoded one at a time, for want of memory
UNREADABLE = "This cannot be read as a picture: please use JPEG, PNG, WebP, HEIC, BMP or GIF."
EMPTY_MASK = "Nothing is marked yet: paint over the part that is to be filled."
FULL_SCALE = dict(bool=1, uint8=255, uint16=65535, float16=1, float32=1, float64=1)

DECODING = Lock()

Source = str | Path | Image.Image | np.ndarray | None


class PictureError(ValueError):
    """A picture or mask that cannot be used; the message is one sentence for the visitor."""


def told(value: Any, most: int = 40) -> str:
    """What a visitor sent, as a refusal repeats it: short, and printable on one line."""
    try:
        text = str(value)
    except ValueError:  # Python prints no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    return "".join(one if one.isprintable() else " " for one in text[:most])


@contextmanager
def about(name: str) -> Iterator[None]:
    """Say which picture of several could not be used; "" where there is but one."""
    try:
        yield
    except PictureError as error:
        raise PictureError(f"{name}: {error}" if name else str(error)) from error


def restrict_decoders() -> None:
    """Let Pillow open nothing but `FORMATS`, in the whole process and for good.

    Gradio opens pictures, too, with every decoder that Pillow has: an EPS starts Ghostscript,
    which runs the visitor's program. Saving stays as it was, and so do the MPO files of phones,
    which the decoder of JPEG hands on. Nor does it warn of pictures that are let in.
    """
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    Image.init()  # every plugin now: a module is imported once, so none can come back later
    Image.ID[:] = [name for name in Image.ID if name in FORMATS]
    for name in Image.OPEN.keys() - set(FORMATS):
        del Image.OPEN[name]


def open_picture(source: Source, background: str = "white", least: int = 8) -> Image.Image:
    """Read any ordinary picture as RGB: the one gate for all that visitors hand in.

    EXIF orientation is applied, colours are brought to sRGB, transparency is laid over a ground,
    16 bits are scaled to 8, and only the first frame of an animation is read. No metadata
    survives. Pictures of more than `LARGE` pixels wait for each other.

    Args:
        source: A path to a JPEG, PNG, WebP, HEIC, BMP or GIF file of at most 25 MB and 50 million
            pixels; or a Pillow image; or an array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of
            bool, uint8, uint16 or floats in [0, 1].
        background: Colour of the ground, by name.
        least: Pixels that either side must have.

    Returns:
        Picture in mode RGB, at the size of the source.

    Raises:
        PictureError: If it is missing, broken, of another kind, too small or too large.
    """
    if source is None:
        raise PictureError("Please choose a picture first.")
    try:
        if isinstance(source, np.ndarray):
            source = _from_array(source)
        if isinstance(source, Image.Image):
            return _upright_rgb(source, background, least)
        if Path(source).stat().st_size > MOST_BYTES:
            raise PictureError("The file is too large: at most 25 MB, please.")
        with Image.open(source, formats=FORMATS) as image:
            return _upright_rgb(image, background, least)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        limit = MOST_PIXELS // 1_000_000
        raise PictureError(f"The picture is too large: at most {limit} million pixels.") from error
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        raise PictureError(UNREADABLE) from error


def fit_square(picture: Image.Image, size: int, channels: int = 3) -> np.ndarray:
    """Cut the middle square and resize it to what a model takes.

    Args:
        picture: RGB picture.
        size: Side of the result in pixels.
        channels: 1 for grey, 3 for RGB.

    Returns:
        float32 (size, size, channels) in [0, 1]; without a resize exactly the 8-bit values / 255.
    """
    picture = picture.convert("L" if channels == 1 else "RGB")
    square = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(square, dtype=np.float32).reshape(size, size, channels) / 255


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """Round floats in [0, 1] to uint8, same shape; values outside are clipped."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def to_image(picture: np.ndarray) -> Image.Image:
    """A picture (h, w, 3) or (h, w, 1), uint8 or floats in [0, 1], as a Pillow image."""
    pixels = picture if picture.dtype == np.uint8 else to_uint8(picture)
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def enlarge(picture: np.ndarray, side: int) -> Image.Image:
    """Upscale a square picture smoothly to RGB for display.

    Args:
        picture: (h, h, 3) or (h, h, 1), uint8 or floats in [0, 1].
        side: Height and width of the result in pixels.
    """
    return to_image(picture).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def check_hole(hole: np.ndarray) -> None:
    """Raise PictureError for an empty hole; a full one is legal (all is drawn anew)."""
    if not hole.any():
        raise PictureError(EMPTY_MASK)


def _upright_rgb(image: Image.Image, background: str, least: int) -> Image.Image:
    """Check the size before anything is decoded, then convert."""
    if min(image.size) < least:
        raise PictureError(f"The picture is too small: at least {least} pixels a side, please.")
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        raise Image.DecompressionBombError
    with DECODING if pixels > LARGE else nullcontext():
        image = ImageOps.exif_transpose(image)  # a copy
        profile = image.info.get("icc_profile")
        if image.mode[0] in "IF":  # 16-bit grey or floats, which Pillow would clip to 255
            deep = np.asarray(image)
            image = _from_array(deep.clip(0, 65535).astype("u2") if image.mode == "I" else deep)
        elif image.has_transparency_data:
            image = image.convert("RGBA")
        image = _in_srgb(image, profile) if profile else image
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
        image = image if image.mode == "RGB" else image.convert("RGB")
    image.info.clear()  # EXIF, GPS, comments
    return image


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Bring colours to sRGB from, say, a phone's Display P3; a broken profile counts as none."""
    image = image.convert("RGB") if image.mode in "P1" else image
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(given):
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, given, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


def _from_array(pixels: np.ndarray) -> Image.Image:
    """Scale an array of any depth to 8 bit; see `open_picture` for what is accepted."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    full_scale = FULL_SCALE.get(pixels.dtype.name)
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size or not full_scale:
        raise PictureError("This is not a picture: its numbers have an unknown shape or type.")
    if pixels.dtype.kind == "f" and not (pixels.min() > -0.01 and pixels.max() < 1.01):  # or NaN
        raise PictureError("This is not a picture: its numbers must lie between 0 and 1.")
    if pixels.dtype != np.uint8:
        pixels = to_uint8(pixels / full_scale)
    return to_image(pixels)
