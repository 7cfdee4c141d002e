"""Generate: faces are drawn, looked at, kept apart by their seeds, saved and sent on."""

from __future__ import annotations

import re

import numpy as np
import pytest
from gradio_client import Client

from tests.demo.browser.conftest import PHONE
from tests.demo.browser.hands import (
    RUN,
    STOP,
    expect,
    idle,
    reach,
    run,
    runs_of,
    said,
    saved,
    set_seed,
    shown,
    start,
    type_keys,
    under_way,
    unfold,
)
from tests.demo.studio import pixels, recipe

GRID, FACES = "#generate-grid", "#generate-grid .faces"


def paper(page):
    """So that a run is long enough to be interrupted."""
    unfold(page, "Advanced")
    page.get_by_label("paper: Algorithm 1, 2,000 steps").locator("visible=true").check()


def captions(page):
    return page.locator(f"{GRID} figcaption span")


def test_faces_are_drawn_enlarged_found_again_and_saved_with_the_mouse(visit, tmp_path):
    page = visit("Generate")
    page.get_by_label("9", exact=True).check()
    run(page, 5)
    expect(captions(page)).to_have_text([f"seed {5 + i}" for i in range(9)])
    first = shown(page, FACES)
    page.locator(f"{GRID} .picture").nth(2).click()
    large = page.get_by_role("dialog", name="picture, large")
    expect(large).to_contain_text("seed 7")
    large.get_by_label("the next picture").click()
    expect(large).to_contain_text("seed 8")
    large.get_by_label("close").click()
    face = page.locator(f"{GRID} figure").nth(1)
    face.hover()
    file = saved(page, face.get_by_title("download"), tmp_path / "face.png")
    assert recipe(str(file))["seed"] == 5 and np.array_equal(pixels(str(file)), first[1])
    row = page.get_by_role("group", name="download").locator("visible=true")
    for kind in ("JPEG", "all as ZIP"):
        assert saved(page, row.get_by_text(kind), tmp_path / "files").read_bytes()[:2] == b"PK"
    page.get_by_label("1", exact=True).check()
    run(page, 6)
    (alone,) = shown(page, FACES)
    assert np.array_equal(alone, first[1])  # the face of a seed, in whatever company
    page.get_by_role("button", name="back to seed 5").click()
    expect(captions(page)).to_have_count(9)


def test_faces_are_drawn_enlarged_and_sent_on_with_the_keyboard(visit):
    page = visit("Generate")
    reach(page, page.get_by_label("1", exact=True))
    page.keyboard.press("Space")
    expect(page.get_by_label("1", exact=True)).to_be_checked()
    reach(page, page.get_by_label("Seed", exact=True).locator("visible=true"))
    type_keys(page, "Control+a", "7", "Control+Enter")
    said(page, "seed 7 ·")
    expect(captions(page)).to_have_text(["seed 7"])
    reach(page, page.locator(f"{GRID} .picture"))
    page.keyboard.press("Enter")
    large = page.get_by_role("dialog", name="picture, large")
    expect(large).to_be_visible()
    page.keyboard.press("Escape")
    expect(large).not_to_be_visible()
    reach(page, page.locator(f"{GRID} [data-action=inpaint]"))
    page.keyboard.press("Enter")
    expect(page).to_have_title("Inpaint · Schrödinger Bridge Studio")
    said(page, "Paint over what shall be new")


@pytest.mark.usefixtures("slow")
def test_stop_answers_at_once_says_where_and_the_next_run_begins(visit):
    page = visit("Generate")
    paper(page)
    start(page)
    under_way(page)
    page.locator(STOP).click()
    page.wait_for_function(
        "!document.querySelector('button.run.stop')?.checkVisibility() || "
        "document.querySelector('button.run.stop').textContent.includes('Stopping')",
        timeout=3000,
    )
    said(page, r"Stopped at step \d+ of 2,000")
    idle(page)
    expect(captions(page)).to_have_text([re.compile("^seed ")] * 4)
    assert page.locator(f"{GRID} [data-action=evolve]").count() == 4
    start(page)
    under_way(page)
    page.keyboard.press("Escape")
    said(page, r"Stopped at step \d+ of 2,000")
    page.get_by_label("fast", exact=True).locator("visible=true").check()
    run(page, 3)


@pytest.mark.parametrize("leave", ["reload", "close"])
def test_who_leaves_in_mid_run_frees_the_worker(visit, visitor, slow, leave):
    page = visit("Generate")
    other = visit("Generate", by=visitor())
    paper(page)
    start(page)
    under_way(page)
    getattr(page, leave)()
    begun = len(slow)
    run(other, 4)
    assert len(slow) - begun < 10 + 15  # of a face, and until it is noticed that nobody listens
    if leave == "reload":
        expect(page.locator(RUN)).to_be_visible()
        run(page, 5)


@pytest.mark.usefixtures("slow")
def test_two_visitors_at_once_each_get_their_own_faces(visit, visitor, studio):
    pages = [visit("Generate", by=visitor()) for _ in range(2)]
    for seed, page in zip((40, 60), pages, strict=True):
        set_seed(page, seed)
    for page in pages:
        start(page)
    client = Client(studio[0], verbose=False)
    for seed, page in zip((40, 60), pages, strict=True):
        said(page, f"seed {seed} ·")
        alone, _ = client.predict(count=4, seed=seed, api_name="/generate")
        expect(captions(page)).to_have_text([f"seed {seed + i}" for i in range(4)])
        for one, path in zip(shown(page, FACES), alone, strict=True):
            assert np.array_equal(one, pixels(path))


def test_a_typed_seed_stays_and_a_thrown_one_is_shown(visit):
    page = visit("Generate")
    seed = page.get_by_label("Seed", exact=True).locator("visible=true")
    die = page.get_by_label("new each time").locator("visible=true")
    expect(die).to_be_checked()
    for _ in range(2):
        run(page, 5)
    expect(captions(page).first).to_have_text("seed 5")
    expect(seed).to_have_value("5")
    die.check()
    start(page)
    said(page, r"seed (?!5 )\d+ ·")
    idle(page)
    expect(captions(page).first).to_have_text(f"seed {seed.input_value()}")


@pytest.mark.usefixtures("slow")
def test_faces_follow_the_seed_while_it_is_turned_and_what_is_stale_is_passed_over(visit):
    page = visit("Generate", live=True)
    set_seed(page, 20)
    said(page, "seed 20 · 3 evaluations")  # before it is drawn in full
    said(page, "seed 20 · 10 evaluations")
    begun = runs_of(page)
    for _ in range(10):
        page.keyboard.press("ArrowUp")
    expect(captions(page)).to_have_text(["drawing"] * 4)
    said(page, "seed 30 · 10 evaluations")
    expect(captions(page)).to_have_text([f"seed {30 + i}" for i in range(4)])
    assert len(begun) < 6
    # The example, 20 and 30: no draft, and none in between.
    expect(page.locator(".history button")).to_have_count(3)


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_on_a_phone_the_seed_is_turned_by_a_thumb(visit):
    page = visit("Generate", live=True)
    seed = page.get_by_label("Seed", exact=True).locator("visible=true")
    further = page.get_by_role("button", name="the next seed")
    further.tap()
    said(page, "seed 1 · 10 evaluations")
    further.dispatch_event("pointerdown")
    expect(seed).to_have_value(re.compile(r"^([4-9]|\d\d+)$"))  # it is held
    further.dispatch_event("pointerup")
    page.get_by_role("button", name="the seed before").tap()
    said(page, f"seed {seed.input_value()} · 10 evaluations")


def test_faces_are_drawn_in_an_instant(visit):
    page = visit("Generate")
    unfold(page, "Advanced")
    page.get_by_label("instant: two or three evaluations").locator("visible=true").check()
    expect(page.locator(".prose.price:visible")).to_contain_text("12 evaluations")
    run(page, 5)
    said(page, "seed 5 · 3 evaluations")


def test_a_seed_is_drawn_by_every_solver(visit):
    page = visit("Generate")
    unfold(page, "Steps and solvers, side by side")
    page.get_by_role("button", name="Draw this seed in every way").click()
    sheet = page.get_by_role("img", name="Steps and solvers")
    expect(sheet).to_be_visible()
    said(page, "20 evaluations")


def test_a_face_shown_large_can_be_sent_on_when_another_run_has_taken_its_place(visit):
    page = visit("Generate")
    run(page, 7)
    set_seed(page, 8)
    page.locator(f"{GRID} .picture").first.click()
    page.locator(RUN).dispatch_event("click")
    expect(captions(page).first).to_have_text("seed 8")
    page.get_by_role("dialog", name="picture, large").get_by_text("evolve").click()
    said(page, "Seed 7 is set; now press Evolve")


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_on_a_phone_a_tap_enlarges_a_face_and_its_buttons_stand_below(visit):
    page = visit("Generate")
    set_seed(page, 7)
    page.locator(RUN).tap()
    said(page, "seed 7 ·")
    page.locator(f"{GRID} .picture").first.tap()
    large = page.get_by_role("dialog", name="picture, large")
    large.get_by_role("button", name="evolve").tap()
    expect(page).to_have_title("Evolution · Schrödinger Bridge Studio")
    said(page, "Seed 7 is set; now press Evolve")
