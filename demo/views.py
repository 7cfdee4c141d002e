"""What a tab shows: pictures in a grid, a film, a strip, the status line."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import assets, media
from demo import film as films
from demo.runs import Report, Update


def data_uri(picture: np.ndarray, recipe: dict[str, Any] | None = None) -> str:
    """A picture (h, w, c) in [0, 1] as a PNG data URI."""
    return "data:image/png;base64," + base64.b64encode(media.png_bytes(picture, recipe)).decode()


def face_grid(
    pictures: Sequence[np.ndarray],
    labels: Sequence[str],
    actions: Sequence[tuple[str, str]] = (),
    recipe: dict[str, Any] | None = None,
    small: bool = False,
) -> str:
    """Pictures in a grid, each with its label, a download and buttons.

    Args:
        pictures: Each (h, w, c) in [0, 1].
        labels: One a picture.
        actions: (name, text) of each button; a press triggers ``click`` with action and index.
        recipe: Written into the PNG files, with each picture's label; None: no download.
        small: Thumbnails without captions, four in a row.
    """
    tiles = []
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        facts = None if recipe is None else recipe | {"picture": label}
        uri, name = data_uri(picture, facts), html.escape(label.replace(" ", "-"))
        label = html.escape(label)
        buttons = "".join(
            f'<button type="button" data-action="{action}" data-index="{index}">{text}</button>'
            for action, text in actions
        )
        download = f'<a href="{uri}" download="{name}.png" class="download">download</a>'
        caption = "" if small else f"<figcaption>{label}</figcaption>"
        tiles.append(
            f'<figure tabindex="0"><img src="{uri}" alt="{label}">{caption}'
            f'<div class="actions">{buttons}{download if recipe is not None else ""}</div></figure>'
        )
    style = "faces small" if small else "faces"
    return f'<div class="{style}" data-count="{len(tiles)}">{"".join(tiles)}</div>'


def face_grid_component(value: str = "", **options: Any) -> gr.HTML:
    """The component that shows a `face_grid`; its ``click`` event carries action and index."""
    return gr.HTML(value, js_on_load=assets.script("grid.js"), **options)


@dataclass(frozen=True)
class Drawn:
    """Pictures in a grid, for its buttons to act on."""

    pictures: list[np.ndarray]
    seed: int = 0
    """Of the first picture."""
    source: np.ndarray | None = None
    """The picture that they were made of, if any."""


def samples(pictures: list[np.ndarray], actions: Sequence[tuple[str, str]]) -> tuple[str, Drawn]:
    """Example faces to pick from: a small grid, and what it shows."""
    labels = [f"example face {i + 1}" for i in range(len(pictures))]
    return face_grid(pictures, labels, actions, small=True), Drawn(pictures)


def film(layers: dict[str, Sequence[np.ndarray]], captions: Sequence[str], **options: Any) -> str:
    """A film for `film_component` of frames (h, w, c) in [0, 1]; options as `films.pictures`."""
    addresses = {name: [data_uri(frame) for frame in layer] for name, layer in layers.items()}
    return films.pictures(addresses, captions, **options)


def film_component(value: str = "", **options: Any) -> gr.HTML:
    """The component that plays a film; its ``input`` event carries what is drawn on it."""
    return gr.HTML(value, html_template="", js_on_load=assets.script("player.js"), **options)


def strip_view(label: str) -> gr.Image:
    """A film strip, to look at and to download."""
    return gr.Image(
        label=label,
        format="png",
        interactive=False,
        elem_classes="strip",
        buttons=["download", "fullscreen"],
        show_label=False,
    )


# ----------------------------------------------------------------------------------------------
# Status line


def progress_html(update: Update) -> str:
    """Progress bar with the step and the time left."""
    text, left = f"step {update.step.index:,} of {update.step.total:,}", update.seconds_left
    if update.seconds > 0.5:
        text += f" · {left:.0f} s left" if left < 100 else f" · {left / 60:.0f} min left"
    return bar_html(update.fraction, text)


def bar_html(fraction: float, text: str) -> str:
    """A progress bar, its text below."""
    return (
        f'<div class="status"><div class="bar" role="progressbar" aria-valuenow='
        f'"{100 * fraction:.0f}"><div style="width:{100 * fraction:.1f}%"></div></div>{text}</div>'
    )


def done_html(report: Report, note: str = "") -> str:
    """The recipe; a click copies it as JSON."""
    recipe = html.escape(json.dumps(report.facts()), quote=True)
    badge = f' <span class="badge">{html.escape(note)}</span>' if note else ""
    return (
        f'<div class="status"><button type="button" class="recipe" data-recipe="{recipe}" '
        f'title="copy the recipe">{html.escape(report.line())}</button>{badge}</div>'
    )


def error_html(message: str) -> str:
    """One sentence in the place of the recipe."""
    return f'<div class="status error" role="alert">{html.escape(message)}</div>'


def note_html(text: str) -> str:
    """A plain line in the place of the recipe."""
    return f'<div class="status">{html.escape(text)}</div>'


def status_component(value: str = "") -> gr.HTML:
    """The status line under a stage."""
    js = assets.script("status.js")
    return gr.HTML(value, js_on_load=js, min_height=36, elem_classes="status-line")
