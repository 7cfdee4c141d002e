"""One run at a time writes to a folder; a run that was killed keeps nobody out."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sbcore.runtime.lock import locked
from tests.conftest import REPOSITORY

HOLDER = """
import sys, time
from pathlib import Path
from sbcore.runtime.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("name", [signal.SIGKILL, signal.SIGTERM])
def test_a_folder_is_held_until_its_process_dies(name: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"held\n"
            message = f"another run is writing to {tmp_path}; wait for it, or stop it"
            with pytest.raises(ValueError, match=message), locked(tmp_path):
                pass
        finally:
            process.send_signal(name)
    with locked(tmp_path):
        assert not list(tmp_path.iterdir())
    with locked(tmp_path):
        pass


def test_a_folder_that_stays_empty_is_removed_again(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyError
    assert not (tmp_path / "a" / "b").exists()
    with locked(tmp_path / "c"):
        (tmp_path / "c" / "file").touch()
    assert (tmp_path / "c" / "file").exists()
    (tmp_path / "d").mkdir()
    with locked(tmp_path / "d"):
        pass
    assert (tmp_path / "d").is_dir()


def test_a_place_where_nothing_can_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="b cannot be written to: Not a directory"):
        locked(tmp_path / "file" / "b").__enter__()

    def read_only(*_: Any, **__: Any) -> None:  # no permission stops root
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(ValueError, match="cannot be written to: Read-only file system"):
        locked(tmp_path).__enter__()
