"""The Inpaint tab: paint over a part of a photo, get it filled (Fig. 9, Algorithm 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from demo import live, params, runs, tab, views
from demo.imaging import to_uint8
from demo.operation import Operation, Pictures
from demo.photos.box import Given, PhotoBox
from demo.photos.candidates import TILE, Candidates, CandidatesView, Edits, Filled
from demo.photos.crop import Crop, cut
from demo.photos.export import PhotoExport
from demo.photos.mask import Mask
from demo.photos.paste import changed_outside
from demo.photos.paste import paste as into_photo
from demo.photos.photo import Photo
from demo.runs import Report, Result, Update
from demo.tabs import generate
from demo.typical import unlike
from sbcore import DEFAULTS, REPAINT_EVALUATIONS, Bridge, preset_holes

EXAMPLE_FACE, EXAMPLE_MASK, EXAMPLE_SEED = 5, "mouth", 6  # good ones
PHOTO = "inpaint-photo"
SENDS = (("a", "use as A"), ("b", "use as B"))
OPENED = "Paint over what shall be new, or take a ready mask; then press Fill."
METHODS = {
    "knows the rest of the photo": "conditional",
    "the paper's, Algorithm 2": "algorithm2",
    "goes back and forth, RePaint": "repaint",
    "all three, side by side": "side by side",
}
WAYS = {"conditional": "knows the rest", "algorithm2": "Algorithm 2", "repaint": "RePaint"}
# Of a stroke just painted.
DRAFT = {"mode": "instant", "method": "conditional", "count": 1, "paste": False, "steps": 0}
METHOD_INFO = "Side by side they start from the same noise and take equally many evaluations."


@dataclass(frozen=True, kw_only=True)
class Inpainted(Report):
    """Report of fills."""

    method: str
    changed_outside: int
    """Pixels outside the mask, of all fills, that differ from the picture."""
    crop: dict[str, float] | None = None
    """The square that the model saw, in pixels of the photo; of pasted fills."""
    enlarged: float | None = None
    """Pixels of the photo for one of the model's."""


def inpaint(
    model: Bridge,
    image: Photo,
    mask: Mask,
    count: int,
    seed: int,
    method: str,
    paste: bool,
    crop: Crop | None,
    soften: float,
    **options: Any,
) -> Iterator[Update | Result]:
    """Fill what ``mask`` marks; options as of `Bridge.inpaint`."""
    photo = image.cropped(crop) if crop else image
    source, hole = photo.seen, mask.in_crop(photo)
    ways, fills = {method: options["steps"]}, []
    if method == "side by side":
        ways = dict.fromkeys(WAYS, options["steps"] or DEFAULTS["inpaint"].steps)
        ways["algorithm2"] = max(1, ways["algorithm2"] - 1)  # it has a last step beside its own
    for way, steps in ways.items():
        how = options | {"method": way, "steps": steps}
        run = model.inpaint(runs.to_engine(source), ~hole, count, seed, **how)
        for update in runs.watch(run):
            beliefs = [np.where(hole[..., None], one, source) for one in runs.preview(update.step)]
            if not update.step.final:
                yield update.showing(Filled(photo, hole, [*fills, *beliefs]))
        fills += beliefs
        if not update.step.final:  # stopped
            break
    mode = "paper" if method == "algorithm2" else options["mode"]
    origin = runs.origin(model, "inpaint", seed, **options | {"mode": mode}) | {"method": method}
    if not paste:
        changed = sum(changed_outside(to_uint8(source), to_uint8(one), hole) for one in fills)
        report = Inpainted.of(update, **origin, changed_outside=changed)
        yield Result(Filled(photo, hole, fills), {"pictures": fills}, report)
        return
    before, marked = np.asarray(photo.whole), mask.in_photo(photo)
    feather = soften / 100 * photo.crop.side
    patches = [into_photo(before, photo.crop, marked, fill, feather=feather) for fill in fills]
    photos, tiles, changed = Edits(photo, patches), [], 0
    for after in photos:
        changed += changed_outside(before, np.asarray(after), marked)
        tiles.append(cut(after, photo.crop, TILE))
    where = {"crop": photo.crop.facts(), "enlarged": round(photo.crop.side / photo.size, 2)}
    report = Inpainted.of(update, **origin, changed_outside=changed, **where)
    outside = f"{changed} of {marked.size:,} pixels changed outside the mask"
    note = ". ".join(filter(None, (outside, unlike(model, photo))))
    yield Result(Filled(photo, hole, fills, patches, tiles), {"pictures": photos}, report, note)


def cost(count: int, steps: int | None, method: str, mode: str) -> int:
    """Evaluations times pictures."""
    if method == "side by side":
        return 3 * count * runs.evaluations("inpaint", steps)
    if method == "repaint":
        return count * (steps or REPAINT_EVALUATIONS)
    return count * runs.evaluations("inpaint", steps, "paper" if method == "algorithm2" else mode)


OPERATION = Operation(
    "inpaint",
    """Fill the white pixels of ``mask`` in ``image``.

    Returns PNG files and a report: the squares that the model sees, at its resolution; or with
    ``paste`` the whole photo with each fill in its place, and in the report the ``crop`` and
    ``changed_outside``, the pixels outside of the mask that differ from the photo.""",
    params=[
        params.Picture("image"),
        params.Painted("mask"),
        params.Whole("count", 3, 1, 9, (1, 9, 1), said="The number of fills", label="Fills"),
        params.Seed(fresh=True),
        params.Choice(
            "method", "conditional", choices=METHODS, label="The model", help=METHOD_INFO,
            advanced=True,
        ),
        params.Model(),
        params.Steps(span=(0, 1000, 1), help="0: the default of the method", http=False),
        params.solver("Solver", http=False),
        params.Switch("paste", page=False, help="the whole photo comes back"),
        params.Region("crop", page=False),
        params.Number(
            "soften", 0.0, 0, 10, (0, 10, 0.5), said="The soft edge", label="Soften the edge",
            help="Inside of the mask, in percent of the square.", advanced=True,
        ),
        params.mode(),
    ],
    outputs=[Pictures()],
    run=inpaint,
    cost=cost,
)  # fmt: skip


def show(moment: Update | Result) -> tuple[Any, ...]:
    """The fills beside the photo; in the end what their buttons send."""
    filled = moment.shown
    if isinstance(moment, Update):
        return Candidates(filled, target=PHOTO), gr.skip()
    ways = list(WAYS.values()) if moment.report.method == "side by side" else [""]
    count, seed = math.ceil(len(filled.fills) / len(ways)), moment.report.seed
    labels = [
        ", ".join(filter(None, (ways[i // count], f"seed {seed + i % count}")))
        for i in range(len(filled.fills))
    ]
    drawn = views.Drawn(list(filled.fills), moment.report.seed, source=filled.photo.seen)
    return Candidates(filled, PHOTO, labels, moment.recipe), drawn


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it."""
    photo = PhotoBox("Your photo", PHOTO, paint=True, render=False)
    fixed = gr.State(True)
    own = dict.fromkeys(("image", "mask", "crop"), photo)
    form = tab.Form(OPERATION.params, model=studio.model, **own, paste=fixed)
    with gr.Row(elem_classes="studio inpainting"):
        with tab.controls():
            form.add()
            wanted = live.switch("Fill as I paint")
            buttons, status = tab.go("Fill")
            form.advanced()
            gr.Markdown("or one of these faces, drawn by the model", elem_classes="note")
            faces = views.face_grid_component(elem_id="inpaint-samples")
        with tab.stage():
            with gr.Row(elem_classes="workbench"):
                photo.render()
                fills = CandidatesView(SENDS, elem_id="inpaint-fills")
            export = PhotoExport(OPERATION, photo)
    samples, drawn = gr.State(views.Drawn([])), gr.State(views.Drawn([]), time_to_live=3600)
    shown = [fills, drawn]
    parts = studio, OPERATION, form, buttons, status, shown, show, export
    move = {"moves": [photo.release], "names": ["image"], "full": {"count": 1}}
    live.follow(*parts, tab.operate(*parts), wanted=wanted, draft=lambda given: DRAFT, **move)
    tab.opens(studio, photo, status, OPENED)

    def worked(name: str | None) -> tuple[Any, ...]:
        bridge = studio.models.get(name)
        drawn = generate.faces(bridge)
        face = drawn[EXAMPLE_FACE]
        given = Photo.drawn(face)
        mask = Mask(preset_holes(given.size)[EXAMPLE_MASK])
        values = {"image": given, "mask": mask, "seed": EXAMPLE_SEED, "paste": True}
        result = OPERATION.result(model=bridge, **values)
        picks = views.samples(drawn, (("inpaint", "use"),))
        example = Given(face, EXAMPLE_MASK, example=True)
        fills, drawn = show(result)
        shown = replace(fills, example=True), drawn, export.keep(result)
        return *picks, example, *shown, tab.finished(result)

    filled = [faces, samples, photo, *shown, export.last]
    accepts = {"inpaint": tab.Accepts([photo], lambda sent: [Given(sent.picture)], OPENED)}
    offers = [(faces, samples), (fills, drawn)]
    return tab.Tab(status, OPERATION, worked, filled, accepts, offers, form, buttons[0])
