"""A running studio on the tiny model, for the tests of its HTTP side."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from demo import page
from demo.models import Models

# Files that only decoders open that the studio does without.
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n%%EOF\n"
PSD = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, 16, 16, 8, 3) + bytes(14 + 3 * 16 * 16)


@contextmanager
def serving(checkpoints: Path) -> Iterator[tuple[str, Models]]:
    """Serve the studio on a free port: its address and its models."""
    models = Models(checkpoints)
    built = page.build(models)
    _, address, _ = built.launch(prevent_thread_lock=True, quiet=True, **page.LAUNCH)
    try:
        yield address, models
    finally:
        built.close()


def pixels(path: str) -> np.ndarray:
    """Pixels of a picture file, uint8 (h, w, c)."""
    with Image.open(path) as picture:
        return np.asarray(picture)


def recipe(path: str) -> dict[str, Any]:
    """The recipe in a PNG file."""
    with Image.open(path) as picture:
        return json.loads(picture.text["recipe"])


def file_of(folder: Path, name: str, picture: Image.Image, **options: Any) -> str:
    """Save a picture; its path."""
    path = folder / name
    picture.save(path, **options)
    return str(path)
