"""The photo component in a browser: brought in, painted, filled, kept, and still there later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.demo.studio import recipe

BOX, FILLS = "#inpaint-photo", "#inpaint-fills"
VALUE = f"""() => {{
  const canvas = document.querySelector("{BOX} .sheet canvas");
  return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
    .reduce((sum, value, index) => (sum * 31 + value * (index % 7)) % 1000003, 7);
}}"""  # of what the canvas shows


def bring(page: Any, path: Path, box: str = BOX) -> None:
    """Choose a file, and wait for the square on it."""
    page.wait_for_selector(f"{FILLS} .keep")  # the example
    page.set_input_files(f"{box} input[type=file]:not(.mask-file)", str(path))
    page.wait_for_selector(f"{box} .sees span:has-text('enlarged')")


def press(page: Any, label: str) -> None:
    page.click(f'{BOX} button[aria-label="{label}"]')


def fill(page: Any) -> None:
    """Press Fill, and wait for fills that can be kept."""
    before = page.inner_text(f"{FILLS} .actions span >> nth=0") if painted(page, FILLS) else ""
    page.click("button.run:visible")
    page.wait_for_function(
        f"""before => {{
          const label = document.querySelector("{FILLS} .actions span");
          return label && label.textContent !== before;
        }}""",
        arg=before,
    )


def painted(page: Any, selector: str) -> int:
    return page.locator(f"{selector} .keep").count()


def has_mask(page: Any) -> bool:
    """Whether the mask that the page would save marks anything."""
    with page.expect_download() as download:
        press(page, "save the mask as PNG")
    with Image.open(download.value.path()) as mask:
        return mask.convert("L").getextrema()[1] > 0


def wait_for_mask(page: Any, there: bool) -> None:
    """A patch that is kept is sent to the server first, and an undone mask is read from a PNG."""
    for _ in range(40):
        if has_mask(page) is there:
            return
        page.wait_for_timeout(250)
    pytest.fail(f"the mask is {'not yet' if there else 'still'} there")


def stroke(page: Any) -> None:
    box = page.locator(f"{BOX} .sheet canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x - 20, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 10, steps=4)
    page.mouse.up()


def test_a_photo_is_painted_filled_kept_and_saved_at_its_own_size(visit, photo_file, tmp_path):
    page = visit("Inpaint")
    bring(page, photo_file)
    assert "No face was found" in page.inner_text(f"{BOX} .message")
    stroke(page)
    fill(page)
    assert "0 of 120,000 pixels changed outside the mask" in page.inner_text(".status:visible")
    seen = page.evaluate(VALUE)
    page.locator(f"{FILLS} .pick").nth(1).click()  # another fill in the photo
    page.wait_for_function(f"seen => ({VALUE})() !== seen", arg=seen)
    page.locator(f"{FILLS} .keep").nth(1).click()
    page.wait_for_function(f"!document.querySelector('{FILLS} .keep')")
    wait_for_mask(page, False)
    with page.expect_download() as download:
        page.click(".export:visible >> text=photo as PNG")
    download.value.save_as(tmp_path / "photo.png")
    with Image.open(tmp_path / "photo.png") as saved, Image.open(photo_file) as original:
        assert saved.size == original.size
        differ = [a != b for a, b in zip(saved.getdata(), original.getdata(), strict=True)]
    assert 0 < sum(differ) < 60_000
    facts = recipe(tmp_path / "photo.png")
    assert facts["operation"] == "inpaint" and facts["parameters"]["crop"]["side"] == 300
    press(page, "undo (Ctrl+Z)")  # the picture before, its mask again
    wait_for_mask(page, True)


def test_a_mask_outlives_a_run_a_reload_and_a_change_of_tab(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    stroke(page)
    fill(page)
    assert has_mask(page)
    page.get_by_role("tab", name="Generate", exact=True).click()
    page.get_by_role("tab", name="Inpaint", exact=True).click()
    assert has_mask(page)
    page = visit("Inpaint")
    page.wait_for_selector(f"{BOX} .sees span:has-text('enlarged')")
    page.wait_for_function(f"document.querySelector('{FILLS} .keep')")
    assert has_mask(page)


@pytest.mark.usefixtures("slow")
def test_a_mask_outlives_a_stop(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    page.click(f"{BOX} .masks >> text=centre")
    page.click("button.run:visible")
    page.click("button.run:visible:has-text('Stop')")
    page.wait_for_selector("button.run:visible:has-text('Fill')")
    assert has_mask(page)


def test_from_the_open_page_to_a_fill_with_the_keyboard_alone(visit):
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches('{BOX} .sheet canvas')"):
            break
    else:
        pytest.fail("the canvas cannot be reached by Tab")
    for key in ("ArrowUp", "Space", "ArrowRight", "Space", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert page.text_content(f"{BOX} .spoken") == "row 10, column 10, painted"
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

    def area() -> int:
        with page.expect_download() as download:
            press(page, "save the mask as PNG")
        download.value.save_as(tmp_path / "mask.png")
        with Image.open(tmp_path / "mask.png") as mask:
            assert mask.size == (400, 300)
            return sum(mask.convert("L").histogram()[128:])

    page.click(f"{BOX} .masks >> text=centre")
    centre = area()
    assert abs(centre - 150 * 150) < 400
    press(page, "grow mask")
    grown = area()
    assert grown > 1.1 * centre
    press(page, "shrink mask")
    assert abs(area() - centre) < 0.05 * centre
    press(page, "invert mask")
    assert abs(area() - (300 * 300 - centre)) < 0.03 * 90_000
    inverted = area()
    press(page, "clear mask")
    page.set_input_files(f"{BOX} .mask-file", str(tmp_path / "mask.png"))
    page.wait_for_timeout(300)
    assert abs(area() - inverted) < 50
    for _ in range(5):
        press(page, "undo (Ctrl+Z)")
        page.wait_for_timeout(100)
    assert abs(area() - centre) < 0.01 * centre  # the outline is drawn anew


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
    page.wait_for_function(f"seen => ({VALUE})() !== seen", arg=seen)
    page.wait_for_function(f"!document.querySelector('{FILLS} .keep')")  # of the face before
    page.click(f"{BOX} .masks >> text=mouth")
    fill(page)
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")
    wait_for_mask(page, True)


def test_a_photo_that_is_taken_out_is_forgotten(visit, photo_file):
    page = visit("Inpaint")
    bring(page, photo_file)
    press(page, "take the photo out of the box")
    page.wait_for_selector(f"{BOX} .empty:visible")
    page.click("button.run:visible")
    page.wait_for_selector(".status.error:visible:has-text('There is no picture')")
    page = visit("Inpaint")
    page.wait_for_selector(f"{FILLS} .keep")  # the example again
    assert page.inner_text(f"{BOX} .sees span") == "What the model sees."


def test_a_file_that_is_no_picture_is_refused_beside_the_box_and_nothing_is_lost(
    visit, photo_file, tmp_path
):
    page = visit("Inpaint")
    bring(page, photo_file)
    page.click(f"{BOX} .masks >> text=centre")
    seen = page.evaluate(VALUE)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    Image.new("RGB", (6, 300), "red").save(tmp_path / "tiny.png")  # a browser can show it
    for name, words in (("broken.png", "cannot be read"), ("tiny.png", "too small")):
        page.set_input_files(f"{BOX} input[type=file]:not(.mask-file)", str(tmp_path / name))
        page.wait_for_selector(f"{BOX} .message:has-text('{words}')")
    page.wait_for_function(f"seen => ({VALUE})() === seen", arg=seen)
    assert has_mask(page)
    fill(page)


def test_a_recipe_restores_square_mask_and_bytes(visit, photo_file, tmp_path):
    page = visit("Inpaint")
    bring(page, photo_file)
    stroke(page)
    fill(page)
    with page.expect_download() as download:
        page.click(".export:visible >> text=photo as PNG")
    download.value.save_as(tmp_path / "edited.png")
    facts = recipe(tmp_path / "edited.png")
    (tmp_path / "recipe.json").write_text(json.dumps(facts))
    press(page, "clear mask")
    page.set_input_files("#recipe input[type=file]", str(tmp_path / "recipe.json"))
    page.wait_for_selector(".status:visible:has-text('Recipe of inpaint')")
    page.wait_for_timeout(500)
    assert has_mask(page)
    page.click("button.run:visible")
    page.wait_for_selector(".badge:visible:has-text('same bytes')")
