"""A running studio with the tiny model, a face and a hole to send to it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image

from demo import imaging
from tests.conftest import TINY, save_tiny
from tests.demo.studio import file_of, serving

SIZE = TINY.image_size
PATIENCE = 60_000  # milliseconds; a loaded machine draws slowly


@pytest.fixture(autouse=True, scope="session")
def restricted() -> None:
    """As on every server: Pillow opens what the studio takes, and no more."""
    imaging.restrict_decoders()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good model and a broken one."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny(folder / "tiny")
    save_tiny(folder / "zbroken")
    (folder / "zbroken" / "model.safetensors").write_bytes(b"not weights")
    return folder


@pytest.fixture(scope="session")
def studio(checkpoints: Path) -> Iterator[tuple[str, Any]]:
    """Address and models of a running server."""
    with serving(checkpoints) as running:
        yield running


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium, where it and Playwright are installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if path is None:
        pytest.skip("there is no Chromium")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")  # it keeps an event loop running
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def client(studio: tuple[str, Any]) -> Client:
    return Client(studio[0], verbose=False)


@pytest.fixture(scope="session")
def face() -> np.ndarray:
    """A picture of the model's size, as a file holds it."""
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return pixels.astype(np.float32) / 255


@pytest.fixture(scope="session")
def face_file(tmp_path_factory: pytest.TempPathFactory, face: np.ndarray) -> str:
    return file_of(tmp_path_factory.mktemp("faces"), "face.png", imaging.to_image(face))


@pytest.fixture(scope="session")
def hole() -> np.ndarray:
    hole = np.zeros((SIZE, SIZE), bool)
    hole[4:10, 5:12] = True
    return hole


@pytest.fixture(scope="session")
def hole_file(tmp_path_factory: pytest.TempPathFactory, hole: np.ndarray) -> str:
    return file_of(tmp_path_factory.mktemp("masks"), "hole.png", Image.fromarray(hole))


@pytest.fixture
def no_traceback(capfd: pytest.CaptureFixture[str], caplog: Any) -> Iterator[None]:
    """Whatever a test sends, the server runs in this process and must not stumble."""
    yield
    assert "Traceback" not in capfd.readouterr().err
    assert not [record for record in caplog.records if record.name.startswith("demo")]


@pytest.fixture
def slow(studio: tuple[str, Any]) -> Iterator[list[float]]:
    """Make every network call last; the times of the calls."""
    calls: list[float] = []

    def wait(*_: Any) -> None:
        calls.append(time.monotonic())
        time.sleep(0.05)

    hook = studio[1].get("tiny").denoiser.register_forward_pre_hook(wait)
    yield calls
    hook.remove()
