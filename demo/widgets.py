"""Pieces that the tabs share: picture input, face grid, film player, status line, run and stop."""

from __future__ import annotations

import base64
import html
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from demo import assets, imaging, media, runs
from demo import film as films
from sbcore import DEFAULTS, SOLVERS

log = logging.getLogger(__name__)
# Every handler that computes shares this: one run at a time on a small machine.
QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
# And every handler that only rearranges the page, this.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
OOPS = "Something went wrong on our side, and the run was given up; the studio goes on."


class Picture(gr.Image):
    """An image component that hands over the uploaded file itself.

    `gr.Image` opens the file before the handler does, and its errors never reach the visitor as
    a sentence; here `imaging.open_picture` is the only reader.
    """

    is_template = True

    def preprocess(self, payload: Any) -> str | None:
        """Return the path of the file, checked by Gradio to be an upload."""
        return None if payload is None else payload.path


class Dial(gr.Slider):
    """A slider whose number the handler checks.

    `gr.Slider` refuses a typed number that is out of range before the handler sees it, with a
    traceback in the log and no word in the status line.
    """

    is_template = True

    def preprocess(self, payload: Any) -> Any:
        """Hand over what was typed."""
        return payload


def picture_input(label: str, **options: Any) -> Picture:
    """A picture from a file, the camera or the clipboard."""
    return Picture(
        label=label,
        type="filepath",
        image_mode=None,
        format="png",
        sources=["upload", "webcam", "clipboard"],
        height=210,
        **options,
    )


def read_picture(source: Any, size: int, channels: int) -> np.ndarray:
    """Open, crop and resize what a visitor gave: (size, size, channels) in [0, 1]."""
    return imaging.fit_square(imaging.open_picture(source), size, channels)


@contextmanager
def sentences() -> Iterator[None]:
    """Turn bad input into one sentence (`gr.Error`), and anything else into an apology."""
    try:
        yield
    except gr.Error:
        raise
    except (ValueError, media.MediaError) as error:
        raise gr.Error(_sentence(error), print_exception=False) from error
    except Exception as error:
        log.exception("a run failed")
        raise gr.Error(OOPS, print_exception=False) from error


def _sentence(error: Exception) -> str:
    """The message with a capital and a full stop; the engine's have neither."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


@contextmanager
def about(name: str) -> Iterator[None]:
    """Say which picture of several could not be used."""
    try:
        yield
    except imaging.PictureError as error:
        raise imaging.PictureError(f"{name}: {error}") from error


# ----------------------------------------------------------------------------------------------
# Pictures as HTML


def data_uri(picture: np.ndarray, recipe: dict[str, Any] | None = None) -> str:
    """A picture (h, w, c) in [0, 1] as a PNG data URI."""
    return "data:image/png;base64," + base64.b64encode(media.png_bytes(picture, recipe)).decode()


def face_grid(
    pictures: Sequence[np.ndarray],
    labels: Sequence[str],
    actions: Sequence[tuple[str, str]] = (),
    recipe: dict[str, Any] | None = None,
    small: bool = False,
) -> str:
    """Pictures in a grid, each with its label, a download and buttons.

    Args:
        pictures: Each (h, w, c) in [0, 1].
        labels: One a picture.
        actions: (name, text) of each button; a press triggers ``click`` with action and index.
        recipe: Written into the PNG files, with each picture's label; None: no download.
        small: Thumbnails without captions, four in a row.
    """
    tiles = []
    for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        facts = None if recipe is None else recipe | {"picture": label}
        uri, name = data_uri(picture, facts), html.escape(label.replace(" ", "-"))
        label = html.escape(label)
        buttons = "".join(
            f'<button type="button" data-action="{action}" data-index="{index}">{text}</button>'
            for action, text in actions
        )
        download = f'<a href="{uri}" download="{name}.png" class="download">download</a>'
        caption = "" if small else f"<figcaption>{label}</figcaption>"
        tiles.append(
            f'<figure tabindex="0"><img src="{uri}" alt="{label}">{caption}'
            f'<div class="actions">{buttons}{download if recipe is not None else ""}</div></figure>'
        )
    style = "faces small" if small else "faces"
    return f'<div class="{style}" data-count="{len(tiles)}">{"".join(tiles)}</div>'


def face_grid_component(value: str = "", **options: Any) -> gr.HTML:
    """The component that shows a `face_grid`; its ``click`` event carries action and index."""
    return gr.HTML(value, js_on_load=assets.script("grid.js"), **options)


@dataclass(frozen=True)
class Drawn:
    """Pictures in a grid, for its buttons to act on."""

    pictures: list[np.ndarray]
    seed: int = 0
    """Of the first picture."""
    source: np.ndarray | None = None
    """The picture that they were made of, if any."""


def samples(pictures: list[np.ndarray], actions: Sequence[tuple[str, str]]) -> tuple[str, Drawn]:
    """Example faces to pick from: a small grid, and what it shows."""
    labels = [f"example face {i + 1}" for i in range(len(pictures))]
    return face_grid(pictures, labels, actions, small=True), Drawn(pictures)


def film(layers: dict[str, Sequence[np.ndarray]], captions: Sequence[str], **options: Any) -> str:
    """A film for `film_component` of frames (h, w, c) in [0, 1]; options as `films.pictures`."""
    addresses = {name: [data_uri(frame) for frame in layer] for name, layer in layers.items()}
    return films.pictures(addresses, captions, **options)


def film_component(value: str = "", **options: Any) -> gr.HTML:
    """The component that plays a film; its ``input`` event carries what is drawn on it."""
    return gr.HTML(value, html_template="", js_on_load=assets.script("player.js"), **options)


# ----------------------------------------------------------------------------------------------
# Status line


def progress_html(update: runs.Update) -> str:
    """Progress bar with the step and the time left."""
    text, left = f"step {update.step.index:,} of {update.step.total:,}", update.seconds_left
    if update.seconds > 0.5:
        text += f" · {left:.0f} s left" if left < 100 else f" · {left / 60:.0f} min left"
    return bar_html(update.fraction, text)


def bar_html(fraction: float, text: str) -> str:
    """A progress bar, its text below."""
    return (
        f'<div class="status"><div class="bar" role="progressbar" aria-valuenow='
        f'"{100 * fraction:.0f}"><div style="width:{100 * fraction:.1f}%"></div></div>{text}</div>'
    )


def done_html(facts: dict[str, Any], note: str = "") -> str:
    """The recipe; a click copies it as JSON."""
    recipe = html.escape(json.dumps(facts), quote=True)
    badge = f' <span class="badge">{html.escape(note)}</span>' if note else ""
    return (
        f'<div class="status"><button type="button" class="recipe" data-recipe="{recipe}" '
        f'title="copy the recipe">{html.escape(runs.recipe_line(facts))}</button>{badge}</div>'
    )


def error_html(message: str) -> str:
    """One sentence in the place of the recipe."""
    return f'<div class="status error" role="alert">{html.escape(message)}</div>'


def note_html(text: str) -> str:
    """A plain line in the place of the recipe."""
    return f'<div class="status">{html.escape(text)}</div>'


def status_component(value: str = "") -> gr.HTML:
    """The status line under a stage."""
    js = assets.script("status.js")
    return gr.HTML(value, js_on_load=js, min_height=36, elem_classes="status-line")


# ----------------------------------------------------------------------------------------------
# Run and stop


def compute(
    listen: Callable[..., Any],
    handler: Callable[..., Iterator[Any]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    status: gr.HTML,
) -> Any:
    """Wire a generator that computes: in the one queue, its last output the status line.

    Bad input becomes a sentence there; everything else stays as it was.
    """
    outputs = [*outputs, status]

    def guarded(*values: Any) -> Iterator[Any]:
        try:
            with sentences():
                yield from handler(*values)
        except gr.Error as error:
            gr.Warning(str(error.message))
            yield (*[gr.skip()] * (len(outputs) - 1), error_html(str(error.message)))

    return listen(
        guarded,
        inputs,
        outputs,
        show_progress="minimal",
        show_progress_on=status,
        api_visibility="private",
        **QUEUE,
    )


def run_and_stop(
    run: gr.Button,
    stop: gr.Button,
    status: gr.HTML,
    handler: Callable[..., Iterator[Any]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    beside: Sequence[gr.Button] = (),
    also: Sequence[tuple[Callable[..., Any], Callable[..., Iterator[Any]]]] = (),
    gone: Sequence[Callable[..., Any]] = (),
) -> Any:
    """Wire a primary button that becomes Stop while its generator runs; see `compute`.

    Leaving the generator between two of its yields stops the engine before its next network
    call, so Stop takes effect within one evaluation.

    Args:
        run: The primary button.
        stop: Its Stop, in its place while something runs.
        status: The status line.
        handler: Generator of the outputs and the status line.
        inputs: Of the handler.
        outputs: Of the handler.
        beside: Buttons that hide meanwhile.
        also: Further events that start a run, with their handlers.
        gone: Events after which the result of a run is no longer wanted.

    Returns:
        The event of Stop, for what shall follow it.
    """
    buttons = [run, *beside, stop]

    def show_stop() -> list[Any]:
        return [gr.update(visible=button is stop) for button in buttons]

    def show_run() -> list[Any]:
        return [gr.update(visible=button is not stop) for button in buttons]

    def stopped() -> list[Any]:
        return [*show_run(), note_html("Stopped; what was drawn so far stays.")]

    mode = "multiple" if gone else "once"  # "once" would wait for a run that was given up
    events = []
    for listen, work in ((run.click, handler), *also):
        started = listen(show_stop, outputs=buttons, **QUIET)
        then = partial(started.then, trigger_mode=mode)
        event = compute(then, work, inputs, outputs, status)
        for ended in (event.then, event.failure):  # `then` alone misses a full queue, a lost server
            ended(show_run, outputs=buttons, **QUIET)
        events.append(event)
    for listen in gone:
        listen(show_run, outputs=buttons, cancels=events, **QUIET)
    return stop.click(stopped, outputs=[*buttons, status], cancels=events, **QUIET)


def solver_input(label: str = "Solver") -> gr.Dropdown:
    """Choice of a solver; empty for the default."""
    choices = [("default", "")] + [(solver.title, solver.name) for solver in SOLVERS.values()]
    return gr.Dropdown(choices, value="", label=label)


def steps_input(task: str) -> gr.Slider:
    """Choice of the number of network evaluations; 0 for the default of the task."""
    info = f"0: the default, {DEFAULTS[task].steps}"
    return gr.Slider(0, 60, value=0, step=1, label="Network evaluations", info=info)


def mode_input() -> gr.Radio:
    """Choice of fast or paper mode, for runs over both stages."""
    choices = [("fast", "fast"), ("paper: Algorithm 1, 2,000 steps", "paper")]
    info = "Paper mode takes minutes; Stop works."
    return gr.Radio(choices, value="fast", label="Mode", info=info)


def edit_mode_input() -> gr.Radio:
    """Choice of fast or paper mode, for runs of stage 2 alone."""
    choices = [("fast", "fast"), ("paper: Euler-Maruyama", "paper")]
    return gr.Radio(choices, value="fast", label="Mode")


def strip_view(label: str) -> gr.Image:
    """A film strip, to look at and to download."""
    return gr.Image(
        label=label,
        format="png",
        interactive=False,
        elem_classes="strip",
        buttons=["download", "fullscreen"],
        show_label=False,
    )


def run_buttons(text: str) -> tuple[gr.Button, gr.Button]:
    """The primary button of a tab and its Stop."""
    run = gr.Button(text, variant="primary", size="lg", elem_classes="run")
    stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_classes="run")
    return run, stop


def pil(picture: np.ndarray) -> Image.Image:
    """A picture (h, w, c) in [0, 1] as an 8-bit PIL image, for a picture component."""
    return Image.fromarray(np.squeeze(imaging.to_uint8(picture)))


@contextmanager
def downloads() -> Iterator[Path]:
    """A folder for files to download; Gradio copies them when they are yielded."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
