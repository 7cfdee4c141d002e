"""The model card: every figure with its floor, and files only where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import save_tiny
from tests.studies.conftest import Command

OPTIONS = ("--data", "train", "--count", "16", "--steps", "2", "--features", "features")
TYPED = "python evaluate.py card trained --data train --steps 2 --count 16\n"


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
    for name in ("README.md", "sheet.png"):
        (folder / name).unlink(missing_ok=True)
    return folder


def test_card_is_printed_and_written(run: Command, trained, tmp_path, capsys) -> None:
    status, tables = run("card", "trained", *OPTIONS, "--write")
    printed = capsys.readouterr().out
    assert status == 0
    assert (trained / "README.md").read_text(encoding="utf-8").strip() == printed.strip()
    for wanted in ("1,000 images", "a toaster", "smooth noise", "Seeds 0 to 15", TYPED):
        assert wanted in printed
    distances, ratios = tables.values()
    sets = ["**model**", "Gaussian (no network)", "training pictures (floor)"]
    assert [row["16 of"] for row in distances][:3] == sets == [row["16 of"] for row in ratios][:3]
    assert Image.open(trained / "sheet.png").size == (8 * 32, 2 * 32)
    assert (tmp_path / "card-tiny" / "neighbours.png").exists()


def test_without_write_the_model_folder_is_left_alone(run: Command, trained, tmp_path) -> None:
    assert run("card", "trained", *OPTIONS)[0] == 0
    assert not (trained / "README.md").exists() and not (trained / "sheet.png").exists()
    assert (tmp_path / "card-tiny" / "README.md").exists()


def test_another_sampler_is_named_and_measured(run: Command, trained, capsys) -> None:
    first = run("card", "trained", *OPTIONS)[1]
    second = run("card", "trained", *OPTIONS, "--solver", "ddim")[1]
    assert "DDIM" in capsys.readouterr().out
    (before, _), (after, _) = first.values(), second.values()
    assert before[0] != after[0] and before[2] == after[2]  # the model, the floor


def test_the_path_of_the_pictures_is_not_in_the_card(run: Command, trained, place, capsys) -> None:
    options = ["--data", str(place / "train"), *OPTIONS[2:]]
    assert run("card", "trained", *options)[0] == 0
    assert TYPED in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["nosuch", "--data", "train"], "nosuch"),
        (["tiny", "--data", "nosuch", "--val", "val"], "nosuch"),
        (["tiny", "--data", "val"], "--val"),
        (["tiny", "--data", "train", "--count", "21"], "20"),
        (["tiny", "--data", "train", "--count", "0"], "count"),
    ],
)
def test_bad_arguments_are_a_sentence(run: Command, capsys, arguments, wanted) -> None:
    assert run("card", *arguments)[0] == 1
    error = capsys.readouterr().err
    assert wanted in error and "Traceback" not in error
