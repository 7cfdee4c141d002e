"""What a tab is made of, beside what is its own: a form for its operation, Run, a status line."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from demo import imaging, params, views, wiring
from demo.export import ResultExport
from demo.models import Models
from demo.operation import Operation
from demo.params import Param, Picture, Seed
from demo.photos.box import EMPTY, PhotoBox, opened
from demo.recipe import Recipe
from demo.runs import Result, Stopped, Update
from demo.server.budget import PACE


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
    form: Form | None = None
    """Its controls, which a recipe of the operation restores."""
    run: gr.Button | None = None
    """Its primary button."""
    restores: Sequence[Any] = ()
    """Components of its own that follow when the controls are restored."""
    restore: Callable[[Mapping[str, Any]], Sequence[Any]] = lambda values: ()
    """By what the recipe names: their values."""


class Form:
    """Controls of parameters on a tab.

    A component of the tab's own shows a restored value if it is given what `Param.shown_as`
    says; what else must follow is up to `Tab.restore`.

    Args:
        params: The parameters.
        own: Components that the tab makes itself, by the name of the parameter.
    """

    def __init__(self, params: Sequence[Param], **own: Any) -> None:
        self.params, self.parts = {param.name: param for param in params}, own
        self.fresh: gr.Checkbox | None = None
        self.loaded = gr.State((), time_to_live=3600)  # the `Recipe` that was loaded last

    def __getitem__(self, name: str) -> Any:
        """The component of a parameter."""
        return self.parts[name]

    def add(self, *names: str) -> None:
        """Lay out controls; without names, all that are left and not advanced."""
        for name in names or self._left(advanced=False):
            param = self.params[name]
            if isinstance(param, Seed) and param.fresh:
                self._add_seed(param)
            else:
                self.parts[name] = param.control()

    def _add_seed(self, param: Seed) -> None:
        """A seed beside its die: each run throws it, unless a seed is typed; then that one stays.

        After a run the field shows what was drawn.
        """
        with gr.Row(elem_classes="seed"):
            part = self.parts[param.name] = param.control()
            self.fresh = gr.Checkbox(True, label="new each time", min_width=120)
        part.input(None, None, self.fresh, js="() => false", **wiring.QUIET)

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
        return [*self.parts.values(), self.loaded, *([self.fresh] if self.fresh else [])]

    def read(self, values: Sequence[Any], keep: bool = False) -> dict[str, Any]:
        """The values by parameter, a new seed where one is wanted but not ``keep``; unchecked.

        Raises:
            ValueError: If there is no picture.
        """
        given = dict(zip(self.parts, values, strict=False))
        if self.fresh and values[-1] and (not keep or given["seed"] is None):
            given["seed"] = Seed.new()
        for param in self.params.values():
            needed = isinstance(param, Picture) and not param.optional
            if needed and given.get(param.name, ...) is None:
                raise ValueError(param.absent or EMPTY)
        return given

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """`inputs` that read as these, the seed kept, no recipe loaded."""
        return [*(given[name] for name in self.parts), (), *([False] if self.fresh else [])]

    def loaded_of(self, values: Sequence[Any]) -> Recipe | None:
        """The recipe that was loaded last, among the values."""
        return dict(zip([*self.parts, ...], values, strict=False)).get(...) or None

    def restored(self, recipe: Recipe) -> dict[Any, Any]:
        """By component: what a recipe names, and its seed kept."""
        changes: dict[Any, Any] = {}
        for name, value in recipe.values.items():
            if (part := self.parts.get(name)) is not None:
                shown = self.params[name].shown_as(value)
                both = isinstance(part, PhotoBox)  # it holds several parameters
                changes[part] = changes.get(part, {}) | shown if both else shown
        return changes | {self.loaded: recipe} | ({self.fresh: False} if self.fresh else {})


@contextmanager
def controls() -> Iterator[None]:
    """The left column of a tab."""
    with gr.Column(elem_classes="controls", min_width=280):
        yield


@contextmanager
def given() -> Iterator[None]:
    """In it, what the visitor brings: uploads, faces to choose from; on a phone it comes first."""
    with gr.Column(elem_classes="given", scale=0):
        yield


def go(text: str) -> tuple[tuple[gr.Button, gr.Button], gr.HTML]:
    """The primary button, its Stop, and below it the status line: in sight wherever one scrolls."""
    with gr.Column(elem_classes="go", scale=0):
        return wiring.run_buttons(text), views.status_component()


@contextmanager
def stage() -> Iterator[None]:
    """Its right column."""
    with gr.Column(elem_classes="stage"):
        yield


def finished(result: Result, loaded: Recipe | None = None) -> str:
    """The status line of a result; whether it is what the loaded recipe draws."""
    verdict = loaded.verdict(result.recipe) if loaded else ""
    facts = result.recipe if result.origin else None
    return views.done_html(result.report, result.note, verdict, facts=facts)


def runner(
    models: Models,
    operation: Operation,
    form: Form,
    outputs: Sequence[Any],
    show: Callable[[Update | Result], Sequence[Any]],
    export: ResultExport | None = None,
) -> Callable[..., Iterator[Any]]:
    """A handler that runs an operation.

    Args:
        models: On offer.
        operation: What to run.
        form: The inputs.
        outputs: What shows the run.
        show: Their values for an update that has something to show, and for the result.
        export: Offers the result.

    Returns:
        Generator of the outputs, what is exported if there is an export, the seed and the status
        line.
    """

    def handler(*values: Any) -> Iterator[Any]:
        given, loaded = form.read(values), form.loaded_of(values)
        for moment in operation.start(models, given):
            shown = [gr.skip()] * len(outputs) if moment.shown is None else show(moment)
            done = isinstance(moment, Result)
            line = finished(moment, loaded) if done else views.progress_html(moment)
            kept = [export.keep(moment) if done else gr.skip()] if export else []
            try:
                yield *shown, *kept, given["seed"], line
            except Stopped:
                if not done:
                    moment.stop()

    return handler


def operate(
    studio: Studio,
    operation: Operation,
    form: Form,
    buttons: tuple[gr.Button, gr.Button],
    status: gr.HTML,
    outputs: Sequence[Any],
    show: Callable[[Update | Result], Sequence[Any]],
    export: ResultExport | None = None,
) -> wiring.Stops:
    """Let a primary button run an operation, see `runner`; its Stop."""
    handler = runner(studio.models, operation, form, outputs, show, export)
    shown = [*outputs, *([export.last] if export else []), form["seed"]]
    stops = wiring.run_and_stop(buttons, status, handler, form.inputs, shown)
    if export:
        export.wire(status)
    if operation.cost:
        _show_price(studio.models, operation, form, status)
    return stops


def _show_price(models: Models, operation: Operation, form: Form, status: gr.HTML) -> None:
    """Say below the status line what a run with these controls will cost."""
    names = [name for name in operation.priced if name in form.parts]
    shown = [form[name] for name in names]
    declared = [form.params[name] for name in names]

    def price(*values: Any) -> str:
        given = {param.name: param.default for param in operation.params}
        with suppress(ValueError):  # it is said when it is run
            given |= params.check(declared, dict(zip(names, values, strict=True)), models)
            return html.escape(PACE.price(operation.name, operation.price_of(given)))
        return ""

    with status.parent:
        line = gr.HTML(elem_classes="price", min_height=0)
    gr.on([part.change for part in shown], price, shown, line, **wiring.QUIET)
    status.end(price, shown, line, **wiring.QUIET)  # by then more is known of it


def opens(studio: Studio, box: PhotoBox, status: gr.HTML, hint: str) -> None:
    """Look at an upload at once: it is refused in its box, or the status line says what is next."""

    def look(model: str, document: Any) -> tuple[Any, Any]:
        try:
            with wiring.sentences():
                answer = opened(document, studio.models.get(model).shape[-1])
        except gr.Error as error:
            return imaging.PictureError(str(error.message)), gr.skip()
        quiet = (document or {}).get("restored")
        return answer, gr.skip() if quiet else views.note_html(hint)

    box.upload(look, [studio.model, box], [box, status], **wiring.QUIET)
