"""About: the method on one screen, its card and licences, by mouse, keyboard and on a phone."""

from __future__ import annotations

import pytest

from demo.tabs import about
from tests.demo.browser.conftest import PHONE
from tests.demo.browser.hands import expect, reach, said, unfold

FOLDED = {
    "The model": "comes without a card",
    "Licences": "Apache-2.0",
    "Cite": "@inproceedings",
    "What leaves your computer": "nothing leaves it",
}


def test_the_drawing_and_its_states_are_there_and_equations_are_set(visit):
    page = visit("About")
    said(page, rf"Above: {about.PATHS} of {about.PARTICLES:,} particles of Algorithm 1")
    expect(page.locator("#about-drawing svg")).to_be_visible()
    expect(page.locator("#about-drawing .states img")).to_have_count(len(about.STATES))
    expect(page.locator(".about .katex").first).to_be_visible()
    assert "$" not in page.locator(".about .piece").all_inner_texts()[0]


def test_what_is_folded_opens_with_the_mouse_and_closes_with_the_keyboard(visit):
    page = visit("About")
    for title, words in FOLDED.items():
        text = page.locator(".about").get_by_text(words).last
        expect(text).not_to_be_visible()
        unfold(page, title)
        expect(text).to_be_visible()
        reach(page, page.get_by_role("button", name=title))
        page.keyboard.press("Enter")
        expect(text).not_to_be_visible()


@pytest.mark.parametrize("visit", [PHONE], indirect=True)
def test_on_a_phone_equations_scroll_and_the_page_does_not(visit):
    page = visit("About")
    expect(page.locator("#about-drawing svg")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
