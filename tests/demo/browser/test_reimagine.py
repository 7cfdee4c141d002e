"""Reimagine: a photo is perturbed and restored, cleaned, kept, taken back and sent on."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.demo.browser.hands import (
    STOP,
    bring,
    changes,
    evaluations,
    expect,
    idle,
    number,
    press,
    reach,
    run,
    said,
    saved,
    set_number,
    shows,
    sight,
    start,
    type_keys,
    under_way,
    unfold,
)
from tests.demo.studio import recipe

BOX, PAIR, GRID = "#denoise-photo", "#denoise-pair", "#denoise-grid"


def labels(page):
    return page.locator(f"{GRID} .actions span")


def noise(page):
    return number(page, "Noise to add")


def test_a_photo_is_restored_kept_taken_back_and_saved_with_the_mouse(visit, photo_file, tmp_path):
    page = visit("Reimagine")
    bring(page, BOX, photo_file)
    said(page, "The picture is set; now press Reimagine")
    plain = page.evaluate(sight(BOX))
    page.get_by_role("button", name="more", exact=True).click()
    expect(noise(page)).to_have_value("0.2")
    set_number(page, "Restorations", 2)
    run(page, 5)
    expect(labels(page)).to_have_text(["seed 5", "seed 6"])
    expect(page.locator(PAIR)).to_contain_text("noise, variance 0.2")
    first = page.evaluate(sight(BOX))
    page.locator(f"{GRID} .pick").nth(1).click()
    changes(page, BOX, first)
    page.locator(f"{GRID} .keep").nth(1).click()
    expect(page.locator(f"{GRID} .keep")).to_have_count(0)
    undo = page.locator(f'{BOX} [aria-label="undo (Ctrl+Z)"]')
    expect(undo).to_be_enabled()
    changes(page, BOX, plain)
    row = page.get_by_role("group", name="download").locator("visible=true")
    photo = saved(page, row.get_by_text("photo as PNG"), tmp_path / "photo.png")
    assert recipe(str(photo))["operation"] == "denoise"
    with Image.open(photo) as edited, Image.open(photo_file) as original:
        assert edited.size == original.size and edited.tobytes() != original.tobytes()
    undo.click()
    shows(page, BOX, plain)
    press(page, BOX, "redo (Ctrl+Shift+Z)")
    changes(page, BOX, plain)


def test_a_face_is_chosen_and_restored_with_the_keyboard(visit):
    page = visit("Reimagine")
    before = page.evaluate(sight(BOX))
    reach(page, page.locator("#denoise-samples .picture").nth(4))
    page.keyboard.press("Enter")
    changes(page, BOX, before)
    said(page, "The picture is set; now press Reimagine")
    reach(page, noise(page))
    type_keys(page, "Control+a", "1", "Control+Enter")
    said(page, r"seed \d+ · 10 evaluations")
    expect(page.locator(PAIR)).to_contain_text("noise, variance 1")
    idle(page)
    reach(page, page.locator(f"{GRID} .keep").first)
    page.keyboard.press("Enter")
    expect(page.locator(f"{GRID} .keep")).to_have_count(0)


def test_a_noisy_photo_is_measured_and_cleaned(visit, photo_file):
    page = visit("Reimagine")
    bring(page, BOX, photo_file)
    page.get_by_label("It is noisy: clean it").check()
    expect(noise(page)).to_have_count(0)  # none is added
    run(page, 3)
    expect(page.locator(PAIR)).to_contain_text("as it is, noise of")
    unfold(page, "The way of the first")
    expect(page.locator("#denoise-player .screen img")).to_be_visible()
    page.get_by_label("Add noise, then restore").check()
    expect(noise(page)).to_be_visible()


def test_a_photo_that_is_taken_out_is_missed(visit, photo_file):
    page = visit("Reimagine")
    bring(page, BOX, photo_file)
    press(page, BOX, "take the photo out of the box")
    expect(page.locator(f"{BOX} .empty")).to_be_visible()
    start(page)
    said(page, "There is no picture")
    bring(page, BOX, photo_file)
    run(page, 4)


@pytest.mark.usefixtures("slow")
def test_a_restoration_is_stopped_and_run_again(visit):
    page = visit("Reimagine")
    evaluations(page, 60)
    start(page)
    under_way(page)
    page.locator(STOP).click()
    said(page, "Stopped at step")
    evaluations(page, 2)
    run(page, 2)


def test_restorations_go_to_other_tabs_and_come_back(visit):
    page = visit("Reimagine")
    page.locator(GRID).get_by_text("inpaint").first.click()
    expect(page).to_have_title("Inpaint · Schrödinger Bridge Studio")
    said(page, "Paint over what shall be new")
    page.get_by_role("tab", name="Reimagine", exact=True).click()
    page.locator(GRID).get_by_text("reimagine this").nth(1).click()
    said(page, "The picture is set; now press Reimagine")
    run(page, 8)
