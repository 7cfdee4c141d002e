"""Handlers on the page: the one queue, bad input as a sentence, Run that becomes Stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from demo import media, views
from demo.runs import Stopped
from demo.server.budget import BUDGET
from demo.server.queue import LISTENERS, QUEUE
from demo.server.turns import TURNS, Waiting
from demo.zero import on_gpu

log = logging.getLogger(__name__)
# Every handler that only rearranges the page, this. At each event Gradio walks its whole tree for
# every component that ever showed progress: the fewer do, the sooner an event is on its way.
QUIET = {
    "queue": False,
    "show_progress": "hidden",
    "show_progress_on": [],
    "api_visibility": "private",
}
WAITING = "Stopped before it began."
UNHEARD = "Nobody listened to this run any more, and it was ended."
OOPS = "Something went wrong on our side, and the run was given up; the studio goes on."


@contextmanager
def sentences() -> Iterator[None]:
    """Turn bad input into one sentence (`gr.Error`), and anything else into an apology."""
    try:
        yield
    except (gr.Error, Stopped):
        raise
    except (ValueError, media.MediaError) as error:
        raise gr.Error(sentence(error), print_exception=False) from error
    except Exception as error:
        log.exception("a run failed")
        raise gr.Error(OOPS, print_exception=False) from error


def sentence(error: object) -> str:
    """The message with a capital and a full stop; the engine's have neither."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


@contextmanager
def brief_session() -> Iterator[None]:
    """Forget what Gradio keeps of a caller who has no page: half a megabyte a call."""
    try:
        yield
    finally:
        page = LocalContext.blocks.get(None)
        sessions = page.state_holder.session_data if page and visitor() else {}
        if visitor() in sessions and not sessions[visitor()].state_data:
            sessions.pop(visitor())
            page.state_holder.time_last_used.pop(visitor(), None)


def shared(moments: Iterator[Any]) -> Iterator[Any]:
    """Hand on a run, in turns with others (`Turns.share`), as long as somebody listens."""
    request = LocalContext.request.get(None)
    names = {visitor(), LocalContext.event_id.get(None) or ""} if request else set()
    for moment in TURNS.share(moments, visitor(), BUDGET.check_seconds):
        if names and all(map(LISTENERS.silent, names)):
            raise gr.Error(UNHEARD, print_exception=False)
        yield moment


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
    stops: Stops | None = None,
    progress: str = "minimal",
) -> Any:
    """Wire a generator that computes: in the one queue, its last output the status line.

    Bad input becomes a sentence there; everything else stays as it was. So does Stop, unless the
    handler catches `Stopped` and makes something of what there is.
    """
    outputs = [*outputs, status]

    def said(line: str) -> tuple[Any, ...]:
        return (*[gr.skip()] * (len(outputs) - 1), line)

    @on_gpu
    def computing(*values: Any) -> Iterator[Any]:
        with sentences():
            yield from handler(*values)

    def guarded(*values: Any) -> Iterator[Any]:
        try:
            with sentences():
                moments = computing(*values)
                for moment in shared(stops.reach(moments, values) if stops else moments):
                    waits = isinstance(moment, Waiting)
                    yield said(views.waiting_html(moment)) if waits else moment
        except Stopped:
            yield said(views.note_html("Stopped; what was drawn so far stays."))
        except gr.Error as error:
            yield said(views.error_html(str(error.message)))

    return listen(
        guarded,
        inputs,
        outputs,
        show_progress=progress,
        show_progress_on=status,
        api_visibility="private",
        **QUEUE,
    )


class Stops:
    """Carries the Stop of a tab to the run that its visitor has begun there."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    def begin(self) -> None:
        """The visitor has pressed the primary button; the run waits for its turn."""
        self._runs[visitor()] = _Run()

    def ask(self, stale: Callable[[Sequence[Any]], bool] = lambda values: True) -> bool:
        """The visitor has pressed Stop: False where the run waits still.

        Args:
            stale: Says by the values that a run was begun with whether it is meant.
        """
        run = self._runs.get(visitor())
        if run is None:  # it has just ended
            return True
        run.asked = run.asked or stale(run.values)
        return run.begun

    def under_way(self) -> bool:
        """Whether the visitor has a run that has begun."""
        run = self._runs.get(visitor())
        return run is not None and run.begun

    def reach(self, moments: Iterator[Any], values: Sequence[Any] = ()) -> Iterator[Any]:
        """Hand on what a handler yields, and throw `Stopped` into it when that is asked for."""
        run = self._runs.setdefault(visitor(), _Run())
        run.begun, run.values, told = True, values, False
        try:
            moment = next(moments, None)
            while moment is not None:
                yield moment
                if run.asked and not told:
                    told, moment = True, moments.throw(Stopped())
                else:
                    moment = next(moments, None)
        except StopIteration:  # its last word was said already
            return
        finally:
            moments.close()
            self._runs.pop(visitor(), None)


@dataclass
class _Run:
    """Of one visitor on one tab."""

    begun: bool = False
    asked: bool = False
    values: Sequence[Any] = ()
    """What its handler was given."""


def visitor() -> str:
    """Who the event under way is from: their session."""
    request = LocalContext.request.get(None)
    return getattr(request, "session_hash", None) or ""


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
    stops: Stops | None = None,
) -> Stops:
    """Wire a primary button that becomes Stop while its generator runs; see `compute`.

    Stop takes effect within one evaluation, and at once where the run waits in the queue: then
    it is taken out.

    Args:
        buttons: The primary button, and its Stop, in its place while something runs.
        status: The status line.
        handler: Generator of the outputs and the status line.
        inputs: Of the handler.
        outputs: Of the handler.
        beside: Buttons that hide meanwhile.
        also: Further events that start a run, with their handlers.
        gone: Events after which the result of a run is no longer wanted.
        stops: Of another primary button with the same Stop.

    Returns:
        What carries Stop to the run.
    """
    run, stop = buttons
    changing, stops = [run, *beside, stop], stops or Stops()

    def show_stop() -> list[Any]:
        stops.begin()
        asking = gr.update(visible=True, value="Stop", interactive=True)
        return [asking if button is stop else gr.update(visible=False) for button in changing]

    def show_run() -> list[Any]:
        return [gr.update(visible=button is not stop) for button in changing]

    def ask() -> tuple[Any, Any]:
        waits = not stops.ask()
        stopping = gr.update(value="Stopping …", interactive=False)
        return stopping, views.note_html(WAITING, clears=True) if waits else gr.skip()

    mode = "multiple" if gone else "once"  # "once" would wait for a run that was given up
    events = []
    for listen, work in ((run.click, handler), *also):
        started = listen(show_stop, outputs=changing, **QUIET)
        then = partial(started.then, trigger_mode=mode)
        event = compute(then, work, inputs, outputs, status, stops)
        for ended in (event.then, event.failure):  # `then` alone misses a full queue, a lost server
            ended(show_run, outputs=changing, **QUIET)
        events.append(event)
    for listen in gone:
        listen(show_run, outputs=changing, cancels=events, **QUIET)
    stop.click(ask, outputs=[stop, status], **QUIET)
    status.clear(show_run, outputs=changing, cancels=events, **QUIET)
    return stops
