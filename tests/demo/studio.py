"""A running studio on the tiny model, for the tests of its HTTP side."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio_client.exceptions import AppError
from PIL import Image

from demo import page, plane
from demo.models import Models
from demo.operation import Operation

REPORT = {"model", "seed", "mode", "solver", "steps", "nfe", "seconds"}  # of every operation
CONTRACT = {
    "/generate": {
        "count": 1, "seed": 0, "steps": None, "solver": None, "mode": "fast", "model": None,
        "start": "closed form",
    },
    "/evolve": {"seed": 0, "frames": 24, "mode": "fast", "model": None},
    "/interpolate": {
        "image_a": ..., "image_b": ..., "frames": 9, "variance": 0.4, "seed": 0, "model": None,
        "method": "shared noise", "image_c": None,
    },
    "/inpaint": {
        "image": ..., "mask": ..., "count": 3, "seed": 0, "method": "conditional", "model": None,
        "paste": False, "crop": None, "soften": 0.0, "mode": "fast",
    },
    "/denoise": {
        "image": ..., "variance": 1.0, "count": 4, "seed": 0, "model": None,
        "method": "add noise", "noise": None,
    },
    "/translate": {"image": ..., "direction": "forward", "count": 1, "seed": 0, "model": None},
    "/toy": {
        "dataset": "six-gaussians", "particles": 2000, "sigma": 1.0, "tau": 5.0, "steps": 20,
        "seed": 0, "networks": "exact", "mode": "fast", "solver": None, "drift": "exact", "n3": 1,
    },
}  # fmt: skip
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


@contextmanager
def refused(kind: type[Exception], words: str) -> Iterator[pytest.ExceptionInfo]:
    """What is done inside is refused in one sentence with these words."""
    with pytest.raises(kind, match=words) as error:
        yield error
    text = str(error.value)
    assert text[0].isupper() and text.endswith(".") and "\n" not in text and len(text) < 400, text


def sentence(call: Callable[[], Any]) -> str:
    """The message of a refused call: one sentence, no traceback."""
    with pytest.raises(AppError) as caught:
        call()
    text = str(caught.value)
    assert "Traceback" not in text and "\n" not in text.strip() and "/tmp" not in text
    assert text[0].isupper() and text.rstrip().endswith((".", "!")), text
    return text


def computing(page: gr.Blocks) -> list[Any]:
    """Handlers of a page that go through the queue."""
    return [block for block in page.fns.values() if block.queue]


def values_of(block: Any, **changes: Any) -> list[Any]:
    """Initial values of a handler's inputs, by label where changed; an empty state is "state"."""

    def name(one: Any) -> str:
        return "state" if isinstance(one, gr.State) and one.value is None else one.label

    return [changes.get(name(one), one.value) for one in block.inputs]


def points_of(text: str) -> np.ndarray:
    """Plane units of a packed field of a film."""
    return np.frombuffer(base64.b64decode(text), "<i2").reshape(-1, 2) * plane.STEP


def moments(operation: Operation, **given: Any) -> list[Any]:
    """Updates and result of an operation, by default values where none is given."""
    defaults = {param.name: param.default for param in operation.params}
    return list(operation.run(**defaults | given))
