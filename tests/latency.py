"""How long a picture takes through the page: from a key or a brush to what is seen.

Start the studio (``python app.py``), let nothing else use its cores, then
``python -m tests.latency URL``. The browser runs beside the server and takes its part of them.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

from tests.demo.browser import hands
from tests.demo.conftest import chromium

REST = 2000  # milliseconds; until then everything is drawn in full, too
# Notes when the first picture changes after the last key or brush.
WATCH = """([place, event]) => {
  const stage = document.querySelector(place);
  let seen = null;
  const look = () => {
    const now = [...stage.querySelectorAll("img")].map((one) => one.src).join();
    if (now !== seen && window.since) window.took ??= performance.now() - window.since;
    seen = now;
  };
  look();
  new MutationObserver(look).observe(stage, { childList: true, subtree: true, attributes: true });
  document.addEventListener(event, () => {
    window.since = performance.now();
    window.took = null;
  }, true);
}"""


def measure(
    page: Any, place: str, event: str, act: Callable[[int], None], count: int
) -> list[float]:
    """Milliseconds from each ``event`` that ``act`` causes to another picture in ``place``."""
    page.evaluate(WATCH, [place, event])
    found = []
    for index in range(count + 1):  # the first warms up
        act(index)
        page.wait_for_timeout(REST)
        found.append(page.evaluate("window.took"))
    return found[1:]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a running studio")
    parser.add_argument("--count", type=int, default=10, help="of each")
    options = parser.parse_args()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(options.url)
        page.wait_for_selector("#generate-grid .keep, #generate-grid figure img")
        page.wait_for_timeout(3 * REST)
        page.get_by_label("1", exact=True).first.check()
        seed = page.locator(".seed [type=number]").first
        seed.focus()
        faces = measure(
            page, "#generate-grid", "keydown", lambda _: seed.press("ArrowUp"), options.count
        )
        hands.go(page, "Inpaint")
        page.wait_for_timeout(REST)
        box = page.locator("#inpaint-photo .sheet canvas").bounding_box()

        def stroke(index: int) -> None:
            y = box["y"] + box["height"] * (0.3 + 0.02 * index)
            page.mouse.move(box["x"] + 0.4 * box["width"], y)
            page.mouse.down()
            page.mouse.move(box["x"] + 0.6 * box["width"], y, steps=6)
            page.mouse.up()

        fills = measure(page, "#inpaint-fills .row", "pointerup", stroke, options.count)
    for what, found in (("one face, from the key", faces), ("one fill, from the brush", fills)):
        middle = statistics.median(found)
        print(f"{what}: {middle:.0f} ms, {min(found):.0f} to {max(found):.0f}")


if __name__ == "__main__":
    main()
