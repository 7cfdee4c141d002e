"""The About tab: the method on one screen (its words in about.md), card, licences, privacy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import imaging, media, runs, tab, views
from demo.models import Models
from demo.tabs.evolution import EXAMPLE_SEED, caption
from sbcore import (
    DISTRIBUTIONS,
    Bridge,
    CheckpointError,
    PaperMode,
    PlaneBridge,
    TranslationBridge,
)

# Of the drawing: particles behind the densities, paths drawn, steps of each stage.
PARTICLES, PATHS, STEPS = 2000, 56, 120
EXTENT = 7.5  # highest coordinate in the drawing
START, MIDDLE, END = 80.0, 470.0, 860.0  # of 1000: where the drawing has t = 0, q_sigma, t = 1
HEIGHT = 260.0
STATES = ((1, 0.0), (1, 0.5), (1, 1.0), (2, 0.75), (2, 1.0))  # (stage, t) of the pictures below it
MAX_CARD = 100_000
LATEX = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


TEXT = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")
*COLUMNS, CITATIONS, PRIVACY = TEXT.split("\n\n---\n\n")  # two columns a row


# ----------------------------------------------------------------------------------------------
# Fig. 1 with our own particles


@lru_cache(maxsize=1)
def particles() -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 with the exact drift on the paper's six Gaussians, seen along one axis.

    Returns:
        Places (k,) in the drawing and coordinates (k, n), k = 2 STEPS + 1.
    """
    plane = PlaneBridge(DISTRIBUTIONS["six-gaussians"])
    settings = PaperMode(n1=STEPS, n2=STEPS, drift="exact")
    run = plane.generate(PARTICLES, mode="paper", paper=settings, networks="exact")
    places, states = zip(*((_place(s.stage, s.t), s.x[:, 0].numpy()) for s in run), strict=True)
    return np.array(places), np.stack(states)


def _place(stage: int, t: float) -> float:
    """Where a moment is in the drawing, from 0 to 1000."""
    return START + t * (MIDDLE - START) if stage == 1 else MIDDLE + t * (END - MIDDLE)


def _heights(coordinates: np.ndarray) -> np.ndarray:
    return HEIGHT * (1 - (coordinates / EXTENT + 1) / 2)


def paths_svg() -> str:
    """The particles' paths in two colours, and their densities at the ends of the stages."""
    places, states = particles()
    heights = _heights(states)
    lines = []
    for part, name in ((slice(0, STEPS + 1), "first"), (slice(STEPS, None), "second")):
        paths = " ".join(_polyline(places[part], path[part]) for path in heights[:, :PATHS].T)
        lines.append(f'<path class="{name}" d="{paths}"/>')
    ends = ((STEPS, MIDDLE, 90.0, "first"), (2 * STEPS, END, 120.0, "second"))
    hills = [_hill(states[index], place, width, name) for index, place, width, name in ends]
    label = (
        f"Paths of {PATHS} particles: from one point they spread to the smoothed data, "
        "and from there gather at the modes of the data."
    )
    return (
        f'<svg viewBox="0 0 1000 {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}">{"".join(lines)}{"".join(hills)}</svg>'
    )


def _polyline(x: np.ndarray, y: np.ndarray) -> str:
    points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f"M{points}"


def _hill(coordinates: np.ndarray, place: float, width: float, name: str) -> str:
    """The density of the coordinates, drawn to the right of ``place``."""
    counts, edges = np.histogram(coordinates, bins=75, range=(-EXTENT, EXTENT))
    y = _heights((edges[1:] + edges[:-1]) / 2)
    x = place + width * counts / counts.max()
    outline = _polyline(np.r_[place, x, place], np.r_[y[0], y, y[-1]])
    return f'<path class="hill {name}" d="{outline}Z"/>'


def states_html(bridge: Bridge) -> str:
    """One particle of the model at the moments `STATES`, each below its place in the drawing."""
    steps = list(bridge.evolve(24, EXAMPLE_SEED))
    tiles = []
    for stage, t in STATES:
        inside = [step for step in steps if step.stage == stage]
        step = min(inside, key=lambda step: abs(step.t - t))
        picture = media.normalise_contrast(runs.pictures(step.x)[0])
        left = _place(step.stage, step.t) / 10
        tiles.append(
            f'<img style="left:{left:.1f}%" src="{views.data_uri(picture)}" '
            f'alt="{caption(step)}" title="{caption(step)}">'
        )
    return f'<div class="states">{"".join(tiles)}</div>'


def drawing(bridge: Bridge) -> str:
    """Fig. 1 of the paper, redrawn."""
    ends = "".join(
        f'<span style="left:{place / 10:g}%">{text}</span>'
        for place, text in (
            (START, "nothing"),
            (MIDDLE, "smoothed data q<sub>σ</sub>"),
            (END, "data"),
        )
    )
    stages = "".join(
        f'<span class="{name}" style="left:{(a + b) / 20:g}%">{text}</span>'
        for a, b, name, text in (
            (START, MIDDLE, "first", "stage 1"),
            (MIDDLE, END, "second", "stage 2"),
        )
    )
    return (
        f'<figure class="bridges"><div class="names">{ends}{stages}</div>{paths_svg()}'
        f"{states_html(bridge)}</figure>"
    )


# ----------------------------------------------------------------------------------------------
# The model card


def card(models: Models, name: str | None) -> tuple[str, Image.Image | None]:
    """The model card without its front matter, and its picture; a sentence if there is none."""
    folder = Path(models.source(name))
    if not folder.is_dir():
        return f"The card is at [{folder}](https://huggingface.co/{folder}).", None
    readme = folder / "README.md"
    if not readme.is_file():
        return "This model comes without a card.", None
    text = readme.read_text(encoding="utf-8", errors="replace")[:MAX_CARD]
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    found = re.search(r"!\[[^\]]*\]\(([^()/\\]+)\)\n?", text)  # a file beside the card
    if found is None:
        return text.strip(), None
    try:
        sheet = imaging.open_picture(folder / found[1])
    except imaging.PictureError:
        sheet = None
    return text.replace(found[0], "", 1).strip(), sheet


def licences(bridge: Bridge, *others: TranslationBridge) -> str:
    """Licences of code and weights."""
    weights = [
        f"- **Weights of {model.name}**: "
        f"{model.facts.get('data', {}).get('license') or 'not stated in its checkpoint'}."
        for model in (bridge, *others)
    ]
    code = "- **Code**: Apache-2.0 (the file `LICENSE`)."
    pictures = "- **Pictures** that you draw are bound by the licence of the weights."
    return "\n".join([code, *weights, pictures])


def _translations(models: Models) -> Iterator[TranslationBridge]:
    """The models of the Translate tab that can be used."""
    for name in models.translations:
        with suppress(CheckpointError):
            yield models.translation(name)


def examples(models: Models, name: str | None) -> tuple[Any, ...]:
    """What depends on the model: drawing, card, its picture, licence, status."""
    bridge = models.get(name)
    text, sheet = card(models, name)
    status = (
        f"Above: {PATHS} of {PARTICLES:,} particles of Algorithm 1 on six Gaussians, seen along "
        f"one axis, and the densities of all; {2 * STEPS} evaluations of a closed form. "
        f"Below: one particle of {bridge.name} on the same way."
    )
    return (
        drawing(bridge),
        text,
        sheet,
        licences(bridge, *_translations(models)),
        views.note_html(status),
    )


# ----------------------------------------------------------------------------------------------
# Layout


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab."""
    with gr.Column(elem_classes="about"):
        figure = gr.HTML(min_height=348, elem_id="about-drawing")
        status = views.status_component()
        for row in zip(COLUMNS[::2], COLUMNS[1::2], strict=True):
            with gr.Row(elem_classes="pieces"):
                for text in row:
                    gr.Markdown(text, latex_delimiters=LATEX, elem_classes="piece")
        with gr.Accordion("The model", open=False):
            with gr.Row():
                with gr.Column(scale=3):
                    model_card = gr.Markdown(elem_classes="card", min_height=80)
                with gr.Column(scale=2):
                    sheet = gr.Image(
                        label="Random pictures of the model",
                        format="png",
                        interactive=False,
                        show_label=False,
                        buttons=["download", "fullscreen"],
                        elem_id="about-sheet",
                    )
        with gr.Accordion("Licences", open=False):
            licence_text = gr.Markdown()
        with gr.Accordion("Cite", open=False):
            gr.Markdown(CITATIONS)
        with gr.Accordion("What leaves your computer", open=False):
            gr.Markdown(PRIVACY)
    example = partial(examples, studio.models)
    return tab.Tab(status, example=example, fills=[figure, model_card, sheet, licence_text])
