"""``python app.py``, started as a user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import REPOSITORY, save_tiny


def answer(checkpoints: Path) -> str:
    """The page that `app.py` serves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--checkpoints", str(checkpoints)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment) as server:
        try:
            for _ in range(600):
                try:
                    return httpx.get(f"http://127.0.0.1:{port}/", timeout=30).text
                except httpx.ConnectError:
                    assert server.poll() is None, "the server ended"
                    time.sleep(0.2)
        finally:
            server.terminate()
    pytest.fail("the server never answered")


def test_serves_the_page(tmp_path):
    save_tiny(tmp_path / "tiny")
    assert "Schrödinger Bridge Studio" in answer(tmp_path)


def test_serves_a_page_without_any_model(tmp_path):
    assert "Schrödinger Bridge Studio" in answer(tmp_path)


def test_help():
    command = [sys.executable, "app.py", "--help"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "--model" in done.stdout
