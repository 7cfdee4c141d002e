"""The Interpolate tab: one picture morphs into another through shared noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import inputs, media, params, runs, tab, views, wiring
from demo.imaging import Photo, to_image
from demo.operation import Film, Operation, Pictures
from demo.runs import Report, Result, Update
from demo.tabs import generate
from sbcore import Bridge


@dataclass(frozen=True, kw_only=True)
class Morphed(Report):
    """Report of a morph."""

    frames: int
    variance: float


def interpolate(
    model: Bridge,
    image_a: Photo,
    image_b: Photo,
    frames: int,
    variance: float,
    seed: int,
    **options: Any,
) -> Iterator[Update | Result]:
    """Morph between two pictures; options as of `Bridge.interpolate`."""
    a, b = (runs.to_engine(photo.seen) for photo in (image_a, image_b))
    for update in runs.watch(model.interpolate(a, b, frames, variance, seed, **options)):
        pictures = runs.preview(update.step)
        if not update.step.final:
            yield update.showing(pictures)
    origin = runs.origin(model, "interpolate", seed, **options)
    report = Morphed.of(update, **origin, frames=frames, variance=variance)
    mix = strip(mixes(image_a.seen, image_b.seen, frames))
    yield Result(pictures, {"pictures": pictures, "animation": pictures, "mix": mix}, report)


def _picture(name: str, letter: str) -> params.Picture:
    said = f"Picture {letter}"
    absent = f"{said} is missing: upload one, or send a face here."
    return params.Picture(name, said=said, label=letter, absent=absent)


OPERATION = Operation(
    "interpolate",
    """Morph one picture into another.

    Returns the frames as PNG files, an animation and a report.""",
    params=[
        _picture("image_a", "A"),
        _picture("image_b", "B"),
        params.Whole("frames", 9, 2, 33, (3, 33, 2), said="The number of frames", label="Frames"),
        params.Variance(
            "variance", 0.4, 0.001, span=(0.05, 4.0, 0.05),
            said="The noise variance", label="Noise added before denoising",
            help="Its variance: more noise, a freer morph; the paper uses 0.4.",
        ),
        params.Seed(label="Seed of the noise", advanced=True),
        params.Model(),
        params.steps("interpolate", http=False),
        params.solver(http=False),
        params.mode("paper: Euler-Maruyama", http=False),
    ],
    outputs=[Pictures(), Film("morph", boomerang=True)],
    run=interpolate,
)  # fmt: skip


def mixes(a: np.ndarray, b: np.ndarray, frames: int) -> list[np.ndarray]:
    """The plain pixel mix, for comparison."""
    return [(1 - c) * a + c * b for c in np.linspace(0, 1, frames, dtype=np.float32)]


def film(pictures: list[np.ndarray]) -> str:
    """The film for the player; it opens in the middle."""
    captions = [f"{_percent(i, len(pictures))} of B" for i in range(len(pictures))]
    return views.film({"morph": pictures}, captions, ends=("A", "", "B"), start=len(pictures) // 2)


def strip(pictures: list[np.ndarray]) -> Image.Image:
    """All frames in a row, labelled with the share of B."""
    labels = [_percent(i, len(pictures)) for i in range(len(pictures))]
    return media.film_strip(pictures, labels)


def _percent(index: int, frames: int) -> str:
    return f"{100 * index / (frames - 1):.0f} %"


def show(moment: Update | Result) -> tuple[Any, ...]:
    """Film, and in the end its strip and the plain mix."""
    if isinstance(moment, Update):
        return film(moment.shown), gr.skip(), gr.skip()
    return film(moment.shown), strip(moment.shown), moment.outputs["mix"]


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    pair = dict.fromkeys(("image_a", "image_b"))
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            with gr.Row():
                for name, letter in zip(pair, "AB", strict=True):
                    pair[name] = inputs.upload(letter, min_width=130)
            form = tab.Form(OPERATION.params, model=studio.model, **pair)
            swap = gr.Button("Swap A and B", size="sm")
            gr.Markdown("or two of these faces, drawn by the model", elem_classes="note")
            faces = views.face_grid_component(elem_id="interpolate-samples")
            form.add()
            buttons = wiring.run_buttons("Interpolate")
            download = tab.film_button()
            form.advanced()
        with tab.stage():
            player = views.film_component(elem_id="interpolate-player", min_height=480)
            morph = views.strip_view("Morph")
            with gr.Accordion("The plain pixel mix, for comparison", open=False):
                mix = views.strip_view("Pixel mix")
            status = views.status_component()
    samples, images = gr.State(views.Drawn([])), list(pair.values())
    tab.operate(studio, OPERATION, form, buttons, status, [player, morph, mix], show, download)
    swap.click(lambda a, b: (b, a), images, images, **wiring.QUIET)
    accepts = {}
    for image, letter in zip(images, "AB", strict=True):
        hint = f"Picture {letter} is set; now press Interpolate."
        tab.opens(studio, image, status, hint, f"Picture {letter}")
        accepts[letter.lower()] = tab.Accepts([image], lambda sent: [to_image(sent.picture)], hint)

    def worked(name: str | None) -> tuple[Any, ...]:
        bridge = studio.models.get(name)
        drawn = generate.faces(bridge)
        a, b = (Photo.drawn(face) for face in drawn[:2])
        result = OPERATION.result(model=bridge, image_a=a, image_b=b)
        picks = views.samples(drawn, (("a", "A"), ("b", "B")))
        noise = gr.update(maximum=bridge.sigma**2)
        return *picks, a.whole, b.whole, noise, *show(result), tab.finished(result)

    fills = [faces, samples, *images, form["variance"], player, morph, mix]
    return tab.Tab(status, OPERATION, worked, fills, accepts, [(faces, samples)])
