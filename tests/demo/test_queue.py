"""The one queue: nothing runs past it, Stop and leaving free it, visitors do not meet in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client

from tests.demo.studio import CONTRACT, pixels

pytestmark = pytest.mark.usefixtures("no_traceback")


def test_a_run_goes_through_the_queue_or_not_at_all(
    studio: tuple[str, Any], client: Client, slow: list[float]
) -> None:
    api, data = f"{studio[0]}gradio_api", {"data": [1, 0, 2, None, "fast", None, "closed form"]}
    computing = [d for d in client.config["dependencies"] if d["queue"]]
    assert len(computing) >= len(CONTRACT) + 5  # and those of the tabs
    for route in ("run", "api"):
        for name in CONTRACT:
            assert httpx.post(f"{api}/{route}{name}", json=data).status_code == 404
        for run in computing:
            body = data | {"fn_index": run["id"], "session_hash": "direct"}
            for name in ("predict", run["api_name"]):
                assert httpx.post(f"{api}/{route}/{name}", json=body).status_code == 404
    assert not slow
    event = httpx.post(f"{api}/call/generate", json=data).json()["event_id"]
    assert "event: complete" in httpx.get(f"{api}/call/generate/{event}", timeout=30).text
    assert slow


def test_what_only_rearranges_the_page_needs_no_queue(
    studio: tuple[str, Any], client: Client
) -> None:
    (link,) = (d for d in client.config["dependencies"] if d["api_name"] == "open_about")
    body = {"data": [], "fn_index": link["id"], "session_hash": "page"}
    answer = httpx.post(f"{studio[0]}gradio_api/run/predict", json=body)
    assert answer.status_code == 200 and "about" in answer.text


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


def assert_stopped(calls: list[float], since: float) -> None:
    """Hardly any network call comes later: a few until the word arrives, one of the next run."""
    time.sleep(1.5)  # thirty calls, had the engine gone on
    assert sum(call > since + 0.5 for call in calls) <= 2


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [("/generate", {"steps": 2000}), ("/evolve", {"mode": "paper"})],
    ids=["generate", "evolve in paper mode"],
)
def test_cancel_stops_the_engine_and_frees_the_worker(
    client: Client, slow: list[float], endpoint: str, options: dict
) -> None:
    job = client.submit(**options, api_name=endpoint)
    wait_for(lambda: len(slow) > 5)
    job.cancel()
    cancelled = time.monotonic()
    files, _ = client.predict(steps=1, api_name="/generate")
    assert files
    assert time.monotonic() - cancelled < 3
    assert_stopped(slow, cancelled)


@pytest.mark.parametrize("route", ["call", "queue"], ids=["a program", "a browser tab"])
def test_a_client_that_goes_away_frees_the_worker(
    studio: tuple[str, Any], client: Client, slow: list[float], route: str
) -> None:
    api, data = f"{studio[0]}gradio_api", {"data": [1, 0, 2000, None, "fast", None, "closed form"]}
    if route == "call":
        event = httpx.post(f"{api}/call/generate", json=data).json()["event_id"]
        stream = f"{api}/call/generate/{event}"
    else:
        functions = client.config["dependencies"]
        (number,) = (f["id"] for f in functions if f["api_name"] == "generate")
        session = {"session_hash": f"gone-{time.monotonic()}"}
        httpx.post(f"{api}/queue/join", json=data | session | {"fn_index": number})
        stream = f"{api}/queue/data?session_hash={session['session_hash']}"
    with httpx.stream("GET", stream, timeout=30) as answer:
        next(line for line in answer.iter_lines() if len(slow) > 3)
    gone = time.monotonic()
    assert client.predict(steps=1, api_name="/generate")[0]
    assert time.monotonic() - gone < 5
    assert_stopped(slow, gone)


def test_two_visitors_at_once_get_their_own_pictures(studio: tuple[str, Any]) -> None:
    results: dict[int, np.ndarray] = {}

    def visit(seed: int) -> None:
        files, _ = Client(studio[0], verbose=False).predict(seed=seed, api_name="/generate")
        results[seed] = pixels(files[0])

    visitors = [threading.Thread(target=visit, args=(seed,)) for seed in (1, 2, 3)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    client = Client(studio[0], verbose=False)
    for seed in (1, 2, 3):
        files, _ = client.predict(seed=seed, api_name="/generate")
        assert np.array_equal(results[seed], pixels(files[0]))
