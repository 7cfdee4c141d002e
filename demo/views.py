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
from PIL import Image

from demo import assets, media, recipe
from demo import film as films
from demo.runs import Report, Update
from demo.server.turns import Waiting, spell


def data_uri(picture: np.ndarray | Image.Image, recipe: dict[str, Any] | None = None) -> str:
    """A picture, (h, w, c) in [0, 1] or Pillow's, as a PNG data URI."""
    return "data:image/png;base64," + base64.b64encode(media.png_bytes(picture, recipe)).decode()


# How a button below a picture looks; where it is large, its text stands there in words.
ICONS = {
    "evolve": "▶", "a": "A", "b": "B", "inpaint": "✎", "denoise": "≈", "keep": "✓", "compare": "◐"
}  # fmt: skip


def face_grid(
    pictures: Sequence[np.ndarray],
    labels: Sequence[str],
    actions: Sequence[tuple[str, str]] = (),
    recipe: dict[str, Any] | None = None,
    small: bool = False,
    seed: int | None = None,
) -> str:
    """Pictures in a grid, each with its label, a download and buttons; a click enlarges it.

    Args:
        pictures: Each (h, w, c) in [0, 1].
        labels: One a picture.
        actions: (name, text) of each button; a press triggers ``click`` with action and index.
        recipe: Written into the PNG files, with each picture's index; None: no download.
        small: Thumbnails without captions, four in a row, to choose from: a click on one is its
            first action.
        seed: Of the first picture. Where it is given, ``click`` carries the picture and its seed:
            the grid may show an earlier run again.
    """
    tiles = []
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        uri = data_uri(picture, None if recipe is None else recipe | {"picture": index})
        label = html.escape(label)
        own = "" if seed is None else f' data-seed="{seed + index}"'
        press = f'data-action="{actions[0][0]}" data-index="{index}"' if small and actions else ""
        title = f"{actions[0][1]} {label}" if press else f"enlarge {label}"
        picked = f'<button type="button" class="picture" {press} title="{title}">'
        picked += f'<img src="{uri}" alt="{label}"></button>'
        buttons = [_button(action, text, index) for action, text in actions]
        if recipe is not None:
            name = label.replace(" ", "-")
            buttons.append(
                f'<a href="{uri}" download="{name}.png" title="download" class="download" '
                f'aria-label="download {label}">↓</a>'
            )
        caption = "" if small else f"<span>{label}</span>"
        if small and len(actions) == 1:
            buttons = []  # the picture is the button
        below = f'<figcaption>{caption}<div class="actions">{"".join(buttons)}</div></figcaption>'
        tiles.append(f"<figure{own}>{picked}{below if caption or buttons else ''}</figure>")
    style = "faces small" if small else "faces"
    final = "" if recipe is None else " data-final"
    return f'<div class="{style}" data-count="{len(tiles)}"{final}>{"".join(tiles)}</div>'


def _button(action: str, text: str, index: int) -> str:
    """A small button; its title is what it does, in words."""
    return (
        f'<button type="button" data-action="{action}" data-index="{index}" title="{text}" '
        f'aria-label="{text}">{ICONS.get(action, text)}</button>'
    )


def face_grid_component(value: str = "", history: bool = False, **options: Any) -> gr.HTML:
    """The component that shows a `face_grid`; its ``click`` event carries action and index.

    Args:
        value: A `face_grid`.
        history: Whether the last runs stay below it, in the browser alone.
        options: Of the component.
    """
    script = assets.script("grid.js", json.dumps({"history": history}))
    return gr.HTML(value, js_on_load=script, **options)


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


class Strip(gr.HTML):
    """Shows a film strip, a Pillow picture, with a download; on a phone it is drawn aside."""

    is_template = True

    def postprocess(self, value: Image.Image | None) -> str:
        """The picture in the page: so it lies on the page's own ground, light or dark."""
        if value is None:
            return ""
        uri, label = data_uri(value), html.escape(self.label or "")
        return (
            f'<div class="frame" tabindex="0" role="group" aria-label="{label}">'
            f'<img src="{uri}" alt="{label}"></div>'
            f'<p><a href="{uri}" download="strip.png">download the strip</a></p>'
        )


def strip_view(label: str, min_height: int = 120) -> Strip:
    """A film strip, to look at and to download."""
    return Strip(label=label, min_height=min_height, elem_classes="strip")


# ----------------------------------------------------------------------------------------------
# Status line


def progress_html(update: Update) -> str:
    """Progress bar with the step and the time left."""
    text, left = f"step {update.step.index:,} of {update.step.total:,}", update.seconds_left
    if update.seconds > 0.5:
        text += f" · {spell(left)} left"
    return bar_html(update.fraction, text)


def bar_html(fraction: float, text: str) -> str:
    """A progress bar, its text below."""
    return (
        f'<div class="status"><div class="bar" role="progressbar" aria-valuenow='
        f'"{100 * fraction:.0f}"><div style="width:{100 * fraction:.1f}%"></div></div>{text}</div>'
    )


def done_html(report: Report, *notes: str, facts: dict[str, Any] | None = None) -> str:
    """How pictures came about; their recipe and a link that restores all controls, to copy."""
    badges = "".join(f' <span class="badge">{html.escape(note)}</span>' for note in notes if note)
    buttons = ""
    if facts is not None:
        copies = {"recipe": json.dumps(facts), "link": recipe.link(facts)}
        buttons = "".join(
            f' <button type="button" data-{what}="{html.escape(text)}">copy {what}</button>'
            for what, text in copies.items()
        )
    line = html.escape(report.line())
    return f'<div class="status"><span class="recipe">{line}</span>{buttons}{badges}</div>'


def error_html(message: str) -> str:
    """One sentence in the place of the recipe."""
    return f'<div class="status error" role="alert">{html.escape(message)}</div>'


def note_html(text: str, clears: bool = False) -> str:
    """A plain line in the place of the recipe; with ``clears`` it triggers that event."""
    return f'<div class="status"{" data-clears" * clears}>{html.escape(text)}</div>'


def waiting_html(waiting: Waiting) -> Any:
    """How many are before a visitor; nothing new where the run has begun."""
    return note_html(str(waiting)) if waiting.before else gr.skip()


def status_component(value: str = "") -> gr.HTML:
    """The status line, below what starts a run."""
    js = assets.script("status.js")
    return gr.HTML(value, js_on_load=js, min_height=36, elem_classes="status-line")
