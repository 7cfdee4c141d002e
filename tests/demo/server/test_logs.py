"""The log: a JSON object a line, with a request, and no flood."""

from __future__ import annotations

import json
import logging

from demo.server import logs


def lines(*texts, extra=None):
    """What would be written of these messages."""
    handler, written = logging.Handler(), []
    handler.setFormatter(logs.Lines())
    handler.addFilter(logs.Rarely())
    handler.emit = lambda record: written.append(json.loads(handler.format(record)))
    log = logging.Logger("demo.test")
    log.addHandler(handler)
    for text in texts:
        log.info(text, extra=extra)
    return written


def test_a_line_says_when_what_and_whose_request_it_was():
    name = logs.new_request()
    (line,) = lines("it happened", extra={"facts": {"seconds": 0.5}})
    assert line["event"] == "it happened" and line["request"] == name and line["seconds"] == 0.5
    assert line["level"] == "info" and line["time"].endswith("Z")


def test_long_and_strange_texts_stay_one_short_line():
    (line,) = lines("x" * 10_000 + "\n\x00")
    assert len(line["event"]) <= logs.LONGEST


def test_the_same_again_and_again_is_left_out():
    assert len(lines(*["again"] * 1000)) == logs.MOST
    assert len(lines(*[f"message {i}" for i in range(5)])) == 5
