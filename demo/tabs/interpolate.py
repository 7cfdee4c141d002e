"""The Interpolate tab: one picture morphs into another through shared noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import imaging, media, runs, widgets
from demo.models import Models
from sbcore import Bridge

MAX_FRAMES = 33
PAPER_VARIANCE = 0.4


def interpolate(
    bridge: Bridge,
    image_a: Any,
    image_b: Any,
    frames: Any = 9,
    variance: Any = PAPER_VARIANCE,
    seed: int = 0,
    steps: Any = None,
    solver: str | None = None,
    mode: str = "fast",
) -> Iterator[tuple[list[np.ndarray], runs.Update, dict[str, Any]]]:
    """Morph between two pictures: (frames so far, update, report) as it goes.

    Raises:
        ValueError: If a picture cannot be used or an argument is out of range; one sentence.
    """
    a, b = (_read(bridge, image, name) for image, name in ((image_a, "A"), (image_b, "B")))
    frames = runs.whole("The number of frames", frames, 2, MAX_FRAMES)
    variance = runs.number("The noise variance", variance, 0.001, bridge.sigma**2)
    run = bridge.interpolate(
        runs.to_engine(a),
        runs.to_engine(b),
        frames,
        variance,
        seed,
        steps=runs.steps_of(steps),
        solver=solver or None,
        mode=mode,
    )
    used = runs.solver_used("interpolate", solver, mode == "paper")
    for update in runs.watch(run):
        yield runs.preview(update), update, runs.report(bridge, update, seed, mode, used)


def _read(bridge: Bridge, image: Any, name: str) -> np.ndarray:
    if image is None:
        raise ValueError(f"Picture {name} is missing: upload one, or send a face here.")
    channels, size, _ = bridge.shape
    with widgets.about(f"Picture {name}"):
        return widgets.read_picture(image, size, channels)


def mixes(a: np.ndarray, b: np.ndarray, frames: int) -> list[np.ndarray]:
    """The plain pixel mix, for comparison."""
    return [(1 - c) * a + c * b for c in np.linspace(0, 1, frames, dtype=np.float32)]


def film(pictures: list[np.ndarray]) -> str:
    """The film for the player."""
    captions = [f"{_percent(i, len(pictures))} of B" for i in range(len(pictures))]
    ends, middle = ("A", "", "B"), len(pictures) // 2
    return widgets.film({"morph": pictures}, captions, ends=ends, start=middle)


def strip(pictures: list[np.ndarray]) -> Image.Image:
    """All frames in a row, labelled with the share of B."""
    labels = [_percent(i, len(pictures)) for i in range(len(pictures))]
    return media.film_strip(pictures, labels)


def _percent(index: int, frames: int) -> str:
    return f"{100 * index / (frames - 1):.0f} %"


def examples(bridge: Bridge, faces: list[np.ndarray]) -> tuple[Any, ...]:
    """What the tab shows before the first click: faces, A, B, noise, film, strip, mix, status."""
    a, b = widgets.pil(faces[0]), widgets.pil(faces[1])
    for pictures, _, facts in interpolate(bridge, a, b):
        last = pictures, facts
    pictures, facts = last
    mix = strip(mixes(faces[0], faces[1], len(pictures)))
    noise = gr.update(maximum=bridge.sigma**2)
    picks = widgets.samples(faces, (("a", "A"), ("b", "B")))
    return *picks, a, b, noise, film(pictures), strip(pictures), mix, widgets.done_html(facts)


@dataclass(frozen=True)
class InterpolateTab:
    """What other tabs need of this one."""

    faces: gr.HTML
    samples: gr.State
    image_a: gr.Image
    image_b: gr.Image
    variance: gr.Slider
    player: gr.HTML
    strip: gr.Image
    mix: gr.Image
    status: gr.HTML

    @property
    def examples(self) -> list[Any]:
        """What the values of `examples` go to."""
        pair, views = [self.image_a, self.image_b], [self.player, self.strip, self.mix]
        return [self.faces, self.samples, *pair, self.variance, *views, self.status]


def build(models: Models, model: gr.Dropdown) -> InterpolateTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            with gr.Row():
                image_a = widgets.picture_input("A", min_width=130, elem_id="interpolate-a")
                image_b = widgets.picture_input("B", min_width=130, elem_id="interpolate-b")
            swap = gr.Button("Swap A and B", size="sm")
            gr.Markdown("or two of these faces, drawn by the model", elem_classes="note")
            faces = widgets.face_grid_component(elem_id="interpolate-samples")
            frames = gr.Slider(3, MAX_FRAMES, value=9, step=2, label="Frames")
            variance = gr.Slider(
                0.05,
                4.0,
                value=PAPER_VARIANCE,
                step=0.05,
                label="Noise added before denoising",
                info="Its variance: more noise, a freer morph; the paper uses 0.4.",
            )
            run, stop = widgets.run_buttons("Interpolate")
            download = gr.DownloadButton("Download film", size="sm", interactive=False)
            with gr.Accordion("Advanced", open=False):
                seed = gr.Number(0, label="Seed of the noise", precision=0)
                steps = widgets.steps_input("interpolate")
                solver = widgets.solver_input()
                mode = widgets.edit_mode_input()
        with gr.Column(elem_classes="stage"):
            player = widgets.film_component(elem_id="interpolate-player", min_height=480)
            strip_view = widgets.strip_view("Morph")
            with gr.Accordion("The plain pixel mix, for comparison", open=False):
                mix = widgets.strip_view("Pixel mix")
            status = widgets.status_component()

    def handler(name: str, a: Any, b: Any, *options: Any) -> Iterator[Any]:
        bridge = models.get(name)
        options = (*options[:2], runs.seed_of(options[2]), *options[3:])
        for pictures, update, facts in interpolate(bridge, a, b, *options):
            if update.final:
                plain = strip(mixes(_read(bridge, a, "A"), _read(bridge, b, "B"), len(pictures)))
                with widgets.downloads() as folder:
                    movie = media.animation(pictures, folder, "morph", boomerang=True)
                    yield (
                        film(pictures),
                        strip(pictures),
                        plain,
                        gr.update(value=movie, interactive=True),
                        widgets.done_html(facts),
                    )
            else:
                yield (
                    film(pictures),
                    gr.skip(),
                    gr.skip(),
                    gr.skip(),
                    widgets.progress_html(update),
                )

    inputs = [model, image_a, image_b, frames, variance, seed, steps, solver, mode]
    widgets.run_and_stop(run, stop, status, handler, inputs, [player, strip_view, mix, download])

    def opened(letter: str) -> Callable[[str, Any], tuple[Any, str]]:
        """Refuse a broken upload at once."""

        def check(name: str, path: Any) -> tuple[Any, str]:
            try:
                _read(models.get(name), path, letter)
            except imaging.PictureError as error:
                return None, widgets.error_html(str(error))
            return gr.skip(), widgets.note_html(f"Picture {letter} is set; now press Interpolate.")

        return check

    pair = [image_a, image_b]
    for image, letter in zip(pair, "AB", strict=True):
        image.upload(opened(letter), [model, image], [image, status], **widgets.QUIET)
    swap.click(lambda a, b: (b, a), pair, pair, **widgets.QUIET)
    samples = gr.State(widgets.Drawn([]))
    return InterpolateTab(
        faces, samples, image_a, image_b, variance, player, strip_view, mix, status
    )
