"""What a visitor does on any tab, and sees there; each waits until it is so."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

MOST_TABS = 150  # presses of the Tab key before something counts as out of reach
RUN, STOP = "button.run.primary:visible", "button.run.stop:visible"
FILE = "input[type=file]:not(.mask-file)"
SHEET = ".sheet canvas"


def expect(*args: Any) -> Any:
    """Playwright's; imported late, for it may not be installed."""
    from playwright.sync_api import expect

    return expect(*args)


def go(page: Any, tab: str) -> None:
    """Open a tab, and wait for its example."""
    page.get_by_role("tab", name=tab, exact=True).click()
    expect(page.locator(".status-line:visible .status")).to_contain_text(re.compile(r"\w"))


# ---- runs


def said(page: Any, words: str) -> None:
    """The status line says it."""
    expect(page.locator(".status-line:visible .status")).to_contain_text(re.compile(words))


def idle(page: Any) -> None:
    """The primary button is there to be pressed."""
    expect(page.locator(RUN)).to_be_enabled()


def start(page: Any) -> None:
    """Begin a run, with the mouse."""
    page.locator(RUN).click()


def under_way(page: Any) -> None:
    """A run has its turn: the status line shows how far it is."""
    expect(page.locator(".status-line:visible [role=progressbar]")).to_be_visible()


def stop(page: Any) -> None:
    """Press Stop, once it is there, and wait until the tab is at rest."""
    page.locator(STOP).click()
    idle(page)


def set_seed(page: Any, seed: int) -> None:
    """Type a seed; from then on it stays."""
    page.get_by_label("Seed", exact=True).locator("visible=true").fill(str(seed))
    expect(page.get_by_label("new each time").locator("visible=true")).not_to_be_checked()


def number(page: Any, label: str) -> Any:
    """The field of a slider."""
    return page.get_by_label(f"number input for {label}").locator("visible=true")


def set_number(page: Any, label: str, value: int) -> None:
    """Type it until the slider moves there: a field that has just unfolded may not be ready."""
    slider = page.get_by_label(f"range slider for {label}").locator("visible=true")

    def moved() -> bool:
        number(page, label).fill(str(value))
        return slider.input_value() == str(value)

    until(page, moved, f"{label} {value}")


def run(page: Any, seed: int) -> None:
    """Run with a seed, to the end."""
    set_seed(page, seed)
    start(page)
    said(page, f"seed {seed} ·")
    idle(page)


def evaluations(page: Any, count: int) -> None:
    """Let runs take so many: with `slow` long enough to be interrupted."""
    if not number(page, "Network evaluations").count():
        unfold(page, "Advanced")
    set_number(page, "Network evaluations", count)


def runs_of(page: Any) -> list[str]:
    """The runs that the page begins from now on: a list that grows."""
    begun: list[str] = []
    page.on("request", lambda one: "queue/join" not in one.url or begun.append(one.url))
    return begun


def until(page: Any, true: Callable[[], Any], what: str = "") -> None:
    """Look again and again, at what only Python can see."""
    for _ in range(100):
        if true():
            return
        page.wait_for_timeout(100)
    pytest.fail(f"it does not come to that: {what}")


# ---- the keyboard


def reach(page: Any, target: Any) -> None:
    """Move the focus to an element by the Tab key alone."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("one => one === document.activeElement"):
            return
    pytest.fail(f"{target} cannot be reached by Tab")


def type_keys(page: Any, *keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys:
        page.keyboard.press(key)


# ---- pictures and files


def shown(page: Any, selector: str) -> list[np.ndarray]:
    """Pixels of the pictures that are seen, whatever their recipe says."""
    addresses = page.locator(f"{selector} img").evaluate_all("all => all.map(one => one.src)")
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(a.split(",")[1])))) for a in addresses
    ]


def saved(page: Any, press: Any, path: Path) -> Path:
    """Where a download lies that a press begins."""
    with page.expect_download() as download:
        press.click()
    download.value.save_as(path)
    return path


def unfold(page: Any, title: str) -> None:
    """Open an accordion."""
    page.get_by_role("button", name=title).locator("visible=true").click()


# ---- the photo box


def bring(page: Any, box: str, path: Path) -> None:
    """Choose a file, and wait until it is in the box."""
    page.set_input_files(f"{box} {FILE}", str(path))
    expect(page.locator(f"{box} .sees span")).to_contain_text("enlarged")


def press(page: Any, box: str, label: str) -> None:
    """Press a tool of a box."""
    page.click(f'{box} button[aria-label="{label}"]')


def sight(box: str) -> str:
    """JavaScript: a number that stands for what the canvas of a box shows."""
    return f"""() => {{
      const canvas = document.querySelector("{box} {SHEET}");
      return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
        .reduce((sum, value, index) => (sum * 31 + value * (index % 7)) % 1000003, 7);
    }}"""


def changes(page: Any, box: str, before: int) -> None:
    """The canvas of a box shows something else than it did."""
    page.wait_for_function(f"before => ({sight(box)})() !== before", arg=before)


def point(page: Any, slider: Any, share: float) -> None:
    """Move a slider with the mouse."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    x = box["x"] + 2 + share * (box["width"] - 4)
    page.mouse.click(x, box["y"] + box["height"] / 2)


def shows(page: Any, box: str, value: int) -> None:
    """The canvas of a box shows again what it did."""
    page.wait_for_function(f"value => ({sight(box)})() === value", arg=value)


def draw(page: Any, canvas: Any, *points: tuple[float, float]) -> None:
    """A line with the mouse; points in parts of the canvas."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()
