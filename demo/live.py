"""Results that follow a control while it is moved: a draft at once, full quality when it rests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr

from demo import tab, views, wiring
from demo.export import ResultExport
from demo.operation import Operation
from demo.runs import Result, Stopped, Update


def switch(label: str) -> gr.Checkbox:
    """Whether `follow` does anything; on at first."""
    return gr.Checkbox(True, label=label, container=False, elem_classes="live")


def follow(
    studio: tab.Studio,
    operation: Operation,
    form: tab.Form,
    buttons: tuple[gr.Button, gr.Button],
    status: gr.HTML,
    outputs: Sequence[Any],
    show: Callable[[Update | Result], Sequence[Any]],
    export: ResultExport,
    primary: wiring.Stops,
    *,
    wanted: gr.Checkbox,
    moves: Sequence[Callable[..., Any]],
    names: Sequence[str],
    draft: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    full: Mapping[str, Any] | None = None,
) -> None:
    """Run an operation anew whenever a control moves, beside `tab.operate`.

    The next move, or a press on the primary button, ends what it makes stale; moves in between are
    passed over. Neither paper mode nor a run of the primary button is disturbed.

    Args:
        studio: Where the tab is built.
        operation: What to run.
        form: The inputs.
        buttons: The primary button, and its Stop.
        status: The status line.
        outputs: What shows the run.
        show: Their values for a draft, as an update, and for the result.
        export: Offers the result.
        primary: What `tab.operate` returned.
        wanted: A `switch`.
        moves: Events of the controls.
        names: The parameters that they change.
        draft: By the values given: changes to them that make a draft; none: there is no draft.
        full: Changes to them in full quality.
    """
    stops, nothing = wiring.Stops(), [gr.skip()] * (len(outputs) + 1)

    def drawing(given: Mapping[str, Any]) -> Iterator[Any]:
        sketch: tuple[Any, ...] = ()
        if quick := draft(given):
            *_, update, first = operation.start(studio.models, {**given, **quick})
            line = views.note_html(first.report.line())
            sketch = *show(update.showing(first.shown)), gr.skip(), line
            yield sketch
        for moment in operation.start(studio.models, {**given, **(full or {})}):
            if isinstance(moment, Result):
                yield *show(moment), export.keep(moment), tab.finished(moment)
            else:  # the draft is better than what is half drawn, and a busy page may have missed it
                yield sketch or (*nothing, views.progress_html(moment))

    def handler(on: bool, *values: Any) -> Iterator[Any]:
        try:
            given = form.read(values, keep=True)
            if on and not primary.under_way() and given.get("mode") != "paper":
                yield from drawing(given)
                return
        except Stopped:  # stale
            return
        except ValueError:  # the button will say why it cannot be drawn
            pass
        yield *nothing, gr.skip()  # a run without a word empties all that it could change

    places = [1 + list(form.parts).index(name) for name in names]

    def ask(*now: Any) -> None:
        stops.ask(lambda begun: now != tuple(begun[place] for place in places))

    listen = partial(gr.on, moves, trigger_mode="always_last")
    inputs, outputs = [wanted, *form.inputs], [*outputs, export.last]
    wiring.compute(listen, handler, inputs, outputs, status, stops, progress="hidden")
    # A call that is put off makes Gradio repeat its whole event, the run with it: none is.
    gr.on(moves, ask, [form[name] for name in names], trigger_mode="multiple", **wiring.QUIET)
    buttons[0].click(lambda: stops.ask() and None, **wiring.QUIET)
