"""Translate: a drawn digit becomes letters and comes back; points of the plane go both ways."""

from __future__ import annotations

import numpy as np
import pytest

from tests.demo.browser.hands import (
    STOP,
    draw,
    evaluations,
    expect,
    idle,
    number,
    point,
    reach,
    said,
    saved,
    set_number,
    set_seed,
    shown,
    start,
    type_keys,
    under_way,
    unfold,
)
from tests.demo.studio import recipe
from tests.demo.tabs.test_translate import ink_file

PAD, GRID, PLAYER = "#translate-pad", "#translate-grid", "#translate-player"
STAGE, NUMBERS = "#pairs-stage", "#pairs-numbers"


def captions(page):
    return page.locator(f"{GRID} figcaption span")


def drawn(page, seed, count=3):
    """Outcomes and ways back of a seed are there."""
    said(page, f"seed {seed} ·")
    expect(captions(page)).to_have_count(2 * count)
    expect(captions(page).first).to_have_text(f"letter, seed {seed}")


def other(page, before):
    """Other outcomes than those before are there, and final."""
    page.wait_for_function(
        f"""before => {{
          const first = document.querySelector("{GRID} .faces[data-final] img");
          return first && first.src !== before;
        }}""",
        arg=before,
    )
    return page.locator(f"{GRID} img").first.get_attribute("src")


def test_a_digit_is_drawn_and_translated_there_and_back_with_the_mouse(visit, tmp_path):
    page = visit("Translate")
    set_seed(page, 5)
    canvas = page.locator(f"{PAD} .paper canvas")
    before = page.locator(f"{GRID} img").first.get_attribute("src")
    draw(page, canvas, (0.3, 0.2), (0.7, 0.2), (0.4, 0.8))
    drawn(page, 5)  # it runs when the hand rests
    seven = other(page, before)
    page.click(f"{PAD} >> text=clear")
    expect(page.locator(f"{PAD} .hint")).to_be_visible()
    said(page, "The square is empty: draw on it, or pick an example below it")
    page.get_by_label("digit 4").click()
    four = other(page, seven)
    set_number(page, "Outcomes", 2)
    set_seed(page, 9)
    start(page)
    drawn(page, 9, count=2)
    other(page, four)
    page.click(f"{PLAYER} [data-do=play]")
    expect(page.locator(f"{PLAYER} .caption")).to_contain_text("to a letter")
    point(page, page.locator(f"{PLAYER} input[type=range]"), 0.5)
    expect(page.locator(f"{PLAYER} .caption")).to_have_text("the letter")
    row = page.get_by_role("group", name="download").locator("visible=true")
    strip = saved(page, row.get_by_text("film strip"), tmp_path / "strip.png")
    assert recipe(str(strip))["parameters"]["count"] == 2


def test_a_digit_is_drawn_with_the_keyboard(visit):
    page = visit("Translate")
    before = page.locator(f"{GRID} img").first.get_attribute("src")
    reach(page, page.locator(f"{PAD} .paper canvas"))
    keys = ["Space", *["ArrowDown"] * 6, "Space", *["ArrowLeft"] * 4, "Space", "ArrowUp", "Space"]
    type_keys(page, "Backspace", *keys)
    first = other(page, before)
    type_keys(page, "Backspace")  # the second line is undone
    other(page, first)
    reach(page, page.get_by_role("button", name="digit 3"))
    page.keyboard.press("Enter")
    said(page, "seed 0 ·")


def test_the_other_direction_has_its_own_drawing_and_an_upload_is_seen(visit, tmp_path):
    page = visit("Translate")
    page.get_by_label("letters to digits").check()
    expect(captions(page).first).to_have_text("digit, seed 0")
    page.get_by_label("digits to letters").check()
    expect(captions(page).first).to_have_text("letter, seed 0")
    unfold(page, "A picture of your own")
    upload = page.locator("input[type=file]").locator("visible=true")
    page.get_by_test_id("file-upload").last.set_input_files(ink_file(tmp_path))
    said(page, "The picture is set; now press Translate")
    assert upload.count() >= 0
    before = shown(page, f"{GRID} .faces")[0]
    set_seed(page, 2)
    start(page)
    drawn(page, 2)
    assert not np.array_equal(shown(page, f"{GRID} .faces")[0], before)


@pytest.mark.usefixtures("slow")
def test_a_translation_is_stopped_and_run_again_and_a_new_drawing_ends_it(visit):
    page = visit("Translate")
    evaluations(page, 60)
    start(page)
    under_way(page)
    page.locator(STOP).click()
    said(page, "Stopped at step")
    idle(page)
    start(page)
    under_way(page)
    page.get_by_label("digit 1").click()
    idle(page)  # at once; the new one begins by itself
    page.locator(STOP).click()
    said(page, "Stopped at step")


def points(page):
    page.get_by_role("tab", name="Points in the plane").click()
    expect(page.locator(f"{STAGE} canvas").first).to_be_visible()
    said(page, "not trained yet")


def test_points_are_trained_both_ways_stopped_and_trained_again_with_the_mouse(visit):
    page = visit("Translate")
    points(page)
    unfold(page, "Advanced")
    set_number(page, "Training steps of a half-bridge", 50)
    set_number(page, "Iterations of a training", 1)
    start(page)
    said(page, r"dsbm, iteration \d")
    expect(page.locator(f"{NUMBERS} tbody tr")).to_have_count(2)  # an iteration and the floor
    idle(page)
    iteration = page.locator("#pairs-iteration input[type=range]")
    expect(iteration).to_be_enabled()
    point(page, iteration, 0)
    said(page, "dsbm, iteration 0")
    set_number(page, "Training steps of a half-bridge", 2000)
    start(page)
    said(page, "training · iteration 1 of 1")
    page.locator(STOP).click()
    said(page, "training stopped after")
    idle(page)


def test_points_are_trained_with_the_keyboard(visit):
    page = visit("Translate")
    reach(page, page.get_by_role("tab", name="Points in the plane"))
    page.keyboard.press("Enter")
    said(page, "not trained yet")
    reach(page, page.get_by_role("button", name="Advanced").locator("visible=true"))
    page.keyboard.press("Enter")
    reach(page, number(page, "Training steps of a half-bridge"))
    type_keys(page, "Control+a", "1", "0", "Control+Enter")
    said(page, r"dsbm, iteration \d")
