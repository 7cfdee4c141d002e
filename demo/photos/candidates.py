"""Fills beside the photo, to look at in it, to keep, to drop (``assets/candidates.js``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import gradio as gr
import numpy as np
from gradio import processing_utils
from gradio.data_classes import FileData
from PIL import Image

from demo import assets, views
from demo.imaging import to_uint8
from demo.photos.crop import cut
from demo.photos.holes import face_mask
from demo.photos.paste import Patch, paste
from demo.photos.photo import Photo

TILE = 256  # pixels of a fill in its surroundings
MOST_SPREAD = 0.25  # standard deviation that the map shows brightest


@dataclass(frozen=True)
class Filled:
    """Fills of a hole in a photo."""

    photo: Photo
    hole: np.ndarray
    """Boolean (size, size)."""
    fills: Sequence[np.ndarray]
    """Each (size, size, c) in [0, 1]."""
    patches: Sequence[Patch] = ()
    """The same in the photo, at its own pixels."""
    tiles: Sequence[Image.Image] = ()
    """The square of the photo with each."""

    @classmethod
    def faces(cls, photo: Photo, faces: Sequence[np.ndarray], final: bool) -> Filled:
        """Pictures of the face in a photo, in the end put back where it is."""
        hole = np.ones((photo.size, photo.size), bool)
        if not final:
            return cls(photo, hole, faces)
        before = np.asarray(photo.whole)
        mask = face_mask(photo.crop, photo.whole.size)
        patches = [paste(before, photo.crop, mask, face) for face in faces]
        tiles = [cut(edited, photo.crop, TILE) for edited in Edits(photo, patches)]
        return cls(photo, hole, faces, patches, tiles)

    def spread(self) -> Image.Image | None:
        """Where two or more disagree: standard deviation a pixel, bright on the grey picture."""
        if len(self.fills) < 2:
            return None
        spread = np.stack(self.fills).std(0).mean(-1) / MOST_SPREAD
        heat = cv2.applyColorMap(to_uint8(spread), cv2.COLORMAP_INFERNO)[..., ::-1]
        grey = to_uint8(np.repeat(self.photo.seen.mean(-1, keepdims=True), 3, -1)) // 2
        pixels = np.where(self.hole[..., None], heat, grey)
        return Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Edits(Sequence):
    """A photo with each of several patches, made when it is asked for."""

    photo: Photo
    patches: Sequence[Patch]

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: Any) -> Image.Image:
        return self.photo.edited(self.patches[index]).whole

    def light(self) -> Edits:
        """The same without the decoded photo, to be kept."""
        return Edits(replace(self.photo), self.patches)


@dataclass(frozen=True)
class Candidates:
    """What the view shows."""

    filled: Filled
    target: str
    """Id of the photo component."""
    labels: Sequence[str] = ()
    """One a fill, once they are finished."""
    recipe: dict[str, Any] | None = None
    example: bool = False
    """Whether they give way to what the visitor had."""


class CandidatesView(gr.HTML):
    """The fills; its ``click`` event carries action and index. Handlers return `Candidates`.

    Args:
        sends: Action and text of buttons that send a fill elsewhere.
        options: Of `gr.HTML`.
    """

    is_template = True

    def __init__(self, sends: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        self.sends = list(sends)  # else Gradio takes it for an event, with the page behind it
        script = assets.script("candidates.js", json.dumps({"sends": sends}))
        super().__init__(None, html_template="", js_on_load=script, **options)

    def postprocess(self, value: Any) -> Any:
        """As JSON; patches as files, for they may be large."""
        if not isinstance(value, Candidates):
            return value
        filled = value.filled
        fills = [views.data_uri(fill) for fill in filled.fills]
        tiles = [views.data_uri(np.asarray(tile)) for tile in filled.tiles]
        spread = filled.spread() if filled.patches else None
        return {
            "target": value.target,
            "crop": filled.photo.crop.facts(),
            "fills": fills,
            "tiles": tiles or fills,
            "labels": list(value.labels),
            "patches": [self._patch(patch) for patch in filled.patches],
            "spread": spread and views.data_uri(np.asarray(spread)),
            "recipe": value.recipe,
            "example": value.example,
        }

    def _patch(self, patch: Patch) -> dict[str, Any]:
        image = Image.fromarray(patch.pixels)
        path = processing_utils.save_pil_to_cache(image, self.GRADIO_CACHE, format="png")
        return {"left": patch.left, "top": patch.top, "file": FileData(path=path).model_dump()}
