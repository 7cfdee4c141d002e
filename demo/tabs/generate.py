"""The Generate tab: random pictures, sharpening as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import runs, widgets
from demo.models import Models
from sbcore import Bridge

MAX_COUNT = 16
EXAMPLE_COUNT, EXAMPLE_SEED = 8, 102  # a good row
ACTIONS = (
    ("evolve", "evolve"),
    ("a", "use as A"),
    ("b", "use as B"),
    ("inpaint", "inpaint"),
    ("denoise", "denoise this"),
)
STARTS = {
    "Smoothed pictures, by a formula": "closed form",
    "Nothing, by the network": "network",
    "Gaussian noise only (Fig. 5)": "noise",
}
START_INFO = (
    "Stage 1: q_sigma as N(mean, Σ + σ²I), free of cost; or solver steps from the point mass at 0; "
    "or none, from N(mean, σ²I)."
)
DEFAULT_START = "closed form"
PAPER_START_INFO = "Paper mode has its own: Algorithm 1, from the point mass."


def generate(
    bridge: Bridge,
    count: Any,
    seed: int,
    steps: Any = None,
    solver: str | None = None,
    mode: str = "fast",
    start: str = DEFAULT_START,
) -> Iterator[tuple[list[np.ndarray], runs.Update, dict[str, Any]]]:
    """Draw pictures: (pictures so far, update, report) as it goes.

    Raises:
        ValueError: If an argument is out of range; one sentence.
    """
    count = runs.whole("The number of pictures", count, 1, MAX_COUNT)
    runs.check_mode(bridge, mode)
    if mode == "paper" and start != DEFAULT_START:
        raise ValueError(
            "Paper mode has a stage 1 of its own, Algorithm 1: please leave the start as it is."
        )
    run = bridge.generate(
        count, seed, steps=runs.steps_of(steps), solver=solver or None, mode=mode, start=start
    )
    used = runs.solver_used("generate", solver, mode == "paper")
    for update in runs.watch(run):
        yield runs.preview(update), update, runs.report(bridge, update, seed, mode, used)


def examples(bridge: Bridge) -> tuple[str, widgets.Drawn, str]:
    """What the tab shows before the first click: grid, pictures, status."""
    for pictures, _, facts in generate(bridge, EXAMPLE_COUNT, EXAMPLE_SEED):
        last = pictures, facts
    pictures, facts = last
    return _grid(pictures, facts), widgets.Drawn(pictures, EXAMPLE_SEED), widgets.done_html(facts)


def _grid(pictures: list[np.ndarray], facts: dict[str, Any] | None) -> str:
    """Grid of faces; with buttons once they are final."""
    first = 0 if facts is None else facts["seed"]
    labels = [f"seed {first + i}" for i in range(len(pictures))]
    if facts is None:
        return widgets.face_grid(pictures, ["drawing"] * len(pictures))
    return widgets.face_grid(pictures, labels, ACTIONS, facts)


@dataclass(frozen=True)
class GenerateTab:
    """What other tabs need of this one."""

    grid: gr.HTML
    drawn: gr.State
    status: gr.HTML

    @property
    def examples(self) -> list[Any]:
        """What the values of `examples` go to."""
        return [self.grid, self.drawn, self.status]


def build(models: Models, model: gr.Dropdown) -> GenerateTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            count = gr.Radio([1, 4, 9, 16], value=4, label="How many", elem_id="generate-count")
            seed = gr.Number(0, label="Seed", precision=0, elem_id="generate-seed")
            fresh = gr.Checkbox(True, label="new seed each time")
            run, stop = widgets.run_buttons("Generate")
            with gr.Accordion("Advanced", open=False):
                steps = widgets.steps_input("generate")
                solver = widgets.solver_input()
                start = gr.Dropdown(
                    list(STARTS.items()), value=DEFAULT_START, label="Start from", info=START_INFO
                )
                mode = widgets.mode_input()
        with gr.Column(elem_classes="stage"):
            grid = widgets.face_grid_component(elem_id="generate-grid", min_height=320)
            status = widgets.status_component()
    drawn = gr.State(widgets.Drawn([], 0), time_to_live=3600)

    def handler(name: str, seed: Any, fresh: bool, count: Any, *options: Any) -> Iterator[Any]:
        chosen = runs.seed_of(seed, fresh)
        for pictures, update, facts in generate(models.get(name), count, chosen, *options):
            if update.final:
                yield (
                    _grid(pictures, facts),
                    widgets.Drawn(pictures, chosen),
                    chosen,
                    widgets.done_html(facts),
                )
            else:
                yield _grid(pictures, None), gr.skip(), chosen, widgets.progress_html(update)

    def offer_start(mode: str) -> Any:
        """Paper mode takes no other start than its own."""
        if mode == "paper":
            return gr.update(value=DEFAULT_START, interactive=False, info=PAPER_START_INFO)
        return gr.update(interactive=True, info=START_INFO)

    mode.change(offer_start, mode, start, **widgets.QUIET)
    inputs = [model, seed, fresh, count, steps, solver, mode, start]
    widgets.run_and_stop(run, stop, status, handler, inputs, [grid, drawn, seed])
    return GenerateTab(grid, drawn, status)
