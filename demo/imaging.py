"""Between what a visitor gives (a file, an array, a drawing) and a picture the engine takes.

Notation: h, w = height and width in pixels; size = the model's side (64 for faces). A `hole` is
a boolean array (size, size), True where the model is to fill in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageOps

# Pillow warns above this and refuses above twice this, also for files that gradio opens itself:
# 16 million pixels let an ordinary phone's photo in and keep a bomb out.
Image.MAX_IMAGE_PIXELS = 8_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")  # TIFF, EPS and the like: too much attack surface
# Aligned CelebA, full and half resolution: the paper's crop, (left, top, right, bottom).
CELEBA_CROPS = {(178, 218): (25, 57, 153, 185), (89, 109): (12, 28, 76, 92)}
MIN_COVERAGE = 0.25  # of a model pixel that must be painted
FULL_SCALE = dict(bool=1, uint8=255, uint16=65535, float16=1, float32=1, float64=1)

Source = str | Path | Image.Image | np.ndarray | None


class PictureError(ValueError):
    """A picture or mask that cannot be used; the message is one sentence for the visitor."""


@dataclass(frozen=True)
class Photo:
    """A visitor's picture."""

    whole: Image.Image
    """Upright RGB, at its own size."""
    seen: np.ndarray
    """What the model sees of it, as of `fit_square`."""

    @classmethod
    def of(cls, source: Source, size: int, channels: int) -> Photo:
        """Open a picture and cut it to the model's size; errors as `open_picture`."""
        whole = open_picture(source)
        return cls(whole, fit_square(whole, size, channels))

    @classmethod
    def drawn(cls, picture: np.ndarray) -> Photo:
        """A picture (size, size, c) in [0, 1] that the model drew, as a file holds it."""
        return cls(to_image(picture), to_uint8(picture).astype(np.float32) / 255)


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
    which the decoder of JPEG hands on.
    """
    Image.init()  # every plugin now: a module is imported once, so none can come back later
    Image.ID[:] = [name for name in Image.ID if name in FORMATS]
    for name in Image.OPEN.keys() - set(FORMATS):
        del Image.OPEN[name]


def open_picture(source: Source) -> Image.Image:
    """Read any ordinary picture as RGB.

    EXIF orientation is applied, transparency is laid over white, 16-bit grey is scaled to 8 bit,
    and only the first frame of an animation is read. No metadata survives.

    Args:
        source: A path to a PNG, JPEG, WebP, BMP or GIF file; or a Pillow image; or an array
            (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) of bool, uint8, uint16 or floats in [0, 1].

    Returns:
        Picture in mode RGB, at the size of the source.

    Raises:
        PictureError: If it is missing, broken, of another kind, too small or too large.
    """
    return _open(source, background="white")


def fit_square(picture: Image.Image, size: int, channels: int = 3) -> np.ndarray:
    """Crop and resize to what the model takes.

    A picture of the model's size is kept, aligned CelebA is cropped as in the paper, any other
    is cut to a square with its centre at 45 % of the height.

    Args:
        picture: RGB picture.
        size: Side of the result in pixels.
        channels: 1 for grey, 3 for RGB.

    Returns:
        float32 (size, size, channels) in [0, 1]; without a resize exactly the 8-bit values / 255.
    """
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (size, size):
        box = _square_box(*picture.size)
        picture = picture.crop(box).resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.float32).reshape(size, size, channels) / 255


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


def hole_from_editor(value: dict | None, size: int) -> np.ndarray:
    """Read the hole that a visitor painted in a gradio ImageEditor.

    A model pixel is hole if at least 25 % of it is painted. Fainter paint (a stroke thinner than
    a model pixel, a dot) counts where it would vanish otherwise: no hole within one pixel.

    Args:
        value: The editor's dict; only "layers" is read: RGBA arrays or pictures of any size,
            or None. Painted is what has alpha > 0.
        size: Side of the hole in pixels.

    Returns:
        The hole, boolean (size, size); all False if nothing is painted.

    Raises:
        PictureError: If a layer has no alpha channel.
    """
    hole = np.zeros((size, size), bool)
    for layer in (value or {}).get("layers") or []:
        if layer is not None:
            hole |= _painted(np.asarray(layer), size)
    return hole


def hole_from_picture(
    source: Source, size: int, picture_size: tuple[int, int] | None = None
) -> np.ndarray:
    """Read the hole from a mask picture: white is to be filled.

    Args:
        source: As for `open_picture`; transparency counts as black. Must be square, or of the
            size of its picture, and is then cropped as `fit_square` crops that.
        size: Side of the hole in pixels; a mask of another size is resized without smoothing.
        picture_size: Width and height of the picture that it belongs to, before its crop.

    Returns:
        The hole, boolean (size, size), True where the luminance is at least 128.

    Raises:
        PictureError: If the mask cannot be read or does not fit the picture.
    """
    mask = _open(source, background="black").convert("L")
    if mask.size == picture_size:
        mask = mask.crop(_square_box(*mask.size))
    if mask.width != mask.height:
        shape = f"{mask.width} x {mask.height}"
        raise PictureError(f"The mask must be square or as large as its picture, not {shape}.")
    return np.asarray(mask.resize((size, size), Image.Resampling.NEAREST)) >= 128


def check_hole(hole: np.ndarray) -> None:
    """Raise PictureError for an empty hole; a full one is legal (all is drawn anew)."""
    if not hole.any():
        raise PictureError("Nothing is marked yet: paint over the part that is to be filled.")


def hole_overlay(
    hole: np.ndarray, side: int, colour: tuple[int, int, int] = (255, 51, 85), alpha: int = 178
) -> np.ndarray:
    """Paint a hole as a layer for an ImageEditor; `hole_from_editor` reads it back.

    Args:
        hole: Boolean (size, size).
        side: Height and width of the layer in pixels.
        colour: RGB of the brush, 0 to 255.
        alpha: Opacity of the brush, 1 to 255.

    Returns:
        RGBA uint8 (side, side, 4), all zero outside the hole.
    """
    large = np.asarray(Image.fromarray(hole).resize((side, side), Image.Resampling.NEAREST))
    return large[..., None] * np.array([*colour, alpha], np.uint8)


def _open(source: Source, background: str) -> Image.Image:
    """Decode, turn upright and flatten onto a background colour."""
    if source is None:
        raise PictureError("Please choose a picture first.")
    try:
        if isinstance(source, np.ndarray):
            source = _from_array(source)
        if isinstance(source, Image.Image):
            return _upright_rgb(source, background)
        with Image.open(source, formats=FORMATS) as image:
            return _upright_rgb(image, background)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 1_000_000
        raise PictureError(f"The picture is too large: at most {limit} million pixels.") from error
    except Exception as error:  # hostile bytes make decoders raise nearly anything
        raise PictureError(
            "This cannot be read as a picture: please use a PNG, JPEG, WebP, BMP or GIF file."
        ) from error


def _upright_rgb(image: Image.Image, background: str) -> Image.Image:
    """Check the size before anything is decoded, then convert."""
    if min(image.size) < 8:
        raise PictureError("The picture is too small: at least 8 pixels a side, please.")
    if image.width * image.height > 2 * Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":  # 16-bit grey or floats, which Pillow would clip to 255
        pixels = np.asarray(image)
        image = _from_array(pixels.clip(0, 65535).astype("u2") if image.mode == "I" else pixels)
    elif image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    return Image.fromarray(np.asarray(image.convert("RGB")))  # a new object: no EXIF, no GPS


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


def _square_box(width: int, height: int) -> tuple[int, int, int, int]:
    """What `fit_square` cuts out, (left, top, right, bottom) in pixels."""
    if (width, height) in CELEBA_CROPS:
        return CELEBA_CROPS[width, height]
    side = min(width, height)
    left = (width - side) // 2
    top = max(0, round(0.45 * height - side / 2))  # faces sit a little above the middle
    return left, top, left + side, top + side


def _painted(layer: np.ndarray, size: int) -> np.ndarray:
    """Hole of one RGBA layer (h, w, 4); the rule is in `hole_from_editor`."""
    if layer.ndim != 3 or layer.shape[2] != 4:
        raise PictureError("The drawing cannot be read: its layers must have transparency.")
    paint = Image.fromarray((layer[..., 3] > 0).astype(np.float32))
    coverage = np.asarray(paint.resize((size, size), Image.Resampling.BOX))
    hole = coverage >= MIN_COVERAGE - 1e-6  # float rounding of the box filter
    near_hole = sliding_window_view(np.pad(hole, 1), (3, 3)).any(axis=(2, 3))
    return hole | ((coverage > 0) & ~near_hole)
