"""Handlers on the page: the one queue, bad input as a sentence, Run that becomes Stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import gradio as gr

from demo import media, views

log = logging.getLogger(__name__)
# Every handler that computes shares this: one run at a time on a small machine.
QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
# And every handler that only rearranges the page, this.
QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
OOPS = "Something went wrong on our side, and the run was given up; the studio goes on."


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


def attempt(work: Callable[..., Sequence[Any]], count: int) -> Callable[..., Sequence[Any]]:
    """A handler of ``count`` outputs, the last its status line, which says what went wrong.

    Everything else stays as it was.
    """

    def guarded(*values: Any) -> Sequence[Any]:
        try:
            with sentences():
                return work(*values)
        except gr.Error as error:
            return (*[gr.skip()] * (count - 1), views.error_html(str(error.message)))

    return guarded


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
            yield (*[gr.skip()] * (len(outputs) - 1), views.error_html(str(error.message)))

    return listen(
        guarded,
        inputs,
        outputs,
        show_progress="minimal",
        show_progress_on=status,
        api_visibility="private",
        **QUEUE,
    )


def run_buttons(text: str) -> tuple[gr.Button, gr.Button]:
    """The primary button of a tab and its Stop."""
    run = gr.Button(text, variant="primary", size="lg", elem_classes="run")
    stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_classes="run")
    return run, stop


def run_and_stop(
    buttons: tuple[gr.Button, gr.Button],
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
        buttons: The primary button, and its Stop, in its place while something runs.
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
    run, stop = buttons
    changing = [run, *beside, stop]

    def show_stop() -> list[Any]:
        return [gr.update(visible=button is stop) for button in changing]

    def show_run() -> list[Any]:
        return [gr.update(visible=button is not stop) for button in changing]

    def stopped() -> list[Any]:
        return [*show_run(), views.note_html("Stopped; what was drawn so far stays.")]

    mode = "multiple" if gone else "once"  # "once" would wait for a run that was given up
    events = []
    for listen, work in ((run.click, handler), *also):
        started = listen(show_stop, outputs=changing, **QUIET)
        then = partial(started.then, trigger_mode=mode)
        event = compute(then, work, inputs, outputs, status)
        for ended in (event.then, event.failure):  # `then` alone misses a full queue, a lost server
            ended(show_run, outputs=changing, **QUIET)
        events.append(event)
    for listen in gone:
        listen(show_run, outputs=changing, cancels=events, **QUIET)
    return stop.click(stopped, outputs=[*changing, status], cancels=events, **QUIET)
