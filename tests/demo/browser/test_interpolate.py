"""Interpolate: two faces or three become a film, which is scrubbed, compared and put back."""

from __future__ import annotations

import pytest

from tests.demo.browser.hands import (
    bring,
    changes,
    expect,
    idle,
    number,
    point,
    press,
    reach,
    runs_of,
    said,
    saved,
    set_number,
    shows,
    sight,
    start,
    stop,
    type_keys,
    under_way,
    unfold,
)
from tests.demo.studio import recipe

A, B, C = "#interpolate-a", "#interpolate-b", "#interpolate-c"
PLAYER, PLACED = "#interpolate-player", "#interpolate-placed"


def caption(page):
    return page.locator(f"{PLAYER} .caption")


def test_two_faces_are_chosen_swapped_morphed_and_saved_with_the_mouse(visit, tmp_path):
    page = visit("Interpolate")
    a, b = page.evaluate(sight(A)), page.evaluate(sight(B))
    page.get_by_role("button", name="Swap A and B").click()
    changes(page, A, a)
    changes(page, B, b)
    b = page.evaluate(sight(B))
    page.locator("#interpolate-samples figure").nth(4).get_by_text("B").click()
    changes(page, B, b)
    said(page, "Picture B is set; now press Interpolate")
    set_number(page, "Frames", 5)
    start(page)
    said(page, r"PSNR at A \d+ dB, at B \d+ dB")
    idle(page)
    time = page.locator(f"{PLAYER} input[type=range]")
    expect(time).to_have_attribute("max", "4")
    point(page, time, 1)
    expect(caption(page)).to_have_text("100 % of B")
    page.click(f"{PLAYER} [data-do=back]")
    expect(caption(page)).to_have_text("75 % of B")
    strip = page.get_by_role("link", name="download the strip").locator("visible=true").first
    assert recipe(str(saved(page, strip, tmp_path / "strip.png")))["frames"] == 5


def test_two_faces_are_chosen_and_morphed_with_the_keyboard(visit):
    page = visit("Interpolate")
    a = page.evaluate(sight(A))
    sample = page.locator("#interpolate-samples figure").nth(2)
    reach(page, sample.get_by_role("button", name="A", exact=True))
    page.keyboard.press("Enter")
    changes(page, A, a)
    reach(page, number(page, "Frames"))
    type_keys(page, "Control+a", "3", "Control+Enter")
    expect(page.locator(f"{PLAYER} input[type=range]")).to_have_attribute("max", "2")
    idle(page)
    reach(page, page.locator(f"{PLAYER} .screen img"))
    page.keyboard.press("Home")
    expect(caption(page)).to_have_text("0 % of B")
    page.keyboard.press("ArrowRight")
    expect(caption(page)).to_have_text("50 % of B")


def test_a_third_picture_and_a_face_in_the_photo_that_it_came_from(visit, photo_file, tmp_path):
    page = visit("Interpolate")
    unfold(page, "A third picture")
    expect(page.locator(f"{C} .empty")).to_be_visible()
    bring(page, A, photo_file)
    plain = page.evaluate(sight(A))
    page.set_input_files(f"{C} input[type=file]", str(photo_file))
    said(page, "Picture C is set")
    set_number(page, "Frames", 5)
    start(page)
    said(page, r"at A \d+ dB, at B \d+ dB, at C \d+ dB")
    idle(page)
    unfold(page, "In photo A")
    page.get_by_role("button", name="Put this face into photo A").click()
    said(page, "frame 3 of 5, in photo A")
    page.locator(f"{PLACED} .keep").click()
    undo = page.locator(f'{A} [aria-label="undo (Ctrl+Z)"]')
    expect(undo).to_be_enabled()
    changes(page, A, plain)
    undo.click()
    shows(page, A, plain)
    press(page, A, "redo (Ctrl+Shift+Z)")
    changes(page, A, plain)
    photo = page.get_by_role("group", name="download").locator("visible=true")
    saved(page, photo.get_by_text("photo as JPEG"), tmp_path / "photo.jpg")


def test_a_picture_that_is_taken_out_is_missed_by_name(visit):
    page = visit("Interpolate")
    press(page, B, "take the photo out of the box")
    expect(page.locator(f"{B} .empty")).to_be_visible()
    start(page)
    said(page, "Picture B is missing: upload one, or send a face here")
    page.locator("#interpolate-samples figure").nth(1).get_by_text("B").click()
    start(page)
    said(page, "PSNR at A")


@pytest.mark.usefixtures("slow")
def test_a_morph_is_stopped_and_drawn_again(visit):
    page = visit("Interpolate")
    set_number(page, "Frames", 33)
    start(page)
    under_way(page)
    stop(page)
    said(page, "Stopped at step")
    set_number(page, "Frames", 3)
    start(page)
    said(page, r"^seed 0 · 30 evaluations")


def test_three_ways_stand_below_each_other(visit):
    page = visit("Interpolate")
    set_number(page, "Frames", 3)
    unfold(page, "Three ways, one below the other")
    page.get_by_role("button", name="Compare the three ways").click()
    expect(page.get_by_role("img", name="Three ways")).to_be_visible()


def test_faces_of_other_tabs_become_a_and_b(visit):
    page = visit("Generate")
    page.get_by_role("tab", name="Interpolate", exact=True).click()
    expect(page.locator("#interpolate-samples img")).to_have_count(8)
    a = page.evaluate(sight(A))
    page.get_by_role("tab", name="Generate", exact=True).click()
    face = page.locator("#generate-grid figure").nth(6)
    face.hover()
    face.get_by_title("use as A").click()
    said(page, "Picture A is set; now press Interpolate")
    changes(page, A, a)
    page.get_by_role("tab", name="Inpaint", exact=True).click()
    b = page.evaluate(sight(B))
    page.locator("#inpaint-fills").get_by_text("use as B").first.click()
    said(page, "Picture B is set; now press Interpolate")
    changes(page, B, b)


@pytest.mark.usefixtures("slow")
def test_a_morph_follows_the_sliders_and_stays_at_its_frame(visit):
    page = visit("Interpolate", live=True)
    point(page, page.locator(f"{PLAYER} input[type=range]"), 1)
    expect(caption(page)).to_have_text("100 % of B")
    unfold(page, "Advanced")
    begun = runs_of(page)
    page.get_by_label("range slider for Noise of the paper's way").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_label("The paper's, with noise")).to_be_checked()
    said(page, "seed 0 · 3 evaluations")
    said(page, "seed 0 · 10 evaluations")
    assert len(begun) < 6
    expect(caption(page)).to_have_text("100 % of B")
    set_number(page, "Frames", 5)
    expect(page.locator(f"{PLAYER} input[type=range]")).to_have_attribute("max", "4")
    expect(caption(page)).to_have_text("100 % of B")
