"""The running studio in a browser, as visitors have it; what goes wrong in it fails the test."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sbcore.ipf.network import EndPoint
from tests.conftest import REPOSITORY, save_tiny
from tests.demo.browser import hands
from tests.demo.conftest import PATIENCE, chromium
from tests.demo.studio import serving
from tests.demo.tabs.test_translate import save_translator

DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
EVALUATION = 0.12  # seconds that one takes where it is slow: longer than between two previews
# What a browser may complain of, and why.
LET_THROUGH = {
    r"ERR_ABORTED .*/(gradio_api/|assets/|theme\.css)": "who leaves gives up what was asked for",
    r"^AbortError|Connection errored out": "Gradio's own word for it, where it waits on one",
}


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """One for all files of this folder."""
    with chromium() as browser:
        yield browser


def checkpoints_in(folder: Path) -> Path:
    """A tiny model that draws, and one that translates."""
    save_tiny(folder / "tiny")
    save_translator(folder / "letters")
    return folder


@pytest.fixture(scope="package")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """Address and models of a running server."""
    with serving(checkpoints_in(tmp_path_factory.mktemp("checkpoints"))) as running:
        yield running


@pytest.fixture(scope="package")
def shipped() -> Iterator[str]:
    """Address of a server with the models of the repository."""
    with serving(REPOSITORY / "checkpoints") as (address, _):
        yield address


@pytest.fixture
def visitor(browser: Any) -> Iterator[Callable[..., Any]]:
    """Let somebody in: a browser context, with options as of Playwright's."""
    contexts: list[Any] = []
    faults: list[str] = []

    def enter(**options: Any) -> Any:
        context = browser.new_context(**DESKTOP | options)
        context.set_default_timeout(PATIENCE)
        watch(context, faults)
        contexts.append(context)
        return context

    yield enter
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def watch(context: Any, faults: list[str]) -> None:
    """Note errors in the console, exceptions and requests that failed."""

    def note(text: str) -> None:
        if not any(re.search(allowed, text) for allowed in LET_THROUGH):
            faults.append(text)

    context.on("console", lambda one: one.type != "error" or note(one.text))
    context.on("weberror", lambda one: note(str(one.error)))
    context.on("requestfailed", lambda one: note(f"{one.failure} {one.url}"))
    context.on("response", lambda one: one.status < 400 or note(f"{one.status} {one.url}"))


@pytest.fixture
def visit(
    request: pytest.FixtureRequest, visitor: Callable[..., Any], studio: tuple[str, Any]
) -> Callable[..., Any]:
    """Open the page, or load it again, at a tab, and wait for its example.

    ``by`` is who does so, by default always the same visitor, of the kind that the test's
    parameter says; ``query`` is that of the address; with ``live`` the tab draws while a control
    moves.
    """
    own: list[Any] = []

    def visit(tab: str = "Generate", query: str = "", by: Any = None, live: bool = False) -> Any:
        if by is None:
            own[:] = own or [visitor(**getattr(request, "param", {}))]
            (by,) = own
        page = by.pages[0] if by.pages else by.new_page()
        page.goto(f"{studio[0]}{query}")
        hands.go(page, tab)
        for switch in page.locator(".live input:visible").all():
            switch.set_checked(live)
        return page

    return visit


@pytest.fixture
def slow(studio: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Make every network call of both models last; the times of the calls."""
    calls: list[float] = []
    forward = EndPoint.forward

    def wait(*_: Any) -> None:
        calls.append(time.monotonic())
        time.sleep(EVALUATION)

    def late(*given: Any, **options: Any) -> Any:
        wait()
        return forward(*given, **options)

    hook = studio[1].get("tiny").denoiser.register_forward_pre_hook(wait)
    monkeypatch.setattr(EndPoint, "forward", late)
    yield calls
    hook.remove()


@pytest.fixture(scope="session")
def photo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of 400 x 300, without a face."""
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), np.uint8)
    path = tmp_path_factory.mktemp("photos") / "photo.jpg"
    Image.fromarray(coarse).resize((400, 300), Image.Resampling.BICUBIC).save(path)
    return path
