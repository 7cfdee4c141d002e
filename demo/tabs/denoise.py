"""The Reimagine tab: a picture and noise, restored several ways by stage 2 (Fig. 6).

The noise is added first, the more of it the freer the restorations; or it is in the picture
already, and is cleaned away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from demo import media, params, runs, tab, views, wiring
from demo.operation import Operation, Picture, Pictures
from demo.photos.box import Given, PhotoBox
from demo.photos.candidates import Candidates, CandidatesView, Filled
from demo.photos.export import PhotoExport
from demo.photos.photo import Photo
from demo.runs import Kept, Report, Result, Update
from demo.tabs import generate
from demo.typical import unlike
from sbcore import SOLVERS, Bridge, Step

LAYERS, FRAMES = ("particle", "what the network believes"), 24
EXAMPLE_FACE, PHOTO = 2, "denoise-photo"
LEAST = 0.001  # standard deviation of noise: a quarter of a step of 8 bits
VARIANCE, GENTLE = 1.0, 0.05  # of the endpoint; of the page, where the person stays the same
MARKS = {"a little": 0.02, "more": 0.2, "the paper's Fig. 6": None}  # None: all that there is
NOISE_INFO = "Its variance: at 0.05 the person stays the same, at 1 a face is hardly seen."
ADD, AS_IT_IS = "add noise", "as it is"
METHODS = {"Add noise, then restore": ADD, "It is noisy: clean it": AS_IT_IS}
ACTIONS = (
    ("denoise", "reimagine this"),
    ("a", "use as A"),
    ("b", "use as B"),
    ("inpaint", "inpaint"),
)
HINT = "The picture is set; now press Reimagine."
ALIKE = "this solver adds no noise: all alike"


@dataclass(frozen=True, kw_only=True)
class Denoised(Report):
    """Report of a restoration."""

    method: str
    variance: float
    """Of the noise that was added, or that is in the picture."""


@dataclass(frozen=True)
class Restored:
    """A picture, the same with noise, and what was made of it; each (h, w, c) in [0, 1]."""

    photo: Photo
    noisy: np.ndarray | None
    """Shrunk into the range that a screen can show; None where the picture is noisy itself."""
    restorations: list[np.ndarray]
    variance: float
    """Of the noise."""
    steps: Sequence[Step] = ()
    """States of the first on its way."""

    def film(self) -> str:
        """Its way, for the player."""
        particles = [media.normalise_contrast(runs.pictures(step.x)[0]) for step in self.steps]
        beliefs = [runs.preview(step)[0] for step in self.steps]
        captions = [f"noise level {step.s:.2f}" for step in self.steps]
        layers = dict(zip(LAYERS, (particles, beliefs), strict=True))
        return views.film(layers, captions, ends=("noise", "", "picture"))


def denoise(
    model: Bridge,
    image: Photo,
    variance: float,
    count: int,
    seed: int,
    method: str,
    noise: float | None,
    **options: Any,
) -> Iterator[Update | Result]:
    """Restore a picture from noise that is added first, or that is in it.

    Args:
        model: The model.
        image: The picture.
        variance: Of noise to be added.
        count: Number of restorations.
        seed: Of the first.
        method: "add noise" or "as it is".
        noise: Standard deviation of the noise that is in the picture; None: estimated.
        options: As of `Bridge.denoise`.
    """
    source, noisy = runs.to_engine(image.seen), None
    if method == ADD:
        (noisy,) = runs.pictures(model.perturb(source, variance, seed)[None])
        noisy = media.normalise_contrast(noisy)
    else:
        found = max(LEAST, model.noise_level(source) if noise is None else noise)
        variance = found**2
    run = model.denoise(source, variance, count, seed, add_noise=method == ADD, **options)
    every = math.ceil(len(run) / FRAMES)
    kept = Kept(lambda step: step.final or step.index == 1 or not step.index % every)
    for update in runs.watch(kept.passing(run)):
        restored = Restored(image, noisy, runs.preview(update.step), variance)
        if not update.step.final:
            yield update.showing(restored)
    restored = replace(restored, steps=kept.steps)
    origin = runs.origin(model, "denoise", seed, **options)
    report = Denoised.of(update, **origin, method=method, variance=variance)
    outputs = {
        "perturbed": image.seen if noisy is None else noisy,
        "pictures": restored.restorations,
    }
    alike = count > 1 and not SOLVERS[report.solver].stochastic
    remarks = (ALIKE if alike else "", unlike(model, image) if method == ADD else "")
    yield Result(restored, outputs, report, " ".join(filter(None, remarks)))


@dataclass(frozen=True)
class Level(params.Number):
    """Standard deviation of the noise that is in a picture; none and 0: to be estimated."""

    def convert(self, value: Any, given: Mapping[str, Any]) -> float | None:
        """A number in range, or None for the estimate."""
        return None if params.is_number(value) and value == 0 else super().convert(value, given)

    def limit(self, given: Mapping[str, Any]) -> float:
        """Sigma of the model."""
        return given["model"].sigma

    def kind(self) -> str:
        """Its range."""
        return f"a number from {self.least:g} to sigma of the model"


OPERATION = Operation(
    "denoise",
    """Add noise of this variance to ``image`` and restore it several times.

    With ``method`` "as it is" nothing is added: the noise is in the picture, of standard deviation
    ``noise`` if it is known. Returns the noisy picture (PNG, its contrast reduced to what a file
    can hold), the restorations as PNG files and a report.""",
    params=[
        params.Picture("image"),
        params.Variance(
            "variance", VARIANCE, LEAST**2, span=(0.01, 4.0, 0.01), shown=GENTLE,
            said="The noise variance", label="Noise to add", help=NOISE_INFO,
        ),
        params.Whole(
            "count", 4, 1, 9, (1, 9, 1), said="The number of restorations", label="Restorations"
        ),
        params.Seed(fresh=True),
        params.Model(),
        params.Choice("method", ADD, choices=METHODS, label="What to do"),
        Level(
            "noise", None, LEAST, span=(0, 1, 0.01), shown=0, said="The noise in the picture",
            label="Noise in the picture", help="Of 1, white; 0: it is measured.", advanced=True,
        ),
        params.steps("denoise", http=False),
        params.solver(http=False),
        params.mode("paper: Euler-Maruyama", http=False),
    ],
    outputs=[Picture("perturbed", "perturbed"), Pictures()],
    run=denoise,
    cost=lambda count, steps, mode: count * runs.evaluations("denoise", steps, mode),
)  # fmt: skip


def show(moment: Update | Result) -> tuple[Any, ...]:
    """The picture above its noisy twin; the restorations; what their buttons send in the end."""
    restored, done = moment.shown, isinstance(moment, Result)
    facts = moment.recipe if done else None
    pictures, labels = [restored.photo.seen], ["the picture"]
    if restored.noisy is None:
        labels = [f"as it is, noise of {255 * restored.variance**0.5:.0f} levels"]
    else:
        pictures.append(restored.noisy)
        labels.append(f"noise, variance {restored.variance:g}")
    pair = views.face_grid(pictures, labels, recipe=facts)
    filled = Filled.faces(restored.photo, restored.restorations, done)
    if facts is None:
        return pair, Candidates(filled, PHOTO), gr.skip(), gr.skip()
    labels = [f"seed {facts['seed'] + i}" for i in range(len(restored.restorations))]
    drawn = views.Drawn(restored.restorations, facts["seed"], restored.photo.seen)
    return pair, Candidates(filled, PHOTO, labels, facts), drawn, restored.film()


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            with tab.given():
                image = PhotoBox("Your photo", PHOTO)
                gr.Markdown("or one of these faces, drawn by the model", elem_classes="note")
                faces = views.face_grid_component(elem_id="denoise-samples")
            form = tab.Form(OPERATION.params, model=studio.model, image=image)
            form.add("method", "variance")
            with gr.Row(elem_classes="masks") as amounts:
                marks = [gr.Button(text, size="sm", min_width=84) for text in MARKS]
            form.add()
            buttons, status = tab.go("Reimagine")
            form.advanced()
        with tab.stage():
            with gr.Row(elem_classes="restoring"):
                pair = views.face_grid_component(elem_id="denoise-pair", min_width=130)
                grid = CandidatesView(ACTIONS, elem_id="denoise-grid", min_width=280)
            with gr.Accordion("The way of the first", open=False):
                player = views.film_component(elem_id="denoise-player", min_height=480)
            export = PhotoExport(OPERATION, image)
    samples, drawn = gr.State(views.Drawn([])), gr.State(views.Drawn([]), time_to_live=3600)
    shown = [pair, grid, drawn, player]
    tab.operate(studio, OPERATION, form, buttons, status, shown, show, export)
    tab.opens(studio, image, status, HINT)
    _wire_marks(studio, marks, form["variance"])
    form["method"].change(
        lambda method: [gr.update(visible=method == ADD)] * 2,
        form["method"], [form["variance"], amounts], **wiring.QUIET,
    )  # fmt: skip

    def worked(name: str | None) -> tuple[Any, ...]:
        bridge = studio.models.get(name)
        drawn, most = generate.faces(bridge), bridge.sigma**2
        photo, variance = Photo.drawn(drawn[EXAMPLE_FACE]), min(GENTLE, most)
        info = f"{NOISE_INFO} The paper's Fig. 6 takes sigma² = {most:g}."
        noise = gr.update(value=variance, maximum=most, info=info)
        result = OPERATION.result(model=bridge, image=photo, variance=variance)
        picks = views.samples(drawn, (("denoise", "use"),))
        pair, restored, sends, film = show(result)
        values = pair, replace(restored, example=True), sends, film, export.keep(result)
        given = Given(drawn[EXAMPLE_FACE], example=True)
        return *picks, given, noise, *values, tab.finished(result)

    fills = [faces, samples, image, form["variance"], *shown, export.last]
    accepts = {"denoise": tab.Accepts([image], lambda sent: [Given(sent.picture)], HINT)}
    offers = [(faces, samples), (grid, drawn)]
    return tab.Tab(status, OPERATION, worked, fills, accepts, offers, form, buttons[0])


def _wire_marks(studio: tab.Studio, marks: list[gr.Button], noise: Any) -> None:
    """Amounts of noise to begin with."""

    def mark(variance: float | None) -> Any:
        def chosen(name: str | None) -> float:
            most = studio.models.get(name).sigma ** 2
            return most if variance is None else min(variance, most)

        return chosen

    for button, variance in zip(marks, MARKS.values(), strict=True):
        button.click(mark(variance), studio.model, noise, **wiring.QUIET)
