"""Stop: what it reaches, what it leaves behind."""

from __future__ import annotations

import gradio as gr
import pytest

from demo import views, wiring
from demo.runs import Stopped
from tests.demo.studio import computing


def parts(handler):
    """A page with one run: what a press begins, the run, what Stop asks, what takes the run out."""
    with gr.Blocks() as page:
        status, shown = gr.HTML(), gr.HTML()
        buttons = wiring.run_buttons("Run")
        wiring.run_and_stop(buttons, status, handler, [], [shown])
    (run,) = computing(page)
    targets = {block.targets[0]: block.fn for block in page.fns.values() if block.fn}
    (cancel,) = (block for block in page.fns.values() if block.cancels)
    press, ask = (targets[button._id, "click"] for button in buttons)
    assert cancel.cancels == [run._id] and cancel.targets == [(status._id, "clear")]
    return press, run.fn, ask, targets[status._id, "clear"]


def plain():
    """A handler that knows nothing of Stop."""
    for step in range(5):
        yield step, "going"


def careful():
    """One that makes something of what there is."""
    for step in range(5):
        try:
            yield step, "going"
        except Stopped:
            yield "kept", f"stopped at {step}"
            return


@pytest.mark.parametrize(
    ("handler", "shown", "line"),
    [
        (plain, gr.skip(), views.note_html("Stopped; what was drawn so far stays.")),
        (careful, "kept", "stopped at 1"),
    ],
)
def test_stop_ends_a_run_with_its_last_word(handler, shown, line):
    press, run, ask, _ = parts(handler)
    press()
    moments = run()
    assert [next(moments), next(moments)] == [(0, "going"), (1, "going")]
    update, said = ask()
    assert said == gr.skip()
    assert update["value"].startswith("Stopping") and not update["interactive"]
    assert list(moments) == [(shown, line)]
    assert list(run())[-1][-1] == "going"  # the next is not stopped


def test_stop_takes_a_run_out_of_the_queue_before_it_began():
    press, _, ask, taken_out = parts(plain)
    press()
    _, line = ask()
    assert wiring.WAITING in line and "data-clears" in line
    assert [button["visible"] for button in taken_out()] == [True, False]


def test_a_stop_that_comes_too_late_changes_nothing():
    press, run, ask, _ = parts(plain)
    press()
    assert len(list(run())) == 5
    assert ask()[1] == gr.skip()
    assert len(list(run())) == 5
