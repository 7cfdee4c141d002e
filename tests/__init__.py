"""Tests of the studio; they mirror the tree. A package, so that pytest finds its root.

Their temporary folder is set before anything asks for it, holds for subprocesses and browsers too,
and is removed at the end: the HTTP client forgets what it downloads.
"""

import atexit
import os
import shutil
import tempfile

# A short name: Chromium has a socket below it, whose path must be short.
TEMPORARY = tempfile.tempdir = tempfile.mkdtemp(prefix="sbs-")
os.environ |= {"TMPDIR": TEMPORARY, "GRADIO_TEMP_DIR": f"{TEMPORARY}/gradio"}
atexit.register(shutil.rmtree, TEMPORARY, ignore_errors=True)
