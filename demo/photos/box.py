"""The component that holds a photo on the page (``assets/photo.js``): the same for every tab.

Its value is the document: the uploaded file, the edits that were kept, the crop, the mask. The
page owns it and sends it whole with each run, so that the server keeps nothing.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from gradio import processing_utils
from gradio.data_classes import FileData
from PIL import Image

from demo import assets, imaging
from demo.imaging import PictureError
from demo.photos.crop import Crop, cut
from demo.photos.faces import Face
from demo.photos.photo import default_crop, file_path
from sbcore import preset_holes

PREVIEW = 2048  # pixels of the longer side
THUMB = 56
MOST_FACES = 20
NO_FACE = "No face was found: please move the square to what the model shall see."
SEVERAL = "Several faces were found: choose one."
EMPTY = "There is no picture: drop one into the box, or send a face here."


@dataclass(frozen=True)
class Given:
    """A picture that the studio puts into the box, (h, w, c) in [0, 1]."""

    picture: np.ndarray
    preset: str | None = None
    """Name of a ready mask to paint on it."""
    example: bool = False
    """Whether it gives way to what the visitor has in the box."""


class PhotoBox(gr.HTML):
    """A photo with its crop and perhaps a mask.

    Handlers get the document (a dict, or None) and may return a `Given`, the answer of `opened`,
    a `PictureError`, {crop, mask} to restore, or None.

    Args:
        label: Of the box.
        name: Its id on the page, and that of what the browser remembers of it.
        paint: Whether a mask can be painted.
        options: Of `gr.HTML`.
    """

    is_template = True

    def __init__(self, label: str, name: str, paint: bool = False, **options: Any) -> None:
        holes = preset_holes(64).items() if paint else ()
        presets = {name: "".join("01"[int(bit)] for bit in hole.flat) for name, hole in holes}
        self.paint = paint  # else Gradio takes it for an event, with the whole page behind it
        script = {"label": label, "name": name, "paint": paint, "presets": presets}
        super().__init__(
            None,
            label=label,
            html_template="",
            js_on_load=assets.script("photo.js", json.dumps(script)),
            elem_id=name,
            elem_classes=["photo-box", *(["paints"] if paint else [])],
            **options,
        )

    def preprocess(self, payload: Any) -> dict[str, Any] | None:
        """The document; `photo.Photo.document` checks it."""
        return payload if isinstance(payload, dict) and payload.get("file") else None

    def postprocess(self, value: Any) -> dict[str, Any] | None:
        """What the page makes of it."""
        if isinstance(value, PictureError):
            return {"error": str(value)}
        if not isinstance(value, Given):
            restores = isinstance(value, dict) and value.keys() <= {"crop", "mask"}
            return {"restore": value} if restores else value
        image = imaging.to_image(value.picture).convert("RGB")
        path = processing_utils.save_pil_to_cache(image, self.GRADIO_CACHE, format="png")
        facts = _facts(image, Crop.box(0, 0, *image.size), [], image.width)
        facts |= {"preview": _address(image), "preset": value.preset, "example": value.example}
        return {"file": FileData(path=path).model_dump(), "opened": facts}


def opened(document: Mapping[str, Any] | None, size: int) -> dict[str, Any]:
    """Look at what was just uploaded: where its faces are, and where the square shall be.

    Args:
        document: Its file; perhaps a crop, from before a reload; and whether the browser wants a
            preview, because it cannot read the file itself.
        size: Side of what the model sees.

    Raises:
        PictureError: If it cannot be opened.
    """
    document = document or {}
    given = document.get("crop")
    whole = imaging.open_picture(file_path(document.get("file")))
    crop, faces = default_crop(whole, size)
    crop = Crop.of(given, whole.size) if given else crop
    note = NO_FACE if not faces else SEVERAL if len(faces) > 1 else ""
    facts = _facts(whole, crop, faces[:MOST_FACES], size) | {"note": "" if given else note}
    if document.get("wanted"):
        whole.thumbnail((PREVIEW, PREVIEW))
        facts["preview"] = _address(whole, "JPEG")
    return {"file": document["file"], "opened": facts}


def reopened(document: Mapping[str, Any] | None, size: int) -> Any:
    """The document of another box, with its edits and crop; None stays None."""
    if document is None:
        return None
    return opened({**document, "wanted": True}, size) | {"patches": document.get("patches")}


def _facts(whole: Image.Image, crop: Crop, faces: Sequence[Face], size: int) -> dict[str, Any]:
    """What the page knows of a picture beside its file."""
    thumbs = [(face.crop.facts(), _address(cut(whole, face.crop, THUMB))) for face in faces]
    found = [{"crop": crop, "thumb": thumb} for crop, thumb in thumbs]
    seen = {"crop": crop.facts(), "faces": found, "size": size}
    return {"width": whole.width, "height": whole.height} | seen


def _address(picture: Image.Image, kind: str = "PNG") -> str:
    """A picture as a data address."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=90)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
