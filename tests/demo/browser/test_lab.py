"""2-D lab: a distribution is chosen or drawn, networks are trained, particles are watched."""

from __future__ import annotations

import pytest

from tests.demo.browser.hands import (
    RUN,
    STOP,
    draw,
    expect,
    idle,
    number,
    point,
    reach,
    said,
    set_number,
    start,
    type_keys,
    unfold,
)

STAGE, NUMBERS, CURVES = "#lab-stage", "#lab-numbers", "#lab-curves"
TRUTH, OTHER = f"{STAGE} .truth", f"{STAGE} .run"


def caption(page):
    return page.locator(f"{STAGE} .caption")


def advanced(page):
    unfold(page, "Advanced")
    return number(page, "Seconds of training")


def test_a_distribution_is_chosen_varied_and_watched_with_the_mouse(visit):
    page = visit("2-D lab")
    page.get_by_label("Two moons").check()
    said(page, "seed 0 · 20 evaluations")
    set_number(page, "Network evaluations", 5)
    page.keyboard.press("Tab")
    said(page, "seed 0 · 5 evaluations")
    page.get_by_label("paper: Algorithm 1").check()
    said(page, "Now press Run the particles")
    page.get_by_label("density ratio as printed").check()
    set_number(page, "N1", 4)
    set_number(page, "N2", 4)
    page.get_by_role("button", name="Run the particles").click()
    said(page, "8 evaluations|left every bound|diverged")
    page.get_by_label("fast", exact=True).locator("visible=true").check()
    said(page, "5 evaluations")
    page.click(f"{STAGE} >> text=velocity arrows")
    expect(page.locator(f"{STAGE} .key")).to_be_visible()
    point(page, page.locator(f"{STAGE} input[type=range]"), 0.5)
    expect(caption(page)).to_contain_text("noise")
    expect(page.locator(f"{NUMBERS} table")).to_contain_text("sliced W2")


def test_a_distribution_is_drawn_undone_and_trained_on_with_the_mouse(visit):
    page = visit("2-D lab")
    page.get_by_label("Draw one").check()
    said(page, "Draw on the left square")
    canvas = page.locator(f"{TRUTH} canvas")
    draw(page, canvas, (0.3, 0.3), (0.7, 0.7))
    said(page, "seed 0 · 20 evaluations")
    page.locator(TRUTH).get_by_text("undo").click()
    said(page, "Draw on the left square")
    draw(page, canvas, (0.3, 0.7), (0.5, 0.3), (0.7, 0.7))
    said(page, "seed 0 · 20 evaluations")
    start(page)
    expect(page.locator(f"{CURVES} svg").first).to_be_visible()
    page.locator(STOP).click()
    said(page, "training stopped early")
    expect(page.get_by_label("learned", exact=True)).to_be_checked()
    expect(page.locator(f"{OTHER} .name")).to_have_text("learned networks")


def test_a_distribution_is_drawn_and_trained_on_with_the_keyboard(visit):
    page = visit("2-D lab")
    reach(page, page.get_by_label("Draw one"))
    page.keyboard.press("Space")
    expect(page.get_by_label("Draw one")).to_be_checked()
    said(page, "Draw on the left square")
    reach(page, page.locator(f"{TRUTH} canvas"))
    type_keys(page, "Space", *["ArrowRight"] * 5, *["ArrowUp"] * 5, "Space")
    said(page, "seed 0 · 20 evaluations")
    reach(page, page.locator(f"{OTHER} canvas"))
    page.keyboard.press("Home")
    expect(caption(page)).to_contain_text("every particle starts at the same point")
    page.keyboard.press("End")
    expect(caption(page)).to_have_text("end of stage 2: the data")
    reach(page, advanced(page))
    type_keys(page, "Control+a", "1", "Control+Enter")
    said(page, "trained in 1 s")


def test_a_training_is_stopped_with_what_it_has_learned_and_begun_again(visit):
    page = visit("2-D lab")
    start(page)
    said(page, r"training · \d+ s left · [1-9]")
    page.locator(STOP).click()
    said(page, "training stopped early")
    idle(page)
    expect(page.get_by_label("learned", exact=True)).to_be_checked()
    page.get_by_label("Two rings").check()
    said(page, "The networks were trained on six Gaussians.*train again")
    seconds = advanced(page)
    seconds.fill("1")  # fewer than its slider has
    seconds.press("Control+Enter")
    said(page, "trained in 1 s")


def test_a_training_whose_page_is_closed_makes_room(visit, visitor):
    page, other = visit("2-D lab"), visit("Generate", by=visitor())
    start(page)
    said(page, r"training · \d+ s left")
    page.close()
    other.locator(RUN).click()
    said(other, r"seed \d+ · 10 evaluations")


@pytest.mark.parametrize("visit", [{"reduced_motion": "reduce"}], indirect=True)
def test_particles_rest_where_motion_is_unwelcome(visit):
    page = visit("2-D lab")
    expect(caption(page)).to_have_text("end of stage 2: the data")
    play = page.locator(f"{STAGE} [data-do=play]")
    expect(play).to_have_text("▶ play")
    play.click()  # but they move when they are asked to
    expect(play).to_have_text("❚❚ pause")


def test_particles_play_by_themselves_elsewhere(visit):
    page = visit("2-D lab")
    expect(page.locator(f"{STAGE} [data-do=play]")).to_have_text("❚❚ pause")
    expect(caption(page)).to_have_text("end of stage 2: the data")
