"""What follows a control: drafts, what they leave alone, what ends them."""

from __future__ import annotations

import gradio as gr
import pytest

from demo.tab import Studio
from demo.tabs import generate, interpolate
from tests.demo.studio import values_of


@pytest.fixture(scope="module")
def live(studio):
    """Of a tab: what a move of a control begins, and what it asks of an older run; by its label."""

    def built(module, label):
        with gr.Blocks() as page:
            module.build(Studio(studio[1], gr.Dropdown(["tiny"], value="tiny"), gr.Tab()))
        (control,) = (one for one in page.blocks.values() if getattr(one, "label", "") == label)
        heard = [block for block in page.fns.values() if (control._id, "input") in block.targets]
        (run,) = (block for block in heard if block.queue)
        (ask,) = (block for block in heard if block.fn and not block.queue)
        begin = lambda **changes: run.fn(*values_of(run, **changes))  # noqa: E731
        return begin, lambda **changes: ask.fn(*values_of(ask, **changes))

    return built


def says(moments):
    """What a run says, without the moments that change nothing; at least one there must be."""
    moments = list(moments)
    assert moments  # Gradio would empty all outputs
    pairs = zip(moments, [None, *moments], strict=False)
    news = [moment for moment, before in pairs if moment is not before]
    return [moment for moment in news if any(one != gr.skip() for one in moment)]


def test_a_draft_comes_first_and_leaves_export_recipe_and_buttons_to_the_result(live):
    begin, _ = live(generate, "Seed")
    (grid, drawn, export, line), last = says(begin(Seed=5))
    assert grid.count("<figure") == 4 and "data-action" not in grid and "data-final" not in grid
    assert drawn == export == gr.skip()
    assert "seed 5 · 3 evaluations" in line and "data-recipe" not in line
    grid, drawn, export, line = last
    assert "data-final" in grid and drawn.seed == export.report.seed == 5
    assert "seed 5 · 10 evaluations" in line and "data-recipe" in line


def test_the_seed_stays_though_a_new_one_is_wanted_each_time(live):
    begin, _ = live(generate, "Seed")
    *_, (_, drawn, _, _) = begin(**{"Seed": 6, "new each time": True})
    assert drawn.seed == 6


@pytest.mark.parametrize(
    "changes",
    [{"Draw as I turn it": False}, {"Mode": "paper"}, {"Seed": None}, {"Seed": -1}],
    ids=str,
)
def test_nothing_is_drawn_unasked_in_paper_mode_or_of_what_is_no_seed(live, changes):
    begin, _ = live(generate, "Seed")
    assert not says(begin(**{"Seed": 5, "new each time": False} | changes))


def test_a_newer_seed_ends_the_run_of_the_older_one(live, slow):
    begin, ask = live(generate, "Seed")
    moments = begin(Seed=5)
    next(moments)
    ask(Seed=5)  # its own
    next(moments)
    before = len(slow)
    ask(Seed=6)
    assert not list(moments) and len(slow) == before
    assert "seed 6" in list(begin(Seed=6))[-1][-1]


def test_another_start_has_no_draft(live):
    begin, _ = live(generate, "Seed")
    *quiet, last = begin(**{"Seed": 5, generate.OPERATION["start"].label: "noise"})
    assert "10 evaluations" in last[-1] and all(grid == gr.skip() for grid, *_ in quiet)


@pytest.mark.parametrize(("method", "drafts"), [("shared noise", 1), ("inversion", 0)])
def test_a_morph_has_a_draft_where_the_engine_has_an_instant(live, face_file, method, drafts):
    begin, _ = live(interpolate, "Frames")
    boxes = {letter: {"file": {"path": face_file}} for letter in ("A", "B")}
    *before, (_, strip, _, export, _) = begin(**boxes, Frames=3, How=method)
    films = {film for film, *_ in before if isinstance(film, str)}
    assert len(films) == drafts and strip is not None and export.report.method == method


def test_without_two_pictures_nothing_is_morphed(live):
    begin, _ = live(interpolate, "Frames")
    assert not says(begin(Frames=3))
