"""The page as a visitor has it, in a browser: addresses, Stop, seeds, keys, what is in sight."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from demo import wiring
from demo.page import TABS
from tests.conftest import REPOSITORY

AXE = REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
NAMES = [module.__name__.rsplit(".", 1)[-1] for module in TABS.values()]
SCREENS = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
WAIT = 30_000  # milliseconds: the machine may be busy
STICKY = ["generate", "evolution", "translate", "lab"]  # tabs made of `tab.go`
# Of Gradio's own components, which the page cannot change.
ALLOWED = {
    "label-content-name-mismatch": "the upload area says one thing and is called another",
}


@pytest.fixture(params=["desktop"])
def page(request, browser, studio):
    """The page, on a screen of a certain size; what goes wrong in it fails the test."""
    page, errors = browser.new_page(viewport=SCREENS[request.param]), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(WAIT)
    page.goto(studio[0])
    page.wait_for_selector("#generate-grid img")
    yield page
    page.close()
    assert not [one for one in errors if "WebGL" not in one]


def open_tab(page, name):
    page.click(f"#tabs > .tab-wrapper [data-tab-id={name}]")


def status(page):
    """The status line of the tab that is open."""
    return page.locator(".status-line:visible .status")


def run_button(page, kind="primary"):
    return page.locator(f"button.run.{kind}:visible")


def said(page, words):
    """Wait for words in the status line."""
    status(page).filter(has_text=re.compile(words)).wait_for()


# ---- addresses


def test_a_tab_has_an_address_to_link_to_to_go_back_to_and_to_find_again(page, studio):
    opened = page.locator("#tabs > .tab-wrapper [aria-selected=true]")
    open_tab(page, "evolution")
    assert page.url == f"{studio[0]}#evolution" and page.title().startswith("Evolution · ")
    open_tab(page, "denoise")
    page.go_back()
    page.wait_for_function("document.title.startsWith('Evolution')")
    assert opened.get_attribute("data-tab-id") == "evolution"
    page.go_forward()
    page.reload()
    page.wait_for_function("document.title.startsWith('Reimagine')")
    assert opened.get_attribute("data-tab-id") == "denoise" and page.url.endswith("#denoise")
    page.goto(f"{studio[0]}?x=1#about")
    page.reload()
    page.wait_for_function("document.title.startsWith('About')")
    open_tab(page, "lab")
    assert page.url.endswith("?x=1#lab")  # parameters stay


# ---- Stop


@pytest.mark.usefixtures("slow")
def test_stop_answers_at_once_says_where_and_leaves_usable_pictures(page):
    page.get_by_text("Advanced").first.click()
    page.get_by_label("paper: Algorithm 1, 2,000 steps").first.check()
    run_button(page).click()
    said(page, r"step \d+ of 2,000")
    run_button(page, "stop").click()
    page.wait_for_function(
        "!document.querySelector('button.run.stop')?.checkVisibility() || "
        "document.querySelector('button.run.stop').textContent.includes('Stopping')",
        timeout=500,
    )
    said(page, r"Stopped at step \d+ of 2,000")
    run_button(page).wait_for()
    page.wait_for_timeout(1000)  # nothing comes after it
    assert "Stopped at step" in status(page).inner_text()
    captions = page.locator("#generate-grid figcaption span").all_inner_texts()
    assert len(captions) == 4 and all(text.startswith("seed ") for text in captions)
    assert page.locator("#generate-grid [data-action=evolve]").count() == 4


def test_who_waits_reads_how_long_and_stop_takes_back_the_place(page, client, slow):
    job = client.submit(steps=2000, api_name="/generate")
    while len(slow) < 5:
        page.wait_for_timeout(50)
    run_button(page).click()
    line = page.locator(".waiting:visible")
    line.filter(has_text=re.compile(r"^1 visitor is before you: about \d+ (s|min)\.$")).wait_for()
    run_button(page, "stop").click()
    said(page, wiring.WAITING)
    run_button(page).wait_for()
    job.cancel()
    run_button(page).click()  # and the next begins
    said(page, "seed .* evaluations")


# ---- seeds


def test_a_typed_seed_stays_and_a_thrown_one_is_shown(page):
    seed, die = page.get_by_label("Seed").first, page.get_by_label("new each time").first
    assert die.is_checked()
    seed.fill("5")
    page.wait_for_function("!document.querySelector('.seed input[type=checkbox]').checked")
    first = page.locator("#generate-grid figcaption span").first
    for _ in range(2):
        run_button(page).click()
        said(page, "seed 5 ")
        run_button(page).wait_for()
    assert first.inner_text() == "seed 5" and seed.input_value() == "5"
    die.check()
    run_button(page).click()
    said(page, r"seed (?!5 )\d+")
    run_button(page).wait_for()
    assert first.inner_text() == f"seed {seed.input_value()}"


# ---- keys


def test_a_question_mark_lists_the_keys_and_ctrl_enter_runs(page):
    keys = page.locator("#keys")
    seed = page.get_by_label("Seed").first
    seed.focus()
    page.keyboard.press("?")  # a letter where one types
    assert not keys.is_visible()
    page.locator("#generate-grid .picture").first.focus()
    page.keyboard.press("?")
    assert keys.is_visible() and "Backspace" in keys.inner_text()
    page.keyboard.press("Escape")
    assert not keys.is_visible()
    seed.fill("3")
    page.wait_for_function("!document.querySelector('.seed input[type=checkbox]').checked")
    page.keyboard.press("Control+Enter")
    said(page, "seed 3 ")


# ---- what is in sight


@pytest.mark.parametrize("page", ["desktop", "phone"], indirect=True)
def test_run_and_what_it_says_are_in_sight_on_every_tab_and_nothing_is_wider(page):
    size = page.viewport_size
    for name in NAMES:
        open_tab(page, name)
        assert page.locator("#tabs > .tab-wrapper [aria-selected=true]").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        if name not in STICKY:
            continue
        for part in (run_button(page), status(page)):
            box = part.first.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"], name


# ---- for everybody


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is missing: npm ci brings it")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, studio, scheme):
    page.goto(f"{studio[0]}?__theme={scheme}")
    page.wait_for_selector("#generate-grid img")
    page.emulate_media(reduced_motion="reduce")  # no colour on its way to another
    page.add_script_tag(content=Path(AXE).read_text(encoding="utf-8"))
    for name in NAMES:
        open_tab(page, name)
        page.wait_for_timeout(300)
        assert found(page) == [], name
    open_tab(page, "generate")
    for opens in ("[data-open=keys]", "#generate-grid .picture"):
        page.locator(opens).first.click()
        assert found(page) == [], opens
        page.keyboard.press("Escape")


def found(page):
    """What is critical or serious, and not allowed."""
    options = "{resultTypes: ['violations'], selectors: false, elementRef: true, xpath: false}"
    result = page.evaluate(f"axe.run(document, {options})")
    return [
        (one["id"], node["html"][:200])
        for one in result["violations"]
        if one["impact"] in ("critical", "serious") and one["id"] not in ALLOWED
        for node in one["nodes"]
    ]
