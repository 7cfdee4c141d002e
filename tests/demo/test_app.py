"""``python app.py``, started as a user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import app
from tests.conftest import REPOSITORY, save_tiny


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of ``python app.py`` in a folder, once it serves, offline; its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, environment = f"http://127.0.0.1:{port}/", os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "app.py", "--port", str(port), *options]
    with subprocess.Popen(command, cwd=folder, env=environment) as server:
        try:
            limit = time.monotonic() + 120
            while True:
                try:
                    httpx.get(address, timeout=30)
                    break
                except httpx.ConnectError:
                    assert server.poll() is None and time.monotonic() < limit
                    time.sleep(0.2)
            yield address, server
        finally:
            server.terminate()


def test_serves_the_page_with_its_models(tmp_path):
    found, own = tmp_path / "found", save_tiny(tmp_path / "own-model", ratio=False)
    save_tiny(found / "found-model", ratio=False)
    with started(REPOSITORY, "--checkpoints", str(found), "--model", str(own)) as (address, _):
        text = httpx.get(address, timeout=30).text
    assert "Schrödinger Bridge Studio" in text
    assert "own-model" in text and "found-model" in text


def test_without_the_package_for_tools_it_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(SystemExit) as left:
        app.parse_arguments(["--mcp"])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert left.value.code == 2 and said.endswith("pip install 'gradio[mcp]==6.31.0'.")
