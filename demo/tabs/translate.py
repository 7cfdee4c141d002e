"""The Translate tab: a digit becomes a letter, several ways, and goes back; any other pair too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import assets, glyphs, imaging, inputs, media, params, runs, tab, views, wiring
from demo.models import Models
from demo.operation import Operation, Picture, Pictures
from demo.runs import Kept, Report, Result, Update
from demo.tabs import pairs
from sbcore import DIRECTIONS, Step, TranslationBridge, follow, opposite

WAY = 12  # most states of the film on one way
STRIP = 7  # of these, those on the strip
GAP = 1  # pixels between outcomes in a frame of the film
EXAMPLE_SEED = 0
EMPTY = "The square is empty: draw on it, or pick an example below it."
HINT = "Draw on the square or upload a picture, then press Translate."


@dataclass(frozen=True, kw_only=True)
class Translated(Report):
    """Report of a translation; ``steps`` are those of one way."""

    direction: str
    method: str
    """"dsb" or "dsbm", by which the model was trained."""
    round_trip: list[float] | None = None
    """Root mean square distance of each return to the picture."""

    @property
    def way(self) -> str:
        """How it was drawn, in words."""
        return self.method


@dataclass
class Journey:
    """A picture, what became of it, and what becomes of that on the way back.

    Pictures are (h, w, c) in [0, 1]; a state is a list of one picture for each outcome.
    """

    picture: np.ndarray
    count: int
    one: str
    """Name of a member of the set that it starts from."""
    another: str
    """Of the set that it ends in."""
    steps: list[Step] = field(default_factory=list)
    """Of the states that the film keeps; the way back is their stage 2."""
    outcomes: list[np.ndarray] = field(default_factory=list)
    """Latest belief, in the end the pictures themselves."""
    returns: list[np.ndarray] = field(default_factory=list)
    """The same of the way back; empty before it begins."""

    @property
    def apart(self) -> list[float]:
        """Root mean square distance of each return to the picture."""
        return [float(np.sqrt(np.mean((one - self.picture) ** 2))) for one in self.returns]


def translate(
    model: TranslationBridge,
    image: Any,
    direction: str,
    count: int,
    seed: int,
    steps: int | None,
    back: bool,
) -> Iterator[Update | Result]:
    """Carry a picture into the other set; outcome j takes seed + j, and so does its way back.

    Args:
        model: The model.
        image: Strokes of a drawing as ``{"strokes": ...}``, or a picture.
        direction: "forward" or "backward".
        count: Outcomes.
        seed: Of the first outcome.
        steps: Network evaluations of one way; None: as in training.
        back: Whether every outcome goes back.
    """
    steps = steps or model.steps
    names = [glyphs.script_of(name).one for name in model.sets]
    one, another = names if direction == DIRECTIONS[0] else names[::-1]
    journey = Journey(read(model, image, direction, seed), count, one, another)
    states = min(WAY, steps)
    wanted = {round(steps * k / states) for k in range(1, states + 1)}
    kept = Kept(lambda step: (step.index - 1) % steps + 1 in wanted, journey.steps)
    for update in runs.watch(kept.passing(_travel(model, journey, direction, seed, steps, back))):
        if not update.step.final:
            yield update.showing(journey)
    trips = [round(apart, 4) for apart in journey.apart] or None
    facts = {"direction": direction, "method": model.method, "steps": steps, "round_trip": trips}
    facts |= {"model": model.name, "seed": seed, "mode": "fast", "solver": "walk"}
    outputs = {"pictures": journey.outcomes, "film strip": strip(journey)}
    yield Result(journey, outputs, Translated.of(update, **facts))


def _travel(
    model: TranslationBridge, journey: Journey, direction: str, seed: int, steps: int, back: bool
) -> Iterator[Step]:
    """There and, with noise of its own, back from the pictures that are shown; or from noise."""
    start, total = runs.to_engine(journey.picture)[None], (1 + back) * steps
    way = model.translate(start, direction, journey.count, seed, steps=steps)
    for step in follow(way, offset=0, total=total):
        journey.outcomes = _seen(step, step.index == steps)
        yield step
    if not back:
        return
    last, home = step, opposite(direction)
    start = last.x
    if not model.starts_from_noise(home):
        start = np.stack([runs.to_engine(outcome) for outcome in journey.outcomes])
    way = model.translate(start, home, 1, seed, steps=steps)
    for step in follow(way, offset=steps, total=total, nfe=last.nfe):
        journey.returns = _seen(step, step.final)
        yield replace(step, stage=2)


def _seen(step: Step, final: bool) -> list[np.ndarray]:
    """What the network believes; in the end the pictures, exactly as a file holds them."""
    seen = runs.pictures((step.x if final else step.denoised).clamp(0, 1))
    return [imaging.to_uint8(one).astype(np.float32) / 255 for one in seen]


def read(bridge: TranslationBridge, source: Any, direction: str, seed: int = 0) -> np.ndarray:
    """A drawing or a picture as the set holds it, (h, w, c) in [0, 1]; noise needs none.

    Digits and letters are light on dark: dark ink on a light ground is turned round, then moved
    and scaled to where the set has it. A picture of the model's size is taken as it is.

    Raises:
        ValueError: If it cannot be read, or is empty, or the model has no pictures.
    """
    if not bridge.pictures:
        raise ValueError(f"The model {bridge.name} joins points of the plane, not pictures.")
    channels, size, _ = bridge.shape
    if bridge.starts_from_noise(direction):
        noise = np.random.default_rng(seed).standard_normal((size, size, channels))
        return (0.5 + 0.5 * noise).astype(np.float32)
    script = glyphs.script_of(bridge.sets[DIRECTIONS.index(direction)])
    if isinstance(source, dict):
        ink = glyphs.write(source.get("strokes"), script, size)
        return np.repeat(ink, channels, axis=2)
    if source is None:
        raise ValueError(f"There is no picture: draw a {script.one}, pick one, or upload one.")
    if isinstance(source, np.ndarray) and source.shape == (size, size, channels):
        return source
    with imaging.about("image" if isinstance(source, str) else ""):
        picture = imaging.open_picture(source)
    if channels != 1:
        return imaging.fit_square(picture, size, channels)
    ink = np.asarray(picture.convert("L"), np.float32) / 255
    if script.box is not None and picture.size != (size, size):
        return glyphs.settle(glyphs.light_on_dark(ink), script, size)
    if float(np.ptp(ink)) < glyphs.INK:
        raise glyphs.DrawingError(f"The picture is empty: there is no {script.one} in it.")
    return imaging.fit_square(Image.fromarray(imaging.to_uint8(ink)), size, 1)


@dataclass(frozen=True)
class Sketch(params.Picture):
    """A drawing or a picture, to be read once the direction is known; none for noise."""

    def check(self, value: Any, given: Any) -> Any:
        """As it is."""
        return value


OPERATION = Operation(
    "translate",
    """Carry ``image`` into the other set of a model ("forward": its source to its target).

    A direction that starts from noise needs no image. Returns the outcomes as PNG files, a film
    strip of their paths (PNG) and a report.""",
    params=[
        Sketch("image", optional=True),
        params.Choice("direction", DIRECTIONS[0], choices=DIRECTIONS, label="Direction"),
        params.Whole(
            "count", 1, 1, 6, (1, 6, 1), shown=3,
            said="The number of outcomes", label="Outcomes",
        ),
        params.Seed(fresh=True),
        params.Model(translates=True),
        params.Steps(span=(0, 200, 1), help="Of each way; 0: as in training.", http=False),
        params.Given("back", False, http=False),
    ],
    outputs=[Pictures(), Picture("film strip", "strip")],
    run=translate,
)  # fmt: skip


# ----------------------------------------------------------------------------------------------
# What the page shows of a journey


def film(journey: Journey) -> str:
    """The film for the player: all outcomes beside each other, there and back."""
    one, another, count = journey.one, journey.another, journey.count
    frames, captions = [_row([journey.picture] * count)], [f"the {one}"]
    for step in journey.steps:
        frames.append(_row(runs.pictures(step.x.clamp(0, 1))))
        aim = another if step.stage == 1 else one
        captions.append(f"to a {aim}, t = {step.t:.2f}" if step.t < 1 else f"the {aim}")
    there = sum(step.stage == 1 for step in journey.steps)
    ends = (one, another, f"{one} again")
    return views.film({"path": frames}, captions, split=there, ends=ends, width=180 * count)


def _row(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures beside each other, with a narrow gap."""
    gap = np.full((pictures[0].shape[0], GAP, pictures[0].shape[2]), 0.5, np.float32)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def strip(journey: Journey) -> Image.Image:
    """States of every outcome in a row of its own; the way back beside the way there."""
    one, another = journey.one, journey.another
    there, home = (spread([s for s in journey.steps if s.stage == stage]) for stage in (1, 2))
    groups = [(f"{one} to {another}", 1 + len(there))]
    groups += [("and back", len(home))] if home else []
    labels = [one, *(f"t = {step.t:.2f}" for step in there + home)]
    states = [runs.pictures(step.x.clamp(0, 1)) for step in there + home]
    rows = [
        media.film_strip(
            [journey.picture, *(state[k] for state in states)], labels, groups, columns=len(labels)
        )
        for k in range(journey.count)
    ]
    paper = Image.new("RGBA", (rows[0].width, sum(row.height for row in rows)))
    for k, row in enumerate(rows):
        paper.paste(row, (0, k * row.height))
    return paper


def spread(way: list[Step]) -> list[Step]:
    """At most `STRIP` steps of a way, evenly; the last is among them."""
    count = min(STRIP, len(way))
    return [way[round((len(way) - 1) * k / max(1, count - 1))] for k in range(count)]


def show(moment: Update | Result) -> tuple[Any, ...]:
    """The outcomes in one row, their ways back below; in the end film and strip."""
    journey, count = moment.shown, moment.shown.count
    blank = np.zeros_like(journey.picture)
    pictures = [*journey.outcomes, *(journey.returns or [blank] * count)]
    done = isinstance(moment, Result)
    labels = [f"a {journey.another}"] * count + ["the way back"] * count
    if done:
        labels = [f"{journey.another}, seed {moment.report.seed + k}" for k in range(count)]
        labels += [f"and back, {apart:.2f} off" for apart in journey.apart]
    tiles = views.face_grid(pictures, labels, recipe=moment.report.facts() if done else None)
    grid = f'<div class="outcomes" style="--count:{count}">{tiles}</div>'
    return grid, *((film(journey), moment.outputs["film strip"]) if done else [gr.skip()] * 2)


# ----------------------------------------------------------------------------------------------
# The page


def pad(bridge: TranslationBridge, direction: str, **shown: Any) -> str:
    """What `pad.js` shows: the examples of a set, and strokes or a picture if there are any."""
    script = glyphs.script_of(bridge.sets[DIRECTIONS.index(direction)])
    pen = script.pen / glyphs.UNIT * (1 if script.box is None else 0.8)
    facts = {"one": script.one, "pen": pen, "glyphs": script.glyphs, "strokes": []}
    return json.dumps(facts | shown)


def first(bridge: TranslationBridge, direction: str) -> dict[str, Any] | None:
    """The drawing that a direction begins with: the third example; None if there are none."""
    examples = list(glyphs.script_of(bridge.sets[DIRECTIONS.index(direction)]).glyphs.values())
    return {"strokes": examples[min(2, len(examples) - 1)]} if examples else None


def choices(bridge: TranslationBridge) -> list[tuple[str, str]]:
    """The directions, in words."""
    source, target = bridge.sets
    return [
        (f"{one} to {another}", direction)
        for direction, (one, another) in zip(
            DIRECTIONS, ((source, target), (target, source)), strict=True
        )
    ]


@lru_cache(maxsize=16)
def example(models: Models, name: str | None, direction: str) -> tuple[Any, ...]:
    """What a direction shows first: choices, pad, source, grid, film, strip, status."""
    bridge = models.translation(name)
    source = first(bridge, direction)
    offered = gr.update(choices=choices(bridge), value=direction)
    if source is None and not bridge.starts_from_noise(direction):
        return offered, pad(bridge, direction), None, "", "", None, views.note_html(HINT)
    given = {"image": source, "direction": direction, "count": 3, "seed": EXAMPLE_SEED}
    result = OPERATION.result(model=bridge, back=True, **given)
    drawing = pad(bridge, direction, **(source or {}))
    return offered, drawing, source, *show(result), tab.finished(result)


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it: pictures in one half, points of the plane in the other."""
    with gr.Tabs(elem_classes="halves"):
        with gr.Tab("Pictures", id="pictures"):
            status = _build_pictures(studio)
        with gr.Tab("Points in the plane", id="points"):
            pairs.build(studio.tab)
    return tab.Tab(status, OPERATION)


def _build_pictures(studio: tab.Studio) -> gr.HTML:
    names = studio.models.translations
    source = gr.State(None, time_to_live=3600)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            model = gr.Dropdown(
                names, value=names[0] if names else None, label="Model", visible=len(names) > 1
            )
            form = tab.Form(OPERATION.params, model=model, image=source, back=gr.State(True))
            form.add("direction")
            buttons = wiring.run_buttons("Translate")
            form.add()
            with gr.Accordion("A picture of your own", open=False):
                upload = inputs.upload("Picture")
            form.advanced()
        with tab.stage():
            with gr.Row(elem_classes="beside"):
                drawing = gr.HTML(
                    "",
                    html_template="",
                    js_on_load=assets.script("pad.js"),
                    elem_id="translate-pad",
                    min_width=200,
                )
                outcomes = views.face_grid_component(elem_id="translate-grid", min_width=240)
            status = views.status_component()
            player = views.film_component(elem_id="translate-player", min_height=250)
            strip_view = views.strip_view("There and back")
    shown = [outcomes, player, strip_view]
    _wire_runs(studio.models, form, buttons, drawing, upload, shown, status)
    _wire_beginnings(studio, form, drawing, upload, shown, status)
    return status


def _wire_runs(
    models: Models,
    form: tab.Form,
    buttons: tuple[gr.Button, gr.Button],
    drawing: gr.HTML,
    upload: Any,
    shown: list[Any],
    status: gr.HTML,
) -> None:
    """Run on the button, and at once when the pen is lifted."""
    handler = tab.runner(models, OPERATION, form, shown, show)

    def at_once(*values: Any) -> Iterator[Any]:
        """With the seed that is there: the drawing shall be all that changes."""
        values = (*values[:-1], False)
        source = form.read(values)["image"]
        if isinstance(source, dict) and not source.get("strokes"):
            yield *[gr.skip()] * (len(shown) + 1), views.note_html(EMPTY)
            return
        yield from handler(*values)

    drawn = drawing.input(_strokes, None, form["image"], **wiring.QUIET)
    changes = (drawing.edit, form["direction"].input, form["model"].input, upload.upload)
    outputs = [*shown, form["seed"]]
    wiring.run_and_stop(
        *(buttons, status, handler, form.inputs, outputs),
        also=[(drawn.then, at_once)],
        gone=changes,
    )


def _wire_beginnings(
    studio: tab.Studio,
    form: tab.Form,
    drawing: gr.HTML,
    upload: Any,
    shown: list[Any],
    status: gr.HTML,
) -> None:
    """The example of a direction, and an upload on the pad, as the model sees it."""
    models, model, direction = studio.models, form["model"], form["direction"]
    outputs = [direction, drawing, form["image"], *shown, status]

    def begin(name: Any, direction: str, seen: Any = None) -> tuple[Any, ...]:
        """The example, unless there is something already."""
        return (gr.skip(),) * len(outputs) if seen else example(models, name, direction)

    def opened(name: Any, direction: str, path: Any) -> tuple[Any, Any, str]:
        bridge = models.translation(name)
        picture = read(bridge, path, direction)
        value = pad(bridge, direction, picture=views.data_uri(picture))
        return value, picture, views.note_html("The picture is set; now press Translate.")

    first_way, begin = partial(begin, direction=DIRECTIONS[0]), wiring.attempt(begin, len(outputs))
    first_way = wiring.attempt(first_way, len(outputs))
    studio.tab.select(begin, [model, direction, status], outputs, **wiring.QUIET)
    direction.input(begin, [model, direction], outputs, **wiring.QUIET)
    model.input(first_way, model, outputs, **wiring.QUIET)
    seen = [drawing, form["image"], status]
    given = [model, direction, upload]
    upload.upload(wiring.attempt(opened, len(seen)), given, seen, **wiring.QUIET)


def _strokes(event: gr.EventData) -> dict[str, Any]:
    """The drawing, as the browser sends it; `glyphs.write` checks it."""
    return {"strokes": event.strokes}
