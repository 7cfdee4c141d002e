"""The Inpaint tab: paint a hole, get it filled several ways (Fig. 9, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging, runs, widgets
from demo.models import Models
from sbcore import DEFAULTS, Bridge, preset_holes

CANVAS = 512
MAX_FILLS = 9
BRUSH = ("#ff3355", 0.7)
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


def inpaint(
    bridge: Bridge,
    source: np.ndarray,
    hole: np.ndarray,
    count: Any = 3,
    seed: int = 0,
    method: str = "conditional",
    steps: Any = None,
    solver: str | None = None,
) -> Iterator[tuple[list[np.ndarray], runs.Update, dict[str, Any]]]:
    """Fill a hole: (fills so far, update, report) as it goes.

    Args:
        bridge: The model.
        source: Picture (size, size, c) in [0, 1].
        hole: (size, size), True = fill.
        count: Number of fills.
        seed: Seed of the first.
        method: "conditional" or "algorithm2".
        steps: Network evaluations; None for the default.
        solver: Name of a solver, conditional only.

    Raises:
        ValueError: If nothing is marked or an argument is out of range; one sentence.
    """
    imaging.check_hole(hole)
    count = runs.whole("The number of fills", count, 1, MAX_FILLS)
    run = bridge.inpaint(
        runs.to_engine(source),
        ~hole,
        count,
        seed,
        method=method,
        steps=runs.steps_of(steps),
        solver=solver or None,
    )
    used = runs.solver_used("inpaint", solver, method == "algorithm2")
    for update in runs.watch(run):
        keep = ~hole[..., None]
        fills = [np.where(keep, source, picture) for picture in runs.preview(update)]
        yield fills, update, runs.report(bridge, update, seed, method, used)


def changed_outside(fills: list[np.ndarray], source: np.ndarray, hole: np.ndarray) -> int:
    """Number of 8-bit pixels that differ from the source outside the hole; 0."""
    before = imaging.to_uint8(source)
    return sum(int((imaging.to_uint8(fill) != before)[~hole].any(-1).sum()) for fill in fills)


def editor_value(source: np.ndarray | None, hole: np.ndarray | None = None) -> dict[str, Any]:
    """What the editor shows: the picture enlarged, and a ready mask as its layer."""
    if source is None:
        return {"background": None, "layers": [], "composite": None}
    background = np.asarray(imaging.enlarge(source, CANVAS))
    layers = [] if hole is None else [imaging.hole_overlay(hole, CANVAS)]
    return {"background": background, "layers": layers, "composite": None}


def examples(bridge: Bridge, faces: list[np.ndarray]) -> tuple[Any, ...]:
    """What the tab shows before the first click: source, editor, fills, filled, compare, status."""
    source = imaging.to_uint8(faces[1]).astype(np.float32) / 255
    hole = preset_holes(source.shape[0])["eyes"]
    for fills, _, facts in inpaint(bridge, source, hole):
        last = fills, facts
    fills, facts = last
    filled = widgets.Drawn(fills, source=source)
    return (
        *widgets.samples(faces, (("inpaint", "use"),)),
        source,
        editor_value(source, hole),
        _grid(fills, facts),
        filled,
        compare(source, fills[0]),
        widgets.done_html(facts, _badge(changed_outside(fills, source, hole))),
    )


def _grid(fills: list[np.ndarray], facts: dict[str, Any] | None) -> str:
    if facts is None:
        return widgets.face_grid(fills, ["filling"] * len(fills))
    labels = [f"fill, seed {facts['seed'] + i}" for i in range(len(fills))]
    return widgets.face_grid(fills, labels, ACTIONS, facts)


def _badge(changed: int) -> str:
    return f"{changed} pixels changed outside the mask"


def compare(source: np.ndarray, fill: np.ndarray) -> tuple[Any, Any]:
    """Before and after, equally large."""
    return imaging.enlarge(source, 384), imaging.enlarge(fill, 384)


@dataclass(frozen=True)
class InpaintTab:
    """What other tabs need of this one."""

    faces: gr.HTML
    samples: gr.State
    source: gr.State
    editor: gr.ImageEditor
    grid: gr.HTML
    filled: gr.State
    compare: gr.ImageSlider
    before_after: gr.Accordion
    status: gr.HTML

    @property
    def examples(self) -> list[Any]:
        """What the values of `examples` go to."""
        views = [self.grid, self.filled, self.compare, self.status]
        return [self.faces, self.samples, self.source, self.editor, *views]


def build(models: Models, model: gr.Dropdown) -> InpaintTab:
    """Lay out the tab and wire it."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            upload = widgets.picture_input("A picture of your own", elem_id="inpaint-upload")
            gr.Markdown("or one of these faces, drawn by the model", elem_classes="note")
            faces = widgets.face_grid_component(elem_id="inpaint-samples")
            gr.Markdown("Ready masks", elem_classes="note")
            with gr.Row(elem_classes="masks"):
                names = list(preset_holes(64))
                presets = [gr.Button(name, size="sm", min_width=84) for name in names]
                clear = gr.Button("clear mask", size="sm", min_width=84)
            count = gr.Slider(1, MAX_FILLS, value=3, step=1, label="Fills")
            run, stop = widgets.run_buttons("Fill the hole")
            with gr.Accordion("Advanced", open=False):
                method = gr.Radio(list(METHODS.items()), value="conditional", label="Method")
                seed = gr.Number(0, label="Seed", precision=0)
                steps = gr.Slider(
                    0,
                    1000,
                    value=0,
                    step=1,
                    label="Network evaluations",
                    info="0: the default of the method",
                )
                solver = widgets.solver_input("Solver (conditional)")
        with gr.Column(elem_classes="stage"):
            editor = gr.ImageEditor(
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
            )
            grid = widgets.face_grid_component(elem_id="inpaint-grid", min_height=180)
            status = widgets.status_component()
            with gr.Accordion("Before and after", open=False) as before_after:
                slider = gr.ImageSlider(
                    label="before | after",
                    format="png",
                    interactive=False,
                    max_height=420,
                    show_label=False,
                    elem_id="inpaint-compare",
                )
    samples = gr.State(widgets.Drawn([]))
    source = gr.State(None, time_to_live=3600)
    filled = gr.State(widgets.Drawn([]), time_to_live=3600)

    def handler(name: str, picture: Any, drawing: Any, count: Any, seed: Any, *options: Any) -> Any:
        bridge = models.get(name)
        if picture is None:
            raise ValueError("There is no picture: upload one, or send a face here.")
        hole = imaging.hole_from_editor(drawing, bridge.shape[-1])
        seed = runs.seed_of(seed)
        for fills, update, facts in inpaint(bridge, picture, hole, count, seed, *options):
            if update.final:
                badge = _badge(changed_outside(fills, picture, hole))
                yield (
                    _grid(fills, facts),
                    widgets.Drawn(fills, source=picture),
                    compare(picture, fills[0]),
                    widgets.done_html(facts, badge),
                )
            else:
                yield _grid(fills, None), gr.skip(), gr.skip(), widgets.progress_html(update)

    inputs = [model, source, editor, count, seed, method, steps, solver]
    widgets.run_and_stop(run, stop, status, handler, inputs, [grid, filled, slider])
    _wire_masks(models, model, upload, source, editor, status, presets, names, clear)
    return InpaintTab(faces, samples, source, editor, grid, filled, slider, before_after, status)


def _wire_masks(
    models: Models,
    model: gr.Dropdown,
    upload: gr.Image,
    source: gr.State,
    editor: gr.ImageEditor,
    status: gr.HTML,
    presets: list[gr.Button],
    names: list[str],
    clear: gr.Button,
) -> None:
    """Upload, ready masks, and a Clear that keeps the picture (the editor's own wipes it)."""

    def opened(name: str, path: Any) -> tuple[Any, ...]:
        channels, size, _ = models.get(name).shape
        try:
            picture = widgets.read_picture(path, size, channels)
        except imaging.PictureError as error:
            return None, gr.skip(), gr.skip(), widgets.error_html(str(error))
        text = f"Your picture, cut to the {size} x {size} pixels of the model."
        return gr.skip(), picture, editor_value(picture), widgets.note_html(text)

    def preset(name: str) -> Any:
        def show(picture: np.ndarray | None) -> dict[str, Any]:
            hole = None if picture is None else preset_holes(picture.shape[0])[name]
            return editor_value(picture, hole)

        return show

    upload.upload(opened, [model, upload], [upload, source, editor, status], **widgets.QUIET)
    for button, name in zip(presets, names, strict=True):
        button.click(preset(name), source, editor, **widgets.QUIET)
    clear.click(editor_value, source, editor, **widgets.QUIET)
    editor.clear(editor_value, source, editor, **widgets.QUIET)  # its own bin wipes the picture too
