"""Pictures for training: folders, zips, CelebA, CIFAR-10 archives, IDX files.

Everything is loaded once, as uint8 (n, c, h, w); 10,000 pictures of 64x64 are 123 MB.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PICTURE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # of Pillow
ARCHIVE_ERRORS = (
    OSError, EOFError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error
)  # fmt: skip
MOST_BROKEN = 0.5  # part of the files; with more, it is no set of pictures
NAMED = 5  # broken files that a message names
CELEBA_NAME = re.compile(r"(^|/)\d{6}\.(jpg|png)$")
CIFAR_BATCH = re.compile(r"data_batch_\d\.bin$")
logger = logging.getLogger(__name__)


def load_images(
    source: str | Path,
    size: int,
    channels: int = 3,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Load every picture of a data set at ``size`` x ``size``.

    Files of a folder or zip that are no readable pictures are left out; a warning names them.

    Args:
        source: A folder or zip of pictures (aligned CelebA is recognised by name and shape and
            cropped as in the paper), the binary CIFAR-10 archive or a folder of tile sheets, or an
            IDX file (MNIST, notMNIST; gzipped or not).
        size: Height and width of the result, in pixels.
        channels: 1 for grey, 3 for RGB.
        limit: Load at most this many.
        on_progress: Called with (loaded, total).

    Returns:
        uint8 tensor (n, channels, size, size).

    Raises:
        ValueError: If the source is missing, unreadable, holds fewer than two pictures, or more
            than half of its picture files are broken.
    """
    source = Path(source)
    if not source.exists():
        raise ValueError(f"no data at {source}")
    name = source.name.lower()
    try:
        if "idx3-ubyte" in name:
            pictures = _fit_all(_read_idx(source)[:limit], size)
        elif name.endswith((".tar.gz", ".tgz", ".tar")):
            pictures = _fit_all(_read_cifar_archive(source)[:limit], size)
        elif source.is_dir() and list(source.glob("train-*.webp")):
            pictures = _fit_all(_read_tile_sheets(source)[:limit], size)
        else:
            pictures = _read_pictures(source, size, limit, on_progress)
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"cannot read {source}: {error}") from error
    if len(pictures) < 2:
        raise ValueError(f"{source} holds {len(pictures)} pictures; at least 2 are needed")
    return _to_channels(torch.from_numpy(np.stack(pictures)), channels)


def load_labels(pictures: str | Path) -> Tensor:
    """Class numbers (n,), int64, of an IDX file of pictures: of the labels file beside it.

    Raises:
        ValueError: If there is none, or it is unreadable.
    """
    pictures = Path(pictures)
    path = pictures.with_name(pictures.name.replace("images-idx3", "labels-idx1"))
    if path == pictures or not path.exists():
        raise ValueError(f"no labels beside {pictures}: an IDX file of labels is needed")
    try:
        return torch.from_numpy(_read_idx(path, dimensions=1).astype(np.int64))
    except ARCHIVE_ERRORS as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def split_validation(source: str | Path) -> Path | None:
    """The validation set beside a training set (``val.zip`` beside ``train.zip``), if any."""
    source = Path(source)
    sibling = source.with_name(source.name.replace("train", "val"))
    return sibling if sibling != source and sibling.exists() else None


def split_held_out(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Halves of the held-out pictures (n, ...): for selection, for reporting.

    What was chosen on a picture (the best weights, a default) is not measured on it.
    """
    half = -(-len(pictures) // 2)
    return pictures[:half], pictures[half:]


def _read_pictures(
    source: Path, size: int, limit: int | None, on_progress: Callable[[int, int], None] | None
) -> list[np.ndarray]:
    entries = list(picture_files(source))[:limit]
    pictures, broken = [], []
    for index, (name, read) in enumerate(entries):
        try:
            picture = Image.open(io.BytesIO(read()))
            pictures.append(fit_picture(picture, size, name))
        except (*PICTURE_ERRORS, *ARCHIVE_ERRORS):
            broken.append(name)
        if on_progress is not None:
            on_progress(index + 1, len(entries))
    if broken:
        more = ", ..." if len(broken) > NAMED else ""
        found = (
            f"{len(broken):,} of {len(entries):,} picture files in {source} cannot be read "
            f"({', '.join(broken[:NAMED])}{more})"
        )
        if len(broken) > MOST_BROKEN * len(entries):
            raise ValueError(found)
        logger.warning("%s and are left out.", found)
    return pictures


def picture_files(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name and reader of each picture file, in name order."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if _names_a_picture(path.name):
                yield path.name, path.read_bytes
        return
    archive = zipfile.ZipFile(source)
    for name in sorted(archive.namelist()):
        if _names_a_picture(name) and not name.startswith("__MACOSX"):
            yield name, lambda name=name: archive.read(name)


def _names_a_picture(name: str) -> bool:
    """Also not what macOS leaves beside each picture on foreign disks."""
    litter = name.rpartition("/")[2].startswith("._")
    return name.lower().endswith(PICTURE_SUFFIXES) and not litter


def fit_picture(picture: Image.Image, size: int, name: str = "") -> np.ndarray:
    """Crop to a square and resize; uint8 (size, size, 3).

    Aligned CelebA (178x218, or the same at half resolution) is cropped as in the paper's code:
    128x128 at top 57, left 25. Everything else is cropped at the centre.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I;16"):  # Pillow would saturate, not scale
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    picture = picture.convert("RGB")
    width, height = picture.size
    if (width, height) == (89, 109):
        box = (12, 28, 76, 92)
    elif (width, height) == (178, 218) and CELEBA_NAME.search(name):
        box = (25, 57, 153, 185)
    else:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
    picture = picture.crop(box)
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def _fit_all(pictures: np.ndarray, size: int) -> list[np.ndarray]:
    """Resize (n, h, w, c) to size x size; MNIST-like 28x28 is padded, not blurred, to 32."""
    shape = pictures.shape[1:3]
    if shape == (size, size):
        return list(pictures)
    if shape == (28, 28) and size == 32:
        return list(np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0))))
    return [fit_picture(Image.fromarray(p.squeeze()), size) for p in pictures]


def _read_idx(path: Path, dimensions: int = 3) -> np.ndarray:
    """An IDX file of bytes: pictures (n, h, w, 1), or labels (n,) of one dimension."""
    raw = path.read_bytes()
    if path.suffix == ".gz":
        raw = gzip.decompress(raw)
    head = 4 + 4 * dimensions
    if len(raw) < head or raw[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(
            f"{path} is not an IDX file of {'pictures' if dimensions == 3 else 'labels'}"
        )
    shape = np.frombuffer(raw[4:head], ">u4").astype(int)
    if len(raw) != head + shape.prod():
        raise ValueError(f"{path} is truncated")
    values = np.frombuffer(raw, np.uint8, offset=head)
    return values.reshape(*shape, 1) if dimensions == 3 else values


def _read_cifar_archive(path: Path) -> np.ndarray:
    """The training pictures of the official binary archive ``cifar-10-binary.tar.gz``.

    The python archive holds pickles, which may run code, and is refused.
    """
    rows = []
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: m.name):
            file = archive.extractfile(member) if CIFAR_BATCH.search(member.name) else None
            if file is not None:  # None too for a folder of that name
                rows.append(np.frombuffer(file.read(), np.uint8))
    if not rows:
        raise ValueError(f"{path} is not the binary CIFAR-10 archive (cifar-10-binary.tar.gz)")
    if any(len(row) % 3073 for row in rows):
        raise ValueError(f"{path} is truncated")
    pictures = np.concatenate(rows).reshape(-1, 3073)[:, 1:]  # the first byte is the label
    return pictures.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _read_tile_sheets(folder: Path) -> np.ndarray:
    """CIFAR-10 as lossless sheets of 50 x 50 tiles of 32x32."""
    sheets = []
    for path in sorted(folder.glob("train-*.webp")):
        sheet = np.asarray(Image.open(path).convert("RGB"))
        if sheet.shape != (1600, 1600, 3):
            raise ValueError(f"{path} is no sheet of 50 x 50 tiles of 32x32")
        tiles = sheet.reshape(50, 32, 50, 32, 3).transpose(0, 2, 1, 3, 4)
        sheets.append(tiles.reshape(2500, 32, 32, 3))
    return np.concatenate(sheets)


def _to_channels(pictures: Tensor, channels: int) -> Tensor:
    pictures = pictures.permute(0, 3, 1, 2)
    if channels == 1 and pictures.shape[1] == 3:
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        pictures = (pictures * luma).sum(1, keepdim=True).round().to(torch.uint8)
    elif channels == 3 and pictures.shape[1] == 1:
        pictures = pictures.expand(-1, 3, -1, -1)
    return pictures.contiguous()
