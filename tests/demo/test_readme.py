"""What the README prints as a call runs as it is printed."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo import cli
from demo.reference import ADDRESS
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
(SECTION,) = re.findall(r"^## Call it from anywhere\n(.*?)^## ", README, re.M | re.S)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", SECTION, re.M | re.S)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with what the examples name."""
    photo = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    hole = np.zeros((96, 128), np.uint8)
    hole[40:60, 50:80] = 255
    Image.fromarray(photo).save(tmp_path / "photo.jpg")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo).save(tmp_path / "photos" / "one.png")
    (tmp_path / "checkpoints").symlink_to(REPOSITORY / "checkpoints")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(block: str) -> list[dict[str, Any]]:
    """Do command lines: their reports."""
    reports = io.StringIO()
    with redirect_stdout(reports):
        for line in block.splitlines():
            assert line.startswith("python -m demo ")
            assert cli.main(shlex.split(line)[3:]) == 0
    return list(map(json.loads, reports.getvalue().splitlines()))


def test_every_call_of_the_readme_runs_as_printed(studio, desk):
    assert [language for language, _ in BLOCKS] == ["python", "bash", "bash", "python"]
    client, curl, lines, local = (
        block.replace(ADDRESS, studio[0].rstrip("/")) for _, block in BLOCKS
    )
    exec(client, found := {})
    assert len(found["pictures"]) == 4 and found["report"]["changed_outside"] == 0
    said = subprocess.run(["bash", "-e", "-c", curl], capture_output=True, text=True, check=True)
    assert "event: complete" in said.stdout and '"seed": 17' in said.stdout
    assert len(command(lines)) == 3 and (desk / "restored/one/report.json").is_file()
    exec(local, {})
    edited = [Image.open(path).size for path in ("edited.png", "edited/00.png")]
    assert edited == [(128, 96)] * 2
