"""The test suite leaves nothing in the temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

# Uploads, downloads, files of the server, the profile of a browser, and pytest's own.
TESTS = [
    "tests/demo/test_api.py::test_inpaint_keeps_known_pixels_of_the_file_bit_for_bit",
    "tests/demo/browser/test_reimagine.py::test_a_photo_that_is_taken_out_is_missed",
]


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if "TEMP" not in name}
    environment["TMPDIR"] = str(tmp_path)
    command = [sys.executable, "-m", "pytest", *TESTS, "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
