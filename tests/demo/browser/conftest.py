"""The running studio in a browser; an error in its console fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PATIENCE = 30_000  # milliseconds; a loaded machine draws slowly


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def visit(studio: tuple[str, Any], context: Any) -> Iterator[Any]:
    """Open the page at a tab; once its example is there."""
    errors: list[str] = []

    def visit(tab: str) -> Any:
        page = context.pages[0] if context.pages else context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(studio[0])
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_selector("button.run:visible")
        return page

    yield visit
    assert not errors


@pytest.fixture(scope="session")
def photo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 400 x 300, without a face."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC).save(path)
    return path
