"""Screenshots of the page, drawn again by ``python -m tests.demo.browser.screenshots``.

Two kinds. Those in ``layout`` show every tab with the tiny models, their pictures flattened: tests
compare the page with them, loosely. Those in ``docs`` show what the shipped models draw: the
README has them.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from demo.page import TABS
from tests.conftest import REPOSITORY
from tests.demo.browser.conftest import DESKTOP, PHONE, checkpoints_in
from tests.demo.browser.hands import go
from tests.demo.conftest import chromium
from tests.demo.studio import serving

LAYOUT, DOCS = Path(__file__).parent / "layout", REPOSITORY / "docs"
STILL = {"reduced_motion": "reduce"}
SCREENS = {
    "desktop": DESKTOP | STILL,
    "dark": DESKTOP | STILL | {"color_scheme": "dark"},
    "phone": PHONE | STILL,
}
README = ("Inpaint",)
FLAT = "img, canvas { filter: contrast(0); }"  # faces become grey, and stay where they are
SET = """() => [...document.querySelectorAll(".piece")].every((one) =>
  !one.checkVisibility() || !one.textContent.includes("$$"))"""  # equations
BLOCK = 30  # pixels: what is compared are the means of blocks
SHRUNK = 3  # times, what is committed
SLACK = 12  # levels of 255 by which a mean may differ from those around it
MOST = 0.05  # of all blocks may differ by more


def shoot(page: Any, **options: Any) -> Image.Image:
    """What is in sight."""
    return Image.open(io.BytesIO(page.screenshot(animations="disabled", **options)))


def layout(page: Any) -> Image.Image:
    """The same grey and small, without its pictures."""
    page.evaluate("document.fonts.ready")
    return shoot(page, style=FLAT).convert("L").reduce(SHRUNK)


def tabs(page: Any) -> Iterator[str]:
    """Open every tab: the names of their files."""
    for tab, module in TABS.items():
        go(page, tab)
        page.wait_for_function(SET)
        yield module.__name__.rsplit(".", 1)[-1]


def settled(page: Any) -> Image.Image:
    """The layout once it has come to rest."""
    before, seen = layout(page), layout(page)
    while apart(before, seen):
        before, seen = seen, layout(page)
    return seen


def apart(one: Image.Image, another: Image.Image) -> float:
    """Share of the blocks of a layout whose like is not near the same place of the other.

    A text that is set in another font moves its lines by a few pixels and changes their means by a
    few levels; a column that is gone, or lies elsewhere, changes hundreds of blocks by more.
    """
    one, another = (_blocks(picture) for picture in (one, another))
    return max(_strange(one, another), _strange(another, one))


def alike(seen: Image.Image, file: Path) -> bool:
    """Whether a layout is that of a file, fonts aside."""
    with Image.open(file) as known:
        return apart(seen, known) < MOST


def _blocks(picture: Image.Image) -> np.ndarray:
    side = BLOCK // SHRUNK
    return np.asarray(picture.convert("L").reduce(side), float)


def _strange(seen: np.ndarray, known: np.ndarray) -> float:
    """Share of the blocks outside the range of the known ones around them."""
    if seen.shape != known.shape:
        return 1.0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(known, 1, mode="edge"), (3, 3))
    low, high = around.min((2, 3)) - SLACK, around.max((2, 3)) + SLACK
    return float(((seen < low) | (seen > high)).mean())


def main() -> None:
    """Draw all."""
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        with serving(checkpoints_in(Path(folder))) as (address, _):
            for screen, options in SCREENS.items():
                page = browser.new_context(**options).new_page()
                page.goto(address)
                for name in tabs(page):
                    _write(settled(page), LAYOUT / screen / f"{name}.webp", quality=60)
        with serving(REPOSITORY / "checkpoints") as (address, _):
            page = browser.new_context(**SCREENS["desktop"]).new_page()
            page.goto(address)
            for tab in README:
                go(page, tab)
                name = TABS[tab].__name__.rsplit(".", 1)[-1]
                _write(shoot(page).convert("RGB"), DOCS / f"{name}.webp", quality=80)


def _write(picture: Image.Image, path: Path, quality: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=quality, method=6)
    print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
