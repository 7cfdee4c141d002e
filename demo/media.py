"""Files and film strips from the engine's frames.

Notation: a frame is a float array (h, h, 3) or (h, h, 1) in [0, 1]; what lies outside is clipped.
Every file name is given without its ending.
"""

import hashlib
import io
import json
import logging
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import imageio.v2 as imageio
import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from demo.imaging import enlarge, to_image

FILMS = ("mp4", "gif", "webp")
# For a photo as small as any other packing, in a fifth of the time.
FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]
FAST += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY]
SWAPS = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}  # by number of channels
HEAD = 33  # bytes of a PNG before its second chunk
LARGE = 1_000_000  # pixels of a picture whose PNG is packed fast rather than small
MARGIN, GAP, BAR = 20, 4, 4  # pixels of a film strip
INK = (114, 118, 128)  # read on light and on dark
PAPER = (*INK, 0)  # none: the page shows through
GROUP_COLOURS = ((79, 70, 229), (217, 97, 32), (13, 128, 117), (190, 24, 93))
# Pillow's bundled font is nearly ASCII; all else would be drawn as empty boxes.
SPELLED = {0x3C3: "sigma", 0x3C4: "tau", 0xB2: "^2", 0x2192: "to"}  # Greek, square, arrow
SPELLED |= str.maketrans("\u2013\u2014\u2212\u00d7", "---x")  # dashes, minus, times

logger = logging.getLogger(__name__)


class MediaError(RuntimeError):
    """A file that cannot be written; the message is one sentence for the visitor."""


def digest(picture: np.ndarray | Image.Image) -> str:
    """A short name for the 8-bit pixels of a picture, the same for its PNG file opened again."""
    pixels = _pixels(picture)
    found = hashlib.sha256(f"{pixels.shape}".encode())
    found.update(np.ascontiguousarray(pixels))
    return found.hexdigest()[:16]


def digests(outputs: Iterable[Any]) -> list[str]:
    """Digests of all pictures among these, each a picture or a sequence of pictures."""
    found = (one if isinstance(one, Sequence) else [one] for one in outputs)
    return list(dict.fromkeys(digest(picture) for pictures in found for picture in pictures))


def png_bytes(picture: np.ndarray | Image.Image, info: dict | None = None) -> bytes:
    """A picture as a PNG file, with the recipe that made it as text chunk "recipe".

    Args:
        picture: Frame, or a Pillow picture in mode L, RGB or RGBA.
        info: What can be written as JSON; its ``pixels`` become those of this picture. None for
            the recipe that a Pillow picture carries, if any (`with_recipe`).
    """
    pixels = _pixels(picture)
    if pixels.shape[0] * pixels.shape[1] > LARGE:
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, SWAPS[pixels.shape[2]])
        png = cv2.imencode(".png", pixels, FAST)[1].tobytes()
    else:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        png = buffer.getvalue()
    carried = None if isinstance(picture, np.ndarray) else picture.info.get("recipe")
    if info is None and carried is None:
        return png
    info = json.loads(carried) if info is None else info
    text = b"tEXtrecipe\0" + json.dumps(info | {"pixels": digest(picture)}).encode()
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    return png[:HEAD] + chunk + png[HEAD:]


def with_recipe(strip: Image.Image, info: dict) -> Image.Image:
    """The same picture, whose PNG file carries the recipe whoever writes it."""
    strip = strip.copy()
    own = {"picture": "film strip", "pixels": digest(strip)}
    strip.info["recipe"] = json.dumps(info | own)
    return strip


def _pixels(picture: np.ndarray | Image.Image) -> np.ndarray:
    """uint8 (h, w) or (h, w, c), as a file holds them."""
    return np.asarray(to_image(picture) if isinstance(picture, np.ndarray) else picture)


def jpeg_bytes(picture: np.ndarray | Image.Image) -> bytes:
    """A picture as a JPEG file of quality 95, its colours at full resolution; a strip on white."""
    image, buffer = Image.fromarray(_pixels(picture)), io.BytesIO()
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """Files by name as one ZIP file; not packed, as pictures and films are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def save_png(picture: np.ndarray | Image.Image, folder: str | Path, name: str, info: dict) -> Path:
    """Save a picture losslessly, with the recipe that made it inside the file.

    Args:
        picture: Frame, or a Pillow picture (a film strip).
        folder: Made if it is missing.
        name: File name without ".png".
        info: As of `png_bytes`.

    Returns:
        Path of the file.

    Raises:
        MediaError: If the disk refuses (full, read-only).
    """
    path = Path(folder) / f"{name}.png"
    with _saving(path):
        path.write_bytes(png_bytes(picture, info))
    return path


def normalise_contrast(frame: np.ndarray) -> np.ndarray:
    """Make a noisy particle visible: shrink it around its mean to a standard deviation of 0.25.

    Args:
        frame: Floats of any range and shape.

    Returns:
        Floats in [0, 1], same shape; a clean picture (deviation at most 0.25) is only clipped.
    """
    mean, deviation = float(frame.mean()), float(frame.std())
    if deviation > 0.25:
        frame = mean + (frame - mean) * (0.25 / deviation)
    return np.clip(frame, 0, 1)


def animation(
    frames: Sequence[np.ndarray],
    folder: str | Path,
    name: str,
    fps: float = 12,
    hold: int = 8,
    boomerang: bool = False,
    side: int = 256,
    kind: str = "mp4",
) -> Path:
    """Save frames as a film that every browser plays.

    Args:
        frames: At least one frame.
        folder: Made if it is missing.
        name: File name without ending.
        fps: Frames a second.
        hold: How often the last frame is repeated.
        boomerang: Play the way back too and hold the first frame likewise.
        side: Height in pixels; odd sides are rounded up.
        kind: One of `FILMS`.

    Returns:
        Path of an MP4 (H.264, yuv420p), or of an animated WebP where ffmpeg does not work; of a
        GIF, or an animated WebP, that plays for ever.

    Raises:
        ValueError: If there is no frame.
        MediaError: If the disk refuses (full, read-only).
    """
    if len(frames) == 0:
        raise ValueError("an animation needs at least one frame")
    pictures = [_enlarged(frame, side) for frame in frames]
    film = pictures + pictures[-1:] * hold
    if boomerang:
        film += pictures[-2::-1] + pictures[:1] * hold
    return _save_film(film, Path(folder), name, fps, kind)


def _enlarged(frame: np.ndarray, height: int) -> Image.Image:
    """A frame of any shape as RGB; both sides even, as yuv420p stores colour for 2 x 2 pixels."""
    width = round(height * frame.shape[1] / frame.shape[0])
    size = (width + width % 2, height + height % 2)
    return to_image(frame).convert("RGB").resize(size, Image.Resampling.LANCZOS)


def film_strip(
    frames: Sequence[np.ndarray],
    labels: Sequence[str],
    groups: Sequence[tuple[str, int]] = (),
    tile: int = 96,
    columns: int = 12,
) -> Image.Image:
    """Draw frames side by side, as figure 4 of the paper, in rows of `columns`.

    Args:
        frames: At least one frame.
        labels: One short text for below each frame.
        groups: (title, number of frames) from the first frame on, each drawn as a coloured bar
            above its frames; a group that wraps gets a bar in every row.
        tile: Side of a drawn frame in pixels.
        columns: Frames in a row.

    Returns:
        RGBA picture on no ground.

    Raises:
        ValueError: If there is no frame, or labels or groups do not fit the frames.
    """
    if not 0 < len(frames) == len(labels) >= sum(count for _, count in groups):
        raise ValueError("a film strip needs frames, a label for each, and no larger groups")
    grid = _Grid(tile, min(columns, len(frames)), head=BAR + tile // 4 if groups else 0)
    strip = Image.new("RGBA", grid.canvas(len(frames)), PAPER)
    _draw_tiles(strip, grid, frames, labels)
    _draw_bars(strip, grid, groups)
    return strip


class _Grid(NamedTuple):
    """Where things are on a film strip, in pixels."""

    tile: int
    columns: int
    head: int  # height of the bar and its title above a tile

    def corner(self, row: int, column: int) -> tuple[int, int]:
        row_height = self.head + self.tile + 2 * self.tile // 5
        return MARGIN + column * (self.tile + GAP), MARGIN + row * row_height + self.head

    def canvas(self, count: int) -> tuple[int, int]:
        right, bottom = self.corner((count - 1) // self.columns, self.columns - 1)
        return right + self.tile + MARGIN, bottom + self.tile + self.tile // 4 + MARGIN


def _draw_tiles(
    strip: Image.Image, grid: _Grid, frames: Sequence[np.ndarray], labels: Sequence[str]
) -> None:
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(grid.tile // 6)
    corners = _rounded_square(grid.tile)
    for index, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        left, top = grid.corner(*divmod(index, grid.columns))
        strip.paste(enlarge(frame, grid.tile), (left, top), corners)
        below = (left + grid.tile // 2, top + grid.tile + GAP)
        draw.text(below, _shorten(label, font, grid.tile), INK, font, anchor="ma")


def _draw_bars(strip: Image.Image, grid: _Grid, groups: Sequence[tuple[str, int]]) -> None:
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(grid.tile // 6)
    start = 0
    for index, (title, count) in enumerate(groups):
        colour, stop = GROUP_COLOURS[index % len(GROUP_COLOURS)], start + count
        while start < stop:  # one bar a row
            row, first = divmod(start, grid.columns)
            last = min(stop - row * grid.columns, grid.columns) - 1
            left, top = grid.corner(row, first)
            right, bottom = grid.corner(row, last)[0] + grid.tile, top - GAP
            draw.rounded_rectangle((left, bottom - BAR, right - 1, bottom - 1), 2, fill=colour)
            text = _shorten(title, font, right - left)
            draw.text((left, bottom - BAR - GAP), text, INK, font, anchor="ls")
            start = row * grid.columns + last + 1


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Spell out what the font lacks and cut the text to `width` pixels."""
    text = text.translate(SPELLED)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1].rstrip()
    return text + "…"


def _rounded_square(side: int) -> Image.Image:
    """Mask of a square with softly rounded corners, drawn large for smooth edges."""
    mask = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * side - 1, 4 * side - 1), side // 6, fill=255)
    return mask.resize((side, side), Image.Resampling.LANCZOS)


@contextmanager
def _saving(path: Path) -> Iterator[None]:
    """Make the folder; turn a failure into MediaError and leave no half file behind."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, RuntimeError) as error:  # ffmpeg's are of both kinds
        with suppress(OSError):
            path.unlink()
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path.name} could not be saved: {reason}.") from error


def _save_film(film: list[Image.Image], folder: Path, name: str, fps: float, kind: str) -> Path:
    path = folder / f"{name}.{kind}"
    try:
        with _saving(path):
            if kind == "mp4":
                _write_mp4(path, film, fps)
            else:
                timing = {"duration": round(1000 / fps), "loop": 0}  # milliseconds; for ever
                film[0].save(path, save_all=True, append_images=film[1:], quality=90, **timing)
    except MediaError as error:
        if kind != "mp4":
            raise
        logger.warning("no MP4, writing WebP instead: %s", error)  # no ffmpeg, or one that fails
        return _save_film(film, folder, name, fps, "webp")
    return path


def _write_mp4(path: Path, film: list[Image.Image], fps: float) -> None:
    """Encode with ffmpeg, which reports no failure of its own: hence the count at the end."""
    # Browsers guess untagged colours, each in its own way: convert to BT.709 and say so.
    flags = "-vf scale=out_color_matrix=bt709 -colorspace bt709 -color_primaries bt709"
    options = {
        "codec": "libx264",
        "quality": 8,
        "pixelformat": "yuv420p",
        "macro_block_size": 2,
        "ffmpeg_log_level": "error",
        "output_params": f"{flags} -color_trc bt709 -movflags +faststart".split(),
    }
    with imageio.get_writer(path, format="FFMPEG", fps=fps, **options) as writer:
        for picture in film:
            writer.append_data(np.asarray(picture))
    if imageio_ffmpeg.count_frames_and_secs(path)[0] != len(film):
        raise RuntimeError("ffmpeg wrote an incomplete file")
