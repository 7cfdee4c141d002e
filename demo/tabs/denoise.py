"""The Denoise tab: a picture drowned in noise, restored several ways by stage 2 (Fig. 6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging, media, runs, widgets
from demo.models import Models
from sbcore import SOLVERS, Bridge

MAX_COUNT = 9
EXAMPLE_FACE = 2
VARIANCE = 1.0
LEAST_VARIANCE = 1e-6  # the engine's
ACTIONS = (
    ("denoise", "denoise this"),
    ("a", "use as A"),
    ("b", "use as B"),
    ("inpaint", "inpaint"),
)


@dataclass(frozen=True)
class Restored:
    """A picture, the same with noise, and what was made of it; each (h, w, c) in [0, 1]."""

    picture: np.ndarray
    noisy: np.ndarray
    """Shrunk into the range that a screen can show."""
    restorations: list[np.ndarray]
    variance: float
    """Of the noise."""


def denoise(
    bridge: Bridge,
    image: Any,
    variance: Any = VARIANCE,
    count: Any = 4,
    seed: int = 0,
    steps: Any = None,
    solver: str | None = None,
    mode: str = "fast",
) -> Iterator[tuple[Restored, runs.Update, dict[str, Any]]]:
    """Add noise to a picture and restore it: (restorations so far, update, report) as it goes.

    Raises:
        ValueError: If the picture cannot be used or an argument is out of range; one sentence.
    """
    picture = _read(bridge, image)
    count = runs.whole("The number of restorations", count, 1, MAX_COUNT)
    variance = runs.number("The noise variance", variance, LEAST_VARIANCE, bridge.sigma**2)
    source = runs.to_engine(picture)
    run = bridge.denoise(
        source,
        variance,
        count,
        seed,
        steps=runs.steps_of(steps),
        solver=solver or None,
        mode=mode,
    )
    used = runs.solver_used("denoise", solver, mode == "paper")
    (noisy,) = runs.pictures(bridge.perturb(source, variance, seed)[None])
    noisy = media.normalise_contrast(noisy)
    for update in runs.watch(run):
        restored = Restored(picture, noisy, runs.preview(update), variance)
        yield restored, update, runs.report(bridge, update, seed, mode, used)


def _read(bridge: Bridge, image: Any) -> np.ndarray:
    if image is None:
        raise ValueError("There is no picture: upload one, or send a face here.")
    channels, size, _ = bridge.shape
    return widgets.read_picture(image, size, channels)


def examples(bridge: Bridge, faces: list[np.ndarray]) -> tuple[Any, ...]:
    """What the tab shows before the first click: faces, picture, noise, pair, grid, status."""
    image = widgets.pil(faces[EXAMPLE_FACE])
    limit = bridge.sigma**2
    noise = gr.update(value=min(VARIANCE, limit), maximum=limit, info=_noise_info(limit))
    for restored, _, facts in denoise(bridge, image, min(VARIANCE, limit)):
        last = restored, facts
    picks = widgets.samples(faces, (("denoise", "use"),))
    return *picks, image, noise, *_stage(*last)


def _noise_info(limit: float) -> str:
    return (
        f"Its variance: at 1, a face is hardly seen. The paper's Fig. 6 takes sigma² = {limit:g}."
    )


def _stage(restored: Restored, facts: dict[str, Any]) -> tuple[str, str, widgets.Drawn, str]:
    """The finished views: pair, grid, what the grid holds, status."""
    drawn = widgets.Drawn(restored.restorations, facts["seed"], restored.picture)
    return (_pair(restored, facts), _grid(restored, facts), drawn, _status(restored, facts))


def _pair(restored: Restored, facts: dict[str, Any] | None = None) -> str:
    """The picture above its noisy twin; with downloads once they are final."""
    pair = [restored.picture, restored.noisy]
    labels = ["the picture", f"noise, variance {restored.variance:g}"]
    return widgets.face_grid(pair, labels, recipe=facts)


def _grid(restored: Restored, facts: dict[str, Any] | None = None) -> str:
    count = len(restored.restorations)
    if facts is None:
        return widgets.face_grid(restored.restorations, ["restoring"] * count)
    labels = [f"restoration {i + 1}" for i in range(count)]
    return widgets.face_grid(restored.restorations, labels, ACTIONS, facts)


def _status(restored: Restored, facts: dict[str, Any]) -> str:
    """The recipe, and why all restorations are alike where they must be."""
    solver = SOLVERS.get(facts["solver"])
    alike = solver is not None and not solver.stochastic and len(restored.restorations) > 1
    return widgets.done_html(facts, "this solver adds no noise: all alike" if alike else "")


@dataclass(frozen=True)
class DenoiseTab:
    """What other tabs need of this one."""

    faces: gr.HTML
    samples: gr.State
    image: gr.Image
    variance: gr.Slider
    pair: gr.HTML
    grid: gr.HTML
    drawn: gr.State
    status: gr.HTML

    @property
    def examples(self) -> list[Any]:
        """What the values of `examples` go to."""
        views = [self.pair, self.grid, self.drawn, self.status]
        return [self.faces, self.samples, self.image, self.variance, *views]


def build(models: Models, model: gr.Dropdown) -> DenoiseTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            image = widgets.picture_input("A picture of your own", elem_id="denoise-upload")
            gr.Markdown("or one of these faces, drawn by the model", elem_classes="note")
            faces = widgets.face_grid_component(elem_id="denoise-samples")
            variance = gr.Slider(
                0.05, 4.0, value=VARIANCE, step=0.05, label="Noise", info=_noise_info(4.0)
            )
            count = gr.Slider(1, MAX_COUNT, value=4, step=1, label="Restorations")
            seed = gr.Number(0, label="Seed", precision=0)
            fresh = gr.Checkbox(True, label="new seed each time")
            run, stop = widgets.run_buttons("Denoise")
            with gr.Accordion("Advanced", open=False):
                steps = widgets.steps_input("denoise")
                solver = widgets.solver_input()
                mode = widgets.edit_mode_input()
        with gr.Column(elem_classes="stage"):
            with gr.Row(elem_classes="restoring"):
                pair = widgets.face_grid_component(elem_id="denoise-pair", min_width=130)
                grid = widgets.face_grid_component(elem_id="denoise-grid", min_width=280)
            status = widgets.status_component()
    samples = gr.State(widgets.Drawn([]))
    drawn = gr.State(widgets.Drawn([]), time_to_live=3600)

    def handler(
        name: str, seed: Any, fresh: bool, image: Any, variance: Any, count: Any, *options: Any
    ) -> Iterator[Any]:
        chosen = runs.seed_of(seed, fresh)
        run = denoise(models.get(name), image, variance, count, chosen, *options)
        for restored, update, facts in run:
            if update.final:
                *views, line = _stage(restored, facts)
                yield *views, chosen, line
            else:
                views = _pair(restored), _grid(restored), gr.skip()
                yield *views, chosen, widgets.progress_html(update)

    inputs = [model, seed, fresh, image, variance, count, steps, solver, mode]
    widgets.run_and_stop(run, stop, status, handler, inputs, [pair, grid, drawn, seed])

    def opened(name: str, path: Any) -> tuple[Any, str]:
        """Refuse a broken upload at once."""
        try:
            _read(models.get(name), path)
        except imaging.PictureError as error:
            return None, widgets.error_html(str(error))
        return gr.skip(), widgets.note_html("The picture is set; now press Denoise.")

    image.upload(opened, [model, image], [image, status], **widgets.QUIET)
    return DenoiseTab(faces, samples, image, variance, pair, grid, drawn, status)
