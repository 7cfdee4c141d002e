"""``python app.py`` stops well: the run under way ends, new ones are refused, nothing stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from tests.conftest import REPOSITORY, save_tiny

API = "/gradio_api/call/generate"


@contextmanager
def started(folder, *options):
    """A server in a process of its own: the process, and a client."""
    save_tiny(folder / "found" / "tiny")
    (folder / "tmp").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "app.py", "--port", str(port), "--device", "cpu", *options]
    command += ["--checkpoints", str(folder / "found")]
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "HF_HUB_OFFLINE": "1"}
    environment.pop("GRADIO_TEMP_DIR", None)
    errors = (folder / "log").open("w")
    server = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=errors)
    with server, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        try:
            limit = time.monotonic() + 120
            while True:
                try:
                    if http.get("/healthz").status_code == 200:
                        break
                except httpx.ConnectError:
                    assert server.poll() is None and time.monotonic() < limit
                    time.sleep(0.2)
            yield server, http
        finally:
            server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_run_under_way_ends_and_new_ones_are_refused(tmp_path, number):
    with started(tmp_path) as (server, http):
        data = {"data": [1, 0, 1000, None, "fast", None, "closed form"]}
        event = http.post(API, json=data).json()["event_id"]
        kinds = []
        with http.stream("GET", f"{API}/{event}") as stream:
            for line in stream.iter_lines():
                if line.startswith("event: ") and not kinds:
                    server.send_signal(number)
                    time.sleep(0.3)
                    with httpx.Client(base_url=http.base_url) as other:
                        refused = other.post(API, json=data)
                        assert refused.status_code == 503
                        assert "being shut down" in refused.json()["detail"]
                        assert other.get("/healthz").status_code == 503
                kinds += [line.removeprefix("event: ")] if line.startswith("event: ") else []
        assert kinds[-1] == "complete"
        assert server.wait(30) == 0
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_log_names_no_visitor(tmp_path):
    with started(tmp_path) as (server, http):
        files = {"files": ("my-own-name.png", b"x")}
        http.post("/gradio_api/upload", files=files, headers={"Cookie": "visitor=secret-token"})
        http.get("/gradio_api/file=/files/secret/my-own-name.png")
        http.post(API, json={"data": ["x"]})
        server.terminate()
        server.wait(30)
    log = (tmp_path / "log").read_text()
    assert '"request"' in log and '"route": "/gradio_api/upload"' in log
    assert not any(word in log for word in ("my-own-name", "secret", "127.0.0.1"))
