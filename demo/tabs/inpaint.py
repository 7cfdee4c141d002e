"""The Inpaint tab: paint a hole, get it filled several ways (Fig. 9, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging, inputs, params, runs, tab, views, wiring
from demo.imaging import Photo
from demo.operation import Operation, Pictures
from demo.runs import Report, Result, Update
from demo.tabs import generate
from sbcore import DEFAULTS, Bridge, preset_holes

CANVAS = 512
BRUSH = ("#ff3355", 0.7)
OPENED = "Your picture, cut to the {size} x {size} pixels of the model."
ACTIONS = (
    ("keep", "keep this one and go on"),
    ("compare", "before / after"),
    ("a", "use as A"),
    ("b", "use as B"),
)
METHODS = {
    f"Conditional denoiser, {DEFAULTS['inpaint'].steps} evaluations": "conditional",
    "Algorithm 2 of the paper, 1,000 steps": "algorithm2",
}


@dataclass(frozen=True, kw_only=True)
class Inpainted(Report):
    """Report of fills."""

    method: str
    changed_outside: int
    """Pixels outside the hole, of all fills, that differ from the picture."""


@dataclass(frozen=True)
class Filled:
    """Fills of a hole in a picture; each (h, w, c) in [0, 1]."""

    source: np.ndarray
    fills: list[np.ndarray]


def inpaint(
    model: Bridge,
    image: Photo,
    mask: np.ndarray,
    count: int,
    seed: int,
    method: str,
    **options: Any,
) -> Iterator[Update | Result]:
    """Fill a hole, where ``mask`` (size, size) is True; options as of `Bridge.inpaint`."""
    source = image.seen
    run = model.inpaint(runs.to_engine(source), ~mask, count, seed, method=method, **options)
    for update in runs.watch(run):
        fills = [np.where(mask[..., None], one, source) for one in runs.preview(update.step)]
        if not update.step.final:
            yield update.showing(Filled(source, fills))
    mode = "paper" if method == "algorithm2" else "fast"
    origin = runs.origin(model, "inpaint", seed, **options, mode=mode)
    changed = changed_outside(fills, source, mask)
    report = Inpainted.of(update, **origin, method=method, changed_outside=changed)
    note = f"{changed} pixels changed outside the mask"
    yield Result(Filled(source, fills), {"pictures": fills}, report, note)


def changed_outside(fills: list[np.ndarray], source: np.ndarray, hole: np.ndarray) -> int:
    """Number of 8-bit pixels that differ from the source outside the hole; 0."""
    before = imaging.to_uint8(source)
    return sum(int((imaging.to_uint8(fill) != before)[~hole].any(-1).sum()) for fill in fills)


OPERATION = Operation(
    "inpaint",
    """Fill the white pixels of ``mask`` in ``image``.

    Returns PNG files at the model's resolution and a report.""",
    params=[
        params.Picture("image"),
        params.Mask("mask"),
        params.Whole("count", 3, 1, 9, (1, 9, 1), said="The number of fills", label="Fills"),
        params.Seed(advanced=True),
        params.Choice(
            "method", "conditional", choices=METHODS, label="Method", advanced=True
        ),
        params.Model(),
        params.Steps(span=(0, 1000, 1), help="0: the default of the method", http=False),
        params.solver("Solver (conditional)", http=False),
    ],
    outputs=[Pictures()],
    run=inpaint,
)  # fmt: skip


def editor_value(source: np.ndarray | None, hole: np.ndarray | None = None) -> dict[str, Any]:
    """What the editor shows: the picture enlarged, and a ready mask as its layer."""
    if source is None:
        return {"background": None, "layers": [], "composite": None}
    background = np.asarray(imaging.enlarge(source, CANVAS))
    layers = [] if hole is None else [imaging.hole_overlay(hole, CANVAS)]
    return {"background": background, "layers": layers, "composite": None}


def compare(source: np.ndarray, fill: np.ndarray) -> tuple[Any, Any]:
    """Before and after, equally large."""
    return imaging.enlarge(source, 384), imaging.enlarge(fill, 384)


def show(moment: Update | Result) -> tuple[Any, ...]:
    """The fills; in the end what their grid holds, and the first beside the picture."""
    source, fills = moment.shown.source, moment.shown.fills
    if isinstance(moment, Update):
        return views.face_grid(fills, ["filling"] * len(fills)), gr.skip(), gr.skip()
    labels = [f"fill, seed {moment.report.seed + i}" for i in range(len(fills))]
    grid = views.face_grid(fills, labels, ACTIONS, moment.report.facts())
    return grid, views.Drawn(fills, source=source), compare(source, fills[0])


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    source = gr.State(None, time_to_live=3600)
    editor = _editor()
    form = tab.Form(OPERATION.params, model=studio.model, image=source, mask=editor)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            upload = inputs.upload("A picture of your own")
            gr.Markdown("or one of these faces, drawn by the model", elem_classes="note")
            faces = views.face_grid_component(elem_id="inpaint-samples")
            gr.Markdown("Ready masks", elem_classes="note")
            with gr.Row(elem_classes="masks"):
                presets = [gr.Button(n, size="sm", min_width=84) for n in preset_holes(64)]
                clear = gr.Button("clear mask", size="sm", min_width=84)
            form.add()
            buttons = wiring.run_buttons("Fill the hole")
            form.advanced()
        with tab.stage():
            editor.render()
            grid = views.face_grid_component(elem_id="inpaint-grid", min_height=180)
            status = views.status_component()
            with gr.Accordion("Before and after", open=False) as before_after:
                slider = gr.ImageSlider(
                    label="before | after",
                    format="png",
                    interactive=False,
                    max_height=420,
                    show_label=False,
                    elem_id="inpaint-compare",
                )
    samples, drawn = gr.State(views.Drawn([])), gr.State(views.Drawn([]), time_to_live=3600)
    tab.operate(studio, OPERATION, form, buttons, status, [grid, drawn, slider], show)
    tab.opens(
        studio, upload, status, OPENED, "",
        [source, editor], lambda photo: (photo.seen, editor_value(photo.seen)),
    )  # fmt: skip
    _wire_masks(presets, clear, source, editor)

    def worked(name: str | None) -> tuple[Any, ...]:
        bridge = studio.models.get(name)
        drawn = generate.faces(bridge)
        photo = Photo.drawn(drawn[1])
        hole = preset_holes(photo.seen.shape[0])["eyes"]
        result = OPERATION.result(model=bridge, image=photo, mask=hole)
        picks = views.samples(drawn, (("inpaint", "use"),))
        shown = photo.seen, editor_value(photo.seen, hole), *show(result)
        return *picks, *shown, tab.finished(result)

    fills = [faces, samples, source, editor, grid, drawn, slider]
    accepts = _accepts(source, editor, slider, before_after)
    offers = [(faces, samples), (grid, drawn)]
    return tab.Tab(status, OPERATION, worked, fills, accepts, offers)


def _editor() -> gr.ImageEditor:
    return gr.ImageEditor(
        label="Paint what is to be filled",
        type="numpy",
        image_mode="RGBA",
        sources=(),
        transforms=(),
        layers=False,
        format="png",
        canvas_size=(CANVAS, CANVAS),
        fixed_canvas=True,
        height=590,
        brush=gr.Brush(default_size=28, colors=[BRUSH], color_mode="fixed"),
        eraser=gr.Eraser(default_size=28),
        elem_id="inpaint-editor",
        render=False,
    )


def _accepts(source: Any, editor: Any, slider: Any, before_after: Any) -> dict[str, tab.Accepts]:
    """A face to paint on; a fill to go on from, or to look at."""

    def keep(sent: tab.Sent) -> tuple[Any, ...]:
        return sent.picture, editor_value(sent.picture), compare(sent.source, sent.picture)

    return {
        "inpaint": tab.Accepts(
            [source, editor],
            lambda sent: (sent.picture, editor_value(sent.picture)),
            "Paint over a part, or take a ready mask.",
        ),
        "keep": tab.Accepts(
            [source, editor, slider], keep, "Kept: paint over the next part.", moves=False
        ),
        "compare": tab.Accepts(
            [slider, before_after],
            lambda sent: (compare(sent.source, sent.picture), gr.Accordion(open=True)),
            moves=False,
        ),
    }


def _wire_masks(
    presets: list[gr.Button], clear: gr.Button, source: gr.State, editor: gr.ImageEditor
) -> None:
    """Ready masks, and a Clear that keeps the picture (the editor's own wipes it)."""

    def preset(name: str) -> Any:
        def show_mask(picture: np.ndarray | None) -> dict[str, Any]:
            hole = None if picture is None else preset_holes(picture.shape[0])[name]
            return editor_value(picture, hole)

        return show_mask

    for button in presets:
        button.click(preset(button.value), source, editor, **wiring.QUIET)
    clear.click(editor_value, source, editor, **wiring.QUIET)
    editor.clear(editor_value, source, editor, **wiring.QUIET)
