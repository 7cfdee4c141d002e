"""SIGKILL at random moments of each kind of training, in a small form."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import REPOSITORY

KILLS = 2


def test_a_killed_run_loads_and_goes_on_as_if_nothing_had_been() -> None:
    """In a process of its own: the runs are forked, which wants no other threads."""
    command = [sys.executable, "-m", "tests.kills", "--count", str(KILLS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert len(rows) == 7, done.stdout + done.stderr
    for kind, kills, _, _, loadable, resumed, _ in rows:
        assert int(kills) == int(loadable) == int(resumed) == KILLS, f"{kind}\n{done.stderr}"
    assert done.returncode == 0
