"""The one queue: nothing runs past it, Stop and leaving free it, visitors do not meet in it."""

from __future__ import annotations

import threading
import time

import httpx
import numpy as np
import pytest
from gradio_client import Client

from tests.demo.studio import CONTRACT, pixels

pytestmark = pytest.mark.usefixtures("no_traceback")
LONG = {"data": [1, 0, 2000, None, "fast", None, "closed form"]}  # of /generate


@pytest.fixture
def api(studio):
    return f"{studio[0]}gradio_api"


def test_a_run_goes_through_the_queue_or_not_at_all(api, client, slow):
    data = {"data": [1, 0, 2, None, "fast", None, "closed form"]}
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


def test_what_only_rearranges_the_page_needs_no_queue(api, client):
    press = next(d for d in client.config["dependencies"] if d["api_name"] == "show_stop")
    body = {"data": [], "fn_index": press["id"], "session_hash": "page"}
    answer = httpx.post(f"{api}/run/predict", json=body)
    assert answer.status_code == 200 and "Stop" in answer.text


def assert_freed(client, calls, since):
    """The next run comes at once, and hardly any network call of the one before it later."""
    assert client.predict(steps=1, api_name="/generate")[0]
    assert time.monotonic() - since < 5
    time.sleep(1.5)  # thirty calls, had the engine gone on
    assert sum(call > since + 0.5 for call in calls) <= 2


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [("/generate", {"steps": 2000}), ("/evolve", {"mode": "paper"})],
    ids=["generate", "evolve in paper mode"],
)
def test_cancel_stops_the_engine_and_frees_the_worker(client, slow, endpoint, options):
    job, limit = client.submit(**options, api_name=endpoint), time.monotonic() + 20
    while len(slow) <= 5:
        assert time.monotonic() < limit, "it never began"
        time.sleep(0.02)
    job.cancel()
    assert_freed(client, slow, time.monotonic())


@pytest.mark.parametrize("route", ["call", "queue"], ids=["a program", "a browser tab"])
def test_a_client_that_goes_away_frees_the_worker(api, client, slow, route):
    if route == "call":
        event = httpx.post(f"{api}/call/generate", json=LONG).json()["event_id"]
        stream = f"{api}/call/generate/{event}"
    else:
        functions, session = client.config["dependencies"], f"gone-{time.monotonic()}"
        (number,) = (f["id"] for f in functions if f["api_name"] == "generate")
        body = LONG | {"session_hash": session, "fn_index": number}
        httpx.post(f"{api}/queue/join", json=body)
        stream = f"{api}/queue/data?session_hash={session}"
    with httpx.stream("GET", stream, timeout=30) as answer:
        next(line for line in answer.iter_lines() if len(slow) > 3)
    assert_freed(client, slow, time.monotonic())


def test_visitors_at_once_get_their_own_pictures(studio, client):
    def visit(seed, visitor):
        files, _ = visitor.predict(seed=seed, api_name="/generate")
        return pixels(files[0])

    results = {}

    def visitor(seed):
        results[seed] = visit(seed, Client(studio[0], verbose=False))

    visitors = [threading.Thread(target=visitor, args=(seed,)) for seed in (1, 2, 3)]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join(60)
    assert all(np.array_equal(results[seed], visit(seed, client)) for seed in (1, 2, 3))
