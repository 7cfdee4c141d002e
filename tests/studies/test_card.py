"""The model card: every figure with its floor, and files only where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import save_tiny
from tests.studies.conftest import Command

OPTIONS = ("--count", "16", "--steps", "2", "--features", "features")
TYPED = "python evaluate.py card trained --data train{} --steps 2 --count 16\n"


@pytest.fixture
def trained(place: Path) -> Path:
    """The tiny model with the facts that training leaves in its config."""
    folder = save_tiny(place / "trained")
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    levels = {"0.1": 0.01, "1": 0.02}
    config["data"] = {"name": "smooth noise", "license": "none"}
    config["training"] = {
        "images": 1000, "seconds": 60, "pictures": 40, "device": "a toaster",
        "by_noise_level": levels, "linear": levels,
    }  # fmt: skip
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_card_is_printed_and_written_where_it_is_asked_for(
    run: Command, trained: Path, tmp_path: Path, capsys
) -> None:
    status, before = run("card", "trained", "--data", str(trained.parent / "train"), *OPTIONS,
                         "--solver", "ddim")  # fmt: skip
    printed = capsys.readouterr().out
    assert status == 0 and "DDIM" in printed
    assert TYPED.format(" --solver ddim") in printed  # the path of the pictures is not in it
    assert not (trained / "README.md").exists() and not (trained / "sheet.png").exists()
    assert (tmp_path / "card-tiny" / "README.md").exists()

    status, after = run("card", "trained", "--data", "train", *OPTIONS, "--write")
    printed = capsys.readouterr().out
    assert status == 0
    assert (trained / "README.md").read_text(encoding="utf-8").strip() == printed.strip()
    for wanted in ("1,000 images", "a toaster", "smooth noise", "Seeds 0 to 15", TYPED.format("")):
        assert wanted in printed
    distances, ratios = after.values()
    sets = ["**model**", "Gaussian (no network)", "training pictures (floor)"]
    assert [row["16 of"] for row in distances][:3] == sets == [row["16 of"] for row in ratios][:3]
    assert Image.open(trained / "sheet.png").size == (8 * 32, 2 * 32)
    assert (tmp_path / "card-tiny" / "neighbours.png").exists()
    model, _, floor, *_ = next(iter(before.values()))
    assert model != distances[0] and floor == distances[2]
