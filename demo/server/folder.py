"""The folder of a start: what visitors leave is in it, and goes with it."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "bridge-studio-"
LOCK = ".running"
MOST_BYTES = 2 * 1024**3
KEPT_SECONDS = 3600.0


@contextmanager
def own_folder() -> Iterator[Path]:
    """Make a folder for all temporary files of this process, and empty it in the end.

    Folders of starts that were killed are removed first: a lock that ends with its process tells
    them from those in use.
    """
    ground = Path(tempfile.gettempdir())
    for left in ground.glob(f"{PREFIX}*"):
        _remove_dead(left)
    folder, before = Path(tempfile.mkdtemp(prefix=PREFIX)), tempfile.tempdir
    environment = os.environ.get("GRADIO_TEMP_DIR")
    with FileLock(folder / LOCK):
        # Apart, for Gradio copies what it is to serve out of the one into the other.
        for name in ("work", "files"):
            (folder / name).mkdir()
        tempfile.tempdir = str(folder / "work")
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "files")
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            del os.environ["GRADIO_TEMP_DIR"]
            os.environ |= {"GRADIO_TEMP_DIR": environment} if environment else {}
            shutil.rmtree(folder, ignore_errors=True)


def _remove_dead(folder: Path) -> None:
    with suppress(OSError, Timeout), FileLock(folder / LOCK, timeout=0):
        shutil.rmtree(folder, ignore_errors=True)


def tidy(folder: Path) -> int:
    """Remove files older than an hour, and the oldest beyond the cap: the bytes that are left."""
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and path.name != LOCK:
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
    left = sum(size for _, size, _ in found)
    for at, size, path in sorted(found):
        if time.time() - at < KEPT_SECONDS and left <= MOST_BYTES:
            break
        with suppress(OSError):
            path.unlink()
            left -= size
    return left
