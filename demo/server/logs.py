"""The log of a server: a JSON object a line, without pictures, names and addresses of visitors."""

from __future__ import annotations

import json
import logging
import secrets
import time
from contextvars import ContextVar
from typing import Any

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""Short name of the request under way; its answer carries it, too."""
MOST = 10  # lines of one kind a minute
LONGEST = 300  # characters of a text
log = logging.getLogger("demo")


def new_request() -> str:
    """Begin a request: its name."""
    name = secrets.token_hex(4)
    REQUEST.set(name)
    return name


class Lines(logging.Formatter):
    """Writes a record as JSON: time, level, request, what happened and what its ``extra`` says."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        text = record.getMessage()[:LONGEST]
        facts = {"time": at, "level": record.levelname.lower(), "event": text}
        facts |= {"request": REQUEST.get()} if REQUEST.get() else {}
        facts |= getattr(record, "facts", {})
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=True, default=str)


class Rarely(logging.Filter):
    """Lets so many lines of one kind through a minute; then how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, Any], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written."""
        kind = (str(record.msg), record.lineno)
        began, count = self._seen.get(kind, (0.0, 0))
        if record.created - began > 60:
            if count > MOST:
                record.facts = getattr(record, "facts", {}) | {"left_out": count - MOST}
            began, count = record.created, 0
        self._seen[kind] = (began, count + 1)
        return count < MOST


def write() -> None:
    """Write the log of the studio to the standard error stream."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    handler.addFilter(Rarely())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
