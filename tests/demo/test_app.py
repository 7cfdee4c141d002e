"""``python app.py``, started as a user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import httpx

from tests.conftest import REPOSITORY, save_tiny


def test_serves_the_page_with_its_models(tmp_path):
    found, own = tmp_path / "found", save_tiny(tmp_path / "own-model", ratio=False)
    save_tiny(found / "found-model", ratio=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--checkpoints", str(found), "--model", str(own)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "app.py", *options]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as server:
        try:
            text, limit = "", time.monotonic() + 120
            while not text:
                try:
                    text = httpx.get(f"http://127.0.0.1:{port}/", timeout=30).text
                except httpx.ConnectError:
                    assert server.poll() is None and time.monotonic() < limit
                    time.sleep(0.2)
        finally:
            server.terminate()
    assert "Schrödinger Bridge Studio" in text
    assert "own-model" in text and "found-model" in text
