"""The Generate tab: random pictures, sharpening as they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import assets, live, media, params, runs, tab, views, wiring
from demo.export import ResultExport
from demo.operation import Operation, Picture, Pictures
from demo.runs import Report, Result, Update
from sbcore import SOLVERS, Bridge

SWEPT_SOLVERS, SWEPT_STEPS = ("dpmpp_2m_sde", "unipc", "linear_exact_2", "ddim"), (3, 5, 10, 20)
EXAMPLE_COUNT, EXAMPLE_SEED = 8, 28  # a good row
ACTIONS = (
    ("evolve", "evolve"),
    ("a", "use as A"),
    ("b", "use as B"),
    ("inpaint", "inpaint"),
    ("denoise", "reimagine this"),
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
TURN = "".join(
    f'<button type="button" data-by="{by}" title="{text}" aria-label="{text}">{icon}</button>'
    for by, text, icon in ((-1, "the seed before", "◂"), (1, "the next seed", "▸"))
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
    cost=lambda count, steps, mode: count * runs.evaluations("generate", steps, mode),
)  # fmt: skip


def sweep(model: Bridge, seed: int, start: str) -> Iterator[Update | Result]:
    """The face of a seed by several solvers at growing evaluations, all from the same noise."""
    drawn, ways = [], list(product(SWEPT_SOLVERS, SWEPT_STEPS))
    for solver, steps in ways:
        run = model.generate(1, seed, steps=steps, solver=solver, start=start)
        *_, update = runs.watch(run)
        drawn += runs.preview(update.step)
        yield update.showing(_sheet(drawn, ways))
        if update.halt.is_set():
            break
    origin = runs.origin(model, "generate", seed, solver=solver)
    sheet = _sheet(drawn, ways)
    yield Result(sheet, {"sheet": sheet}, Report.of(update, **origin))


def _sheet(drawn: list[np.ndarray], ways: list[tuple[str, int]]) -> Image.Image:
    """So far: a row a solver, a column a number of evaluations."""
    labels = [f"{steps} evaluations" for _, steps in ways[: len(drawn)]]
    groups = [
        (SOLVERS[solver].title, sum(1 for one, _ in ways[: len(drawn)] if one == solver))
        for solver in SWEPT_SOLVERS
    ]
    groups = [(title, count) for title, count in groups if count]
    return media.film_strip(drawn, labels, groups, columns=len(SWEPT_STEPS))


SWEEP = Operation(
    "sweep",
    "Solvers at equal evaluations, as one picture.",
    params=[OPERATION["seed"], OPERATION["model"], OPERATION["start"]],
    outputs=[Picture("sheet", "sweep")],
    run=sweep,
    repeats=False,
)


def show(moment: Update | Result) -> tuple[str, Any]:
    """Grid of faces, with buttons once they are final, and what it holds."""
    pictures = moment.shown
    if isinstance(moment, Update):
        return views.face_grid(pictures, ["drawing"] * len(pictures)), gr.skip()
    first = moment.report.seed
    labels = [f"seed {first + i}" for i in range(len(pictures))]
    grid = views.face_grid(pictures, labels, ACTIONS, moment.recipe, seed=first)
    return grid, views.Drawn(pictures, first)


@lru_cache(maxsize=32)
def example(bridge: Bridge) -> Result:
    """Eight good faces of a model: what this tab shows at first, and others begin with."""
    return OPERATION.result(model=bridge, count=EXAMPLE_COUNT, seed=EXAMPLE_SEED)


def faces(bridge: Bridge) -> list[np.ndarray]:
    """The pictures of `example`."""
    return example(bridge).shown


def draft(given: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a draft: instant mode, which knows no other start than the default."""
    differs = given["mode"] == "fast" and given["start"] == DEFAULT_START
    return {"mode": "instant"} if differs else {}


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    form = tab.Form(OPERATION.params, model=studio.model)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            form.add()
            with gr.Row(elem_classes="turn"):
                gr.HTML(TURN, js_on_load=assets.script("turn.js"))
                wanted = live.switch("Draw as I turn it")
            buttons, status = tab.go("Generate")
            form.advanced()
        with tab.stage():
            grid = views.face_grid_component(elem_id="generate-grid", min_height=320, history=True)
            export = ResultExport(OPERATION)
            with gr.Accordion("Steps and solvers, side by side", open=False):
                sweeping = (
                    gr.Button("Draw this seed in every way", size="sm"),
                    gr.Button("Stop", variant="stop", size="sm", visible=False),
                )
                swept = views.strip_view("Steps and solvers")
    drawn = gr.State(views.Drawn([]), time_to_live=3600)

    def offer_start(mode: str) -> Any:
        """Paper mode takes no other start than its own."""
        if mode == "paper":
            return gr.update(value=DEFAULT_START, interactive=False, info=PAPER_START_INFO)
        return gr.update(interactive=True, info=START_INFO)

    form["mode"].change(offer_start, form["mode"], form["start"], **wiring.QUIET)
    parts = studio, OPERATION, form, buttons, status, [grid, drawn], show, export
    move = {"moves": [form["seed"].input], "names": ["seed"]}
    live.follow(*parts, tab.operate(*parts), wanted=wanted, draft=draft, **move)
    tab.operate(studio, SWEEP, form, sweeping, status, [swept], lambda moment: (moment.shown,))

    def worked(name: str | None) -> tuple[Any, ...]:
        result = example(studio.models.get(name))
        return *show(result), export.keep(result), tab.finished(result)

    fills = [grid, drawn, export.last]
    offers = [(grid, drawn)]
    return tab.Tab(status, OPERATION, worked, fills, {}, offers, form, buttons[0])
