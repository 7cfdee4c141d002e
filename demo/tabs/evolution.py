"""The Evolution tab: one particle from the point mass at 0 over q_sigma to a picture (Fig. 4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import media, runs, widgets
from demo.models import Models
from sbcore import Bridge, Step

FRAMES, EXAMPLE_SEED = 24, 109  # its picture is the last of the examples in Generate
MAX_FRAMES = 120
LAYERS = ("particle", "what the network believes")
ENDS = ("nothing", "q_sigma", "picture")


@dataclass
class Evolution:
    """States of one particle so far, of ``frames`` in all."""

    frames: int
    particles: list[np.ndarray] = field(default_factory=list)
    beliefs: list[np.ndarray] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def add(self, update: runs.Update) -> None:
        """Append the state of an update."""
        self.particles.append(media.normalise_contrast(runs.pictures(update.step.x)[0]))
        self.beliefs.append(runs.preview(update)[0])
        self.steps.append(update.step)

    @property
    def split(self) -> int:
        """Index of the frame at q_sigma, the last of stage 1."""
        return (self.frames - 1) // 2

    def film(self) -> str:
        """The film for the player."""
        layers = dict(zip(LAYERS, (self.particles, self.beliefs), strict=True))
        captions = [caption(step) for step in self.steps]
        return widgets.film(layers, captions, split=self.split, ends=ENDS, length=self.frames)

    def strip(self) -> Image.Image:
        """The labelled film strip of the particle."""
        first = self.split + 1
        groups = [("stage 1: point mass to q_sigma", first)]
        groups.append(("stage 2: q_sigma to the picture", len(self.steps) - first))
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
        return f"end of stage 1: q_sigma, the data plus noise of standard deviation {step.s:g}"
    if step.stage == 2 and step.t == 1:
        return "end of stage 2: a picture"
    return f"stage {step.stage}, t = {step.t:.2f}, noise level {step.s:.2f}"


def evolve(
    bridge: Bridge, seed: int, frames: Any = FRAMES, mode: str = "fast", solver: str | None = None
) -> Iterator[tuple[Evolution, runs.Update, dict[str, Any]]]:
    """Follow a particle: (states so far, update, report) as it goes.

    Raises:
        ValueError: If an argument is out of range; one sentence.
    """
    frames = runs.whole("The number of frames", frames, 4, MAX_FRAMES)
    runs.check_mode(bridge, mode)
    used = runs.solver_used("generate", solver, mode == "paper")
    evolution = Evolution(frames)
    run = bridge.evolve(frames, seed, mode=mode, solver=solver or None)
    for update in runs.watch(run, frames):
        if update.frame:
            evolution.add(update)
        yield evolution, update, runs.report(bridge, update, seed, mode, used)


def examples(bridge: Bridge) -> tuple[str, Image.Image, str]:
    """What the tab shows before the first click: film, strip, status."""
    for evolution, _, facts in evolve(bridge, EXAMPLE_SEED):
        last = evolution, facts
    evolution, facts = last
    return evolution.film(), evolution.strip(), widgets.done_html(facts)


@dataclass(frozen=True)
class EvolutionTab:
    """What other tabs need of this one."""

    seed: gr.Number
    fresh: gr.Checkbox
    player: gr.HTML
    strip: gr.Image
    status: gr.HTML

    @property
    def examples(self) -> list[Any]:
        """What the values of `examples` go to."""
        return [self.player, self.strip, self.status]


def build(models: Models, model: gr.Dropdown) -> EvolutionTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            seed = gr.Number(0, label="Seed", precision=0)
            fresh = gr.Checkbox(True, label="new seed each time")
            frames = gr.Slider(8, 40, value=FRAMES, step=2, label="Frames")
            run, stop = widgets.run_buttons("Evolve")
            download = gr.DownloadButton("Download film", size="sm", interactive=False)
            with gr.Accordion("Advanced", open=False):
                solver = widgets.solver_input("Solver of stage 2")
                mode = widgets.mode_input()
            gr.Markdown(
                "The particle starts as nothing, is pushed along a Brownian bridge to the "
                "smoothed density q_sigma, and from there along the second bridge to a picture.",
                elem_classes="note",
            )
        with gr.Column(elem_classes="stage"):
            player = widgets.film_component(elem_id="evolution-player", min_height=480)
            strip = widgets.strip_view("Film strip")
            status = widgets.status_component()

    def handler(name: str, seed: Any, fresh: bool, *options: Any) -> Iterator[Any]:
        chosen = runs.seed_of(seed, fresh)
        shown, frames_shown = 0.0, 0
        for evolution, update, facts in evolve(models.get(name), chosen, *options):
            if update.final:
                with widgets.downloads() as folder:
                    film = media.animation(evolution.particles, folder, f"evolution-{chosen}")
                    yield (
                        evolution.film(),
                        evolution.strip(),
                        chosen,
                        gr.update(value=film, interactive=True),
                        widgets.done_html(facts),
                    )
            elif update.seconds - shown > 0.25 or update.step.index == 0:
                grown = len(evolution.steps) > frames_shown
                shown, frames_shown = update.seconds, len(evolution.steps)
                yield (
                    evolution.film() if grown else gr.skip(),
                    gr.skip(),
                    chosen,
                    gr.skip(),
                    widgets.progress_html(update),
                )

    inputs = [model, seed, fresh, frames, mode, solver]
    widgets.run_and_stop(run, stop, status, handler, inputs, [player, strip, seed, download])
    return EvolutionTab(seed, fresh, player, strip, status)
