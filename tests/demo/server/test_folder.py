"""Temporary files: in one folder of a start, and gone with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from demo.server import folder as folders
from demo.server.folder import own_folder, tidy
from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def ground(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    return tmp_path


def test_all_temporary_files_are_in_it_and_go_with_it(ground):
    with own_folder() as folder:
        assert folder.parent == ground
        assert Path(tempfile.gettempdir()).is_relative_to(folder)
        assert Path(os.environ["GRADIO_TEMP_DIR"]).is_relative_to(folder)
        Path(tempfile.mkdtemp(), "photo.jpg").write_bytes(b"a face")
    assert not list(ground.iterdir()) and tempfile.gettempdir() == str(ground)
    assert "GRADIO_TEMP_DIR" not in os.environ


def test_what_a_killed_start_left_is_removed_by_the_next(ground):
    code = (
        f"import tempfile, time; tempfile.tempdir = {str(ground)!r}\n"
        "from demo.server.folder import own_folder\n"
        "with own_folder() as folder:\n"
        "    (folder / 'files' / 'photo.jpg').write_bytes(b'a face')\n"
        "    print(folder, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    with process:
        left = Path(process.stdout.readline().strip())
        with own_folder():
            assert (left / "files" / "photo.jpg").exists()  # it runs
        process.kill()
    with own_folder() as folder:
        assert list(ground.iterdir()) == [folder]


def test_old_files_go_and_beyond_the_cap_the_oldest(ground, monkeypatch):
    for hours, name in ((2, "old"), (0.5, "older"), (0, "new")):
        (ground / name).write_bytes(bytes(100))
        at = time.time() - 3600 * hours
        os.utime(ground / name, (at, at))
    assert tidy(ground) == 200 and not (ground / "old").exists()
    monkeypatch.setattr(folders, "MOST_BYTES", 150)
    assert tidy(ground) == 100 and [p.name for p in ground.iterdir()] == ["new"]
