"""The page as a whole: addresses, recipes, queue, keys, what is in sight, looks and weight."""

from __future__ import annotations

import base64
import re
import threading
from pathlib import Path

import pytest
from gradio_client import Client

from demo import page as studio_page
from demo import recipe as recipes
from demo import wiring
from tests.conftest import REPOSITORY
from tests.demo.browser import screenshots
from tests.demo.browser.conftest import DESKTOP, PHONE, watch
from tests.demo.browser.hands import (
    RUN,
    STOP,
    expect,
    go,
    idle,
    number,
    run,
    said,
    saved,
    set_number,
    set_seed,
    start,
    until,
)

AXE = REPOSITORY / "node_modules" / "axe-core" / "axe.min.js"
STICKY = ["Generate", "Evolution", "Translate", "2-D lab"]  # tabs made of `tab.go`
# Of Gradio's own components, which the page cannot change.
ALLOWED = {
    "label-content-name-mismatch": "the upload area says one thing and is called another",
}
CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
HARMLESS = [  # what differs from machine to machine
    "* { font-family: serif !important; }",
    "* { font-family: monospace !important; }",
    "html { font-size: 104% !important; }",
]
BREAKS = [
    ".controls { display: none !important; }",  # a lost column
    ".studio { flex-direction: column !important; }",
    ".stage { margin-left: -200px !important; }",  # a block over another
    ".stage { margin-top: -120px !important; }",
    "#header { display: none !important; }",
]
UNSTYLE = """() => {
  for (const sheet of document.styleSheets)
    sheet.disabled = [...sheet.cssRules].some((rule) => rule.cssText.includes(".faces"));
}"""
MEGABYTE = 1_000_000
# What Gradio serves by itself, whatever the page.
GRADIO = re.compile(r"/(assets|static|gradio_api/(info|heartbeat|startup-events)|theme\.css)")


# ---- addresses, links and recipes


def test_a_tab_has_an_address_to_link_to_to_go_back_to_and_to_find_again(visit, studio):
    page = visit("Generate")
    opened = page.locator("#tabs > .tab-wrapper [aria-selected=true]")
    go(page, "Evolution")
    expect(page).to_have_url(f"{studio[0]}#evolution")
    expect(page).to_have_title(re.compile("^Evolution · "))
    go(page, "Reimagine")
    page.go_back()
    expect(page).to_have_title(re.compile("^Evolution"))
    expect(opened).to_have_attribute("data-tab-id", "evolution")
    page.go_forward()
    expect(page).to_have_title(re.compile("^Reimagine"))
    page.reload()
    expect(page).to_have_title(re.compile("^Reimagine"))
    expect(opened).to_have_attribute("data-tab-id", "denoise")
    expect(page).to_have_url(re.compile("#denoise$"))
    page.goto(f"{studio[0]}?x=1#about")
    expect(page).to_have_title(re.compile("^About"))
    page.reload()
    expect(page).to_have_title(re.compile("^About"))
    go(page, "2-D lab")
    expect(page).to_have_url(re.compile(r"\?x=1#lab$"))  # parameters stay


@pytest.mark.usefixtures("no_traceback")
def test_a_link_sets_the_controls_and_a_dropped_picture_is_drawn_again(visit, studio, tmp_path):
    page = visit("About")
    page.goto(f"{studio[0]}?op=generate&seed=17&count=1&steps=2&model=tiny")
    said(page, "Recipe of generate, seed 17: press Generate")
    expect(page.get_by_label("Seed", exact=True).locator("visible=true")).to_have_value("17")
    start(page)
    said(page, "seed 17 · 2 evaluations")
    png = page.locator(".export:visible").get_by_text("PNG", exact=True)
    face = saved(page, png, tmp_path / "generate-17.png")

    page = visit("Reimagine")  # days later: it knows nothing of the picture
    drop(page, face)
    said(page, "Recipe of generate, seed 17")
    start(page)
    said(page, "same bytes")
    (tmp_path / "nonsense.json").write_text("nonsense")
    drop(page, tmp_path / "nonsense.json")
    expect(page.get_by_role("alert").filter(has_text=recipes.NONSENSE).first).to_be_visible()
    said(page, "same bytes")  # nothing is lost


def drop(page, path):
    """Drop a file on the page, beside all boxes."""
    kind = "image/png" if path.suffix == ".png" else "application/json"
    content = base64.b64encode(path.read_bytes()).decode()
    page.evaluate(
        """async ([content, name, type]) => {
          const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type }));
          const options = { dataTransfer, bubbles: true, cancelable: true };
          for (const kind of ["dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, options));
        }""",
        [content, path.name, kind],
    )


@pytest.mark.parametrize("visit", [CLIPBOARD], indirect=True)
def test_a_copied_link_opens_the_same_controls_for_somebody_else(visit, visitor):
    page = visit("Evolution")
    set_number(page, "Frames", 12)
    run(page, 23)
    page.get_by_role("button", name="copy link").locator("visible=true").click()
    link = page.evaluate("navigator.clipboard.readText()")
    other = visitor().new_page()
    other.goto(link)
    said(other, "Recipe of evolve, seed 23: press Evolve")
    expect(number(other, "Frames")).to_have_value("12")


# ---- the queue


@pytest.fixture
def held(studio):
    """A run whose first evaluation lasts until the test lets it go on."""
    entered, go_on = threading.Event(), threading.Event()

    def wait(*_):
        entered.set()
        go_on.wait(60)

    hook = studio[1].get("tiny").denoiser.register_forward_pre_hook(wait)
    yield entered, go_on
    go_on.set()
    hook.remove()


def test_who_waits_reads_how_long_and_stop_takes_back_the_place(visit, studio, held):
    page, (entered, go_on) = visit("Generate"), held
    job = Client(studio[0], verbose=False).submit(steps=2, api_name="/generate")
    until(page, entered.is_set)
    start(page)
    said(page, r"^1 visitor is before you(: about \d+ (s|min))?\.$")
    page.locator(STOP).click()
    said(page, wiring.WAITING)
    go_on.set()
    idle(page)
    job.cancel()
    start(page)  # and the next begins
    said(page, "seed .* evaluations")


# ---- keys


def test_a_question_mark_lists_the_keys_and_ctrl_enter_runs(visit):
    page = visit("Generate")
    keys = page.locator("#keys")
    seed = page.get_by_label("Seed", exact=True).locator("visible=true")
    seed.focus()
    page.keyboard.press("?")  # a letter where one types
    expect(keys).not_to_be_visible()
    page.locator("#generate-grid .picture").first.focus()
    page.keyboard.press("?")
    expect(keys).to_contain_text("Backspace")
    page.keyboard.press("Escape")
    expect(keys).not_to_be_visible()
    set_seed(page, 3)
    page.keyboard.press("Control+Enter")
    said(page, "seed 3 ")


# ---- what is in sight


@pytest.mark.parametrize("visit", [DESKTOP, PHONE], indirect=True)
def test_run_and_what_it_says_are_in_sight_on_every_tab_and_nothing_is_wider(visit):
    page = visit("Generate")
    size = page.viewport_size
    for tab in studio_page.TABS:
        go(page, tab)
        expect(page.locator("#tabs > .tab-wrapper [aria-selected=true]")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        if tab not in STICKY:
            continue
        for part in (page.locator(RUN), page.locator(".status-line:visible .status")):
            box = part.first.bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= size["height"], tab


# ---- for everybody


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is missing: npm ci brings it")
@pytest.mark.parametrize("visit", [{"reduced_motion": "reduce"}], indirect=True)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, scheme):
    page = visit("Generate", f"?__theme={scheme}")
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    for tab in studio_page.TABS:
        go(page, tab)
        assert found(page) == [], tab
    go(page, "Generate")
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


# ---- looks


@pytest.mark.parametrize("screen", screenshots.SCREENS)
def test_every_tab_looks_as_it_did(visitor, studio, screen):
    page = visitor(**screenshots.SCREENS[screen]).new_page()
    page.goto(studio[0])
    for name in screenshots.tabs(page):
        file = screenshots.LAYOUT / screen / f"{name}.webp"
        until(page, lambda file=file: screenshots.alike(screenshots.layout(page), file), name)


@pytest.mark.parametrize("visit", [{"reduced_motion": "reduce"}], indirect=True)
def test_a_broken_page_looks_different_and_another_font_does_not(visit):
    page = visit("Generate")
    whole = screenshots.layout(page)

    def apart(css):
        style = page.add_style_tag(content=css)
        found = screenshots.apart(screenshots.layout(page), whole)
        style.evaluate("one => one.remove()")
        return found

    assert max(apart(css) for css in HARMLESS) < 0.7 * screenshots.MOST
    assert min(apart(css) for css in BREAKS) > 1.4 * screenshots.MOST
    page.evaluate(UNSTYLE)
    assert screenshots.apart(screenshots.layout(page), whole) > 1.4 * screenshots.MOST


def test_the_committed_screenshots_are_light():
    files = [*screenshots.LAYOUT.rglob("*.webp"), *screenshots.DOCS.rglob("*.webp")]
    assert sum(file.stat().st_size for file in files) < 0.4 * MEGABYTE


# ---- what these tests themselves rest on


def test_what_goes_wrong_on_a_page_is_noted(browser, studio):
    context, faults = browser.new_context(), []
    watch(context, faults)
    page = context.new_page()
    page.route("**/aborted", lambda route: route.abort())
    page.goto(f"{studio[0]}robots.txt")
    page.evaluate(
        """() => {
          console.error("said aloud");
          fetch("/nowhere/at/all");
          fetch("/aborted").catch(() => {});
          fetch("http://127.0.0.1:1/").catch(() => {});
          setTimeout(() => nobody.knows());
        }"""
    )
    elsewhere = "Content Security Policy"  # the page asks nobody but its own server
    for words in ("said aloud", "404 .*nowhere", "ERR_.*aborted", elsewhere, "nobody is not"):
        until(page, lambda words=words: any(re.search(words, one) for one in faults), words)
    context.close()


# ---- weight


def test_little_of_ours_comes_before_the_first_picture(visitor, shipped, record_property):
    page = visitor().new_page()
    weights = weigh(page)
    page.goto(shipped)
    seconds = page.evaluate(
        """() => new Promise((resolve) => {
          const look = () => {
            const face = document.querySelector("#generate-grid img");
            face?.complete ? resolve(performance.now() / 1000) : requestAnimationFrame(look);
          };
          look();
        })"""
    )
    ours = {address: size for address, size in weights.items() if not GRADIO.search(address)}
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    facts = {
        "first contentful paint, s": round(paint / 1000, 2),
        "first picture, s": round(seconds, 2),
        "ours before it, kB": round(sum(ours.values()) / 1000),
        "Gradio's, kB": round((sum(weights.values()) - sum(ours.values())) / 1000),
    }
    for name, value in facts.items():
        record_property(name, value)
        print(f"{name}: {value}")
    for address, size in sorted(ours.items(), key=lambda one: -one[1])[:5]:
        print(f"{size / 1000:8.0f} kB  {address[:100]}")
    assert 0 < sum(ours.values()) < 1.5 * MEGABYTE


def weigh(page):
    """Bytes on the wire so far, by address: a dict that grows."""
    weights, addresses = {}, {}
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")

    def answered(event):
        addresses[event["requestId"]] = event["response"]["url"]

    def arrived(event):
        address = addresses.get(event["requestId"], "")
        if not address.startswith("http"):  # it came with something else
            return
        size = event["encodedDataLength"] or event["dataLength"]
        weights[address] = weights.get(address, 0) + size

    network.on("Network.responseReceived", answered)
    network.on("Network.dataReceived", arrived)
    return weights
