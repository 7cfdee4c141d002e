"""Components that hand over what a visitor gave as it is: a handler checks it, in a sentence."""

from __future__ import annotations

from typing import Any

import gradio as gr


class Upload(gr.Image):
    """An image component that hands over the uploaded file itself.

    `gr.Image` opens the file before the handler does, and its errors never reach the visitor as
    a sentence; here `imaging.open_picture` is the only reader.
    """

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        """Return the path of the file, checked by Gradio to be an upload."""
        return None if payload is None else payload.path


class Dial(gr.Slider):
    """A slider whose number the handler checks.

    `gr.Slider` refuses a typed number that is out of range before the handler sees it, with a
    traceback in the log and no word in the status line.
    """

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """Hand over what was typed."""
        return payload


def upload(label: str, **options: Any) -> Upload:
    """A picture from a file, the camera or the clipboard."""
    return Upload(
        label=label,
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "webcam", "clipboard"],
        height=210,
        **options,
    )
