"""Serving until told to stop, and stopping well."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from demo.server import logs
from demo.server.folder import own_folder
from demo.server.turns import TURNS

log = logging.getLogger(__name__)
GRACE = 60.0  # seconds that the runs under way have to come to their end
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(build: Callable[[], Any], **options: Any) -> None:
    """Build the page and serve it until SIGTERM or Ctrl-C; a second one ends it at once.

    The first lets the runs under way end, while new ones are refused.

    Args:
        build: Makes the page.
        options: As of `Page.launch`.
    """
    logs.write()
    stop = threading.Event()
    with own_folder():
        page = build()
        for number in SIGNALS:
            signal.signal(number, lambda *_: stop.set())
        page.launch(prevent_thread_lock=True, **options | elsewhere(options.get("share", False)))
        stop.wait()
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        log.info("stopping", extra={"facts": {"runs": len(TURNS)}})
        page.leave()
        limit = time.monotonic() + GRACE
        while len(TURNS) and time.monotonic() < limit:
            time.sleep(0.1)
        time.sleep(0.3 if limit > time.monotonic() else 0)  # the last answers go out
        page.close(verbose=False)


def elsewhere(shared: bool) -> dict[str, Any]:
    """What is different behind the tunnel of ``--share``, and where Hugging Face serves."""
    if shared:  # nobody knows its name before
        return {"hosts": ("*",), "proxied": True}
    if host := os.environ.get("SPACE_HOST"):
        frames = ("https://huggingface.co",)
        return {"hosts": tuple(host.split(",")), "frames": frames, "proxied": True}
    return {}


def own_names() -> tuple[str, ...]:
    """What this machine is called in its network."""
    name = socket.gethostname().lower()
    return name, f"{name}.local"
