"""Send to: faces that travel between tabs, and what becomes of them there.

A tab declares what its grids offer and what it accepts; neither knows the other.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import imaging, params, views
from demo.tab import Accepts, Sent, Tab
from demo.wiring import QUIET

MOST, SIDE = 200_000, 512  # characters and pixels of a picture that a page sends along


def wire(tabs: gr.Tabs, built: Mapping[str, Tab]) -> None:
    """Let every button below a face reach the tab that accepts its action.

    Args:
        tabs: Of the page.
        built: The tabs by their ids.
    """
    routes = {action: name for name, tab in built.items() for action in tab.accepts}
    outputs = [tabs, *dict.fromkeys(c for tab in built.values() for c in _changed(tab))]

    def send(drawn: views.Drawn, event: gr.EventData) -> dict[Any, Any]:
        sent = _sent(drawn, event)
        if event.action not in routes or sent is None:
            return {tabs: gr.skip()}
        name = routes[event.action]
        tab, accepts = built[name], built[name].accepts[event.action]
        changes = dict(zip(accepts.outputs, accepts.take(sent), strict=True))
        if accepts.hint:
            changes[tab.status] = views.note_html(accepts.hint.format(seed=sent.seed))
        return changes | ({tabs: gr.Tabs(selected=name)} if accepts.moves else {})

    for tab in built.values():
        for grid, drawn in tab.offers:
            grid.click(send, drawn, outputs, **QUIET)


def _sent(drawn: views.Drawn, event: gr.EventData) -> Sent | None:
    """The picture whose button was pressed: of the run that is remembered, or as it came along."""
    index, sent = int(getattr(event, "index", -1)), None
    if 0 <= index < len(drawn.pictures):
        picture = imaging.to_uint8(drawn.pictures[index]).astype(np.float32) / 255
        sent = Sent(picture, drawn.seed + index, drawn.source)
    # As any input, it may be anything; Pillow calls some broken files errors of syntax.
    with suppress(AttributeError, TypeError, ValueError, OSError, SyntaxError):
        seed = params.Seed().check(event.seed, {})
        return Sent(_read(event.picture), seed, None)
    return sent


def _read(address: str) -> np.ndarray:
    """A PNG of at most `MOST` characters, as a data address, (h, w, c) in [0, 1]."""
    head, data = address[:MOST].split(",", 1)
    if head != "data:image/png;base64" or len(address) > MOST:
        raise ValueError("not a small PNG")
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=["PNG"]) as picture:
        if max(picture.size) > SIDE:
            raise ValueError("too large")
        shape = (picture.height, picture.width, 1 if picture.mode == "L" else 3)
        grey = shape[-1] == 1
        return np.asarray(picture.convert("L" if grey else "RGB"), np.float32).reshape(shape) / 255


def _changed(tab: Tab) -> list[Any]:
    """The components that sending to a tab may change."""
    accepted: list[Accepts] = list(tab.accepts.values())
    return [c for one in accepted for c in (*one.outputs, tab.status)]
