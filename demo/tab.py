"""What a tab is made of, beside what is its own: a form for its operation, Run, a status line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging, views, wiring
from demo.models import Models
from demo.operation import Operation, downloads
from demo.params import NO_PICTURE, Param, Picture, Seed
from demo.runs import Result, Update


@dataclass(frozen=True)
class Studio:
    """Where a tab is built."""

    models: Models
    model: gr.Dropdown
    """The picker of the models that draw pictures."""
    tab: gr.Tab


@dataclass(frozen=True)
class Sent:
    """A picture that a button sends on."""

    picture: np.ndarray
    """(h, w, c) in [0, 1], of 8 bits."""
    seed: int
    source: np.ndarray | None
    """The picture that it was made of, if any."""


@dataclass(frozen=True)
class Accepts:
    """What a tab does with a picture that is sent to it."""

    outputs: Sequence[Any]
    """The components that it changes."""
    take: Callable[[Sent], Sequence[Any]]
    """Their values."""
    hint: str = ""
    """What the status line says then; `Sent.seed` may be part of it."""
    moves: bool = True
    """Whether the page turns to the tab; else it is there already."""


@dataclass(frozen=True)
class Tab:
    """What the page needs of a tab."""

    status: gr.HTML
    operation: Operation | None = None
    """What it publishes."""
    example: Callable[[str | None], Sequence[Any]] | None = None
    """By the name of the model: a worked example, its values for ``fills`` and the status line."""
    fills: Sequence[Any] = ()
    accepts: dict[str, Accepts] = field(default_factory=dict)
    """By the action of the button that sends."""
    offers: Sequence[tuple[gr.HTML, gr.State]] = ()
    """Grids whose buttons send, each with the `views.Drawn` that it shows."""


class Form:
    """Controls of parameters on a tab.

    Args:
        params: The parameters.
        own: Components that the tab makes itself, by the name of the parameter.
    """

    def __init__(self, params: Sequence[Param], **own: Any) -> None:
        self.params, self.parts = {param.name: param for param in params}, own
        self.fresh: gr.Checkbox | None = None

    def __getitem__(self, name: str) -> Any:
        """The component of a parameter."""
        return self.parts[name]

    def add(self, *names: str) -> None:
        """Lay out controls; without names, all that are left and not advanced."""
        for name in names or self._left(advanced=False):
            param = self.params[name]
            self.parts[name] = param.control()
            if isinstance(param, Seed) and param.fresh:
                self.fresh = gr.Checkbox(True, label="new seed each time")

    def advanced(self) -> None:
        """Lay out what is left in an accordion that is closed at first."""
        with gr.Accordion("Advanced", open=False):
            self.add(*self._left(advanced=True))

    def _left(self, advanced: bool) -> list[str]:
        left = (p for p in self.params.values() if p.page and p.name not in self.parts)
        return [param.name for param in left if param.advanced == advanced]

    @property
    def inputs(self) -> list[Any]:
        """Of a handler that reads the form."""
        return [*self.parts.values(), *([self.fresh] if self.fresh else [])]

    def read(self, values: Sequence[Any]) -> dict[str, Any]:
        """The values by parameter, a new seed where one is wanted; unchecked.

        Raises:
            ValueError: If there is no picture.
        """
        given = dict(zip(self.parts, values, strict=False))
        if self.fresh and values[-1]:
            given["seed"] = Seed.new()
        for param in self.params.values():
            needed = isinstance(param, Picture) and not param.optional
            if needed and given.get(param.name, ...) is None:
                raise ValueError(param.absent or NO_PICTURE)
        return given


@contextmanager
def controls() -> Iterator[None]:
    """The left column of a tab."""
    with gr.Column(elem_classes="controls", min_width=280):
        yield


@contextmanager
def stage() -> Iterator[None]:
    """Its right column."""
    with gr.Column(elem_classes="stage"):
        yield


def film_button() -> gr.DownloadButton:
    """Offers the film of the last run."""
    return gr.DownloadButton("Download film", size="sm", interactive=False)


def finished(result: Result) -> str:
    """The status line of a result."""
    return views.done_html(result.report, result.note)


def runner(
    models: Models,
    operation: Operation,
    form: Form,
    outputs: Sequence[Any],
    show: Callable[[Update | Result], Sequence[Any]],
    film: gr.DownloadButton | None = None,
) -> Callable[..., Iterator[Any]]:
    """A handler that runs an operation.

    Args:
        models: On offer.
        operation: What to run.
        form: The inputs.
        outputs: What shows the run.
        show: Their values for an update that has something to show, and for the result.
        film: Gets the operation's film.

    Returns:
        Generator of the outputs, the film if there is one, the seed and the status line.
    """

    def handler(*values: Any) -> Iterator[Any]:
        given = form.read(values)
        with downloads() as folder:
            for moment in operation.start(models, given):
                shown = [gr.skip()] * len(outputs) if moment.shown is None else show(moment)
                done = isinstance(moment, Result)
                line = finished(moment) if done else views.progress_html(moment)
                saved = [_saved(operation, moment, folder)] if film else []
                yield *shown, *saved, given["seed"], line

    return handler


def operate(
    studio: Studio,
    operation: Operation,
    form: Form,
    buttons: tuple[gr.Button, gr.Button],
    status: gr.HTML,
    outputs: Sequence[Any],
    show: Callable[[Update | Result], Sequence[Any]],
    film: gr.DownloadButton | None = None,
) -> None:
    """Let a primary button, with its Stop, run an operation; see `runner`."""
    handler = runner(studio.models, operation, form, outputs, show, film)
    films = [film] if film else []
    wiring.run_and_stop(buttons, status, handler, form.inputs, [*outputs, *films, form["seed"]])


def _saved(operation: Operation, moment: Update | Result, folder: Path) -> Any:
    """The download of a film, once there is one."""
    if not isinstance(moment, Result):
        return gr.skip()
    output = next(one for one in operation.outputs if one.name == "animation")
    path = output.save(moment.outputs["animation"], folder, moment.report.facts())
    return gr.update(value=path, interactive=True)


def opens(
    studio: Studio,
    upload: Any,
    status: gr.HTML,
    hint: str,
    name: str = "",
    outputs: Sequence[Any] = (),
    take: Callable[[imaging.Photo], Sequence[Any]] = lambda photo: (),
) -> None:
    """Look at an upload at once: it is refused in a sentence, or it is said what is next.

    Args:
        studio: Where the tab is.
        upload: The component.
        status: The status line.
        hint: What is next; the model's size may be part of it.
        name: Of the picture, where there are several.
        outputs: What a good picture changes.
        take: Their values.
    """

    def opened(model: str, path: Any) -> tuple[Any, ...]:
        channels, size, _ = studio.models.get(model).shape
        try:
            with imaging.about(name):
                photo = imaging.Photo.of(path, size, channels)
        except imaging.PictureError as error:
            return None, *[gr.skip()] * len(outputs), views.error_html(str(error))
        return gr.skip(), *take(photo), views.note_html(hint.format(size=size))

    changed = [upload, *outputs, status]
    upload.upload(opened, [studio.model, upload], changed, **wiring.QUIET)
