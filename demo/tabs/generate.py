"""The Generate tab: random pictures, sharpening as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np

from demo import params, runs, tab, views, wiring
from demo.operation import Operation, Pictures
from demo.runs import Report, Result, Update
from sbcore import Bridge

EXAMPLE_COUNT, EXAMPLE_SEED = 8, 28  # a good row
ACTIONS = (
    ("evolve", "evolve"),
    ("a", "use as A"),
    ("b", "use as B"),
    ("inpaint", "inpaint"),
    ("denoise", "denoise this"),
)
STARTS = {
    "Smoothed pictures, by a formula": "closed form",
    "The same, as one Gaussian": "gaussian",
    "Nothing, by the network": "network",
    "Gaussian noise only (Fig. 5)": "noise",
}
START_INFO = (
    "Stage 1: q_sigma in closed form, free of cost, as a mixture or as N(mean, Σ + σ²I); or solver "
    "steps from the point mass at 0; or none, from N(mean, σ²I)."
)
DEFAULT_START = "closed form"
PAPER_START_INFO = "Paper mode has its own: Algorithm 1, from the point mass."


def generate(model: Bridge, count: int, seed: int, **options: Any) -> Iterator[Update | Result]:
    """Draw pictures; options as of `Bridge.generate`."""
    runs.check_mode(model, options["mode"])
    if options["mode"] == "paper" and options["start"] != DEFAULT_START:
        raise ValueError(
            "Paper mode has a stage 1 of its own, Algorithm 1: please leave the start as it is."
        )
    for update in runs.watch(model.generate(count, seed, **options)):
        pictures = runs.preview(update.step)
        if not update.step.final:
            yield update.showing(pictures)
    report = Report.of(update, **runs.origin(model, "generate", seed, **options))
    yield Result(pictures, {"pictures": pictures}, report)


OPERATION = Operation(
    "generate",
    """Draw random pictures. Returns a list of PNG files and a report.

    ``start`` is stage 1 of fast mode: "closed form", "gaussian", "network" (from the point
    mass), or "noise" (none, Fig. 5).""",
    params=[
        params.Whole(
            "count", 1, 1, 16, offered=(1, 4, 9, 16), shown=4,
            said="The number of pictures", label="How many",
        ),
        params.Seed(fresh=True),
        params.steps("generate"),
        params.solver(),
        params.mode_of_both_stages(),
        params.Model(),
        params.Choice(
            "start", DEFAULT_START, choices=STARTS, menu=True, advanced=True,
            label="Start from", help=START_INFO,
        ),
    ],
    outputs=[Pictures()],
    run=generate,
)  # fmt: skip


def show(moment: Update | Result) -> tuple[str, Any]:
    """Grid of faces, with buttons once they are final, and what it holds."""
    pictures = moment.shown
    if isinstance(moment, Update):
        return views.face_grid(pictures, ["drawing"] * len(pictures)), gr.skip()
    first = moment.report.seed
    labels = [f"seed {first + i}" for i in range(len(pictures))]
    grid = views.face_grid(pictures, labels, ACTIONS, moment.report.facts())
    return grid, views.Drawn(pictures, first)


@lru_cache(maxsize=32)
def example(bridge: Bridge) -> Result:
    """Eight good faces of a model: what this tab shows at first, and others begin with."""
    return OPERATION.result(model=bridge, count=EXAMPLE_COUNT, seed=EXAMPLE_SEED)


def faces(bridge: Bridge) -> list[np.ndarray]:
    """The pictures of `example`."""
    return example(bridge).shown


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    form = tab.Form(OPERATION.params, model=studio.model)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            form.add()
            buttons = wiring.run_buttons("Generate")
            form.advanced()
        with tab.stage():
            grid = views.face_grid_component(elem_id="generate-grid", min_height=320)
            status = views.status_component()
    drawn = gr.State(views.Drawn([]), time_to_live=3600)

    def offer_start(mode: str) -> Any:
        """Paper mode takes no other start than its own."""
        if mode == "paper":
            return gr.update(value=DEFAULT_START, interactive=False, info=PAPER_START_INFO)
        return gr.update(interactive=True, info=START_INFO)

    form["mode"].change(offer_start, form["mode"], form["start"], **wiring.QUIET)
    tab.operate(studio, OPERATION, form, buttons, status, [grid, drawn], show)

    def worked(name: str | None) -> tuple[Any, ...]:
        result = example(studio.models.get(name))
        return *show(result), tab.finished(result)

    return tab.Tab(status, OPERATION, worked, [grid, drawn], offers=[(grid, drawn)])
