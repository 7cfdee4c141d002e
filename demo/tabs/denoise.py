"""The Denoise tab: a picture drowned in noise, restored several ways by stage 2 (Fig. 6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import inputs, media, params, runs, tab, views, wiring
from demo.imaging import Photo, to_image
from demo.operation import Operation, Picture, Pictures
from demo.runs import Report, Result, Update
from demo.tabs import generate
from sbcore import SOLVERS, Bridge

EXAMPLE_FACE = 2
VARIANCE = 1.0
NOISE_INFO = "Its variance: at 1, a face is hardly seen."
ACTIONS = (
    ("denoise", "denoise this"),
    ("a", "use as A"),
    ("b", "use as B"),
    ("inpaint", "inpaint"),
)
HINT = "The picture is set; now press Denoise."
ALIKE = "this solver adds no noise: all alike"


@dataclass(frozen=True, kw_only=True)
class Denoised(Report):
    """Report of a restoration."""

    variance: float
    """Of the noise that was added."""


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
    model: Bridge, image: Photo, variance: float, count: int, seed: int, **options: Any
) -> Iterator[Update | Result]:
    """Add noise to a picture and restore it; options as of `Bridge.denoise`."""
    source = runs.to_engine(image.seen)
    run = model.denoise(source, variance, count, seed, **options)
    (noisy,) = runs.pictures(model.perturb(source, variance, seed)[None])
    noisy = media.normalise_contrast(noisy)
    for update in runs.watch(run):
        restored = Restored(image.seen, noisy, runs.preview(update.step), variance)
        if not update.step.final:
            yield update.showing(restored)
    report = Denoised.of(
        update, **runs.origin(model, "denoise", seed, **options), variance=variance
    )
    outputs = {"perturbed": noisy, "pictures": restored.restorations}
    alike = count > 1 and not SOLVERS[report.solver].stochastic
    yield Result(restored, outputs, report, ALIKE if alike else "")


OPERATION = Operation(
    "denoise",
    """Add noise of this variance to ``image`` and restore it several times.

    Returns the noisy picture (PNG, its contrast reduced to what a file can hold), the
    restorations as PNG files and a report.""",
    params=[
        params.Picture("image"),
        params.Variance(
            "variance", VARIANCE, 1e-6, span=(0.05, 4.0, 0.05),
            said="The noise variance", label="Noise", help=NOISE_INFO,
        ),
        params.Whole(
            "count", 4, 1, 9, (1, 9, 1), said="The number of restorations", label="Restorations"
        ),
        params.Seed(fresh=True),
        params.Model(),
        params.steps("denoise", http=False),
        params.solver(http=False),
        params.mode("paper: Euler-Maruyama", http=False),
    ],
    outputs=[Picture("perturbed", "perturbed"), Pictures()],
    run=denoise,
)  # fmt: skip


def show(moment: Update | Result) -> tuple[Any, ...]:
    """The picture above its noisy twin; the restorations; what their grid holds in the end."""
    restored, count = moment.shown, len(moment.shown.restorations)
    facts = moment.report.facts() if isinstance(moment, Result) else None
    labels = ["the picture", f"noise, variance {restored.variance:g}"]
    pair = views.face_grid([restored.picture, restored.noisy], labels, recipe=facts)
    if facts is None:
        return pair, views.face_grid(restored.restorations, ["restoring"] * count), gr.skip()
    labels = [f"restoration {i + 1}" for i in range(count)]
    grid = views.face_grid(restored.restorations, labels, ACTIONS, facts)
    return pair, grid, views.Drawn(restored.restorations, facts["seed"], restored.picture)


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            image = inputs.upload("A picture of your own")
            form = tab.Form(OPERATION.params, model=studio.model, image=image)
            gr.Markdown("or one of these faces, drawn by the model", elem_classes="note")
            faces = views.face_grid_component(elem_id="denoise-samples")
            form.add()
            buttons = wiring.run_buttons("Denoise")
            form.advanced()
        with tab.stage():
            with gr.Row(elem_classes="restoring"):
                pair = views.face_grid_component(elem_id="denoise-pair", min_width=130)
                grid = views.face_grid_component(elem_id="denoise-grid", min_width=280)
            status = views.status_component()
    samples, drawn = gr.State(views.Drawn([])), gr.State(views.Drawn([]), time_to_live=3600)
    tab.operate(studio, OPERATION, form, buttons, status, [pair, grid, drawn], show)
    tab.opens(studio, image, status, HINT)

    def worked(name: str | None) -> tuple[Any, ...]:
        bridge = studio.models.get(name)
        drawn, most = generate.faces(bridge), bridge.sigma**2
        photo, variance = Photo.drawn(drawn[EXAMPLE_FACE]), min(VARIANCE, most)
        info = f"{NOISE_INFO} The paper's Fig. 6 takes sigma² = {most:g}."
        noise = gr.update(value=variance, maximum=most, info=info)
        result = OPERATION.result(model=bridge, image=photo, variance=variance)
        picks = views.samples(drawn, (("denoise", "use"),))
        return *picks, photo.whole, noise, *show(result), tab.finished(result)

    fills = [faces, samples, image, form["variance"], pair, grid, drawn]
    accepts = {"denoise": tab.Accepts([image], lambda sent: [to_image(sent.picture)], HINT)}
    offers = [(faces, samples), (grid, drawn)]
    return tab.Tab(status, OPERATION, worked, fills, accepts, offers)
