"""The test suite leaves nothing in the temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conftest import REPOSITORY

# Uploads, downloads, files of the server, the profile of a browser, and pytest's own.
TESTS = [
    "tests/demo/test_api.py::test_inpaint_keeps_known_pixels_of_the_file_bit_for_bit",
    "tests/demo/browser/test_reimagine.py::test_a_photo_that_is_taken_out_is_missed",
]


def test_nothing_is_left_in_the_temporary_folder() -> None:
    environment = {name: value for name, value in os.environ.items() if "TEMP" not in name}
    command = [sys.executable, "-m", "pytest", *TESTS, "-p", "no:cacheprovider"]
    # Not tmp_path: Chromium has a socket in it, and the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        environment["TMPDIR"] = folder
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True)
        assert list(Path(folder).iterdir()) == []
