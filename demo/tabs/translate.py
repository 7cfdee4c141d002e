"""The Translate tab: a digit becomes a letter, several ways, and goes back; any other pair too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import assets, glyphs, imaging, media, runs, widgets
from demo.models import Models
from demo.tabs import pairs
from sbcore import DIRECTIONS, Step, TranslationBridge, follow, frame_indices, opposite

MAX_COUNT = 6
FRAMES = 25  # of a film, there and back
STRIP = 7  # of these, those of one way on the strip
GAP = 1  # pixels between outcomes in a frame of the film
EXAMPLE_SEED = 0
EMPTY = "The square is empty: draw on it, or pick an example below it."


@dataclass
class Journey:
    """A picture, what became of it, and what becomes of that on the way back.

    Pictures are (h, w, c) in [0, 1]; a state is a list of one picture for each outcome.
    """

    picture: np.ndarray
    count: int
    steps: list[Step] = field(default_factory=list)
    """Of the states that the film keeps."""
    outcomes: list[np.ndarray] = field(default_factory=list)
    """Latest belief, in the end the pictures themselves."""
    returns: list[np.ndarray] = field(default_factory=list)
    """The same of the way back; empty before it begins."""

    @property
    def apart(self) -> list[float]:
        """Root mean square distance of each return to the picture."""
        return [float(np.sqrt(np.mean((one - self.picture) ** 2))) for one in self.returns]


def translate(
    bridge: TranslationBridge,
    source: Any,
    direction: str = "forward",
    count: Any = 1,
    seed: int = 0,
    steps: Any = None,
    back: bool = False,
) -> Iterator[tuple[Journey, runs.Update, dict[str, Any]]]:
    """Carry a picture into the other set: (journey so far, update, report) as it goes.

    Args:
        bridge: The model.
        source: Strokes of a drawing as ``{"strokes": ...}``, or a picture.
        direction: "forward" or "backward".
        count: Outcomes; outcome j takes seed + j, and so does its way back.
        seed: Of the first outcome.
        steps: Network evaluations of one way; None: as in training.
        back: Whether every outcome goes back.

    Raises:
        ValueError: If there is no picture or an argument is out of range; one sentence.
    """
    if direction not in DIRECTIONS:
        names = " or ".join(DIRECTIONS)
        raise ValueError(f"The direction must be {names}; got {direction!s:.40}.")
    count = runs.whole("The number of outcomes", count, 1, MAX_COUNT)
    steps = runs.steps_of(steps) or bridge.steps
    journey = Journey(read(bridge, source, direction, seed), count)
    total = (1 + back) * steps
    run = _there(bridge, journey, direction, seed, steps, total)
    if back:
        run = _and_back(run, bridge, journey, direction, seed, steps, total)
    for update in runs.watch(_kept(run, journey, steps)):
        facts = runs.report(bridge, update, seed, direction, bridge.method) | {"steps": steps}
        if update.final and back:
            facts |= {"round_trip": [round(apart, 4) for apart in journey.apart]}
        yield journey, update, facts


def _there(
    bridge: TranslationBridge, journey: Journey, direction: str, seed: int, steps: int, total: int
) -> Iterator[Step]:
    start = runs.to_engine(journey.picture)[None]
    way = bridge.translate(start, direction, journey.count, seed, steps=steps)
    for step in follow(way, offset=0, total=total):
        journey.outcomes = _seen(step, step.index == steps)
        yield step


def _and_back(
    there: Iterator[Step],
    bridge: TranslationBridge,
    journey: Journey,
    direction: str,
    seed: int,
    steps: int,
    total: int,
) -> Iterator[Step]:
    """The way back begins with the pictures that are shown, 8 bits a value; or with noise."""
    for last in there:
        yield last
    start, back = last.x, opposite(direction)
    if not bridge.starts_from_noise(back):
        start = np.stack([runs.to_engine(outcome) for outcome in journey.outcomes])
    way = bridge.translate(start, back, 1, seed, steps=steps)
    for step in follow(way, offset=steps, total=total, nfe=last.nfe):
        journey.returns = _seen(step, step.index == total)
        yield replace(step, stage=2)


def _kept(run: Iterator[Step], journey: Journey, steps: int) -> Iterator[Step]:
    """Hand on a run and keep the steps of the film."""
    half = min(FRAMES // 2, steps)
    wanted = frame_indices(2 * steps, 2 * half + 1)
    for step in run:
        if step.index in wanted:
            journey.steps.append(step)
        yield step


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
    picture = imaging.open_picture(source)
    if channels != 1:
        return imaging.fit_square(picture, size, channels)
    ink = np.asarray(picture.convert("L"), np.float32) / 255
    if script.box is not None and picture.size != (size, size):
        return glyphs.settle(glyphs.light_on_dark(ink), script, size)
    if float(np.ptp(ink)) < glyphs.INK:
        raise glyphs.DrawingError(f"The picture is empty: there is no {script.one} in it.")
    return imaging.fit_square(Image.fromarray(imaging.to_uint8(ink)), size, 1)


def _ones(bridge: TranslationBridge, direction: str) -> tuple[str, str]:
    """Names of one member of the set that a direction starts from, and of the one it ends in."""
    names = [glyphs.script_of(name).one for name in bridge.sets]
    return tuple(names if direction == "forward" else names[::-1])


# ----------------------------------------------------------------------------------------------
# What the page shows of a journey


def film(journey: Journey, direction: str, bridge: TranslationBridge) -> str:
    """The film for the player: all outcomes beside each other, there and back."""
    one, another = _ones(bridge, direction)
    frames, captions = [_row([journey.picture] * journey.count)], [f"the {one}"]
    for step in journey.steps:
        frames.append(_row(runs.pictures(step.x.clamp(0, 1))))
        aim = another if step.stage == 1 else one
        captions.append(f"to a {aim}, t = {step.t:.2f}" if step.t < 1 else f"the {aim}")
    there = sum(step.stage == 1 for step in journey.steps)
    ends = (one, another, f"{one} again")
    width = journey.count * 180
    return widgets.film({"path": frames}, captions, split=there, ends=ends, width=width)


def _row(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures beside each other, with a narrow gap."""
    gap = np.full((pictures[0].shape[0], GAP, pictures[0].shape[2]), 0.5, np.float32)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def strip(journey: Journey, direction: str, bridge: TranslationBridge) -> Image.Image:
    """States of every outcome in a row of its own; the way back beside the way there."""
    one, another = _ones(bridge, direction)
    ways = [[step for step in journey.steps if step.stage == stage] for stage in (1, 2)]
    chosen = [_spread(way) for way in ways]
    groups = [(f"{one} to {another}", 1 + len(chosen[0]))]
    groups += [("and back", len(chosen[1]))] if chosen[1] else []
    steps = chosen[0] + chosen[1]
    labels = [one, *(f"t = {step.t:.2f}" for step in steps)]
    states = [runs.pictures(step.x.clamp(0, 1)) for step in steps]
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


def _spread(way: list[Step]) -> list[Step]:
    """At most `STRIP` steps of a way, evenly; the last is among them."""
    count = min(STRIP, len(way))
    return [way[round((len(way) - 1) * k / max(1, count - 1))] for k in range(count)]


def grid(
    journey: Journey, direction: str, bridge: TranslationBridge, facts: dict[str, Any] | None = None
) -> str:
    """The outcomes in one row, their ways back below; downloads once final."""
    _, another = _ones(bridge, direction)
    count, blank = journey.count, np.zeros_like(journey.picture)
    pictures = [*journey.outcomes, *(journey.returns or [blank] * count)]
    if facts is None:
        labels = [f"a {another}"] * count + ["the way back"] * count
    else:
        labels = [f"{another}, seed {facts['seed'] + k}" for k in range(count)]
        labels += [f"and back, {apart:.2f} off" for apart in journey.apart]
    tiles = widgets.face_grid(pictures, labels, recipe=facts)
    return f'<div class="outcomes" style="--count:{count}">{tiles}</div>'


def show(
    bridge: TranslationBridge, source: Any, direction: str, *options: Any
) -> Iterator[tuple[Any, Any, Any, str]]:
    """A run there and back as (grid, film, strip, status); options as of `translate`."""
    for journey, update, facts in translate(bridge, source, direction, *options, back=True):
        if update.final:
            yield (
                grid(journey, direction, bridge, facts),
                film(journey, direction, bridge),
                strip(journey, direction, bridge),
                widgets.done_html(facts),
            )
        else:
            shown = grid(journey, direction, bridge)
            yield shown, gr.skip(), gr.skip(), widgets.progress_html(update)


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
        hint = widgets.note_html("Draw on the square or upload a picture, then press Translate.")
        return offered, pad(bridge, direction), None, "", "", None, hint
    *_, last = show(bridge, source, direction, 3, EXAMPLE_SEED)
    return offered, pad(bridge, direction, **(source or {})), source, *last


def build(models: Models, tab: gr.Tab) -> None:
    """Lay out the tab and wire it: pictures in one half, points of the plane in the other."""
    with gr.Tabs(elem_classes="halves"):
        with gr.Tab("Pictures", id="pictures"):
            _build_pictures(models, tab)
        with gr.Tab("Points in the plane", id="points"):
            pairs.build(tab)


@dataclass(frozen=True)
class _Controls:
    """The inputs of a run."""

    model: gr.Dropdown
    direction: gr.Radio
    source: gr.State
    count: widgets.Dial
    seed: gr.Number
    fresh: gr.Checkbox
    steps: widgets.Dial

    def all(self) -> list[Any]:
        """As a list of inputs."""
        return list(self.__dict__.values())


def _build_pictures(models: Models, tab: gr.Tab) -> None:
    names = models.translations
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="controls", min_width=280):
            model = gr.Dropdown(
                names, value=names[0] if names else None, label="Model", visible=len(names) > 1
            )
            direction = gr.Radio(list(DIRECTIONS), value=DIRECTIONS[0], label="Direction")
            run, stop = widgets.run_buttons("Translate")
            count = widgets.Dial(1, MAX_COUNT, value=3, step=1, label="Outcomes")
            seed = gr.Number(0, label="Seed", precision=0)
            fresh = gr.Checkbox(True, label="new seed each time")
            with gr.Accordion("A picture of your own", open=False):
                upload = widgets.picture_input("Picture", elem_id="translate-upload")
            with gr.Accordion("Advanced", open=False):
                info = "Of each way; 0: as in training."
                steps = widgets.Dial(
                    0, 200, value=0, step=1, label="Network evaluations", info=info
                )
        with gr.Column(elem_classes="stage"):
            with gr.Row(elem_classes="beside"):
                drawing = gr.HTML(
                    "",
                    html_template="",
                    js_on_load=assets.script("pad.js"),
                    elem_id="translate-pad",
                    min_width=200,
                )
                outcomes = widgets.face_grid_component(elem_id="translate-grid", min_width=240)
            status = widgets.status_component()
            player = widgets.film_component(elem_id="translate-player", min_height=250)
            strip_view = widgets.strip_view("There and back")
    source = gr.State(None, time_to_live=3600)
    controls = _Controls(model, direction, source, count, seed, fresh, steps)
    _wire(
        models, tab, controls, (run, stop), drawing, upload, [outcomes, player, strip_view], status
    )


def _wire(
    models: Models,
    tab: gr.Tab,
    controls: _Controls,
    buttons: tuple[gr.Button, gr.Button],
    drawing: gr.HTML,
    upload: gr.Image,
    views: list[Any],
    status: gr.HTML,
) -> None:
    """Run on the button, at once when the pen is lifted; examples when the direction changes."""

    def handler(
        name: Any, direction: str, source: Any, count: Any, seed: Any, fresh: bool, steps: Any
    ) -> Iterator[Any]:
        chosen = runs.seed_of(seed, fresh)
        for *shown, line in show(models.translation(name), source, direction, count, chosen, steps):
            yield *shown, chosen, line

    def at_once(name: Any, direction: str, source: Any, *values: Any) -> Iterator[Any]:
        """With the seed that is there: the drawing shall be all that changes."""
        count, seed, _, steps = values
        if isinstance(source, dict) and not source.get("strokes"):
            yield *[gr.skip()] * 4, widgets.note_html(EMPTY)
            return
        yield from handler(name, direction, source, count, seed, False, steps)

    drawn = drawing.input(_strokes, None, controls.source, **widgets.QUIET)
    changes = (drawing.edit, controls.direction.input, controls.model.input, upload.upload)
    widgets.run_and_stop(
        *(*buttons, status, handler, controls.all(), [*views, controls.seed]),
        also=[(drawn.then, at_once)],
        gone=changes,
    )

    def begin(name: Any, direction: str, seen: Any = None) -> tuple[Any, ...]:
        """The example of a direction, unless there is something already."""
        if seen:
            return (gr.skip(),) * 7
        try:
            with widgets.sentences():
                return example(models, name, direction)
        except gr.Error as error:
            return (*[gr.skip()] * 6, widgets.error_html(str(error.message)))

    outputs = [controls.direction, drawing, controls.source, *views, status]
    inputs = [controls.model, controls.direction]
    tab.select(begin, [*inputs, status], outputs, **widgets.QUIET)
    controls.direction.input(begin, inputs, outputs, **widgets.QUIET)
    controls.model.input(
        lambda name: begin(name, DIRECTIONS[0]), controls.model, outputs, **widgets.QUIET
    )

    def opened(name: Any, direction: str, path: Any) -> tuple[Any, Any, str]:
        """Show an upload on the pad, as the model sees it; refuse a broken one at once."""
        try:
            with widgets.sentences():
                bridge = models.translation(name)
                picture = read(bridge, path, direction)
        except gr.Error as error:
            return gr.skip(), gr.skip(), widgets.error_html(str(error.message))
        value = pad(bridge, direction, picture=widgets.data_uri(picture))
        return value, picture, widgets.note_html("The picture is set; now press Translate.")

    upload.upload(opened, [*inputs, upload], [drawing, controls.source, status], **widgets.QUIET)


def _strokes(event: gr.EventData) -> dict[str, Any]:
    """The drawing, as the browser sends it; `glyphs.write` checks it."""
    return {"strokes": event.strokes}
