"""The Translate tab: a digit becomes a letter, several ways, and goes back; any other pair too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import assets, glyphs, imaging, inputs, media, params, runs, tab, views, wiring
from demo.export import ResultExport
from demo.models import Models
from demo.operation import Film, Operation, Picture, Pictures
from demo.runs import Kept, Report, Result, Update
from demo.tabs import pairs
from sbcore import DIRECTIONS, Step, TranslationBridge, follow, opposite

WAY = 12  # most states of the film on one way
STRIP = 7  # of these, those on the strip
GAP = 1  # pixels between outcomes in a frame of the film
EXAMPLE_SEED = 0
SEVERAL = (
    "**Why not the same each time?** Nothing says what a picture should become on the other side: "
    "the bridge keeps what it can of its shape, and chance decides the rest. Each seed is another "
    "chance; none is wrong. **% off**: how far the pixels that come back are from the first "
    "picture's on average (root mean square), of the way from black to white."
)
SET = "The picture is set; now press Translate."
NO_INK = (
    "This looks little like ink on paper, and the model knows nothing else: expect nonsense; "
    "press Translate to see it."
)
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
    outputs |= {"returns": journey.returns, "animation": rows(journey)}
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
        """As it is; a drawing must be one."""
        if isinstance(value, dict) and value.get("strokes"):
            glyphs.checked(value["strokes"], "sign")
        return value

    def facts(self, value: Any) -> dict[str, Any]:
        """A drawing; an upload stays where it is."""
        return {self.name: {"strokes": value["strokes"]}} if isinstance(value, dict) else {}

    def recall(self, fact: Any) -> Any:
        """A drawing."""
        if not isinstance(fact, dict) or not isinstance(fact.get("strokes"), list):
            raise ValueError(f"A recipe holds no uploads, but this one sets {self.name}.")
        return fact


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
        params.Switch("back", False, http=False),
    ],
    outputs=[Pictures(), Picture("film strip", "strip")],
    run=translate,
    cost=lambda model, count, steps, back: count * (1 + back) * (steps or model.steps),
)  # fmt: skip


# ----------------------------------------------------------------------------------------------
# What the page shows of a journey


def film(journey: Journey) -> str:
    """The film for the player: all outcomes beside each other, there and back."""
    one, another, count = journey.one, journey.another, journey.count
    captions = [f"the {one}"]
    for step in journey.steps:
        aim = another if step.stage == 1 else one
        captions.append(f"to a {aim}, t = {step.t:.2f}" if step.t < 1 else f"the {aim}")
    there = sum(step.stage == 1 for step in journey.steps)
    ends = (one, another, f"{one} again")
    return views.film({"path": rows(journey)}, captions, split=there, ends=ends, width=180 * count)


def rows(journey: Journey) -> list[np.ndarray]:
    """Frames of the film: all outcomes of a state beside each other."""
    states = [runs.pictures(step.x.clamp(0, 1)) for step in journey.steps]
    return [_row(state) for state in ([journey.picture] * journey.count, *states)]


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
        labels += [f"and back, {apart:.0%} off" for apart in journey.apart]
        pictures = pictures[: len(labels)]  # it may have been stopped on the way there
    tiles = views.face_grid(pictures, labels, recipe=moment.recipe if done else None)
    ends: Sequence[Any] = [gr.skip()] * 2
    if done:
        ends = film(journey), media.with_recipe(moment.outputs["film strip"], moment.recipe)
    grid = f'<div class="outcomes" style="--count:{count}">{tiles}</div>'
    return grid, *ends


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
    """What a direction shows first: choices, pad, source, grid, film, strip, result, status."""
    bridge = models.translation(name)
    source = first(bridge, direction)
    offered = gr.update(choices=choices(bridge), value=direction)
    if source is None and not bridge.starts_from_noise(direction):
        return offered, pad(bridge, direction), None, "", "", None, None, views.note_html(HINT)
    given = {"image": source, "direction": direction, "count": 3, "seed": EXAMPLE_SEED}
    result = OPERATION.result(model=bridge, back=True, **given)
    drawing = pad(bridge, direction, **(source or {}))
    kept = replace(result, shown=None)
    return offered, drawing, source, *show(result), kept, tab.finished(result)


@dataclass
class Desk:
    """What a visitor has of each direction of each model: the picture, and what became of it."""

    key: tuple[str | None, str] | None = None
    """Model and direction that are shown."""
    sources: dict[Any, Any] = field(default_factory=dict)
    results: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    """Grid, film, strip, what can be downloaded, status line."""

    def keep(self, key: Any, source: Any, result: tuple[Any, ...]) -> None:
        """What became of a picture."""
        self.sources[key], self.results[key] = source, result

    def turn(self, key: Any, source: Any) -> None:
        """Put away the picture of the direction that was shown, and take up another direction."""
        if self.key is not None and not _same(source, self.sources.get(self.key)):
            self.keep(self.key, source, ("", "", None, None, views.note_html(HINT)))  # not yet run
        self.key = key


def _same(one: Any, another: Any) -> bool:
    """Whether two sources are the same drawing or picture."""
    if isinstance(one, np.ndarray) and isinstance(another, np.ndarray):
        return np.array_equal(one, another)
    return one is another or (isinstance(one, dict) and one == another)


def build(studio: tab.Studio) -> tab.Tab:
    """Lay out the tab and wire it: pictures in one half, points of the plane in the other."""
    with gr.Tabs(elem_classes="halves") as halves:
        with gr.Tab("Pictures", id="pictures"):
            form, run, drawing, status = _build_pictures(studio)
        with gr.Tab("Points in the plane", id="points"):
            pairs.build(studio.tab)

    def restore(values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The half, the directions in words, the pad and what it shows."""
        bridge = studio.models.translation(values.get("model"))
        direction, source = values.get("direction", DIRECTIONS[0]), values.get("image")
        offered = gr.update(choices=choices(bridge), value=direction)
        return gr.Tabs(selected="pictures"), offered, pad(bridge, direction, **source or {}), source

    follow = [halves, form["direction"], drawing, form["image"]]
    return tab.Tab(status, OPERATION, form=form, run=run, restores=follow, restore=restore)


def _build_pictures(studio: tab.Studio) -> tuple[tab.Form, gr.Button, gr.HTML, gr.HTML]:
    """Lay out and wire the half: its form, primary button, pad and status line."""
    names = studio.models.translations
    source, desk = gr.State(None, time_to_live=3600), gr.State(Desk(), time_to_live=3600)
    with gr.Row(elem_classes="studio"):
        with tab.controls():
            model = gr.Dropdown(
                names, value=names[0] if names else None, label="Model", visible=len(names) > 1
            )
            form = tab.Form(OPERATION.params, model=model, image=source, back=gr.State(True))
            form.add("direction")
            buttons, status = tab.go("Translate")
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
            export = ResultExport(OPERATION, Film("translation"))
            gr.Markdown(SEVERAL, elem_classes="note")
            player = views.film_component(elem_id="translate-player", min_height=250)
            strip_view = views.strip_view("There and back")
    shown = [outcomes, player, strip_view]
    _wire_runs(studio.models, form, desk, buttons, drawing, upload, shown, export, status)
    _wire_beginnings(studio, form, desk, drawing, upload, [*shown, export.last], status)
    export.wire(status)
    return form, buttons[0], drawing, status


def _wire_runs(
    models: Models,
    form: tab.Form,
    desk: gr.State,
    buttons: tuple[gr.Button, gr.Button],
    drawing: gr.HTML,
    upload: Any,
    shown: list[Any],
    export: ResultExport,
    status: gr.HTML,
) -> None:
    """Run on the button, and at once when the pen is lifted."""

    def handler(desk: Desk, *values: Any) -> Iterator[Any]:
        given = form.read(values)
        key = given["model"], given["direction"]

        def show_and_keep(moment: Update | Result) -> tuple[Any, ...]:
            seen = show(moment)
            if isinstance(moment, Result):
                kept = export.keep(moment), tab.finished(moment)
                desk.keep(key, given["image"], (*seen, *kept))
            return seen

        run = tab.runner(models, OPERATION, form, shown, show_and_keep, export)
        yield from run(*values)

    def at_once(desk: Desk, *values: Any) -> Iterator[Any]:
        """With the seed that is there: the drawing shall be all that changes."""
        values = (*values[:-1], False)
        source = form.read(values)["image"]
        if isinstance(source, dict) and not source.get("strokes"):
            yield *[gr.skip()] * (len(shown) + 2), views.note_html(EMPTY)
            return
        yield from handler(desk, *values)

    drawn = drawing.input(_strokes, None, form["image"], **wiring.QUIET)
    changes = (drawing.edit, form["direction"].input, form["model"].input, upload.upload)
    outputs = [*shown, export.last, form["seed"]]
    wiring.run_and_stop(
        *(buttons, status, handler, [desk, *form.inputs], outputs),
        also=[(drawn.then, at_once)],
        gone=changes,
    )


def _wire_beginnings(
    studio: tab.Studio,
    form: tab.Form,
    desk: gr.State,
    drawing: gr.HTML,
    upload: Any,
    shown: list[Any],
    status: gr.HTML,
) -> None:
    """What a direction shows: what the visitor had there, or its example; an upload on the pad."""
    models, model, direction = studio.models, form["model"], form["direction"]
    outputs = [direction, drawing, form["image"], *shown, status]

    def begin(desk: Desk, source: Any, name: Any, direction: str, seen: Any = None) -> Any:
        if seen:  # the visitor has been here before
            return (gr.skip(),) * len(outputs)
        desk.turn(key := (name, direction), source)
        offered, drawing, first_source, *first_result = example(models, name, direction)
        if key not in desk.results:
            desk.keep(key, first_source, tuple(first_result))
        elif (mine := desk.sources[key]) is not None:
            drawing = pad(models.translation(name), direction, **_on_the_pad(mine))
        return offered, drawing, desk.sources[key], *desk.results[key]

    def opened(name: Any, direction: str, path: Any) -> tuple[Any, Any, str]:
        bridge = models.translation(name)
        picture = read(bridge, path, direction)
        note = NO_INK if _is_foreign(bridge, direction, path) else SET
        return pad(bridge, direction, **_on_the_pad(picture)), picture, views.note_html(note)

    def other_model(desk: Desk, source: Any, name: Any) -> Any:
        return begin(desk, source, name, DIRECTIONS[0])

    kept = [desk, form["image"]]
    start = wiring.attempt(begin, len(outputs))
    studio.tab.select(start, [*kept, model, direction, status], outputs, **wiring.QUIET)
    direction.input(start, [*kept, model, direction], outputs, **wiring.QUIET)
    other_model = wiring.attempt(other_model, len(outputs))
    model.input(other_model, [*kept, model], outputs, **wiring.QUIET)
    seen = [drawing, form["image"], status]
    given = [model, direction, upload]
    upload.upload(wiring.attempt(opened, len(seen)), given, seen, **wiring.QUIET)


def _on_the_pad(source: Any) -> dict[str, Any]:
    """What `pad` shows of a source: its strokes, or a picture."""
    return source if isinstance(source, dict) else {"picture": views.data_uri(source)}


def _is_foreign(bridge: TranslationBridge, direction: str, path: Any) -> bool:
    """Whether an upload is no sign, where the model knows signs alone."""
    script = glyphs.script_of(bridge.sets[DIRECTIONS.index(direction)])
    if not script.glyphs or bridge.starts_from_noise(direction):
        return False
    grey = imaging.open_picture(path).convert("L")
    return not glyphs.is_ink(np.asarray(grey, np.float32) / 255)


def _strokes(event: gr.EventData) -> dict[str, Any]:
    """The drawing, as the browser sends it; `glyphs.write` checks it."""
    return {"strokes": event.strokes}
