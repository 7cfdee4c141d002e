"""Send to: faces that travel between tabs, and what becomes of them there.

A tab declares what its grids offer and what it accepts; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging, views
from demo.tab import Accepts, Sent, Tab
from demo.wiring import QUIET


def wire(tabs: gr.Tabs, built: Mapping[str, Tab]) -> None:
    """Let every button below a face reach the tab that accepts its action.

    Args:
        tabs: Of the page.
        built: The tabs by their ids.
    """
    routes = {action: name for name, tab in built.items() for action in tab.accepts}
    outputs = [tabs, *dict.fromkeys(c for tab in built.values() for c in _changed(tab))]

    def send(drawn: views.Drawn, event: gr.EventData) -> dict[Any, Any]:
        index = int(getattr(event, "index", -1))
        if event.action not in routes or not 0 <= index < len(drawn.pictures):
            return {}
        name = routes[event.action]
        tab, accepts = built[name], built[name].accepts[event.action]
        picture = imaging.to_uint8(drawn.pictures[index]).astype(np.float32) / 255
        sent = Sent(picture, drawn.seed + index, drawn.source)
        changes = dict(zip(accepts.outputs, accepts.take(sent), strict=True))
        if accepts.hint:
            changes[tab.status] = views.note_html(accepts.hint.format(seed=sent.seed))
        return changes | ({tabs: gr.Tabs(selected=name)} if accepts.moves else {})

    for tab in built.values():
        for grid, drawn in tab.offers:
            grid.click(send, drawn, outputs, **QUIET)


def _changed(tab: Tab) -> list[Any]:
    """The components that sending to a tab may change."""
    accepted: list[Accepts] = list(tab.accepts.values())
    return [c for one in accepted for c in (*one.outputs, tab.status)]
