"""Evolution: a particle on its way is watched, forwards and backwards, and saved."""

from __future__ import annotations

import pytest

from tests.demo.browser.hands import (
    STOP,
    expect,
    idle,
    point,
    reach,
    run,
    said,
    saved,
    set_number,
    shown,
    start,
    type_keys,
    under_way,
    unfold,
)
from tests.demo.studio import recipe

PLAYER = "#evolution-player"
FIRST = "stage 1, t = 0: every particle starts at the same point"
MIDDLE, LAST = "end of stage 1: a picture deep in noise", "end of stage 2: a picture"


def caption(page):
    return page.locator(f"{PLAYER} .caption")


def test_a_way_is_drawn_played_scrubbed_and_saved_with_the_mouse(visit, tmp_path):
    page = visit("Evolution")
    set_number(page, "Frames", 8)
    run(page, 5)
    time = page.locator(f"{PLAYER} input[type=range]")
    expect(time).to_have_attribute("max", "7")
    expect(caption(page)).to_have_text(LAST)
    point(page, time, 0)
    expect(caption(page)).to_have_text(FIRST)
    (particle,) = shown(page, f"{PLAYER} .screen")
    assert particle.std() == 0
    page.click(f"{PLAYER} >> text=what the network believes")
    (belief,) = shown(page, f"{PLAYER} .screen")
    assert belief.std() > 0
    page.select_option(f"{PLAYER} select", "2")
    page.click(f"{PLAYER} [data-do=play]")
    expect(caption(page)).to_have_text(LAST)  # it has come to its end
    page.click(f"{PLAYER} [data-do=back]")
    expect(caption(page)).not_to_have_text(LAST)
    strip = page.get_by_role("link", name="download the strip").locator("visible=true")
    assert recipe(str(saved(page, strip, tmp_path / "strip.png")))["seed"] == 5
    films = page.get_by_role("group", name="download").locator("visible=true")
    gif = saved(page, films.get_by_text("GIF"), tmp_path / "film.gif")
    assert gif.read_bytes().startswith(b"GIF89a")


def test_a_way_is_drawn_and_walked_with_the_keyboard(visit):
    page = visit("Evolution")
    reach(page, page.get_by_label("Seed", exact=True).locator("visible=true"))
    type_keys(page, "Control+a", "9", "Control+Enter")
    said(page, "seed 9 ·")
    idle(page)
    reach(page, page.locator(f"{PLAYER} .screen img"))
    page.keyboard.press("Home")
    expect(caption(page)).to_have_text(FIRST)
    page.keyboard.press("ArrowRight")
    expect(caption(page)).to_contain_text("stage 1, t = 0.")
    page.keyboard.press("End")
    expect(caption(page)).to_have_text(LAST)
    page.keyboard.press("l")
    expect(page.locator(f"{PLAYER} [data-do=loop]")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    expect(page.locator(f"{PLAYER} [data-do=play]")).to_have_text("❚❚ pause")
    expect(caption(page)).to_contain_text(MIDDLE)
    page.keyboard.press("Space")
    expect(page.locator(f"{PLAYER} [data-do=play]")).to_have_text("▶ play")


@pytest.mark.usefixtures("slow")
def test_a_way_that_is_stopped_shows_how_far_it_came_and_the_next_begins(visit):
    page = visit("Evolution")
    unfold(page, "Advanced")
    page.get_by_label("paper: Algorithm 1, 2,000 steps").locator("visible=true").check()
    start(page)
    under_way(page)
    page.locator(STOP).click()
    said(page, "Stopped at step")
    expect(caption(page)).to_contain_text("stage 1")
    page.get_by_label("fast", exact=True).locator("visible=true").check()
    run(page, 2)
    expect(caption(page)).to_have_text(LAST)


def test_a_face_of_generate_has_its_way_here(visit):
    page = visit("Generate")
    face = page.locator("#generate-grid figure").nth(3)
    face.hover()
    face.get_by_title("evolve").click()
    said(page, "Seed 31 is set; now press Evolve")
    start(page)
    said(page, "seed 31 ·")
    (last,) = shown(page, f"{PLAYER} .screen")
    page.get_by_role("tab", name="Generate", exact=True).click()
    assert last.shape == shown(page, "#generate-grid .faces")[3].shape
