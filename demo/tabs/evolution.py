"""The Evolution tab: one particle from the point mass at 0 over q_sigma to a picture (Fig. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import media, params, runs, tab, views
from demo.export import ResultExport
from demo.operation import Film, Operation, Picture
from demo.runs import Kept, Report, Result, Update
from sbcore import Bridge, Step

EXAMPLE_SEED = 33  # its picture is one of the examples in Generate
LAYERS = ("particle", "what the network believes")
ENDS = ("nothing", "deep in noise", "picture")


@dataclass(frozen=True, kw_only=True)
class Evolved(Report):
    """Report of an evolution."""

    frames: int


@dataclass(frozen=True)
class Evolution:
    """States of one particle so far, of ``frames`` in all."""

    frames: int
    steps: Sequence[Step]

    @property
    def particles(self) -> list[np.ndarray]:
        """The states, their contrast reduced to what a screen shows."""
        return [media.normalise_contrast(runs.pictures(step.x)[0]) for step in self.steps]

    @property
    def beliefs(self) -> list[np.ndarray]:
        """What the network believes in each."""
        return [runs.preview(step)[0] for step in self.steps]

    @property
    def split(self) -> int:
        """Index of the frame at q_sigma, the last of stage 1."""
        return (self.frames - 1) // 2

    def film(self) -> str:
        """The film for the player."""
        layers = dict(zip(LAYERS, (self.particles, self.beliefs), strict=True))
        captions = [caption(step) for step in self.steps]
        return views.film(layers, captions, split=self.split, ends=ENDS, length=self.frames)

    def strip(self) -> Image.Image:
        """The labelled film strip of the particle."""
        first = min(self.split + 1, len(self.steps))  # it may have been stopped
        groups = [("stage 1: from nothing to noise", first)]
        groups.append(("stage 2: from noise to the picture", len(self.steps) - first))
        labels = [_label(step) for step in self.steps]
        return media.film_strip(self.particles, labels, groups)


def _label(step: Step) -> str:
    """Bridge time in stage 1; noise level in stage 2, whose times crowd at 1."""
    return f"t = {step.t:.2f}" if step.stage == 1 else f"s = {step.s:.2f}"


def caption(step: Step) -> str:
    """Where a state is on its way, in words."""
    if step.index == 0:
        return "stage 1, t = 0: every particle starts at the same point"
    if step.stage == 1 and step.t == 1:
        return f"end of stage 1: a picture deep in noise (standard deviation {step.s:g})"
    if step.stage == 2 and step.t == 1:
        return "end of stage 2: a picture"
    return f"stage {step.stage}, t = {step.t:.2f}, noise level {step.s:.2f}"


def evolve(model: Bridge, seed: int, frames: int, **options: Any) -> Iterator[Update | Result]:
    """Follow a particle from the point mass to its picture; options as of `Bridge.evolve`."""
    runs.check_mode(model, options["mode"])
    run = model.evolve(frames, seed, **options)
    kept, shown = Kept(run.keeps), 0
    for update in runs.watch(kept.passing(run), per_second=4):
        if not update.step.final:
            grown = len(kept.steps) > shown
            shown = len(kept.steps)
            yield update.showing(Evolution(frames, list(kept.steps)) if grown else None)
    evolution = Evolution(frames, kept.steps)
    outputs = {"animation": evolution.particles, "film strip": evolution.strip()}
    origin = runs.origin(model, "generate", seed, **options)
    yield Result(evolution, outputs, Evolved.of(update, **origin, frames=frames))


OPERATION = Operation(
    "evolve",
    """Follow one particle from the point mass to a picture.

    Returns an animation, a film strip (PNG) and a report.""",
    params=[
        params.Seed(fresh=True),
        params.Whole("frames", 24, 4, 120, (8, 40, 2), said="The number of frames", label="Frames"),
        params.mode_of_both_stages(instant=False),
        params.Model(),
        params.solver("Solver of stage 2", http=False),
    ],
    outputs=[Film("evolution"), Picture("film strip", "strip")],
    run=evolve,
    cost=lambda mode: runs.evaluations("generate", None, mode),
)


def show(moment: Update | Result) -> tuple[str, Any]:
    """Film, and in the end its strip; until then there is none, for the last one was another's."""
    if isinstance(moment, Update):
        return moment.shown.film(), None
    return moment.shown.film(), media.with_recipe(moment.outputs["film strip"], moment.recipe)


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    form = tab.Form(OPERATION.params, model=studio.model)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            form.add()
            buttons, status = tab.go("Evolve")
            form.advanced()
            gr.Markdown(
                "A picture starts as nothing, the same for all. One bridge carries it to a picture "
                "deep in noise, a second one takes the noise away.",
                elem_classes="note",
            )
        with tab.stage():
            player = views.film_component(elem_id="evolution-player", min_height=480)
            strip = views.strip_view("Film strip", min_height=260)
            export = ResultExport(OPERATION)
    tab.operate(studio, OPERATION, form, buttons, status, [player, strip], show, export)

    def worked(name: str | None) -> tuple[Any, ...]:
        result = OPERATION.result(model=studio.models.get(name), seed=EXAMPLE_SEED)
        return *show(result), export.keep(result), tab.finished(result)

    accepts = tab.Accepts(
        [form["seed"], form.fresh],
        lambda sent: (sent.seed, False),
        "Seed {seed} is set; now press Evolve.",
    )
    fills = [player, strip, export.last]
    return tab.Tab(status, OPERATION, worked, fills, {"evolve": accepts}, [], form, buttons[0])
