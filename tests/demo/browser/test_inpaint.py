"""Inpaint: a photo is brought in, painted, filled, kept, taken back, and still there later."""

from __future__ import annotations

import json
from typing import Any

import pytest
from PIL import Image

from tests.demo.browser import hands
from tests.demo.browser.conftest import PHONE
from tests.demo.browser.hands import (
    RUN,
    SHEET,
    changes,
    draw,
    evaluations,
    expect,
    idle,
    reach,
    said,
    saved,
    start,
    stop,
    under_way,
    until,
)
from tests.demo.studio import recipe

BOX, FILLS = "#inpaint-photo", "#inpaint-fills"
VALUE = hands.sight(BOX)


def bring(page: Any, path: Any) -> None:
    expect(page.locator(f"{FILLS} .keep").first).to_be_visible()  # the example
    hands.bring(page, BOX, path)


def press(page: Any, label: str) -> None:
    hands.press(page, BOX, label)


def ready(page: Any, name: str) -> None:
    """Take a ready mask."""
    page.click(f"{BOX} .masks >> text={name}")


def fill(page: Any) -> None:
    """Press Fill, and wait for fills that can be kept."""
    label = page.locator(f"{FILLS} .actions span").first
    before = label.inner_text() if label.count() else ""
    start(page)
    page.wait_for_function(
        f"""before => {{
          const label = document.querySelector("{FILLS} .actions span");
          return label && label.textContent !== before;
        }}""",
        arg=before,
    )
    idle(page)


def area(page: Any) -> int:
    """Pixels of the mask that the page would save."""
    with page.expect_download() as download:
        press(page, "save the mask as PNG")
    with Image.open(download.value.path()) as mask:
        return sum(mask.convert("L").histogram()[128:])


def stroke(page: Any) -> None:
    draw(page, page.locator(f"{BOX} {SHEET}"), (0.45, 0.5), (0.55, 0.52))


def test_a_photo_is_painted_filled_kept_and_saved_at_its_own_size(visit, photo_file, tmp_path):
    page = visit("Inpaint")
    bring(page, photo_file)
    assert "No face was found" in page.inner_text(f"{BOX} .message")
    stroke(page)
    fill(page)
    said(page, "0 of 120,000 pixels changed outside the mask")
    seen = page.evaluate(VALUE)
    page.locator(f"{FILLS} .pick").nth(1).click()  # another fill in the photo
    changes(page, BOX, seen)
    page.locator(f"{FILLS} .keep").nth(1).click()
    expect(page.locator(f"{FILLS} .keep")).to_have_count(0)
    until(page, lambda: not area(page))  # the patch is sent to the server first
    photo = page.locator(".export:visible").get_by_text("photo as PNG")
    saved(page, photo, tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as edited, Image.open(photo_file) as original:
        assert edited.size == original.size
        differ = [a != b for a, b in zip(edited.getdata(), original.getdata(), strict=True)]
    assert 0 < sum(differ) < 60_000
    facts = recipe(tmp_path / "photo.png")
    assert facts["operation"] == "inpaint" and facts["parameters"]["crop"]["side"] == 300
    press(page, "undo (Ctrl+Z)")  # the picture before, its mask again
    until(page, lambda: area(page))


def test_a_mask_outlives_a_run_a_reload_and_a_change_of_tab(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    stroke(page)
    fill(page)
    assert area(page)
    page.get_by_role("tab", name="Generate", exact=True).click()
    page.get_by_role("tab", name="Inpaint", exact=True).click()
    assert area(page)
    page = visit("Inpaint")
    page.wait_for_selector(f"{BOX} .sees span:has-text('enlarged')")
    page.wait_for_function(f"document.querySelector('{FILLS} .keep')")
    assert area(page)


@pytest.mark.usefixtures("slow")
def test_a_mask_outlives_a_stop_and_is_filled_by_the_next_run(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    ready(page, "centre")
    evaluations(page, 60)
    start(page)
    under_way(page)
    stop(page)
    said(page, "Stopped")
    marked = area(page)
    start(page)
    under_way(page)
    page.keyboard.press("Escape")
    idle(page)
    assert area(page) == marked


def test_a_reload_in_mid_run_frees_the_worker_and_keeps_photo_and_mask(visit, photo_file, slow):
    page = visit("Inpaint")
    bring(page, photo_file)
    ready(page, "centre")
    evaluations(page, 60)
    start(page)
    under_way(page)
    page = visit("Inpaint")
    expect(page.locator(f"{BOX} .sees span")).to_contain_text("enlarged")
    begun = len(slow)
    fill(page)
    assert len(slow) - begun < 2 * 10
    assert area(page)


def test_what_was_wiped_away_is_asked_for_and_comes_back(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    stroke(page)
    press(page, "clear mask")
    start(page)
    said(page, "Nothing is marked yet")
    press(page, "undo (Ctrl+Z)")
    until(page, lambda: area(page))
    fill(page)


def test_a_stroke_is_filled_at_once_and_the_next_takes_its_place(visit, photo_file, slow):
    page = visit("Inpaint", live=True)
    bring(page, photo_file)
    tile, before = page.locator(f"{FILLS} .pick"), len(slow)
    stroke(page)
    expect(tile).to_have_accessible_name("fill under way")
    assert len(slow) - before < 13  # two evaluations, and the full quality is under way
    draw(page, page.locator(f"{BOX} {SHEET}"), (0.4, 0.4), (0.6, 0.4))
    expect(page.locator(f"{FILLS} .keep")).to_have_count(1)
    said(page, r"seed \d+ · 10 evaluations")
    assert len(slow) - before < 2 * 13  # the first stroke was not drawn to its end
    press(page, "clear mask")  # nothing is left to fill, and nothing is said
    page.wait_for_timeout(500)
    said(page, r"seed \d+ · 10 evaluations")
    fills = len(slow)
    page.get_by_label("Fill as I paint").uncheck()
    stroke(page)
    page.wait_for_timeout(1000)
    assert len(slow) == fills


def test_fill_ends_what_a_stroke_began(visit, photo_file, slow):
    page = visit("Inpaint", live=True)
    bring(page, photo_file)
    stroke(page)
    expect(page.locator(f"{FILLS} .pick")).to_have_accessible_name("fill under way")
    start(page)
    expect(page.locator(f"{FILLS} .keep")).to_have_count(3)


def test_from_the_open_page_to_a_fill_with_the_keyboard_alone(visit):
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")
    reach(page, page.locator(f"{BOX} {SHEET}"))
    for key in ("ArrowUp", "Space", "ArrowRight", "Space", "Shift+ArrowDown"):
        page.keyboard.press(key)
    expect(page.locator(f"{BOX} .spoken")).to_have_text("row 10, column 10, painted")
    before = page.inner_text(f"{FILLS} .actions span >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_function(
        f"before => document.querySelector('{FILLS} .actions span')?.textContent !== before"
        f" && document.querySelector('{FILLS} .keep')",
        arg=before,
    )


def test_masks_are_changed_saved_loaded_and_taken_back(visit, photo_file, tmp_path):
    page = visit("Inpaint")
    bring(page, photo_file)

    ready(page, "centre")
    centre = area(page)
    assert abs(centre - 150 * 150) < 400
    press(page, "grow mask")
    grown = area(page)
    assert grown > 1.1 * centre
    press(page, "shrink mask")
    assert abs(area(page) - centre) < 0.05 * centre
    press(page, "invert mask")
    assert abs(area(page) - (300 * 300 - centre)) < 0.03 * 90_000
    inverted = area(page)
    save = page.locator(f'{BOX} button[aria-label="save the mask as PNG"]')
    with Image.open(saved(page, save, tmp_path / "mask.png")) as mask:
        assert mask.size == (400, 300)
    press(page, "clear mask")
    page.set_input_files(f"{BOX} .mask-file", str(tmp_path / "mask.png"))
    until(page, lambda: abs(area(page) - inverted) < 50)
    for _ in range(5):
        seen = page.evaluate(VALUE)
        press(page, "undo (Ctrl+Z)")
        changes(page, BOX, seen)
    assert abs(area(page) - centre) < 0.01 * centre  # the outline is drawn anew


def test_the_square_is_moved_turned_and_sized_by_keys_and_numbers(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    press(page, "move the square (C)")
    page.locator(f"{BOX} .sheet canvas").focus()
    page.click(f"{BOX} summary")
    page.locator(f"{BOX} .sheet canvas").focus()
    for key in ("ArrowRight", ".", "-"):
        page.keyboard.press(key)
    numbers = {
        name: float(page.input_value(f"{BOX} .numbers input[name={name}]"))
        for name in ("x", "y", "side", "angle")
    }
    assert numbers["x"] > 200 and numbers["angle"] == 1 and numbers["side"] < 300
    page.fill(f"{BOX} .numbers input[name=angle]", "-30")
    page.keyboard.press("Enter")
    page.fill(f"{BOX} .numbers input[name=x]", "9999")  # stays in the photo
    page.keyboard.press("Enter")
    assert float(page.input_value(f"{BOX} .numbers input[name=x]")) == 400


def test_a_face_of_the_studio_is_sent_painted_on_filled_and_remembered(visit):
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")
    seen = page.evaluate(VALUE)
    page.locator("#inpaint-samples .picture").nth(3).click()
    changes(page, BOX, seen)
    page.wait_for_function(f"!document.querySelector('{FILLS} .keep')")  # of the face before
    ready(page, "mouth")
    fill(page)
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")
    until(page, lambda: area(page))


def test_a_photo_that_is_taken_out_is_forgotten(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    press(page, "take the photo out of the box")
    page.wait_for_selector(f"{BOX} .empty:visible")
    start(page)
    said(page, "There is no picture")
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")  # the example again
    assert page.inner_text(f"{BOX} .sees span") == "What the model sees."


def test_a_file_that_is_no_picture_is_refused_beside_the_box_and_nothing_is_lost(
    visit, photo_file, tmp_path
):
    page = visit("Inpaint")
    bring(page, photo_file)
    ready(page, "centre")
    seen = page.evaluate(VALUE)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    Image.new("RGB", (6, 300), "red").save(tmp_path / "tiny.png")  # a browser can show it
    for name, words in (("broken.png", "cannot be read"), ("tiny.png", "too small")):
        page.set_input_files(f"{BOX} input[type=file]:not(.mask-file)", str(tmp_path / name))
        page.wait_for_selector(f"{BOX} .message:has-text('{words}')")
    page.wait_for_function(f"seen => ({VALUE})() === seen", arg=seen)
    assert area(page)
    fill(page)


def test_a_recipe_restores_square_mask_and_bytes(visit, photo_file, tmp_path):
    page = visit("Inpaint")
    bring(page, photo_file)
    stroke(page)
    fill(page)
    photo = page.locator(".export:visible").get_by_text("photo as PNG")
    saved(page, photo, tmp_path / "edited.png")
    facts = recipe(tmp_path / "edited.png")
    (tmp_path / "recipe.json").write_text(json.dumps(facts))
    press(page, "clear mask")
    page.set_input_files("#recipe input[type=file]", str(tmp_path / "recipe.json"))
    said(page, "Recipe of inpaint")
    until(page, lambda: area(page))
    start(page)
    said(page, "same bytes")


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_on_a_phone_a_finger_paints_and_the_button_is_under_the_thumb(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    page.locator(f"{BOX} {SHEET}").tap()
    until(page, lambda: area(page))
    page.locator(RUN).tap()
    said(page, "0 of 120,000 pixels changed outside the mask")
